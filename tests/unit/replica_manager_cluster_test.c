/* Two to five replica managers on real logs: replication, fail-over, truncation, in-sync set (traces of rules 14 to 21
 * and of the truncation bugs in Kafka's history). */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

static struct fake_cluster c;

static void tear_down(void) {
    fake_cluster_destroy(&c);
}

static void create(int32_t count) {
    fake_cluster_create(&c, count, 1);
}

/* All of them in sync behind broker 1, with so many records that everybody knows to be exposed. */
static void create_in_sync(int32_t count, int32_t records) {
    create(count);
    fake_cluster_lead(&c, 1, count == 2 ? 12 : 123);
    fake_append(&c, 1, records, -1);
    fake_cluster_run(&c, 1000);
}

static struct log *log_of(int32_t id) {
    return partition_runtime_log(fake_partition(&c, id));
}

static int16_t delete_records(int32_t id, int64_t before) {
    int64_t offset = -1;
    int64_t low = -1;
    return partition_runtime_delete_records(fake_partition(&c, id), before, &offset, &low);
}

START_TEST(records_reach_every_replica_and_everybody_learns_the_high_watermark) {
    create(3);
    fake_cluster_lead(&c, 1, 123);
    struct log_append_info info = fake_append(&c, 1, 10, -1);
    ck_assert_int_eq(info.error_code, 0);
    ck_assert_int_eq(partition_runtime_ack_state(fake_partition(&c, 1), info.last_offset, 0), KAFKA_REQUEST_TIMED_OUT);
    fake_cluster_run(&c, 0);
    ck_assert_int_eq(partition_runtime_ack_state(fake_partition(&c, 1), info.last_offset, 0), KAFKA_NONE);
    for (int32_t id = 1; id <= 3; id++) {
        ck_assert_int_eq(fake_log_end(&c, id), 10);
        ck_assert_int_eq(fake_high_watermark(&c, id), 10); /* without waiting for the next record */
    }
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert(fake_logs_equal(&c, 1, 3));
}
END_TEST

START_TEST(an_idle_partition_is_not_named_again) {
    create_in_sync(2, 10);
    int32_t named = c.brokers[2].named;
    int32_t fetches = c.brokers[2].fetches;
    fake_cluster_run(&c, 60000);
    ck_assert_int_gt(c.brokers[2].fetches, fetches + 100); /* long polls of 500 ms */
    ck_assert_int_eq(c.brokers[2].named, named);
    fake_append(&c, 1, 1, -1);
    fake_cluster_run(&c, 20000);
    ck_assert_int_eq(fake_isr(&c), 12);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 11);
}
END_TEST

/* In a rolling restart the next controller would have to refuse it, and until then no acks=all would be answered. */
START_TEST(a_broker_that_is_about_to_stop_fetches_nothing_that_it_is_not_in_sync_of) {
    create_in_sync(3, 10);
    replica_manager_leave(c.brokers[1].replicas);
    fake_cluster_lead(&c, 2, 23);
    int32_t alter_requests = c.alter_requests;
    fake_append(&c, 2, 3, -1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_log_end(&c, 1), 10);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 13);
    ck_assert_int_eq(c.alter_requests, alter_requests);
    fake_cluster_lead(&c, 3, 123); /* it is in sync of this: acknowledgements wait for it */
    fake_append(&c, 3, 1, -1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_log_end(&c, 1), 14);
}
END_TEST

START_TEST(kip_101_a_returning_leader_cuts_what_nobody_else_had) {
    create_in_sync(3, 10);
    c.brokers[1].is_cut = true;
    fake_append(&c, 1, 5, 1);
    ck_assert_int_eq(fake_log_end(&c, 1), 15);
    fake_cluster_lead(&c, 2, 23);
    fake_append(&c, 2, 3, -1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 13);
    c.brokers[1].is_cut = false;
    fake_cluster_lead(&c, 2, 23);
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_log_end(&c, 1), 13);
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert_int_eq(fake_isr(&c), 231); /* and joins, behind the others */
}
END_TEST

START_TEST(kip_101_a_follower_with_an_old_high_watermark_keeps_acknowledged_records) {
    create(2);
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, 1000);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 0);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 10);
    /* Killed before any checkpoint: its high watermark is 0 again, its log is not. */
    fake_broker_kill(&c, 2);
    fake_broker_start(&c, 2);
    fake_cluster_lead(&c, 2, 12);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 0);
    fake_cluster_run(&c, 3000);
    ck_assert_int_eq(fake_log_end(&c, 2), 10);
    ck_assert_int_eq(fake_log_end(&c, 1), 10);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 10);
}
END_TEST

static int watched;
/* Of what 2 wrote alone, in epochs 2 and 4, nothing was ever acknowledged: none of it may be exposed (KAFKA-14704). */
static void nothing_foreign_is_exposed(struct partition_watcher *watcher) {
    int32_t epoch = log_latest_epoch(log_of(2));
    (void)watcher;
    watched++;
    ck_assert(epoch % 2 == 1 || epoch == 0 || fake_high_watermark(&c, 2) <= 10);
}

START_TEST(kip_279_after_a_fast_double_fail_over_truncation_takes_the_rounds_it_needs) {
    create_in_sync(2, 10); /* epoch 0: both have 0..9 */
    /* Each alone, in turn: 1 writes in epochs 1 and 3, 2 in epochs 2 and 4. */
    for (int round = 0; round < 4; round++) {
        int32_t leader = round % 2 == 0 ? 1 : 2;
        c.brokers[3 - leader].is_cut = true;
        fake_cluster_lead(&c, leader, 12);
        fake_append(&c, leader, 2 + round, 1);
        fake_cluster_run(&c, 1000);
        c.brokers[3 - leader].is_cut = false;
    }
    ck_assert_int_eq(fake_log_end(&c, 1), 10 + 2 + 4);
    ck_assert_int_eq(fake_log_end(&c, 2), 10 + 3 + 5);
    c.brokers[1].divergings = 0;
    struct partition_watcher watcher = {.on_change = nothing_foreign_is_exposed};
    partition_runtime_watch(fake_partition(&c, 2), &watcher);
    fake_cluster_lead(&c, 1, 12); /* epoch 5 */
    fake_append(&c, 1, 1, 1);
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(c.brokers[1].divergings, 2); /* of epoch 4 we learn 3, of 2 we learn 1 */
    ck_assert_int_eq(fake_log_end(&c, 2), 17);
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert_int_eq(fake_high_watermark(&c, 2), 17);
    ck_assert_int_gt(watched, 2);
    partition_watcher_remove(&watcher);
}
END_TEST

START_TEST(a_diverging_follower_does_not_move_the_high_watermark) {
    create_in_sync(2, 10);
    c.brokers[2].is_cut = true;
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 5, 1); /* 10..14 of epoch 1 at 1 only */
    c.brokers[2].is_cut = false;
    c.brokers[1].is_cut = true;
    fake_cluster_lead(&c, 2, 2);
    fake_append(&c, 2, 9, 1); /* 10..18 of epoch 2 at 2 only */
    c.brokers[1].is_cut = false;
    fake_cluster_lead(&c, 1, 12);
    struct partition_fetch fetch = {.replica_id = 2,
                                    .fetch_offset = 15,
                                    .current_leader_epoch = 3,
                                    .last_fetched_epoch = 2,
                                    .max_bytes = 1000,
                                    .version = 17};
    partition_runtime_fetch(fake_partition(&c, 1), &fetch);
    ck_assert_int_eq(fetch.error_code, 0);
    ck_assert(fetch.is_diverging);
    ck_assert_int_eq(fetch.diverging_epoch, 1);
    ck_assert_int_eq(fetch.diverging_end_offset, 15);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 10);
    fake_cluster_run(&c, 3000);
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert_int_eq(fake_high_watermark(&c, 1), 15);
}
END_TEST

START_TEST(kip_320_a_follower_fenced_by_a_newer_leader_epoch_waits_for_its_command) {
    create_in_sync(2, 3);
    c.leader_epoch++;
    c.partition_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), 0); /* 2 has not heard */
    fake_append(&c, 1, 3, 1);
    fake_cluster_run(&c, 1000);
    int32_t fetches = c.brokers[2].fetches;
    fake_cluster_run(&c, 20000);
    ck_assert_int_eq(c.brokers[2].fetches, fetches); /* rule 20: no loop */
    ck_assert_int_eq(fake_log_end(&c, 2), 3);
    ck_assert_int_eq(fake_cluster_command(&c, 2, 1), 0);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(fake_log_end(&c, 2), 6);
}
END_TEST

START_TEST(a_follower_ahead_of_its_leader_backs_off_and_goes_on) {
    create_in_sync(2, 3);
    c.leader_epoch++;
    c.partition_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 2, 1), 0); /* 1 has not heard: UNKNOWN_LEADER_EPOCH */
    fake_cluster_run(&c, 500);
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), 0);
    fake_append(&c, 1, 3, -1);
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_log_end(&c, 2), 6);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 6);
}
END_TEST

START_TEST(rule_15_acks_all_needs_min_insync_replicas_and_the_high_watermark_too) {
    fake_cluster_create(&c, 3, 2);
    c.refuse_isr_changes = KAFKA_INELIGIBLE_REPLICA;
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(fake_append(&c, 1, 5, -1).error_code, KAFKA_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(fake_append(&c, 1, 5, 1).error_code, KAFKA_NONE);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_log_end(&c, 2), 5);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 0);
    c.refuse_isr_changes = 0;
    fake_cluster_run(&c, FAKE_LAG_MS);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 5);
    ck_assert_int_eq(fake_append(&c, 1, 5, -1).error_code, KAFKA_NONE);
}
END_TEST

/* It hears of the leader only when that has two batches of ten records, and begins here. */
static void miss_the_start(int64_t start) {
    create(2);
    fake_cluster_lead(&c, 1, 1);
    c.brokers[2].is_cut = true;
    fake_append(&c, 1, 10, 1);
    fake_append(&c, 1, 10, 1);
    ck_assert_int_eq(delete_records(1, 25), KAFKA_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_records(1, start), KAFKA_NONE);
    c.brokers[2].is_cut = false;
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_log_end(&c, 2), 20);
    ck_assert_int_eq(log_start_offset(log_of(2)), start);
    ck_assert_int_eq(fake_isr(&c), 12);
}

START_TEST(a_follower_that_missed_the_leaders_start_begins_there) {
    miss_the_start(10);
}
END_TEST

/* What the simulator showed: the leader sends the batch whole, which begins before the follower's empty log. */
START_TEST(a_follower_begins_inside_a_batch_where_the_leader_does) {
    miss_the_start(15);
}
END_TEST

START_TEST(a_follower_whose_whole_log_is_foreign_drops_it) {
    create_in_sync(2, 10);
    c.brokers[1].is_cut = true;
    fake_cluster_lead(&c, 2, 2);
    fake_append(&c, 2, 10, 1);
    fake_cluster_run(&c, FAKE_LAG_MS * 2); /* nobody is waited for any more */
    ck_assert_int_eq(delete_records(2, 20), KAFKA_NONE);
    fake_append(&c, 2, 1, 1); /* 2 holds [20, 21) of its own epoch */
    c.brokers[1].is_cut = false;
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 3, 1);
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_log_end(&c, 2), 13);
    ck_assert_int_eq(log_start_offset(log_of(2)), 10);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 13);
}
END_TEST

/* The leader has forgotten whose the records before its start were, and finds nothing wrong with a follower that ends
 * right there: hidden behind its start, they would be seen again after a crash. */
START_TEST(what_a_follower_has_before_its_leaders_start_is_gone_and_not_hidden) {
    create_in_sync(2, 5);
    c.brokers[1].is_cut = true;
    fake_cluster_lead(&c, 2, 2);
    fake_append(&c, 2, 5, 1); /* [5, 10) of an epoch that is lost */
    c.brokers[1].is_cut = false;
    c.brokers[2].is_cut = true;
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 5, 1);
    fake_cluster_run(&c, FAKE_LAG_MS * 2);
    ck_assert_int_eq(delete_records(1, 10), KAFKA_NONE);
    fake_append(&c, 1, 3, 1);
    c.brokers[2].is_cut = false;
    fake_cluster_lead(&c, 1, 1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_isr(&c), 12);
    ck_assert_int_eq(fake_log_end(&c, 2), 13);
    fake_broker_kill(&c, 2); /* before any checkpoint of log starts */
    fake_broker_start(&c, 2);
    ck_assert_int_eq(log_start_offset(log_manager_find(c.brokers[2].logs, "t", 0)), 10);
    ck_assert_int_eq(log_end_offset(log_manager_find(c.brokers[2].logs, "t", 0)), 13);
}
END_TEST

START_TEST(a_followers_raised_start_outlives_a_crash_once_it_is_checkpointed) {
    create(2);
    log_manager_start(c.brokers[2].logs); /* its timers too */
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(delete_records(1, 7), KAFKA_NONE);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(log_start_offset(log_of(2)), 7);
    fake_cluster_run(&c, 61000); /* log.flush.start.offset.checkpoint.interval.ms */
    fake_broker_kill(&c, 2);
    fake_broker_start(&c, 2);
    ck_assert_int_eq(log_start_offset(log_manager_find(c.brokers[2].logs, "t", 0)), 7);
}
END_TEST

/* Broker 2 has [0, 10) of epoch 0, all of it exposed; broker 1 a copy made after a cleaner left nothing of that: [20,
 * 22) of epoch 2, before which everything is a gap. */
static void create_with_gap(void) {
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    struct log *log = NULL;
    struct test_batch batch = test_batch_of(2);
    create(2);
    c.brokers[1].is_cut = true;
    fake_cluster_lead(&c, 2, 2);
    fake_append(&c, 2, 10, 1);
    batch.base_offset = 20;
    batch.leader_epoch = 2;
    test_batch_encode(&batch, &bytes);
    ck_assert_int_eq(log_manager_get_or_create(c.brokers[1].logs, "t", 0, true, c.topic_id, &log), 0);
    ck_assert_int_eq(log_append_as_follower(log, (struct slice){bytes.data, (int32_t)bytes.size}, &info), 0);
    byte_buffer_deinit(&bytes);
    c.brokers[1].is_cut = false;
    c.leader_epoch = 2;
}

/* What the simulator showed: nobody can tell which epoch ended where in the gap. */
START_TEST(a_follower_from_before_a_gap_begins_again_before_the_gap_when_it_is_not_in_sync) {
    create_with_gap();
    ck_assert_int_eq(fake_high_watermark(&c, 2), 10);
    fake_cluster_lead(&c, 1, 1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_log_end(&c, 2), 22);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 22);
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert_int_eq(fake_isr(&c), 12);
}
END_TEST

START_TEST(a_follower_from_before_a_gap_leaves_the_in_sync_set_before_it_cuts_below_its_high_watermark) {
    create_with_gap();
    c.brokers[2].is_cut = true;
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 22);
    c.brokers[2].is_cut = false;
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, FAKE_LAG_MS / 2);
    ck_assert_int_eq(fake_isr(&c), 12);
    ck_assert_int_eq(fake_log_end(&c, 2), 10);
    fake_cluster_run(&c, FAKE_LAG_MS);
    ck_assert_int_eq(fake_isr(&c), 1);
    ck_assert_int_eq(fake_log_end(&c, 2), 10); /* it has not heard of it yet */
    fake_cluster_update_metadata(&c);
    fake_cluster_run(&c, 3000);
    ck_assert_int_eq(fake_log_end(&c, 2), 22);
    ck_assert_int_eq(fake_isr(&c), 12);
}
END_TEST

/* Both have three segments of a compacted log, all of it exposed; then a power cut takes the end of the second one of
 * broker 2. */
static void create_with_hole(void) {
    create(2);
    c.is_compacted = true;
    fake_cluster_lead(&c, 1, 12);
    for (int32_t i = 0; i < 3; i++) {
        fake_append(&c, 1, 4, -1);
        fake_append(&c, 1, 4, -1);
        fake_cluster_run(&c, 1000);
        for (int32_t id = 1; i < 2 && id <= 2; id++) {
            ck_assert_int_eq(log_roll(log_manager_find(c.brokers[id].logs, "t", 0)), 0);
        }
    }
    ck_assert_int_eq(fake_high_watermark(&c, 2), 24);
    fake_broker_kill(&c, 2);
    char *path = xasprintf("%s/t-0/%020d.log", c.brokers[2].directory, 8);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(truncate(path, status.st_size / 2), 0);
    free(path);
    fake_broker_start(&c, 2);
}

START_TEST(a_follower_that_is_not_in_sync_fetches_again_what_a_crash_may_have_taken_from_a_compacted_log) {
    create_with_hole();
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(log_doubtful_from(log_of(2)), 12);
    fake_cluster_run(&c, 2000);
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert_int_eq(fake_log_end(&c, 2), 24);
    ck_assert_int_eq(log_doubtful_from(log_of(2)), -1);
    ck_assert_int_eq(fake_isr(&c), 12);
}
END_TEST

START_TEST(a_member_of_the_in_sync_set_with_a_doubtful_log_is_believed_and_goes_on) {
    create_with_hole();
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, 3000);
    ck_assert_int_eq(log_doubtful_from(log_of(2)), -1);
    ck_assert_int_eq(fake_log_end(&c, 2), 24);
    ck_assert_int_eq(fake_high_watermark(&c, 2), 24);
    ck_assert_int_eq(fake_isr(&c), 12);
}
END_TEST

START_TEST(who_leads_with_a_doubtful_log_is_believed) {
    create_with_hole();
    fake_cluster_lead(&c, 2, 12);
    ck_assert_int_eq(log_doubtful_from(log_of(2)), -1);
    ck_assert_int_eq(fake_log_end(&c, 2), 24);
}
END_TEST

static struct partition_fetch consumer_fetch(int64_t offset, int16_t version) {
    return (struct partition_fetch){.replica_id = -1,
                                    .fetch_offset = offset,
                                    .current_leader_epoch = -1,
                                    .last_fetched_epoch = -1,
                                    .max_bytes = 1000,
                                    .isolation = FETCH_HIGH_WATERMARK,
                                    .version = version};
}

/* What broker 1 tells a consumer in this rack who wants this offset. */
static int32_t preferred(const char *rack, int64_t offset, int16_t version) {
    struct partition_fetch fetch = consumer_fetch(offset, version);
    fetch.rack = str_from(rack);
    partition_runtime_fetch(fake_partition(&c, 1), &fetch);
    ck_assert_int_eq(fetch.error_code, 0);
    ck_assert(fetch.preferred_read_replica < 0 || fetch.read.records.size == 0);
    disk_file_unref(fetch.read.records.file);
    return fetch.preferred_read_replica;
}

START_TEST(a_consumer_is_sent_to_the_in_sync_follower_of_its_rack_that_holds_the_offset) {
    create(3);
    c.brokers[1].rack = "a";
    c.brokers[2].rack = "b";
    c.brokers[3].rack = "b";
    fake_cluster_lead(&c, 1, 123);
    fake_append(&c, 1, 10, -1);
    fake_cluster_run(&c, 1000);
    c.brokers[2].is_cut = true;
    fake_append(&c, 1, 10, 1);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(preferred("b", 5, 12), 3);  /* it has more */
    ck_assert_int_eq(preferred("b", 5, 10), -1); /* too old to be sent anywhere */
    ck_assert_int_eq(preferred("z", 5, 12), -1);
    ck_assert_int_eq(preferred(NULL, 5, 12), -1);
    fake_cluster_run(&c, FAKE_LAG_MS * 2);
    ck_assert_int_eq(fake_isr(&c), 13);
    c.brokers[3].rack = "a";
    fake_cluster_update_metadata(&c);
    ck_assert_int_eq(preferred("b", 5, 12), -1); /* 2 is not in sync */
}
END_TEST

START_TEST(a_follower_serves_consumers_up_to_its_high_watermark_from_version_11_on) {
    create(2);
    fake_cluster_lead(&c, 2, 12);
    fake_append(&c, 2, 10, -1);
    fake_cluster_run(&c, 1000);
    struct partition_fetch fetch = consumer_fetch(0, 10);
    partition_runtime_fetch(fake_partition(&c, 1), &fetch);
    ck_assert_int_eq(fetch.error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    fetch.version = 11;
    partition_runtime_fetch(fake_partition(&c, 1), &fetch);
    ck_assert_int_eq(fetch.error_code, KAFKA_NONE);
    ck_assert_int_gt(fetch.read.records.size, 0);
    disk_file_unref(fetch.read.records.file);
    fetch.fetch_offset = 11;
    partition_runtime_fetch(fake_partition(&c, 1), &fetch);
    ck_assert_int_eq(fetch.error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(fetch.high_watermark, -1);
}
END_TEST

START_TEST(a_raised_start_reaches_the_followers_and_their_answer_the_leader) {
    create_in_sync(2, 10);
    int64_t offset = -1;
    int64_t low = -1;
    ck_assert_int_eq(partition_runtime_delete_records(fake_partition(&c, 1), -1, &offset, &low), KAFKA_NONE);
    ck_assert_int_eq(offset, 10);
    ck_assert_int_eq(low, 0);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(log_start_offset(log_of(2)), 10);
    ck_assert_int_eq(partition_runtime_low_watermark(fake_partition(&c, 1)), 10);
}
END_TEST

START_TEST(a_restarted_leader_without_its_tail_follows_and_every_replica_agrees) {
    create(3);
    fake_cluster_lead(&c, 1, 123);
    for (int i = 0; i < 20; i++) {
        fake_append(&c, 1, 3, -1);
        fake_cluster_run(&c, 100);
    }
    fake_broker_kill(&c, 1);
    fake_cluster_lead(&c, 3, 23);
    fake_append(&c, 3, 7, -1);
    fake_cluster_run(&c, 3000);
    fake_broker_start(&c, 1);
    fake_cluster_lead(&c, 3, 23);
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(fake_high_watermark(&c, 3), 67);
    ck_assert(fake_logs_equal(&c, 1, 3));
    ck_assert(fake_logs_equal(&c, 2, 3));
    ck_assert_int_eq(fake_isr(&c), 231);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(records_reach_every_replica_and_everybody_learns_the_high_watermark),
        TEST(an_idle_partition_is_not_named_again),
        TEST(a_broker_that_is_about_to_stop_fetches_nothing_that_it_is_not_in_sync_of),
        TEST(kip_101_a_returning_leader_cuts_what_nobody_else_had),
        TEST(kip_101_a_follower_with_an_old_high_watermark_keeps_acknowledged_records),
        TEST(kip_279_after_a_fast_double_fail_over_truncation_takes_the_rounds_it_needs),
        TEST(a_diverging_follower_does_not_move_the_high_watermark),
        TEST(kip_320_a_follower_fenced_by_a_newer_leader_epoch_waits_for_its_command),
        TEST(a_follower_ahead_of_its_leader_backs_off_and_goes_on),
        TEST(rule_15_acks_all_needs_min_insync_replicas_and_the_high_watermark_too),
        TEST(a_follower_that_missed_the_leaders_start_begins_there),
        TEST(a_follower_begins_inside_a_batch_where_the_leader_does),
        TEST(a_follower_whose_whole_log_is_foreign_drops_it),
        TEST(what_a_follower_has_before_its_leaders_start_is_gone_and_not_hidden),
        TEST(a_follower_from_before_a_gap_begins_again_before_the_gap_when_it_is_not_in_sync),
        TEST(a_follower_from_before_a_gap_leaves_the_in_sync_set_before_it_cuts_below_its_high_watermark),
        TEST(a_follower_that_is_not_in_sync_fetches_again_what_a_crash_may_have_taken_from_a_compacted_log),
        TEST(a_member_of_the_in_sync_set_with_a_doubtful_log_is_believed_and_goes_on),
        TEST(who_leads_with_a_doubtful_log_is_believed),
        TEST(a_followers_raised_start_outlives_a_crash_once_it_is_checkpointed),
        TEST(a_consumer_is_sent_to_the_in_sync_follower_of_its_rack_that_holds_the_offset),
        TEST(a_follower_serves_consumers_up_to_its_high_watermark_from_version_11_on),
        TEST(a_raised_start_reaches_the_followers_and_their_answer_the_leader),
        TEST(a_restarted_leader_without_its_tail_follows_and_every_replica_agrees),
    };
    return run_tests_with_fixture("replica_manager_cluster", tests, ARRAY_SIZE(tests), NULL, tear_down);
}
