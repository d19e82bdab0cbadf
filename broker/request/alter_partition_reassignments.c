/* AlterPartitionReassignments: the controller moves partitions. Asked elsewhere, it is refused; clients find the
 * controller themselves. */
#include "generated/protocol/alter_partition_reassignments.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/controller_runtime.h"

struct alter_reassignments {
    struct request *request;
    struct alter_partition_reassignments_response response;
};

static void on_done(void *context, int16_t error_code) {
    struct alter_reassignments *call = context;
    if (error_code != KAFKA_NONE) {
        alter_partition_reassignments_response_init(&call->response);
        call->response.error_code = error_code;
        call->response.error_message = str_from(kafka_error_text(error_code));
    }
    request_answer(call->request, &call->response);
}

void handle_alter_partition_reassignments(struct request *request) {
    struct alter_reassignments *call = ARENA_NEW(&request->arena, struct alter_reassignments);
    call->request = request;
    controller_alter_reassignments(request->context->controller, request->message, &request->arena, &call->response,
                                   on_done, call);
}
