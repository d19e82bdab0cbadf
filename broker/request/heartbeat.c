/* Heartbeat: a member is alive, and hears whether a rebalance has begun. */
#include "generated/protocol/heartbeat.h"
#include "broker/group/group_runtime.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

void handle_heartbeat(struct request *request) {
    const struct heartbeat_request *message = request->message;
    struct group_event event = {.member_id = message->member_id,
                                .instance_id = message->group_instance_id,
                                .generation = message->generation_id};
    struct heartbeat_response response;
    heartbeat_response_init(&response);
    response.error_code = group_runtime_heartbeat(request->context->groups, message->group_id, &event);
    request_answer(request, &response);
}
