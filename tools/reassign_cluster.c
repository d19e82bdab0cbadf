/* What kafka-reassign-partitions asks of the cluster: who holds what, what is moving, and to move it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/reassign.h"

static int32_t *copy_ids(struct arena *arena, const int32_t *ids, int32_t count) {
    int32_t *copy = ARENA_ARRAY(arena, int32_t, count + 1);
    if (count > 0) {
        memcpy(copy, ids, (size_t)count * sizeof *copy);
    }
    return copy;
}

/* ---- who holds what ---- */

static int compare_items(const void *a, const void *b) {
    const struct reassign_item *left = a, *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

static int topic_failure(struct failure *failure, const struct metadata_response_metadata_response_topic *topic) {
    if (topic->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
        return failure_set(failure, REASSIGN_WRAPPER,
                           "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Topic %.*s not found.",
                           STR_ARGS(topic->name));
    }
    struct failure inner = {0};
    failure_set_code(&inner, topic->error_code, STR_NULL);
    failure_set(failure, REASSIGN_WRAPPER, "%s: %s", inner.class_name, inner.text);
    failure_clear(&inner);
    return ERR_INVALID;
}

int reassign_current(struct admin_tool *tool, const struct str *topics, int32_t topic_count, bool is_lenient,
                     struct reassign_plan *ret) {
    struct client *client = &tool->client;
    struct metadata_response response;
    int32_t count = 0;
    *ret = (struct reassign_plan){0};
    int error = client_metadata(client, topics, topic_count, false, client_deadline(client), &tool->arena, &response);
    if (error != 0) {
        client_failure(&tool->failure, error, "describeTopics");
        return error;
    }
    for (int32_t i = 0; i < response.topics_count; i++) {
        bool is_unknown = response.topics[i].error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        if (response.topics[i].error_code != KAFKA_NONE && !(is_unknown && is_lenient)) {
            return topic_failure(&tool->failure, &response.topics[i]);
        }
        count += response.topics[i].partitions_count;
    }
    ret->items = ARENA_ARRAY(&tool->arena, struct reassign_item, count + 1);
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            const struct metadata_response_metadata_response_partition *from = &response.topics[i].partitions[j];
            ret->items[ret->count++] = (struct reassign_item){
                .topic = response.topics[i].name,
                .partition = from->partition_index,
                .replicas = from->replica_nodes,
                .replica_count = from->replica_nodes_count,
            };
        }
    }
    qsort(ret->items, (size_t)ret->count, sizeof *ret->items, compare_items);
    return 0;
}

/* ---- what is moving ---- */

static int compare_ongoing(const void *a, const void *b) {
    const struct reassign_ongoing *left = a, *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

static void take_ongoing(struct arena *arena, const struct list_partition_reassignments_response *response,
                         struct reassign_ongoing_list *ret) {
    int32_t count = 0;
    for (int32_t i = 0; i < response->topics_count; i++) {
        count += response->topics[i].partitions_count;
    }
    ret->items = ARENA_ARRAY(arena, struct reassign_ongoing, count + 1);
    for (int32_t i = 0; i < response->topics_count; i++) {
        for (int32_t j = 0; j < response->topics[i].partitions_count; j++) {
            const struct list_partition_reassignments_response_ongoing_partition_reassignment *from =
                &response->topics[i].partitions[j];
            ret->items[ret->count++] = (struct reassign_ongoing){
                .topic = response->topics[i].name,
                .partition = from->partition_index,
                .replicas = copy_ids(arena, from->replicas, from->replicas_count),
                .replica_count = from->replicas_count,
                .adding = copy_ids(arena, from->adding_replicas, from->adding_replicas_count),
                .adding_count = from->adding_replicas_count,
                .removing = copy_ids(arena, from->removing_replicas, from->removing_replicas_count),
                .removing_count = from->removing_replicas_count,
            };
        }
    }
    qsort(ret->items, (size_t)ret->count, sizeof *ret->items, compare_ongoing);
}

/* The exception of a whole call that failed, wrapped as Kafka's futures wrap it. */
static int call_failure(struct failure *failure, int16_t code, struct str message) {
    struct failure inner = {0};
    failure_set_code(&inner, code, message);
    failure_set(failure, REASSIGN_WRAPPER, "%s: %s", inner.class_name, inner.text);
    failure_clear(&inner);
    return ERR_INVALID;
}

int reassign_list(struct admin_tool *tool, struct reassign_ongoing_list *ret) {
    struct list_partition_reassignments_request request;
    struct list_partition_reassignments_response response;
    *ret = (struct reassign_ongoing_list){0};
    list_partition_reassignments_request_init(&request);
    request.timeout_ms = tool->client.settings.request_timeout_ms;
    request.topics_count = -1;
    int error = admin_list_reassignments(&tool->client, &request, &tool->arena, &response, &tool->failure);
    if (error == 0 && response.error_code != KAFKA_NONE) {
        error = call_failure(&tool->failure, response.error_code, response.error_message);
    }
    if (error == 0) {
        take_ongoing(&tool->arena, &response, ret);
    }
    return error;
}

const struct reassign_ongoing *reassign_find_ongoing(const struct reassign_ongoing_list *list, struct str topic,
                                                     int32_t partition) {
    struct reassign_ongoing key = {.topic = topic, .partition = partition};
    return list->count == 0 ? NULL
                            : bsearch(&key, list->items, (size_t)list->count, sizeof *list->items, compare_ongoing);
}

/* ---- moving ---- */

/* Items come by topic. */
static void build_request(struct arena *arena, const struct reassign_item *const *items, int32_t count, bool is_cancel,
                          struct alter_partition_reassignments_request *request) {
    request->topics = ARENA_ARRAY(arena, struct alter_partition_reassignments_request_reassignable_topic, count + 1);
    request->topics_count = 0;
    struct alter_partition_reassignments_request_reassignable_partition *partitions =
        ARENA_ARRAY(arena, struct alter_partition_reassignments_request_reassignable_partition, count + 1);
    struct alter_partition_reassignments_request_reassignable_topic *topic = NULL;
    for (int32_t i = 0; i < count; i++) {
        if (topic == NULL || !str_equal(topic->name, items[i]->topic)) {
            topic = &request->topics[request->topics_count++];
            alter_partition_reassignments_request_reassignable_topic_init(topic);
            topic->name = items[i]->topic;
            topic->partitions = &partitions[i];
            topic->partitions_count = 0;
        }
        struct alter_partition_reassignments_request_reassignable_partition *partition =
            &topic->partitions[topic->partitions_count++];
        alter_partition_reassignments_request_reassignable_partition_init(partition);
        partition->partition_index = items[i]->partition;
        partition->replicas = items[i]->replicas;
        partition->replicas_count = is_cancel ? -1 : items[i]->replica_count;
    }
}

int reassign_alter(struct admin_tool *tool, const struct reassign_item *const *items, int32_t count, bool is_cancel,
                   const char *heading) {
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_response response;
    struct str refused = STR_NULL;
    alter_partition_reassignments_request_init(&request);
    request.timeout_ms = tool->client.settings.request_timeout_ms;
    build_request(&tool->arena, items, count, is_cancel, &request);
    int error = admin_alter_reassignments(&tool->client, &request, &tool->arena, &response, &tool->failure);
    if (error != 0) {
        return error;
    }
    if (response.error_code != KAFKA_NONE) {
        return call_failure(&tool->failure, response.error_code, response.error_message);
    }
    for (int32_t i = 0; i < response.responses_count; i++) {
        for (int32_t j = 0; j < response.responses[i].partitions_count; j++) {
            const struct alter_partition_reassignments_response_reassignable_partition_response *answer =
                &response.responses[i].partitions[j];
            if (answer->error_code == KAFKA_NONE) {
                continue;
            }
            struct failure failure = {0};
            failure_set_code(&failure, answer->error_code, answer->error_message);
            refused = arena_printf(&tool->arena, "%.*s\n%.*s-%d: %s", STR_ARGS(refused),
                                   STR_ARGS(response.responses[i].name), answer->partition_index, failure.text);
            failure_clear(&failure);
        }
    }
    return str_is_null(refused) ? 0 : failure_set(&tool->failure, REASSIGN_TERSE, "%s%.*s", heading, STR_ARGS(refused));
}
