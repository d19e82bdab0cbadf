/* kafka-dump-log on a .log file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/dump.h"
#include "tools/internal_records.h"

#define FLAG_TRANSACTIONAL 0x10U
#define FLAG_CONTROL 0x20U
#define FLAG_DELETE_HORIZON 0x40U
#define CODEC_MASK 7U

enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
};

static const char *const control_names[] = {"ABORT",           "COMMIT",        "LEADER_CHANGE", "SNAPSHOT_HEADER",
                                            "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"};

/* Where the walk over one segment is. */
struct segment {
    struct dump *dump;
    const struct dump_batch *batch;
    char *path;
    int64_t last_offset; /* of the record before, -1 at the beginning */
    struct failure *failure;
};

static const char *yes_no(bool value) {
    return value ? "true" : "false";
}

static void print_batch(const struct dump_batch *batch) {
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    uint32_t codec = batch->attributes & CODEC_MASK;
    if (batch->magic >= 2) {
        int32_t last_delta = (int32_t)(batch->last_offset - batch->base_offset);
        int32_t last_sequence = batch->base_sequence < 0
                                    ? -1
                                    : (int32_t)(((uint32_t)batch->base_sequence + (uint32_t)last_delta) & 0x7fffffffU);
        printf("baseOffset: %" PRId64 " lastOffset: %" PRId64 " count: %d baseSequence: %d lastSequence: %d "
               "producerId: %" PRId64 " producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %s isControl: %s "
               "deleteHorizonMs: ",
               batch->base_offset, batch->last_offset, batch->count, batch->base_sequence, last_sequence,
               batch->producer_id, batch->producer_epoch, batch->leader_epoch,
               yes_no((batch->attributes & FLAG_TRANSACTIONAL) != 0), yes_no((batch->attributes & FLAG_CONTROL) != 0));
        if ((batch->attributes & FLAG_DELETE_HORIZON) != 0) {
            printf("OptionalLong[%" PRId64 "]", batch->base_timestamp);
        } else {
            fputs("OptionalLong.empty", stdout);
        }
    } else {
        printf("offset: %" PRId64, batch->last_offset);
    }
    printf(" position: %" PRId64 " %s: %" PRId64 " size: %d magic: %d compresscodec: %s crc: %" PRIu32 " isvalid: %s\n",
           batch->position, dump_timestamp_type(batch), batch->max_timestamp, batch->size, batch->magic,
           codec < ARRAY_SIZE(codecs) ? codecs[codec] : "unknown", batch->crc, yes_no(batch->is_valid));
}

static void print_metadata(const struct segment *segment, const struct dump_record *record) {
    printf("| offset: %" PRId64 " %s: %" PRId64 " keySize: %d valueSize: %d", record->offset,
           dump_timestamp_type(segment->batch), record->timestamp, record->key.size, record->value.size);
    if (segment->batch->magic < 2) {
        printf(" isValid: %s crc: %" PRIu32 "}", yes_no(record->is_valid), record->crc);
        return;
    }
    printf(" sequence: %d headerKeys: [", record->sequence);
    struct reader r = record->headers;
    for (int32_t i = 0; i < record->header_count && !r.failed; i++) {
        int32_t key_size = reader_varint(&r);
        const uint8_t *key = reader_take(&r, (size_t)MAX(key_size, 0));
        int32_t value_size = reader_varint(&r);
        reader_take(&r, (size_t)MAX(value_size, 0));
        printf("%s%.*s", i > 0 ? "," : "", key == NULL ? 0 : key_size, key == NULL ? "" : (const char *)key);
    }
    putchar(']');
}

static void print_control(const struct dump_record *record) {
    int16_t type = record->key.size >= 4 ? load_i16(record->key.data + 2) : -1;
    switch (type) {
    case CONTROL_ABORT:
    case CONTROL_COMMIT:
        printf(" endTxnMarker: %s coordinatorEpoch: %d", control_names[type],
               record->value.size >= 6 ? load_i32(record->value.data + 2) : -1);
        break;
    default:
        printf(" controlType: %s(%d)", type >= 0 && type <= CONTROL_KRAFT_VOTERS ? control_names[type] : "UNKNOWN",
               type);
        break;
    }
}

/* A number that is too short ends the run, as in Kafka. */
static int decode(enum dump_decoder decoder, struct slice bytes, char **ret_text, struct failure *failure) {
    if ((decoder == DUMP_INTEGER && bytes.size < 4) || (decoder == DUMP_LONG && bytes.size < 8)) {
        return failure_set(failure, "java.nio.BufferUnderflowException", "%s", "");
    }
    *ret_text = decoder == DUMP_INTEGER ? xasprintf("%d", load_i32(bytes.data))
                : decoder == DUMP_LONG  ? xasprintf("%" PRId64, load_i64(bytes.data))
                                        : NULL;
    return 0;
}

static void print_decoded(const char *text, struct slice bytes) {
    if (text != NULL) {
        fputs(text, stdout);
    } else {
        fwrite(bytes.data, 1, (size_t)bytes.size, stdout);
    }
}

static int print_plain(const struct dump *dump, const struct dump_record *record, const char *prefix,
                       struct failure *failure) {
    char *key = NULL;
    char *value = NULL;
    int error = record->key.size < 0 ? 0 : decode(dump->key_decoder, record->key, &key, failure);
    if (error == 0 && record->value.size >= 0) {
        error = decode(dump->value_decoder, record->value, &value, failure);
    }
    if (error == 0 && record->key.size >= 0) {
        printf("%skey: ", prefix);
        print_decoded(key, record->key);
    }
    if (error == 0 && record->value.size >= 0) {
        fputs(" payload: ", stdout);
        print_decoded(value, record->value);
    }
    free(key);
    free(value);
    return error;
}

/* Records of a KRaft quorum and of tiered storage, neither of which a ZooKeeper cluster has, stand in a frame of a
 * version. What is in no frame is told apart as Kafka does; what is in one is not read here. */
static char *describe_frame(const struct dump_record *record) {
    struct reader r = reader_of(record->value.data, (size_t)MAX(record->value.size, 0));
    int64_t version = reader_uvarint(&r);
    if (r.failed) {
        return xstrdup("Error while reading frame version");
    }
    return version != 1
               ? xasprintf("Could not deserialize metadata record due to unknown frame version %lld(only frame "
                           "version 1 is supported)",
                           (long long)version)
               : xstrdup("Neither a metadata log nor tiered storage exists in ZooKeeper mode: its records are "
                         "not read");
}

static int print_internal(const struct dump *dump, const struct dump_record *record, const char *prefix,
                          struct failure *failure) {
    char *key = NULL;
    char *value = NULL;
    if (dump->topic == DUMP_OFFSETS_TOPIC) {
        if (record->key.size < 0) {
            return failure_set(failure, "java.lang.RuntimeException",
                               "Failed to decode message at offset %lld using offset topic decoder (message had a "
                               "missing key)",
                               (long long)record->offset);
        }
        internal_describe_offsets(record->key, record->value, record->offset, &key, &value);
    } else if (dump->topic == DUMP_TRANSACTIONS_TOPIC) {
        if (record->key.size < 0) {
            return failure_set(failure, "java.lang.NullPointerException",
                               "Cannot invoke \"java.nio.ByteBuffer.getShort()\" because \"buffer\" is null");
        }
        internal_describe_transaction(record->key, record->value, &key, &value);
    } else {
        char *text = describe_frame(record);
        value = xasprintf("Error at %s%lld, skipping. %s", dump->topic == DUMP_REMOTE_LOG_METADATA ? "offset " : "",
                          (long long)record->offset, text);
        free(text);
    }
    if (key != NULL) {
        printf("%skey: %s", prefix, key);
    }
    if (value != NULL) {
        printf(" payload: %s", value);
    }
    free(key);
    free(value);
    return 0;
}

static int print_record(void *context, const struct dump_record *record) {
    struct segment *segment = context;
    const struct dump *dump = segment->dump;
    if (segment->last_offset != -1 && record->offset != segment->last_offset + 1) {
        dump_remark(segment->dump, DUMP_OFFSET_GAP, segment->path, segment->last_offset, record->offset);
    }
    segment->last_offset = record->offset;
    bool is_control = segment->batch->magic >= 2 && (segment->batch->attributes & FLAG_CONTROL) != 0;
    if (!dump->skip_metadata) {
        print_metadata(segment, record);
        if (is_control) {
            print_control(record);
        }
    }
    int error = 0;
    if (dump->print_data && !is_control) {
        const char *prefix = dump->skip_metadata ? "| " : " ";
        error = dump->topic == DUMP_ANY_TOPIC ? print_plain(dump, record, prefix, segment->failure)
                                              : print_internal(dump, record, prefix, segment->failure);
    }
    if (error == 0) {
        putchar('\n');
    }
    return error;
}

int dump_log(struct dump *dump, const char *name, const char *path, int64_t start_offset, struct failure *failure) {
    if (start_offset >= 0) {
        printf("Log starting offset: %" PRId64 "\n", start_offset);
    }
    struct dump_reader reader;
    int error = dump_reader_open(&reader, name, 0, dump->max_bytes, failure);
    if (error != 0) {
        return error;
    }
    if (dump->max_bytes < 0) {
        failure_set(failure, "java.lang.IllegalArgumentException",
                    "Invalid size: %d in read from FileRecords(size=%lld, file=%s, start=0, end=2147483647)",
                    dump->max_bytes, (long long)reader.file_size, name);
        dump_reader_close(&reader);
        return ERR_INVALID;
    }
    struct dump_batch batch;
    struct segment segment = {dump, &batch, dump_absolute_path(path), -1, failure};
    int found;
    while ((found = dump_reader_next(&reader, &batch, failure)) == 1) {
        print_batch(&batch);
        if (dump->deep) {
            found = dump_records(&batch, print_record, &segment, failure);
            if (found != 0) {
                break;
            }
        }
    }
    if (found == 0 && reader.position < reader.end && dump->max_bytes == INT32_MAX) {
        const char *slash = strrchr(name, '/');
        printf("Found %" PRId64 " invalid bytes at the end of %s\n", reader.end - reader.position,
               slash == NULL ? name : slash + 1);
    }
    free(segment.path);
    dump_reader_close(&reader);
    return found < 0 ? found : 0;
}
