/* DescribeCluster: brokers, controller and cluster id, by the endpoints of the listener that asks. */
#include "generated/protocol/describe_cluster.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/authorization.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/leaders.h"

enum endpoint_type { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

/* Clients may ask for controllers only where KRaft controllers listen. */
static void refuse_endpoint_type(struct request *request, struct describe_cluster_response *response) {
    const struct describe_cluster_request *message = request->message;
    bool is_controllers = message->endpoint_type == ENDPOINT_CONTROLLERS;
    response->error_code = is_controllers ? KAFKA_MISMATCHED_ENDPOINT_TYPE : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
    response->error_message = arena_printf(
        &request->arena, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type %s",
        is_controllers ? "CONTROLLER" : "UNKNOWN");
    response->cluster_id = STR_LITERAL("");
    response->controller_id = -1;
    request_answer(request, response);
}

void handle_describe_cluster(struct request *request) {
    const struct describe_cluster_request *message = request->message;
    const struct request_context *context = request->context;
    struct describe_cluster_response response;
    describe_cluster_response_init(&response);
    if (request->header.api_version > 0 && message->endpoint_type != ENDPOINT_BROKERS) {
        refuse_endpoint_type(request, &response);
        return;
    }
    response.cluster_id = str_from(context->cluster_id);
    response.controller_id = image_controller(context->image);
    if (message->include_cluster_authorized_operations) {
        response.cluster_authorized_operations = AUTHORIZED_CLUSTER_OPERATIONS;
    }
    int32_t count;
    const struct image_broker *brokers = image_brokers(context->image, &count);
    response.brokers = ARENA_ARRAY(&request->arena, struct describe_cluster_response_describe_cluster_broker, count);
    for (int32_t i = 0; i < count; i++) {
        const struct image_endpoint *endpoint = image_broker_endpoint(&brokers[i], request_listener_name(request));
        if (endpoint == NULL) {
            continue;
        }
        struct describe_cluster_response_describe_cluster_broker *broker = &response.brokers[response.brokers_count++];
        describe_cluster_response_describe_cluster_broker_init(broker);
        broker->broker_id = brokers[i].id;
        broker->host = str_from(endpoint->host);
        broker->port = endpoint->port;
        broker->rack = str_from(brokers[i].rack);
    }
    request_answer(request, &response);
}
