/* The calls of group_admin.h. */
#include "tools/client/group_admin.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

#define LIST_GROUPS_KEY 16
#define LIST_GROUPS_STATES 4 /* KIP-518 */
#define LIST_GROUPS_TYPES 5  /* KIP-848 */
#define CONSUMER_PROTOCOL "consumer"

/* Groups of other kinds (Connect's) are not the consumer tools' business; one that only commits has no protocol. */
static bool is_consumer_protocol(struct str protocol_type) {
    return protocol_type.size <= 0 || str_equal_text(protocol_type, CONSUMER_PROTOCOL);
}

int group_offset_compare(const void *a, const void *b) {
    const struct group_offset *left = a;
    const struct group_offset *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

/* In a sorted list. */
static struct group_offset *find_offset(struct group_offsets *offsets, struct str topic, int32_t partition) {
    struct group_offset wanted = {.topic = topic, .partition = partition};
    return offsets->count == 0
               ? NULL
               : bsearch(&wanted, offsets->list, (size_t)offsets->count, sizeof wanted, group_offset_compare);
}

/* ---- Listing ---- */

static int compare_listed(const void *a, const void *b) {
    const struct list_groups_response_listed_group *left = a;
    const struct list_groups_response_listed_group *right = b;
    return str_compare(left->group_id, right->group_id);
}

/* One broker's groups; waits while it loads. */
static int list_on(struct client *client, int32_t node_id, const struct list_groups_request *filters,
                   int64_t deadline_ms, struct arena *arena, struct list_groups_response *ret,
                   struct failure *failure) {
    for (;;) {
        struct broker_connection *connection;
        int16_t version = 0;
        int error = client_node(client, node_id, deadline_ms, &connection);
        if (error == 0) {
            error = broker_connection_version(connection, LIST_GROUPS_KEY, 0, LIST_GROUPS_TYPES, &version);
        }
        if (error == 0 && ((filters->states_filter_count > 0 && version < LIST_GROUPS_STATES) ||
                           (filters->types_filter_count > 0 && version < LIST_GROUPS_TYPES))) {
            return failure_set(failure, "UnsupportedVersionException",
                               "Broker %d cannot list groups by what was asked for", node_id);
        }
        if (error == 0) {
            int64_t request_deadline_ms = MIN(deadline_ms, monotonic_ms() + client->settings.request_timeout_ms);
            error = call_list_groups(connection, filters, request_deadline_ms, arena, ret);
        }
        if (error == 0 && ret->error_code == KAFKA_NONE) {
            return 0;
        }
        if (error == 0 && !kafka_error_is_retriable(ret->error_code)) {
            return failure_set_code(failure, ret->error_code, STR_NULL);
        }
        if (error == 0 || error == ERR_DISCONNECTED || error == ERR_TIMED_OUT) {
            error = client_backoff(client, deadline_ms);
        }
        if (error != 0) {
            return client_failure(failure, error, "listConsumerGroups");
        }
    }
}

int admin_list_groups(struct client *client, const struct list_groups_request *filters, struct arena *arena,
                      struct list_groups_response_listed_group **ret_groups, int32_t *ret_count,
                      struct failure *failure) {
    int64_t deadline_ms = client_deadline(client);
    struct metadata_response metadata;
    struct list_groups_response_listed_group *groups = NULL;
    int32_t count = 0;
    int error = client_metadata(client, NULL, 0, false, deadline_ms, arena, &metadata);
    if (error != 0) {
        return failure_set(failure, "org.apache.kafka.common.KafkaException",
                           "Failed to find brokers to send ListGroups");
    }
    for (int32_t i = 0; i < client->node_count; i++) {
        struct list_groups_response response;
        error = list_on(client, client->nodes[i]->id, filters, deadline_ms, arena, &response, failure);
        if (error != 0) {
            return error;
        }
        struct list_groups_response_listed_group *joint =
            ARENA_ARRAY(arena, struct list_groups_response_listed_group, count + response.groups_count);
        if (count > 0) {
            memcpy(joint, groups, (size_t)count * sizeof *joint);
        }
        for (int32_t j = 0; j < response.groups_count; j++) {
            if (is_consumer_protocol(response.groups[j].protocol_type)) {
                joint[count++] = response.groups[j];
            }
        }
        groups = joint;
    }
    if (count > 0) {
        qsort(groups, (size_t)count, sizeof *groups, compare_listed);
    }
    int32_t distinct = 0; /* a group on the move may be on two */
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || !str_equal(groups[i].group_id, groups[distinct - 1].group_id)) {
            groups[distinct++] = groups[i];
        }
    }
    *ret_groups = groups;
    *ret_count = distinct;
    return 0;
}

/* ---- Several groups of one coordinator ---- */

static struct str *item_ids(struct group_item **items, int32_t count, struct arena *arena) {
    struct str *ids = ARENA_ARRAY(arena, struct str, count);
    for (int32_t i = 0; i < count; i++) {
        ids[i] = items[i]->id;
    }
    return ids;
}

static struct group_item *find_item(struct group_item **items, int32_t count, struct str id) {
    for (int32_t i = 0; i < count; i++) {
        if (!items[i]->is_done && str_equal(items[i]->id, id)) {
            return items[i];
        }
    }
    return NULL;
}

static int describe_on(void *context, struct broker_connection *connection, struct group_item **items, int32_t count,
                       int64_t deadline_ms, struct arena *arena) {
    (void)context;
    struct describe_groups_request request;
    struct describe_groups_response response;
    describe_groups_request_init(&request);
    request.groups = item_ids(items, count, arena);
    request.groups_count = count;
    int error = call_describe_groups(connection, &request, deadline_ms, arena, &response);
    for (int32_t i = 0; error == 0 && i < response.groups_count; i++) {
        struct describe_groups_response_described_group *group = &response.groups[i];
        struct group_item *item = find_item(items, count, group->group_id);
        if (item == NULL || !group_item_check(item, group->error_code)) {
            continue;
        }
        item->answer = group;
        if (!is_consumer_protocol(group->protocol_type)) {
            failure_set(&item->failure, "java.lang.IllegalArgumentException",
                        "GroupId %.*s is not a consumer group (%.*s).", STR_ARGS(item->id),
                        STR_ARGS(group->protocol_type));
        }
    }
    return error;
}

static int delete_on(void *context, struct broker_connection *connection, struct group_item **items, int32_t count,
                     int64_t deadline_ms, struct arena *arena) {
    (void)context;
    struct delete_groups_request request;
    struct delete_groups_response response;
    delete_groups_request_init(&request);
    request.groups_names = item_ids(items, count, arena);
    request.groups_names_count = count;
    int error = call_delete_groups(connection, &request, deadline_ms, arena, &response);
    for (int32_t i = 0; error == 0 && i < response.results_count; i++) {
        struct group_item *item = find_item(items, count, response.results[i].group_id);
        if (item != NULL) {
            group_item_check(item, response.results[i].error_code);
        }
    }
    return error;
}

int admin_groups(struct client *client, enum groups_action action, struct group_item *items, int32_t count,
                 struct arena *arena, struct failure *failure) {
    static const struct {
        const char *name; /* as Java's admin client calls it when it takes too long */
        group_call *on_coordinator;
    } actions[] = {
        [GROUPS_DESCRIBE] = {"describeConsumerGroups(api=FIND_COORDINATOR)", describe_on},
        [GROUPS_DELETE] = {"deleteConsumerGroups(api=FIND_COORDINATOR)", delete_on},
    };
    return group_work(client, items, count, actions[action].name, actions[action].on_coordinator, NULL, arena, failure);
}

/* ---- Offsets of one group ---- */

static int fetch_on(void *context, struct broker_connection *connection, struct group_item **items, int32_t count,
                    int64_t deadline_ms, struct arena *arena) {
    (void)context;
    CHECK(count == 1);
    struct offset_fetch_request request;
    struct offset_fetch_response response;
    offset_fetch_request_init(&request);
    request.group_id = items[0]->id;
    request.topics_count = -1; /* all there are */
    int error = call_offset_fetch(connection, &request, deadline_ms, arena, &response);
    if (error != 0 || !group_item_check(items[0], response.error_code)) {
        return error;
    }
    int32_t total = 0;
    for (int32_t i = 0; i < response.topics_count; i++) {
        total += response.topics[i].partitions_count;
    }
    struct group_offsets *offsets = ARENA_NEW(arena, struct group_offsets);
    offsets->list = ARENA_ARRAY(arena, struct group_offset, total);
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            const struct offset_fetch_response_offset_fetch_response_partition *part =
                &response.topics[i].partitions[j];
            if (part->error_code == KAFKA_NONE && part->committed_offset >= 0) {
                offsets->list[offsets->count++] = (struct group_offset){response.topics[i].name, part->partition_index,
                                                                        part->committed_offset, KAFKA_NONE};
            }
        }
    }
    if (offsets->count > 0) {
        qsort(offsets->list, (size_t)offsets->count, sizeof *offsets->list, group_offset_compare);
    }
    items[0]->answer = offsets;
    return 0;
}

int admin_fetch_group_offsets(struct client *client, struct group_item *item, struct arena *arena,
                              struct failure *failure) {
    return group_work(client, item, 1, "listConsumerGroupOffsets(api=FIND_COORDINATOR)", fetch_on, NULL, arena,
                      failure);
}

static int commit_on(void *context, struct broker_connection *connection, struct group_item **items, int32_t count,
                     int64_t deadline_ms, struct arena *arena) {
    struct group_offsets *offsets = context;
    CHECK(count == 1);
    struct offset_commit_request request;
    struct offset_commit_response response;
    offset_commit_request_init(&request);
    request.group_id = items[0]->id;
    request.generation_id_or_member_epoch = -1;
    request.member_id = STR_LITERAL("");
    request.group_instance_id = STR_NULL;
    request.topics = ARENA_ARRAY(arena, struct offset_commit_request_offset_commit_request_topic, offsets->count);
    request.topics_count = offsets->count;
    for (int32_t i = 0; i < offsets->count; i++) {
        struct offset_commit_request_offset_commit_request_topic *topic = &request.topics[i];
        offset_commit_request_offset_commit_request_topic_init(topic);
        topic->name = offsets->list[i].topic;
        topic->partitions = ARENA_NEW(arena, struct offset_commit_request_offset_commit_request_partition);
        topic->partitions_count = 1;
        offset_commit_request_offset_commit_request_partition_init(topic->partitions);
        topic->partitions->partition_index = offsets->list[i].partition;
        topic->partitions->committed_offset = offsets->list[i].offset;
        topic->partitions->committed_metadata = STR_LITERAL("");
    }
    int error = call_offset_commit(connection, &request, deadline_ms, arena, &response);
    bool is_settled = true;
    for (int32_t i = 0; error == 0 && i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            int16_t code = response.topics[i].partitions[j].error_code;
            struct group_offset *offset =
                find_offset(offsets, response.topics[i].name, response.topics[i].partitions[j].partition_index);
            if (offset != NULL) {
                offset->code = code;
            }
            /* Only the coordinator's own troubles are worth another try. */
            if (code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || code == KAFKA_COORDINATOR_NOT_AVAILABLE ||
                code == KAFKA_NOT_COORDINATOR) {
                is_settled = group_item_check(items[0], code);
            }
        }
    }
    if (error == 0 && is_settled) {
        items[0]->is_done = true;
    }
    return error;
}

int admin_commit_group_offsets(struct client *client, struct group_item *item, struct group_offsets *offsets,
                               struct arena *arena, struct failure *failure) {
    return group_work(client, item, 1, "alterConsumerGroupOffsets(api=FIND_COORDINATOR)", commit_on, offsets, arena,
                      failure);
}

static int delete_offsets_on(void *context, struct broker_connection *connection, struct group_item **items,
                             int32_t count, int64_t deadline_ms, struct arena *arena) {
    struct group_offsets *offsets = context;
    CHECK(count == 1);
    struct offset_delete_request request;
    struct offset_delete_response response;
    offset_delete_request_init(&request);
    request.group_id = items[0]->id;
    request.topics = ARENA_ARRAY(arena, struct offset_delete_request_offset_delete_request_topic, offsets->count);
    /* The offsets are sorted: a topic's partitions are neighbours, and a topic may come once only. */
    for (int32_t i = 0; i < offsets->count;) {
        struct offset_delete_request_offset_delete_request_topic *topic = &request.topics[request.topics_count++];
        int32_t end = i;
        while (end < offsets->count && str_equal(offsets->list[end].topic, offsets->list[i].topic)) {
            end++;
        }
        offset_delete_request_offset_delete_request_topic_init(topic);
        topic->name = offsets->list[i].topic;
        topic->partitions = ARENA_ARRAY(arena, struct offset_delete_request_offset_delete_request_partition, end - i);
        topic->partitions_count = end - i;
        for (int32_t j = 0; i < end; i++, j++) {
            topic->partitions[j].partition_index = offsets->list[i].partition;
        }
    }
    int error = call_offset_delete(connection, &request, deadline_ms, arena, &response);
    if (error != 0 || !group_item_check(items[0], response.error_code)) {
        return error;
    }
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            struct group_offset *offset =
                find_offset(offsets, response.topics[i].name, response.topics[i].partitions[j].partition_index);
            if (offset != NULL) {
                offset->code = response.topics[i].partitions[j].error_code;
            }
        }
    }
    return 0;
}

int admin_delete_group_offsets(struct client *client, struct group_item *item, struct group_offsets *offsets,
                               struct arena *arena, struct failure *failure) {
    return group_work(client, item, 1, "deleteConsumerGroupOffsets(api=FIND_COORDINATOR)", delete_offsets_on, offsets,
                      arena, failure);
}
