/* One call at a time; answers live in one arena that the next call reuses. */
#include "tests/lib/controller_calls.h"

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/elect_leaders.h"

static struct arena arena;
static int32_t call; /* its address names the call */

static void renew_arena(void) {
    arena_deinit(&arena);
    arena_init(&arena, SIZE_MAX);
}

static void fill_partition(const struct alter_wish *wish, struct alter_partition_request_partition_data *to) {
    alter_partition_request_partition_data_init(to);
    to->partition_index = wish->partition;
    to->leader_epoch = wish->leader_epoch;
    to->partition_epoch = wish->partition_epoch;
    to->leader_recovery_state = wish->recovery_state;
    if (wish->version >= 3) {
        to->new_isr_with_epochs = ARENA_ARRAY(&arena, struct alter_partition_request_broker_state, 8);
        to->new_isr_with_epochs_count = wish->isr_count;
        for (int32_t i = 0; i < wish->isr_count; i++) {
            to->new_isr_with_epochs[i] = (struct alter_partition_request_broker_state){
                wish->isr[i], wish->member_epochs[i] == 0 ? -1 : wish->member_epochs[i]};
        }
        return;
    }
    to->new_isr = ARENA_ARRAY(&arena, int32_t, 8);
    to->new_isr_count = wish->isr_count;
    memcpy(to->new_isr, wish->isr, sizeof wish->isr);
}

struct alter_answer controller_call_alter(struct world *world, int32_t controller_id, const struct alter_wish *wish) {
    struct alter_partition_request request;
    struct alter_partition_response response;
    struct alter_partition_request_topic_data topic;
    struct alter_partition_request_partition_data partition;
    struct alter_answer answer = {0};
    char path[ZNODE_PATH_SIZE];
    int32_t broker_id = wish->broker_id == 0 ? 1 : wish->broker_id;
    const struct world_node *registration = world_find(world, znode_broker_path(path, broker_id));
    renew_arena();
    alter_partition_request_init(&request);
    alter_partition_request_topic_data_init(&topic);
    fill_partition(wish, &partition);
    topic.topic_name = wish->is_unknown_topic ? STR_LITERAL("nobody") : STR_LITERAL("t");
    uuid_parse(STR_LITERAL(TEST_TOPIC_ID), &topic.topic_id);
    topic.topic_id.bytes[0] ^= (uint8_t)wish->is_unknown_topic;
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.broker_id = broker_id;
    request.broker_epoch = (registration == NULL ? 0 : registration->czxid) + wish->broker_epoch_beyond;
    request.topics = &topic;
    request.topics_count = 1;
    struct controller_event event = {.type = CONTROLLER_EVENT_ALTER_PARTITION,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .version = wish->version,
                                     .alter_partition = &request,
                                     .ret_alter_partition = &response};
    int32_t answered = world->calls_answered;
    world_step(world, controller_id, &event);
    answer.is_answered = world->calls_answered > answered;
    answer.error_code = world->call_error;
    if (answer.is_answered && answer.error_code == KAFKA_NONE) {
        answer.partition = response.topics[0].partitions[0];
    }
    return answer;
}

int32_t controller_call_shutdown(struct world *world, int32_t controller_id, int32_t broker_id, int64_t broker_epoch) {
    struct controlled_shutdown_partition *list = NULL;
    int32_t count = -1, answered = world->calls_answered;
    renew_arena();
    struct controller_event event = {.type = CONTROLLER_EVENT_CONTROLLED_SHUTDOWN,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .broker_id = broker_id,
                                     .broker_epoch = broker_epoch,
                                     .ret_list = &list,
                                     .ret_count = &count};
    world_step(world, controller_id, &event);
    return world->calls_answered > answered && world->call_error == KAFKA_NONE ? count : -1;
}

int16_t controller_call_elect_all(struct world *world, int32_t controller_id, bool is_unclean) {
    struct elect_leaders_request request;
    struct elect_leaders_response response;
    renew_arena();
    elect_leaders_request_init(&request);
    request.election_type = is_unclean ? 1 : 0;
    request.topic_partitions_count = -1;
    struct controller_event event = {.type = CONTROLLER_EVENT_ELECT_LEADERS,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .version = 2,
                                     .elect_leaders = &request,
                                     .ret_elect_leaders = &response};
    world_step(world, controller_id, &event);
    return world->call_error;
}
