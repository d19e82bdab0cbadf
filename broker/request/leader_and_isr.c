/* LeaderAndIsr: the controller says who leads and who follows; the replica manager obeys (zookeeper-mode.md 4.2). */
#include "generated/protocol/leader_and_isr.h"
#include "broker/dynamic_config.h"
#include "broker/metadata/image.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

/* The settings of a new topic, asked for as early as the topic is known here: its logs take them when they come. */
static void reread_new_topics(const struct request_context *context, const struct leader_and_isr_request *message) {
    for (int32_t i = 0; i < message->topic_states_count; i++) {
        const struct leader_and_isr_request_leader_and_isr_topic_state *state = &message->topic_states[i];
        const struct image_topic *known = image_topic(context->image, state->topic_name);
        if (known == NULL || !uuid_equal(known->id, state->topic_id)) {
            dynamic_config_reread_topic(context->dynamic_config, state->topic_name);
        }
    }
}

void handle_leader_and_isr(struct request *request) {
    struct leader_and_isr_response response;
    leader_and_isr_response_init(&response);
    if (request->context->dynamic_config != NULL) {
        reread_new_topics(request->context, request->message);
    }
    replica_manager_leader_and_isr(request->context->replicas, request->message, request->header.api_version,
                                   &request->arena, &response);
    request_answer(request, &response);
}
