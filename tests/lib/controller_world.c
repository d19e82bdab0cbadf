/* The tree, the brokers' answers, and the trace. */
#include "tests/lib/controller_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/metadata/image.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"

struct world_answer {
    struct world_answer *next;
    int32_t controller_id;
    struct controller_event event;
    struct controller_partition_result results[64];
    char topics[64][32];
};

/* ---- the tree ---- */

static struct world_node *find(const struct world *world, const char *path) {
    for (int32_t i = 0; i < world->node_count; i++) {
        if (strcmp(world->nodes[i].path, path) == 0) {
            return (struct world_node *)&world->nodes[i];
        }
    }
    return NULL;
}

const struct world_node *world_find(const struct world *world, const char *path) {
    return find(world, path);
}

const char *world_text(const struct world *world, const char *path) {
    const struct world_node *node = find(world, path);
    return node == NULL ? NULL : (const char *)node->data;
}

static void set_data(struct world_node *node, struct slice data) {
    free(node->data);
    node->size = data.size;
    node->data = xcalloc((size_t)MAX(data.size, 0) + 1, 1);
    if (data.size > 0) {
        memcpy(node->data, data.data, (size_t)data.size);
    }
}

static void create(struct world *world, const char *path, struct slice data) {
    CHECK(world->node_count < WORLD_NODES_MAX);
    struct world_node *node = &world->nodes[world->node_count++];
    *node = (struct world_node){.path = xstrdup(path), .czxid = ++world->zxid};
    set_data(node, data);
}

void world_remove(struct world *world, const char *path) {
    struct world_node *node = find(world, path);
    CHECK(node != NULL);
    free(node->path);
    free(node->data);
    *node = world->nodes[--world->node_count];
}

void world_put(struct world *world, const char *path, const char *data) {
    struct slice bytes = data == NULL ? SLICE_NULL : (struct slice){(const uint8_t *)data, (int32_t)strlen(data)};
    struct world_node *node = find(world, path);
    if (node == NULL) {
        create(world, path, bytes);
    } else {
        set_data(node, bytes);
        node->version++;
    }
}

static bool has_parent(const struct world *world, const char *path) {
    const char *slash = strrchr(path, '/');
    char parent[ZNODE_PATH_SIZE];
    if (slash == path) {
        return true;
    }
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    return find(world, parent) != NULL;
}

static bool is_child_of(const char *path, const char *parent) {
    size_t size = strlen(parent);
    return strncmp(path, parent, size) == 0 && path[size] == '/' && strchr(path + size + 1, '/') == NULL;
}

static bool has_children(const struct world *world, const char *path) {
    for (int32_t i = 0; i < world->node_count; i++) {
        if (is_child_of(world->nodes[i].path, path)) {
            return true;
        }
    }
    return false;
}

static int check_op(const struct world *world, const struct controller_op *op) {
    const struct world_node *node = find(world, op->path);
    if (op->type == CONTROLLER_OP_CREATE) {
        return node != NULL ? ERR_EXISTS : !has_parent(world, op->path) ? ERR_NOT_FOUND : 0;
    }
    if (node == NULL) {
        return ERR_NOT_FOUND;
    }
    if (op->version != -1 && op->version != node->version) {
        return ERR_BAD_VERSION;
    }
    return op->type == CONTROLLER_OP_DELETE && has_children(world, op->path) ? ERR_NOT_EMPTY : 0;
}

static void apply_op(struct world *world, const struct controller_op *op, int32_t *ret_version) {
    struct world_node *node = find(world, op->path);
    switch (op->type) {
    case CONTROLLER_OP_CHECK: break;
    case CONTROLLER_OP_CREATE: create(world, op->path, op->data); break;
    case CONTROLLER_OP_SET:
        set_data(node, op->data);
        *ret_version = ++node->version;
        break;
    case CONTROLLER_OP_DELETE: world_remove(world, op->path); break;
    }
}

static void log_op(struct world *world, const struct controller_op *op, bool is_fenced) {
    static const char *const names[] = {NULL, "create", "set", "delete"};
    if (op->type != CONTROLLER_OP_CHECK) {
        int size = snprintf(world->log + world->log_size, WORLD_TRACE_SIZE - world->log_size, "%s%s %s\n",
                            is_fenced ? "fenced " : "", names[op->type], op->path);
        world->log_size += (size_t)size;
        CHECK(world->log_size < WORLD_TRACE_SIZE);
    }
}

static void __attribute__((format(printf, 2, 3))) trace(struct world *world, const char *format, ...);

static void trace_op(struct world *world, int32_t id, const struct controller_op *op) {
    static const char *const names[] = {NULL, "creates", "sets", "deletes"};
    if (world->writes_are_traced && op->type != CONTROLLER_OP_CHECK) {
        trace(world, "%d %s %s %.*s\n", id, names[op->type], op->path, (int)MAX(op->data.size, 0),
              op->data.size > 0 ? (const char *)op->data.data : "");
    }
}

static void multi(struct world *world, int32_t id, const struct controller_ask *ask, struct arena *arena,
                  struct controller_reply *reply) {
    int *errors = ARENA_ARRAY(arena, int, ask->op_count);
    int32_t *versions = ARENA_ARRAY(arena, int32_t, ask->op_count);
    reply->op_errors = errors;
    reply->op_versions = versions;
    reply->error = 0;
    for (int32_t i = 0; i < ask->op_count && reply->error == 0; i++) {
        errors[i] = reply->error = check_op(world, &ask->ops[i]);
        for (int32_t j = 0; reply->error != 0 && j < ask->op_count; j++) {
            errors[j] = j == i ? reply->error : ERR_ROLLED_BACK;
        }
    }
    for (int32_t i = 0; i < ask->op_count && reply->error == 0; i++) {
        apply_op(world, &ask->ops[i], &versions[i]);
        log_op(world, &ask->ops[i], ask->is_fenced);
        trace_op(world, id, &ask->ops[i]);
    }
}

static void get(const struct world *world, const struct controller_ask *ask, struct arena *arena,
                struct controller_reply *reply) {
    const struct world_node *node = find(world, ask->path);
    if (node == NULL) {
        reply->error = ERR_NOT_FOUND;
        return;
    }
    struct str copy = arena_str(arena, (struct str){(const char *)node->data, node->size});
    reply->data = (struct slice){(const uint8_t *)copy.data, copy.size};
    reply->version = node->version;
    reply->czxid = node->czxid;
}

static void children(const struct world *world, const struct controller_ask *ask, struct arena *arena,
                     struct controller_reply *reply) {
    const char **names = ARENA_ARRAY(arena, const char *, WORLD_NODES_MAX);
    reply->error = find(world, ask->path) == NULL ? ERR_NOT_FOUND : 0;
    reply->names = names;
    for (int32_t i = 0; i < world->node_count; i++) {
        if (is_child_of(world->nodes[i].path, ask->path)) {
            names[reply->name_count++] = arena_str(arena, str_from(znode_name(world->nodes[i].path))).data;
        }
    }
}

/* ---- the trace ---- */

static void __attribute__((format(printf, 2, 3))) trace(struct world *world, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(world->trace + world->trace_size, WORLD_TRACE_SIZE - world->trace_size, format, args);
    va_end(args);
    world->trace_size += (size_t)size;
    CHECK(world->trace_size < WORLD_TRACE_SIZE);
}

static void trace_ids(struct world *world, const int32_t *ids, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        trace(world, "%s%d", i > 0 ? "," : "", ids[i]);
    }
}

void world_note(struct world *world, const char *text) {
    trace(world, "# %s\n", text);
}

void world_clear_trace(struct world *world) {
    world->trace_size = world->log_size = 0;
    world->trace[0] = world->log[0] = '\0';
}

/* ---- brokers ---- */

static struct world_answer *answer_create(struct world *world, int32_t controller_id,
                                          const struct controller_action *action, enum controller_event_type type,
                                          int32_t controller_epoch_sent) {
    struct world_answer *answer = xcalloc(1, sizeof *answer);
    struct world_answer **end = &world->answers;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = answer;
    answer->controller_id = controller_id;
    answer->event = (struct controller_event){
        .type = type,
        .path = STR_NULL,
        .broker_id = action->broker_id,
        .broker_epoch = action->broker_epoch,
        .controller_epoch = controller_epoch_sent,
        .number = action->number,
        .results = answer->results,
    };
    return answer;
}

static void add_result(struct world_answer *answer, struct str topic, int32_t partition, int16_t error_code) {
    int32_t at = answer->event.result_count++;
    CHECK(at < 64);
    snprintf(answer->topics[at], sizeof answer->topics[at], "%.*s", STR_ARGS(topic));
    answer->results[at] = (struct controller_partition_result){
        .topic = str_from(answer->topics[at]), .partition = partition, .error_code = error_code};
}

static void take_leader_and_isr(struct world *world, int32_t id, const struct controller_action *action,
                                struct world_answer *answer) {
    const struct leader_and_isr_request *request = action->message;
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        for (int32_t j = 0; j < request->topic_states[i].partition_states_count; j++) {
            const struct leader_and_isr_request_leader_and_isr_partition_state *state =
                &request->topic_states[i].partition_states[j];
            struct str name = request->topic_states[i].topic_name;
            trace(world, "%d>%d LISR %.*s-%d leader=%d epoch=%d version=%d isr=", id, action->broker_id, STR_ARGS(name),
                  state->partition_index, state->leader, state->leader_epoch, state->partition_epoch);
            trace_ids(world, state->isr, state->isr_count);
            trace(world, "%s\n", state->is_new ? " new" : "");
            bool is_broken =
                world->storage_error == state->partition_index + 1 && world->storage_broker == action->broker_id;
            add_result(answer, name, state->partition_index, is_broken ? KAFKA_STORAGE_ERROR : KAFKA_NONE);
        }
    }
}

static void take_metadata(struct world *world, int32_t id, const struct controller_action *action) {
    const struct update_metadata_request *request = action->message;
    trace(world, "%d>%d UMR%s brokers=", id, action->broker_id, request->type == IMAGE_UPDATE_FULL ? " full" : "");
    for (int32_t i = 0; i < request->live_brokers_count; i++) {
        trace(world, "%s%d", i > 0 ? "," : "", request->live_brokers[i].id);
    }
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        for (int32_t j = 0; j < request->topic_states[i].partition_states_count; j++) {
            trace(world, " %.*s-%d:%d", STR_ARGS(request->topic_states[i].topic_name),
                  request->topic_states[i].partition_states[j].partition_index,
                  request->topic_states[i].partition_states[j].leader);
        }
    }
    trace(world, "\n");
}

static void take_stop_replica(struct world *world, int32_t id, const struct controller_action *action,
                              struct world_answer *answer) {
    const struct stop_replica_request *request = action->message;
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        for (int32_t j = 0; j < request->topic_states[i].partition_states_count; j++) {
            const struct stop_replica_request_stop_replica_partition_state *state =
                &request->topic_states[i].partition_states[j];
            trace(world, "%d>%d SR %.*s-%d epoch=%d%s\n", id, action->broker_id,
                  STR_ARGS(request->topic_states[i].topic_name), state->partition_index, state->leader_epoch,
                  state->delete_partition ? " delete" : "");
            if (state->delete_partition) {
                add_result(answer, request->topic_states[i].topic_name, state->partition_index,
                           world->delete_error_broker == action->broker_id ? KAFKA_STORAGE_ERROR : KAFKA_NONE);
            }
        }
    }
}

static void on_send(struct world *world, int32_t id, const struct controller_action *action) {
    int32_t epoch = controller_epoch(world->controllers[id]);
    world->versions[action->api_key] = action->api_version;
    if (action->api_key == API_LEADER_AND_ISR) {
        take_leader_and_isr(world, id, action,
                            answer_create(world, id, action, CONTROLLER_EVENT_LEADER_AND_ISR_ANSWERED, epoch));
    } else if (action->api_key == API_STOP_REPLICA) {
        take_stop_replica(world, id, action,
                          answer_create(world, id, action, CONTROLLER_EVENT_STOP_REPLICA_ANSWERED, epoch));
    } else {
        take_metadata(world, id, action);
    }
}

/* ---- running ---- */

/* False when the controller died in the middle. */
static bool reply_all(struct world *world, int32_t id, const struct controller_action *action, struct arena *arena,
                      struct controller_reply *replies) {
    for (int32_t i = 0; i < action->ask_count; i++) {
        const struct controller_ask *ask = &action->asks[i];
        replies[i] = (struct controller_reply){.data = SLICE_NULL};
        switch (ask->type) {
        case CONTROLLER_GET: get(world, ask, arena, &replies[i]); break;
        case CONTROLLER_CHILDREN: children(world, ask, arena, &replies[i]); break;
        case CONTROLLER_MULTI:
            if (world->writes == world->writes_max) {
                return false;
            }
            if (world->writes == world->stolen_write && find(world, ask->ops[ask->op_count - 1].path) != NULL) {
                find(world, ask->ops[ask->op_count - 1].path)->version++;
            }
            multi(world, id, ask, arena, &replies[i]);
            world->writes++;
            if (world->loses_replies || world->writes - 1 == world->lost_write) {
                replies[i] = (struct controller_reply){.data = SLICE_NULL};
                multi(world, id, ask, arena, &replies[i]);
            }
            break;
        }
    }
    return true;
}

static void kill_controller(struct world *world, int32_t id) {
    controller_destroy(world->controllers[id]);
    world->controllers[id] = NULL;
}

void world_step(struct world *world, int32_t id, struct controller_event *event) {
    struct controller_actions actions;
    struct arena arena;
    controller_actions_init(&actions);
    arena_init(&arena, SIZE_MAX);
    event->wall_ms = 1000;
    controller_step(world->controllers[id], event, &actions);
    for (int32_t i = 0; i < actions.count; i++) {
        struct controller_action action = actions.items[i];
        if (action.type == CONTROLLER_SEND) {
            on_send(world, id, &action);
        } else if (action.type == CONTROLLER_ANSWER) {
            world->call_error = action.error_code;
            world->calls_answered++;
        } else if (action.type == CONTROLLER_STOPPED) {
            world->is_stopped = true;
        } else if (action.type == CONTROLLER_TOLD) {
            trace(world, "%d has told %d everything\n", id, action.broker_id);
        } else if (action.type == CONTROLLER_ADD_BROKER) {
            trace(world, "%d opens a line to %d\n", id, action.broker_id);
        } else if (action.type == CONTROLLER_REMOVE_BROKER) {
            trace(world, "%d closes its line to %d\n", id, action.broker_id);
        } else if (action.type == CONTROLLER_ASK) {
            struct controller_reply *replies = ARENA_ARRAY(&arena, struct controller_reply, action.ask_count);
            if (!reply_all(world, id, &action, &arena, replies)) {
                kill_controller(world, id);
                break;
            }
            struct controller_event answered = {.type = CONTROLLER_EVENT_REPLIES,
                                                .wall_ms = 1000,
                                                .path = STR_NULL,
                                                .serial = action.serial,
                                                .replies = replies,
                                                .reply_count = action.ask_count};
            controller_step(world->controllers[id], &answered, &actions);
        }
    }
    arena_deinit(&arena);
    controller_actions_deinit(&actions);
}

static void fire_all(struct world *world, int32_t id) {
    static const char *const paths[] = {
        ZNODE_CONTROLLER,          ZNODE_BROKER_IDS,     ZNODE_TOPICS,
        ZNODE_ISR_CHANGES,         ZNODE_LOG_DIR_EVENTS, ZNODE_PREFERRED_REPLICA_ELECTION,
        ZNODE_REASSIGN_PARTITIONS,
    };
    char found[WORLD_NODES_MAX][64];
    int32_t count = 0;
    for (int32_t i = 0; i < world->node_count; i++) {
        if (is_child_of(world->nodes[i].path, ZNODE_TOPICS) || is_child_of(world->nodes[i].path, ZNODE_BROKER_IDS)) {
            snprintf(found[count++], sizeof found[0], "%s", world->nodes[i].path);
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(paths) && world->controllers[id] != NULL; i++) {
        struct controller_event event = {.type = CONTROLLER_EVENT_WATCH, .path = str_from(paths[i])};
        world_step(world, id, &event);
    }
    for (int32_t i = 0; i < count && world->controllers[id] != NULL; i++) {
        struct controller_event event = {.type = CONTROLLER_EVENT_WATCH, .path = str_from(found[i])};
        world_step(world, id, &event);
    }
    if (world->controllers[id] != NULL) {
        struct controller_event event = {.type = CONTROLLER_EVENT_WATCH, .path = str_from(ZNODE_DELETE_TOPICS)};
        world_step(world, id, &event);
    }
}

static bool is_registered(const struct world *world, int32_t broker_id, int64_t epoch) {
    char path[ZNODE_PATH_SIZE];
    const struct world_node *node = find(world, znode_broker_path(path, broker_id));
    return node != NULL && node->czxid == epoch;
}

static void deliver(struct world *world) {
    while (world->answers != NULL) {
        struct world_answer *answer = world->answers;
        world->answers = answer->next;
        if (!world->is_mute && world->controllers[answer->controller_id] != NULL &&
            is_registered(world, answer->event.broker_id, answer->event.broker_epoch)) {
            world_step(world, answer->controller_id, &answer->event);
        }
        free(answer);
    }
}

void world_settle(struct world *world) {
    int32_t before;
    do {
        before = world->writes;
        for (int32_t id = 0; id < WORLD_BROKERS_MAX; id++) {
            if (world->controllers[id] != NULL) {
                fire_all(world, id);
            }
            deliver(world);
        }
    } while (world->writes != before);
}

/* ---- life ---- */

struct world *world_create(int32_t brokers) {
    static const char *const paths[] = {"/admin", "/brokers", "/config", "/config/topics"};
    struct world *world = xcalloc(1, sizeof *world);
    world->writes_max = world->lost_write = world->stolen_write = -1;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        world_put(world, paths[i], NULL);
    }
    for (size_t i = 0; i < znode_persistent_path_count; i++) {
        if (find(world, znode_persistent_paths[i]) == NULL) {
            world_put(world, znode_persistent_paths[i], NULL);
        }
    }
    for (int32_t id = 1; id <= brokers; id++) {
        world_register(world, id);
    }
    return world;
}

void world_destroy(struct world *world) {
    for (int32_t id = 0; id < WORLD_BROKERS_MAX; id++) {
        controller_destroy(world->controllers[id]);
    }
    while (world->answers != NULL) {
        struct world_answer *answer = world->answers;
        world->answers = answer->next;
        free(answer);
    }
    while (world->node_count > 0) {
        world_remove(world, world->nodes[0].path);
    }
    free(world);
}

void world_put_topic(struct world *world, const char *node) {
    world_put(world, "/config/topics/t", "{\"version\":1,\"config\":{}}");
    world_put(world, "/brokers/topics/t", node);
    world_settle(world);
}

void world_register(struct world *world, int32_t broker_id) {
    char path[ZNODE_PATH_SIZE], data[512];
    snprintf(data, sizeof data,
             "{\"features\":{},\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"},\"endpoints\":"
             "[\"PLAINTEXT://h%d:9092\"],\"jmx_port\":-1,\"port\":9092,\"host\":\"h%d\",\"version\":5,"
             "\"timestamp\":\"1\"}",
             broker_id, broker_id);
    world_put(world, znode_broker_path(path, broker_id), data);
}

void world_start(struct world *world, int32_t broker_id, const struct controller_config *config) {
    struct controller_config own = *config;
    own.broker_id = broker_id;
    own.seed = (uint64_t)broker_id;
    world->controllers[broker_id] = controller_create(&own);
    struct controller_event event = {.type = CONTROLLER_EVENT_START, .path = STR_NULL};
    world_step(world, broker_id, &event);
}
