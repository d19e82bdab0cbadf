/* L11: a follower cuts its log only behind what it shares with its leader, never below its own high watermark. The
 * broker says so itself when it does (its alarm is what an operator would see); and a log never ends below its high
 * watermark. A machine that lost its power may have to. And so may one that is not in sync, if its leader's log has a
 * gap all the way from the cut to that high watermark: then a cleaner took all it loses; or if its own log has one
 * where it is cut, for which a crash may be to blame (replication/README.md, "Gaps" and "Holes"). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/dump.h"
#include "tests/simulation/checkers/view.h"

#define ALARM "below its high watermark"
#define ALARM_FORMAT ": truncating to %" SCNd64 ", below its high watermark %" SCNd64

struct truncation {
    struct world *world;
};

static void *create(struct world *world) {
    struct truncation *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

/* Whether nothing of a log lies there. */
static bool has_gap(const struct machine *machine, const struct topic *topic, int32_t partition, int64_t from,
                    int64_t to) {
    struct dump dump;
    bool is_gap = machine != NULL && dump_read(machine, topic->name, partition, &dump);
    for (int32_t i = 0; is_gap && i < dump.count; i++) {
        is_gap = dump.batches[i].last_offset < from || dump.batches[i].base_offset >= to;
    }
    if (machine != NULL) {
        dump_free(&dump);
    }
    return is_gap;
}

/* Whether the log that is cut is of a replica that is not in sync, and either its leader has nothing where it is cut or
 * it has nothing there itself. */
static bool is_at_gap(const struct world *world, const struct machine *machine, const char *line) {
    FOR_EACH_STREAM(world, topic, partition) {
        char name[300];
        int64_t from, to;
        snprintf(name, sizeof name, " %s-%d:", topic->name, partition);
        const char *found = strstr(line, name);
        const struct partition_runtime *runtime = view_replica(machine, topic, partition);
        if (found != NULL && runtime != NULL && sscanf(found + strlen(name) - 1, ALARM_FORMAT, &from, &to) == 2) {
            return !view_is_in_sync(topic, partition, machine->id) &&
                   (has_gap(view_machine(world, runtime->core.leader), topic, partition, from, to) ||
                    has_gap(machine, topic, partition, from, from + 1));
        }
    }
    return false;
}

static void on_line(void *context, struct machine *machine, const char *line) {
    struct truncation *checker = context;
    if (!machine->is_lossy && strstr(line, ALARM) != NULL && !is_at_gap(checker->world, machine, line)) {
        violate(checker->world, "L11", "broker %d: %s", machine->id, line);
    }
}

static void on_step(void *context) {
    struct truncation *checker = context;
    FOR_EACH_STREAM(checker->world, topic, partition) {
        for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
            struct partition_runtime *runtime = view_replica(view_machine(checker->world, id), topic, partition);
            if (runtime != NULL && log_end_offset(runtime->log) < partition_runtime_high_watermark(runtime)) {
                violate(checker->world, "L11", "broker %d %s-%d ends at %" PRId64 ", below its high watermark %" PRId64,
                        id, topic->name, partition, log_end_offset(runtime->log),
                        partition_runtime_high_watermark(runtime));
            }
        }
    }
}

const struct checker_ops checker_truncation = {
    .name = "L11",
    .sentence = "a follower truncates to the end of the last epoch it shares with its leader, below its high watermark "
                "only at a gap",
    .create = create,
    .destroy = free,
    .on_step = on_step,
    .on_line = on_line,
};
