/* See config_store.h. */
#include "coordinator-client/config_store.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "coordinator-client/znode_path.h"

#define CHANGE_LIFETIME_MS ((int64_t)15 * 60 * 1000) /* as Kafka's ZkNodeChangeNotificationListener */
#define PURGE_EVERY_MS 60000                         /* old nodes are looked at no more often */
#define WRITE_ATTEMPTS_MAX 10                        /* against a /controller that keeps changing */

/* ---- reading ---- */

struct config_read {
    struct coord *coord;
    char path[ZNODE_PATH_SIZE];
    config_store_read_callback *on_read;
    config_store_list_callback *on_list;
    void *context;
};

static void on_config_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct config_read *read = context;
    struct znode_config config = {0};
    struct arena arena;
    (void)stat;
    if (error == ERR_CONNECTION_LOSS) {
        coord_get(read->coord, read->path, COORD_NO_WATCH, on_config_read, read);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (error == 0) {
        error = znode_decode_config(&arena, data, &config);
    } else if (error == ERR_NOT_FOUND) {
        error = 0;
    }
    read->on_read(read->context, error, error == 0 ? &config : NULL);
    arena_deinit(&arena);
    free(read);
}

void config_store_read(struct coord *coord, const char *entity_path, config_store_read_callback *on_done,
                       void *context) {
    struct config_read *read = xcalloc(1, sizeof *read);
    read->coord = coord;
    read->on_read = on_done;
    read->context = context;
    znode_config_entity_path(read->path, str_from(entity_path));
    coord_get(coord, read->path, COORD_NO_WATCH, on_config_read, read);
}

static void on_config_listed(void *context, int error, const char *const *names, int32_t count,
                             const struct coord_stat *stat) {
    struct config_read *read = context;
    (void)stat;
    if (error == ERR_CONNECTION_LOSS) {
        coord_children(read->coord, read->path, COORD_NO_WATCH, on_config_listed, read);
        return;
    }
    read->on_list(read->context, error, names, error == 0 ? count : 0);
    free(read);
}

void config_store_list(struct coord *coord, const char *type, config_store_list_callback *on_done, void *context) {
    struct config_read *read = xcalloc(1, sizeof *read);
    read->coord = coord;
    read->on_list = on_done;
    read->context = context;
    znode_config_entity_path(read->path, str_from(type));
    coord_children(coord, read->path, COORD_NO_WATCH, on_config_listed, read);
}

/* ---- writing ---- */

struct config_write {
    struct coord *coord;
    char path[ZNODE_PATH_SIZE];
    char entity_path[ZNODE_PATH_SIZE];
    struct arena arena;
    struct slice data;
    size_t created_size; /* of path: which parents exist */
    int attempts_left;
    config_store_write_callback *on_done;
    void *context;
};

static void write_begin(struct config_write *write);
static void write_create(struct config_write *write);
static void write_notify(struct config_write *write);

static void write_done(struct config_write *write, int error) {
    write->on_done(write->context, error);
    arena_deinit(&write->arena);
    free(write);
}

static void on_notified(void *context, int error, const char *path) {
    struct config_write *write = context;
    (void)path;
    if (error == ERR_CONNECTION_LOSS) { /* a second notification does no harm, a lost one does */
        write_notify(write);
    } else {
        write_done(write, error);
    }
}

static void write_notify(struct config_write *write) {
    struct coord_op op = {.type = COORD_OP_CREATE,
                          .path = ZNODE_CONFIG_CHANGES "/" ZNODE_CONFIG_CHANGE_PREFIX,
                          .data = znode_encode_config_change(&write->arena, str_from(write->entity_path)),
                          .create_flags = COORD_SEQUENTIAL};
    coord_create(write->coord, &op, on_notified, write);
}

static void on_entity_created(void *context, int error, const char *path) {
    struct config_write *write = context;
    (void)path;
    bool is_whole = write->path[write->created_size] == '\0';
    if (error == 0 && is_whole) {
        write_notify(write);
    } else if (error == 0 || (error == ERR_EXISTS && !is_whole)) {
        write_create(write);
    } else if (error == ERR_EXISTS || error == ERR_CONNECTION_LOSS) {
        write_begin(write); /* somebody made it, perhaps we: set it */
    } else {
        write_done(write, error);
    }
}

/* The node is not there yet: makes what lacks of its path, one part a call. */
static void write_create(struct config_write *write) {
    size_t size = write->created_size + 1 + strcspn(write->path + write->created_size + 1, "/");
    bool is_whole = write->path[size] == '\0';
    char *part = xstrndup(write->path, size);
    struct coord_op op = {.type = COORD_OP_CREATE,
                          .path = part,
                          .data = is_whole ? write->data : SLICE_NULL,
                          .sensitive = znode_is_sensitive(part)};
    write->created_size = size;
    coord_create(write->coord, &op, on_entity_created, write);
    free(part);
}

static void on_entity_set(void *context, int error, const struct coord_op_result *results, int32_t count) {
    struct config_write *write = context;
    bool is_node_missing = error == ERR_NOT_FOUND && results != NULL && count == 2 && results[1].error == ERR_NOT_FOUND;
    if (error == 0) {
        write_notify(write);
    } else if (is_node_missing) {
        write->created_size = 0;
        write_create(write);
    } else if (error == ERR_CONNECTION_LOSS || error == ERR_BAD_VERSION || error == ERR_NOT_FOUND) {
        write_begin(write); /* the controller changed meanwhile, or the answer got lost */
    } else {
        write_done(write, error);
    }
}

static void on_controller_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct config_write *write = context;
    struct znode_controller controller;
    if (error == ERR_CONNECTION_LOSS) {
        write_begin(write);
        return;
    }
    if (error == 0) {
        error = znode_decode_controller(data, &controller);
    }
    if (error == 0 && controller.kraft_controller_epoch > 0) {
        error = ERR_DENIED;
    }
    if (error != 0) {
        write_done(write, error);
        return;
    }
    const struct coord_op ops[] = {
        {.type = COORD_OP_CHECK, .path = ZNODE_CONTROLLER, .version = stat->version},
        {.type = COORD_OP_SET, .path = write->path, .data = write->data, .version = COORD_ANY_VERSION},
    };
    coord_multi(write->coord, ops, 2, on_entity_set, write);
}

static void write_begin(struct config_write *write) {
    if (write->attempts_left-- == 0) {
        write_done(write, ERR_BAD_VERSION);
        return;
    }
    coord_get(write->coord, ZNODE_CONTROLLER, COORD_NO_WATCH, on_controller_read, write);
}

void config_store_write(struct coord *coord, const char *entity_path, const struct znode_config *config,
                        config_store_write_callback *on_done, void *context) {
    struct config_write *write = xcalloc(1, sizeof *write);
    write->coord = coord;
    write->on_done = on_done;
    write->context = context;
    write->attempts_left = WRITE_ATTEMPTS_MAX;
    znode_config_entity_path(write->path, str_from(entity_path));
    CHECK(strlen(entity_path) < sizeof write->entity_path);
    memcpy(write->entity_path, entity_path, strlen(entity_path) + 1);
    arena_init(&write->arena, SIZE_MAX);
    write->data = znode_encode_config(&write->arena, config);
    write_begin(write);
}

/* ---- following changes ---- */

struct config_changes {
    struct clock *clock;
    struct coord *coord;
    int64_t last_number; /* highest reported, -1 none */
    int64_t purged_ms;   /* monotonic; when old nodes were last looked at */
    config_changed_callback *on_change;
    void *context;
};

struct change_read {
    struct config_changes *changes;
    int64_t number;
    bool is_new;
    char path[ZNODE_PATH_SIZE];
};

static void ignore_removal(void *context, int error, const struct coord_stat *stat) {
    (void)context, (void)stat;
    if (error != 0 && error != ERR_NOT_FOUND) {
        trace_debug("ConfigChanges", "An old notification was not removed: %s", error_text(error));
    }
}

static void on_change_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct change_read *read = context;
    struct config_changes *changes = read->changes;
    struct arena arena;
    struct str entity_path;
    if (error == ERR_CONNECTION_LOSS) {
        coord_get(changes->coord, read->path, COORD_NO_WATCH, on_change_read, read);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (error == 0 && read->is_new) {
        if (znode_decode_config_change(&arena, data, &entity_path) == 0) {
            changes->on_change(changes->context, entity_path.data);
        } else {
            trace_error("ConfigChanges", "Notification %s cannot be understood and is skipped", read->path);
        }
    }
    if (error == 0 && clock_wall_ms(changes->clock) - stat->ctime_ms > CHANGE_LIFETIME_MS) {
        coord_remove(changes->coord, read->path, COORD_ANY_VERSION, ignore_removal, NULL);
    }
    arena_deinit(&arena);
    free(read);
}

static int compare_numbers(const void *a, const void *b) {
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    int64_t x = znode_sequence(left, ZNODE_CONFIG_CHANGE_PREFIX), y = znode_sequence(right, ZNODE_CONFIG_CHANGE_PREFIX);
    return (x > y) - (x < y);
}

static void read_change(struct config_changes *changes, const char *name, int64_t number, bool is_new) {
    struct change_read *read = xcalloc(1, sizeof *read);
    read->changes = changes;
    read->number = number;
    read->is_new = is_new;
    znode_child_path(read->path, ZNODE_CONFIG_CHANGES, name);
    coord_get(changes->coord, read->path, COORD_NO_WATCH, on_change_read, read);
}

static void on_changes_event(void *context, enum coord_watch_type type, const char *path) {
    (void)type, (void)path;
    config_changes_start(context);
}

static void on_changes_listed(void *context, int error, const char *const *names, int32_t count,
                              const struct coord_stat *stat) {
    struct config_changes *changes = context;
    (void)stat;
    if (error == ERR_CONNECTION_LOSS) {
        config_changes_start(changes);
        return;
    }
    if (error != 0) {
        if (error != ERR_SESSION_EXPIRED && error != ERR_CLOSING) {
            trace_error("ConfigChanges", "Cannot list %s: %s", ZNODE_CONFIG_CHANGES, error_text(error));
        }
        return;
    }
    int64_t now_ms = clock_now_ms(changes->clock);
    bool is_purging = changes->purged_ms < 0 || now_ms - changes->purged_ms >= PURGE_EVERY_MS;
    const char **sorted = xcalloc((size_t)count + 1, sizeof *sorted);
    for (int32_t i = 0; i < count; i++) {
        sorted[i] = names[i];
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_numbers);
    for (int32_t i = 0; i < count; i++) {
        int64_t number = znode_sequence(sorted[i], ZNODE_CONFIG_CHANGE_PREFIX);
        bool is_new = number > changes->last_number;
        if (number >= 0 && (is_new || is_purging)) {
            read_change(changes, sorted[i], number, is_new);
            changes->last_number = MAX(changes->last_number, number);
        }
    }
    free(sorted);
    changes->purged_ms = is_purging ? now_ms : changes->purged_ms;
}

void config_changes_start(struct config_changes *changes) {
    coord_children(changes->coord, ZNODE_CONFIG_CHANGES, (struct coord_watch){on_changes_event, changes},
                   on_changes_listed, changes);
}

struct config_changes *config_changes_create(struct clock *clock, struct coord *coord,
                                             config_changed_callback *on_change, void *context) {
    struct config_changes *changes = xcalloc(1, sizeof *changes);
    *changes = (struct config_changes){clock, coord, -1, -1, on_change, context};
    return changes;
}

void config_changes_destroy(struct config_changes *changes) {
    free(changes);
}
