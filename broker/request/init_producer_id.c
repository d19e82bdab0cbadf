/* InitProducerId for idempotent producers: a new id with epoch 0, whatever the request brings along.
 *
 * Transactional ids belong to a transaction coordinator. This broker has none, and refuses them with an error that
 * clients take for final: one that may be tried again would keep them waiting for nothing. */
#include "generated/protocol/init_producer_id.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/producer_ids.h"

struct init_producer_id {
    struct producer_id_waiter waiter;
    struct request *request;
};

static void answer(struct request *request, int16_t error_code, int64_t producer_id) {
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    response.error_code = error_code;
    response.producer_id = producer_id;
    response.producer_epoch = error_code == KAFKA_NONE ? 0 : -1;
    request_answer(request, &response);
}

static void on_id(struct producer_id_waiter *waiter, int16_t error_code, int64_t producer_id) {
    struct init_producer_id *init = CONTAINER_OF(waiter, struct init_producer_id, waiter);
    answer(init->request, error_code, producer_id);
}

void handle_init_producer_id(struct request *request) {
    const struct init_producer_id_request *message = request->message;
    if ((message->producer_id == -1) != (message->producer_epoch == -1)) {
        answer(request, KAFKA_INVALID_REQUEST, -1); /* a former id comes with its epoch, or neither does */
        return;
    }
    if (!str_is_null(message->transactional_id)) {
        bool is_timeout_bad = message->transaction_timeout_ms <= 0 ||
                              message->transaction_timeout_ms > request->context->transaction_max_timeout_ms;
        answer(request,
               message->transactional_id.size == 0 ? KAFKA_INVALID_REQUEST
               : is_timeout_bad                    ? KAFKA_INVALID_TRANSACTION_TIMEOUT
                                                   : KAFKA_UNSUPPORTED_VERSION,
               -1);
        return;
    }
    struct init_producer_id *init = ARENA_NEW(&request->arena, struct init_producer_id);
    init->request = request;
    init->waiter.on_id = on_id;
    producer_ids_take(request->context->producer_ids, &init->waiter);
}
