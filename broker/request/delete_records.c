/* DeleteRecords: raises the start of a partition's log and waits until its live replicas have followed. */
#include "generated/protocol/delete_records.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topics.h"
#include "broker/request/waiting_room.h"

struct delete_part {
    struct str topic;
    int32_t partition;
    int64_t offset; /* the low watermark has to reach it */
    bool is_done;
    struct delete_records_response_delete_records_partition_result *answer;
};

struct delete_records {
    struct wait wait;
    struct request *request;
    struct delete_records_response response;
    struct delete_part *parts;
    int32_t part_count;
    int32_t parts_left;
};

static void delete_now(struct delete_records *delete, struct str topic,
                       const struct delete_records_request_delete_records_partition *asked,
                       struct delete_records_response_delete_records_partition_result *answer) {
    struct partition_runtime *partition;
    delete_records_response_delete_records_partition_result_init(answer);
    answer->partition_index = asked->partition_index;
    answer->low_watermark = -1;
    if (topic_is_internal(topic)) {
        answer->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
        return;
    }
    answer->error_code =
        replica_manager_partition(delete->request->context->replicas, topic, asked->partition_index, &partition);
    if (answer->error_code != KAFKA_NONE) {
        return;
    }
    int64_t offset = -1;
    int64_t low_watermark = -1;
    answer->error_code = partition_runtime_delete_records(partition, asked->offset, &offset, &low_watermark);
    if (answer->error_code != KAFKA_NONE) {
        return;
    }
    answer->low_watermark = low_watermark;
    if (low_watermark < offset) {
        delete->parts[delete->part_count++] = (struct delete_part){
            .topic = topic, .partition = asked->partition_index, .offset = offset, .answer = answer};
    }
}

/* True when nothing more is to be waited for. */
static bool settle_part(struct delete_records *delete, struct delete_part *part) {
    struct partition_runtime *partition;
    int16_t error =
        replica_manager_partition(delete->request->context->replicas, part->topic, part->partition, &partition);
    if (error == KAFKA_NONE && !partition_runtime_is_leader(partition)) {
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (error == KAFKA_NONE) {
        part->answer->low_watermark = partition_runtime_low_watermark(partition);
        if (part->answer->low_watermark < part->offset) {
            return false;
        }
    }
    part->answer->error_code = error;
    part->is_done = true;
    delete->parts_left--;
    return true;
}

static bool delete_is_over(struct wait *wait) {
    struct delete_records *delete = CONTAINER_OF(wait, struct delete_records, wait);
    for (int32_t i = 0; i < delete->part_count; i++) {
        if (!delete->parts[i].is_done && wait->watches[i].is_changed) {
            wait->watches[i].is_changed = false;
            settle_part(delete, &delete->parts[i]);
        }
    }
    return delete->parts_left == 0;
}

static void finish_delete(struct wait *wait) {
    struct delete_records *delete = CONTAINER_OF(wait, struct delete_records, wait);
    for (int32_t i = 0; i < delete->part_count; i++) {
        struct delete_part *part = &delete->parts[i];
        if (!part->is_done && !settle_part(delete, part)) {
            part->answer->error_code = KAFKA_REQUEST_TIMED_OUT;
        }
    }
    request_answer(delete->request, &delete->response);
}

static void await_replicas(struct delete_records *delete) {
    struct request *request = delete->request;
    const struct delete_records_request *message = request->message;
    delete->parts_left = delete->part_count;
    delete->wait.request = request;
    delete->wait.is_over = delete_is_over;
    delete->wait.finish = finish_delete;
    delete->wait.watch_count = delete->part_count;
    delete->wait.watches = ARENA_ARRAY(&request->arena, struct wait_watch, delete->part_count);
    for (int32_t i = 0; i < delete->part_count; i++) {
        struct partition_runtime *partition;
        if (replica_manager_partition(request->context->replicas, delete->parts[i].topic, delete->parts[i].partition,
                                      &partition) == KAFKA_NONE) {
            wait_watch_partition(&delete->wait, &delete->wait.watches[i], partition);
        }
    }
    waiting_room_enter(request->context->waiting_room, &delete->wait, message->timeout_ms);
}

void handle_delete_records(struct request *request) {
    const struct delete_records_request *message = request->message;
    struct delete_records *delete = ARENA_NEW(&request->arena, struct delete_records);
    int32_t count = 0;
    delete->request = request;
    for (int32_t i = 0; i < message->topics_count; i++) {
        count += message->topics[i].partitions_count;
    }
    delete->parts = ARENA_ARRAY(&request->arena, struct delete_part, count);
    delete_records_response_init(&delete->response);
    delete->response.topics_count = message->topics_count;
    delete->response.topics =
        ARENA_ARRAY(&request->arena, struct delete_records_response_delete_records_topic_result, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++) {
        const struct delete_records_request_delete_records_topic *topic = &message->topics[i];
        struct delete_records_response_delete_records_topic_result *answer = &delete->response.topics[i];
        delete_records_response_delete_records_topic_result_init(answer);
        answer->name = topic->name;
        answer->partitions_count = topic->partitions_count;
        answer->partitions = ARENA_ARRAY(
            &request->arena, struct delete_records_response_delete_records_partition_result, topic->partitions_count);
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            delete_now(delete, topic->name, &topic->partitions[j], &answer->partitions[j]);
        }
    }
    if (delete->part_count == 0) {
        request_answer(request, &delete->response);
    } else {
        await_replicas(delete);
    }
}
