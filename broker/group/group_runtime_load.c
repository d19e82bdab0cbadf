/* Loading a partition of __consumer_offsets: from its start to where it ended when this broker became its leader, not
 * only to the high watermark (rule 34): what lies between will be committed under this leadership. Nothing is served
 * before it is (M27): another leader might never have seen it, and an offset once told must not go back.
 *
 * Bytes are read by a worker and taken in on the loop, a piece at a time, so that a large partition holds nobody up. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/group/group_records.h"
#include "broker/group/group_runtime_internal.h"
#include "broker/log/log.h"
#include "broker/protocol/message_set.h"
#include "replication/replica_manager.h"

#define AREA "kafka.coordinator.group.GroupMetadataManager"
/* Bytes of one piece: some milliseconds of the loop. A larger batch comes whole. */
#define PIECE_BYTES_MAX (256 * 1024)
/* Groups started in one go once everything is read. */
#define START_GROUPS_MAX 500
#define RETRY_MS 1000

struct group_load {
    struct group_runtime *runtime;
    struct group_shard *shard; /* NULL: cancelled */
    struct timer retry;
    int64_t begin_ms;
    int64_t offset; /* next to be read */
    int64_t end;
    struct disk_file *file;
    int64_t position;
    int32_t size;
    int32_t capacity;
    uint8_t *bytes;
    int64_t read_count; /* what the worker got, or its error */
    bool is_reading;    /* a worker or a posted task has it */
    bool is_awaiting;   /* everything is read, and not yet replicated */
    bool has_failed;    /* what was read is not what was written */
    int64_t record_count;
    struct group_entry *cursor; /* next to be started */
    struct arena arena;
};

static void read_piece(struct group_load *load);

static void free_load(struct group_load *load) {
    struct group_runtime *runtime = load->runtime;
    runtime->load_count--;
    runtime->counts.loading--;
    free(load->bytes);
    arena_deinit(&load->arena);
    free(load);
    group_runtime_free_if_over(runtime);
}

void group_shard_cancel_load(struct group_shard *shard) {
    struct group_load *load = shard->load;
    struct group_shard_transaction *transaction;
    struct group_shard_transaction *after;
    HASH_ITER(hh, shard->transactions, transaction, after) {
        HASH_DEL(shard->transactions, transaction);
        free(transaction->entries);
        free(transaction);
    }
    if (load == NULL) {
        return;
    }
    shard->load = NULL;
    load->shard = NULL;
    timer_stop(load->runtime->clock, &load->retry);
    if (!load->is_reading) {
        free_load(load);
    }
}

/* ---- Records ---- */

static void keep_transaction(struct group_shard *shard, int64_t producer_id, struct group_entry *entry) {
    struct group_shard_transaction *transaction;
    HASH_FIND(hh, shard->transactions, &producer_id, sizeof producer_id, transaction);
    if (transaction == NULL) {
        transaction = xcalloc(1, sizeof *transaction);
        transaction->producer_id = producer_id;
        HASH_ADD(hh, shard->transactions, producer_id, sizeof producer_id, transaction);
    }
    for (int32_t i = 0; i < transaction->count; i++) {
        if (transaction->entries[i] == entry) {
            return;
        }
    }
    transaction->entries =
        xrealloc(transaction->entries, (size_t)(transaction->count + 1) * sizeof(struct group_entry *));
    transaction->entries[transaction->count++] = entry;
}

static void end_transaction(struct group_shard *shard, int64_t producer_id, bool is_commit) {
    struct group_shard_transaction *transaction;
    HASH_FIND(hh, shard->transactions, &producer_id, sizeof producer_id, transaction);
    if (transaction == NULL) {
        return;
    }
    for (int32_t i = 0; i < transaction->count; i++) {
        offsets_end_transaction(&transaction->entries[i]->offsets, producer_id, is_commit);
    }
    HASH_DEL(shard->transactions, transaction);
    free(transaction->entries);
    free(transaction);
}

static void keep_group_value(struct group_entry *entry, const struct record_view *view) {
    free((uint8_t *)(uintptr_t)entry->loaded_value.data);
    entry->loaded_value = SLICE_NULL;
    if (view->value_size >= 0) {
        uint8_t *copy = xmalloc((size_t)MAX(view->value_size, 1));
        memcpy(copy, view->value, (size_t)view->value_size);
        entry->loaded_value = (struct slice){copy, view->value_size};
    }
}

static void take_record(struct group_load *load, const struct record_batch *batch, const struct record_view *view) {
    struct group_shard *shard = load->shard;
    struct group_record record;
    int64_t offset = batch->base_offset + view->offset_delta;
    if (offset < load->offset) {
        return; /* below the start of the log, in the batch that reaches beyond it */
    }
    arena_reset(&load->arena, SIZE_MAX);
    int error = group_record_decode(view, &load->arena, &record);
    if (error != 0 || record.type == GROUP_RECORD_UNKNOWN) {
        trace_warn(AREA, "%s-%d: the record at offset %lld is of an unknown kind and left out", GROUP_TOPIC,
                   shard->index, (long long)offset);
        return;
    }
    load->record_count++;
    struct group_entry *entry = group_shard_find(shard, record.group);
    if (entry == NULL) {
        entry = group_shard_make(shard, record.group, true);
    }
    if (record.type == GROUP_RECORD_GROUP) {
        keep_group_value(entry, view);
    } else if (record_batch_is_transactional(batch) && !record.is_tombstone) {
        offsets_stage_transactional(&entry->offsets, batch->producer_id, record.topic, record.partition, &record.commit,
                                    offset);
        keep_transaction(shard, batch->producer_id, entry);
    } else {
        offsets_apply(&entry->offsets, record.topic, record.partition, record.is_tombstone ? NULL : &record.commit,
                      offset);
    }
}

static bool take_batch(struct group_load *load, struct slice bytes, const struct record_batch *batch);

/* A message of before Kafka 0.11, or several in one wrapper: an offset that is still subscribed outlives every upgrade
 * of its cluster. Inside a wrapper that was cleaned the offsets may have gaps, which close towards its end here;
 * nothing depends on them but their order. */
static bool take_message(struct group_load *load, struct slice bytes, const struct record_batch *message) {
    const struct record_workspace *workspace = load->runtime->workspace;
    struct message_set_verdict verdict;
    struct record_batch batch;
    message_set_up_convert(bytes, INT32_MAX, load->runtime->workspace, &verdict);
    struct slice converted = {workspace->converted.data, (int32_t)workspace->converted.size};
    if (verdict.error_code != 0 || record_batch_decode(converted.data, (size_t)converted.size, &batch) != 0) {
        return false;
    }
    batch.base_offset = message->last_offset - batch.record_count + 1;
    return take_batch(load, converted, &batch);
}

static bool take_batch(struct group_load *load, struct slice bytes, const struct record_batch *batch) {
    struct record_workspace *workspace = load->runtime->workspace;
    if (batch->magic < 2) {
        return take_message(load, bytes, batch);
    }
    if (!record_batch_crc_is_valid(bytes, batch)) {
        return false;
    }
    if (record_batch_is_control(batch)) {
        struct end_transaction_marker marker;
        if (record_batch_marker(bytes, batch, &marker) == 0) {
            end_transaction(load->shard, batch->producer_id, marker.is_commit);
        }
        return true;
    }
    struct slice records = {bytes.data + BATCH_HEADER_SIZE, bytes.size - BATCH_HEADER_SIZE};
    if (batch->codec != CODEC_NONE) {
        if (record_batch_unpack(bytes, batch, workspace) != 0) {
            return false;
        }
        records = (struct slice){workspace->unpacked.data, (int32_t)workspace->unpacked.size};
    }
    struct record_iterator iterator;
    struct record_view view;
    int status;
    record_iterator_begin_memory(&iterator, records, batch->record_count);
    while ((status = record_iterator_next(&iterator, &view)) == 1) {
        take_record(load, batch, &view);
    }
    return status == 0;
}

/* All whole batches of the piece. */
static void take_piece(struct group_load *load) {
    const uint8_t *at = load->bytes;
    const uint8_t *end = at + load->read_count;
    int64_t before = load->offset;
    while (at < end) {
        struct record_batch batch;
        int error = record_batch_decode(at, (size_t)(end - at), &batch);
        if (error == ERR_OUT_OF_RANGE || (error == 0 && batch.size > end - at)) {
            break;
        }
        if (error != 0 || !take_batch(load, (struct slice){at, batch.size}, &batch)) {
            load->has_failed = true;
            return;
        }
        load->offset = batch.last_offset + 1;
        at += batch.size;
    }
    load->has_failed = load->offset == before;
}

/* ---- Starting what was read ---- */

/* The group's own record, if there is one that can be read. */
static void give_metadata(struct group_load *load, struct group_entry *entry) {
    struct group_record record;
    struct arena *arena = &load->arena;
    arena_reset(arena, SIZE_MAX);
    struct slice key = group_record_group_key(arena, entry->group.id);
    const struct record_view view = {.key = key.data,
                                     .key_size = key.size,
                                     .value = entry->loaded_value.data,
                                     .value_size = entry->loaded_value.size};
    if (group_record_decode(&view, arena, &record) != 0) {
        trace_warn(AREA, "Group %.*s: its record cannot be read; only its offsets are known",
                   STR_ARGS(entry->group.id));
        return;
    }
    group_load(&entry->group, record.generation, record.protocol_type, record.protocol, record.leader,
               record.state_timestamp_ms);
    for (int32_t i = 0; i < record.member_count; i++) {
        group_load_member(&entry->group, &record.members[i]);
    }
}

static void start_entry(struct group_load *load, struct group_entry *entry) {
    bool has_metadata = entry->loaded_value.size >= 0;
    if (!has_metadata && offsets_are_empty(&entry->offsets)) {
        group_entry_remove(entry); /* tombstones only */
        return;
    }
    if (has_metadata) {
        give_metadata(load, entry);
        free((uint8_t *)(uintptr_t)entry->loaded_value.data);
        entry->loaded_value = SLICE_NULL;
    }
    struct group_event event = {.type = GROUP_LOADED};
    group_entry_step(entry, &event);
}

static void start_groups(void *context) {
    struct group_load *load = context;
    struct group_shard *shard = load->shard;
    load->is_reading = false;
    if (shard == NULL) {
        free_load(load);
        return;
    }
    for (int32_t i = 0; i < START_GROUPS_MAX && load->cursor != NULL; i++) {
        struct group_entry *entry = load->cursor;
        load->cursor = entry->hh.next;
        start_entry(load, entry);
    }
    if (load->cursor != NULL) {
        load->is_reading = true;
        clock_post(load->runtime->clock, start_groups, load);
        return;
    }
    struct group_runtime_counts *counts = &load->runtime->counts;
    int64_t elapsed_ms = clock_now_ms(load->runtime->clock) - load->begin_ms;
    counts->loads++;
    counts->load_ms_sum += elapsed_ms;
    counts->load_ms_max = MAX(counts->load_ms_max, elapsed_ms);
    trace_info(AREA,
               "Finished loading offsets and group metadata from " GROUP_TOPIC "-%d in %lld milliseconds for "
               "epoch %d: %lld records, %u groups",
               shard->index, (long long)elapsed_ms, shard->leader_epoch, (long long)load->record_count,
               HASH_COUNT(shard->entries));
    shard->is_loading = false;
    group_shard_cancel_load(shard);
}

/* Once everything that was read is committed. */
static void start_when_replicated(struct group_load *load) {
    const struct partition_runtime *partition = group_shard_partition(load->shard);
    if (partition == NULL) {
        group_shard_mark(load->shard); /* lost meanwhile */
        return;
    }
    load->is_awaiting = partition_runtime_high_watermark(partition) < load->end;
#ifdef MUTANT_M27 /* serves what it has read past the high watermark */
    load->is_awaiting = false;
#endif
    if (!load->is_awaiting) {
        load->cursor = load->shard->entries;
        load->is_reading = true;
        clock_post(load->runtime->clock, start_groups, load);
    }
}

void group_shard_check_load(struct group_shard *shard) {
    if (shard->load != NULL && shard->load->is_awaiting) {
        start_when_replicated(shard->load);
    }
}

/* ---- Reading ---- */

static void on_retry(struct timer *timer) {
    read_piece(CONTAINER_OF(timer, struct group_load, retry));
}

/* Served only once everything is known: a group that came without its newest commits would send its members back. */
static void retry(struct group_load *load, const char *why) {
    trace_error(AREA, "Error loading offsets from " GROUP_TOPIC "-%d at offset %lld: %s -> trying again in %d ms",
                load->shard->index, (long long)load->offset, why, RETRY_MS);
    timer_start(load->runtime->clock, &load->retry, RETRY_MS, on_retry);
}

/* An I/O error ends the log here: the partition goes to a broker that can read it. */
static void give_up(struct group_load *load, struct partition_runtime *partition, int error) {
    struct group_shard *shard = load->shard;
    trace_error(AREA, "Error loading offsets from " GROUP_TOPIC "-%d at offset %lld: %s", shard->index,
                (long long)load->offset, error_text(error));
    partition_runtime_fail(partition, error);
    group_shard_mark(shard);
}

static void read_on_worker(void *context) {
    struct group_load *load = context;
    load->read_count = disk_read(load->file, load->bytes, (size_t)load->size, load->position);
}

static void on_read(void *context) {
    struct group_load *load = context;
    load->is_reading = false;
    load->file = disk_file_unref(load->file);
    if (load->shard == NULL) {
        free_load(load);
        return;
    }
    struct partition_runtime *partition = group_shard_partition(load->shard);
    if (partition == NULL) {
        group_shard_mark(load->shard); /* lost meanwhile */
        return;
    }
    if (load->read_count < 0) {
        give_up(load, partition, (int)load->read_count);
        return;
    }
    load->has_failed = load->read_count <= 0;
    if (!load->has_failed) {
        take_piece(load);
    }
    if (load->has_failed) {
        retry(load, "no whole record batch where one begins");
        return;
    }
    read_piece(load);
}

static void read_piece(struct group_load *load) {
    struct group_shard *shard = load->shard;
    struct partition_runtime *partition = group_shard_partition(shard);
    if (partition == NULL) {
        group_shard_mark(shard); /* lost meanwhile */
        return;
    }
    struct log *log = partition_runtime_log(partition);
    load->offset = MAX(load->offset, log_start_offset(log));
    if (load->offset >= load->end) {
        start_when_replicated(load);
        return;
    }
    struct log_read_info info;
    int32_t bytes_max = MIN(load->runtime->config.load_buffer_bytes, PIECE_BYTES_MAX);
    int error = log_read(log, load->offset, bytes_max, load->end, true, &info);
    if (error == ERR_OUT_OF_RANGE) {
        retry(load, error_text(error));
        return;
    }
    if (error != 0) {
        give_up(load, partition, error);
        return;
    }
    if (info.records.size == 0) {
        load->offset = load->end; /* nothing is left below the end */
        start_when_replicated(load);
        return;
    }
    if (info.records.size > load->capacity) {
        load->capacity = info.records.size;
        free(load->bytes);
        load->bytes = xmalloc((size_t)load->capacity);
    }
    load->file = info.records.file;
    load->position = info.records.position;
    load->size = info.records.size;
    load->is_reading = true;
    clock_spawn(load->runtime->clock, read_on_worker, on_read, load);
}

static void begin(struct timer *timer) {
    struct group_load *load = CONTAINER_OF(timer, struct group_load, retry);
    struct partition_runtime *partition = group_shard_partition(load->shard);
    if (partition == NULL) {
        group_shard_mark(load->shard);
        return;
    }
    partition_runtime_watch(partition, &load->shard->watcher);
    load->end = log_end_offset(partition_runtime_log(partition));
    read_piece(load);
}

void group_shard_load(struct group_shard *shard) {
    struct group_load *load = xcalloc(1, sizeof *load);
    load->runtime = shard->runtime;
    load->shard = shard;
    load->begin_ms = clock_now_ms(shard->runtime->clock);
    arena_init(&load->arena, SIZE_MAX);
    shard->load = load;
    shard->runtime->load_count++;
    shard->runtime->counts.loading++;
    /* Not from inside the controller's command that made this broker the leader. */
    timer_start(shard->runtime->clock, &load->retry, 0, begin);
}
