/* Files of one segment. */
#include "broker/log/segment.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"

static const char *const segment_suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};

static struct log_segment *segment_allocate(const struct log_place *place, int64_t base_offset, int64_t wall_ms) {
    struct log_segment *segment = xcalloc(1, sizeof *segment);
    segment->place = place;
    segment->base_offset = base_offset;
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = -1;
    segment->created_ms = wall_ms;
    segment_index_init(&segment->offset_index, INDEX_OFFSET, base_offset);
    segment_index_init(&segment->time_index, INDEX_TIME, base_offset);
    return segment;
}

void segment_destroy(struct log_segment *segment) {
    if (segment != NULL) {
        segment_index_deinit(&segment->offset_index);
        segment_index_deinit(&segment->time_index);
        disk_file_unref(segment->file);
        free(segment);
    }
}

static bool is_active(const struct log_segment *segment) {
    return segment->offset_index.file != NULL && segment->time_index.file != NULL;
}

int segment_activate(struct log_segment *segment, const struct log_config *config) {
    if (is_active(segment)) {
        return 0;
    }
    int error = segment_index_activate(&segment->offset_index, segment->place, config->segment_index_bytes);
    return error != 0 ? error
                      : segment_index_activate(&segment->time_index, segment->place, config->segment_index_bytes);
}

int segment_create(const struct log_place *place, int64_t base_offset, const struct log_config *config, int64_t wall_ms,
                   struct log_segment **ret_segment) {
    char path[LOG_PATH_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(segment_suffixes); i++) {
        path_of_offset(path, place, base_offset, segment_suffixes[i]);
        int error = file_remove(place->disk, path);
        if (error != 0) {
            return error;
        }
    }
    struct log_segment *segment = segment_allocate(place, base_offset, wall_ms);
    path_of_offset(path, place, base_offset, ".log");
    int error = disk_open(place->disk, path, DISK_CREATE | DISK_EXCLUSIVE, &segment->file);
    if (error == 0 && config->preallocate) {
        segment->is_preallocated = true;
        error = disk_truncate(segment->file, config->segment_bytes);
    }
    if (error == 0) {
        error = segment_index_create(&segment->offset_index, place);
    }
    if (error == 0) {
        error = segment_index_create(&segment->time_index, place);
    }
    if (error != 0) {
        segment_destroy(segment);
        return error;
    }
    *ret_segment = segment;
    return 0;
}

int segment_open(const struct log_place *place, int64_t base_offset, int64_t wall_ms,
                 struct log_segment **ret_segment) {
    struct log_segment *segment = segment_allocate(place, base_offset, wall_ms);
    char path[LOG_PATH_SIZE];
    path_of_offset(path, place, base_offset, ".log");
    int error = disk_open(place->disk, path, DISK_WRITE, &segment->file);
    if (error == 0) {
        segment->size = disk_size(segment->file);
        error = segment->size < 0 ? (int)segment->size : segment->size > INT32_MAX ? ERR_TOO_LARGE : 0;
    }
    if (error != 0) {
        segment_destroy(segment);
        return error;
    }
    *ret_segment = segment;
    int offset_error = segment_index_load(&segment->offset_index, place, segment->size);
    int time_error = segment_index_load(&segment->time_index, place, segment->size);
    if (offset_error == 0 && time_error == 0) {
        segment->max_timestamp = segment->time_index.entries > 0 ? segment->time_index.last.key : -1;
        segment->max_timestamp_offset = segment->time_index.entries > 0 ? segment->time_index.last.value : -1;
        return 0;
    }
    bool rebuild = (offset_error == 0 || offset_error == ERR_NOT_FOUND || offset_error == ERR_CORRUPT) &&
                   (time_error == 0 || time_error == ERR_NOT_FOUND || time_error == ERR_CORRUPT);
    if (rebuild) {
        return ERR_CORRUPT;
    }
    segment_destroy(segment);
    *ret_segment = NULL;
    /* One may be corrupt and the other unreadable: that is an I/O error, and nothing to rebuild from. */
    bool is_of_offsets = offset_error != 0 && offset_error != ERR_NOT_FOUND && offset_error != ERR_CORRUPT;
    return is_of_offsets ? offset_error : time_error;
}

int segment_deactivate(struct log_segment *segment) {
    int error = 0;
    if (segment->time_index.file != NULL && segment->max_timestamp >= 0) {
        error = segment_index_append(&segment->time_index, segment->max_timestamp, segment->max_timestamp_offset);
    }
    if (error == 0) {
        error = segment_index_deactivate(&segment->offset_index);
    }
    if (error == 0) {
        error = segment_index_deactivate(&segment->time_index);
    }
    if (error == 0 && segment->is_preallocated) {
        segment->is_preallocated = false;
        error = disk_truncate(segment->file, segment->size);
    }
    return error;
}

int segment_note_batch(struct log_segment *segment, const struct record_batch *header, int64_t position,
                       int32_t index_interval_bytes) {
    CHECK(is_active(segment));
    if (position == 0) {
        segment->first_timestamp = header->max_timestamp;
        segment->first_timestamp_known = true;
    }
    if (header->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = header->max_timestamp;
        segment->max_timestamp_offset = header->last_offset;
    }
    int error = 0;
    if (segment->bytes_since_index_entry > index_interval_bytes && !segment_index_is_full(&segment->offset_index) &&
        !segment_index_is_full(&segment->time_index)) {
        error = segment_index_append(&segment->offset_index, header->last_offset, position);
        if (error == 0) {
            error = segment_index_append(&segment->time_index, segment->max_timestamp, segment->max_timestamp_offset);
        }
        segment->bytes_since_index_entry = 0;
    }
    segment->bytes_since_index_entry += header->size;
    return error;
}

int segment_first_timestamp(struct log_segment *segment, int64_t *ret_timestamp) {
    *ret_timestamp = -1;
    if (!segment->first_timestamp_known && segment->size > 0) {
        uint8_t buffer[SCAN_HEADERS_SIZE];
        struct batch_scanner scanner = batch_scanner_of_headers(segment->file, 0, segment->size, buffer, sizeof buffer);
        struct record_batch header;
        int64_t position;
        int status = batch_scanner_next(&scanner, &header, &position, NULL);
        if (status <= 0) {
            return status < 0 ? status : ERR_CORRUPT;
        }
        segment->first_timestamp = header.max_timestamp;
        segment->first_timestamp_known = true;
    }
    if (segment->first_timestamp_known) {
        *ret_timestamp = segment->first_timestamp;
    }
    return 0;
}

int64_t segment_roll_ms(const struct log_segment *segment, const struct log_config *config) {
    /* Only closed segments are cleaned, so a record that must be cleaned in time may not stay in an open one. */
    int64_t roll_ms = config->compact ? MIN(config->segment_ms, config->max_compaction_lag_ms) : config->segment_ms;
    int64_t jitter_ms = MIN(config->segment_jitter_ms, roll_ms);
    if (jitter_ms <= 0) {
        return roll_ms;
    }
    uint64_t seed = (uint64_t)segment->base_offset;
    for (const char *at = segment->place->directory; *at != 0; at++) {
        seed = seed * 31 + (uint8_t)*at;
    }
    struct random random;
    random_seed(&random, seed);
    return roll_ms - (int64_t)random_below(&random, (uint64_t)jitter_ms);
}

int segment_should_roll(struct log_segment *segment, const struct log_config *config, int64_t bytes,
                        int64_t last_offset, int64_t max_timestamp, int64_t wall_ms, bool *ret_roll) {
    int64_t first;
    int error = segment_first_timestamp(segment, &first);
    if (error != 0) {
        return error;
    }
    int64_t waited_ms = first >= 0 ? max_timestamp - first : wall_ms - segment->created_ms;
    *ret_roll = segment->size > (int64_t)config->segment_bytes - bytes ||
                (segment->size > 0 && waited_ms > segment_roll_ms(segment, config)) ||
                segment_index_is_full(&segment->offset_index) || segment_index_is_full(&segment->time_index) ||
                last_offset - segment->base_offset > INT32_MAX;
    return 0;
}

/* Where to begin scanning for `offset`: the batch of the greatest index entry at or below it. */
static int scan_start(const struct log_segment *segment, int64_t offset, int64_t *ret_position) {
    struct index_entry entry;
    int found = segment_index_lookup(&segment->offset_index, segment->place, offset, false, &entry);
    if (found < 0) {
        return found;
    }
    *ret_position = found == 1 ? entry.value : 0;
    if (*ret_position < 0 || *ret_position >= segment->size) {
        *ret_position = 0; /* an index that points outside its file is not believed */
    }
    return 0;
}

int segment_find(const struct log_segment *segment, int64_t offset, struct batch_position *ret) {
    int64_t start;
    int status = segment->size > 0 ? scan_start(segment, offset, &start) : ERR_NOT_FOUND;
    if (status != 0) {
        return status == ERR_NOT_FOUND && segment->size == 0 ? 0 : status;
    }
    uint8_t buffer[SCAN_HEADERS_SIZE];
    struct batch_scanner scanner = batch_scanner_of_headers(segment->file, start, segment->size, buffer, sizeof buffer);
    while ((status = batch_scanner_next(&scanner, &ret->header, &ret->position, NULL)) > 0) {
        if (ret->header.last_offset >= offset) {
            return 1;
        }
    }
    return status;
}

int segment_read_end(const struct log_segment *segment, int64_t *ret_next_offset, int64_t *ret_end_position) {
    int64_t start = segment->offset_index.entries > 0 ? segment->offset_index.last.value : 0;
    uint8_t buffer[SCAN_HEADERS_SIZE];
    struct batch_scanner scanner = batch_scanner_of_headers(segment->file, start, segment->size, buffer, sizeof buffer);
    struct record_batch header;
    int64_t position;
    int status;
    *ret_next_offset = segment->base_offset;
    *ret_end_position = start;
    while ((status = batch_scanner_next(&scanner, &header, &position, NULL)) > 0) {
        *ret_next_offset = header.last_offset + 1;
        *ret_end_position = position + header.size;
    }
    return status;
}

/* After a truncation: the greatest timestamp is the last index entry's or in a batch behind it. */
static int reload_max_timestamp(struct log_segment *segment) {
    segment->max_timestamp = segment->time_index.entries > 0 ? segment->time_index.last.key : -1;
    segment->max_timestamp_offset = segment->time_index.entries > 0 ? segment->time_index.last.value : -1;
    if (segment->size == 0) {
        return 0;
    }
    int64_t start;
    int status = scan_start(segment, MAX(segment->max_timestamp_offset, segment->base_offset), &start);
    if (status != 0) {
        return status;
    }
    uint8_t buffer[SCAN_HEADERS_SIZE];
    struct batch_scanner scanner = batch_scanner_of_headers(segment->file, start, segment->size, buffer, sizeof buffer);
    struct record_batch header;
    int64_t position;
    while ((status = batch_scanner_next(&scanner, &header, &position, NULL)) > 0) {
        if (header.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = header.max_timestamp;
            segment->max_timestamp_offset = header.last_offset;
        }
    }
    return status;
}

int segment_truncate(struct log_segment *segment, int64_t offset, int64_t wall_ms) {
    struct batch_position first_gone;
    int found = segment_find(segment, offset, &first_gone);
    if (found < 0) {
        return found;
    }
    int error = segment_index_truncate(&segment->offset_index, segment->place, offset);
    if (error == 0) {
        error = segment_index_truncate(&segment->time_index, segment->place, offset);
    }
    if (error == 0 && found == 1) {
        error = disk_truncate(segment->file, first_gone.position);
        segment->size = first_gone.position;
        segment->is_preallocated = false;
        segment->is_synced = false;
        if (error == 0) {
            /* Durable before anything is appended in its place: else, after a power cut, batches that were cut off
             * could stand again where others were acknowledged, and the epoch cache would vouch for them. */
            error = disk_sync(segment->file);
        }
    }
    if (error != 0) {
        return error;
    }
    if (segment->size == 0) {
        segment->created_ms = wall_ms;
        segment->first_timestamp_known = false;
    }
    segment->bytes_since_index_entry = 0;
    return reload_max_timestamp(segment);
}

int64_t segment_retention_timestamp(const struct log_segment *segment) {
    if (segment->max_timestamp >= 0) {
        return segment->max_timestamp;
    }
    const struct disk_ops *ops = segment->place->disk->ops;
    int64_t modified_ms = ops->modified_ms != NULL ? ops->modified_ms(segment->file) : -1;
    return modified_ms >= 0 ? modified_ms : segment->created_ms;
}

static int recover_batch(struct log_segment *segment, const struct log_config *config,
                         const struct record_batch *header, struct slice bytes, int64_t position,
                         segment_batch_callback *on_batch, void *context) {
    if (!record_batch_crc_is_valid(bytes, header) || header->last_offset < segment->base_offset ||
        header->last_offset < header->base_offset || header->last_offset - segment->base_offset > INT32_MAX) {
        return ERR_CORRUPT;
    }
    int error = segment_note_batch(segment, header, position, config->index_interval_bytes);
    return error != 0 || on_batch == NULL ? error : on_batch(context, header, bytes);
}

/* Nothing in it and nothing in its indexes: most partitions of a large cluster. */
static bool is_blank(const struct log_segment *segment) {
    const struct segment_index *offsets = &segment->offset_index;
    const struct segment_index *times = &segment->time_index;
    return segment->size == 0 && offsets->is_loaded && offsets->file_size == 0 && times->is_loaded &&
           times->file_size == 0;
}

int64_t segment_recover(struct log_segment *segment, const struct log_config *config, segment_batch_callback *on_batch,
                        void *context) {
    segment->is_synced = false;
    segment->is_recovered = true;
    if (is_blank(segment)) {
        return 0;
    }
    int error = segment_index_reset(&segment->offset_index, segment->place, config->segment_index_bytes);
    if (error == 0) {
        error = segment_index_reset(&segment->time_index, segment->place, config->segment_index_bytes);
    }
    if (error != 0) {
        return error;
    }
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = -1;
    segment->first_timestamp_known = false;
    segment->bytes_since_index_entry = 0;
    struct byte_buffer buffer = {0};
    struct batch_scanner scanner = batch_scanner_of_batches(segment->file, 0, segment->size, &buffer);
    struct record_batch header;
    struct slice bytes = {0};
    int64_t position = 0;
    int64_t valid = 0;
    int64_t next_offset = segment->base_offset;
    int status;
    while ((status = batch_scanner_next(&scanner, &header, &position, &bytes)) > 0) {
        /* Offsets that go back are as corrupt as bytes that do not check. */
        status = header.last_offset < next_offset
                     ? ERR_CORRUPT
                     : recover_batch(segment, config, &header, bytes, position, on_batch, context);
        if (status != 0) {
            break;
        }
        next_offset = header.last_offset + 1;
        valid = position + header.size;
    }
    byte_buffer_deinit(&buffer);
    if (status != 0 && status != ERR_CORRUPT) {
        return status;
    }
    int64_t cut = segment->size - valid;
    if (cut > 0) {
        error = disk_truncate(segment->file, valid);
        segment->size = valid;
    }
    segment->bytes_since_index_entry = 0;
    if (error == 0) {
        error = segment_deactivate(segment);
    }
    return error != 0 ? error : cut;
}

int segment_move_files(const struct log_place *from_place, const struct log_place *to_place, int64_t base_offset) {
    char from[LOG_PATH_SIZE];
    char to[LOG_PATH_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(segment_suffixes); i++) {
        path_of_offset(from, from_place, base_offset, segment_suffixes[i]);
        path_of_offset(to, to_place, base_offset, segment_suffixes[i]);
        int error = from_place->disk->ops->rename(from_place->disk, from, to);
        if (error != 0 && error != ERR_NOT_FOUND) {
            return error;
        }
    }
    return 0;
}
