/* The fates of all members: who comes, leaves, crashes and comes back, drawn from a stream of its own; and what a group
 * must have come to in the end. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/simulation/client_group.h"

#define START_WITHIN_MS 5000

struct fates {
    struct workload *workload;
    int32_t group;
};

static void on_fate(void *context);

static int64_t draw(struct workload *workload, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&workload->group_random, (uint64_t)(max - min) + 1);
}

void groups_create(struct workload *workload) {
    const struct plan *plan = workload->world->plan;
    random_seed(&workload->group_random, plan_seed(plan->seed, STREAM_GROUPS, 1));
    for (int32_t group = 0; group < plan->group_count; group++) {
        workload->member_count += plan->groups[group].members;
    }
    workload->members =
        workload->member_count == 0 ? NULL : xcalloc((size_t)workload->member_count, sizeof *workload->members);
    workload->fates = xcalloc(PLAN_GROUPS_MAX, sizeof *workload->fates);
    int32_t at = 0;
    for (int32_t group = 0; group < plan->group_count; group++) {
        for (int32_t number = 0; number < plan->groups[group].members; number++) {
            member_create(&workload->members[at], workload, group, number,
                          CLUSTER_CLIENT_NODE + workload->client_count + at);
            at++;
        }
    }
}

void groups_destroy(struct workload *workload) {
    for (int32_t i = 0; i < workload->member_count; i++) {
        member_crash(&workload->members[i]);
    }
    free(workload->members);
    free(workload->fates);
}

static void start_now(void *context) {
    struct member *member = context;
    if (member->clock == NULL) {
        member_start(member);
    }
}

static void schedule(struct fates *fates) {
    int64_t fate_ms = fates->workload->world->plan->groups[fates->group].fate_ms;
    sim_at(fates->workload->world->cluster->sim, draw(fates->workload, 1, 2 * fate_ms), on_fate, fates);
}

/* One member of the group comes, goes, or dies and comes back. */
static void on_fate(void *context) {
    struct fates *fates = context;
    struct workload *workload = fates->workload;
    if (workload->is_settled) {
        return;
    }
    struct member *member = NULL;
    int32_t chosen = (int32_t)draw(workload, 0, workload->world->plan->groups[fates->group].members - 1);
    for (int32_t i = 0; i < workload->member_count; i++) {
        if (workload->members[i].group == fates->group && workload->members[i].number == chosen) {
            member = &workload->members[i];
        }
    }
    if (workload->is_meddling && member->clock == NULL) {
        member_start(member);
    } else if (workload->is_meddling && draw(workload, 0, 1) == 0) {
        member_leave(member);
    } else if (workload->is_meddling) {
        member_crash(member);
        sim_at(workload->world->cluster->sim, draw(workload, 10, 8000), start_now, member);
    }
    schedule(fates);
}

void groups_start(struct workload *workload) {
    struct sim *sim = workload->world->cluster->sim;
    for (int32_t i = 0; i < workload->member_count; i++) {
        sim_at(sim, draw(workload, 1, START_WITHIN_MS), start_now, &workload->members[i]);
    }
    for (int32_t group = 0; group < workload->world->plan->group_count; group++) {
        workload->fates[group] = (struct fates){workload, group};
        schedule(&workload->fates[group]);
    }
}

void groups_settle(struct workload *workload) {
    for (int32_t i = 0; i < workload->member_count; i++) {
        if (workload->members[i].stays) {
            if (workload->members[i].is_leaving) {
                member_crash(&workload->members[i]);
            }
            start_now(&workload->members[i]);
        }
    }
}

static bool is_stable(const struct member *member, const struct member *first, char *ret_why, int why_size) {
    int64_t now_ms = clock_now_ms(member->clock);
    bool is_heard = member->beaten_ms > 0 && now_ms - member->beaten_ms <= member_plan(member)->session_timeout_ms;
    if (member->state == MEMBER_WORKS && !member->must_rejoin && is_heard && member->generation == first->generation) {
        return true;
    }
    snprintf(ret_why, (size_t)why_size,
             "member %d of group %d is in state %d of generation %d, another in %d, heard at %" PRId64
             ", coordinator %d",
             member->number, member->group, member->state, member->generation, first->generation, member->beaten_ms,
             member->coordinator);
    return false;
}

/* How many members of the group own the partition. */
static int32_t count_owners(const struct workload *workload, int32_t group, int32_t slot, int32_t partition) {
    int32_t count = 0;
    for (int32_t i = 0; i < workload->member_count; i++) {
        const struct member *member = &workload->members[i];
        for (int32_t k = 0; member->group == group && member->clock != NULL && k < member->owned_count; k++) {
            count += member->owned[k].slot == slot && member->owned[k].partition == partition;
        }
    }
    return count;
}

static bool owns_all(const struct workload *workload, int32_t group, char *ret_why, int why_size) {
    for (int32_t slot = 0; slot < workload->world->plan->topic_count; slot++) {
        const struct topic *topic = topics_current(workload->world->topics, slot);
        for (int32_t p = 0; p < topic->partition_count; p++) {
            int32_t owners = count_owners(workload, group, slot, p);
            if (owners != 1) {
                snprintf(ret_why, (size_t)why_size, "%s-%d has %d owners in group %d", topic->name, p, owners, group);
                return false;
            }
        }
    }
    return true;
}

bool groups_are_done(const struct workload *workload, char *ret_why, int why_size) {
    const struct member *first = NULL;
    for (int32_t i = 0; i < workload->member_count; i++) {
        const struct member *member = &workload->members[i];
        if (member->clock == NULL) {
            continue;
        }
        first = first == NULL || first->group != member->group ? member : first;
        if (!is_stable(member, first, ret_why, why_size) || !member_is_done(member, ret_why, why_size)) {
            return false;
        }
    }
    for (int32_t group = 0; group < workload->world->plan->group_count; group++) {
        if (!owns_all(workload, group, ret_why, why_size)) {
            return false;
        }
    }
    return true;
}
