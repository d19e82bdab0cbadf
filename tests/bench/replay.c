/* The cheapest load there is: one encoded Produce request sent again and again, or Fetch answers read and dropped.
 *
 *   replay produce HOST PORT TOPIC BATCH_BYTES REQUESTS DEPTH ACKS   partition 0; DEPTH requests on the way at a time
 *   replay fetch   HOST PORT TOPIC BYTES_PER_REQUEST                 partition 0, from the start to the high watermark;
 *                                                                  offsets without a gap and checksums are checked
 *   replay beat    HOST PORT GROUP REQUESTS DEPTH                    heartbeats of the only member of a group
 *   replay commit  HOST PORT GROUP REQUESTS DEPTH TOPIC              the member commits an offset of partition 0
 *   replay coordinator HOST PORT GROUP                               prints the port of the group's coordinator
 *
 * A group is new, and the broker named its coordinator. Status 3: not yet, or another broker.
 *
 * librdkafka costs about a core-second per million records, more than the broker does, so that a benchmark with it
 * measures the client. Prints "requests N bytes B seconds S". */
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/find_coordinator.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/produce.h"
#include "generated/protocol/sync_group.h"

#define PRODUCE_VERSION 8 /* the last before flexible encoding: a header that is easy to write by hand */
#define FETCH_VERSION 11
#define FIND_VERSION 2
#define JOIN_VERSION 3 /* the last in which a member without an id is let in at once */
#define SYNC_VERSION 3
#define HEARTBEAT_VERSION 3
#define COMMIT_VERSION 7
#define HEADER_SIZE 16 /* size 4, key 2, version 2, correlation 4, client id "bm" 4 */
#define ANSWER_BYTES_MAX ((size_t)64 * 1024 * 1024)

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int connect_to(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    CHECK(getaddrinfo(host, port, &hints, &found) == 0);
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        perror("replay: connect");
        exit(1);
    }
    freeaddrinfo(found);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_all(int fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            perror("replay: send");
            exit(1);
        }
        data += sent;
        size -= (size_t)sent;
    }
}

static void receive_all(int fd, uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t got = recv(fd, data, size, MSG_WAITALL);
        if (got <= 0) {
            fputs("replay: the broker closed the connection\n", stderr);
            exit(1);
        }
        data += got;
        size -= (size_t)got;
    }
}

static void write_header(struct writer *w, size_t body_size, int16_t key, int16_t version) {
    writer_i32(w, (int32_t)(HEADER_SIZE - 4 + body_size));
    writer_i16(w, key);
    writer_i16(w, version);
    writer_i32(w, 1);
    writer_i16(w, 2);
    writer_bytes(w, "bm", 2);
}

/* One batch of 1 KiB records, uncompressed. */
static uint8_t *make_batch(size_t size_wanted, int32_t *ret_size) {
    size_t capacity = size_wanted + 2048;
    uint8_t *batch = xcalloc(1, capacity);
    struct writer w = writer_of(batch + BATCH_HEADER_SIZE, capacity - BATCH_HEADER_SIZE);
    static const uint8_t value[1024];
    size_t value_size = MIN(sizeof value, size_wanted);
    int32_t count = 0;
    do {
        int32_t body = (int32_t)(1 + varlong_size(0) + varint_size(count) + varint_size(-1) +
                                 varint_size((int32_t)value_size) + value_size + varint_size(0));
        writer_varint(&w, body);
        writer_i8(&w, 0);
        writer_varlong(&w, 0);
        writer_varint(&w, count);
        writer_varint(&w, -1);
        writer_varint(&w, (int32_t)value_size);
        writer_bytes(&w, value, value_size);
        writer_varint(&w, 0);
        count++;
    } while (writer_size(&w) + value_size < size_wanted);
    CHECK(!w.failed);
    size_t size = BATCH_HEADER_SIZE + writer_size(&w);
    store_i32(batch + BATCH_AT_LENGTH, (int32_t)(size - BATCH_OVERHEAD));
    store_i32(batch + BATCH_AT_LEADER_EPOCH, -1);
    batch[BATCH_AT_MAGIC] = 2;
    store_i32(batch + BATCH_AT_LAST_OFFSET_DELTA, count - 1);
    store_i64(batch + BATCH_AT_BASE_TIMESTAMP, (int64_t)time(NULL) * 1000);
    store_i64(batch + BATCH_AT_MAX_TIMESTAMP, (int64_t)time(NULL) * 1000);
    store_i64(batch + BATCH_AT_PRODUCER_ID, -1);
    store_i16(batch + BATCH_AT_PRODUCER_EPOCH, -1);
    store_i32(batch + BATCH_AT_BASE_SEQUENCE, -1);
    store_i32(batch + BATCH_AT_RECORD_COUNT, count);
    store_u32(batch + BATCH_AT_CRC, crc32c(0, batch + BATCH_AT_ATTRIBUTES, size - BATCH_AT_ATTRIBUTES));
    *ret_size = (int32_t)size;
    return batch;
}

static int produce(char **args) {
    int fd = connect_to(args[0], args[1]);
    int64_t requests = strtoll(args[4], NULL, 10);
    int64_t depth = strtoll(args[5], NULL, 10);
    struct produce_request message;
    produce_request_init(&message);
    message.acks = (int16_t)strtol(args[6], NULL, 10);
    message.timeout_ms = 30000;
    struct produce_request_partition_produce_data partition = {0};
    partition.records.data = make_batch((size_t)strtoull(args[3], NULL, 10), &partition.records.size);
    struct produce_request_topic_produce_data topic = {
        .name = str_from(args[2]), .partition_data = &partition, .partition_data_count = 1};
    message.topic_data = &topic;
    message.topic_data_count = 1;
    size_t body_size = produce_request_encoded_size(&message, PRODUCE_VERSION);
    uint8_t *frame = xmalloc(HEADER_SIZE + body_size);
    struct encoder e = {.w = writer_of(frame, HEADER_SIZE + body_size)};
    write_header(&e.w, body_size, 0, PRODUCE_VERSION);
    produce_request_encode(&message, PRODUCE_VERSION, &e);
    CHECK(!e.w.failed);
    static uint8_t answer[4096];
    struct arena arena;
    arena_init(&arena, sizeof answer * 8);
    double began = now_seconds();
    for (int64_t sent = 0, answered = 0; answered < requests;) {
        for (; sent < requests && sent - answered < depth; sent++) {
            send_all(fd, frame, HEADER_SIZE + body_size);
        }
        receive_all(fd, answer, 4);
        size_t size = load_u32(answer);
        CHECK(size <= sizeof answer);
        receive_all(fd, answer, size);
        struct reader r = reader_of(answer + 4, size - 4);
        struct produce_response response;
        arena_reset(&arena, sizeof answer * 8);
        CHECK(produce_response_decode(&r, PRODUCE_VERSION, &arena, &response) == 0);
        int16_t error = response.responses[0].partition_responses[0].error_code;
        if (error != 0) {
            fprintf(stderr, "replay: the broker answered error %d\n", error);
            return 1;
        }
        answered++;
    }
    double seconds = now_seconds() - began;
    printf("requests %" PRId64 " bytes %" PRId64 " seconds %.3f\n", requests, requests * partition.records.size,
           seconds);
    return 0;
}

static int fetch(char **args) {
    int fd = connect_to(args[0], args[1]);
    struct fetch_request message;
    fetch_request_init(&message);
    message.max_wait_ms = 500;
    message.min_bytes = 1;
    message.max_bytes = (int32_t)strtol(args[3], NULL, 10);
    message.session_epoch = -1;
    struct fetch_request_fetch_partition partition;
    fetch_request_fetch_partition_init(&partition);
    partition.partition_max_bytes = message.max_bytes;
    struct fetch_request_fetch_topic topic;
    fetch_request_fetch_topic_init(&topic);
    topic.topic = str_from(args[2]);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    message.topics = &topic;
    message.topics_count = 1;
    uint8_t frame[1024];
    uint8_t *answer = xmalloc(ANSWER_BYTES_MAX);
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    int64_t bytes = 0;
    int64_t requests = 0;
    double began = now_seconds();
    for (;;) {
        size_t body_size = fetch_request_encoded_size(&message, FETCH_VERSION);
        struct encoder e = {.w = writer_of(frame, sizeof frame)};
        write_header(&e.w, body_size, 1, FETCH_VERSION);
        fetch_request_encode(&message, FETCH_VERSION, &e);
        CHECK(!e.w.failed);
        send_all(fd, frame, writer_size(&e.w));
        receive_all(fd, answer, 4);
        size_t size = load_u32(answer);
        CHECK(size <= ANSWER_BYTES_MAX);
        receive_all(fd, answer, size);
        struct reader r = reader_of(answer + 4, size - 4);
        struct fetch_response response;
        arena_reset(&arena, (size_t)1 << 20);
        CHECK(fetch_response_decode(&r, FETCH_VERSION, &arena, &response) == 0);
        CHECK(response.error_code == 0 && response.responses_count == 1);
        const struct fetch_response_partition_data *data = &response.responses[0].partitions[0];
        CHECK(data->error_code == 0);
        requests++;
        int32_t at = 0;
        while (at + BATCH_HEADER_SIZE <= data->records.size) {
            const uint8_t *batch = data->records.data + at;
            int32_t batch_size = load_i32(batch + BATCH_AT_LENGTH) + BATCH_OVERHEAD;
            if (at + batch_size > data->records.size) {
                break;
            }
            int64_t base_offset = load_i64(batch);
            CHECK(base_offset == partition.fetch_offset); /* nothing lost, nothing twice */
            CHECK(load_u32(batch + BATCH_AT_CRC) ==
                  crc32c(0, batch + BATCH_AT_ATTRIBUTES, (size_t)batch_size - BATCH_AT_ATTRIBUTES));
            bytes += batch_size;
            partition.fetch_offset = base_offset + load_i32(batch + BATCH_AT_LAST_OFFSET_DELTA) + 1;
            at += batch_size;
        }
        if (partition.fetch_offset >= data->high_watermark) {
            break;
        }
        CHECK(at > 0);
    }
    printf("requests %" PRId64 " bytes %" PRId64 " seconds %.3f\n", requests, bytes, now_seconds() - began);
    return 0;
}

/* ---- Groups ---- */

#define SMALL_FRAME 1024

static uint8_t small_answer[SMALL_FRAME];

/* Reads one answer; a reader of its body. */
static struct reader receive_answer(int fd) {
    receive_all(fd, small_answer, 4);
    size_t size = load_u32(small_answer);
    CHECK(size > 4 && size <= sizeof small_answer);
    receive_all(fd, small_answer, size);
    return reader_of(small_answer + 4, size - 4);
}

#define ENCODE(name, key, version, message, frame, ret_size)                                                           \
    do {                                                                                                               \
        size_t body_size = name##_request_encoded_size(message, version);                                              \
        struct encoder e = {.w = writer_of(frame, sizeof frame)};                                                      \
        write_header(&e.w, body_size, key, version);                                                                   \
        name##_request_encode(message, version, &e);                                                                   \
        CHECK(!e.w.failed);                                                                                            \
        *(ret_size) = writer_size(&e.w);                                                                               \
    } while (0)

static void refuse(const char *what, int16_t error) {
    if (error == KAFKA_NOT_COORDINATOR || error == KAFKA_COORDINATOR_NOT_AVAILABLE ||
        error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
        exit(3);
    }
    if (error != 0) {
        fprintf(stderr, "replay: %s was answered with error %d\n", what, error);
        exit(1);
    }
}

static int coordinator(char **args) {
    int fd = connect_to(args[0], args[1]);
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    struct arena arena;
    uint8_t frame[SMALL_FRAME];
    size_t size;
    arena_init(&arena, SMALL_FRAME * 8);
    find_coordinator_request_init(&request);
    request.key = str_from(args[2]);
    ENCODE(find_coordinator, 10, FIND_VERSION, &request, frame, &size);
    send_all(fd, frame, size);
    struct reader r = receive_answer(fd);
    CHECK(find_coordinator_response_decode(&r, FIND_VERSION, &arena, &response) == 0);
    refuse("the question for a coordinator", response.error_code);
    printf("%" PRId32 "\n", response.port);
    return 0;
}

/* A stable group of one member; its id, in the arena. */
static struct str join(int fd, struct str group, struct arena *arena) {
    uint8_t frame[SMALL_FRAME];
    size_t size;
    struct join_group_request request;
    struct join_group_request_join_group_request_protocol range = {STR_LITERAL("range"), {(const uint8_t *)"m", 1}};
    struct join_group_response joined;
    join_group_request_init(&request);
    request.group_id = group;
    request.session_timeout_ms = request.rebalance_timeout_ms = 60000;
    request.member_id = STR_LITERAL("");
    request.protocol_type = STR_LITERAL("consumer");
    request.protocols = &range;
    request.protocols_count = 1;
    ENCODE(join_group, 11, JOIN_VERSION, &request, frame, &size);
    send_all(fd, frame, size);
    struct reader r = receive_answer(fd);
    CHECK(join_group_response_decode(&r, JOIN_VERSION, arena, &joined) == 0);
    refuse("joining", joined.error_code);
    struct str member = arena_str(arena, joined.member_id);
    struct sync_group_request sync;
    struct sync_group_response synced;
    sync_group_request_init(&sync);
    sync.group_id = group;
    sync.generation_id = joined.generation_id;
    sync.member_id = member;
    CHECK(joined.generation_id == 1); /* the group is new */
    ENCODE(sync_group, 14, SYNC_VERSION, &sync, frame, &size);
    send_all(fd, frame, size);
    r = receive_answer(fd);
    CHECK(sync_group_response_decode(&r, SYNC_VERSION, arena, &synced) == 0);
    refuse("syncing", synced.error_code);
    return member;
}

static void encode_beat(struct str group, struct str member, uint8_t frame[static SMALL_FRAME], size_t *ret_size) {
    struct heartbeat_request request;
    uint8_t bytes[SMALL_FRAME];
    heartbeat_request_init(&request);
    request.group_id = group;
    request.generation_id = 1;
    request.member_id = member;
    ENCODE(heartbeat, 12, HEARTBEAT_VERSION, &request, bytes, ret_size);
    memcpy(frame, bytes, *ret_size);
}

static void encode_commit(struct str group, struct str member, struct str topic_name, uint8_t frame[static SMALL_FRAME],
                          size_t *ret_size) {
    struct offset_commit_request request;
    struct offset_commit_request_offset_commit_request_topic topic;
    struct offset_commit_request_offset_commit_request_partition partition;
    uint8_t bytes[SMALL_FRAME];
    offset_commit_request_init(&request);
    offset_commit_request_offset_commit_request_topic_init(&topic);
    offset_commit_request_offset_commit_request_partition_init(&partition);
    partition.committed_offset = 42;
    partition.committed_metadata = STR_LITERAL("");
    topic.name = topic_name;
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.group_id = group;
    request.generation_id_or_member_epoch = 1;
    request.member_id = member;
    request.topics = &topic;
    request.topics_count = 1;
    ENCODE(offset_commit, 8, COMMIT_VERSION, &request, bytes, ret_size);
    memcpy(frame, bytes, *ret_size);
}

static int16_t decode_group_answer(struct reader *r, bool is_commit, struct arena *arena) {
    arena_reset(arena, SMALL_FRAME * 8);
    if (is_commit) {
        struct offset_commit_response response;
        CHECK(offset_commit_response_decode(r, COMMIT_VERSION, arena, &response) == 0);
        return response.topics[0].partitions[0].error_code;
    }
    struct heartbeat_response response;
    CHECK(heartbeat_response_decode(r, HEARTBEAT_VERSION, arena, &response) == 0);
    return response.error_code;
}

static int group(char **args, const char *topic) {
    int fd = connect_to(args[0], args[1]);
    int64_t requests = strtoll(args[3], NULL, 10);
    int64_t depth = strtoll(args[4], NULL, 10);
    struct arena arena;
    uint8_t frame[SMALL_FRAME];
    size_t size;
    arena_init(&arena, SMALL_FRAME * 8);
    struct str member = join(fd, str_from(args[2]), &arena);
    if (topic != NULL) {
        encode_commit(str_from(args[2]), member, str_from(topic), frame, &size);
    } else {
        encode_beat(str_from(args[2]), member, frame, &size);
    }
    double began = now_seconds();
    for (int64_t sent = 0, answered = 0; answered < requests; answered++) {
        for (; sent < requests && sent - answered < depth; sent++) {
            send_all(fd, frame, size);
        }
        struct reader r = receive_answer(fd);
        refuse(topic != NULL ? "a commit" : "a heartbeat", decode_group_answer(&r, topic != NULL, &arena));
    }
    printf("requests %" PRId64 " bytes %" PRId64 " seconds %.3f\n", requests, requests * (int64_t)size,
           now_seconds() - began);
    return 0;
}

int main(int count, char **args) {
    if (count == 9 && strcmp(args[1], "produce") == 0) {
        return produce(args + 2);
    }
    if (count == 6 && strcmp(args[1], "fetch") == 0) {
        return fetch(args + 2);
    }
    if (count == 7 && strcmp(args[1], "beat") == 0) {
        return group(args + 2, NULL);
    }
    if (count == 8 && strcmp(args[1], "commit") == 0) {
        return group(args + 2, args[7]);
    }
    if (count == 5 && strcmp(args[1], "coordinator") == 0) {
        return coordinator(args + 2);
    }
    fputs("usage: replay produce|fetch|beat|commit|coordinator ... (see the head of replay.c)\n", stderr);
    return 2;
}
