/* See cluster.h. */
#include "tests/simulation/cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "broker/broker_internal.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_heap.h"
#include "tests/simulation/sim_workers.h"

static const char *const log_dirs[CLUSTER_LOG_DIRS_MAX] = {"/sim/kafka-logs", "/sim/kafka-logs-2"};

#define RESTART_AFTER_FAILURE_MS 2000
#define SMALL_QUEUE_BYTES 500
#define GUARD_RETRY_MS 100

/* What session_guard.c does, after the death it waited for. */
struct guard {
    struct guard *prev, *next;
    struct machine *machine;
    struct sim_event *event;
    int64_t session_id;
    int64_t until_ms;
};

static void stop_done(void *context);

struct cluster *cluster_create(const struct plan *plan) {
    CHECK(plan->brokers >= 1 && plan->brokers <= CLUSTER_BROKERS_MAX && plan->log_dirs <= CLUSTER_LOG_DIRS_MAX);
    struct cluster *cluster = xcalloc(1, sizeof *cluster);
    cluster->plan = plan;
    cluster->count = plan->brokers;
    cluster->random = xcalloc(1, sizeof *cluster->random);
    random_seed(cluster->random, plan_seed(plan->seed, STREAM_FAULTS, 1));
    cluster->guard_random = xcalloc(1, sizeof *cluster->guard_random);
    random_seed(cluster->guard_random, plan_seed(plan->seed, STREAM_FAULTS, 2));
    cluster->sim = sim_create(plan_seed(plan->seed, STREAM_SCHEDULE, 0));
    cluster->network = sim_network_create(cluster->sim, plan_seed(plan->seed, STREAM_NETWORK, 0));
    cluster->coord = sim_coord_server_create(cluster->sim, plan_seed(plan->seed, STREAM_COORD, 0));
    sim_coord_server_set_linger(cluster->coord, plan->linger_ms);
    for (int32_t i = 0; i < cluster->count; i++) {
        struct machine *machine = &cluster->machines[i];
        machine->cluster = cluster;
        machine->id = i + 1;
        machine->disk = sim_disk_create(plan_seed(plan->seed, STREAM_DISK, i));
        for (int32_t k = 0; k < plan->log_dirs; k++) {
            sim_disk_make_path(machine->disk, log_dirs[k]);
        }
    }
    return cluster;
}

const char *cluster_log_dir(int32_t number) {
    return log_dirs[number];
}

struct machine *cluster_machine(struct cluster *cluster, int32_t id) {
    return id >= 1 && id <= cluster->count ? &cluster->machines[id - 1] : NULL;
}

void cluster_violate(struct cluster *cluster, const char *format, ...) {
    if (cluster->violation != NULL) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cluster->violation = xasprintf("at %" PRId64 " ms: %s", sim_now_ms(cluster->sim), text);
}

/* ---- a process comes ---- */

static void set(struct properties *properties, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void set(struct properties *properties, const char *key, const char *format, ...) {
    char value[256];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    properties_set(properties, key, value);
}

static void set_group_settings(struct properties *properties, const struct plan *plan) {
    if (plan->group_count == 0) {
        set(properties, "offsets.topic.num.partitions", "1");
        return;
    }
    set(properties, "offsets.topic.num.partitions", "%d", plan->offsets_partitions);
    set(properties, "offsets.topic.replication.factor", "%d", plan_offsets_replication(plan));
    set(properties, "offsets.topic.segment.bytes", "%d", plan->offsets_segment_bytes);
    set(properties, "group.min.session.timeout.ms", "1000");
    set(properties, "group.initial.rebalance.delay.ms", "500");
}

static void set_cleaner_settings(struct properties *properties, const struct plan *plan) {
    if (!plan->cleans) {
        return;
    }
    set(properties, "log.cleaner.backoff.ms", "%" PRId64, plan->clean_backoff_ms);
    set(properties, "log.cleaner.min.cleanable.ratio", "%g", plan->clean_ratio);
    set(properties, "log.cleaner.delete.retention.ms", "%" PRId64, plan->tombstone_ms);
    if (plan->clean_bytes_per_second > 0) {
        set(properties, "log.cleaner.io.max.bytes.per.second", "%" PRId64, plan->clean_bytes_per_second);
    }
}

/* Short times and small segments, so that rolls, checkpoints and elections happen often. */
static struct config *make_config(const struct machine *machine) {
    const struct plan *plan = machine->cluster->plan;
    struct properties properties;
    properties_init(&properties);
    set(&properties, "broker.id", "%d", machine->id);
    set(&properties, "listeners", "PLAINTEXT://127.0.0.1:%d", 9090 + machine->id);
    set(&properties, "log.dirs", "%s%s%s", log_dirs[0], plan->log_dirs > 1 ? "," : "",
        plan->log_dirs > 1 ? log_dirs[1] : "");
    set(&properties, "zookeeper.connect", "sim:2181");
    set(&properties, "zookeeper.session.timeout.ms", "%d", CLUSTER_SESSION_TIMEOUT_MS);
    set(&properties, "replica.lag.time.max.ms", "%d", CLUSTER_LAG_MAX_MS);
    set(&properties, "replica.socket.timeout.ms", "5000");
    set(&properties, "replica.fetch.backoff.ms", "300");
    set(&properties, "controller.socket.timeout.ms", "5000");
    set(&properties, "log.segment.bytes", "%d", plan->segment_bytes);
    set(&properties, "log.index.interval.bytes", "128");
    set(&properties, "log.index.size.max.bytes", "4096");
    set(&properties, "min.insync.replicas", "%d", plan->min_insync);
    set(&properties, "background.threads", "%d", plan->workers);
    set(&properties, "log.flush.offset.checkpoint.interval.ms", "3000");
    set(&properties, "log.flush.start.offset.checkpoint.interval.ms", "3000");
    set(&properties, "replica.high.watermark.checkpoint.interval.ms", "1500");
    set(&properties, "log.retention.check.interval.ms", "4000");
    set(&properties, "log.initial.task.delay.ms", "1000");
    set(&properties, "log.segment.delete.delay.ms", "1500");
    set(&properties, "leader.imbalance.check.interval.seconds", "15");
    set_group_settings(&properties, plan);
    set_cleaner_settings(&properties, plan);
    set(&properties, "auto.create.topics.enable", "false");
    set(&properties, "unclean.leader.election.enable", "false");
    struct config *config = NULL;
    char *message = NULL;
    if (config_create(&properties, &config, &message) != 0) {
        fprintf(stderr, "%s\n", message);
        abort();
    }
    properties_deinit(&properties);
    return config;
}

static void on_restart(void *context) {
    struct machine *machine = context;
    machine->restart = NULL;
    cluster_start(machine);
}

static void restart_after(struct machine *machine, int64_t after_ms) {
    if (machine->restart == NULL && after_ms >= 0) {
        machine->restart = sim_at(machine->cluster->sim, after_ms, on_restart, machine);
    }
}

static void on_serving(void *context) {
    struct machine *machine = context;
    struct cluster *cluster = machine->cluster;
    machine->state = MACHINE_SERVING;
    sim_network_serve(cluster->network, machine->id, broker_dispatcher(machine->broker));
    if (cluster->on_serving != NULL) {
        cluster->on_serving(cluster->context, machine);
    }
}

static void kill_now(void *context) {
    struct machine *machine = context;
    if (machine->state != MACHINE_DOWN) {
        cluster_kill(machine, false, RESTART_AFTER_FAILURE_MS);
    }
}

/* The process says why and exits; its disk stays as it is. */
static void on_failed(void *context, const char *message) {
    struct machine *machine = context;
    struct sim *sim = machine->cluster->sim;
    trace_fatal("simulation", "broker %d failed: %s", machine->id, message);
    operator_read(machine, message);
    machine->is_stopped = true;
    if (sim_running(sim) == machine->clock) {
        cluster_kill(machine, false, RESTART_AFTER_FAILURE_MS);
    } else {
        sim_at(sim, 0, kill_now, machine);
    }
}

static bool is_of_cleaner(const char *name) {
    return strstr(name, ".cleaned") != NULL || strstr(name, ".swap") != NULL || strstr(name, ".deleted") != NULL;
}

static bool is_of_move(const char *name) {
    return strstr(name, "-future") != NULL;
}

static void on_effect(void *context, const char *name) {
    struct machine *machine = context;
    if (machine->crash_in_cleaning > 0 && is_of_cleaner(name) && --machine->crash_in_cleaning == 0) {
        machine->crash_in_effects = 1;
    }
    if (machine->crash_in_moving > 0 && is_of_move(name) && --machine->crash_in_moving == 0) {
        /* Before the copy is made or bears the log's name, or soon after. */
        machine->crash_in_effects = 1 + (int64_t)random_below(machine->cluster->random, 5);
    }
    if (machine->crash_in_effects > 0 && --machine->crash_in_effects == 0) {
        if (sim_running(machine->cluster->sim) == machine->clock) {
            cluster_kill(machine, false, 500 + (int64_t)random_below(machine->cluster->random, 12000));
        } else {
            machine->crash_in_effects = 1; /* the simulator itself looks at the disk */
        }
    }
}

static void begin(void *context) {
    struct machine *machine = context;
    struct broker_seams seams = {
        .clock = machine->clock,
        .disk = machine->disk,
        .transport = machine->transport,
        .coord = machine->coord,
        .seed =
            plan_seed(machine->cluster->plan->seed, STREAM_PLAN, machine->id * 1000 + (int32_t)machine->incarnation),
        /* In every third run two or three commands are too many for a broker that does not answer. */
        .controller_queue_bytes_max = machine->cluster->plan->seed % 3 == 0 ? SMALL_QUEUE_BYTES : 0,
        .on_serving = on_serving,
        .on_failed = on_failed,
        .context = machine,
    };
    machine->config = make_config(machine);
    machine->broker = broker_create(machine->config, &seams);
    broker_start(machine->broker);
}

void cluster_start(struct machine *machine) {
    struct cluster *cluster = machine->cluster;
    CHECK(machine->state == MACHINE_DOWN);
    if (machine->restart != NULL) {
        sim_cancel(cluster->sim, machine->restart);
        machine->restart = NULL;
    }
    machine->state = MACHINE_STARTING;
    machine->incarnation++;
    machine->crash_in_effects = 0;
    machine->crash_in_writes = 0;
    machine->crash_in_moving = 0;
    machine->crash_in_cleaning = 0;
    machine->is_stopped = false;
    machine->paused_until_ms = 0;
    machine->clock = sim_clock_create(cluster->sim, machine->wall_offset_ms);
    sim_workers_set_count(sim_clock_workers(machine->clock), cluster->plan->workers);
    sim_workers_set_slow(sim_clock_workers(machine->clock), machine->disk_slow_ms);
    sim_disk_set_clock(machine->disk, machine->clock);
    sim_disk_on_effect(machine->disk, on_effect, machine);
    machine->coord = sim_coord_create(cluster->coord, machine->clock, CLUSTER_SESSION_TIMEOUT_MS);
    sim_network_join(cluster->network, machine->id, machine->clock);
    machine->transport = sim_transport_create(cluster->network, machine->id);
    clock_post(machine->clock, begin, machine);
}

/* ---- and goes ---- */

static void drop_guard(struct guard *guard) {
    DL_DELETE(guard->machine->cluster->guards, guard);
    free(guard);
}

static void on_guard(void *context) {
    struct guard *guard = context;
    struct machine *machine = guard->machine;
    struct cluster *cluster = machine->cluster;
    bool is_ended;
    bool is_over = sim_coord_server_close(cluster->coord, guard->session_id, &is_ended);
    if (!is_over && sim_now_ms(cluster->sim) < guard->until_ms) {
        guard->event = sim_at(cluster->sim, GUARD_RETRY_MS, on_guard, guard);
        return;
    }
    if (is_ended && cluster->on_guarded != NULL) {
        cluster->on_guarded(cluster->context, machine);
    }
    drop_guard(guard);
}

/* Mostly within milliseconds; on a busy machine a successor may be up before. */
static void guard_session(struct machine *machine) {
    struct cluster *cluster = machine->cluster;
    int64_t session_id = machine->coord->ops->session_id(machine->coord);
    if (session_id == 0 || random_below(cluster->guard_random, 2) != 0) {
        return;
    }
    struct guard *guard = xcalloc(1, sizeof *guard);
    uint64_t delay_ms_max = random_below(cluster->guard_random, 3) == 0 ? 4000 : 20;
    guard->machine = machine;
    guard->session_id = session_id;
    guard->until_ms = sim_now_ms(cluster->sim) + CLUSTER_SESSION_TIMEOUT_MS;
    guard->event =
        sim_at(cluster->sim, 1 + (int64_t)random_below(cluster->guard_random, delay_ms_max), on_guard, guard);
    DL_APPEND(cluster->guards, guard);
}

void cluster_kill(struct machine *machine, bool with_power, int64_t restart_after_ms) {
    struct cluster *cluster = machine->cluster;
    if (machine->state == MACHINE_DOWN) {
        return;
    }
    bool is_running = sim_running(cluster->sim) == machine->clock;
    void *owner = sim_heap_enter(NULL);
    if (cluster->on_death != NULL) {
        cluster->on_death(cluster->context, machine);
    }
    if (!with_power) {
        guard_session(machine);
    }
    sim_network_leave(cluster->network, machine->id);
    sim_coord_kill(machine->coord);
    sim_clock_kill(machine->clock);
    sim_disk_process_died(machine->disk);
    sim_heap_release(machine->clock);
    sim_transport_destroy(machine->transport);
    sim_clock_destroy(machine->clock);
    machine->clock = NULL;
    machine->coord = NULL;
    machine->transport = NULL;
    machine->broker = NULL;
    machine->config = NULL;
    machine->state = MACHINE_DOWN;
    if (with_power) {
        machine->is_lossy = true;
        sim_disk_power_loss(machine->disk);
    }
    restart_after(machine, restart_after_ms);
    sim_heap_enter(owner);
    if (is_running) {
        sim_escape(cluster->sim);
    }
}

static void run_stop(void *context) {
    struct machine *machine = context;
    if (machine->state == MACHINE_SERVING) {
        machine->state = MACHINE_STOPPING;
        machine->is_stopped = true;
        broker_stop(machine->broker, stop_done, machine);
    }
}

static void stop_done(void *context) {
    struct machine *machine = context;
    if (random_below(machine->cluster->guard_random, 2) == 0) { /* else it is killed while it waits for them */
        sim_workers_finish(sim_clock_workers(machine->clock));
    }
    /* The owner closes the session last; killing leaves it to its timeout, so it is ended here. */
    sim_coord_server_expire(machine->cluster->coord, machine->coord->ops->session_id(machine->coord));
    cluster_kill(machine, false, 500 + (int64_t)random_below(machine->cluster->random, 5000));
}

void cluster_stop(struct machine *machine) {
    if (machine->state == MACHINE_SERVING) {
        clock_post(machine->clock, run_stop, machine);
    }
}

void cluster_slow_disk(struct machine *machine, int64_t max_ms) {
    machine->disk_slow_ms = max_ms;
    if (machine->clock != NULL) {
        sim_workers_set_slow(sim_clock_workers(machine->clock), max_ms);
    }
}

void cluster_pause(struct machine *machine, int64_t ms) {
    if (machine->clock != NULL) {
        machine->paused_until_ms = sim_now_ms(machine->cluster->sim) + ms;
        sim_clock_pause(machine->clock, machine->paused_until_ms);
    }
}

bool cluster_has_lost_directory(const struct machine *machine) {
    struct log_directory_info infos[CLUSTER_LOG_DIRS_MAX];
    bool is_up = machine->state != MACHINE_DOWN && machine->broker != NULL && machine->broker->logs != NULL;
    int32_t count = is_up ? log_manager_directories(machine->broker->logs, infos, CLUSTER_LOG_DIRS_MAX) : 0;
    bool has_lost = false;
    for (int32_t i = 0; i < count; i++) {
        has_lost = has_lost || infos[i].is_offline;
    }
    return has_lost;
}

struct machine *cluster_controller(struct cluster *cluster) {
    struct machine *found = NULL;
    for (int32_t i = 0; i < cluster->count; i++) {
        struct machine *machine = &cluster->machines[i];
        if (machine->state == MACHINE_SERVING && controller_runtime_is_active(machine->broker->controller) &&
            (found == NULL || controller_runtime_epoch(machine->broker->controller) >
                                  controller_runtime_epoch(found->broker->controller))) {
            found = machine;
        }
    }
    return found;
}

void cluster_expire(struct machine *machine) {
    if (machine->coord != NULL) {
        sim_coord_server_expire(machine->cluster->coord, machine->coord->ops->session_id(machine->coord));
    }
}

static void kill_in_step(void *context) {
    struct machine *machine = context;
    if (machine->state != MACHINE_DOWN) {
        cluster_kill(machine, false, 500 + (int64_t)random_below(machine->cluster->random, 3000));
    }
}

void cluster_count_write(struct cluster *cluster, int64_t session_id) {
    for (int32_t i = 0; i < cluster->count; i++) {
        struct machine *machine = &cluster->machines[i];
        if (machine->crash_in_writes > 0 && machine->coord != NULL &&
            machine->coord->ops->session_id(machine->coord) == session_id && --machine->crash_in_writes == 0) {
            sim_at(cluster->sim, 0, kill_in_step, machine); /* before it hears that it was written */
        }
    }
}

bool cluster_workers_rest(const struct cluster *cluster) {
    for (int32_t i = 0; i < cluster->count; i++) {
        struct clock *clock = cluster->machines[i].clock;
        if (clock != NULL && !sim_workers_are_idle(sim_clock_workers(clock))) {
            return false;
        }
    }
    return true;
}

bool cluster_all_serving(const struct cluster *cluster) {
    for (int32_t i = 0; i < cluster->count; i++) {
        if (cluster->machines[i].state != MACHINE_SERVING) {
            return false;
        }
    }
    return true;
}

void cluster_destroy(struct cluster *cluster) {
    cluster->on_death = NULL;
    cluster->on_guarded = NULL;
    for (int32_t i = 0; i < cluster->count; i++) {
        struct machine *machine = &cluster->machines[i];
        cluster_kill(machine, false, -1);
        if (machine->restart != NULL) {
            sim_cancel(cluster->sim, machine->restart);
        }
        sim_disk_destroy(machine->disk);
    }
    while (cluster->guards != NULL) {
        sim_cancel(cluster->sim, cluster->guards->event);
        drop_guard(cluster->guards);
    }
    sim_network_destroy(cluster->network);
    sim_coord_server_destroy(cluster->coord);
    sim_destroy(cluster->sim);
    free(cluster->random);
    free(cluster->guard_random);
    free(cluster->violation);
    free(cluster);
}
