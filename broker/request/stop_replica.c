/* StopReplica: the controller takes partitions away, with or without their data (zookeeper-mode.md 4.3). */
#include "generated/protocol/stop_replica.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

void handle_stop_replica(struct request *request) {
    const struct stop_replica_request *message = request->message;
    struct stop_replica_response response;
    if (!replica_manager_hears(request->context->replicas, message->controller_epoch, request->connection)) {
        request_close_connection(request);
        return;
    }
    stop_replica_response_init(&response);
    replica_manager_stop_replica(request->context->replicas, message, request->header.api_version, &request->arena,
                                 &response);
    request_answer(request, &response);
}
