/* A tree of nodes in a list, a queue of tasks and a list of timers: small on purpose, fast enough for unit tests. */
#include "tests/lib/memory_coord.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

struct node {
    struct node *next;
    char *path;
    char *data;
    int32_t data_size; /* -1 null */
    struct coord_stat stat;
    int32_t sequence; /* of the next sequential child */
};

struct watch {
    struct watch *next;
    struct coord_watch call;
    char *path;
    bool is_children;
};

struct task {
    struct task *next;
    task_callback *run;
    void *context;
};

enum call_type { CALL_GET, CALL_EXISTS, CALL_CHILDREN, CALL_CREATE, CALL_SET, CALL_REMOVE, CALL_MULTI };

struct call {
    struct memory_world *world;
    enum call_type type;
    char *path;
    struct coord_watch watch;
    struct coord_op *ops;
    int32_t op_count;
    void *on_done;
    void *context;
};

struct timer_slot {
    struct timer_slot *next;
    struct timer *timer;
};

struct memory_world {
    struct clock clock;
    struct coord coord;
    struct node *nodes;
    struct watch *watches;
    struct task *tasks;
    struct timer_slot *timers;
    int64_t now_ms;
    int64_t zxid;
    int64_t session_id;
    int32_t lost;
    bool lost_is_applied;
    int32_t calls;
};

#define WORLD_OF_CLOCK(pointer) CONTAINER_OF(pointer, struct memory_world, clock)
#define WORLD_OF_COORD(pointer) CONTAINER_OF(pointer, struct memory_world, coord)

/* The clock. */

static int64_t world_now(struct clock *clock) {
    return WORLD_OF_CLOCK(clock)->now_ms;
}

static int64_t world_wall(struct clock *clock) {
    return 1700000000000 + WORLD_OF_CLOCK(clock)->now_ms;
}

static void world_start(struct clock *clock, struct timer *timer) {
    struct memory_world *world = WORLD_OF_CLOCK(clock);
    struct timer_slot *slot = xcalloc(1, sizeof *slot);
    slot->timer = timer;
    timer->slot = slot;
    LL_APPEND(world->timers, slot);
}

static void world_stop(struct clock *clock, struct timer *timer) {
    struct memory_world *world = WORLD_OF_CLOCK(clock);
    struct timer_slot *slot = timer->slot;
    LL_DELETE(world->timers, slot);
    timer->slot = NULL;
    free(slot);
}

static void world_post(struct clock *clock, task_callback *run, void *context) {
    struct memory_world *world = WORLD_OF_CLOCK(clock);
    struct task *task = xcalloc(1, sizeof *task);
    task->run = run;
    task->context = context;
    LL_APPEND(world->tasks, task);
}

static void world_spawn(struct clock *clock, task_callback *work, task_callback *done, void *context) {
    world_post(clock, work, context);
    world_post(clock, done, context);
}

static const struct clock_ops clock_ops = {world_now, world_wall, world_start, world_stop, world_post, world_spawn};

static struct timer_slot *next_due(struct memory_world *world, int64_t until_ms) {
    struct timer_slot *found = NULL;
    struct timer_slot *slot;
    LL_FOREACH(world->timers, slot) {
        if (slot->timer->deadline_ms <= until_ms &&
            (found == NULL || slot->timer->deadline_ms < found->timer->deadline_ms)) {
            found = slot;
        }
    }
    return found;
}

void memory_run_for(struct memory_world *world, int64_t ms) {
    int64_t until_ms = world->now_ms + ms;
    for (;;) {
        struct task *task = world->tasks;
        if (task != NULL) {
            LL_DELETE(world->tasks, task);
            task->run(task->context);
            free(task);
            continue;
        }
        struct timer_slot *slot = next_due(world, until_ms);
        if (slot == NULL) {
            break;
        }
        struct timer *timer = slot->timer;
        world->now_ms = timer->deadline_ms > world->now_ms ? timer->deadline_ms : world->now_ms;
        world_stop(&world->clock, timer);
        timer->on_fire(timer);
    }
    world->now_ms = until_ms;
}

void memory_run(struct memory_world *world) {
    memory_run_for(world, 0);
}

/* The tree. */

static struct node *find(struct memory_world *world, const char *path) {
    struct node *node;
    LL_FOREACH(world->nodes, node) {
        if (strcmp(node->path, path) == 0) {
            return node;
        }
    }
    return NULL;
}

static char *parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static bool is_child(const char *parent, const char *path) {
    char *own = parent_of(path);
    bool found = strcmp(path, "/") != 0 && strcmp(own, parent) == 0;
    free(own);
    return found;
}

static void fire(struct memory_world *world, const char *path, bool is_children, enum coord_watch_type type) {
    struct watch *watch;
    struct watch *next;
    struct watch *fired = NULL;
    LL_FOREACH_SAFE(world->watches, watch, next) {
        if (watch->is_children == is_children && strcmp(watch->path, path) == 0) {
            LL_DELETE(world->watches, watch);
            LL_APPEND(fired, watch);
        }
    }
    LL_FOREACH_SAFE(fired, watch, next) {
        watch->call.on_event(watch->call.context, type, watch->path);
        free(watch->path);
        free(watch);
    }
}

static void set_data(struct memory_world *world, struct node *node, struct slice data) {
    free(node->data);
    node->data = data.size > 0 ? xstrndup((const char *)data.data, (size_t)data.size) : NULL;
    node->data_size = data.size;
    node->stat.mzxid = ++world->zxid;
}

static struct node *add_node(struct memory_world *world, const char *path, struct slice data) {
    struct node *node = xcalloc(1, sizeof *node);
    node->path = xstrdup(path);
    LL_APPEND(world->nodes, node);
    set_data(world, node, data);
    node->stat.czxid = node->stat.mzxid;
    node->stat.ctime_ms = world_wall(&world->clock);
    return node;
}

static void fire_created(struct memory_world *world, const char *path) {
    char *parent = parent_of(path);
    fire(world, path, false, COORD_WATCH_CREATED);
    fire(world, parent, true, COORD_WATCH_CHILDREN);
    free(parent);
}

static void remove_node(struct memory_world *world, struct node *node) {
    LL_DELETE(world->nodes, node);
    char *parent = parent_of(node->path);
    fire(world, node->path, false, COORD_WATCH_DELETED);
    fire(world, parent, true, COORD_WATCH_CHILDREN);
    free(parent);
    free(node->path);
    free(node->data);
    free(node);
}

void memory_put(struct memory_world *world, const char *path, const char *data) {
    struct slice bytes = data == NULL ? SLICE_NULL : (struct slice){(const uint8_t *)data, (int32_t)strlen(data)};
    struct node *node = find(world, path);
    if (node != NULL) {
        set_data(world, node, bytes);
        node->stat.version++;
        fire(world, path, false, COORD_WATCH_CHANGED);
        return;
    }
    char *parent = parent_of(path);
    if (find(world, parent) == NULL) {
        memory_put(world, parent, NULL);
    }
    free(parent);
    add_node(world, path, bytes);
    fire_created(world, path);
}

void memory_remove(struct memory_world *world, const char *path) {
    struct node *node = find(world, path);
    if (node != NULL) {
        remove_node(world, node);
    }
}

const char *memory_data(struct memory_world *world, const char *path) {
    struct node *node = find(world, path);
    return node == NULL ? NULL : node->data == NULL ? "" : node->data;
}

int32_t memory_child_count(struct memory_world *world, const char *path) {
    int32_t count = 0;
    struct node *node;
    LL_FOREACH(world->nodes, node) {
        count += is_child(path, node->path) ? 1 : 0;
    }
    return count;
}

/* Calls. */

/* Whether the node is there, and its version, once the first `count` ops have been applied. */
static bool is_there_after(struct memory_world *world, const struct coord_op *ops, int32_t count, const char *path,
                           int32_t *ret_version) {
    const struct node *node = find(world, path);
    bool is_there = node != NULL;
    *ret_version = is_there ? node->stat.version : 0;
    for (int32_t i = 0; i < count; i++) {
        if (strcmp(ops[i].path, path) == 0) {
            is_there = ops[i].type == COORD_OP_CREATE || (is_there && ops[i].type != COORD_OP_DELETE);
            *ret_version = ops[i].type == COORD_OP_CREATE ? 0 : *ret_version + (ops[i].type == COORD_OP_SET);
        }
    }
    return is_there;
}

static bool has_children_after(struct memory_world *world, const struct coord_op *ops, int32_t count,
                               const char *path) {
    int32_t version;
    struct node *node;
    LL_FOREACH(world->nodes, node) {
        if (is_child(path, node->path) && is_there_after(world, ops, count, node->path, &version)) {
            return true;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (is_child(path, ops[i].path) && is_there_after(world, ops, count, ops[i].path, &version)) {
            return true;
        }
    }
    return false;
}

/* The op at `at`, after those before it. */
static int check_op(struct memory_world *world, const struct coord_op *ops, int32_t at) {
    const struct coord_op *op = &ops[at];
    int32_t version;
    bool is_there = is_there_after(world, ops, at, op->path, &version);
    if (op->type == COORD_OP_CREATE) {
        int32_t parent_version;
        char *parent = parent_of(op->path);
        bool has_parent = is_there_after(world, ops, at, parent, &parent_version);
        free(parent);
        return !has_parent ? ERR_NOT_FOUND : is_there && (op->create_flags & COORD_SEQUENTIAL) == 0 ? ERR_EXISTS : 0;
    }
    if (!is_there) {
        return ERR_NOT_FOUND;
    }
    if (op->version != COORD_ANY_VERSION && op->version != version) {
        return ERR_BAD_VERSION;
    }
    return op->type == COORD_OP_DELETE && has_children_after(world, ops, at, op->path) ? ERR_NOT_EMPTY : 0;
}

static void apply_op(struct memory_world *world, const struct coord_op *op) {
    struct node *node = find(world, op->path);
    if (op->type == COORD_OP_SET) {
        set_data(world, node, op->data);
        node->stat.version++;
        fire(world, op->path, false, COORD_WATCH_CHANGED);
    } else if (op->type == COORD_OP_DELETE) {
        remove_node(world, node);
    } else if (op->type == COORD_OP_CREATE) {
        char *path = xstrdup(op->path);
        if ((op->create_flags & COORD_SEQUENTIAL) != 0) {
            char *parent = parent_of(op->path);
            free(path);
            path = xasprintf("%s%010d", op->path, find(world, parent)->sequence++);
            free(parent);
        }
        struct node *made = add_node(world, path, op->data);
        made->stat.ephemeral_owner = (op->create_flags & COORD_EPHEMERAL) != 0 ? world->session_id : 0;
        fire_created(world, path);
        free(path);
    }
}

static int run_ops(struct memory_world *world, const struct coord_op *ops, int32_t count,
                   struct coord_op_result *results) {
    int error = 0;
    for (int32_t i = 0; i < count; i++) {
        results[i] = (struct coord_op_result){.error = error != 0 ? ERR_ROLLED_BACK : check_op(world, ops, i)};
        error = error != 0 ? error : results[i].error;
    }
    for (int32_t i = 0; i < count; i++) {
        if (error == 0) {
            apply_op(world, &ops[i]);
            const struct node *node = ops[i].type == COORD_OP_SET ? find(world, ops[i].path) : NULL;
            results[i].stat = node == NULL ? results[i].stat : node->stat;
        } else if (results[i].error == 0) {
            results[i].error = ERR_ROLLED_BACK;
        }
    }
    return error;
}

static void add_watch(struct call *call, bool is_children) {
    if (call->watch.on_event != NULL) {
        struct watch *watch = xcalloc(1, sizeof *watch);
        watch->call = call->watch;
        watch->path = xstrdup(call->path);
        watch->is_children = is_children;
        LL_APPEND(call->world->watches, watch);
    }
}

static void answer_children(struct call *call, int error) {
    struct memory_world *world = call->world;
    const char **names = xcalloc((size_t)memory_child_count(world, call->path) + 1, sizeof *names);
    int32_t count = 0;
    struct node *node;
    LL_FOREACH(world->nodes, node) {
        if (is_child(call->path, node->path)) {
            names[count++] = strrchr(node->path, '/') + 1;
        }
    }
    struct coord_stat stat = {0};
    ((coord_children_callback *)call->on_done)(call->context, error, names, error == 0 ? count : 0, &stat);
    free(names);
}

static void answer_read(struct call *call, int error) {
    struct node *node = find(call->world, call->path);
    error = error == 0 && node == NULL ? ERR_NOT_FOUND : error;
    if (error != ERR_CONNECTION_LOSS && (error == 0 || call->type != CALL_CHILDREN)) {
        add_watch(call, call->type == CALL_CHILDREN);
    }
    struct coord_stat stat = {0};
    struct slice data = SLICE_NULL;
    if (error == 0) {
        stat = node->stat;
        data = (struct slice){(const uint8_t *)node->data, node->data_size};
    }
    if (call->type == CALL_GET) {
        ((coord_get_callback *)call->on_done)(call->context, error, data, &stat);
    } else if (call->type == CALL_EXISTS) {
        ((coord_stat_callback *)call->on_done)(call->context, error, &stat);
    } else {
        answer_children(call, error);
    }
}

static void answer_write(struct call *call, int error, const struct coord_op_result *results) {
    struct coord_stat stat = {0};
    struct node *node = error == 0 ? find(call->world, call->ops[0].path) : NULL;
    if (node != NULL) {
        stat = node->stat;
    }
    if (call->type == CALL_CREATE) {
        ((coord_path_callback *)call->on_done)(call->context, error, call->ops[0].path);
    } else if (call->type == CALL_MULTI) {
        ((coord_multi_callback *)call->on_done)(call->context, error, error == ERR_CONNECTION_LOSS ? NULL : results,
                                                call->op_count);
    } else {
        ((coord_stat_callback *)call->on_done)(call->context, error, &stat);
    }
}

static void run_call(void *context) {
    struct call *call = context;
    struct memory_world *world = call->world;
    bool is_lost = world->lost > 0;
    world->lost -= is_lost ? 1 : 0;
    world->calls++;
    if (call->ops == NULL) {
        answer_read(call, is_lost ? ERR_CONNECTION_LOSS : 0);
    } else {
        struct coord_op_result *results = xcalloc((size_t)call->op_count, sizeof *results);
        int error = is_lost && !world->lost_is_applied ? 0 : run_ops(world, call->ops, call->op_count, results);
        answer_write(call, is_lost ? ERR_CONNECTION_LOSS : error, results);
        free(results);
    }
    for (int32_t i = 0; i < call->op_count; i++) {
        free((char *)call->ops[i].path);
        free((uint8_t *)call->ops[i].data.data);
    }
    free(call->ops);
    free(call->path);
    free(call);
}

static struct call *begin(struct coord *coord, enum call_type type, void *on_done, void *context) {
    struct call *call = xcalloc(1, sizeof *call);
    call->world = WORLD_OF_COORD(coord);
    call->type = type;
    call->on_done = on_done;
    call->context = context;
    world_post(&call->world->clock, run_call, call);
    return call;
}

static void begin_write(struct coord *coord, enum call_type type, const struct coord_op *ops, int32_t count,
                        void *on_done, void *context) {
    struct call *call = begin(coord, type, on_done, context);
    call->ops = xcalloc((size_t)count, sizeof *call->ops);
    call->op_count = count;
    for (int32_t i = 0; i < count; i++) {
        call->ops[i] = ops[i];
        call->ops[i].path = xstrdup(ops[i].path);
        if (ops[i].data.data != NULL) {
            call->ops[i].data.data =
                (const uint8_t *)xstrndup((const char *)ops[i].data.data, (size_t)MAX(ops[i].data.size, 0));
        }
    }
}

static void begin_read(struct coord *coord, enum call_type type, const char *path, struct coord_watch watch,
                       void *on_done, void *context) {
    struct call *call = begin(coord, type, on_done, context);
    call->path = xstrdup(path);
    call->watch = watch;
}

static void world_get(struct coord *coord, const char *path, struct coord_watch watch, coord_get_callback *on_done,
                      void *context) {
    begin_read(coord, CALL_GET, path, watch, (void *)on_done, context);
}

static void world_exists(struct coord *coord, const char *path, struct coord_watch watch, coord_stat_callback *on_done,
                         void *context) {
    begin_read(coord, CALL_EXISTS, path, watch, (void *)on_done, context);
}

static void world_children(struct coord *coord, const char *path, struct coord_watch watch,
                           coord_children_callback *on_done, void *context) {
    begin_read(coord, CALL_CHILDREN, path, watch, (void *)on_done, context);
}

static void world_create(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done, void *context) {
    begin_write(coord, CALL_CREATE, op, 1, (void *)on_done, context);
}

static void world_set(struct coord *coord, const char *path, struct slice data, int32_t version,
                      coord_stat_callback *on_done, void *context) {
    struct coord_op op = {.type = COORD_OP_SET, .path = path, .data = data, .version = version};
    begin_write(coord, CALL_SET, &op, 1, (void *)on_done, context);
}

static void world_remove(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done,
                         void *context) {
    struct coord_op op = {.type = COORD_OP_DELETE, .path = path, .data = SLICE_NULL, .version = version};
    begin_write(coord, CALL_REMOVE, &op, 1, (void *)on_done, context);
}

static void world_multi(struct coord *coord, const struct coord_op *ops, int32_t count, coord_multi_callback *on_done,
                        void *context) {
    begin_write(coord, CALL_MULTI, ops, count, (void *)on_done, context);
}

static enum coord_session_state world_state(struct coord *coord) {
    (void)coord;
    return COORD_CONNECTED;
}

static int64_t world_session(struct coord *coord) {
    return WORLD_OF_COORD(coord)->session_id;
}

static const struct coord_ops coord_ops = {
    .get = world_get,
    .exists = world_exists,
    .children = world_children,
    .create = world_create,
    .set = world_set,
    .remove = world_remove,
    .multi = world_multi,
    .state = world_state,
    .session_id = world_session,
};

struct memory_world *memory_world_create(void) {
    struct memory_world *world = xcalloc(1, sizeof *world);
    world->clock.ops = &clock_ops;
    world->coord.ops = &coord_ops;
    world->session_id = 1;
    add_node(world, "/", SLICE_NULL);
    return world;
}

void memory_world_destroy(struct memory_world *world) {
    CHECK(world->tasks == NULL);
    struct node *node;
    struct node *next_node;
    LL_FOREACH_SAFE(world->nodes, node, next_node) {
        free(node->path);
        free(node->data);
        free(node);
    }
    struct watch *watch;
    struct watch *next_watch;
    LL_FOREACH_SAFE(world->watches, watch, next_watch) {
        free(watch->path);
        free(watch);
    }
    CHECK(world->timers == NULL);
    free(world);
}

struct clock *memory_clock(struct memory_world *world) {
    return &world->clock;
}

struct coord *memory_coord(struct memory_world *world) {
    return &world->coord;
}

void memory_set_session(struct memory_world *world, int64_t session_id) {
    world->session_id = session_id;
}

void memory_lose_replies(struct memory_world *world, int32_t count, bool is_applied) {
    world->lost = count;
    world->lost_is_applied = is_applied;
}

int32_t memory_call_count(const struct memory_world *world) {
    return world->calls;
}
