/* Placement of replicas, number for number as Kafka's documentation of KIP-36 shows it. */
#include <check.h>

#include "broker/base/errors.h"
#include "broker/base/placement.h"
#include "tests/lib/runner.h"

START_TEST(without_racks_leaders_go_round_and_followers_shift_each_turn) {
    const struct placement_broker brokers[] = {{0, NULL}, {1, NULL}, {2, NULL}, {3, NULL}, {4, NULL}};
    static const int32_t expected[10][3] = {{0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 0}, {4, 0, 1},
                                            {0, 2, 3}, {1, 3, 4}, {2, 4, 0}, {3, 0, 1}, {4, 1, 2}};
    int32_t replicas[30];
    ck_assert_int_eq(placement_assign(brokers, 5, 10, 3, 0, 0, 0, replicas), 0);
    ck_assert_mem_eq(replicas, expected, sizeof expected);
    /* Partitions added later go on where the first ones stopped. */
    ck_assert_int_eq(placement_assign(brokers, 5, 2, 3, 3, 0, 0, replicas), 0);
    ck_assert_mem_eq(replicas, expected[3], 2 * sizeof expected[0]);
}
END_TEST

START_TEST(with_racks_every_rack_gets_a_replica_before_one_gets_two) {
    const struct placement_broker brokers[] = {{0, "rack1"}, {1, "rack3"}, {2, "rack3"},
                                               {3, "rack2"}, {4, "rack2"}, {5, "rack1"}};
    static const int32_t expected[7][3] = {{0, 3, 1}, {3, 1, 5}, {1, 5, 4}, {5, 4, 2}, {4, 2, 0}, {2, 0, 3}, {0, 4, 2}};
    int32_t replicas[21];
    ck_assert_int_eq(placement_assign(brokers, 6, 7, 3, 0, 0, 0, replicas), 0);
    ck_assert_mem_eq(replicas, expected, sizeof expected);
}
END_TEST

START_TEST(more_replicas_than_racks_still_lie_on_different_brokers) {
    const struct placement_broker brokers[] = {{0, "a"}, {1, "b"}, {2, "a"}, {3, "b"}};
    for (int32_t start = 0; start < 4; start++) {
        int32_t replicas[4 * 8];
        ck_assert_int_eq(placement_assign(brokers, 4, 8, 4, 0, start, start, replicas), 0);
        for (int32_t i = 0; i < 8; i++) {
            unsigned seen = 0;
            for (int32_t j = 0; j < 4; j++) {
                seen |= 1U << replicas[i * 4 + j];
            }
            ck_assert_uint_eq(seen, 0xfU);
        }
    }
}
END_TEST

START_TEST(one_broker_takes_everything) {
    const struct placement_broker brokers[] = {{7, NULL}};
    int32_t replicas[3];
    ck_assert_int_eq(placement_assign(brokers, 1, 3, 1, 0, 0, 0, replicas), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(replicas[i], 7);
    }
}
END_TEST

START_TEST(racks_on_some_brokers_only_are_refused) {
    const struct placement_broker brokers[] = {{0, "a"}, {1, NULL}};
    int32_t replicas[1];
    ck_assert_int_eq(placement_assign(brokers, 2, 1, 1, 0, 0, 0, replicas), ERR_INVALID);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(without_racks_leaders_go_round_and_followers_shift_each_turn),
        TEST(with_racks_every_rack_gets_a_replica_before_one_gets_two),
        TEST(more_replicas_than_racks_still_lie_on_different_brokers),
        TEST(one_broker_takes_everything),
        TEST(racks_on_some_brokers_only_are_refused),
    };
    return run_tests("placement", tests, sizeof tests / sizeof tests[0]);
}
