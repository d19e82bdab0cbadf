/* Replicas are compared with what was last seen of them after each fact. */
#include "tests/lib/transcript.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "replication/partition_runtime.h"

static void __attribute__((format(printf, 2, 3))) write_text(struct transcript *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    t->size += (size_t)vsnprintf(t->text + t->size, TRANSCRIPT_SIZE - t->size, format, args);
    va_end(args);
    CHECK(t->size < TRANSCRIPT_SIZE);
}

static void write_ids(struct transcript *t, const struct replica_list *list) {
    for (int32_t i = 0; i < list->count; i++) {
        write_text(t, "%s%d", i > 0 ? "," : "", list->ids[i]);
    }
}

static struct transcript_replica look(struct fake_broker *broker) {
    struct partition_runtime *partition = NULL;
    if (!broker->is_up || replica_manager_partition(broker->replicas, STR_LITERAL("t"), 0, &partition) != 0) {
        return (struct transcript_replica){0};
    }
    return (struct transcript_replica){
        .is_known = true,
        .role = partition->core.role,
        .leader = partition->core.leader,
        .leader_epoch = partition->core.leader_epoch,
        .log_end = partition->core.log_end,
        .high_watermark = partition->core.high_watermark,
        .isr = partition->core.isr,
    };
}

static bool is_same_list(const struct replica_list *a, const struct replica_list *b) {
    return a->count == b->count && memcmp(a->ids, b->ids, (size_t)a->count * sizeof a->ids[0]) == 0;
}

static const char *separate(bool *is_first) {
    const char *text = *is_first ? "" : ", ";
    *is_first = false;
    return text;
}

static void write_sets(struct transcript *t, const struct transcript_replica *was, const struct transcript_replica *is,
                       bool *is_first) {
    if (is->role != PARTITION_LEADER) {
        return;
    }
    if (was->role != PARTITION_LEADER || !is_same_list(&was->isr.committed, &is->isr.committed)) {
        write_text(t, "%sin sync ", separate(is_first));
        write_ids(t, &is->isr.committed);
    }
    bool was_proposing = was->role == PARTITION_LEADER && !isr_is_settled(&was->isr);
    if (!isr_is_settled(&is->isr) && (!was_proposing || !is_same_list(&was->isr.proposed, &is->isr.proposed))) {
        write_text(t, "%sproposes ", separate(is_first));
        write_ids(t, &is->isr.proposed);
    }
}

static void write_changes(struct transcript *t, int32_t id, const char *fact, const struct transcript_replica *was,
                          const struct transcript_replica *is) {
    size_t begin = t->size;
    bool is_first = true;
    if (!is->is_known) {
        if (was->is_known) {
            write_text(t, "t-0 %d: %s -> gone\n", id, fact);
        }
        return;
    }
    write_text(t, "t-0 %d e%d: %s -> ", id, is->leader_epoch, fact);
    size_t empty = t->size;
    if (!was->is_known || was->role != is->role || was->leader_epoch != is->leader_epoch) {
        write_text(t, "%s", separate(&is_first));
        if (is->role == PARTITION_FOLLOWER) {
            write_text(t, "follows %d", is->leader);
        } else {
            write_text(t, "%s", is->role == PARTITION_LEADER ? "leads" : "idle");
        }
    }
    if (!was->is_known || was->log_end != is->log_end) {
        write_text(t, "%slog end %lld", separate(&is_first), (long long)is->log_end);
    }
    if (!was->is_known || was->high_watermark != is->high_watermark) {
        write_text(t, "%shigh watermark %lld", separate(&is_first), (long long)is->high_watermark);
    }
    write_sets(t, was, is, &is_first);
    if (t->size == empty) {
        t->size = begin;
        t->text[begin] = '\0';
    } else {
        write_text(t, "\n");
    }
}

static void on_fact(void *context, const char *fact) {
    struct transcript *t = context;
    for (int32_t id = 1; id <= t->cluster->count; id++) {
        struct transcript_replica is = look(&t->cluster->brokers[id]);
        write_changes(t, id, fact, &t->seen[id], &is);
        t->seen[id] = is;
    }
}

void transcript_begin(struct transcript *transcript, struct fake_cluster *cluster) {
    memset(transcript, 0, sizeof *transcript);
    transcript->cluster = cluster;
    cluster->on_fact = on_fact;
    cluster->fact_context = transcript;
}

void transcript_note(struct transcript *transcript, const char *text) {
    write_text(transcript, "# %s\n", text);
}

void transcript_compare(const char *text, const char *path) {
    static char expected[TRANSCRIPT_SIZE];
    FILE *file = fopen(path, "r");
    size_t size = file == NULL ? 0 : fread(expected, 1, sizeof expected - 1, file);
    expected[size] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    int line = 1;
    const char *a = expected, *b = text;
    for (; *a != '\0' && *a == *b; a++, b++) {
        line += *a == '\n';
    }
    ck_assert_msg(*a == *b, "%s differs from line %d on; found:\n%s", path, line, text);
}
