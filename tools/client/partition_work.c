#include "tools/client/partition_work.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

static const struct metadata_response_metadata_response_partition *find_answer(const struct metadata_response *response,
                                                                               const struct partition_item *item) {
    for (int32_t i = 0; i < response->topics_count; i++) {
        if (!str_equal(response->topics[i].name, item->topic)) {
            continue;
        }
        for (int32_t j = 0; j < response->topics[i].partitions_count; j++) {
            if (response->topics[i].partitions[j].partition_index == item->partition) {
                return &response->topics[i].partitions[j];
            }
        }
    }
    return NULL;
}

static int find_leaders(struct client *client, struct partition_item *items, int32_t count, int64_t deadline_ms,
                        struct arena *arena) {
    struct str *topics = ARENA_ARRAY(arena, struct str, count);
    int32_t topic_count = 0;
    for (int32_t i = 0; i < count; i++) {
        bool is_new = !items[i].is_done;
        for (int32_t j = topic_count - 1; j >= 0 && is_new; j--) {
            is_new = !str_equal(topics[j], items[i].topic);
        }
        if (is_new) {
            topics[topic_count++] = items[i].topic;
        }
    }
    struct metadata_response response;
    int error = client_metadata(client, topics, topic_count, false, deadline_ms, arena, &response);
    for (int32_t i = 0; error == 0 && i < count; i++) {
        const struct metadata_response_metadata_response_partition *answer = find_answer(&response, &items[i]);
        items[i].leader = answer == NULL ? -1 : answer->leader_id;
    }
    return error;
}

/* Asks one broker for all its items that are not done. */
static int ask_leader(struct client *client, int32_t leader, struct partition_item *items, int32_t count,
                      int64_t deadline_ms, partition_call *call, void *context, struct arena *arena) {
    struct partition_item **chosen = ARENA_ARRAY(arena, struct partition_item *, count);
    int32_t chosen_count = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!items[i].is_done && items[i].leader == leader) {
            chosen[chosen_count++] = &items[i];
        }
    }
    if (chosen_count == 0) {
        return 0;
    }
    struct broker_connection *connection;
    int error = client_node(client, leader, deadline_ms, &connection);
    if (error == 0) {
        int64_t request_deadline_ms = MIN(deadline_ms, monotonic_ms() + client->settings.request_timeout_ms);
        error = call(context, connection, chosen, chosen_count, request_deadline_ms, arena);
    }
    return error == ERR_DISCONNECTED || error == ERR_TIMED_OUT ? 0 : error;
}

static void fail_rest(struct partition_item *items, int32_t count, const char *call_name) {
    for (int32_t i = 0; i < count; i++) {
        if (!items[i].is_done) {
            items[i].is_done = true;
            failure_set(&items[i].failure, "TimeoutException", "Timed out waiting for a leader of %.*s-%d. Call: %s",
                        STR_ARGS(items[i].topic), items[i].partition, call_name);
        }
    }
}

int partition_work(struct client *client, struct partition_item *items, int32_t count, const char *call_name,
                   partition_call *call, void *context, struct failure *failure) {
    int64_t deadline_ms = client_deadline(client);
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    int error = 0;
    while (error == 0) {
        bool left = false;
        for (int32_t i = 0; i < count; i++) {
            left = left || !items[i].is_done;
        }
        if (!left) {
            break;
        }
        arena_reset(&arena, SIZE_MAX);
        error = find_leaders(client, items, count, deadline_ms, &arena);
        for (int32_t i = 0; error == 0 && i < client->node_count; i++) {
            error = ask_leader(client, client->nodes[i]->id, items, count, deadline_ms, call, context, &arena);
        }
        left = false;
        for (int32_t i = 0; i < count; i++) {
            left = left || !items[i].is_done;
        }
        if (error == 0 && left && client_backoff(client, deadline_ms) == ERR_TIMED_OUT) {
            fail_rest(items, count, call_name);
        }
    }
    arena_deinit(&arena);
    if (error != 0) {
        client_failure(failure, error, call_name);
    }
    return error;
}

void partition_items_deinit(struct partition_item *items, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        failure_clear(&items[i].failure);
    }
}

int partition_item_compare(const void *a, const void *b) {
    const struct partition_item *left = a;
    const struct partition_item *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

/* One ListOffsets to one leader. */
static int list_offsets(void *context, struct broker_connection *connection, struct partition_item **items,
                        int32_t count, int64_t deadline_ms, struct arena *arena) {
    const int64_t *timestamp = context;
    struct list_offsets_request request;
    list_offsets_request_init(&request);
    request.replica_id = -1;
    request.topics = ARENA_ARRAY(arena, struct list_offsets_request_list_offsets_topic, count);
    request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct list_offsets_request_list_offsets_topic *topic = &request.topics[i];
        list_offsets_request_list_offsets_topic_init(topic);
        topic->name = items[i]->topic;
        topic->partitions = ARENA_NEW(arena, struct list_offsets_request_list_offsets_partition);
        topic->partitions_count = 1;
        list_offsets_request_list_offsets_partition_init(topic->partitions);
        topic->partitions->partition_index = items[i]->partition;
        topic->partitions->timestamp = *timestamp;
    }
    struct list_offsets_response response;
    int error = call_list_offsets(connection, &request, deadline_ms, arena, &response);
    for (int32_t i = 0; error == 0 && i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            const struct list_offsets_response_list_offsets_partition_response *answer =
                &response.topics[i].partitions[j];
            for (int32_t k = 0; k < count; k++) {
                bool is_it = items[k]->partition == answer->partition_index &&
                             str_equal(items[k]->topic, response.topics[i].name);
                if (!is_it || kafka_error_is_retriable(answer->error_code)) {
                    continue;
                }
                items[k]->is_done = true;
                items[k]->result = answer->offset;
                if (answer->error_code != 0) {
                    failure_set_code(&items[k]->failure, answer->error_code, STR_NULL);
                }
            }
        }
    }
    return error;
}

int partitions_list_offsets(struct client *client, struct partition_item *items, int32_t count, int64_t timestamp,
                            struct failure *failure) {
    return partition_work(client, items, count, "listOffsets", list_offsets, &timestamp, failure);
}
