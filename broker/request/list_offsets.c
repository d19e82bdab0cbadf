/* ListOffsets: the offset of a time, or one of the special ones.
 *
 * Consumers see up to the high watermark, read_committed ones up to the last stable offset, followers and the debugging
 * consumer everything (zookeeper-mode.md 4.9). A partition named twice is an error for both. */
#include "generated/protocol/list_offsets.h"
#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/errors.h"
#include "broker/log/log.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topics.h"
#include "replication/replica_manager.h"

#define VERSION_WITH_LEADER_EPOCH 4

enum special_timestamp {
    TIMESTAMP_LATEST = -1,
    TIMESTAMP_EARLIEST = -2,
    TIMESTAMP_MAX = -3,            /* KIP-734, version 7 */
    TIMESTAMP_EARLIEST_LOCAL = -4, /* KIP-405, version 8; without tiered storage the earliest */
    TIMESTAMP_LATEST_TIERED = -5,  /* KIP-1005, version 9; without tiered storage nothing is found */
};

struct offset_query {
    struct request *request;
    struct partition_runtime *partition;
    struct log *log;
    int64_t timestamp;
    int64_t end; /* what this reader may see */
};

static bool is_timestamp_known(int64_t timestamp, int16_t version) {
    switch (timestamp) {
    case TIMESTAMP_LATEST:
    case TIMESTAMP_EARLIEST: return true;
    case TIMESTAMP_MAX: return version >= 7;
    case TIMESTAMP_EARLIEST_LOCAL: return version >= 8;
    case TIMESTAMP_LATEST_TIERED: return version >= 9;
    default: return timestamp >= 0;
    }
}

static int64_t visible_end(const struct list_offsets_request *message, const struct partition_runtime *partition,
                           const struct log *log) {
    if (message->replica_id != -1) {
        return log_end_offset(log);
    }
    return message->isolation_level == 1 ? partition_runtime_last_stable_offset(partition)
                                         : partition_runtime_high_watermark(partition);
}

/* By time. What lies beyond the reader's end is not there yet; until a new leader has caught up with its own epoch it
 * cannot tell, and says so (KIP-207). */
static int16_t find_by_time(const struct offset_query *query, struct log_timestamp_offset *ret) {
    int status = query->timestamp == TIMESTAMP_MAX ? log_offset_of_max_timestamp(query->log, ret)
                                                   : log_offset_for_timestamp(query->log, query->timestamp, ret);
    if (status != 0) {
        /* The log is fenced by that: as after a read, its directory is given up, and another broker leads. */
        partition_runtime_fail(query->partition, status);
        return status == ERR_CORRUPT ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_STORAGE_ERROR;
    }
    if (ret->timestamp >= 0 && ret->offset >= query->end) {
        *ret = (struct log_timestamp_offset){.timestamp = -1, .offset = -1, .leader_epoch = -1};
    }
    return KAFKA_NONE;
}

static int16_t find(const struct offset_query *query, struct log_timestamp_offset *ret) {
    *ret = (struct log_timestamp_offset){.timestamp = -1, .offset = -1, .leader_epoch = -1};
    switch (query->timestamp) {
    case TIMESTAMP_LATEST:
        ret->offset = query->end;
        ret->leader_epoch = partition_runtime_leader_epoch(query->partition);
        return KAFKA_NONE;
    case TIMESTAMP_EARLIEST:
    case TIMESTAMP_EARLIEST_LOCAL:
        ret->offset = log_start_offset(query->log);
        ret->leader_epoch = log_epoch_for_offset(query->log, ret->offset);
        return KAFKA_NONE;
    case TIMESTAMP_LATEST_TIERED: return KAFKA_NONE;
    default: return find_by_time(query, ret);
    }
}

/* Version 0 answers a list, newest first, and knows starts of segments only. A consumer sees the high watermark in
 * place of what lies beyond it. */
static void fill_old_style(const struct offset_query *query, int32_t offsets_max,
                           struct list_offsets_response_list_offsets_partition_response *ret) {
    struct request *request = query->request;
    const struct list_offsets_request *message = request->message;
    int32_t capacity = MAX(0, MIN(offsets_max, log_segment_count(query->log) + 1));
    int64_t *offsets = ARENA_ARRAY(&request->arena, int64_t, capacity + 1);
    int32_t count =
        log_offsets_before(query->log, query->timestamp, clock_wall_ms(request->context->clock), offsets + 1, capacity);
    int32_t from = 1;
    if (message->replica_id == -1 && count > 0 && offsets[1] > query->end) {
        while (from <= count && offsets[from] > query->end) {
            from++;
        }
        offsets[--from] = query->end;
    }
    ret->old_style_offsets = offsets + from;
    ret->old_style_offsets_count = count + 1 - from;
}

static void answer_partition(struct request *request, struct str topic,
                             const struct list_offsets_request_list_offsets_partition *asked,
                             struct list_offsets_response_list_offsets_partition_response *ret) {
    const struct list_offsets_request *message = request->message;
    const int16_t version = request->header.api_version;
    struct offset_query query = {.request = request, .timestamp = asked->timestamp};
    if (!is_timestamp_known(asked->timestamp, version)) {
        ret->error_code = KAFKA_UNSUPPORTED_VERSION;
        return;
    }
    ret->error_code =
        replica_manager_partition(request->context->replicas, topic, asked->partition_index, &query.partition);
    if (ret->error_code == KAFKA_NONE) {
        bool must_lead = message->replica_id != -2;
        ret->error_code = partition_runtime_check_epoch(query.partition, asked->current_leader_epoch, must_lead);
    }
    if (ret->error_code != KAFKA_NONE) {
        return;
    }
    query.log = partition_runtime_log(query.partition);
    query.end = visible_end(message, query.partition, query.log);
    if (version == 0) {
        fill_old_style(&query, asked->max_num_offsets, ret);
        return;
    }
    bool is_consumer = message->replica_id == -1;
    bool is_lagging =
        partition_runtime_high_watermark(query.partition) < partition_runtime_leader_epoch_start(query.partition);
    struct log_timestamp_offset found;
    ret->error_code = find(&query, &found);
    bool depends_on_end = asked->timestamp != TIMESTAMP_EARLIEST && asked->timestamp != TIMESTAMP_EARLIEST_LOCAL;
    if (ret->error_code == KAFKA_NONE && is_consumer && is_lagging && depends_on_end &&
        (asked->timestamp == TIMESTAMP_LATEST || found.offset < 0)) {
        ret->error_code = version >= 5 ? KAFKA_OFFSET_NOT_AVAILABLE : KAFKA_LEADER_NOT_AVAILABLE;
    }
    if (ret->error_code != KAFKA_NONE) {
        return;
    }
    ret->timestamp = found.timestamp;
    ret->offset = found.offset;
    ret->leader_epoch = version >= VERSION_WITH_LEADER_EPOCH ? found.leader_epoch : -1;
}

/* Which of the partitions, counted through all topics, are named twice; all occurrences, as Kafka refuses each. */
static bool *find_duplicates(struct request *request) {
    const struct list_offsets_request *message = request->message;
    int32_t count = 0;
    for (int32_t i = 0; i < message->topics_count; i++) {
        count += message->topics[i].partitions_count;
    }
    struct topic_partition_name *names = ARENA_ARRAY(&request->arena, struct topic_partition_name, count);
    int32_t at = 0;
    for (int32_t i = 0; i < message->topics_count; i++) {
        for (int32_t j = 0; j < message->topics[i].partitions_count; j++) {
            names[at++] = (struct topic_partition_name){message->topics[i].name,
                                                        message->topics[i].partitions[j].partition_index};
        }
    }
    return topic_partitions_duplicate(&request->arena, names, count);
}

void handle_list_offsets(struct request *request) {
    const struct list_offsets_request *message = request->message;
    const bool *is_duplicate = find_duplicates(request);
    struct list_offsets_response response;
    list_offsets_response_init(&response);
    response.topics_count = message->topics_count;
    response.topics =
        ARENA_ARRAY(&request->arena, struct list_offsets_response_list_offsets_topic_response, message->topics_count);
    int32_t at = 0;
    for (int32_t i = 0; i < message->topics_count; i++) {
        const struct list_offsets_request_list_offsets_topic *topic = &message->topics[i];
        struct list_offsets_response_list_offsets_topic_response *answer = &response.topics[i];
        list_offsets_response_list_offsets_topic_response_init(answer);
        answer->name = topic->name;
        answer->partitions_count = topic->partitions_count;
        answer->partitions = ARENA_ARRAY(&request->arena, struct list_offsets_response_list_offsets_partition_response,
                                         topic->partitions_count);
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            struct list_offsets_response_list_offsets_partition_response *part = &answer->partitions[j];
            list_offsets_response_list_offsets_partition_response_init(part);
            part->partition_index = topic->partitions[j].partition_index;
            if (is_duplicate[at++]) {
                part->error_code = KAFKA_INVALID_REQUEST;
            } else {
                answer_partition(request, topic->name, &topic->partitions[j], part);
            }
        }
    }
    request_answer(request, &response);
}
