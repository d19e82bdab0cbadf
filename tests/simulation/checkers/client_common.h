/* What the checkers of what clients see share. */
#ifndef OTTLA_CHECKER_CLIENT_COMMON_H
#define OTTLA_CHECKER_CLIENT_COMMON_H

#include "tests/simulation/checkers/checker.h"

/* Keeps nothing but the world. */
struct client_checker {
    struct world *world;
};
void *client_checker_create(struct world *world);

typedef void value_visitor(const struct world *world, const struct topic *topic, int32_t partition, struct value value,
                           const struct value_fate *fate);
/* Every record that was acknowledged in a topic that is still there, unless retention may have taken it since. */
void client_checker_each_acked(const struct world *world, value_visitor *visit);

/* Where the shortest of the replicas begins. */
int64_t client_checker_latest_start(const struct world *world, const struct topic *topic, int32_t partition);

#endif
