/* kafka-dump-log on a producer snapshot. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/base/errors.h"
#include "tools/dump.h"
#include "tools/property_list.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_CHECKED_FROM 6 /* version and checksum are not under the checksum */

static void print_entry(struct reader *r) {
    int64_t producer_id = reader_i64(r);
    int16_t producer_epoch = reader_i16(r);
    int32_t last_sequence = reader_i32(r);
    int64_t last_offset = reader_i64(r);
    int32_t offset_delta = reader_i32(r);
    int64_t timestamp = reader_i64(r);
    int32_t coordinator_epoch = reader_i32(r);
    int64_t transaction_offset = reader_i64(r);
    printf("producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: ", producer_id,
           producer_epoch, coordinator_epoch);
    if (transaction_offset >= 0) {
        printf("OptionalLong[%" PRId64 "]", transaction_offset);
    } else {
        fputs("OptionalLong.empty", stdout);
    }
    printf(" lastTimestamp: %" PRId64 " ", timestamp);
    if (last_offset >= 0) {
        /* Sequences wrap from the largest int32 to 0. */
        int32_t first_sequence = (int32_t)(((uint32_t)last_sequence - (uint32_t)offset_delta) & 0x7fffffffU);
        printf("firstSequence: %d lastSequence: %d lastOffset: %" PRId64 " offsetDelta: %d timestamp: %" PRId64,
               first_sequence, last_sequence, last_offset, offset_delta, timestamp);
    }
    putchar('\n');
}

static int fail_schema(const char *field, const char *inner) {
    fprintf(stderr, "Snapshot failed schema validation: Error reading field '%s': ", field);
    if (inner != NULL) {
        fprintf(stderr, "Error reading field '%s': ", inner);
    }
    fputs("java.nio.BufferUnderflowException\n", stderr);
    return ERR_CORRUPT;
}

/* Whether the file holds what its fields promise, told as Kafka tells it. */
static int check_schema(size_t size, const uint8_t *data) {
    static const struct {
        const char *name;
        size_t size;
    } fields[] = {{"producer_id", 8},  {"epoch", 2},     {"last_sequence", 4},     {"last_offset", 8},
                  {"offset_delta", 4}, {"timestamp", 8}, {"coordinator_epoch", 4}, {"current_txn_first_offset", 8}};
    if (size < 10) {
        return fail_schema(size < 2 ? "version" : size < 6 ? "crc" : "producer_entries", NULL);
    }
    int32_t count = load_i32(data + SNAPSHOT_CHECKED_FROM);
    size_t left = size - 10;
    if (count < 0 || (size_t)count > left) {
        fputs("Snapshot failed schema validation: Error reading field 'producer_entries': ", stderr);
        fprintf(stderr,
                count < 0 ? "Array size %d cannot be negative\n"
                          : "Error reading array of size %d, only %zu bytes available\n",
                count, left);
        return ERR_CORRUPT;
    }
    for (int32_t i = 0; i < count; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(fields); k++) {
            if (left < fields[k].size) {
                return fail_schema("producer_entries", fields[k].name);
            }
            left -= fields[k].size;
        }
    }
    return 0;
}

/* A corrupt snapshot is told on stderr and is no failure of the tool. */
int dump_snapshot(const char *path, struct failure *failure) {
    size_t size;
    uint8_t *data = (uint8_t *)file_read_all(path, &size);
    if (data == NULL) {
        return failure_set(failure, errno == ENOENT ? "java.nio.file.NoSuchFileException" : "java.io.IOException", "%s",
                           path);
    }
    struct reader r = reader_of(data, size);
    int16_t version = reader_i16(&r);
    uint32_t stored = reader_u32(&r);
    if (check_schema(size, data) != 0) {
        free(data);
        return 0;
    }
    uint32_t computed = crc32c(0, data + SNAPSHOT_CHECKED_FROM, size - SNAPSHOT_CHECKED_FROM);
    if (version != SNAPSHOT_VERSION) {
        fprintf(stderr, "Snapshot contained an unknown file version %d\n", version);
    } else if (stored != computed) {
        fprintf(stderr,
                "Snapshot is corrupt (CRC is no longer valid). Stored crc: %" PRIu32 ". Computed crc: %" PRIu32 "\n",
                stored, computed);
    } else {
        int32_t count = reader_i32(&r);
        for (int32_t i = 0; i < count; i++) {
            print_entry(&r);
        }
    }
    free(data);
    return 0;
}
