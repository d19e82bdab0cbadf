/* Deciding where more partitions go (CreatePartitions), and what a topic nobody created by hand looks like. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/topic_admin.h"
#include "broker/request/topic_admin_internal.h"
#include "generated/protocol/create_partitions.h"
#include "generated/protocol/create_topics.h"

#define AREA "kafka.server.DefaultAutoTopicCreationManager"
#define VERDICT_OK ((struct topic_verdict){KAFKA_NONE, STR_NULL})
#define REFUSE(arena, code, ...) ((struct topic_verdict){(code), arena_printf((arena), __VA_ARGS__)})

static struct str print_ids(struct arena *arena, const int32_t *ids, int32_t count) {
    struct str text = arena_printf(arena, "%s", "");
    for (int32_t i = 0; i < count; i++) {
        text = arena_printf(arena, "%.*s%s%d", STR_ARGS(text), i > 0 ? ", " : "", ids[i]);
    }
    return text;
}

static bool contains(const int32_t *ids, int32_t count, int32_t id) {
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* Brokers that are named but not alive. */
static struct str unknown_brokers(const struct image *image,
                                  const struct create_partitions_request_create_partitions_topic *wanted,
                                  struct arena *arena) {
    int32_t total = 0;
    for (int32_t i = 0; i < wanted->assignments_count; i++) {
        total += wanted->assignments[i].broker_ids_count;
    }
    int32_t *unknown = ARENA_ARRAY(arena, int32_t, total);
    int32_t count = 0;
    for (int32_t i = 0; i < wanted->assignments_count; i++) {
        for (int32_t j = 0; j < wanted->assignments[i].broker_ids_count; j++) {
            int32_t id = wanted->assignments[i].broker_ids[j];
            if (image_broker(image, id) == NULL && !contains(unknown, count, id)) {
                unknown[count++] = id;
            }
        }
    }
    return print_ids(arena, unknown, count);
}

static struct topic_verdict check_replicas(const struct create_partitions_request_create_partitions_topic *wanted,
                                           int32_t first, int32_t factor, struct arena *arena) {
    for (int32_t i = 0; i < wanted->assignments_count; i++) {
        const int32_t *ids = wanted->assignments[i].broker_ids;
        int32_t count = wanted->assignments[i].broker_ids_count;
        if (count == 0) {
            return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          "Cannot have replication factor of 0 for partition id %d.", first + i);
        }
        for (int32_t j = 1; j < count; j++) {
            if (contains(ids, j, ids[j])) {
                struct str all = print_ids(arena, ids, count);
                return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                              "Duplicate brokers not allowed in replica assignment: %.*s for partition id %d.",
                              STR_ARGS(all), first + i);
            }
        }
    }
    struct str partitions = arena_printf(arena, "%s", "");
    struct str factors = partitions;
    for (int32_t i = 0; i < wanted->assignments_count; i++) {
        int32_t count = wanted->assignments[i].broker_ids_count;
        if (count != factor) {
            const char *comma = partitions.size > 0 ? ", " : "";
            partitions = arena_printf(arena, "%.*s%s%d", STR_ARGS(partitions), comma, first + i);
            factors = arena_printf(arena, "%.*s%s%d", STR_ARGS(factors), comma, count);
        }
    }
    if (partitions.size > 0) {
        return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                      "Inconsistent replication factor between partitions, partition 0 has %d while partitions [%.*s] "
                      "have replication factors [%.*s], respectively.",
                      factor, STR_ARGS(partitions), STR_ARGS(factors));
    }
    return VERDICT_OK;
}

static struct topic_verdict take_replicas(struct topic_admin *admin,
                                          const struct create_partitions_request_create_partitions_topic *wanted,
                                          int32_t first, int32_t factor, struct arena *arena, struct znode_topic *ret) {
    struct str unknown = unknown_brokers(admin->image, wanted, arena);
    if (unknown.size > 0) {
        return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT, "Unknown broker(s) in replica assignment: %.*s.",
                      STR_ARGS(unknown));
    }
    if (wanted->assignments_count != wanted->count - first) {
        return REFUSE(arena, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                      "Increasing the number of partitions by %d but %d assignments provided.", wanted->count - first,
                      wanted->assignments_count);
    }
    struct topic_verdict verdict = check_replicas(wanted, first, factor, arena);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    ret->partition_count = wanted->assignments_count;
    ret->partitions = ARENA_ARRAY(arena, struct znode_topic_partition, ret->partition_count);
    for (int32_t i = 0; i < ret->partition_count; i++) {
        ret->partitions[i] = (struct znode_topic_partition){
            .partition = first + i,
            .replicas = wanted->assignments[i].broker_ids,
            .replica_count = wanted->assignments[i].broker_ids_count,
        };
    }
    return VERDICT_OK;
}

/* New partitions go on where a topic with this first replica would have begun. */
static int32_t start_index(const struct image *image, int32_t first_replica) {
    int32_t count;
    const struct image_broker *brokers = image_brokers(image, &count);
    for (int32_t i = 0; i < count; i++) {
        if (brokers[i].id >= first_replica) {
            return i;
        }
    }
    return 0;
}

static struct topic_verdict check_count(struct str name, int32_t now, int32_t wanted, struct arena *arena) {
    if (now == 0) {
        return REFUSE(arena, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.", STR_ARGS(name));
    }
    if (wanted < now) {
        return REFUSE(arena, KAFKA_INVALID_PARTITIONS,
                      "Topic currently has %d partitions, which is higher than the requested %d.", now, wanted);
    }
    if (wanted == now) {
        return REFUSE(arena, KAFKA_INVALID_PARTITIONS, "Topic already has %d partitions.", now);
    }
    if (wanted > TOPIC_PARTITIONS_MAX) {
        return REFUSE(arena, KAFKA_INVALID_PARTITIONS, "Number of partitions must not be larger than %d.",
                      TOPIC_PARTITIONS_MAX);
    }
    return VERDICT_OK;
}

struct topic_verdict topic_admin_plan_growth(struct topic_admin *admin, struct str name,
                                             const struct create_partitions_request_create_partitions_topic *wanted,
                                             struct arena *arena, struct znode_topic *topic) {
    int32_t now = topic->partition_count;
    for (int32_t i = 0; i < now; i++) {
        if (topic->partitions[i].adding_count > 0 || topic->partitions[i].removing_count > 0) {
            return REFUSE(arena, KAFKA_REASSIGNMENT_IN_PROGRESS,
                          "A partition reassignment is in progress for the topic '%.*s'.", STR_ARGS(name));
        }
    }
    struct topic_verdict verdict = check_count(name, now, wanted->count, arena);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    const struct znode_topic_partition *first = &topic->partitions[0];
    if (first->partition != 0 || first->replica_count == 0) {
        return REFUSE(arena, KAFKA_UNKNOWN_SERVER_ERROR,
                      "Unexpected existing replica assignment for topic '%.*s', partition id 0 is missing.",
                      STR_ARGS(name));
    }
    struct znode_topic added = {0};
    verdict = wanted->assignments_count >= 0
                  ? take_replicas(admin, wanted, now, first->replica_count, arena, &added)
                  : topic_admin_place(admin, wanted->count - now, first->replica_count,
                                      start_index(admin->image, first->replicas[0]), now, arena, &added);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    struct znode_topic_partition *all = ARENA_ARRAY(arena, struct znode_topic_partition, now + added.partition_count);
    memcpy(all, topic->partitions, sizeof *all * (size_t)now);
    memcpy(all + now, added.partitions, sizeof *all * (size_t)added.partition_count);
    topic->partitions = all;
    topic->partition_count = now + added.partition_count;
    return VERDICT_OK;
}

/* Auto-creation. */

static void add_setting(struct create_topics_request_creatable_topic *topic, const char *name, struct str value) {
    topic->configs[topic->configs_count++] =
        (struct create_topics_request_creatable_topic_config){str_from(name), value};
}

/* zookeeper-mode.md 6: what the coordinators need of their topics. */
static void describe_topic(const struct config *config, struct arena *arena,
                           struct create_topics_request_creatable_topic *topic) {
    topic->configs = ARENA_ARRAY(arena, struct create_topics_request_creatable_topic_config, 5);
    if (str_equal_text(topic->name, "__consumer_offsets")) {
        topic->num_partitions = config->offsets_topic_num_partitions;
        topic->replication_factor = config->offsets_topic_replication_factor;
        add_setting(topic, "cleanup.policy", STR_LITERAL("compact"));
        add_setting(topic, "segment.bytes", arena_printf(arena, "%d", config->offsets_topic_segment_bytes));
        add_setting(topic, "compression.type", STR_LITERAL("producer"));
    } else if (str_equal_text(topic->name, "__transaction_state")) {
        topic->num_partitions = config->transaction_state_log_num_partitions;
        topic->replication_factor = config->transaction_state_log_replication_factor;
        add_setting(topic, "unclean.leader.election.enable", STR_LITERAL("false"));
        add_setting(topic, "compression.type", STR_LITERAL("uncompressed"));
        add_setting(topic, "cleanup.policy", STR_LITERAL("compact"));
        add_setting(topic, "min.insync.replicas", arena_printf(arena, "%d", config->transaction_state_log_min_isr));
        add_setting(topic, "segment.bytes", arena_printf(arena, "%d", config->transaction_state_log_segment_bytes));
    } else {
        topic->num_partitions = config->num_partitions;
        topic->replication_factor = (int16_t)config->default_replication_factor;
    }
}

struct auto_creation {
    struct topic_admin *admin;
    char *topic;
    struct auto_creation *next;
};

static void free_auto_creation(struct auto_creation *creation) {
    free(creation->topic);
    free(creation);
}

void topic_admin_forget_auto_creations(struct topic_admin *admin) {
    while (admin->auto_creations != NULL) {
        struct auto_creation *creation = admin->auto_creations;
        admin->auto_creations = creation->next;
        free_auto_creation(creation);
    }
}

static void on_auto_created(void *context, int16_t error_code, struct str message, struct uuid topic_id) {
    (void)topic_id;
    struct auto_creation *creation = context;
    if (error_code != KAFKA_NONE && error_code != KAFKA_TOPIC_ALREADY_EXISTS) {
        trace_warn(AREA, "Auto-creation of topic %s failed: %s: %.*s", creation->topic, kafka_error_name(error_code),
                   STR_ARGS(message));
    }
    struct auto_creation **link = &creation->admin->auto_creations;
    while (*link != creation) {
        link = &(*link)->next;
    }
    *link = creation->next;
    free_auto_creation(creation);
}

int16_t topic_admin_auto_create(struct request_context *context, struct str topic) {
    struct topic_admin *admin = context->topic_admin;
    int32_t alive;
    image_brokers(admin->image, &alive);
    if (alive == 0) {
        /* The controller has told us nothing yet: the topic may well be there. A client that heard of too few brokers
         * for a topic it has been writing to all along would fail what it has of it (librdkafka). */
        return KAFKA_LEADER_NOT_AVAILABLE;
    }
    for (struct auto_creation *creation = admin->auto_creations; creation != NULL; creation = creation->next) {
        if (str_equal_text(topic, creation->topic)) {
            return KAFKA_LEADER_NOT_AVAILABLE;
        }
    }
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct create_topics_request_creatable_topic wanted;
    create_topics_request_creatable_topic_init(&wanted);
    wanted.name = topic;
    describe_topic(admin->config, &arena, &wanted);
    struct topic_plan plan;
    struct topic_verdict verdict = topic_admin_plan(admin, &wanted, &arena, &plan);
    int16_t error_code = verdict.error_code;
    if (error_code == KAFKA_NONE) {
        struct auto_creation *creation = xcalloc(1, sizeof *creation);
        creation->admin = admin;
        creation->topic = xstrndup(topic.data, (size_t)topic.size);
        creation->next = admin->auto_creations;
        admin->auto_creations = creation;
        topic_admin_write(admin, &plan, false, on_auto_created, creation);
    }
    arena_deinit(&arena);
    bool is_coming = error_code == KAFKA_NONE || error_code == KAFKA_TOPIC_ALREADY_EXISTS;
    return is_coming ? KAFKA_LEADER_NOT_AVAILABLE : error_code;
}
