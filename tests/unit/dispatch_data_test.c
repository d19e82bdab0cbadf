/* Produce, Fetch and what surrounds them, through dispatch with a real log and without sockets. */
#include "broker/base/errors.h"
#include "replication/replica_manager_internal.h"
#include "tests/lib/faulty_disk.h"
#include "tests/lib/memory_disk.h"
#include "tests/unit/dispatch_requests.h"

static int32_t pair[] = {1, 2};

START_TEST(every_version_of_produce_and_fetch_carries_records) {
    start_leading(0);
    struct reply reply;
    int64_t end = 0;
    for (int16_t version = 3; version <= PRODUCE_REQUEST_VERSION_MAX; version++) {
        produce(&reply, version, -1, 1000, 2);
        struct produce_response_partition_produce_response part = produced(&reply, version);
        ck_assert_int_eq(part.error_code, 0);
        ck_assert_int_eq(part.base_offset, end);
        end += 2;
    }
    for (int16_t version = 0; version <= FETCH_REQUEST_VERSION_MAX; version++) {
        fetch(&reply, fetch_wish(version, 0));
        struct fetch_response response = fetched(&reply, version);
        ck_assert_int_eq(response.responses_count, 1);
        const struct fetch_response_partition_data *part = &response.responses[0].partitions[0];
        ck_assert_int_eq(part->error_code, 0);
        ck_assert_int_eq(part->high_watermark, end);
        ck_assert_int_gt(part->records.size, 0);
        /* The magic of the first batch or message says which format came. */
        ck_assert_int_eq(part->records.data[16], version < 2 ? 0 : version < 4 ? 1 : 2);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(acks_other_than_three_are_refused_and_acks_0_is_never_answered) {
    start_leading(0);
    struct reply reply;
    produce(&reply, 9, 2, 1000, 1);
    ck_assert_int_eq(produced(&reply, 9).error_code, KAFKA_INVALID_REQUIRED_ACKS);
    produce(&reply, 9, 0, 1000, 1);
    ck_assert(reply.is_silent);
    reply_free(&reply);
    produce_bytes(&reply, 9, 0, 1000, (struct slice){(const uint8_t *)"garbage", 7});
    ck_assert(reply.is_closed);
    reply_free(&reply);
    produce(&reply, 9, 1, 1000, 1);
    ck_assert_int_eq(produced(&reply, 9).base_offset, 1);
    fixture_finish();
}
END_TEST

/* Where records lie is known without reading; to convert them they are read. */
START_TEST(records_that_cannot_be_read_to_be_converted_cost_the_directory) {
    static const bool is_worker = true; /* who waits is of no interest here */
    struct memory_disk *memory = memory_disk_create();
    struct faulty_disk faulty;
    struct log_directory_info info;
    struct reply reply;
    faulty_disk_init(&faulty, &is_worker);
    faulty.inner = memory_disk_base(memory);
    fixture_disk = &faulty.base;
    start_leading(0);
    produce(&reply, 9, 1, 1000, 2);
    ck_assert_int_eq(produced(&reply, 9).error_code, KAFKA_NONE);
    faulty.broken = FIXTURE_DISK_DIRECTORY "/t-0";
    ck_assert_int_eq(fetch_code(fetch_wish(3, 0)), KAFKA_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(log_manager_directories(fx.logs, &info, 1), 1);
    ck_assert(info.is_offline);
    faulty.broken = NULL;
    fixture_finish();
    fixture_disk = NULL;
    memory_disk_destroy(memory);
}
END_TEST

START_TEST(null_records_are_answered_as_invalid) {
    start_leading(0);
    struct reply reply;
    for (int16_t version = 3; version <= PRODUCE_REQUEST_VERSION_MAX; version++) {
        produce_bytes(&reply, version, 1, 1000, SLICE_NULL);
        ck_assert_int_eq(produced(&reply, version).error_code, KAFKA_INVALID_RECORD);
    }
    fixture_finish();
}
END_TEST

START_TEST(acks_all_waits_for_the_follower_and_the_next_produce_does_not_wait_for_it) {
    fixture_start();
    become_leader("t", pair, 2, 0);
    struct reply first;
    struct reply second;
    produce(&first, 9, -1, 10000, 3);
    produce(&second, 9, -1, 10000, 2);
    memory_run(fx.world);
    ck_assert(!first.is_answered && !second.is_answered);
    struct fetch_wish wish = fetch_wish(12, 3);
    wish.replica_id = 2;
    ck_assert_int_eq(fetch_code(wish), 0);
    memory_run(fx.world);
    ck_assert(first.is_answered && !second.is_answered);
    ck_assert_int_eq(produced(&first, 9).base_offset, 0);
    wish.offset = 5;
    ck_assert_int_eq(fetch_code(wish), 0);
    memory_run(fx.world);
    struct produce_response_partition_produce_response part = produced(&second, 9);
    ck_assert_int_eq(part.error_code, 0);
    ck_assert_int_eq(part.base_offset, 3);
    fixture_finish();
}
END_TEST

START_TEST(acks_all_times_out_when_the_follower_stays_away) {
    fixture_start();
    become_leader("t", pair, 2, 0);
    struct reply reply;
    produce(&reply, 9, -1, 200, 1);
    memory_run_for(fx.world, 199);
    ck_assert(!reply.is_answered);
    memory_run_for(fx.world, 2);
    ck_assert_int_eq(produced(&reply, 9).error_code, KAFKA_REQUEST_TIMED_OUT);
    fixture_finish();
}
END_TEST

/* A fetch from the beginning that waits half a second for so many bytes. */
static struct fetch_wish long_poll(int16_t version, int32_t min_bytes) {
    struct fetch_wish wish = fetch_wish(version, 0);
    wish.max_wait_ms = 500;
    wish.min_bytes = min_bytes;
    return wish;
}

START_TEST(a_long_poll_ends_with_the_first_record_or_its_time) {
    start_leading(0);
    struct reply poll;
    struct fetch_wish wish = long_poll(12, 1);
    fetch(&poll, wish);
    memory_run_for(fx.world, 499);
    ck_assert(!poll.is_answered);
    memory_run_for(fx.world, 2);
    ck_assert_int_eq(fetched(&poll, 12).responses[0].partitions[0].records.size, 0);
    reply_free(&poll);
    fetch(&poll, wish);
    memory_run_for(fx.world, 10);
    ck_assert(!poll.is_answered);
    produce_records(1);
    memory_run(fx.world);
    ck_assert(poll.is_answered);
    ck_assert_int_gt(fetched(&poll, 12).responses[0].partitions[0].records.size, 0);
    reply_free(&poll);
    fixture_finish();
}
END_TEST

START_TEST(a_long_poll_waits_for_its_minimum_of_bytes) {
    start_leading(0);
    struct reply poll;
    fetch(&poll, long_poll(17, 200));
    produce_records(1);
    memory_run(fx.world);
    ck_assert(!poll.is_answered);
    produce_records(10);
    memory_run(fx.world);
    ck_assert_int_ge(fetched(&poll, 17).responses[0].partitions[0].records.size, 200);
    reply_free(&poll);
    fixture_finish();
}
END_TEST

/* It has one fetch at a time, and names its new partitions in the next. */
START_TEST(a_followers_long_poll_ends_when_the_broker_is_told_to_lead_more_and_the_next_is_short) {
    fixture_start();
    become_leader("t", pair, 2, 0);
    memory_run_for(fx.world, 2000);
    struct reply poll;
    struct fetch_wish wish = fetch_wish(12, 0);
    wish.replica_id = 2;
    open_session(&wish);
    wish.names_nothing = true;
    wish.session_epoch = 1;
    wish.max_wait_ms = 500;
    wish.min_bytes = 1;
    fetch(&poll, wish);
    memory_run_for(fx.world, 100);
    ck_assert(!poll.is_answered);
    become_leader("u", pair, 2, 0);
    memory_run(fx.world);
    ck_assert(poll.is_answered);
    ck_assert_int_eq(fetched(&poll, 12).responses_count, 0);
    reply_free(&poll);
    wish.session_epoch = 2;
    fetch(&poll, wish);
    memory_run_for(fx.world, 50);
    ck_assert(poll.is_answered);
    ck_assert_int_eq(fetched(&poll, 12).error_code, KAFKA_NONE);
    reply_free(&poll);
    fixture_finish();
}
END_TEST

START_TEST(a_session_leaves_out_what_has_nothing_new) {
    start_leading(0);
    struct reply reply;
    produce_records(1);
    struct fetch_wish wish = fetch_wish(12, 1);
    wish.session_epoch = 0;
    fetch(&reply, wish);
    struct fetch_response response = fetched(&reply, 12);
    int32_t session_id = response.session_id;
    ck_assert_int_ne(session_id, 0);
    ck_assert_int_eq(response.responses_count, 1);
    reply_free(&reply);
    wish.session_id = session_id;
    wish.session_epoch = 1;
    wish.names_nothing = true;
    fetch(&reply, wish);
    response = fetched(&reply, 12);
    ck_assert_int_eq(response.session_id, session_id);
    ck_assert_int_eq(response.responses_count, 0);
    reply_free(&reply);
    produce_records(1);
    memory_run(fx.world);
    wish.session_epoch = 2;
    fetch(&reply, wish);
    response = fetched(&reply, 12);
    ck_assert_int_eq(response.responses_count, 1);
    ck_assert_int_gt(response.responses[0].partitions[0].records.size, 0);
    reply_free(&reply);
    wish.session_epoch = 7;
    fetch(&reply, wish);
    response = fetched(&reply, 12);
    ck_assert_int_eq(response.error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    ck_assert_int_eq(response.session_id, 0);
    ck_assert_int_eq(response.responses_count, 0);
    reply_free(&reply);
    wish.session_id = session_id + 1;
    fetch(&reply, wish);
    ck_assert_int_eq(fetched(&reply, 12).error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

static struct fetch_response_partition_data next_of_session(struct fetch_wish *wish) {
    struct reply reply;
    wish->session_epoch++;
    fetch(&reply, *wish);
    struct fetch_response response = fetched(&reply, wish->version);
    ck_assert_int_eq(response.error_code, KAFKA_NONE);
    ck_assert_int_eq(response.responses_count, 1);
    struct fetch_response_partition_data part = response.responses[0].partitions[0];
    reply_free(&reply);
    return part;
}

/* Its entry keeps the partition it found, for as long as that is there and the image knows of it. */
START_TEST(a_session_looks_a_partition_up_again_that_went_or_that_the_image_forgot) {
    static int32_t alone[] = {1};
    start_leading(0);
    produce_records(1);
    struct fetch_wish wish = fetch_wish(12, 0);
    open_session(&wish);
    wish.names_nothing = true;
    ck_assert_int_gt(next_of_session(&wish).records.size, 0);
    ck_assert_int_eq(replica_manager_delete_replica(fx.replicas, STR_LITERAL("t"), 0), KAFKA_NONE);
    ck_assert_int_eq(next_of_session(&wish).error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    become_leader("t", alone, 1, 0);
    produce_records(5);
    struct fetch_response_partition_data part = next_of_session(&wish);
    ck_assert_int_eq(part.error_code, KAFKA_NONE);
    ck_assert_int_eq(part.high_watermark, 5);
    image_set_partition(fx.image, "t", TOPIC_ID, &(struct image_partition){.leader = IMAGE_LEADER_DURING_DELETE});
    ck_assert_int_eq(next_of_session(&wish).error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_finish();
}
END_TEST

START_TEST(what_a_fetch_both_names_and_forgets_is_forgotten_but_a_full_fetch_forgets_nothing) {
    start_leading(0);
    for (int16_t version = 12; version <= 13; version++) {
        struct reply reply;
        struct fetch_wish wish = fetch_wish(version, 0);
        wish.session_epoch = 0;
        wish.forgets = true;
        fetch(&reply, wish);
        struct fetch_response response = fetched(&reply, version);
        ck_assert_int_eq(response.responses_count, 1);
        wish.session_id = response.session_id;
        ck_assert_int_ne(wish.session_id, 0);
        reply_free(&reply);
        wish.session_epoch = 1;
        fetch(&reply, wish);
        ck_assert_int_eq(fetched(&reply, version).responses_count, 0);
        reply_free(&reply);
        wish.session_epoch = 2;
        fetch(&reply, wish);
        ck_assert_int_eq(fetched(&reply, version).error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(a_follower_is_told_the_high_watermark_its_own_fetch_moved) {
    fixture_start();
    become_leader("t", pair, 2, 0);
    struct reply reply;
    struct reply produce_reply;
    struct fetch_wish wish = fetch_wish(17, 0);
    wish.replica_id = 2;
    wish.session_epoch = 0;
    wish.max_wait_ms = 500;
    wish.min_bytes = 1;
    fetch(&reply, wish);
    memory_run_for(fx.world, 501);
    wish.session_id = fetched(&reply, 17).session_id;
    reply_free(&reply);
    for (int64_t round = 1; round <= 3; round++) {
        /* The records go to a long poll that names nothing; the fetch behind them says that they have arrived. */
        wish.session_epoch++;
        wish.names_nothing = true;
        fetch(&reply, wish);
        ck_assert(!reply.is_answered);
        produce(&produce_reply, 9, -1, 10000, 3);
        memory_run(fx.world);
        ck_assert_int_gt(fetched(&reply, 17).responses[0].partitions[0].records.size, 0);
        reply_free(&reply);
        wish.session_epoch++;
        wish.names_nothing = false;
        wish.offset = 3 * round;
        fetch(&reply, wish);
        memory_run(fx.world);
        ck_assert(produce_reply.is_answered);
        ck_assert(!reply.is_answered); /* records that come within a moment take it along */
        memory_run_for(fx.world, FETCH_NEWS_WAIT_MS);
        ck_assert(reply.is_answered);
        struct fetch_response response = fetched(&reply, 17);
        ck_assert_int_eq(response.responses_count, 1);
        ck_assert_int_eq(response.responses[0].partitions[0].records.size, 0);
        ck_assert_int_eq(response.responses[0].partitions[0].high_watermark, 3 * round);
        reply_free(&reply);
        reply_free(&produce_reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(records_take_along_the_high_watermark_that_a_follower_waits_for) {
    fixture_start();
    become_leader("t", pair, 2, 0);
    struct reply reply;
    struct reply produce_reply;
    struct fetch_wish wish = fetch_wish(17, 0);
    wish.replica_id = 2;
    wish.session_epoch = 0;
    wish.max_wait_ms = 500;
    wish.min_bytes = 1;
    fetch(&reply, wish);
    produce(&produce_reply, 9, -1, 10000, 3);
    memory_run(fx.world);
    for (int64_t round = 1; round <= 3; round++) {
        struct fetch_response response = fetched(&reply, 17);
        ck_assert_int_gt(response.responses[0].partitions[0].records.size, 0);
        ck_assert_int_eq(response.responses[0].partitions[0].high_watermark, 3 * (round - 1));
        wish.session_id = response.session_id;
        reply_free(&reply);
        wish.session_epoch++;
        wish.offset = 3 * round;
        fetch(&reply, wish);
        memory_run(fx.world);
        ck_assert(produce_reply.is_answered);
        ck_assert(!reply.is_answered);
        reply_free(&produce_reply);
        produce(&produce_reply, 9, -1, 10000, 3);
        memory_run(fx.world);
        ck_assert(reply.is_answered);
    }
    reply_free(&reply);
    fixture_finish();
    reply_free(&produce_reply);
}
END_TEST

START_TEST(what_cannot_be_fetched_is_said_per_partition) {
    start_leading(0);
    struct reply reply;
    fetch(&reply, fetch_wish(12, 5));
    struct fetch_response_partition_data part = fetched(&reply, 12).responses[0].partitions[0];
    ck_assert_int_eq(part.error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(part.high_watermark, -1);
    ck_assert_int_eq(part.aborted_transactions_count, -1);
    reply_free(&reply);
    struct fetch_wish wish = fetch_wish(12, 0);
    wish.wrong_name = true;
    fetch(&reply, wish);
    part = fetched(&reply, 12).responses[0].partitions[0];
    ck_assert_int_eq(part.error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(part.aborted_transactions_count, 0);
    reply_free(&reply);
    wish.version = 13;
    ck_assert_int_eq(fetch_code(wish), KAFKA_UNKNOWN_TOPIC_ID);
    wish = fetch_wish(12, 0);
    wish.isolation = 5;
    fetch(&reply, wish);
    ck_assert_int_eq(fetched(&reply, 12).error_code, KAFKA_UNKNOWN_SERVER_ERROR);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

static struct {
    task_callback *run;
    void *context;
} held_tasks[16];
static size_t held_count;
static void hold_task(struct clock *clock, task_callback *run, void *context) {
    (void)clock;
    CHECK(held_count < ARRAY_SIZE(held_tasks));
    held_tasks[held_count].run = run;
    held_tasks[held_count++].context = context;
}

/* The look that would find it is posted, and timers of the same turn may come first. */
START_TEST(a_fetch_whose_time_is_over_in_the_moment_its_partition_goes_says_so) {
    start_leading(0);
    produce_records(1);
    struct reply poll;
    fetch(&poll, long_poll(12, 100000));
    memory_run_for(fx.world, 10);
    ck_assert(!poll.is_answered);
    const struct clock_ops *ops = fx.clock->ops;
    struct clock_ops holding = *ops;
    holding.post = hold_task;
    fx.clock->ops = &holding;
    ck_assert_int_eq(replica_manager_delete_replica(fx.replicas, STR_LITERAL("t"), 0), KAFKA_NONE);
    ck_assert_uint_gt(held_count, 0);
    memory_run_for(fx.world, 500);
    fx.clock->ops = ops;
    for (size_t i = 0; i < held_count; i++) {
        clock_post(fx.clock, held_tasks[i].run, held_tasks[i].context);
    }
    memory_run(fx.world);
    ck_assert_int_eq(fetched(&poll, 12).responses[0].partitions[0].error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    reply_free(&poll);
    fixture_finish();
}
END_TEST

START_TEST(a_vanished_client_ends_its_wait) {
    start_leading(0);
    struct reply poll;
    struct fetch_wish wish = fetch_wish(12, 0);
    wish.max_wait_ms = 100000;
    wish.min_bytes = 1;
    fetch(&poll, wish);
    ck_assert_int_eq(dispatcher_in_flight(fx.dispatcher), 1);
    poll.exchange.is_abandoned = true;
    poll.exchange.on_abandoned(&poll.exchange);
    ck_assert(poll.is_answered);
    ck_assert_int_eq(dispatcher_in_flight(fx.dispatcher), 0);
    reply_free(&poll);
    fixture_finish();
}
END_TEST

static int64_t listed(int16_t version, int64_t timestamp, int copies, int16_t *ret_error) {
    struct reply reply;
    struct list_offsets_response_list_offsets_partition_response part =
        list_offsets(&reply, version, timestamp, 1, copies);
    *ret_error = part.error_code;
    int64_t offset = version == 0 ? (part.old_style_offsets_count > 0 ? part.old_style_offsets[0] : -1) : part.offset;
    reply_free(&reply);
    return offset;
}

START_TEST(list_offsets_knows_ends_times_and_its_own_versions) {
    start_leading(0);
    produce_records(4);
    int16_t error;
    int64_t first_ms = test_batch_of(1).timestamp;
    for (int16_t version = 0; version <= LIST_OFFSETS_REQUEST_VERSION_MAX; version++) {
        ck_assert_int_eq(listed(version, -1, 1, &error), 4);
        ck_assert_int_eq(error, 0);
        ck_assert_int_eq(listed(version, -2, 1, &error), 0);
        if (version > 0) { /* version 0 knows the times of segments only */
            ck_assert_int_eq(listed(version, first_ms + 2, 1, &error), 2);
            ck_assert_int_eq(listed(version, first_ms + 99, 1, &error), -1);
            ck_assert_int_eq(error, 0);
        }
        (void)listed(version, -3, 1, &error);
        ck_assert_int_eq(error, version >= 7 ? 0 : KAFKA_UNSUPPORTED_VERSION);
        (void)listed(version, -17, 1, &error);
        ck_assert_int_eq(error, KAFKA_UNSUPPORTED_VERSION);
        (void)listed(version, -1, 2, &error);
        ck_assert_int_eq(error, KAFKA_INVALID_REQUEST);
    }
    fixture_finish();
}
END_TEST

START_TEST(delete_records_raises_the_start_up_to_the_high_watermark) {
    start_leading(0);
    produce_records(4);
    static const struct {
        int64_t offset;
        int16_t error_code;
        int64_t low_watermark;
    } cases[] = {{2, 0, 2}, {1000, KAFKA_OFFSET_OUT_OF_RANGE, -1}, {-5, KAFKA_OFFSET_OUT_OF_RANGE, -1}, {-1, 0, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct delete_records_response_delete_records_partition_result part = delete_records(cases[i].offset);
        ck_assert_int_eq(part.error_code, cases[i].error_code);
        ck_assert_int_eq(part.low_watermark, cases[i].low_watermark);
    }
    int16_t error;
    ck_assert_int_eq(listed(1, -2, 1, &error), 4);
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(every_version_of_produce_and_fetch_carries_records),
        TEST(acks_other_than_three_are_refused_and_acks_0_is_never_answered),
        TEST(records_that_cannot_be_read_to_be_converted_cost_the_directory),
        TEST(null_records_are_answered_as_invalid),
        TEST(acks_all_waits_for_the_follower_and_the_next_produce_does_not_wait_for_it),
        TEST(acks_all_times_out_when_the_follower_stays_away),
        TEST(a_long_poll_ends_with_the_first_record_or_its_time),
        TEST(a_long_poll_waits_for_its_minimum_of_bytes),
        TEST(a_followers_long_poll_ends_when_the_broker_is_told_to_lead_more_and_the_next_is_short),
        TEST(a_session_leaves_out_what_has_nothing_new),
        TEST(a_session_looks_a_partition_up_again_that_went_or_that_the_image_forgot),
        TEST(what_a_fetch_both_names_and_forgets_is_forgotten_but_a_full_fetch_forgets_nothing),
        TEST(a_follower_is_told_the_high_watermark_its_own_fetch_moved),
        TEST(records_take_along_the_high_watermark_that_a_follower_waits_for),
        TEST(what_cannot_be_fetched_is_said_per_partition),
        TEST(a_fetch_whose_time_is_over_in_the_moment_its_partition_goes_says_so),
        TEST(a_vanished_client_ends_its_wait),
        TEST(list_offsets_knows_ends_times_and_its_own_versions),
        TEST(delete_records_raises_the_start_up_to_the_high_watermark),
    };
    return run_tests("dispatch data", tests, sizeof tests / sizeof tests[0]);
}
