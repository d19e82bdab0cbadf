/* What the two halves of coord.h on libzookeeper_mt share: requests (coord_zookeeper_request.c) and the session they
 * travel in (coord_zookeeper.c). Nobody else includes this. */
#ifndef OTTLA_COORD_ZOOKEEPER_INTERNAL_H
#define OTTLA_COORD_ZOOKEEPER_INTERNAL_H

#include <uthash.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "coordinator-client/coord_zookeeper.h"

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
    struct chroot_step *chroot_step; /* while the chroot is being made */
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
    bool is_completed;        /* its completion is posted; the library's threads set it, joining them makes it ours */
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
    coord_zookeeper_credentials_callback *on_credentials;
    void *credentials_context;
    struct timer fence_timer;
    struct timer complain_timer;
    struct timer reopen_timer;
    struct timer cycle_timer;
};

static inline struct coord_zookeeper *zookeeper_of(struct coord *coord) {
    return CONTAINER_OF(coord, struct coord_zookeeper, coord);
}

/* The owner, each link and a posted delivery hold one reference. On the loop only. */
void coord_zookeeper_unref(struct coord_zookeeper *zookeeper);
/* From any thread; given back on the loop. */
void coord_link_ref(struct link *link);
void coord_link_unref(struct link *link);
/* The request is done, with this error or 0; its callback follows in a turn of its own, in order. */
void coord_request_finish(struct request *request, int error);
/* Calls back, now. */
void coord_request_deliver(struct request *request, int error);
void coord_request_free(struct request *request);
/* After zookeeper_close, which joins the library's threads: completes what the library dropped. Its completion thread
 * looks whether the handle is to be closed before it looks for more to call back, so whatever is queued for it a moment
 * too late (as a rule: what was under way when the session expired) is never called back. */
void coord_zookeeper_complete_dropped(struct coord_zookeeper *zookeeper, const struct link *link);
/* Who may do what with a node made at this path (with the chroot). */
const struct ACL_vector *coord_zookeeper_acl(const struct coord_zookeeper *zookeeper, const char *path,
                                             bool is_sensitive);
/* Submits what is queued, as far as the session and the bound on requests in flight allow. */
void coord_zookeeper_pump(struct coord_zookeeper *zookeeper);
bool coord_zookeeper_session_is_gone(const struct coord_zookeeper *zookeeper);
/* The operations of coord.h. */
void coord_zookeeper_op_get(struct coord *coord, const char *path, struct coord_watch watch,
                            coord_get_callback *on_done, void *context);
void coord_zookeeper_op_exists(struct coord *coord, const char *path, struct coord_watch watch,
                               coord_stat_callback *on_done, void *context);
void coord_zookeeper_op_children(struct coord *coord, const char *path, struct coord_watch watch,
                                 coord_children_callback *on_done, void *context);
void coord_zookeeper_op_create(struct coord *coord, const struct coord_op *op, coord_path_callback *on_done,
                               void *context);
void coord_zookeeper_op_set(struct coord *coord, const char *path, struct slice data, int32_t version,
                            coord_stat_callback *on_done, void *context);
void coord_zookeeper_op_remove(struct coord *coord, const char *path, int32_t version, coord_stat_callback *on_done,
                               void *context);
void coord_zookeeper_op_multi(struct coord *coord, const struct coord_op *ops, int32_t count,
                              coord_multi_callback *on_done, void *context);

#endif
