/* L12: offsets grow along a log and none is used twice: read from the files after every restart and at the end, when
 * all replicas of a partition must hold the same batches. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/simulation/checkers/dump.h"
#include "tests/simulation/checkers/view.h"

struct offsets {
    struct world *world;
};

static void *create(struct world *world) {
    struct offsets *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static bool read_checked(const struct world *world, const struct machine *machine, const struct topic *topic,
                         int32_t partition, struct dump *dump) {
    if (!dump_read(machine, topic->name, partition, dump)) {
        return false;
    }
    if (dump->problem[0] != '\0') {
        violate(world, "L12", "broker %d %s-%d: %s", machine->id, topic->name, partition, dump->problem);
    }
    return true;
}

static void on_serving(void *context, struct machine *machine) {
    struct offsets *checker = context;
    if (cluster_has_lost_directory(machine)) {
        return;
    }
    FOR_EACH_STREAM(checker->world, topic, partition) {
        struct dump dump;
        read_checked(checker->world, machine, topic, partition, &dump);
        dump_free(&dump);
    }
}

/* From the later of the two beginnings on. */
static void compare(const struct world *world, const struct topic *topic, int32_t partition, int32_t a_id,
                    const struct dump *a, int32_t b_id, const struct dump *b) {
    int32_t i = 0, k = 0;
    if (topic->is_compacted || (topic->may_shrink && (a->count == 0 || b->count == 0))) {
        return; /* cleaned to different points; or all of it was taken, they end alike */
    }
    while (i < a->count && k < b->count && a->batches[i].base_offset != b->batches[k].base_offset) {
        if (a->batches[i].base_offset < b->batches[k].base_offset) {
            i++;
        } else {
            k++;
        }
    }
    while (i < a->count && k < b->count && exposed_equal(&a->batches[i], &b->batches[k])) {
        i++;
        k++;
    }
    if (i < a->count || k < b->count) {
        violate(world, "L12", "at the end brokers %d and %d differ in %s-%d at %" PRId64 " and %" PRId64, a_id, b_id,
                topic->name, partition, i < a->count ? a->batches[i].base_offset : -1,
                k < b->count ? b->batches[k].base_offset : -1);
    }
}

static void on_end(void *context) {
    struct offsets *checker = context;
    const struct world *world = checker->world;
    FOR_EACH_STREAM(world, topic, partition) {
        struct dump first = {.count = 0};
        int32_t first_id = 0;
        for (int32_t i = 0; i < topic->replica_counts[partition]; i++) {
            int32_t id = topic->replicas[partition][i];
            struct dump dump;
            if (!read_checked(world, view_machine(world, id), topic, partition, &dump)) {
                violate(world, "L12", "at the end broker %d has no files of %s-%d", id, topic->name, partition);
                continue;
            }
            if (first_id == 0) {
                first_id = id;
                first = dump;
                continue;
            }
            compare(world, topic, partition, first_id, &first, id, &dump);
            dump_free(&dump);
        }
        dump_free(&first);
    }
}

const struct checker_ops checker_offsets = {
    .name = "L12",
    .sentence = "offsets grow, no offset is used twice, and in the end all replicas hold the same batches",
    .create = create,
    .destroy = free,
    .on_serving = on_serving,
    .on_end = on_end,
};
