/* UpdateMetadata: the controller's picture of the cluster becomes ours (zookeeper-mode.md 4.4).
 *
 * Most of them tell what changed; one that is full names everything, and what else we know is gone: it is taken as if
 * the message said so.
 *
 * A topic's own settings are written before the topic and no notification tells of them, so whoever hears of a topic
 * for the first time reads them. */
#include "generated/protocol/update_metadata.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/dynamic_config.h"
#include "broker/group/group_runtime.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "replication/replica_manager.h"

static int compare_names(const void *a, const void *b) {
    return str_compare((*(const struct update_metadata_request_update_metadata_topic_state *const *)a)->topic_name,
                       (*(const struct update_metadata_request_update_metadata_topic_state *const *)b)->topic_name);
}

static void add_deletion(struct arena *arena, const struct image_topic *topic,
                         struct update_metadata_request_update_metadata_topic_state *ret) {
    struct update_metadata_request_update_metadata_partition_state *partitions =
        ARENA_ARRAY(arena, struct update_metadata_request_update_metadata_partition_state, topic->partition_count + 1);
    update_metadata_request_update_metadata_topic_state_init(ret);
    ret->topic_name = arena_str(arena, str_from(topic->name));
    ret->topic_id = topic->id;
    ret->partition_states = partitions;
    ret->partition_states_count = topic->partition_count;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        update_metadata_request_update_metadata_partition_state_init(&partitions[i]);
        partitions[i].partition_index = topic->partitions[i]->partition;
        partitions[i].leader = IMAGE_LEADER_DURING_DELETE;
    }
}

/* The message with the deletions a full one implies, before what it says: a name may be in use again. */
static const struct update_metadata_request *complete(struct request *request) {
    const struct update_metadata_request *message = request->message;
    const struct image *image = request->context->image;
    struct arena *arena = &request->arena;
    if (message->type != IMAGE_UPDATE_FULL) {
        return message;
    }
    int32_t told_count = message->topic_states_count;
    int32_t known_count = image_topic_count(image);
    const struct update_metadata_request_update_metadata_topic_state **told =
        ARENA_ARRAY(arena, const struct update_metadata_request_update_metadata_topic_state *, told_count + 1);
    for (int32_t i = 0; i < told_count; i++) {
        told[i] = &message->topic_states[i];
    }
    qsort(told, (size_t)told_count, sizeof *told, compare_names);
    struct update_metadata_request_update_metadata_topic_state *states =
        ARENA_ARRAY(arena, struct update_metadata_request_update_metadata_topic_state, told_count + known_count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < known_count; i++) {
        const struct image_topic *known = image_topic_at(image, i);
        const struct update_metadata_request_update_metadata_topic_state key = {.topic_name = str_from(known->name)};
        const struct update_metadata_request_update_metadata_topic_state *wanted = &key;
        const struct update_metadata_request_update_metadata_topic_state **found =
            bsearch(&wanted, told, (size_t)told_count, sizeof *told, compare_names);
        if (found == NULL || !uuid_equal((*found)->topic_id, known->id)) {
            add_deletion(arena, known, &states[count++]);
        }
    }
    if (told_count > 0) {
        memcpy(&states[count], message->topic_states, (size_t)told_count * sizeof *states);
    }
    struct update_metadata_request *completed = ARENA_NEW(arena, struct update_metadata_request);
    *completed = *message;
    completed->topic_states = states;
    completed->topic_states_count = count + told_count;
    return completed;
}

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
    const struct update_metadata_request *message = complete(request);
    if (!replica_manager_hears(context->replicas, message->controller_epoch, request->connection)) {
        request_close_connection(request);
        return;
    }
    if (context->dynamic_config != NULL) {
        reread_new_topics(context, message);
    }
    struct update_metadata_response response;
    update_metadata_response_init(&response);
    response.error_code = replica_manager_update_metadata(context->replicas, message, request->header.api_version);
    if (context->dynamic_config != NULL) {
        forget_gone_topics(context, message);
    }
    if (context->groups != NULL && response.error_code == KAFKA_NONE) {
        forget_offsets(context, message);
    }
    request_answer(request, &response);
}
