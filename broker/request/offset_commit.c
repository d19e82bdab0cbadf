/* OffsetCommit: where consumers will go on. Version 0 writes to ZooKeeper, as clients of that time expect. */
#include "generated/protocol/offset_commit.h"
#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/config.h"
#include "broker/group/group_runtime.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/legacy_offsets.h"

#define VERSION_IN_LOG 1

struct commit_part {
    struct offset_commit *whole;
    int16_t *result;
};

struct offset_commit {
    struct request *request;
    struct offset_commit_response response;
    struct group_commit *commits;
    struct commit_part *parts; /* of the same partitions */
    int32_t count;
    int32_t left; /* writes to ZooKeeper under way, and one while they begin */
};

static void on_committed(void *context) {
    struct offset_commit *commit = context;
    for (int32_t i = 0; i < commit->count; i++) {
        *commit->parts[i].result = commit->commits[i].error_code;
    }
    request_answer(commit->request, &commit->response);
}

static struct committed_offset committed_of(const struct request *request,
                                            const struct offset_commit_request_offset_commit_request_partition *from) {
    const struct offset_commit_request *message = request->message;
    int64_t now_ms = clock_wall_ms(request->context->clock);
    return (struct committed_offset){
        .offset = from->committed_offset,
        .leader_epoch = from->committed_leader_epoch,
        .metadata = str_is_null(from->committed_metadata) ? STR_LITERAL("") : from->committed_metadata,
        .commit_timestamp_ms = from->commit_timestamp == -1 ? now_ms : from->commit_timestamp,
        .expire_timestamp_ms = message->retention_time_ms == -1 ? -1 : now_ms + message->retention_time_ms,
    };
}

/* The skeleton of the answer; partitions that exist are listed for the coordinator. */
static void take_topic(struct offset_commit *commit,
                       const struct offset_commit_request_offset_commit_request_topic *topic,
                       struct offset_commit_response_offset_commit_response_topic *to) {
    struct request *request = commit->request;
    offset_commit_response_offset_commit_response_topic_init(to);
    to->name = topic->name;
    to->partitions_count = topic->partitions_count;
    to->partitions = ARENA_ARRAY(&request->arena, struct offset_commit_response_offset_commit_response_partition,
                                 topic->partitions_count);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const struct offset_commit_request_offset_commit_request_partition *from = &topic->partitions[i];
        struct offset_commit_response_offset_commit_response_partition *part = &to->partitions[i];
        offset_commit_response_offset_commit_response_partition_init(part);
        part->partition_index = from->partition_index;
        if (image_partition(request->context->image, topic->name, from->partition_index) == NULL) {
            part->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        commit->parts[commit->count] = (struct commit_part){commit, &part->error_code};
        commit->commits[commit->count++] = (struct group_commit){
            .topic = topic->name, .partition = from->partition_index, .commit = committed_of(request, from)};
    }
}

static void end_legacy(struct offset_commit *commit) {
    if (--commit->left == 0) {
        request_answer(commit->request, &commit->response);
    }
}

static void on_legacy_written(void *context, int16_t error_code) {
    struct commit_part *part = context;
    *part->result = error_code;
    end_legacy(part->whole);
}

static void write_legacy(struct offset_commit *commit) {
    struct request *request = commit->request;
    const struct offset_commit_request *message = request->message;
    int32_t metadata_max =
        request->context->config == NULL ? INT32_MAX : request->context->config->offset_metadata_max_bytes;
    commit->left = 1;
    for (int32_t i = 0; i < commit->count; i++) {
        const struct group_commit *one = &commit->commits[i];
        if (one->commit.metadata.size > metadata_max) {
            *commit->parts[i].result = KAFKA_OFFSET_METADATA_TOO_LARGE;
            continue;
        }
        commit->left++;
        legacy_offset_write(request->context->coord, message->group_id, one->topic, one->partition, one->commit.offset,
                            on_legacy_written, &commit->parts[i]);
    }
    end_legacy(commit);
}

void handle_offset_commit(struct request *request) {
    const struct offset_commit_request *message = request->message;
    struct offset_commit *commit = ARENA_NEW(&request->arena, struct offset_commit);
    int32_t count = 0;
    commit->request = request;
    for (int32_t i = 0; i < message->topics_count; i++) {
        count += message->topics[i].partitions_count;
    }
    commit->commits = ARENA_ARRAY(&request->arena, struct group_commit, count);
    commit->parts = ARENA_ARRAY(&request->arena, struct commit_part, count);
    offset_commit_response_init(&commit->response);
    commit->response.topics_count = message->topics_count;
    commit->response.topics =
        ARENA_ARRAY(&request->arena, struct offset_commit_response_offset_commit_response_topic, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++) {
        take_topic(commit, &message->topics[i], &commit->response.topics[i]);
    }
    if (commit->count == 0) {
        request_answer(request, &commit->response);
        return;
    }
    if (request->header.api_version < VERSION_IN_LOG) {
        write_legacy(commit);
        return;
    }
    struct group_event event = {.member_id = message->member_id,
                                .instance_id = message->group_instance_id,
                                .generation = message->generation_id_or_member_epoch};
    group_runtime_commit(request->context->groups, message->group_id, &event, commit->commits, commit->count,
                         on_committed, commit);
}
