/* Requests that go to partitions' leaders: finds the leaders, asks each for its partitions, and asks again for those
 * that moved meanwhile. */
#ifndef OTTLA_TOOLS_CLIENT_PARTITION_WORK_H
#define OTTLA_TOOLS_CLIENT_PARTITION_WORK_H

#include "tools/client/client.h"

struct partition_item {
    struct str topic;
    int32_t partition;
    int64_t argument;
    int64_t result;
    bool is_done;
    struct failure failure; /* set when it is done and failed */
    int32_t leader;
};

/* Asks one leader for some items. Each item it settles it marks done, with a result or a failure; the others are tried
 * again. Returns what the call returned. */
typedef int partition_call(void *context, struct broker_connection *connection, struct partition_item **items,
                           int32_t count, int64_t deadline_ms, struct arena *arena);

/* Returns 0 when every item is done, failed ones too. An item that finds no leader in time fails with a time-out. Any
 * other error ends everything, with the failure set. */
int partition_work(struct client *client, struct partition_item *items, int32_t count, const char *call_name,
                   partition_call *call, void *context, struct failure *failure);
/* Where each partition stood at `timestamp`: -1 its end, -2 its beginning, and the other special values of ListOffsets.
 * A result of -1: nothing is that young. */
int partitions_list_offsets(struct client *client, struct partition_item *items, int32_t count, int64_t timestamp,
                            struct failure *failure);
void partition_items_deinit(struct partition_item *items, int32_t count);

/* By topic, then partition as a number. */
int partition_item_compare(const void *a, const void *b);

#endif
