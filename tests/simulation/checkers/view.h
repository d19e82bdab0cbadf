/* A replica as its broker has it, looked at from inside without touching it. */
#ifndef OTTLA_CHECKER_VIEW_H
#define OTTLA_CHECKER_VIEW_H

#include "tests/simulation/checkers/checker.h"

struct partition_runtime;

/* NULL when the broker does not run, has no such replica, or its log is out of order. */
struct partition_runtime *view_replica(const struct machine *machine, const struct topic *topic, int32_t partition);
bool view_is_running(const struct machine *machine);
bool view_is_in_sync(const struct topic *topic, int32_t partition, int32_t broker_id);
static inline struct machine *view_machine(const struct world *world, int32_t broker_id) {
    return cluster_machine(world->cluster, broker_id);
}

/* Goes through all partitions of all topics that are there:
 *   FOR_EACH_STREAM(world, topic, partition) { ... } */
#define FOR_EACH_STREAM(world, t, p)                                                                                   \
    for (int32_t each_topic = 0; each_topic < topics_count((world)->topics); each_topic++)                             \
        for (struct topic *t = topics_at((world)->topics, each_topic); t != NULL; t = NULL)                            \
            for (int32_t p = 0; !t->is_gone && p < t->partition_count; p++)

#endif
