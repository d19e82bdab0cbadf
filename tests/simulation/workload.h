/* Clients of a simulated cluster, reduced to what they decide: idempotent producers with acks=all that retry with the
 * same sequence until they are told, and consumers that read every partition from the first record on. They find
 * leaders by Metadata, believe only newer leader epochs, and send through connections that break. */
#ifndef OTTLA_SIM_WORKLOAD_H
#define OTTLA_SIM_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define WORKLOAD_TOPIC "events"
#define WORKLOAD_REPLICATION 3

struct cluster;
struct history;
struct replicas;
struct workload;

struct workload_config {
    int32_t producers;
    int32_t consumers;
    int32_t partitions;
    int64_t records_per_partition; /* of each producer */
    int64_t think_ms;              /* between a batch and the next, at most */
};

struct workload *workload_create(struct cluster *cluster, const struct workload_config *config, struct history *history,
                                 struct replicas *replicas, uint64_t seed);
/* After the cluster's last event. */
void workload_destroy(struct workload *workload);
void workload_start(struct workload *workload);
bool workload_has_topic(const struct workload *workload);
/* Every producer has everything acknowledged and every consumer is at the end of what is committed. When not, says
 * what is missing. */
bool workload_is_done(const struct workload *workload, char *ret_why, int why_size);

#endif
