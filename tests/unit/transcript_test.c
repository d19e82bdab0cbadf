/* Golden transcripts: what two to five brokers decide, and on what facts, in the situations that lost data in Kafka's
 * history, and what the controllers write and say around them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "coordinator-client/znode_path.h"
#include "tests/lib/controller_calls.h"
#include "tests/lib/controller_world.h"
#include "tests/lib/runner.h"
#include "tests/lib/transcript.h"

static struct fake_cluster c;
static struct transcript t;

static void begin(int32_t brokers, int16_t min_insync_replicas) {
    trace_set_level(TRACE_FATAL);
    fake_cluster_create(&c, brokers, min_insync_replicas);
    transcript_begin(&t, &c);
}

static void end(const char *path) {
    c.on_fact = NULL;
    fake_cluster_destroy(&c);
    transcript_compare(t.text, path);
}

START_TEST(an_election_and_the_first_records) {
    begin(3, 2);
    transcript_note(&t, "Three brokers, the controller makes 1 the leader of a new partition.");
    fake_cluster_lead(&c, 1, 123);
    transcript_note(&t, "A client writes; it is acknowledged when the high watermark has passed its records.");
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    end("tests/trace/election.txt");
}
END_TEST

START_TEST(a_failover_and_the_return_of_the_old_leader) {
    begin(3, 1);
    fake_cluster_lead(&c, 1, 123);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    transcript_note(&t, "1 dies. 2 takes over with what was in sync and alive.");
    fake_broker_kill(&c, 1);
    fake_cluster_lead(&c, 2, 23);
    fake_append(&c, 2, 5, -1);
    fake_cluster_run(&c, 1000);
    transcript_note(&t, "1 is back: it follows, catches up and joins again.");
    fake_broker_start(&c, 1);
    fake_cluster_lead(&c, 2, 23);
    fake_cluster_run(&c, 3000);
    end("tests/trace/failover.txt");
}
END_TEST

START_TEST(a_fast_double_failover) {
    begin(2, 1);
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    transcript_note(&t, "Each leads alone, in turn, and writes what the other never sees (KIP-279).");
    for (int32_t round = 0; round < 4; round++) {
        int32_t leader = round % 2 == 0 ? 1 : 2;
        c.brokers[3 - leader].is_cut = true;
        fake_cluster_lead(&c, leader, 12);
        fake_append(&c, leader, 2 + round, 1);
        fake_cluster_run(&c, 1000);
        c.brokers[3 - leader].is_cut = false;
    }
    transcript_note(&t, "They meet: 2 goes back, epoch by epoch, to what both have.");
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, 5000);
    end("tests/trace/double-failover.txt");
}
END_TEST

START_TEST(a_truncation_of_what_nobody_else_had) {
    begin(3, 1);
    fake_cluster_lead(&c, 1, 123);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    transcript_note(&t, "1 is cut off and takes records with acks=1 that reach nobody (KIP-101).");
    c.brokers[1].is_cut = true;
    fake_append(&c, 1, 5, 1);
    transcript_note(&t, "2 leads meanwhile, and acknowledges other records under the same offsets.");
    fake_cluster_lead(&c, 2, 23);
    fake_append(&c, 2, 3, -1);
    fake_cluster_run(&c, 2000);
    transcript_note(&t, "1 hears of it.");
    c.brokers[1].is_cut = false;
    fake_cluster_lead(&c, 2, 23);
    fake_cluster_run(&c, 5000);
    end("tests/trace/truncation.txt");
}
END_TEST

START_TEST(an_in_sync_set_shrinks_and_grows_again) {
    begin(3, 2);
    fake_cluster_lead(&c, 1, 123);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    transcript_note(&t, "3 is cut off; nothing is acknowledged until it has been gone for replica.lag.time.max.ms.");
    c.brokers[3].is_cut = true;
    fake_append(&c, 1, 5, -1);
    fake_cluster_run(&c, 2 * FAKE_LAG_MS);
    transcript_note(&t, "So is 2: below min.insync.replicas the high watermark stands still.");
    c.brokers[2].is_cut = true;
    fake_append(&c, 1, 5, 1);
    fake_cluster_run(&c, 2 * FAKE_LAG_MS);
    transcript_note(&t, "Both are back.");
    c.brokers[2].is_cut = c.brokers[3].is_cut = false;
    fake_cluster_run(&c, 20000);
    end("tests/trace/isr.txt");
}
END_TEST

START_TEST(five_brokers_elect_shrink_and_fail_over) {
    begin(5, 3);
    fake_cluster_lead(&c, 1, 12345);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    transcript_note(&t, "Two of five die; three are enough.");
    fake_broker_kill(&c, 4);
    fake_broker_kill(&c, 1);
    fake_cluster_lead(&c, 2, 235);
    fake_append(&c, 2, 5, -1);
    fake_cluster_run(&c, 2000);
    transcript_note(&t, "A third one dies: nothing is acknowledged any more, nothing acknowledged is lost.");
    fake_broker_kill(&c, 2);
    fake_cluster_lead(&c, 3, 35);
    ck_assert_int_ne(fake_append(&c, 3, 1, -1).error_code, 0);
    fake_cluster_run(&c, 2000);
    end("tests/trace/five-brokers.txt");
}
END_TEST

/* ---- controllers ---- */

START_TEST(the_controllers_session_expires_while_a_broker_dies) {
    struct world *world = world_create(3);
    const struct controller_config config = {.inter_broker_listener = "PLAINTEXT", .delete_topic_enable = true};
    struct controller_event event = {.type = CONTROLLER_EVENT_SESSION_EXPIRED, .path = STR_NULL};
    trace_set_level(TRACE_FATAL);
    world->writes_are_traced = true;
    world_note(world, "1 is elected, 2 watches. A topic comes.");
    world_start(world, 1, &config);
    world_start(world, 2, &config);
    world_put_topic(world, TEST_TOPIC("\"0\":[1,2,3],\"1\":[2,3,1]"));
    world_note(world, "The session of 1 expires: it stops acting before a new one may exist (rule 37).");
    world_step(world, 1, &event);
    world_remove(world, "/brokers/ids/1");
    world_remove(world, "/controller");
    world_note(world, "2 hears of it and takes over; 1 is not among the living.");
    world_settle(world);
    world_note(world, "1 registers in its new session, under another epoch, and finds 2 in office.");
    world_register(world, 1);
    event.type = CONTROLLER_EVENT_SESSION_CREATED;
    world_step(world, 1, &event);
    world_settle(world);
    transcript_compare(world->trace, "tests/trace/session-expiry.txt");
    world_destroy(world);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(an_election_and_the_first_records),
        TEST(a_failover_and_the_return_of_the_old_leader),
        TEST(a_fast_double_failover),
        TEST(a_truncation_of_what_nobody_else_had),
        TEST(an_in_sync_set_shrinks_and_grows_again),
        TEST(five_brokers_elect_shrink_and_fail_over),
        TEST(the_controllers_session_expires_while_a_broker_dies),
    };
    return run_tests("transcripts", tests, ARRAY_SIZE(tests));
}
