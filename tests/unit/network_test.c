/* The real loop, listeners, connections and peers against real sockets on loopback; everything on one thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/disk.h"
#include "broker/network/connection.h"
#include "broker/network/listener.h"
#include "broker/network/loop.h"
#include "broker/network/peer.h"
#include "tests/lib/runner.h"

#define HELD_MAX 4096
#define WAIT_MS 5000

/* A server that holds what it gets until the test answers. */
struct held {
    struct exchange *exchange;
    uint8_t *frame;
    size_t size;
    bool is_abandoned;
};

static struct loop *loop;
static struct network *network;
static struct held held[HELD_MAX];
static int held_count;
static int abandoned_count;
static int sent_count;
static bool answers_at_once;
static struct splice held_splice; /* given with the next answer when its file is set */

static void on_sent(void *owner) {
    sent_count++;
    free(owner);
}

static void on_abandoned(struct exchange *exchange) {
    for (int i = 0; i < held_count; i++) {
        if (held[i].exchange == exchange) {
            held[i].is_abandoned = true;
        }
    }
    abandoned_count++;
}

/* Sends the frame back. */
static void answer_held(int index) {
    struct exchange *exchange = held[index].exchange;
    size_t size = held[index].size + 4;
    size_t splice_at = (size + 15) & ~(size_t)15;
    uint8_t *bytes = xmalloc(splice_at + sizeof(struct splice));
    struct answer answer = {.bytes = bytes, .size = size, .on_sent = on_sent, .owner = bytes};
    memcpy(bytes + 4, held[index].frame, held[index].size);
    if (held_splice.records.file != NULL) {
        struct splice *splice = (struct splice *)(void *)(bytes + splice_at);
        memcpy(splice, &held_splice, sizeof *splice);
        answer.splices = splice;
        answer.splice_count = 1;
        size += (size_t)held_splice.records.size;
        held_splice.records.file = NULL;
    }
    store_i32(bytes, (int32_t)(size - 4));
    held[index].exchange = NULL;
    exchange->ops->answer(exchange, &answer);
}

static void on_frame(void *context, struct exchange *exchange, uint8_t *frame, size_t size) {
    (void)context;
    ck_assert_int_lt(held_count, HELD_MAX);
    exchange->on_abandoned = on_abandoned;
    held[held_count++] = (struct held){.exchange = exchange, .frame = frame, .size = size};
    if (answers_at_once) {
        answer_held(held_count - 1);
    }
}

static struct network_config test_config(void) {
    return (struct network_config){
        .socket_request_max_bytes = 8 * 1024 * 1024,
        .socket_send_buffer_bytes = 32 * 1024,
        .socket_receive_buffer_bytes = -1,
        .socket_listen_backlog_size = 50,
        .connections_max_idle_ms = 600000,
        .max_connections = 100,
        .max_connections_per_ip = 100,
        .on_frame = on_frame,
    };
}

static void start(const struct network_config *config) {
    char *message = NULL;
    held_count = 0;
    abandoned_count = 0;
    sent_count = 0;
    answers_at_once = false;
    held_splice.records.file = NULL;
    trace_set_level(TRACE_FATAL);
    loop = loop_create(2);
    network = network_create(loop, config);
    ck_assert_int_eq(network_listen(network, 0, false, "127.0.0.1", 0, &message), 0);
    ck_assert_int_eq(network_listen(network, 1, true, "127.0.0.1", 0, &message), 0);
    network_start_accepting(network);
}

static void finish(void) {
    network_close_connections(network);
    for (int i = 0; i < held_count; i++) {
        if (held[i].exchange != NULL) {
            answer_held(i);
        }
    }
    network_destroy(network);
    loop_destroy(loop);
}

/* Runs the loop until the condition holds; a test that waits too long fails. */
struct wish {
    struct timer timer;
    bool (*is_fulfilled)(void *context);
    void *context;
    int64_t deadline_ms;
    bool is_late;
};

static void on_wish_timer(struct timer *timer) {
    struct wish *wish = CONTAINER_OF(timer, struct wish, timer);
    if (wish->is_fulfilled(wish->context)) {
        loop_stop(loop);
    } else if (clock_now_ms(loop_clock(loop)) >= wish->deadline_ms) {
        wish->is_late = true;
        loop_stop(loop);
    } else {
        timer_start(loop_clock(loop), timer, 1, on_wish_timer);
    }
}

static void run_until(bool (*is_fulfilled)(void *context), void *context) {
    struct wish wish = {.is_fulfilled = is_fulfilled, .context = context};
    wish.deadline_ms = clock_now_ms(loop_clock(loop)) + WAIT_MS;
    timer_start(loop_clock(loop), &wish.timer, 0, on_wish_timer);
    loop_run(loop);
    ck_assert(!wish.is_late);
}

static bool has_held(void *context) {
    return held_count >= *(int *)context;
}

static bool never(void *context) {
    return clock_now_ms(loop_clock(loop)) >= *(int64_t *)context;
}

static void run_for(int64_t duration_ms) {
    int64_t until_ms = clock_now_ms(loop_clock(loop)) + duration_ms;
    run_until(never, &until_ms);
}

static int connect_to(int32_t port) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(fcntl(descriptor, F_SETFL, O_NONBLOCK), 0);
    return descriptor;
}

static int connect_client(void) {
    return connect_to(network_port(network, 0));
}

struct transfer {
    int descriptor;
    uint8_t *bytes;
    size_t size;
    size_t done;
    bool is_closed;
};

static bool send_some(void *context) {
    struct transfer *t = context;
    while (t->done < t->size) {
        ssize_t n = send(t->descriptor, t->bytes + t->done, t->size - t->done, MSG_NOSIGNAL);
        if (n < 0) {
            t->is_closed = errno != EAGAIN;
            return t->is_closed;
        }
        t->done += (size_t)n;
    }
    return true;
}

static bool receive_some(void *context) {
    struct transfer *t = context;
    while (t->done < t->size) {
        ssize_t n = recv(t->descriptor, t->bytes + t->done, t->size - t->done, 0);
        if (n <= 0) {
            t->is_closed = n == 0 || errno != EAGAIN;
            return t->is_closed;
        }
        t->done += (size_t)n;
    }
    return true;
}

static void send_frame(int descriptor, const void *body, size_t size) {
    struct transfer t = {.descriptor = descriptor, .size = size + 4};
    t.bytes = xmalloc(t.size);
    store_i32(t.bytes, (int32_t)size);
    memcpy(t.bytes + 4, body, size);
    run_until(send_some, &t);
    ck_assert(!t.is_closed);
    free(t.bytes);
}

/* The next frame's body; the caller frees it. */
static uint8_t *receive_frame(int descriptor, size_t *ret_size) {
    uint8_t prefix[4];
    struct transfer head = {.descriptor = descriptor, .bytes = prefix, .size = 4};
    run_until(receive_some, &head);
    ck_assert(!head.is_closed);
    struct transfer body = {.descriptor = descriptor, .size = (size_t)load_i32(prefix)};
    body.bytes = xmalloc(body.size + 1);
    run_until(receive_some, &body);
    ck_assert(!body.is_closed);
    *ret_size = body.size;
    return body.bytes;
}

static void expect_frame(int descriptor, const void *wanted, size_t size) {
    size_t got;
    uint8_t *body = receive_frame(descriptor, &got);
    ck_assert_uint_eq(got, size);
    ck_assert_mem_eq(body, wanted, size);
    free(body);
}

static void expect_end(int descriptor) {
    uint8_t byte;
    struct transfer t = {.descriptor = descriptor, .bytes = &byte, .size = 1};
    run_until(receive_some, &t);
    ck_assert(t.is_closed);
    close(descriptor);
}

static void await_held(int count) {
    run_until(has_held, &count);
}

START_TEST(answers_leave_in_the_order_of_their_frames) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    send_frame(client, "first", 5);
    send_frame(client, "second", 6);
    send_frame(client, "third", 5);
    await_held(3);
    answer_held(2);
    answer_held(1);
    answer_held(0);
    expect_frame(client, "first", 5);
    expect_frame(client, "second", 6);
    expect_frame(client, "third", 5);
    ck_assert_int_eq(sent_count, 3);
    close(client);
    finish();
}
END_TEST

START_TEST(a_frame_may_come_byte_by_byte) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    uint8_t bytes[4 + 3000];
    store_i32(bytes, 3000);
    memset(bytes + 4, 'x', 3000);
    for (size_t i = 0; i < sizeof bytes; i += i < 8 ? 1 : 499) {
        size_t part = MIN(i < 8 ? 1 : 499, sizeof bytes - i);
        ck_assert_int_eq(send(client, bytes + i, part, 0), (ssize_t)part);
        run_for(1);
    }
    await_held(1);
    answer_held(0);
    expect_frame(client, bytes + 4, 3000);
    close(client);
    finish();
}
END_TEST

START_TEST(large_frames_arrive_whole_and_stay_writable_until_answered) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    size_t size = 3 * 1024 * 1024;
    uint8_t *body = xmalloc(size);
    for (size_t i = 0; i < size; i++) {
        body[i] = (uint8_t)(i * 31 >> 3);
    }
    send_frame(client, body, size);
    send_frame(client, "behind", 6);
    await_held(2);
    ck_assert_mem_eq(held[0].frame, body, size);
    held[0].frame[7] = 0xee;
    body[7] = 0xee;
    answer_held(1);
    answer_held(0);
    expect_frame(client, body, size);
    expect_frame(client, "behind", 6);
    free(body);
    close(client);
    finish();
}
END_TEST

START_TEST(a_file_region_goes_out_in_its_place) {
    struct network_config config = test_config();
    start(&config);
    char path[] = "/tmp/network_test_XXXXXX";
    int made = mkstemp(path);
    ck_assert_int_ge(made, 0);
    close(made);
    struct disk_file *file;
    ck_assert_int_eq(disk_open(disk_posix(), path, DISK_WRITE, &file), 0);
    size_t size = 2 * 1024 * 1024;
    uint8_t *content = xmalloc(size);
    for (size_t i = 0; i < size; i++) {
        content[i] = (uint8_t)(i * 7 >> 2);
    }
    ck_assert_int_eq(disk_write(file, content, size, 0), 0);
    int client = connect_client();
    send_frame(client, "headtail", 8);
    await_held(1);
    held_splice = (struct splice){.at = 8, .records = {.size = (int32_t)size - 100, .file = disk_file_ref(file)}};
    held_splice.records.position = 100;
    answer_held(0);
    size_t got;
    uint8_t *body = receive_frame(client, &got);
    ck_assert_uint_eq(got, size - 100 + 8);
    ck_assert_mem_eq(body, "head", 4);
    ck_assert_mem_eq(body + 4, content + 100, size - 100);
    ck_assert_mem_eq(body + 4 + size - 100, "tail", 4);
    ck_assert_int_eq(file->references, 1);
    free(body);
    free(content);
    disk_file_unref(file);
    unlink(path);
    close(client);
    finish();
}
END_TEST

START_TEST(a_region_cut_short_ends_the_connection) {
    struct network_config config = test_config();
    start(&config);
    char path[] = "/tmp/network_test_XXXXXX";
    close(mkstemp(path));
    struct disk_file *file;
    ck_assert_int_eq(disk_open(disk_posix(), path, DISK_WRITE, &file), 0);
    ck_assert_int_eq(disk_write(file, "short", 5, 0), 0);
    int client = connect_client();
    send_frame(client, "headtail", 8);
    await_held(1);
    held_splice = (struct splice){.at = 8, .records = {.size = 1000, .file = disk_file_ref(file)}};
    answer_held(0);
    uint8_t bytes[64];
    struct transfer t = {.descriptor = client, .bytes = bytes, .size = sizeof bytes};
    run_until(receive_some, &t);
    ck_assert(t.is_closed);
    ck_assert_int_eq(file->references, 1);
    ck_assert_int_eq(sent_count, 1);
    disk_file_unref(file);
    unlink(path);
    close(client);
    finish();
}
END_TEST

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

START_TEST(what_was_asked_before_a_malformed_frame_is_answered) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    send_frame(client, "good", 4);
    uint8_t prefix[4];
    store_i32(prefix, -5);
    ck_assert_int_eq(send(client, prefix, 4, 0), 4);
    await_held(1);
    run_for(5);
    answer_held(0);
    expect_frame(client, "good", 4);
    expect_end(client);
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

START_TEST(a_vanished_client_abandons_what_waits) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    send_frame(client, "first", 5);
    send_frame(client, "second", 6);
    await_held(2);
    close(client);
    int want = 2;
    for (int i = 0; i < 1000 && abandoned_count < want; i++) {
        run_for(1);
    }
    ck_assert_int_eq(abandoned_count, 2);
    ck_assert(held[0].is_abandoned && held[1].is_abandoned);
    ck_assert_int_eq(network_connection_count(network), 0);
    answer_held(0);
    ck_assert_int_eq(sent_count, 1);
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
    config.max_connections_per_ip = 1;
    config.max_connections_per_ip_overrides = "::1:7, 127.0.0.1:2";
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
    config.max_connections = 2;
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
        TEST(answers_leave_in_the_order_of_their_frames),
        TEST(a_frame_may_come_byte_by_byte),
        TEST(large_frames_arrive_whole_and_stay_writable_until_answered),
        TEST(a_file_region_goes_out_in_its_place),
        TEST(a_region_cut_short_ends_the_connection),
        TEST(a_malformed_or_oversized_frame_closes_only_its_own_connection),
        TEST(what_was_asked_before_a_malformed_frame_is_answered),
        TEST(requests_in_flight_are_bounded_and_go_on_after_an_answer),
        TEST(a_client_that_does_not_listen_is_not_read),
        TEST(a_vanished_client_abandons_what_waits),
        TEST(idle_connections_are_closed_and_waiting_ones_are_not),
        TEST(connections_of_one_address_are_bounded),
        TEST(at_max_connections_clients_queue_and_a_broker_displaces_one),
        TEST(a_peer_gets_its_answers_in_order),
        TEST(a_late_answer_times_out_and_takes_the_connection_with_it),
        TEST(nobody_listening_is_a_disconnection_told_after_the_send),
        TEST(a_dropped_channel_ends_its_requests_and_the_next_send_connects_anew),
        TEST(posted_tasks_run_in_order_and_spawned_work_comes_back),
        TEST(timers_fire_in_order_and_never_early),
    };
    return run_tests("network", tests, sizeof tests / sizeof tests[0]);
}
