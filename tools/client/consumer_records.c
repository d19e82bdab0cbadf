/* From fetched bytes to records: checksums, decompression, transactions that were aborted. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/client/consumer_internal.h"

static int compare_aborted(const void *a, const void *b) {
    const struct fetch_response_aborted_transaction *left = a;
    const struct fetch_response_aborted_transaction *right = b;
    return (left->first_offset > right->first_offset) - (left->first_offset < right->first_offset);
}

/* Which producers' records are of an aborted transaction, at the place reached so far (KIP-98). */
struct aborts {
    struct fetch_response_aborted_transaction *coming; /* by first offset */
    int32_t coming_count;
    int32_t at;
    int64_t *producers; /* aborting now */
    int32_t producer_count;
};

static int32_t aborts_find(const struct aborts *aborts, int64_t producer_id) {
    for (int32_t i = 0; i < aborts->producer_count; i++) {
        if (aborts->producers[i] == producer_id) {
            return i;
        }
    }
    return -1;
}

/* Moves to a batch; returns whether its records are to be passed over. */
static bool aborts_cover(struct aborts *aborts, const struct record_batch *header, struct slice batch) {
    while (aborts->at < aborts->coming_count && aborts->coming[aborts->at].first_offset <= header->last_offset) {
        aborts->producers[aborts->producer_count++] = aborts->coming[aborts->at++].producer_id;
    }
    int32_t found = header->producer_id < 0 ? -1 : aborts_find(aborts, header->producer_id);
    struct end_transaction_marker marker;
    if (record_batch_is_control(header)) {
        if (found >= 0 && record_batch_marker(batch, header, &marker) == 0 && !marker.is_commit) {
            aborts->producers[found] = aborts->producers[--aborts->producer_count];
        }
        return true;
    }
    return found >= 0 && record_batch_is_transactional(header);
}

static int take_batch(struct consumer *consumer, struct consumer_partition *partition, struct slice batch,
                      const struct record_batch *header, int64_t *ret_count, struct failure *failure) {
    struct slice records = {batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE};
    int error = 0;
    if (header->codec != CODEC_NONE) {
        error = record_batch_unpack(batch, header, consumer->workspace);
        records = (struct slice){consumer->workspace->unpacked.data, (int32_t)consumer->workspace->unpacked.size};
    }
    struct record_iterator iterator;
    if (error == 0) {
        record_iterator_begin_memory(&iterator, records, header->record_count);
    }
    struct record_view view;
    while (error == 0) {
        error = record_iterator_next(&iterator, &view);
        if (error != 1) {
            break;
        }
        error = 0;
        int64_t offset = header->base_offset + view.offset_delta;
        if (offset < partition->offset) {
            continue;
        }
        bool append_time = (header->attributes & BATCH_LOG_APPEND_TIME) != 0;
        int64_t timestamp_ms = append_time ? header->max_timestamp : header->base_timestamp + view.timestamp_delta;
        const struct consumer_record record = {
            .topic = str_from(partition->topic),
            .partition = partition->index,
            .offset = offset,
            .timestamp_ms = timestamp_ms,
            .timestamp_type = append_time ? CONSUMER_LOG_APPEND_TIME : CONSUMER_CREATE_TIME,
            .key = {view.key, view.key_size},
            .value = {view.value, view.value_size},
            .header_count = view.header_count,
            .headers = reader_of(view.headers, (size_t)(view.headers_end - view.headers)),
        };
        partition->offset = offset + 1;
        ++*ret_count;
        int stop = consumer->on_record(consumer->context, &record);
        if (stop != 0) {
            return stop;
        }
    }
    if (error != 0) {
        failure_set(failure, "org.apache.kafka.common.KafkaException",
                    "Received exception when fetching the next record from %s-%d. If needed, please seek past the "
                    "record to continue consumption.",
                    partition->topic, partition->index);
    }
    return error;
}

static int fail_batch(const struct consumer_partition *partition, const struct record_batch *header, const char *cause,
                      struct failure *failure) {
    return failure_set(failure, "org.apache.kafka.common.KafkaException",
                       "Record batch for partition %s-%d at offset %lld is invalid, cause: %s", partition->topic,
                       partition->index, (long long)header->base_offset, cause);
}

int consumer_take_records(struct consumer *consumer, struct consumer_partition *partition,
                          const struct fetch_response_partition_data *data, int64_t *ret_count,
                          struct failure *failure) {
    struct aborts aborts = {
        .coming = data->aborted_transactions,
        .coming_count = consumer->settings.read_committed ? MAX(data->aborted_transactions_count, 0) : 0,
    };
    if (aborts.coming_count > 0) {
        qsort(aborts.coming, (size_t)aborts.coming_count, sizeof *aborts.coming, compare_aborted);
    }
    aborts.producers = ARENA_ARRAY(&consumer->arena, int64_t, aborts.coming_count + 1);
    const uint8_t *at = data->records.data;
    size_t left = data->records.size > 0 ? (size_t)data->records.size : 0;
    while (left > 0) {
        struct record_batch header;
        int error = record_batch_decode(at, left, &header);
        if (error == ERR_OUT_OF_RANGE || (error == 0 && (size_t)header.size > left)) {
            break; /* the answer ends within a batch: the next fetch begins with it */
        }
        if (error != 0) {
            return fail_batch(partition, &(struct record_batch){.base_offset = partition->offset},
                              "the batch's length or format is not valid", failure);
        }
        if (header.magic < 2) {
            return fail_batch(partition, &header, "record formats before version 2 are not supported", failure);
        }
        struct slice batch = {at, header.size};
        if (consumer->settings.check_crcs && !record_batch_crc_is_valid(batch, &header)) {
            return fail_batch(partition, &header, "the checksum does not match", failure);
        }
        if (!aborts_cover(&aborts, &header, batch) && header.last_offset >= partition->offset) {
            error = take_batch(consumer, partition, batch, &header, ret_count, failure);
            if (error != 0) {
                return error;
            }
        }
        partition->offset = MAX(partition->offset, header.last_offset + 1);
        at += header.size;
        left -= (size_t)header.size;
    }
    return 0;
}
