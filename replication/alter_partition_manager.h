/* Changes of in-sync sets on their way to the controller: AlterPartition, one request in flight per broker. */
#ifndef OTTLA_REPLICATION_ALTER_PARTITION_MANAGER_H
#define OTTLA_REPLICATION_ALTER_PARTITION_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "replication/fetcher.h"

struct alter_partition_manager;
struct partition_runtime;
struct replica_manager;

enum alter_partition_state { ALTER_NONE, ALTER_QUEUED, ALTER_IN_FLIGHT };

/* Embedded in the partition: at most one change of it is under way. */
struct alter_partition_item {
    enum alter_partition_state state;
    bool is_changed_meanwhile; /* proposed again while in flight */
    uint32_t proposal;         /* what was sent */
    int16_t told_error_code;   /* how it was refused, and said so */
    struct fetcher_key key;
    struct alter_partition_item *prev, *next; /* queue */
    UT_hash_handle hh;                        /* in flight */
};

struct alter_partition_manager *alter_partition_manager_create(struct replica_manager *manager);
void alter_partition_manager_destroy(struct alter_partition_manager *alter);
/* The partition's proposed set goes with the next request. */
void alter_partition_manager_submit(struct alter_partition_manager *alter, struct partition_runtime *partition);
/* The controller or the registration of this broker is another one: what was refused need not wait any longer. */
void alter_partition_manager_hurry(struct alter_partition_manager *alter);
/* The partition goes away. */
void alter_partition_manager_withdraw(struct alter_partition_manager *alter, struct partition_runtime *partition);

#endif
