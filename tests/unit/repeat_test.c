/* Which of the failures that happen again and again are told. */
#include <check.h>

#include "broker/base/check.h"
#include "broker/base/repeat.h"
#include "tests/lib/runner.h"

static struct repeat repeat;
static int64_t now_ms;
static int64_t untold;

static void set_up(void) {
    repeat = (struct repeat){0};
    now_ms = 5000;
    untold = -1;
}

/* One failure each second; how many of them were told. */
static int fail_for(int seconds, int32_t reason) {
    int lines = 0;
    for (int i = 0; i < seconds; i++, now_ms += 1000) {
        lines += repeat_failed(&repeat, reason, now_ms, &untold);
    }
    return lines;
}

START_TEST(a_failure_is_told_when_it_begins_and_then_every_30_s_with_the_count_in_between) {
    ck_assert_int_eq(fail_for(1, -11), 1);
    ck_assert_int_eq(untold, 0);
    ck_assert_int_eq(fail_for(29, -11), 0);
    ck_assert_int_eq(fail_for(1, -11), 1);
    ck_assert_int_eq(untold, 29);
    ck_assert_int_eq(fail_for(600, -11), 20);
    ck_assert_int_eq(untold, 29);
}
END_TEST

START_TEST(the_count_is_said_only_when_there_is_one) {
    char text[REPEAT_TEXT_SIZE];
    ck_assert_str_eq(repeat_text(0, text), "");
    ck_assert_str_eq(repeat_text(INT64_MAX, text), " (lines before it not shown: 9223372036854775807)");
}
END_TEST

START_TEST(another_reason_is_told_at_once) {
    ck_assert_int_eq(fail_for(10, -11), 1);
    ck_assert_int_eq(fail_for(1, -10), 1);
    ck_assert_int_eq(untold, 9);
    ck_assert_int_eq(fail_for(10, -10), 0);
}
END_TEST

START_TEST(reasons_that_take_turns_are_told_once_each_in_30_s) {
    int lines = 0;
    for (int i = 0; i < 300; i++) {
        lines += fail_for(1, i % 2 == 0 ? -11 : -10);
    }
    ck_assert_int_eq(lines, 2 * 10);
}
END_TEST

START_TEST(ever_new_reasons_are_bounded_too) {
    int lines = 0;
    for (int i = 0; i < 300; i++) {
        lines += fail_for(1, i);
    }
    ck_assert_int_eq(lines, REPEAT_REASONS_MAX * 10);
}
END_TEST

START_TEST(that_it_works_again_is_told_once_and_the_next_failure_at_once) {
    ck_assert_int_eq(repeat_worked(&repeat), 0);
    fail_for(7, -11);
    ck_assert_int_eq(repeat_worked(&repeat), 7);
    ck_assert_int_eq(repeat_worked(&repeat), 0);
    ck_assert_int_eq(fail_for(2, -11), 1);
    ck_assert_int_eq(untold, 0);
}
END_TEST

START_TEST(a_clock_that_begins_at_zero_changes_nothing) {
    now_ms = 0;
    ck_assert_int_eq(fail_for(30, -11), 1);
    ck_assert_int_eq(fail_for(1, -11), 1);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_failure_is_told_when_it_begins_and_then_every_30_s_with_the_count_in_between),
        TEST(the_count_is_said_only_when_there_is_one),
        TEST(another_reason_is_told_at_once),
        TEST(reasons_that_take_turns_are_told_once_each_in_30_s),
        TEST(ever_new_reasons_are_bounded_too),
        TEST(that_it_works_again_is_told_once_and_the_next_failure_at_once),
        TEST(a_clock_that_begins_at_zero_changes_nothing),
    };
    return run_tests_with_fixture("repeat", tests, ARRAY_SIZE(tests), set_up, NULL);
}
