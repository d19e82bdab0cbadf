/* Requests to a controller of a world (controller_world.h), with their answers. */
#ifndef OTTLA_TESTS_CONTROLLER_CALLS_H
#define OTTLA_TESTS_CONTROLLER_CALLS_H

#include "generated/protocol/alter_partition.h"
#include "tests/lib/controller_world.h"

/* AlterPartition of one partition of topic "t" as broker `broker_id` (0: 1) would send it. */
struct alter_wish {
    int32_t broker_id;
    int64_t broker_epoch_beyond; /* added to the broker's own */
    int16_t version;             /* 0 to 3 */
    int32_t partition;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t isr[8];
    int32_t isr_count;
    int64_t member_epochs[8]; /* version 3: the broker epochs the leader saw; 0: it does not say */
    int8_t recovery_state;
    bool is_unknown_topic;
};

struct alter_answer {
    bool is_answered; /* the controller lived to say so */
    int16_t error_code;
    struct alter_partition_response_partition_data partition; /* its lists are gone with the next call */
};

struct alter_answer controller_call_alter(struct world *world, int32_t controller_id, const struct alter_wish *wish);
/* How many partitions the broker still leads; -1 when there was no answer or an error, which is in call_error. */
int32_t controller_call_shutdown(struct world *world, int32_t controller_id, int32_t broker_id, int64_t broker_epoch);
/* Elects leaders of all partitions (unclean: ElectLeaders type 1); the top-level error. */
int16_t controller_call_elect_all(struct world *world, int32_t controller_id, bool is_unclean);

/* AlterPartitionReassignments of partitions of topic "t", at most 8. */
struct move {
    int32_t partition;
    int32_t replicas[8];
    int32_t replica_count; /* -1: cancel */
};
/* The error of the first partition, or the top-level one; -1 when the controller did not live to say. */
int16_t controller_call_reassign(struct world *world, int32_t controller_id, const struct move *moves, int32_t count);
/* The message of that partition, "" for none. */
const char *controller_call_message(void);
/* What is under way, one line per partition: "t-0 1,2,3 adding 3 removing 1". Asked of one partition, or of all (-1).
 * Gone with the next call. */
const char *controller_call_list(struct world *world, int32_t controller_id, int32_t partition);

#define TEST_TOPIC_ID "Qs-O1kFsRRm0ud19RMuSyQ"
/* The node of topic "t" while no replica is added or removed. */
#define TEST_TOPIC(partitions)                                                                                         \
    "{\"partitions\":{" partitions "},\"topic_id\":\"" TEST_TOPIC_ID "\",\"adding_replicas\":{},"                      \
    "\"removing_replicas\":{},\"version\":3}"
#define TEST_THREE_PARTITIONS "\"0\":[1,2,3],\"1\":[2,3,1],\"2\":[3,1,2]"
/* A controller as Kafka's defaults make it. */
#define TEST_CONTROLLER_CONFIG                                                                                         \
    ((struct controller_config){.inter_broker_listener = "PLAINTEXT",                                                  \
                                .delete_topic_enable = true,                                                           \
                                .auto_leader_rebalance = true,                                                         \
                                .leader_imbalance_check_ms = 300000,                                                   \
                                .leader_imbalance_percentage = 10})

#endif
