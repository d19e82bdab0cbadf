/* See history.h. */
#include "tests/simulation/checkers/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/simulation/cluster.h"

struct observed {
    struct history_value value;
    bool is_known;
};

/* Of one producer in one partition, by number. */
struct written {
    int64_t *acked; /* offset, -1 acknowledged without one, -2 not acknowledged */
    int64_t *read;  /* offset, -1 not read */
    int64_t capacity;
    int64_t acked_count;
};

struct history {
    struct cluster *cluster;
    struct observed *observed[HISTORY_PARTITIONS_MAX]; /* by offset */
    int64_t capacity[HISTORY_PARTITIONS_MAX];
    struct written written[HISTORY_PRODUCERS_MAX][HISTORY_PARTITIONS_MAX];
    int64_t highest_acked[HISTORY_PARTITIONS_MAX];
    int64_t acked_count;
    int64_t read_count;
};

struct history *history_create(struct cluster *cluster) {
    struct history *history = xcalloc(1, sizeof *history);
    history->cluster = cluster;
    for (int32_t p = 0; p < HISTORY_PARTITIONS_MAX; p++) {
        history->highest_acked[p] = -1;
    }
    return history;
}

void history_destroy(struct history *history) {
    for (int32_t p = 0; p < HISTORY_PARTITIONS_MAX; p++) {
        free(history->observed[p]);
        for (int32_t k = 0; k < HISTORY_PRODUCERS_MAX; k++) {
            free(history->written[k][p].acked);
            free(history->written[k][p].read);
        }
    }
    free(history);
}

static struct written *written_of(struct history *history, struct history_value value) {
    CHECK(value.producer >= 0 && value.producer < HISTORY_PRODUCERS_MAX && value.partition >= 0 &&
          value.partition < HISTORY_PARTITIONS_MAX && value.number >= 0);
    struct written *written = &history->written[value.producer][value.partition];
    if (value.number >= written->capacity) {
        int64_t capacity = MAX(value.number + 1, 2 * written->capacity + 64);
        written->acked = xrealloc(written->acked, sizeof *written->acked * (size_t)capacity);
        written->read = xrealloc(written->read, sizeof *written->read * (size_t)capacity);
        for (int64_t i = written->capacity; i < capacity; i++) {
            written->acked[i] = -2;
            written->read[i] = -1;
        }
        written->capacity = capacity;
    }
    return written;
}

/* One (partition, offset) has one value for everybody; one value has one offset. */
static void observe(struct history *history, const char *who, struct history_value value, int64_t offset) {
    int32_t p = value.partition;
    if (offset >= history->capacity[p]) {
        int64_t capacity = MAX(offset + 1, 2 * history->capacity[p] + 256);
        history->observed[p] = xrealloc(history->observed[p], sizeof(struct observed) * (size_t)capacity);
        memset(history->observed[p] + history->capacity[p], 0,
               sizeof(struct observed) * (size_t)(capacity - history->capacity[p]));
        history->capacity[p] = capacity;
    }
    struct observed *at = &history->observed[p][offset];
    if (!at->is_known) {
        *at = (struct observed){value, true};
    } else if (at->value.producer != value.producer || at->value.number != value.number) {
        cluster_violate(history->cluster,
                        "inconsistent offsets: partition %d offset %" PRId64 " is %d/%" PRId64 " and, %s, %d/%" PRId64,
                        p, offset, at->value.producer, at->value.number, who, value.producer, value.number);
    }
}

void history_on_acked(struct history *history, struct history_value value, int64_t offset) {
    struct written *written = written_of(history, value);
    history->acked_count++;
    written->acked[value.number] = offset < 0 ? -1 : offset;
    if (offset < 0) {
        return;
    }
    observe(history, "to its producer", value, offset);
    history->highest_acked[value.partition] = MAX(history->highest_acked[value.partition], offset);
    if (value.number > 0 && written->acked[value.number - 1] >= offset) {
        cluster_violate(history->cluster,
                        "reordered: producer %d partition %d, record %" PRId64 " at %" PRId64
                        " and the next at %" PRId64,
                        value.producer, value.partition, value.number - 1, written->acked[value.number - 1], offset);
    }
}

void history_on_read(struct history *history, int32_t partition, int64_t position, int64_t offset,
                     struct history_value value) {
    history->read_count++;
    if (value.partition != partition) {
        cluster_violate(history->cluster, "a record of partition %d was read from partition %d", value.partition,
                        partition);
        return;
    }
    if (offset != position) {
        cluster_violate(history->cluster, "poll %s: partition %d at %" PRId64 " was given %" PRId64,
                        offset > position ? "skip" : "went back", partition, position, offset);
    }
    struct written *written = written_of(history, value);
    if (written->read[value.number] >= 0 && written->read[value.number] != offset) {
        cluster_violate(history->cluster,
                        "duplicate: producer %d record %" PRId64 " in partition %d at %" PRId64 " and %" PRId64,
                        value.producer, value.number, partition, written->read[value.number], offset);
    }
    if (value.number > 0 && written->read[value.number - 1] < 0) {
        cluster_violate(history->cluster,
                        "reordered: producer %d record %" PRId64 " in partition %d at %" PRId64
                        " before the one before",
                        value.producer, value.number, partition, offset);
    }
    written->read[value.number] = offset;
    observe(history, "to a consumer", value, offset);
}

void history_check_end(struct history *history) {
    for (int32_t k = 0; k < HISTORY_PRODUCERS_MAX; k++) {
        for (int32_t p = 0; p < HISTORY_PARTITIONS_MAX; p++) {
            const struct written *written = &history->written[k][p];
            for (int64_t i = 0; i < written->capacity; i++) {
                if (written->acked[i] == -2) {
                    continue;
                }
                if (written->read[i] < 0) {
                    cluster_violate(history->cluster,
                                    "lost write: producer %d record %" PRId64 " of partition %d was acknowledged at "
                                    "%" PRId64 " and is read by nobody",
                                    k, i, p, written->acked[i]);
                } else if (written->acked[i] >= 0 && written->acked[i] != written->read[i]) {
                    cluster_violate(history->cluster,
                                    "inconsistent offsets: producer %d record %" PRId64 " of partition %d was "
                                    "acknowledged at %" PRId64 " and read at %" PRId64,
                                    k, i, p, written->acked[i], written->read[i]);
                }
            }
        }
    }
}

int64_t history_acked_count(const struct history *history) {
    return history->acked_count;
}

int64_t history_read_count(const struct history *history) {
    return history->read_count;
}

int64_t history_highest_acked(const struct history *history, int32_t partition) {
    return history->highest_acked[partition];
}
