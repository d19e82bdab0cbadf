/* Producers and consumers of librdkafka: the same program for every system. At a rate the load is open: a record is due
 * when the clock says so, and its latency counts from then, so that a system that stands still is charged for it.
 *
 *   open_loop produce BROKERS TOPIC PARTITIONS RATE SECONDS VALUE_BYTES [KEY=VALUE...]
 *        until SIGTERM, or until SECONDS are over
 *   open_loop flood   BROKERS TOPIC PARTITIONS RECORDS VALUE_BYTES [KEY=VALUE...]
 *        so many records, as fast as they go; nothing is due, so there are no latencies
 *   open_loop consume BROKERS TOPIC PARTITIONS RECORDS
 *        until so many records came; 0: until SIGTERM and no more come. Each is checked
 *
 * In a silence it asks every 20 ms who leads: librdkafka, told the leader of before, asks again after a second, and
 * nothing shorter than that could be seen of any broker.
 *
 * Record n goes to partition n modulo PARTITIONS. Settings of librdkafka may follow, and producer=N where several write
 * to one topic. A value holds the checksum of the rest 4, its producer 4, its number 8, when it was due 8
 * (nanoseconds), filler. The producer prints one JSON object: records, those that failed, latency percentiles, the
 * longest time without any acknowledgement and when it ended, the longest wait of one record, and with a first line
 * "acked" when the first acknowledgement came. The consumer proves that every partition has the numbers of every
 * producer once, in order, from the first on without a gap, and tells how old records were when they came. Status 1: it
 * has not. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "tests/lib/rdkafka_client.h"

#define VALUE_HEADER 24
#define WARM_SECONDS 2 /* latencies of records due in them are not counted: connections, metadata */
#define PARTITIONS_MAX 8192
#define PRODUCERS_MAX 64
#define TAIL_RECORDS_MAX 4000000 /* whose age is told */
#define CONSUME_SECONDS_MAX 120
#define FLUSH_MS_MAX 120000
#define SILENCE_MS 20 /* without an acknowledgement, from which on leaders are asked for, so often */
#define ASK_MS_MAX 500

static volatile sig_atomic_t stopping;

struct tally {
    int64_t acked;
    int64_t measured; /* of them, due after the warm-up */
    int64_t measured_from_ns;
    int64_t failed;
    int64_t last_ack_ns; /* atomic */
    int64_t longest_silence_ns;
    int64_t longest_silence_end_ns;
    float *latencies;
    size_t capacity;
};

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *context) {
    (void)client;
    struct tally *tally = context;
    int64_t now = now_ns();
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tally->failed++;
        return;
    }
    if (tally->acked == 0) {
        printf("acked %" PRId64 "\n", now);
        fflush(stdout);
    }
    if (tally->last_ack_ns > 0 && now - tally->last_ack_ns > tally->longest_silence_ns) {
        tally->longest_silence_ns = now - tally->last_ack_ns;
        tally->longest_silence_end_ns = now;
    }
    __atomic_store_n(&tally->last_ack_ns, now, __ATOMIC_RELAXED);
    int64_t due = load_i64((const uint8_t *)message->payload + 16);
    tally->acked++;
    if (due >= tally->measured_from_ns) {
        CHECK((size_t)tally->measured < tally->capacity);
        tally->latencies[tally->measured++] = (float)((double)(now - due) / 1e6);
    }
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a;
    float y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_latencies(float *latencies, size_t count) {
    double shares[] = {0.5, 0.99, 0.999, 1};
    const char *names[] = {"p50_ms", "p99_ms", "p999_ms", "max_ms"};
    qsort(latencies, count, sizeof *latencies, by_size);
    for (size_t i = 0; i < 4 && count > 0; i++) {
        printf(", \"%s\": %.4f", names[i], (double)latencies[(size_t)(shares[i] * (double)(count - 1))]);
    }
}

static void report(struct tally *tally, int64_t sent, double seconds) {
    printf("{\"records\": %" PRId64 ", \"sent\": %" PRId64 ", \"failed\": %" PRId64
           ", \"seconds\": %.3f, \"client_cpu\": %.3f, \"silence_ms\": %.3f, \"silence_end\": %.6f",
           tally->acked, sent, tally->failed, seconds, cpu_seconds(), (double)tally->longest_silence_ns / 1e6,
           (double)tally->longest_silence_end_ns / 1e9);
    print_latencies(tally->latencies, (size_t)tally->measured);
    printf("}\n");
}

/* Settings of librdkafka, of which those on the command line are the last word; which producer this is. */
static rd_kafka_conf_t *producer_settings(const char *brokers, char **pairs, int count, int32_t *ret_producer) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "1");
    set(conf, "message.timeout.ms", "120000");
    set(conf, "retry.backoff.ms", "20");
    set(conf, "reconnect.backoff.ms", "20");
    set(conf, "reconnect.backoff.max.ms", "100");
    set(conf, "topic.metadata.refresh.fast.interval.ms", "20");
    set(conf, "log_level", "2");
    *ret_producer = 0;
    for (int i = 0; i < count; i++) {
        char *equals = strchr(pairs[i], '=');
        CHECK(equals != NULL);
        *equals = '\0';
        if (strcmp(pairs[i], "producer") == 0) {
            *ret_producer = (int32_t)strtol(equals + 1, NULL, 10);
            CHECK(*ret_producer >= 0 && *ret_producer < PRODUCERS_MAX);
        } else {
            set(conf, pairs[i], equals + 1);
        }
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return conf;
}

struct asker {
    rd_kafka_t *client;
    const char *topic;
    struct tally *tally;
    bool is_over; /* atomic */
};

static void *ask_in_silences(void *context) {
    struct asker *asker = context;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(asker->client, asker->topic, NULL);
    while (!__atomic_load_n(&asker->is_over, __ATOMIC_RELAXED)) {
        int64_t last_ack_ns = __atomic_load_n(&asker->tally->last_ack_ns, __ATOMIC_RELAXED);
        const struct rd_kafka_metadata *metadata = NULL;
        if (last_ack_ns > 0 && now_ns() - last_ack_ns > SILENCE_MS * INT64_C(1000000) &&
            rd_kafka_metadata(asker->client, 0, topic, &metadata, ASK_MS_MAX) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata); /* the client has taken from it what it says */
        }
        usleep(SILENCE_MS * 1000);
    }
    rd_kafka_topic_destroy(topic);
    return NULL;
}

/* At a rate for some seconds; or, when the rate is 0, so many records. */
struct pace {
    double rate;
    double seconds;
    int64_t records;
};

static int produce(char **args, struct pace pace, size_t size, char **pairs, int pair_count) {
    int32_t partitions = (int32_t)strtol(args[2], NULL, 10);
    CHECK(size >= VALUE_HEADER && partitions > 0);
    struct tally tally = {.capacity = (size_t)(pace.rate * pace.seconds) + 1000};
    tally.latencies = xcalloc(tally.capacity, sizeof *tally.latencies);
    int32_t producer;
    rd_kafka_conf_t *conf = producer_settings(args[0], pairs, pair_count, &producer);
    rd_kafka_conf_set_opaque(conf, &tally);
    rd_kafka_t *client = client_of(RD_KAFKA_PRODUCER, conf);
    struct asker asker = {.client = client, .topic = args[1], .tally = &tally};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ask_in_silences, &asker) == 0);
    uint8_t *value = xcalloc(1, size);
    int64_t began = now_ns();
    int64_t sent = 0;
    tally.measured_from_ns = pace.rate > 0 ? began + (int64_t)WARM_SECONDS * 1000000000 : INT64_MAX;
    while (!stopping && (pace.rate > 0 ? now_ns() - began < (int64_t)(pace.seconds * 1e9) : sent < pace.records)) {
        int64_t due_ns = pace.rate > 0 ? began + (int64_t)((double)sent * 1e9 / pace.rate) : began;
        int64_t wait_ns = pace.rate > 0 ? due_ns - now_ns() : 0;
        if (wait_ns > 0) {
            rd_kafka_poll(client, (int)(wait_ns / 1000000));
            continue;
        }
        store_i32(value + 4, producer);
        store_i64(value + 8, sent);
        store_i64(value + 16, due_ns);
        store_u32(value, crc32c(0, value + 4, size - 4));
        rd_kafka_resp_err_t error =
            rd_kafka_producev(client, RD_KAFKA_V_TOPIC(args[1]), RD_KAFKA_V_PARTITION((int32_t)(sent % partitions)),
                              RD_KAFKA_V_VALUE(value, size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(client, 1);
        } else if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "open_loop: %s\n", rd_kafka_err2str(error));
            return 1;
        } else {
            sent++;
        }
        if (sent % 64 == 0) {
            rd_kafka_poll(client, 0);
        }
    }
    rd_kafka_flush(client, FLUSH_MS_MAX);
    __atomic_store_n(&asker.is_over, true, __ATOMIC_RELAXED);
    CHECK(pthread_join(thread, NULL) == 0);
    report(&tally, sent, (double)(now_ns() - began) / 1e9);
    return tally.acked == sent && tally.failed == 0 ? 0 : 1;
}

/* The number that each producer's next record in each partition has, in steps of the number of partitions. */
static int64_t next_record[PRODUCERS_MAX][PARTITIONS_MAX];

static int check_record(const rd_kafka_message_t *message, int32_t partitions) {
    const uint8_t *value = message->payload;
    int32_t p = message->partition;
    if (message->len < VALUE_HEADER || load_u32(value) != crc32c(0, value + 4, message->len - 4)) {
        fprintf(stderr, "open_loop: partition %" PRId32 " has a value with a wrong checksum at %" PRId64 "\n", p,
                message->offset);
        return 1;
    }
    int32_t producer = load_i32(value + 4);
    CHECK(p >= 0 && p < partitions && producer >= 0 && producer < PRODUCERS_MAX);
    int64_t expected = next_record[producer][p]++ * partitions + p;
    if (load_i64(value + 8) != expected) {
        fprintf(stderr, "open_loop: partition %" PRId32 " has record %" PRId64 " where %" PRId64 " belongs\n", p,
                load_i64(value + 8), expected);
        return 1;
    }
    return 0;
}

static int consume(char **args) {
    static float ages[TAIL_RECORDS_MAX];
    int32_t partitions = (int32_t)strtol(args[2], NULL, 10);
    int64_t wanted = strtoll(args[3], NULL, 10);
    CHECK(partitions > 0 && partitions <= PARTITIONS_MAX);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", args[0]);
    set(conf, "group.id", "open-loop");
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "earliest");
    /* By default it stops fetching a partition of which it holds 100,000 records, and looks again after a second. */
    set(conf, "queued.min.messages", "10000000");
    set(conf, "queued.max.messages.kbytes", "1048576");
    set(conf, "log_level", "2");
    rd_kafka_t *client = client_of(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++) {
        rd_kafka_topic_partition_list_add(all, args[1], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    CHECK(rd_kafka_assign(client, all) == RD_KAFKA_RESP_ERR_NO_ERROR);
    int64_t began = now_ns();
    int64_t measured_from_ns = INT64_MAX;
    int64_t count = 0;
    size_t aged = 0;
    int status = 0;
    bool is_over = false;
    while (!is_over && status == 0 && now_ns() - began < (int64_t)CONSUME_SECONDS_MAX * 1000000000) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 200);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = check_record(message, partitions);
            int64_t due_ns = status == 0 ? load_i64((const uint8_t *)message->payload + 16) : 0;
            measured_from_ns = count++ == 0 ? due_ns + (int64_t)WARM_SECONDS * 1000000000 : measured_from_ns;
            if (wanted == 0 && due_ns >= measured_from_ns && aged < TAIL_RECORDS_MAX) {
                ages[aged++] = (float)((double)(now_ns() - due_ns) / 1e6);
            }
        }
        is_over = wanted > 0 ? count >= wanted : stopping && message == NULL;
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
    printf("{\"records\": %" PRId64 ", \"seconds\": %.3f, \"client_cpu\": %.3f", count,
           (double)(now_ns() - began) / 1e9, cpu_seconds());
    print_latencies(ages, aged);
    printf("}\n");
    if (status == 0 && (wanted > 0 ? count != wanted : !is_over)) {
        fprintf(stderr, "open_loop: %" PRId64 " records were acknowledged, %" PRId64 " came\n", wanted, count);
        status = 1;
    }
    return status;
}

int main(int count, char **args) {
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (count >= 8 && strcmp(args[1], "produce") == 0) {
        struct pace pace = {.rate = strtod(args[5], NULL), .seconds = strtod(args[6], NULL)};
        CHECK(pace.rate > 0);
        return produce(args + 2, pace, strtoull(args[7], NULL, 10), args + 8, count - 8);
    }
    if (count >= 7 && strcmp(args[1], "flood") == 0) {
        struct pace pace = {.records = strtoll(args[5], NULL, 10)};
        return produce(args + 2, pace, strtoull(args[6], NULL, 10), args + 7, count - 7);
    }
    if (count == 6 && strcmp(args[1], "consume") == 0) {
        return consume(args + 2);
    }
    fputs("usage: open_loop produce|flood|consume ... (see the head of open_loop.c)\n", stderr);
    return 2;
}
