/* The administrator: makes the topics, and while faults happen deletes and makes them again, adds partitions, trims
 * logs, changes settings and asks for preferred leaders. One thing at a time; what failed is tried again or left. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/create_partitions.h"
#include "generated/protocol/create_topics.h"
#include "generated/protocol/delete_records.h"
#include "generated/protocol/delete_topics.h"
#include "generated/protocol/elect_leaders.h"
#include "generated/protocol/incremental_alter_configs.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/client.h"

#define VERSION_CREATE_TOPICS 5
#define VERSION_DELETE_TOPICS 6
#define VERSION_CREATE_PARTITIONS 3
#define VERSION_DELETE_RECORDS 2
#define VERSION_ALTER_CONFIGS 1
#define VERSION_ELECT_LEADERS 2
#define ADMIN_TIMEOUT_MS (CALL_TIMEOUT_MS - 1000)
#define ADMIN_TICK_MS 200
#define RESOURCE_TOPIC 2
#define OPERATION_SET 0
#define OPERATION_DELETE 1

CLIENT_ENCODER(create_topics)
CLIENT_ENCODER(delete_topics)
CLIENT_ENCODER(create_partitions)
CLIENT_ENCODER(delete_records)
CLIENT_ENCODER(incremental_alter_configs)
CLIENT_ENCODER(elect_leaders)

static void go_on(struct timer *timer);

/* Whatever came of it shows in the coordinator's tree. */
static void on_answered(void *context, int error, const uint8_t *body, size_t size) {
    struct client *client = context;
    (void)error;
    (void)body;
    (void)size;
    client->is_busy = false;
    client_later(client, &client->admin_timer, ADMIN_TICK_MS, go_on);
}

static int32_t controller_or_any(struct workload *workload) {
    const struct machine *controller = cluster_controller(workload->world->cluster);
    return controller != NULL && client_draw(workload, 0, 3) > 0 ? controller->id : client_any_broker(workload);
}

/* Returns how many settings there are. */
static int32_t choose_cleanup(enum cleanup cleanup, struct create_topics_request_creatable_topic_config ret[2]) {
    create_topics_request_creatable_topic_config_init(&ret[0]);
    create_topics_request_creatable_topic_config_init(&ret[1]);
    ret[0].name = STR_LITERAL("cleanup.policy");
    ret[0].value = cleanup == CLEANUP_COMPACT ? STR_LITERAL("compact") : STR_LITERAL("compact,delete");
    ret[1].name = STR_LITERAL("retention.ms");
    ret[1].value = STR_LITERAL("20000");
    return (int32_t)cleanup;
}

static void create_topic(struct client *client, int32_t slot) {
    struct workload *workload = client->workload;
    char name[16];
    topic_name(slot, name);
    struct create_topics_request_creatable_topic topic;
    create_topics_request_creatable_topic_init(&topic);
    topic.name = str_from(name);
    topic.num_partitions = workload->world->plan->topics[slot].partitions;
    topic.replication_factor = (int16_t)workload->world->plan->topics[slot].replication;
    struct create_topics_request_creatable_topic_config configs[2];
    topic.configs = configs;
    topic.configs_count = choose_cleanup(workload->world->plan->topics[slot].cleanup, configs);
    struct create_topics_request request;
    create_topics_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = ADMIN_TIMEOUT_MS;
    CLIENT_CALL(client, controller_or_any(workload), CREATE_TOPICS, create_topics, VERSION_CREATE_TOPICS, &request,
                on_answered, client);
}

static void delete_topic(struct client *client, const struct topic *topic) {
    struct delete_topics_request_delete_topic_state state;
    delete_topics_request_delete_topic_state_init(&state);
    state.name = str_from(topic->name);
    struct delete_topics_request request;
    delete_topics_request_init(&request);
    request.topics = &state;
    request.topics_count = 1;
    request.timeout_ms = ADMIN_TIMEOUT_MS;
    CLIENT_CALL(client, controller_or_any(client->workload), DELETE_TOPICS, delete_topics, VERSION_DELETE_TOPICS,
                &request, on_answered, client);
}

static void extend(struct client *client, const struct topic *topic) {
    struct create_partitions_request_create_partitions_topic asked;
    create_partitions_request_create_partitions_topic_init(&asked);
    asked.name = str_from(topic->name);
    asked.count = topic->partition_count + 1;
    asked.assignments_count = -1;
    struct create_partitions_request request;
    create_partitions_request_init(&request);
    request.topics = &asked;
    request.topics_count = 1;
    request.timeout_ms = ADMIN_TIMEOUT_MS;
    CLIENT_CALL(client, controller_or_any(client->workload), CREATE_PARTITIONS, create_partitions,
                VERSION_CREATE_PARTITIONS, &request, on_answered, client);
}

static void delete_records(struct client *client, struct topic *topic) {
    struct workload *workload = client->workload;
    int32_t p = (int32_t)client_draw(workload, 0, topic->partition_count - 1);
    struct delete_records_request_delete_records_partition partition;
    delete_records_request_delete_records_partition_init(&partition);
    partition.partition_index = p;
    partition.offset = client_draw(workload, 0, exposed_end(workload->world->exposed, stream_of(topic, p)) / 2);
    struct delete_records_request_delete_records_topic to;
    delete_records_request_delete_records_topic_init(&to);
    to.name = str_from(topic->name);
    to.partitions = &partition;
    to.partitions_count = 1;
    struct delete_records_request request;
    delete_records_request_init(&request);
    request.topics = &to;
    request.topics_count = 1;
    request.timeout_ms = ADMIN_TIMEOUT_MS;
    topic->may_shrink = true;
    CLIENT_CALL(client, topic->states[p].leader > 0 ? topic->states[p].leader : client_any_broker(workload),
                DELETE_RECORDS, delete_records, VERSION_DELETE_RECORDS, &request, on_answered, client);
}

static void set_config(struct client *client, const struct topic *topic, const char *key, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    struct incremental_alter_configs_request_alterable_config config;
    incremental_alter_configs_request_alterable_config_init(&config);
    config.name = str_from(key);
    config.config_operation = value < 0 ? OPERATION_DELETE : OPERATION_SET;
    config.value = value < 0 ? STR_NULL : str_from(text);
    struct incremental_alter_configs_request_alter_configs_resource resource;
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    resource.resource_type = RESOURCE_TOPIC;
    resource.resource_name = str_from(topic->name);
    resource.configs = &config;
    resource.configs_count = 1;
    struct incremental_alter_configs_request request;
    incremental_alter_configs_request_init(&request);
    request.resources = &resource;
    request.resources_count = 1;
    CLIENT_CALL(client, client_any_broker(client->workload), INCREMENTAL_ALTER_CONFIGS, incremental_alter_configs,
                VERSION_ALTER_CONFIGS, &request, on_answered, client);
}

static void elect(struct client *client, int32_t slot, int32_t partition, transport_answer *on_answer) {
    char name[16];
    topic_name(slot, name);
    struct elect_leaders_request_topic_partitions asked;
    elect_leaders_request_topic_partitions_init(&asked);
    asked.topic = str_from(name);
    asked.partitions = &partition;
    asked.partitions_count = 1;
    struct elect_leaders_request request;
    elect_leaders_request_init(&request);
    request.election_type = 0;
    request.topic_partitions = &asked;
    request.topic_partitions_count = 1;
    request.timeout_ms = ADMIN_TIMEOUT_MS;
    CLIENT_CALL(client, controller_or_any(client->workload), ELECT_LEADERS, elect_leaders, VERSION_ELECT_LEADERS,
                &request, on_answer, client);
}

static void set_retention(struct client *client, struct topic *topic) {
    struct workload *workload = client->workload;
    topic->may_shrink = true;
    switch (client_draw(workload, 0, 3)) {
    case 0: set_config(client, topic, "retention.bytes", -1); break;
    case 1: set_config(client, topic, "retention.ms", -1); break;
    case 2: set_config(client, topic, "retention.ms", client_draw(workload, 3000, 60000)); break;
    default: set_config(client, topic, "retention.bytes", client_draw(workload, 2000, 40000)); break;
    }
}

/* False: not now. */
static bool meddle(struct client *client) {
    struct workload *workload = client->workload;
    const struct plan *plan = workload->world->plan;
    struct topic *topic =
        topics_current(workload->world->topics, (int32_t)client_draw(workload, 0, plan->topic_count - 1));
    int32_t kind = (int32_t)client_draw(workload, 0, ADMIN_KIND_COUNT - 1);
    for (int32_t i = 0; !plan->admin[kind] && i < ADMIN_KIND_COUNT; i++) {
        kind = (kind + 1) % ADMIN_KIND_COUNT;
    }
    if (topic == NULL || !topic_is_settled(topic) || topic->partition_count == 0 || !plan->admin[kind]) {
        return false;
    }
    switch ((enum admin_kind)kind) {
    case ADMIN_RECREATE:
        if (topics_count(workload->world->topics) >= TOPICS_MAX - 2 * PLAN_TOPICS_MAX) {
            return false;
        }
        delete_topic(client, topic);
        return true;
    case ADMIN_EXTEND:
        if (topic->partition_count >= PLAN_PARTITIONS_MAX) {
            return false;
        }
        extend(client, topic);
        return true;
    case ADMIN_DELETE_RECORDS: delete_records(client, topic); return true;
    case ADMIN_RETENTION: set_retention(client, topic); return true;
    case ADMIN_SEGMENT_BYTES:
        set_config(client, topic, "segment.bytes", client_draw(workload, 1000, 20000));
        return true;
    case ADMIN_PREFERRED:
        elect(client, topic->slot, (int32_t)client_draw(workload, 0, topic->partition_count - 1), on_answered);
        return true;
    case ADMIN_KIND_COUNT: break;
    }
    return false;
}

static void go_on(struct timer *timer) {
    struct client *client = CONTAINER_OF(timer, struct client, admin_timer);
    struct workload *workload = client->workload;
    int64_t now_ms = clock_now_ms(client->clock);
    if (client->is_busy) {
        return;
    }
    for (int32_t slot = 0; slot < workload->world->plan->topic_count && !client->is_busy; slot++) {
        if (topics_current(workload->world->topics, slot) == NULL &&
            (!workload->is_meddling || client_draw(workload, 0, 3) == 0)) {
            client->is_busy = true;
            create_topic(client, slot);
        }
    }
    if (!client->is_busy && workload->is_meddling && now_ms >= workload->next_meddle_ms) {
        workload->next_meddle_ms = now_ms + client_draw(workload, 1, 2 * workload->world->plan->admin_pause_ms);
        client->is_busy = true; /* the call may answer at once */
        client->is_busy = meddle(client);
    }
    if (!client->is_busy) {
        client_later(client, timer, ADMIN_TICK_MS, go_on);
    }
}

void client_begin_admin(struct client *client) {
    client_later(client, &client->admin_timer, BACKOFF_MS, go_on);
}

/* ---- for scripts ---- */

static void on_ignored(void *context, int error, const uint8_t *body, size_t size) {
    (void)context;
    (void)error;
    (void)body;
    (void)size;
}

void workload_elect_preferred(struct workload *workload, int32_t slot, int32_t partition) {
    elect(workload->admin, slot, partition, on_ignored);
}
