/* The administrator who moves replicas between the log directories of their brokers: there, back before it is over, and
 * to where they are, at a rate that changes. Draws from a stream of its own. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "generated/protocol/alter_replica_log_dirs.h"
#include "generated/protocol/incremental_alter_configs.h"
#include "tests/simulation/client.h"

#define VERSION_ALTER_LOG_DIRS 2
#define VERSION_ALTER_CONFIGS 1
#define RESOURCE_BROKER 4

struct dir_mover {
    struct workload *workload;
    struct random random;
    struct timer timer;
};

CLIENT_ENCODER(alter_replica_log_dirs)
CLIENT_ENCODER(incremental_alter_configs)

static void go_on(struct timer *timer);

static int64_t draw(struct dir_mover *mover, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&mover->random, (uint64_t)(max - min) + 1);
}

static void schedule(struct dir_mover *mover) {
    const struct plan *plan = mover->workload->world->plan;
    client_later(mover->workload->admin, &mover->timer, draw(mover, 1, 2 * plan->dir_pause_ms), go_on);
}

/* Whatever came of it shows in the brokers' directories. */
static void on_answered(void *context, int error, const uint8_t *body, size_t size) {
    (void)error;
    (void)body;
    (void)size;
    schedule(context);
}

static int32_t any_broker(struct dir_mover *mover) {
    return (int32_t)draw(mover, 1, mover->workload->world->cluster->count);
}

static void move(struct dir_mover *mover, const struct topic *topic) {
    struct alter_replica_log_dirs_request request;
    struct alter_replica_log_dirs_request_alter_replica_log_dir dir;
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic to;
    int32_t partitions[PARTITIONS_MAX];
    bool is_all = draw(mover, 0, 2) == 0;
    int32_t first = is_all ? 0 : (int32_t)draw(mover, 0, topic->partition_count - 1);
    alter_replica_log_dirs_request_init(&request);
    alter_replica_log_dirs_request_alter_replica_log_dir_init(&dir);
    alter_replica_log_dirs_request_alter_replica_log_dir_topic_init(&to);
    to.partitions_count = is_all ? topic->partition_count : 1;
    for (int32_t i = 0; i < to.partitions_count; i++) {
        partitions[i] = first + i;
    }
    to.name = str_from(topic->name);
    to.partitions = partitions;
    dir.path = str_from(cluster_log_dir((int32_t)draw(mover, 0, CLUSTER_LOG_DIRS_MAX - 1)));
    dir.topics = &to;
    dir.topics_count = 1;
    request.dirs = &dir;
    request.dirs_count = 1;
    CLIENT_CALL(mover->workload->admin, any_broker(mover), ALTER_REPLICA_LOG_DIRS, alter_replica_log_dirs,
                VERSION_ALTER_LOG_DIRS, &request, on_answered, mover);
}

/* From a trickle, under which a move takes as long as anything else does, to no limit. */
static void throttle(struct dir_mover *mover) {
    char rate[24];
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alterable_config config;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    incremental_alter_configs_request_init(&request);
    incremental_alter_configs_request_alterable_config_init(&config);
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    snprintf(rate, sizeof rate, "%d", 125 << draw(mover, 0, 6));
    config.name = str_from("replica.alter.log.dirs.io.max.bytes.per.second");
    config.value = str_from(rate);
    config.config_operation = draw(mover, 0, 4) == 0 ? 1 : 0; /* deleted, or set */
    resource.resource_type = RESOURCE_BROKER;
    resource.resource_name = str_from("");
    resource.configs = &config;
    resource.configs_count = 1;
    request.resources = &resource;
    request.resources_count = 1;
    CLIENT_CALL(mover->workload->admin, any_broker(mover), INCREMENTAL_ALTER_CONFIGS, incremental_alter_configs,
                VERSION_ALTER_CONFIGS, &request, on_answered, mover);
}

static bool is_any_lossy(const struct cluster *cluster) {
    for (int32_t i = 0; i < cluster->count; i++) {
        if (cluster->machines[i].is_lossy) {
            return true;
        }
    }
    return false;
}

/* A broker dies where one of its next moves begins or ends. */
static void let_die(struct dir_mover *mover) {
    const struct world *world = mover->workload->world;
    struct machine *machine = cluster_machine(world->cluster, any_broker(mover));
    int64_t effects = draw(mover, 1, 4);
    bool is_wanted = draw(mover, 0, 7) == 0;
    if (is_wanted && machine->state == MACHINE_SERVING && !is_any_lossy(world->cluster) &&
        world->plan->script != SCRIPT_DIRTY_AFTER_CLEAN) {
        machine->crash_in_moving = effects;
    }
}

static void go_on(struct timer *timer) {
    struct dir_mover *mover = CONTAINER_OF(timer, struct dir_mover, timer);
    struct workload *workload = mover->workload;
    struct world *world = workload->world;
    struct topic *topic = topics_current(world->topics, (int32_t)draw(mover, 0, world->plan->topic_count - 1));
    if (workload->is_settled) {
        return;
    }
    if (!workload->is_meddling || topic == NULL || topic->partition_count == 0) {
        schedule(mover);
    } else if (draw(mover, 0, 5) == 0) {
        throttle(mover);
    } else {
        let_die(mover);
        move(mover, topic);
    }
}

struct dir_mover *dir_mover_create(struct workload *workload) {
    struct dir_mover *mover = xcalloc(1, sizeof *mover);
    mover->workload = workload;
    random_seed(&mover->random, plan_seed(workload->world->plan->seed, STREAM_MOVES, 2));
    return mover;
}

void dir_mover_start(struct dir_mover *mover) {
    if (mover->workload->world->plan->moves_dirs) {
        schedule(mover);
    }
}

void dir_mover_destroy(struct dir_mover *mover) {
    free(mover);
}
