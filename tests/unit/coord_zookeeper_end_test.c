/* Ending a session from another process, as is done for a broker that died: against a real ZooKeeper server. */
#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"
#include "tests/lib/coord_calls.h"
#include "tests/lib/runner.h"
#include "tests/lib/zookeeper.h"

#define PORT 21260
#define SESSION_TIMEOUT_MS 10000 /* the longest the server grants */
#define SHORT_MS 300

/* A server and two sessions: that of who is to end, with an ephemeral node, and that of who watches. */
struct fixture {
    struct zookeeper_server server;
    struct real_loop *loop;
    struct coord *one, *other;
    int64_t id;
    uint8_t password[16];
};

static struct coord *open_session(struct real_loop *loop, const char *connect) {
    struct coord *coord;
    char *message = NULL;
    ck_assert_int_eq(
        coord_zookeeper_create(real_loop_clock(loop), connect, SESSION_TIMEOUT_MS, false, &coord, &message), 0);
    return coord;
}

static void setup(struct fixture *fixture) {
    struct call call;
    zookeeper_server_start(&fixture->server, PORT);
    fixture->loop = real_loop_create();
    char *connect = xasprintf("%s/kafka", fixture->server.connect);
    fixture->one = open_session(fixture->loop, connect);
    fixture->other = open_session(fixture->loop, connect);
    call_create(&call, fixture->one, "/me", "x", COORD_EPHEMERAL);
    ck_assert_int_eq(call_wait(&call, fixture->loop), 0);
    ck_assert(coord_zookeeper_credentials(fixture->one, &fixture->id, fixture->password));
    free(connect);
}

static void teardown(struct fixture *fixture) {
    coord_zookeeper_destroy(fixture->one);
    coord_zookeeper_destroy(fixture->other);
    real_loop_destroy(fixture->loop);
    zookeeper_server_destroy(&fixture->server);
}

static bool node_is_there(struct fixture *fixture) {
    struct call call;
    int error;
    do { /* whoever asks may only just be connecting anew */
        call_exists(&call, fixture->other, "/me", COORD_NO_WATCH);
        error = call_wait(&call, fixture->loop);
    } while (error == ERR_CONNECTION_LOSS);
    ck_assert_msg(error == 0 || error == ERR_NOT_FOUND, "%s", error_text(error));
    return error == 0;
}

/* Accepts, as a server that hangs does, and never says a word. */
static int silent_server(int *ret_port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(file, (struct sockaddr *)&address, size) == 0 && listen(file, 16) == 0);
    ck_assert(getsockname(file, (struct sockaddr *)&address, &size) == 0);
    *ret_port = ntohs(address.sin_port);
    return file;
}

START_TEST(its_nodes_are_gone_when_the_call_returns_and_a_second_call_finds_it_over) {
    struct fixture fixture;
    setup(&fixture);
    char *connect = xasprintf("%s/kafka", fixture.server.connect);
    ck_assert(node_is_there(&fixture));
    ck_assert_int_eq(coord_zookeeper_end_session(connect, fixture.id, fixture.password, SESSION_TIMEOUT_MS), 0);
    ck_assert(!node_is_there(&fixture));
    ck_assert_int_eq(coord_zookeeper_end_session(connect, fixture.id, fixture.password, SESSION_TIMEOUT_MS),
                     ERR_SESSION_EXPIRED);
    free(connect);
    teardown(&fixture);
}
END_TEST

START_TEST(without_its_password_a_session_is_left_alone) {
    struct fixture fixture;
    setup(&fixture);
    uint8_t guess[16] = {1};
    ck_assert_int_eq(coord_zookeeper_end_session(fixture.server.connect, fixture.id, guess, SESSION_TIMEOUT_MS),
                     ERR_SESSION_EXPIRED);
    ck_assert(node_is_there(&fixture));
    teardown(&fixture);
}
END_TEST

START_TEST(servers_that_hang_and_servers_that_are_down_are_passed_over) {
    struct fixture fixture;
    setup(&fixture);
    int port;
    int silent = silent_server(&port);
    char *connect = xasprintf("127.0.0.1:%d,127.0.0.1:1,%s/kafka", port, fixture.server.connect);
    ck_assert_int_eq(coord_zookeeper_end_session(connect, fixture.id, fixture.password, SESSION_TIMEOUT_MS), 0);
    ck_assert(!node_is_there(&fixture));
    free(connect);
    close(silent);
    teardown(&fixture);
}
END_TEST

struct ending {
    struct fixture *fixture;
    int error;
};

static void *end_it(void *context) {
    struct ending *ending = context;
    ending->error = coord_zookeeper_end_session(ending->fixture->server.connect, ending->fixture->id,
                                                ending->fixture->password, CALL_TIMEOUT_MS);
    return NULL;
}

START_TEST(without_a_server_it_gives_up_in_time_and_a_server_that_comes_back_is_asked) {
    struct fixture fixture;
    setup(&fixture);
    zookeeper_server_stop(&fixture.server);
    ck_assert_int_eq(coord_zookeeper_end_session(fixture.server.connect, fixture.id, fixture.password, SHORT_MS),
                     ERR_CONNECTION_LOSS);
    ck_assert_int_eq(coord_zookeeper_end_session("no-such-host.invalid:2181", fixture.id, fixture.password, SHORT_MS),
                     ERR_CONNECTION_LOSS);
    struct ending ending = {.fixture = &fixture};
    pthread_t thread;
    ck_assert(pthread_create(&thread, NULL, end_it, &ending) == 0);
    zookeeper_server_restart(&fixture.server);
    pthread_join(thread, NULL);
    ck_assert_int_eq(ending.error, 0);
    ck_assert(!node_is_there(&fixture));
    teardown(&fixture);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(its_nodes_are_gone_when_the_call_returns_and_a_second_call_finds_it_over),
        TEST(without_its_password_a_session_is_left_alone),
        TEST(servers_that_hang_and_servers_that_are_down_are_passed_over),
        TEST(without_a_server_it_gives_up_in_time_and_a_server_that_comes_back_is_asked),
    };
    return run_tests("ending a session on ZooKeeper", tests, sizeof tests / sizeof tests[0]);
}
