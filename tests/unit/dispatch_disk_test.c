/* Disks that fail under a request or under a loader: the directory is given up, so that another broker takes over. */
#include "generated/protocol/list_offsets.h"
#include "tests/lib/faulty_disk.h"
#include "tests/lib/memory_disk.h"
#include "tests/unit/dispatch_groups_fixture.h"

static const bool is_worker = true; /* who waits is of no interest here */
static struct memory_disk *memory;
static struct faulty_disk faulty;

static void set_up(void) {
    memory = memory_disk_create();
    faulty_disk_init(&faulty, &is_worker);
    faulty.inner = memory_disk_base(memory);
    fixture_disk = &faulty.base;
}

static void tear_down(void) {
    faulty.broken = NULL;
    fixture_finish();
    reply_free(&last);
    fixture_disk = NULL;
    memory_disk_destroy(memory);
}

static bool is_given_up(void) {
    struct log_directory_info info;
    ck_assert_int_eq(log_manager_directories(fx.logs, &info, 1), 1);
    return info.is_offline;
}

static int16_t list_offset(int64_t timestamp) {
    struct list_offsets_request request;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition partition;
    struct list_offsets_response response;
    struct reply reply;
    list_offsets_request_init(&request);
    list_offsets_request_list_offsets_topic_init(&topic);
    list_offsets_request_list_offsets_partition_init(&partition);
    partition.timestamp = timestamp;
    request.replica_id = -1;
    topic.name = T;
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    SEND(list_offsets, API_LIST_OFFSETS, 7, &reply, &request);
    DECODE(list_offsets, API_LIST_OFFSETS, 7, &reply, &response);
    int16_t error = response.topics[0].partitions[0].error_code;
    reply_free(&reply);
    return error;
}

static void write_records(void) {
    struct test_batch batch = test_batch_of(10);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    struct partition_runtime *partition;
    test_batch_encode(&batch, &bytes);
    replica_manager_append(fx.replicas, T, 0, (struct slice){bytes.data, (int32_t)bytes.size}, 1, LOG_ORIGIN_CLIENT, 9,
                           &info, &partition);
    ck_assert_int_eq(info.error_code, KAFKA_NONE);
    byte_buffer_deinit(&bytes);
}

static void search_on_a_broken_disk(int64_t timestamp) {
    fixture_start();
    become_leader("t", alone, 1, 1);
    write_records();
    ck_assert_int_eq(list_offset(timestamp), KAFKA_NONE);
    faulty.broken = FIXTURE_DISK_DIRECTORY "/t-0";
    ck_assert_int_eq(list_offset(timestamp), KAFKA_STORAGE_ERROR);
    ck_assert(is_given_up());
    ck_assert_int_eq(list_offset(-1), KAFKA_STORAGE_ERROR); /* and nothing is served from there any more */
}

START_TEST(a_search_by_time_that_cannot_read_gives_the_directory_up) {
    search_on_a_broken_disk(1);
}
END_TEST

START_TEST(so_does_one_for_the_latest_time) {
    search_on_a_broken_disk(-3);
}
END_TEST

#define GROUP_LOG FIXTURE_DISK_DIRECTORY "/__consumer_offsets-0/00000000000000000000.log"
/* More than a log remembers where they lie: it has to read to find the first of them. */
#define COMMITS_BEYOND_MEMORY 100

/* The coordinator of a group loses its partition after so many commits, and gets it again. */
static void load_again(int commits, const char *broken) {
    coordinate();
    for (int i = 1; i <= commits; i++) {
        ck_assert_int_eq(commit(G, NOBODY, -1, T, i, NOBODY), KAFKA_NONE);
    }
    lose_partition(2);
    memory_run(fx.world);
    faulty.broken = broken;
    become_leader("__consumer_offsets", alone, 1, 3);
    memory_run(fx.world);
}

static void load_from_a_broken_disk(int commits) {
    int16_t error;
    load_again(commits, GROUP_LOG);
    ck_assert(is_given_up());
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert_int_eq(error, KAFKA_NOT_COORDINATOR); /* go and find the next one, not "still loading" */
    memory_run_for(fx.world, 60000);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 0);
    ck_assert_int_eq(group_runtime_counts(fx.groups)->loading, 0);
}

START_TEST(a_loader_whose_read_fails_gives_the_directory_up) {
    load_from_a_broken_disk(1);
}
END_TEST

START_TEST(so_does_one_that_cannot_find_where_to_read) {
    load_from_a_broken_disk(COMMITS_BEYOND_MEMORY);
}
END_TEST

START_TEST(the_same_loader_serves_while_the_disk_does) {
    int16_t error;
    load_again(COMMITS_BEYOND_MEMORY, NULL);
    ck_assert(!is_given_up());
    ck_assert_int_eq(fetch(G, false, &error), COMMITS_BEYOND_MEMORY);
    ck_assert_int_eq(error, KAFKA_NONE);
    const struct group_runtime_counts *counts = group_runtime_counts(fx.groups);
    ck_assert_int_eq(counts->loads, 2);
    ck_assert_int_eq(counts->loading, 0);
    ck_assert_int_eq(counts->offsets, 1);
    ck_assert_int_eq(counts->by_state[GROUP_EMPTY], 1);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_search_by_time_that_cannot_read_gives_the_directory_up),
        TEST(so_does_one_for_the_latest_time),
        TEST(a_loader_whose_read_fails_gives_the_directory_up),
        TEST(so_does_one_that_cannot_find_where_to_read),
        TEST(the_same_loader_serves_while_the_disk_does),
    };
    return run_tests_with_fixture("dispatch_disk", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
