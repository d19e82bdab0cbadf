/* The coordinator seam against a real ZooKeeper server. */
#include <check.h>
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"
#include "tests/lib/coord_calls.h"
#include "tests/lib/runner.h"
#include "tests/lib/zookeeper.h"

#define PORT 21200
/* The longest the server grants. With a short one a busy machine loses connections (after two thirds of it without a
 * word) and sessions that no test meant to lose. */
#define SESSION_TIMEOUT_MS 10000
/* For tests that sit out a timeout: long enough to get a word in. */
#define SHORT_TIMEOUT_MS 4000

struct session {
    struct coord *coord;
    enum coord_session_state wanted;
    bool is_reached;
    int changes;
};

static void on_session(void *context, enum coord_session_state state) {
    struct session *session = context;
    session->changes++;
    session->is_reached = session->is_reached || state == session->wanted;
}

static void await_state(struct session *session, struct real_loop *loop, enum coord_session_state state) {
    session->wanted = state;
    session->is_reached = session->coord->ops->state(session->coord) == state;
    ck_assert(real_loop_until(loop, &session->is_reached, CALL_TIMEOUT_MS));
}

static void session_open_for(struct session *session, struct real_loop *loop, const char *connect, int timeout_ms) {
    char *message = NULL;
    *session = (struct session){0};
    ck_assert_int_eq(
        coord_zookeeper_create(real_loop_clock(loop), connect, timeout_ms, false, &session->coord, &message), 0);
    session->coord->ops->on_session(session->coord, on_session, session);
}

static void session_open(struct session *session, struct real_loop *loop, const char *connect) {
    session_open_for(session, loop, connect, SESSION_TIMEOUT_MS);
}

struct seen {
    int count;
    bool is_seen;
    enum coord_watch_type type;
    char path[256];
};

static void on_watch(void *context, enum coord_watch_type type, const char *path) {
    struct seen *seen = context;
    seen->count++;
    seen->is_seen = true;
    seen->type = type;
    snprintf(seen->path, sizeof seen->path, "%s", path);
}

START_TEST(nodes_are_made_read_changed_and_removed_below_a_chroot_that_is_created) {
    struct zookeeper_server server;
    struct session session, outside;
    struct call call;
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    char *connect = xasprintf("%s/kafka/one", server.connect);
    session_open(&session, loop, connect);
    call_create(&call, session.coord, "/a", NULL, COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_str_eq(call.text, "/a");
    call_get(&call, session.coord, "/a", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_int_le(call.size, 0);
    call_create(&call, session.coord, "/a/s_", "x", COORD_SEQUENTIAL);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_str_eq(call.text, "/a/s_0000000000");
    call_create(&call, session.coord, "/a", "x", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), ERR_EXISTS);
    call_create(&call, session.coord, "/b/c", "x", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), ERR_NOT_FOUND);
    call_set(&call, session.coord, "/a", "hello", 0);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_int_eq(call.stat.version, 1);
    call_set(&call, session.coord, "/a", "hello", 0);
    ck_assert_int_eq(call_wait(&call, loop), ERR_BAD_VERSION);
    call_children(&call, session.coord, "/a", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_str_eq(call.text, "s_0000000000");
    call_remove(&call, session.coord, "/a", COORD_ANY_VERSION);
    ck_assert_int_eq(call_wait(&call, loop), ERR_NOT_EMPTY);
    session_open(&outside, loop, server.connect);
    call_get(&call, outside.coord, "/kafka/one/a", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_str_eq(call.text, "hello");
    coord_zookeeper_destroy(outside.coord);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    free(connect);
    zookeeper_server_destroy(&server);
}
END_TEST

static struct slice bytes(const char *text) {
    return (struct slice){(const uint8_t *)text, (int32_t)strlen(text)};
}

START_TEST(a_multi_is_all_or_nothing_and_says_which_part_failed) {
    struct zookeeper_server server;
    struct session session;
    struct call call;
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open(&session, loop, server.connect);
    const struct coord_op registration[] = {
        {.type = COORD_OP_CREATE, .path = "/me", .data = SLICE_NULL, .create_flags = COORD_EPHEMERAL},
        {.type = COORD_OP_SET, .path = "/me", .data = bytes("data"), .version = 0},
    };
    call_multi(&call, session.coord, registration, 2);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_int_eq(call.results[1].stat.version, 1);
    ck_assert_int_gt(call.results[1].stat.czxid, 0);
    ck_assert_int_eq(call.results[1].stat.ephemeral_owner, session.coord->ops->session_id(session.coord));
    const struct coord_op fenced[] = {
        {.type = COORD_OP_CREATE, .path = "/other", .data = bytes("")},
        {.type = COORD_OP_CHECK, .path = "/me", .version = 7},
        {.type = COORD_OP_DELETE, .path = "/me", .version = COORD_ANY_VERSION},
    };
    call_multi(&call, session.coord, fenced, 3);
    ck_assert_int_eq(call_wait(&call, loop), ERR_BAD_VERSION);
    ck_assert_int_eq(call.result_count, 3);
    ck_assert_int_eq(call.results[0].error, ERR_ROLLED_BACK);
    ck_assert_int_eq(call.results[1].error, ERR_BAD_VERSION);
    ck_assert_int_eq(call.results[2].error, ERR_ROLLED_BACK);
    call_exists(&call, session.coord, "/other", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, loop), ERR_NOT_FOUND);
    char *large = xcalloc(1, 1 << 20);
    memset(large, 'x', (1 << 20) - 1);
    call_create(&call, session.coord, "/large", large, COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), ERR_TOO_LARGE);
    free(large);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

START_TEST(rule_36_a_watch_fires_once_however_often_it_was_asked_for) {
    struct zookeeper_server server;
    struct session session;
    struct call call, again;
    struct seen absent = {0}, children = {0};
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open(&session, loop, server.connect);
    struct coord_watch watch = {on_watch, &absent}, child_watch = {on_watch, &children};
    call_get(&call, session.coord, "/n", watch);
    call_get(&again, session.coord, "/n", watch);
    ck_assert_int_eq(call_wait(&call, loop), ERR_NOT_FOUND);
    ck_assert_int_eq(call_wait(&again, loop), ERR_NOT_FOUND);
    call_create(&call, session.coord, "/n", "1", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert(real_loop_until(loop, &absent.is_seen, CALL_TIMEOUT_MS));
    ck_assert_int_eq(absent.type, COORD_WATCH_CREATED);
    ck_assert_str_eq(absent.path, "/n");
    call_set(&call, session.coord, "/n", "2", COORD_ANY_VERSION);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    call_children(&call, session.coord, "/n", child_watch);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert_int_eq(absent.count, 1);
    call_get(&call, session.coord, "/n", watch);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    call_create(&call, session.coord, "/n/c", "1", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert(real_loop_until(loop, &children.is_seen, CALL_TIMEOUT_MS));
    ck_assert_int_eq(children.type, COORD_WATCH_CHILDREN);
    ck_assert_int_eq(absent.count, 1);
    absent.is_seen = false;
    call_remove(&call, session.coord, "/n/c", 0);
    call_remove(&again, session.coord, "/n", COORD_ANY_VERSION);
    ck_assert_int_eq(call_wait(&again, loop), 0);
    ck_assert(real_loop_until(loop, &absent.is_seen, CALL_TIMEOUT_MS));
    ck_assert_int_eq(absent.type, COORD_WATCH_DELETED);
    ck_assert_int_eq(absent.count, 2);
    ck_assert_int_eq(children.count, 1);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

#define MANY 500

struct ordered {
    int next;
    bool is_done;
};

static struct ordered order;

static void on_ordered(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    ck_assert_int_eq(error, ERR_NOT_FOUND);
    ck_assert_int_eq((int)(intptr_t)context, order.next);
    order.is_done = ++order.next == MANY;
}

START_TEST(answers_come_in_the_order_of_the_calls_however_many_there_are) {
    struct zookeeper_server server;
    struct session session;
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open(&session, loop, server.connect);
    for (int i = 0; i < MANY; i++) {
        coord_exists(session.coord, "/nothing", COORD_NO_WATCH, on_ordered, (void *)(intptr_t)i);
    }
    ck_assert_int_eq(order.next, 0);
    ck_assert(real_loop_until(loop, &order.is_done, CALL_TIMEOUT_MS));
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

START_TEST(an_expired_session_ends_its_operations_and_a_new_one_is_opened) {
    struct zookeeper_server server;
    struct session session;
    struct call call;
    int64_t id;
    uint8_t password[16];
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open(&session, loop, server.connect);
    call_create(&call, session.coord, "/me", "x", COORD_EPHEMERAL);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    ck_assert(coord_zookeeper_credentials(session.coord, &id, password));
    zookeeper_expire_session(server.connect, id, password);
    await_state(&session, loop, COORD_EXPIRED);
    call_get(&call, session.coord, "/me", COORD_NO_WATCH);
    ck_assert(!call.is_done);
    ck_assert_int_eq(call_wait(&call, loop), ERR_SESSION_EXPIRED);
    session.coord->ops->reopen(session.coord);
    call_get(&call, session.coord, "/me", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, loop), ERR_NOT_FOUND);
    ck_assert_int_eq(session.coord->ops->state(session.coord), COORD_CONNECTED);
    ck_assert_int_ne(session.coord->ops->session_id(session.coord), id);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

/* Stands before the library's own: what it drops while it closes depends on which of its threads is faster, and a test
 * wants it for certain. */
static int gets_to_drop;
static zhandle_t *handle_seen;

ZOOAPI int zoo_awget(zhandle_t *handle, const char *path, watcher_fn watcher, void *watcher_context,
                     data_completion_t completion, const void *data) {
    handle_seen = handle;
    if (gets_to_drop > 0) {
        gets_to_drop--;
        return ZOK; /* taken, and never heard of again */
    }
    int (*real)(zhandle_t *, const char *, watcher_fn, void *, data_completion_t, const void *);
    *(void **)&real = dlsym(RTLD_NEXT, "zoo_awget");
    return real(handle, path, watcher, watcher_context, completion, data);
}

START_TEST(what_the_library_drops_as_it_closes_ends_with_its_session_and_holds_up_nobody) {
    struct zookeeper_server server;
    struct session session;
    struct call dropped, behind, later;
    struct seen seen = {0};
    int64_t id;
    uint8_t password[16];
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open(&session, loop, server.connect);
    call_create(&behind, session.coord, "/n", "x", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&behind, loop), 0);
    ck_assert(coord_zookeeper_credentials(session.coord, &id, password));
    coord_zookeeper_set_in_flight_max(session.coord, 2);
    gets_to_drop = 1;
    call_get(&dropped, session.coord, "/n", (struct coord_watch){on_watch, &seen});
    ck_assert_int_eq(gets_to_drop, 0);
    call_set(&behind, session.coord, "/n", "y", COORD_ANY_VERSION);
    zookeeper_expire_session(server.connect, id, password);
    await_state(&session, loop, COORD_EXPIRED);
    session.coord->ops->reopen(session.coord);
    call_get(&later, session.coord, "/n", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&dropped, loop), ERR_SESSION_EXPIRED);
    call_wait(&behind, loop); /* it may have arrived before the session ended, or not */
    ck_assert_int_eq(call_wait(&later, loop), 0);

    gets_to_drop = 1;
    call_get(&dropped, session.coord, "/n", COORD_NO_WATCH);
    ck_assert_int_eq(gets_to_drop, 0);
    coord_zookeeper_destroy(session.coord);
    ck_assert_int_eq(dropped.error, ERR_CLOSING);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

START_TEST(a_multi_made_before_the_end_of_the_session_is_heard_of_ends_with_it) {
    struct zookeeper_server server;
    struct session session;
    struct call call;
    int64_t id;
    uint8_t password[16];
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open(&session, loop, server.connect);
    call_get(&call, session.coord, "/n", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, loop), ERR_NOT_FOUND);
    ck_assert(coord_zookeeper_credentials(session.coord, &id, password));
    zookeeper_expire_session(server.connect, id, password);
    /* The loop stands still: the library knows, the coordinator does not. */
    for (int i = 0; i < CALL_TIMEOUT_MS && zoo_state(handle_seen) != ZOO_EXPIRED_SESSION_STATE; i++) {
        poll(NULL, 0, 1);
    }
    ck_assert_int_eq(zoo_state(handle_seen), ZOO_EXPIRED_SESSION_STATE);
    ck_assert_int_eq(session.coord->ops->state(session.coord), COORD_CONNECTED);
    struct coord_op ops[] = {
        {.type = COORD_OP_CHECK, .path = "/a", .version = COORD_ANY_VERSION},
        {.type = COORD_OP_CHECK, .path = "/b", .version = COORD_ANY_VERSION},
        {.type = COORD_OP_CHECK, .path = "/c", .version = COORD_ANY_VERSION},
        {.type = COORD_OP_CHECK, .path = "/d", .version = COORD_ANY_VERSION},
    };
    call_multi(&call, session.coord, ops, 4);
    ck_assert_int_eq(call_wait(&call, loop), ERR_SESSION_EXPIRED);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

START_TEST(a_session_without_a_server_is_fenced_after_its_timeout_and_lives_on_when_it_returns) {
    struct zookeeper_server server;
    struct session session;
    struct call call;
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open_for(&session, loop, server.connect, SHORT_TIMEOUT_MS);
    call_create(&call, session.coord, "/n", "x", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    int64_t id = session.coord->ops->session_id(session.coord);
    zookeeper_server_stop(&server);
    await_state(&session, loop, COORD_CONNECTING);
    call_get(&call, session.coord, "/n", COORD_NO_WATCH);
    await_state(&session, loop, COORD_FENCED);
    ck_assert(!call.is_done);
    zookeeper_server_restart(&server);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    /* A server counts the timeout from its own start, so the session is still there. */
    ck_assert_int_eq(session.coord->ops->state(session.coord), COORD_CONNECTED);
    ck_assert_int_eq(session.coord->ops->session_id(session.coord), id);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}
END_TEST

START_TEST(a_session_is_taken_up_again_when_the_other_server_of_two_is_down) {
    struct zookeeper_server server;
    struct session session;
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    char *connect = xasprintf("127.0.0.1:1,%s", server.connect);
    session_open(&session, loop, connect);
    await_state(&session, loop, COORD_CONNECTED);
    for (int i = 0; i < 3; i++) { /* once in two the library by itself would never come back */
        zookeeper_server_stop(&server);
        await_state(&session, loop, COORD_CONNECTING);
        zookeeper_server_restart(&server);
        await_state(&session, loop, COORD_CONNECTED);
    }
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
    free(connect);
}
END_TEST

START_TEST(what_travels_when_the_connection_breaks_ends_with_connection_loss) {
    struct zookeeper_server server;
    struct session session;
    struct call call;
    zookeeper_server_start(&server, PORT);
    struct real_loop *loop = real_loop_create();
    session_open_for(&session, loop, server.connect, SHORT_TIMEOUT_MS);
    call_create(&call, session.coord, "/n", "x", COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    kill(server.pid, SIGSTOP);
    ck_assert_int_eq(waitpid(server.pid, NULL, WUNTRACED), server.pid); /* on a busy machine it works on for a while */
    call_set(&call, session.coord, "/n", "y", COORD_ANY_VERSION);
    await_state(&session, loop, COORD_CONNECTING);
    ck_assert_int_eq(call_wait(&call, loop), ERR_CONNECTION_LOSS);
    coord_zookeeper_destroy(session.coord);
    real_loop_destroy(loop);
    kill(server.pid, SIGCONT);
    zookeeper_server_destroy(&server);
}
END_TEST

START_TEST(nobody_there_is_no_error_and_destroying_ends_what_waits) {
    struct session refused, unknown;
    struct call first, second;
    char *message = NULL;
    struct coord *coord;
    struct real_loop *loop = real_loop_create();
    session_open(&refused, loop, "127.0.0.1:1");
    session_open(&unknown, loop, "no-such-host.invalid:2181/kafka");
    call_get(&first, refused.coord, "/n", COORD_NO_WATCH);
    call_get(&second, unknown.coord, "/n", COORD_NO_WATCH);
    bool never = false;
    ck_assert(!real_loop_until(loop, &never, 300));
    ck_assert(!first.is_done && !second.is_done);
    coord_zookeeper_destroy(refused.coord);
    coord_zookeeper_destroy(unknown.coord);
    ck_assert_int_eq(first.error, ERR_CLOSING);
    ck_assert_int_eq(second.error, ERR_CLOSING);
    ck_assert_int_eq(coord_zookeeper_create(real_loop_clock(loop), "/chroot-only", 1000, false, &coord, &message),
                     ERR_INVALID);
    ck_assert_ptr_nonnull(message);
    free(message);
    real_loop_destroy(loop);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(nodes_are_made_read_changed_and_removed_below_a_chroot_that_is_created),
        TEST(a_multi_is_all_or_nothing_and_says_which_part_failed),
        TEST(rule_36_a_watch_fires_once_however_often_it_was_asked_for),
        TEST(answers_come_in_the_order_of_the_calls_however_many_there_are),
        TEST(an_expired_session_ends_its_operations_and_a_new_one_is_opened),
        TEST(what_the_library_drops_as_it_closes_ends_with_its_session_and_holds_up_nobody),
        TEST(a_multi_made_before_the_end_of_the_session_is_heard_of_ends_with_it),
        TEST(a_session_without_a_server_is_fenced_after_its_timeout_and_lives_on_when_it_returns),
        TEST(a_session_is_taken_up_again_when_the_other_server_of_two_is_down),
        TEST(what_travels_when_the_connection_breaks_ends_with_connection_loss),
        TEST(nobody_there_is_no_error_and_destroying_ends_what_waits),
    };
    return run_tests("coordinator on ZooKeeper", tests, sizeof tests / sizeof tests[0]);
}
