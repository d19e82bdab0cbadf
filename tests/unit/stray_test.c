/* Whether a log in a topic's place may go: which of two commands is the later one, and what follows from it. */
#include <check.h>

#include "broker/base/check.h"
#include "replication/stray.h"
#include "tests/lib/runner.h"

static const struct uuid former = {{1}};
static const struct uuid present = {{2}};
static struct stray_facts facts;

static struct command_stamp stamp(int32_t controller_epoch, int64_t broker_epoch) {
    return (struct command_stamp){.controller_epoch = controller_epoch, .broker_epoch = broker_epoch};
}

static bool is_later(struct command_stamp one, struct command_stamp other) {
    return command_is_later(&one, &other);
}

/* A log of this topic, led under epoch 4 when it was last named, and a later word of the same controller that its
 * partition is elsewhere. */
static void set_up(void) {
    facts = (struct stray_facts){.log_topic_id = former,
                                 .told_topic_id = former,
                                 .known_epoch = 4,
                                 .told_epoch = 5,
                                 .named = stamp(3, 70),
                                 .told = stamp(3, 70)};
}
static void tear_down(void) {}

START_TEST(a_later_controller_or_a_later_registration_makes_a_command_later) {
    ck_assert(is_later(stamp(4, 70), stamp(3, 70)));
    ck_assert(is_later(stamp(4, -1), stamp(3, 70)));
    ck_assert(is_later(stamp(3, 71), stamp(3, 70)));
    ck_assert(!is_later(stamp(3, 70), stamp(4, 70)));
    ck_assert(!is_later(stamp(3, 71), stamp(4, 70))); /* deposed, whatever it knew of us */
    ck_assert(!is_later(stamp(3, 69), stamp(3, 70)));
}
END_TEST

START_TEST(equal_stamps_and_unknown_registrations_say_nothing) {
    ck_assert(!is_later(stamp(3, 70), stamp(3, 70)));
    ck_assert(!is_later(stamp(3, 70), stamp(3, -1)));
    ck_assert(!is_later(stamp(3, -1), stamp(3, 70)));
    ck_assert(!is_later(stamp(3, -1), stamp(3, -1)));
}
END_TEST

START_TEST(what_a_former_life_left_is_before_what_was_said_to_this_registration) {
    ck_assert(is_later(stamp(1, 70), COMMAND_STAMP_NONE));
    ck_assert(!is_later(stamp(9, -1), COMMAND_STAMP_NONE));
}
END_TEST

START_TEST(a_log_makes_way_for_another_topic_of_a_later_command_only) {
    facts.told_topic_id = present;
    facts.is_wanted = true;
    ck_assert(!stray_makes_way(&facts));
    facts.told = stamp(4, 70);
    ck_assert(stray_makes_way(&facts));
    facts.told = stamp(3, 71);
    ck_assert(stray_makes_way(&facts));
    facts.told_topic_id = former;
    ck_assert(!stray_makes_way(&facts));
    facts.told_topic_id = (struct uuid){{0}};
    ck_assert(!stray_makes_way(&facts));
    facts.told_topic_id = present;
    facts.log_topic_id = (struct uuid){{0}};
    ck_assert(!stray_makes_way(&facts));
}
END_TEST

START_TEST(leader_epochs_of_two_topics_are_not_compared) {
    facts.told_topic_id = present;
    facts.told_epoch = 1000;
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
    facts.told = stamp(4, 70);
    facts.told_epoch = 0;
    ck_assert_int_eq(stray_judge(&facts), STRAY_SET_ASIDE);
}
END_TEST

START_TEST(a_replica_that_its_own_topic_no_longer_wants_is_deleted_by_a_later_epoch) {
    ck_assert_int_eq(stray_judge(&facts), STRAY_DELETE);
    facts.told_epoch = 4;
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
    facts.told_epoch = 3;
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
}
END_TEST

START_TEST(a_replica_that_is_assigned_or_in_sync_stays) {
    facts.is_wanted = true;
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
    facts.told_topic_id = present;
    facts.told = stamp(4, 70);
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP); /* a LeaderAndIsr makes room for it */
}
END_TEST

START_TEST(what_only_lies_on_disk_needs_a_word_that_was_said_to_this_registration) {
    facts.named = COMMAND_STAMP_NONE;
    ck_assert_int_eq(stray_judge(&facts), STRAY_DELETE);
    facts.told = stamp(3, -1);
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
    facts.told = stamp(3, 70);
    facts.told_epoch = facts.known_epoch;
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
}
END_TEST

START_TEST(without_ids_it_may_be_another_topic_and_only_a_later_command_counts) {
    facts.told_topic_id = (struct uuid){{0}};
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
    facts.told = stamp(4, 70);
    ck_assert_int_eq(stray_judge(&facts), STRAY_DELETE);
}
END_TEST

START_TEST(a_deletion_is_true_of_its_own_topic_whenever_it_is_heard) {
    facts.is_deletion = true;
    facts.told_epoch = 0;
    ck_assert_int_eq(stray_judge(&facts), STRAY_DELETE);
    facts.told_topic_id = present;
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
    facts.told_topic_id = (struct uuid){{0}};
    facts.told = stamp(4, 70);
    ck_assert_int_eq(stray_judge(&facts), STRAY_KEEP);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_later_controller_or_a_later_registration_makes_a_command_later),
        TEST(equal_stamps_and_unknown_registrations_say_nothing),
        TEST(what_a_former_life_left_is_before_what_was_said_to_this_registration),
        TEST(a_log_makes_way_for_another_topic_of_a_later_command_only),
        TEST(leader_epochs_of_two_topics_are_not_compared),
        TEST(a_replica_that_its_own_topic_no_longer_wants_is_deleted_by_a_later_epoch),
        TEST(a_replica_that_is_assigned_or_in_sync_stays),
        TEST(what_only_lies_on_disk_needs_a_word_that_was_said_to_this_registration),
        TEST(without_ids_it_may_be_another_topic_and_only_a_later_command_counts),
        TEST(a_deletion_is_true_of_its_own_topic_whenever_it_is_heard),
    };
    return run_tests_with_fixture("stray", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
