/* OffsetDelete: single offsets of a group go, where no member subscribes to their topic (KIP-496). */
#include "generated/protocol/offset_delete.h"
#include "broker/group/group_runtime.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

struct offset_deletion {
    struct request *request;
    struct offset_delete_response response;
    struct group_commit *list;
    int16_t **results; /* where the error of each of the list goes */
    int32_t count;
};

static void answer(struct offset_deletion *deletion, int16_t error_code) {
    deletion->response.error_code = error_code;
    if (error_code != KAFKA_NONE) {
        deletion->response.topics_count = 0;
    }
    for (int32_t i = 0; i < deletion->count; i++) {
        *deletion->results[i] = deletion->list[i].error_code;
    }
    request_answer(deletion->request, &deletion->response);
}

static void on_deleted(void *context, int16_t error_code) {
    answer(context, error_code);
}

static void take_topic(struct offset_deletion *deletion,
                       const struct offset_delete_request_offset_delete_request_topic *topic,
                       struct offset_delete_response_offset_delete_response_topic *to) {
    struct request *request = deletion->request;
    offset_delete_response_offset_delete_response_topic_init(to);
    to->name = topic->name;
    to->partitions_count = topic->partitions_count;
    to->partitions = ARENA_ARRAY(&request->arena, struct offset_delete_response_offset_delete_response_partition,
                                 topic->partitions_count);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        struct offset_delete_response_offset_delete_response_partition *part = &to->partitions[i];
        offset_delete_response_offset_delete_response_partition_init(part);
        part->partition_index = topic->partitions[i].partition_index;
        if (image_partition(request->context->image, topic->name, part->partition_index) == NULL) {
            part->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        deletion->results[deletion->count] = &part->error_code;
        deletion->list[deletion->count++] =
            (struct group_commit){.topic = topic->name, .partition = part->partition_index};
    }
}

void handle_offset_delete(struct request *request) {
    const struct offset_delete_request *message = request->message;
    struct offset_deletion *deletion = ARENA_NEW(&request->arena, struct offset_deletion);
    int32_t count = 0;
    deletion->request = request;
    for (int32_t i = 0; i < message->topics_count; i++) {
        count += message->topics[i].partitions_count;
    }
    deletion->list = ARENA_ARRAY(&request->arena, struct group_commit, count);
    deletion->results = ARENA_ARRAY(&request->arena, int16_t *, count);
    offset_delete_response_init(&deletion->response);
    deletion->response.topics_count = message->topics_count;
    deletion->response.topics =
        ARENA_ARRAY(&request->arena, struct offset_delete_response_offset_delete_response_topic, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++) {
        take_topic(deletion, &message->topics[i], &deletion->response.topics[i]);
    }
    group_runtime_delete_offsets(request->context->groups, message->group_id, deletion->list, deletion->count,
                                 on_deleted, deletion);
}
