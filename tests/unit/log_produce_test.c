/* What a leader answers to good and bad batches (zookeeper-mode.md 4.12 and 7.1), and what it then stores. */
#include <check.h>
#include <stdlib.h>
#include <zlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/message_set.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

static struct test_clock test_time;
static char *directory;
static struct log_config config;
static struct log *test_log;

static void open_log(void) {
    test_clock_init(&test_time, 1700000100000);
    config = test_log_config();
    directory = test_directory_create();
    test_log = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
}

static void close_log(void) {
    log_destroy(test_log);
    test_directory_remove(directory);
    free(directory);
}

static struct log_append_info produce_as(const struct byte_buffer *bytes, int16_t version,
                                         enum log_append_origin origin) {
    struct log_append_info info;
    struct slice records = {bytes->data, (int32_t)bytes->size};
    int error = log_append_as_leader(test_log, records, 3, origin, version, test_time.wall_ms, &info);
    ck_assert_int_eq(error, 0);
    return info;
}

static struct log_append_info produce(const struct byte_buffer *bytes, int16_t version) {
    return produce_as(bytes, version, LOG_ORIGIN_CLIENT);
}

/* A batch of three with one change made to its bytes; answers the error code. */
typedef void change(struct byte_buffer *bytes);

static int16_t code_after(change *make_bad, bool fix_crc) {
    struct test_batch batch = test_batch_of(3);
    struct byte_buffer bytes = {0};
    test_batch_encode(&batch, &bytes);
    int32_t size = (int32_t)bytes.size;
    make_bad(&bytes);
    if (fix_crc) {
        record_batch_update_crc(bytes.data, size);
    }
    int64_t end = log_end_offset(test_log);
    struct log_append_info info = produce(&bytes, 9);
    ck_assert_int_eq(log_end_offset(test_log), info.error_code == 0 ? end + 3 : end);
    byte_buffer_deinit(&bytes);
    return info.error_code;
}

static void no_change(struct byte_buffer *b) {
    (void)b;
}
static void flip_record(struct byte_buffer *b) {
    b->data[b->size - 1] ^= 1;
}
static void magic_3(struct byte_buffer *b) {
    b->data[BATCH_AT_MAGIC] = 3;
}
static void magic_1(struct byte_buffer *b) {
    b->data[BATCH_AT_MAGIC] = 1;
}
static void cut(struct byte_buffer *b) {
    b->size -= 4;
}
static void empty(struct byte_buffer *b) {
    b->size = 0;
}
static void twice(struct byte_buffer *b) {
    size_t size = b->size;
    byte_buffer_reserve(b, size);
    byte_buffer_append(b, b->data, size);
}
static void base_offset_5(struct byte_buffer *b) {
    store_i64(b->data, 5);
}
static void count_2(struct byte_buffer *b) {
    store_i32(b->data + BATCH_AT_RECORD_COUNT, 2);
}
static void count_0(struct byte_buffer *b) {
    store_i32(b->data + BATCH_AT_RECORD_COUNT, 0);
}
static void two_of_three(struct byte_buffer *b) {
    store_i32(b->data + BATCH_AT_RECORD_COUNT, 2);
    store_i32(b->data + BATCH_AT_LAST_OFFSET_DELTA, 1);
}
static void four_of_three(struct byte_buffer *b) {
    store_i32(b->data + BATCH_AT_RECORD_COUNT, 4);
    store_i32(b->data + BATCH_AT_LAST_OFFSET_DELTA, 3);
}
static void control(struct byte_buffer *b) {
    b->data[BATCH_AT_ATTRIBUTES + 1] |= BATCH_CONTROL;
}
static void producer_without_sequence(struct byte_buffer *b) {
    store_i64(b->data + BATCH_AT_PRODUCER_ID, 7);
}
static void codec_6(struct byte_buffer *b) {
    b->data[BATCH_AT_ATTRIBUTES + 1] |= 6;
}
static void not_gzip(struct byte_buffer *b) {
    b->data[BATCH_AT_ATTRIBUTES + 1] |= 1;
}
static void wrong_max_timestamp(struct byte_buffer *b) {
    store_i64(b->data + BATCH_AT_MAX_TIMESTAMP, 17);
}
static void append_time_bit(struct byte_buffer *b) {
    b->data[BATCH_AT_ATTRIBUTES + 1] |= BATCH_LOG_APPEND_TIME;
}
static void unused_bits(struct byte_buffer *b) {
    b->data[BATCH_AT_ATTRIBUTES] |= 0x41;
}
static void negative_length(struct byte_buffer *b) {
    store_i32(b->data + BATCH_AT_LENGTH, -1);
}
static void record_too_long(struct byte_buffer *b) {
    b->data[BATCH_HEADER_SIZE] += 2;
}

START_TEST(bad_batches_are_answered_as_kafka_answers_them) {
    static const struct {
        change *make_bad;
        bool fix_crc;
        int16_t code;
    } rows[] = {
        {no_change, false, KAFKA_NONE},
        {flip_record, false, KAFKA_CORRUPT_MESSAGE},
        {magic_3, false, KAFKA_CORRUPT_MESSAGE},
        {magic_1, false, KAFKA_INVALID_RECORD},
        {cut, false, KAFKA_INVALID_RECORD},
        {empty, false, KAFKA_INVALID_RECORD},
        {twice, false, KAFKA_INVALID_RECORD},
        {base_offset_5, false, KAFKA_INVALID_RECORD},
        {negative_length, false, KAFKA_CORRUPT_MESSAGE},
        {count_2, true, KAFKA_INVALID_RECORD},
        {count_0, true, KAFKA_INVALID_RECORD},
        {two_of_three, true, KAFKA_INVALID_RECORD},
        {four_of_three, true, KAFKA_INVALID_RECORD},
        {control, true, KAFKA_INVALID_RECORD},
        {producer_without_sequence, true, KAFKA_INVALID_RECORD},
        {record_too_long, true, KAFKA_INVALID_RECORD},
        {codec_6, true, KAFKA_UNKNOWN_SERVER_ERROR},
        {not_gzip, true, KAFKA_UNKNOWN_SERVER_ERROR},
        {wrong_max_timestamp, true, KAFKA_NONE},
        {append_time_bit, true, KAFKA_NONE},
        {unused_bits, true, KAFKA_NONE},
    };
    open_log();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int16_t code = code_after(rows[i].make_bad, rows[i].fix_crc);
        ck_assert_msg(code == rows[i].code, "row %zu: %s instead of %s", i, kafka_error_name(code),
                      kafka_error_name(rows[i].code));
    }
    struct log_append_info info;
    ck_assert_int_eq(log_append_as_leader(test_log, SLICE_NULL, 3, LOG_ORIGIN_CLIENT, 9, 0, &info), 0);
    ck_assert_int_eq(info.error_code, KAFKA_INVALID_RECORD);
    close_log();
}
END_TEST

START_TEST(settings_of_the_topic_refuse_what_they_must) {
    open_log();
    struct test_batch batch = test_batch_of(2);
    batch.null_keys = true;
    config.compact = true;
    log_set_config(test_log, &config);
    struct log_append_info info = test_append(test_log, &batch);
    ck_assert_int_eq(info.error_code, KAFKA_INVALID_RECORD);
    ck_assert_int_eq(info.record_error_index, 0);
    config.compact = false;
    config.message_timestamp_before_max_ms = 1000;
    log_set_config(test_log, &config);
    ck_assert_int_eq(test_append(test_log, &batch).error_code, KAFKA_INVALID_TIMESTAMP);
    config.message_timestamp_before_max_ms = INT64_MAX;
    config.max_message_bytes = 80;
    log_set_config(test_log, &config);
    ck_assert_int_eq(test_append(test_log, &batch).error_code, KAFKA_MESSAGE_TOO_LARGE);
    config.max_message_bytes = 1000000;
    config.segment_bytes = 80;
    log_set_config(test_log, &config);
    ck_assert_int_eq(test_append(test_log, &batch).error_code, KAFKA_RECORD_LIST_TOO_LARGE);
    struct byte_buffer bytes = {0};
    batch.codec = CODEC_ZSTD;
    test_batch_encode(&batch, &bytes);
    ck_assert_int_eq(produce(&bytes, 6).error_code, KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    byte_buffer_deinit(&bytes);
    ck_assert_int_eq(log_end_offset(test_log), 0);
    close_log();
}
END_TEST

START_TEST(every_codec_is_checked_and_recoded_to_every_other) {
    open_log();
    struct record_workspace *workspace = record_workspace_create();
    for (int from = CODEC_NONE; from < CODEC_COUNT; from++) {
        for (int to = -1; to < CODEC_COUNT; to++) {
            config.compression_type = (int16_t)to;
            log_set_config(test_log, &config);
            struct test_batch batch = test_batch_of(500);
            batch.codec = (enum compression_codec)from;
            int64_t offset = test_append(test_log, &batch).first_offset;
            ck_assert_int_eq(offset, log_end_offset(test_log) - 500);
            struct log_read_info info;
            ck_assert_int_eq(log_read(test_log, offset, 1 << 20, INT64_MAX, true, &info), 0);
            uint8_t *bytes = xmalloc((size_t)info.records.size);
            ck_assert_int_eq(disk_read(info.records.file, bytes, (size_t)info.records.size, info.records.position),
                             info.records.size);
            disk_file_unref(info.records.file);
            struct record_batch header;
            struct slice stored = {bytes, info.records.size};
            ck_assert_int_eq(record_batch_decode(bytes, (size_t)stored.size, &header), 0);
            ck_assert_int_eq(header.codec, to < 0 ? from : to);
            ck_assert(record_batch_crc_is_valid(stored, &header));
            struct record_iterator iterator;
            struct record_view record;
            int32_t count = 0;
            int more;
            record_iterator_begin(&iterator, workspace, stored, &header);
            while ((more = record_iterator_next(&iterator, &record)) > 0) {
                ck_assert_int_eq(record.offset_delta, count++);
                ck_assert_int_eq(record.value_size, 20);
            }
            ck_assert_int_eq(more, 0);
            ck_assert_int_eq(count, 500);
            free(bytes);
        }
    }
    record_workspace_destroy(workspace);
    close_log();
}
END_TEST

START_TEST(log_append_time_is_written_into_the_header) {
    open_log();
    config.log_append_time = true;
    log_set_config(test_log, &config);
    struct test_batch batch = test_batch_of(2);
    ck_assert_int_eq(test_append(test_log, &batch).log_append_time_ms, test_time.wall_ms);
    struct byte_buffer bytes = {0};
    struct record_batch header;
    test_read_all(test_log, 1 << 20, &bytes);
    ck_assert_int_eq(record_batch_decode(bytes.data, bytes.size, &header), 0);
    ck_assert_int_eq(header.max_timestamp, test_time.wall_ms);
    ck_assert_int_ne(header.attributes & BATCH_LOG_APPEND_TIME, 0);
    ck_assert_int_eq(header.base_timestamp, 1700000000000);
    ck_assert(record_batch_crc_is_valid((struct slice){bytes.data, header.size}, &header));
    byte_buffer_deinit(&bytes);
    close_log();
}
END_TEST

static struct log_append_info append_sequence(int64_t id, int16_t epoch, int32_t sequence, int32_t count) {
    struct test_batch batch = test_batch_of(count);
    batch.producer_id = id;
    batch.producer_epoch = epoch;
    batch.base_sequence = sequence;
    batch.leader_epoch = 3;
    return test_append(test_log, &batch);
}

START_TEST(sequences_are_held_to_their_order_and_the_last_five_may_come_again) {
    open_log();
    ck_assert_int_eq(append_sequence(9, 0, 40, 2).error_code, KAFKA_NONE); /* unknown: may start anywhere */
    for (int i = 1; i < 7; i++) {
        ck_assert_int_eq(append_sequence(9, 0, 40 + 2 * i, 2).error_code, KAFKA_NONE);
    }
    ck_assert_int_eq(log_end_offset(test_log), 14);
    for (int i = 2; i < 7; i++) {
        struct log_append_info info = append_sequence(9, 0, 40 + 2 * i, 2);
        ck_assert(info.is_duplicate);
        ck_assert_int_eq(info.first_offset, 2 * i);
        ck_assert_int_eq(info.last_offset, 2 * i + 1);
    }
    ck_assert_int_eq(append_sequence(9, 0, 42, 2).error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(append_sequence(9, 0, 55, 2).error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(append_sequence(9, 1, 5, 1).error_code, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(append_sequence(9, 1, 0, 1).error_code, KAFKA_NONE);
    ck_assert_int_eq(append_sequence(9, 0, 54, 1).error_code, KAFKA_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(append_sequence(8, -1, 3, 1).error_code, KAFKA_NONE);
    /* Sequences wrap to 0 after the largest. */
    ck_assert_int_eq(append_sequence(7, 0, INT32_MAX - 1, 2).error_code, KAFKA_NONE);
    ck_assert_int_eq(append_sequence(7, 0, 0, 2).error_code, KAFKA_NONE);
    ck_assert(append_sequence(7, 0, INT32_MAX - 1, 2).is_duplicate);
    /* All of it survives a kill. */
    int64_t end = log_end_offset(test_log);
    log_destroy(test_log);
    test_log = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
    ck_assert_int_eq(log_end_offset(test_log), end);
    ck_assert(append_sequence(7, 0, 0, 2).is_duplicate);
    ck_assert(append_sequence(9, 1, 0, 1).is_duplicate);
    ck_assert_int_eq(append_sequence(9, 1, 1, 1).error_code, KAFKA_NONE);
    close_log();
}
END_TEST

START_TEST(producers_beyond_the_bound_are_forgotten_the_silent_ones_first) {
    struct producer_state state;
    struct record_batch batch = {.producer_epoch = 0, .base_sequence = 0, .record_count = 1};
    struct producer_completed completed;
    struct log_producer_state found;
    producer_state_init(&state);
    for (int64_t id = 0; id < PRODUCERS_MAX; id++) {
        batch.producer_id = id;
        batch.base_offset = batch.last_offset = id;
        batch.attributes = id == 1 ? BATCH_TRANSACTIONAL : 0;
        producer_state_apply(&state, &batch, NULL, &completed);
    }
    batch.producer_id = 0; /* the first one speaks again */
    batch.attributes = 0;
    batch.base_sequence = 1;
    producer_state_apply(&state, &batch, NULL, &completed);
    batch.base_sequence = 0;
    for (int64_t id = PRODUCERS_MAX; id < PRODUCERS_MAX + 2; id++) {
        batch.producer_id = id;
        producer_state_apply(&state, &batch, NULL, &completed);
    }
    ck_assert_int_eq(producer_state_count(&state), PRODUCERS_MAX);
    ck_assert(producer_state_find(&state, 0, &found));
    ck_assert(producer_state_find(&state, 1, &found)); /* in a transaction */
    ck_assert(!producer_state_find(&state, 2, &found));
    ck_assert(!producer_state_find(&state, 3, &found));
    ck_assert(producer_state_find(&state, 4, &found));
    producer_state_deinit(&state);
}
END_TEST

START_TEST(transactions_open_and_end_and_old_coordinators_are_fenced) {
    open_log();
    struct test_batch batch = test_batch_of(2);
    batch.producer_id = 5;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    batch.attributes = BATCH_TRANSACTIONAL;
    ck_assert_int_eq(test_append(test_log, &batch).error_code, KAFKA_NONE);
    ck_assert_int_eq(log_first_unstable_offset(test_log), 0);
    ck_assert_int_eq(log_last_stable_offset(test_log, 2), 0);
    ck_assert_int_eq(append_sequence(5, 0, 2, 1).error_code, KAFKA_INVALID_TXN_STATE);
    struct byte_buffer marker = {0};
    test_marker_encode(5, 0, false, 4, 1700000000500, &marker);
    ck_assert_int_eq(produce_as(&marker, 9, LOG_ORIGIN_COORDINATOR).error_code, KAFKA_NONE);
    ck_assert_int_eq(log_first_unstable_offset(test_log), 3);
    /* Decided, but not replicated: still unstable. */
    ck_assert_int_eq(log_last_stable_offset(test_log, 2), 0);
    ck_assert_int_eq(log_last_stable_offset(test_log, 3), 3);
    struct arena arena;
    struct log_aborted_transaction *aborted;
    int32_t count;
    arena_init(&arena, SIZE_MAX);
    ck_assert_int_eq(log_aborted_transactions(test_log, 0, 3, &arena, &aborted, &count), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(aborted[0].producer_id, 5);
    ck_assert_int_eq(aborted[0].first_offset, 0);
    arena_deinit(&arena);
    marker.size = 0;
    test_marker_encode(5, 0, true, 3, 1700000000600, &marker);
    ck_assert_int_eq(produce_as(&marker, 9, LOG_ORIGIN_COORDINATOR).error_code, KAFKA_TRANSACTION_COORDINATOR_FENCED);
    byte_buffer_deinit(&marker);
    close_log();
}
END_TEST

/* Four batches down to an old format and, produced again, up: keys, values and timestamps as before. */
START_TEST(old_formats_go_down_and_come_up_again) {
    for (int codec = CODEC_NONE; codec <= CODEC_LZ4; codec++) {
        for (int8_t magic = 0; magic <= 1; magic++) {
            open_log();
            struct byte_buffer bytes = {0};
            struct test_batch batch = test_batch_of(10);
            batch.codec = (enum compression_codec)codec;
            batch.base_offset = 100;
            test_batch_encode(&batch, &bytes);
            struct arena arena;
            struct records old;
            arena_init(&arena, SIZE_MAX);
            ck_assert_int_eq(record_batch_down_convert((struct slice){bytes.data, (int32_t)bytes.size}, magic, 103,
                                                       &arena, test_log->workspace, &old),
                             0);
            ck_assert_int_gt(old.size, 0);
            ck_assert_int_eq(old.data[BATCH_AT_MAGIC], magic);
            bool is_plain = codec == CODEC_NONE || (codec == CODEC_LZ4 && magic == 0);
            ck_assert_int_eq(load_i64(old.data), is_plain ? 103 : 109);
            struct byte_buffer set = {0};
            byte_buffer_append(&set, old.data, (size_t)old.size);
            ck_assert_int_eq(produce(&set, 3).error_code, KAFKA_INVALID_RECORD);
            struct log_append_info info = produce(&set, 2);
            ck_assert_int_eq(info.error_code, KAFKA_NONE);
            ck_assert_int_eq(info.last_offset, is_plain ? 6 : 9);
            struct log_timestamp_offset found;
            ck_assert_int_eq(log_offset_for_timestamp(test_log, 1700000000009, &found), 0);
            ck_assert_int_eq(found.timestamp, magic == 0 ? -1 : 1700000000009);
            ck_assert_int_eq(found.offset, magic == 0 ? -1 : info.last_offset);
            set.data[set.size - 1] ^= 1;
            ck_assert_int_eq(produce(&set, 2).error_code, KAFKA_CORRUPT_MESSAGE);
            byte_buffer_deinit(&set);
            byte_buffer_deinit(&bytes);
            arena_deinit(&arena);
            close_log();
        }
    }
}
END_TEST

START_TEST(a_batch_that_unpacks_without_end_is_refused_with_bounded_memory) {
    open_log();
    struct byte_buffer zeros = {0};
    size_t size = (size_t)1 << 20;
    memset(byte_buffer_reserve(&zeros, size), 0x80, size);
    zeros.size = size;
    struct byte_buffer inner = {0};
    struct test_batch batch = test_batch_of(1);
    test_batch_encode(&batch, &inner);
    inner.size = BATCH_HEADER_SIZE;
    struct compression *compression = compression_create();
    /* One record that says it is as long as an int32 can be, in members of gzip that go on and on. */
    const uint8_t huge[] = {0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xf7, 0x0f};
    compress_all(compression, CODEC_GZIP, (struct slice){huge, sizeof huge}, &inner);
    for (int i = 0; i < 300; i++) {
        compress_all(compression, CODEC_GZIP, (struct slice){zeros.data, (int32_t)zeros.size}, &inner);
    }
    compression_destroy(compression);
    inner.data[BATCH_AT_ATTRIBUTES + 1] = CODEC_GZIP;
    store_i32(inner.data + BATCH_AT_LENGTH, (int32_t)inner.size - BATCH_OVERHEAD);
    record_batch_update_crc(inner.data, (int32_t)inner.size);
    ck_assert_int_eq(produce(&inner, 9).error_code, KAFKA_MESSAGE_TOO_LARGE);
    byte_buffer_deinit(&zeros);
    byte_buffer_deinit(&inner);
    close_log();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(bad_batches_are_answered_as_kafka_answers_them),
        TEST(settings_of_the_topic_refuse_what_they_must),
        TEST(every_codec_is_checked_and_recoded_to_every_other),
        TEST(log_append_time_is_written_into_the_header),
        TEST(sequences_are_held_to_their_order_and_the_last_five_may_come_again),
        TEST(producers_beyond_the_bound_are_forgotten_the_silent_ones_first),
        TEST(transactions_open_and_end_and_old_coordinators_are_fenced),
        TEST(old_formats_go_down_and_come_up_again),
        TEST(a_batch_that_unpacks_without_end_is_refused_with_bounded_memory),
    };
    return run_tests("log_produce", tests, sizeof tests / sizeof tests[0]);
}
