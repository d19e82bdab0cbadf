/* The cheapest load there is: prepared requests over blocking sockets, a fixed number of them on the way, every answer
 * checked. What a broker costs under it is the broker's cost, not the client's. One JSON object on one line tells how
 * it went; status 1 and a sentence when anything was wrong, and then there is no number.
 *
 *   load produce HOST PORT TOPIC PARTITIONS BATCH_BYTES VALUE_BYTES REQUESTS DEPTH CONNECTIONS ACKS PRODUCER [lz4|zstd]
 *        connection i is producer PRODUCER + i and writes to partition i modulo PARTITIONS; BATCH_BYTES before packing
 *   load consume HOST PORT TOPIC PARTITION BYTES_PER_REQUEST BYTES      from the start, again and again
 *   load verify  HOST PORT TOPIC PARTITIONS RECORDS [FROM]
 *        all that was written, and nothing else, in order, every checksum; or the next RECORDS, as many in each
 *        partition, from offset FROM on
 *   load probe   HOST PORT TOPIC                      a batch with a wrong checksum has to be refused
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/produce.h"
#include "tests/bench/wire.h"

#define CONNECTIONS_MAX 64
#define DEPTH_MAX 1024
#define PRODUCERS_MAX 4096
#define OUTPUT_BYTES ((size_t)256 * 1024) /* small requests go out together */
#define INPUT_BYTES ((size_t)64 * 1024)

struct producer {
    int fd;
    struct wire_batch batch;
    uint8_t *frame; /* the whole request; batch.data is its end */
    size_t frame_size;
    int64_t requests;
    int64_t sent;
    int64_t answered;
    int64_t next_offset; /* -1 before the first answer */
    bool is_alone;       /* nobody else writes to the partition */
    double sent_at[DEPTH_MAX];
    uint8_t input[INPUT_BYTES];
    size_t input_size;
};

static void die(const char *what, int64_t number) {
    fprintf(stderr, "load: %s (%" PRId64 ")\n", what, number);
    exit(1);
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void report(int64_t requests, int64_t records, int64_t bytes, double seconds, float *latencies) {
    printf("{\"requests\": %" PRId64 ", \"records\": %" PRId64 ", \"bytes\": %" PRId64
           ", \"seconds\": %.6f, \"client_cpu\": %.3f",
           requests, records, bytes, seconds, cpu_seconds());
    if (latencies != NULL && requests > 0) {
        qsort(latencies, (size_t)requests, sizeof *latencies, by_size);
        double shares[] = {0.5, 0.99, 0.999, 1};
        const char *names[] = {"p50_ms", "p99_ms", "p999_ms", "max_ms"};
        for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
            int64_t at = (int64_t)(shares[i] * (double)(requests - 1));
            printf(", \"%s\": %.4f", names[i], (double)latencies[at] * 1e3);
        }
    }
    printf("}\n");
}

/* The request around the batch, and the batch in it. */
static void prepare(struct producer *producer, struct str topic, int32_t partition_index, int16_t acks) {
    struct produce_request message;
    produce_request_init(&message);
    message.acks = acks;
    message.timeout_ms = 30000;
    struct produce_request_partition_produce_data partition = {
        .index = partition_index, .records = {.data = producer->batch.data, .size = producer->batch.size}};
    struct produce_request_topic_produce_data of_topic = {
        .name = topic, .partition_data = &partition, .partition_data_count = 1};
    message.topic_data = &of_topic;
    message.topic_data_count = 1;
    size_t body_size = produce_request_encoded_size(&message, WIRE_PRODUCE_VERSION);
    producer->frame_size = WIRE_HEADER_SIZE + body_size;
    producer->frame = xmalloc(producer->frame_size);
    struct encoder e = {.w = writer_of(producer->frame, producer->frame_size)};
    wire_header(&e.w, body_size, 0, WIRE_PRODUCE_VERSION);
    produce_request_encode(&message, WIRE_PRODUCE_VERSION, &e);
    CHECK(!e.w.failed);
    /* Records are the last field. From now on the batch is patched where it goes out from. */
    size_t first_value = (size_t)(producer->batch.first_value - producer->batch.data);
    free(producer->batch.data);
    producer->batch.data = producer->frame + producer->frame_size - producer->batch.size;
    producer->batch.first_value = producer->batch.data + first_value;
}

/* Sends as many requests as the depth leaves room for, small ones in one call. */
static void fill_pipe(struct producer *producer, int64_t depth) {
    static uint8_t output[OUTPUT_BYTES];
    size_t filled = 0;
    double now = wire_now_seconds();
    for (; producer->sent < producer->requests && producer->sent - producer->answered < depth; producer->sent++) {
        wire_batch_number(&producer->batch, (uint64_t)producer->sent);
        producer->sent_at[producer->sent % DEPTH_MAX] = now;
        if (producer->frame_size > sizeof output) {
            wire_send(producer->fd, producer->frame, producer->frame_size);
            continue;
        }
        if (filled + producer->frame_size > sizeof output) {
            wire_send(producer->fd, output, filled);
            filled = 0;
        }
        memcpy(output + filled, producer->frame, producer->frame_size);
        filled += producer->frame_size;
    }
    if (filled > 0) {
        wire_send(producer->fd, output, filled);
    }
}

static void check_answer(struct producer *producer, const uint8_t *body, size_t size, struct arena *arena) {
    struct reader r = reader_of(body, size);
    struct produce_response response;
    arena_reset(arena, INPUT_BYTES);
    if (produce_response_decode(&r, WIRE_PRODUCE_VERSION, arena, &response) != 0 || response.responses_count != 1 ||
        response.responses[0].partition_responses_count != 1) {
        die("an answer that cannot be read", producer->answered);
    }
    const struct produce_response_partition_produce_response *part = &response.responses[0].partition_responses[0];
    if (part->error_code != KAFKA_NONE) {
        die("a request was refused with an error", part->error_code);
    }
    bool is_next =
        producer->is_alone ? part->base_offset == producer->next_offset : part->base_offset >= producer->next_offset;
    if (producer->next_offset >= 0 && !is_next) {
        die("an answer with an offset out of order", part->base_offset);
    }
    producer->next_offset = part->base_offset + producer->batch.records;
}

/* Reads what is there and takes all whole answers. */
static void take_answers(struct producer *producer, struct arena *arena, float *latencies, int64_t *count) {
    ssize_t got =
        recv(producer->fd, producer->input + producer->input_size, sizeof producer->input - producer->input_size, 0);
    if (got <= 0) {
        die("the broker closed the connection", errno);
    }
    producer->input_size += (size_t)got;
    double now = wire_now_seconds();
    size_t at = 0;
    while (producer->input_size - at >= 4) {
        size_t size = load_u32(producer->input + at);
        CHECK(size >= 4 && size + 4 <= sizeof producer->input);
        if (producer->input_size - at < size + 4) {
            break;
        }
        check_answer(producer, producer->input + at + 8, size - 4, arena);
        latencies[(*count)++] = (float)(now - producer->sent_at[producer->answered % DEPTH_MAX]);
        producer->answered++;
        at += size + 4;
    }
    memmove(producer->input, producer->input + at, producer->input_size - at);
    producer->input_size -= at;
}

static int produce(char **args, enum compression_codec codec) {
    int32_t partitions = (int32_t)strtol(args[3], NULL, 10);
    size_t batch_bytes = strtoull(args[4], NULL, 10);
    int32_t value_bytes = (int32_t)strtol(args[5], NULL, 10);
    int64_t requests = strtoll(args[6], NULL, 10);
    int64_t depth = strtoll(args[7], NULL, 10);
    int connections = (int)strtol(args[8], NULL, 10);
    CHECK(connections >= 1 && connections <= CONNECTIONS_MAX && depth >= 1 && depth <= DEPTH_MAX && partitions >= 1);
    struct producer *producers = xcalloc((size_t)connections, sizeof *producers);
    struct pollfd fds[CONNECTIONS_MAX];
    float *latencies = xcalloc((size_t)requests + 1, sizeof *latencies);
    struct arena arena;
    arena_init(&arena, INPUT_BYTES);
    int64_t bytes = 0;
    int64_t records = 0;
    for (int i = 0; i < connections; i++) {
        struct producer *producer = &producers[i];
        producer->requests = requests / connections + (i < requests % connections);
        producer->next_offset = -1;
        producer->is_alone = connections <= partitions;
        producer->batch =
            wire_batch_create(batch_bytes, value_bytes, (uint32_t)strtoul(args[10], NULL, 10) + (uint32_t)i);
        if (codec != CODEC_NONE) {
            wire_batch_compress(&producer->batch, codec);
        }
        prepare(producer, str_from(args[2]), i % partitions, (int16_t)strtol(args[9], NULL, 10));
        producer->fd = wire_connect(args[0], args[1]);
        fds[i] = (struct pollfd){.fd = producer->fd, .events = POLLIN};
        bytes += producer->requests * producer->batch.size;
        records += producer->requests * producer->batch.records;
    }
    double began = wire_now_seconds();
    for (int i = 0; i < connections; i++) {
        fill_pipe(&producers[i], depth);
    }
    for (int64_t answered = 0; answered < requests;) {
        if (connections > 1 && poll(fds, (nfds_t)connections, -1) < 0) {
            die("poll failed", errno);
        }
        for (int i = 0; i < connections; i++) {
            if (connections == 1 || (fds[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
                take_answers(&producers[i], &arena, latencies, &answered);
                fill_pipe(&producers[i], depth);
            }
        }
    }
    report(requests, records, bytes, wire_now_seconds() - began, latencies);
    return 0;
}

/* ---- Reading ---- */

struct consumer {
    int fd;
    struct fetch_request message;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
    uint8_t *answer;
    struct arena arena;
    int64_t high_watermark;
};

static void consumer_init(struct consumer *consumer, char **args, int32_t partition, int32_t bytes) {
    *consumer = (struct consumer){.fd = wire_connect(args[0], args[1]), .answer = xmalloc(WIRE_ANSWER_BYTES_MAX)};
    arena_init(&consumer->arena, (size_t)1 << 20);
    fetch_request_init(&consumer->message);
    fetch_request_fetch_topic_init(&consumer->topic);
    fetch_request_fetch_partition_init(&consumer->partition);
    consumer->message.max_wait_ms = 500;
    consumer->message.min_bytes = 1;
    consumer->message.max_bytes = bytes;
    consumer->message.session_epoch = -1;
    consumer->message.topics = &consumer->topic;
    consumer->message.topics_count = 1;
    consumer->topic.topic = str_from(args[2]);
    consumer->topic.partitions = &consumer->partition;
    consumer->topic.partitions_count = 1;
    consumer->partition.partition = partition;
    consumer->partition.partition_max_bytes = bytes;
}

/* One request; the records that came, which live until the next. */
static struct records consumer_fetch(struct consumer *consumer) {
    uint8_t frame[1024];
    size_t body_size = fetch_request_encoded_size(&consumer->message, WIRE_FETCH_VERSION);
    struct encoder e = {.w = writer_of(frame, sizeof frame)};
    wire_header(&e.w, body_size, 1, WIRE_FETCH_VERSION);
    fetch_request_encode(&consumer->message, WIRE_FETCH_VERSION, &e);
    CHECK(!e.w.failed);
    wire_send(consumer->fd, frame, writer_size(&e.w));
    wire_receive(consumer->fd, consumer->answer, 4);
    size_t size = load_u32(consumer->answer);
    CHECK(size <= WIRE_ANSWER_BYTES_MAX);
    wire_receive(consumer->fd, consumer->answer, size);
    struct reader r = reader_of(consumer->answer + 4, size - 4);
    struct fetch_response response;
    arena_reset(&consumer->arena, (size_t)1 << 20);
    if (fetch_response_decode(&r, WIRE_FETCH_VERSION, &consumer->arena, &response) != 0 || response.error_code != 0 ||
        response.responses_count != 1 || response.responses[0].partitions[0].error_code != 0) {
        die("a fetch was answered with an error",
            response.responses_count == 1 ? response.responses[0].partitions[0].error_code : response.error_code);
    }
    consumer->high_watermark = response.responses[0].partitions[0].high_watermark;
    return response.responses[0].partitions[0].records;
}

/* The next whole batch at `at`, 0 when there is none. Offsets have to follow each other. */
static int32_t next_batch(struct consumer *consumer, const struct records *records, int32_t at) {
    if (at + BATCH_HEADER_SIZE > records->size) {
        return 0;
    }
    const uint8_t *batch = records->data + at;
    int32_t size = load_i32(batch + BATCH_AT_LENGTH) + BATCH_OVERHEAD;
    if (size > records->size - at) {
        return 0;
    }
    if (load_i64(batch) != consumer->partition.fetch_offset) {
        die("a batch is missing or comes twice at offset", consumer->partition.fetch_offset);
    }
    consumer->partition.fetch_offset = load_i64(batch) + load_i32(batch + BATCH_AT_LAST_OFFSET_DELTA) + 1;
    return size;
}

static int consume(char **args) {
    struct consumer consumer;
    int64_t wanted = strtoll(args[5], NULL, 10);
    consumer_init(&consumer, args, (int32_t)strtol(args[3], NULL, 10), (int32_t)strtol(args[4], NULL, 10));
    int64_t bytes = 0;
    int64_t requests = 0;
    int64_t count = 0;
    double began = wire_now_seconds();
    while (bytes < wanted) {
        struct records records = consumer_fetch(&consumer);
        int32_t at = 0;
        requests++;
        for (int32_t size; (size = next_batch(&consumer, &records, at)) > 0; at += size) {
            uint32_t producer;
            uint64_t number;
            int32_t in_batch;
            if (wire_batch_check(records.data + at, size, &producer, &number, &in_batch) != 0) {
                die("a batch with a wrong checksum", at);
            }
            count += in_batch;
            bytes += size;
        }
        if (at == 0) {
            die("nothing is read at offset", consumer.partition.fetch_offset);
        }
        if (consumer.partition.fetch_offset >= consumer.high_watermark) {
            consumer.partition.fetch_offset = 0;
        }
    }
    report(requests, count, bytes, wire_now_seconds() - began, NULL);
    return 0;
}

static int verify(char **args, int64_t from) {
    static uint64_t next_number[PRODUCERS_MAX];
    int32_t partitions = (int32_t)strtol(args[3], NULL, 10);
    int64_t expected = strtoll(args[4], NULL, 10);
    int64_t count = 0;
    int64_t bytes = 0;
    for (int32_t p = 0; p < partitions; p++) {
        struct consumer consumer;
        consumer_init(&consumer, args, p, 8 * 1024 * 1024);
        consumer.partition.fetch_offset = MAX(from, 0);
        int64_t end = from < 0 ? INT64_MAX : from + expected / partitions;
        do {
            struct records records = consumer_fetch(&consumer);
            int32_t at = 0;
            for (int32_t size;
                 consumer.partition.fetch_offset < end && (size = next_batch(&consumer, &records, at)) > 0;
                 at += size) {
                uint32_t producer;
                uint64_t number;
                int32_t in_batch;
                if (wire_batch_check(records.data + at, size, &producer, &number, &in_batch) != 0) {
                    die("a batch with a wrong checksum", at);
                }
                if (producer >= PRODUCERS_MAX || number != next_number[producer]++) {
                    die("a producer's batch is lost, doubled or out of order", (int64_t)number);
                }
                count += in_batch;
                bytes += size;
            }
            if (at == 0 && consumer.partition.fetch_offset < consumer.high_watermark) {
                die("nothing is read at offset", consumer.partition.fetch_offset);
            }
        } while (consumer.partition.fetch_offset < MIN(end, consumer.high_watermark));
        free(consumer.answer);
        arena_deinit(&consumer.arena);
    }
    if (count != expected) {
        fprintf(stderr, "load: %" PRId64 " records were acknowledged, %" PRId64 " are there\n", expected, count);
        return 1;
    }
    report(0, count, bytes, 0, NULL);
    return 0;
}

static int probe(char **args) {
    struct producer *producer = xcalloc(1, sizeof *producer);
    producer->batch = wire_batch_create(900, 900, 0);
    prepare(producer, str_from(args[2]), 0, -1);
    producer->batch.data[producer->batch.size - 10] ^= 1;
    producer->fd = wire_connect(args[0], args[1]);
    wire_send(producer->fd, producer->frame, producer->frame_size);
    wire_receive(producer->fd, producer->input, 4);
    size_t size = load_u32(producer->input);
    CHECK(size <= sizeof producer->input);
    wire_receive(producer->fd, producer->input, size);
    struct arena arena;
    arena_init(&arena, INPUT_BYTES);
    struct reader r = reader_of(producer->input + 4, size - 4);
    struct produce_response response;
    if (produce_response_decode(&r, WIRE_PRODUCE_VERSION, &arena, &response) != 0) {
        die("an answer that cannot be read", 0);
    }
    int16_t error = response.responses[0].partition_responses[0].error_code;
    if (error != KAFKA_CORRUPT_MESSAGE) {
        die("a batch with a wrong checksum was not refused as corrupt, but answered with", error);
    }
    return 0;
}

int main(int count, char **args) {
    const char *mode = count > 1 ? args[1] : "";
    if ((count == 13 || count == 14) && strcmp(mode, "produce") == 0) {
        enum compression_codec codec = count == 13                     ? CODEC_NONE
                                       : strcmp(args[13], "lz4") == 0  ? CODEC_LZ4
                                       : strcmp(args[13], "zstd") == 0 ? CODEC_ZSTD
                                                                       : CODEC_COUNT;
        CHECK(codec != CODEC_COUNT);
        return produce(args + 2, codec);
    }
    if (count == 8 && strcmp(mode, "consume") == 0) {
        return consume(args + 2);
    }
    if ((count == 7 || count == 8) && strcmp(mode, "verify") == 0) {
        return verify(args + 2, count == 8 ? strtoll(args[7], NULL, 10) : -1);
    }
    if (count == 5 && strcmp(mode, "probe") == 0) {
        return probe(args + 2);
    }
    fputs("usage: load produce|consume|verify|probe ... (see the head of load.c)\n", stderr);
    return 2;
}
