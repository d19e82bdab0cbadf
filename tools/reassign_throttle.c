/* Throttles around a reassignment: set before it starts, taken back once it is over. (cli.md, section 4.3) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tools/reassign.h"

#define LEADER_RATE "leader.replication.throttled.rate"
#define FOLLOWER_RATE "follower.replication.throttled.rate"
#define LOG_DIR_RATE "replica.alter.log.dirs.io.max.bytes.per.second"
#define LEADER_REPLICAS "leader.replication.throttled.replicas"
#define FOLLOWER_REPLICAS "follower.replication.throttled.replicas"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { OPERATION_SET = 0, OPERATION_DELETE = 1 };

struct change {
    const char *name;
    struct str value; /* null: the setting goes */
};

static int alter(struct admin_tool *tool, int8_t type, struct str name, int32_t node_id, const struct change *changes,
                 int32_t count) {
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request_alterable_config configs[3];
    struct incremental_alter_configs_response response;
    incremental_alter_configs_request_init(&request);
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    CHECK(count <= (int32_t)ARRAY_SIZE(configs));
    for (int32_t i = 0; i < count; i++) {
        incremental_alter_configs_request_alterable_config_init(&configs[i]);
        configs[i].name = str_from(changes[i].name);
        configs[i].config_operation = str_is_null(changes[i].value) ? OPERATION_DELETE : OPERATION_SET;
        configs[i].value = changes[i].value;
    }
    resource.resource_type = type;
    resource.resource_name = name;
    resource.configs = configs;
    resource.configs_count = count;
    request.resources = &resource;
    request.resources_count = 1;
    int error = admin_alter_configs(&tool->client, node_id, &request, &tool->arena, &response, &tool->failure);
    for (int32_t i = 0; error == 0 && i < response.responses_count; i++) {
        if (response.responses[i].error_code != KAFKA_NONE) {
            struct failure inner = {0};
            failure_set_code(&inner, response.responses[i].error_code, response.responses[i].error_message);
            error = failure_set(&tool->failure, REASSIGN_WRAPPER, "%s: %s", inner.class_name, inner.text);
            failure_clear(&inner);
        }
    }
    return error;
}

static int alter_broker(struct admin_tool *tool, int32_t id, const struct change *changes, int32_t count) {
    return alter(tool, RESOURCE_BROKER, arena_printf(&tool->arena, "%d", id), id, changes, count);
}

/* ---- who moves where ---- */

struct ids {
    int32_t *items; /* ascending, each once */
    int32_t count;
    int32_t capacity;
};

static void add_id(struct arena *arena, struct ids *ids, int32_t id) {
    int32_t at = 0;
    while (at < ids->count && ids->items[at] < id) {
        at++;
    }
    if (at < ids->count && ids->items[at] == id) {
        return;
    }
    if (ids->count == ids->capacity) {
        ids->capacity = ids->capacity == 0 ? 16 : ids->capacity * 2;
        int32_t *items = ARENA_ARRAY(arena, int32_t, ids->capacity);
        if (ids->count > 0) {
            memcpy(items, ids->items, (size_t)ids->count * sizeof *items);
        }
        ids->items = items;
    }
    memmove(&ids->items[at + 1], &ids->items[at], (size_t)(ids->count - at) * sizeof *ids->items);
    ids->items[at] = id;
    ids->count++;
}

static bool contains(const int32_t *ids, int32_t count, int32_t id) {
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

struct move {
    struct str topic;
    int32_t partition;
    struct ids sources;
    struct ids destinations;
};

struct moves {
    struct move *items; /* by topic */
    int32_t count;
};

static void add_sources(struct arena *arena, const struct reassign_ongoing *ongoing, struct move *move) {
    for (int32_t i = 0; i < ongoing->replica_count; i++) {
        if (!contains(ongoing->adding, ongoing->adding_count, ongoing->replicas[i])) {
            add_id(arena, &move->sources, ongoing->replicas[i]);
        }
    }
}

static struct move planned_move(struct arena *arena, const struct reassign_item *item,
                                const struct reassign_plan *current, const struct reassign_ongoing_list *ongoing) {
    struct move move = {.topic = item->topic, .partition = item->partition};
    const struct reassign_ongoing *running = reassign_find_ongoing(ongoing, item->topic, item->partition);
    const struct reassign_item *now = reassign_find(current, item->topic, item->partition);
    if (running != NULL) {
        add_sources(arena, running, &move);
    } else {
        for (int32_t i = 0; now != NULL && i < now->replica_count; i++) {
            add_id(arena, &move.sources, now->replicas[i]);
        }
    }
    for (int32_t i = 0; i < item->replica_count; i++) {
        if (!contains(move.sources.items, move.sources.count, item->replicas[i])) {
            add_id(arena, &move.destinations, item->replicas[i]);
        }
    }
    return move;
}

static int compare_moves(const void *a, const void *b) {
    const struct move *left = a, *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

/* What is planned, and whatever else is moving: its throttle changes too. */
static struct moves collect_moves(struct arena *arena, const struct reassign_plan *plan,
                                  const struct reassign_plan *current, const struct reassign_ongoing_list *ongoing) {
    struct moves moves = {.items = ARENA_ARRAY(arena, struct move, plan->count + ongoing->count + 1)};
    for (int32_t i = 0; i < plan->count; i++) {
        moves.items[moves.count++] = planned_move(arena, &plan->items[i], current, ongoing);
    }
    for (int32_t i = 0; i < ongoing->count; i++) {
        const struct reassign_ongoing *running = &ongoing->items[i];
        if (reassign_find(plan, running->topic, running->partition) == NULL) {
            struct move *move = &moves.items[moves.count++];
            *move = (struct move){.topic = running->topic, .partition = running->partition};
            add_sources(arena, running, move);
            for (int32_t j = 0; j < running->adding_count; j++) {
                add_id(arena, &move->destinations, running->adding[j]);
            }
        }
    }
    qsort(moves.items, (size_t)moves.count, sizeof *moves.items, compare_moves);
    return moves;
}

/* ---- topics ---- */

static int compare_texts(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* "0:1,0:2,1:2", sorted as text, of the moves of one topic. */
static struct str throttled_replicas(struct arena *arena, const struct move *moves, int32_t count, bool is_leader) {
    int32_t total = 0, at = 0;
    for (int32_t i = 0; i < count; i++) {
        total += is_leader ? moves[i].sources.count : moves[i].destinations.count;
    }
    struct str *parts = ARENA_ARRAY(arena, struct str, total + 1);
    size_t size = 1;
    for (int32_t i = 0; i < count; i++) {
        const struct ids *ids = is_leader ? &moves[i].sources : &moves[i].destinations;
        for (int32_t j = 0; j < ids->count; j++) {
            parts[at] = arena_printf(arena, "%d:%d", moves[i].partition, ids->items[j]);
            size += (size_t)parts[at++].size + 1;
        }
    }
    qsort(parts, (size_t)total, sizeof *parts, compare_texts);
    char *text = arena_alloc(arena, size);
    struct str joined = {text, 0};
    for (int32_t i = 0; i < total; i++) {
        if (i > 0) {
            text[joined.size++] = ',';
        }
        memcpy(text + joined.size, parts[i].data, (size_t)parts[i].size);
        joined.size += parts[i].size;
    }
    return joined;
}

static int set_topics(struct admin_tool *tool, const struct moves *moves) {
    int error = 0;
    for (int32_t i = 0, next; error == 0 && i < moves->count; i = next) {
        next = i + 1;
        while (next < moves->count && str_equal(moves->items[next].topic, moves->items[i].topic)) {
            next++;
        }
        struct change changes[] = {
            {LEADER_REPLICAS, throttled_replicas(&tool->arena, &moves->items[i], next - i, true)},
            {FOLLOWER_REPLICAS, throttled_replicas(&tool->arena, &moves->items[i], next - i, false)},
        };
        error = alter(tool, RESOURCE_TOPIC, moves->items[i].topic, -1, changes, ARRAY_SIZE(changes));
    }
    return error;
}

/* ---- setting and clearing ---- */

int reassign_set_throttle(struct admin_tool *tool, const struct reassign_plan *plan,
                          const struct reassign_plan *current, const struct reassign_ongoing_list *ongoing,
                          int64_t rate) {
    struct arena *arena = &tool->arena;
    struct moves moves = collect_moves(arena, plan, current, ongoing);
    struct ids brokers = {0};
    int error = set_topics(tool, &moves);
    for (int32_t i = 0; i < moves.count; i++) {
        for (int32_t j = 0; j < moves.items[i].sources.count; j++) {
            add_id(arena, &brokers, moves.items[i].sources.items[j]);
        }
        for (int32_t j = 0; j < moves.items[i].destinations.count; j++) {
            add_id(arena, &brokers, moves.items[i].destinations.items[j]);
        }
    }
    struct str value = arena_printf(arena, "%lld", (long long)rate);
    const struct change changes[] = {{LEADER_RATE, value}, {FOLLOWER_RATE, value}};
    for (int32_t i = 0; error == 0 && i < brokers.count; i++) {
        error = alter_broker(tool, brokers.items[i], changes, ARRAY_SIZE(changes));
    }
    if (error == 0) {
        printf("The inter-broker throttle limit was set to %lld B/s\n", (long long)rate);
    }
    return error;
}

int reassign_set_log_dir_throttle(struct admin_tool *tool, const struct reassign_plan *plan, int64_t rate) {
    struct ids brokers = {0};
    int error = 0;
    for (int32_t i = 0; i < plan->count; i++) {
        for (int32_t j = 0; plan->items[i].log_dirs != NULL && j < plan->items[i].replica_count; j++) {
            if (plan->items[i].log_dirs[j] != NULL) {
                add_id(&tool->arena, &brokers, plan->items[i].replicas[j]);
            }
        }
    }
    const struct change change = {LOG_DIR_RATE, arena_printf(&tool->arena, "%lld", (long long)rate)};
    for (int32_t i = 0; error == 0 && i < brokers.count; i++) {
        error = alter_broker(tool, brokers.items[i], &change, 1);
    }
    if (error == 0) {
        printf("The replica-alter-dir throttle limit was set to %lld B/s\n", (long long)rate);
    }
    return error;
}

int reassign_clear_throttles(struct admin_tool *tool, const struct reassign_plan *plan) {
    const struct change of_brokers[] = {{LEADER_RATE, STR_NULL}, {FOLLOWER_RATE, STR_NULL}, {LOG_DIR_RATE, STR_NULL}};
    const struct change of_topics[] = {{LEADER_REPLICAS, STR_NULL}, {FOLLOWER_REPLICAS, STR_NULL}};
    struct metadata_response response;
    struct ids brokers = {0};
    struct str *topics;
    int32_t topic_count = reassign_topics(tool, plan, &topics);
    int error = client_metadata(&tool->client, NULL, 0, false, client_deadline(&tool->client), &tool->arena, &response);
    if (error != 0) {
        client_failure(&tool->failure, error, "listNodes");
        return error;
    }
    for (int32_t i = 0; i < tool->client.node_count; i++) {
        add_id(&tool->arena, &brokers, tool->client.nodes[i]->id);
    }
    for (int32_t i = 0; i < plan->count; i++) {
        for (int32_t j = 0; j < plan->items[i].replica_count; j++) {
            add_id(&tool->arena, &brokers, plan->items[i].replicas[j]);
        }
    }
    printf("Clearing broker-level throttles on broker%s %.*s\n", brokers.count == 1 ? "" : "s",
           STR_ARGS(reassign_join(&tool->arena, brokers.items, brokers.count)));
    for (int32_t i = 0; error == 0 && i < brokers.count; i++) {
        error = alter_broker(tool, brokers.items[i], of_brokers, ARRAY_SIZE(of_brokers));
    }
    if (error != 0) {
        return error;
    }
    printf("Clearing topic-level throttles on topic%s ", topic_count == 1 ? "" : "s");
    for (int32_t i = 0; i < topic_count; i++) {
        printf("%s%.*s", i == 0 ? "" : ",", STR_ARGS(topics[i]));
    }
    putchar('\n');
    for (int32_t i = 0; error == 0 && i < topic_count; i++) {
        error = alter(tool, RESOURCE_TOPIC, topics[i], -1, of_topics, ARRAY_SIZE(of_topics));
    }
    return error;
}
