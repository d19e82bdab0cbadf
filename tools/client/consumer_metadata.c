/* What a consumer must know before it can fetch: partitions, their leaders, and where to begin. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tools/client/admin.h"
#include "tools/client/consumer_internal.h"

#define NETWORK_LOGGER "org.apache.kafka.clients.NetworkClient"
#define METADATA_LOGGER "org.apache.kafka.clients.Metadata"
#define MISSING_PAUSE_MS 1000 /* between looks for a topic that is not there */
#define RETRY_PAUSE_MS 100

static struct consumer_partition *find_partition(struct consumer *consumer, struct str topic, int32_t index) {
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        if (consumer->partitions[i]->index == index && str_equal_text(topic, consumer->partitions[i]->topic)) {
            return consumer->partitions[i];
        }
    }
    return NULL;
}

static struct consumer_partition *add_partition(struct consumer *consumer, struct str topic, int32_t index) {
    struct consumer_partition *partition = xcalloc(1, sizeof *partition);
    *partition = (struct consumer_partition){
        .topic = xstrndup(topic.data, (size_t)topic.size),
        .index = index,
        .leader = -1,
        .leader_epoch = -1,
        .preferred_replica = -1,
        .offset = consumer->settings.start_offset,
    };
    consumer->partitions =
        xrealloc(consumer->partitions, ((size_t)consumer->partition_count + 1) * sizeof *consumer->partitions);
    consumer->partitions[consumer->partition_count++] = partition;
    return partition;
}

void consumer_assign(struct consumer *consumer, const struct str *topic, int32_t partition, int64_t offset) {
    if (topic == NULL) {
        /* Answers still under way are for offsets that may not be the next ones any more. */
        for (int32_t i = 0; i < consumer->fetcher_count; i++) {
            if (consumer->fetchers[i]->is_waiting) {
                broker_connection_close(&consumer->fetchers[i]->connection);
                consumer->fetchers[i]->is_waiting = false;
            }
        }
        for (int32_t i = 0; i < consumer->partition_count; i++) {
            free(consumer->partitions[i]->topic);
            free(consumer->partitions[i]);
        }
        consumer->partition_count = 0;
    } else {
        add_partition(consumer, *topic, partition)->offset = offset;
    }
    consumer->metadata_stale = true;
    consumer->retry_at_ms = 0;
}

static void take_topic(struct consumer *consumer, const struct metadata_response_metadata_response_topic *topic) {
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const struct metadata_response_metadata_response_partition *answer = &topic->partitions[i];
        if (consumer->settings.partition >= 0 && consumer->settings.partition != answer->partition_index) {
            continue;
        }
        struct consumer_partition *partition = find_partition(consumer, topic->name, answer->partition_index);
        if (partition == NULL && consumer->settings.by_assignment) {
            continue;
        }
        if (partition == NULL) {
            partition = add_partition(consumer, topic->name, answer->partition_index);
        }
        bool has_leader = client_find_node(consumer->client, answer->leader_id) != NULL;
        partition->topic_id = topic->topic_id;
        partition->leader = has_leader ? answer->leader_id : -1;
        partition->leader_epoch = answer->leader_epoch;
    }
}

/* Kafka says once per answer what is wrong with a topic; here once until it changes. */
static int log_topic_error(struct consumer *consumer, struct str topic, int16_t code, int32_t correlation_id,
                           struct failure *failure) {
    const char *log_name = consumer->client->settings.log_name;
    if (consumer->logged_code != code) {
        report_log("WARN", NETWORK_LOGGER,
                   "[%s] The metadata response from the cluster reported a recoverable issue with correlation id %d : "
                   "{%.*s=%s}",
                   log_name, correlation_id, STR_ARGS(topic), kafka_error_name(code));
    }
    consumer->logged_code = code;
    if (code == KAFKA_INVALID_TOPIC_EXCEPTION) {
        report_log("ERROR", METADATA_LOGGER, "[%s] Metadata response reported invalid topics [%.*s]", log_name,
                   STR_ARGS(topic));
        return failure_set(failure, "InvalidTopicException", "Invalid topics: [%.*s]", STR_ARGS(topic));
    }
    if (!kafka_error_is_retriable(code)) {
        return failure_set_code(failure, code, STR_NULL);
    }
    return 0;
}

bool consumer_wants(const struct consumer *consumer, struct str topic) {
    return consumer->settings.filter == NULL || (topic_filter_matches(consumer->settings.filter, topic) &&
                                                 !(consumer->settings.exclude_internal && topic_is_internal(topic)));
}

static int update_metadata(struct consumer *consumer, int64_t deadline_ms, struct failure *failure) {
    struct str topic = str_from(consumer->settings.topic);
    struct metadata_response response;
    int error = client_metadata(consumer->client, &topic, consumer->settings.filter == NULL ? 1 : -1,
                                consumer->settings.filter == NULL && consumer->settings.auto_create, deadline_ms,
                                &consumer->arena, &response);
    if (error != 0) {
        return error;
    }
    consumer->metadata_at_ms = monotonic_ms();
    consumer->metadata_stale = false;
    consumer->has_metadata = true;
    for (int32_t i = 0; i < response.topics_count && error == 0; i++) {
        const struct metadata_response_metadata_response_topic *answer = &response.topics[i];
        if (!consumer_wants(consumer, answer->name)) {
            continue;
        }
        if (answer->error_code != 0) {
            struct broker_connection *connection;
            int32_t correlation_id = 0;
            if (client_any(consumer->client, deadline_ms, &connection) == 0) {
                correlation_id = connection->correlation_id;
            }
            error = log_topic_error(consumer, answer->name, answer->error_code, correlation_id, failure);
            consumer->metadata_stale = true;
            continue;
        }
        take_topic(consumer, answer);
    }
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        consumer->metadata_stale = consumer->metadata_stale || consumer->partitions[i]->leader < 0;
    }
    /* A pattern waits for new topics as a topic that is not there waits for its creation. */
    bool is_missing = consumer->partition_count == 0 && !consumer->settings.by_assignment;
    consumer->metadata_stale = consumer->metadata_stale || is_missing;
    bool is_coming = consumer->logged_code == KAFKA_LEADER_NOT_AVAILABLE;
    consumer->retry_at_ms = monotonic_ms() + (!consumer->metadata_stale  ? 0
                                              : is_missing && !is_coming ? MISSING_PAUSE_MS
                                                                         : RETRY_PAUSE_MS);
    return error;
}

void consumer_doubt_metadata(struct consumer *consumer) {
    if (!consumer->metadata_stale) {
        consumer->metadata_stale = true;
        consumer->retry_at_ms = monotonic_ms() + RETRY_PAUSE_MS;
        client_ask_another(consumer->client);
    }
}

static void take_offset(struct consumer *consumer,
                        const struct list_offsets_response_list_offsets_topic_response *topic,
                        const struct list_offsets_response_list_offsets_partition_response *answer) {
    struct consumer_partition *partition = find_partition(consumer, topic->name, answer->partition_index);
    if (partition == NULL || partition->offset >= 0) {
        return;
    }
    if (answer->error_code == 0 && answer->offset >= 0) {
        partition->offset = answer->offset;
    } else {
        consumer_doubt_metadata(consumer);
    }
}

static bool needs_offset(const struct consumer_partition *partition, int32_t leader) {
    return partition->leader == leader && partition->offset < 0 && partition->offset != CONSUMER_OFFSET_NONE;
}

/* Asks one leader where its partitions begin or end. */
static int look_up_offsets(struct consumer *consumer, int32_t leader, int64_t deadline_ms) {
    int32_t count = 0;
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        count += needs_offset(consumer->partitions[i], leader);
    }
    if (count == 0) {
        return 0;
    }
    struct list_offsets_request request;
    list_offsets_request_init(&request);
    request.replica_id = -1;
    request.isolation_level = consumer->settings.read_committed;
    request.topics = ARENA_ARRAY(&consumer->arena, struct list_offsets_request_list_offsets_topic, count);
    struct list_offsets_request_list_offsets_partition *partitions =
        ARENA_ARRAY(&consumer->arena, struct list_offsets_request_list_offsets_partition, count);
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        const struct consumer_partition *partition = consumer->partitions[i];
        if (!needs_offset(partition, leader)) {
            continue;
        }
        struct list_offsets_request_list_offsets_topic *topic = &request.topics[request.topics_count];
        list_offsets_request_list_offsets_topic_init(topic);
        topic->name = str_from(partition->topic);
        topic->partitions = &partitions[request.topics_count++];
        topic->partitions_count = 1;
        list_offsets_request_list_offsets_partition_init(topic->partitions);
        topic->partitions->partition_index = partition->index;
        topic->partitions->current_leader_epoch = partition->leader_epoch;
        topic->partitions->timestamp = partition->offset;
    }
    struct broker_connection *connection;
    struct list_offsets_response response;
    int error = client_node(consumer->client, leader, deadline_ms, &connection);
    if (error == 0) {
        int64_t request_deadline_ms = monotonic_ms() + consumer->client->settings.request_timeout_ms;
        error = call_list_offsets(connection, &request, request_deadline_ms, &consumer->arena, &response);
    }
    if (error == ERR_CLOSING) {
        return error;
    }
    if (error != 0) {
        consumer_doubt_metadata(consumer);
        return 0;
    }
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            take_offset(consumer, &response.topics[i], &response.topics[i].partitions[j]);
        }
    }
    return 0;
}

int consumer_prepare(struct consumer *consumer, int64_t deadline_ms, struct failure *failure) {
    if (consumer->retry_at_ms > monotonic_ms()) {
        return 0;
    }
    bool is_old = consumer->metadata_at_ms + consumer->settings.metadata_max_age_ms <= monotonic_ms();
    if (!consumer->has_metadata || consumer->metadata_stale || is_old) {
        int error = update_metadata(consumer, deadline_ms, failure);
        if (error != 0) {
            return error;
        }
    }
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        if (consumer->partitions[i]->offset == CONSUMER_OFFSET_NONE) {
            return failure_set(failure, "org.apache.kafka.clients.consumer.NoOffsetForPartitionException",
                               "Undefined offset with no reset policy for partitions: [%s-%d]",
                               consumer->partitions[i]->topic, consumer->partitions[i]->index);
        }
    }
    for (int32_t i = 0; i < consumer->client->node_count; i++) {
        int error = look_up_offsets(consumer, consumer->client->nodes[i]->id, deadline_ms);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}
