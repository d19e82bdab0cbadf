/* The controller's rounds with the coordinator: writes travel a hundred at a time, and the core cannot tell. */
#include <check.h>
#include <stdio.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/znode_path.h"
#include "replication/controller_wave.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

#define ASKS_MAX 400

static struct memory_world *memory;
static struct arena arena;
static struct controller_ask asks[ASKS_MAX];
static int32_t ask_count;
static bool is_done;
static int32_t epoch_version; /* what the writes expect of /controller_epoch */

static void on_done(void *context, struct controller_wave *wave) {
    (void)context, (void)wave;
    is_done = true;
}

static void set_up(void) {
    memory = memory_world_create();
    arena_init(&arena, SIZE_MAX);
    memory_put(memory, "/controller_epoch", "1");
    memory_put(memory, "/t", NULL);
    ask_count = 0;
    epoch_version = 0;
    is_done = false;
}

static void tear_down(void) {
    arena_deinit(&arena);
    memory_world_destroy(memory);
}

static void add_write(enum controller_op_type type, int32_t version, const char *format, int32_t number) {
    struct controller_ask *ask = &asks[ask_count++];
    char path[64];
    CHECK(ask_count <= ASKS_MAX);
    snprintf(path, sizeof path, format, number);
    *ask = (struct controller_ask){.type = CONTROLLER_MULTI, .op_count = 2, .is_fenced = true};
    ask->ops = ARENA_ARRAY(&arena, struct controller_op, 2);
    ask->ops[0] = (struct controller_op){
        .type = CONTROLLER_OP_CHECK, .path = "/controller_epoch", .data = SLICE_NULL, .version = epoch_version};
    ask->ops[1] = (struct controller_op){.type = type,
                                         .path = arena_str(&arena, str_from(path)).data,
                                         .data = {(const uint8_t *)"x", 1},
                                         .version = version};
}

static void add_read(const char *path) {
    asks[ask_count++] = (struct controller_ask){.type = CONTROLLER_GET, .path = path};
}

static struct controller_wave *start(void) {
    const struct controller_wave_config config = {
        .clock = memory_clock(memory), .coord = memory_coord(memory), .on_done = on_done};
    return controller_wave_start(&config, 7, asks, ask_count);
}

static const struct controller_reply *finish(struct controller_wave *wave, int64_t after_ms) {
    int32_t count;
    memory_run_for(memory, after_ms);
    ck_assert(is_done);
    const struct controller_reply *replies = controller_wave_replies(wave, &count);
    ck_assert_int_eq(count, ask_count);
    return replies;
}

START_TEST(writes_that_follow_each_other_travel_a_hundred_at_a_time) {
    memory_put(memory, "/t/set", "old");
    for (int32_t i = 0; i < 249; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    add_write(CONTROLLER_OP_SET, 0, "/t/set", 0);
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 0);
    ck_assert_int_eq(memory_call_count(memory), 3);
    for (int32_t i = 0; i < ask_count; i++) {
        ck_assert_int_eq(replies[i].error, 0);
        ck_assert_int_eq(replies[i].op_errors[0], 0);
        ck_assert_int_eq(replies[i].op_errors[1], 0);
    }
    ck_assert_int_eq(replies[249].op_versions[1], 1);
    ck_assert_int_eq(memory_child_count(memory, "/t"), 250);
    controller_wave_forget(wave);
}
END_TEST

START_TEST(what_would_make_a_batch_too_large_for_the_server_travels_in_the_next) {
    static uint8_t large[200 * 1024];
    memset(large, 'x', sizeof large);
    for (int32_t i = 0; i < 6; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
        asks[i].ops[1].data = (struct slice){large, sizeof large};
    }
    struct controller_wave *wave = start();
    finish(wave, 0);
    ck_assert_int_eq(memory_call_count(memory), 3);
    controller_wave_forget(wave);
}
END_TEST

START_TEST(an_op_that_fails_fails_alone) {
    memory_put(memory, "/t/1", "there already");
    for (int32_t i = 0; i < 3; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    add_write(CONTROLLER_OP_SET, 5, "/t/1", 0);
    add_write(CONTROLLER_OP_DELETE, -1, "/t/absent", 0);
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 0);
    ck_assert_int_eq(memory_call_count(memory), 1 + 5);
    const int expected[] = {0, ERR_EXISTS, 0, ERR_BAD_VERSION, ERR_NOT_FOUND};
    for (int32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(replies[i].op_errors[1], expected[i]);
        ck_assert_int_ne(replies[i].op_errors[0], ERR_BAD_VERSION);
    }
    controller_wave_forget(wave);
}
END_TEST

/* Rule 4. */
START_TEST(a_broken_fence_stops_the_batch_and_every_reply_of_it_says_so) {
    memory_put(memory, "/controller_epoch", "2");
    for (int32_t i = 0; i < 150; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 0);
    ck_assert_int_eq(memory_call_count(memory), 2);
    for (int32_t i = 0; i < ask_count; i++) {
        ck_assert_int_eq(replies[i].op_errors[0], ERR_BAD_VERSION);
    }
    ck_assert_int_eq(memory_child_count(memory, "/t"), 0);
    controller_wave_forget(wave);
}
END_TEST

/* The parent in one batch, its children in the next; the first batch fails for another reason. */
START_TEST(what_builds_on_a_batch_waits_until_it_is_settled) {
    memory_put(memory, "/t/0", NULL);
    for (int32_t i = 0; i < 100; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    for (int32_t i = 0; i < 100; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d/state", i);
    }
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 0);
    ck_assert_int_eq(replies[0].op_errors[1], ERR_EXISTS);
    for (int32_t i = 1; i < 200; i++) {
        ck_assert_int_eq(replies[i].op_errors[1], 0);
    }
    ck_assert_int_eq(memory_call_count(memory), 1 + 100 + 1);
    controller_wave_forget(wave);
}
END_TEST

/* An admin node must not go before what it stands for (rule 38), also when the batch between them breaks. */
START_TEST(the_order_of_deletions_holds_across_batches) {
    char path[64];
    for (int32_t i = 0; i < 99; i++) {
        snprintf(path, sizeof path, "/t/%d", i);
        if (i != 50) {
            memory_put(memory, path, NULL);
        }
        add_write(CONTROLLER_OP_DELETE, -1, "/t/%d", i);
    }
    memory_put(memory, "/admin", NULL);
    add_write(CONTROLLER_OP_DELETE, -1, "/t", 0);
    add_write(CONTROLLER_OP_DELETE, -1, "/admin", 0);
    struct controller_wave *wave = start();
    /* Run call by call: whenever the admin node is gone, so is the topic. */
    while (!is_done) {
        memory_run_for(memory, 0);
        ck_assert(memory_data(memory, "/admin") != NULL || memory_data(memory, "/t") == NULL);
    }
    ck_assert_ptr_null(memory_data(memory, "/t"));
    ck_assert_ptr_null(memory_data(memory, "/admin"));
    controller_wave_forget(wave);
}
END_TEST

START_TEST(a_batch_whose_answer_was_lost_shows_the_effect_of_its_first_try) {
    memory_put(memory, "/t/set", "old");
    add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", 1);
    add_write(CONTROLLER_OP_SET, 0, "/t/set", 0);
    memory_lose_replies(memory, 1, true);
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 1000);
    ck_assert_int_eq(replies[0].op_errors[1], ERR_EXISTS);
    ck_assert_int_eq(replies[1].op_errors[1], ERR_BAD_VERSION);
    controller_wave_forget(wave);
}
END_TEST

START_TEST(a_batch_that_was_lost_before_it_arrived_is_sent_again) {
    for (int32_t i = 0; i < 120; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    memory_lose_replies(memory, 1, false);
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 1000);
    for (int32_t i = 0; i < ask_count; i++) {
        ck_assert_int_eq(replies[i].op_errors[1], 0);
    }
    ck_assert_int_eq(memory_call_count(memory), 3);
    controller_wave_forget(wave);
}
END_TEST

START_TEST(reads_are_pipelined_and_see_what_was_written_before_them) {
    for (int32_t i = 0; i < 2; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    add_read("/t/1");
    add_read("/t/2");
    add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", 2);
    struct controller_wave *wave = start();
    const struct controller_reply *replies = finish(wave, 0);
    ck_assert_int_eq(replies[2].error, 0);
    ck_assert_int_eq(replies[2].data.size, 1);
    ck_assert_int_eq(replies[3].error, ERR_NOT_FOUND);
    ck_assert_int_eq(replies[4].op_errors[1], 0);
    controller_wave_forget(wave);
}
END_TEST

START_TEST(a_forgotten_wave_submits_nothing_more) {
    for (int32_t i = 0; i < 250; i++) {
        add_write(CONTROLLER_OP_CREATE, 0, "/t/%d", i);
    }
    controller_wave_forget(start());
    memory_run(memory);
    ck_assert(!is_done);
    ck_assert_int_eq(memory_call_count(memory), 1);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(writes_that_follow_each_other_travel_a_hundred_at_a_time),
        TEST(what_would_make_a_batch_too_large_for_the_server_travels_in_the_next),
        TEST(an_op_that_fails_fails_alone),
        TEST(a_broken_fence_stops_the_batch_and_every_reply_of_it_says_so),
        TEST(what_builds_on_a_batch_waits_until_it_is_settled),
        TEST(the_order_of_deletions_holds_across_batches),
        TEST(a_batch_whose_answer_was_lost_shows_the_effect_of_its_first_try),
        TEST(a_batch_that_was_lost_before_it_arrived_is_sent_again),
        TEST(reads_are_pipelined_and_see_what_was_written_before_them),
        TEST(a_forgotten_wave_submits_nothing_more),
    };
    return run_tests_with_fixture("controller rounds", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
