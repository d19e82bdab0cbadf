/* ListGroups: the groups this broker coordinates; by state from version 4 on (KIP-518), by type from 5 (KIP-848). */
#include "generated/protocol/list_groups.h"

#include <strings.h>

#include "broker/group/group_runtime.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

#define GROUP_TYPE_CLASSIC "classic"

struct group_listing {
    const struct list_groups_request *message;
    struct list_groups_response response;
};

static bool is_among(const struct str *names, int32_t count, const char *name) {
    for (int32_t i = 0; i < count; i++) {
        if (names[i].size == (int32_t)strlen(name) && strncasecmp(names[i].data, name, strlen(name)) == 0) {
            return true;
        }
    }
    return count <= 0;
}

static void list_group(void *context, const struct group *group) {
    struct group_listing *listing = context;
    const struct list_groups_request *message = listing->message;
    if (!is_among(message->states_filter, message->states_filter_count, group_state_name(group->state))) {
        return;
    }
    struct list_groups_response_listed_group *to = &listing->response.groups[listing->response.groups_count++];
    list_groups_response_listed_group_init(to);
    to->group_id = group->id;
    to->protocol_type = str_is_null(group->protocol_type) ? STR_LITERAL("") : group->protocol_type;
    to->group_state = str_from(group_state_name(group->state));
    to->group_type = STR_LITERAL(GROUP_TYPE_CLASSIC);
}

void handle_list_groups(struct request *request) {
    struct group_runtime *groups = request->context->groups;
    struct group_listing listing = {.message = request->message};
    list_groups_response_init(&listing.response);
    listing.response.groups =
        ARENA_ARRAY(&request->arena, struct list_groups_response_listed_group, group_runtime_group_count(groups));
    if (is_among(listing.message->types_filter, listing.message->types_filter_count, GROUP_TYPE_CLASSIC)) {
        listing.response.error_code = group_runtime_each(groups, list_group, &listing);
    }
    request_answer(request, &listing.response);
}
