/* See exposed.h. */
#include "tests/simulation/checkers/exposed.h"

#include <stdlib.h>

#include "broker/base/check.h"

struct history {
    struct exposed_batch *batches;
    int32_t count;
    int32_t capacity;
};

struct exposed {
    struct history streams[STREAMS_MAX];
};

struct exposed *exposed_create(void) {
    return xcalloc(1, sizeof(struct exposed));
}

void exposed_destroy(struct exposed *exposed) {
    for (int32_t i = 0; i < STREAMS_MAX; i++) {
        free(exposed->streams[i].batches);
    }
    free(exposed);
}

const struct exposed_batch *exposed_last(const struct exposed *exposed, int32_t stream) {
    const struct history *history = &exposed->streams[stream];
    return history->count == 0 ? NULL : &history->batches[history->count - 1];
}

int64_t exposed_end(const struct exposed *exposed, int32_t stream) {
    const struct exposed_batch *last = exposed_last(exposed, stream);
    return last == NULL ? 0 : last->last_offset + 1;
}

int64_t exposed_begin(const struct exposed *exposed, int32_t stream) {
    const struct history *history = &exposed->streams[stream];
    return history->count == 0 ? 0 : history->batches[0].base_offset;
}

const struct exposed_batch *exposed_find(const struct exposed *exposed, int32_t stream, int64_t offset) {
    const struct history *history = &exposed->streams[stream];
    int32_t low = 0;
    int32_t high = history->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (history->batches[middle].last_offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < history->count && history->batches[low].base_offset <= offset ? &history->batches[low] : NULL;
}

void exposed_add(struct exposed *exposed, int32_t stream, const struct exposed_batch *batch) {
    struct history *history = &exposed->streams[stream];
    CHECK(history->count == 0 || batch->base_offset >= exposed_end(exposed, stream));
    if (history->count == history->capacity) {
        history->capacity = MAX(64, 2 * history->capacity);
        history->batches = xrealloc(history->batches, sizeof *history->batches * (size_t)history->capacity);
    }
    history->batches[history->count++] = *batch;
}

bool exposed_same(const struct exposed_batch *a, const struct exposed_batch *b) {
    return a->base_offset == b->base_offset && a->last_offset == b->last_offset && a->leader_epoch == b->leader_epoch;
}

bool exposed_equal(const struct exposed_batch *a, const struct exposed_batch *b) {
    return exposed_same(a, b) && a->crc == b->crc;
}
