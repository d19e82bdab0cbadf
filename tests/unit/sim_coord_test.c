/* The simulated clock and coordinator: what the simulator's verdicts stand on. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/registration.h"
#include "tests/lib/coord_calls.h"
#include "tests/lib/runner.h"
#include "tests/simulation/sim_coord.h"

#define TIMEOUT_MS 6000

struct world {
    struct sim *sim;
    struct sim_coord_server *server;
    struct clock *clocks[2];
    struct coord *coords[2];
};

static void world_open(struct world *world, uint64_t seed) {
    world->sim = sim_create(seed);
    world->server = sim_coord_server_create(world->sim, seed);
    for (int i = 0; i < 2; i++) {
        world->clocks[i] = sim_clock_create(world->sim, i * 1000);
        world->coords[i] = sim_coord_create(world->server, world->clocks[i], TIMEOUT_MS);
    }
}

static void world_close(struct world *world) {
    for (int i = 0; i < 2; i++) {
        if (world->coords[i] != NULL) {
            sim_coord_destroy(world->coords[i]);
        }
        sim_clock_destroy(world->clocks[i]);
    }
    sim_coord_server_destroy(world->server);
    sim_destroy(world->sim);
}

/* Runs until the call is answered; a simulated minute at most. */
static int await(struct world *world, const struct call *call) {
    int64_t end_ms = sim_now_ms(world->sim) + 60000;
    while (!call->is_done && sim_now_ms(world->sim) < end_ms && sim_step(world->sim)) {
    }
    ck_assert(call->is_done);
    return call->error;
}

static void run_for(struct world *world, int64_t ms) {
    sim_run_until(world->sim, sim_now_ms(world->sim) + ms);
}

struct fired {
    struct timer timer;
    struct clock *clock;
    int64_t at_ms;
};

static void on_fire(struct timer *timer) {
    struct fired *fired = CONTAINER_OF(timer, struct fired, timer);
    fired->at_ms = clock_now_ms(fired->clock);
}

static int posted[100], posted_count;

static void on_post(void *context) {
    posted[posted_count++] = (int)(intptr_t)context;
}

START_TEST(a_clock_keeps_the_order_of_posts_and_late_timers_of_a_paused_process_fire_when_it_goes_on) {
    struct sim *sim = sim_create(7);
    struct clock *clock = sim_clock_create(sim, 5), *other = sim_clock_create(sim, 0);
    struct fired first = {.clock = clock}, second = {.clock = other}, never = {.clock = other};
    int64_t start_ms = clock_now_ms(clock);
    ck_assert_int_eq(clock_wall_ms(clock) - clock_wall_ms(other), 5);
    for (int i = 0; i < 100; i++) {
        clock_post(clock, on_post, (void *)(intptr_t)i);
    }
    timer_start(clock, &first.timer, 100, on_fire);
    timer_start(other, &second.timer, 50, on_fire);
    timer_start(other, &never.timer, 50, on_fire);
    timer_stop(other, &never.timer);
    sim_clock_pause(clock, start_ms + 500);
    sim_run_until(sim, start_ms + 499);
    ck_assert_int_eq(posted_count, 0);
    ck_assert_int_eq(second.at_ms, start_ms + 50);
    sim_run_until(sim, start_ms + 500);
    ck_assert_int_eq(first.at_ms, start_ms + 500);
    ck_assert_int_eq(posted_count, 100);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(posted[i], i);
    }
    timer_start(clock, &first.timer, 10, on_fire);
    sim_clock_kill(clock);
    sim_run_until(sim, start_ms + 5000);
    ck_assert_int_eq(first.at_ms, start_ms + 500);
    ck_assert_int_eq(never.at_ms, 0);
    sim_clock_destroy(clock);
    sim_clock_destroy(other);
    sim_destroy(sim);
}
END_TEST

START_TEST(the_tree_knows_versions_sequences_and_multis_that_leave_no_trace_when_they_fail) {
    struct world world;
    struct call call;
    world_open(&world, 1);
    struct coord *coord = world.coords[0];
    call_create(&call, coord, "/a", NULL, COORD_PERSISTENT);
    ck_assert_int_eq(await(&world, &call), 0);
    call_create(&call, coord, "/a/s_", "x", COORD_SEQUENTIAL);
    ck_assert_int_eq(await(&world, &call), 0);
    ck_assert_str_eq(call.text, "/a/s_0000000000");
    call_create(&call, coord, "/b/c", "x", COORD_PERSISTENT);
    ck_assert_int_eq(await(&world, &call), ERR_NOT_FOUND);
    call_remove(&call, coord, "/a", COORD_ANY_VERSION);
    ck_assert_int_eq(await(&world, &call), ERR_NOT_EMPTY);
    const struct slice data = {(const uint8_t *)"v", 1};
    const struct coord_op ops[] = {
        {.type = COORD_OP_SET, .path = "/a", .data = data, .version = 0},
        {.type = COORD_OP_CREATE, .path = "/new", .data = data},
        {.type = COORD_OP_DELETE, .path = "/a/s_0000000000", .version = 0},
        {.type = COORD_OP_CHECK, .path = "/a", .version = 5},
    };
    call_multi(&call, coord, ops, 4);
    ck_assert_int_eq(await(&world, &call), ERR_BAD_VERSION);
    ck_assert_int_eq(call.results[0].error, ERR_ROLLED_BACK);
    ck_assert_int_eq(call.results[3].error, ERR_BAD_VERSION);
    call_get(&call, coord, "/a", COORD_NO_WATCH);
    ck_assert_int_eq(await(&world, &call), 0);
    ck_assert_int_eq(call.size, -1);
    ck_assert_int_eq(call.stat.version, 0);
    ck_assert_int_eq(call.stat.child_count, 1);
    call_multi(&call, coord, ops, 3);
    ck_assert_int_eq(await(&world, &call), 0);
    ck_assert_int_eq(call.results[0].stat.version, 1);
    call_children(&call, coord, "/a", COORD_NO_WATCH);
    ck_assert_int_eq(await(&world, &call), 0);
    ck_assert_str_eq(call.text, "");
    world_close(&world);
}
END_TEST

struct seen {
    int count;
    enum coord_watch_type type;
};

static void on_watch(void *context, enum coord_watch_type type, const char *path) {
    (void)path;
    struct seen *seen = context;
    seen->count++;
    seen->type = type;
}

START_TEST(a_watch_fires_once_and_before_answers_that_show_the_change) {
    struct world world;
    struct call call, reading;
    struct seen seen = {0};
    struct coord_watch watch = {on_watch, &seen};
    world_open(&world, 2);
    call_get(&call, world.coords[0], "/n", watch);
    ck_assert_int_eq(await(&world, &call), ERR_NOT_FOUND);
    call_get(&call, world.coords[0], "/n", watch);
    ck_assert_int_eq(await(&world, &call), ERR_NOT_FOUND);
    call_create(&call, world.coords[1], "/n", "1", COORD_PERSISTENT);
    do {
        call_exists(&reading, world.coords[0], "/n", COORD_NO_WATCH);
        await(&world, &reading);
        ck_assert_int_eq(seen.count, reading.error == 0 ? 1 : seen.count);
    } while (reading.error != 0);
    ck_assert_int_eq(seen.type, COORD_WATCH_CREATED);
    call_set(&call, world.coords[1], "/n", "2", 0);
    ck_assert_int_eq(await(&world, &call), 0);
    run_for(&world, 100);
    ck_assert_int_eq(seen.count, 1);
    world_close(&world);
}
END_TEST

START_TEST(a_dead_process_keeps_its_node_until_the_timeout_a_closed_one_does_not) {
    struct world world;
    struct call call;
    struct slice data;
    struct coord_stat stat;
    world_open(&world, 3);
    call_create(&call, world.coords[0], "/e", "x", COORD_EPHEMERAL);
    ck_assert_int_eq(await(&world, &call), 0);
    sim_clock_kill(world.clocks[0]);
    sim_coord_kill(world.coords[0]);
    world.coords[0] = NULL;
    run_for(&world, TIMEOUT_MS * 2 / 3 - 10);
    ck_assert(sim_coord_server_get(world.server, "/e", &data, &stat));
    run_for(&world, TIMEOUT_MS);
    ck_assert(!sim_coord_server_get(world.server, "/e", &data, &stat));
    call_create(&call, world.coords[1], "/e", "y", COORD_EPHEMERAL);
    ck_assert_int_eq(await(&world, &call), 0);
    sim_coord_destroy(world.coords[1]);
    world.coords[1] = NULL;
    ck_assert(!sim_coord_server_get(world.server, "/e", &data, &stat));
    world_close(&world);
}
END_TEST

START_TEST(a_cut_client_is_fenced_then_expired_and_opens_a_new_session) {
    struct world world;
    struct call call;
    world_open(&world, 4);
    struct coord *coord = world.coords[0];
    call_create(&call, coord, "/e", "x", COORD_EPHEMERAL);
    ck_assert_int_eq(await(&world, &call), 0);
    int64_t id = coord->ops->session_id(coord);
    sim_coord_cut(coord, true);
    run_for(&world, TIMEOUT_MS * 2);
    ck_assert_int_eq(coord->ops->state(coord), COORD_FENCED);
    call_exists(&call, coord, "/e", COORD_NO_WATCH);
    run_for(&world, 1000);
    ck_assert(!call.is_done);
    sim_coord_cut(coord, false);
    ck_assert_int_eq(await(&world, &call), ERR_SESSION_EXPIRED);
    ck_assert_int_eq(coord->ops->state(coord), COORD_EXPIRED);
    coord->ops->reopen(coord);
    call_exists(&call, coord, "/e", COORD_NO_WATCH);
    ck_assert_int_eq(await(&world, &call), ERR_NOT_FOUND);
    ck_assert_int_ne(coord->ops->session_id(coord), id);
    world_close(&world);
}
END_TEST

START_TEST(an_outage_of_the_servers_is_no_expiry) {
    struct world world;
    struct call call;
    world_open(&world, 5);
    struct coord *coord = world.coords[0];
    call_create(&call, coord, "/e", "x", COORD_EPHEMERAL);
    ck_assert_int_eq(await(&world, &call), 0);
    sim_coord_server_set_available(world.server, false);
    run_for(&world, TIMEOUT_MS * 3);
    ck_assert_int_eq(coord->ops->state(coord), COORD_FENCED);
    sim_coord_server_set_available(world.server, true);
    call_exists(&call, coord, "/e", COORD_NO_WATCH);
    ck_assert_int_eq(await(&world, &call), 0);
    ck_assert_int_eq(coord->ops->state(coord), COORD_CONNECTED);
    world_close(&world);
}
END_TEST

START_TEST(a_lost_reply_is_connection_loss_of_a_write_that_happened) {
    struct world world;
    struct call call;
    struct slice data;
    struct coord_stat stat;
    world_open(&world, 6);
    call_create(&call, world.coords[0], "/n", "1", COORD_PERSISTENT);
    ck_assert_int_eq(await(&world, &call), 0);
    sim_coord_lose_replies(world.coords[0], 1);
    call_set(&call, world.coords[0], "/n", "2", 0);
    ck_assert_int_eq(await(&world, &call), ERR_CONNECTION_LOSS);
    ck_assert(sim_coord_server_get(world.server, "/n", &data, &stat));
    ck_assert_int_eq(stat.version, 1);
    do { /* asked before the loss is known, it shares the fate */
        call_get(&call, world.coords[0], "/n", COORD_NO_WATCH);
    } while (await(&world, &call) == ERR_CONNECTION_LOSS);
    ck_assert_int_eq(call.error, 0);
    ck_assert_str_eq(call.text, "2");
    world_close(&world);
}
END_TEST

struct registered {
    struct call done; /* is_done and error of the last step */
    int64_t epoch;
};

static void on_step(void *context, int error) {
    struct registered *registered = context;
    registered->done.is_done = true;
    registered->done.error = error;
}

static void on_registered(void *context, int error, int64_t epoch, const char *message) {
    struct registered *registered = context;
    (void)message;
    registered->done.is_done = true;
    registered->done.error = error;
    registered->epoch = epoch;
}

static struct znode_endpoint endpoint = {STR_LITERAL("PLAINTEXT"), STR_LITERAL("h"), 9092, STR_LITERAL("PLAINTEXT")};
static const struct znode_broker broker = {
    .endpoints = &endpoint, .endpoint_count = 1, .rack = STR_NULL, .jmx_port = -1};

/* Rule C5 of reliability.md, over many orders of events. */
START_TEST(registration_survives_lost_replies_and_lingering_nodes_of_its_own) {
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world world;
        struct slice data;
        struct coord_stat stat;
        struct registered registered = {0};
        world_open(&world, seed);
        sim_coord_server_set_linger(world.server, 3000);
        struct coord *coord = world.coords[0];
        struct registration *registration = registration_create(world.clocks[0], coord, 1, &broker, TIMEOUT_MS);
        sim_coord_lose_replies(coord, 3);
        registration_create_paths(coord, on_step, &registered);
        ck_assert_int_eq(await(&world, &registered.done), 0);
        sim_coord_lose_replies(coord, 1);
        registered.done.is_done = false;
        registration_register(registration, on_registered, &registered);
        ck_assert_int_eq(await(&world, &registered.done), 0);
        ck_assert(sim_coord_server_get(world.server, "/brokers/ids/1", &data, &stat));
        ck_assert_int_eq(stat.czxid, registered.epoch);
        int64_t first_epoch = registered.epoch;
        sim_coord_server_expire(world.server, coord->ops->session_id(coord));
        while (coord->ops->state(coord) != COORD_EXPIRED) {
            ck_assert(sim_step(world.sim));
        }
        coord->ops->reopen(coord);
        registered.done.is_done = false;
        registration_register(registration, on_registered, &registered);
        ck_assert_int_eq(await(&world, &registered.done), 0);
        ck_assert_int_gt(registered.epoch, first_epoch);
        run_for(&world, 10000);
        ck_assert(sim_coord_server_get(world.server, "/brokers/ids/1", &data, &stat));
        ck_assert_int_eq(stat.czxid, registered.epoch);
        ck_assert_int_eq(stat.ephemeral_owner, coord->ops->session_id(coord));
        world_close(&world);
        registration_destroy(registration);
    }
}
END_TEST

static uint64_t hash_of_run(uint64_t seed) {
    struct world world;
    struct call calls[20];
    world_open(&world, seed);
    for (int i = 0; i < 20; i++) {
        call_create(&calls[i], world.coords[i % 2], "/s_", "x", COORD_SEQUENTIAL);
        run_for(&world, 3);
    }
    run_for(&world, 1000);
    uint64_t hash = sim_trace_hash(world.sim);
    world_close(&world);
    return hash;
}

START_TEST(a_seed_replays_exactly_and_another_does_not) {
    ck_assert_uint_eq(hash_of_run(11), hash_of_run(11));
    ck_assert_uint_ne(hash_of_run(11), hash_of_run(12));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_clock_keeps_the_order_of_posts_and_late_timers_of_a_paused_process_fire_when_it_goes_on),
        TEST(the_tree_knows_versions_sequences_and_multis_that_leave_no_trace_when_they_fail),
        TEST(a_watch_fires_once_and_before_answers_that_show_the_change),
        TEST(a_dead_process_keeps_its_node_until_the_timeout_a_closed_one_does_not),
        TEST(a_cut_client_is_fenced_then_expired_and_opens_a_new_session),
        TEST(an_outage_of_the_servers_is_no_expiry),
        TEST(a_lost_reply_is_connection_loss_of_a_write_that_happened),
        TEST(registration_survives_lost_replies_and_lingering_nodes_of_its_own),
        TEST(a_seed_replays_exactly_and_another_does_not),
    };
    return run_tests("simulated coordinator", tests, sizeof tests / sizeof tests[0]);
}
