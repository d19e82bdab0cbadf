/* Answers of every size: those that fit into a block of the arena are encoded in one walk, longer ones and those with
 * many file regions in two. Nobody can tell from the answer which it was, nor from the counts. */
#include <stdio.h>

#include "tests/unit/dispatch_requests.h"

#define VERSION 11
#define PARTS_MAX 2000
#define TOPICS 40

static int64_t errors_counted(int16_t key, int16_t code) {
    int32_t count;
    const struct api_row *rows = dispatch_rows(&count);
    return dispatcher_counters(fx.dispatcher, (int32_t)(dispatch_row(key) - rows))->errors[code + 1];
}

/* Fetches so many partitions that the topic has not. */
static struct fetch_response fetch_unknown(struct reply *reply, int32_t count) {
    static struct fetch_request_fetch_partition partitions[PARTS_MAX];
    struct fetch_one one;
    fetch_one_init(&one, 0);
    for (int32_t i = 0; i < count; i++) {
        partitions[i] = one.partition;
        partitions[i].partition = i + 1;
    }
    one.topic.partitions = partitions;
    one.topic.partitions_count = count;
    SEND(fetch, API_FETCH, VERSION, reply, &one.request);
    return fetched(reply, VERSION);
}

START_TEST(an_answer_of_any_size_is_whole_and_its_error_codes_are_counted_once) {
    static const int32_t counts[] = {1, 8, 100, 250, 500, 1000, PARTS_MAX};
    start_leading(0);
    int64_t errors = 0;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        struct reply reply;
        struct fetch_response response = fetch_unknown(&reply, counts[i]);
        ck_assert_int_eq(response.responses_count, 1);
        ck_assert_int_eq(response.responses[0].partitions_count, counts[i]);
        for (int32_t k = 0; k < counts[i]; k++) {
            ck_assert_int_eq(response.responses[0].partitions[k].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        }
        reply_free(&reply);
        errors += counts[i];
        ck_assert_int_eq(errors_counted(API_FETCH, KAFKA_UNKNOWN_TOPIC_OR_PARTITION), errors);
    }
    fixture_finish();
}
END_TEST

static void produce_to(const char *topic, int32_t records) {
    struct reply reply;
    struct produce_one one;
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(records);
    test_batch_encode(&batch, &bytes);
    produce_one_init(&one, str_from(topic), 1, 1000, slice_of_buffer(&bytes));
    SEND(produce, API_PRODUCE, 9, &reply, &one.request);
    ck_assert_int_eq(produced(&reply, 9).error_code, KAFKA_NONE);
    byte_buffer_deinit(&bytes);
}

START_TEST(an_answer_has_its_regions_however_many_they_are) {
    static int32_t alone[] = {1};
    static struct fetch_request_fetch_topic topics[TOPICS];
    char names[TOPICS][16];
    struct fetch_one one;
    fetch_one_init(&one, 0);
    one.partition.partition_max_bytes = 1 << 20;
    one.request.max_bytes = 1 << 24;
    fixture_start();
    for (int32_t i = 0; i < TOPICS; i++) {
        snprintf(names[i], sizeof names[i], "t-%d", i);
        become_leader(names[i], alone, 1, 0);
        produce_to(names[i], i + 1);
        topics[i] = one.topic;
        topics[i].topic = str_from(names[i]);
        topics[i].partitions = &one.partition;
        topics[i].partitions_count = 1;
    }
    for (int32_t count = 1; count <= TOPICS; count++) {
        struct reply reply;
        one.request.topics = topics;
        one.request.topics_count = count;
        SEND(fetch, API_FETCH, VERSION, &reply, &one.request);
        struct fetch_response response = fetched(&reply, VERSION);
        ck_assert_int_eq(response.responses_count, count);
        for (int32_t i = 0; i < count; i++) {
            const struct fetch_response_partition_data *part = &response.responses[i].partitions[0];
            ck_assert_int_eq(part->error_code, KAFKA_NONE);
            ck_assert_int_gt(part->records.size, BATCH_HEADER_SIZE);
            ck_assert_int_eq(load_i32(part->records.data + BATCH_AT_RECORD_COUNT), i + 1);
        }
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(an_answer_of_any_size_is_whole_and_its_error_codes_are_counted_once),
        TEST(an_answer_has_its_regions_however_many_they_are),
    };
    return run_tests("dispatch answer", tests, sizeof tests / sizeof tests[0]);
}
