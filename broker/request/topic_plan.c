/* Deciding what a topic shall be: names, numbers, placement, settings. No coordinator, no waiting. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/topic_admin.h"
#include "broker/request/topic_admin_internal.h"
#include "broker/topic_config.h"
#include "generated/protocol/create_topics.h"

#define TOPIC_NAME_MAX 249
#define VERDICT_OK ((struct topic_verdict){KAFKA_NONE, STR_NULL})
#define REFUSE(arena, code, ...) ((struct topic_verdict){(code), arena_printf((arena), __VA_ARGS__)})

static bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

struct topic_verdict topic_admin_check_name(struct str topic, struct arena *arena) {
    if (topic.size <= 0) {
        return REFUSE(arena, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: the empty string is not allowed");
    }
    if (str_equal_text(topic, ".") || str_equal_text(topic, "..")) {
        return REFUSE(arena, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '%.*s' is not allowed",
                      STR_ARGS(topic));
    }
    if (topic.size > TOPIC_NAME_MAX) {
        return REFUSE(arena, KAFKA_INVALID_TOPIC_EXCEPTION,
                      "Topic name is invalid: the length of '%.*s' is longer than the max allowed length %d",
                      STR_ARGS(topic), TOPIC_NAME_MAX);
    }
    for (int32_t i = 0; i < topic.size; i++) {
        if (!is_name_character(topic.data[i])) {
            return REFUSE(arena, KAFKA_INVALID_TOPIC_EXCEPTION,
                          "Topic name is invalid: '%.*s' contains one or more characters other than ASCII "
                          "alphanumerics, '.', '_' and '-'",
                          STR_ARGS(topic));
        }
    }
    return VERDICT_OK;
}

bool topic_admin_is_internal(struct str topic) {
    return str_equal_text(topic, "__consumer_offsets") || str_equal_text(topic, "__transaction_state");
}

bool topic_admin_names_collide(struct str a, struct str b) {
    if (a.size != b.size) {
        return false;
    }
    for (int32_t i = 0; i < a.size; i++) {
        char x = a.data[i] == '.' ? '_' : a.data[i];
        char y = b.data[i] == '.' ? '_' : b.data[i];
        if (x != y) {
            return false;
        }
    }
    return true;
}

bool topic_admin_has_leaders(const struct image *image, struct str topic, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        const struct image_partition *partition = image_partition(image, topic, i);
        if (partition == NULL || partition->leader < 0) {
            return false;
        }
    }
    return true;
}

static int compare_partitions(const void *a, const void *b) {
    const struct znode_topic_partition *x = a;
    const struct znode_topic_partition *y = b;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

static bool has_duplicate(const int32_t *ids, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        for (int32_t j = 0; j < i; j++) {
            if (ids[i] == ids[j]) {
                return true;
            }
        }
    }
    return false;
}

static bool has_live(const struct image *image, const int32_t *ids, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (image_broker(image, ids[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static struct str print_ids(struct arena *arena, const int32_t *ids, int32_t count) {
    struct str text = arena_printf(arena, "%s", "");
    for (int32_t i = 0; i < count; i++) {
        text = arena_printf(arena, "%.*s%s%d", STR_ARGS(text), i > 0 ? ", " : "", ids[i]);
    }
    return text;
}

/* An assignment by hand, in the order of the partitions. Where Kafka would make a topic that can never have a leader
 * (no replica of a partition lives, or there is none) this refuses. */
static struct topic_verdict check_assignment(const struct image *image, const struct znode_topic *assignment,
                                             struct arena *arena) {
    const struct znode_topic_partition *partitions = assignment->partitions;
    for (int32_t i = 0; i < assignment->partition_count; i++) {
        if (partitions[i].replica_count != partitions[0].replica_count) {
            return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "All partitions should have the same number of replicas");
        }
    }
    for (int32_t i = 0; i < assignment->partition_count; i++) {
        struct str ids = print_ids(arena, partitions[i].replicas, partitions[i].replica_count);
        if (has_duplicate(partitions[i].replicas, partitions[i].replica_count)) {
            return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "Duplicate replica assignment found: partition %d has replicas %.*s", partitions[i].partition,
                          STR_ARGS(ids));
        }
        if (partitions[i].partition != i) {
            return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "partitions should be a consecutive 0-based integer sequence");
        }
        if (partitions[i].replica_count == 0) {
            return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "Cannot have replication factor of 0 for partition id %d.", i);
        }
        if (!has_live(image, partitions[i].replicas, partitions[i].replica_count)) {
            return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "None of the brokers in the replica assignment of partition %d is alive: %.*s.", i,
                          STR_ARGS(ids));
        }
    }
    return VERDICT_OK;
}

static struct topic_verdict take_assignment(const struct create_topics_request_creatable_topic *wanted,
                                            struct arena *arena, struct znode_topic *ret) {
    ret->partition_count = wanted->assignments_count;
    ret->partitions = ARENA_ARRAY(arena, struct znode_topic_partition, wanted->assignments_count);
    for (int32_t i = 0; i < wanted->assignments_count; i++) {
        ret->partitions[i] = (struct znode_topic_partition){
            .partition = wanted->assignments[i].partition_index,
            .replicas = wanted->assignments[i].broker_ids,
            .replica_count = wanted->assignments[i].broker_ids_count,
        };
    }
    qsort(ret->partitions, (size_t)ret->partition_count, sizeof *ret->partitions, compare_partitions);
    return VERDICT_OK;
}

static struct topic_verdict place(struct topic_admin *admin, const struct create_topics_request_creatable_topic *wanted,
                                  struct arena *arena, struct znode_topic *ret) {
    int32_t partitions = wanted->num_partitions == -1 ? admin->config->num_partitions : wanted->num_partitions;
    int32_t factor =
        wanted->replication_factor == -1 ? admin->config->default_replication_factor : wanted->replication_factor;
    return topic_admin_place(admin, partitions, factor, -1, 0, arena, ret);
}

static struct topic_verdict take_settings(const struct create_topics_request_creatable_topic *wanted,
                                          struct arena *arena, struct topic_plan *plan) {
    struct str nulls = STR_NULL;
    plan->config.entries = ARENA_ARRAY(arena, struct znode_config_entry, wanted->configs_count);
    plan->config.entry_count = 0;
    for (int32_t i = 0; i < wanted->configs_count; i++) {
        if (str_is_null(wanted->configs[i].value)) {
            nulls = arena_printf(arena, "%.*s%s%.*s", STR_ARGS(nulls), nulls.size > 0 ? "," : "",
                                 STR_ARGS(wanted->configs[i].name));
            continue;
        }
        struct znode_config_entry *entry = NULL;
        for (int32_t j = 0; j < plan->config.entry_count; j++) {
            if (str_equal(plan->config.entries[j].name, wanted->configs[i].name)) {
                entry = &plan->config.entries[j]; /* the later one wins */
            }
        }
        if (entry == NULL) {
            entry = &plan->config.entries[plan->config.entry_count++];
        }
        *entry = (struct znode_config_entry){wanted->configs[i].name, wanted->configs[i].value};
    }
    if (!str_is_null(nulls)) {
        return REFUSE(arena, KAFKA_INVALID_CONFIG, "Null value not supported for topic configs: %.*s", STR_ARGS(nulls));
    }
    return VERDICT_OK;
}

void topic_plan_properties(const struct topic_plan *plan, struct properties *ret) {
    properties_init(ret);
    for (int32_t i = 0; i < plan->config.entry_count; i++) {
        const struct znode_config_entry *entry = &plan->config.entries[i];
        char *name = xstrndup(entry->name.data == NULL ? "" : entry->name.data, (size_t)MAX(entry->name.size, 0));
        char *value = xstrndup(entry->value.data == NULL ? "" : entry->value.data, (size_t)MAX(entry->value.size, 0));
        properties_set(ret, name, value);
        free(name);
        free(value);
    }
}

static struct topic_verdict check_settings(const struct config *config, const struct topic_plan *plan,
                                           struct arena *arena) {
    struct properties values;
    topic_plan_properties(plan, &values);
    char *message = NULL;
    struct topic_verdict verdict = VERDICT_OK;
    if (topic_config_check(config, &values, &message) != 0) {
        verdict = REFUSE(arena, KAFKA_INVALID_CONFIG, "%s", message);
        free(message);
    }
    properties_deinit(&values);
    return verdict;
}

struct topic_verdict topic_admin_plan(struct topic_admin *admin,
                                      const struct create_topics_request_creatable_topic *wanted, struct arena *arena,
                                      struct topic_plan *ret) {
    *ret = (struct topic_plan){.topic = wanted->name};
    if (image_topic(admin->image, wanted->name) != NULL) {
        return REFUSE(arena, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", STR_ARGS(wanted->name));
    }
    struct topic_verdict verdict = take_settings(wanted, arena, ret);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    bool is_by_hand = wanted->assignments_count > 0;
    if (is_by_hand && (wanted->num_partitions != -1 || wanted->replication_factor != -1)) {
        return REFUSE(
            arena, KAFKA_INVALID_REQUEST,
            "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at "
            "the same time.");
    }
    verdict =
        is_by_hand ? take_assignment(wanted, arena, &ret->assignment) : place(admin, wanted, arena, &ret->assignment);
    if (verdict.error_code == KAFKA_NONE) {
        verdict = topic_admin_check_name(wanted->name, arena);
    }
    if (verdict.error_code == KAFKA_NONE && is_by_hand) {
        verdict = check_assignment(admin->image, &ret->assignment, arena);
    }
    return verdict.error_code != KAFKA_NONE ? verdict : check_settings(admin->config, ret, arena);
}
