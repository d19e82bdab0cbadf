/* That the batches of a producer that is new to a partition keep their order when the first of them is refused. */
#include <check.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "replication/refused_batches.h"
#include "replication/replica_manager_internal.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

#define T STR_LITERAL("t")
#define PRODUCER 7000

static struct refused_batches refused;
static struct fake_cluster c;

static void set_up(void) {
    refused = (struct refused_batches){0};
    c = (struct fake_cluster){0};
}

static void tear_down(void) {
    refused_batches_deinit(&refused);
    fake_cluster_destroy(&c);
}

static struct batch_place place(int64_t producer_id, int16_t epoch, int32_t sequence) {
    return (struct batch_place){.producer_id = producer_id, .producer_epoch = epoch, .base_sequence = sequence};
}

static void note(int64_t producer_id, int16_t epoch, int32_t sequence, int64_t now_ms) {
    struct batch_place it = place(producer_id, epoch, sequence);
    refused_batches_note(&refused, T, 0, &it, now_ms);
}

static bool is_preceded(struct str topic, int32_t partition, struct batch_place it, int64_t now_ms) {
    return refused_batches_precede(&refused, topic, partition, &it, now_ms);
}

START_TEST(the_lowest_refused_sequence_counts_for_its_producer_epoch_and_partition_only) {
    note(1, 0, 7, 0);
    note(1, 0, 5, 0);
    note(1, 0, 9, 0);
    ck_assert(is_preceded(T, 0, place(1, 0, 6), 0));
    ck_assert(is_preceded(T, 0, place(1, 0, 9), 0));
    ck_assert(!is_preceded(T, 0, place(1, 0, 5), 0));
    ck_assert(!is_preceded(T, 0, place(1, 0, 0), 0));
    ck_assert(!is_preceded(T, 0, place(2, 0, 6), 0));
    ck_assert(!is_preceded(T, 0, place(1, 1, 6), 0));
    ck_assert(!is_preceded(T, 1, place(1, 0, 6), 0));
    ck_assert(!is_preceded(STR_LITERAL("tt"), 0, place(1, 0, 6), 0));
    note(1, 1, 8, 0); /* a new epoch numbers anew */
    ck_assert(!is_preceded(T, 0, place(1, 1, 8), 0));
    ck_assert(!is_preceded(T, 0, place(1, 0, 6), 0));
    refused_batches_forget(&refused, T, 0, 1);
    ck_assert(!is_preceded(T, 0, place(1, 1, 9), 0));
    ck_assert_ptr_null(refused.items);
}
END_TEST

START_TEST(a_refusal_is_forgotten_when_nothing_sent_before_it_can_arrive_any_more) {
    note(1, 0, 0, 1000);
    note(2, 0, 0, 2000);
    ck_assert(is_preceded(T, 0, place(1, 0, 1), 1000 + REFUSED_BATCHES_KEPT_MS));
    ck_assert(!is_preceded(T, 0, place(1, 0, 1), 1001 + REFUSED_BATCHES_KEPT_MS));
    ck_assert(is_preceded(T, 0, place(2, 0, 1), 1001 + REFUSED_BATCHES_KEPT_MS));
    note(2, 0, 0, 60000); /* refused once more */
    ck_assert(is_preceded(T, 0, place(2, 0, 1), 60000 + REFUSED_BATCHES_KEPT_MS));
    note(2, 0, 1, 70000); /* what comes behind does not keep it */
    ck_assert(!is_preceded(T, 0, place(2, 0, 1), 60001 + REFUSED_BATCHES_KEPT_MS));
}
END_TEST

START_TEST(what_was_refused_for_a_topic_that_is_deleted_is_forgotten) {
    struct batch_place it = place(1, 0, 0);
    refused_batches_forget_all(&refused, T, 0);
    note(1, 0, 0, 0);
    note(2, 0, 0, 0);
    refused_batches_note(&refused, T, 1, &it, 0);
    refused_batches_note(&refused, STR_LITERAL("tt"), 0, &it, 0);
    refused_batches_forget_all(&refused, T, 0);
    ck_assert(!is_preceded(T, 0, place(1, 0, 1), 0));
    ck_assert(!is_preceded(T, 0, place(2, 0, 1), 0));
    ck_assert(is_preceded(T, 1, place(1, 0, 1), 0));
    ck_assert(is_preceded(STR_LITERAL("tt"), 0, place(1, 0, 1), 0));
}
END_TEST

START_TEST(beyond_the_bound_the_oldest_refusals_are_forgotten) {
    for (int64_t id = 0; id < REFUSED_BATCHES_MAX; id++) {
        note(id, 0, 0, 0);
    }
    note(0, 0, 0, 1); /* is the youngest now */
    note(REFUSED_BATCHES_MAX, 0, 0, 1);
    ck_assert(is_preceded(T, 0, place(0, 0, 1), 1));
    ck_assert(!is_preceded(T, 0, place(1, 0, 1), 1));
    ck_assert(is_preceded(T, 0, place(2, 0, 1), 1));
}
END_TEST

static int16_t produce_as(int64_t producer_id, int32_t broker_id, int32_t sequence, int16_t epoch, int32_t records) {
    struct test_batch batch = test_batch_of(records);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    struct partition_runtime *partition;
    batch.producer_id = producer_id;
    batch.producer_epoch = epoch;
    batch.base_sequence = sequence;
    test_batch_encode(&batch, &bytes);
    replica_manager_append(c.brokers[broker_id].replicas, T, 0, (struct slice){bytes.data, (int32_t)bytes.size}, -1,
                           LOG_ORIGIN_CLIENT, 9, &info, &partition);
    byte_buffer_deinit(&bytes);
    return info.error_code;
}

static int16_t produce_to(int32_t broker_id, int32_t sequence, int16_t epoch, int32_t records) {
    return produce_as(PRODUCER, broker_id, sequence, epoch, records);
}

/* What a client does then: both again, in order. */
static void both_are_taken_in_order(int32_t broker_id) {
    ck_assert_int_eq(produce_to(broker_id, 0, 0, 4), KAFKA_NONE);
    ck_assert_int_eq(produce_to(broker_id, 4, 0, 5), KAFKA_NONE);
    ck_assert_int_eq(fake_log_end(&c, broker_id), 9);
}

/* By broker 1 while it is alone; then the other one is in sync. */
static void is_refused_while_too_few_are_in_sync(int32_t sequence, int32_t records) {
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, sequence, 0, records), KAFKA_NOT_ENOUGH_REPLICAS);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(fake_isr(&c), 12);
}

START_TEST(a_batch_does_not_go_before_one_that_came_when_the_topic_was_not_known_yet) {
    fake_cluster_create(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 0, 0, 4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(fake_log_end(&c, 1), 0);
    both_are_taken_in_order(1);
}
END_TEST

START_TEST(a_batch_does_not_go_before_one_that_came_when_another_led) {
    fake_cluster_create(&c, 2, 1);
    fake_cluster_lead(&c, 1, 12);
    fake_append(&c, 1, 10, -1); /* somebody else's */
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(produce_to(2, 0, 0, 4), KAFKA_NOT_LEADER_OR_FOLLOWER);
    fake_cluster_lead(&c, 2, 12);
    ck_assert_int_eq(produce_to(2, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(produce_to(2, 0, 0, 4), KAFKA_NONE);
    ck_assert_int_eq(produce_to(2, 4, 0, 5), KAFKA_NONE);
    ck_assert_int_eq(fake_log_end(&c, 2), 19);
}
END_TEST

START_TEST(a_batch_does_not_go_before_one_that_came_when_too_few_were_in_sync) {
    fake_cluster_create(&c, 2, 2);
    is_refused_while_too_few_are_in_sync(0, 4);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    both_are_taken_in_order(1);
}
END_TEST

START_TEST(a_batch_does_not_go_before_one_that_arrived_broken) {
    struct test_batch batch = test_batch_of(4);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    struct partition_runtime *partition;
    fake_cluster_create(&c, 1, 1);
    fake_cluster_lead(&c, 1, 1);
    batch.producer_id = PRODUCER;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    test_batch_encode(&batch, &bytes);
    bytes.data[bytes.size - 1] ^= 1;
    replica_manager_append(c.brokers[1].replicas, T, 0, (struct slice){bytes.data, (int32_t)bytes.size}, -1,
                           LOG_ORIGIN_CLIENT, 9, &info, &partition);
    byte_buffer_deinit(&bytes);
    ck_assert_int_eq(info.error_code, KAFKA_CORRUPT_MESSAGE);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    both_are_taken_in_order(1);
}
END_TEST

START_TEST(a_client_that_numbers_anew_under_the_next_epoch_is_taken) {
    fake_cluster_create(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 0, 0, 4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(produce_to(1, 0, 1, 9), KAFKA_NONE); /* as librdkafka does, with both batches in one */
    ck_assert_int_eq(produce_to(1, 9, 1, 1), KAFKA_NONE);
}
END_TEST

START_TEST(a_producer_that_nothing_was_refused_may_begin_anywhere) {
    fake_cluster_create(&c, 1, 1);
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 41, 0, 5), KAFKA_NONE); /* what it sent before may be deleted */
}
END_TEST

START_TEST(what_nobody_comes_back_for_goes_while_others_produce) {
    fake_cluster_create(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 0, 0, 4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION); /* and never again */
    fake_cluster_lead(&c, 1, 1);
    struct replica_manager *replicas = c.brokers[1].replicas;
    ck_assert_ptr_nonnull(replicas->refused.items);
    fake_cluster_run(&c, REFUSED_BATCHES_KEPT_MS + 1000);
    ck_assert_int_eq(produce_as(PRODUCER + 1, 1, 0, 0, 1), KAFKA_NONE);
    ck_assert_ptr_null(replicas->refused.items);
}
END_TEST

START_TEST(a_producer_the_log_knows_is_held_up_by_no_refusal_of_what_is_written_since) {
    fake_cluster_create(&c, 2, 1);
    fake_cluster_lead(&c, 1, 12);
    ck_assert_int_eq(produce_to(2, 0, 0, 4), KAFKA_NOT_LEADER_OR_FOLLOWER); /* it learns who leads, and goes there */
    both_are_taken_in_order(1);
    fake_cluster_run(&c, 1000);
    fake_cluster_lead(&c, 2, 12);
    ck_assert_int_eq(produce_to(2, 4, 0, 5), KAFKA_NONE); /* sent again: found in the log */
    ck_assert_int_eq(fake_log_end(&c, 2), 9);
    ck_assert_int_eq(produce_to(1, 9, 0, 1), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(produce_to(2, 9, 0, 1), KAFKA_NONE);
    ck_assert_int_eq(produce_to(2, 10, 0, 1), KAFKA_NONE);
    fake_cluster_run(&c, 1000);
    fake_cluster_lead(&c, 1, 12);
    ck_assert_int_eq(produce_to(1, 11, 0, 1), KAFKA_NONE);
    ck_assert_ptr_null(c.brokers[1].replicas->refused.items);
}
END_TEST

/* A gap that a refusal left is none for the client: it would number anew, and write twice what it has elsewhere. */
START_TEST(a_producer_the_log_knows_hears_of_a_gap_only_when_nothing_was_refused) {
    fake_cluster_create(&c, 2, 2);
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(produce_to(1, 0, 0, 4), KAFKA_NONE);
    ck_assert_int_eq(produce_to(1, 9, 0, 1), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    is_refused_while_too_few_are_in_sync(4, 5);
    ck_assert_int_eq(produce_to(1, 9, 0, 1), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NONE);
    ck_assert_int_eq(produce_to(1, 9, 0, 1), KAFKA_NONE);
    ck_assert_int_eq(produce_to(1, 11, 0, 1), KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(fake_log_end(&c, 1), 10);
}
END_TEST

START_TEST(a_client_that_gave_the_refused_batch_up_goes_on_after_a_minute) {
    fake_cluster_create(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 0, 0, 4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fake_cluster_lead(&c, 1, 1);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    fake_cluster_run(&c, REFUSED_BATCHES_KEPT_MS - 1000);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NOT_LEADER_OR_FOLLOWER);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(produce_to(1, 4, 0, 5), KAFKA_NONE);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(the_lowest_refused_sequence_counts_for_its_producer_epoch_and_partition_only),
        TEST(a_refusal_is_forgotten_when_nothing_sent_before_it_can_arrive_any_more),
        TEST(what_was_refused_for_a_topic_that_is_deleted_is_forgotten),
        TEST(beyond_the_bound_the_oldest_refusals_are_forgotten),
        TEST(a_batch_does_not_go_before_one_that_came_when_the_topic_was_not_known_yet),
        TEST(a_batch_does_not_go_before_one_that_came_when_another_led),
        TEST(a_batch_does_not_go_before_one_that_came_when_too_few_were_in_sync),
        TEST(a_batch_does_not_go_before_one_that_arrived_broken),
        TEST(a_client_that_numbers_anew_under_the_next_epoch_is_taken),
        TEST(a_producer_that_nothing_was_refused_may_begin_anywhere),
        TEST(what_nobody_comes_back_for_goes_while_others_produce),
        TEST(a_producer_the_log_knows_is_held_up_by_no_refusal_of_what_is_written_since),
        TEST(a_producer_the_log_knows_hears_of_a_gap_only_when_nothing_was_refused),
        TEST(a_client_that_gave_the_refused_batch_up_goes_on_after_a_minute),
    };
    return run_tests_with_fixture("refused_batches", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
