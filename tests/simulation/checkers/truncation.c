/* L11: a follower cuts its log only behind what it shares with its leader, never below its own high watermark. The
 * broker says so itself when it does (its alarm is what an operator would see); and a log never ends below its high
 * watermark. A machine that lost its power may have to. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

#define ALARM "below its high watermark"

struct truncation {
    struct world *world;
};

static void *create(struct world *world) {
    struct truncation *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

static void on_line(void *context, struct machine *machine, const char *line) {
    struct truncation *checker = context;
    if (!machine->is_lossy && strstr(line, ALARM) != NULL) {
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
    .sentence = "a follower truncates to the end of the last epoch it shares with its leader, never below its high "
                "watermark",
    .create = create,
    .destroy = free,
    .on_step = on_step,
    .on_line = on_line,
};
