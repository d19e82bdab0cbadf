/* See cleaned.h. */
#include "tests/simulation/checkers/cleaned.h"

#include <inttypes.h>

#include "tests/simulation/checkers/dump_records.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/workload_batch.h"

static void on_record(void *context, const struct dump_record *record) {
    struct cleaned *cleaned = context;
    struct slice says = record->value.size >= 0 ? record->value : record->header_value;
    if (says.size != WORKLOAD_VALUE_BYTES) {
        violate(cleaned->world, "compaction", "broker %d %s-%d offset %" PRId64 " is none of the workload's records",
                cleaned->broker, cleaned->topic->name, cleaned->partition, record->offset);
        return;
    }
    struct value value = workload_value(says.data);
    cleaned->newest[workload_key(value, cleaned->topic->key_count)] = (struct key_state){true, record->offset, value};
}

bool cleaned_read(const struct world *world, const struct topic *topic, int32_t partition, int32_t broker,
                  struct cleaned *ret) {
    *ret = (struct cleaned){.world = world, .topic = topic, .partition = partition, .broker = broker};
    return dump_records(view_machine(world, broker), topic->name, partition, on_record, ret);
}

void cleaned_each(const struct world *world, cleaned_visitor *visit, void *context) {
    FOR_EACH_KEYED(world, topic, partition) {
        for (int32_t i = 0; i < topic->replica_counts[partition]; i++) {
            struct cleaned cleaned;
            if (cleaned_read(world, topic, partition, topic->replicas[partition][i], &cleaned)) {
                visit(context, &cleaned);
            }
        }
    }
}
