/* Not a checker of the brokers but of the seeds: the corners of the cleaner they visited (marks.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/log/log_internal.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/sim_disk.h"

struct cleaning_coverage {
    struct world *world;
    int64_t clean[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct cleaning_coverage *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void on_step(void *context) {
    struct cleaning_coverage *checker = context;
    const struct world *world = checker->world;
    if (!world->plan->cleans) {
        return;
    }
    FOR_EACH_STREAM(world, topic, partition) {
        for (int32_t id = 1; topic->is_compacted && id <= world->cluster->count; id++) {
            struct partition_runtime *runtime = view_replica(view_machine(world, id), topic, partition);
            int64_t *clean = &checker->clean[id][stream_of(topic, partition)];
            if (runtime != NULL && runtime->log->clean_offset > *clean) {
                world->marks->counts[topic->slot == OFFSETS_SLOT ? MARK_OFFSETS_CLEANED : MARK_LOG_CLEANED]++;
                *clean = runtime->log->clean_offset;
            }
        }
    }
}

struct leftovers {
    bool has_cleaned;
    bool has_swap;
};

static void on_name(void *context, const char *name) {
    struct leftovers *leftovers = context;
    leftovers->has_cleaned = leftovers->has_cleaned || strstr(name, ".cleaned") != NULL;
    leftovers->has_swap = leftovers->has_swap || strstr(name, ".swap") != NULL;
}

static void on_death(void *context, struct machine *machine) {
    struct cleaning_coverage *checker = context;
    const struct world *world = checker->world;
    FOR_EACH_STREAM(world, topic, partition) {
        for (int32_t i = 0; topic->is_compacted && i < world->plan->log_dirs; i++) {
            char directory[128];
            struct leftovers leftovers = {false, false};
            snprintf(directory, sizeof directory, "%s/%s-%d", cluster_log_dir(i), topic->name, partition);
            sim_disk_peek_list(machine->disk, directory, on_name, &leftovers);
            world->marks->counts[MARK_DIED_CLEANING] += leftovers.has_cleaned;
            world->marks->counts[MARK_DIED_SWAPPING] += leftovers.has_swap;
        }
    }
}

const struct checker_ops checker_cleaning_coverage = {
    .name = "cleaning coverage",
    .sentence = "the seeds visit the corners of the cleaner they are there for",
    .create = create,
    .destroy = free,
    .on_step = on_step,
    .on_death = on_death,
};
