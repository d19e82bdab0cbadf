/* What the fetcher's runtime and what its answers do to partitions share. */
#ifndef OTTLA_REPLICATION_FETCHER_RUNTIME_INTERNAL_H
#define OTTLA_REPLICATION_FETCHER_RUNTIME_INTERNAL_H

#include <uthash.h>

#include "broker/base/arena.h"
#include "broker/base/repeat.h"
#include "generated/protocol/fetch.h"
#include "replication/fetcher_runtime.h"
#include "replication/replica_manager_internal.h"

/* What decoding an answer may take: views into the body, four times its size as everywhere, and something for answers
 * that are nothing but headers. */
#define ANSWER_BUDGET(body_size) ((body_size)*4 + 65536)

struct fetcher_runtime {
    struct replica_manager *manager;
    struct fetcher core;
    struct timer timer;
    struct arena arena;
    uint8_t *buffer; /* kept between requests */
    size_t buffer_size;
    struct fetcher_plan plan;
    struct fetch_call *call; /* the one request at a time */
    bool is_under_way;
    bool has_doubts;        /* of a partition whose log has a doubtful place */
    struct repeat failures; /* of whole requests */
    char client_id[40];
    int32_t broker_id;
    UT_hash_handle hh;
};

/* Sends soon, and once for all that happens in this turn of the loop. */
void fetcher_runtime_kick(struct fetcher_runtime *fetcher);
/* NULL: not alive, as far as we know. */
const struct image_endpoint *fetcher_runtime_endpoint(const struct replica_manager *manager, int32_t broker_id);
/* The log changed: fetching goes on where it ends now. */
void fetcher_runtime_resume(struct partition_runtime *partition);
/* As far as we have heard: until its leader has answered, a throttle must not hold back a follower that is. */
bool fetcher_runtime_is_in_sync(const struct partition_runtime *partition);

/* Takes in what the leader answers of one partition. */
void fetcher_runtime_take(struct partition_runtime *partition, const struct fetch_response_partition_data *data);
/* The answers to questions under way find nobody. */
void fetcher_runtime_abandon_offset_calls(struct replica_manager *manager);

#endif
