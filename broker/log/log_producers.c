/* The producer state of a log on disk: snapshots, and what has to be read again after the newest of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_internal.h"

/* A million producers; bounds what a broken file can make us read. */
#define SNAPSHOT_SIZE_MAX ((size_t)64 * 1024 * 1024)

/* Adds to the sorted list of snapshot files. */
static void note_snapshot(struct producer_state *state, int64_t offset) {
    int32_t at = state->snapshot_count;
    while (at > 0 && state->snapshots[at - 1] >= offset) {
        at--;
    }
    if (at < state->snapshot_count && state->snapshots[at] == offset) {
        return;
    }
    if (state->snapshot_count == state->snapshot_capacity) {
        state->snapshot_capacity = MAX(state->snapshot_capacity * 2, 4);
        state->snapshots = xrealloc(state->snapshots, (size_t)state->snapshot_capacity * sizeof *state->snapshots);
    }
    memmove(state->snapshots + at + 1, state->snapshots + at,
            (size_t)(state->snapshot_count - at) * sizeof *state->snapshots);
    state->snapshots[at] = offset;
    state->snapshot_count++;
}

void log_note_snapshot(struct log *log, const char *name) {
    int64_t offset;
    int end = 0;
    if (sscanf(name, "%20" SCNd64 ".snapshot%n", &offset, &end) == 1 && end > 0 && name[end] == 0) {
        note_snapshot(&log->producers, offset);
    }
}

int log_take_snapshot(struct log *log, bool sync) {
    struct producer_state *state = &log->producers;
    if (state->end_offset <= state->snapshot_offset) {
        return 0;
    }
    struct byte_buffer bytes = {0};
    producer_state_encode(state, &bytes);
    char path[LOG_PATH_SIZE];
    path_of_offset(path, &log->place, state->end_offset, ".snapshot");
    struct disk_file *file;
    int error = disk_open(log->place.disk, path, DISK_CREATE | DISK_TRUNCATE, &file);
    if (error == 0) {
        error = disk_write(file, bytes.data, bytes.size, 0);
        if (error == 0 && sync) {
            error = disk_sync(file);
        }
        disk_file_unref(file);
    }
    byte_buffer_deinit(&bytes);
    if (error == 0) {
        note_snapshot(state, state->end_offset);
        state->snapshot_offset = state->end_offset;
    }
    return error;
}

int log_remove_snapshot(struct log *log, int64_t offset, bool later) {
    struct producer_state *state = &log->producers;
    int32_t at = 0;
    while (at < state->snapshot_count && state->snapshots[at] != offset) {
        at++;
    }
    if (at == state->snapshot_count) {
        return 0;
    }
    memmove(state->snapshots + at, state->snapshots + at + 1,
            (size_t)(state->snapshot_count - at - 1) * sizeof *state->snapshots);
    state->snapshot_count--;
    char path[LOG_PATH_SIZE];
    path_of_offset(path, &log->place, offset, ".snapshot");
    if (!later || log->hooks.delete_later == NULL) {
        return file_remove(log->place.disk, path);
    }
    char renamed[LOG_PATH_SIZE];
    path_of_offset(renamed, &log->place, offset, ".snapshot.deleted");
    int error = log->place.disk->ops->rename(log->place.disk, path, renamed);
    if (error == 0) {
        log->hooks.delete_later(log->hooks.context, log, renamed);
    }
    return error == ERR_NOT_FOUND ? 0 : error;
}

static bool is_segment_base(const struct log *log, int64_t offset) {
    int32_t at = log_floor_segment(log, offset);
    return at >= 0 && log->segments[at]->base_offset == offset;
}

int log_remove_stray_snapshots(struct log *log) {
    struct producer_state *state = &log->producers;
    int64_t last_base = log->segment_count > 0 ? log->segments[log->segment_count - 1]->base_offset : -1;
    int64_t kept_stray = -1;
    for (int32_t i = state->snapshot_count - 1; i >= 0; i--) {
        int64_t offset = state->snapshots[i];
        if (is_segment_base(log, offset)) {
            continue;
        }
        if (kept_stray < 0 && offset > last_base) {
            kept_stray = offset;
            continue;
        }
        int error = log_remove_snapshot(log, offset, false);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

int log_apply_to_producers(struct log *log, const struct log_segment *segment, const struct record_batch *header,
                           struct slice bytes) {
    struct producer_state *state = &log->producers;
    int error = 0;
    struct end_transaction_marker marker;
    bool is_control = record_batch_is_control(header);
    bool has_marker = is_control && record_batch_marker(bytes, header, &marker) == 0;
    if (header->producer_id >= 0 && (has_marker || !is_control)) {
        struct producer_completed completed;
        if (producer_state_apply(state, header, has_marker ? &marker : NULL, &completed)) {
            struct aborted_transaction entry = {.producer_id = completed.producer_id,
                                                .first_offset = completed.first_offset,
                                                .last_offset = completed.last_offset,
                                                .last_stable_offset =
                                                    producer_state_stable_offset_after(state, &completed)};
            if (completed.is_aborted && segment != NULL) {
                error = transaction_index_append(&log->place, segment->base_offset, &entry);
            }
            producer_state_complete(state, &completed);
        }
    }
    state->end_offset = header->last_offset + 1;
    return error;
}

void log_exchange_producers(struct log *log, struct log *other) {
    CHECK(log->producers.end_offset == other->producers.end_offset);
    struct producer_state mine = log->producers;
    log->producers.entries = other->producers.entries;
    log->producers.oldest = other->producers.oldest;
    log->producers.open = other->producers.open;
    log->producers.decided = other->producers.decided;
    other->producers.entries = mine.entries;
    other->producers.oldest = mine.oldest;
    other->producers.open = mine.open;
    other->producers.decided = mine.decided;
}

/* Loads the newest snapshot that can be read; broken ones are removed. */
static int load_newest_snapshot(struct log *log) {
    struct producer_state *state = &log->producers;
    while (state->snapshot_count > 0) {
        int64_t offset = state->snapshots[state->snapshot_count - 1];
        char path[LOG_PATH_SIZE];
        path_of_offset(path, &log->place, offset, ".snapshot");
        struct byte_buffer bytes = {0};
        int error = file_read_whole(log->place.disk, path, SNAPSHOT_SIZE_MAX, &bytes);
        if (error == 0) {
            error = producer_state_decode(state, bytes.data, bytes.size, clock_wall_ms(log->clock),
                                          log->config.producer_id_expiration_ms);
        }
        byte_buffer_deinit(&bytes);
        if (error == 0) {
            state->snapshot_offset = offset;
            state->end_offset = offset;
            return 0;
        }
        if (error != ERR_CORRUPT && error != ERR_TOO_LARGE && error != ERR_NOT_FOUND) {
            return error;
        }
        trace_warn("kafka.log.LogManager", "Failed to load producer snapshot from '%s': %s", path, error_text(error));
        producer_state_clear(state);
        error = log_remove_snapshot(log, offset, false);
        if (error != 0) {
            return error;
        }
    }
    state->snapshot_offset = log->start_offset;
    state->end_offset = log->start_offset;
    return 0;
}

/* Takes in the batches of a segment from the state's end on, up to `end_offset`. The transaction index of the segment
 * is already what it should be. */
static int replay_segment(struct log *log, const struct log_segment *segment, int64_t end_offset) {
    struct batch_position first;
    int status = segment_find(segment, log->producers.end_offset, &first);
    if (status <= 0) {
        return status;
    }
    struct byte_buffer buffer = {0};
    struct batch_scanner scanner = batch_scanner_of_batches(segment->file, first.position, segment->size, &buffer);
    struct record_batch header;
    struct slice bytes = {0};
    int64_t position;
    while ((status = batch_scanner_next(&scanner, &header, &position, &bytes)) > 0) {
        if (header.last_offset >= end_offset) {
            status = 0;
            break;
        }
        status = log_apply_to_producers(log, NULL, &header, bytes);
        if (status != 0) {
            break;
        }
    }
    byte_buffer_deinit(&buffer);
    return status;
}

static int replay(struct log *log, int64_t end_offset) {
    struct producer_state *state = &log->producers;
    for (int32_t i = MAX(log_floor_segment(log, state->end_offset), 0); i < log->segment_count; i++) {
        const struct log_segment *segment = log->segments[i];
        if (segment->base_offset >= end_offset) {
            break;
        }
        state->end_offset = MAX(segment->base_offset, state->end_offset);
        if (i >= log->segment_count - 2 && state->end_offset == segment->base_offset) {
            int error = log_take_snapshot(log, true);
            if (error != 0) {
                return error;
            }
        }
        int error = replay_segment(log, segment, end_offset);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

int log_rebuild_producers(struct log *log, int64_t end_offset, bool from_clean_shutdown) {
    struct producer_state *state = &log->producers;
    int error = 0;
    if (from_clean_shutdown && state->snapshot_count == 0) {
        /* Rule 30: a clean log without any snapshot never had producers. */
        producer_state_clear(state);
        state->end_offset = end_offset;
        return log_take_snapshot(log, true);
    }
    for (int32_t i = state->snapshot_count - 1; error == 0 && i >= 0; i--) {
        /* Those at or below the log start stay, unlike Kafka's: a producer whose records were all deleted may still
         * repeat its last batch, and only a snapshot knows of it. */
        if (state->snapshots[i] > end_offset) {
            error = log_remove_snapshot(log, state->snapshots[i], false);
        }
    }
    if (error == 0) {
        producer_state_clear(state);
        error = load_newest_snapshot(log);
    }
    if (error == 0 && state->end_offset < end_offset) {
        error = replay(log, end_offset);
    }
    if (error == 0) {
        state->end_offset = end_offset;
        error = log_take_snapshot(log, true);
    }
    return error;
}
