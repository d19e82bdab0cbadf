/* See run.h. First a quiet start, then faults while clients work, then everything is healed and must converge: safety
 * is checked all the time, liveness at the end. */
#include "tests/simulation/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/checkers/convergence.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/keys.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/group_history.h"
#include "tests/simulation/sim_heap.h"
#include "tests/simulation/workload.h"

#define START_MS 60000 /* for the topics to come into being */
#define FAULTS_MS 50000
#define CONVERGE_MS 180000 /* session timeout and a lot of patience */
#define CHECK_EVERY_MS 40

struct run {
    struct plan plan;
    struct marks marks;
    struct world world;
    struct cluster *cluster;
    struct checkers *checkers;
    struct workload *workload;
    struct faults *faults;
    bool is_verbose;
    bool is_closing;
};

static struct machine *running_machine(const struct cluster *cluster) {
    const struct clock *clock = sim_running(cluster->sim);
    for (int32_t i = 0; i < cluster->count; i++) {
        if (clock != NULL && cluster->machines[i].clock == clock) {
            return (struct machine *)(uintptr_t)&cluster->machines[i];
        }
    }
    return NULL;
}

static void on_line(enum trace_level level, const char *line, void *context) {
    struct run *run = context;
    struct machine *machine = running_machine(run->cluster);
    if (run->is_verbose) {
        printf("%8" PRId64 " %d %s\n", sim_now_ms(run->cluster->sim), machine == NULL ? 0 : machine->id, line);
    }
    if (level >= TRACE_WARN && machine != NULL && !run->is_closing) {
        checkers_on_line(run->checkers, machine, line);
    }
}

static void on_transaction(void *context, const struct sim_transaction *transaction) {
    struct run *run = context;
    void *owner = sim_heap_enter(NULL);
    for (int32_t i = 0; run->is_verbose && i < transaction->count; i++) {
        static const char *const names[] = {"check", "create", "set", "delete"};
        const struct coord_op *op = &transaction->ops[i];
        printf("%8" PRId64 " 0 session 0x%" PRIx64 " %s %s %.*s\n", sim_now_ms(run->cluster->sim),
               transaction->session_id, names[op->type], op->path, op->data.size > 0 ? op->data.size : 0,
               op->data.size > 0 ? (const char *)op->data.data : "");
    }
    topics_observe(run->world.topics, transaction);
    checkers_on_transaction(run->checkers, transaction);
    cluster_count_write(run->cluster, transaction->session_id);
    sim_heap_enter(owner);
}

static struct served served_of(struct run *run, const struct sim_exchange *exchange) {
    return (struct served){.machine = cluster_machine(run->cluster, exchange->to),
                           .from = exchange->from,
                           .api_key = exchange->api_key,
                           .api_version = exchange->api_version,
                           .request = exchange->request,
                           .answer = exchange->answer};
}

static void on_request(void *context, const struct sim_exchange *exchange) {
    struct run *run = context;
    const struct served served = served_of(run, exchange);
    checkers_on_request(run->checkers, &served);
}

static void on_answer(void *context, const struct sim_exchange *exchange) {
    struct run *run = context;
    const struct served served = served_of(run, exchange);
    checkers_on_answer(run->checkers, &served);
}

static void on_death(void *context, struct machine *machine) {
    struct run *run = context;
    checkers_on_death(run->checkers, machine);
}

static void on_serving(void *context, struct machine *machine) {
    struct run *run = context;
    checkers_on_serving(run->checkers, machine);
}

static void on_guarded(void *context, struct machine *machine) {
    struct run *run = context;
    run->marks.counts[MARK_SESSION_GUARDED]++;
    run->marks.counts[MARK_GUARDED_AFTER_START] += machine->state != MACHINE_DOWN;
}

static void open_run(struct run *run, uint64_t seed, bool is_verbose) {
    plan_draw(&run->plan, seed);
    run->is_verbose = is_verbose;
    run->cluster = cluster_create(&run->plan);
    run->world = (struct world){.plan = &run->plan,
                                .cluster = run->cluster,
                                .topics = topics_create(run->cluster->sim, &run->plan),
                                .values = values_create(),
                                .exposed = exposed_create(),
                                .keys = keys_create(),
                                .groups = xcalloc(1, sizeof(struct group_history)),
                                .marks = &run->marks};
    run->checkers = checkers_create(&run->world);
    run->workload = workload_create(&run->world, run->checkers);
    run->faults = faults_create(&run->world, run->workload);
    sim_coord_server_observe(run->cluster->coord, on_transaction, run);
    sim_network_observe(run->cluster->network, on_request, on_answer, run);
    run->cluster->on_death = on_death;
    run->cluster->on_serving = on_serving;
    run->cluster->on_guarded = on_guarded;
    run->cluster->context = run;
    trace_set_level(is_verbose ? TRACE_DEBUG : TRACE_WARN);
    trace_set_sink(on_line, run);
    for (int32_t i = 0; i < run->cluster->count; i++) {
        cluster_start(&run->cluster->machines[i]);
    }
    workload_start(run->workload);
}

static void close_run(struct run *run) {
    run->is_closing = true;
    sim_coord_server_observe(run->cluster->coord, NULL, NULL);
    sim_network_observe(run->cluster->network, NULL, NULL, NULL);
    workload_destroy(run->workload);
    cluster_destroy(run->cluster);
    faults_destroy(run->faults);
    checkers_destroy(run->checkers);
    exposed_destroy(run->world.exposed);
    free(run->world.groups);
    keys_destroy(run->world.keys);
    values_destroy(run->world.values);
    topics_destroy(run->world.topics);
    trace_set_sink(NULL, NULL);
}

typedef bool run_condition(struct run *run, char *ret_why, int why_size);

/* Steps until the condition holds, something is violated, or the time is up. True when the condition holds. */
static bool run_for(struct run *run, int64_t ms, run_condition *is_over, char *ret_why, int why_size) {
    struct sim *sim = run->cluster->sim;
    int64_t end_ms = sim_now_ms(sim) + ms;
    while (sim_now_ms(sim) < end_ms && run->cluster->violation == NULL) {
        sim_run_until(sim, sim_now_ms(sim) + CHECK_EVERY_MS);
        checkers_on_step(run->checkers);
        if (is_over != NULL && is_over(run, ret_why, why_size)) {
            return true;
        }
    }
    return false;
}

static bool has_topics(struct run *run, char *ret_why, int why_size) {
    snprintf(ret_why, (size_t)why_size, "the topics could not be created");
    return workload_has_topics(run->workload);
}

static bool has_converged(struct run *run, char *ret_why, int why_size) {
    if (!convergence_is_reached(&run->world, ret_why, why_size) ||
        !workload_is_done(run->workload, ret_why, why_size)) {
        return false;
    }
    /* Files that need not be written at once are to be looked at as well. */
    snprintf(ret_why, (size_t)why_size, "workers never rest");
    return cluster_workers_rest(run->cluster);
}

static void play(struct run *run) {
    char why[256] = "";
    if (!run_for(run, START_MS, has_topics, why, sizeof why)) {
        cluster_violate(run->cluster, "C8 liveness: %s", why);
        return;
    }
    faults_start(run->faults);
    workload_meddle(run->workload);
    run_for(run, FAULTS_MS, NULL, NULL, 0);
    if (run->cluster->violation != NULL) {
        return;
    }
    faults_stop(run->faults);
    workload_settle(run->workload);
    if (!run_for(run, CONVERGE_MS, has_converged, why, sizeof why)) {
        cluster_violate(run->cluster, "C8 liveness: %s", why);
        return;
    }
    checkers_on_end(run->checkers);
}

static void report(const struct run *run, FILE *to) {
    fprintf(to, "  ");
    plan_print(&run->plan, to);
    fprintf(to, "  ");
    faults_print(run->faults, to);
}

void run_seed(uint64_t seed, bool is_quiet, bool is_verbose, struct run_result *ret) {
    struct run *run = xcalloc(1, sizeof *run);
    open_run(run, seed, is_verbose);
    play(run);
    struct cluster *cluster = run->cluster;
    run->marks.counts[MARK_LATE_REQUEST] += sim_network_late(cluster->network);
    sim_trace_mix(cluster->sim, sim_network_messages(cluster->network));
    sim_trace_mix(cluster->sim, (uint64_t)values_acked_count(run->world.values));
    *ret = (struct run_result){
        .is_violated = cluster->violation != NULL,
        .hash = sim_trace_hash(cluster->sim),
        .simulated_ms = sim_now_ms(cluster->sim),
        .events = sim_event_count(cluster->sim),
        .acked = values_acked_count(run->world.values),
        .faults = faults_count(run->faults),
        .marks = run->marks,
    };
    if (ret->is_violated && !is_quiet) {
        printf("seed %" PRIu64 " FAILED %s\n", seed, cluster->violation);
        report(run, stdout);
    } else if (is_verbose) {
        report(run, stdout);
    }
    close_run(run);
    free(run);
}
