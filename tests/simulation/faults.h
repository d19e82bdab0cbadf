/* What goes wrong, drawn from the seed. Each run enables some kinds (swarm) and draws how often.
 *
 * The promise is Kafka's: with acks=all and min.insync.replicas=2, what was acknowledged survives any number of process
 * deaths, cuts, pauses and lost sessions, since page caches stay. Power is another matter: nothing is synced before it
 * is acknowledged, so a machine may lose its power only while all others hold everything (min.insync.replicas - 1 = 1
 * lossy machine at a time), and nothing else may happen until it is back in every in-sync set. */
#ifndef OTTLA_SIM_FAULTS_H
#define OTTLA_SIM_FAULTS_H

#include <stdint.h>
#include <stdio.h>

struct faults;
struct workload;
struct world;

struct faults *faults_create(struct world *world, struct workload *workload);
void faults_destroy(struct faults *faults);
void faults_start(struct faults *faults);
/* Everything is made whole; nothing more happens. */
void faults_stop(struct faults *faults);
/* The kinds this seed enables, and how many of each came. */
void faults_print(const struct faults *faults, FILE *to);
int64_t faults_count(const struct faults *faults);

#endif
