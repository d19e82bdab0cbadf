/* Whose registration may be removed, and what a broker does when it cannot have its own (rule 2), in memory. */
#include <check.h>
#include <stdio.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "coordinator-client/registration.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

#define NODE "/brokers/ids/1"
#define WAIT_MS 18000

static struct memory_world *memory;
static struct registration *registration;
static int32_t answers;
static int last_error;
static int64_t last_epoch;

static void on_registered(void *context, int error, int64_t epoch, const char *message) {
    (void)context, (void)message;
    answers++;
    last_error = error;
    last_epoch = epoch;
}

static void set_up(void) {
    static struct znode_endpoint endpoint = {.port = 9092};
    endpoint.listener = endpoint.security_protocol = STR_LITERAL("PLAINTEXT");
    endpoint.host = STR_LITERAL("h1");
    const struct znode_broker broker = {.endpoints = &endpoint, .endpoint_count = 1, .rack = STR_NULL, .jmx_port = -1};
    trace_set_level(TRACE_FATAL);
    answers = 0;
    memory = memory_world_create();
    memory_put(memory, "/brokers/ids", NULL);
    registration = registration_create(memory_clock(memory), memory_coord(memory), 1, &broker, WAIT_MS);
}

static void tear_down(void) {
    registration_destroy(registration);
    memory_world_destroy(memory);
}

static void register_for(int64_t ms) {
    answers = 0;
    registration_register(registration, on_registered, NULL);
    memory_run_for(memory, ms);
}

START_TEST(rule_2_the_node_of_an_earlier_session_of_this_process_is_removed) {
    register_for(0);
    ck_assert_int_eq(last_error, 0);
    int64_t epoch = last_epoch;
    memory_set_session(memory, 2); /* the old one expired, and the server has not removed its node yet */
    register_for(0);
    ck_assert_int_eq(answers, 1);
    ck_assert_int_eq(last_error, 0);
    ck_assert_int_gt(last_epoch, epoch); /* a new node, so a new broker epoch */
}
END_TEST

START_TEST(rule_2_the_node_of_anybody_else_is_waited_for_and_never_removed) {
    memory_put(memory, NODE, "{}");
    register_for(WAIT_MS / 2);
    ck_assert_int_eq(answers, 0);
    ck_assert_ptr_nonnull(memory_data(memory, NODE));
    memory_run_for(memory, WAIT_MS);
    ck_assert_int_eq(answers, 1);
    ck_assert_int_eq(last_error, ERR_EXISTS);
    ck_assert_str_eq(memory_data(memory, NODE), "{}");
}
END_TEST

START_TEST(rule_1_a_registration_whose_answer_was_lost_is_ours_with_the_epoch_it_has) {
    memory_lose_replies(memory, 1, true); /* the listing of the others */
    register_for(1000);
    ck_assert_int_eq(last_error, 0);
    int64_t epoch = last_epoch;
    memory_lose_replies(memory, 0, true);
    register_for(1000); /* as if the first answer had been lost */
    ck_assert_int_eq(last_error, 0);
    ck_assert_int_eq(last_epoch, epoch);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_2_the_node_of_an_earlier_session_of_this_process_is_removed),
        TEST(rule_2_the_node_of_anybody_else_is_waited_for_and_never_removed),
        TEST(rule_1_a_registration_whose_answer_was_lost_is_ours_with_the_epoch_it_has),
    };
    return run_tests_with_fixture("registration rules", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
