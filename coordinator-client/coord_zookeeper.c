/* coord.h on libzookeeper_mt.
 *
 * A `link` is one library handle, that is one session; reopening makes another. All requests stand in one list from
 * submission to callback, so that callbacks keep the order of submission whatever happens: the head is delivered when
 * it is done, requests further down may be queued (no session yet, or IN_FLIGHT_MAX travel already), submitted or done.
 *
 * Everything runs on the loop but the functions named on_library_..., which run on the library's completion thread:
 * they store results in their own request and post. A link counts its posts, and is freed after the last. */
#include "coordinator-client/coord_zookeeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uthash.h>
#include <utlist.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"

#define IN_FLIGHT_MAX 10              /* zookeeper.max.in.flight.requests */
#define QUEUE_MAX (1 << 20)           /* a controller of a million partitions reads each state once */
#define REQUEST_BYTES_MAX 0xf0000     /* below the server's jute.maxbuffer, which cuts the connection without a word */
#define REOPEN_AFTER_MS 1000          /* between attempts to resolve the servers' names */
#define COMPLAIN_AFTER_MS 2000        /* without a session, before the first line about it */
#define COMPLAIN_EVERY_MS 30000       /* and between further lines */
#define LIBRARY_LINE_EVERY_SECONDS 10 /* of what the library has to say; it repeats itself every few milliseconds */
#define PATH_MAX_BYTES 4096

struct coord_zookeeper;

/* One watch as its owner asked for it. Registered with the library any number of times, fires once. */
struct watch_slot {
    UT_hash_handle hh;
    char *key;
    struct link *link;
    struct coord_watch watch;
    int32_t reads_in_flight; /* that will register it when they succeed */
    bool is_armed;           /* the library holds it */
    char path[];             /* without the chroot */
};

struct link {
    struct coord_zookeeper *zookeeper;
    zhandle_t *handle; /* NULL while the names are being resolved and after closing */
    int references;    /* posts under way, the coord while it is its current link; atomic */
    bool is_closed;
    struct watch_slot *slots;
};

enum request_type {
    REQUEST_GET,
    REQUEST_EXISTS,
    REQUEST_CHILDREN,
    REQUEST_CREATE,
    REQUEST_SET,
    REQUEST_DELETE,
    REQUEST_MULTI
};
enum request_state { REQUEST_QUEUED, REQUEST_SUBMITTED, REQUEST_DONE };

struct request {
    struct request *prev, *next;
    struct coord_zookeeper *zookeeper;
    struct link *link; /* while submitted */
    enum request_type type;
    enum request_state state;
    bool is_watching_absence; /* a get that found nothing leaves its watch by exists */
    bool is_abandoned;        /* answered at closing; freed when its post comes by */
    char *path;               /* with the chroot */
    struct coord_watch watch;
    struct watch_slot *slot;
    uint8_t *data;
    int32_t data_size;
    int32_t version;
    int create_flags;
    bool is_sensitive;
    zoo_op_t *ops;
    zoo_op_result_t *op_results;
    struct Stat *op_stats;
    struct coord_op *copies; /* of a multi: paths and data are ours */
    int32_t op_count;
    void (*on_done)(void);
    void *context;
    /* results */
    int rc;
    int error;
    struct coord_stat stat;
    uint8_t *answer;
    int32_t answer_size;
    char **names;
    int32_t name_count;
};

struct coord_zookeeper {
    struct coord coord;
    struct clock *clock;
    char *hosts;
    char *chroot; /* "" or "/a/b" */
    int timeout_ms;
    bool set_acl;
    struct ACL readable_entries[2];
    struct ACL_vector readable_acl; /* all for the creator, read for the world */
    bool is_destroyed;
    bool is_chroot_ready;
    bool is_delivery_posted;
    enum coord_session_state state;
    struct link *link;
    int references; /* the owner, every link, a posted delivery */
    struct request *requests;
    struct request *next_queued;
    int32_t request_count;
    int32_t in_flight;
    int32_t in_flight_max;
    coord_session_callback *on_session;
    void *session_context;
    struct timer fence_timer;
    struct timer complain_timer;
    struct timer reopen_timer;
};

static void pump(struct coord_zookeeper *zookeeper);
static void open_link(struct coord_zookeeper *zookeeper);

static struct coord_zookeeper *zookeeper_of(struct coord *coord) {
    return CONTAINER_OF(coord, struct coord_zookeeper, coord);
}

static void zookeeper_unref(struct coord_zookeeper *zookeeper) {
    if (--zookeeper->references == 0) {
        free(zookeeper->hosts);
        free(zookeeper->chroot);
        free(zookeeper);
    }
}

static void link_ref(struct link *link) {
    __atomic_add_fetch(&link->references, 1, __ATOMIC_RELAXED);
}

static void slot_free(struct watch_slot *slot) {
    HASH_DEL(slot->link->slots, slot);
    free(slot->key);
    free(slot);
}

/* On the loop only. */
static void link_unref(struct link *link) {
    if (__atomic_sub_fetch(&link->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct watch_slot *slot, *next;
        HASH_ITER(hh, link->slots, slot, next) {
            slot_free(slot);
        }
        zookeeper_unref(link->zookeeper);
        free(link);
    }
}

static int error_of(int rc) {
    switch (rc) {
    case ZOK: return 0;
    case ZNONODE: return ERR_NOT_FOUND;
    case ZNODEEXISTS: return ERR_EXISTS;
    case ZBADVERSION: return ERR_BAD_VERSION;
    case ZNOTEMPTY: return ERR_NOT_EMPTY;
    case ZRUNTIMEINCONSISTENCY: return ERR_ROLLED_BACK;
    case ZNOAUTH:
    case ZINVALIDACL:
    case ZAUTHFAILED: return ERR_DENIED;
    case ZBADARGUMENTS:
    case ZNOCHILDRENFOREPHEMERALS: return ERR_INVALID;
    /* A handle that is closed or dead: its session is gone. */
    case ZCLOSING:
    case ZINVALIDSTATE:
    case ZSESSIONEXPIRED: return ERR_SESSION_EXPIRED;
    default: return ERR_CONNECTION_LOSS;
    }
}

static struct coord_stat stat_of(const struct Stat *stat) {
    if (stat == NULL) {
        return (struct coord_stat){0};
    }
    return (struct coord_stat){.czxid = stat->czxid,
                               .mzxid = stat->mzxid,
                               .pzxid = stat->pzxid,
                               .ctime_ms = stat->ctime,
                               .mtime_ms = stat->mtime,
                               .version = stat->version,
                               .cversion = stat->cversion,
                               .aversion = stat->aversion,
                               .ephemeral_owner = stat->ephemeralOwner,
                               .data_size = stat->dataLength,
                               .child_count = stat->numChildren};
}

/* ---- paths ---- */

static char *path_with_chroot(const struct coord_zookeeper *zookeeper, const char *path) {
    if (zookeeper->chroot[0] == '\0') {
        return xstrdup(path);
    }
    return strcmp(path, "/") == 0 ? xstrdup(zookeeper->chroot) : xasprintf("%s%s", zookeeper->chroot, path);
}

static const char *path_without_chroot(const struct coord_zookeeper *zookeeper, const char *path) {
    size_t size = strlen(zookeeper->chroot);
    return strncmp(path, zookeeper->chroot, size) == 0 && path[size] == '/' ? path + size : path;
}

/* ---- what the library says ---- */

/* The library gives no context, so the rate is kept for the process. */
static void on_library_line(const char *message) {
    static int64_t last_seconds;
    static int64_t suppressed;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t last = __atomic_load_n(&last_seconds, __ATOMIC_RELAXED);
    if ((last != 0 && now.tv_sec - last < LIBRARY_LINE_EVERY_SECONDS) ||
        !__atomic_compare_exchange_n(&last_seconds, &last, now.tv_sec, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_add_fetch(&suppressed, 1, __ATOMIC_RELAXED);
        return;
    }
    int64_t skipped = __atomic_exchange_n(&suppressed, 0, __ATOMIC_RELAXED);
    const char *text = strstr(message, "@"); /* after "time:pid(thread):LEVEL" */
    trace_debug("ZooKeeper", "%s (%lld lines before it not shown)", text == NULL ? message : text + 1,
                (long long)skipped);
}

/* ---- requests ---- */

static void free_op(zoo_op_t *op) {
    if (op->type == ZOO_CREATE_OP) {
        free(op->create_op.buf);
    }
}

static void request_free(struct request *request) {
    for (int32_t i = 0; i < request->op_count; i++) {
        free_op(&request->ops[i]);
        free((char *)(uintptr_t)request->copies[i].path);
        free((uint8_t *)(uintptr_t)request->copies[i].data.data);
    }
    for (int32_t i = 0; i < request->name_count; i++) {
        free(request->names[i]);
    }
    free(request->names);
    free(request->ops);
    free(request->op_results);
    free(request->op_stats);
    free(request->copies);
    free(request->path);
    free(request->data);
    free(request->answer);
    free(request);
}

static void deliver_multi(struct request *request, int error) {
    coord_multi_callback *on_done = (coord_multi_callback *)request->on_done;
    if (error == ERR_CONNECTION_LOSS || error == ERR_SESSION_EXPIRED || error == ERR_CLOSING ||
        error == ERR_TOO_LARGE) {
        on_done(request->context, error, NULL, 0);
        return;
    }
    struct coord_op_result *results = xcalloc((size_t)request->op_count + 1, sizeof *results);
    for (int32_t i = 0; i < request->op_count; i++) {
        results[i].error = error_of(request->op_results[i].err);
        if (error == 0 && request->ops[i].type == ZOO_CREATE_OP) {
            results[i].path = path_without_chroot(request->zookeeper, request->ops[i].create_op.buf);
        } else if (error == 0 && request->ops[i].type == ZOO_SETDATA_OP) {
            results[i].stat = stat_of(&request->op_stats[i]);
        } else if (error != 0 && results[i].error == 0) {
            results[i].error = ERR_ROLLED_BACK; /* what came before the part that failed */
        }
    }
    on_done(request->context, error, results, request->op_count);
    free(results);
}

static void request_deliver(struct request *request, int error) {
    const struct coord_stat *stat = error == 0 ? &request->stat : NULL;
    switch (request->type) {
    case REQUEST_GET: {
        struct slice data = {request->answer, error == 0 ? request->answer_size : -1};
        ((coord_get_callback *)request->on_done)(request->context, error, data, stat);
        break;
    }
    case REQUEST_CHILDREN:
        ((coord_children_callback *)request->on_done)(request->context, error, (const char *const *)request->names,
                                                      error == 0 ? request->name_count : 0, stat);
        break;
    case REQUEST_CREATE:
        ((coord_path_callback *)request->on_done)(
            request->context, error,
            error == 0 ? path_without_chroot(request->zookeeper, (const char *)request->answer) : NULL);
        break;
    case REQUEST_MULTI: deliver_multi(request, error); break;
    case REQUEST_EXISTS:
    case REQUEST_SET:
    case REQUEST_DELETE: ((coord_stat_callback *)request->on_done)(request->context, error, stat); break;
    }
}

static void deliver_done(void *context) {
    struct coord_zookeeper *zookeeper = context;
    zookeeper->is_delivery_posted = false;
    while (!zookeeper->is_destroyed && zookeeper->requests != NULL && zookeeper->requests->state == REQUEST_DONE) {
        struct request *request = zookeeper->requests;
        DL_DELETE(zookeeper->requests, request);
        zookeeper->request_count--;
        request_deliver(request, request->error);
        request_free(request);
    }
    zookeeper_unref(zookeeper);
}

/* Delivery happens in a turn of the loop of its own, never inside the call that made the request. */
static void post_delivery(struct coord_zookeeper *zookeeper) {
    if (!zookeeper->is_delivery_posted) {
        zookeeper->is_delivery_posted = true;
        zookeeper->references++;
        clock_post(zookeeper->clock, deliver_done, zookeeper);
    }
}

static void request_finish(struct request *request, int error) {
    struct coord_zookeeper *zookeeper = request->zookeeper;
    if (zookeeper->next_queued == request) {
        zookeeper->next_queued = request->next;
    }
    request->error = error;
    request->state = REQUEST_DONE;
    post_delivery(zookeeper);
}

/* ---- watches ---- */

struct watch_event {
    struct link *link;
    struct watch_slot *slot;
    int type;
};

static void slot_release(struct watch_slot *slot) {
    if (!slot->is_armed && slot->reads_in_flight == 0) {
        slot_free(slot);
    }
}

static void on_watch_event(void *context) {
    struct watch_event *event = context;
    struct watch_slot *slot = event->slot;
    enum coord_watch_type type = event->type == ZOO_CREATED_EVENT   ? COORD_WATCH_CREATED
                                 : event->type == ZOO_DELETED_EVENT ? COORD_WATCH_DELETED
                                 : event->type == ZOO_CHANGED_EVENT ? COORD_WATCH_CHANGED
                                                                    : COORD_WATCH_CHILDREN;
    slot->is_armed = false;
    slot->reads_in_flight++; /* the callback may ask again, or not */
    if (!event->link->is_closed) {
        slot->watch.on_event(slot->watch.context, type, slot->path);
    }
    slot->reads_in_flight--;
    slot_release(slot);
    link_unref(event->link);
    free(event);
}

static void on_library_watch(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)state, (void)path;
    struct watch_slot *slot = context;
    if (type != ZOO_SESSION_EVENT && type != ZOO_NOTWATCHING_EVENT) {
        struct watch_event *event = xmalloc(sizeof *event);
        *event = (struct watch_event){slot->link, slot, type};
        link_ref(slot->link);
        clock_post(slot->link->zookeeper->clock, on_watch_event, event);
    }
}

/* The same watch asked for twice is one watch. */
static struct watch_slot *slot_for(struct link *link, const struct request *request) {
    const char *path = path_without_chroot(link->zookeeper, request->path);
    char *key = xasprintf("%c%p%p%s", request->type == REQUEST_CHILDREN ? 'c' : 'd',
                          (void *)(uintptr_t)request->watch.on_event, request->watch.context, path);
    struct watch_slot *slot;
    HASH_FIND_STR(link->slots, key, slot);
    if (slot == NULL) {
        slot = xcalloc(1, sizeof *slot + strlen(path) + 1);
        memcpy(slot->path, path, strlen(path) + 1);
        slot->key = key;
        slot->link = link;
        slot->watch = request->watch;
        HASH_ADD_KEYPTR(hh, link->slots, slot->key, strlen(slot->key), slot);
    } else {
        free(key);
    }
    slot->reads_in_flight++;
    return slot;
}

/* ---- submission ---- */

static void submit(struct request *request);

static void on_completed(void *context) {
    struct request *request = context;
    struct link *link = request->link;
    struct coord_zookeeper *zookeeper = link->zookeeper;
    struct watch_slot *slot = request->slot;
    bool leaves_absence_watch = request->type == REQUEST_EXISTS || request->is_watching_absence;
    bool wants_exists_watch =
        request->type == REQUEST_GET && !request->is_watching_absence && request->rc == ZNONODE && slot != NULL;
    bool has_appeared = false;
    if (slot != NULL) {
        slot->is_armed = slot->is_armed || request->rc == ZOK || (request->rc == ZNONODE && leaves_absence_watch);
        slot->reads_in_flight--;
        request->slot = NULL;
        slot_release(slot);
    }
    if (request->is_abandoned) {
        request_free(request);
        link_unref(link);
        return;
    }
    /* get with a watch on an absent node: only exists leaves a watch there. When that finds the node, read again. */
    if (request->is_watching_absence) {
        request->is_watching_absence = false;
        has_appeared = request->rc == ZOK;
    } else if (wants_exists_watch) {
        request->is_watching_absence = true;
    }
    zookeeper->in_flight--;
    if ((wants_exists_watch || has_appeared) && link == zookeeper->link) {
        submit(request);
    } else {
        request_finish(request, error_of(request->rc));
    }
    link_unref(link);
    pump(zookeeper);
}

static void post_completion(struct request *request, int rc) {
    request->rc = rc;
    clock_post(request->zookeeper->clock, on_completed, request);
}

static void on_library_data(int rc, const char *value, int size, const struct Stat *stat, const void *context) {
    struct request *request = (struct request *)(uintptr_t)context;
    request->answer_size = rc == ZOK ? size : -1;
    request->stat = stat_of(stat);
    if (rc == ZOK && size > 0) {
        request->answer = xmalloc((size_t)size);
        memcpy(request->answer, value, (size_t)size);
    }
    post_completion(request, rc);
}

static void on_library_stat(int rc, const struct Stat *stat, const void *context) {
    struct request *request = (struct request *)(uintptr_t)context;
    request->stat = stat_of(stat);
    post_completion(request, rc);
}

static void on_library_children(int rc, const struct String_vector *names, const struct Stat *stat,
                                const void *context) {
    struct request *request = (struct request *)(uintptr_t)context;
    request->stat = stat_of(stat);
    if (rc == ZOK && names != NULL) {
        request->names = xcalloc((size_t)names->count + 1, sizeof *request->names);
        for (int32_t i = 0; i < names->count; i++) {
            request->names[i] = xstrdup(names->data[i]);
        }
        request->name_count = names->count;
    }
    post_completion(request, rc);
}

static void on_library_path(int rc, const char *path, const void *context) {
    struct request *request = (struct request *)(uintptr_t)context;
    if (rc == ZOK) {
        request->answer = (uint8_t *)xstrdup(path);
    }
    post_completion(request, rc);
}

static void on_library_void(int rc, const void *context) {
    post_completion((struct request *)(uintptr_t)context, rc);
}

static const struct ACL_vector *acl_of(const struct coord_zookeeper *zookeeper, const char *path, bool is_sensitive) {
    if (!zookeeper->set_acl || strcmp(path_without_chroot(zookeeper, path), "/consumers") == 0) {
        return &ZOO_OPEN_ACL_UNSAFE;
    }
    return is_sensitive ? &ZOO_CREATOR_ALL_ACL : &zookeeper->readable_acl;
}

static int library_mode(int create_flags) {
    return (create_flags & COORD_EPHEMERAL ? ZOO_EPHEMERAL : 0) | (create_flags & COORD_SEQUENTIAL ? ZOO_SEQUENCE : 0);
}

static void prepare_multi(struct request *request) {
    for (int32_t i = 0; i < request->op_count; i++) {
        const struct coord_op *op = &request->copies[i];
        zoo_op_t *made = &request->ops[i];
        free_op(made);
        switch (op->type) {
        case COORD_OP_CHECK: zoo_check_op_init(made, op->path, op->version); break;
        case COORD_OP_CREATE:
            zoo_create_op_init(made, op->path, (const char *)op->data.data, op->data.size,
                               acl_of(request->zookeeper, op->path, op->sensitive), library_mode(op->create_flags),
                               xcalloc(1, PATH_MAX_BYTES), PATH_MAX_BYTES);
            break;
        case COORD_OP_SET:
            zoo_set_op_init(made, op->path, (const char *)op->data.data, op->data.size, op->version,
                            &request->op_stats[i]);
            break;
        case COORD_OP_DELETE: zoo_delete_op_init(made, op->path, op->version); break;
        }
    }
}

static int submit_to_library(struct request *request, zhandle_t *handle) {
    struct watch_slot *slot = request->slot;
    watcher_fn watcher = slot == NULL ? NULL : on_library_watch;
    const char *data = (const char *)request->data;
    switch (request->is_watching_absence ? REQUEST_EXISTS : request->type) {
    case REQUEST_GET: return zoo_awget(handle, request->path, watcher, slot, on_library_data, request);
    case REQUEST_EXISTS: return zoo_awexists(handle, request->path, watcher, slot, on_library_stat, request);
    case REQUEST_CHILDREN:
        return zoo_awget_children2(handle, request->path, watcher, slot, on_library_children, request);
    case REQUEST_CREATE:
        return zoo_acreate(handle, request->path, data, request->data_size,
                           acl_of(request->zookeeper, request->path, request->is_sensitive),
                           library_mode(request->create_flags), on_library_path, request);
    case REQUEST_SET:
        return zoo_aset(handle, request->path, data, request->data_size, request->version, on_library_stat, request);
    case REQUEST_DELETE: return zoo_adelete(handle, request->path, request->version, on_library_void, request);
    case REQUEST_MULTI:
        prepare_multi(request);
        return zoo_amulti(handle, request->op_count, request->ops, request->op_results, on_library_void, request);
    }
    return ZBADARGUMENTS;
}

static void submit(struct request *request) {
    struct coord_zookeeper *zookeeper = request->zookeeper;
    struct link *link = zookeeper->link;
    request->state = REQUEST_SUBMITTED;
    request->link = link;
    if (request->watch.on_event != NULL) {
        request->slot = slot_for(link, request);
    }
    zookeeper->in_flight++;
    link_ref(link);
    int rc = submit_to_library(request, link->handle);
    if (rc != ZOK) {
        post_completion(request, rc);
    }
}

static void pump(struct coord_zookeeper *zookeeper) {
    while (zookeeper->state == COORD_CONNECTED && zookeeper->is_chroot_ready && zookeeper->next_queued != NULL &&
           zookeeper->in_flight < zookeeper->in_flight_max) {
        struct request *request = zookeeper->next_queued;
        zookeeper->next_queued = request->next;
        submit(request);
    }
}

static bool session_is_gone(const struct coord_zookeeper *zookeeper) {
    return zookeeper->state == COORD_EXPIRED || zookeeper->state == COORD_AUTH_FAILED;
}

static void enqueue(struct request *request, size_t bytes) {
    struct coord_zookeeper *zookeeper = request->zookeeper;
    CHECK(!zookeeper->is_destroyed);
    DL_APPEND(zookeeper->requests, request);
    if (zookeeper->next_queued == NULL) {
        zookeeper->next_queued = request;
    }
    if (++zookeeper->request_count > QUEUE_MAX || bytes > REQUEST_BYTES_MAX) {
        request_finish(request, ERR_TOO_LARGE);
    } else if (session_is_gone(zookeeper)) {
        request_finish(request, zookeeper->state == COORD_EXPIRED ? ERR_SESSION_EXPIRED : ERR_DENIED);
    } else {
        pump(zookeeper);
    }
}

static struct request *request_new(struct coord *coord, enum request_type type, const char *path, void (*on_done)(void),
                                   void *context) {
    struct request *request = xcalloc(1, sizeof *request);
    request->zookeeper = zookeeper_of(coord);
    request->type = type;
    request->path = path == NULL ? NULL : path_with_chroot(request->zookeeper, path);
    request->on_done = on_done;
    request->context = context;
    return request;
}

static uint8_t *copy_data(struct slice data) {
    uint8_t *copy = NULL;
    if (data.size >= 0) { /* the library tells empty from null by the pointer */
        copy = xmalloc((size_t)data.size + 1);
        memcpy(copy, data.data == NULL ? (const uint8_t *)"" : data.data, (size_t)data.size);
    }
    return copy;
}

#define ERASED(callback) ((void (*)(void))(callback))

static void zookeeper_get(struct coord *coord, const char *path, struct coord_watch watch, coord_get_callback *on_done,
                          void *context) {
    struct request *request = request_new(coord, REQUEST_GET, path, ERASED(on_done), context);
    request->watch = watch;
    enqueue(request, 0);
}

static void zookeeper_exists(struct coord *coord, const char *path, struct coord_watch watch,
                             coord_stat_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_EXISTS, path, ERASED(on_done), context);
    request->watch = watch;
    enqueue(request, 0);
}

static void zookeeper_children(struct coord *coord, const char *path, struct coord_watch watch,
                               coord_children_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_CHILDREN, path, ERASED(on_done), context);
    request->watch = watch;
    enqueue(request, 0);
}

static void zookeeper_create(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done,
                             void *context) {
    struct request *request = request_new(coord, REQUEST_CREATE, op->path, ERASED(on_done), context);
    request->data = copy_data(op->data);
    request->data_size = op->data.size;
    request->create_flags = op->create_flags;
    request->is_sensitive = op->sensitive;
    enqueue(request, (size_t)MAX(op->data.size, 0));
}

static void zookeeper_set(struct coord *coord, const char *path, struct slice data, int32_t version,
                          coord_stat_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_SET, path, ERASED(on_done), context);
    request->data = copy_data(data);
    request->data_size = data.size;
    request->version = version;
    enqueue(request, (size_t)MAX(data.size, 0));
}

static void zookeeper_remove(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done,
                             void *context) {
    struct request *request = request_new(coord, REQUEST_DELETE, path, ERASED(on_done), context);
    request->version = version;
    enqueue(request, 0);
}

static void zookeeper_multi(struct coord *coord, const struct coord_op *ops, int32_t count,
                            coord_multi_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_MULTI, NULL, ERASED(on_done), context);
    size_t bytes = 0;
    request->op_count = count;
    request->ops = xcalloc((size_t)count + 1, sizeof *request->ops);
    request->op_results = xcalloc((size_t)count + 1, sizeof *request->op_results);
    request->op_stats = xcalloc((size_t)count + 1, sizeof *request->op_stats);
    request->copies = xcalloc((size_t)count + 1, sizeof *request->copies);
    for (int32_t i = 0; i < count; i++) {
        bool has_data = ops[i].type == COORD_OP_CREATE || ops[i].type == COORD_OP_SET;
        request->copies[i] = ops[i];
        request->copies[i].path = path_with_chroot(request->zookeeper, ops[i].path);
        request->copies[i].data = (struct slice){has_data ? copy_data(ops[i].data) : NULL, ops[i].data.size};
        bytes += strlen(ops[i].path) + (has_data ? (size_t)MAX(ops[i].data.size, 0) : 0);
    }
    enqueue(request, bytes);
}

/* ---- the session ---- */

struct session_event {
    struct link *link;
    int state;
};

static void set_state(struct coord_zookeeper *zookeeper, enum coord_session_state state) {
    if (zookeeper->state != state) {
        zookeeper->state = state;
        if (zookeeper->on_session != NULL) {
            zookeeper->on_session(zookeeper->session_context, state);
        }
    }
}

static void on_complain(struct timer *timer) {
    struct coord_zookeeper *zookeeper = CONTAINER_OF(timer, struct coord_zookeeper, complain_timer);
    trace_warn("ZooKeeper", "No connection to ZooKeeper at %s%s; trying on", zookeeper->hosts, zookeeper->chroot);
    timer_start(zookeeper->clock, timer, COMPLAIN_EVERY_MS, on_complain);
}

static void on_fence(struct timer *timer) {
    struct coord_zookeeper *zookeeper = CONTAINER_OF(timer, struct coord_zookeeper, fence_timer);
    trace_error("ZooKeeper",
                "No connection for longer than the session timeout of %d ms: the session must be taken for lost",
                coord_zookeeper_session_timeout_ms(&zookeeper->coord));
    set_state(zookeeper, COORD_FENCED);
}

/* The library joins its threads in here; what they had completed or now cancel is posted before it returns. */
static void close_link(struct coord_zookeeper *zookeeper) {
    struct link *link = zookeeper->link;
    zookeeper->link = NULL;
    timer_stop(zookeeper->clock, &zookeeper->reopen_timer);
    if (link != NULL) {
        link->is_closed = true;
        if (link->handle != NULL) {
            zookeeper_close(link->handle);
            link->handle = NULL;
        }
        link_unref(link);
    }
}

static void on_session_ended(struct coord_zookeeper *zookeeper, enum coord_session_state state) {
    timer_stop(zookeeper->clock, &zookeeper->fence_timer);
    timer_stop(zookeeper->clock, &zookeeper->complain_timer);
    close_link(zookeeper);
    while (zookeeper->next_queued != NULL) {
        request_finish(zookeeper->next_queued, state == COORD_EXPIRED ? ERR_SESSION_EXPIRED : ERR_DENIED);
    }
    set_state(zookeeper, state);
}

static void on_disconnected(struct coord_zookeeper *zookeeper) {
    if (zookeeper->state == COORD_CONNECTED) {
        trace_warn("ZooKeeper", "Connection to ZooKeeper lost, session 0x%llx is in doubt",
                   (long long)zoo_client_id(zookeeper->link->handle)->client_id);
        timer_start(zookeeper->clock, &zookeeper->complain_timer, COMPLAIN_EVERY_MS, on_complain);
        timer_start(zookeeper->clock, &zookeeper->fence_timer, coord_zookeeper_session_timeout_ms(&zookeeper->coord),
                    on_fence);
        set_state(zookeeper, COORD_CONNECTING);
    }
}

/* ---- the chroot ---- */

struct chroot_step {
    struct link *link;
    char *path;
    size_t done_size; /* of the path: what was asked for */
    int rc;
};

static void make_chroot(struct chroot_step *step);

static void on_chroot_step(void *context) {
    struct chroot_step *step = context;
    struct link *link = step->link;
    struct coord_zookeeper *zookeeper = link->zookeeper;
    bool is_current = link == zookeeper->link && !zookeeper->is_destroyed;
    if (is_current && (step->rc == ZOK || step->rc == ZNODEEXISTS) && step->path[step->done_size] != '\0') {
        make_chroot(step);
        link_unref(link);
        return;
    }
    if (is_current && (step->rc == ZOK || step->rc == ZNODEEXISTS)) {
        zookeeper->is_chroot_ready = true;
        pump(zookeeper);
    } else if (is_current && step->rc != ZCONNECTIONLOSS) { /* the next connection tries again */
        trace_error("ZooKeeper", "The chroot %s cannot be created: %s", zookeeper->chroot, zerror(step->rc));
    }
    free(step->path);
    free(step);
    link_unref(link);
}

static void on_library_chroot(int rc, const char *path, const void *context) {
    (void)path;
    struct chroot_step *step = (struct chroot_step *)(uintptr_t)context;
    step->rc = rc;
    clock_post(step->link->zookeeper->clock, on_chroot_step, step);
}

/* Creates the next part of the path; the answer comes back to on_chroot_step. */
static void make_chroot(struct chroot_step *step) {
    size_t next = step->done_size + 1 + strcspn(step->path + step->done_size + 1, "/");
    char *part = xstrndup(step->path, next);
    step->done_size = next;
    link_ref(step->link);
    int rc = zoo_acreate(step->link->handle, part, NULL, -1, acl_of(step->link->zookeeper, part, false), 0,
                         on_library_chroot, step);
    if (rc != ZOK) {
        on_library_chroot(rc, NULL, step);
    }
    free(part);
}

static void on_connected(struct coord_zookeeper *zookeeper) {
    struct link *link = zookeeper->link;
    if (zookeeper->state == COORD_CONNECTED) { /* told twice while opening */
        return;
    }
    timer_stop(zookeeper->clock, &zookeeper->fence_timer);
    timer_stop(zookeeper->clock, &zookeeper->complain_timer);
    trace_info("ZooKeeper", "Connected to %s%s, session 0x%llx, session timeout %d ms", zookeeper->hosts,
               zookeeper->chroot, (long long)zoo_client_id(link->handle)->client_id, zoo_recv_timeout(link->handle));
    if (!zookeeper->is_chroot_ready) {
        struct chroot_step *step = xcalloc(1, sizeof *step);
        step->link = link;
        step->path = xstrdup(zookeeper->chroot);
        make_chroot(step);
    }
    set_state(zookeeper, COORD_CONNECTED);
    pump(zookeeper);
}

static void on_session_event(void *context) {
    struct session_event *event = context;
    struct link *link = event->link;
    struct coord_zookeeper *zookeeper = link->zookeeper;
    if (link == zookeeper->link && link->handle != NULL) {
        if (event->state == ZOO_CONNECTED_STATE) {
            on_connected(zookeeper);
        } else if (event->state == ZOO_EXPIRED_SESSION_STATE) {
            trace_warn("ZooKeeper", "Session 0x%llx expired", (long long)zoo_client_id(link->handle)->client_id);
            on_session_ended(zookeeper, COORD_EXPIRED);
        } else if (event->state == ZOO_AUTH_FAILED_STATE) {
            trace_error("ZooKeeper", "Authentication with ZooKeeper at %s failed", zookeeper->hosts);
            on_session_ended(zookeeper, COORD_AUTH_FAILED);
        } else {
            on_disconnected(zookeeper);
        }
    }
    link_unref(link);
    free(event);
}

static void on_library_session(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)path;
    struct link *link = context;
    if (type == ZOO_SESSION_EVENT) {
        struct session_event *event = xmalloc(sizeof *event);
        *event = (struct session_event){link, state};
        link_ref(link);
        clock_post(link->zookeeper->clock, on_session_event, event);
    }
}

/* ---- opening ---- */

struct opening {
    struct link *link;
    zhandle_t *handle;
    int system_errno;
};

static void on_reopen(struct timer *timer) {
    open_link(CONTAINER_OF(timer, struct coord_zookeeper, reopen_timer));
}

/* On a worker: the library resolves the names, which blocks. */
static void open_handle(void *context) {
    struct opening *opening = context;
    const struct coord_zookeeper *zookeeper = opening->link->zookeeper;
    opening->handle = zookeeper_init2(zookeeper->hosts, on_library_session, zookeeper->timeout_ms, NULL, opening->link,
                                      0, on_library_line);
    opening->system_errno = errno;
}

static void on_opened(void *context) {
    struct opening *opening = context;
    struct link *link = opening->link;
    struct coord_zookeeper *zookeeper = link->zookeeper;
    if (link != zookeeper->link) { /* closed meanwhile */
        if (opening->handle != NULL) {
            zookeeper_close(opening->handle);
        }
    } else if (opening->handle == NULL) {
        if (!timer_is_running(&zookeeper->complain_timer)) {
            trace_error("ZooKeeper", "Cannot resolve any host of zookeeper.connect=%s: %s; trying on", zookeeper->hosts,
                        opening->system_errno == ENOENT ? "no such host" : strerror(opening->system_errno));
            timer_start(zookeeper->clock, &zookeeper->complain_timer, COMPLAIN_EVERY_MS, on_complain);
        }
        close_link(zookeeper);
        timer_start(zookeeper->clock, &zookeeper->reopen_timer, REOPEN_AFTER_MS, on_reopen);
    } else {
        link->handle = opening->handle;
        if (!timer_is_running(&zookeeper->complain_timer)) {
            timer_start(zookeeper->clock, &zookeeper->complain_timer, COMPLAIN_AFTER_MS, on_complain);
        }
        if (zoo_state(link->handle) == ZOO_CONNECTED_STATE) { /* its event came before we knew the handle */
            on_connected(zookeeper);
        }
    }
    link_unref(link);
    free(opening);
}

static void open_link(struct coord_zookeeper *zookeeper) {
    struct link *link = xcalloc(1, sizeof *link);
    struct opening *opening = xcalloc(1, sizeof *opening);
    link->zookeeper = zookeeper;
    link->references = 2; /* ours and the opening's */
    zookeeper->references++;
    zookeeper->link = link;
    opening->link = link;
    clock_spawn(zookeeper->clock, open_handle, on_opened, opening);
}

static enum coord_session_state zookeeper_state(struct coord *coord) {
    return zookeeper_of(coord)->state;
}

static int64_t zookeeper_session_id(struct coord *coord) {
    struct coord_zookeeper *zookeeper = zookeeper_of(coord);
    bool has_handle = zookeeper->link != NULL && zookeeper->link->handle != NULL;
    return has_handle ? zoo_client_id(zookeeper->link->handle)->client_id : 0;
}

bool coord_zookeeper_credentials(struct coord *coord, int64_t *ret_session_id, uint8_t ret_password[16]) {
    struct coord_zookeeper *zookeeper = zookeeper_of(coord);
    if (zookeeper->state != COORD_CONNECTED) {
        return false;
    }
    const clientid_t *id = zoo_client_id(zookeeper->link->handle);
    *ret_session_id = id->client_id;
    memcpy(ret_password, id->passwd, sizeof id->passwd);
    return true;
}

static void zookeeper_on_session(struct coord *coord, coord_session_callback *on_change, void *context) {
    zookeeper_of(coord)->on_session = on_change;
    zookeeper_of(coord)->session_context = context;
}

static void zookeeper_reopen(struct coord *coord) {
    struct coord_zookeeper *zookeeper = zookeeper_of(coord);
    CHECK(session_is_gone(zookeeper) && zookeeper->link == NULL);
    zookeeper->state = COORD_CONNECTING;
    open_link(zookeeper);
}

int coord_zookeeper_session_timeout_ms(struct coord *coord) {
    struct coord_zookeeper *zookeeper = zookeeper_of(coord);
    int granted = zookeeper->link != NULL && zookeeper->link->handle != NULL && zookeeper->state == COORD_CONNECTED
                      ? zoo_recv_timeout(zookeeper->link->handle)
                      : 0;
    return granted > 0 ? granted : zookeeper->timeout_ms;
}

void coord_zookeeper_set_in_flight_max(struct coord *coord, int32_t requests) {
    CHECK(requests > 0);
    zookeeper_of(coord)->in_flight_max = requests;
}

int coord_zookeeper_create(struct clock *clock, const char *connect, int session_timeout_ms, bool set_acl,
                           struct coord **ret, char **ret_message) {
    static const struct coord_ops ops = {
        .get = zookeeper_get,
        .exists = zookeeper_exists,
        .children = zookeeper_children,
        .create = zookeeper_create,
        .set = zookeeper_set,
        .remove = zookeeper_remove,
        .multi = zookeeper_multi,
        .state = zookeeper_state,
        .session_id = zookeeper_session_id,
        .on_session = zookeeper_on_session,
        .reopen = zookeeper_reopen,
    };
    size_t hosts_size = strcspn(connect, "/");
    const char *chroot = connect + hosts_size;
    size_t chroot_size = strlen(chroot);
    if (hosts_size == 0 || session_timeout_ms <= 0 || strstr(chroot, "//") != NULL) {
        *ret_message = xasprintf("zookeeper.connect=%s is not of the form host:port,host:port/chroot", connect);
        return ERR_INVALID;
    }
    while (chroot_size > 0 && chroot[chroot_size - 1] == '/') {
        chroot_size--;
    }
    struct coord_zookeeper *zookeeper = xcalloc(1, sizeof *zookeeper);
    zookeeper->coord.ops = &ops;
    zookeeper->clock = clock;
    zookeeper->hosts = xstrndup(connect, hosts_size);
    zookeeper->chroot = xstrndup(chroot, chroot_size);
    zookeeper->is_chroot_ready = chroot_size == 0;
    zookeeper->timeout_ms = session_timeout_ms;
    zookeeper->set_acl = set_acl;
    zookeeper->readable_entries[0] = ZOO_CREATOR_ALL_ACL.data[0];
    zookeeper->readable_entries[1] = ZOO_READ_ACL_UNSAFE.data[0];
    zookeeper->readable_acl = (struct ACL_vector){2, zookeeper->readable_entries};
    zookeeper->in_flight_max = IN_FLIGHT_MAX;
    zookeeper->state = COORD_CONNECTING;
    zookeeper->references = 1;
    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    open_link(zookeeper);
    *ret = &zookeeper->coord;
    return 0;
}

void coord_zookeeper_destroy(struct coord *coord) {
    struct coord_zookeeper *zookeeper = zookeeper_of(coord);
    zookeeper->is_destroyed = true;
    zookeeper->on_session = NULL;
    timer_stop(zookeeper->clock, &zookeeper->fence_timer);
    timer_stop(zookeeper->clock, &zookeeper->complain_timer);
    close_link(zookeeper);
    while (zookeeper->requests != NULL) {
        struct request *request = zookeeper->requests;
        DL_DELETE(zookeeper->requests, request);
        request_deliver(request, request->state == REQUEST_DONE ? request->error : ERR_CLOSING);
        if (request->state == REQUEST_SUBMITTED) {
            request->is_abandoned = true; /* its completion is posted already */
        } else {
            request_free(request);
        }
    }
    zookeeper_unref(zookeeper);
}
