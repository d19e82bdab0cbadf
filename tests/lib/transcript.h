/* What a fake cluster does, as lines a reader can follow: "t-0 BROKER eEPOCH: fact -> what became of the replica".
 *
 * A fact is something that reached a broker; a line is written for every replica that it changed. Expected transcripts
 * lie in tests/trace. */
#ifndef OTTLA_TESTS_TRANSCRIPT_H
#define OTTLA_TESTS_TRANSCRIPT_H

#include "replication/partition.h"
#include "tests/lib/fake_cluster.h"

#define TRANSCRIPT_SIZE 65536

struct transcript_replica {
    bool is_known;
    enum partition_role role;
    int32_t leader;
    int32_t leader_epoch;
    int64_t log_end;
    int64_t high_watermark;
    struct isr isr;
};

struct transcript {
    struct fake_cluster *cluster;
    struct transcript_replica seen[FAKE_BROKERS_MAX + 1];
    char text[TRANSCRIPT_SIZE];
    size_t size;
};

/* From now on everything the cluster does is written down. */
void transcript_begin(struct transcript *transcript, struct fake_cluster *cluster);
/* A line of the test's own: "# ...". */
void transcript_note(struct transcript *transcript, const char *text);
/* Fails the test unless `text` is what the file holds (path from the top of the repository); says where it differs. */
void transcript_compare(const char *text, const char *path);

#endif
