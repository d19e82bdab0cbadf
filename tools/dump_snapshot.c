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
    if (r->failed) {
        return;
    }
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
    uint32_t computed =
        size < SNAPSHOT_CHECKED_FROM ? 0 : crc32c(0, data + SNAPSHOT_CHECKED_FROM, size - SNAPSHOT_CHECKED_FROM);
    if (r.failed) {
        fprintf(stderr, "Snapshot failed schema validation: the file has only %zu bytes\n", size);
    } else if (version != SNAPSHOT_VERSION) {
        fprintf(stderr, "Snapshot contained an unknown file version %d\n", version);
    } else if (stored != computed) {
        fprintf(stderr,
                "Snapshot is corrupt (CRC is no longer valid). Stored crc: %" PRIu32 ". Computed crc: %" PRIu32 "\n",
                stored, computed);
    } else {
        int32_t count = reader_i32(&r);
        for (int32_t i = 0; i < count && !r.failed; i++) {
            print_entry(&r);
        }
        if (r.failed) {
            fprintf(stderr, "Snapshot failed schema validation: the file ends within its entries\n");
        }
    }
    free(data);
    return 0;
}
