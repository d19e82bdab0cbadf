/* LeaderAndIsr, StopReplica and UpdateMetadata: gates, topic ids, what stays and what goes (rules 7 to 9, 21 to 24). */
#include <check.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

static struct fake_cluster c;
static struct arena arena;

static int64_t told_broker_epoch; /* 0: the present one */
static int32_t told_leader;

static void set_up(void) {
    told_broker_epoch = 0;
    told_leader = 2;
    fake_cluster_create(&c, 2, 1);
    arena_init(&arena, SIZE_MAX);
}
static void tear_down(void) {
    arena_deinit(&arena);
    fake_cluster_destroy(&c);
}

static struct replica_manager *replicas(void) {
    return c.brokers[1].replicas;
}

static int16_t lookup(int32_t partition) {
    struct partition_runtime *found = NULL;
    return replica_manager_partition(replicas(), STR_LITERAL("t"), partition, &found);
}

/* StopReplica v4 for t-0 at broker 1; its partition error. */
static int16_t stop(int32_t leader_epoch, bool is_deletion) {
    struct stop_replica_request_stop_replica_partition_state state;
    struct stop_replica_request_stop_replica_topic_state topic;
    struct stop_replica_request request;
    struct stop_replica_response response;
    stop_replica_request_init(&request);
    stop_replica_response_init(&response);
    stop_replica_request_stop_replica_topic_state_init(&topic);
    stop_replica_request_stop_replica_partition_state_init(&state);
    state.leader_epoch = leader_epoch;
    state.delete_partition = is_deletion;
    topic.topic_name = STR_LITERAL("t");
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    request.controller_epoch = 1;
    replica_manager_stop_replica(replicas(), &request, 4, &arena, &response);
    ck_assert_int_eq(response.partition_errors_count, 1);
    return response.partition_errors[0].error_code;
}

/* UpdateMetadata without content, with these epochs. */
static int16_t update(int64_t broker_epoch, int32_t controller_epoch) {
    struct update_metadata_request request;
    update_metadata_request_init(&request);
    request.controller_id = 2;
    request.broker_epoch = broker_epoch;
    request.controller_epoch = controller_epoch;
    return replica_manager_update_metadata(replicas(), &request, 8);
}

START_TEST(what_is_left_of_a_connection_the_controller_has_given_up_is_not_heard) {
    ck_assert(replica_manager_hears(replicas(), 3, 7));
    ck_assert(replica_manager_hears(replicas(), 3, 7));
    ck_assert(replica_manager_hears(replicas(), 3, 9));
    ck_assert(!replica_manager_hears(replicas(), 3, 7));
    ck_assert(replica_manager_hears(replicas(), 3, 9));
    ck_assert(replica_manager_hears(replicas(), 4, 8)); /* another controller has connections of its own */
    ck_assert(!replica_manager_hears(replicas(), 4, 7));
    ck_assert(replica_manager_hears(replicas(), 3, 10)); /* for the gate to refuse */
    ck_assert(replica_manager_hears(replicas(), 4, 8));
}
END_TEST

START_TEST(rule_9_an_older_broker_epoch_is_stale_and_a_newer_one_is_not) {
    int64_t epoch = replica_manager_broker_epoch(replicas());
    ck_assert_int_eq(update(epoch - 1, 1), KAFKA_STALE_BROKER_EPOCH);
    ck_assert_int_eq(image_controller(c.brokers[1].image), -1);
    ck_assert_int_eq(update(epoch, 1), KAFKA_NONE);
    ck_assert_int_eq(update(epoch + 1, 1), KAFKA_NONE);
    ck_assert_int_eq(update(-1, 1), KAFKA_NONE);
    ck_assert_int_eq(image_controller(c.brokers[1].image), 2);
}
END_TEST

START_TEST(an_older_controller_is_not_obeyed_in_any_command) {
    fake_cluster_lead(&c, 1, 12);
    ck_assert_int_eq(update(-1, 5), KAFKA_NONE);
    ck_assert_int_eq(update(-1, 4), KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(stop(9, true), KAFKA_STALE_CONTROLLER_EPOCH);
    c.leader_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 4), KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(partition_runtime_leader_epoch(fake_partition(&c, 1)), 0);
    ck_assert_int_eq(fake_cluster_command(&c, 1, 5), KAFKA_NONE);
    ck_assert_int_eq(partition_runtime_leader_epoch(fake_partition(&c, 1)), 1);
}
END_TEST

START_TEST(rule_8_the_same_leader_epoch_changes_nothing) {
    fake_cluster_lead(&c, 1, 12);
    c.leader = 2;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert(partition_runtime_is_leader(fake_partition(&c, 1)));
}
END_TEST

START_TEST(a_command_with_an_older_partition_epoch_is_skipped_without_an_error) {
    fake_cluster_lead(&c, 1, 12);
    c.partition_epoch = 5;
    c.leader_epoch = 3;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_NONE);
    c.partition_epoch = 4;
    c.leader_epoch = 4;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_NONE);
    ck_assert_int_eq(partition_runtime_leader_epoch(fake_partition(&c, 1)), 3);
}
END_TEST

START_TEST(rule_7_a_leader_nobody_told_us_of_is_not_followed_but_the_log_is_made) {
    c.leader = 2;
    c.leader_epoch = 0;
    c.partition_epoch = 0;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_NONE);
    ck_assert_ptr_nonnull(log_manager_find(c.brokers[1].logs, "t", 0));
    ck_assert_int_eq(partition_runtime_leader_epoch(fake_partition(&c, 1)), -1);
    fake_cluster_update_metadata(&c);
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_NONE); /* the same epoch, now obeyed */
    ck_assert_int_eq(partition_runtime_leader(fake_partition(&c, 1)), 2);
}
END_TEST

START_TEST(rule_21_a_partition_without_a_live_leader_keeps_its_high_watermark_in_the_checkpoint) {
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 10, 1);
    fake_cluster_run(&c, 6000); /* one checkpoint */
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    c.leader = -1;
    c.leader_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_NONE);
    fake_cluster_run(&c, 6000);
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    ck_assert_int_eq(log_manager_checkpointed_high_watermark(c.brokers[1].logs, "t", 0), 10);
}
END_TEST

/* The topic is deleted and made anew, and nobody said so to whoever is not told below. */
static void recreate(void) {
    c.topic_id.bytes[0]++;
    c.leader_epoch = 0;
    c.partition_epoch = 0;
}

static struct log *log_here(void) {
    return log_manager_find(c.brokers[1].logs, "t", 0);
}

static int count_entry(void *context, const char *name, bool is_directory) {
    size_t size = strlen(name);
    if (is_directory && size > 6 && strcmp(name + size - 6, "-stray") == 0) {
        (*(int *)context)++;
    }
    return 0;
}

static int set_aside_count(void) {
    int count = 0;
    struct disk *disk = disk_posix();
    ck_assert_int_eq(disk->ops->list(disk, c.brokers[1].directory, count_entry, &count), 0);
    return count;
}

START_TEST(rule_24_a_recreated_topic_of_the_same_name_is_another_topic) {
    fake_cluster_lead(&c, 1, 12);
    ck_assert(uuid_equal(log_topic_id(log_here()), c.topic_id));
    c.topic_id.bytes[0]++;
    c.leader_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_INCONSISTENT_TOPIC_ID);
    c.is_new = true;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_INCONSISTENT_TOPIC_ID);
    c.topic_id.bytes[0]--;
    ck_assert(uuid_equal(log_topic_id(log_here()), c.topic_id));
    ck_assert_int_eq(set_aside_count(), 0);
}
END_TEST

START_TEST(rule_24_the_log_of_a_former_topic_makes_way_for_what_a_later_controller_names) {
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 3, 1);
    struct uuid former = c.topic_id;
    recreate();
    ck_assert_int_eq(fake_cluster_command(&c, 1, 2), KAFKA_NONE);
    ck_assert(uuid_equal(log_topic_id(log_here()), c.topic_id));
    ck_assert_int_eq(fake_log_end(&c, 1), 0);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 0);
    ck_assert(partition_runtime_is_leader(fake_partition(&c, 1)));
    ck_assert_int_eq(set_aside_count(), 1);
    /* What the controller of before said of the former topic comes after all. */
    fake_append(&c, 1, 5, 1);
    c.topic_id = former;
    c.leader_epoch = 9;
    c.is_new = true;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(fake_log_end(&c, 1), 5);
}
END_TEST

START_TEST(rule_24_a_late_copy_of_a_former_topics_command_takes_nothing) {
    struct uuid former = c.topic_id;
    recreate();
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 5, 1);
    struct uuid present = c.topic_id;
    c.topic_id = former;
    for (int is_new = 0; is_new < 2; is_new++) {
        c.is_new = is_new == 1;
        c.leader_epoch = 9; /* of the same controller, for the same registration: nobody knows which is older */
        ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_INCONSISTENT_TOPIC_ID);
    }
    ck_assert(uuid_equal(log_topic_id(log_here()), present));
    ck_assert_int_eq(fake_log_end(&c, 1), 5);
    ck_assert(partition_runtime_is_leader(fake_partition(&c, 1)));
}
END_TEST

START_TEST(rule_24_a_former_topics_log_makes_way_after_another_registration) {
    fake_cluster_lead(&c, 1, 12);
    recreate();
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_INCONSISTENT_TOPIC_ID);
    replica_manager_set_broker_epoch(replicas(), replica_manager_broker_epoch(replicas()) + 1);
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_NONE);
    ck_assert(uuid_equal(log_topic_id(log_here()), c.topic_id));
}
END_TEST

START_TEST(rule_24_a_former_topics_log_makes_way_after_a_restart_and_its_replica_joins) {
    fake_cluster_lead(&c, 2, 12);
    fake_append(&c, 2, 3, -1);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(fake_log_end(&c, 1), 3);
    for (int32_t id = 1; id <= 2; id++) {
        fake_broker_kill(&c, id);
        fake_broker_start(&c, id);
    }
    recreate();
    c.leader_epoch = -1;
    fake_cluster_lead(&c, 2, 2);
    fake_append(&c, 2, 7, 1);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(fake_isr(&c), 21);
    ck_assert_int_eq(fake_log_end(&c, 1), 7);
    ck_assert(fake_logs_equal(&c, 1, 2));
    ck_assert_int_eq(set_aside_count(), 1);
}
END_TEST

START_TEST(a_former_topics_log_stays_when_the_command_wants_no_replica_here) {
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 3, 1);
    recreate();
    c.count = 0; /* nobody is assigned */
    ck_assert_int_eq(fake_cluster_command(&c, 1, 2), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    c.count = 2;
    ck_assert_int_eq(fake_log_end(&c, 1), 3);
}
END_TEST

/* As its controller would tell, had it not died, or the broker not been away. */
static void tell_of(int32_t leader_epoch, const char *replicas, const char *isr) {
    struct update_metadata_request request;
    struct update_metadata_request_update_metadata_topic_state topic;
    struct update_metadata_request_update_metadata_partition_state state;
    int32_t replica_ids[8], isr_ids[8];
    update_metadata_request_init(&request);
    update_metadata_request_update_metadata_topic_state_init(&topic);
    update_metadata_request_update_metadata_partition_state_init(&state);
    for (const char *at = replicas; *at != '\0'; at++) {
        replica_ids[state.replicas_count++] = *at - '0';
    }
    for (const char *at = isr; *at != '\0'; at++) {
        isr_ids[state.isr_count++] = *at - '0';
    }
    state.replicas = replica_ids;
    state.isr = isr_ids;
    state.leader = told_leader;
    state.leader_epoch = leader_epoch;
    state.controller_epoch = 1;
    topic.topic_name = STR_LITERAL("t");
    topic.topic_id = c.topic_id;
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    request.controller_id = 1;
    request.controller_epoch = 1;
    request.broker_epoch =
        told_broker_epoch != 0 ? told_broker_epoch : replica_manager_broker_epoch(c.brokers[1].replicas);
    request.topic_states = &topic;
    request.topic_states_count = 1;
    ck_assert_int_eq(replica_manager_update_metadata(c.brokers[1].replicas, &request, 8), KAFKA_NONE);
}

static bool has_log(void) {
    return log_here() != NULL;
}

START_TEST(a_replica_that_nobody_wants_goes_when_its_partition_is_named_without_it) {
    fake_cluster_lead(&c, 2, 12);
    tell_of(c.leader_epoch, "23", "2"); /* nothing newer than it knows */
    ck_assert(has_log());
    tell_of(c.leader_epoch + 1, "23", "21"); /* it may still be elected */
    ck_assert(has_log());
    tell_of(c.leader_epoch + 1, "213", "2");
    ck_assert(has_log());
    tell_of(c.leader_epoch + 1, "23", "2");
    ck_assert(!has_log());
    ck_assert_int_eq(lookup(0), KAFKA_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

START_TEST(a_replica_that_nobody_wants_goes_also_when_it_is_only_on_disk) {
    fake_cluster_lead(&c, 2, 12);
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    ck_assert(has_log());
    tell_of(0, "23", "21");
    ck_assert(has_log());
    tell_of(0, "23", "2");
    ck_assert(!has_log());
}
END_TEST

START_TEST(a_replica_on_disk_stays_when_who_tells_may_mean_a_former_life_or_knows_less_than_its_log) {
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 3, 1); /* of epoch 0 */
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    tell_of(0, "23", "2");
    ck_assert(has_log());
    told_broker_epoch = -1;
    tell_of(1, "23", "2");
    ck_assert(has_log());
    told_broker_epoch = 0;
    tell_of(1, "23", "2");
    ck_assert(!has_log());
    ck_assert_int_eq(set_aside_count(), 0);
}
END_TEST

START_TEST(a_former_topics_log_is_set_aside_when_the_new_one_is_named_without_us_by_a_later_command) {
    fake_cluster_lead(&c, 2, 12);
    recreate();
    tell_of(9, "23", "2"); /* it may be the older topic, told of late */
    ck_assert(has_log());
    replica_manager_set_broker_epoch(replicas(), replica_manager_broker_epoch(replicas()) + 1);
    tell_of(0, "23", "2");
    ck_assert(!has_log());
    ck_assert_int_eq(set_aside_count(), 1);
}
END_TEST

START_TEST(a_replica_that_nobody_wants_goes_when_its_topic_does_and_not_when_another_does) {
    fake_cluster_lead(&c, 2, 12);
    told_leader = -2;
    c.topic_id.bytes[0]++;
    tell_of(0, "23", "2");
    ck_assert(has_log());
    c.topic_id.bytes[0]--;
    tell_of(0, "21", "2"); /* a StopReplica follows */
    ck_assert(has_log());
    tell_of(0, "23", "2");
    ck_assert(!has_log());
}
END_TEST

START_TEST(rule_23_stop_replica_is_fenced_by_a_lower_epoch_only) {
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_lead(&c, 1, 12);
    ck_assert_int_eq(stop(0, true), KAFKA_FENCED_LEADER_EPOCH);
    ck_assert(partition_runtime_is_leader(fake_partition(&c, 1)));
    ck_assert_int_eq(stop(1, false), KAFKA_NONE);
    ck_assert(!partition_runtime_is_leader(fake_partition(&c, 1)));
    ck_assert_int_eq(fake_append(&c, 1, 1, 1).error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(stop(-2, true), KAFKA_NONE);
    ck_assert_int_eq(lookup(0), KAFKA_NOT_LEADER_OR_FOLLOWER); /* still in the image */
    ck_assert_ptr_null(log_manager_find(c.brokers[1].logs, "t", 0));
}
END_TEST

START_TEST(rule_23_stop_replica_deletes_what_is_only_on_disk) {
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 3, 1);
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    ck_assert_ptr_nonnull(log_manager_find(c.brokers[1].logs, "t", 0));
    ck_assert_int_eq(stop(-1, true), KAFKA_NONE);
    ck_assert_ptr_null(log_manager_find(c.brokers[1].logs, "t", 0));
    ck_assert_int_eq(stop(-1, true), KAFKA_NONE);
}
END_TEST

START_TEST(a_failed_directory_takes_its_partitions_offline_until_the_broker_starts_again) {
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 3, 1);
    struct partition_runtime *partition = fake_partition(&c, 1);
    log_manager_fail_directory_of(c.brokers[1].logs, partition_runtime_log(partition));
    ck_assert_int_eq(lookup(0), KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(fake_append(&c, 1, 1, 1).error_code, KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(partition_runtime_ack_state(partition, 2, 0), KAFKA_STORAGE_ERROR);
    c.leader_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(stop(-2, true), KAFKA_STORAGE_ERROR);
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    fake_cluster_lead(&c, 1, 12);
    ck_assert_int_eq(fake_log_end(&c, 1), 3);
}
END_TEST

START_TEST(rule_22_with_a_directory_offline_no_empty_replica_takes_the_place_of_a_lost_one) {
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 3, 1);
    fake_broker_kill(&c, 1);
    c.brokers[1].spare_directory = test_directory_create();
    fake_broker_start(&c, 1);
    /* The directory with t-0 fails before the controller says anything. */
    log_manager_fail_directory_of(c.brokers[1].logs, log_manager_find(c.brokers[1].logs, "t", 0));
    fake_cluster_update_metadata(&c);
    c.leader_epoch++;
    ck_assert_int_eq(fake_cluster_command(&c, 1, 1), KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(lookup(0), KAFKA_STORAGE_ERROR);
    ck_assert_ptr_null(log_manager_find(c.brokers[1].logs, "t", 0));
}
END_TEST

static int told;
static void count_watch(struct partition_watcher *watcher) {
    (void)watcher;
    told++;
}

START_TEST(watchers_hear_of_appends_of_leadership_and_of_the_end) {
    struct partition_watcher watcher = {.on_change = count_watch};
    fake_cluster_lead(&c, 1, 1);
    partition_runtime_watch(fake_partition(&c, 1), &watcher);
    told = 0;
    fake_append(&c, 1, 1, 1);
    ck_assert_int_eq(told, 1);
    fake_cluster_lead(&c, 2, 2);
    ck_assert_int_eq(told, 2);
    stop(-2, true);
    ck_assert_int_ge(told, 3);
    ck_assert(!partition_watcher_is_set(&watcher));
}
END_TEST

START_TEST(offsets_of_leader_epochs_are_told_under_the_epoch_gate) {
    struct log_epoch_end end;
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 4, 1);
    fake_cluster_lead(&c, 1, 1);
    fake_append(&c, 1, 2, 1);
    struct partition_runtime *p = fake_partition(&c, 1);
    ck_assert_int_eq(partition_runtime_offset_for_leader_epoch(p, 1, 0, &end), KAFKA_NONE);
    ck_assert_int_eq(end.epoch, 0);
    ck_assert_int_eq(end.end_offset, 4);
    ck_assert_int_eq(partition_runtime_offset_for_leader_epoch(p, -1, 1, &end), KAFKA_NONE);
    ck_assert_int_eq(end.end_offset, 6);
    ck_assert_int_eq(partition_runtime_offset_for_leader_epoch(p, 0, 0, &end), KAFKA_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(partition_runtime_offset_for_leader_epoch(p, 2, 0, &end), KAFKA_UNKNOWN_LEADER_EPOCH);
    ck_assert_int_eq(end.epoch, -1);
    ck_assert_int_eq(partition_runtime_offset_for_leader_epoch(p, 1, 7, &end), KAFKA_NONE);
    ck_assert_int_eq(end.end_offset, -1);
}
END_TEST

START_TEST(old_versions_name_topics_in_the_answer_and_listeners_after_protocols) {
    struct leader_and_isr_request_leader_and_isr_partition_state state;
    struct leader_and_isr_request request;
    struct leader_and_isr_response response;
    struct update_metadata_request_update_metadata_broker broker;
    struct update_metadata_request update_request;
    int32_t ids[] = {1};
    leader_and_isr_request_init(&request);
    leader_and_isr_response_init(&response);
    leader_and_isr_request_leader_and_isr_partition_state_init(&state);
    state.topic_name = STR_LITERAL("old");
    state.leader = 1;
    state.isr = state.replicas = ids;
    state.isr_count = state.replicas_count = 1;
    request.ungrouped_partition_states = &state;
    request.ungrouped_partition_states_count = 1;
    request.controller_epoch = 1;
    replica_manager_leader_and_isr(replicas(), &request, 1, &arena, &response);
    ck_assert_int_eq(response.partition_errors_count, 1);
    ck_assert_int_eq(response.partition_errors[0].error_code, 0);
    ck_assert(str_equal_text(response.partition_errors[0].topic_name, "old"));

    update_metadata_request_init(&update_request);
    update_metadata_request_update_metadata_broker_init(&broker);
    broker.id = 1;
    broker.v0_host = STR_LITERAL("h");
    broker.v0_port = 9;
    broker.rack = STR_NULL;
    update_request.live_brokers = &broker;
    update_request.live_brokers_count = 1;
    update_request.controller_epoch = 1;
    ck_assert_int_eq(replica_manager_update_metadata(replicas(), &update_request, 0), 0);
    ck_assert_int_eq(image_broker_endpoint(image_broker(c.brokers[1].image, 1), "PLAINTEXT")->port, 9);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(what_is_left_of_a_connection_the_controller_has_given_up_is_not_heard),
        TEST(rule_9_an_older_broker_epoch_is_stale_and_a_newer_one_is_not),
        TEST(an_older_controller_is_not_obeyed_in_any_command),
        TEST(rule_8_the_same_leader_epoch_changes_nothing),
        TEST(a_command_with_an_older_partition_epoch_is_skipped_without_an_error),
        TEST(rule_7_a_leader_nobody_told_us_of_is_not_followed_but_the_log_is_made),
        TEST(rule_21_a_partition_without_a_live_leader_keeps_its_high_watermark_in_the_checkpoint),
        TEST(rule_24_a_recreated_topic_of_the_same_name_is_another_topic),
        TEST(rule_24_the_log_of_a_former_topic_makes_way_for_what_a_later_controller_names),
        TEST(rule_24_a_late_copy_of_a_former_topics_command_takes_nothing),
        TEST(rule_24_a_former_topics_log_makes_way_after_another_registration),
        TEST(rule_24_a_former_topics_log_makes_way_after_a_restart_and_its_replica_joins),
        TEST(a_former_topics_log_stays_when_the_command_wants_no_replica_here),
        TEST(a_replica_that_nobody_wants_goes_when_its_partition_is_named_without_it),
        TEST(a_replica_that_nobody_wants_goes_also_when_it_is_only_on_disk),
        TEST(a_replica_on_disk_stays_when_who_tells_may_mean_a_former_life_or_knows_less_than_its_log),
        TEST(a_former_topics_log_is_set_aside_when_the_new_one_is_named_without_us_by_a_later_command),
        TEST(a_replica_that_nobody_wants_goes_when_its_topic_does_and_not_when_another_does),
        TEST(rule_23_stop_replica_is_fenced_by_a_lower_epoch_only),
        TEST(rule_23_stop_replica_deletes_what_is_only_on_disk),
        TEST(a_failed_directory_takes_its_partitions_offline_until_the_broker_starts_again),
        TEST(rule_22_with_a_directory_offline_no_empty_replica_takes_the_place_of_a_lost_one),
        TEST(watchers_hear_of_appends_of_leadership_and_of_the_end),
        TEST(offsets_of_leader_epochs_are_told_under_the_epoch_gate),
        TEST(old_versions_name_topics_in_the_answer_and_listeners_after_protocols),
    };
    return run_tests_with_fixture("replica_manager_commands", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
