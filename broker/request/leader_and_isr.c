/* LeaderAndIsr: the controller says who leads and who follows; the replica manager obeys (zookeeper-mode.md 4.2). */
#include "generated/protocol/leader_and_isr.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

void handle_leader_and_isr(struct request *request) {
    struct leader_and_isr_response response;
    leader_and_isr_response_init(&response);
    replica_manager_leader_and_isr(request->context->replicas, request->message, request->header.api_version,
                                   &request->arena, &response);
    request_answer(request, &response);
}
