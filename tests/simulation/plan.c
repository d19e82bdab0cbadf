/* See plan.h. */
#include "tests/simulation/plan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/random.h"

uint64_t plan_seed(uint64_t seed, enum plan_stream stream, int32_t number) {
    /* Far apart, so that neighbours among seeds do not share a stream. */
    return (seed ^ ((uint64_t)stream + 1) * UINT64_C(0x9e3779b97f4a7c15)) +
           (uint64_t)number * UINT64_C(0xd1342543de82ef95);
}

static int64_t draw(struct random *random, int64_t min, int64_t max) {
    return min + (int64_t)random_below(random, (uint64_t)(max - min) + 1);
}

static bool one_in(struct random *random, uint64_t n) {
    return random_below(random, n) == 0;
}

static void draw_topology(struct plan *plan, struct random *random) {
    static const int32_t brokers[] = {1, 2, 3, 3, 3, 3, 3, 4, 5};
    plan->brokers = brokers[random_below(random, ARRAY_SIZE(brokers))];
    plan->log_dirs = one_in(random, 3) ? 2 : 1;
    plan->min_insync = plan->brokers >= 3 && !one_in(random, 6) ? 2 : 1;
    plan->segment_bytes = 1024 << random_below(random, 6);
    plan->linger_ms = one_in(random, 4) ? draw(random, 100, 4000) : 0;
    plan->topic_count = one_in(random, 2) ? 1 : (int32_t)draw(random, 1, PLAN_TOPICS_MAX);
    for (int32_t i = 0; i < plan->topic_count; i++) {
        bool is_large = plan->topic_count == 1 && one_in(random, 6);
        plan->topics[i].partitions = (int32_t)draw(random, 1, is_large ? PLAN_PARTITIONS_MAX : 3);
        int32_t replication = one_in(random, 6) ? (int32_t)draw(random, 1, 3) : 3;
        plan->topics[i].replication = MIN(plan->brokers, replication);
    }
}

static void draw_clients(struct plan *plan, struct random *random) {
    plan->producer_count = (int32_t)draw(random, 1, PLAN_PRODUCERS_MAX);
    plan->consumer_count = (int32_t)draw(random, 1, PLAN_CONSUMERS_MAX);
    for (int32_t i = 0; i < plan->producer_count; i++) {
        plan->producers[i].is_idempotent = i == 0 || one_in(random, 2);
        plan->producers[i].acks = plan->producers[i].is_idempotent ? -1 : (int16_t)draw(random, -1, 1);
    }
    for (int32_t i = 0; i < plan->consumer_count; i++) {
        plan->consumers[i].has_session = !one_in(random, 3);
        /* By name one cannot tell a topic from its successor. */
        plan->consumers[i].is_by_id = plan->admin[ADMIN_RECREATE] || one_in(random, 2);
        plan->consumers[i].max_wait_ms = (int32_t)draw(random, 0, 3) * 400;
    }
    plan->records_per_partition = draw(random, 30, 250);
    plan->think_ms = INT64_C(20) << random_below(random, 6);
}

/* Groups read whole topics from the beginning: what nobody has read yet must not go away under them. */
static void draw_groups(struct plan *plan, struct random *random) {
    if (!one_in(random, 4)) {
        return;
    }
    plan->group_count = one_in(random, 2) ? 1 : (int32_t)draw(random, 1, PLAN_GROUPS_MAX);
    plan->offsets_partitions = (int32_t)draw(random, 1, 3);
    plan->offsets_segment_bytes = 4096 << random_below(random, 4); /* a group is one record */
    for (int32_t i = 0; i < plan->group_count; i++) {
        struct plan_group *group = &plan->groups[i];
        group->members = one_in(random, 4) ? (int32_t)draw(random, 1, PLAN_MEMBERS_MAX) : (int32_t)draw(random, 1, 4);
        group->static_members = one_in(random, 2) ? (int32_t)draw(random, 0, group->members) : 0;
        group->session_timeout_ms = (int32_t)draw(random, 2, 10) * 1000;
        /* A member hears of a rebalance by its heartbeat (a quarter of the session); in less than that nobody could
         * come in time, and the group would never settle. */
        group->rebalance_timeout_ms = MAX((int32_t)draw(random, 2, 10) * 1000, group->session_timeout_ms / 2);
        group->processing_ms = INT64_C(50) << random_below(random, 6);
        group->fate_ms = INT64_C(1000) << random_below(random, 5);
    }
    if (plan->script == SCRIPT_NONE && plan->brokers >= 3 && plan->min_insync == 2 && one_in(random, 4)) {
        plan->script = SCRIPT_COORDINATOR_TWICE;
    }
    plan->admin[ADMIN_RECREATE] = false;
    plan->admin[ADMIN_DELETE_RECORDS] = false;
    plan->admin[ADMIN_RETENTION] = false;
}

static void draw_cleaning(struct plan *plan, struct random *random) {
    if (!one_in(random, 3)) {
        return;
    }
    plan->cleans = true;
    plan->clean_ratio = (double)draw(random, 0, 50) / 100;
    plan->clean_backoff_ms = INT64_C(250) << random_below(random, 5);
    plan->clean_bytes_per_second = one_in(random, 2) ? INT64_C(2000) << random_below(random, 5) : 0;
    plan->tombstone_ms = INT64_C(2000) << random_below(random, 5);
    if (plan->script != SCRIPT_INDEX_ERROR) {
        plan->segment_bytes = MIN(plan->segment_bytes, 4096);
    }
    for (int32_t i = 0; i < plan->topic_count; i++) {
        bool is_compacted = i == 0 || one_in(random, 2);
        bool may_be_both = one_in(random, 3) && plan->group_count == 0; /* groups need what nobody has read yet */
        plan->topics[i].cleanup = !is_compacted ? CLEANUP_DELETE : may_be_both ? CLEANUP_BOTH : CLEANUP_COMPACT;
        plan->topics[i].key_count = is_compacted ? (int32_t)draw(random, 1, 40) : 0;
    }
}

void plan_draw(struct plan *plan, uint64_t seed) {
    struct random random;
    *plan = (struct plan){.seed = seed};
    random_seed(&random, plan_seed(seed, STREAM_PLAN, 0));
    draw_topology(plan, &random);
    for (int32_t i = 0; i < ADMIN_KIND_COUNT; i++) {
        plan->admin[i] = one_in(&random, 4);
    }
    plan->admin_pause_ms = INT64_C(1000) << random_below(&random, 4);
    draw_clients(plan, &random);
    if (one_in(&random, 3)) {
        /* Scripts need a leader and two followers in every partition. */
        plan->script = (enum script_kind)draw(&random, 1, SCRIPT_DRAWN_LAST);
        plan->brokers = MAX(plan->brokers, 3);
        plan->min_insync = 2;
        for (int32_t i = 0; i < plan->topic_count; i++) {
            plan->topics[i].replication = 3;
        }
    }
    const char *only = getenv("OTTLA_SIM_SCRIPT"); /* a number, for looking at one */
    if (only != NULL) {
        plan->script = (enum script_kind)(atoi(only) % SCRIPT_KIND_COUNT);
    }
    if (plan->script == SCRIPT_INDEX_ERROR) {
        plan->segment_bytes = 32768; /* an index is written 64 entries at a time */
    } else if (plan->script == SCRIPT_DIRTY_AFTER_CLEAN) {
        plan->segment_bytes = 1024; /* so that not only the last segment is torn */
    }
    random_seed(&random, plan_seed(seed, STREAM_GROUPS, 0));
    draw_groups(plan, &random);
    random_seed(&random, plan_seed(seed, STREAM_CLEANING, 0));
    draw_cleaning(plan, &random);
    random_seed(&random, plan_seed(seed, STREAM_MOVES, 1));
    plan->move_pause_ms = INT64_C(500) << random_below(&random, 5);
    /* Scripts want their replicas where they are. */
    plan->is_moving = one_in(&random, 3) && plan->brokers > 1 && plan->script == SCRIPT_NONE;
    random_seed(&random, plan_seed(seed, STREAM_MOVES, 3));
    plan->dir_pause_ms = INT64_C(250) << random_below(&random, 5);
    plan->moves_dirs = plan->log_dirs > 1 && !one_in(&random, 3);
    random_seed(&random, plan_seed(seed, STREAM_WORKERS, 0));
    static const int32_t workers[] = {1, 2, 3, 10, 10, 10, 10, 10};
    plan->workers = workers[random_below(&random, ARRAY_SIZE(workers))];
}

int32_t plan_offsets_replication(const struct plan *plan) {
    return MIN(plan->brokers, 3);
}

int32_t plan_effective_min(const struct plan *plan, int32_t replication) {
    return MIN(plan->min_insync, replication);
}

bool plan_survives_power_loss(const struct plan *plan) {
    bool survives = plan->group_count == 0 || plan_effective_min(plan, plan_offsets_replication(plan)) >= 2;
    for (int32_t i = 0; i < plan->topic_count; i++) {
        survives = survives && plan_effective_min(plan, plan->topics[i].replication) >= 2;
    }
    return survives;
}

void plan_print(const struct plan *plan, FILE *to) {
    static const char *const admin_names[] = {
#define X(name, text) text,
        ADMIN_KINDS(X)
#undef X
    };
    static const char *const script_names[] = {
#define X(name, text) text,
        SCRIPTS(X)
#undef X
    };
    fprintf(to, "%d brokers with %d directories and %d workers, min.insync.replicas %d, segments of %d; topics",
            plan->brokers, plan->log_dirs, plan->workers, plan->min_insync, plan->segment_bytes);
    for (int32_t i = 0; i < plan->topic_count; i++) {
        static const char *const cleanups[] = {"", " compact", " compact,delete"};
        fprintf(to, " %dx%d%s", plan->topics[i].partitions, plan->topics[i].replication,
                cleanups[plan->topics[i].cleanup]);
    }
    fprintf(to, "; producers");
    for (int32_t i = 0; i < plan->producer_count; i++) {
        fprintf(to, " %s%d", plan->producers[i].is_idempotent ? "idempotent " : "acks ", plan->producers[i].acks);
    }
    fprintf(to, "; consumers");
    for (int32_t i = 0; i < plan->consumer_count; i++) {
        fprintf(to, " %s%s", plan->consumers[i].has_session ? "session" : "full",
                plan->consumers[i].is_by_id ? "+id" : "");
    }
    fprintf(to, "; admin");
    for (int32_t i = 0; i < ADMIN_KIND_COUNT; i++) {
        fprintf(to, "%s%s", plan->admin[i] ? " " : "", plan->admin[i] ? admin_names[i] : "");
    }
    for (int32_t i = 0; i < plan->group_count; i++) {
        fprintf(to, "; group of %d, %d static, session %d ms, rebalance %d ms", plan->groups[i].members,
                plan->groups[i].static_members, plan->groups[i].session_timeout_ms,
                plan->groups[i].rebalance_timeout_ms);
    }
    if (plan->is_moving) {
        fprintf(to, "; moves, one in %" PRId64 " ms", plan->move_pause_ms);
    }
    if (plan->moves_dirs) {
        fprintf(to, "; moves between directories, one in %" PRId64 " ms", plan->dir_pause_ms);
    }
    fprintf(to, "; script: %s\n", script_names[plan->script]);
}
