/* A short list of nodes, searched linearly: a cluster has few brokers. */
#include "broker/request/leaders.h"

#include "broker/base/check.h"
#include "broker/request/context.h"

const char *request_listener_name(const struct request *request) {
    CHECK(request->listener >= 0 && request->listener < request->context->listener_count);
    return request->context->listeners[request->listener];
}

struct leader_hints leader_hints_begin(struct request *request, int32_t partitions) {
    int32_t brokers;
    image_brokers(request->context->image, &brokers);
    int32_t capacity = MIN(brokers, partitions);
    return (struct leader_hints){
        .request = request,
        .nodes = ARENA_ARRAY(&request->arena, const struct image_broker *, capacity),
        .capacity = capacity,
    };
}

bool leader_hints_add(struct leader_hints *hints, struct str topic, int32_t partition, int32_t *ret_leader,
                      int32_t *ret_leader_epoch) {
    const struct image *image = hints->request->context->image;
    const struct image_partition *state = image_partition(image, topic, partition);
    if (state == NULL) {
        return false;
    }
    *ret_leader = state->leader;
    *ret_leader_epoch = state->leader_epoch;
    const struct image_broker *broker = image_broker(image, state->leader);
    if (broker == NULL || image_broker_endpoint(broker, request_listener_name(hints->request)) == NULL) {
        return true;
    }
    for (int32_t i = 0; i < hints->count; i++) {
        if (hints->nodes[i] == broker) {
            return true;
        }
    }
    if (hints->count < hints->capacity) {
        hints->nodes[hints->count++] = broker;
    }
    return true;
}
