/* See scripts.h. A script is a function of its step that says after how many milliseconds the next one comes; 0 ends
 * the round. Every round begins with whole links. */
#include "tests/simulation/scripts.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "tests/simulation/checkers/convergence.h"
#include "tests/simulation/checkers/view.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/workload.h"

#define BETWEEN_ROUNDS_MS 6000
#define WAITS_MAX 400 /* for something to come true, before the round is given up */
#define GIVE_UP 0

typedef int64_t script_step(struct script *script);

struct script {
    struct world *world;
    struct workload *workload;
    struct cluster *cluster;
    struct random random;
    script_step *run;
    int32_t step;
    int32_t waits;
    int64_t rounds;
    struct sim_event *next;
    /* of the round */
    struct topic *topic;
    int32_t partition;
    int32_t leader;
    int32_t behind; /* the follower that lacks something */
    int32_t ahead;  /* the one that has it */
    int32_t controller;
};

static int64_t draw(struct script *script, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&script->random, (uint64_t)(max - min) + 1);
}

static bool one_in(struct script *script, uint64_t n) {
    return random_below(&script->random, n) == 0;
}

static struct machine *machine(struct script *script, int32_t id) {
    return cluster_machine(script->cluster, id);
}

static void cut(struct script *script, int32_t from, int32_t to, bool is_cut) {
    sim_network_cut(script->cluster->network, from, to, is_cut);
}

/* Nothing reaches it; what it sends goes out. */
static void deafen(struct script *script, int32_t id, bool is_deaf) {
    for (int32_t other = 1; other <= script->cluster->count; other++) {
        if (other != id) {
            cut(script, other, id, is_deaf);
        }
    }
}

/* kill -9, and nobody waits for the session. */
static void bounce(struct script *script, int32_t id, int64_t restart_ms) {
    cluster_expire(machine(script, id));
    cluster_kill(machine(script, id), false, restart_ms);
}

static int32_t draw_other(struct script *script, int32_t a, int32_t b) {
    int32_t id;
    do {
        id = (int32_t)draw(script, 1, script->cluster->count);
    } while (id == a || id == b);
    return id;
}

static int32_t controller_id(struct script *script) {
    const struct machine *controller = cluster_controller(script->cluster);
    return controller == NULL ? 0 : controller->id;
}

static const struct topic_state *state_of(const struct script *script) {
    return &script->topic->states[script->partition];
}

/* Waits for a condition; the round is given up when it does not come. */
static int64_t await(struct script *script, bool is_true, int64_t then_ms) {
    if (is_true) {
        script->waits = 0;
        script->step++;
        return then_ms;
    }
    return ++script->waits > WAITS_MAX ? GIVE_UP : 50;
}

static int64_t next(struct script *script, int64_t after_ms) {
    script->step++;
    return after_ms;
}

/* A partition with a leader and two followers, all in sync and running. */
static bool choose_partition_of(struct script *script, struct topic *topic) {
    if (topic == NULL || !topic_is_settled(topic) || topic->partition_count == 0 ||
        !cluster_all_serving(script->cluster)) {
        return false;
    }
    script->topic = topic;
    script->partition = (int32_t)draw(script, 0, topic->partition_count - 1);
    const struct topic_state *state = state_of(script);
    if (!state->is_known || state->leader < 0 || state->isr_count < 3) {
        return false;
    }
    script->leader = state->leader;
    int32_t followers[2], count = 0;
    for (int32_t i = 0; i < state->isr_count && count < 2; i++) {
        if (state->isr[i] != state->leader) {
            followers[count++] = state->isr[i];
        }
    }
    bool is_swapped = one_in(script, 2);
    script->behind = followers[is_swapped];
    script->ahead = followers[!is_swapped];
    script->controller = controller_id(script);
    return script->controller != 0;
}

static bool choose_partition(struct script *script) {
    int32_t slot = (int32_t)draw(script, 0, script->world->plan->topic_count - 1);
    return choose_partition_of(script, topics_current(script->world->topics, slot));
}

/* ---- the scripts ---- */

/* KAFKA-7164 and KIP-279: A leads, F has more than B. A dies, B leads and F hears nothing of it; A is back in time to
 * lead again, under a controller that knows only of that. F has what A no longer has, and the leader it had. */
static int64_t double_failover(struct script *script) {
    switch (script->step) {
    case 0:
        if (!choose_partition(script) || script->ahead == script->controller) {
            return GIVE_UP;
        }
        cut(script, script->leader, script->behind, true);
        return next(script, draw(script, 200, 1500));
    case 1:
        deafen(script, script->ahead, true);
        bounce(script, script->leader, draw(script, 100, 300));
        cut(script, script->leader, script->behind, false);
        return next(script, 50);
    case 2: return await(script, state_of(script)->leader > 0 && state_of(script)->leader != script->leader, 10);
    case 3: /* F stays in the set for a lag's time, and A must be back by then */
        return await(script,
                     view_is_in_sync(script->topic, script->partition, script->leader) &&
                         machine(script, script->leader)->state == MACHINE_SERVING,
                     draw(script, 10, 300));
    case 4:
        if (one_in(script, 2)) {
            workload_elect_preferred(script->workload, script->topic->slot, script->partition);
        } else {
            bounce(script, state_of(script)->leader > 0 ? state_of(script)->leader : script->behind,
                   draw(script, 300, 1500));
        }
        return next(script, draw(script, 100, 600));
    case 5:
        if (controller_id(script) != 0) {
            cluster_expire(machine(script, controller_id(script)));
        }
        return next(script, draw(script, 100, 600));
    default: deafen(script, script->ahead, false); return GIVE_UP;
    }
}

/* The session of one broker ends, of which the controller tells every broker; what it tells another is held back. */
static bool hold_command_back(struct script *script) {
    script->controller = controller_id(script);
    if (script->controller == 0 || !cluster_all_serving(script->cluster)) {
        return false;
    }
    script->behind = draw_other(script, script->controller, 0);
    script->ahead = draw_other(script, script->controller, script->behind);
    cut(script, script->controller, script->behind, true);
    cluster_expire(machine(script, script->ahead));
    return true;
}

/* KAFKA-6082: a controller is deposed while a command of it is on its way, and the command arrives after those of its
 * successor. */
static int64_t deposed_controller(struct script *script) {
    switch (script->step) {
    case 0:
        if (!hold_command_back(script)) {
            return GIVE_UP;
        }
        return next(script, draw(script, 100, 600));
    case 1:
        if (one_in(script, 2)) {
            cluster_pause(machine(script, script->controller), draw(script, 1000, 3000));
        }
        cluster_expire(machine(script, script->controller));
        return next(script, 50);
    case 2:
        return await(script, controller_id(script) != 0 && controller_id(script) != script->controller,
                     draw(script, 300, 1500));
    default: cut(script, script->controller, script->behind, false); return GIVE_UP;
    }
}

/* KAFKA-7235: a broker is bounced while a command for it is on its way, and the controller does not know. */
static int64_t bounced_broker(struct script *script) {
    switch (script->step) {
    case 0:
        if (!hold_command_back(script)) {
            return GIVE_UP;
        }
        return next(script, draw(script, 150, 500));
    case 1:
        if (machine(script, script->controller)->coord == NULL) {
            return GIVE_UP;
        }
        sim_coord_cut(machine(script, script->controller)->coord, true);
        bounce(script, script->behind, 50);
        return next(script, 50);
    case 2: return await(script, machine(script, script->behind)->state == MACHINE_SERVING, draw(script, 1, 30));
    case 3: cut(script, script->controller, script->behind, false); return next(script, draw(script, 300, 800));
    default:
        if (machine(script, script->controller)->coord != NULL) {
            sim_coord_cut(machine(script, script->controller)->coord, false);
        }
        return GIVE_UP;
    }
}

/* KAFKA-7866: one write to an index fails. */
static int64_t index_error(struct script *script) {
    static const char *const suffixes[] = {".index", ".timeindex"};
    if (!choose_partition(script) || script->step > 0) {
        return GIVE_UP;
    }
    sim_disk_fail_once(machine(script, one_in(script, 3) ? script->ahead : script->leader)->disk,
                       suffixes[draw(script, 0, 1)], SIM_DISK_WRITE, one_in(script, 2) ? ERR_IO : ERR_NO_SPACE);
    return next(script, draw(script, 500, 4000));
}

/* KAFKA-14704: a follower that has more than its new leader hears of a high watermark above where they part. */
static int64_t diverging_follower(struct script *script) {
    switch (script->step) {
    case 0:
        if (!choose_partition(script)) {
            return GIVE_UP;
        }
        cut(script, script->leader, script->behind, true);
        return next(script, draw(script, 200, 1500));
    case 1:
        deafen(script, script->ahead, true);
        bounce(script, script->leader, draw(script, 100, 2000));
        cut(script, script->leader, script->behind, false);
        return next(script, draw(script, 500, 9000));
    default: deafen(script, script->ahead, false); return GIVE_UP;
    }
}

/* L9: a follower has caught up and its leader's proposal is on the way to the controller when the follower is bounced.
 */
static int64_t bounced_follower(struct script *script) {
    switch (script->step) {
    case 0:
        if (!choose_partition(script) || script->controller == script->leader || script->controller == script->behind) {
            return GIVE_UP;
        }
        bounce(script, script->behind, draw(script, 300, 1000));
        return next(script, 50);
    case 1: return await(script, !view_is_in_sync(script->topic, script->partition, script->behind), 0 + 1);
    case 2: cut(script, script->leader, script->controller, true); return next(script, 50);
    case 3: return await(script, machine(script, script->behind)->state == MACHINE_SERVING, draw(script, 300, 1200));
    case 4:
        bounce(script, script->behind, draw(script, 100, 400));
        return next(script, one_in(script, 2) ? 10 : draw(script, 50, 600));
    case 5:
        if (one_in(script, 2)) {
            return next(script, 1);
        }
        return await(script, machine(script, script->behind)->state == MACHINE_SERVING, draw(script, 1, 60));
    default: cut(script, script->leader, script->controller, false); return GIVE_UP;
    }
}

/* C8: the controller dies between two of its writes, in the middle of whatever a bounced broker makes it do. */
static int64_t controller_step(struct script *script) {
    switch (script->step) {
    case 0:
        script->controller = controller_id(script);
        if (script->controller == 0 || !cluster_all_serving(script->cluster)) {
            return GIVE_UP;
        }
        machine(script, script->controller)->crash_in_writes = draw(script, 1, 10);
        script->world->marks->counts[MARK_CONTROLLER_DIED]++;
        bounce(script, draw_other(script, script->controller, 0), draw(script, 100, 3000));
        return next(script, draw(script, 500, 6000));
    default: machine(script, script->controller)->crash_in_writes = 0; return GIVE_UP;
    }
}

/* KAFKA-10471: a broker that was stopped in good order is back, and now its machine loses its power. Only while all
 * others hold everything (faults.h), and nothing else happens until it is back in sync. */
static int64_t dirty_after_clean(struct script *script) {
    char why[256];
    switch (script->step) {
    case 0:
        if (!choose_partition(script)) {
            return GIVE_UP;
        }
        cluster_stop(machine(script, script->leader));
        return next(script, 50);
    case 1: return await(script, machine(script, script->leader)->state == MACHINE_DOWN, 50);
    case 2: return await(script, machine(script, script->leader)->state == MACHINE_SERVING, draw(script, 500, 2500));
    case 3: return await(script, convergence_is_reached(script->world, why, sizeof why), 1);
    case 4:
        if (machine(script, script->leader)->state == MACHINE_SERVING && cluster_all_serving(script->cluster)) {
            script->world->marks->counts[MARK_POWER_LOST]++;
            cluster_kill(machine(script, script->leader), true,
                         CLUSTER_SESSION_TIMEOUT_MS + script->world->plan->linger_ms + draw(script, 2000, 5000));
        }
        return next(script, 50);
    default: return await(script, !machine(script, script->leader)->is_lossy, GIVE_UP);
    }
}

/* Rule 34, M27: a coordinator dies with commits that one of its followers lacks. The other leads, knows them, and dies
 * before they are committed; what it has told of them nobody may miss when the first one leads. */
static int64_t coordinator_twice(struct script *script) {
    switch (script->step) {
    case 0:
        if (!choose_partition_of(script, topics_current(script->world->topics, OFFSETS_SLOT))) {
            return GIVE_UP;
        }
        cut(script, script->leader, script->behind, true);
        return next(script, draw(script, 200, 1500));
    case 1:
        cut(script, script->ahead, script->behind, true);
        bounce(script, script->leader, draw(script, 3000, 6000));
        return next(script, 50);
    case 2: return await(script, state_of(script)->leader > 0 && state_of(script)->leader != script->leader, 10);
    case 3:
        if (state_of(script)->leader != script->ahead) {
            return GIVE_UP;
        }
        return next(script, draw(script, 300, 3000));
    case 4:
        bounce(script, script->ahead, draw(script, 3000, 6000));
        cut(script, script->ahead, script->behind, false);
        return next(script, draw(script, 1000, 5000));
    default: return GIVE_UP;
    }
}

/* ---- running one ---- */

static void on_step(void *context);

static void schedule(struct script *script, int64_t after_ms) {
    script->next = sim_at(script->cluster->sim, after_ms, on_step, script);
}

static void join_all(struct script *script) {
    for (int32_t from = 1; from <= script->cluster->count; from++) {
        for (int32_t to = 1; to <= script->cluster->count; to++) {
            cut(script, from, to, false);
        }
        if (machine(script, from)->coord != NULL) {
            sim_coord_cut(machine(script, from)->coord, false);
        }
    }
}

static void on_step(void *context) {
    struct script *script = context;
    int32_t before = script->step;
    script->next = NULL;
    int64_t after_ms = script->run(script);
    if (after_ms == GIVE_UP) {
        script->rounds += before > 0;
        script->step = 0;
        script->waits = 0;
        join_all(script);
        after_ms = before > 0 ? draw(script, BETWEEN_ROUNDS_MS / 4, BETWEEN_ROUNDS_MS) : 500;
    }
    schedule(script, after_ms);
}

struct script *script_create(struct world *world, struct workload *workload) {
    static script_step *const runs[SCRIPT_KIND_COUNT] = {
        [SCRIPT_DOUBLE_FAILOVER] = double_failover,       [SCRIPT_DEPOSED_CONTROLLER] = deposed_controller,
        [SCRIPT_BOUNCED_BROKER] = bounced_broker,         [SCRIPT_INDEX_ERROR] = index_error,
        [SCRIPT_DIVERGING_FOLLOWER] = diverging_follower, [SCRIPT_BOUNCED_FOLLOWER] = bounced_follower,
        [SCRIPT_CONTROLLER_STEP] = controller_step,       [SCRIPT_DIRTY_AFTER_CLEAN] = dirty_after_clean,
        [SCRIPT_COORDINATOR_TWICE] = coordinator_twice,
    };
    if (runs[world->plan->script] == NULL) {
        return NULL;
    }
    struct script *script = xcalloc(1, sizeof *script);
    script->world = world;
    script->workload = workload;
    script->cluster = world->cluster;
    script->run = runs[world->plan->script];
    random_seed(&script->random, plan_seed(world->plan->seed, STREAM_FAULTS, 2));
    return script;
}

void script_destroy(struct script *script) {
    free(script);
}

void script_start(struct script *script) {
    if (script != NULL) {
        schedule(script, draw(script, 500, 5000));
    }
}

void script_stop(struct script *script) {
    if (script != NULL && script->next != NULL) {
        sim_cancel(script->cluster->sim, script->next);
        script->next = NULL;
    }
}

int64_t script_rounds(const struct script *script) {
    return script == NULL ? 0 : script->rounds;
}
