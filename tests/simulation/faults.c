/* See faults.h. */
#include "tests/simulation/faults.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/checkers/convergence.h"
#include "tests/simulation/scripts.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/workload.h"

enum fault_kind {
    FAULT_KILL,
    FAULT_KILL_IN_WRITE,
    FAULT_STOP,
    FAULT_POWER,
    FAULT_CUT,
    FAULT_ISOLATE,
    FAULT_BRIDGE,
    FAULT_SLOW,
    FAULT_RESET,
    FAULT_STRAND,
    FAULT_PAUSE,
    FAULT_EXPIRE,
    FAULT_COORD_CUT,
    FAULT_COORD_RESET,
    FAULT_COORD_LOSE,
    FAULT_COORD_OUTAGE,
    FAULT_CLIENT_CUT,
    FAULT_WALL_CLOCK,
    FAULT_DISK_ERROR,
    FAULT_SLOW_DISK,
    FAULT_CONTROLLER_STEP,
    FAULT_KIND_COUNT,
};

static const char *const kind_names[FAULT_KIND_COUNT] = {
    "kill",       "kill-in-write", "stop",       "power",      "cut",        "isolate",   "bridge",
    "slow",       "reset",         "strand",     "pause",      "expire",     "coord-cut", "coord-reset",
    "coord-lose", "coord-outage",  "client-cut", "wall-clock", "disk-error", "slow-disk", "controller-step",
};

struct faults {
    struct world *world;
    struct cluster *cluster;
    struct workload *workload;
    struct script *script; /* NULL: none */
    struct random random;
    int32_t client_count;
    bool is_enabled[FAULT_KIND_COUNT];
    int64_t counts[FAULT_KIND_COUNT];
    int64_t pause_ms; /* between two faults, on average */
    struct sim_event *next;
    struct random cleaning_random; /* a stream of its own: when a broker dies while its cleaner works */
    struct sim_event *next_cleaning;
    bool is_stopped;
};

/* Ends a fault some time later. */
struct repair {
    struct faults *faults;
    void (*run)(struct faults *faults, int32_t a, int32_t b);
    int32_t a;
    int32_t b;
};

static void on_fault(void *context);

static int64_t draw(struct faults *faults, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&faults->random, (uint64_t)(max - min) + 1);
}

static void run_repair(void *context) {
    struct repair *repair = context;
    if (!repair->faults->is_stopped) { /* else all is repaired already */
        repair->run(repair->faults, repair->a, repair->b);
    }
    free(repair);
}

static void repair_after(struct faults *faults, int64_t after_ms,
                         void (*run)(struct faults *faults, int32_t a, int32_t b), int32_t a, int32_t b) {
    struct repair *repair = xcalloc(1, sizeof *repair);
    *repair = (struct repair){faults, run, a, b};
    sim_at(faults->cluster->sim, after_ms, run_repair, repair);
}

static void join_link(struct faults *faults, int32_t a, int32_t b) {
    sim_network_cut(faults->cluster->network, a, b, false);
    sim_network_set_delay(faults->cluster->network, a, b, 1, 3);
}

static void join_all(struct faults *faults, int32_t a, int32_t b) {
    (void)b;
    for (int32_t other = 1; other < SIM_NODES_MAX; other++) {
        join_link(faults, a, other);
        join_link(faults, other, a);
    }
}

static void coord_join(struct faults *faults, int32_t a, int32_t b) {
    (void)b;
    struct machine *machine = cluster_machine(faults->cluster, a);
    if (machine->coord != NULL) {
        sim_coord_cut(machine->coord, false);
    }
}

static void coord_back(struct faults *faults, int32_t a, int32_t b) {
    (void)a;
    (void)b;
    sim_coord_server_set_available(faults->cluster->coord, true);
}

/* Somebody changes the disk: what was offline comes back with a new start only. */
static void disk_whole(struct faults *faults, int32_t a, int32_t b) {
    (void)b;
    struct machine *machine = cluster_machine(faults->cluster, a);
    sim_disk_fail(machine->disk, 0, 0, 0);
    if (cluster_has_lost_directory(machine)) {
        machine->is_stopped = true;
        cluster_kill(machine, false, draw(faults, 500, 3000));
    }
}

static void disk_fast(struct faults *faults, int32_t a, int32_t b) {
    (void)b;
    cluster_slow_disk(cluster_machine(faults->cluster, a), 0);
}

/* A machine is lossy until it has been seen in every in-sync set again, with everything. */
static bool any_lossy(struct faults *faults) {
    char why[256];
    struct cluster *cluster = faults->cluster;
    bool is_lossy = false;
    for (int32_t i = 0; i < cluster->count; i++) {
        is_lossy = is_lossy || cluster->machines[i].is_lossy;
    }
    if (is_lossy && cluster_all_serving(cluster) && convergence_is_reached(faults->world, why, sizeof why)) {
        for (int32_t i = 0; i < cluster->count; i++) {
            cluster->machines[i].is_lossy = false;
        }
        return false;
    }
    return is_lossy;
}

static void cut_links(struct faults *faults, int32_t a, int32_t b) {
    struct sim_network *network = faults->cluster->network;
    int64_t ms = draw(faults, 200, 15000);
    bool both = random_below(&faults->random, 2) == 0;
    sim_network_cut(network, a, b, true);
    repair_after(faults, ms, join_link, a, b);
    if (both) {
        sim_network_cut(network, b, a, true);
        repair_after(faults, ms, join_link, b, a);
    }
}

static void isolate(struct faults *faults, int32_t a) {
    for (int32_t other = 1; other < SIM_NODES_MAX; other++) {
        sim_network_cut(faults->cluster->network, a, other, true);
        sim_network_cut(faults->cluster->network, other, a, true);
    }
    repair_after(faults, draw(faults, 500, 15000), join_all, a, 0);
}

/* Two halves that see each other only through one broker in the middle. */
static void bridge(struct faults *faults, int32_t middle) {
    int64_t ms = draw(faults, 500, 12000);
    for (int32_t a = 1; a <= faults->cluster->count; a++) {
        for (int32_t b = 1; b <= faults->cluster->count; b++) {
            if (a != middle && b != middle && (a < middle) != (b < middle)) {
                sim_network_cut(faults->cluster->network, a, b, true);
                repair_after(faults, ms, join_link, a, b);
            }
        }
    }
}

static void slow(struct faults *faults, int32_t a, int32_t b) {
    int64_t max_ms = draw(faults, 10, 1500);
    sim_network_set_delay(faults->cluster->network, a, b, 1, max_ms);
    sim_network_set_delay(faults->cluster->network, b, a, 1, max_ms);
    repair_after(faults, draw(faults, 1000, 15000), join_link, a, b);
    repair_after(faults, draw(faults, 1000, 15000), join_link, b, a);
}

/* Whether every broker's session is sure to live on. One without a connection may have expired already, and its broker
 * would be taken from the in-sync sets before whoever loses its power is. */
static bool are_sessions_sure(const struct cluster *cluster) {
    for (int32_t i = 0; i < cluster->count; i++) {
        struct coord *coord = cluster->machines[i].coord;
        if (coord == NULL || coord->ops->state(coord) != COORD_CONNECTED) {
            return false;
        }
    }
    return true;
}

/* Power goes only where all others hold everything. False: not now. */
static bool power(struct faults *faults, struct machine *machine) {
    char why[256];
    if (!plan_survives_power_loss(faults->world->plan) || !cluster_all_serving(faults->cluster) ||
        !are_sessions_sure(faults->cluster) || !convergence_is_reached(faults->world, why, sizeof why)) {
        return false;
    }
    /* The controller must see the machine go. */
    for (int32_t i = 0; i < faults->cluster->count; i++) {
        if (faults->cluster->machines[i].paused_until_ms > sim_now_ms(faults->cluster->sim)) {
            return false;
        }
    }
    sim_network_heal(faults->cluster->network);
    sim_coord_server_set_available(faults->cluster->coord, true);
    for (int32_t i = 0; i < faults->cluster->count; i++) {
        faults->cluster->machines[i].crash_in_effects = 0;
        faults->cluster->machines[i].crash_in_writes = 0;
        faults->cluster->machines[i].crash_in_moving = 0;
        faults->cluster->machines[i].crash_in_cleaning = 0;
        coord_join(faults, i + 1, 0);
        disk_whole(faults, i + 1, 0);
    }
    /* Whoever is back within its old session would be in the in-sync sets with less than it had when they were told. */
    faults->world->marks->counts[MARK_POWER_LOST]++;
    cluster_kill(machine, true,
                 CLUSTER_SESSION_TIMEOUT_MS + faults->world->plan->linger_ms + 2000 + draw(faults, 0, 8000));
    return true;
}

static bool strike(struct faults *faults, enum fault_kind kind) {
    struct cluster *cluster = faults->cluster;
    int32_t a = (int32_t)draw(faults, 1, cluster->count);
    int32_t b = 1 + (a + (int32_t)draw(faults, 0, MAX(cluster->count - 2, 0))) % cluster->count;
    struct machine *machine = cluster_machine(cluster, a);
    bool is_up = machine->state != MACHINE_DOWN;
    int32_t client = CLUSTER_CLIENT_NODE + (int32_t)draw(faults, 0, faults->client_count - 1);
    switch (kind) {
    case FAULT_KILL: cluster_kill(machine, false, draw(faults, 100, 15000)); return is_up;
    case FAULT_KILL_IN_WRITE: machine->crash_in_effects = draw(faults, 1, 60); return is_up;
    case FAULT_STOP: cluster_stop(machine); return is_up;
    case FAULT_POWER: return power(faults, machine);
    case FAULT_CUT: cut_links(faults, a, b); return true;
    case FAULT_ISOLATE: isolate(faults, a); return true;
    case FAULT_BRIDGE: bridge(faults, a); return true;
    case FAULT_CONTROLLER_STEP:
        machine = cluster_controller(cluster);
        if (machine != NULL) {
            machine->crash_in_writes = draw(faults, 1, 8);
            faults->world->marks->counts[MARK_CONTROLLER_DIED]++;
        }
        return machine != NULL;
    case FAULT_SLOW: slow(faults, a, b); return true;
    case FAULT_RESET: sim_network_reset(cluster->network, a, b); return true;
    case FAULT_STRAND:
        machine = cluster_controller(cluster);
        if (machine != NULL) {
            sim_network_strand(cluster->network, machine->id, a);
        }
        return machine != NULL;
    case FAULT_PAUSE: cluster_pause(machine, draw(faults, 100, 14000)); return is_up;
    case FAULT_CLIENT_CUT: cut_links(faults, a, client); return true;
    case FAULT_WALL_CLOCK:
        machine->wall_offset_ms = draw(faults, -3600000, 3600000);
        if (is_up) {
            sim_clock_set_wall_offset(machine->clock, machine->wall_offset_ms);
        }
        return true;
    case FAULT_COORD_OUTAGE:
        sim_coord_server_set_available(cluster->coord, false);
        repair_after(faults, draw(faults, 500, 20000), coord_back, 0, 0);
        return true;
    case FAULT_DISK_ERROR:
        sim_disk_fail(machine->disk, 1 << draw(faults, 0, 5), draw(faults, 0, 50),
                      random_below(&faults->random, 2) == 0 ? ERR_IO : ERR_NO_SPACE);
        repair_after(faults, draw(faults, 100, 5000), disk_whole, a, 0);
        return is_up;
    case FAULT_SLOW_DISK:
        cluster_slow_disk(machine, INT64_C(20) << draw(faults, 0, 7));
        repair_after(faults, draw(faults, 1000, 15000), disk_fast, a, 0);
        return is_up;
    case FAULT_EXPIRE:
        if (is_up) {
            sim_coord_server_expire(cluster->coord, machine->coord->ops->session_id(machine->coord));
        }
        return is_up;
    case FAULT_COORD_CUT:
        if (is_up) {
            sim_coord_cut(machine->coord, true);
            repair_after(faults, draw(faults, 200, 15000), coord_join, a, 0);
        }
        return is_up;
    case FAULT_COORD_RESET:
        if (is_up) {
            sim_coord_reset(machine->coord);
        }
        return is_up;
    case FAULT_COORD_LOSE:
        if (is_up) {
            sim_coord_lose_replies(machine->coord, (int32_t)draw(faults, 1, 3));
        }
        return is_up;
    case FAULT_KIND_COUNT: break;
    }
    return false;
}

static void schedule(struct faults *faults) {
    faults->next = sim_at(faults->cluster->sim, draw(faults, 1, 2 * faults->pause_ms), on_fault, faults);
}

static void on_fault(void *context) {
    struct faults *faults = context;
    faults->next = NULL;
    if (!any_lossy(faults)) {
        enum fault_kind kind = (enum fault_kind)draw(faults, 0, FAULT_KIND_COUNT - 1);
        for (int32_t i = 0; !faults->is_enabled[kind] && i < FAULT_KIND_COUNT; i++) {
            kind = (enum fault_kind)((kind + 1) % FAULT_KIND_COUNT);
        }
        if (faults->is_enabled[kind] && strike(faults, kind)) {
            faults->counts[kind]++;
        }
    }
    schedule(faults);
}

/* ---- a broker dies while its cleaner works, in every third seed that cleans ---- */

static void on_cleaning(void *context);

static void schedule_cleaning(struct faults *faults) {
    int64_t after_ms = 500 + (int64_t)random_below(&faults->cleaning_random, 8000);
    faults->next_cleaning = sim_at(faults->cluster->sim, after_ms, on_cleaning, faults);
}

static void on_cleaning(void *context) {
    struct faults *faults = context;
    uint64_t count = (uint64_t)faults->cluster->count;
    struct machine *machine =
        cluster_machine(faults->cluster, 1 + (int32_t)random_below(&faults->cleaning_random, count));
    int64_t effects = 1 + (int64_t)random_below(&faults->cleaning_random, 25);
    if (!any_lossy(faults) && machine->state == MACHINE_SERVING) {
        machine->crash_in_cleaning = effects;
    }
    schedule_cleaning(faults);
}

static bool dies_cleaning(struct faults *faults) {
    const struct plan *plan = faults->world->plan;
    /* That script needs quiet while a machine is lossy. */
    return random_below(&faults->cleaning_random, 3) == 0 && plan->cleans && plan->script != SCRIPT_DIRTY_AFTER_CLEAN;
}

struct faults *faults_create(struct world *world, struct workload *workload) {
    struct faults *faults = xcalloc(1, sizeof *faults);
    faults->world = world;
    faults->cluster = world->cluster;
    faults->workload = workload;
    faults->client_count = workload_client_count(workload);
    random_seed(&faults->random, plan_seed(world->plan->seed, STREAM_FAULTS, 0));
    for (int32_t i = 0; i < FAULT_KIND_COUNT; i++) {
        faults->is_enabled[i] = random_below(&faults->random, 3) == 0;
    }
    faults->is_enabled[draw(faults, 0, FAULT_KIND_COUNT - 1)] = true;
    faults->pause_ms = (int64_t)500 << random_below(&faults->random, 5);
    if (world->plan->script != SCRIPT_NONE) {
        /* Some seeds see nothing but the script. Power stays on: while a machine is lossy nothing else may happen. */
        bool is_quiet = random_below(&faults->random, 2) == 0 || world->plan->script == SCRIPT_DIRTY_AFTER_CLEAN;
        for (int32_t i = 0; i < FAULT_KIND_COUNT; i++) {
            faults->is_enabled[i] = faults->is_enabled[i] && !is_quiet && i != FAULT_POWER;
        }
        faults->pause_ms = MAX(faults->pause_ms, 4000);
        faults->script = script_create(world, workload);
    }
    const char *only = getenv("OTTLA_SIM_FAULTS"); /* a mask, for looking at one kind */
    for (int32_t i = 0; only != NULL && i < FAULT_KIND_COUNT; i++) {
        faults->is_enabled[i] = (strtoul(only, NULL, 0) >> i & 1) != 0;
    }
    return faults;
}

void faults_destroy(struct faults *faults) {
    script_destroy(faults->script);
    free(faults);
}

void faults_start(struct faults *faults) {
    script_start(faults->script);
    schedule(faults);
    random_seed(&faults->cleaning_random, plan_seed(faults->world->plan->seed, STREAM_CLEANING, 1));
    if (dies_cleaning(faults)) {
        schedule_cleaning(faults);
    }
}

void faults_stop(struct faults *faults) {
    faults->is_stopped = true;
    script_stop(faults->script);
    if (faults->next != NULL) {
        sim_cancel(faults->cluster->sim, faults->next);
        faults->next = NULL;
    }
    if (faults->next_cleaning != NULL) {
        sim_cancel(faults->cluster->sim, faults->next_cleaning);
        faults->next_cleaning = NULL;
    }
    sim_network_heal(faults->cluster->network);
    sim_coord_server_set_available(faults->cluster->coord, true);
    for (int32_t i = 0; i < faults->cluster->count; i++) {
        faults->cluster->machines[i].crash_in_effects = 0;
        faults->cluster->machines[i].crash_in_writes = 0;
        faults->cluster->machines[i].crash_in_moving = 0;
        faults->cluster->machines[i].crash_in_cleaning = 0;
        coord_join(faults, i + 1, 0);
        sim_disk_fail_once(faults->cluster->machines[i].disk, NULL, 0, 0);
        disk_whole(faults, i + 1, 0);
        cluster_slow_disk(&faults->cluster->machines[i], -1);
    }
}

void faults_print(const struct faults *faults, FILE *to) {
    fprintf(to, "faults, one in %" PRId64 " ms:", faults->pause_ms);
    for (int32_t i = 0; i < FAULT_KIND_COUNT; i++) {
        if (faults->is_enabled[i]) {
            fprintf(to, " %s %" PRId64, kind_names[i], faults->counts[i]);
        }
    }
    fprintf(to, "\n");
}

int64_t faults_count(const struct faults *faults) {
    int64_t count = 0;
    for (int32_t i = 0; i < FAULT_KIND_COUNT; i++) {
        count += faults->counts[i];
    }
    return count + script_rounds(faults->script);
}
