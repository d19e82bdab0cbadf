/* OffsetForLeaderEpoch: where an epoch ends in this leader's log; clients find out with it whether they were on a
 * branch that was cut off. Not known is (-1, -1) without an error. */
#include "generated/protocol/offset_for_leader_epoch.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

static void answer_partition(struct request *request, struct str topic,
                             const struct offset_for_leader_epoch_request_offset_for_leader_partition *asked,
                             struct offset_for_leader_epoch_response_epoch_end_offset *ret) {
    struct partition_runtime *partition;
    offset_for_leader_epoch_response_epoch_end_offset_init(ret);
    ret->partition = asked->partition;
    ret->error_code = replica_manager_partition(request->context->replicas, topic, asked->partition, &partition);
    if (ret->error_code != KAFKA_NONE) {
        return;
    }
    struct log_epoch_end end;
    ret->error_code =
        partition_runtime_offset_for_leader_epoch(partition, asked->current_leader_epoch, asked->leader_epoch, &end);
    if (ret->error_code == KAFKA_NONE) {
        ret->leader_epoch = end.epoch;
        ret->end_offset = end.end_offset;
    }
}

void handle_offset_for_leader_epoch(struct request *request) {
    const struct offset_for_leader_epoch_request *message = request->message;
    struct offset_for_leader_epoch_response response;
    offset_for_leader_epoch_response_init(&response);
    response.topics_count = message->topics_count;
    response.topics = ARENA_ARRAY(
        &request->arena, struct offset_for_leader_epoch_response_offset_for_leader_topic_result, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *topic = &message->topics[i];
        struct offset_for_leader_epoch_response_offset_for_leader_topic_result *answer = &response.topics[i];
        offset_for_leader_epoch_response_offset_for_leader_topic_result_init(answer);
        answer->topic = topic->topic;
        answer->partitions_count = topic->partitions_count;
        answer->partitions = ARENA_ARRAY(&request->arena, struct offset_for_leader_epoch_response_epoch_end_offset,
                                         topic->partitions_count);
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            answer_partition(request, topic->topic, &topic->partitions[j], &answer->partitions[j]);
        }
    }
    request_answer(request, &response);
}
