/* DescribeProducers: who wrote to a partition with a producer id, as this replica remembers it; a follower answers too.
 */
#include "generated/protocol/describe_producers.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topic_admin.h"
#include "replication/replica_manager.h"

static void add_producer(void *context, const struct log_producer_state *producer) {
    struct describe_producers_response_partition_response *answer = context;
    struct describe_producers_response_producer_state *state =
        &answer->active_producers[answer->active_producers_count++];
    describe_producers_response_producer_state_init(state);
    state->producer_id = producer->producer_id;
    state->producer_epoch = producer->producer_epoch;
    state->last_sequence = producer->last_sequence;
    state->last_timestamp = producer->last_timestamp;
    state->coordinator_epoch = producer->coordinator_epoch;
    state->current_txn_start_offset = producer->current_transaction_first_offset;
}

static void answer_partition(struct request *request, struct str topic, int32_t index,
                             struct describe_producers_response_partition_response *answer) {
    struct partition_runtime *partition;
    describe_producers_response_partition_response_init(answer);
    answer->partition_index = index;
    struct topic_verdict verdict = topic_admin_check_name(topic, &request->arena);
    if (verdict.error_code != KAFKA_NONE) {
        answer->error_code = verdict.error_code;
        answer->error_message = verdict.message;
        return;
    }
    answer->error_code = replica_manager_partition(request->context->replicas, topic, index, &partition);
    if (answer->error_code != KAFKA_NONE) {
        return;
    }
    const struct log *log = partition_runtime_log(partition);
    answer->active_producers =
        ARENA_ARRAY(&request->arena, struct describe_producers_response_producer_state, log_producer_count(log));
    log_each_producer(log, add_producer, answer);
}

void handle_describe_producers(struct request *request) {
    const struct describe_producers_request *message = request->message;
    struct describe_producers_response response;
    describe_producers_response_init(&response);
    response.topics_count = message->topics_count;
    response.topics =
        ARENA_ARRAY(&request->arena, struct describe_producers_response_topic_response, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++) {
        const struct describe_producers_request_topic_request *topic = &message->topics[i];
        struct describe_producers_response_topic_response *answer = &response.topics[i];
        describe_producers_response_topic_response_init(answer);
        answer->name = topic->name;
        answer->partitions_count = topic->partition_indexes_count;
        answer->partitions = ARENA_ARRAY(&request->arena, struct describe_producers_response_partition_response,
                                         topic->partition_indexes_count);
        for (int32_t j = 0; j < topic->partition_indexes_count; j++) {
            answer_partition(request, topic->name, topic->partition_indexes[j], &answer->partitions[j]);
        }
    }
    request_answer(request, &response);
}
