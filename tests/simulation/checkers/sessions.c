/* C5: what a broker concludes from an answer that was lost is true: the registration it believes in was made by its own
 * process, and nobody shares a controller epoch. C4: in a session that it knows to be lost it takes up
 * no leadership. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/protocol/api_keys.h"
#include "coordinator-client/znode_path.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

#define REGISTRATIONS_KEPT 64

/* A registration node, and the process that made it. */
struct registered {
    int64_t czxid;
    int32_t maker;
    uint32_t incarnation;
};

struct sessions {
    struct world *world;
    int32_t led_epoch[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX]; /* of the last leadership seen */
    struct registered registered[CLUSTER_BROKERS_MAX + 1][REGISTRATIONS_KEPT];
    uint32_t next[CLUSTER_BROKERS_MAX + 1];
};

static void *create(struct world *world) {
    struct sessions *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    return checker;
}

/* Who made the registrations: a broker believes in those of its own life only. */
static void on_transaction(void *context, const struct sim_transaction *transaction) {
    struct sessions *checker = context;
    for (int32_t i = 0; i < transaction->count; i++) {
        int32_t id;
        if (transaction->ops[i].type != COORD_OP_CREATE ||
            sscanf(transaction->ops[i].path, ZNODE_BROKER_IDS "/%d", &id) != 1 || id < 1 || id > CLUSTER_BROKERS_MAX) {
            continue;
        }
        struct registered *registered = &checker->registered[id][checker->next[id]++ % REGISTRATIONS_KEPT];
        *registered = (struct registered){.czxid = transaction->zxid};
        for (int32_t maker = 1; maker <= checker->world->cluster->count; maker++) {
            const struct machine *machine = view_machine(checker->world, maker);
            if (machine->coord != NULL && machine->coord->ops->session_id(machine->coord) == transaction->session_id) {
                registered->maker = maker;
                registered->incarnation = machine->incarnation;
            }
        }
    }
}

static void check_registration(struct sessions *checker, const struct machine *machine) {
    int64_t epoch = machine->broker->epoch;
    for (int32_t i = 0; epoch >= 0 && i < REGISTRATIONS_KEPT; i++) {
        const struct registered *registered = &checker->registered[machine->id][i];
        if (registered->czxid == epoch &&
            (registered->maker != machine->id || registered->incarnation != machine->incarnation)) {
            violate(checker->world, "C5", "broker %d believes in registration %" PRId64 ", which is not its own",
                    machine->id, epoch);
        }
    }
}

static void on_step(void *context) {
    struct sessions *checker = context;
    const struct world *world = checker->world;
    for (int32_t id = 1; id <= world->cluster->count; id++) {
        const struct machine *machine = view_machine(world, id);
        if (!view_is_running(machine)) {
            continue;
        }
        check_registration(checker, machine);
        for (int32_t other_id = 1; other_id < id; other_id++) {
            const struct machine *other = view_machine(world, other_id);
            if (view_is_running(other) && controller_runtime_is_active(machine->broker->controller) &&
                controller_runtime_is_active(other->broker->controller) &&
                controller_runtime_epoch(machine->broker->controller) ==
                    controller_runtime_epoch(other->broker->controller)) {
                violate(world, "C5", "brokers %d and %d are both controller in epoch %d", other_id, id,
                        controller_runtime_epoch(machine->broker->controller));
            }
        }
    }
}

/* Of the answer to a LeaderAndIsr: whatever it made this broker lead was made in this event. */
static void check_new_leaderships(struct sessions *checker, const struct machine *machine) {
    bool is_lost = machine->coord->ops->state(machine->coord) == COORD_EXPIRED;
    FOR_EACH_STREAM(checker->world, topic, partition) {
        const struct partition_runtime *runtime = view_replica(machine, topic, partition);
        int32_t *led = &checker->led_epoch[machine->id][stream_of(topic, partition)];
        if (runtime == NULL || !partition_runtime_is_leader(runtime)) {
            continue;
        }
        int32_t epoch = partition_runtime_leader_epoch(runtime);
        if (is_lost && epoch != *led) {
            violate(checker->world, "C4",
                    "broker %d took up the leadership of %s-%d in epoch %d while its session was lost", machine->id,
                    topic->name, partition, epoch);
        }
        *led = epoch;
    }
}

static void on_answer(void *context, const struct served *served) {
    if (served->api_key == API_LEADER_AND_ISR) {
        check_new_leaderships(context, served->machine);
    }
}

const struct checker_ops checker_sessions = {
    .name = "C4/C5",
    .sentence = "registrations are of the session that believes in them; a lost session leads nothing new",
    .create = create,
    .destroy = free,
    .on_step = on_step,
    .on_transaction = on_transaction,
    .on_answer = on_answer,
};
