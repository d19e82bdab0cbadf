/* Registration against a real ZooKeeper server. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"
#include "coordinator-client/registration.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/coord_calls.h"
#include "tests/lib/runner.h"
#include "tests/lib/zookeeper.h"

#define PORT 21220
#define SESSION_TIMEOUT_MS 10000

struct outcome {
    bool is_done;
    int error;
    int64_t number;
    char text[512];
};

static void on_step(void *context, int error) {
    *(struct outcome *)context = (struct outcome){.is_done = true, .error = error};
}

static void on_text(void *context, int error, const char *text) {
    struct outcome *outcome = context;
    *outcome = (struct outcome){.is_done = true, .error = error};
    snprintf(outcome->text, sizeof outcome->text, "%s", text == NULL ? "" : text);
}

static void on_number(void *context, int error, int32_t number) {
    *(struct outcome *)context = (struct outcome){.is_done = true, .error = error, .number = number};
}

static void on_registered(void *context, int error, int64_t epoch, const char *message) {
    struct outcome *outcome = context;
    *outcome = (struct outcome){.is_done = true, .error = error, .number = epoch};
    snprintf(outcome->text, sizeof outcome->text, "%s", message == NULL ? "" : message);
}

static int await(struct outcome *outcome, struct real_loop *loop) {
    CHECK(real_loop_until(loop, &outcome->is_done, CALL_TIMEOUT_MS));
    return outcome->error;
}

struct fixture {
    struct zookeeper_server server;
    struct real_loop *loop;
    struct coord *coord;
};

static struct coord *open_coord(struct fixture *fixture) {
    struct coord *coord;
    char *message;
    CHECK(coord_zookeeper_create(real_loop_clock(fixture->loop), fixture->server.connect, SESSION_TIMEOUT_MS, false,
                                 &coord, &message) == 0);
    return coord;
}

static void fixture_open(struct fixture *fixture) {
    struct outcome outcome = {0};
    zookeeper_server_start(&fixture->server, PORT);
    fixture->loop = real_loop_create();
    fixture->coord = open_coord(fixture);
    registration_create_paths(fixture->coord, on_step, &outcome);
    ck_assert_int_eq(await(&outcome, fixture->loop), 0);
}

static void fixture_close(struct fixture *fixture) {
    coord_zookeeper_destroy(fixture->coord);
    real_loop_destroy(fixture->loop);
    zookeeper_server_destroy(&fixture->server);
}

static struct znode_endpoint endpoint = {STR_LITERAL("PLAINTEXT"), STR_LITERAL("127.0.0.1"), 9092,
                                         STR_LITERAL("PLAINTEXT")};
static const struct znode_broker broker = {
    .endpoints = &endpoint, .endpoint_count = 1, .rack = STR_NULL, .jmx_port = -1};

START_TEST(paths_cluster_id_and_broker_ids_are_made_as_kafka_makes_them) {
    struct fixture fixture;
    struct outcome outcome = {0};
    struct call call;
    const struct uuid proposal = {{1, 2, 3}}, other = {{4, 5, 6}};
    char text[UUID_TEXT_SIZE];
    fixture_open(&fixture);
    for (size_t i = 0; i < znode_persistent_path_count; i++) {
        call_get(&call, fixture.coord, znode_persistent_paths[i], COORD_NO_WATCH);
        ck_assert_int_eq(call_wait(&call, fixture.loop), 0);
        ck_assert_int_eq(call.stat.version, 0);
    }
    outcome.is_done = false;
    registration_create_paths(fixture.coord, on_step, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    outcome.is_done = false;
    registration_cluster_id(fixture.coord, proposal, on_text, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    uuid_format(proposal, text);
    ck_assert_str_eq(outcome.text, text);
    outcome.is_done = false;
    registration_cluster_id(fixture.coord, other, on_text, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    ck_assert_str_eq(outcome.text, text);
    for (int i = 1; i <= 2; i++) {
        outcome.is_done = false;
        registration_generate_broker_id(fixture.coord, 1000, on_number, &outcome);
        ck_assert_int_eq(await(&outcome, fixture.loop), 0);
        ck_assert_int_eq(outcome.number, 1000 + i);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(rule_1_a_broker_registers_with_its_czxid_and_again_after_its_session_expired) {
    struct fixture fixture;
    struct outcome outcome = {0};
    struct call call;
    int64_t id;
    uint8_t password[16];
    fixture_open(&fixture);
    struct registration *registration =
        registration_create(real_loop_clock(fixture.loop), fixture.coord, 1, &broker, SESSION_TIMEOUT_MS);
    registration_register(registration, on_registered, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    int64_t epoch = outcome.number;
    call_get(&call, fixture.coord, "/brokers/ids/1", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, fixture.loop), 0);
    ck_assert_int_eq(call.stat.czxid, epoch);
    ck_assert_int_eq(call.stat.version, 1);
    outcome.is_done = false;
    registration_register(registration, on_registered, &outcome); /* as after a lost answer */
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    ck_assert_int_eq(outcome.number, epoch);
    ck_assert(coord_zookeeper_credentials(fixture.coord, &id, password));
    zookeeper_expire_session(fixture.server.connect, id, password);
    call_exists(&call, fixture.coord, "/brokers/ids/1", COORD_NO_WATCH);
    while (call_wait(&call, fixture.loop) != ERR_SESSION_EXPIRED) {
        call_exists(&call, fixture.coord, "/brokers/ids/1", COORD_NO_WATCH);
    }
    fixture.coord->ops->reopen(fixture.coord);
    outcome.is_done = false;
    registration_register(registration, on_registered, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    ck_assert_int_gt(outcome.number, epoch);
    coord_zookeeper_destroy(fixture.coord);
    registration_destroy(registration);
    fixture.coord = open_coord(&fixture);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_foreign_owner_is_waited_for_and_a_foreign_address_is_refused) {
    struct fixture fixture;
    struct outcome outcome = {0};
    struct call call;
    fixture_open(&fixture);
    struct coord *predecessor = open_coord(&fixture);
    call_create(&call, predecessor, "/brokers/ids/1", "{}", COORD_EPHEMERAL);
    ck_assert_int_eq(call_wait(&call, fixture.loop), 0);
    struct registration *registration =
        registration_create(real_loop_clock(fixture.loop), fixture.coord, 1, &broker, 0);
    struct registration *patient =
        registration_create(real_loop_clock(fixture.loop), fixture.coord, 1, &broker, CALL_TIMEOUT_MS);
    struct registration *same_address =
        registration_create(real_loop_clock(fixture.loop), fixture.coord, 2, &broker, 0);
    registration_register(registration, on_registered, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(outcome.text, "another session that is still alive"));
    outcome.is_done = false;
    registration_register(patient, on_registered, &outcome);
    call_get(&call, fixture.coord, "/brokers/ids/1", COORD_NO_WATCH);
    ck_assert_int_eq(call_wait(&call, fixture.loop), 0);
    coord_zookeeper_destroy(predecessor); /* its session ends: the node goes */
    ck_assert_int_eq(await(&outcome, fixture.loop), 0);
    outcome.is_done = false;
    registration_register(same_address, on_registered, &outcome);
    ck_assert_int_eq(await(&outcome, fixture.loop), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(outcome.text, "127.0.0.1:9092 in advertised listeners are already registered"));
    coord_zookeeper_destroy(fixture.coord);
    registration_destroy(registration);
    registration_destroy(patient);
    registration_destroy(same_address);
    fixture.coord = open_coord(&fixture);
    fixture_close(&fixture);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(paths_cluster_id_and_broker_ids_are_made_as_kafka_makes_them),
        TEST(rule_1_a_broker_registers_with_its_czxid_and_again_after_its_session_expired),
        TEST(a_foreign_owner_is_waited_for_and_a_foreign_address_is_refused),
    };
    return run_tests("registration", tests, sizeof tests / sizeof tests[0]);
}
