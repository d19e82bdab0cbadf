/* Not a checker of the brokers but of the seeds: counts what became of moves between directories (marks.h). */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

/* A replica as it was looked at last. */
struct seen {
    uint32_t incarnation; /* of its broker, 0 never */
    int32_t directory;
    int64_t future_end; /* -1: no move under way */
};

struct dir_coverage {
    struct world *world;
    struct seen seen[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct dir_coverage *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static int32_t directory_of(const struct log *log) {
    const char *second = cluster_log_dir(1);
    return strncmp(log_directory(log), second, strlen(second)) == 0 ? 1 : 0;
}

static void look(struct dir_coverage *checker, const struct machine *machine, struct partition_runtime *runtime,
                 struct seen *seen) {
    int64_t *counts = checker->world->marks->counts;
    const struct log *future = log_manager_find_future(machine->broker->logs, runtime->topic, runtime->index);
    struct seen now = {.incarnation = machine->incarnation,
                       .directory = directory_of(runtime->log),
                       .future_end = future == NULL ? -1 : log_end_offset(future)};
    bool is_same_life = seen->incarnation == now.incarnation;
    counts[MARK_LOG_DIR_MOVED] += is_same_life && seen->directory != now.directory;
    counts[MARK_LOG_DIR_CANCELLED] +=
        is_same_life && seen->directory == now.directory && seen->future_end >= 0 && now.future_end < 0;
    counts[MARK_LOG_DIR_CUT] += is_same_life && now.future_end >= 0 && now.future_end < seen->future_end;
    counts[MARK_LOG_DIR_RESUMED] += !is_same_life && seen->future_end > 0 && now.future_end > 0;
    *seen = now;
}

static void on_step(void *context) {
    struct dir_coverage *checker = context;
    if (!checker->world->plan->moves_dirs) {
        return;
    }
    FOR_EACH_STREAM(checker->world, topic, partition) {
        for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
            const struct machine *machine = view_machine(checker->world, id);
            struct partition_runtime *runtime = view_replica(machine, topic, partition);
            if (runtime != NULL) {
                look(checker, machine, runtime, &checker->seen[id][stream_of(topic, partition)]);
            }
        }
    }
}

const struct checker_ops checker_dir_coverage = {
    .name = "directory coverage",
    .sentence = "the seeds visit what may happen to a move between directories",
    .create = create,
    .destroy = free,
    .on_step = on_step,
};
