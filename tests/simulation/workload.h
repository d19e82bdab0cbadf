/* Clients of a simulated cluster, reduced to what they decide: producers with their acks, idempotent ones that retry
 * with the same sequence until they are told; consumers that read every partition, some by incremental sessions and
 * long polls; members of consumer groups; and an administrator who makes, grows and deletes topics, trims logs and
 * moves leaders. They find leaders by Metadata, believe only newer leader epochs, and send through connections that
 * break. */
#ifndef OTTLA_SIM_WORKLOAD_H
#define OTTLA_SIM_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

struct checkers;
struct workload;
struct world;

struct workload *workload_create(struct world *world, struct checkers *checkers);
/* After the cluster's last event. */
void workload_destroy(struct workload *workload);
void workload_start(struct workload *workload);
int32_t workload_client_count(const struct workload *workload);
/* Every topic has been made. */
bool workload_has_topics(const struct workload *workload);
/* The administrator begins to meddle. */
void workload_meddle(struct workload *workload);
/* No more of that; what was deleted is made again, and the first consumer reads everything once more. */
void workload_settle(struct workload *workload);
/* Every producer has everything acknowledged and every consumer is at the end of what is exposed. When not, says what
 * is missing. */
bool workload_is_done(const struct workload *workload, char *ret_why, int why_size);
/* For scripts: asks for the preferred leader of a partition. */
void workload_elect_preferred(struct workload *workload, int32_t slot, int32_t partition);

#endif
