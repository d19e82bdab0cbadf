/* UpdateMetadata: the controller's picture of the cluster becomes ours (zookeeper-mode.md 4.4). */
#include "generated/protocol/update_metadata.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

void handle_update_metadata(struct request *request) {
    struct update_metadata_response response;
    update_metadata_response_init(&response);
    response.error_code =
        replica_manager_update_metadata(request->context->replicas, request->message, request->header.api_version);
    request_answer(request, &response);
}
