/* Reading: from an offset to a region of a file. No record is looked at, and headers only where memory has no answer.
 */
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_internal.h"

/* The tail batch that contains, or first follows, `offset`; NULL when it may lie before the tail. */
static const struct log_tail_batch *find_in_tail(const struct log *log, int64_t offset) {
    int32_t low = 0;
    int32_t high = log->tail_count;
    int32_t oldest = (log->tail_next - log->tail_count + LOG_TAIL_MAX) % LOG_TAIL_MAX;
    if (log->tail_count == 0 || offset < log->tail[oldest].base_offset || offset >= log->end_offset) {
        return NULL;
    }
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (log->tail[(oldest + middle) % LOG_TAIL_MAX].last_offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CHECK(low < log->tail_count);
    return &log->tail[(oldest + low) % LOG_TAIL_MAX];
}

static int read_header(const struct log_segment *segment, int64_t position, struct record_batch *ret_header) {
    uint8_t bytes[BATCH_DECODE_SIZE];
    struct batch_scanner scanner =
        batch_scanner_of_headers(segment->file, position, segment->size, bytes, sizeof bytes);
    int64_t ignored;
    int status = batch_scanner_next(&scanner, ret_header, &ignored, NULL);
    return status == 1 ? 0 : status == 0 ? ERR_CORRUPT : status;
}

int log_find_in_segment(struct log *log, const struct log_segment *segment, int64_t offset,
                        struct batch_position *ret) {
    for (int32_t i = 0; i < LOG_CURSORS_MAX; i++) {
        const struct log_cursor *cursor = &log->cursors[i];
        if (cursor->offset == offset && cursor->segment_base_offset == segment->base_offset &&
            cursor->position < segment->size) {
            ret->position = cursor->position;
            int error = read_header(segment, cursor->position, &ret->header);
            if (error == 0 && ret->header.last_offset >= offset) {
                return 1;
            }
        }
    }
    return segment_find(segment, offset, ret);
}

struct region {
    const struct log_segment *segment;
    int64_t first_offset;
    int64_t position;
    int64_t first_end;  /* where the first batch ends; -1 not known */
    int64_t first_next; /* and the offset after it */
    int64_t end;
    int64_t next_offset; /* after what is read; -1 not known */
};

/* Where the batches that lie wholly below `offset_max` end in the segment. */
static int find_end(struct log *log, int32_t at, int64_t offset_max, int64_t *ret_end) {
    const struct log_segment *segment = log->segments[at];
    bool is_active = at == log->segment_count - 1;
    int64_t next_base = is_active ? log->end_offset : log->segments[at + 1]->base_offset;
    *ret_end = segment->size;
    if (offset_max >= next_base) {
        return 0;
    }
    const struct log_tail_batch *tail = is_active ? find_in_tail(log, offset_max) : NULL;
    if (tail != NULL) {
        *ret_end = tail->position;
        return 0;
    }
    struct batch_position found;
    int status = log_find_in_segment(log, segment, offset_max, &found);
    if (status == 1) {
        *ret_end = found.position;
    }
    return MIN(status, 0);
}

/* Finds the first batch at or after `offset`: 1, 0 when there is none in this segment, or an error. */
static int find_start(struct log *log, int32_t at, int64_t offset, struct region *region) {
    const struct log_segment *segment = log->segments[at];
    const struct log_tail_batch *tail = at == log->segment_count - 1 ? find_in_tail(log, offset) : NULL;
    region->segment = segment;
    region->first_end = -1;
    if (tail != NULL) {
        region->first_offset = tail->base_offset;
        region->position = tail->position;
        return 1;
    }
    struct batch_position found;
    int status = log_find_in_segment(log, segment, offset, &found);
    if (status == 1) {
        region->first_offset = found.header.base_offset;
        region->position = found.position;
        region->first_end = found.position + found.header.size;
        region->first_next = found.header.last_offset + 1;
    }
    return status;
}

static int find_region(struct log *log, int64_t offset, int64_t offset_max, struct region *ret) {
    int32_t at = log_floor_segment(log, offset);
    for (at = MAX(at, 0); at < log->segment_count; at++) {
        int status = log->segments[at]->size > 0 ? find_start(log, at, offset, ret) : 0;
        if (status == 1) {
            status = find_end(log, at, offset_max, &ret->end);
            return status == 0 ? 1 : status;
        }
        if (status < 0) {
            return status;
        }
    }
    return 0;
}

/* Cuts the region to whole batches within max_bytes. */
static int limit_region(struct log *log, struct region *region, int32_t max_bytes, bool min_one_batch,
                        bool *ret_is_partial) {
    if (region->first_end < 0) {
        struct record_batch header;
        int error = read_header(region->segment, region->position, &header);
        if (error != 0) {
            return error;
        }
        region->first_end = region->position + header.size;
        region->first_next = header.last_offset + 1;
    }
    if (region->first_end - region->position > max_bytes) {
        *ret_is_partial = !min_one_batch;
        region->end = min_one_batch ? region->first_end : region->position + max_bytes;
        region->next_offset = min_one_batch ? region->first_next : -1;
        return 0;
    }
    int64_t limit = region->position + max_bytes;
    int64_t start = region->first_end;
    region->next_offset = region->first_next;
    struct index_entry entry;
    /* What the scan reads at once anyway needs no index. */
    int found = limit - start <= SCAN_HEADERS_SIZE
                    ? 0
                    : segment_index_lookup(&region->segment->offset_index, &log->place, limit, true, &entry);
    if (found < 0) {
        return found;
    }
    if (found == 1 && entry.value > start) {
        start = entry.value;
        region->next_offset = -1;
    }
    uint8_t buffer[SCAN_HEADERS_SIZE];
    struct batch_scanner scanner =
        batch_scanner_of_headers(region->segment->file, start, region->end, buffer, sizeof buffer);
    struct record_batch header;
    int64_t position;
    int status;
    region->end = start;
    while ((status = batch_scanner_next(&scanner, &header, &position, NULL)) > 0 && scanner.position <= limit) {
        region->end = scanner.position;
        region->next_offset = header.last_offset + 1;
    }
    return MIN(status, 0);
}

/* Remembers where a sequential reader comes back to. */
static void note_cursor(struct log *log, const struct region *region) {
    int64_t next_offset = region->next_offset;
    struct log_cursor *cursor = NULL;
    for (int32_t i = 0; i < LOG_CURSORS_MAX; i++) {
        if (log->cursors[i].offset == next_offset) {
            cursor = &log->cursors[i];
        }
    }
    if (cursor == NULL) {
        cursor = &log->cursors[log->cursor_next];
        log->cursor_next = (log->cursor_next + 1) % LOG_CURSORS_MAX;
    }
    *cursor = (struct log_cursor){
        .offset = next_offset, .segment_base_offset = region->segment->base_offset, .position = region->end};
}

int log_read(struct log *log, int64_t offset, int32_t max_bytes, int64_t offset_max, bool min_one_batch,
             struct log_read_info *ret_info) {
    *ret_info = (struct log_read_info){.first_offset = offset};
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    if (offset < log->start_offset || offset > log->end_offset) {
        return ERR_OUT_OF_RANGE;
    }
    offset_max = MIN(offset_max, log->end_offset);
    if (offset >= offset_max || (max_bytes <= 0 && !min_one_batch)) {
        return 0;
    }
    struct region region;
    int status = find_region(log, offset, offset_max, &region);
    if (status <= 0 || region.position >= region.end) {
        return log_fence(log, MIN(status, 0));
    }
    int error = 0;
    region.next_offset = offset_max;
    if (region.end - region.position > max_bytes) {
        error = limit_region(log, &region, MAX(max_bytes, 0), min_one_batch, &ret_info->first_batch_is_partial);
    }
    if (error != 0) {
        return log_fence(log, error);
    }
    if (region.next_offset >= 0 && region.end < region.segment->size) {
        note_cursor(log, &region);
    }
    ret_info->first_offset = region.first_offset;
    ret_info->records = (struct records){.size = (int32_t)(region.end - region.position),
                                         .file = disk_file_ref(region.segment->file),
                                         .position = region.position};
    return 0;
}
