/* One log's memory: its segments, small questions, closing. */
#include "broker/log/log.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_internal.h"
#include "broker/log/offset_checkpoint.h"

int log_fence(struct log *log, int error) {
#ifdef MUTANT_M13 /* goes on after an I/O error */
    return 0;
#endif
    if (error != 0 && !log->is_fenced) {
        log->is_fenced = true;
        log->fence_error = error;
    }
    return error;
}

struct log_segment *log_active_segment(const struct log *log) {
    CHECK(log->segment_count > 0);
    return log->segments[log->segment_count - 1];
}

int32_t log_floor_segment(const struct log *log, int64_t offset) {
    int32_t low = 0;
    int32_t high = log->segment_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base_offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

void log_insert_segment(struct log *log, struct log_segment *segment) {
    int32_t at = log_floor_segment(log, segment->base_offset) + 1;
    CHECK(at == 0 || log->segments[at - 1]->base_offset < segment->base_offset);
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = MAX(log->segment_capacity * 2, 4);
        log->segments = xrealloc(log->segments, (size_t)log->segment_capacity * sizeof(struct log_segment *));
    }
    memmove(log->segments + at + 1, log->segments + at,
            (size_t)(log->segment_count - at) * sizeof(struct log_segment *));
    log->segments[at] = segment;
    log->segment_count++;
}

static const char *const deleted_suffixes[] = {".log.deleted", ".index.deleted", ".timeindex.deleted",
                                               ".txnindex.deleted"};

/* Removes a segment's files: the names change now, the files go later. */
static int delete_segment_files(struct log *log, int64_t base_offset) {
    struct log_place deleted_place = log->place;
    deleted_place.suffix = ".deleted";
    int error = segment_move_files(&log->place, &deleted_place, base_offset);
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(deleted_suffixes); i++) {
        char path[LOG_PATH_SIZE];
        path_of_offset(path, &log->place, base_offset, deleted_suffixes[i]);
        if (log->hooks.delete_later != NULL) {
            log->hooks.delete_later(log->hooks.context, log, path);
        } else {
            error = file_remove(log->place.disk, path);
        }
    }
    return error;
}

int log_remove_segments(struct log *log, int32_t first, int32_t count, int64_t replaced_at) {
    for (int32_t i = 0; i < count; i++) {
        struct log_segment *segment = log->segments[first];
        int64_t base_offset = segment->base_offset;
        memmove(log->segments + first, log->segments + first + 1,
                (size_t)(log->segment_count - first - 1) * sizeof(struct log_segment *));
        log->segment_count--;
        segment_destroy(segment);
        int error = delete_segment_files(log, base_offset);
        if (error == 0 && base_offset != replaced_at) {
            error = log_remove_snapshot(log, base_offset, true);
        }
        if (error != 0) {
            return error;
        }
    }
    log_forget_places(log);
    return 0;
}

void log_forget_places(struct log *log) {
    log->tail_count = 0;
    log->tail_next = 0;
    for (int32_t i = 0; i < LOG_CURSORS_MAX; i++) {
        log->cursors[i].offset = -1;
    }
}

int log_roll_at(struct log *log, int64_t offset) {
    struct log_segment *active = log_active_segment(log);
    offset = MAX(offset, log->end_offset);
    if (active->base_offset == offset) {
        return 0; /* it is empty: there is nothing to begin after */
    }
    int error = segment_deactivate(active);
    struct log_segment *segment = NULL;
    if (error == 0) {
        error = segment_create(&log->place, offset, &log->config, clock_wall_ms(log->clock), &segment);
    }
    if (error != 0) {
        return error;
    }
    log_insert_segment(log, segment);
    log->tail_count = 0;
    log->producers.end_offset = offset;
    error = log_take_snapshot(log, false);
    if (error == 0 && log->hooks.flush_wanted != NULL) {
        log->hooks.flush_wanted(log->hooks.context, log, offset);
    }
    return error;
}

int log_roll(struct log *log) {
    return log->is_fenced ? ERR_FENCED : log_fence(log, log_roll_at(log, log->end_offset));
}

static int settle_files(struct log *log, bool sync) {
    int error = log_take_snapshot(log, sync);
    return error != 0 ? error : segment_deactivate(log_active_segment(log));
}

int log_close(struct log *log) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    int error = settle_files(log, true);
    if (error == 0) {
        error = log_flush(log);
    }
    log->is_fenced = true; /* nothing may be appended to what was cut to size */
    return error;
}

int log_close_begin(struct log *log) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    int error = settle_files(log, false);
    if (error == 0 && (log->staged_epochs = epoch_cache_catch_up(&log->epochs)) != NULL) {
        error = file_write_stage(log->staged_epochs);
    }
    log->is_fenced = true;
    return error;
}

int log_close_place(struct log *log) {
    int error = log->staged_epochs != NULL ? file_write_place(log->staged_epochs) : 0;
    return error != 0 ? error : log->staged_epochs != NULL;
}

int log_close_end(struct log *log) {
    int error = sync_outcome_error(log->sync_outcome); /* of a flush that was told before we asked */
    if (error == 0) {
        log_note_durable(log, log->end_offset);
        for (int32_t i = 0; i < log->segment_count; i++) {
            log->segments[i]->is_synced = true;
        }
        log->has_unsynced_metadata = false;
    }
    return error;
}

void log_destroy(struct log *log) {
    if (log == NULL) {
        return;
    }
    for (int32_t i = 0; i < log->segment_count; i++) {
        segment_destroy(log->segments[i]);
    }
    free(log->segments);
    if (log->staged_epochs != NULL) {
        file_write_destroy(log->staged_epochs);
    }
    sync_outcome_unref(log->sync_outcome);
    epoch_cache_deinit(&log->epochs);
    producer_state_deinit(&log->producers);
    if (log->owns_workspace) {
        record_workspace_destroy(log->workspace);
    }
    free(log->topic);
    free(log->place.directory);
    free(log);
}

int64_t log_start_offset(const struct log *log) {
    return log->start_offset;
}

int64_t log_end_offset(const struct log *log) {
    return log->end_offset;
}

int64_t log_first_unstable_offset(const struct log *log) {
    int64_t first = producer_state_first_open(&log->producers);
    return first < 0 ? log->end_offset : MAX(first, log->start_offset);
}

int64_t log_last_stable_offset(struct log *log, int64_t high_watermark) {
    producer_state_forget_decided(&log->producers, high_watermark);
    int64_t first = producer_state_first_unstable(&log->producers);
    return first < 0 ? high_watermark : MIN(MAX(first, log->start_offset), high_watermark);
}

int32_t log_latest_epoch(const struct log *log) {
    return epoch_cache_latest(&log->epochs);
}

struct log_epoch_end log_epoch_end_offset(const struct log *log, int32_t epoch) {
    return epoch_cache_end_offset(&log->epochs, epoch, log->end_offset);
}

int log_assign_epoch_start(struct log *log, int32_t epoch) {
    return log->is_fenced ? ERR_FENCED : log_fence(log, log_note_epoch(log, epoch, log->end_offset));
}

int64_t log_shared_end(const struct log *log, const struct log *other) {
    int32_t epoch = MIN(log_latest_epoch(log), log_latest_epoch(other));
    while (epoch >= 0) {
        struct log_epoch_end mine = log_epoch_end_offset(log, epoch);
        struct log_epoch_end theirs = log_epoch_end_offset(other, epoch);
        if (mine.epoch == theirs.epoch) {
            return MIN(mine.end_offset, theirs.end_offset);
        }
        epoch = MIN(mine.epoch, theirs.epoch); /* one of them is smaller: neither is greater than what was asked */
    }
    return MIN(log->end_offset, other->end_offset); /* records of before there were epochs */
}

int32_t log_epoch_for_offset(const struct log *log, int64_t offset) {
    return epoch_cache_epoch_at(&log->epochs, offset);
}

int64_t log_size_bytes(const struct log *log) {
    int64_t size = 0;
    for (int32_t i = 0; i < log->segment_count; i++) {
        size += log->segments[i]->size;
    }
    return size;
}

int64_t log_doubtful_from(const struct log *log) {
    return log->doubtful_from;
}

void log_believe(struct log *log) {
    log->doubtful_from = -1;
}

int64_t log_recovery_point(const struct log *log) {
    return log->recovery_point;
}

int64_t log_truncation_count(const struct log *log) {
    return log->truncations;
}

void log_set_config(struct log *log, const struct log_config *config) {
    log->config = *config;
}

const struct log_config *log_get_config(const struct log *log) {
    return &log->config;
}

struct uuid log_topic_id(const struct log *log) {
    return log->topic_id;
}

const char *log_directory(const struct log *log) {
    return log->place.directory;
}

bool log_is_fenced(const struct log *log) {
    return log->is_fenced;
}

int32_t log_producer_count(const struct log *log) {
    return producer_state_count(&log->producers);
}

void log_each_producer(const struct log *log, log_producer_visitor *visit, void *context) {
    producer_state_for_each(&log->producers, visit, context);
}

int log_producer_state(const struct log *log, int64_t producer_id, struct log_producer_state *ret) {
    return producer_state_find(&log->producers, producer_id, ret) ? 0 : ERR_NOT_FOUND;
}

/* By a worker; at once where there is none to do it. Takes over the write, which may be NULL. */
static int write_later(struct log *log, struct file_write *write) {
    if (write == NULL) {
        return 0;
    }
    if (log->hooks.write_later != NULL) {
        log->hooks.write_later(log->hooks.context, log, write);
        return 0;
    }
    file_write_run(write);
    int error = write->error;
    file_write_destroy(write);
    return error;
}

int log_note_epoch(struct log *log, int32_t epoch, int64_t offset) {
    struct file_write *write;
    int error = epoch_cache_assign_later(&log->epochs, epoch, offset, &write);
    return error != 0 ? error : write_later(log, write);
}

int log_truncate_epochs_from_start(struct log *log, int64_t offset) {
    struct file_write *write;
    epoch_cache_truncate_from_start(&log->epochs, offset, &write);
    return write_later(log, write);
}

int log_set_topic_id(struct log *log, struct uuid id) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    if (uuid_is_zero(id) || uuid_equal(id, log->topic_id)) {
        return 0;
    }
    if (!uuid_is_zero(log->topic_id)) {
        return ERR_INVALID;
    }
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    struct byte_buffer bytes = {0};
    checkpoint_print(&bytes, "version: 0\ntopic_id: %s", text);
    char path[LOG_PATH_SIZE];
    path_join(path, log->place.directory, "partition.metadata");
    int error = file_write_unsynced(log->place.disk, path, bytes.data, bytes.size);
    byte_buffer_deinit(&bytes);
    if (error == 0) {
        log->topic_id = id;
        log->has_unsynced_metadata = true;
    }
    return log_fence(log, error);
}

int log_read_topic_id(struct log *log) {
    char path[LOG_PATH_SIZE];
    path_join(path, log->place.directory, "partition.metadata");
    struct byte_buffer bytes = {0};
    int error = file_read_whole(log->place.disk, path, 4096, &bytes);
    if (error == 0) {
        *byte_buffer_reserve(&bytes, 1) = 0;
        static const char key[] = "topic_id:";
        const char *at = strstr((const char *)bytes.data, key);
        at = at == NULL ? "" : at + strlen(key);
        at += strspn(at, " ");
        if (uuid_parse((struct str){at, (int32_t)strcspn(at, " \r\n")}, &log->topic_id) != 0) {
            /* It is synced with the first flush. A power cut before may leave it empty or torn: the controller's next
             * command says the id again. */
            trace_warn("kafka.log.LogManager", "%s is not readable and taken to be missing", path);
        }
    }
    byte_buffer_deinit(&bytes);
    return error == ERR_NOT_FOUND ? 0 : error;
}

int log_aborted_transactions(struct log *log, int64_t from, int64_t to, struct arena *arena,
                             struct log_aborted_transaction **ret_list, int32_t *ret_count) {
    *ret_list = NULL;
    *ret_count = 0;
    int32_t capacity = 0;
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    for (int32_t i = MAX(log_floor_segment(log, from), 0); i < log->segment_count; i++) {
        struct aborted_transaction *entries;
        int32_t count;
        int error = transaction_index_read(&log->place, log->segments[i]->base_offset, &entries, &count);
        if (error != 0) {
            return log_fence(log, error);
        }
        bool is_complete = false;
        for (int32_t k = 0; k < count && !is_complete; k++) {
            if (entries[k].last_offset >= from && entries[k].first_offset < to) {
                if (*ret_count == capacity) {
                    capacity = MAX(capacity * 2, 16);
                    struct log_aborted_transaction *grown =
                        ARENA_ARRAY(arena, struct log_aborted_transaction, capacity);
                    if (*ret_count > 0) {
                        memcpy(grown, *ret_list, (size_t)*ret_count * sizeof *grown);
                    }
                    *ret_list = grown;
                }
                (*ret_list)[(*ret_count)++] = (struct log_aborted_transaction){.producer_id = entries[k].producer_id,
                                                                               .first_offset = entries[k].first_offset};
            }
            is_complete = entries[k].last_stable_offset >= to;
        }
        free(entries);
        if (is_complete) {
            break;
        }
    }
    return 0;
}
