/* DescribeGroups: state and members. A group nobody has is Dead, without an error. */
#include "generated/protocol/describe_groups.h"
#include "broker/group/group_runtime.h"
#include "broker/protocol/errors.h"
#include "broker/request/authorization.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topics.h"

/* Of members' memory in one answer, which is one frame; whoever asks for more asks again for the rest. */
#define DESCRIBED_BYTES_MAX ((int64_t)1024 * 1024 * 1024)

static struct slice not_null(struct slice bytes) {
    return bytes.size < 0 ? (struct slice){NULL, 0} : bytes;
}

/* Metadata, assignments and the protocol are told of stable groups only. */
static void describe(struct request *request, const struct group *group,
                     struct describe_groups_response_described_group *to) {
    bool is_stable = group->state == GROUP_STABLE;
    to->group_state = str_from(group_state_name(group->state));
    to->protocol_type = str_is_null(group->protocol_type) ? STR_LITERAL("") : group->protocol_type;
    to->protocol_data = is_stable && !str_is_null(group->protocol) ? group->protocol : STR_LITERAL("");
    to->members =
        ARENA_ARRAY(&request->arena, struct describe_groups_response_described_group_member, group_size(group));
    for (const struct group_member *from = group->members; from != NULL; from = from->hh.next) {
        struct describe_groups_response_described_group_member *member = &to->members[to->members_count++];
        describe_groups_response_described_group_member_init(member);
        member->member_id = from->id;
        member->group_instance_id = from->instance_id;
        member->client_id = from->client_id;
        member->client_host = from->client_host;
        if (is_stable) {
            member->member_metadata = not_null(group_member_metadata(from, group->protocol));
            member->member_assignment = not_null(from->assignment);
        }
    }
}

void handle_describe_groups(struct request *request) {
    const struct describe_groups_request *message = request->message;
    struct describe_groups_response response;
    describe_groups_response_init(&response);
    response.groups =
        ARENA_ARRAY(&request->arena, struct describe_groups_response_described_group, message->groups_count);
    int64_t described_bytes = 0;
    /* Naming a group a thousand times does not get it described a thousand times. */
    const bool *is_repeated = topic_names_repeated(&request->arena, message->groups, message->groups_count);
    for (int32_t i = 0; i < message->groups_count; i++) {
        if (is_repeated[i]) {
            continue;
        }
        struct describe_groups_response_described_group *to = &response.groups[response.groups_count++];
        describe_groups_response_described_group_init(to);
        to->group_id = message->groups[i];
        to->group_state = to->protocol_type = to->protocol_data = STR_LITERAL("");
        const struct group *group = group_runtime_find(request->context->groups, message->groups[i], &to->error_code);
        described_bytes += group == NULL ? 0 : group->bytes;
        if (group != NULL && described_bytes > DESCRIBED_BYTES_MAX) {
            to->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
        } else if (group != NULL) {
            describe(request, group, to);
        } else if (to->error_code == KAFKA_NONE) {
            to->group_state = str_from(group_state_name(GROUP_DEAD));
        }
        if (message->include_authorized_operations && to->error_code == KAFKA_NONE) {
            to->authorized_operations = AUTHORIZED_GROUP_OPERATIONS;
        }
    }
    request_answer(request, &response);
}
