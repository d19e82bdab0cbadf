/* What the replicas hold, looked at from inside every few milliseconds of simulated time (reliability.md 2a).
 *
 *   L1, L5, L8, L12  below the high watermark there is one history: what any replica once exposed there is what every
 *                    replica holds there, batch for batch, for ever
 *   L4  a member of the registered in-sync set holds everything that was ever exposed
 *   L6  leader epochs do not go back along a log
 *   L7  a leader epoch has one leader
 *   L11 a log never ends below its own high watermark
 *   L13 what was acknowledged lies on min.insync.replicas disks */
#ifndef OTTLA_CHECKER_REPLICAS_H
#define OTTLA_CHECKER_REPLICAS_H

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct machine;
struct replicas;

struct replicas *replicas_create(struct cluster *cluster, int32_t partition_count);
void replicas_destroy(struct replicas *replicas);
void replicas_check(struct replicas *replicas);
/* For cluster->on_death: how far the logs of that machine went. */
void replicas_on_death(struct replicas *replicas, struct machine *machine);
void replicas_on_acked(struct replicas *replicas, int32_t partition, int64_t offset);
int64_t replicas_committed_end(const struct replicas *replicas, int32_t partition);
/* The broker seen leading under the highest epoch so far, -1 none. */
int32_t replicas_newest_leader(const struct replicas *replicas, int32_t partition);
/* Everything in sync, led, equal and exposed to the end. When not, *ret_why says what is missing. */
bool replicas_have_converged(const struct replicas *replicas, char *ret_why, int why_size);

#endif
