/* A group core to be stepped by hand. A waiter is a text that names the request. Included by the tests of the core. */
#ifndef OTTLA_TESTS_GROUP_FIXTURE_H
#define OTTLA_TESTS_GROUP_FIXTURE_H

#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/group/group.h"
#include "broker/protocol/errors.h"
#include "tests/lib/runner.h"

#define SESSION_MS 10000
#define REBALANCE_MS 60000
#define ANSWERS_MAX 64

static struct group g;
static struct group_limits limits;
static struct arena arena;
static struct group_actions actions;
static int64_t now_ms;
static uint64_t stores[8];
static bool stores_staged[8];
static int store_count;
static struct {
    const char *waiter;
    struct group_action action;
} answers[ANSWERS_MAX];
static int answer_count;

static inline void set_up(void) {
    limits = (struct group_limits){.session_timeout_min_ms = 6000,
                                   .session_timeout_max_ms = 1800000,
                                   .initial_rebalance_delay_ms = 0,
                                   .size_max = INT32_MAX};
    now_ms = 1000000;
    answer_count = store_count = 0;
    arena_init(&arena, SIZE_MAX);
    group_init(&g, STR_LITERAL("g"), &limits);
}

/* Takes note of what the last step asked for; the arena stays, so that answers can be looked at later. */
static inline void take_actions(void) {
    for (int32_t i = 0; i < actions.count; i++) {
        const struct group_action *action = &actions.list[i];
        if (action->type == GROUP_STORE) {
            stores_staged[store_count] = action->store_staged;
            stores[store_count++] = action->store_number;
            continue;
        }
        for (int k = 0; k < answer_count; k++) {
            ck_assert_msg(strcmp(answers[k].waiter, action->waiter) != 0, "%s is answered twice", answers[k].waiter);
        }
        answers[answer_count].waiter = action->waiter;
        answers[answer_count++].action = *action;
    }
}

static inline int16_t step(struct group_event event) {
    event.now_ms = now_ms;
    event.wall_ms = 1700000000000 + now_ms;
    actions.arena = &arena;
    group_step(&g, &event, &actions);
    take_actions();
    return actions.error_code;
}

static inline void tear_down(void) {
    step((struct group_event){.type = GROUP_UNLOAD});
    group_deinit(&g);
    arena_deinit(&arena);
}

static inline const struct group_action *answer_to(const char *waiter) {
    for (int i = 0; i < answer_count; i++) {
        if (strcmp(answers[i].waiter, waiter) == 0) {
            return &answers[i].action;
        }
    }
    return NULL;
}

static inline int error_of(const char *waiter) {
    const struct group_action *answer = answer_to(waiter);
    ck_assert_msg(answer != NULL, "%s has no answer", waiter);
    return answer->error_code;
}

/* What a member asks with; zero fields get the usual values. */
struct asking {
    const char *waiter;
    const char *id;       /* NULL: none yet */
    const char *instance; /* NULL: dynamic */
    const char *fresh;    /* the id it is to get */
    const char *protocols[3];
    const char *metadata;
    const char *type;
    bool needs_id;
    bool skips;
    int32_t rebalance_ms;
    int32_t session_ms;
};

static inline void join(struct asking a) {
    struct group_protocol protocols[3];
    int32_t count = 0;
    for (; count < 3 && (a.protocols[count] != NULL || (count == 0 && a.protocols[0] == NULL)); count++) {
        const char *metadata = a.metadata == NULL ? "m" : a.metadata;
        protocols[count].name = str_from(a.protocols[count] == NULL ? "range" : a.protocols[count]);
        protocols[count].metadata = (struct slice){(const uint8_t *)metadata, (int32_t)strlen(metadata)};
    }
    step((struct group_event){
        .type = GROUP_JOIN,
        .member_id = str_from(a.id == NULL ? "" : a.id),
        .instance_id = str_from(a.instance),
        .protocol_type = str_from(a.type == NULL ? "consumer" : a.type),
        .waiter = (void *)(uintptr_t)a.waiter,
        .reason = STR_LITERAL("test"),
        .join = {.new_member_id = str_from(a.fresh == NULL ? a.waiter : a.fresh),
                 .client_id = STR_LITERAL("client"),
                 .client_host = STR_LITERAL("/127.0.0.1"),
                 .session_timeout_ms = a.session_ms == 0 ? SESSION_MS : a.session_ms,
                 .rebalance_timeout_ms = a.rebalance_ms == 0 ? REBALANCE_MS : a.rebalance_ms,
                 .protocols = protocols,
                 .protocol_count = count,
                 .requires_known_id = a.needs_id,
                 .supports_skip_assignment = a.skips},
    });
}
#define JOIN(...) join((struct asking){__VA_ARGS__})

static inline void sync_as(const char *waiter, const char *id, int32_t generation, const struct group_assignment *list,
                           int32_t count) {
    step((struct group_event){.type = GROUP_SYNC,
                              .member_id = str_from(id),
                              .instance_id = STR_NULL,
                              .generation = generation,
                              .protocol_type = STR_NULL,
                              .waiter = (void *)(uintptr_t)waiter,
                              .sync = {.protocol = STR_NULL, .assignments = list, .assignment_count = count}});
}
static inline void follow(const char *waiter, const char *id, int32_t generation) {
    sync_as(waiter, id, generation, NULL, 0);
}
static inline void lead(const char *waiter, const char *id, int32_t generation, const char *for_whom,
                        const char *what) {
    struct group_assignment one = {str_from(for_whom), {(const uint8_t *)what, (int32_t)strlen(what)}};
    sync_as(waiter, id, generation, &one, 1);
}
static inline void stored(int which, int16_t error) {
    step((struct group_event){.type = GROUP_STORED, .stored = {stores[which], error}});
}
static inline int16_t heartbeat(const char *id, int32_t generation) {
    return step((struct group_event){
        .type = GROUP_HEARTBEAT, .member_id = str_from(id), .instance_id = STR_NULL, .generation = generation});
}
static inline int16_t heartbeat_of(const char *id, const char *instance, int32_t generation) {
    return step((struct group_event){.type = GROUP_HEARTBEAT,
                                     .member_id = str_from(id),
                                     .instance_id = str_from(instance),
                                     .generation = generation});
}
static inline int16_t leave(const char *id, const char *instance) {
    return step((struct group_event){.type = GROUP_LEAVE,
                                     .member_id = str_from(id),
                                     .instance_id = str_from(instance),
                                     .reason = STR_LITERAL("bye")});
}
static inline int16_t commit(const char *id, int32_t generation, bool is_transactional) {
    return step((struct group_event){.type = GROUP_COMMIT,
                                     .member_id = str_from(id),
                                     .instance_id = STR_NULL,
                                     .generation = generation,
                                     .commit = {is_transactional}});
}
static inline void pass(int64_t ms) {
    now_ms += ms;
    ck_assert_msg(g.wake_ms <= now_ms, "nothing is due in %lld ms", (long long)ms);
    step((struct group_event){.type = GROUP_TICK});
}
/* Time goes by with nothing due. */
static inline void wait_quietly(int64_t ms) {
    now_ms += ms;
    ck_assert_int_gt(g.wake_ms, now_ms);
}

/* A stable group of one, generation 1; the member's id is a. */
static inline void one_member(void) {
    JOIN(.waiter = "a");
    lead("sync a", "a", 1, "a", "all");
    stored(0, KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_STABLE);
}
/* A stable group of two, generation 2; a leads. */
static inline void two_members(void) {
    one_member();
    JOIN(.waiter = "b");
    JOIN(.waiter = "a again", .id = "a");
    lead("sync a 2", "a", 2, "a", "half");
    follow("sync b 2", "b", 2);
    stored(1, KAFKA_NONE);
    ck_assert_int_eq(g.state, GROUP_STABLE);
    ck_assert_int_eq(error_of("sync b 2"), KAFKA_NONE);
}

#endif
