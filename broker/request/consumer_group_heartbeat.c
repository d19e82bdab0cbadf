/* ConsumerGroupHeartbeat: in ZooKeeper mode there is only the classic protocol. The key is listed all the same. */
#include "generated/protocol/consumer_group_heartbeat.h"
#include "broker/protocol/errors.h"
#include "broker/request/handlers.h"

void handle_consumer_group_heartbeat(struct request *request) {
    struct consumer_group_heartbeat_response response;
    consumer_group_heartbeat_response_init(&response);
    response.error_code = KAFKA_UNSUPPORTED_VERSION;
    request_answer(request, &response);
}
