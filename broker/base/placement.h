/* Where the replicas of new partitions go (KIP-36; zookeeper-mode.md 3.9). Pure: whoever calls draws the chance. */
#ifndef OTTLA_BASE_PLACEMENT_H
#define OTTLA_BASE_PLACEMENT_H

#include <stdint.h>

struct placement_broker {
    int32_t id;
    const char *rack; /* NULL when unset */
};

/* Spreads leaders round robin, and each partition's further replicas over the other brokers; over racks first when
 * every broker has one. `brokers` are sorted by id; 1 <= replication_factor <= broker_count. Partitions are numbered
 * from first_partition; start_index and shift lie in [0, broker_count). ret_replicas holds partition_count rows of
 * replication_factor ids, leaders first. 0, or ERR_INVALID when some brokers have a rack and others none. */
int placement_assign(const struct placement_broker *brokers, int32_t broker_count, int32_t partition_count,
                     int32_t replication_factor, int32_t first_partition, int32_t start_index, int32_t shift,
                     int32_t *ret_replicas);

#endif
