/* L1 and L5: below the high watermark there is one history. Every replica is compared, batch by batch, with what any
 * replica exposed before it (exposed.h), from its log start up to its own high watermark, whenever that moved, and from
 * the beginning after a restart or a truncation. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/record_batch.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/view.h"

/* One replica, as far as it was compared. */
struct compared {
    uint32_t incarnation;
    int64_t end;
    int64_t verified;
};

struct log_matching {
    struct world *world;
    struct compared compared[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct log_matching *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

/* Reads the batch at `offset`; false when it cannot be read. */
static bool read_batch(struct log *log, int64_t offset, struct exposed_batch *ret) {
    struct log_read_info info;
    if (log_read(log, offset, 1, INT64_MAX, true, &info) != 0 || info.records.size <= 0) {
        return false;
    }
    uint8_t header[BATCH_DECODE_SIZE];
    int64_t count = disk_read(info.records.file, header, sizeof header, info.records.position);
    disk_file_unref(info.records.file);
    struct record_batch batch;
    if (count != (int64_t)sizeof header || record_batch_decode(header, sizeof header, &batch) != 0) {
        return false;
    }
    *ret = (struct exposed_batch){batch.base_offset, batch.last_offset, batch.leader_epoch, batch.crc};
    return true;
}

/* False when something is wrong with the batch. */
static bool check_batch(struct log_matching *checker, const struct machine *machine, const struct topic *topic,
                        int32_t partition, const struct exposed_batch *batch, int64_t start) {
    struct exposed *exposed = checker->world->exposed;
    int32_t stream = stream_of(topic, partition);
    int64_t end = exposed_end(exposed, stream);
    if (end == 0 || batch->base_offset == end || (batch->base_offset > end && (start > end || topic->is_compacted))) {
        exposed_add(exposed, stream, batch);
        return true;
    }
    if (batch->last_offset < exposed_begin(exposed, stream)) {
        return true; /* gone from the others before anybody looked */
    }
    const struct exposed_batch *expected = exposed_find(exposed, stream, batch->base_offset);
    if (expected == NULL      ? topic->may_shrink || topic->is_compacted
        : topic->is_compacted ? exposed_same(batch, expected)
                              : exposed_equal(batch, expected)) {
        return true; /* or in a gap that retention or the cleaner left before anybody looked */
    }
    violate(checker->world, "L1/L5",
            "broker %d %s-%d holds [%" PRId64 ",%" PRId64 "] of epoch %d where [%" PRId64 ",%" PRId64
            "] of epoch %d was exposed, up to %" PRId64,
            machine->id, topic->name, partition, batch->base_offset, batch->last_offset, batch->leader_epoch,
            expected == NULL ? -1 : expected->base_offset, expected == NULL ? -1 : expected->last_offset,
            expected == NULL ? -1 : expected->leader_epoch, end);
    return false;
}

static void compare(struct log_matching *checker, const struct machine *machine, const struct topic *topic,
                    int32_t partition, struct partition_runtime *runtime) {
    struct compared *compared = &checker->compared[machine->id][stream_of(topic, partition)];
    struct log *log = runtime->log;
    int64_t end = log_end_offset(log);
    int64_t start = log_start_offset(log);
    int64_t high_watermark = partition_runtime_high_watermark(runtime);
    if (compared->incarnation == machine->incarnation && end < compared->end) {
        checker->world->marks->counts[MARK_TRUNCATED]++;
    }
    if (compared->incarnation != machine->incarnation || end < compared->end) {
        compared->incarnation = machine->incarnation;
        compared->verified = 0;
    }
    compared->end = end;
    compared->verified = MAX(compared->verified, start);
    while (compared->verified < high_watermark) {
        struct exposed_batch batch;
        if (!read_batch(log, compared->verified, &batch)) {
            return; /* an injected error; the broker will find out by itself */
        }
        if (!check_batch(checker, machine, topic, partition, &batch, start)) {
            return;
        }
        compared->verified = batch.last_offset + 1;
    }
}

static void on_step(void *context) {
    struct log_matching *checker = context;
    const struct world *world = checker->world;
    FOR_EACH_STREAM(world, topic, partition) {
        for (int32_t id = 1; id <= world->cluster->count; id++) {
            const struct machine *machine = view_machine(world, id);
            struct partition_runtime *runtime = view_replica(machine, topic, partition);
            if (runtime != NULL) {
                compare(checker, machine, topic, partition, runtime);
            }
        }
    }
}

const struct checker_ops checker_log_matching = {
    .name = "L1/L5",
    .sentence = "below the high watermark every replica holds the same batches",
    .create = create,
    .destroy = free,
    .on_step = on_step,
};
