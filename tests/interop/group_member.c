/* A consumer by librdkafka in a group, which writes down what it sees, and the comparison of such notes.
 *
 *   group_member join BROKERS GROUP TOPIC NOTES [KEY=VALUE...]   until SIGTERM; commits what it has read, synchronously
 *   group_member compare TOPIC_ENDS NOTES...    every record below the ends ("P:END,P:END") read, none after its commit
 *
 * Lines: "read P OFFSET TIME_MS", "committed P OFFSET TIME_MS" (the offset to go on at), "assigned COUNT TIME_MS" and
 * "revoked COUNT TIME_MS" with the partitions that came or went. */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/lib/rdkafka_client.h"

#define PARTITIONS_MAX 64
#define OFFSETS_MAX 1000000
/* Records read before they are committed. */
#define COMMIT_EVERY 20
/* How long a partition may be on its way to another leader, before the client is taken to be misled. */
#define MISLED_MS_MAX 5000

static volatile sig_atomic_t stopping;
static FILE *notes;
static int64_t positions[PARTITIONS_MAX]; /* to be committed; -1: nothing new */
static int uncommitted;
static int64_t misled_since_ms; /* 0: it is not */

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

/* What has been read goes into a commit; what that says stands in the notes. A refused commit is no fault: another
 * member goes on from the one before. */
static void commit(rd_kafka_t *client, const char *topic) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        if (positions[i] >= 0) {
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = positions[i];
        }
        positions[i] = -1;
    }
    uncommitted = 0;
    if (list->cnt > 0) {
        rd_kafka_resp_err_t error = rd_kafka_commit(client, list, 0);
        for (int i = 0; i < list->cnt; i++) {
            const rd_kafka_topic_partition_t *part = &list->elems[i];
            bool is_committed = error == RD_KAFKA_RESP_ERR_NO_ERROR && part->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            fprintf(notes, "%s %" PRId32 " %" PRId64 " %" PRId64 "\n", is_committed ? "committed" : "refused",
                    part->partition, part->offset, now_ms());
        }
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
            fprintf(stderr, "group_member: commit: %s\n", rd_kafka_err2str(error));
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t *list,
                         void *context) {
    bool is_assigned = event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    bool is_cooperative = strcmp(rd_kafka_rebalance_protocol(client), "COOPERATIVE") == 0;
    if (!is_assigned && !rd_kafka_assignment_lost(client)) {
        commit(client, context);
    }
    for (int i = 0; i < list->cnt && !is_assigned; i++) {
        positions[list->elems[i].partition] = -1;
    }
    fprintf(notes, "%s %d %" PRId64 "\n", is_assigned ? "assigned" : "revoked", list->cnt, now_ms());
    rd_kafka_error_t *error = NULL;
    if (is_cooperative) {
        error = is_assigned ? rd_kafka_incremental_assign(client, list) : rd_kafka_incremental_unassign(client, list);
    } else {
        rd_kafka_assign(client, is_assigned ? list : NULL);
    }
    if (error != NULL) {
        fprintf(stderr, "group_member: %s\n", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

static int on_statistics(rd_kafka_t *client, char *json, size_t size, void *context) {
    (void)client, (void)size, (void)context;
    if (!goes_elsewhere(json)) {
        misled_since_ms = 0;
    } else if (misled_since_ms == 0) {
        misled_since_ms = now_ms();
    }
    return 0;
}

/* Reads and commits until it is told to stop, or the client no longer finds a leader. */
static void take_part(rd_kafka_conf_t *conf, char *topic) {
    rd_kafka_t *client = client_of(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    CHECK(rd_kafka_subscribe(client, topics) == RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(topics);
    misled_since_ms = 0;
    while (!stopping && (misled_since_ms == 0 || now_ms() - misled_since_ms < MISLED_MS_MAX)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            CHECK(message->partition < PARTITIONS_MAX);
            fprintf(notes, "read %" PRId32 " %" PRId64 " %" PRId64 "\n", message->partition, message->offset, now_ms());
            positions[message->partition] = message->offset + 1;
            uncommitted++;
        }
        if (uncommitted >= COMMIT_EVERY || (message == NULL && uncommitted > 0)) {
            commit(client, topic);
        }
        if (message != NULL) {
            rd_kafka_message_destroy(message);
        }
    }
    rd_kafka_consumer_close(client); /* revokes, and thereby commits */
    rd_kafka_destroy(client);
}

static int join(int count, char **args) {
    char *topic = args[2];
    notes = fopen(args[3], "a");
    CHECK(notes != NULL);
    setvbuf(notes, NULL, _IOLBF, 0);
    for (int i = 0; i < PARTITIONS_MAX; i++) {
        positions[i] = -1;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", args[0]);
    set(conf, "group.id", args[1]);
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "reconnect.backoff.max.ms", "500");
    set(conf, "topic.metadata.refresh.interval.ms", "3000");
    set(conf, "session.timeout.ms", "10000");
    set(conf, "heartbeat.interval.ms", "500");
    /* A request given to a connection in the moment its broker dies stays there for this time, is given to it twice
     * more, and keeps librdkafka from asking anybody else: with 60 s, its default, for three minutes. */
    set(conf, "socket.timeout.ms", "6000");
    set(conf, "statistics.interval.ms", "1000");
    for (int i = 4; i < count; i++) {
        char *value = strchr(args[i], '=');
        CHECK(value != NULL);
        *value = '\0';
        set(conf, args[i], value + 1);
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, topic);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    for (take_part(rd_kafka_conf_dup(conf), topic); !stopping; take_part(rd_kafka_conf_dup(conf), topic)) {
        fprintf(stderr, "group_member: misled about a leader; beginning anew\n");
    }
    rd_kafka_conf_destroy(conf);
    fclose(notes);
    return 0;
}

/* ---- Comparison ---- */

struct line {
    bool is_read;
    int32_t partition;
    int64_t offset;
    int64_t time_ms;
};

static int by_time(const void *a, const void *b) {
    const struct line *x = a;
    const struct line *y = b;
    if (x->time_ms != y->time_ms) {
        return x->time_ms < y->time_ms ? -1 : 1;
    }
    /* Within a millisecond a read counts as the earlier one. */
    return (int)y->is_read - (int)x->is_read;
}

static size_t load(const char *path, struct line **lines, size_t count) {
    FILE *file = fopen(path, "r");
    char text[128];
    CHECK(file != NULL);
    while (fgets(text, sizeof text, file) != NULL) {
        struct line line;
        char word[16];
        if (sscanf(text, "%15s %" SCNd32 " %" SCNd64 " %" SCNd64, word, &line.partition, &line.offset, &line.time_ms) !=
                4 ||
            (strcmp(word, "read") != 0 && strcmp(word, "committed") != 0)) {
            continue;
        }
        line.is_read = strcmp(word, "read") == 0;
        CHECK(line.partition >= 0 && line.partition < PARTITIONS_MAX && line.offset >= 0 && line.offset < OFFSETS_MAX);
        *lines = xrealloc(*lines, (count + 1) * sizeof **lines);
        (*lines)[count++] = line;
    }
    fclose(file);
    return count;
}

static int compare(int count, char **args) {
    struct line *lines = NULL;
    size_t line_count = 0;
    int64_t committed[PARTITIONS_MAX] = {0};
    int again = 0;
    int back = 0;
    int missing = 0;
    int64_t total = 0;
    for (int i = 1; i < count; i++) {
        line_count = load(args[i], &lines, line_count);
    }
    if (line_count > 0) {
        qsort(lines, line_count, sizeof *lines, by_time);
    }
    uint8_t *is_read = xcalloc((size_t)PARTITIONS_MAX * OFFSETS_MAX / 8, 1);
    for (size_t i = 0; i < line_count; i++) {
        const struct line *line = &lines[i];
        size_t at = (size_t)line->partition * (OFFSETS_MAX / 8) + (size_t)line->offset / 8;
        if (!line->is_read) {
            back += line->offset < committed[line->partition];
            committed[line->partition] =
                line->offset > committed[line->partition] ? line->offset : committed[line->partition];
            continue;
        }
        if (line->offset < committed[line->partition]) {
            if (again++ < 5) {
                printf("partition %" PRId32 " offset %" PRId64 " read again after %" PRId64 " was committed\n",
                       line->partition, line->offset, committed[line->partition]);
            }
        }
        is_read[at] |= (uint8_t)(1U << (line->offset % 8));
    }
    for (char *end = strtok(args[0], ","); end != NULL; end = strtok(NULL, ",")) {
        int32_t partition = (int32_t)strtol(end, &end, 10);
        int64_t end_offset = strtoll(end + 1, NULL, 10);
        CHECK(partition < PARTITIONS_MAX && end_offset <= OFFSETS_MAX);
        for (int64_t offset = 0; offset < end_offset; offset++, total++) {
            size_t at = (size_t)partition * (OFFSETS_MAX / 8) + (size_t)offset / 8;
            if ((is_read[at] & 1U << (offset % 8)) == 0 && missing++ < 5) {
                printf("partition %" PRId32 " offset %" PRId64 " was never read\n", partition, offset);
            }
        }
    }
    printf("%" PRId64 " records, %zu lines: %d missing, %d read again after their commit, %d commits back\n", total,
           line_count, missing, again, back);
    free(lines);
    free(is_read);
    return missing + again + back > 0;
}

int main(int argc, char **argv) {
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (argc >= 6 && strcmp(argv[1], "join") == 0) {
        return join(argc - 2, argv + 2);
    }
    if (argc >= 4 && strcmp(argv[1], "compare") == 0) {
        return compare(argc - 2, argv + 2);
    }
    fprintf(stderr, "group_member join BROKERS GROUP TOPIC NOTES [KEY=VALUE...] | compare ENDS NOTES...\n");
    return 2;
}
