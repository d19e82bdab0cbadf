/* What the files of one replica say of a compacted partition in the end, key by key. */
#ifndef OTTLA_CHECKER_CLEANED_H
#define OTTLA_CHECKER_CLEANED_H

#include "tests/simulation/checkers/keys.h"

struct cleaned {
    const struct world *world;
    const struct topic *topic;
    int32_t partition;
    int32_t broker;
    struct key_state newest[KEYS_MAX]; /* record of each key, as the files have it */
};

/* False when the replica has no files. */
bool cleaned_read(const struct world *world, const struct topic *topic, int32_t partition, int32_t broker,
                  struct cleaned *ret);
/* Calls with every replica of every partition of the workload's compacted topics. */
typedef void cleaned_visitor(void *context, const struct cleaned *cleaned);
void cleaned_each(const struct world *world, cleaned_visitor *visit, void *context);
#endif
