/* Writing dynamic settings: read, decide, write fenced by /controller, notify. Every step may be done twice. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/dynamic_config_internal.h"
#include "coordinator-client/znode_path.h"

/* A coordinator or controller that stays away longer than this (6 s) fails the change; the client may come again. */
#define RETRY_MAX 30

struct dynamic_change {
    struct dynamic_change *prev;
    struct dynamic_change *next;
    struct dynamic_config *dynamic;
    void (*step)(struct dynamic_change *change);
    struct timer retry;
    int32_t retry_count;
    struct arena arena;
    char *entity; /* "topics/foo" */
    char path[ZNODE_PATH_SIZE];
    struct slice data;    /* to be written */
    int32_t node_version; /* -1: the node is not there */
    int32_t controller_version;
    dynamic_config_decide *decide;
    dynamic_config_written *on_done;
    void *context;
};

static void read_values(struct dynamic_change *change);
static void read_controller(struct dynamic_change *change);
static void write_values(struct dynamic_change *change);
static void notify(struct dynamic_change *change);

static void free_change(struct dynamic_change *change) {
    timer_stop(change->dynamic->clock, &change->retry);
    DL_DELETE(change->dynamic->changes, change);
    arena_deinit(&change->arena);
    free(change->entity);
    free(change);
}

void dynamic_config_drop_changes(struct dynamic_config *dynamic) {
    struct dynamic_change *change;
    struct dynamic_change *next;
    DL_FOREACH_SAFE(dynamic->changes, change, next) {
        free_change(change);
    }
}

static void finish(struct dynamic_change *change, int error) {
    change->on_done(change->context, error);
    free_change(change);
}

static void on_retry(struct timer *timer) {
    struct dynamic_change *change = CONTAINER_OF(timer, struct dynamic_change, retry);
    change->step(change);
}

/* Goes to `step` a moment later, or gives up. */
static void again(struct dynamic_change *change, void (*step)(struct dynamic_change *change), int error) {
    if (change->retry_count++ >= RETRY_MAX) {
        finish(change, error);
        return;
    }
    change->step = step;
    timer_start(change->dynamic->clock, &change->retry, DYNAMIC_RETRY_AFTER_MS, on_retry);
}

static void on_notified(void *context, int error, const char *path) {
    (void)path;
    struct dynamic_change *change = context;
    if (error == ERR_CONNECTION_LOSS) {
        again(change, notify, error); /* a second notification does no harm, a missing one would */
        return;
    }
    finish(change, error);
}

static void notify(struct dynamic_change *change) {
    char path[ZNODE_PATH_SIZE];
    struct coord_op create = {
        .type = COORD_OP_CREATE,
        .path = znode_sequential_path(path, ZNODE_CONFIG_CHANGES, ZNODE_CONFIG_CHANGE_PREFIX),
        .data = znode_encode_config_change(&change->arena, str_from(change->entity)),
        .create_flags = COORD_PERSISTENT | COORD_SEQUENTIAL,
    };
    coord_create(change->dynamic->coord, &create, on_notified, change);
}

static void on_set(void *context, int error, const struct coord_op_result *results, int32_t count) {
    struct dynamic_change *change = context;
    if (error == 0) {
        notify(change);
    } else if (results == NULL && error == ERR_CONNECTION_LOSS) {
        again(change, read_values, error);
    } else if (results == NULL) {
        finish(change, error);
    } else {
        /* The controller or the node changed under us: look again, and decide again on what is there now. */
        CHECK(count == 2);
        again(change, results[0].error != 0 && results[0].error != ERR_ROLLED_BACK ? read_controller : read_values,
              error);
    }
}

static void on_created(void *context, int error, const char *path) {
    (void)path;
    struct dynamic_change *change = context;
    if (error == 0) {
        notify(change);
    } else if (error == ERR_EXISTS || error == ERR_CONNECTION_LOSS) {
        again(change, read_values, error);
    } else {
        finish(change, error);
    }
}

static void write_values(struct dynamic_change *change) {
    if (change->node_version < 0) {
        struct coord_op create = {
            .type = COORD_OP_CREATE, .path = change->path, .data = change->data, .create_flags = COORD_PERSISTENT};
        coord_create(change->dynamic->coord, &create, on_created, change);
        return;
    }
    struct coord_op ops[] = {
        {.type = COORD_OP_CHECK, .path = ZNODE_CONTROLLER, .version = change->controller_version},
        {.type = COORD_OP_SET, .path = change->path, .data = change->data, .version = change->node_version},
    };
    coord_multi(change->dynamic->coord, ops, 2, on_set, change);
}

static void on_controller(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct dynamic_change *change = context;
    struct znode_controller controller;
    if (error == ERR_CONNECTION_LOSS || error == ERR_NOT_FOUND) {
        again(change, read_controller, error); /* an election is under way */
    } else if (error != 0) {
        finish(change, error);
    } else if (znode_decode_controller(data, &controller) == 0 && controller.kraft_controller_epoch > 0) {
        finish(change, ERR_DENIED); /* KRaft has taken the cluster over: what lies here is a copy of its own */
    } else {
        change->controller_version = stat->version;
        write_values(change);
    }
}

static void read_controller(struct dynamic_change *change) {
    coord_get(change->dynamic->coord, ZNODE_CONTROLLER, COORD_NO_WATCH, on_controller, change);
}

static struct slice encode(struct arena *arena, const struct properties *values) {
    struct znode_config config = {.entries = ARENA_ARRAY(arena, struct znode_config_entry, values->count),
                                  .entry_count = values->count};
    for (int32_t i = 0; i < values->count; i++) {
        config.entries[i] = (struct znode_config_entry){str_from(values->list[i].key), str_from(values->list[i].value)};
    }
    return znode_encode_config(arena, &config);
}

static void on_values(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct dynamic_change *change = context;
    if (error == ERR_CONNECTION_LOSS) {
        again(change, read_values, error);
        return;
    }
    struct znode_config config = {0};
    if (error == 0) {
        error = znode_decode_config(&change->arena, data, &config);
        change->node_version = stat->version;
    } else if (error == ERR_NOT_FOUND) {
        change->node_version = -1;
        error = 0;
    }
    if (error != 0) {
        finish(change, error);
        return;
    }
    struct properties values;
    properties_init(&values);
    dynamic_config_take_entries(&config, &values);
    bool is_wanted = change->decide(change->context, &values);
    if (is_wanted) {
        change->data = encode(&change->arena, &values);
    }
    properties_deinit(&values);
    if (is_wanted) {
        read_controller(change);
    } else {
        finish(change, ERR_INVALID);
    }
}

static void read_values(struct dynamic_change *change) {
    coord_get(change->dynamic->coord, change->path, COORD_NO_WATCH, on_values, change);
}

void dynamic_config_change(struct dynamic_config *dynamic, const char *type, struct str entity,
                           dynamic_config_decide *decide, dynamic_config_written *on_done, void *context) {
    struct dynamic_change *change = xcalloc(1, sizeof *change);
    change->dynamic = dynamic;
    change->entity = xasprintf("%s/%.*s", type, STR_ARGS(entity));
    change->decide = decide;
    change->on_done = on_done;
    change->context = context;
    arena_init(&change->arena, SIZE_MAX);
    znode_config_path(change->path, type, entity);
    DL_APPEND(dynamic->changes, change);
    read_values(change);
}
