/* See dump_records.h. */
#include "tests/simulation/checkers/dump_records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "tests/simulation/checkers/dump.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/sim_disk.h"

#define HEADER_BYTES 61
#define ATTRIBUTES_AT 21
#define CONTROL_BIT 0x20

static int64_t take_varint(const uint8_t **at) {
    uint64_t bits = 0;
    int shift = 0;
    while (**at & 0x80) {
        bits |= (uint64_t)(*(*at)++ & 0x7f) << shift;
        shift += 7;
    }
    bits |= (uint64_t) * (*at)++ << shift;
    return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

static struct slice take_bytes(const uint8_t **at) {
    int32_t size = (int32_t)take_varint(at);
    struct slice bytes = {*at, size};
    *at += MAX(size, 0);
    return bytes;
}

static void visit_batch(const uint8_t *batch, dump_visitor *visit, void *context) {
    const uint8_t *at = batch + HEADER_BYTES;
    if (load_i16(batch + ATTRIBUTES_AT) & CONTROL_BIT) {
        return;
    }
    for (int32_t i = load_i32(batch + 57); i > 0; i--) {
        int64_t size = take_varint(&at);
        const uint8_t *end = at + size;
        struct dump_record record = {.header_value = SLICE_NULL};
        at++;
        take_varint(&at);
        record.offset = load_i64(batch) + take_varint(&at);
        record.key = take_bytes(&at);
        record.value = take_bytes(&at);
        for (int64_t left = take_varint(&at); left > 0; left--) {
            take_bytes(&at);
            record.header_value = take_bytes(&at);
        }
        visit(context, &record);
        at = end;
    }
}

static void visit_segment(struct slice bytes, dump_visitor *visit, void *context) {
    while (bytes.size >= HEADER_BYTES) {
        int32_t size = load_i32(bytes.data + 8) + 12;
        if (size < HEADER_BYTES || size > bytes.size) {
            return;
        }
        visit_batch(bytes.data, visit, context);
        bytes.data += size;
        bytes.size -= size;
    }
}

bool dump_records(const struct machine *machine, const char *topic, int32_t partition, dump_visitor *visit,
                  void *context) {
    struct dump_files files;
    if (!dump_list(machine, topic, partition, &files)) {
        return false;
    }
    for (int32_t i = 0; i < files.count; i++) {
        char path[DUMP_PATH_BYTES];
        struct slice bytes;
        snprintf(path, sizeof path, "%s/%020" PRId64 ".log", files.directory, files.bases[i]);
        if (sim_disk_peek(machine->disk, path, &bytes)) {
            visit_segment(bytes, visit, context);
        }
    }
    dump_files_free(&files);
    return true;
}
