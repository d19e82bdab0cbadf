/* The coordinator seam: a ZooKeeper session as this broker needs it. "coord" always means ZooKeeper.
 *
 * Every call is asynchronous; its callback runs on the loop, in the order of submission, never inside the call. Paths
 * are without the chroot, which the implementation adds and strips. Watches are one-shot and are set by the reading
 * call that asks for them; whoever handles an event re-reads, which re-arms. After a lost connection an operation ends
 * with ERR_CONNECTION_LOSS and may or may not have been applied: the caller decides by reading (reliability.md, C5). */
#ifndef OTTLA_COORD_H
#define OTTLA_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"

struct coord;

enum coord_session_state {
    COORD_CONNECTING, /* not connected now; the session may still live on the server */
    COORD_CONNECTED,
    /* Not connected for longer than the session timeout: a server would have expired the session by now, but none can
     * be asked. The broker fences itself: others may have taken its place. COORD_CONNECTED or COORD_EXPIRED follows. */
    COORD_FENCED,
    COORD_EXPIRED, /* the session is gone for good: coord_reopen() makes a new one */
    COORD_AUTH_FAILED,
};

struct coord_stat {
    int64_t czxid;
    int64_t mzxid;
    int64_t pzxid; /* of the last change of children; 0 where an implementation does not keep it */
    int64_t ctime_ms;
    int64_t mtime_ms;
    int32_t version;
    int32_t cversion;
    int32_t aversion;        /* of the ACL; likewise */
    int64_t ephemeral_owner; /* session id, 0 when persistent */
    int32_t data_size;
    int32_t child_count;
};

enum coord_op_type { COORD_OP_CHECK, COORD_OP_CREATE, COORD_OP_SET, COORD_OP_DELETE };

enum coord_create_flags { COORD_PERSISTENT = 0, COORD_EPHEMERAL = 1, COORD_SEQUENTIAL = 2 };

#define COORD_ANY_VERSION (-1)

/* One part of a multi. Data size -1 creates a node with null data. */
struct coord_op {
    enum coord_op_type type;
    const char *path;
    struct slice data; /* create, set */
    int32_t version;   /* check, set, delete; COORD_ANY_VERSION matches all */
    int create_flags;  /* create */
    bool sensitive;    /* create: with zookeeper.set.acl, no world-read */
};

struct coord_op_result {
    int error;              /* 0 or ERR_BAD_VERSION, ERR_NOT_FOUND, ERR_EXISTS, ERR_NOT_EMPTY, ERR_ROLLED_BACK */
    struct coord_stat stat; /* set only */
    const char *path;       /* create: the name made (sequential); else NULL */
};

enum coord_watch_type { COORD_WATCH_CREATED, COORD_WATCH_DELETED, COORD_WATCH_CHANGED, COORD_WATCH_CHILDREN };

/* The results a callback may look at during the call only. */
typedef void coord_get_callback(void *context, int error, struct slice data, const struct coord_stat *stat);
typedef void coord_children_callback(void *context, int error, const char *const *names, int32_t name_count,
                                     const struct coord_stat *stat);
typedef void coord_stat_callback(void *context, int error, const struct coord_stat *stat);
typedef void coord_path_callback(void *context, int error, const char *path);
/* `error` is 0 when every part succeeded; results has one entry per op in either case, unless error is one of
 * ERR_CONNECTION_LOSS, ERR_SESSION_EXPIRED, ERR_CLOSING (then results is NULL). */
typedef void coord_multi_callback(void *context, int error, const struct coord_op_result *results, int32_t count);
/* Data watches: CREATED, DELETED, CHANGED. Child watches: CHILDREN, DELETED. Session events do not fire watches; after
 * a new session the owner re-reads everything. */
typedef void coord_watch_callback(void *context, enum coord_watch_type type, const char *path);
typedef void coord_session_callback(void *context, enum coord_session_state state);

struct coord_watch {
    coord_watch_callback *on_event; /* NULL: no watch */
    void *context;
};

#define COORD_NO_WATCH ((struct coord_watch){NULL, NULL})

struct coord_ops {
    /* Data of a node. A watch is set also when the answer is ERR_NOT_FOUND (then it is an exists watch). */
    void (*get)(struct coord *coord, const char *path, struct coord_watch watch, coord_get_callback *on_done,
                void *context);
    void (*exists)(struct coord *coord, const char *path, struct coord_watch watch, coord_stat_callback *on_done,
                   void *context);
    void (*children)(struct coord *coord, const char *path, struct coord_watch watch, coord_children_callback *on_done,
                     void *context);
    void (*create)(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done, void *context);
    void (*set)(struct coord *coord, const char *path, struct slice data, int32_t version, coord_stat_callback *on_done,
                void *context);
    void (*remove)(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done, void *context);
    void (*multi)(struct coord *coord, const struct coord_op *ops, int32_t count, coord_multi_callback *on_done,
                  void *context);
    enum coord_session_state (*state)(struct coord *coord);
    int64_t (*session_id)(struct coord *coord);
    /* One listener: told on the loop of every change of state. */
    void (*on_session)(struct coord *coord, coord_session_callback *on_change, void *context);
    /* After COORD_EXPIRED: end the dead session and begin a new one; calls may be queued at once. */
    void (*reopen)(struct coord *coord);
};

struct coord {
    const struct coord_ops *ops;
};

static inline void coord_get(struct coord *coord, const char *path, struct coord_watch watch,
                             coord_get_callback *on_done, void *context) {
    coord->ops->get(coord, path, watch, on_done, context);
}
static inline void coord_exists(struct coord *coord, const char *path, struct coord_watch watch,
                                coord_stat_callback *on_done, void *context) {
    coord->ops->exists(coord, path, watch, on_done, context);
}
static inline void coord_children(struct coord *coord, const char *path, struct coord_watch watch,
                                  coord_children_callback *on_done, void *context) {
    coord->ops->children(coord, path, watch, on_done, context);
}
static inline void coord_create(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done,
                                void *context) {
    coord->ops->create(coord, op, on_done, context);
}
static inline void coord_set(struct coord *coord, const char *path, struct slice data, int32_t version,
                             coord_stat_callback *on_done, void *context) {
    coord->ops->set(coord, path, data, version, on_done, context);
}
static inline void coord_remove(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done,
                                void *context) {
    coord->ops->remove(coord, path, version, on_done, context);
}
static inline void coord_multi(struct coord *coord, const struct coord_op *ops, int32_t count,
                               coord_multi_callback *on_done, void *context) {
    coord->ops->multi(coord, ops, count, on_done, context);
}

#endif
