/* What goes away again: expired offsets, those of deleted topics and on request, groups that are over. Each leaves a
 * tombstone in the log.
 *
 * Memory follows the log: it changes when the tombstones have been appended, and not when that fails. Passes over all
 * groups go shard by shard, one in each turn of the loop. */
#include <stdlib.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/group/group_records.h"
#include "broker/group/group_runtime_internal.h"
#include "broker/protocol/errors.h"

#define AREA "kafka.coordinator.group.GroupMetadataManager"
/* Bytes of tombstones in one batch: well below the smallest sensible max.message.bytes. */
#define BATCH_BYTES_MAX (128 * 1024)

struct doomed {
    struct str topic;
    int32_t partition;
    struct doomed *next;
};

/* Offsets of one group to be removed, in the arena. */
struct doomed_list {
    struct arena *arena;
    struct doomed *first;
    int32_t count;
};

static void doom(void *context, struct str topic, int32_t partition, const struct committed_offset *commit) {
    (void)commit;
    struct doomed_list *list = context;
    struct doomed *doomed = ARENA_NEW(list->arena, struct doomed);
    *doomed = (struct doomed){.topic = topic, .partition = partition, .next = list->first};
    list->first = doomed;
    list->count++;
}

/* ---- Deleting on request: the answer comes when the last tombstone is replicated ---- */

struct delete_write {
    struct group_write write;
    group_deleted *on_done;
    void *context;
};

static void end_delete(struct group_write *write, int16_t error_code) {
    struct delete_write *delete = CONTAINER_OF(write, struct delete_write, write);
    delete->on_done(delete->context, group_error_of_offsets(error_code));
    group_entry_release(write->entry);
    free(delete);
}

static bool on_delete_overdue(struct group_write *write) {
    end_delete(write, KAFKA_REQUEST_TIMED_OUT);
    return true;
}

static struct delete_write *make_delete(struct group_entry *entry, group_deleted *on_done, void *context) {
    struct delete_write *delete = xcalloc(1, sizeof *delete);
    delete->write.entry = entry;
    delete->write.on_done = end_delete;
    delete->write.on_overdue = on_delete_overdue;
    delete->on_done = on_done;
    delete->context = context;
    return delete;
}

/* ---- Tombstones ---- */

/* One batch of them, and after it the removal from memory. With `write` the batch is waited for. */
static int16_t remove_batch(struct group_entry *entry, struct doomed **list, bool with_group,
                            struct group_write *write) {
    struct group_runtime *runtime = entry->shard->runtime;
    struct arena *arena = group_runtime_arena_begin(runtime);
    struct batch_builder builder;
    struct doomed *end = *list;
    int64_t offset;
    batch_builder_begin(&builder, &runtime->buffer, clock_wall_ms(runtime->clock));
    for (; end != NULL && runtime->buffer.size < BATCH_BYTES_MAX; end = end->next) {
        batch_builder_add(&builder, group_record_offset_key(arena, entry->group.id, end->topic, end->partition),
                          SLICE_NULL);
    }
    if (end == NULL && with_group) {
        batch_builder_add(&builder, group_record_group_key(arena, entry->group.id), SLICE_NULL);
    }
    int16_t error = group_shard_append(entry->shard, &builder, end == NULL ? write : NULL, &offset);
    for (struct doomed *doomed = *list; doomed != end && error == KAFKA_NONE; doomed = doomed->next) {
        offsets_apply(&entry->offsets, doomed->topic, doomed->partition, NULL, offset++);
    }
    *list = end;
    group_entry_count(entry);
    group_runtime_arena_end(runtime);
    return error;
}

/* All of them, the group itself last. Nothing to write at all is fine, and then nobody waits. */
static int16_t remove_all(struct group_entry *entry, struct doomed *list, bool with_group, struct group_write *write,
                          bool *ret_is_waiting) {
    int16_t error = KAFKA_NONE;
    *ret_is_waiting = false;
    bool is_group_due = with_group;
    while (error == KAFKA_NONE && (list != NULL || is_group_due)) {
        error = remove_batch(entry, &list, with_group, write);
        is_group_due = is_group_due && list != NULL;
        *ret_is_waiting = error == KAFKA_NONE && list == NULL && write != NULL;
    }
    return error;
}

/* Only groups that were stored leave a tombstone: others have used Kafka for nothing but their offsets. */
static bool was_stored(const struct group_entry *entry) {
    return entry->group.generation > 0;
}

void group_entry_bury(struct group_entry *entry, bool is_deleted) {
    struct group_event event = {.type = GROUP_EXPIRE};
    event.expire.has_offsets = !offsets_are_empty(&entry->offsets);
    if (!is_deleted) {
        group_entry_step(entry, &event);
    }
    if (entry->group.state != GROUP_DEAD) {
        return;
    }
    if (!is_deleted) {
        bool is_waiting;
        trace_info(AREA, "Group %.*s transitioned to Dead in generation %d", STR_ARGS(entry->group.id),
                   entry->group.generation);
        /* Not worth waiting for: if it gets lost, the next coordinator does the same again. */
        remove_all(entry, NULL, was_stored(entry), NULL, &is_waiting);
    }
    group_entry_remove(entry);
}

void group_runtime_delete(struct group_runtime *runtime, struct str group_id, group_deleted *on_done, void *context) {
    struct group_shard *shard;
    int16_t error = group_runtime_shard(runtime, group_id, &shard);
    struct group_entry *entry = error == KAFKA_NONE ? group_shard_find(shard, group_id) : NULL;
    if (entry == NULL) {
        on_done(context, error != KAFKA_NONE ? error : (int16_t)KAFKA_GROUP_ID_NOT_FOUND);
        return;
    }
    if (entry->group.state != GROUP_EMPTY) {
        on_done(context, KAFKA_NON_EMPTY_GROUP);
        return;
    }
    struct arena *arena = group_runtime_arena_begin(runtime);
    struct doomed_list list = {.arena = arena};
    struct delete_write *delete = make_delete(entry, on_done, context);
    bool is_waiting;
    offsets_each_known(&entry->offsets, doom, &list);
    error = remove_all(entry, list.first, was_stored(entry), &delete->write, &is_waiting);
    if (error == KAFKA_NONE) {
        struct group_event event = {.type = GROUP_DELETE};
        CHECK(group_entry_step(entry, &event) == KAFKA_NONE);
        trace_info(GROUP_AREA, "The following groups were deleted: %.*s. A total of %d offsets were removed.",
                   STR_ARGS(group_id), list.count);
        group_entry_bury(entry, true);
    }
    if (!is_waiting) {
        on_done(context, group_error_of_offsets(error));
        free(delete);
    }
    group_runtime_arena_end(runtime);
}

/* What may be deleted of the list, in the arena; the rest gets its error. */
static struct doomed_list pick(const struct group_entry *entry, struct arena *arena, struct group_commit *list,
                               int32_t count) {
    struct doomed_list doomed = {.arena = arena};
    for (int32_t i = 0; i < count; i++) {
        struct committed_offset commit;
        bool is_used = entry->group.state != GROUP_EMPTY && group_is_subscribed(&entry->group, list[i].topic);
        list[i].error_code = is_used ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
        if (!is_used && offsets_find(&entry->offsets, list[i].topic, list[i].partition, &commit)) {
            doom(&doomed, list[i].topic, list[i].partition, &commit);
        }
    }
    return doomed;
}

void group_runtime_delete_offsets(struct group_runtime *runtime, struct str group_id, struct group_commit *list,
                                  int32_t count, group_deleted *on_done, void *context) {
    struct group_shard *shard;
    int16_t error = group_id.size <= 0 ? KAFKA_INVALID_GROUP_ID : group_runtime_shard(runtime, group_id, &shard);
    struct group_entry *entry = error == KAFKA_NONE ? group_shard_find(shard, group_id) : NULL;
    if (error == KAFKA_NONE && (entry == NULL || entry->group.state == GROUP_DEAD)) {
        error = KAFKA_GROUP_ID_NOT_FOUND;
    } else if (error == KAFKA_NONE && entry->group.state != GROUP_EMPTY && !group_is_consumer(&entry->group)) {
        error = KAFKA_NON_EMPTY_GROUP;
    }
    if (error != KAFKA_NONE) {
        on_done(context, error);
        return;
    }
    struct arena *arena = group_runtime_arena_begin(runtime);
    struct doomed_list doomed = pick(entry, arena, list, count);
    struct delete_write *delete = make_delete(entry, on_done, context);
    bool is_waiting;
    error = remove_all(entry, doomed.first, false, &delete->write, &is_waiting);
    if (error == KAFKA_NONE) {
        group_entry_bury(entry, false);
    }
    if (!is_waiting) {
        on_done(context, group_error_of_offsets(error));
        free(delete);
    }
    group_runtime_arena_end(runtime);
}

/* ---- Passes over all groups ---- */

struct deleted_topic {
    struct str name;
    int32_t *partitions;
    int32_t count;
    int32_t capacity;
};

/* Either of expired offsets or of those of deleted partitions. */
struct group_cleaning {
    struct group_runtime *runtime;
    struct group_cleaning *next;
    struct deleted_topic *topics; /* NULL: what has expired */
    int32_t topic_count;
    int32_t topic_capacity;
    int32_t *shards; /* still to be looked at */
    int32_t shard_count;
    bool is_begun;
    bool is_cancelled;
};

static void free_cleaning(struct group_cleaning *cleaning) {
    for (int32_t i = 0; i < cleaning->topic_count; i++) {
        free((char *)(uintptr_t)cleaning->topics[i].name.data);
        free(cleaning->topics[i].partitions);
    }
    free(cleaning->topics);
    free(cleaning->shards);
    free(cleaning);
}

static bool is_subscribed(void *context, struct str topic) {
    return group_is_subscribed(context, topic);
}

/* KIP-211: an empty group's offsets count from the moment it became empty; consumers that stay lose only the offsets of
 * topics they have left (KIP-496). */
static void find_expired(const struct group_entry *entry, struct doomed_list *list) {
    const struct group_runtime *runtime = entry->shard->runtime;
    const struct group *group = &entry->group;
    struct offsets_retention retention = {.now_ms = clock_wall_ms(runtime->clock),
                                          .retention_ms = runtime->config.offsets_retention_ms,
                                          .empty_since_ms = group->state_timestamp_ms,
                                          .is_subscribed = is_subscribed,
                                          .context = (void *)(uintptr_t)group};
    if (str_is_null(group->protocol_type)) {
        retention.age = OFFSETS_SINCE_COMMIT;
    } else if (group->state == GROUP_EMPTY) {
        retention.age = OFFSETS_SINCE_EMPTY;
    } else if (group->state == GROUP_STABLE && group_is_consumer(group) && group->is_subscription_known) {
        retention.age = OFFSETS_UNSUBSCRIBED;
    }
    offsets_each_expired(&entry->offsets, &retention, doom, list);
}

static void find_deleted(const struct group_entry *entry, const struct group_cleaning *cleaning,
                         struct doomed_list *list) {
    for (int32_t i = 0; i < cleaning->topic_count && entry->offsets.count > 0; i++) {
        const struct deleted_topic *topic = &cleaning->topics[i];
        bool is_known = offsets_have_topic(&entry->offsets, topic->name);
        for (int32_t j = 0; j < topic->count && is_known; j++) {
            struct committed_offset commit;
            if (offsets_find(&entry->offsets, topic->name, topic->partitions[j], &commit)) {
                doom(list, topic->name, topic->partitions[j], &commit);
            }
        }
    }
}

static void clean_entry(struct group_entry *entry, const struct group_cleaning *cleaning) {
    struct group_runtime *runtime = entry->shard->runtime;
    struct doomed_list list = {.arena = group_runtime_arena_begin(runtime)};
    bool is_waiting;
    if (cleaning->topics == NULL) {
        find_expired(entry, &list);
    } else {
        find_deleted(entry, cleaning, &list);
    }
    bool is_looked_at = cleaning->topics == NULL || list.count > 0;
    if (is_looked_at && remove_all(entry, list.first, false, NULL, &is_waiting) == KAFKA_NONE) {
        if (list.count > 0) {
            trace_info(AREA, "Removed %d %s offsets of group %.*s", list.count,
                       cleaning->topics == NULL ? "expired" : "deleted topics'", STR_ARGS(entry->group.id));
        }
        group_entry_bury(entry, false);
    }
    group_runtime_arena_end(runtime);
}

static void list_shards(struct group_cleaning *cleaning) {
    const struct group_runtime *runtime = cleaning->runtime;
    cleaning->shards = xcalloc(MAX(HASH_COUNT(runtime->shards), 1U), sizeof *cleaning->shards);
    for (const struct group_shard *shard = runtime->shards; shard != NULL; shard = shard->hh.next) {
        cleaning->shards[cleaning->shard_count++] = shard->index;
    }
    cleaning->is_begun = true;
}

static void clean_some(void *context) {
    struct group_runtime *runtime = context;
    struct group_cleaning *cleaning = runtime->cleanings;
    if (!cleaning->is_begun && !cleaning->is_cancelled) {
        list_shards(cleaning);
    }
    if (!cleaning->is_cancelled && cleaning->shard_count > 0) {
        int32_t index = cleaning->shards[--cleaning->shard_count];
        struct group_shard *shard;
        struct group_entry *entry;
        struct group_entry *after;
        HASH_FIND(hh, runtime->shards, &index, sizeof index, shard);
        if (shard != NULL && !shard->is_loading && group_shard_partition(shard) != NULL) {
            HASH_ITER(hh, shard->entries, entry, after) {
                clean_entry(entry, cleaning);
            }
        }
    }
    if (cleaning->is_cancelled || cleaning->shard_count == 0) {
        runtime->cleanings = cleaning->next;
        free_cleaning(cleaning);
    }
    if (runtime->cleanings != NULL) {
        clock_post(runtime->clock, clean_some, runtime);
    } else {
        group_runtime_free_if_over(runtime);
    }
}

static struct group_cleaning *begin_cleaning(struct group_runtime *runtime) {
    struct group_cleaning *cleaning = xcalloc(1, sizeof *cleaning);
    cleaning->runtime = runtime;
    if (runtime->cleanings == NULL) {
        clock_post(runtime->clock, clean_some, runtime);
    }
    LL_APPEND(runtime->cleanings, cleaning);
    return cleaning;
}

void group_runtime_drop_cleanings(struct group_runtime *runtime) {
    for (struct group_cleaning *cleaning = runtime->cleanings; cleaning != NULL; cleaning = cleaning->next) {
        cleaning->is_cancelled = true;
    }
}

/* The partitions of a topic come one after the other. */
static void add_deleted(struct group_cleaning *cleaning, struct str name, int32_t partition) {
    struct deleted_topic *topic = cleaning->topic_count == 0 ? NULL : &cleaning->topics[cleaning->topic_count - 1];
    if (topic == NULL || !str_equal(topic->name, name)) {
        if (cleaning->topic_count == cleaning->topic_capacity) {
            cleaning->topic_capacity = MAX(4, 2 * cleaning->topic_capacity);
            cleaning->topics = xrealloc(cleaning->topics, (size_t)cleaning->topic_capacity * sizeof *cleaning->topics);
        }
        topic = &cleaning->topics[cleaning->topic_count++];
        *topic = (struct deleted_topic){.name = {xstrndup(name.data, (size_t)MAX(name.size, 0)), MAX(name.size, 0)}};
    }
    if (topic->count == topic->capacity) {
        topic->capacity = MAX(16, 2 * topic->capacity);
        topic->partitions = xrealloc(topic->partitions, (size_t)topic->capacity * sizeof *topic->partitions);
    }
    topic->partitions[topic->count++] = partition;
}

void group_runtime_on_partition_deleted(struct group_runtime *runtime, struct str topic, int32_t partition) {
    if (runtime->is_stopped || runtime->group_count == 0) {
        return;
    }
    struct group_cleaning *cleaning = runtime->cleanings;
    while (cleaning != NULL && (cleaning->is_begun || cleaning->topics == NULL)) {
        cleaning = cleaning->next;
    }
    if (cleaning == NULL) {
        cleaning = begin_cleaning(runtime);
    }
    add_deleted(cleaning, topic, partition);
}

static void on_expiry_timer(struct timer *timer) {
    struct group_runtime *runtime = CONTAINER_OF(timer, struct group_runtime, expiry_timer);
    /* A pass that takes longer than the interval is not overtaken. */
    if (runtime->cleanings == NULL) {
        begin_cleaning(runtime);
    }
    group_runtime_start_expiry(runtime);
}

void group_runtime_start_expiry(struct group_runtime *runtime) {
    timer_start(runtime->clock, &runtime->expiry_timer, runtime->config.retention_check_ms, on_expiry_timer);
}
