/* UpdateMetadata: the controller's picture of the cluster becomes ours (zookeeper-mode.md 4.4).
 *
 * A topic's own settings are written before the topic and no notification tells of them, so whoever hears of a topic
 * for the first time reads them. */
#include "generated/protocol/update_metadata.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/dynamic_config.h"
#include "broker/group/group_runtime.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

static void reread_new_topics(const struct request_context *context, const struct update_metadata_request *message) {
    for (int32_t i = 0; i < message->topic_states_count; i++) {
        const struct update_metadata_request_update_metadata_topic_state *state = &message->topic_states[i];
        const struct image_topic *known = image_topic(context->image, state->topic_name);
        if (known == NULL || !uuid_equal(known->id, state->topic_id)) {
            dynamic_config_reread_topic(context->dynamic_config, state->topic_name);
        }
    }
    for (int32_t i = 0; i < message->ungrouped_partition_states_count; i++) {
        struct str topic = message->ungrouped_partition_states[i].topic_name;
        if (image_topic(context->image, topic) == NULL) {
            dynamic_config_reread_topic(context->dynamic_config, topic);
        }
    }
}

/* A topic made anew under that name must not start with the settings of the one that went. */
static void forget_gone_topics(const struct request_context *context, const struct update_metadata_request *message) {
    for (int32_t i = 0; i < message->topic_states_count; i++) {
        struct str topic = message->topic_states[i].topic_name;
        if (image_topic(context->image, topic) == NULL) {
            char *name = xstrndup(topic.data, (size_t)MAX(topic.size, 0));
            dynamic_config_forget_topic(context->dynamic_config, name);
            free(name);
        }
    }
}

/* What groups have committed for partitions that go away goes with them. */
static void forget_offsets(const struct request_context *context, const struct update_metadata_request *message) {
    for (int32_t i = 0; i < message->topic_states_count; i++) {
        const struct update_metadata_request_update_metadata_topic_state *topic = &message->topic_states[i];
        for (int32_t j = 0; j < topic->partition_states_count; j++) {
            if (topic->partition_states[j].leader == IMAGE_LEADER_DURING_DELETE) {
                group_runtime_on_partition_deleted(context->groups, topic->topic_name,
                                                   topic->partition_states[j].partition_index);
            }
        }
    }
    for (int32_t i = 0; i < message->ungrouped_partition_states_count; i++) {
        const struct update_metadata_request_update_metadata_partition_state *state =
            &message->ungrouped_partition_states[i];
        if (state->leader == IMAGE_LEADER_DURING_DELETE) {
            group_runtime_on_partition_deleted(context->groups, state->topic_name, state->partition_index);
        }
    }
}

void handle_update_metadata(struct request *request) {
    const struct request_context *context = request->context;
    if (context->dynamic_config != NULL) {
        reread_new_topics(context, request->message);
    }
    struct update_metadata_response response;
    update_metadata_response_init(&response);
    response.error_code =
        replica_manager_update_metadata(context->replicas, request->message, request->header.api_version);
    if (context->dynamic_config != NULL) {
        forget_gone_topics(context, request->message);
    }
    if (context->groups != NULL && response.error_code == KAFKA_NONE) {
        forget_offsets(context, request->message);
    }
    request_answer(request, &response);
}
