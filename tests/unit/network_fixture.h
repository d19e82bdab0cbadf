/* The real loop and network against real sockets on loopback, everything on one thread; and a server that holds what it
 * gets until the test answers. Included by the tests of network. */
#ifndef OTTLA_TESTS_NETWORK_FIXTURE_H
#define OTTLA_TESTS_NETWORK_FIXTURE_H

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

static inline void on_sent(void *owner) {
    sent_count++;
    free(owner);
}

static inline void on_abandoned(struct exchange *exchange) {
    for (int i = 0; i < held_count; i++) {
        if (held[i].exchange == exchange) {
            held[i].is_abandoned = true;
        }
    }
    abandoned_count++;
}

/* Sends the frame back. */
static inline void answer_held(int index) {
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

static inline void on_frame(void *context, struct exchange *exchange, uint8_t *frame, size_t size) {
    (void)context;
    ck_assert_int_lt(held_count, HELD_MAX);
    exchange->on_abandoned = on_abandoned;
    held[held_count++] = (struct held){.exchange = exchange, .frame = frame, .size = size};
    if (answers_at_once) {
        answer_held(held_count - 1);
    }
}

static inline struct network_config test_config(void) {
    return (struct network_config){
        .socket_request_max_bytes = 8 * 1024 * 1024,
        .socket_send_buffer_bytes = 32 * 1024,
        .socket_receive_buffer_bytes = -1,
        .socket_listen_backlog_size = 50,
        .connections_max_idle_ms = 600000,
        .frames_max_bytes = NETWORK_FRAMES_MAX_BYTES,
        .frame_stall_ms = NETWORK_FRAME_STALL_MS,
        .limits = {.max_connections = 100, .max_connections_per_ip = 100, .max_connection_creation_rate = INT32_MAX},
        .on_frame = on_frame,
    };
}

static inline void start(const struct network_config *config) {
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

/* One listener, which brokers and clients share. */
static inline void start_shared(const struct network_config *config) {
    char *message = NULL;
    start(config);
    network_stop_accepting(network);
    network_destroy(network);
    network = network_create(loop, config);
    ck_assert_int_eq(network_listen(network, 0, true, "127.0.0.1", 0, &message), 0);
    network_start_accepting(network);
}

static inline void finish(void) {
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

static inline void on_wish_timer(struct timer *timer) {
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

static inline void run_until(bool (*is_fulfilled)(void *context), void *context) {
    struct wish wish = {.is_fulfilled = is_fulfilled, .context = context};
    wish.deadline_ms = clock_now_ms(loop_clock(loop)) + WAIT_MS;
    timer_start(loop_clock(loop), &wish.timer, 0, on_wish_timer);
    loop_run(loop);
    ck_assert(!wish.is_late);
}

static inline bool has_held(void *context) {
    return held_count >= *(int *)context;
}

static inline bool never(void *context) {
    return clock_now_ms(loop_clock(loop)) >= *(int64_t *)context;
}

static inline void run_for(int64_t duration_ms) {
    int64_t until_ms = clock_now_ms(loop_clock(loop)) + duration_ms;
    run_until(never, &until_ms);
}

static inline int connect_to(int32_t port) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(fcntl(descriptor, F_SETFL, O_NONBLOCK), 0);
    return descriptor;
}

static inline int connect_client(void) {
    return connect_to(network_port(network, 0));
}

struct transfer {
    int descriptor;
    uint8_t *bytes;
    size_t size;
    size_t done;
    bool is_closed;
};

static inline bool send_some(void *context) {
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

static inline bool receive_some(void *context) {
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

static inline void send_frame(int descriptor, const void *body, size_t size) {
    struct transfer t = {.descriptor = descriptor, .size = size + 4};
    t.bytes = xmalloc(t.size);
    store_i32(t.bytes, (int32_t)size);
    memcpy(t.bytes + 4, body, size);
    run_until(send_some, &t);
    ck_assert(!t.is_closed);
    free(t.bytes);
}

/* The next frame's body; the caller frees it. */
static inline uint8_t *receive_frame(int descriptor, size_t *ret_size) {
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

static inline void expect_frame(int descriptor, const void *wanted, size_t size) {
    size_t got;
    uint8_t *body = receive_frame(descriptor, &got);
    ck_assert_uint_eq(got, size);
    ck_assert_mem_eq(body, wanted, size);
    free(body);
}

static inline void expect_end(int descriptor) {
    uint8_t byte;
    struct transfer t = {.descriptor = descriptor, .bytes = &byte, .size = 1};
    run_until(receive_some, &t);
    ck_assert(t.is_closed);
    close(descriptor);
}

static inline void await_held(int count) {
    run_until(has_held, &count);
}

#endif
