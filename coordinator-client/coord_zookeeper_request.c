/* Requests and watches of coord.h on libzookeeper_mt; how they travel is told in coord_zookeeper.c. */
#include <stdlib.h>
#include <utlist.h>

#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper_internal.h"

#define QUEUE_MAX (1 << 20)       /* a controller of a million partitions reads each state once */
#define REQUEST_BYTES_MAX 0xf0000 /* below the server's jute.maxbuffer, which cuts the connection without a word */
#define PATH_MAX_BYTES 4096

void coord_zookeeper_unref(struct coord_zookeeper *zookeeper) {
    if (--zookeeper->references == 0) {
        free(zookeeper->hosts);
        free(zookeeper->chroot);
        free(zookeeper);
    }
}

void coord_link_ref(struct link *link) {
    __atomic_add_fetch(&link->references, 1, __ATOMIC_RELAXED);
}

static void slot_free(struct watch_slot *slot) {
    HASH_DEL(slot->link->slots, slot);
    free(slot->key);
    free(slot);
}

/* On the loop only. */
void coord_link_unref(struct link *link) {
    if (__atomic_sub_fetch(&link->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct watch_slot *slot, *next;
        HASH_ITER(hh, link->slots, slot, next) {
            slot_free(slot);
        }
        coord_zookeeper_unref(link->zookeeper);
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
/* ---- requests ---- */

static void free_op(zoo_op_t *op) {
    if (op->type == ZOO_CREATE_OP) {
        free(op->create_op.buf);
    }
}

void coord_request_free(struct request *request) {
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

void coord_request_deliver(struct request *request, int error) {
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
        coord_request_deliver(request, request->error);
        coord_request_free(request);
    }
    coord_zookeeper_unref(zookeeper);
}

/* Delivery happens in a turn of the loop of its own, never inside the call that made the request. */
static void post_delivery(struct coord_zookeeper *zookeeper) {
    if (!zookeeper->is_delivery_posted) {
        zookeeper->is_delivery_posted = true;
        zookeeper->references++;
        clock_post(zookeeper->clock, deliver_done, zookeeper);
    }
}

void coord_request_finish(struct request *request, int error) {
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
    coord_link_unref(event->link);
    free(event);
}

static void on_library_watch(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)state, (void)path;
    struct watch_slot *slot = context;
    if (type != ZOO_SESSION_EVENT && type != ZOO_NOTWATCHING_EVENT) {
        struct watch_event *event = xmalloc(sizeof *event);
        *event = (struct watch_event){slot->link, slot, type};
        coord_link_ref(slot->link);
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
        coord_request_free(request);
        coord_link_unref(link);
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
        coord_request_finish(request, error_of(request->rc));
    }
    coord_link_unref(link);
    coord_zookeeper_pump(zookeeper);
}

static void post_completion(struct request *request, int rc) {
    request->rc = rc;
    request->is_completed = true;
    clock_post(request->zookeeper->clock, on_completed, request);
}

void coord_zookeeper_complete_dropped(struct coord_zookeeper *zookeeper, const struct link *link) {
    struct request *request;
    DL_FOREACH(zookeeper->requests, request) {
        if (request->state == REQUEST_SUBMITTED && request->link == link && !request->is_completed) {
            post_completion(request, ZCLOSING);
        }
    }
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

const struct ACL_vector *coord_zookeeper_acl(const struct coord_zookeeper *zookeeper, const char *path,
                                             bool is_sensitive) {
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
                               coord_zookeeper_acl(request->zookeeper, op->path, op->sensitive),
                               library_mode(op->create_flags), xcalloc(1, PATH_MAX_BYTES), PATH_MAX_BYTES);
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
                           coord_zookeeper_acl(request->zookeeper, request->path, request->is_sensitive),
                           library_mode(request->create_flags), on_library_path, request);
    case REQUEST_SET:
        return zoo_aset(handle, request->path, data, request->data_size, request->version, on_library_stat, request);
    case REQUEST_DELETE: return zoo_adelete(handle, request->path, request->version, on_library_void, request);
    case REQUEST_MULTI:
        /* From the part on that finds the session expired the library frees what its stack holds, which is paths of
         * ours. We may hear of the end later than it does. */
        if (is_unrecoverable(handle) != ZOK) {
            return ZINVALIDSTATE;
        }
        prepare_multi(request);
        return zoo_amulti(handle, request->op_count, request->ops, request->op_results, on_library_void, request);
    }
    return ZBADARGUMENTS;
}

static void submit(struct request *request) {
    struct coord_zookeeper *zookeeper = request->zookeeper;
    struct link *link = zookeeper->link;
    request->state = REQUEST_SUBMITTED;
    request->is_completed = false;
    request->link = link;
    if (request->watch.on_event != NULL) {
        request->slot = slot_for(link, request);
    }
    zookeeper->in_flight++;
    coord_link_ref(link);
    int rc = submit_to_library(request, link->handle);
    if (rc != ZOK) {
        post_completion(request, rc);
    }
}

void coord_zookeeper_pump(struct coord_zookeeper *zookeeper) {
    while (zookeeper->state == COORD_CONNECTED && zookeeper->is_chroot_ready && zookeeper->next_queued != NULL &&
           zookeeper->in_flight < zookeeper->in_flight_max) {
        struct request *request = zookeeper->next_queued;
        zookeeper->next_queued = request->next;
        submit(request);
    }
}

bool coord_zookeeper_session_is_gone(const struct coord_zookeeper *zookeeper) {
    return zookeeper->state == COORD_EXPIRED || zookeeper->state == COORD_AUTH_FAILED;
}

static void enqueue(struct request *request, size_t bytes) {
    struct coord_zookeeper *zookeeper = request->zookeeper;
    DL_APPEND(zookeeper->requests, request);
    if (zookeeper->is_destroyed) {
        return; /* asked from inside an answer of the last moment: it is answered next, with ERR_CLOSING */
    }
    if (zookeeper->next_queued == NULL) {
        zookeeper->next_queued = request;
    }
    if (++zookeeper->request_count > QUEUE_MAX || bytes > REQUEST_BYTES_MAX) {
        coord_request_finish(request, ERR_TOO_LARGE);
    } else if (coord_zookeeper_session_is_gone(zookeeper)) {
        coord_request_finish(request, zookeeper->state == COORD_EXPIRED ? ERR_SESSION_EXPIRED : ERR_DENIED);
    } else {
        coord_zookeeper_pump(zookeeper);
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

void coord_zookeeper_op_get(struct coord *coord, const char *path, struct coord_watch watch,
                            coord_get_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_GET, path, ERASED(on_done), context);
    request->watch = watch;
    enqueue(request, 0);
}

void coord_zookeeper_op_exists(struct coord *coord, const char *path, struct coord_watch watch,
                               coord_stat_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_EXISTS, path, ERASED(on_done), context);
    request->watch = watch;
    enqueue(request, 0);
}

void coord_zookeeper_op_children(struct coord *coord, const char *path, struct coord_watch watch,
                                 coord_children_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_CHILDREN, path, ERASED(on_done), context);
    request->watch = watch;
    enqueue(request, 0);
}

void coord_zookeeper_op_create(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done,
                               void *context) {
    struct request *request = request_new(coord, REQUEST_CREATE, op->path, ERASED(on_done), context);
    request->data = copy_data(op->data);
    request->data_size = op->data.size;
    request->create_flags = op->create_flags;
    request->is_sensitive = op->sensitive;
    enqueue(request, (size_t)MAX(op->data.size, 0));
}

void coord_zookeeper_op_set(struct coord *coord, const char *path, struct slice data, int32_t version,
                            coord_stat_callback *on_done, void *context) {
    struct request *request = request_new(coord, REQUEST_SET, path, ERASED(on_done), context);
    request->data = copy_data(data);
    request->data_size = data.size;
    request->version = version;
    enqueue(request, (size_t)MAX(data.size, 0));
}

void coord_zookeeper_op_remove(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done,
                               void *context) {
    struct request *request = request_new(coord, REQUEST_DELETE, path, ERASED(on_done), context);
    request->version = version;
    enqueue(request, 0);
}

void coord_zookeeper_op_multi(struct coord *coord, const struct coord_op *ops, int32_t count,
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
