/* ElectLeaders: the controller elects; the answer comes once this broker's image shows the new leaders, as Kafka's
 * does, so that a client that looks next sees them. */
#include "generated/protocol/elect_leaders.h"
#include "broker/base/check.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/waiting_room.h"
#include "replication/controller_runtime.h"

#define VERSION_WITH_TYPE 1

enum election_type { ELECTION_PREFERRED = 0, ELECTION_UNCLEAN = 1 };

struct elect_leaders {
    struct wait wait;
    struct request *request;
    struct elect_leaders_response response;
};

static bool is_elected(const struct image_partition *state, int8_t election_type) {
    bool has_leader = state->leader >= 0;
    return has_leader &&
           (election_type == ELECTION_UNCLEAN || (state->replica_count > 0 && state->leader == state->replicas[0]));
}

/* Whether the image shows all that succeeded. With a verdict, those it does not show are given that. */
static bool shows_leaders(struct elect_leaders *elect, int16_t verdict) {
    const struct elect_leaders_request *message = elect->request->message;
    const struct image *image = elect->request->context->image;
    bool is_complete = true;
    for (int32_t i = 0; i < elect->response.replica_election_results_count; i++) {
        struct elect_leaders_response_replica_election_result *topic = &elect->response.replica_election_results[i];
        for (int32_t j = 0; j < topic->partition_result_count; j++) {
            struct elect_leaders_response_partition_result *result = &topic->partition_result[j];
            if (result->error_code != KAFKA_NONE) {
                continue;
            }
            const struct image_partition *state = image_partition(image, topic->topic, result->partition_id);
            if (state == NULL || !is_elected(state, message->election_type)) {
                is_complete = false;
                result->error_code = verdict;
            }
        }
    }
    return is_complete;
}

static bool elect_is_over(struct wait *wait) {
    return shows_leaders(CONTAINER_OF(wait, struct elect_leaders, wait), KAFKA_NONE);
}

static void finish_elect(struct wait *wait) {
    struct elect_leaders *elect = CONTAINER_OF(wait, struct elect_leaders, wait);
    shows_leaders(elect, KAFKA_REQUEST_TIMED_OUT);
    request_answer(elect->request, &elect->response);
}

/* Every partition asked about gets the one error. */
static void refuse_all(struct elect_leaders *elect, int16_t error_code) {
    const struct elect_leaders_request *message = elect->request->message;
    struct arena *arena = &elect->request->arena;
    int32_t count = message->topic_partitions_count;
    elect_leaders_response_init(&elect->response);
    if (count < 0) {
        elect->response.error_code = error_code;
        return;
    }
    elect->response.replica_election_results_count = count;
    elect->response.replica_election_results =
        ARENA_ARRAY(arena, struct elect_leaders_response_replica_election_result, count);
    for (int32_t i = 0; i < count; i++) {
        const struct elect_leaders_request_topic_partitions *asked = &message->topic_partitions[i];
        struct elect_leaders_response_replica_election_result *topic = &elect->response.replica_election_results[i];
        elect_leaders_response_replica_election_result_init(topic);
        topic->topic = asked->topic;
        topic->partition_result_count = asked->partitions_count;
        topic->partition_result =
            ARENA_ARRAY(arena, struct elect_leaders_response_partition_result, asked->partitions_count);
        for (int32_t j = 0; j < asked->partitions_count; j++) {
            elect_leaders_response_partition_result_init(&topic->partition_result[j]);
            topic->partition_result[j].partition_id = asked->partitions[j];
            topic->partition_result[j].error_code = error_code;
        }
    }
}

/* Elections that found nobody say which one it was, in the words Kafka has for it. */
static void explain(struct elect_leaders *elect) {
    const struct elect_leaders_request *message = elect->request->message;
    const char *strategy = message->election_type == ELECTION_PREFERRED
                               ? "PreferredReplicaPartitionLeaderElectionStrategy"
                               : "OfflinePartitionLeaderElectionStrategy(true)";
    for (int32_t i = 0; i < elect->response.replica_election_results_count; i++) {
        struct elect_leaders_response_replica_election_result *topic = &elect->response.replica_election_results[i];
        for (int32_t j = 0; j < topic->partition_result_count; j++) {
            struct elect_leaders_response_partition_result *result = &topic->partition_result[j];
            if (result->error_code == KAFKA_PREFERRED_LEADER_NOT_AVAILABLE ||
                result->error_code == KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE) {
                result->error_message = arena_printf(&elect->request->arena,
                                                     "Failed to elect leader for partition %.*s-%d under strategy %s",
                                                     STR_ARGS(topic->topic), result->partition_id, strategy);
            }
        }
    }
}

static void on_done(void *context, int16_t error_code) {
    struct elect_leaders *elect = context;
    const struct elect_leaders_request *message = elect->request->message;
    if (error_code != KAFKA_NONE) {
        refuse_all(elect, error_code);
    }
    explain(elect);
    if (error_code != KAFKA_NONE || shows_leaders(elect, KAFKA_NONE)) {
        request_answer(elect->request, &elect->response);
        return;
    }
    elect->wait.request = elect->request;
    elect->wait.is_over = elect_is_over;
    elect->wait.finish = finish_elect;
    elect->wait.follows_image = true;
    waiting_room_enter(elect->request->context->waiting_room, &elect->wait, message->timeout_ms);
}

void handle_elect_leaders(struct request *request) {
    struct elect_leaders *elect = ARENA_NEW(&request->arena, struct elect_leaders);
    elect->request = request;
    elect_leaders_response_init(&elect->response);
    const struct elect_leaders_request *message = request->message;
    bool is_type_known = message->election_type == ELECTION_PREFERRED || message->election_type == ELECTION_UNCLEAN;
    if (request->header.api_version >= VERSION_WITH_TYPE && !is_type_known) {
        refuse_all(elect, KAFKA_UNKNOWN_SERVER_ERROR);
        elect->response.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        request_answer(request, &elect->response);
        return;
    }
    controller_elect_leaders(request->context->controller, request->message, request->header.api_version,
                             &request->arena, &elect->response, on_done, elect);
}
