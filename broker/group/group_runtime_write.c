/* Records into the log of __consumer_offsets, and what follows when they are replicated: groups stored, offsets
 * committed.
 *
 * A record counts once the high watermark has passed it under an unbroken leadership. A leader that was replaced
 * without knowing it cannot get there: its followers fetch elsewhere. */
#include <stdlib.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/group/group_records.h"
#include "broker/group/group_runtime_internal.h"
#include "broker/protocol/errors.h"

/* As the newest producer would say it: nothing is converted. */
#define PRODUCE_VERSION 11

/* ---- Appending ---- */

/* offsets.topic.compression.codec. */
static struct slice compressed(struct group_runtime *runtime, struct slice batch) {
    struct record_batch header;
    if (runtime->config.compression_codec == CODEC_NONE) {
        return batch;
    }
    CHECK(record_batch_decode(batch.data, (size_t)batch.size, &header) == 0);
    int error = record_batch_recode(batch, &header, (enum compression_codec)runtime->config.compression_codec, false,
                                    runtime->workspace);
    CHECK(error == 0);
    const struct byte_buffer *converted = &runtime->workspace->converted;
    return (struct slice){converted->data, (int32_t)converted->size};
}

static void on_write_timer(struct timer *timer);

/* Armed for the first that has not been told yet; all wait equally long. */
static void arm_write_timer(struct group_shard *shard) {
    struct clock *clock = shard->runtime->clock;
    const struct group_write *write = shard->writes;
    while (write != NULL && write->is_overdue) {
        write = write->next;
    }
    if (write == NULL) {
        timer_stop(clock, &shard->write_timer);
    } else if (!timer_is_running(&shard->write_timer)) {
        timer_start(clock, &shard->write_timer, write->deadline_ms - clock_now_ms(clock), on_write_timer);
    }
}

int16_t group_shard_append(struct group_shard *shard, struct batch_builder *builder, struct group_write *write,
                           int64_t *ret_first_offset) {
    struct group_runtime *runtime = shard->runtime;
    struct partition_runtime *partition = group_shard_partition(shard);
    if (partition == NULL || runtime->is_fenced) {
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (write != NULL && runtime->write_count >= GROUP_WRITES_MAX) {
        return KAFKA_NOT_ENOUGH_REPLICAS;
    }
    int16_t acks = write == NULL ? 1 : runtime->config.required_acks;
    struct log_append_info info;
    replica_manager_append(runtime->replicas, STR_LITERAL(GROUP_TOPIC), shard->index,
                           compressed(runtime, batch_builder_finish(builder)), acks, LOG_ORIGIN_COORDINATOR,
                           PRODUCE_VERSION, &info, &partition);
    if (info.error_code != KAFKA_NONE) {
        return info.error_code;
    }
    *ret_first_offset = info.first_offset;
    if (write == NULL) {
        return KAFKA_NONE;
    }
    write->shard = shard;
    write->last_offset = info.last_offset;
    write->leader_epoch = shard->leader_epoch;
    write->deadline_ms = clock_now_ms(runtime->clock) + runtime->config.commit_timeout_ms;
    write->entry->write_count++;
    runtime->write_count++;
    DL_APPEND(shard->writes, write);
    arm_write_timer(shard);
    group_shard_mark(shard);
    return KAFKA_NONE;
}

/* ---- Ending ---- */

static void unlink_write(struct group_write *write) {
    DL_DELETE(write->shard->writes, write);
    write->shard->runtime->write_count--;
}

static void end_write(struct group_write *write, int16_t error_code) {
    unlink_write(write);
    write->on_done(write, error_code);
}

void group_shard_settle(struct group_shard *shard) {
    while (shard->writes != NULL) {
        struct group_write *write = shard->writes;
        struct partition_runtime *partition = group_shard_partition(shard);
        if (partition == NULL) {
            group_shard_mark(shard);
            return;
        }
        int16_t state = shard->runtime->config.required_acks == -1
                            ? partition_runtime_ack_state(partition, write->last_offset, write->leader_epoch)
                            : (int16_t)KAFKA_NONE;
#ifdef MUTANT_M35 /* a commit is answered before it is replicated */
        state = KAFKA_NONE;
#endif
        if (state == KAFKA_REQUEST_TIMED_OUT) {
            break; /* not yet; and what comes after is further back */
        }
        end_write(write, state);
    }
    arm_write_timer(shard);
}

void group_shard_fail_writes(struct group_shard *shard) {
    while (shard->writes != NULL) {
        end_write(shard->writes, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
}

static void on_write_timer(struct timer *timer) {
    struct group_shard *shard = CONTAINER_OF(timer, struct group_shard, write_timer);
    int64_t now_ms = clock_now_ms(shard->runtime->clock);
    struct group_write *write = shard->writes;
    while (write != NULL && write->deadline_ms <= now_ms) {
        struct group_write *next = write->next;
        if (!write->is_overdue) {
            write->is_overdue = true;
            struct group_shard *of = write->shard;
            struct group_runtime *runtime = of->runtime;
            DL_DELETE(of->writes, write);
            if (write->on_overdue(write)) {
                runtime->write_count--;
            } else if (next == NULL) {
                DL_APPEND(of->writes, write);
            } else {
                DL_PREPEND_ELEM(of->writes, next, write);
            }
        }
        write = next;
    }
    arm_write_timer(shard);
}

/* ---- What the log's errors mean to members (zookeeper-mode.md 6) ---- */

int16_t group_error_of_offsets(int16_t log_error) {
    switch (log_error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND: return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_STORAGE_ERROR: return KAFKA_NOT_COORDINATOR;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE: return KAFKA_INVALID_COMMIT_OFFSET_SIZE;
    default: return log_error;
    }
}

static int16_t error_of_group(int16_t log_error) {
    switch (log_error) {
    case KAFKA_REQUEST_TIMED_OUT: return KAFKA_REBALANCE_IN_PROGRESS;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE: return KAFKA_UNKNOWN_SERVER_ERROR;
    default: return group_error_of_offsets(log_error);
    }
}

/* ---- Groups ---- */

struct store_write {
    struct group_write write;
    uint64_t number;
};

static void tell_stored(struct group_entry *entry, uint64_t number, int16_t log_error) {
    struct group_event event = {.type = GROUP_STORED, .stored = {number, error_of_group(log_error)}};
    group_entry_step(entry, &event);
}

static void end_store(struct group_write *write, int16_t error_code) {
    struct store_write *store = CONTAINER_OF(write, struct store_write, write);
    struct group_entry *entry = write->entry;
    if (entry->shard != NULL) {
        if (error_code != KAFKA_NONE) {
            trace_warn(GROUP_AREA, "Appending metadata message for group %.*s generation %d failed: %s",
                       STR_ARGS(entry->group.id), entry->group.generation, kafka_error_name(error_code));
        }
        tell_stored(entry, store->number, error_code);
    }
    group_entry_release(entry);
    free(store);
}

static void on_stored(struct group_write *write, int16_t error_code) {
    end_store(write, error_code);
}

static bool on_store_overdue(struct group_write *write) {
    end_store(write, KAFKA_REQUEST_TIMED_OUT);
    return true;
}

/* A store that could not even begin is told in a task of its own, since this comes from inside a step. */
struct failed_store {
    struct group_write write; /* for its hold on the entry only */
    uint64_t number;
    int16_t error_code;
};

static void tell_failed(void *context) {
    struct failed_store *failed = context;
    struct group_entry *entry = failed->write.entry;
    if (entry->shard != NULL) {
        trace_warn(GROUP_AREA, "Appending metadata message for group %.*s generation %d failed: %s",
                   STR_ARGS(entry->group.id), entry->group.generation, kafka_error_name(failed->error_code));
        tell_stored(entry, failed->number, failed->error_code);
    }
    group_entry_release(entry);
    free(failed);
}

static void fail_store(struct group_entry *entry, uint64_t number, int16_t error_code) {
    struct failed_store *failed = xcalloc(1, sizeof *failed);
    failed->write.entry = entry;
    failed->number = number;
    failed->error_code = error_code;
    entry->write_count++;
    clock_post(entry->shard->runtime->clock, tell_failed, failed);
}

void group_entry_store(struct group_entry *entry, uint64_t store_number, bool is_staged) {
    struct group_shard *shard = entry->shard;
    struct group_runtime *runtime = shard->runtime;
    struct arena *arena = group_runtime_arena_begin(runtime);
    struct slice value = group_record_group_value(arena, &entry->group, is_staged);
    int16_t error = KAFKA_MESSAGE_TOO_LARGE;
#ifdef MUTANT_M30 /* generations are not persisted */
    fail_store(entry, store_number, KAFKA_NONE);
    value.size = -1;
    error = KAFKA_NONE;
#endif
    if (value.size >= 0) {
        struct store_write *store = xcalloc(1, sizeof *store);
        struct batch_builder builder;
        int64_t offset;
        store->number = store_number;
        store->write.entry = entry;
        store->write.on_done = on_stored;
        store->write.on_overdue = on_store_overdue;
        batch_builder_begin(&builder, &runtime->buffer, clock_wall_ms(runtime->clock));
        batch_builder_add(&builder, group_record_group_key(arena, entry->group.id), value);
        error = group_shard_append(shard, &builder, &store->write, &offset);
        if (error != KAFKA_NONE) {
            free(store);
        }
    }
    if (error != KAFKA_NONE) {
        fail_store(entry, store_number, error);
    }
    group_runtime_arena_end(runtime);
}

/* ---- Offsets ---- */

/* One commit request; what it needs beyond the request's own life is in its arena. */
struct commit_write {
    struct group_write write;
    struct arena arena;
    struct group_commit *kept; /* copies of those that were written, in their order */
    int32_t kept_count;
    int64_t first_offset;
    struct group_commit *commits; /* the caller's; NULL once it has its answer */
    int32_t count;
    group_committed *on_done;
    void *context;
};

static void answer_commit(struct commit_write *commit, int16_t log_error) {
    if (commit->commits == NULL) {
        return;
    }
    for (int32_t i = 0; i < commit->count; i++) {
        if (commit->commits[i].error_code == KAFKA_NONE) {
            commit->commits[i].error_code = group_error_of_offsets(log_error);
        }
    }
    commit->commits = NULL;
    commit->on_done(commit->context);
}

/* Below the high watermark it is committed, even if there are fewer replicas than the client was promised. */
static bool is_in_log(int16_t error_code) {
    return error_code == KAFKA_NONE || error_code == KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
}

static void settle_offsets(struct commit_write *commit, int16_t error_code) {
    struct group_entry *entry = commit->write.entry;
    for (int32_t i = 0; i < commit->kept_count; i++) {
        const struct group_commit *kept = &commit->kept[i];
        offsets_settle(&entry->offsets, kept->topic, kept->partition, is_in_log(error_code) ? &kept->commit : NULL,
                       commit->first_offset + i);
    }
}

static void on_committed(struct group_write *write, int16_t error_code) {
    struct commit_write *commit = CONTAINER_OF(write, struct commit_write, write);
    struct group_entry *entry = write->entry;
    settle_offsets(commit, error_code);
    if (entry->shard != NULL) {
        group_entry_count(entry);
    }
    answer_commit(commit, error_code);
    group_entry_release(entry);
    arena_deinit(&commit->arena);
    free(commit);
}

/* The client is told; the record may be replicated yet, and then it counts. */
static bool on_commit_overdue(struct group_write *write) {
    answer_commit(CONTAINER_OF(write, struct commit_write, write), KAFKA_REQUEST_TIMED_OUT);
    return false;
}

static void fail_commits(struct group_commit *commits, int32_t count, int16_t error_code, group_committed *on_done,
                         void *context) {
    for (int32_t i = 0; i < count; i++) {
        commits[i].error_code = error_code;
    }
    on_done(context);
}

/* Everything fit to be written goes into the batch and into the write's own list. */
static void collect(struct group_runtime *runtime, struct str group_id, struct commit_write *commit,
                    struct batch_builder *builder) {
    struct arena *arena = group_runtime_arena_begin(runtime);
    commit->kept = ARENA_ARRAY(&commit->arena, struct group_commit, commit->count);
    for (int32_t i = 0; i < commit->count; i++) {
        struct group_commit *from = &commit->commits[i];
        from->error_code = KAFKA_NONE;
        if (str_is_null(from->commit.metadata)) {
            from->commit.metadata = STR_LITERAL("");
        }
        if (from->commit.metadata.size > runtime->config.offset_metadata_max_bytes) {
            from->error_code = KAFKA_OFFSET_METADATA_TOO_LARGE;
            continue;
        }
        struct group_commit *kept = &commit->kept[commit->kept_count++];
        *kept = *from;
        kept->topic = arena_str(&commit->arena, from->topic);
        kept->commit.metadata = arena_str(&commit->arena, from->commit.metadata);
        batch_builder_add(builder, group_record_offset_key(arena, group_id, from->topic, from->partition),
                          group_record_offset_value(arena, &from->commit));
    }
    group_runtime_arena_end(runtime);
}

static void write_offsets(struct group_entry *entry, struct group_commit *commits, int32_t count,
                          group_committed *on_done, void *context) {
    struct group_runtime *runtime = entry->shard->runtime;
    struct commit_write *commit = xcalloc(1, sizeof *commit);
    struct batch_builder builder;
    arena_init(&commit->arena, SIZE_MAX);
    commit->commits = commits;
    commit->count = count;
    commit->on_done = on_done;
    commit->context = context;
    commit->write.entry = entry;
    commit->write.on_done = on_committed;
    commit->write.on_overdue = on_commit_overdue;
    batch_builder_begin(&builder, &runtime->buffer, clock_wall_ms(runtime->clock));
    builder.base_sequence = 0; /* as Kafka has it in these, though there is no producer */
    collect(runtime, entry->group.id, commit, &builder);
    int16_t error = KAFKA_NONE;
    if (commit->kept_count > 0) {
        error = group_shard_append(entry->shard, &builder, &commit->write, &commit->first_offset);
    }
    if (error != KAFKA_NONE || commit->kept_count == 0) {
        answer_commit(commit, error);
        arena_deinit(&commit->arena);
        free(commit);
        return;
    }
    for (int32_t i = 0; i < commit->kept_count; i++) {
        offsets_stage(&entry->offsets, commit->kept[i].topic, commit->kept[i].partition);
    }
    group_entry_count(entry);
}

void group_runtime_commit(struct group_runtime *runtime, struct str group_id, struct group_event *event,
                          struct group_commit *commits, int32_t count, group_committed *on_done, void *context) {
    struct group_shard *shard;
    struct group_entry *entry = NULL;
    int16_t error = group_runtime_shard(runtime, group_id, &shard);
    if (error == KAFKA_NONE) {
        entry = group_shard_find(shard, group_id);
        if (entry == NULL && event->generation >= 0) {
            error = KAFKA_ILLEGAL_GENERATION; /* of a group that has gone */
        } else if (entry == NULL) {
            entry = group_shard_make(shard, group_id, false);
            error = entry == NULL ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_NONE;
        }
    }
    if (error == KAFKA_NONE) {
        event->type = GROUP_COMMIT;
        error = group_entry_step(entry, event);
    }
    if (error != KAFKA_NONE) {
        fail_commits(commits, count, error, on_done, context);
        return;
    }
    write_offsets(entry, commits, count, on_done, context);
}
