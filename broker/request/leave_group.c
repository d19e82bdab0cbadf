/* LeaveGroup: members go without waiting for their sessions to end; from version 3 on several at once (KIP-345). */
#include "generated/protocol/leave_group.h"
#include "broker/group/group_runtime.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

#define VERSION_WITH_MEMBERS 3

static int16_t leave(struct request *request, struct str member_id, struct str instance_id, struct str reason) {
    const struct leave_group_request *message = request->message;
    struct group_event event = {.member_id = member_id,
                                .instance_id = instance_id,
                                .reason = str_is_null(reason) ? STR_LITERAL("not provided") : reason};
    return group_runtime_leave(request->context->groups, message->group_id, &event);
}

void handle_leave_group(struct request *request) {
    const struct leave_group_request *message = request->message;
    struct leave_group_response response;
    leave_group_response_init(&response);
    response.error_code = group_runtime_check(request->context->groups, message->group_id);
    if (response.error_code != KAFKA_NONE) {
        request_answer(request, &response);
        return;
    }
    if (request->header.api_version < VERSION_WITH_MEMBERS) {
        response.error_code = leave(request, message->member_id, STR_NULL, STR_NULL);
        request_answer(request, &response);
        return;
    }
    response.members =
        ARENA_ARRAY(&request->arena, struct leave_group_response_member_response, message->members_count);
    response.members_count = message->members_count;
    for (int32_t i = 0; i < message->members_count; i++) {
        const struct leave_group_request_member_identity *member = &message->members[i];
        leave_group_response_member_response_init(&response.members[i]);
        response.members[i].member_id = member->member_id;
        response.members[i].group_instance_id = member->group_instance_id;
        response.members[i].error_code = leave(request, member->member_id, member->group_instance_id, member->reason);
    }
    request_answer(request, &response);
}
