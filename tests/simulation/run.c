/* See run.h. First a quiet start, then faults while clients work, then everything is healed and must converge: safety
 * is checked all the time, liveness at the end. */
#include "tests/simulation/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "tests/simulation/checkers/history.h"
#include "tests/simulation/checkers/replicas.h"
#include "tests/simulation/checkers/znodes.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/sim_heap.h"
#include "tests/simulation/workload.h"

#define START_MS 60000 /* for the topic to come into being */
#define FAULTS_MS 60000
#define CONVERGE_MS 120000 /* session timeout and a lot of patience */
#define CHECK_EVERY_MS 40

struct run {
    struct cluster *cluster;
    struct history *history;
    struct replicas *replicas;
    struct workload *workload;
    struct faults *faults;
    struct znode_checker *znodes;
};

static bool is_silent = true;

static void say(enum trace_level level, const char *line, void *context) {
    (void)level;
    if (is_silent) {
        return;
    }
    const struct cluster *cluster = context;
    const struct clock *clock = sim_running(cluster->sim);
    int32_t id = 0;
    for (int32_t i = 0; i < cluster->count; i++) {
        id = clock != NULL && cluster->machines[i].clock == clock ? cluster->machines[i].id : id;
    }
    printf("%8" PRId64 " %d %s\n", sim_now_ms(cluster->sim), id, line);
}

static void on_znode_violation(void *context, const char *invariant, const char *message) {
    cluster_violate(context, "%s: %s", invariant, message);
}

static void on_death(void *context, struct machine *machine) {
    replicas_on_death(context, machine);
}

static void observe(void *context, const struct sim_transaction *transaction) {
    void *owner = sim_heap_enter(NULL);
    znode_checker_observe(context, transaction);
    sim_heap_enter(owner);
}

static void open_run(struct run *run, uint64_t seed, bool is_verbose) {
    struct random random;
    random_seed(&random, seed);
    struct workload_config config = {
        .producers = 1 + (int32_t)random_below(&random, 3),
        .consumers = 1 + (int32_t)random_below(&random, 2),
        .partitions = 1 + (int32_t)random_below(&random, 4),
        .records_per_partition = 50 + (int64_t)random_below(&random, 300),
        .think_ms = (int64_t)20 << random_below(&random, 6),
    };
    run->cluster = cluster_create(seed, 3);
    run->history = history_create(run->cluster);
    run->replicas = replicas_create(run->cluster, config.partitions);
    run->workload = workload_create(run->cluster, &config, run->history, run->replicas, random_u64(&random));
    run->faults = faults_create(run->cluster, run->replicas, config.producers + config.consumers, random_u64(&random));
    run->znodes = znode_checker_create(on_znode_violation, run->cluster);
    sim_coord_server_observe(run->cluster->coord, observe, run->znodes);
    run->cluster->on_death = on_death;
    run->cluster->context = run->replicas;
    is_silent = !is_verbose;
    trace_set_level(is_verbose ? TRACE_DEBUG : TRACE_FATAL);
    trace_set_sink(say, run->cluster);
    for (int32_t i = 0; i < run->cluster->count; i++) {
        cluster_start(&run->cluster->machines[i]);
    }
    workload_start(run->workload);
}

static void close_run(struct run *run) {
    sim_coord_server_observe(run->cluster->coord, NULL, NULL);
    workload_destroy(run->workload);
    cluster_destroy(run->cluster);
    faults_destroy(run->faults);
    replicas_destroy(run->replicas);
    history_destroy(run->history);
    znode_checker_destroy(run->znodes);
    trace_set_sink(NULL, NULL);
}

typedef bool run_condition(struct run *run, char *ret_why, int why_size);

/* Steps until the condition holds, something is violated, or the time is up. True when the condition holds. */
static bool run_for(struct run *run, int64_t ms, run_condition *is_over, char *ret_why, int why_size) {
    struct sim *sim = run->cluster->sim;
    int64_t end_ms = sim_now_ms(sim) + ms;
    while (sim_now_ms(sim) < end_ms && run->cluster->violation == NULL) {
        sim_run_until(sim, sim_now_ms(sim) + CHECK_EVERY_MS);
        replicas_check(run->replicas);
        if (is_over != NULL && is_over(run, ret_why, why_size)) {
            return true;
        }
    }
    return false;
}

static bool has_topic(struct run *run, char *ret_why, int why_size) {
    snprintf(ret_why, (size_t)why_size, "the topic could not be created");
    return workload_has_topic(run->workload);
}

static bool has_converged(struct run *run, char *ret_why, int why_size) {
    if (!cluster_all_serving(run->cluster)) {
        snprintf(ret_why, (size_t)why_size, "not every broker serves");
        return false;
    }
    return workload_is_done(run->workload, ret_why, why_size) &&
           replicas_have_converged(run->replicas, ret_why, why_size);
}

static void play(struct run *run) {
    char why[256] = "";
    if (!run_for(run, START_MS, has_topic, why, sizeof why)) {
        cluster_violate(run->cluster, "liveness: %s", why);
        return;
    }
    faults_start(run->faults);
    run_for(run, FAULTS_MS, NULL, NULL, 0);
    if (run->cluster->violation != NULL) {
        return;
    }
    faults_stop(run->faults);
    if (!run_for(run, CONVERGE_MS, has_converged, why, sizeof why)) {
        cluster_violate(run->cluster, "liveness: %s", why);
        return;
    }
    history_check_end(run->history);
}

void run_seed(uint64_t seed, bool is_quiet, bool is_verbose, struct run_result *ret) {
    struct run run;
    open_run(&run, seed, is_verbose);
    play(&run);
    struct cluster *cluster = run.cluster;
    sim_trace_mix(cluster->sim, sim_network_messages(cluster->network));
    sim_trace_mix(cluster->sim, (uint64_t)history_acked_count(run.history));
    sim_trace_mix(cluster->sim, (uint64_t)history_read_count(run.history));
    *ret = (struct run_result){
        .is_violated = cluster->violation != NULL,
        .hash = sim_trace_hash(cluster->sim),
        .simulated_ms = sim_now_ms(cluster->sim),
        .events = sim_event_count(cluster->sim),
        .acked = history_acked_count(run.history),
        .read = history_read_count(run.history),
        .faults = faults_count(run.faults),
    };
    if (ret->is_violated && !is_quiet) {
        printf("seed %" PRIu64 " FAILED %s\n  ", seed, cluster->violation);
        faults_print(run.faults, stdout);
    } else if (is_verbose) {
        faults_print(run.faults, stdout);
    }
    close_run(&run);
}
