/* See dump.h. */
#include "tests/simulation/checkers/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/sim_disk.h"

#define SEGMENTS_MAX 2048
#define HEADER_BYTES 61

struct listing {
    int64_t *bases;
    int32_t count;
    bool exists;
};

static void on_name(void *context, const char *name) {
    struct listing *listing = context;
    const char *dot = strchr(name, '.');
    listing->exists = true;
    if (dot != NULL && strcmp(dot, ".log") == 0) {
        CHECK(listing->count < SEGMENTS_MAX);
        listing->bases[listing->count++] = strtoll(name, NULL, 10);
    }
}

static int compare_bases(const void *a, const void *b) {
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void read_segment(const struct slice *bytes, int64_t base, struct dump *dump) {
    int64_t next = dump->count == 0 ? base : dump->batches[dump->count - 1].last_offset + 1;
    next = MAX(next, base);
    for (int32_t at = 0; at < bytes->size && dump->problem[0] == '\0';) {
        const uint8_t *batch = bytes->data + at;
        int32_t left = bytes->size - at;
        if (left < HEADER_BYTES || load_i32(batch + 8) + 12 > left || load_i32(batch + 8) < HEADER_BYTES - 12) {
            snprintf(dump->problem, sizeof dump->problem, "bytes that are no batch at %d of segment %" PRId64, at,
                     base);
            return;
        }
        const struct exposed_batch found = {.base_offset = load_i64(batch),
                                            .last_offset = load_i64(batch) + load_i32(batch + 23),
                                            .leader_epoch = load_i32(batch + 12),
                                            .crc = (uint32_t)load_i32(batch + 17)};
        if (crc32c(0, batch + 21, (size_t)load_i32(batch + 8) + 12 - 21) != found.crc) {
            snprintf(dump->problem, sizeof dump->problem, "[%" PRId64 ",%" PRId64 "] does not match its checksum",
                     found.base_offset, found.last_offset);
        }
        if (found.base_offset < next || found.last_offset < found.base_offset) {
            snprintf(dump->problem, sizeof dump->problem, "a batch [%" PRId64 ",%" PRId64 "] where %" PRId64 " is next",
                     found.base_offset, found.last_offset, next);
        }
        if ((dump->count & (dump->count - 1)) == 0) {
            dump->batches = xrealloc(dump->batches, sizeof *dump->batches * (size_t)MAX(1, 2 * dump->count));
        }
        dump->batches[dump->count++] = found;
        next = found.last_offset + 1;
        at += load_i32(batch + 8) + 12;
    }
}

static void read_epochs(const struct slice *bytes, struct dump *dump) {
    char *text = xmalloc((size_t)bytes->size + 1);
    memcpy(text, bytes->data, (size_t)bytes->size);
    text[bytes->size] = '\0';
    char *rest = NULL;
    const char *line = strtok_r(text, "\n", &rest);
    line = line == NULL ? NULL : strtok_r(NULL, "\n", &rest);
    int32_t count = line == NULL ? 0 : atoi(line);
    dump->epochs = xcalloc((size_t)count + 1, sizeof *dump->epochs);
    while (dump->epoch_count < count && (line = strtok_r(NULL, "\n", &rest)) != NULL) {
        sscanf(line, "%d %" SCNd64, &dump->epochs[dump->epoch_count].epoch, &dump->epochs[dump->epoch_count].start);
        dump->epoch_count++;
    }
    dump->has_epochs = true;
    free(text);
}

bool dump_list(const struct machine *machine, const char *topic, int32_t partition, struct dump_files *ret) {
    struct listing listing = {.bases = xcalloc(SEGMENTS_MAX, sizeof(int64_t))};
    *ret = (struct dump_files){.bases = listing.bases};
    for (int32_t i = 0; i < machine->cluster->plan->log_dirs && !listing.exists; i++) {
        snprintf(ret->directory, sizeof ret->directory, "%s/%s-%d", cluster_log_dir(i), topic, partition);
        sim_disk_peek_list(machine->disk, ret->directory, on_name, &listing);
    }
    ret->count = listing.count;
    qsort(ret->bases, (size_t)ret->count, sizeof ret->bases[0], compare_bases);
    if (!listing.exists) {
        dump_files_free(ret);
    }
    return listing.exists;
}

void dump_files_free(struct dump_files *files) {
    free(files->bases);
    *files = (struct dump_files){.count = 0};
}

bool dump_read(const struct machine *machine, const char *topic, int32_t partition, struct dump *ret) {
    struct dump_files files;
    char path[DUMP_PATH_BYTES];
    struct slice bytes;
    *ret = (struct dump){.count = 0};
    if (!dump_list(machine, topic, partition, &files)) {
        return false;
    }
    for (int32_t i = 0; i < files.count; i++) {
        snprintf(path, sizeof path, "%s/%020" PRId64 ".log", files.directory, files.bases[i]);
        if (sim_disk_peek(machine->disk, path, &bytes)) {
            read_segment(&bytes, files.bases[i], ret);
        }
    }
    snprintf(path, sizeof path, "%s/leader-epoch-checkpoint", files.directory);
    if (sim_disk_peek(machine->disk, path, &bytes)) {
        read_epochs(&bytes, ret);
    }
    dump_files_free(&files);
    return true;
}

void dump_free(struct dump *dump) {
    free(dump->batches);
    free(dump->epochs);
}
