/* A cluster of real brokers over the simulated seams: started, killed, cut off and healed from outside.
 *
 * A broker is a process on a machine. Killing the process leaves its page cache; cutting the power does not. Whoever
 * ends, for whatever reason, is started again a while later, as a service manager does. */
#ifndef OTTLA_SIM_CLUSTER_H
#define OTTLA_SIM_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulation/sim_clock.h"
#include "tests/simulation/sim_coord.h"
#include "tests/simulation/sim_transport.h"

#define CLUSTER_BROKERS_MAX 5
#define CLUSTER_LOG_DIRS_MAX 2
#define CLUSTER_SESSION_TIMEOUT_MS 6000
#define CLUSTER_LAG_MAX_MS 6000
/* Clients sit on nodes beyond the brokers. */
#define CLUSTER_CLIENT_NODE (CLUSTER_BROKERS_MAX + 1)

struct broker;
struct config;
struct cluster;
struct plan;

enum machine_state { MACHINE_DOWN, MACHINE_STARTING, MACHINE_SERVING, MACHINE_STOPPING };

struct machine {
    struct cluster *cluster;
    int32_t id; /* broker id and node, from 1 */
    enum machine_state state;
    uint32_t incarnation;
    struct disk *disk;
    struct clock *clock;
    struct coord *coord;
    struct transport *transport;
    struct config *config;
    struct broker *broker;
    struct sim_event *restart;
    int64_t wall_offset_ms;
    int64_t paused_until_ms;
    int64_t disk_slow_ms;      /* background jobs stand still so long at most, each time; as of sim_workers_set_slow */
    bool is_lossy;             /* lost power and has not been through recovery and back in sync since */
    bool is_stopped;           /* was asked to stop, or failed, and has not started again */
    int64_t crash_in_writes;   /* dies after that many more transactions of its session; 0: no */
    int64_t crash_in_effects;  /* dies before that many more changes of its disk; 0: no */
    int64_t crash_in_moving;   /* likewise, from where a directory of a log on its way was made or renamed */
    int64_t crash_in_cleaning; /* likewise, of files the cleaner makes or takes away */
};

struct cluster {
    struct sim *sim;
    struct sim_network *network;
    struct sim_coord_server *coord;
    struct machine machines[CLUSTER_BROKERS_MAX];
    int32_t count;
    const struct plan *plan;
    struct random *random;
    char *violation; /* the first thing that must not be; NULL as long as all is well */
    /* Told when a process ends, while its memory is still there. */
    void (*on_death)(void *context, struct machine *machine);
    void (*on_serving)(void *context, struct machine *machine);
    /* Told when the guard of a process that died ended its session. */
    void (*on_guarded)(void *context, struct machine *machine);
    void *context;
    struct guard *guards; /* of processes that died, at work */
    struct random *guard_random;
};

/* The plan is the caller's. */
struct cluster *cluster_create(const struct plan *plan);
void cluster_destroy(struct cluster *cluster);
struct machine *cluster_machine(struct cluster *cluster, int32_t id); /* NULL when there is none */
/* Notes a violation; only the first counts. */
void cluster_violate(struct cluster *cluster, const char *format, ...) __attribute__((format(printf, 2, 3)));

void cluster_start(struct machine *machine);
/* kill -9, which in every other case the process's guard survives, and soon ends its session; with_power: the machine
 * loses its power, and nothing survives. Restarts after restart_after_ms, not by itself when negative. */
void cluster_kill(struct machine *machine, bool with_power, int64_t restart_after_ms);
/* SIGTERM; starts again a few seconds after it is through. */
void cluster_stop(struct machine *machine);
/* Background jobs of this process and the next ones stand still up to max_ms before many operations, as of
 * sim_workers_set_slow. */
void cluster_slow_disk(struct machine *machine, int64_t max_ms);
void cluster_pause(struct machine *machine, int64_t ms);
/* Path of log directory `number` on every machine. */
const char *cluster_log_dir(int32_t number);
/* The machine runs, but some log directory of it is offline. */
bool cluster_has_lost_directory(const struct machine *machine);
/* The broker that acts as controller in the newest epoch, NULL when there is none. */
struct machine *cluster_controller(struct cluster *cluster);
/* Ends the session of the machine's process as an operator would. */
void cluster_expire(struct machine *machine);
/* For machine->crash_in_writes: of every transaction. */
void cluster_count_write(struct cluster *cluster, int64_t session_id);
/* No background job is under way, on no machine. */
bool cluster_workers_rest(const struct cluster *cluster);
bool cluster_all_serving(const struct cluster *cluster);

#endif
