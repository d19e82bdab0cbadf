/* A producer and a consumer by librdkafka that write down what they saw, and the comparison of their notes.
 *
 *   witness produce BROKERS TOPIC PARTITIONS RECORDS_PER_SECOND NOTES   idempotent, acks=all, until SIGTERM
 *   witness consume BROKERS TOPIC PARTITIONS NOTES                      from the beginning to the end of each partition
 *   witness compare PRODUCED CONSUMED [SINCE_MS [BOUND_MS]]             0 lost, 0 twice, 0 out of order, or status 1
 *   witness now                                                         the time as notes write it
 *
 * A produced line is "ok PARTITION OFFSET NUMBER TIME_MS" or "fail PARTITION -1 NUMBER TIME_MS"; a consumed one is
 * "read PARTITION OFFSET NUMBER TIME_MS". NUMBER counts from 0 in each partition, so order is visible.
 * FETCH_BYTES in the environment keeps the consumer's fetches small, REFRESH_MS says how often the producer asks who
 * leads. Both say at their end how many requests they sent, and on SIGUSR1 so far; a producer also how often it
 * numbered its batches anew, since it was told of a gap. What the client gave up compare counts, and does not judge.
 * With SINCE_MS, when a fault struck, the longest silence of each partition from then on is told; with BOUND_MS a
 * longer one is a failure. Status 3 of a producer: not everything was acknowledged, since the client went on asking a
 * broker that it knows not to lead. */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/lib/rdkafka_client.h"

#define PARTITIONS_MAX 256
#define FLUSH_MS_MAX 120000
/* Not everything was acknowledged, and the client itself says that it asks the wrong broker. */
#define STATUS_MISLED 3

static volatile sig_atomic_t stopping;
static volatile sig_atomic_t asked;

static void on_signal(int number) {
    if (number == SIGUSR1) {
        asked = 1;
    } else {
        stopping = 1;
    }
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *context) {
    (void)client;
    int64_t number = (int64_t)(intptr_t)message->_private;
    bool ok = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    fprintf(context, "%s %" PRId32 " %" PRId64 " %" PRId64 " %" PRId64 "\n", ok ? "ok" : "fail", message->partition,
            ok ? message->offset : -1, number, now_ms());
    if (!ok) {
        fprintf(stderr, "witness: record %" PRId64 " of partition %" PRId32 ": %s\n", number, message->partition,
                rd_kafka_err2str(message->err));
    }
}

static int64_t requests_sent;
static int statistics_told;
static char *last_statistics;

/* Told every tenth of a second, as one line of JSON in which the sum over all brokers comes after each of them. */
static int on_statistics(rd_kafka_t *client, char *json, size_t size, void *context) {
    (void)client, (void)context;
    free(last_statistics);
    last_statistics = strndup(json, size);
    for (const char *sent = json; (sent = strstr(sent, "\"tx\":")) != NULL;) {
        sent += strlen("\"tx\":");
        requests_sent = strtoll(sent, NULL, 10);
    }
    statistics_told++;
    if (asked) {
        asked = 0;
        printf("%" PRId64 " requests so far\n", requests_sent);
        fflush(stdout);
    }
    return 0;
}

static _Atomic int64_t epochs_begun; /* librdkafka logs from any of its threads */

/* A producer that is told of a gap in its sequence numbers anew whatever it has; what was written while its answer got
 * lost is then written twice. Who finds a record twice needs to know whether that was it. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
    (void)client, (void)level;
    if (strcmp(facility, "ERRSEQ") == 0) {
        fprintf(stderr, "witness: %s\n", text);
    }
    if (strstr(text, "bumped epoch to") != NULL) {
        epochs_begun++;
    }
}

static rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    set(conf, "statistics.interval.ms", "100");
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    return client_of(type, conf);
}

static int produce(char **args) {
    int32_t partitions = (int32_t)strtol(args[2], NULL, 10);
    double per_second = strtod(args[3], NULL);
    FILE *notes = fopen(args[4], "w");
    CHECK(notes != NULL && partitions > 0 && partitions <= PARTITIONS_MAX && per_second > 0);
    setvbuf(notes, NULL, _IOLBF, 0);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", args[0]);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "5");
    set(conf, "reconnect.backoff.max.ms", "500");
    const char *refresh_ms = getenv("REFRESH_MS");
    set(conf, "topic.metadata.refresh.interval.ms", refresh_ms == NULL ? "5000" : refresh_ms);
    set(conf, "message.timeout.ms", "120000");
    set(conf, "debug", "eos");
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, notes);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = open_client(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, args[1], NULL);
    int64_t next[PARTITIONS_MAX] = {0};
    int64_t sent = 0;
    int64_t began_ms = now_ms();
    while (!stopping) {
        int64_t due = (int64_t)((double)(now_ms() - began_ms) * per_second / 1000);
        for (; sent < due && !stopping; sent++) {
            int32_t partition = (int32_t)(sent % partitions);
            char value[32];
            int size = snprintf(value, sizeof value, "%" PRId64, next[partition]);
            while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value, (size_t)size, NULL, 0,
                                    (void *)(intptr_t)next[partition]) != 0 &&
                   !stopping) {
                rd_kafka_poll(client, 50); /* the queue is full */
            }
            next[partition]++;
        }
        rd_kafka_poll(client, 10);
    }
    rd_kafka_resp_err_t left = rd_kafka_flush(client, FLUSH_MS_MAX);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    fclose(notes);
    bool is_misled = false;
    if (left != RD_KAFKA_RESP_ERR_NO_ERROR) {
        /* What is still queued or in flight, for which partition and to whom, says where it hangs. */
        fprintf(stderr, "witness: not everything was acknowledged in %d s; the client says %s\n", FLUSH_MS_MAX / 1000,
                last_statistics == NULL ? "nothing" : last_statistics);
        is_misled = last_statistics != NULL && goes_elsewhere(last_statistics);
    }
    printf("%" PRId64 " requests, numbered anew %" PRId64 " times\n", requests_sent, epochs_begun);
    return left == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : is_misled ? STATUS_MISLED : 1;
}

static int consume(char **args) {
    int32_t partitions = (int32_t)strtol(args[2], NULL, 10);
    FILE *notes = fopen(args[3], "w");
    CHECK(notes != NULL && partitions > 0 && partitions <= PARTITIONS_MAX);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", args[0]);
    set(conf, "group.id", "witness"); /* required by the API; no group is joined */
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "auto.offset.reset", "error");
    if (getenv("FETCH_BYTES") != NULL) {
        set(conf, "fetch.message.max.bytes", getenv("FETCH_BYTES"));
    }
    rd_kafka_t *client = open_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(list, args[1], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(client, list);
    rd_kafka_topic_partition_list_destroy(list);
    int32_t ended = 0;
    int status = 0;
    int64_t deadline_ms = now_ms() + FLUSH_MS_MAX;
    while (ended < partitions && !stopping && status == 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 200);
        if (now_ms() > deadline_ms) {
            fprintf(stderr, "witness: the end of %d partitions was not reached\n", partitions - ended);
            status = 1;
        }
        if (message == NULL) {
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ended++;
        } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(notes, "read %" PRId32 " %" PRId64 " %.*s %" PRId64 "\n", message->partition, message->offset,
                    (int)message->len, (const char *)message->payload, now_ms());
        } else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
            fprintf(stderr, "witness: %s\n", rd_kafka_message_errstr(message));
            status = 1;
        }
        rd_kafka_message_destroy(message);
    }
    /* All requests are counted in the second statistics from here on; the first may have been made before. */
    for (int enough = statistics_told + 2; statistics_told < enough && now_ms() < deadline_ms;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 200);
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    fclose(notes);
    printf("%" PRId64 " requests\n", requests_sent);
    return status;
}

struct note {
    int32_t partition;
    int64_t offset;
    int64_t number;
    int64_t time_ms;
    bool acknowledged;
};

static struct note *read_notes(const char *path, size_t *ret_count) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    struct note *notes = NULL;
    size_t count = 0;
    size_t capacity = 0;
    char kind[8];
    struct note note;
    while (fscanf(file, "%7s %" SCNd32 " %" SCNd64 " %" SCNd64 " %" SCNd64, kind, &note.partition, &note.offset,
                  &note.number, &note.time_ms) == 5) {
        if (count == capacity) {
            capacity = capacity * 2 + 1024;
            notes = xrealloc(notes, capacity * sizeof *notes);
        }
        note.acknowledged = strcmp(kind, "fail") != 0;
        notes[count++] = note;
    }
    fclose(file);
    *ret_count = count;
    return notes;
}

static int by_partition_and_number(const void *a, const void *b) {
    const struct note *x = a;
    const struct note *y = b;
    if (x->partition != y->partition) {
        return x->partition < y->partition ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

static int64_t count_reordered(const struct note *consumed, size_t count) {
    int64_t reordered = 0;
    int64_t last[PARTITIONS_MAX];
    memset(last, -1, sizeof last);
    for (size_t i = 0; i < count; i++) {
        CHECK(consumed[i].partition >= 0 && consumed[i].partition < PARTITIONS_MAX);
        reordered += consumed[i].number < last[consumed[i].partition];
        last[consumed[i].partition] = consumed[i].number;
    }
    return reordered;
}

/* The longest time between two acknowledgements of one partition, the one before the fault included. */
static int64_t report_silence(const struct note *produced, size_t count, int64_t since_ms) {
    int64_t last_ms[PARTITIONS_MAX] = {0};
    int64_t silence_ms[PARTITIONS_MAX] = {0};
    int64_t silence_ms_max = 0;
    int32_t partitions = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t partition = produced[i].partition;
        CHECK(partition >= 0 && partition < PARTITIONS_MAX);
        if (!produced[i].acknowledged) {
            continue;
        }
        partitions = MAX(partitions, partition + 1);
        if (produced[i].time_ms >= since_ms && last_ms[partition] != 0) {
            int64_t waited_ms = produced[i].time_ms - MAX(last_ms[partition], since_ms);
            silence_ms[partition] = MAX(silence_ms[partition], waited_ms);
            silence_ms_max = MAX(silence_ms_max, waited_ms);
        }
        last_ms[partition] = produced[i].time_ms;
    }
    printf("without service:");
    for (int32_t i = 0; i < partitions; i++) {
        printf(" %" PRId64, silence_ms[i]);
    }
    printf(" ms, longest %" PRId64 " ms\n", silence_ms_max);
    return silence_ms_max;
}

static int compare(int count, char **args) {
    size_t produced_count;
    size_t consumed_count;
    struct note *produced = read_notes(args[0], &produced_count);
    struct note *consumed = read_notes(args[1], &consumed_count);
    int64_t silence_ms = count > 2 ? report_silence(produced, produced_count, strtoll(args[2], NULL, 10)) : 0;
    bool is_late = count > 3 && silence_ms > strtoll(args[3], NULL, 10);
    int64_t reordered = count_reordered(consumed, consumed_count);
    qsort(produced, produced_count, sizeof *produced, by_partition_and_number);
    qsort(consumed, consumed_count, sizeof *consumed, by_partition_and_number);
    int64_t acknowledged = 0;
    int64_t lost = 0;
    int64_t moved = 0;
    int64_t twice = 0;
    for (size_t i = 1; i < consumed_count; i++) {
        twice += by_partition_and_number(&consumed[i - 1], &consumed[i]) == 0;
    }
    for (size_t i = 0; i < produced_count; i++) {
        if (!produced[i].acknowledged) {
            continue;
        }
        acknowledged++;
        struct note *found = bsearch(&produced[i], consumed, consumed_count, sizeof *consumed, by_partition_and_number);
        lost += found == NULL;
        moved += found != NULL && produced[i].offset >= 0 && found->offset != produced[i].offset;
    }
    printf("%" PRId64 " acknowledged, %zu read: %" PRId64 " lost, %" PRId64 " twice, %" PRId64 " out of order, %" PRId64
           " at another offset, %" PRId64 " given up%s\n",
           acknowledged, consumed_count, lost, twice, reordered, moved, (int64_t)produced_count - acknowledged,
           is_late ? "; service was back too late" : "");
    free(produced);
    free(consumed);
    return acknowledged > 0 && !is_late && lost + twice + reordered + moved == 0 ? 0 : 1;
}

int main(int count, char **args) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    if (count == 7 && strcmp(args[1], "produce") == 0) {
        return produce(args + 2);
    }
    if (count == 6 && strcmp(args[1], "consume") == 0) {
        return consume(args + 2);
    }
    if (count >= 4 && count <= 6 && strcmp(args[1], "compare") == 0) {
        return compare(count - 2, args + 2);
    }
    if (count == 2 && strcmp(args[1], "now") == 0) {
        printf("%" PRId64 "\n", now_ms());
        return 0;
    }
    fputs("usage: witness produce|consume|compare|now ... (see the head of witness.c)\n", stderr);
    return 2;
}
