/* Appending: what a client sent, checked and given its offsets; what a leader sent, as it is. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_internal.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/message_set.h"

/* First Produce version that carries magic 2 only, and the first that may carry zstd. */
#define PRODUCE_VERSION_MAGIC_2 3
#define PRODUCE_VERSION_ZSTD 7

struct append {
    struct log *log;
    uint8_t *data; /* the batch as it will be written */
    struct record_batch header;
    enum log_append_origin origin;
    int32_t leader_epoch;
    int16_t request_version;
    int64_t wall_ms;
    struct end_transaction_marker marker;
    bool has_marker;
    struct log_append_info *info;
};

static bool refuse(struct append *append, int16_t error_code, const char *message) {
    append->info->error_code = error_code;
    append->info->error_message = message;
    return false;
}

static struct slice append_bytes(const struct append *append) {
    return (struct slice){append->data, append->header.size};
}

/* A second batch is an error; a piece of one is cut off silently, as Kafka does. */
static bool check_rest(struct append *append, struct slice records) {
    struct record_batch next;
    int32_t left = records.size - append->header.size;
    int error = left >= BATCH_OVERHEAD ? record_batch_decode(records.data + append->header.size, (size_t)left, &next)
                                       : ERR_OUT_OF_RANGE;
    if (error == ERR_CORRUPT) {
        return refuse(append, KAFKA_CORRUPT_MESSAGE, "Invalid record batch");
    }
    if (error == 0 && next.size <= left) {
        return refuse(append, KAFKA_INVALID_RECORD,
                      "Produce requests must have exactly one record batch per partition");
    }
    return true;
}

/* Finds the one batch of a request and checks what its header and checksum say. */
static bool check_batch(struct append *append, struct slice records) {
    const struct log_config *config = &append->log->config;
    bool is_client = append->origin == LOG_ORIGIN_CLIENT;
    struct record_batch *header = &append->header;
    int error = record_batch_decode(records.data, (size_t)records.size, header);
    if (error == ERR_CORRUPT && is_client && load_i64(records.data) < 0 &&
        load_i32(records.data + BATCH_AT_LENGTH) >= BATCH_HEADER_SIZE - BATCH_OVERHEAD) {
        return refuse(append, KAFKA_INVALID_RECORD, "The baseOffset of the record batch should be 0");
    }
    if (error == ERR_CORRUPT) {
        return refuse(append, KAFKA_CORRUPT_MESSAGE, "Invalid record batch");
    }
    if (error != 0 || header->size > records.size) {
        return refuse(append, KAFKA_INVALID_RECORD,
                      "Produce requests must have exactly one record batch per partition");
    }
    if (!check_rest(append, records)) {
        return false;
    }
    append->data = (uint8_t *)(uintptr_t)records.data;
    if (header->codec == CODEC_ZSTD && append->request_version < PRODUCE_VERSION_ZSTD) {
        return refuse(append, KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
                      "Produce requests before version 7 are not allowed to use ZStandard compression");
    }
    if (is_client && header->base_offset != 0) {
        return refuse(append, KAFKA_INVALID_RECORD, "The baseOffset of the record batch should be 0");
    }
    if (header->size > config->max_message_bytes) {
        return refuse(append, KAFKA_MESSAGE_TOO_LARGE,
                      "The record batch exceeds the maximum configured size (max.message.bytes)");
    }
    if (!record_batch_crc_is_valid(append_bytes(append), header)) {
        return refuse(append, KAFKA_CORRUPT_MESSAGE, "Record is corrupt (the checksum does not match)");
    }
    return true;
}

/* Message sets of old clients become one batch, which then goes the way of all others. */
static bool convert_old_format(struct append *append, struct slice *records) {
    struct log *log = append->log;
    if (append->request_version >= PRODUCE_VERSION_MAGIC_2) {
        return refuse(append, KAFKA_INVALID_RECORD,
                      "Produce requests from version 3 on are only allowed to contain record batches with magic 2");
    }
    struct message_set_verdict verdict;
    message_set_up_convert(*records, log->config.max_message_bytes, log->workspace, &verdict);
    if (verdict.error_code != 0) {
        return refuse(append, verdict.error_code, verdict.message);
    }
    *records = (struct slice){log->workspace->converted.data, (int32_t)log->workspace->converted.size};
    return true;
}

static bool check_records(struct append *append, struct record_verdict *verdict) {
    const struct log_config *config = &append->log->config;
    struct record_rules rules = {.wall_ms = append->wall_ms,
                                 .timestamp_before_max_ms = config->message_timestamp_before_max_ms,
                                 .timestamp_after_max_ms = config->message_timestamp_after_max_ms,
                                 .is_compacted = config->compact,
                                 .log_append_time = config->log_append_time,
                                 .from_client = append->origin == LOG_ORIGIN_CLIENT};
    record_batch_validate(append_bytes(append), &append->header, &rules, append->log->workspace, verdict);
    if (verdict->error_code == 0) {
        return true;
    }
    append->info->record_error_index = verdict->record_index;
    append->info->record_error_message = verdict->record_message;
    return refuse(append, verdict->error_code, verdict->message);
}

/* Builds the batch anew where the topic wants another codec or the client numbered its records oddly. */
static bool recode(struct append *append, const struct record_verdict *verdict) {
    struct log *log = append->log;
    struct record_batch *header = &append->header;
    enum compression_codec codec = log->config.compression_type < 0 || record_batch_is_control(header)
                                       ? (enum compression_codec)header->codec
                                       : (enum compression_codec)log->config.compression_type;
    if (codec == header->codec && !verdict->has_foreign_offsets) {
        return true;
    }
    struct byte_buffer *converted = &log->workspace->converted;
    struct byte_buffer source = {0};
    struct slice bytes = append_bytes(append);
    if (append->data == converted->data) {
        /* An up-converted message set lies where the result goes: move it aside. */
        byte_buffer_append(&source, append->data, (size_t)header->size);
        bytes.data = source.data;
    }
    int error = record_batch_recode(bytes, header, codec, verdict->has_foreign_offsets, log->workspace);
    byte_buffer_deinit(&source);
    if (error != 0 || converted->size > (size_t)log->config.max_message_bytes) {
        return refuse(append, KAFKA_MESSAGE_TOO_LARGE,
                      "The record batch exceeds the maximum configured size (max.message.bytes)");
    }
    append->data = converted->data;
    CHECK(record_batch_decode(append->data, converted->size, header) == 0);
    return true;
}

/* Timestamp type and greatest timestamp as the topic's settings and the records say. The checksum covers both. */
static void settle_timestamps(struct append *append, int64_t max_timestamp) {
    struct record_batch *header = &append->header;
    bool append_time = append->log->config.log_append_time;
    if (append_time) {
        max_timestamp = append->wall_ms;
        append->info->log_append_time_ms = append->wall_ms;
    }
    bool is_append_time = (header->attributes & BATCH_LOG_APPEND_TIME) != 0;
    if (is_append_time == append_time && header->max_timestamp == max_timestamp) {
        return;
    }
    unsigned known = BATCH_CODEC_MASK | BATCH_TRANSACTIONAL | BATCH_CONTROL | BATCH_DELETE_HORIZON;
    header->attributes = (uint16_t)((header->attributes & known) | (append_time ? BATCH_LOG_APPEND_TIME : 0U));
    header->max_timestamp = max_timestamp;
    store_u16(append->data + BATCH_AT_ATTRIBUTES, header->attributes);
    store_i64(append->data + BATCH_AT_MAX_TIMESTAMP, max_timestamp);
    record_batch_update_crc(append->data, header->size);
}

static bool check_producer(struct append *append) {
    struct producer_verdict verdict;
    const struct record_batch *header = &append->header;
    if (header->producer_id < 0) {
        return true;
    }
    append->has_marker = record_batch_marker(append_bytes(append), header, &append->marker) == 0;
    producer_state_check(&append->log->producers, header, append->has_marker ? &append->marker : NULL, append->origin,
                         &verdict);
    if (verdict.is_duplicate) {
        append->info->is_duplicate = true;
        append->info->first_offset = verdict.duplicate_first_offset;
        append->info->last_offset = verdict.duplicate_last_offset;
        append->info->log_append_time_ms = verdict.duplicate_timestamp;
        return false;
    }
    return verdict.error_code == 0 || refuse(append, verdict.error_code, verdict.message);
}

static void tail_push(struct log *log, const struct record_batch *header, int64_t position) {
    log->tail[log->tail_next] = (struct log_tail_batch){
        .base_offset = header->base_offset, .last_offset = header->last_offset, .position = position};
    log->tail_next = (log->tail_next + 1) % LOG_TAIL_MAX;
    log->tail_count = MIN(log->tail_count + 1, LOG_TAIL_MAX);
}

/* Everything that follows from a batch that is now in the active segment's file. */
static int note_appended(struct log *log, struct log_segment *segment, const struct record_batch *header,
                         struct slice bytes) {
    int64_t position = segment->size;
    int error = segment_note_batch(segment, header, position, log->config.index_interval_bytes);
    tail_push(log, header, position);
    segment->size += header->size;
#ifdef MUTANT_M14 /* an index error leaves the log end where it was (KAFKA-7866) */
    if (error != 0) {
        return 0;
    }
#endif
    log->end_offset = header->last_offset + 1;
    if (error == 0) {
        error = log_apply_to_producers(log, segment, header, bytes);
    }
    return error;
}

/* Batches that lie one behind the other, and the header of the first. */
struct run {
    struct slice bytes;
    struct record_batch first;
};

/* One write for a run of batches that goes into the active segment. */
static int write_run(struct log *log, const struct run *batches) {
    struct slice run = batches->bytes;
    struct record_batch header = batches->first;
    if (run.size == 0) {
        return 0;
    }
    struct log_segment *segment = log_active_segment(log);
    segment->is_synced = false;
    int error = segment_activate(segment, &log->config);
    if (error != 0) {
        return error;
    }
    error = disk_write(segment->file, run.data, (size_t)run.size, segment->size);
    if (error != 0) {
        /* The disk is full, most likely: what got through of the batch goes, so that the file ends with a whole one.
         * Best effort; recovery would cut it off as well. */
        disk_truncate(segment->file, segment->size);
        return error;
    }
    for (int32_t at = 0; error == 0 && at < run.size;) {
        CHECK(at == 0 || record_batch_decode(run.data + at, (size_t)(run.size - at), &header) == 0);
        error = note_appended(log, segment, &header, (struct slice){run.data + at, header.size});
        at += header.size;
    }
    return error;
}

/* An empty segment is as good as a new one, unless the offsets are too far from its base. */
static int should_roll(struct log *log, int64_t bytes, const struct record_batch *header, int64_t wall_ms,
                       bool *ret_roll) {
    struct log_segment *segment = log_active_segment(log);
    int error = segment_activate(segment, &log->config); /* only then it is known whether its indexes are full */
    if (error == 0) {
        error = segment_should_roll(segment, &log->config, bytes, header->last_offset, header->max_timestamp, wall_ms,
                                    ret_roll);
    }
    *ret_roll =
        error == 0 && *ret_roll && (segment->size > 0 || header->last_offset - segment->base_offset > INT32_MAX);
    return error;
}

/* Writes what was gathered; the next run begins with this batch. */
static int begin_run(struct log *log, struct run *run, const uint8_t *data, const struct record_batch *first) {
    int error = write_run(log, run);
    *run = (struct run){{data, 0}, *first};
    return error;
}

/* Writes batches that are known to be good and in order, rolling where a segment is full: a follower's segments then
 * break where the leader's did, however many batches one fetch brings. `first` is the header of the first. */
static int write_batches(struct log *log, struct slice bytes, const struct record_batch *first, int64_t wall_ms) {
    struct run run = {{bytes.data, 0}, *first};
    struct record_batch header = *first;
    int error = epoch_cache_settle_cut(&log->epochs);
    for (int32_t at = 0; error == 0 && at < bytes.size;) {
        CHECK(at == 0 || record_batch_decode(bytes.data + at, (size_t)(bytes.size - at), &header) == 0);
        if (run.bytes.size > 0 && log_active_segment(log)->size == 0) {
            /* Rolling by time goes by the segment's first batch, so that one must be there. */
            error = begin_run(log, &run, bytes.data + at, &header);
        }
        bool roll = false;
        if (error == 0) {
            error = should_roll(log, (int64_t)run.bytes.size + header.size, &header, wall_ms, &roll);
        }
        if (error == 0 && roll) {
            error = begin_run(log, &run, bytes.data + at, &header);
        }
        if (error == 0 && roll) {
            error = log_roll_at(log, header.base_offset);
        }
        run.bytes.size += header.size;
        at += header.size;
    }
    if (error == 0) {
        error = write_run(log, &run);
    }
    if (error == 0 && log->end_offset - log->recovery_point >= log->config.flush_messages) {
        error = log_flush(log);
    }
    return error;
}

static int assign_and_write(struct append *append) {
    struct log *log = append->log;
    struct record_batch *header = &append->header;
    int64_t delta = header->last_offset - header->base_offset;
    header->base_offset = log->end_offset;
    header->last_offset = log->end_offset + delta;
    header->leader_epoch = append->leader_epoch;
    store_i64(append->data + BATCH_AT_BASE_OFFSET, header->base_offset);
    store_i32(append->data + BATCH_AT_LEADER_EPOCH, append->leader_epoch);
    int error = append->leader_epoch >= 0 ? log_note_epoch(log, append->leader_epoch, log->end_offset) : 0;
    if (error == 0) {
        error = write_batches(log, append_bytes(append), header, append->wall_ms);
    }
    if (error == 0) {
        append->info->first_offset = header->base_offset;
        append->info->last_offset = header->last_offset;
    }
    return log_fence(log, error);
}

static void info_init(struct log *log, struct log_append_info *info) {
    *info = (struct log_append_info){.record_error_index = -1,
                                     .first_offset = -1,
                                     .last_offset = -1,
                                     .log_append_time_ms = -1,
                                     .log_start_offset = log->start_offset};
}

int log_append_as_leader(struct log *log, struct slice records, int32_t leader_epoch, enum log_append_origin origin,
                         int16_t request_version, int64_t wall_ms, struct log_append_info *ret_info) {
    info_init(log, ret_info);
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    struct append append = {.log = log,
                            .origin = origin,
                            .leader_epoch = leader_epoch,
                            .request_version = request_version,
                            .wall_ms = wall_ms,
                            .info = ret_info};
    struct record_verdict verdict;
    if (records.data == NULL || records.size <= BATCH_AT_MAGIC) {
        refuse(&append, KAFKA_INVALID_RECORD, "Produce requests must have exactly one record batch per partition");
        return 0;
    }
    int8_t magic = (int8_t)records.data[BATCH_AT_MAGIC];
    bool is_old = magic == 0 || magic == 1;
    if ((is_old && !convert_old_format(&append, &records)) || !check_batch(&append, records) ||
        !check_records(&append, &verdict) || !recode(&append, &verdict)) {
        return 0;
    }
    if (append.header.size > log->config.segment_bytes) {
        refuse(&append, KAFKA_RECORD_LIST_TOO_LARGE, "The record batch is larger than the segment size");
        return 0;
    }
    settle_timestamps(&append, verdict.max_timestamp);
    if (!check_producer(&append)) {
        return 0;
    }
    return assign_and_write(&append);
}

/* What a leader sent, up to a last batch that was cut short. */
struct fetched {
    int32_t size;
    struct record_batch first;
    int64_t last_offset;
    int32_t latest_epoch; /* of any batch */
};

static int check_fetched(const struct log *log, struct slice records, struct fetched *ret) {
    *ret = (struct fetched){.first = {.base_offset = -1}, .last_offset = log->end_offset - 1, .latest_epoch = -1};
    while (ret->size < records.size) {
        struct record_batch header;
        struct slice rest = {records.data + ret->size, records.size - ret->size};
        int error = record_batch_decode(rest.data, (size_t)rest.size, &header);
        if (error == ERR_OUT_OF_RANGE || (error == 0 && header.size > rest.size)) {
            break;
        }
        if (error != 0 || !record_batch_crc_is_valid(rest, &header)) {
            return ERR_CORRUPT;
        }
        /* Gaps are what compaction leaves; going back is not an order a leader can have. */
        if (header.base_offset <= ret->last_offset || header.last_offset < header.base_offset) {
            return ERR_INVALID;
        }
        ret->first = ret->size == 0 ? header : ret->first;
        ret->latest_epoch = MAX(ret->latest_epoch, header.leader_epoch);
        ret->last_offset = header.last_offset;
        ret->size += header.size;
    }
    return 0;
}

/* An epoch begins where the batch before it ended. Batches that a leader's cleaner took out between the two may have
 * been of either epoch or of one in between; to let the older one end early sends a replica that has more of it back a
 * little too far, to let it end late would leave it records that nobody else has. */
static int assign_fetched_epochs(struct log *log, struct slice batches) {
    int32_t latest = epoch_cache_latest(&log->epochs);
    int64_t end = log->end_offset;
    for (int32_t at = 0; at < batches.size;) {
        struct record_batch header;
        CHECK(record_batch_decode(batches.data + at, (size_t)(batches.size - at), &header) == 0);
        if (header.leader_epoch > latest) {
            int error = log_note_epoch(log, header.leader_epoch, end);
            if (error != 0) {
                return error;
            }
            latest = header.leader_epoch;
        }
        end = header.last_offset + 1;
        at += header.size;
    }
    return 0;
}

int log_append_as_follower(struct log *log, struct slice records, struct log_append_info *ret_info) {
    info_init(log, ret_info);
    if (log->is_fenced) {
        return ERR_FENCED;
    }
    struct fetched fetched;
    int error = check_fetched(log, records, &fetched);
    if (error != 0 || fetched.size == 0) {
        return error;
    }
    struct slice batches = {records.data, fetched.size};
    if (fetched.latest_epoch > epoch_cache_latest(&log->epochs)) {
        error = assign_fetched_epochs(log, batches);
    }
    if (error == 0) {
        error = write_batches(log, batches, &fetched.first, clock_wall_ms(log->clock));
    }
    ret_info->first_offset = fetched.first.base_offset;
    ret_info->last_offset = fetched.last_offset;
    return log_fence(log, error);
}
