/* coord.h on libzookeeper_mt.
 *
 * A `link` is one library handle, that is one session; reopening makes another. All requests stand in one list from
 * submission to callback, so that callbacks keep the order of submission whatever happens: the head is delivered when
 * it is done, requests further down may be queued (no session yet, or IN_FLIGHT_MAX travel already), submitted or done.
 *
 * Everything runs on the loop but the functions named on_library_..., which run on the library's completion thread:
 * they store results in their own request and post. A link counts its posts, and is freed after the last. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <utlist.h>

#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "coordinator-client/coord_zookeeper_internal.h"

#define AREA "kafka.zookeeper.ZooKeeperClient"

#define IN_FLIGHT_MAX 10              /* zookeeper.max.in.flight.requests */
#define REOPEN_AFTER_MS 1000          /* between attempts to resolve the servers' names */
#define COMPLAIN_AFTER_MS 2000        /* without a session, before the first line about it */
#define COMPLAIN_EVERY_MS 30000       /* and between further lines */
#define CYCLE_EVERY_MS 500            /* while there is no connection */
#define LIBRARY_LINE_EVERY_SECONDS 10 /* of what the library has to say; it repeats itself every few milliseconds */

#ifdef __SANITIZE_ADDRESS__
/* What the library drops as it closes it neither calls back nor frees (ZOOKEEPER-2894). The leak check asks here what
 * it shall not count. A handle that we forgot would not be counted either; its threads and its socket tell of it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libzookeeper_mt\n";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) {
    return "print_suppressions=0";
}
#endif

static void open_link(struct coord_zookeeper *zookeeper);
static void complete_dropped_chroot(struct link *link);

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
    trace_debug(AREA, "%s (%lld lines before it not shown)", text == NULL ? message : text + 1, (long long)skipped);
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
    trace_warn(AREA, "No connection to ZooKeeper at %s%s; trying on", zookeeper->hosts, zookeeper->chroot);
    timer_start(zookeeper->clock, timer, COMPLAIN_EVERY_MS, on_complain);
}

/* After its first round over the servers the library takes two steps from each to the next, and tries half of an even
 * number for ever (ZOOKEEPER-2466); names with two addresses make any number even. A step of ours leads to the other
 * half; now and then, since many an attempt lasts longer than this timer. */
static void on_cycle(struct timer *timer) {
    struct coord_zookeeper *zookeeper = CONTAINER_OF(timer, struct coord_zookeeper, cycle_timer);
    uint8_t random = 0;
    if (zookeeper->link != NULL && zookeeper->link->handle != NULL && getrandom(&random, 1, 0) == 1 &&
        random % 2 == 0) {
        zoo_cycle_next_server(zookeeper->link->handle);
    }
    timer_start(zookeeper->clock, timer, CYCLE_EVERY_MS, on_cycle);
}

static void on_fence(struct timer *timer) {
    struct coord_zookeeper *zookeeper = CONTAINER_OF(timer, struct coord_zookeeper, fence_timer);
    trace_error(AREA, "No connection for longer than the session timeout of %d ms: the session must be taken for lost",
                coord_zookeeper_session_timeout_ms(&zookeeper->coord));
    set_state(zookeeper, COORD_FENCED);
}

/* The library joins its threads in here; what they had completed or now cancel is posted before it returns, and what
 * they drop is completed here, so that nobody waits for an answer of a session that is gone. */
static void close_link(struct coord_zookeeper *zookeeper) {
    struct link *link = zookeeper->link;
    zookeeper->link = NULL;
    timer_stop(zookeeper->clock, &zookeeper->reopen_timer);
    timer_stop(zookeeper->clock, &zookeeper->cycle_timer);
    if (link != NULL) {
        link->is_closed = true;
        if (link->handle != NULL) {
            zookeeper_close(link->handle);
            link->handle = NULL;
            coord_zookeeper_complete_dropped(zookeeper, link);
            complete_dropped_chroot(link);
        }
        coord_link_unref(link);
    }
}

static void tell_credentials(struct coord_zookeeper *zookeeper, const clientid_t *id, int session_timeout_ms) {
    if (zookeeper->on_credentials != NULL) {
        zookeeper->on_credentials(zookeeper->credentials_context, id->client_id, (const uint8_t *)id->passwd,
                                  session_timeout_ms);
    }
}

static void on_session_ended(struct coord_zookeeper *zookeeper, enum coord_session_state state) {
    tell_credentials(zookeeper, &(clientid_t){0}, 0);
    timer_stop(zookeeper->clock, &zookeeper->fence_timer);
    timer_stop(zookeeper->clock, &zookeeper->complain_timer);
    close_link(zookeeper);
    while (zookeeper->next_queued != NULL) {
        coord_request_finish(zookeeper->next_queued, state == COORD_EXPIRED ? ERR_SESSION_EXPIRED : ERR_DENIED);
    }
    set_state(zookeeper, state);
}

static void on_disconnected(struct coord_zookeeper *zookeeper) {
    if (zookeeper->state == COORD_CONNECTED) {
        trace_warn(AREA, "Connection to ZooKeeper lost, session 0x%llx is in doubt",
                   (long long)zoo_client_id(zookeeper->link->handle)->client_id);
        timer_start(zookeeper->clock, &zookeeper->complain_timer, COMPLAIN_EVERY_MS, on_complain);
        timer_start(zookeeper->clock, &zookeeper->cycle_timer, CYCLE_EVERY_MS, on_cycle);
        timer_start(zookeeper->clock, &zookeeper->fence_timer, coord_zookeeper_session_timeout_ms(&zookeeper->coord),
                    on_fence);
        set_state(zookeeper, COORD_CONNECTING);
    }
}

/* ---- the chroot ---- */

struct chroot_step {
    struct link *link;
    char *path;
    size_t done_size;  /* of the path: what was asked for */
    bool is_completed; /* as of a request */
    int rc;
};

static void make_chroot(struct chroot_step *step);

static void on_chroot_step(void *context) {
    struct chroot_step *step = context;
    struct link *link = step->link;
    struct coord_zookeeper *zookeeper = link->zookeeper;
    bool is_current = link == zookeeper->link && !zookeeper->is_destroyed;
    link->chroot_step = NULL;
    if (is_current && (step->rc == ZOK || step->rc == ZNODEEXISTS) && step->path[step->done_size] != '\0') {
        make_chroot(step);
        coord_link_unref(link);
        return;
    }
    if (is_current && (step->rc == ZOK || step->rc == ZNODEEXISTS)) {
        zookeeper->is_chroot_ready = true;
        coord_zookeeper_pump(zookeeper);
    } else if (is_current && step->rc != ZCONNECTIONLOSS) { /* the next connection tries again */
        trace_error(AREA, "The chroot %s cannot be created: %s", zookeeper->chroot, zerror(step->rc));
    }
    free(step->path);
    free(step);
    coord_link_unref(link);
}

static void on_library_chroot(int rc, const char *path, const void *context) {
    (void)path;
    struct chroot_step *step = (struct chroot_step *)(uintptr_t)context;
    step->rc = rc;
    step->is_completed = true;
    clock_post(step->link->zookeeper->clock, on_chroot_step, step);
}

static void complete_dropped_chroot(struct link *link) {
    if (link->chroot_step != NULL && !link->chroot_step->is_completed) {
        on_library_chroot(ZCLOSING, NULL, link->chroot_step);
    }
}

/* Creates the next part of the path; the answer comes back to on_chroot_step. */
static void make_chroot(struct chroot_step *step) {
    size_t next = step->done_size + 1 + strcspn(step->path + step->done_size + 1, "/");
    char *part = xstrndup(step->path, next);
    step->done_size = next;
    step->is_completed = false;
    step->link->chroot_step = step;
    coord_link_ref(step->link);
    int rc = zoo_acreate(step->link->handle, part, NULL, -1, coord_zookeeper_acl(step->link->zookeeper, part, false), 0,
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
    timer_stop(zookeeper->clock, &zookeeper->cycle_timer);
    trace_info(AREA, "Connected to %s%s, session 0x%llx, session timeout %d ms", zookeeper->hosts, zookeeper->chroot,
               (long long)zoo_client_id(link->handle)->client_id, zoo_recv_timeout(link->handle));
    tell_credentials(zookeeper, zoo_client_id(link->handle), zoo_recv_timeout(link->handle));
    if (!zookeeper->is_chroot_ready) {
        struct chroot_step *step = xcalloc(1, sizeof *step);
        step->link = link;
        step->path = xstrdup(zookeeper->chroot);
        make_chroot(step);
    }
    set_state(zookeeper, COORD_CONNECTED);
    coord_zookeeper_pump(zookeeper);
}

/* Of the current link, whose handle is known. */
static void take_library_state(struct coord_zookeeper *zookeeper, int state) {
    if (state == ZOO_CONNECTED_STATE) {
        on_connected(zookeeper);
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        trace_warn(AREA, "Session 0x%llx expired", (long long)zoo_client_id(zookeeper->link->handle)->client_id);
        on_session_ended(zookeeper, COORD_EXPIRED);
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        trace_error(AREA, "Authentication with ZooKeeper at %s failed", zookeeper->hosts);
        on_session_ended(zookeeper, COORD_AUTH_FAILED);
    } else {
        on_disconnected(zookeeper);
    }
}

static void on_session_event(void *context) {
    struct session_event *event = context;
    struct link *link = event->link;
    if (link == link->zookeeper->link && link->handle != NULL) {
        take_library_state(link->zookeeper, event->state);
    }
    coord_link_unref(link);
    free(event);
}

static void on_library_session(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)path;
    struct link *link = context;
    if (type == ZOO_SESSION_EVENT) {
        struct session_event *event = xmalloc(sizeof *event);
        *event = (struct session_event){link, state};
        coord_link_ref(link);
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
    if (opening->handle != NULL) {
        /* Else it asks for the addresses again each time it looks at its socket, which is twice a request and half of
         * what a request costs. After the loss of a connection it always does. */
        zoo_set_servers_resolution_delay(opening->handle, -1);
    }
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
            trace_error(AREA, "Cannot resolve any host of zookeeper.connect=%s: %s; trying on", zookeeper->hosts,
                        opening->system_errno == ENOENT ? "no such host" : strerror(opening->system_errno));
            timer_start(zookeeper->clock, &zookeeper->complain_timer, COMPLAIN_EVERY_MS, on_complain);
        }
        close_link(zookeeper);
        timer_start(zookeeper->clock, &zookeeper->reopen_timer, REOPEN_AFTER_MS, on_reopen);
    } else {
        link->handle = opening->handle;
        timer_start(zookeeper->clock, &zookeeper->cycle_timer, CYCLE_EVERY_MS, on_cycle);
        if (!timer_is_running(&zookeeper->complain_timer)) {
            timer_start(zookeeper->clock, &zookeeper->complain_timer, COMPLAIN_AFTER_MS, on_complain);
        }
        take_library_state(zookeeper, zoo_state(link->handle)); /* its events may have come before we knew the handle */
    }
    coord_link_unref(link);
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

void coord_zookeeper_on_credentials(struct coord *coord, coord_zookeeper_credentials_callback *on_change,
                                    void *context) {
    zookeeper_of(coord)->on_credentials = on_change;
    zookeeper_of(coord)->credentials_context = context;
}

static void zookeeper_on_session(struct coord *coord, coord_session_callback *on_change, void *context) {
    zookeeper_of(coord)->on_session = on_change;
    zookeeper_of(coord)->session_context = context;
}

static void zookeeper_reopen(struct coord *coord) {
    struct coord_zookeeper *zookeeper = zookeeper_of(coord);
    CHECK(coord_zookeeper_session_is_gone(zookeeper) && zookeeper->link == NULL);
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
        .get = coord_zookeeper_op_get,
        .exists = coord_zookeeper_op_exists,
        .children = coord_zookeeper_op_children,
        .create = coord_zookeeper_op_create,
        .set = coord_zookeeper_op_set,
        .remove = coord_zookeeper_op_remove,
        .multi = coord_zookeeper_op_multi,
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
        coord_request_deliver(request, request->state == REQUEST_DONE ? request->error : ERR_CLOSING);
        if (request->state == REQUEST_SUBMITTED) {
            request->is_abandoned = true; /* its completion is posted already */
        } else {
            coord_request_free(request);
        }
    }
    coord_zookeeper_unref(zookeeper);
}
