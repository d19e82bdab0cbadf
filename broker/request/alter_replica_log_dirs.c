/* AlterReplicaLogDirs: replicas of this broker move to other log directories of its own (KIP-113). The answer says that
 * a move has begun; DescribeLogDirs shows how far it is. */
#include "generated/protocol/alter_replica_log_dirs.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

typedef struct alter_replica_log_dirs_request_alter_replica_log_dir asked_dir;
typedef struct alter_replica_log_dirs_request_alter_replica_log_dir_topic asked_topic;
typedef struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result topic_result;
typedef struct alter_replica_log_dirs_response_alter_replica_log_dir_partition_result partition_result;

struct asked_move {
    struct str topic;
    int32_t partition;
    struct str path;
    int32_t position; /* in the request */
};

static int compare(const void *a, const void *b) {
    const struct asked_move *left = a;
    const struct asked_move *right = b;
    int order = str_compare(left->topic, right->topic);
    order = order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
    return order != 0 ? order : left->position - right->position;
}

/* All of them, by topic and partition. */
static struct asked_move *list(struct request *request, int32_t *ret_count) {
    const struct alter_replica_log_dirs_request *message = request->message;
    int32_t capacity = 0;
    for (int32_t i = 0; i < message->dirs_count; i++) {
        for (int32_t j = 0; j < message->dirs[i].topics_count; j++) {
            capacity += MAX(message->dirs[i].topics[j].partitions_count, 0);
        }
    }
    struct asked_move *moves = ARENA_ARRAY(&request->arena, struct asked_move, capacity + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < message->dirs_count; i++) {
        const asked_dir *dir = &message->dirs[i];
        for (int32_t j = 0; j < dir->topics_count; j++) {
            const asked_topic *topic = &dir->topics[j];
            for (int32_t k = 0; k < topic->partitions_count; k++) {
                moves[count] = (struct asked_move){topic->name, topic->partitions[k], dir->path, count};
                count++;
            }
        }
    }
    qsort(moves, (size_t)count, sizeof *moves, compare);
    *ret_count = count;
    return moves;
}

/* A partition that is named twice goes where it was named last, as in Kafka's map. */
static bool is_overruled(const struct asked_move *move, const struct asked_move *next) {
    return next != NULL && next->partition == move->partition && str_equal(next->topic, move->topic);
}

void handle_alter_replica_log_dirs(struct request *request) {
    struct alter_replica_log_dirs_response response;
    int32_t count;
    const struct asked_move *moves = list(request, &count);
    alter_replica_log_dirs_response_init(&response);
    response.results = ARENA_ARRAY(&request->arena, topic_result, count + 1);
    partition_result *results = ARENA_ARRAY(&request->arena, partition_result, count + 1);
    for (int32_t i = 0; i < count; i++) {
        const struct asked_move *move = &moves[i];
        if (is_overruled(move, i + 1 < count ? move + 1 : NULL)) {
            continue;
        }
        topic_result *topic = response.results_count > 0 ? &response.results[response.results_count - 1] : NULL;
        if (topic == NULL || !str_equal(topic->topic_name, move->topic)) {
            topic = &response.results[response.results_count++];
            alter_replica_log_dirs_response_alter_replica_log_dir_topic_result_init(topic);
            topic->topic_name = move->topic;
            topic->partitions = results;
        }
        partition_result *result = &topic->partitions[topic->partitions_count++];
        alter_replica_log_dirs_response_alter_replica_log_dir_partition_result_init(result);
        result->partition_index = move->partition;
        result->error_code =
            replica_manager_alter_log_dir(request->context->replicas, move->topic, move->partition, move->path);
        results++;
    }
    request_answer(request, &response);
}
