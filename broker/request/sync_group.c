/* SyncGroup: the leader brings the assignment, everybody gets a part of it once it is stored. */
#include "generated/protocol/sync_group.h"
#include "broker/base/check.h"
#include "broker/group/group_runtime.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

#define VERSION_WITH_PROTOCOL 5 /* KIP-559: type and name are mandatory */

static void on_synced(void *context, const struct group *group, const struct group_action *answer) {
    (void)group;
    struct request *request = context;
    struct sync_group_response response;
    request->on_abandoned = NULL;
    sync_group_response_init(&response);
    response.error_code = answer->error_code;
    response.protocol_type = answer->protocol_type;
    response.protocol_name = answer->protocol;
    response.assignment = (struct slice){answer->assignment.data, MAX(answer->assignment.size, 0)};
    request_answer(request, &response);
}

static void refuse(struct request *request, int16_t error_code) {
    struct sync_group_response response;
    sync_group_response_init(&response);
    response.error_code = error_code;
    request_answer(request, &response);
}

static void on_abandoned(struct request *request) {
    group_waiter_forget(request->waiting);
    request->on_abandoned = NULL;
    refuse(request, KAFKA_UNKNOWN_MEMBER_ID);
}

void handle_sync_group(struct request *request) {
    const struct sync_group_request *message = request->message;
    if (request->header.api_version >= VERSION_WITH_PROTOCOL &&
        (str_is_null(message->protocol_type) || str_is_null(message->protocol_name))) {
        refuse(request, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    struct group_assignment *assignments =
        ARENA_ARRAY(&request->arena, struct group_assignment, message->assignments_count);
    for (int32_t i = 0; i < message->assignments_count; i++) {
        assignments[i] =
            (struct group_assignment){message->assignments[i].member_id, message->assignments[i].assignment};
    }
    struct group_event event = {
        .member_id = message->member_id,
        .instance_id = message->group_instance_id,
        .generation = message->generation_id,
        .protocol_type = message->protocol_type,
        .sync = {.protocol = message->protocol_name,
                 .assignments = assignments,
                 .assignment_count = message->assignments_count},
    };
    struct group_waiter *waiter =
        group_runtime_sync(request->context->groups, message->group_id, &event, on_synced, request);
    if (waiter != NULL) {
        request->waiting = waiter;
        request->on_abandoned = on_abandoned;
    }
}
