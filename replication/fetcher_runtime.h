/* Fetches from one leader: sends what fetcher.h plans, appends and truncates what comes back. */
#ifndef OTTLA_REPLICATION_FETCHER_RUNTIME_H
#define OTTLA_REPLICATION_FETCHER_RUNTIME_H

#include "replication/partition_runtime.h"

struct fetcher_runtime;

/* Begins to fetch the partition from its leader, at its present position. */
void fetcher_runtime_add(struct replica_manager *manager, struct partition_runtime *partition);
/* Ends that; does nothing when it is not being fetched. */
void fetcher_runtime_remove(struct partition_runtime *partition);
/* Fetchers made before the manager started begin now. */
void fetcher_runtime_start_all(struct replica_manager *manager);
/* No more requests; answers under way are dropped. */
void fetcher_runtime_destroy_all(struct replica_manager *manager);

#endif
