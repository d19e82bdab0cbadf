/* kafka-topics --describe: headers with the settings that differ, partitions, and the filters that pick partitions in
 * trouble. What it prints is parsed by many programs (cli.md, section 28): nothing else may reach stdout. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/topics.h"

#define RESOURCE_TOPIC 2
#define SOURCE_DEFAULT_CONFIG 5
/* Topics asked for in one DescribeConfigs: bounds the answer to some 20 MB (each topic has about 40 settings). */
#define DESCRIBE_CONFIGS_BATCH 2000

struct describe {
    struct client *client;
    struct arena *arena;
    bool under_replicated;
    bool unavailable;
    bool under_min_isr;
    bool at_min_isr;
    bool overrides;
    struct list_partition_reassignments_response reassignments;
};

static bool has_filter(const struct describe *describe) {
    return describe->under_replicated || describe->unavailable || describe->under_min_isr || describe->at_min_isr;
}

static void print_ids(const int32_t *ids, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        printf(i == 0 ? "%d" : ",%d", ids[i]);
    }
}

static const struct list_partition_reassignments_response_ongoing_partition_reassignment *
find_reassignment(const struct describe *describe, struct str topic, int32_t partition) {
    for (int32_t i = 0; i < describe->reassignments.topics_count; i++) {
        const struct list_partition_reassignments_response_ongoing_topic_reassignment *entry =
            &describe->reassignments.topics[i];
        if (!str_equal(entry->name, topic)) {
            continue;
        }
        for (int32_t j = 0; j < entry->partitions_count; j++) {
            if (entry->partitions[j].partition_index == partition) {
                return &entry->partitions[j];
            }
        }
    }
    return NULL;
}

/* Replicas that count: those being added are not there yet. */
static int32_t replication_factor(const struct describe *describe, struct str topic,
                                  const struct metadata_response_metadata_response_partition *partition) {
    const struct list_partition_reassignments_response_ongoing_partition_reassignment *reassignment =
        find_reassignment(describe, topic, partition->partition_index);
    return partition->replica_nodes_count - (reassignment == NULL ? 0 : reassignment->adding_replicas_count);
}

/* The leader, -1 when there is none that lives. */
static int32_t live_leader(const struct describe *describe,
                           const struct metadata_response_metadata_response_partition *partition) {
    return client_find_node(describe->client, partition->leader_id) != NULL ? partition->leader_id : -1;
}

static bool is_wanted(const struct describe *describe, struct str topic,
                      const struct metadata_response_metadata_response_partition *partition, int32_t min_isr) {
    bool leaderless = live_leader(describe, partition) < 0;
    return !has_filter(describe) ||
           (describe->under_replicated &&
            replication_factor(describe, topic, partition) > partition->isr_nodes_count) ||
           (describe->unavailable && leaderless) ||
           (describe->under_min_isr && (leaderless || partition->isr_nodes_count < min_isr)) ||
           (describe->at_min_isr && partition->isr_nodes_count == min_isr);
}

static void print_partition(const struct describe *describe, struct str topic,
                            const struct metadata_response_metadata_response_partition *partition) {
    int32_t leader = live_leader(describe, partition);
    printf("\tTopic: %.*s\tPartition: %d\tLeader: ", STR_ARGS(topic), partition->partition_index);
    if (leader < 0) {
        fputs("none", stdout);
    } else {
        printf("%d", leader);
    }
    fputs("\tReplicas: ", stdout);
    print_ids(partition->replica_nodes, partition->replica_nodes_count);
    fputs("\tIsr: ", stdout);
    print_ids(partition->isr_nodes, partition->isr_nodes_count);
    const struct list_partition_reassignments_response_ongoing_partition_reassignment *reassignment =
        find_reassignment(describe, topic, partition->partition_index);
    if (reassignment != NULL) {
        fputs("\tAdding Replicas: ", stdout);
        print_ids(reassignment->adding_replicas, reassignment->adding_replicas_count);
        fputs("\tRemoving Replicas: ", stdout);
        print_ids(reassignment->removing_replicas, reassignment->removing_replicas_count);
    }
    /* Eligible leader replicas exist with KRaft only. */
    fputs("\tElr: N/A\tLastKnownElr: N/A\n", stdout);
}

static int compare_configs(const void *a, const void *b) {
    const struct describe_configs_response_describe_configs_resource_result *left = a;
    const struct describe_configs_response_describe_configs_resource_result *right = b;
    return str_compare(left->name, right->name);
}

static void print_header(const struct describe *describe, const struct metadata_response_metadata_response_topic *topic,
                         const struct describe_configs_response_describe_configs_result *configs) {
    printf("Topic: %.*s\t", STR_ARGS(topic->name));
    if (!uuid_is_zero(topic->topic_id)) {
        char id[UUID_TEXT_SIZE];
        uuid_format(topic->topic_id, id);
        printf("TopicId: %s\t", id);
    }
    int32_t factor = topic->partitions_count > 0 ? replication_factor(describe, topic->name, &topic->partitions[0]) : 0;
    printf("PartitionCount: %d\tReplicationFactor: %d\tConfigs: ", topic->partitions_count, factor);
    bool first = true;
    for (int32_t i = 0; i < configs->configs_count; i++) {
        if (configs->configs[i].config_source != SOURCE_DEFAULT_CONFIG) {
            printf("%s%.*s=%.*s", first ? "" : ",", STR_ARGS(configs->configs[i].name),
                   STR_ARGS(configs->configs[i].value));
            first = false;
        }
    }
    putchar('\n');
}

static bool has_overrides(const struct describe_configs_response_describe_configs_result *configs) {
    for (int32_t i = 0; i < configs->configs_count; i++) {
        if (configs->configs[i].config_source != SOURCE_DEFAULT_CONFIG) {
            return true;
        }
    }
    return false;
}

static int32_t min_insync_replicas(const struct describe_configs_response_describe_configs_result *configs) {
    for (int32_t i = 0; i < configs->configs_count; i++) {
        if (str_equal_text(configs->configs[i].name, "min.insync.replicas")) {
            char text[16] = "";
            memcpy(text, configs->configs[i].value.data, (size_t)MIN(MAX(configs->configs[i].value.size, 0), 15));
            return (int32_t)strtol(text, NULL, 10);
        }
    }
    return 1;
}

static void print_topic(const struct describe *describe, const struct metadata_response_metadata_response_topic *topic,
                        const struct describe_configs_response_describe_configs_result *configs) {
    if (!has_filter(describe) && (!describe->overrides || has_overrides(configs))) {
        print_header(describe, topic, configs);
    }
    if (describe->overrides) {
        return;
    }
    int32_t min_isr = min_insync_replicas(configs);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        if (is_wanted(describe, topic->name, &topic->partitions[i], min_isr)) {
            print_partition(describe, topic->name, &topic->partitions[i]);
        }
    }
}

/* Asks for the settings of some topics and prints them. */
static int describe_batch(const struct describe *describe,
                          const struct metadata_response_metadata_response_topic *const *topics, int32_t count,
                          struct failure *failure) {
    struct describe_configs_request request;
    describe_configs_request_init(&request);
    request.resources_count = count;
    request.resources = ARENA_ARRAY(describe->arena, struct describe_configs_request_describe_configs_resource, count);
    for (int32_t i = 0; i < count; i++) {
        describe_configs_request_describe_configs_resource_init(&request.resources[i]);
        request.resources[i].resource_type = RESOURCE_TOPIC;
        request.resources[i].resource_name = topics[i]->name;
        request.resources[i].configuration_keys_count = -1;
    }
    struct describe_configs_response response;
    int error = admin_describe_configs(describe->client, -1, &request, describe->arena, &response, failure);
    for (int32_t i = 0; error == 0 && i < count; i++) {
        struct describe_configs_response_describe_configs_result *found = NULL;
        for (int32_t j = 0; j < response.results_count && found == NULL; j++) {
            /* Answers come in the order of the question, so the place is tried first. */
            int32_t at = (i + j) % response.results_count;
            found = str_equal(response.results[at].resource_name, topics[i]->name) ? &response.results[at] : NULL;
        }
        if (found == NULL || found->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
            continue; /* deleted since it was listed */
        }
        if (found->error_code != 0) {
            return failure_set_code(failure, found->error_code, found->error_message);
        }
        if (found->configs_count > 0) {
            qsort(found->configs, (size_t)found->configs_count, sizeof *found->configs, compare_configs);
        }
        print_topic(describe, topics[i], found);
    }
    return error;
}

/* How many bytes unpadded base64 decodes to; -1 for text that is not base64. */
static int32_t base64_size(const char *text) {
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '=') {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", text[i]) == NULL) {
            return -1;
        }
    }
    return (int32_t)(size * 3 / 4);
}

static int parse_topic_id(const char *text, struct uuid *ret_id, struct failure *failure) {
    if (uuid_parse(str_from(text), ret_id) == 0) {
        return 0;
    }
    static const char class_name[] = "java.lang.IllegalArgumentException";
    if (strlen(text) > 24) {
        return failure_set(failure, class_name,
                           "Input string with prefix `%.24s` is too long to be decoded as a base64 UUID", text);
    }
    if (base64_size(text) < 0) {
        return failure_set(failure, class_name, "Input string `%s` is not valid base64", text);
    }
    return failure_set(
        failure, class_name,
        "Input string `%s` decoded as %d bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID",
        text, base64_size(text));
}

/* Which topics: by id if one is given and not all zero, else by name. */
static int select_topics(struct describe *describe, const struct options *options, struct topics_selection *selection,
                         struct failure *failure) {
    const char *pattern;
    const char *id_text;
    struct uuid id = {{0}};
    bool exclude_internal = options_has(options, "exclude-internal");
    int error = options_string(options, "topic", NULL, &pattern, failure);
    error = error != 0 ? error : options_string(options, "topic-id", NULL, &id_text, failure);
    if (error == 0 && id_text != NULL) {
        error = parse_topic_id(id_text, &id, failure);
    }
    if (error != 0) {
        return error;
    }
    if (uuid_is_zero(id)) {
        error = topics_select(describe->client, pattern, exclude_internal, describe->arena, selection, failure);
        return error != 0 || pattern == NULL ? error : topics_require(selection, pattern, options, failure);
    }
    error = topics_select(describe->client, NULL, exclude_internal, describe->arena, selection, failure);
    if (error != 0) {
        return error;
    }
    int32_t count = 0;
    for (int32_t i = 0; i < selection->count; i++) {
        if (uuid_equal(selection->topics[i]->topic_id, id)) {
            selection->topics[count++] = selection->topics[i];
        }
    }
    selection->count = count;
    if (count == 0 && !options_has(options, "if-exists")) {
        return failure_set(failure, "java.lang.IllegalArgumentException", "TopicId '%s' does not exist as expected",
                           id_text);
    }
    return 0;
}

/* Partitions on the move. A broker that does not serve the question has none to tell of. */
static int load_reassignments(struct describe *describe, struct failure *failure) {
    struct list_partition_reassignments_request request;
    list_partition_reassignments_request_init(&request);
    request.timeout_ms = describe->client->settings.request_timeout_ms;
    request.topics_count = -1;
    int error =
        admin_list_reassignments(describe->client, &request, describe->arena, &describe->reassignments, failure);
    if (error == ERR_NOT_FOUND || error == ERR_OUT_OF_RANGE ||
        (error == 0 && describe->reassignments.error_code != 0)) {
        describe->reassignments.topics_count = 0;
        failure_clear(failure);
        return 0;
    }
    return error;
}

int topics_describe(struct client *client, const struct options *options, struct arena *arena,
                    struct failure *failure) {
    struct describe describe = {
        .client = client,
        .arena = arena,
        .under_replicated = options_has(options, "under-replicated-partitions"),
        .unavailable = options_has(options, "unavailable-partitions"),
        .under_min_isr = options_has(options, "under-min-isr-partitions"),
        .at_min_isr = options_has(options, "at-min-isr-partitions"),
        .overrides = options_has(options, "topics-with-overrides"),
    };
    struct topics_selection selection;
    int32_t limit;
    int error = options_int(options, "partition-size-limit-per-response", 2000, &limit, failure);
    error = error != 0 ? error : select_topics(&describe, options, &selection, failure);
    if (error != 0 || selection.count == 0) {
        return error;
    }
    error = load_reassignments(&describe, failure);
    for (int32_t at = 0; error == 0 && at < selection.count; at += DESCRIBE_CONFIGS_BATCH) {
        int32_t count = MIN(DESCRIBE_CONFIGS_BATCH, selection.count - at);
        error = describe_batch(&describe, selection.topics + at, count, failure);
    }
    return error;
}
