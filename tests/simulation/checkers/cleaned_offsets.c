/* Offsets are preserved: what the cleaner leaves of a log is where it was written, in every replica after every restart
 * of its broker and in the end. */
#include <inttypes.h>
#include <stdlib.h>

#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/client_common.h"
#include "tests/simulation/checkers/dump_records.h"
#include "tests/simulation/checkers/keys.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/workload_batch.h"

struct looking {
    const struct world *world;
    const struct machine *machine;
    const struct topic *topic;
    int32_t partition;
    int64_t end; /* above it a replica may hold what others never had */
};

static void on_record(void *context, const struct dump_record *record) {
    const struct looking *looking = context;
    const struct keyed_stream *stream =
        keys_stream(looking->world->keys, stream_of(looking->topic, looking->partition));
    struct slice says = record->value.size >= 0 ? record->value : record->header_value;
    struct value seen;
    if (record->offset >= looking->end || says.size != WORKLOAD_VALUE_BYTES ||
        !keys_value_at(stream, record->offset, &seen)) {
        return;
    }
    struct value value = workload_value(says.data);
    bool is_tombstone = record->value.size < 0;
    if (value.producer != seen.producer || value.number != seen.number || value.topic != seen.topic ||
        is_tombstone != workload_is_tombstone(value) || record->key.size != 4) {
        violate(looking->world, "cleaned offsets",
                "broker %d %s-%d offset %" PRId64 " is record %d/%" PRId64 " and was %d/%" PRId64, looking->machine->id,
                looking->topic->name, looking->partition, record->offset, value.producer, value.number, seen.producer,
                seen.number);
    }
}

static void look(const struct world *world, struct machine *machine) {
    FOR_EACH_KEYED(world, topic, partition) {
        struct partition_runtime *runtime = view_replica(machine, topic, partition);
        struct looking looking = {world, machine, topic, partition, 0};
        if (runtime != NULL) {
            looking.end = partition_runtime_high_watermark(runtime);
            dump_records(machine, topic->name, partition, on_record, &looking);
        }
    }
}

static void on_serving(void *context, struct machine *machine) {
    const struct client_checker *checker = context;
    look(checker->world, machine);
}

static void on_end(void *context) {
    const struct client_checker *checker = context;
    for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
        look(checker->world, view_machine(checker->world, id));
    }
}

const struct checker_ops checker_cleaned_offsets = {
    .name = "cleaned offsets",
    .sentence = "compaction leaves records at their offsets",
    .create = client_checker_create,
    .destroy = free,
    .on_serving = on_serving,
    .on_end = on_end,
};
