/* The loop's part of a cleaning: what may be cleaned, what the worker gets to see, and putting its output in place. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/compaction.h"

/* The first segment that holds something younger than min.compaction.lag.ms, or the active one. */
static int64_t first_too_young(const struct log *log, int64_t first_dirty, int64_t wall_ms) {
    int64_t lag_ms = log->config.min_compaction_lag_ms;
    int32_t last = log->segment_count - 1;
    for (int32_t i = MAX(log_floor_segment(log, first_dirty), 0); lag_ms > 0 && i < last; i++) {
        if (log->segments[i]->max_timestamp > wall_ms - lag_ms) {
            return log->segments[i]->base_offset;
        }
    }
    return log->segments[last]->base_offset;
}

static bool is_overdue(const struct log *log, int64_t first_dirty, int64_t wall_ms) {
    int64_t earliest = INT64_MAX;
    for (int32_t i = MAX(log_floor_segment(log, first_dirty), 0); i < log->segment_count - 1; i++) {
        int64_t timestamp;
        if (segment_first_timestamp(log->segments[i], &timestamp) == 0 && timestamp > 0) {
            earliest = MIN(earliest, timestamp);
        }
    }
    return earliest < wall_ms - MIN(log->config.max_compaction_lag_ms, wall_ms);
}

struct compaction_range log_cleanable_range(struct log *log, int64_t clean_offset, int64_t stable_offset,
                                            int64_t wall_ms) {
    struct compaction_range range = {.first_dirty = clean_offset < 0 ? log->start_offset : clean_offset};
    if (range.first_dirty < log->start_offset || range.first_dirty > log->end_offset) {
        range.first_dirty = log->start_offset;
        range.was_out_of_range = true;
    }
    /* Whole segments only: one that is stable up to its middle waits for the rest. */
    int64_t end = MIN(stable_offset, first_too_young(log, range.first_dirty, wall_ms));
    int32_t uncleanable = log_floor_segment(log, end);
    range.first_uncleanable = MAX(range.first_dirty, uncleanable < 0 ? 0 : log->segments[uncleanable]->base_offset);
    for (int32_t i = 0; i < log->segment_count; i++) {
        const struct log_segment *segment = log->segments[i];
        int64_t next_base = i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : INT64_MAX;
        if (segment->base_offset < range.first_dirty) {
            range.clean_bytes += segment->size;
        }
        /* The segment that contains the first dirty offset counts as dirty as well. */
        if (next_base > range.first_dirty && next_base <= range.first_uncleanable) {
            range.dirty_bytes += segment->size;
        }
    }
    range.is_overdue = log->config.max_compaction_lag_ms < INT64_MAX && is_overdue(log, range.first_dirty, wall_ms);
    return range;
}

static int compare_producers(const void *a, const void *b) {
    const struct compaction_producer *x = a;
    const struct compaction_producer *y = b;
    return (x->producer_id > y->producer_id) - (x->producer_id < y->producer_id);
}

static void add_producer(void *context, const struct log_producer_state *producer) {
    struct compaction *c = context;
    c->producers[c->producer_count++] = (struct compaction_producer){.producer_id = producer->producer_id,
                                                                     .last_offset = producer->last_offset,
                                                                     .producer_epoch = producer->producer_epoch};
}

static void take_producers(struct compaction *c, const struct log *log) {
    int32_t count = producer_state_count(&log->producers);
    if (count > 0) {
        c->producers = xcalloc((size_t)count, sizeof *c->producers);
        producer_state_for_each(&log->producers, add_producer, c);
        CHECK(c->producer_count == count);
        qsort(c->producers, (size_t)count, sizeof *c->producers, compare_producers);
    }
}

static void take_segments(struct compaction *c, const struct log *log) {
    int32_t closed = log->segment_count - 1;
    c->sources = xcalloc((size_t)closed, sizeof *c->sources);
    c->aborted_bases = xcalloc((size_t)closed, sizeof *c->aborted_bases);
    for (int32_t i = 0; i < closed; i++) {
        const struct log_segment *segment = log->segments[i];
        c->aborted_bases[c->aborted_base_count++] = segment->base_offset;
        if (log->segments[i + 1]->base_offset <= c->range.first_uncleanable) {
            int64_t offset_bytes = (int64_t)segment->offset_index.entries * OFFSET_INDEX_ENTRY_SIZE;
            int64_t time_bytes = (int64_t)segment->time_index.entries * TIME_INDEX_ENTRY_SIZE;
            c->sources[c->source_count++] = (struct compaction_source){.base_offset = segment->base_offset,
                                                                       .next_offset = log->segments[i + 1]->base_offset,
                                                                       .file = disk_file_ref(segment->file),
                                                                       .size = segment->size,
                                                                       .index_bytes = MAX(offset_bytes, time_bytes)};
        }
    }
}

int compaction_begin(struct log *log, const struct compaction_range *range, const struct compaction_limits *limits,
                     int64_t wall_ms, struct compaction **ret_compaction) {
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    if (log->segment_count < 2 || range->first_uncleanable < log->segments[1]->base_offset ||
        range->first_uncleanable <= range->first_dirty) {
        return ERR_NOT_FOUND;
    }
    /* The active segment's index grows while the worker runs, so the loop reads it. */
    struct aborted_transaction *list;
    int32_t count;
    int error = transaction_index_read(&log->place, log_active_segment(log)->base_offset, &list, &count);
    if (error != 0) {
        return error;
    }
    struct compaction *c = xcalloc(1, sizeof *c);
    c->place = (struct log_place){.disk = log->place.disk, .directory = xstrdup(log->place.directory)};
    c->output_place = c->place;
    c->output_place.suffix = ".cleaned";
    c->config = log->config;
    c->config.preallocate = false; /* output is never larger than its input, and usually much smaller */
    c->limits = *limits;
    c->range = *range;
    c->wall_ms = wall_ms;
    c->truncations = log->truncations;
    take_segments(c, log);
    take_producers(c, log);
    compaction_add_aborted(c, list, count);
    free(list);
    *ret_compaction = c;
    return 0;
}

/* Where the group's segments stand in the log; -1 when they are not what was read. */
static int32_t find_group(const struct log *log, const struct compaction *c) {
    int32_t first = log_floor_segment(log, c->sources[c->group_first].base_offset);
    int32_t count = c->group_end - c->group_first;
    if (first < 0 || first + count >= log->segment_count || log->truncations != c->truncations) {
        return -1;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct compaction_source *source = &c->sources[c->group_first + i];
        const struct log_segment *segment = log->segments[first + i];
        if (segment->base_offset != source->base_offset || segment->file != source->file) {
            return -1;
        }
    }
    return first;
}

/* The order is Kafka's (rule 31): complete output is named ".swap", its input ".deleted", then the output loses the
 * suffix. A crash before the last ".cleaned" is renamed takes everything back, one after it goes on. */
static int swap_files(struct log *log, struct compaction *c, int32_t first) {
    struct log_place swap_place = log->place;
    swap_place.suffix = ".swap";
    int64_t base_offset = c->cleaned->base_offset;
    int error = segment_move_files(&c->output_place, &swap_place, base_offset);
    if (error == 0) {
        error = log_remove_segments(log, first, c->group_end - c->group_first, base_offset);
    }
    return error != 0 ? error : segment_move_files(&swap_place, &log->place, base_offset);
}

int log_replace_segments(struct log *log, struct compaction *c) {
    CHECK(c->cleaned != NULL);
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    int32_t first = find_group(log, c);
    if (first < 0) {
        return ERR_NOT_FOUND;
    }
    int error = swap_files(log, c, first);
    if (error != 0) {
        return log_fence(log, error);
    }
    c->cleaned->place = &log->place;
    log_insert_segment(log, c->cleaned);
    c->cleaned = NULL;
    return 0;
}
