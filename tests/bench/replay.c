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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
#include "tests/bench/wire.h"

#define VALUE_BYTES 1024
#define FIND_VERSION 2
#define JOIN_VERSION 3 /* the last in which a member without an id is let in at once */
#define SYNC_VERSION 3
#define HEARTBEAT_VERSION 3
#define COMMIT_VERSION 7

static int produce(char **args) {
    int fd = wire_connect(args[0], args[1]);
    int64_t requests = strtoll(args[4], NULL, 10);
    int64_t depth = strtoll(args[5], NULL, 10);
    struct produce_request message;
    produce_request_init(&message);
    message.acks = (int16_t)strtol(args[6], NULL, 10);
    message.timeout_ms = 30000;
    struct produce_request_partition_produce_data partition = {0};
    size_t batch_bytes = (size_t)strtoull(args[3], NULL, 10);
    struct wire_batch batch = wire_batch_create(batch_bytes, (int32_t)MIN(batch_bytes, VALUE_BYTES), 0);
    partition.records = (struct records){.data = batch.data, .size = batch.size};
    struct produce_request_topic_produce_data topic = {
        .name = str_from(args[2]), .partition_data = &partition, .partition_data_count = 1};
    message.topic_data = &topic;
    message.topic_data_count = 1;
    size_t body_size = produce_request_encoded_size(&message, WIRE_PRODUCE_VERSION);
    uint8_t *frame = xmalloc(WIRE_HEADER_SIZE + body_size);
    struct encoder e = {.w = writer_of(frame, WIRE_HEADER_SIZE + body_size)};
    wire_header(&e.w, body_size, 0, WIRE_PRODUCE_VERSION);
    produce_request_encode(&message, WIRE_PRODUCE_VERSION, &e);
    CHECK(!e.w.failed);
    static uint8_t answer[4096];
    struct arena arena;
    arena_init(&arena, sizeof answer * 8);
    double began = wire_now_seconds();
    for (int64_t sent = 0, answered = 0; answered < requests;) {
        for (; sent < requests && sent - answered < depth; sent++) {
            wire_send(fd, frame, WIRE_HEADER_SIZE + body_size);
        }
        wire_receive(fd, answer, 4);
        size_t size = load_u32(answer);
        CHECK(size <= sizeof answer);
        wire_receive(fd, answer, size);
        struct reader r = reader_of(answer + 4, size - 4);
        struct produce_response response;
        arena_reset(&arena, sizeof answer * 8);
        CHECK(produce_response_decode(&r, WIRE_PRODUCE_VERSION, &arena, &response) == 0);
        int16_t error = response.responses[0].partition_responses[0].error_code;
        if (error != 0) {
            fprintf(stderr, "replay: the broker answered error %d\n", error);
            return 1;
        }
        answered++;
    }
    double seconds = wire_now_seconds() - began;
    printf("requests %" PRId64 " bytes %" PRId64 " seconds %.3f\n", requests, requests * partition.records.size,
           seconds);
    return 0;
}

static int fetch(char **args) {
    int fd = wire_connect(args[0], args[1]);
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
    uint8_t *answer = xmalloc(WIRE_ANSWER_BYTES_MAX);
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    int64_t bytes = 0;
    int64_t requests = 0;
    double began = wire_now_seconds();
    for (;;) {
        size_t body_size = fetch_request_encoded_size(&message, WIRE_FETCH_VERSION);
        struct encoder e = {.w = writer_of(frame, sizeof frame)};
        wire_header(&e.w, body_size, 1, WIRE_FETCH_VERSION);
        fetch_request_encode(&message, WIRE_FETCH_VERSION, &e);
        CHECK(!e.w.failed);
        wire_send(fd, frame, writer_size(&e.w));
        wire_receive(fd, answer, 4);
        size_t size = load_u32(answer);
        CHECK(size <= WIRE_ANSWER_BYTES_MAX);
        wire_receive(fd, answer, size);
        struct reader r = reader_of(answer + 4, size - 4);
        struct fetch_response response;
        arena_reset(&arena, (size_t)1 << 20);
        CHECK(fetch_response_decode(&r, WIRE_FETCH_VERSION, &arena, &response) == 0);
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
    printf("requests %" PRId64 " bytes %" PRId64 " seconds %.3f\n", requests, bytes, wire_now_seconds() - began);
    return 0;
}

/* ---- Groups ---- */

#define SMALL_FRAME 1024

static uint8_t small_answer[SMALL_FRAME];

/* Reads one answer; a reader of its body. */
static struct reader receive_answer(int fd) {
    wire_receive(fd, small_answer, 4);
    size_t size = load_u32(small_answer);
    CHECK(size > 4 && size <= sizeof small_answer);
    wire_receive(fd, small_answer, size);
    return reader_of(small_answer + 4, size - 4);
}

#define ENCODE(name, key, version, message, frame, ret_size)                                                           \
    do {                                                                                                               \
        size_t body_size = name##_request_encoded_size(message, version);                                              \
        struct encoder e = {.w = writer_of(frame, sizeof frame)};                                                      \
        wire_header(&e.w, body_size, key, version);                                                                    \
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
    int fd = wire_connect(args[0], args[1]);
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    struct arena arena;
    uint8_t frame[SMALL_FRAME];
    size_t size;
    arena_init(&arena, SMALL_FRAME * 8);
    find_coordinator_request_init(&request);
    request.key = str_from(args[2]);
    ENCODE(find_coordinator, 10, FIND_VERSION, &request, frame, &size);
    wire_send(fd, frame, size);
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
    wire_send(fd, frame, size);
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
    wire_send(fd, frame, size);
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
    int fd = wire_connect(args[0], args[1]);
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
    double began = wire_now_seconds();
    for (int64_t sent = 0, answered = 0; answered < requests; answered++) {
        for (; sent < requests && sent - answered < depth; sent++) {
            wire_send(fd, frame, size);
        }
        struct reader r = receive_answer(fd);
        refuse(topic != NULL ? "a commit" : "a heartbeat", decode_group_answer(&r, topic != NULL, &arena));
    }
    printf("requests %" PRId64 " bytes %" PRId64 " seconds %.3f\n", requests, requests * (int64_t)size,
           wire_now_seconds() - began);
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
