/* The records of __consumer_offsets: what Kafka wrote is read, and written anew byte for byte; and the table of
 * committed offsets that comes of it. */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/group/group_records.h"
#include "broker/protocol/batch_builder.h"
#include "broker/protocol/record_batch.h"
#include "tests/lib/runner.h"

#define RECORDED "tests/recordings/disk/clean/__consumer_offsets-*/*.log"

static struct arena arena;
static struct offsets offsets;

static void set_up(void) {
    arena_init(&arena, SIZE_MAX);
    offsets = (struct offsets){0};
}
static void tear_down(void) {
    offsets_deinit(&offsets);
    arena_deinit(&arena);
}

/* ---- Recordings ---- */

struct tally {
    int batches;
    int offsets;
    int groups;
    int tombstones;
    int markers;
};

static void check_bytes(struct slice made, const uint8_t *recorded, int32_t size) {
    ck_assert_int_eq(made.size, size);
    ck_assert_mem_eq(made.data, recorded, (size_t)size);
}

static void check_group(const struct group_record *record, const struct record_view *view) {
    static const struct group_limits limits = {.size_max = INT32_MAX};
    struct group group;
    group_init(&group, record->group, &limits);
    group_load(&group, record->generation, record->protocol_type, record->protocol, record->leader,
               record->state_timestamp_ms);
    for (int32_t i = 0; i < record->member_count; i++) {
        group_load_member(&group, &record->members[i]);
    }
    check_bytes(group_record_group_value(&arena, &group, false), view->value, view->value_size);
    group_deinit(&group);
}

static void check_record(const struct record_view *view, struct tally *tally) {
    struct group_record record;
    ck_assert_int_eq(group_record_decode(view, &arena, &record), 0);
    ck_assert_int_ne(record.type, GROUP_RECORD_UNKNOWN);
    bool is_offset = record.type == GROUP_RECORD_OFFSET;
    check_bytes(is_offset ? group_record_offset_key(&arena, record.group, record.topic, record.partition)
                          : group_record_group_key(&arena, record.group),
                view->key, view->key_size);
    if (record.is_tombstone) {
        tally->tombstones++;
    } else if (is_offset) {
        tally->offsets++;
        check_bytes(group_record_offset_value(&arena, &record.commit), view->value, view->value_size);
    } else {
        tally->groups++;
        check_group(&record, view);
    }
}

/* The batch as we would build it: equal but for what the log assigns. */
static void check_batch(const uint8_t *batch, const struct record_batch *header, struct tally *tally) {
    struct byte_buffer buffer = {0};
    struct batch_builder builder;
    struct record_iterator iterator;
    struct record_view view;
    batch_builder_begin(&builder, &buffer, header->base_timestamp);
    record_iterator_begin_memory(&iterator, (struct slice){batch + BATCH_HEADER_SIZE, header->size - BATCH_HEADER_SIZE},
                                 header->record_count);
    int commits = tally->offsets;
    while (record_iterator_next(&iterator, &view) == 1) {
        check_record(&view, tally);
        batch_builder_add(&builder, (struct slice){view.key, view.key_size},
                          (struct slice){view.value, view.value_size});
    }
    builder.base_sequence = tally->offsets > commits ? 0 : -1;
    struct slice built = batch_builder_finish(&builder);
    tally->batches++;
    struct record_batch own;
    ck_assert_int_eq(record_batch_decode(built.data, (size_t)built.size, &own), 0);
    ck_assert(record_batch_crc_is_valid(built, &own));
    ck_assert_int_eq(built.size, header->size);
    if (!record_batch_is_transactional(header)) {
        ck_assert_mem_eq(built.data + BATCH_AT_ATTRIBUTES, batch + BATCH_AT_ATTRIBUTES,
                         (size_t)(header->size - BATCH_AT_ATTRIBUTES));
    }
    ck_assert_mem_eq(built.data + BATCH_AT_RECORD_COUNT, batch + BATCH_AT_RECORD_COUNT,
                     (size_t)(header->size - BATCH_AT_RECORD_COUNT));
    byte_buffer_deinit(&buffer);
}

static void check_file(const char *path, struct tally *tally) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    static uint8_t bytes[1024 * 1024];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    ck_assert(size < sizeof bytes);
    fclose(file);
    struct record_batch header;
    for (size_t at = 0; at < size && record_batch_decode(bytes + at, size - at, &header) == 0;
         at += (size_t)header.size) {
        if (record_batch_is_control(&header)) {
            struct end_transaction_marker marker;
            ck_assert_int_eq(record_batch_marker((struct slice){bytes + at, header.size}, &header, &marker), 0);
            tally->markers++;
        } else {
            check_batch(bytes + at, &header, tally);
        }
    }
}

START_TEST(recorded_records_are_read_and_written_byte_for_byte) {
    glob_t found;
    struct tally tally = {0};
    ck_assert_int_eq(glob(RECORDED, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        check_file(found.gl_pathv[i], &tally);
    }
    globfree(&found);
    printf("recorded batches %d: offsets %d, groups %d, tombstones %d, markers %d\n", tally.batches, tally.offsets,
           tally.groups, tally.tombstones, tally.markers);
    ck_assert_int_gt(tally.offsets, 0);
    ck_assert_int_gt(tally.groups, 0);
    ck_assert_int_gt(tally.tombstones, 0);
    ck_assert_int_gt(tally.markers, 0);
}
END_TEST

/* ---- Versions Kafka once wrote ---- */

static struct group_record decode(const void *key, int32_t key_size, const void *value, int32_t value_size,
                                  int expected) {
    const struct record_view view = {.key = key, .key_size = key_size, .value = value, .value_size = value_size};
    struct group_record record;
    ck_assert_int_eq(group_record_decode(&view, &arena, &record), expected);
    return record;
}
#define KEY_V0 "\0\0\0\1g\0\1t\0\0\0\7"

START_TEST(offset_values_of_every_version_are_read) {
    static const char v0[] = "\0\0\0\0\0\0\0\0\0\5\0\1m\0\0\0\0\0\0\0\11";
    static const char v1[] = "\0\1\0\0\0\0\0\0\0\5\0\1m\0\0\0\0\0\0\0\11\0\0\0\0\0\0\0\12";
    static const char v3[] = "\0\3\0\0\0\0\0\0\0\5\0\0\0\2\0\1m\0\0\0\0\0\0\0\11";
    static const char v4[] = "\0\4\0\0\0\0\0\0\0\5\0\0\0\2\2m\0\0\0\0\0\0\0\11\0";
    struct group_record record = decode(KEY_V0, sizeof KEY_V0 - 1, v0, sizeof v0 - 1, 0);
    ck_assert_int_eq(record.partition, 7);
    ck_assert_int_eq(record.commit.offset, 5);
    ck_assert_int_eq(record.commit.leader_epoch, -1);
    ck_assert_int_eq(record.commit.expire_timestamp_ms, -1);
    record = decode(KEY_V0, sizeof KEY_V0 - 1, v1, sizeof v1 - 1, 0);
    ck_assert_int_eq(record.commit.expire_timestamp_ms, 10);
    record = decode(KEY_V0, sizeof KEY_V0 - 1, v3, sizeof v3 - 1, 0);
    ck_assert_int_eq(record.commit.leader_epoch, 2);
    record = decode(KEY_V0, sizeof KEY_V0 - 1, v4, sizeof v4 - 1, 0);
    ck_assert_int_eq(record.commit.leader_epoch, 2);
    ck_assert(str_equal_text(record.commit.metadata, "m"));
}
END_TEST

START_TEST(a_retention_the_client_asked_for_is_written_as_version_1) {
    struct committed_offset commit = {.offset = 5, .metadata = STR_LITERAL(""), .expire_timestamp_ms = 99};
    struct slice value = group_record_offset_value(&arena, &commit);
    ck_assert_int_eq(load_i16(value.data), 1);
    commit.expire_timestamp_ms = -1;
    ck_assert_int_eq(load_i16(group_record_offset_value(&arena, &commit).data), 3);
}
END_TEST

START_TEST(keys_of_versions_nobody_knows_and_cut_records_are_told_apart) {
    struct group_record record = decode("\0\11abc", 5, "\0\0", 2, 0);
    ck_assert_int_eq(record.type, GROUP_RECORD_UNKNOWN);
    decode("\0\1\0\5g", 5, "\0\3", 2, ERR_CORRUPT);
    decode(KEY_V0, sizeof KEY_V0 - 1, "\0\11", 2, ERR_CORRUPT);
    decode("\0", 1, NULL, -1, ERR_CORRUPT);
}
END_TEST

/* ---- Offsets ---- */

static struct committed_offset at(int64_t offset) {
    return (struct committed_offset){.offset = offset,
                                     .leader_epoch = 3,
                                     .metadata = STR_LITERAL("meta"),
                                     .commit_timestamp_ms = 1000,
                                     .expire_timestamp_ms = -1};
}
#define T STR_LITERAL("t")

static int64_t committed(int32_t partition) {
    struct committed_offset found;
    return offsets_find(&offsets, T, partition, &found) ? found.offset : -1;
}

START_TEST(a_commit_is_seen_once_its_record_is_replicated) {
    struct committed_offset five = at(5);
    offsets_stage(&offsets, T, 0);
    ck_assert_int_eq(committed(0), -1);
    ck_assert(!offsets_are_stable(&offsets, T, 0) && !offsets_are_empty(&offsets));
    offsets_settle(&offsets, T, 0, &five, 10);
    ck_assert_int_eq(committed(0), 5);
    ck_assert(offsets_are_stable(&offsets, T, 0));
    struct committed_offset found;
    ck_assert(offsets_find(&offsets, T, 0, &found) && str_equal_text(found.metadata, "meta"));
}
END_TEST

START_TEST(a_commit_that_failed_leaves_what_was_there) {
    struct committed_offset five = at(5);
    offsets_apply(&offsets, T, 0, &five, 10);
    offsets_stage(&offsets, T, 0);
    offsets_settle(&offsets, T, 0, NULL, -1);
    ck_assert_int_eq(committed(0), 5);
    offsets_stage(&offsets, T, 1);
    offsets_settle(&offsets, T, 1, NULL, -1);
    ck_assert_int_eq(offsets.count, 1);
}
END_TEST

START_TEST(the_newest_record_counts_in_whatever_order_writes_end) {
    struct committed_offset five = at(5);
    struct committed_offset six = at(6);
    offsets_stage(&offsets, T, 0);
    offsets_stage(&offsets, T, 0);
    offsets_settle(&offsets, T, 0, &six, 11);
    offsets_settle(&offsets, T, 0, &five, 10);
    ck_assert_int_eq(committed(0), 6);
}
END_TEST

START_TEST(a_commit_before_a_tombstone_does_not_come_back_when_it_is_replicated) {
    struct committed_offset five = at(5);
    offsets_stage(&offsets, T, 0);
    ck_assert(!offsets_apply(&offsets, T, 0, NULL, 11));
    offsets_settle(&offsets, T, 0, &five, 10);
    ck_assert_int_eq(committed(0), -1);
    ck_assert(offsets_are_empty(&offsets));
}
END_TEST

START_TEST(offsets_of_a_transaction_wait_for_its_marker) {
    struct committed_offset five = at(5);
    struct committed_offset six = at(6);
    offsets_apply(&offsets, T, 0, &five, 10);
    offsets_stage_transactional(&offsets, 77, T, 0, &six, 11);
    ck_assert_int_eq(committed(0), 5);
    ck_assert(!offsets_are_stable(&offsets, T, 0) && offsets_are_stable(&offsets, T, 1));
    offsets_end_transaction(&offsets, 77, true);
    ck_assert_int_eq(committed(0), 6);
    offsets_stage_transactional(&offsets, 77, T, 0, &five, 12);
    offsets_end_transaction(&offsets, 77, false);
    ck_assert_int_eq(committed(0), 6);
    ck_assert(offsets_are_stable(&offsets, T, 0));
}
END_TEST

static int expired_count;
static void count_expired(void *context, struct str topic, int32_t partition, const struct committed_offset *commit) {
    (void)context, (void)topic, (void)partition, (void)commit;
    expired_count++;
}
static bool is_t(void *context, struct str topic) {
    (void)context;
    return str_equal(topic, T);
}
static int expired(enum offsets_age age, int64_t now_ms, int64_t empty_since_ms) {
    const struct offsets_retention retention = {
        .age = age, .now_ms = now_ms, .retention_ms = 100, .empty_since_ms = empty_since_ms, .is_subscribed = is_t};
    expired_count = 0;
    offsets_each_expired(&offsets, &retention, count_expired, NULL);
    return expired_count;
}

START_TEST(kip_211_retention_counts_from_the_end_of_the_group_or_from_the_commit) {
    struct committed_offset five = at(5); /* committed at 1000 */
    offsets_apply(&offsets, T, 0, &five, 10);
    offsets_apply(&offsets, STR_LITERAL("u"), 0, &five, 11);
    ck_assert_int_eq(expired(OFFSETS_KEPT, 9999, -1), 0);
    ck_assert_int_eq(expired(OFFSETS_SINCE_EMPTY, 1499, 1400), 0);
    ck_assert_int_eq(expired(OFFSETS_SINCE_EMPTY, 1500, 1400), 2);
    ck_assert_int_eq(expired(OFFSETS_SINCE_EMPTY, 1100, -1), 2);
    ck_assert_int_eq(expired(OFFSETS_SINCE_COMMIT, 1099, -1), 0);
    ck_assert_int_eq(expired(OFFSETS_SINCE_COMMIT, 1100, -1), 2);
    ck_assert_int_eq(expired(OFFSETS_UNSUBSCRIBED, 1100, -1), 1); /* u, which nobody reads any more */
    offsets_stage(&offsets, T, 0);
    ck_assert_int_eq(expired(OFFSETS_SINCE_COMMIT, 1100, -1), 1); /* one is being committed anew */
}
END_TEST

START_TEST(a_retention_given_by_the_client_is_the_one_that_counts) {
    struct committed_offset five = at(5);
    five.expire_timestamp_ms = 5000;
    offsets_apply(&offsets, T, 0, &five, 10);
    ck_assert_int_eq(expired(OFFSETS_SINCE_COMMIT, 4999, -1), 0);
    ck_assert_int_eq(expired(OFFSETS_SINCE_COMMIT, 5000, -1), 1);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(recorded_records_are_read_and_written_byte_for_byte),
        TEST(offset_values_of_every_version_are_read),
        TEST(a_retention_the_client_asked_for_is_written_as_version_1),
        TEST(keys_of_versions_nobody_knows_and_cut_records_are_told_apart),
        TEST(a_commit_is_seen_once_its_record_is_replicated),
        TEST(a_commit_that_failed_leaves_what_was_there),
        TEST(the_newest_record_counts_in_whatever_order_writes_end),
        TEST(a_commit_before_a_tombstone_does_not_come_back_when_it_is_replicated),
        TEST(offsets_of_a_transaction_wait_for_its_marker),
        TEST(kip_211_retention_counts_from_the_end_of_the_group_or_from_the_commit),
        TEST(a_retention_given_by_the_client_is_the_one_that_counts),
    };
    return run_tests_with_fixture("group_records", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
