/* See keys.h. */
#include "tests/simulation/checkers/keys.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/workload_batch.h"

#define READ_BYTES 16384

struct keys {
    struct keyed_stream streams[STREAMS_MAX];
};

struct keys *keys_create(void) {
    return xcalloc(1, sizeof(struct keys));
}

void keys_destroy(struct keys *keys) {
    for (int32_t i = 0; i < STREAMS_MAX; i++) {
        free(keys->streams[i].values);
    }
    free(keys);
}

struct keyed_stream *keys_stream(struct keys *keys, int32_t stream) {
    return &keys->streams[stream];
}

bool keys_value_at(const struct keyed_stream *stream, int64_t offset, struct value *ret) {
    if (offset < 0 || offset >= stream->end || stream->values[offset].producer < 0) {
        return false;
    }
    *ret = stream->values[offset];
    return true;
}

/* Offsets in between, of records that were gone before anybody looked, stay unknown. */
static void extend(struct keyed_stream *stream, int64_t end) {
    if (end > stream->capacity) {
        stream->capacity = MAX(end, 2 * stream->capacity + 256);
        stream->values = xrealloc(stream->values, sizeof *stream->values * (size_t)stream->capacity);
    }
    while (stream->end < end) {
        stream->values[stream->end++] = (struct value){.producer = -1};
    }
}

struct learning {
    struct keyed_stream *stream;
    int32_t key_count;
    int64_t high_watermark;
};

static void on_batch(void *context, const struct record_batch *batch) {
    (void)context;
    (void)batch;
}

static void on_record(void *context, int64_t position, int64_t offset, struct value value) {
    const struct learning *learning = context;
    (void)position;
    if (offset >= learning->high_watermark) {
        return;
    }
    extend(learning->stream, offset + 1);
    learning->stream->values[offset] = value;
    learning->stream->last[workload_key(value, learning->key_count)] = (struct key_state){true, offset, value};
}

/* One piece; false when there is none, or it cannot be read now. */
static bool learn_piece(struct learning *learning, struct log *log) {
    struct log_read_info info;
    int64_t position = MAX(learning->stream->end, log_start_offset(log));
    if (position >= learning->high_watermark ||
        log_read(log, position, READ_BYTES, learning->high_watermark, true, &info) != 0) {
        return false;
    }
    if (info.records.size <= 0) {
        return false;
    }
    uint8_t *bytes = xmalloc((size_t)info.records.size);
    int64_t count = disk_read(info.records.file, bytes, (size_t)info.records.size, info.records.position);
    disk_file_unref(info.records.file);
    struct records records = {.size = (int32_t)MAX(count, 0), .data = bytes};
    int64_t before = position;
    bool is_read = workload_batch_read(records, &position, on_batch, on_record, learning);
    free(bytes);
    extend(learning->stream, MIN(position, learning->high_watermark));
    return is_read && position > before;
}

void keys_learn(struct keys *keys, const struct world *world) {
    FOR_EACH_KEYED(world, topic, partition) {
        int32_t leader = topic->states[partition].leader;
        struct partition_runtime *runtime =
            leader < 0 ? NULL : view_replica(view_machine(world, leader), topic, partition);
        if (runtime == NULL) {
            continue;
        }
        struct learning learning = {.stream = &keys->streams[stream_of(topic, partition)],
                                    .key_count = topic->key_count,
                                    .high_watermark = partition_runtime_high_watermark(runtime)};
        while (learn_piece(&learning, runtime->log)) {
        }
    }
}
