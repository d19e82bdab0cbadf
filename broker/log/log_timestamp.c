/* Offsets by time: the one place where a reader's question makes the broker look at records. */
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_internal.h"

struct time_search {
    struct log *log;
    int64_t target;
    bool exact; /* the record that has the batch's own greatest timestamp */
    struct log_timestamp_offset *ret;
};

/* First record of the batch that answers the search: 1, 0 when there is none, or an error. */
static int search_batch(const struct time_search *search, const struct record_batch *header, struct slice bytes) {
    struct log_timestamp_offset *ret = search->ret;
    if (header->magic < 2 || (header->attributes & BATCH_LOG_APPEND_TIME) != 0) {
        /* One timestamp for the whole batch. Kafka answers with the batch's first offset; for the greatest timestamp
         * with its last. Old formats are not taken apart: their message, or wrapper, is the answer. */
        *ret = (struct log_timestamp_offset){
            .timestamp = header->max_timestamp,
            .offset = search->exact ? header->last_offset : MAX(header->base_offset, search->log->start_offset),
            .leader_epoch = header->leader_epoch};
        return 1;
    }
    struct record_iterator iterator;
    struct record_view record;
    int more;
    record_iterator_begin(&iterator, search->log->workspace, bytes, header);
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        int64_t timestamp = (int64_t)((uint64_t)header->base_timestamp + (uint64_t)record.timestamp_delta);
        int64_t offset = header->base_offset + record.offset_delta;
        if (timestamp >= search->target && offset >= search->log->start_offset) {
            *ret = (struct log_timestamp_offset){
                .timestamp = timestamp, .offset = offset, .leader_epoch = header->leader_epoch};
            return 1;
        }
    }
    /* Bytes that do not unpack cannot be searched; whoever reads them will see. */
    return 0;
}

/* Reads one whole batch of the segment and searches it. */
static int search_at(const struct time_search *search, const struct log_segment *segment,
                     const struct record_batch *header, int64_t position) {
    struct byte_buffer buffer = {0};
    uint8_t *bytes = byte_buffer_reserve(&buffer, (size_t)header->size);
    int64_t got = disk_read(segment->file, bytes, (size_t)header->size, position);
    int status = got < 0              ? (int)got
                 : got < header->size ? ERR_CORRUPT
                                      : search_batch(search, header, (struct slice){bytes, header->size});
    byte_buffer_deinit(&buffer);
    return status;
}

/* Scans batches from `position` on for one with a timestamp at or above the target. */
static int search_segment(const struct time_search *search, const struct log_segment *segment, int64_t position) {
    uint8_t buffer[SCAN_HEADERS_SIZE];
    struct batch_scanner scanner =
        batch_scanner_of_headers(segment->file, position, segment->size, buffer, sizeof buffer);
    struct record_batch header;
    int status;
    while ((status = batch_scanner_next(&scanner, &header, &position, NULL)) > 0) {
        if (header.max_timestamp < search->target || header.last_offset < search->log->start_offset) {
            continue;
        }
        status = search_at(search, segment, &header, position);
        if (status != 0) {
            return status;
        }
    }
    return status;
}

/* Where to begin: the batch that the indexes name for this offset. */
static int position_of(const struct log *log, const struct log_segment *segment, int64_t offset, int64_t *ret) {
    struct index_entry entry;
    int found = segment_index_lookup(&segment->offset_index, &log->place, offset, false, &entry);
    *ret = found == 1 ? entry.value : 0;
    return MIN(found, 0);
}

int log_offset_for_timestamp(struct log *log, int64_t timestamp, struct log_timestamp_offset *ret) {
    *ret = (struct log_timestamp_offset){.timestamp = -1, .offset = -1, .leader_epoch = -1};
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    struct time_search search = {.log = log, .target = timestamp, .ret = ret};
    for (int32_t i = 0; i < log->segment_count; i++) {
        const struct log_segment *segment = log->segments[i];
        if (segment->max_timestamp < timestamp) {
            continue;
        }
        struct index_entry entry;
        int found = segment_index_lookup(&segment->time_index, &log->place, timestamp, false, &entry);
        int64_t position = 0;
        int status = MIN(found, 0);
        if (status == 0) {
            int64_t from = MAX(found == 1 ? entry.value : segment->base_offset, log->start_offset);
            status = position_of(log, segment, from, &position);
        }
        if (status == 0) {
            status = search_segment(&search, segment, position);
        }
        if (status != 0) {
            return status > 0 ? 0 : log_fence(log, status);
        }
    }
    return 0;
}

int log_offset_of_max_timestamp(struct log *log, struct log_timestamp_offset *ret) {
    *ret = (struct log_timestamp_offset){.timestamp = -1, .offset = -1, .leader_epoch = -1};
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    const struct log_segment *best = NULL;
    for (int32_t i = 0; i < log->segment_count; i++) {
        if (best == NULL || log->segments[i]->max_timestamp > best->max_timestamp) {
            best = log->segments[i];
        }
    }
    if (best == NULL || best->max_timestamp < 0 || best->size == 0) {
        return 0;
    }
    struct time_search search = {.log = log, .target = best->max_timestamp, .exact = true, .ret = ret};
    int64_t position;
    int status = position_of(log, best, best->max_timestamp_offset, &position);
    if (status == 0) {
        status = search_segment(&search, best, position);
    }
    return status >= 0 ? 0 : log_fence(log, status);
}

int32_t log_segment_count(const struct log *log) {
    return log->segment_count;
}

int32_t log_offsets_before(const struct log *log, int64_t timestamp, int64_t wall_ms, int64_t *ret, int32_t capacity) {
    int32_t count = 0;
    const struct log_segment *last = log->segments[log->segment_count - 1];
    bool is_earliest = timestamp == -2;
    bool is_found = timestamp == -1;
    is_found = is_found || (!is_earliest && wall_ms <= timestamp);
    if (is_found && last->size > 0 && count < capacity) {
        ret[count++] = log_end_offset(log);
    }
    for (int32_t i = is_earliest ? 0 : log->segment_count - 1; i >= 0 && count < capacity; i--) {
        const struct log_segment *segment = log->segments[i];
        is_found = is_found || is_earliest || segment_retention_timestamp(segment) <= timestamp;
        if (is_found) {
            ret[count++] = MAX(segment->base_offset, log->start_offset);
        }
    }
    return count;
}
