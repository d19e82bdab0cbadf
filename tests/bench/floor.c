/* The floor: the least a program could cost that does a broker's work. Framing, one CRC, one pwrite a request, a wait
 * for the followers, sendfile; nothing else. No topics (whatever name is asked for, there is one), no metadata, no
 * errors but one, no index on disk, no recovery. It speaks what load.c speaks, and stands beside the broker in every
 * benchmark, so that "so many times the floor" is taken in the same minutes on the same machine.
 *
 *   floor lead   PORT DIRECTORY PARTITIONS FOLLOWERS [no-crc] [no-replication]
 *   floor follow LEADER_PORT DIRECTORY PARTITIONS NUMBER [no-crc]
 *
 * Logs are DIRECTORY/PARTITION.log. The words at the end make it lie, to prove that the harness finds out. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "tests/bench/wire.h"

#define PARTITIONS_MAX 64
#define FOLLOWERS_MAX 2
#define CONNECTIONS_MAX 128
#define WAITING_MAX 1024                         /* requests of a connection that wait for followers */
#define INPUT_BYTES ((size_t)8 * 1024 * 1024)    /* a frame has to fit */
#define OUTPUT_BYTES ((size_t)WAITING_MAX * 512) /* an answer is some 80 bytes and the topic's name */
#define FOLLOWER_INPUT_BYTES ((size_t)64 * 1024 * 1024)
#define KEY_FOLLOWER_FETCH 100 /* ours: how many bytes of each partition the follower has */
#define NAME_MAX_BYTES 249

struct batch_place {
    int64_t last_offset;
    int64_t position;
    int64_t end;
};

struct partition {
    int fd;
    int64_t size;
    int64_t next_offset;
    int64_t replicated; /* bytes that every follower has */
    int64_t on_follower[FOLLOWERS_MAX];
    struct batch_place *batches;
    size_t batch_count;
    size_t batch_capacity;
};

struct waiting {
    int32_t partition;
    int64_t end; /* bytes that have to be replicated */
    int64_t base_offset;
    uint32_t correlation;
    int16_t error;
};

struct connection {
    int fd;
    uint8_t *input;
    size_t begin; /* bytes not looked at yet */
    size_t end;
    struct waiting waiting[WAITING_MAX];
    uint64_t first;
    uint64_t count;
    char topic[NAME_MAX_BYTES];
    int16_t topic_size;
    int follower; /* -1: a client */
    bool is_asking;
};

static struct partition partitions[PARTITIONS_MAX];
static struct connection *connections[CONNECTIONS_MAX];
static int32_t partition_count;
static int follower_count;
static bool checks_crc = true;
static bool replicates = true;
static int poller;

static void open_logs(const char *directory, const char *count) {
    partition_count = (int32_t)strtol(count, NULL, 10);
    CHECK(partition_count >= 1 && partition_count <= PARTITIONS_MAX);
    for (int32_t i = 0; i < partition_count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d.log", directory, i);
        partitions[i].fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        CHECK(partitions[i].fd >= 0);
    }
}

static void write_at(const struct partition *partition, const uint8_t *data, size_t size) {
    CHECK(pwrite(partition->fd, data, size, partition->size) == (ssize_t)size);
}

static bool is_crc_right(const uint8_t *batch, size_t size) {
    return load_u32(batch + BATCH_AT_CRC) == crc32c(0, batch + BATCH_AT_ATTRIBUTES, size - BATCH_AT_ATTRIBUTES);
}

static void close_connection(struct connection *connection) {
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (connections[i] == connection) {
            connections[i] = NULL;
        }
    }
    close(connection->fd);
    free(connection->input);
    free(connection);
}

/* ---- The leader: requests ---- */

static void note_batch(struct partition *partition, int32_t records, size_t size) {
    if (partition->batch_count == partition->batch_capacity) {
        partition->batch_capacity = partition->batch_capacity == 0 ? 1024 : partition->batch_capacity * 2;
        partition->batches = xrealloc(partition->batches, partition->batch_capacity * sizeof *partition->batches);
    }
    partition->next_offset += records;
    partition->batches[partition->batch_count++] = (struct batch_place){
        .last_offset = partition->next_offset - 1, .position = partition->size, .end = partition->size + (int64_t)size};
    partition->size += (int64_t)size;
    if (follower_count == 0 || !replicates) {
        partition->replicated = partition->size;
    }
}

static void take_topic(struct connection *connection, struct reader *r) {
    int16_t size = reader_i16(r);
    const uint8_t *name = reader_take(r, (size_t)MAX(size, 0));
    CHECK(!r->failed && size <= NAME_MAX_BYTES);
    memcpy(connection->topic, name, (size_t)size);
    connection->topic_size = size;
}

static void on_produce(struct connection *connection, uint8_t *frame, size_t size) {
    struct reader r =
        reader_of(frame + 14, size - 14); /* key, version, correlation, client id, a null transactional id */
    int16_t acks = reader_i16(&r);
    reader_i32(&r);
    CHECK(reader_i32(&r) == 1);
    take_topic(connection, &r);
    CHECK(reader_i32(&r) == 1);
    int32_t number = reader_i32(&r);
    int32_t bytes = reader_i32(&r);
    CHECK(!r.failed && number >= 0 && number < partition_count && (size_t)bytes == reader_left(&r) &&
          bytes > BATCH_HEADER_SIZE && connection->count < WAITING_MAX);
    struct partition *partition = &partitions[number];
    uint8_t *batch = frame + size - bytes;
    struct waiting *waiting = &connection->waiting[(connection->first + connection->count++) % WAITING_MAX];
    *waiting = (struct waiting){.partition = number, .correlation = load_u32(frame + 4)};
    if (checks_crc && !is_crc_right(batch, (size_t)bytes)) {
        waiting->error = KAFKA_CORRUPT_MESSAGE;
        waiting->base_offset = -1;
        return;
    }
    store_i64(batch, partition->next_offset);
    waiting->base_offset = partition->next_offset;
    write_at(partition, batch, (size_t)bytes);
    note_batch(partition, load_i32(batch + BATCH_AT_LAST_OFFSET_DELTA) + 1, (size_t)bytes);
    waiting->end = acks == -1 ? partition->size : 0;
}

/* Batches from the one with `offset` on that are replicated, up to max_bytes but at least one. */
static void find_batches(const struct partition *partition, int64_t offset, int32_t max_bytes, int64_t *ret_position,
                         int32_t *ret_bytes) {
    size_t low = 0;
    size_t high = partition->batch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (partition->batches[middle].last_offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_bytes = 0;
    if (low == partition->batch_count || partition->batches[low].end > partition->replicated) {
        return;
    }
    *ret_position = partition->batches[low].position;
    int64_t limit = MIN(partition->replicated, *ret_position + max_bytes);
    size_t first = low;
    high = partition->batch_count;
    while (low < high) { /* the first batch that ends behind the limit */
        size_t middle = low + (high - low) / 2;
        if (partition->batches[middle].end <= limit) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_bytes = (int32_t)(partition->batches[MAX(low, first + 1) - 1].end - *ret_position);
}

static void send_region(int fd, int log, int64_t position, int64_t bytes) {
    off_t at = position;
    while (at < position + bytes) {
        ssize_t sent = sendfile(fd, log, &at, (size_t)(position + bytes - at));
        CHECK(sent > 0 || errno == EINTR || errno == EPIPE || errno == ECONNRESET);
        if (sent <= 0 && errno != EINTR) {
            return; /* the next read sees it closed */
        }
    }
}

static void on_consumer_fetch(struct connection *connection, const uint8_t *frame, size_t size) {
    struct reader r = reader_of(frame + 12, size - 12);
    reader_take(&r, 4 + 4 + 4 + 4 + 1 + 4 + 4);
    CHECK(reader_i32(&r) == 1);
    take_topic(connection, &r);
    CHECK(reader_i32(&r) == 1);
    int32_t number = reader_i32(&r);
    reader_i32(&r);
    int64_t offset = reader_i64(&r);
    reader_i64(&r);
    int32_t max_bytes = reader_i32(&r);
    CHECK(!r.failed && number >= 0 && number < partition_count);
    const struct partition *partition = &partitions[number];
    int64_t position = 0;
    int32_t bytes = 0;
    find_batches(partition, offset, max_bytes, &position, &bytes);
    uint8_t answer[512];
    struct writer w = writer_of(answer, sizeof answer);
    writer_i32(&w, 0);
    writer_bytes(&w, frame + 4, 4);
    writer_i32(&w, 0);
    writer_i16(&w, 0);
    writer_i32(&w, 0);
    writer_i32(&w, 1);
    writer_i16(&w, connection->topic_size);
    writer_bytes(&w, connection->topic, (size_t)connection->topic_size);
    writer_i32(&w, 1);
    writer_i32(&w, number);
    writer_i16(&w, 0);
    size_t whole = partition->batch_count;
    while (whole > 0 && partition->batches[whole - 1].end > partition->replicated) {
        whole--;
    }
    int64_t high_watermark = whole == 0 ? 0 : partition->batches[whole - 1].last_offset + 1;
    writer_i64(&w, high_watermark);
    writer_i64(&w, high_watermark);
    writer_i64(&w, 0);
    writer_i32(&w, -1);
    writer_i32(&w, -1);
    writer_i32(&w, bytes);
    store_i32(answer, (int32_t)writer_size(&w) - 4 + bytes);
    CHECK(!w.failed);
    send(connection->fd, answer, writer_size(&w), MSG_NOSIGNAL | (bytes > 0 ? MSG_MORE : 0));
    send_region(connection->fd, partition->fd, position, bytes);
}

/* Body: the follower's number 4, then for each partition the bytes it has. */
static void on_follower_fetch(struct connection *connection, const uint8_t *frame) {
    connection->follower = load_i32(frame + 12);
    connection->is_asking = true;
    CHECK(connection->follower >= 0 && connection->follower < follower_count);
    for (int32_t i = 0; i < partition_count; i++) {
        struct partition *partition = &partitions[i];
        partition->on_follower[connection->follower] = load_i64(frame + 16 + i * 8);
        int64_t least = partition->on_follower[0];
        for (int f = 1; f < follower_count; f++) {
            least = MIN(least, partition->on_follower[f]);
        }
        partition->replicated = replicates ? MAX(partition->replicated, least) : partition->size;
    }
}

/* ---- The leader: answers, at the end of each turn ---- */

static void answer_produces(struct connection *connection) {
    static uint8_t output[OUTPUT_BYTES];
    struct writer w = writer_of(output, sizeof output);
    while (connection->count > 0) {
        const struct waiting *waiting = &connection->waiting[connection->first % WAITING_MAX];
        if (waiting->end > partitions[waiting->partition].replicated) {
            break;
        }
        writer_i32(&w, 4 + 4 + 2 + connection->topic_size + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 2 + 4);
        writer_i32(&w, (int32_t)waiting->correlation);
        writer_i32(&w, 1);
        writer_i16(&w, connection->topic_size);
        writer_bytes(&w, connection->topic, (size_t)connection->topic_size);
        writer_i32(&w, 1);
        writer_i32(&w, waiting->partition);
        writer_i16(&w, waiting->error);
        writer_i64(&w, waiting->base_offset);
        writer_i64(&w, -1);
        writer_i64(&w, 0);
        writer_i32(&w, 0);
        writer_i16(&w, -1);
        writer_i32(&w, 0);
        connection->first++;
        connection->count--;
    }
    CHECK(!w.failed);
    if (writer_size(&w) > 0) {
        send(connection->fd, output, writer_size(&w), MSG_NOSIGNAL);
    }
}

/* For each partition that has more: its number 4, the bytes 8; then those bytes. */
static void answer_follower(struct connection *connection) {
    uint8_t header[4 + PARTITIONS_MAX * 12];
    struct writer w = writer_of(header, sizeof header);
    int64_t begin[PARTITIONS_MAX];
    writer_i32(&w, 0);
    for (int32_t i = 0; replicates && i < partition_count; i++) {
        begin[i] = partitions[i].on_follower[connection->follower];
        if (partitions[i].size > begin[i]) {
            writer_i32(&w, i);
            writer_i64(&w, partitions[i].size - begin[i]);
        }
    }
    if (writer_size(&w) == 4) {
        return;
    }
    store_i32(header, (int32_t)((writer_size(&w) - 4) / 12));
    connection->is_asking = false;
    send(connection->fd, header, writer_size(&w), MSG_NOSIGNAL | MSG_MORE);
    for (const uint8_t *at = header + 4; at < header + writer_size(&w); at += 12) {
        int32_t i = load_i32(at);
        send_region(connection->fd, partitions[i].fd, begin[i], load_i64(at + 4));
    }
}

static void take_frames(struct connection *connection) {
    for (;;) {
        size_t left = connection->end - connection->begin;
        uint8_t *at = connection->input + connection->begin;
        size_t size = left >= 4 ? load_u32(at) : 0;
        CHECK(size + 4 <= INPUT_BYTES);
        if (left < 4 || left < size + 4) {
            if (left == 0) {
                connection->begin = connection->end = 0;
            } else if (connection->begin + size + 4 > INPUT_BYTES) {
                memmove(connection->input, at, left);
                connection->begin = 0;
                connection->end = left;
            }
            return;
        }
        switch (load_i16(at + 4)) {
        case 0: on_produce(connection, at + 4, size); break;
        case 1: on_consumer_fetch(connection, at + 4, size); break;
        case KEY_FOLLOWER_FETCH: on_follower_fetch(connection, at + 4); break;
        default: CHECK(false);
        }
        connection->begin += size + 4;
    }
}

static void on_readable(struct connection *connection) {
    ssize_t got =
        recv(connection->fd, connection->input + connection->end, INPUT_BYTES - connection->end, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        close_connection(connection);
    } else if (got > 0) {
        connection->end += (size_t)got;
        take_frames(connection);
    }
}

static void on_acceptable(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int slot = 0;
    while (slot < CONNECTIONS_MAX && connections[slot] != NULL) {
        slot++;
    }
    CHECK(fd >= 0 && slot < CONNECTIONS_MAX);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = xcalloc(1, sizeof *connection);
    connection->fd = fd;
    connection->follower = -1;
    connection->input = xmalloc(INPUT_BYTES);
    connections[slot] = connection;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
}

static int lead(char **args) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(args[0], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    open_logs(args[1], args[2]);
    follower_count = (int)strtol(args[3], NULL, 10);
    CHECK(follower_count >= 0 && follower_count <= FOLLOWERS_MAX);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) {
        perror("floor: listen");
        return 1;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    CHECK(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) == 0);
    for (;;) {
        struct epoll_event events[CONNECTIONS_MAX];
        int count = epoll_wait(poller, events, CONNECTIONS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                on_acceptable(listener);
            } else {
                on_readable(events[i].data.ptr);
            }
        }
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            struct connection *connection = connections[i];
            if (connection != NULL && connection->count > 0) {
                answer_produces(connection);
            } else if (connection != NULL && connection->follower >= 0 && connection->is_asking) {
                answer_follower(connection);
            }
        }
    }
}

/* ---- The follower ---- */

static void follow_partition(int fd, struct partition *partition, int64_t bytes, uint8_t *input) {
    CHECK(bytes >= 0 && (size_t)bytes <= FOLLOWER_INPUT_BYTES);
    wire_receive(fd, input, (size_t)bytes);
    for (int64_t at = 0; at < bytes;) {
        size_t size = (size_t)load_i32(input + at + BATCH_AT_LENGTH) + BATCH_OVERHEAD;
        CHECK(at + (int64_t)size <= bytes && (!checks_crc || is_crc_right(input + at, size)));
        at += (int64_t)size;
    }
    write_at(partition, input, (size_t)bytes);
    partition->size += bytes;
}

static int follow(char **args) {
    uint8_t *input = xmalloc(FOLLOWER_INPUT_BYTES);
    uint8_t request[16 + 4 + PARTITIONS_MAX * 8] = {0};
    open_logs(args[1], args[2]);
    size_t size = 16 + 4 + (size_t)partition_count * 8;
    int fd = wire_connect("127.0.0.1", args[0]);
    store_i32(request, (int32_t)size - 4);
    store_i16(request + 4, KEY_FOLLOWER_FETCH);
    store_i32(request + 16, (int32_t)strtol(args[3], NULL, 10));
    for (;;) {
        for (int32_t i = 0; i < partition_count; i++) {
            store_i64(request + 20 + i * 8, partitions[i].size);
        }
        wire_send(fd, request, size);
        uint8_t header[4 + PARTITIONS_MAX * 12];
        wire_receive(fd, header, 4);
        int32_t count = load_i32(header);
        CHECK(count > 0 && count <= partition_count);
        wire_receive(fd, header + 4, (size_t)count * 12);
        for (int32_t i = 0; i < count; i++) {
            int32_t number = load_i32(header + 4 + i * 12);
            CHECK(number >= 0 && number < partition_count);
            follow_partition(fd, &partitions[number], load_i64(header + 4 + i * 12 + 4), input);
        }
    }
}

int main(int count, char **args) {
    signal(SIGPIPE, SIG_IGN);
    for (int i = 6; i < count; i++) {
        checks_crc = checks_crc && strcmp(args[i], "no-crc") != 0;
        replicates = replicates && strcmp(args[i], "no-replication") != 0;
    }
    if (count >= 6 && strcmp(args[1], "lead") == 0) {
        return lead(args + 2);
    }
    if (count >= 6 && strcmp(args[1], "follow") == 0) {
        return follow(args + 2);
    }
    fputs("usage: floor lead|follow ... (see the head of floor.c)\n", stderr);
    return 2;
}
