/* The controller's line to one broker (rule 26): one request in flight, the order of decision, and a bound. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "replication/controller_channel.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

static struct memory_world *memory;
static struct controller_channel *channel;
static char sent[1024], answered[1024]; /* first letters of bodies */
static transport_answer *on_answer;     /* of the request in flight */
static void *answer_context;
static int32_t overflows;

static void note(char *text, uint8_t letter) {
    size_t size = strlen(text);
    CHECK(size + 1 < sizeof sent);
    text[size] = (char)letter;
    text[size + 1] = '\0';
}

static void fake_send(struct transport *transport, const struct transport_request *request) {
    (void)transport;
    ck_assert_ptr_null(on_answer); /* one at a time */
    ck_assert_int_eq(request->channel, CHANNEL_CONTROL);
    note(sent, request->body[0]);
    on_answer = request->on_answer;
    answer_context = request->context;
}

static void fake_disconnect(struct transport *transport, int32_t broker_id, enum transport_channel which) {
    (void)transport, (void)broker_id, (void)which;
}

static const struct transport_ops ops = {.send = fake_send, .disconnect = fake_disconnect};
static struct transport transport = {.ops = &ops};

static void on_channel_answer(void *context, const struct controller_channel *from,
                              const struct controller_channel_request *request, const uint8_t *answer, size_t size) {
    (void)context, (void)from, (void)answer, (void)size;
    note(answered, request->body[0]);
}

static void on_overflow(void *context, const struct controller_channel *from) {
    (void)context, (void)from;
    overflows++;
}

static void set_up(void) {
    const struct controller_channel_config config = {.controller_id = 1,
                                                     .broker_id = 2,
                                                     .broker_epoch = 5,
                                                     .host = "h2",
                                                     .port = 9092,
                                                     .timeout_ms = 30000,
                                                     .queue_bytes_max = 100,
                                                     .on_answer = on_channel_answer,
                                                     .on_overflow = on_overflow};
    trace_set_level(TRACE_FATAL);
    memory = memory_world_create();
    sent[0] = answered[0] = '\0';
    on_answer = NULL;
    overflows = 0;
    channel = controller_channel_open(&config, memory_clock(memory), &transport);
}

static void finish(int error) {
    transport_answer *done = on_answer;
    ck_assert_ptr_nonnull(done);
    on_answer = NULL;
    done(answer_context, error, (const uint8_t *)"", 0);
}

static void tear_down(void) {
    controller_channel_close(channel);
    if (on_answer != NULL) {
        finish(ERR_DISCONNECTED);
    }
    memory_world_destroy(memory);
}

static void queue(char letter, size_t size, bool is_kept) {
    struct controller_channel_request request = {.body_size = size, .is_kept = is_kept};
    request.body = xcalloc(size, 1);
    request.body[0] = (uint8_t)letter;
    controller_channel_send(channel, &request);
}

START_TEST(rule_26_one_request_is_in_flight_and_the_order_is_that_of_decision) {
    queue('a', 1, false);
    queue('b', 1, false);
    queue('c', 1, false);
    ck_assert_str_eq(sent, "a");
    finish(0);
    ck_assert_str_eq(sent, "ab");
    ck_assert_str_eq(answered, "a");
    finish(0);
    finish(0);
    ck_assert_str_eq(answered, "abc");
}
END_TEST

START_TEST(rule_26_what_fails_is_sent_again_for_ever_and_nothing_overtakes_it) {
    queue('a', 1, false);
    queue('b', 1, false);
    for (int i = 0; i < 20; i++) {
        finish(ERR_DISCONNECTED);
        ck_assert_ptr_null(on_answer); /* a pause of 100 ms */
        memory_run_for(memory, 99);
        ck_assert_ptr_null(on_answer);
        queue('c', 1, false); /* and no new one begins meanwhile */
        memory_run_for(memory, 1);
    }
    ck_assert_str_eq(answered, "");
    finish(0);
    finish(0);
    ck_assert_str_eq(sent, "aaaaaaaaaaaaaaaaaaaaabc");
    ck_assert_str_eq(answered, "ab");
}
END_TEST

START_TEST(at_its_bound_the_queue_is_dropped_but_for_the_first_and_what_is_kept) {
    queue('a', 30, false); /* in flight */
    queue('b', 30, false);
    queue('k', 30, true);
    ck_assert_int_eq(overflows, 0);
    queue('c', 30, false);
    ck_assert_int_eq(overflows, 0); /* told in a turn of its own */
    memory_run(memory);
    ck_assert_int_eq(overflows, 1);
    queue('1', 90, false); /* everything anew may be larger than the bound */
    queue('2', 90, false);
    controller_channel_told(channel);
    memory_run(memory);
    ck_assert_int_eq(overflows, 1);
    queue('d', 90, false);
    for (int i = 0; i < 5; i++) {
        finish(0);
    }
    ck_assert_str_eq(answered, "ak12d");
    ck_assert_ptr_null(on_answer);
    /* Once all of it is through, the bound is what it was. */
    queue('e', 60, false);
    queue('f', 60, false);
    memory_run(memory);
    ck_assert_int_eq(overflows, 2);
}
END_TEST

START_TEST(a_line_that_is_closed_hears_nothing_more) {
    queue('a', 60, false);
    queue('b', 60, false);
    controller_channel_close(channel);
    memory_run(memory);
    ck_assert_int_eq(overflows, 0);
    finish(0);
    ck_assert_str_eq(answered, "");
    memory_world_destroy(memory);
    set_up(); /* another for the tear-down */
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_26_one_request_is_in_flight_and_the_order_is_that_of_decision),
        TEST(rule_26_what_fails_is_sent_again_for_ever_and_nothing_overtakes_it),
        TEST(at_its_bound_the_queue_is_dropped_but_for_the_first_and_what_is_kept),
        TEST(a_line_that_is_closed_hears_nothing_more),
    };
    return run_tests_with_fixture("controller channels", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
