/* Carrying topic plans out: one small sequence of coordinator calls per topic, each step repeatable.
 *
 * After a lost connection a write may or may not have been applied. Steps are therefore written so that doing them
 * twice does no harm, and a topic node that is there after such a loss is ours when it holds our topic id. */
#include "broker/request/topic_admin.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/topic_admin_internal.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/create_partitions.h"

#define AREA "kafka.server.ZkAdminManager"
/* A coordinator that stays away longer than this (6 s) fails the operation; the client may come again. */
#define RETRY_MAX 30
#define RETRY_AFTER_MS 200

struct topic_op {
    struct topic_admin *admin;
    struct topic_op *prev; /* names utlist wants */
    struct topic_op *next;
    void (*step)(struct topic_op *op); /* what is under way, or to be tried again */
    struct timer retry;
    int32_t retry_count;
    struct arena arena;
    struct str topic;
    struct topic_plan plan;
    struct uuid topic_id;
    bool validate_only;
    bool may_be_applied; /* the write that is tried again got no answer before */
    bool may_have_grown; /* the same, once the topic has changed under a write that got no answer */
    int32_t version;     /* of the topic node, when growing */
    struct slice data;   /* what is to be written */
    const struct create_partitions_request_create_partitions_topic *wanted;
    topic_admin_done *on_done;
    void *context;
    /* Of creations: those whose names collide come one after the other, so that the second finds the first. */
    struct str collision_key; /* null: not a creation */
    UT_hash_handle hh;        /* of the one under way, by collision_key */
    struct topic_op *earlier;
    struct topic_op *later;
};

static void find_free_name(struct topic_op *op);
static void list_topics(struct topic_op *op);
static void write_settings(struct topic_op *op);
static void overwrite_settings(struct topic_op *op);
static void write_topic(struct topic_op *op);
static void read_own_topic(struct topic_op *op);

struct topic_admin *topic_admin_create(const struct config *config, struct clock *clock, struct coord *coord,
                                       struct image *image, uint64_t seed) {
    struct topic_admin *admin = xcalloc(1, sizeof *admin);
    admin->config = config;
    admin->clock = clock;
    admin->coord = coord;
    admin->image = image;
    random_seed(&admin->random, seed);
    return admin;
}

static void end_op(struct topic_op *op) {
    timer_stop(op->admin->clock, &op->retry);
    DL_DELETE(op->admin->ops, op);
    arena_deinit(&op->arena);
    free(op);
}

void topic_admin_destroy(struct topic_admin *admin) {
    if (admin == NULL) {
        return;
    }
    struct topic_op *op;
    struct topic_op *next;
    HASH_CLEAR(hh, admin->creations);
    DL_FOREACH_SAFE(admin->ops, op, next) {
        end_op(op);
    }
    topic_admin_forget_auto_creations(admin);
    free(admin);
}

static struct topic_op *begin_op(struct topic_admin *admin, struct str topic, topic_admin_done *on_done,
                                 void *context) {
    struct topic_op *op = xcalloc(1, sizeof *op);
    op->admin = admin;
    arena_init(&op->arena, SIZE_MAX);
    op->topic = arena_str(&op->arena, topic);
    op->collision_key = STR_NULL;
    op->on_done = on_done;
    op->context = context;
    DL_APPEND(admin->ops, op);
    return op;
}

static void run(struct topic_op *op, void (*step)(struct topic_op *op)) {
    op->step = step;
    op->may_be_applied = false;
    step(op);
}

static void take_name(struct topic_op *op) {
    HASH_ADD_KEYPTR(hh, op->admin->creations, op->collision_key.data, (size_t)op->collision_key.size, op);
}

static void finish(struct topic_op *op, int16_t error_code, struct str message) {
    struct topic_op *next = NULL;
    if (!str_is_null(op->collision_key)) {
        next = op;
        DL_DELETE2(next, op, earlier, later);
        HASH_DELETE(hh, op->admin->creations, op);
        if (next != NULL) {
            take_name(next); /* before on_done, which may ask for another */
        }
    }
    op->on_done(op->context, error_code, message, error_code == KAFKA_NONE ? op->topic_id : (struct uuid){0});
    end_op(op);
    if (next != NULL) {
        run(next, find_free_name);
    }
}

#define FINISH(op, code, ...) finish((op), (code), arena_printf(&(op)->arena, __VA_ARGS__))

static void on_retry(struct timer *timer) {
    struct topic_op *op = CONTAINER_OF(timer, struct topic_op, retry);
    op->step(op);
}

/* True when the step did not come through: it is tried again, or the operation has ended. */
static bool is_lost(struct topic_op *op, int error) {
    if (error == ERR_CONNECTION_LOSS && op->retry_count++ < RETRY_MAX) {
        op->may_be_applied = true;
        timer_start(op->admin->clock, &op->retry, RETRY_AFTER_MS, on_retry);
        return true;
    }
    if (error == ERR_CONNECTION_LOSS || error == ERR_SESSION_EXPIRED || error == ERR_CLOSING) {
        /* Without its session this broker is not the controller either: the client looks for the new one. */
        finish(op, KAFKA_NOT_CONTROLLER, STR_NULL);
        return true;
    }
    return false;
}

/* An answer no rule foresees. */
static void fail(struct topic_op *op, const char *what, int error) {
    trace_error(AREA, "%s of topic %.*s failed: %s", what, STR_ARGS(op->topic), error_text(error));
    FINISH(op, KAFKA_UNKNOWN_SERVER_ERROR, "%s failed: %s", what, error_text(error));
}

/* Creating: is the name free? */

static void on_topic_exists(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        FINISH(op, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", STR_ARGS(op->topic));
    } else if (error != ERR_NOT_FOUND) {
        fail(op, "Creation", error);
    } else if (memchr(op->topic.data, '.', (size_t)op->topic.size) != NULL ||
               memchr(op->topic.data, '_', (size_t)op->topic.size) != NULL) {
        run(op, list_topics);
    } else if (op->validate_only) {
        finish(op, KAFKA_NONE, STR_NULL);
    } else {
        run(op, write_settings);
    }
}

static void find_topic(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_exists(op->admin->coord, znode_topic_path(path, op->topic), COORD_NO_WATCH, on_topic_exists, op);
}

static void on_deletion_exists(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        FINISH(op, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' is marked for deletion.", STR_ARGS(op->topic));
    } else if (error != ERR_NOT_FOUND) {
        fail(op, "Creation", error);
    } else {
        run(op, find_topic);
    }
}

static void find_free_name(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_exists(op->admin->coord, znode_delete_topic_path(path, op->topic), COORD_NO_WATCH, on_deletion_exists, op);
}

static void on_topics(void *context, int error, const char *const *names, int32_t count,
                      const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error != 0) {
        fail(op, "Creation", error);
        return;
    }
    struct str colliding = STR_NULL;
    for (int32_t i = 0; i < count; i++) {
        if (topic_admin_names_collide(op->topic, str_from(names[i]))) {
            colliding =
                arena_printf(&op->arena, "%.*s%s%s", STR_ARGS(colliding), colliding.size > 0 ? ", " : "", names[i]);
        }
    }
    if (!str_is_null(colliding)) {
        FINISH(op, KAFKA_INVALID_TOPIC_EXCEPTION, "Topic '%.*s' collides with existing topics: %.*s",
               STR_ARGS(op->topic), STR_ARGS(colliding));
    } else if (op->validate_only) {
        finish(op, KAFKA_NONE, STR_NULL);
    } else {
        run(op, write_settings);
    }
}

static void list_topics(struct topic_op *op) {
    coord_children(op->admin->coord, ZNODE_TOPICS, COORD_NO_WATCH, on_topics, op);
}

/* Creating: the settings first, then the topic. */

static void on_settings_created(void *context, int error, const char *path) {
    (void)path;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        run(op, write_topic);
    } else if (error == ERR_EXISTS) {
        run(op, overwrite_settings);
    } else {
        fail(op, "Creation", error);
    }
}

static void write_settings(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    struct coord_op create = {
        .type = COORD_OP_CREATE,
        .path = znode_config_path(path, "topics", op->topic),
        .data = znode_encode_config(&op->arena, &op->plan.config),
        .create_flags = COORD_PERSISTENT,
    };
    coord_create(op->admin->coord, &create, on_settings_created, op);
}

static void on_settings_set(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        run(op, write_topic);
    } else if (error == ERR_NOT_FOUND) {
        run(op, write_settings); /* gone meanwhile */
    } else {
        fail(op, "Creation", error);
    }
}

/* Left behind by a topic that never came into being. */
static void overwrite_settings(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_set(op->admin->coord, znode_config_path(path, "topics", op->topic),
              znode_encode_config(&op->arena, &op->plan.config), COORD_ANY_VERSION, on_settings_set, op);
}

static void on_topic_created(void *context, int error, const char *path) {
    (void)path;
    struct topic_op *op = context;
    bool may_be_applied = op->may_be_applied;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        trace_info(AREA, "Created topic %.*s with %d partitions", STR_ARGS(op->topic),
                   op->plan.assignment.partition_count);
        finish(op, KAFKA_NONE, STR_NULL);
    } else if (error == ERR_EXISTS && may_be_applied) {
        run(op, read_own_topic);
    } else if (error == ERR_EXISTS) {
        FINISH(op, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", STR_ARGS(op->topic));
    } else {
        fail(op, "Creation", error);
    }
}

static void write_topic(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    struct coord_op create = {
        .type = COORD_OP_CREATE,
        .path = znode_topic_path(path, op->topic),
        .data = op->data,
        .create_flags = COORD_PERSISTENT,
    };
    coord_create(op->admin->coord, &create, on_topic_created, op);
}

static void on_own_topic(void *context, int error, struct slice data, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    struct znode_topic found;
    if (error == 0 && znode_decode_topic(&op->arena, data, &found) == 0 && uuid_equal(found.topic_id, op->topic_id)) {
        finish(op, KAFKA_NONE, STR_NULL);
        return;
    }
    FINISH(op, KAFKA_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", STR_ARGS(op->topic));
}

static void read_own_topic(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_get(op->admin->coord, znode_topic_path(path, op->topic), COORD_NO_WATCH, on_own_topic, op);
}

/* As java.util.UUID draws them, without those Kafka reserves and those that look like an option on a command line. */
static struct uuid draw_topic_id(struct random *random) {
    for (;;) {
        struct uuid id;
        for (size_t i = 0; i < sizeof id.bytes; i += 8) {
            uint64_t drawn = random_u64(random);
            memcpy(id.bytes + i, &drawn, 8);
        }
        id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0fU) | 0x40U);
        id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3fU) | 0x80U);
        char text[UUID_TEXT_SIZE];
        uuid_format(id, text);
        if (text[0] != '-') {
            return id;
        }
    }
}

static void copy_plan(struct topic_op *op, const struct topic_plan *plan) {
    op->plan.topic = op->topic;
    op->plan.config.entry_count = plan->config.entry_count;
    op->plan.config.entries = ARENA_ARRAY(&op->arena, struct znode_config_entry, plan->config.entry_count);
    for (int32_t i = 0; i < plan->config.entry_count; i++) {
        op->plan.config.entries[i].name = arena_str(&op->arena, plan->config.entries[i].name);
        op->plan.config.entries[i].value = arena_str(&op->arena, plan->config.entries[i].value);
    }
    struct znode_topic assignment = plan->assignment;
    assignment.topic_id = op->topic_id;
    op->plan.assignment.partition_count = assignment.partition_count;
    op->data = znode_encode_topic(&op->arena, &assignment);
}

void topic_admin_write(struct topic_admin *admin, const struct topic_plan *plan, bool validate_only,
                       topic_admin_done *on_done, void *context) {
    struct topic_op *op = begin_op(admin, plan->topic, on_done, context);
    op->validate_only = validate_only;
    op->topic_id = validate_only ? (struct uuid){0} : draw_topic_id(&admin->random);
    copy_plan(op, plan);
    op->collision_key = arena_str(&op->arena, op->topic);
    for (int32_t i = 0; i < op->collision_key.size; i++) {
        char *c = (char *)op->collision_key.data + i; /* our own copy */
        *c = *c == '.' ? '_' : *c;
    }
    struct topic_op *first;
    HASH_FIND(hh, admin->creations, op->collision_key.data, (size_t)op->collision_key.size, first);
    bool is_first = first == NULL;
    DL_APPEND2(first, op, earlier, later);
    if (is_first) {
        take_name(op);
        run(op, find_free_name);
    }
}

/* Deleting. */

static void on_deletion_created(void *context, int error, const char *path) {
    (void)path;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0 || error == ERR_EXISTS) {
        finish(op, KAFKA_NONE, STR_NULL);
    } else {
        fail(op, "Deletion", error);
    }
}

static void write_deletion(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    struct coord_op create = {
        .type = COORD_OP_CREATE,
        .path = znode_delete_topic_path(path, op->topic),
        .data = SLICE_NULL,
        .create_flags = COORD_PERSISTENT,
    };
    coord_create(op->admin->coord, &create, on_deletion_created, op);
}

static void on_deleted_topic_exists(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        run(op, write_deletion);
    } else if (error == ERR_NOT_FOUND) {
        FINISH(op, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "Topic `%.*s` to delete does not exist", STR_ARGS(op->topic));
    } else {
        fail(op, "Deletion", error);
    }
}

static void find_deleted_topic(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_exists(op->admin->coord, znode_topic_path(path, op->topic), COORD_NO_WATCH, on_deleted_topic_exists, op);
}

void topic_admin_delete(struct topic_admin *admin, struct str topic, topic_admin_done *on_done, void *context) {
    run(begin_op(admin, topic, on_done, context), find_deleted_topic);
}

/* Growing. */

static void read_grown_topic(struct topic_op *op);

static void on_grown(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    bool may_be_applied = op->may_be_applied;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        finish(op, KAFKA_NONE, STR_NULL);
    } else if (error == ERR_BAD_VERSION && op->retry_count++ < RETRY_MAX) {
        op->may_have_grown = may_be_applied;
        run(op, read_grown_topic); /* our own write came through, or a reassignment was faster: decide again */
    } else if (error == ERR_NOT_FOUND) {
        FINISH(op, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.", STR_ARGS(op->topic));
    } else {
        fail(op, "Adding partitions", error);
    }
}

static void write_grown_topic(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_set(op->admin->coord, znode_topic_path(path, op->topic), op->data, op->version, on_grown, op);
}

static void on_topic_to_grow(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    struct znode_topic topic;
    if (error == ERR_NOT_FOUND) {
        FINISH(op, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.", STR_ARGS(op->topic));
        return;
    }
    if (error == 0) {
        error = znode_decode_topic(&op->arena, data, &topic);
    }
    if (error != 0) {
        fail(op, "Adding partitions", error);
        return;
    }
    if (op->may_have_grown && topic.partition_count == op->wanted->count) {
        finish(op, KAFKA_NONE, STR_NULL);
        return;
    }
    struct topic_verdict verdict = topic_admin_plan_growth(op->admin, op->topic, op->wanted, &op->arena, &topic);
    if (verdict.error_code != KAFKA_NONE || op->validate_only) {
        finish(op, verdict.error_code, verdict.message);
        return;
    }
    op->version = stat->version;
    op->data = znode_encode_topic(&op->arena, &topic);
    run(op, write_grown_topic);
}

static void read_grown_topic(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_get(op->admin->coord, znode_topic_path(path, op->topic), COORD_NO_WATCH, on_topic_to_grow, op);
}

static void on_grown_deletion_exists(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct topic_op *op = context;
    if (is_lost(op, error)) {
        return;
    }
    if (error == 0) {
        FINISH(op, KAFKA_INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.");
    } else if (error != ERR_NOT_FOUND) {
        fail(op, "Adding partitions", error);
    } else {
        run(op, read_grown_topic);
    }
}

static void find_grown_deletion(struct topic_op *op) {
    char path[ZNODE_PATH_SIZE];
    coord_exists(op->admin->coord, znode_delete_topic_path(path, op->topic), COORD_NO_WATCH, on_grown_deletion_exists,
                 op);
}

void topic_admin_grow(struct topic_admin *admin, const struct create_partitions_request_create_partitions_topic *wanted,
                      bool validate_only, topic_admin_done *on_done, void *context) {
    struct topic_op *op = begin_op(admin, wanted->name, on_done, context);
    op->validate_only = validate_only;
    op->wanted = wanted;
    run(op, find_grown_deletion);
}

/* Waiting for the image. */

void topic_admin_wait(struct topic_admin *admin, struct waiting_room *room, struct topic_wait *wait,
                      int64_t timeout_ms) {
    wait->next = admin->waits;
    wait->previous = NULL;
    if (admin->waits != NULL) {
        admin->waits->previous = wait;
    }
    admin->waits = wait;
    waiting_room_enter(room, &wait->wait, timeout_ms);
}

void topic_admin_leave(struct topic_admin *admin, struct topic_wait *wait) {
    if (wait->previous != NULL) {
        wait->previous->next = wait->next;
    } else {
        admin->waits = wait->next;
    }
    if (wait->next != NULL) {
        wait->next->previous = wait->previous;
    }
}

void topic_admin_on_image_changed(void *context) {
    struct topic_admin *admin = context;
    for (struct topic_wait *wait = admin->waits; wait != NULL; wait = wait->next) {
        wait_mark(&wait->wait);
    }
}
