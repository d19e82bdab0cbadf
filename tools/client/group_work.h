/* Requests that go to groups' coordinators: finds the coordinators, all in one request where the brokers can, asks each
 * for its groups, and asks again for those that moved meanwhile. */
#ifndef OTTLA_TOOLS_CLIENT_GROUP_WORK_H
#define OTTLA_TOOLS_CLIENT_GROUP_WORK_H

#include "tools/client/client.h"

/* Who coordinates one group; a negative `code` does not exist, 0 is found. */
struct coordinator {
    int32_t node_id;
    int16_t code;
    struct str message; /* of the code, may be null */
};

struct group_item {
    struct str id;
    void *answer; /* what the call made of it */
    bool is_done;
    struct failure failure; /* set when it is done and failed */
    int32_t coordinator;    /* -1 unknown */
};

/* One question to any broker. A group the broker did not answer for has COORDINATOR_NOT_AVAILABLE. Errors are those of
 * calls.h. */
int find_coordinators(struct broker_connection *connection, const struct str *groups, int32_t count,
                      int64_t deadline_ms, struct arena *arena, struct coordinator *ret_coordinators);

/* Asks one coordinator for some items and settles those it answers for. */
typedef int group_call(void *context, struct broker_connection *connection, struct group_item **items, int32_t count,
                       int64_t deadline_ms, struct arena *arena);

/* Takes a code of an answer: returns true when it is KAFKA_NONE and the caller may read on. Otherwise the item is done
 * and failed, or is to be tried again. */
bool group_item_check(struct group_item *item, int16_t code);

/* Returns 0 when every item is done, failed ones too. Any other error ends everything, with the failure set. The items
 * begin zeroed but for their ids. */
int group_work(struct client *client, struct group_item *items, int32_t count, const char *call_name, group_call *call,
               void *context, struct arena *arena, struct failure *failure);
void group_items_deinit(struct group_item *items, int32_t count);

#endif
