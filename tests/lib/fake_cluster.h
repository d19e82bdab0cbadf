/* Up to five brokers' replica managers on real logs, with a clock and a transport that only move when told, and a
 * controller that does what the test says. One topic, "t", one partition, 0. */
#ifndef OTTLA_TESTS_FAKE_CLUSTER_H
#define OTTLA_TESTS_FAKE_CLUSTER_H

#include "broker/log/log_manager.h"
#include "broker/metadata/image.h"
#include "replication/fetch_session.h"
#include "replication/replica_manager.h"
#include "tests/lib/log_fixture.h"

#define FAKE_BROKERS_MAX 5
#define FAKE_LAG_MS 30000

struct fake_call;

struct fake_broker {
    struct transport transport;
    struct fake_cluster *cluster;
    int32_t id;
    char *directory;
    char *spare_directory; /* NULL: one directory only */
    const char *rack;      /* as UpdateMetadata tells it; the broker itself reads it when it starts */
    bool is_up;
    bool is_cut; /* nothing it sends or should be sent arrives */
    struct log_manager *logs;
    struct image *image;
    struct replica_manager *replicas;
    struct fetch_sessions *sessions;
    int32_t fetches;    /* sent */
    int32_t named;      /* partitions in them */
    int32_t divergings; /* answers it gave */
};

struct fake_cluster {
    struct test_clock clock;
    struct fake_broker brokers[FAKE_BROKERS_MAX + 1]; /* by id */
    int32_t count;
    struct fake_call *calls;
    /* the controller's state of the partition */
    struct uuid topic_id;
    int16_t min_insync_replicas;
    int32_t leader;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int32_t isr[FAKE_BROKERS_MAX];
    int32_t isr_count;
    bool is_new;                   /* as LeaderAndIsr says it */
    bool is_compacted;             /* the topic; read when a broker starts and when the log is made */
    bool is_throttled;             /* the partition, everywhere; read when a broker starts */
    int16_t refuse_isr_changes;    /* Kafka error, 0: none */
    int16_t refuse_alter_requests; /* AlterPartition as a whole */
    int32_t alter_requests;        /* AlterPartition, that arrived */
    /* Hears of everything that reached a broker, after it did. NULL: nobody (transcript.h). */
    void (*on_fact)(void *context, const char *fact);
    void *fact_context;
};

void fake_cluster_create(struct fake_cluster *cluster, int32_t count, int16_t min_insync_replicas);
void fake_cluster_destroy(struct fake_cluster *cluster);
/* Delivers until nothing moves without time passing; then lets this much time pass, in steps. */
void fake_cluster_run(struct fake_cluster *cluster, int64_t for_ms);
/* UpdateMetadata, then LeaderAndIsr with the next leader epoch, to every broker that is up and not cut. ISR members as
 * digits: 123. */
void fake_cluster_lead(struct fake_cluster *cluster, int32_t leader, int32_t isr_digits);
void fake_cluster_update_metadata(struct fake_cluster *cluster);
/* LeaderAndIsr of the present state to one broker; the partition's error. */
int16_t fake_cluster_command(struct fake_cluster *cluster, int32_t broker_id, int32_t controller_epoch);
/* Ends the broker without a clean stop; starts it again on its directories. */
void fake_broker_kill(struct fake_cluster *cluster, int32_t broker_id);
void fake_broker_start(struct fake_cluster *cluster, int32_t broker_id);

struct partition_runtime *fake_partition(struct fake_cluster *cluster, int32_t broker_id);
/* Appends a batch of so many records at the broker; the info. */
struct log_append_info fake_append(struct fake_cluster *cluster, int32_t broker_id, int32_t records, int16_t acks);
int64_t fake_log_end(struct fake_cluster *cluster, int32_t broker_id);
int64_t fake_high_watermark(struct fake_cluster *cluster, int32_t broker_id);
/* The brokers' logs hold the same bytes. */
bool fake_logs_equal(struct fake_cluster *cluster, int32_t a, int32_t b);
/* The controller's in-sync set as digits: 123. */
int32_t fake_isr(const struct fake_cluster *cluster);

#endif
