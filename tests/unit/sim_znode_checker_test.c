/* The control-plane checker sees what it is there to see, and nothing in a history that is as it should be. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/runner.h"
#include "tests/simulation/checkers/znodes.h"

#define STATE "/brokers/topics/t/partitions/0/state"

struct findings {
    int count;
    char last[8];
};

static void on_violation(void *context, const char *invariant, const char *message) {
    struct findings *findings = context;
    (void)message;
    findings->count++;
    snprintf(findings->last, sizeof findings->last, "%s", invariant);
}

static struct coord_op write_op(enum coord_op_type type, const char *path, const char *data) {
    return (struct coord_op){
        .type = type, .path = path, .data = {(const uint8_t *)data, data == NULL ? -1 : (int32_t)strlen(data)}};
}

static void observe(struct znode_checker *checker, int64_t session_id, struct coord_op first, struct coord_op second) {
    const struct coord_op ops[] = {first, second};
    const struct sim_transaction transaction = {1, session_id, ops, 2};
    znode_checker_observe(checker, &transaction);
}

static struct coord_op fence(int32_t version) {
    return (struct coord_op){.type = COORD_OP_CHECK, .path = ZNODE_CONTROLLER_EPOCH, .version = version};
}

static void elect(struct znode_checker *checker, int64_t session_id, const char *epoch) {
    observe(checker, session_id, write_op(COORD_OP_CREATE, ZNODE_CONTROLLER, "{}"),
            write_op(COORD_OP_SET, ZNODE_CONTROLLER_EPOCH, epoch));
}

static void write_state(struct znode_checker *checker, int64_t session_id, enum coord_op_type type, const char *data) {
    observe(checker, session_id, fence(1), write_op(type, STATE, data));
}

/* A topic of replicas 1, 2, 3 led by 1, made by the controller with session 7 in epoch 1. */
static struct znode_checker *begin(struct findings *findings) {
    *findings = (struct findings){0};
    struct znode_checker *checker = znode_checker_create(on_violation, findings);
    observe(checker, 7, write_op(COORD_OP_CREATE, ZNODE_CONTROLLER_EPOCH, "0"), fence(0));
    elect(checker, 7, "1");
    observe(checker, 9,
            write_op(COORD_OP_CREATE, "/brokers/topics/t", "{\"version\":3,\"partitions\":{\"0\":[1,2,3]}}"), fence(0));
    write_state(checker, 7, COORD_OP_CREATE,
                "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2,3]}");
    return checker;
}

START_TEST(a_lawful_history_has_no_violation) {
    static const char *const states[] = {
        "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2]}",
        "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":1,\"isr\":[2]}",
        "{\"controller_epoch\":1,\"leader\":-1,\"version\":1,\"leader_epoch\":2,\"isr\":[2]}",
        ("{\"controller_epoch\":1,\"leader\":3,\"version\":1,\"leader_recovery_state\":1,\"leader_epoch\":3,"
         "\"isr\":[3]}"),
    };
    struct findings findings;
    struct znode_checker *checker = begin(&findings);
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        write_state(checker, 7, COORD_OP_SET, states[i]);
    }
    elect(checker, 8, "2");
    write_state(checker, 8, COORD_OP_SET,
                "{\"controller_epoch\":2,\"leader\":3,\"version\":1,\"leader_epoch\":3,\"isr\":[3,1]}");
    write_state(checker, 8, COORD_OP_DELETE, NULL);
    write_state(checker, 8, COORD_OP_CREATE,
                "{\"controller_epoch\":2,\"leader\":2,\"version\":1,\"leader_epoch\":0,\"isr\":[2]}");
    ck_assert_int_eq(findings.count, 0);
    ck_assert_int_eq(znode_checker_states_seen(checker), 7);
    znode_checker_destroy(checker);
}
END_TEST

START_TEST(each_unlawful_state_is_named_by_its_invariant) {
    static const struct {
        const char *invariant, *data;
    } bad[] = {
        {"C1", "{\"controller_epoch\":0,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1]}"},
        {"L2", "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":1,\"isr\":[1]}"},
        {"L2", "{\"controller_epoch\":1,\"leader\":-1,\"version\":1,\"leader_epoch\":1,\"isr\":[]}"},
        {"L2", "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,4]}"},
        {"C3", "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":0,\"isr\":[2]}"},
        {"C3", "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":2,\"isr\":[2]}"},
        {"C2", "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":-1,\"isr\":[1]}"},
        {"C3", "{\"controller_epoch\":1,\"leader\":1}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct findings findings;
        struct znode_checker *checker = begin(&findings);
        write_state(checker, 7, COORD_OP_SET, bad[i].data);
        ck_assert_msg(findings.count == 1, "%s: %d findings", bad[i].data, findings.count);
        ck_assert_str_eq(findings.last, bad[i].invariant);
        znode_checker_destroy(checker);
    }
}
END_TEST

START_TEST(a_leader_from_outside_the_in_sync_set_must_be_marked_as_recovering) {
    struct findings findings;
    struct znode_checker *checker = begin(&findings);
    write_state(checker, 7, COORD_OP_SET,
                "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1]}");
    ck_assert_int_eq(findings.count, 0);
    write_state(checker, 7, COORD_OP_SET,
                "{\"controller_epoch\":1,\"leader\":2,\"version\":1,\"leader_epoch\":1,\"isr\":[2]}");
    ck_assert_int_eq(findings.count, 1);
    ck_assert_str_eq(findings.last, "C3");
    znode_checker_destroy(checker);
}
END_TEST

START_TEST(unfenced_writes_zombies_and_epochs_out_of_turn_are_seen) {
    static const char same[] = "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":0,\"isr\":[1,2]}";
    struct findings findings;
    struct znode_checker *checker = begin(&findings);
    observe(checker, 7, write_op(COORD_OP_SET, STATE, same), fence(COORD_ANY_VERSION));
    ck_assert_int_eq(findings.count, 1);
    ck_assert_str_eq(findings.last, "C1");
    write_state(checker, 8, COORD_OP_SET, same); /* another session in the same epoch */
    ck_assert_int_eq(findings.count, 2);
    ck_assert_str_eq(findings.last, "C1");
    elect(checker, 8, "3");
    ck_assert_int_eq(findings.count, 3);
    ck_assert_str_eq(findings.last, "C2");
    observe(checker, 8, write_op(COORD_OP_SET, ZNODE_CONTROLLER_EPOCH, "4"), fence(0)); /* nobody was elected */
    ck_assert_int_eq(findings.count, 4);
    ck_assert_str_eq(findings.last, "C2");
    znode_checker_destroy(checker);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_lawful_history_has_no_violation),
        TEST(each_unlawful_state_is_named_by_its_invariant),
        TEST(a_leader_from_outside_the_in_sync_set_must_be_marked_as_recovering),
        TEST(unfenced_writes_zombies_and_epochs_out_of_turn_are_seen),
    };
    return run_tests("control-plane checker", tests, sizeof tests / sizeof tests[0]);
}
