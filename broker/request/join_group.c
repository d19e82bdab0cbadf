/* JoinGroup: a member asks to take part in the next generation; the answer comes when it has formed. */
#include "generated/protocol/join_group.h"
#include "broker/base/check.h"
#include "broker/group/group_runtime.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

#define VERSION_WITH_REBALANCE_TIMEOUT 1
#define VERSION_REQUIRING_MEMBER_ID 4 /* KIP-394 */
#define VERSION_WITH_NULL_PROTOCOL 7
#define VERSION_SKIPPING_ASSIGNMENT 9 /* KIP-814 */

static void list_members(struct request *request, const struct group *group, struct join_group_response *response) {
    response->members =
        ARENA_ARRAY(&request->arena, struct join_group_response_join_group_response_member, group_size(group));
    for (const struct group_member *member = group->members; member != NULL; member = member->hh.next) {
        struct join_group_response_join_group_response_member *to = &response->members[response->members_count++];
        join_group_response_join_group_response_member_init(to);
        to->member_id = member->id;
        to->group_instance_id = member->instance_id;
        to->metadata = group_member_metadata(member, group->protocol);
    }
}

static void on_joined(void *context, const struct group *group, const struct group_action *answer) {
    struct request *request = context;
    struct join_group_response response;
    request->on_abandoned = NULL;
    join_group_response_init(&response);
    response.error_code = answer->error_code;
    response.generation_id = answer->generation;
    response.protocol_type = answer->protocol_type;
    response.protocol_name = answer->protocol;
    if (str_is_null(response.protocol_name) && request->header.api_version < VERSION_WITH_NULL_PROTOCOL) {
        response.protocol_name = STR_LITERAL("");
    }
    response.leader = str_is_null(answer->leader) ? STR_LITERAL("") : answer->leader;
    response.skip_assignment = answer->skip_assignment;
    response.member_id = answer->member_id;
    if (answer->has_members) {
        list_members(request, group, &response);
    }
    request_answer(request, &response);
}

/* The client has gone: the group goes on without its ear. */
static void on_abandoned(struct request *request) {
    struct join_group_response response;
    group_waiter_forget(request->waiting);
    request->on_abandoned = NULL;
    join_group_response_init(&response);
    response.error_code = KAFKA_UNKNOWN_MEMBER_ID;
    response.protocol_name = STR_LITERAL("");
    request_answer(request, &response);
}

void handle_join_group(struct request *request) {
    const struct join_group_request *message = request->message;
    int16_t version = request->header.api_version;
    struct group_protocol *protocols = ARENA_ARRAY(&request->arena, struct group_protocol, message->protocols_count);
    for (int32_t i = 0; i < message->protocols_count; i++) {
        protocols[i] = (struct group_protocol){message->protocols[i].name, message->protocols[i].metadata};
    }
    bool has_timeout = version >= VERSION_WITH_REBALANCE_TIMEOUT;
    struct group_event event = {
        .member_id = message->member_id,
        .instance_id = message->group_instance_id,
        .protocol_type = message->protocol_type,
        .reason = str_is_null(message->reason) ? STR_LITERAL("not provided") : message->reason,
        .join =
            {
                .client_id = str_is_null(request->header.client_id) ? STR_LITERAL("") : request->header.client_id,
                .client_host = arena_printf(&request->arena, "/%.*s", STR_ARGS(request->client_host)),
                .session_timeout_ms = message->session_timeout_ms,
                .rebalance_timeout_ms = has_timeout ? message->rebalance_timeout_ms : message->session_timeout_ms,
                .protocols = protocols,
                .protocol_count = message->protocols_count,
                .requires_known_id = version >= VERSION_REQUIRING_MEMBER_ID && str_is_null(message->group_instance_id),
                .supports_skip_assignment = version >= VERSION_SKIPPING_ASSIGNMENT,
            },
    };
    struct group_waiter *waiter =
        group_runtime_join(request->context->groups, message->group_id, &event, on_joined, request);
    if (waiter != NULL) {
        request->waiting = waiter;
        request->on_abandoned = on_abandoned;
    }
}
