/* FindCoordinator: which broker looks after a group. The first question brings __consumer_offsets into being.
 *
 * Several keys from version 4 on (KIP-699). Transactions have no coordinator here: asking for one is answered as long
 * as a starting Kafka would answer it, so that clients try again. */
#include "generated/protocol/find_coordinator.h"
#include "broker/group/group_runtime.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/leaders.h"

#define VERSION_WITH_MESSAGE 1
#define VERSION_WITH_KEYS 4
#define VERSION_WITH_SHARE_KEYS 6
#define MESSAGE_NOT_AVAILABLE "The coordinator is not available."
#define MESSAGE_INVALID                                                                                                \
    "This most likely occurs because of a request being malformed by the client library or the message was sent to "   \
    "an incompatible broker. See the broker logs for more details."

enum coordinator_key { KEY_GROUP, KEY_TRANSACTION, KEY_SHARE };

struct found {
    int16_t error_code;
    int32_t node_id;
    struct str host;
    int32_t port;
};

static struct found nobody(int16_t error_code) {
    return (struct found){.error_code = error_code, .node_id = -1, .host = STR_LITERAL(""), .port = -1};
}

static struct found find_group(struct request *request, struct str group_id) {
    struct request_context *context = request->context;
    const struct str topic = STR_LITERAL(GROUP_TOPIC);
    if (image_topic(context->image, topic) == NULL) {
        if (context->topic_creator != NULL) {
            context->topic_creator(context, topic);
        }
        return nobody(KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    const struct image_partition *partition =
        image_partition(context->image, topic, group_runtime_partition(context->groups, group_id));
    const struct image_broker *broker =
        partition == NULL || partition->leader < 0 ? NULL : image_broker(context->image, partition->leader);
    const struct image_endpoint *endpoint =
        broker == NULL ? NULL : image_broker_endpoint(broker, request_listener_name(request));
    if (endpoint == NULL) {
        return nobody(KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
    return (struct found){.node_id = broker->id, .host = str_from(endpoint->host), .port = endpoint->port};
}

static struct found find(struct request *request, int8_t key_type, struct str key) {
    switch (key_type) {
    case KEY_GROUP: return find_group(request, key);
    case KEY_TRANSACTION: return nobody(KAFKA_COORDINATOR_NOT_AVAILABLE);
    case KEY_SHARE:
        return nobody(request->header.api_version < VERSION_WITH_SHARE_KEYS ? KAFKA_INVALID_REQUEST
                                                                            : KAFKA_COORDINATOR_NOT_AVAILABLE);
    default: return nobody(KAFKA_INVALID_REQUEST);
    }
}

/* Version 4 still explains a malformed request, later ones and other errors have an empty text. */
static struct str message_of(const struct request *request, int16_t error_code) {
    bool explains = request->header.api_version == VERSION_WITH_KEYS && error_code == KAFKA_INVALID_REQUEST;
    return explains ? STR_LITERAL(MESSAGE_INVALID) : STR_LITERAL("");
}

static void answer_keys(struct request *request) {
    const struct find_coordinator_request *message = request->message;
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    response.coordinators_count = message->coordinator_keys_count;
    response.coordinators =
        ARENA_ARRAY(&request->arena, struct find_coordinator_response_coordinator, message->coordinator_keys_count);
    for (int32_t i = 0; i < message->coordinator_keys_count; i++) {
        struct found found = find(request, message->key_type, message->coordinator_keys[i]);
        struct find_coordinator_response_coordinator *to = &response.coordinators[i];
        find_coordinator_response_coordinator_init(to);
        to->key = message->coordinator_keys[i];
        to->node_id = found.node_id;
        to->host = found.host;
        to->port = found.port;
        to->error_code = found.error_code;
        to->error_message = message_of(request, found.error_code);
    }
    request_answer(request, &response);
}

void handle_find_coordinator(struct request *request) {
    const struct find_coordinator_request *message = request->message;
    if (request->header.api_version >= VERSION_WITH_KEYS) {
        answer_keys(request);
        return;
    }
    struct found found = find(request, message->key_type, message->key);
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    response.error_code = found.error_code;
    response.error_message = found.error_code == KAFKA_NONE              ? STR_LITERAL("NONE")
                             : found.error_code == KAFKA_INVALID_REQUEST ? STR_LITERAL(MESSAGE_INVALID)
                                                                         : STR_LITERAL(MESSAGE_NOT_AVAILABLE);
    response.node_id = found.node_id;
    response.host = found.host;
    response.port = found.port;
    request_answer(request, &response);
}
