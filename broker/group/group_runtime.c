/* Shards and their groups: which are served, stepping them, members' requests. */
#include "broker/group/group_runtime.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/group/group_runtime_internal.h"
#include "broker/protocol/codec.h"
#include "broker/protocol/errors.h"

/* Of the text form of a UUID. */
#define UUID_HEX_SIZE 36

/* Who waits for an answer to Join or Sync. */
struct group_waiter {
    group_answered *on_answered; /* NULL: nobody any more */
    void *context;
};

/* ---- Life ---- */

struct group_runtime *group_runtime_create(const struct group_runtime_config *config, struct clock *clock,
                                           struct replica_manager *replicas, struct image *image) {
    struct group_runtime *runtime = xcalloc(1, sizeof *runtime);
    runtime->config = *config;
    runtime->clock = clock;
    runtime->replicas = replicas;
    runtime->image = image;
    runtime->workspace = record_workspace_create();
    random_seed(&runtime->random, config->seed);
    arena_init(&runtime->arena, SIZE_MAX);
    return runtime;
}

void group_runtime_free_if_over(struct group_runtime *runtime) {
    if (!runtime->is_destroyed || runtime->is_posted || runtime->load_count > 0 || runtime->cleanings != NULL) {
        return;
    }
    arena_deinit(&runtime->arena);
    byte_buffer_deinit(&runtime->buffer);
    record_workspace_destroy(runtime->workspace);
    free(runtime);
}

void group_runtime_start(struct group_runtime *runtime) {
    group_runtime_start_expiry(runtime);
    group_runtime_ask_partition_count(runtime);
}

struct arena *group_runtime_arena_begin(struct group_runtime *runtime) {
    runtime->arena_depth++;
    return &runtime->arena;
}

void group_runtime_arena_end(struct group_runtime *runtime) {
    if (--runtime->arena_depth == 0) {
        arena_reset(&runtime->arena, SIZE_MAX);
    }
}

/* ---- Partitions ---- */

static struct group_shard *shard_at(const struct group_runtime *runtime, int32_t index) {
    struct group_shard *shard = NULL;
    HASH_FIND(hh, runtime->shards, &index, sizeof index, shard);
    return shard;
}

struct partition_runtime *group_shard_partition(const struct group_shard *shard) {
    struct partition_runtime *partition = NULL;
    if (shard->is_lost || replica_manager_partition(shard->runtime->replicas, STR_LITERAL(GROUP_TOPIC), shard->index,
                                                    &partition) != KAFKA_NONE) {
        return NULL;
    }
    bool is_ours =
        partition_runtime_is_leader(partition) && partition_runtime_leader_epoch(partition) == shard->leader_epoch;
    return is_ours ? partition : NULL;
}

int16_t group_runtime_shard(struct group_runtime *runtime, struct str group_id, struct group_shard **ret_shard) {
    *ret_shard = NULL;
    if (runtime->is_stopped) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    int32_t index = group_runtime_partition(runtime, group_id);
    if (index < 0) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    struct group_shard *shard = shard_at(runtime, index);
    if (runtime->is_fenced || shard == NULL || group_shard_partition(shard) == NULL) {
        return KAFKA_NOT_COORDINATOR;
    }
    if (shard->is_loading) {
        return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    }
    *ret_shard = shard;
    return KAFKA_NONE;
}

static void drop_shard(struct group_shard *shard);

/* Shards that changed are looked at here, never from inside an append or a command of the controller. */
static void look_at_marked(void *context) {
    struct group_runtime *runtime = context;
    runtime->is_posted = false;
    while (runtime->marked != NULL) {
        struct group_shard *shard = runtime->marked;
        LL_DELETE2(runtime->marked, shard, next_marked);
        shard->is_marked = false;
        if (!shard->is_lost && group_shard_partition(shard) == NULL) {
            HASH_DEL(runtime->shards, shard);
            shard->is_lost = true;
        }
        if (shard->is_lost) {
            drop_shard(shard);
        } else {
            group_shard_check_load(shard);
            group_shard_settle(shard);
        }
    }
    group_runtime_free_if_over(runtime);
}

void group_shard_mark(struct group_shard *shard) {
    struct group_runtime *runtime = shard->runtime;
    if (!shard->is_marked) {
        shard->is_marked = true;
        LL_PREPEND2(runtime->marked, shard, next_marked);
    }
    if (!runtime->is_posted) {
        runtime->is_posted = true;
        clock_post(runtime->clock, look_at_marked, runtime);
    }
}

static void on_partition_changed(struct partition_watcher *watcher) {
    group_shard_mark(CONTAINER_OF(watcher, struct group_shard, watcher));
}

/* Everybody is sent elsewhere. */
static void drop_shard(struct group_shard *shard) {
    struct group_runtime *runtime = shard->runtime;
    trace_info(GROUP_AREA, "Resigned as the group coordinator for partition %d in epoch %d", shard->index,
               shard->leader_epoch);
    partition_watcher_remove(&shard->watcher);
    timer_stop(runtime->clock, &shard->write_timer);
    group_shard_cancel_load(shard);
    group_shard_fail_writes(shard);
    struct group_entry *entry;
    struct group_entry *after;
    HASH_ITER(hh, shard->entries, entry, after) {
        struct group_event event = {.type = GROUP_UNLOAD};
        group_entry_step(entry, &event);
        group_entry_remove(entry);
    }
    if (shard->is_marked) {
        LL_DELETE2(runtime->marked, shard, next_marked);
    }
    free(shard);
}

void group_runtime_on_leadership(void *context, const char *topic, int32_t partition, bool is_leader,
                                 int32_t leader_epoch) {
    struct group_runtime *runtime = context;
    if (runtime->is_stopped || strcmp(topic, GROUP_TOPIC) != 0) {
        return;
    }
    struct group_shard *shard = shard_at(runtime, partition);
    if (shard != NULL && is_leader) {
        shard->leader_epoch = leader_epoch; /* elected again without a break: what is known stays true */
        return;
    }
    if (shard != NULL) {
        HASH_DEL(runtime->shards, shard);
        shard->is_lost = true;
        group_shard_mark(shard);
        return;
    }
    if (!is_leader) {
        return;
    }
    trace_info(GROUP_AREA, "Elected as the group coordinator for partition %d in epoch %d", partition, leader_epoch);
    if (runtime->partition_count == 0) {
        group_runtime_ask_partition_count(runtime); /* before the first group comes */
    }
    shard = xcalloc(1, sizeof *shard);
    shard->runtime = runtime;
    shard->index = partition;
    shard->leader_epoch = leader_epoch;
    shard->is_loading = true;
    shard->watcher.on_change = on_partition_changed;
    HASH_ADD(hh, runtime->shards, index, sizeof shard->index, shard);
    group_shard_load(shard);
}

void group_runtime_set_fenced(struct group_runtime *runtime, bool is_fenced) {
    runtime->is_fenced = is_fenced;
}

void group_runtime_stop(struct group_runtime *runtime) {
    if (runtime->is_stopped) {
        return;
    }
    runtime->is_stopped = true;
    timer_stop(runtime->clock, &runtime->expiry_timer);
    group_runtime_drop_cleanings(runtime);
    struct group_shard *shard;
    struct group_shard *after;
    HASH_ITER(hh, runtime->shards, shard, after) {
        HASH_DEL(runtime->shards, shard);
        shard->is_lost = true;
        drop_shard(shard);
    }
    while (runtime->marked != NULL) {
        drop_shard(runtime->marked);
    }
}

void group_runtime_destroy(struct group_runtime *runtime) {
    if (runtime == NULL) {
        return;
    }
    group_runtime_stop(runtime);
    runtime->is_destroyed = true;
    group_runtime_free_if_over(runtime);
}

/* ---- Entries ---- */

struct group_entry *group_shard_find(const struct group_shard *shard, struct str group_id) {
    struct group_entry *entry = NULL;
    HASH_FIND(hh, shard->entries, group_id.data, (size_t)MAX(group_id.size, 0), entry);
    return entry;
}

static bool is_full(const struct group_runtime *runtime) {
    return runtime->group_count >= GROUPS_MAX || runtime->bytes >= GROUPS_BYTES_MAX;
}

struct group_entry *group_shard_make(struct group_shard *shard, struct str group_id, bool is_loading) {
    struct group_runtime *runtime = shard->runtime;
    if (!is_loading && is_full(runtime)) {
        return NULL;
    }
    struct group_entry *entry = xcalloc(1, sizeof *entry);
    group_init(&entry->group, group_id, &runtime->config.limits);
    entry->shard = shard;
    entry->loaded_value = SLICE_NULL;
    HASH_ADD_KEYPTR(hh, shard->entries, entry->group.id.data, (size_t)entry->group.id.size, entry);
    runtime->group_count++;
    entry->counted_state = entry->group.state;
    runtime->counts.by_state[entry->counted_state]++;
    group_entry_count(entry);
    return entry;
}

void group_entry_count(struct group_entry *entry) {
    int64_t bytes = (int64_t)sizeof *entry + entry->group.bytes + entry->offsets.bytes;
    struct group_runtime *runtime = entry->shard->runtime;
    runtime->bytes += bytes - entry->counted_bytes;
    entry->counted_bytes = bytes;
    runtime->counts.offsets += entry->offsets.count - entry->counted_offsets;
    entry->counted_offsets = entry->offsets.count;
    runtime->counts.by_state[entry->counted_state]--;
    entry->counted_state = entry->group.state;
    runtime->counts.by_state[entry->counted_state]++;
}

static void free_entry(struct group_entry *entry) {
    group_deinit(&entry->group);
    offsets_deinit(&entry->offsets);
    free((uint8_t *)(uintptr_t)entry->loaded_value.data);
    free(entry);
}

void group_entry_remove(struct group_entry *entry) {
    struct group_shard *shard = entry->shard;
    HASH_DEL(shard->entries, entry);
    timer_stop(shard->runtime->clock, &entry->timer);
    shard->runtime->group_count--;
    shard->runtime->bytes -= entry->counted_bytes;
    shard->runtime->counts.offsets -= entry->counted_offsets;
    shard->runtime->counts.by_state[entry->counted_state]--;
    entry->shard = NULL;
    if (entry->write_count == 0) {
        free_entry(entry);
    }
}

void group_entry_release(struct group_entry *entry) {
    entry->write_count--;
    if (entry->write_count == 0 && entry->shard == NULL) {
        free_entry(entry);
    }
}

/* ---- Stepping ---- */

static void on_entry_timer(struct timer *timer) {
    struct group_event event = {.type = GROUP_TICK};
    group_entry_step(CONTAINER_OF(timer, struct group_entry, timer), &event);
}

static void set_alarm(struct group_entry *entry, int64_t now_ms) {
    struct clock *clock = entry->shard->runtime->clock;
    int64_t wake_ms = entry->group.wake_ms;
    /* A running alarm is only ever moved forward: moved back with every event it might never ring, and a heartbeat
     * would cost it. It rings early then, and looks when the next one is due. */
    if (wake_ms == GROUP_NEVER) {
        timer_stop(clock, &entry->timer);
    } else if (!timer_is_running(&entry->timer) || entry->timer.deadline_ms > MAX(wake_ms, now_ms)) {
        timer_start(clock, &entry->timer, wake_ms - now_ms, on_entry_timer);
    }
}

static void say(const struct group_entry *entry, const struct group_actions *actions) {
    const struct group *group = &entry->group;
    int32_t partition = entry->shard->index;
    if (!str_is_null(actions->reason)) {
        trace_info(GROUP_AREA,
                   "Preparing to rebalance group %.*s in state PreparingRebalance with old generation %d (" GROUP_TOPIC
                   "-%d) (reason: %.*s)",
                   STR_ARGS(group->id), group->generation - actions->is_completed, partition,
                   STR_ARGS(actions->reason));
    }
    if (actions->is_completed && group->state == GROUP_EMPTY) {
        trace_info(GROUP_AREA, "Group %.*s with generation %d is now empty (" GROUP_TOPIC "-%d)", STR_ARGS(group->id),
                   group->generation, partition);
    } else if (actions->is_completed) {
        trace_info(GROUP_AREA, "Stabilized group %.*s generation %d (" GROUP_TOPIC "-%d) with %d members",
                   STR_ARGS(group->id), group->generation, partition, group_size(group));
    }
}

static void give_answer(const struct group *group, const struct group_action *action) {
    struct group_waiter *waiter = action->waiter;
    if (waiter->on_answered != NULL) {
        waiter->on_answered(waiter->context, group, action);
    }
    free(waiter);
}

int16_t group_entry_step(struct group_entry *entry, struct group_event *event) {
    struct group_runtime *runtime = entry->shard->runtime;
    struct group_actions actions = {.arena = group_runtime_arena_begin(runtime)};
    event->now_ms = clock_now_ms(runtime->clock);
    event->wall_ms = clock_wall_ms(runtime->clock);
    group_step(&entry->group, event, &actions);
    say(entry, &actions);
    set_alarm(entry, event->now_ms);
    group_entry_count(entry);
    /* Answers do not come back here before this returns: frames that wait for room are taken up in a task. */
    for (int32_t i = 0; i < actions.count; i++) {
        const struct group_action *action = &actions.list[i];
        if (action->type == GROUP_STORE) {
            group_entry_store(entry, action->store_number, action->store_staged);
        } else {
            give_answer(&entry->group, action);
        }
    }
    group_runtime_arena_end(runtime);
    return actions.error_code;
}

/* ---- Members' requests ---- */

static struct group_waiter *make_waiter(group_answered *on_answered, void *context) {
    struct group_waiter *waiter = xmalloc(sizeof *waiter);
    *waiter = (struct group_waiter){on_answered, context};
    return waiter;
}

void group_waiter_forget(struct group_waiter *waiter) {
    waiter->on_answered = NULL;
}

static void refuse(enum group_action_type type, int16_t error_code, struct str member_id, group_answered *on_answered,
                   void *context) {
    const struct group_action answer = {.type = type,
                                        .error_code = error_code,
                                        .member_id = member_id,
                                        .leader = {"", 0},
                                        .generation = -1,
                                        .protocol_type = STR_NULL,
                                        .protocol = STR_NULL,
                                        .assignment = {NULL, 0}};
    on_answered(context, NULL, &answer);
}

/* "<client id>-<uuid>", for static members "<instance id>-<uuid>"; the UUID as java.util.UUID draws and prints it. */
static struct str draw_member_id(struct group_runtime *runtime, struct arena *arena, const struct group_event *event) {
    struct str name = str_is_null(event->instance_id) ? event->join.client_id : event->instance_id;
    name.size = MIN(name.size, CODEC_STRING_MAX - UUID_HEX_SIZE - 1); /* the whole must be able to travel */
    uint64_t high = (random_u64(&runtime->random) & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    uint64_t low = (random_u64(&runtime->random) & ~(UINT64_C(0xc0) << 56)) | UINT64_C(0x80) << 56;
    return arena_printf(arena, "%.*s-%08x-%04x-%04x-%04x-%012llx", STR_ARGS(name), (unsigned)(high >> 32),
                        (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
                        (unsigned long long)(low & UINT64_C(0xffffffffffff)));
}

/* An answer that came meanwhile has called back and freed the waiter; this remembers whether it did. */
struct waiting_call {
    group_answered *on_answered;
    void *context;
    bool is_answered;
};

static void on_call_answered(void *context, const struct group *group, const struct group_action *answer) {
    struct waiting_call *call = context;
    call->is_answered = true;
    call->on_answered(call->context, group, answer);
}

static struct group_waiter *step_waiting(struct group_entry *entry, struct group_event *event,
                                         group_answered *on_answered, void *context) {
    struct waiting_call call = {on_answered, context, false};
    struct group_waiter *waiter = make_waiter(on_call_answered, &call);
    event->waiter = waiter;
    group_entry_step(entry, event);
    if (call.is_answered) {
        return NULL;
    }
    waiter->on_answered = on_answered;
    waiter->context = context;
    return waiter;
}

struct group_waiter *group_runtime_join(struct group_runtime *runtime, struct str group_id, struct group_event *event,
                                        group_answered *on_answered, void *context) {
    struct group_shard *shard;
    struct group_entry *entry = NULL;
    int16_t error = group_id.size <= 0 ? KAFKA_INVALID_GROUP_ID : group_runtime_shard(runtime, group_id, &shard);
    if (error == KAFKA_NONE && (event->join.session_timeout_ms < runtime->config.limits.session_timeout_min_ms ||
                                event->join.session_timeout_ms > runtime->config.limits.session_timeout_max_ms)) {
        error = KAFKA_INVALID_SESSION_TIMEOUT;
    }
    if (error == KAFKA_NONE) {
        entry = group_shard_find(shard, group_id);
        bool is_member = entry != NULL && group_find_member(&entry->group, event->member_id) != NULL;
        if (entry == NULL && event->member_id.size > 0) {
            error = KAFKA_UNKNOWN_MEMBER_ID;
        } else if (!is_member && is_full(runtime)) {
            error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        } else if (entry == NULL) {
            entry = group_shard_make(shard, group_id, false);
        }
    }
    if (error != KAFKA_NONE) {
        refuse(GROUP_ANSWER_JOIN, error, event->member_id, on_answered, context);
        return NULL;
    }
    struct arena *arena = group_runtime_arena_begin(runtime);
    event->type = GROUP_JOIN;
    event->join.new_member_id = draw_member_id(runtime, arena, event);
    struct group_waiter *waiter = step_waiting(entry, event, on_answered, context);
    group_runtime_arena_end(runtime);
    return waiter;
}

struct group_waiter *group_runtime_sync(struct group_runtime *runtime, struct str group_id, struct group_event *event,
                                        group_answered *on_answered, void *context) {
    struct group_shard *shard;
    struct group_entry *entry = NULL;
    int16_t error = group_id.size <= 0 ? KAFKA_INVALID_GROUP_ID : group_runtime_shard(runtime, group_id, &shard);
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
        /* The rebalance this belongs to is lost: the member has to join again, and old clients do not know that
         * error here. */
        error = KAFKA_REBALANCE_IN_PROGRESS;
    } else if (error == KAFKA_NONE) {
        entry = group_shard_find(shard, group_id);
        error = entry == NULL ? KAFKA_UNKNOWN_MEMBER_ID : KAFKA_NONE;
    }
    if (error != KAFKA_NONE) {
        refuse(GROUP_ANSWER_SYNC, error, event->member_id, on_answered, context);
        return NULL;
    }
    event->type = GROUP_SYNC;
    return step_waiting(entry, event, on_answered, context);
}

int16_t group_runtime_check(struct group_runtime *runtime, struct str group_id) {
    struct group_shard *shard;
    return group_id.size <= 0 ? KAFKA_INVALID_GROUP_ID : group_runtime_shard(runtime, group_id, &shard);
}

int16_t group_runtime_heartbeat(struct group_runtime *runtime, struct str group_id, struct group_event *event) {
    struct group_shard *shard;
    int16_t error = group_id.size <= 0 ? KAFKA_INVALID_GROUP_ID : group_runtime_shard(runtime, group_id, &shard);
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
        return KAFKA_NONE; /* nobody is removed before the group is known */
    }
    if (error != KAFKA_NONE) {
        return error;
    }
    struct group_entry *entry = group_shard_find(shard, group_id);
    event->type = GROUP_HEARTBEAT;
    return entry == NULL ? KAFKA_UNKNOWN_MEMBER_ID : group_entry_step(entry, event);
}

int16_t group_runtime_leave(struct group_runtime *runtime, struct str group_id, struct group_event *event) {
    struct group_shard *shard;
    int16_t error = group_runtime_shard(runtime, group_id, &shard);
    if (error != KAFKA_NONE) {
        return error;
    }
    struct group_entry *entry = group_shard_find(shard, group_id);
    event->type = GROUP_LEAVE;
    return entry == NULL ? KAFKA_UNKNOWN_MEMBER_ID : group_entry_step(entry, event);
}

/* ---- Reading ---- */

static struct group_entry *entry_of(struct group_runtime *runtime, struct str group_id, int16_t *ret_error) {
    struct group_shard *shard;
    *ret_error = group_runtime_shard(runtime, group_id, &shard);
    return *ret_error == KAFKA_NONE ? group_shard_find(shard, group_id) : NULL;
}

const struct group *group_runtime_find(struct group_runtime *runtime, struct str group_id, int16_t *ret_error) {
    const struct group_entry *entry = entry_of(runtime, group_id, ret_error);
    return entry == NULL ? NULL : &entry->group;
}

const struct offsets *group_runtime_offsets(struct group_runtime *runtime, struct str group_id, int16_t *ret_error) {
    const struct group_entry *entry = entry_of(runtime, group_id, ret_error);
    return entry == NULL ? NULL : &entry->offsets;
}

int16_t group_runtime_each(struct group_runtime *runtime, group_visitor *visit, void *context) {
    if (runtime->is_stopped) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    int16_t error = KAFKA_NONE;
    for (const struct group_shard *shard = runtime->shards; shard != NULL; shard = shard->hh.next) {
        if (shard->is_loading) {
            error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
            continue;
        }
        if (runtime->is_fenced || group_shard_partition(shard) == NULL) {
            continue;
        }
        for (const struct group_entry *entry = shard->entries; entry != NULL; entry = entry->hh.next) {
            visit(context, &entry->group);
        }
    }
    return error;
}

const struct group_runtime_counts *group_runtime_counts(const struct group_runtime *runtime) {
    return &runtime->counts;
}

int32_t group_runtime_group_count(const struct group_runtime *runtime) {
    return runtime->group_count;
}

int64_t group_runtime_bytes(const struct group_runtime *runtime) {
    return runtime->bytes;
}
