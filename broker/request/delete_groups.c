/* DeleteGroups: empty groups go with everything they have committed. */
#include "generated/protocol/delete_groups.h"
#include "broker/group/group_runtime.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topics.h"

struct group_deletion {
    struct request *request;
    struct delete_groups_response response;
    int32_t left; /* groups without their result, and one while they are being asked for */
};

struct one_deletion {
    struct group_deletion *deletion;
    struct delete_groups_response_deletable_group_result *result;
};

static void end_one(struct group_deletion *deletion) {
    if (--deletion->left == 0) {
        request_answer(deletion->request, &deletion->response);
    }
}

static void on_deleted(void *context, int16_t error_code) {
    struct one_deletion *one = context;
    one->result->error_code = error_code;
    end_one(one->deletion);
}

void handle_delete_groups(struct request *request) {
    const struct delete_groups_request *message = request->message;
    struct group_deletion *deletion = ARENA_NEW(&request->arena, struct group_deletion);
    struct one_deletion *each = ARENA_ARRAY(&request->arena, struct one_deletion, message->groups_names_count);
    const bool *is_repeated = topic_names_repeated(&request->arena, message->groups_names, message->groups_names_count);
    deletion->request = request;
    deletion->left = 1;
    delete_groups_response_init(&deletion->response);
    deletion->response.results =
        ARENA_ARRAY(&request->arena, struct delete_groups_response_deletable_group_result, message->groups_names_count);
    for (int32_t i = 0; i < message->groups_names_count; i++) {
        if (is_repeated[i]) {
            continue;
        }
        struct delete_groups_response_deletable_group_result *result =
            &deletion->response.results[deletion->response.results_count++];
        delete_groups_response_deletable_group_result_init(result);
        result->group_id = message->groups_names[i];
        each[i] = (struct one_deletion){deletion, result};
        deletion->left++;
        group_runtime_delete(request->context->groups, message->groups_names[i], on_deleted, &each[i]);
    }
    end_one(deletion);
}
