/* ControlledShutdown: a broker that is about to stop asks the controller to move its leaders away. The answer lists
 * what it still leads. Anyone but the controller answers as to a stale one (zookeeper-mode.md 7.1). */
#include "generated/protocol/controlled_shutdown.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/controller_runtime.h"

struct shutdown_call {
    struct request *request;
    struct controlled_shutdown_partition *list;
    int32_t count;
};

static void on_done(void *context, int16_t error_code) {
    struct shutdown_call *call = context;
    struct controlled_shutdown_response response;
    controlled_shutdown_response_init(&response);
    response.error_code = error_code == KAFKA_NOT_CONTROLLER ? KAFKA_STALE_CONTROLLER_EPOCH : error_code;
    if (error_code == KAFKA_NONE) {
        response.remaining_partitions_count = call->count;
        response.remaining_partitions =
            ARENA_ARRAY(&call->request->arena, struct controlled_shutdown_response_remaining_partition, call->count);
        for (int32_t i = 0; i < call->count; i++) {
            controlled_shutdown_response_remaining_partition_init(&response.remaining_partitions[i]);
            response.remaining_partitions[i].topic_name = call->list[i].topic;
            response.remaining_partitions[i].partition_index = call->list[i].partition;
        }
    }
    request_answer(call->request, &response);
}

void handle_controlled_shutdown(struct request *request) {
    const struct controlled_shutdown_request *message = request->message;
    struct shutdown_call *call = ARENA_NEW(&request->arena, struct shutdown_call);
    call->request = request;
    controller_controlled_shutdown(request->context->controller, message->broker_id, message->broker_epoch,
                                   &request->arena, &call->list, &call->count, on_done, call);
}
