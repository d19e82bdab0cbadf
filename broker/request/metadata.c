/* Metadata: brokers, topics and leaders as this broker's image has them, through the eyes of the listener that asks.
 *
 * An unknown topic is created on the spot when request and broker allow it (zookeeper-mode.md 7: any broker writes
 * ZooKeeper directly) and reported as LEADER_NOT_AVAILABLE meanwhile. */
#include "generated/protocol/metadata.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/authorization.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/leaders.h"
#include "broker/request/topics.h"
#include "broker/request/waiting_room.h"

/* How long a question waits for the first news of the cluster; without a controller there are none, and that has to be
 * said. */
#define FIRST_IMAGE_WAIT_MS 2000
#define VERSION_WITH_IDS 12 /* the first that may ask by id; 10 and 11 carry ids only in answers */

struct metadata_walk {
    struct request *request;
    const struct image *image;
    const char *listener;
    struct metadata_response *response;
};

/* The endpoint by which this client can reach the broker; NULL when the broker is not alive or not on its listener. */
static const struct image_endpoint *endpoint_of(const struct metadata_walk *walk, int32_t broker_id) {
    const struct image_broker *broker = image_broker(walk->image, broker_id);
    return broker == NULL ? NULL : image_broker_endpoint(broker, walk->listener);
}

static void add_brokers(const struct metadata_walk *walk) {
    int32_t count;
    const struct image_broker *brokers = image_brokers(walk->image, &count);
    struct metadata_response *response = walk->response;
    response->brokers = ARENA_ARRAY(&walk->request->arena, struct metadata_response_metadata_response_broker, count);
    response->brokers_count = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct image_endpoint *endpoint = image_broker_endpoint(&brokers[i], walk->listener);
        if (endpoint == NULL) {
            continue;
        }
        struct metadata_response_metadata_response_broker *broker = &response->brokers[response->brokers_count++];
        metadata_response_metadata_response_broker_init(broker);
        broker->node_id = brokers[i].id;
        broker->host = str_from(endpoint->host);
        broker->port = endpoint->port;
        broker->rack = str_from(brokers[i].rack);
    }
}

/* Version 0 leaves out replicas that cannot be reached and says so; later ones name all. */
static int32_t *replica_list(const struct metadata_walk *walk, int32_t *list, int32_t count, int32_t *ret_count) {
    *ret_count = count;
    if (walk->request->header.api_version > 0) {
        return list;
    }
    int32_t *reachable = ARENA_ARRAY(&walk->request->arena, int32_t, count);
    *ret_count = 0;
    for (int32_t i = 0; i < count; i++) {
        if (endpoint_of(walk, list[i]) != NULL) {
            reachable[(*ret_count)++] = list[i];
        }
    }
    return reachable;
}

static void fill_partition(const struct metadata_walk *walk, const struct image_partition *state,
                           struct metadata_response_metadata_response_partition *ret) {
    metadata_response_metadata_response_partition_init(ret);
    ret->partition_index = state->partition;
    ret->leader_epoch = state->leader_epoch;
    ret->replica_nodes = replica_list(walk, state->replicas, state->replica_count, &ret->replica_nodes_count);
    ret->isr_nodes = replica_list(walk, state->isr, state->isr_count, &ret->isr_nodes_count);
    ret->offline_replicas = state->offline;
    ret->offline_replicas_count = state->offline_count;
    if (endpoint_of(walk, state->leader) == NULL) {
        bool is_alive = image_broker(walk->image, state->leader) != NULL;
        ret->error_code =
            is_alive && walk->request->header.api_version >= 6 ? KAFKA_LISTENER_NOT_FOUND : KAFKA_LEADER_NOT_AVAILABLE;
        ret->leader_id = -1;
        return;
    }
    ret->leader_id = state->leader;
    if (ret->replica_nodes_count < state->replica_count || ret->isr_nodes_count < state->isr_count) {
        ret->error_code = KAFKA_REPLICA_NOT_AVAILABLE;
    }
}

static struct metadata_response_metadata_response_topic *add_topic(const struct metadata_walk *walk) {
    struct metadata_response_metadata_response_topic *topic = &walk->response->topics[walk->response->topics_count++];
    metadata_response_metadata_response_topic_init(topic);
    return topic;
}

static void add_known_topic(const struct metadata_walk *walk, const struct image_topic *topic) {
    const struct metadata_request *message = walk->request->message;
    struct metadata_response_metadata_response_topic *answer = add_topic(walk);
    answer->name = str_from(topic->name);
    answer->topic_id = topic->id;
    answer->is_internal = topic_is_internal(answer->name);
    if (message->include_topic_authorized_operations) {
        answer->topic_authorized_operations = AUTHORIZED_TOPIC_OPERATIONS;
    }
    answer->partitions_count = topic->partition_count;
    answer->partitions = ARENA_ARRAY(&walk->request->arena, struct metadata_response_metadata_response_partition,
                                     topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        fill_partition(walk, topic->partitions[i], &answer->partitions[i]);
    }
}

static void add_unknown_topic(const struct metadata_walk *walk, struct str name) {
    struct request_context *context = walk->request->context;
    const struct metadata_request *message = walk->request->message;
    struct metadata_response_metadata_response_topic *answer = add_topic(walk);
    answer->name = name;
    answer->is_internal = topic_is_internal(name);
    if (!topic_name_is_valid(name)) {
        answer->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
    } else if (message->allow_auto_topic_creation && context->auto_create_topics_enable &&
               context->topic_creator != NULL) {
        answer->error_code = context->topic_creator(context, name);
    } else {
        answer->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
}

/* Which entries of the request name a topic again. Naming one a thousand times does not get its partitions listed a
 * thousand times. */
static bool *find_repeated(const struct metadata_walk *walk, bool is_by_id) {
    const struct metadata_request *message = walk->request->message;
    struct str *names = ARENA_ARRAY(&walk->request->arena, struct str, message->topics_count);
    for (int32_t i = 0; i < message->topics_count; i++) {
        const struct metadata_request_metadata_request_topic *topic = &message->topics[i];
        names[i] =
            is_by_id ? (struct str){(const char *)topic->topic_id.bytes, sizeof topic->topic_id.bytes} : topic->name;
    }
    return topic_names_repeated(&walk->request->arena, names, message->topics_count);
}

static void add_named_topics(const struct metadata_walk *walk) {
    const struct metadata_request *message = walk->request->message;
    const bool *is_repeated = find_repeated(walk, false);
    for (int32_t i = 0; i < message->topics_count; i++) {
        struct str name = message->topics[i].name;
        if (is_repeated[i]) {
            continue;
        }
        const struct image_topic *topic = image_topic(walk->image, name);
        if (topic != NULL) {
            add_known_topic(walk, topic);
        } else {
            add_unknown_topic(walk, name);
        }
    }
}

static void add_topics_by_id(const struct metadata_walk *walk) {
    const struct metadata_request *message = walk->request->message;
    const bool *is_repeated = find_repeated(walk, true);
    for (int32_t i = 0; i < message->topics_count; i++) {
        struct uuid id = message->topics[i].topic_id;
        if (uuid_is_zero(id) || is_repeated[i]) {
            continue;
        }
        const struct image_topic *topic = image_topic_by_id(walk->image, id);
        if (topic != NULL) {
            add_known_topic(walk, topic);
            continue;
        }
        struct metadata_response_metadata_response_topic *answer = add_topic(walk);
        answer->error_code = KAFKA_UNKNOWN_TOPIC_ID;
        answer->topic_id = id;
        answer->name = STR_NULL;
    }
}

static bool asks_by_id(const struct metadata_request *message) {
    for (int32_t i = 0; i < message->topics_count; i++) {
        if (!uuid_is_zero(message->topics[i].topic_id) || str_is_null(message->topics[i].name)) {
            return true;
        }
    }
    return false;
}

/* Versions 10 and 11 cannot ask by id although their bytes can: an error for each topic and nothing else. */
static void refuse_ids(struct request *request, struct metadata_response *response) {
    const struct metadata_request *message = request->message;
    response->topics =
        ARENA_ARRAY(&request->arena, struct metadata_response_metadata_response_topic, message->topics_count);
    response->topics_count = message->topics_count;
    for (int32_t i = 0; i < message->topics_count; i++) {
        struct metadata_response_metadata_response_topic *topic = &response->topics[i];
        metadata_response_metadata_response_topic_init(topic);
        topic->error_code = KAFKA_INVALID_REQUEST;
        topic->topic_id = message->topics[i].topic_id;
        topic->name = str_is_null(message->topics[i].name) ? STR_LITERAL("") : message->topics[i].name;
    }
    response->cluster_id = STR_NULL;
    response->controller_id = -1;
    request_answer(request, response);
}

/* What this broker was told, for whoever asks now. */
static void answer_from_image(struct request *request) {
    const struct metadata_request *message = request->message;
    struct request_context *context = request->context;
    const int16_t version = request->header.api_version;
    struct metadata_response response;
    metadata_response_init(&response);
    bool is_by_id = asks_by_id(message);
    if (is_by_id && version < VERSION_WITH_IDS) {
        refuse_ids(request, &response);
        return;
    }
    struct metadata_walk walk = {request, context->image, request_listener_name(request), &response};
    response.cluster_id = str_from(context->cluster_id);
    response.controller_id = image_controller(context->image);
    if (version <= 10 && message->include_cluster_authorized_operations) {
        response.cluster_authorized_operations = AUTHORIZED_CLUSTER_OPERATIONS;
    }
    add_brokers(&walk);
    /* Version 0 has no null: none named means all. */
    bool is_all = message->topics_count < 0 || (version == 0 && message->topics_count == 0);
    int32_t count = is_all ? image_topic_count(context->image) : message->topics_count;
    response.topics = ARENA_ARRAY(&request->arena, struct metadata_response_metadata_response_topic, count);
    response.topics_count = 0;
    if (is_all) {
        for (int32_t i = 0; i < count; i++) {
            add_known_topic(&walk, image_topic_at(context->image, i));
        }
    } else if (is_by_id) {
        add_topics_by_id(&walk);
    } else {
        add_named_topics(&walk);
    }
    request_answer(request, &response);
}

static bool is_told(struct wait *wait) {
    return image_controller(wait->request->context->image) >= 0;
}

static void finish_metadata(struct wait *wait) {
    answer_from_image(wait->request);
}

/* A broker that has just come up knows nothing until the controller tells it, milliseconds after its registration. To
 * say so would make consumers leave their groups, because their topics seem to be gone: the question waits. */
void handle_metadata(struct request *request) {
    struct wait *wait = ARENA_NEW(&request->arena, struct wait);
    *wait = (struct wait){.request = request, .is_over = is_told, .finish = finish_metadata, .follows_image = true};
    if (is_told(wait)) {
        answer_from_image(request);
    } else {
        waiting_room_enter(request->context->waiting_room, wait, FIRST_IMAGE_WAIT_MS);
    }
}
