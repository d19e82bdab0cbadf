/* AlterPartition: a leader asks the controller to change its in-sync set (KIP-497). */
#include "generated/protocol/alter_partition.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/controller_runtime.h"

struct alter_partition_call {
    struct request *request;
    struct alter_partition_response response;
};

static void on_done(void *context, int16_t error_code) {
    struct alter_partition_call *call = context;
    if (error_code != KAFKA_NONE) {
        alter_partition_response_init(&call->response);
        call->response.error_code = error_code;
    }
    request_answer(call->request, &call->response);
}

void handle_alter_partition(struct request *request) {
    struct alter_partition_call *call = ARENA_NEW(&request->arena, struct alter_partition_call);
    call->request = request;
    alter_partition_response_init(&call->response);
    controller_alter_partition(request->context->controller, request->message, request->header.api_version,
                               &request->arena, &call->response, on_done, call);
}
