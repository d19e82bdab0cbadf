/* The transport between brokers, and the loop under it. */
#include <dlfcn.h>
#include <netdb.h>

#include "broker/network/reach.h"
#include "tests/unit/network_fixture.h"

/* Peers. */
struct outcome {
    int error;
    int calls;
    char body[64];
    int order;
};
static int outcome_order;

static void on_answer(void *context, int error, const uint8_t *body, size_t size) {
    struct outcome *outcome = context;
    outcome->error = error;
    outcome->calls++;
    outcome->order = outcome_order++;
    memcpy(outcome->body, body == NULL ? (const uint8_t *)"" : body, MIN(size, sizeof outcome->body - 1));
}

static bool is_answered(void *context) {
    return ((struct outcome *)context)->calls > 0;
}

static void send_to(struct peers *peers, int32_t port, const char *host, const char *body, int64_t timeout_ms,
                    struct outcome *outcome) {
    struct transport_request request = {
        .broker_id = 7,
        .channel = CHANNEL_CONTROL,
        .host = host,
        .port = port,
        .api_key = 18,
        .api_version = 0,
        .client_id = "t",
        .body = (const uint8_t *)body,
        .body_size = strlen(body),
        .timeout_ms = timeout_ms,
        .on_answer = on_answer,
        .context = outcome,
    };
    transport_send(peers_transport(peers), &request);
}

/* Answers with the correlation id and what followed the header. */
static void answer_as_broker(int index) {
    size_t header_size = 8 + 2 + 1;
    uint8_t *frame = held[index].frame;
    size_t size = held[index].size - header_size + 4;
    memmove(frame, frame + 4, 4);
    memmove(frame + 4, frame + header_size, size - 4);
    held[index].size = size;
    answer_held(index);
}

static void finish_peers(struct peers *peers) {
    peers_close(peers);
    while (!peers_is_idle(peers)) {
        run_for(1);
    }
    peers_destroy(peers);
    finish();
}

START_TEST(a_peer_gets_its_answers_in_order) {
    struct network_config config = test_config();
    start(&config);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1, .connections_max_idle_ms = 60000};
    struct peers *peers = peers_create(loop, &peers_config);
    struct outcome outcomes[3] = {0};
    send_to(peers, network_port(network, 0), "127.0.0.1", "one", 5000, &outcomes[0]);
    send_to(peers, network_port(network, 0), "127.0.0.1", "two", 5000, &outcomes[1]);
    await_held(2);
    answer_as_broker(1);
    answer_as_broker(0);
    run_until(is_answered, &outcomes[1]);
    ck_assert_int_eq(outcomes[0].calls, 1);
    ck_assert_int_eq(outcomes[0].error, 0);
    ck_assert_str_eq(outcomes[0].body, "one");
    ck_assert_str_eq(outcomes[1].body, "two");
    ck_assert_int_eq(network_connection_count(network), 1);
    send_to(peers, network_port(network, 0), "localhost", "by name", 5000, &outcomes[2]);
    await_held(3);
    answer_as_broker(2);
    run_until(is_answered, &outcomes[2]);
    ck_assert_str_eq(outcomes[2].body, "by name");
    finish_peers(peers);
}
END_TEST

START_TEST(a_late_answer_times_out_and_takes_the_connection_with_it) {
    struct network_config config = test_config();
    start(&config);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1};
    struct peers *peers = peers_create(loop, &peers_config);
    struct outcome outcomes[2] = {0};
    send_to(peers, network_port(network, 0), "127.0.0.1", "patient", 5000, &outcomes[0]);
    send_to(peers, network_port(network, 0), "127.0.0.1", "hasty", 30, &outcomes[1]);
    run_until(is_answered, &outcomes[1]);
    ck_assert_int_eq(outcomes[0].error, ERR_DISCONNECTED);
    ck_assert_int_eq(outcomes[1].error, ERR_TIMED_OUT);
    ck_assert_int_lt(outcomes[0].order, outcomes[1].order);
    finish_peers(peers);
}
END_TEST

/* What the simulator showed: after a plain close the kernel would deliver the old request behind newer ones. */
START_TEST(a_request_given_up_is_not_delivered_later) {
    struct network_config config = test_config();
    start(&config);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1};
    struct peers *peers = peers_create(loop, &peers_config);
    struct outcome outcome = {0};
    send_to(peers, ntohs(address.sin_port), "127.0.0.1", "nobody reads this", 50, &outcome);
    run_until(is_answered, &outcome);
    ck_assert_int_eq(outcome.error, ERR_TIMED_OUT);
    int accepted = accept(listener, NULL, NULL);
    ck_assert_int_ge(accepted, 0);
    char bytes[256];
    ssize_t count;
    do {
        count = recv(accepted, bytes, sizeof bytes, 0);
    } while (count > 0);
    ck_assert_int_eq(count, -1);
    ck_assert_int_eq(errno, ECONNRESET);
    close(accepted);
    close(listener);
    finish_peers(peers);
}
END_TEST

START_TEST(nobody_listening_is_a_disconnection_told_after_the_send) {
    struct network_config config = test_config();
    start(&config);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1};
    struct peers *peers = peers_create(loop, &peers_config);
    int32_t port = network_port(network, 0);
    network_stop_accepting(network);
    struct outcome outcome = {0};
    send_to(peers, port, "127.0.0.1", "anyone", 5000, &outcome);
    ck_assert_int_eq(outcome.calls, 0);
    run_until(is_answered, &outcome);
    ck_assert_int_eq(outcome.error, ERR_DISCONNECTED);
    struct outcome unknown = {0};
    send_to(peers, port, "no-such-host.invalid", "anyone", 5000, &unknown);
    run_until(is_answered, &unknown);
    ck_assert_int_lt(unknown.error, 0);
    finish_peers(peers);
}
END_TEST

static int unreached_told;
static int reached_told;
static void note_reach(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)context;
    unreached_told +=
        strstr(line, "Connection to node 7 (127.0.0.1:") != NULL && strstr(line, "could not be established") != NULL;
    reached_told += strstr(line, "is established again") != NULL;
}
static bool is_reached_told(void *context) {
    (void)context;
    return reached_told > 0;
}

START_TEST(a_node_that_cannot_be_reached_makes_one_line_and_one_when_it_can) {
    struct network_config config = test_config();
    start(&config);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1};
    struct peers *peers = peers_create(loop, &peers_config);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* has a port and refuses until it listens */
    ck_assert_int_eq(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    trace_set_level(TRACE_INFO);
    trace_set_sink(note_reach, NULL);
    for (int i = 0; i < 5; i++) {
        struct outcome outcome = {0};
        send_to(peers, ntohs(address.sin_port), "127.0.0.1", "anyone", 5000, &outcome);
        run_until(is_answered, &outcome);
        ck_assert_int_eq(outcome.error, ERR_DISCONNECTED);
    }
    ck_assert_int_eq(unreached_told, 1);
    ck_assert_int_eq(listen(descriptor, 1), 0);
    struct outcome outcome = {0};
    send_to(peers, ntohs(address.sin_port), "127.0.0.1", "anyone", 5000, &outcome);
    run_until(is_reached_told, NULL);
    ck_assert_int_eq(reached_told, 1);
    trace_set_sink(NULL, NULL);
    close(descriptor);
    finish_peers(peers);
}
END_TEST

START_TEST(a_dropped_channel_ends_its_requests_and_the_next_send_connects_anew) {
    struct network_config config = test_config();
    start(&config);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1};
    struct peers *peers = peers_create(loop, &peers_config);
    struct outcome outcomes[2] = {0};
    send_to(peers, network_port(network, 0), "127.0.0.1", "lost", 5000, &outcomes[0]);
    await_held(1);
    transport_disconnect(peers_transport(peers), 7, CHANNEL_CONTROL);
    ck_assert_int_eq(outcomes[0].calls, 0);
    send_to(peers, network_port(network, 0), "127.0.0.1", "again", 5000, &outcomes[1]);
    await_held(2);
    answer_as_broker(1);
    run_until(is_answered, &outcomes[1]);
    ck_assert_int_eq(outcomes[0].error, ERR_DISCONNECTED);
    ck_assert_str_eq(outcomes[1].body, "again");
    peers_close(peers);
    struct outcome late = {0};
    send_to(peers, network_port(network, 0), "127.0.0.1", "late", 5000, &late);
    run_until(is_answered, &late);
    ck_assert_int_eq(late.error, ERR_CLOSING);
    finish_peers(peers);
}
END_TEST

/* "two.homes" has the addresses 127.0.0.2 and 127.0.0.1, in this order; other names are the system's. */
static struct addrinfo *resolve_numeric(const char *address, const char *service) {
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    ck_assert_int_eq(getaddrinfo(address, service, &hints, &found), 0);
    return found;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (host == NULL || strcmp(host, "two.homes") != 0) {
        if (real == NULL) {
            *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        }
        return real(host, service, hints, ret);
    }
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    *ret = resolve_numeric("127.0.0.2", service);
    (*ret)->ai_next = resolve_numeric("127.0.0.1", service);
    return 0;
}

/* A place that drops who comes: its queue of connections is full. */
struct black_hole {
    int listener;
    int fillers[4];
};

static void dig(struct black_hole *hole, const char *host, int32_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    ck_assert_int_eq(inet_pton(AF_INET, host, &address.sin_addr), 1);
    hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(hole->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(hole->listener, 0), 0);
    for (size_t i = 0; i < ARRAY_SIZE(hole->fillers); i++) {
        hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int status = connect(hole->fillers[i], (struct sockaddr *)&address, sizeof address);
        ck_assert(status == 0 || errno == EINPROGRESS);
    }
}

static void fill_in(struct black_hole *hole) {
    close(hole->listener);
    for (size_t i = 0; i < ARRAY_SIZE(hole->fillers); i++) {
        close(hole->fillers[i]);
    }
}

START_TEST(an_address_that_drops_what_it_is_sent_is_given_up_for_the_next_one) {
    struct network_config config = test_config();
    struct black_hole hole;
    start(&config);
    int32_t port = network_port(network, 0);
    dig(&hole, "127.0.0.2", port);
    struct peers_config peers_config = {
        .socket_receive_buffer_bytes = -1, .connection_setup_timeout_ms = 50, .connection_setup_timeout_max_ms = 100};
    struct peers *peers = peers_create(loop, &peers_config);
    struct outcome outcome = {0};
    send_to(peers, port, "two.homes", "at last", 60000, &outcome);
    await_held(1);
    answer_as_broker(0);
    run_until(is_answered, &outcome);
    ck_assert_int_eq(outcome.error, 0);
    ck_assert_str_eq(outcome.body, "at last");
    fill_in(&hole);
    finish_peers(peers);
}
END_TEST

START_TEST(a_request_that_ends_before_the_attempt_leaves_the_next_address_to_the_next_request) {
    struct network_config config = test_config();
    struct black_hole hole;
    start(&config);
    int32_t port = network_port(network, 0);
    dig(&hole, "127.0.0.2", port);
    struct peers_config peers_config = {.socket_receive_buffer_bytes = -1,
                                        .connection_setup_timeout_ms = 60000,
                                        .connection_setup_timeout_max_ms = 60000};
    struct peers *peers = peers_create(loop, &peers_config);
    struct outcome outcomes[3] = {0};
    send_to(peers, port, "two.homes", "too soon", 50, &outcomes[0]);
    run_until(is_answered, &outcomes[0]);
    ck_assert_int_eq(outcomes[0].error, ERR_TIMED_OUT);
    for (int i = 1; i < 3; i++) { /* and what was found good is begun with the next time */
        send_to(peers, port, "two.homes", "reached", 60000, &outcomes[i]);
        await_held(i);
        answer_as_broker(i - 1);
        run_until(is_answered, &outcomes[i]);
        ck_assert_int_eq(outcomes[i].error, 0);
        transport_disconnect(peers_transport(peers), 7, CHANNEL_CONTROL);
    }
    fill_in(&hole);
    finish_peers(peers);
}
END_TEST

START_TEST(attempts_take_twice_as_long_with_each_failure_up_to_the_bound) {
    struct reach reach = {0};
    static const int64_t expected_ms[] = {10, 20, 40, 70, 70};
    for (size_t i = 0; i < ARRAY_SIZE(expected_ms); i++) {
        ck_assert_int_eq(reach_timeout_ms(&reach, 1, CHANNEL_FETCH, 10, 70), expected_ms[i]);
        ck_assert_int_eq(reach_start(&reach, 1, CHANNEL_FETCH), (int)i);
        ck_assert_int_eq(reach_timeout_ms(&reach, 1, CHANNEL_CONTROL, 10, 70), 10);
        reach_note_failure(&reach, 1, CHANNEL_FETCH);
    }
    reach_note_success(&reach, 1, CHANNEL_FETCH);
    ck_assert_int_eq(reach_timeout_ms(&reach, 1, CHANNEL_FETCH, 10, 70), 10);
    ck_assert_int_eq(reach_start(&reach, 1, CHANNEL_FETCH), (int)ARRAY_SIZE(expected_ms));
    for (int32_t id = 2; id < 2 + REACH_MAX; id++) {
        reach_note_failure(&reach, id, CHANNEL_FETCH);
    }
    ck_assert_int_eq(reach.count, REACH_MAX);
    ck_assert_int_eq(reach_start(&reach, 1, CHANNEL_FETCH), 0);
    reach_deinit(&reach);
}
END_TEST

/* The loop itself. */
static int ran[8];
static int ran_count;
static void note(void *context) {
    ran[ran_count++] = *(int *)context;
}
static bool has_run(void *context) {
    return ran_count >= *(int *)context;
}
static void add_ten(void *context) {
    *(int *)context += 10;
}

START_TEST(posted_tasks_run_in_order_and_spawned_work_comes_back) {
    struct network_config config = test_config();
    start(&config);
    int one = 1;
    int two = 2;
    int three = 3;
    ran_count = 0;
    clock_post(loop_clock(loop), note, &one);
    clock_post(loop_clock(loop), note, &two);
    ck_assert_int_eq(ran_count, 0);
    int want = 2;
    run_until(has_run, &want);
    ck_assert_int_eq(ran[0], 1);
    ck_assert_int_eq(ran[1], 2);
    clock_spawn(loop_clock(loop), add_ten, note, &three);
    want = 3;
    run_until(has_run, &want);
    ck_assert_int_eq(ran[2], 13);
    finish();
}
END_TEST

static struct timer early;
static struct timer late;
static int64_t fired_ms[2];
static void on_early(struct timer *timer) {
    (void)timer;
    fired_ms[0] = clock_now_ms(loop_clock(loop));
}
static void on_late(struct timer *timer) {
    (void)timer;
    fired_ms[1] = clock_now_ms(loop_clock(loop));
}
static bool both_fired(void *context) {
    (void)context;
    return fired_ms[0] != 0 && fired_ms[1] != 0;
}

START_TEST(timers_fire_in_order_and_never_early) {
    struct network_config config = test_config();
    start(&config);
    int64_t begin_ms = clock_now_ms(loop_clock(loop));
    memset(fired_ms, 0, sizeof fired_ms);
    timer_start(loop_clock(loop), &late, 30, on_late);
    timer_start(loop_clock(loop), &early, 1000, on_early);
    timer_start(loop_clock(loop), &early, 10, on_early);
    run_until(both_fired, NULL);
    ck_assert_int_ge(fired_ms[0] - begin_ms, 10);
    ck_assert_int_ge(fired_ms[1] - begin_ms, 30);
    ck_assert_int_lt(fired_ms[0], fired_ms[1]);
    ck_assert(!timer_is_running(&early));
    finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_peer_gets_its_answers_in_order),
        TEST(a_late_answer_times_out_and_takes_the_connection_with_it),
        TEST(a_request_given_up_is_not_delivered_later),
        TEST(nobody_listening_is_a_disconnection_told_after_the_send),
        TEST(a_node_that_cannot_be_reached_makes_one_line_and_one_when_it_can),
        TEST(a_dropped_channel_ends_its_requests_and_the_next_send_connects_anew),
        TEST(an_address_that_drops_what_it_is_sent_is_given_up_for_the_next_one),
        TEST(a_request_that_ends_before_the_attempt_leaves_the_next_address_to_the_next_request),
        TEST(attempts_take_twice_as_long_with_each_failure_up_to_the_bound),
        TEST(posted_tasks_run_in_order_and_spawned_work_comes_back),
        TEST(timers_fire_in_order_and_never_early),
    };
    return run_tests("network peers", tests, sizeof tests / sizeof tests[0]);
}
