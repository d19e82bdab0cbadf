/* Taking away: from the end (a follower that diverged), from the start (retention, DeleteRecords), everything. */
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_internal.h"

#define AREA "kafka.log.LogManager"

/* The recovery point must not claim what was cut off and may be written anew. */
static int lower_recovery_point(struct log *log, int64_t end) {
    log->truncations++;
    log->clean_offset = MIN(log->clean_offset, end);
    log->doubtful_from = end <= log->doubtful_from ? -1 : log->doubtful_from;
    if (log->recovery_point <= end) {
        return 0;
    }
    log->recovery_point = end;
    return log->hooks.recovery_point_lowered != NULL ? log->hooks.recovery_point_lowered(log->hooks.context, log) : 0;
}

/* A checkpoint that tells of a later start would hide what is appended from here on, or, where the log ends below it,
 * have all of it deleted. */
static int tell_lower_start(struct log *log, int64_t former_start) {
    bool is_lower = log->start_offset < former_start;
    return is_lower && log->hooks.start_offset_lowered != NULL
               ? log->hooks.start_offset_lowered(log->hooks.context, log)
               : 0;
}

int log_truncate_fully_and_start_at(struct log *log, int64_t offset) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    trace_info(AREA, "Truncating %s-%d fully, starting at offset %lld", log->topic, log->partition, (long long)offset);
    int error = log_remove_segments(log, 0, log->segment_count, -1);
    struct log_segment *segment = NULL;
    if (error == 0) {
        error = segment_create(&log->place, offset, &log->config, clock_wall_ms(log->clock), &segment);
    }
    if (error != 0) {
        return log_fence(log, error);
    }
    log_insert_segment(log, segment);
    log_forget_places(log);
    int64_t former_start = log->start_offset;
    log->start_offset = offset;
    log->end_offset = offset;
    error = epoch_cache_clear(&log->epochs);
    producer_state_clear(&log->producers);
    while (error == 0 && log->producers.snapshot_count > 0) {
        error = log_remove_snapshot(log, log->producers.snapshots[0], false);
    }
    log->producers.end_offset = offset;
    log->producers.snapshot_offset = 0;
    if (error == 0) {
        error = log_take_snapshot(log, true);
    }
    if (error == 0) {
        error = lower_recovery_point(log, log->end_offset);
    }
    if (error == 0) {
        error = tell_lower_start(log, former_start);
    }
    return log_fence(log, error);
}

/* Cuts the segment that is now the last one; the log ends where its last whole batch does, should `offset` lie inside
 * a batch. */
static int truncate_last_segment(struct log *log, int64_t offset) {
    struct log_segment *segment = log_active_segment(log);
    struct batch_position found;
    int status = segment_find(segment, offset, &found);
    if (status < 0) {
        return status;
    }
    if (status == 1) {
        offset = MIN(offset, found.header.base_offset);
    }
    int error = segment_activate(segment, &log->config);
    if (error == 0) {
        error = segment_truncate(segment, offset, clock_wall_ms(log->clock));
    }
    if (error == 0) {
        error = sync_outcome_error(log->sync_outcome); /* of its file a flush may have been told before */
    }
    if (error == 0) {
        error = transaction_index_truncate(&log->place, segment->base_offset, offset);
    }
    log->end_offset = offset;
    return error;
}

int log_truncate_to(struct log *log, int64_t offset) {
    CHECK(offset >= 0);
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    if (offset >= log->end_offset) {
        return log_fence(log, epoch_cache_truncate_from_end(&log->epochs, log->end_offset));
    }
    if (offset < log->segments[0]->base_offset) {
        return log_truncate_fully_and_start_at(log, offset);
    }
    trace_info(AREA, "Truncating %s-%d to offset %lld", log->topic, log->partition, (long long)offset);
    int32_t keep = log_floor_segment(log, offset) + 1;
    bool removes_segments = keep < log->segment_count;
    /* First, so that whatever a power cut leaves of what follows (files come back, a shorter one does not) is looked at
     * when the log is loaded. */
    int error = lower_recovery_point(log, offset);
    /* From the highest down: a crash in between leaves a log without a hole. */
    while (error == 0 && log->segment_count > keep) {
        error = log_remove_segments(log, log->segment_count - 1, 1, -1);
    }
    if (error == 0 && removes_segments) {
        /* Back after a power cut, one of them could follow, without a gap, what is appended from here on. */
        error = log->place.disk->ops->sync_directory(log->place.disk, log->place.directory);
    }
    log_forget_places(log);
    if (error == 0) {
        error = truncate_last_segment(log, offset);
    }
    if (error == 0) {
        error = epoch_cache_truncate_from_end(&log->epochs, log->end_offset);
    }
    if (error == 0) {
        int64_t former_start = log->start_offset;
        log->start_offset = MIN(former_start, log->end_offset);
        error = lower_recovery_point(log, log->end_offset);
        error = error != 0 ? error : tell_lower_start(log, former_start);
    }
    if (error == 0) {
        error = log_rebuild_producers(log, log->end_offset, false);
    }
    return log_fence(log, error);
}

/* Segments whose successor begins at or below the start offset hold nothing any more. */
static int remove_segments_below_start(struct log *log) {
    int32_t count = 0;
    while (count + 1 < log->segment_count && log->segments[count + 1]->base_offset <= log->start_offset) {
        count++;
    }
    int error = log_remove_segments(log, 0, count, -1);
    return error != 0 ? error : count;
}

static int raise_start_offset(struct log *log, int64_t offset) {
    if (offset <= log->start_offset) {
        return 0;
    }
    log->start_offset = offset;
    producer_state_forget_decided(&log->producers, offset);
    if (log->producers.end_offset < offset) {
        log->producers.end_offset = offset;
    }
    return log_truncate_epochs_from_start(log, offset);
}

int log_increase_start_offset(struct log *log, int64_t offset) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    if (offset > log->end_offset) {
        return ERR_OUT_OF_RANGE;
    }
    int error = raise_start_offset(log, offset);
    if (error == 0) {
        error = MIN(remove_segments_below_start(log), 0);
    }
    return log_fence(log, error);
}

int log_start_at_end(struct log *log) {
    int error = log_roll(log);
    return error != 0 ? error : log_increase_start_offset(log, log->end_offset);
}

/* How many segments from the start on may go for their size, or their age. All lie below the high watermark. */
static int32_t count_expired(const struct log *log, int64_t high_watermark, int64_t wall_ms) {
    int64_t excess = log->config.retention_bytes >= 0 ? log_size_bytes(log) - log->config.retention_bytes : -1;
    int32_t count = 0;
    for (; count < log->segment_count; count++) {
        const struct log_segment *segment = log->segments[count];
        bool is_last = count + 1 == log->segment_count;
        int64_t upper = is_last ? log->end_offset : log->segments[count + 1]->base_offset;
        bool too_large = excess >= 0 && excess - segment->size >= 0;
        bool too_old =
            log->config.retention_ms >= 0 && wall_ms - segment_retention_timestamp(segment) > log->config.retention_ms;
        if (upper > high_watermark || (is_last && segment->size == 0) || !(too_large || too_old)) {
            break;
        }
        excess -= segment->size;
    }
    return count;
}

int log_apply_retention(struct log *log, int64_t high_watermark, int64_t wall_ms) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    int removed = remove_segments_below_start(log);
    int32_t count = removed >= 0 && log->config.delete ? count_expired(log, high_watermark, wall_ms) : 0;
    if (removed < 0 || count == 0) {
        return removed < 0 ? log_fence(log, removed) : removed;
    }
    int error = 0;
    if (count == log->segment_count) {
        error = log_roll_at(log, log->end_offset);
    }
    if (error == 0) {
        error = raise_start_offset(log, log->segments[count]->base_offset);
    }
    if (error == 0) {
        trace_info(AREA, "Deleting %d segments of %s-%d past retention; the log starts at offset %lld", count,
                   log->topic, log->partition, (long long)log->start_offset);
        error = log_remove_segments(log, 0, count, -1);
    }
    return error != 0 ? log_fence(log, error) : removed + count;
}
