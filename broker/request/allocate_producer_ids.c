/* AllocateProducerIds: a broker asks the controller for a block of producer ids. */
#include "generated/protocol/allocate_producer_ids.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/controller_runtime.h"

struct allocate_call {
    struct request *request;
    int64_t first;
    int32_t count;
};

static void on_done(void *context, int16_t error_code) {
    struct allocate_call *call = context;
    struct allocate_producer_ids_response response;
    allocate_producer_ids_response_init(&response);
    response.error_code = error_code;
    if (error_code == KAFKA_NONE) {
        response.producer_id_start = call->first;
        response.producer_id_len = call->count;
    }
    request_answer(call->request, &response);
}

void handle_allocate_producer_ids(struct request *request) {
    const struct allocate_producer_ids_request *message = request->message;
    struct allocate_call *call = ARENA_NEW(&request->arena, struct allocate_call);
    call->request = request;
    controller_allocate_producer_ids(request->context->controller, message->broker_id, message->broker_epoch,
                                     &call->first, &call->count, on_done, call);
}
