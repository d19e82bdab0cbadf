/* Any bytes through a real connection: accepted, read in pieces, cut into frames, answered at once, late, out of turn
 * or not at all. What comes back must be the answers, each whole, in the order of the frames.
 *
 * The first byte of the input seeds the sizes of the pieces. A frame's first byte says what its server does with it. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "broker/network/listener.h"
#include "broker/network/loop.h"

#define FRAME_MAX_BYTES 1024
#define LATE_MAX 64
#define STREAM_MAX 4096
#define IDLE_TURNS_MAX 5000 /* most of them of a millisecond */

enum { NOW, LATE, NOTHING, CLOSE, WAYS };

struct held {
    struct exchange *exchange;
    struct answer answer;
};

static struct loop *loop;
static struct network *network;
static struct held late[LATE_MAX];
static int late_count;

static void say_nothing(enum trace_level level, const char *line, void *context) {
    (void)level, (void)line, (void)context;
}

static void on_sent(void *owner) {
    free(owner);
}

/* The frame comes back as it was. */
static struct answer echo(const uint8_t *frame, size_t size) {
    uint8_t *bytes = xmalloc(size + 4);
    struct writer w = writer_of(bytes, size + 4);
    writer_i32(&w, (int32_t)size);
    memcpy(bytes + 4, frame, size);
    return (struct answer){.bytes = bytes, .size = size + 4, .on_sent = on_sent, .owner = bytes};
}

static void on_frame(void *context, struct exchange *exchange, uint8_t *frame, size_t size) {
    (void)context;
    CHECK(size >= 4 && size <= FRAME_MAX_BYTES);
    int way = frame[0] % WAYS;
    if (way == NOTHING) {
        exchange->ops->answer_nothing(exchange);
    } else if (way == CLOSE) {
        exchange->ops->close(exchange);
    } else if (way == LATE && late_count < LATE_MAX) {
        late[late_count++] = (struct held){exchange, echo(frame, size)};
    } else {
        struct answer answer = echo(frame, size);
        exchange->ops->answer(exchange, &answer);
    }
}

/* The last first. */
static void answer_late(void) {
    while (late_count > 0) {
        struct held *held = &late[--late_count];
        held->exchange->ops->answer(held->exchange, &held->answer);
    }
}

static void turn(void) {
    ev_run(loop_ev(loop), EVRUN_NOWAIT);
}

/* The kernel may take its time to hand over what was sent. */
static void wait_a_little(int client, int *turns) {
    struct pollfd poll_client = {.fd = client, .events = POLLIN};
    CHECK((*turns)++ < IDLE_TURNS_MAX);
    poll(&poll_client, 1, *turns < 100 ? 0 : 1);
}

static void start(void) {
    char *message = NULL;
    struct network_config config = {
        .socket_request_max_bytes = FRAME_MAX_BYTES,
        .socket_send_buffer_bytes = -1,
        .socket_receive_buffer_bytes = -1,
        .socket_listen_backlog_size = 50,
        .frames_max_bytes = NETWORK_FRAMES_MAX_BYTES,
        .frame_stall_ms = NETWORK_FRAME_STALL_MS,
        .limits = {.max_connections = ADMISSION_UNLIMITED,
                   .max_connections_per_ip = ADMISSION_UNLIMITED,
                   .max_connection_creation_rate = ADMISSION_UNLIMITED},
        .on_frame = on_frame,
    };
    trace_set_sink(say_nothing, NULL);
    loop = loop_create(1);
    network = network_create(loop, &config);
    CHECK(network_listen(network, 0, false, "127.0.0.1", 0, &message) == 0);
    network_start_accepting(network);
}

static int connect_client(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)network_port(network, 0)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* Reset instead of waiting: a million connections would use up the ports. */
    struct linger linger = {.l_onoff = 1};
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(client >= 0);
    int result;
    do { /* libFuzzer's alarm, which watches over the time, cuts it short now and then */
        result = connect(client, (struct sockaddr *)&address, sizeof address);
    } while (result != 0 && errno == EINTR);
    CHECK(result == 0);
    int on = 1;
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    CHECK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return client;
}

/* What should come back, in order; false in *ret_is_whole when the stream ends in a bad frame or a close. */
static size_t expect(const uint8_t *data, size_t size, uint8_t *ret_answers, bool *ret_is_whole) {
    size_t answers_size = 0;
    size_t at = 0;
    *ret_is_whole = true;
    while (size - at >= 4) {
        int32_t length = load_i32(data + at);
        if (length < 4 || length > FRAME_MAX_BYTES) {
            *ret_is_whole = false;
            break;
        }
        if (size - at - 4 < (size_t)length) {
            break;
        }
        int way = data[at + 4] % WAYS;
        if (way == CLOSE) {
            *ret_is_whole = false;
            break;
        }
        if (way != NOTHING) {
            memcpy(ret_answers + answers_size, data + at, (size_t)length + 4);
            answers_size += (size_t)length + 4;
        }
        at += (size_t)length + 4;
    }
    return answers_size;
}

/* False when the broker has closed. */
static bool receive(int client, uint8_t *to, size_t room, size_t *size) {
    ssize_t got = recv(client, to + *size, room - *size, MSG_DONTWAIT);
    *size += got > 0 ? (size_t)got : 0;
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

static void try_stream(const uint8_t *data, size_t size, uint64_t seed) {
    static uint8_t expected[STREAM_MAX];
    static uint8_t received[STREAM_MAX + 1];
    bool is_whole;
    size_t expected_size = expect(data, size, expected, &is_whole);
    size_t received_size = 0;
    struct random random;
    random_seed(&random, seed);
    int client = connect_client();
    for (size_t at = 0; at < size;) {
        size_t piece = 1 + (size_t)random_below(&random, random_below(&random, 2) == 0 ? 7 : 600);
        piece = MIN(piece, size - at);
        ssize_t sent = send(client, data + at, piece, MSG_NOSIGNAL);
        if (sent < 0) {
            CHECK(!is_whole && (errno == EPIPE || errno == ECONNRESET));
            break;
        }
        at += (size_t)sent;
        turn();
        if (random_below(&random, 3) == 0) {
            answer_late();
        }
    }
    bool hangs_up = random_below(&random, 4) == 0; /* with answers outstanding */
    bool is_open = true;
    /* A stream that ends well leaves the connection open; any other is closed by the broker. */
    int turns = 0;
    while (!hangs_up && is_open && (received_size < expected_size || !is_whole)) {
        wait_a_little(client, &turns);
        turn();
        answer_late();
        is_open = receive(client, received, sizeof received, &received_size);
    }
    receive(client, received, sizeof received, &received_size);
    CHECK(received_size <= expected_size && memcmp(received, expected, received_size) == 0);
    CHECK(hangs_up || !is_whole || (is_open && received_size == expected_size));
    close(client);
    for (turns = 0; network_connection_count(network) > 0;) {
        wait_a_little(-1, &turns);
        turn();
        if (turns > 50) {
            answer_late(); /* it was not being read for all that was in flight: only an answer shows who has gone */
        }
    }
    answer_late();
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (loop == NULL) {
        start();
    }
    if (size > 1 && size <= STREAM_MAX) {
        try_stream(data + 1, size - 1, data[0]);
    }
    return 0;
}
