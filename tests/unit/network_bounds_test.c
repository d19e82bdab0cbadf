/* What a connection, an address and all connections together may cost. */
#include <dlfcn.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/network_fixture.h"

START_TEST(a_malformed_or_oversized_frame_closes_only_its_own_connection) {
    static const int32_t sizes[] = {-1, 0, 8 * 1024 * 1024 + 1, INT32_MAX};
    struct network_config config = test_config();
    start(&config);
    answers_at_once = true;
    int good = connect_client();
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        int bad = connect_client();
        uint8_t prefix[4];
        store_i32(prefix, sizes[i]);
        ck_assert_int_eq(send(bad, prefix, 4, 0), 4);
        expect_end(bad);
    }
    send_frame(good, "still", 5);
    expect_frame(good, "still", 5);
    ck_assert_int_eq(network_connection_count(network), 1);
    close(good);
    finish();
}
END_TEST

START_TEST(requests_in_flight_are_bounded_and_go_on_after_an_answer) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    const int count = CONNECTION_IN_FLIGHT_MAX * 2 + 7;
    for (int i = 0; i < count; i++) {
        uint8_t body[4];
        store_i32(body, i);
        send_frame(client, body, sizeof body);
    }
    run_for(20);
    ck_assert_int_eq(held_count, CONNECTION_IN_FLIGHT_MAX);
    for (int i = 0; i < count; i++) {
        await_held(i + 1);
        answer_held(i);
    }
    for (int i = 0; i < count; i++) {
        uint8_t body[4];
        store_i32(body, i);
        expect_frame(client, body, sizeof body);
    }
    close(client);
    finish();
}
END_TEST

START_TEST(a_client_that_does_not_listen_is_not_read) {
    struct network_config config = test_config();
    start(&config);
    answers_at_once = true;
    int client = connect_client();
    const int size = 64 * 1024;
    const int count = 200;
    struct transfer t = {.descriptor = client, .size = (size_t)(size + 4) * (size_t)count};
    t.bytes = xcalloc(1, t.size);
    for (int i = 0; i < count; i++) {
        store_i32(t.bytes + (size_t)i * (size_t)(size + 4), size);
        store_i32(t.bytes + (size_t)i * (size_t)(size + 4) + 4, i);
    }
    size_t before = t.size;
    while (t.done != before && !send_some(&t)) {
        before = t.done;
        run_for(50);
    }
    /* The kernel's buffers are full and the server holds no more than its bound and one read on top. */
    ck_assert_uint_lt(t.done, t.size);
    int bound = (int)((CONNECTION_OUTPUT_MAX_BYTES + (int64_t)CONNECTION_READ_BYTES) / size) + 1;
    ck_assert_int_le(held_count - sent_count, bound);
    for (int i = 0; i < count; i++) {
        send_some(&t);
        size_t got;
        uint8_t *answer = receive_frame(client, &got);
        ck_assert_int_eq(load_i32(answer), i);
        free(answer);
    }
    free(t.bytes);
    close(client);
    finish();
}
END_TEST

START_TEST(idle_connections_are_closed_and_waiting_ones_are_not) {
    struct network_config config = test_config();
    config.connections_max_idle_ms = 50;
    start(&config);
    int idle = connect_client();
    int busy = connect_client();
    send_frame(busy, "wait", 4);
    await_held(1);
    expect_end(idle);
    run_for(120);
    answer_held(0);
    expect_frame(busy, "wait", 4);
    expect_end(busy);
    finish();
}
END_TEST

START_TEST(connections_of_one_address_are_bounded) {
    struct network_config config = test_config();
    config.limits.max_connections_per_ip = 1;
    config.limits.max_connections_per_ip_overrides = "::1:7, 127.0.0.1:2";
    start(&config);
    answers_at_once = true;
    int first = connect_client();
    int second = connect_client();
    int third = connect_client();
    expect_end(third);
    send_frame(second, "here", 4);
    expect_frame(second, "here", 4);
    close(first);
    for (int i = 0; i < 1000 && network_connection_count(network) > 1; i++) {
        run_for(1);
    }
    int fourth = connect_client();
    send_frame(fourth, "room", 4);
    expect_frame(fourth, "room", 4);
    close(second);
    close(fourth);
    finish();
}
END_TEST

START_TEST(at_max_connections_clients_queue_and_a_broker_displaces_one) {
    struct network_config config = test_config();
    config.limits.max_connections = 2;
    start(&config);
    answers_at_once = true;
    int first = connect_client();
    int second = connect_client();
    send_frame(second, "second", 6);
    expect_frame(second, "second", 6);
    int queued = connect_client();
    send_frame(queued, "queued", 6);
    run_for(20);
    ck_assert_int_eq(held_count, 1);
    int broker = connect_to(network_port(network, 1));
    send_frame(broker, "broker", 6);
    expect_frame(broker, "broker", 6);
    expect_end(first);
    close(second);
    expect_frame(queued, "queued", 6);
    close(queued);
    close(broker);
    finish();
}
END_TEST

static void send_large(int descriptor, size_t announced, size_t sent) {
    struct transfer t = {.descriptor = descriptor, .size = sent + 4};
    t.bytes = xcalloc(1, t.size);
    store_i32(t.bytes, (int32_t)announced);
    run_until(send_some, &t);
    free(t.bytes);
}

START_TEST(bytes_in_flight_of_one_connection_are_bounded) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    const size_t size = 4 * 1024 * 1024;
    const int fit = (int)(CONNECTION_IN_FLIGHT_MAX_BYTES / (int64_t)size);
    for (int i = 0; i < fit; i++) {
        send_large(client, size, size);
    }
    await_held(fit);
    struct transfer more = {.descriptor = client, .size = size + 4};
    more.bytes = xcalloc(1, more.size);
    store_i32(more.bytes, (int32_t)size);
    run_for(20);
    (void)send_some(&more);
    run_for(20);
    ck_assert_int_eq(held_count, fit);
    ck_assert_int_le(network_frame_bytes(network), CONNECTION_IN_FLIGHT_MAX_BYTES + 2 * (int64_t)CONNECTION_READ_BYTES);
    answer_held(0);
    struct transfer answer = {.descriptor = client, .size = size + 4, .bytes = xmalloc(size + 4)};
    run_until(receive_some, &answer);
    run_until(send_some, &more);
    await_held(fit + 1);
    free(answer.bytes);
    free(more.bytes);
    close(client);
    finish();
}
END_TEST

START_TEST(memory_of_all_requests_is_bounded_and_brokers_are_served_beyond) {
    struct network_config config = test_config();
    config.frames_max_bytes = 1024 * 1024;
    start(&config);
    int large = connect_client();
    int small = connect_client();
    int broker = connect_to(network_port(network, 1));
    send_large(large, 1536 * 1024, 1536 * 1024);
    await_held(1);
    send_frame(small, "small", 5);
    send_frame(broker, "broker", 6);
    await_held(2);
    run_for(20);
    ck_assert_int_eq(held_count, 2);
    ck_assert_mem_eq(held[1].frame, "broker", 6);
    answer_held(0);
    await_held(3);
    ck_assert_mem_eq(held[2].frame, "small", 5);
    ck_assert_int_lt(network_frame_bytes(network), config.frames_max_bytes);
    close(large);
    close(small);
    close(broker);
    finish();
}
END_TEST

/* A connection that has used up what is read of it in any case: its first frame, which the server is given as index-th
 * and answers. */
static int connect_known(int index) {
    int descriptor = connect_client();
    send_large(descriptor, (size_t)CONNECTION_FIRST_BYTES, (size_t)CONNECTION_FIRST_BYTES);
    await_held(index + 1);
    return descriptor;
}

static void answer_first(int descriptor, int index) {
    size_t size;
    answer_held(index);
    free(receive_frame(descriptor, &size));
    ck_assert_uint_eq(size, (size_t)CONNECTION_FIRST_BYTES);
}

START_TEST(on_a_shared_listener_memory_is_bounded_for_all_but_brokers_and_the_first_bytes) {
    struct network_config config = test_config();
    config.frames_max_bytes = 1024 * 1024;
    start_shared(&config);
    int client = connect_known(0);
    answer_first(client, 0);
    int broker = connect_known(1);
    held[1].exchange->ops->is_of_broker(held[1].exchange);
    answer_first(broker, 1);
    int large = connect_client();
    send_large(large, 1536 * 1024, 1536 * 1024);
    await_held(3);
    send_frame(client, "client", 6);
    run_for(20);
    ck_assert_int_eq(held_count, 3);
    send_frame(broker, "broker", 6);
    await_held(4);
    ck_assert_mem_eq(held[3].frame, "broker", 6);
    /* A broker that comes back is known by its first frame. */
    int again = connect_client();
    send_frame(again, "again", 5);
    await_held(5);
    ck_assert_mem_eq(held[4].frame, "again", 5);
    /* Whoever is no broker gets no further than that and the end of a frame begun. */
    struct transfer more = {.descriptor = again, .size = 1024 * 1024, .bytes = xcalloc(1, 1024 * 1024)};
    for (size_t at = 0; at < more.size; at += 1024) {
        store_i32(more.bytes + at, 1020);
    }
    (void)send_some(&more);
    run_for(20);
    ck_assert_int_eq(held_count, 5 + (int)(CONNECTION_FIRST_BYTES / 1024));
    ck_assert_int_lt(network_frame_bytes(network), 1536 * 1024 + 3 * (int64_t)CONNECTION_READ_BYTES);
    answer_held(2);
    await_held(held_count + 1);
    free(more.bytes);
    close(client);
    close(broker);
    close(large);
    close(again);
    finish();
}
END_TEST

START_TEST(whoever_sends_slowly_keeps_memory_only_while_there_is_enough) {
    struct network_config config = test_config();
    config.frames_max_bytes = 1024 * 1024;
    config.frame_stall_ms = 50;
    start(&config);
    int slow = connect_client();
    int small = connect_client();
    send_large(slow, 4 * 1024 * 1024, 512 * 1024);
    run_for(120);
    send_frame(small, "first", 5); /* there is room: nobody is closed */
    await_held(1);
    ck_assert_int_eq(network_connection_count(network), 2);
    struct transfer more = {.descriptor = slow, .size = 768 * 1024, .bytes = xcalloc(1, 768 * 1024)};
    run_until(send_some, &more);
    expect_end(slow);
    send_frame(small, "second", 6);
    await_held(2);
    free(more.bytes);
    close(small);
    finish();
}
END_TEST

START_TEST(with_one_listener_max_connections_holds_for_everybody) {
    struct network_config config = test_config();
    config.limits.max_connections = 2;
    start_shared(&config);
    answers_at_once = true;
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_client();
        send_frame(clients[i], "here", 4);
    }
    await_held(2);
    run_for(20);
    ck_assert_int_eq(held_count, 2);
    close(clients[0]);
    expect_frame(clients[2], "here", 4);
    close(clients[1]);
    close(clients[2]);
    finish();
}
END_TEST

START_TEST(lowered_bounds_close_the_least_active_and_a_listener_has_its_own) {
    struct network_config config = test_config();
    start(&config);
    answers_at_once = true;
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_client();
        send_frame(clients[i], "here", 4);
        expect_frame(clients[i], "here", 4);
    }
    send_frame(clients[0], "active", 6);
    expect_frame(clients[0], "active", 6);
    config.limits.max_connections = 2;
    network_set_limits(network, &config.limits);
    expect_end(clients[1]);
    ck_assert_int_eq(network_connection_count(network), 2);
    config.limits.max_connections = 100;
    network_set_limits(network, &config.limits);
    network_set_listener_limits(network, 0, 2, INT32_MAX);
    int queued = connect_client();
    send_frame(queued, "queued", 6);
    run_for(20);
    ck_assert_int_eq(network_connection_count(network), 2);
    network_set_listener_limits(network, 0, 3, INT32_MAX);
    expect_frame(queued, "queued", 6);
    close(queued);
    close(clients[0]);
    close(clients[2]);
    finish();
}
END_TEST

START_TEST(connections_are_made_no_faster_than_the_rate) {
    struct admission admission;
    struct admission_listener clients = {.max_connections = INT32_MAX, .rate.per_second = INT32_MAX};
    struct admission_listener brokers = {
        .is_protected = true, .max_connections = INT32_MAX, .rate.per_second = INT32_MAX};
    struct address_count *addresses[64];
    int32_t max;
    int count = 0;
    admission_init(&admission);
    admission_set_limits(&admission, INT32_MAX, INT32_MAX, "", 4);
    for (int64_t now_ms = 1000; now_ms < 4000; now_ms++) {
        while (admission_wait_ms(&admission, &clients, now_ms) == 0) {
            addresses[count++] = admission_enter(&admission, &clients, "10.0.0.1", &max);
        }
        ck_assert_int_le(admission_wait_ms(&admission, &clients, now_ms), 250);
        ck_assert_int_le(count, 4 + (int)((now_ms - 1000) * 4 / 1000));
        ck_assert_int_eq(admission_wait_ms(&admission, &brokers, now_ms), 0);
    }
    ck_assert_int_eq(count, 4 + 11);
    brokers.rate.per_second = 0;
    ck_assert_int_gt(admission_wait_ms(&admission, &brokers, 4000), 0);
    while (count > 0) {
        admission_leave(&admission, &clients, addresses[--count]);
    }
    admission_deinit(&admission);
}
END_TEST

static int lookup_count;
static bool resolver_fails;

/* "known.host" has the address 10.0.0.9 while the resolver is well; other names are the system's. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    }
    if (host == NULL || strcmp(host, "known.host") != 0) {
        return real(host, service, hints, ret);
    }
    lookup_count++;
    return resolver_fails ? EAI_AGAIN : real("10.0.0.9", service, hints, ret);
}

static int32_t max_from(struct admission *admission, struct admission_listener *listener, const char *host) {
    int32_t max;
    struct address_count *address = admission_enter(admission, listener, host, &max);
    admission_leave(admission, listener, address);
    return max;
}

START_TEST(names_of_overrides_are_resolved_when_the_setting_changes_and_outlive_a_resolver_that_fails) {
    struct admission admission;
    struct admission_listener clients = {.max_connections = INT32_MAX, .rate.per_second = INT32_MAX};
    trace_set_level(TRACE_FATAL);
    admission_init(&admission);
    admission_set_limits(&admission, 100, 5, "known.host:1", INT32_MAX);
    ck_assert_int_eq(lookup_count, 1);
    admission_set_limits(&admission, 200, 6, "known.host:1", INT32_MAX);
    ck_assert_int_eq(lookup_count, 1);
    ck_assert_int_eq(admission.max_connections, 200);
    ck_assert_int_eq(max_from(&admission, &clients, "10.0.0.9"), 1);
    ck_assert_int_eq(max_from(&admission, &clients, "10.0.0.8"), 6);
    resolver_fails = true;
    admission_set_limits(&admission, 200, 6, "10.0.0.8:3, known.host:2", INT32_MAX);
    ck_assert_int_eq(lookup_count, 2);
    ck_assert_int_eq(max_from(&admission, &clients, "10.0.0.9"), 2);
    ck_assert_int_eq(max_from(&admission, &clients, "10.0.0.8"), 3);
    admission_set_limits(&admission, 200, 6, NULL, INT32_MAX);
    ck_assert_int_eq(max_from(&admission, &clients, "10.0.0.9"), 6);
    admission_deinit(&admission);
}
END_TEST

static int told_out;
static int told_again;
static void count_lines(enum trace_level level, const char *line, void *context) {
    (void)level, (void)context;
    told_out += strstr(line, "Accepting no more connections") != NULL;
    told_again += strstr(line, "Accepting connections again") != NULL;
}

static bool has_only(void *context) {
    return network_connection_count(network) == *(int *)context;
}

static bool has_told(void *context) {
    return *(int *)context > 0;
}

START_TEST(when_descriptors_run_out_accepting_pauses_and_says_so_once) {
    struct network_config config = test_config();
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start(&config);
    answers_at_once = true;
    told_out = told_again = 0;
    trace_set_level(TRACE_INFO);
    trace_set_sink(count_lines, NULL);
    int clients[32];
    int count = 0;
    /* Nobody accepts before the loop runs: all these descriptors are the clients'. */
    while (count < 32 && (count == 0 || clients[count - 1] < 40)) {
        clients[count++] = connect_client();
    }
    run_until(has_told, &told_out);
    run_for(5 * ADMISSION_DESCRIPTOR_PAUSE_MS);
    ck_assert_int_eq(told_out, 1);
    ck_assert_int_eq(told_again, 0);
    int spare = dup(clients[0]); /* the reserve is there */
    ck_assert_int_ge(spare, 0);
    close(spare);
    int served = network_connection_count(network);
    ck_assert_int_gt(served, 0);
    ck_assert_int_lt(served, count);
    for (int i = 0; i < count; i++) {
        close(clients[i]);
    }
    /* Those still queueing come and go, at the edge again perhaps, without another line. */
    int nobody = 0;
    run_until(has_only, &nobody);
    int late = connect_client();
    send_frame(late, "served", 6);
    expect_frame(late, "served", 6);
    ck_assert_int_eq(told_out, 1);
    ck_assert_int_eq(told_again, 1);
    trace_set_sink(NULL, NULL);
    close(late);
    finish();
}
END_TEST

#define IDLE_CONNECTIONS 10000
/* Our own memory for a connection that asks nothing; the kernel's comes on top. */
#define IDLE_CONNECTION_BYTES_MAX 1024

/* The other ends live in a process of their own: both do not fit into one table of descriptors. */
static pid_t connect_in_child(int32_t port, int count) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0) {
        return child;
    }
    for (int i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
            _exit(1);
        }
    }
    pause();
    _exit(0);
}

static bool are_connected(void *context) {
    return network_connection_count(network) >= *(int *)context;
}

START_TEST(ten_thousand_idle_connections_cost_a_kilobyte_each) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    /* Where the system allows fewer, as many as it does. */
    int count = (int)MIN((rlim_t)IDLE_CONNECTIONS, limit.rlim_max - limit.rlim_max / 4 - 64);
    struct network_config config = test_config();
    config.limits.max_connections = config.limits.max_connections_per_ip = INT32_MAX;
    config.socket_listen_backlog_size = 1024;
    start(&config);
    answers_at_once = true;
    struct mallinfo2 before = mallinfo2();
    pid_t child = connect_in_child(network_port(network, 0), count);
    run_until(are_connected, &count);
    struct mallinfo2 after = mallinfo2();
    ck_assert_uint_lt((after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / (size_t)count,
                      IDLE_CONNECTION_BYTES_MAX);
    int client = connect_client();
    send_frame(client, "still served", 12);
    expect_frame(client, "still served", 12);
    close(client);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_malformed_or_oversized_frame_closes_only_its_own_connection),
        TEST(requests_in_flight_are_bounded_and_go_on_after_an_answer),
        TEST(a_client_that_does_not_listen_is_not_read),
        TEST(idle_connections_are_closed_and_waiting_ones_are_not),
        TEST(connections_of_one_address_are_bounded),
        TEST(at_max_connections_clients_queue_and_a_broker_displaces_one),
        TEST(bytes_in_flight_of_one_connection_are_bounded),
        TEST(memory_of_all_requests_is_bounded_and_brokers_are_served_beyond),
        TEST(on_a_shared_listener_memory_is_bounded_for_all_but_brokers_and_the_first_bytes),
        TEST(whoever_sends_slowly_keeps_memory_only_while_there_is_enough),
        TEST(with_one_listener_max_connections_holds_for_everybody),
        TEST(lowered_bounds_close_the_least_active_and_a_listener_has_its_own),
        TEST(connections_are_made_no_faster_than_the_rate),
        TEST(names_of_overrides_are_resolved_when_the_setting_changes_and_outlive_a_resolver_that_fails),
        TEST(when_descriptors_run_out_accepting_pauses_and_says_so_once),
        TEST(ten_thousand_idle_connections_cost_a_kilobyte_each),
    };
    return run_tests("network bounds", tests, sizeof tests / sizeof tests[0]);
}
