/* One call at a time; answers live in one arena that the next call reuses. */
#include "tests/lib/controller_calls.h"

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/alter_partition_reassignments.h"
#include "generated/protocol/elect_leaders.h"
#include "generated/protocol/list_partition_reassignments.h"

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

static struct str last_message = STR_NULL;

int16_t controller_call_reassign(struct world *world, int32_t controller_id, const struct move *moves, int32_t count) {
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_response response;
    struct alter_partition_reassignments_request_reassignable_topic topic;
    struct alter_partition_reassignments_request_reassignable_partition partitions[8];
    int32_t answered = world->calls_answered;
    renew_arena();
    alter_partition_reassignments_request_init(&request);
    alter_partition_reassignments_request_reassignable_topic_init(&topic);
    CHECK(count <= (int32_t)ARRAY_SIZE(partitions));
    for (int32_t i = 0; i < count; i++) {
        alter_partition_reassignments_request_reassignable_partition_init(&partitions[i]);
        partitions[i].partition_index = moves[i].partition;
        partitions[i].replicas = (int32_t *)moves[i].replicas;
        partitions[i].replicas_count = moves[i].replica_count;
    }
    topic.name = STR_LITERAL("t");
    topic.partitions = partitions;
    topic.partitions_count = count;
    request.topics = &topic;
    request.topics_count = 1;
    struct controller_event event = {.type = CONTROLLER_EVENT_ALTER_REASSIGNMENTS,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .alter_reassignments = &request,
                                     .ret_alter_reassignments = &response};
    world_step(world, controller_id, &event);
    last_message = STR_NULL;
    if (world->calls_answered == answered) {
        return -1;
    }
    if (world->call_error != KAFKA_NONE) {
        return world->call_error;
    }
    last_message = response.responses[0].partitions[0].error_message;
    return response.responses[0].partitions[0].error_code;
}

const char *controller_call_message(void) {
    return str_is_null(last_message) ? "" : arena_str(&arena, last_message).data;
}

static struct str print_list(struct str text, const char *name, const int32_t *ids, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        text = arena_printf(&arena, "%.*s%s%d", STR_ARGS(text), i == 0 ? name : ",", ids[i]);
    }
    return text;
}

const char *controller_call_list(struct world *world, int32_t controller_id, int32_t partition) {
    struct list_partition_reassignments_request request;
    struct list_partition_reassignments_response response;
    struct list_partition_reassignments_request_list_partition_reassignments_topics topic;
    renew_arena();
    list_partition_reassignments_request_init(&request);
    list_partition_reassignments_request_list_partition_reassignments_topics_init(&topic);
    topic.name = STR_LITERAL("t");
    topic.partition_indexes = &partition;
    topic.partition_indexes_count = 1;
    request.topics = &topic;
    request.topics_count = partition < 0 ? -1 : 1;
    struct controller_event event = {.type = CONTROLLER_EVENT_LIST_REASSIGNMENTS,
                                     .path = STR_NULL,
                                     .call = &call,
                                     .arena = &arena,
                                     .list_reassignments = &request,
                                     .ret_list_reassignments = &response};
    world_step(world, controller_id, &event);
    CHECK(world->call_error == KAFKA_NONE);
    struct str text = STR_LITERAL("");
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            const struct list_partition_reassignments_response_ongoing_partition_reassignment *at =
                &response.topics[i].partitions[j];
            text = arena_printf(&arena, "%.*s%.*s-%d", STR_ARGS(text), STR_ARGS(response.topics[i].name),
                                at->partition_index);
            text = print_list(text, " ", at->replicas, at->replicas_count);
            text = print_list(text, " adding ", at->adding_replicas, at->adding_replicas_count);
            text = print_list(text, " removing ", at->removing_replicas, at->removing_replicas_count);
            text = arena_printf(&arena, "%.*s\n", STR_ARGS(text));
        }
    }
    return text.data;
}
