/* Throttled replication: the arithmetic of a rate, and three brokers of which one catches up under it. */
#include <check.h>

#include "broker/base/check.h"
#include "broker/base/random.h"
#include "replication/throttle.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

#define WINDOW_MS 10000
#define STEP_MS 10

/* ---- the arithmetic ---- */

/* Somebody takes all it may, in batches that cannot be split, looking every few milliseconds. */
static void assert_holds(int64_t rate, int64_t batch, uint64_t seed) {
    static int64_t moved[WINDOW_MS / STEP_MS];
    struct throttle throttle;
    struct random random;
    int64_t in_window = 0, steps = ARRAY_SIZE(moved);
    random_seed(&random, seed);
    throttle_init(&throttle, rate, 0);
    memset(moved, 0, sizeof moved);
    for (int64_t step = 0; step < 20 * steps; step++) {
        int64_t taken = 0;
        if (random_below(&random, 3) > 0 && throttle_allowance(&throttle, step * STEP_MS) > 0) {
            taken = batch * (int64_t)(1 + random_below(&random, 3));
            throttle_record(&throttle, taken);
        }
        in_window += taken - moved[step % steps];
        moved[step % steps] = taken;
        if (step >= 2 * steps) {
            int64_t wanted = rate * WINDOW_MS / 1000;
            ck_assert_msg(in_window * 10 >= wanted * 9 && in_window * 10 <= wanted * 11,
                          "rate %lld, batches of %lld: %lld instead of %lld", (long long)rate, (long long)batch,
                          (long long)in_window, (long long)wanted);
        }
    }
}

START_TEST(a_rate_holds_within_a_tenth_over_any_ten_seconds) {
    assert_holds(50000, 1000, 1);
    assert_holds(1000000, 16384, 2);
    assert_holds(100000000, 1048576, 3);
    assert_holds(1000000000, 10485760, 4);
}
END_TEST

START_TEST(a_debt_is_paid_off_before_anything_more) {
    struct throttle throttle;
    throttle_init(&throttle, 1000, 0);
    throttle_record(&throttle, 5000);
    ck_assert_int_eq(throttle_allowance(&throttle, 5000), 0);
    ck_assert_int_eq(throttle_wait_ms(&throttle), 51);
    ck_assert_int_eq(throttle_allowance(&throttle, 5001), 1);
    ck_assert_int_eq(throttle_allowance(&throttle, 60000), 750);
    throttle_record(&throttle, 800);
    throttle_record(&throttle, -60);
    ck_assert_int_eq(throttle_allowance(&throttle, 60000), 10);
}
END_TEST

START_TEST(another_rate_is_in_force_at_once) {
    struct throttle throttle;
    throttle_init(&throttle, 10, 0);
    throttle_record(&throttle, 1000000);
    throttle_set_rate(&throttle, 1000, 0);
    ck_assert_int_eq(throttle_allowance(&throttle, 1000), 0);
    ck_assert_int_gt(throttle_allowance(&throttle, 1010), 0);
    throttle_set_rate(&throttle, 0, 2000);
    throttle_record(&throttle, 1000);
    ck_assert_int_le(throttle_allowance(&throttle, 100000), 0);
    ck_assert_int_eq(throttle_wait_ms(&throttle), THROTTLE_LOOK_MS);
    throttle_set_rate(&throttle, THROTTLE_UNLIMITED, 100000);
    ck_assert_int_eq(throttle_wait_ms(&throttle), 0);
    ck_assert(!throttle_is_on(&throttle));
    ck_assert_int_eq(throttle_allowance(&throttle, 100000), INT64_MAX);
}
END_TEST

/* ---- three brokers ---- */

static struct fake_cluster c;

static int64_t bytes_of(int32_t broker_id) {
    return log_size_bytes(partition_runtime_log(fake_partition(&c, broker_id)));
}

/* 1 leads with 2; 3 has nothing of its 2 MB. */
static void begin(void) {
    fake_cluster_create(&c, 3, 1);
    c.is_throttled = true;
    for (int32_t id = 1; id <= 3; id++) {
        fake_broker_kill(&c, id);
        fake_broker_start(&c, id);
    }
    fake_cluster_update_metadata(&c);
    c.brokers[3].is_cut = true;
    fake_cluster_lead(&c, 1, 12);
    for (int32_t i = 0; i < 400; i++) {
        fake_append(&c, 1, 150, 1);
    }
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(bytes_of(2), bytes_of(1));
}

static void set_rates(int64_t leader, int64_t follower) {
    for (int32_t id = 1; id <= 3; id++) {
        replica_manager_set_throttle_rates(c.brokers[id].replicas, leader, follower);
    }
}

static void assert_rate(int64_t rate) {
    int64_t before = bytes_of(3);
    fake_cluster_run(&c, WINDOW_MS);
    int64_t moved = bytes_of(3) - before, wanted = rate * WINDOW_MS / 1000;
    ck_assert_msg(moved * 10 >= wanted * 9 && moved * 10 <= wanted * 11, "%lld bytes instead of %lld", (long long)moved,
                  (long long)wanted);
}

static void catch_up_under(int64_t leader_rate, int64_t follower_rate, int64_t rate) {
    begin();
    set_rates(leader_rate, follower_rate);
    c.brokers[3].is_cut = false;
    ck_assert_int_eq(fake_cluster_command(&c, 3, 1), 0);
    fake_cluster_run(&c, 3000);
    assert_rate(rate);
    assert_rate(rate);
    /* Who is in sync has every record at once, whatever is owed. */
    fake_append(&c, 1, 100, -1);
    fake_cluster_run(&c, 100);
    ck_assert_int_eq(fake_log_end(&c, 2), fake_log_end(&c, 1));
    ck_assert_int_eq(fake_high_watermark(&c, 1), fake_log_end(&c, 1));
    ck_assert_int_eq(fake_isr(&c), 12);
}

static void end(void) {
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_log_end(&c, 3), fake_log_end(&c, 1));
    ck_assert_int_eq(fake_isr(&c), 123);
    ck_assert(fake_logs_equal(&c, 1, 3));
    fake_cluster_destroy(&c);
}

START_TEST(a_leader_holds_back_a_follower_that_is_out_of_sync) {
    catch_up_under(20000, INT64_MAX, 20000);
    set_rates(40000, INT64_MAX);
    assert_rate(40000);
    set_rates(INT64_MAX, INT64_MAX);
    end();
}
END_TEST

START_TEST(a_follower_holds_itself_back_until_it_has_caught_up) {
    catch_up_under(INT64_MAX, 20000, 20000);
    set_rates(INT64_MAX, 40000);
    assert_rate(40000);
    set_rates(INT64_MAX, INT64_MAX);
    end();
}
END_TEST

START_TEST(the_slower_of_both_rates_counts) {
    catch_up_under(60000, 20000, 20000);
    set_rates(10000, 20000);
    assert_rate(10000);
    set_rates(0, INT64_MAX);
    fake_cluster_run(&c, 1000);
    int64_t before = bytes_of(3);
    fake_cluster_run(&c, WINDOW_MS);
    ck_assert_int_eq(bytes_of(3), before);
    set_rates(INT64_MAX, INT64_MAX);
    end();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_rate_holds_within_a_tenth_over_any_ten_seconds),
        TEST(a_debt_is_paid_off_before_anything_more),
        TEST(another_rate_is_in_force_at_once),
        TEST(a_leader_holds_back_a_follower_that_is_out_of_sync),
        TEST(a_follower_holds_itself_back_until_it_has_caught_up),
        TEST(the_slower_of_both_rates_counts),
    };
    return run_tests("replication throttle", tests, ARRAY_SIZE(tests));
}
