/* The administrator who moves partitions: to other brokers, there and elsewhere before it is over, and back. Draws from
 * a stream of its own. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "generated/protocol/alter_partition_reassignments.h"
#include "tests/simulation/client.h"

#define VERSION_ALTER_REASSIGNMENTS 0
#define MOVES_MAX PARTITIONS_MAX

struct mover {
    struct workload *workload;
    struct random random;
    struct timer timer;
};

CLIENT_ENCODER(alter_partition_reassignments)

static void go_on(struct timer *timer);

static int64_t draw(struct mover *mover, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&mover->random, (uint64_t)(max - min) + 1);
}

static void schedule(struct mover *mover) {
    const struct plan *plan = mover->workload->world->plan;
    client_later(mover->workload->admin, &mover->timer, draw(mover, 1, 2 * plan->move_pause_ms), go_on);
}

/* Whatever came of it shows in the coordinator's tree. */
static void on_answered(void *context, int error, const uint8_t *body, size_t size) {
    (void)error;
    (void)body;
    (void)size;
    schedule(context);
}

/* As many replicas as the topic was made with, or one more, on any brokers. */
static void draw_replicas(struct mover *mover, int32_t replication, int32_t *replicas, int32_t *ret_count) {
    int32_t brokers = mover->workload->world->cluster->count;
    int32_t ids[CLUSTER_BROKERS_MAX];
    int32_t wanted = replication + (draw(mover, 0, 4) == 0 ? 1 : 0);
    int32_t count = MIN(brokers, wanted);
    for (int32_t i = 0; i < brokers; i++) {
        ids[i] = i + 1;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t other = (int32_t)draw(mover, i, brokers - 1);
        replicas[i] = ids[other];
        ids[other] = ids[i];
    }
    *ret_count = count;
}

static void ask(struct mover *mover, const struct topic *topic) {
    struct workload *workload = mover->workload;
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_request_reassignable_topic to;
    struct alter_partition_reassignments_request_reassignable_partition partitions[MOVES_MAX];
    int32_t replicas[MOVES_MAX][CLUSTER_BROKERS_MAX];
    bool is_all = draw(mover, 0, 3) == 0, is_cancel = draw(mover, 0, 4) == 0;
    int32_t first = is_all ? 0 : (int32_t)draw(mover, 0, topic->partition_count - 1);
    int32_t count = is_all ? topic->partition_count : 1;
    alter_partition_reassignments_request_init(&request);
    alter_partition_reassignments_request_reassignable_topic_init(&to);
    for (int32_t i = 0; i < count; i++) {
        alter_partition_reassignments_request_reassignable_partition_init(&partitions[i]);
        partitions[i].partition_index = first + i;
        partitions[i].replicas = replicas[i];
        draw_replicas(mover, workload->world->plan->topics[topic->slot].replication, replicas[i],
                      &partitions[i].replicas_count);
        partitions[i].replicas_count = is_cancel ? -1 : partitions[i].replicas_count;
    }
    to.name = str_from(topic->name);
    to.partitions = partitions;
    to.partitions_count = count;
    request.topics = &to;
    request.topics_count = 1;
    const struct machine *controller = cluster_controller(workload->world->cluster);
    CLIENT_CALL(workload->admin, controller != NULL ? controller->id : 1, ALTER_PARTITION_REASSIGNMENTS,
                alter_partition_reassignments, VERSION_ALTER_REASSIGNMENTS, &request, on_answered, mover);
}

/* While a machine has lost what it had, its records are in the hands of those that hold them now. */
static bool is_any_lossy(const struct cluster *cluster) {
    for (int32_t i = 0; i < cluster->count; i++) {
        if (cluster->machines[i].is_lossy) {
            return true;
        }
    }
    return false;
}

static void go_on(struct timer *timer) {
    struct mover *mover = CONTAINER_OF(timer, struct mover, timer);
    struct workload *workload = mover->workload;
    struct world *world = workload->world;
    struct topic *topic = topics_current(world->topics, (int32_t)draw(mover, 0, world->plan->topic_count - 1));
    if (workload->is_settled) {
        return;
    }
    if (!workload->is_meddling || topic == NULL || !topic_is_settled(topic) || topic->partition_count == 0 ||
        is_any_lossy(world->cluster)) {
        schedule(mover);
        return;
    }
    ask(mover, topic);
}

struct mover *mover_create(struct workload *workload) {
    struct mover *mover = xcalloc(1, sizeof *mover);
    mover->workload = workload;
    random_seed(&mover->random, plan_seed(workload->world->plan->seed, STREAM_MOVES, 0));
    return mover;
}

void mover_start(struct mover *mover) {
    if (mover->workload->world->plan->is_moving) {
        schedule(mover);
    }
}

void mover_destroy(struct mover *mover) {
    free(mover);
}
