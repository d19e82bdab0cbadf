/* Every row about Produce of the table of bad input (zookeeper-mode.md 7.1) that the log answers: no client can store a
 * batch another client chokes on, whichever codec it hides its records in. Sequences, transactions and the rows about
 * requests are in log_produce_test, dispatch_data_test and dispatch_test. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

#define RECORDS 3
#define VALUE_SIZE 5

static struct test_clock test_time;
static char *directory;
static struct log_config config;
static struct log *log_;

static void set_up(void) {
    test_clock_init(&test_time, 1700000100000);
    directory = test_directory_create();
    config = test_log_config();
    log_ = test_log_open(disk_posix(), &test_time.base, directory, &config, 0, false);
}

static void tear_down(void) {
    log_destroy(log_);
    test_directory_remove(directory);
    free(directory);
}

/* One record as it is written; a fault changes a field without changing the others to match. */
struct raw_record {
    int64_t length_change;
    int8_t attributes;
    int64_t timestamp_delta;
    int64_t offset_delta;
    int64_t key_size; /* claimed; the bytes of "key" are there when it is not negative */
    int64_t value_size;
    int64_t header_count; /* claimed; one header is there when it is not 0 */
    int64_t header_key_size;
    int64_t header_value_size;
};

static void put_varlong(struct byte_buffer *buffer, int64_t value) {
    struct writer w = writer_of(byte_buffer_reserve(buffer, 10), 10);
    writer_varlong(&w, value);
    buffer->size += writer_size(&w);
}

static void put_raw(struct byte_buffer *records, const struct raw_record *record) {
    struct byte_buffer body = {0};
    byte_buffer_append(&body, &record->attributes, 1);
    put_varlong(&body, record->timestamp_delta);
    put_varlong(&body, record->offset_delta);
    put_varlong(&body, record->key_size);
    byte_buffer_append(&body, "key", record->key_size < 0 ? 0 : 3);
    put_varlong(&body, record->value_size);
    byte_buffer_append(&body, "value", record->value_size < 0 ? 0 : VALUE_SIZE);
    put_varlong(&body, record->header_count);
    if (record->header_count != 0) {
        put_varlong(&body, record->header_key_size);
        byte_buffer_append(&body, "h", record->header_key_size < 0 ? 0 : 1);
        put_varlong(&body, record->header_value_size);
        byte_buffer_append(&body, "v", record->header_value_size < 0 ? 0 : 1);
    }
    put_varlong(records, (int64_t)body.size + record->length_change);
    byte_buffer_append(records, body.data, body.size);
    byte_buffer_deinit(&body);
}

typedef void fault(struct raw_record *records, struct byte_buffer *trailing);

/* Three records, the fault made, compressed. */
static void build(fault *make_bad, enum compression_codec codec, struct byte_buffer *ret) {
    struct raw_record raw[RECORDS];
    struct byte_buffer trailing = {0};
    for (int i = 0; i < RECORDS; i++) {
        raw[i] = (struct raw_record){.timestamp_delta = i,
                                     .offset_delta = i,
                                     .key_size = 3,
                                     .value_size = VALUE_SIZE,
                                     .header_count = 1,
                                     .header_key_size = 1,
                                     .header_value_size = 1};
    }
    make_bad(raw, &trailing);
    struct byte_buffer records = {0};
    for (int i = 0; i < RECORDS; i++) {
        put_raw(&records, &raw[i]);
    }
    byte_buffer_append(&records, trailing.data, trailing.size);
    struct test_batch batch = test_batch_of(RECORDS);
    batch.codec = codec;
    test_batch_encode_records(&batch, &records, ret);
    byte_buffer_deinit(&records);
    byte_buffer_deinit(&trailing);
}

static struct log_append_info produce_at(struct byte_buffer *bytes, int16_t version) {
    struct log_append_info info;
    int64_t end = log_end_offset(log_);
    int error = log_append_as_leader(log_, (struct slice){bytes->data, (int32_t)bytes->size}, 3, LOG_ORIGIN_CLIENT,
                                     version, test_time.wall_ms, &info);
    ck_assert_int_eq(error, 0);
    if (info.error_code != 0) {
        ck_assert_int_eq(log_end_offset(log_), end); /* what is refused leaves nothing */
    }
    return info;
}

static struct log_append_info produce(struct byte_buffer *bytes) {
    return produce_at(bytes, 9);
}

static void check_in_every_codec(const char *name, fault *make_bad, int16_t code) {
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct byte_buffer bytes = {0};
        build(make_bad, (enum compression_codec)codec, &bytes);
        struct log_append_info info = produce(&bytes);
        ck_assert_msg(info.error_code == code, "%s in codec %d: %s instead of %s", name, codec,
                      kafka_error_name(info.error_code), kafka_error_name(code));
        byte_buffer_deinit(&bytes);
    }
}

static void whole(struct raw_record *r, struct byte_buffer *trailing) {
    (void)r;
    (void)trailing;
}
static void record_too_long(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[2].length_change = 1;
}
static void record_longer_than_the_batch(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].length_change = 100000;
}
static void record_too_short(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].length_change = -1;
}
static void record_of_no_length(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].length_change = -18;
}
static void record_of_negative_length(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].length_change = -1000;
}
static void record_of_more_than_32_bits(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].length_change = INT64_C(1) << 33;
}
static void key_beyond_the_record(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].key_size = 50;
}
static void key_of_the_largest_size(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].key_size = INT32_MAX;
}
static void key_of_size_minus_two(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].key_size = -2;
}
static void value_beyond_the_record(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[2].value_size = 500;
}
static void value_shorter_than_it_is(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[2].value_size = VALUE_SIZE - 2;
}
static void headers_beyond_the_record(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].header_count = 2;
}
static void headers_beyond_counting(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].header_count = INT32_MAX;
}
static void a_negative_count_of_headers(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].header_count = -1;
}
static void a_header_without_key(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].header_key_size = -1;
}
static void a_header_value_beyond_the_record(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[2].header_value_size = 9;
}
static void bytes_after_the_last(struct raw_record *r, struct byte_buffer *trailing) {
    (void)r;
    byte_buffer_append(trailing, "\0", 1);
}
static void a_whole_record_after_the_last(struct raw_record *r, struct byte_buffer *trailing) {
    put_raw(trailing, &r[0]);
}

START_TEST(inner_lengths_and_counts_are_checked_in_every_codec_87) {
#define ROW(name)                                                                                                      \
    { #name, name }
    static const struct {
        const char *name;
        fault *make_bad;
    } rows[] = {
        ROW(record_too_long),           ROW(record_longer_than_the_batch),
        ROW(record_too_short),          ROW(record_of_no_length),
        ROW(record_of_negative_length), ROW(record_of_more_than_32_bits),
        ROW(key_beyond_the_record),     ROW(key_of_the_largest_size),
        ROW(key_of_size_minus_two),     ROW(value_beyond_the_record),
        ROW(value_shorter_than_it_is),  ROW(headers_beyond_the_record),
        ROW(headers_beyond_counting),   ROW(a_negative_count_of_headers),
        ROW(a_header_without_key),      ROW(a_header_value_beyond_the_record),
        ROW(bytes_after_the_last),      ROW(a_whole_record_after_the_last),
    };
#undef ROW
    check_in_every_codec("whole", whole, KAFKA_NONE);
    int64_t end = log_end_offset(log_);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_in_every_codec(rows[i].name, rows[i].make_bad, KAFKA_INVALID_RECORD);
    }
    ck_assert_int_eq(log_end_offset(log_), end);
}
END_TEST

static void store_count(struct byte_buffer *bytes, int32_t count, int32_t last_delta) {
    store_i32(bytes->data + BATCH_AT_RECORD_COUNT, count);
    store_i32(bytes->data + BATCH_AT_LAST_OFFSET_DELTA, last_delta);
    record_batch_update_crc(bytes->data, (int32_t)bytes->size);
}

START_TEST(count_other_than_last_offset_delta_plus_one_and_count_0_87) {
    static const int32_t rows[][2] = {{3, 1}, {3, 3},  {2, 2},  {0, -1},        {0, 0},
                                      {0, 2}, {-1, 2}, {3, -1}, {INT32_MAX, 2}, {3, INT32_MAX},
                                      {2, 1}, {4, 3},  {1, 0},  {INT32_MIN, 2}, {INT32_MAX, INT32_MAX - 1}};
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            struct byte_buffer bytes = {0};
            build(whole, (enum compression_codec)codec, &bytes);
            store_count(&bytes, rows[i][0], rows[i][1]);
            int16_t code = produce(&bytes).error_code;
            ck_assert_msg(code == KAFKA_INVALID_RECORD, "codec %d, row %zu: %s", codec, i, kafka_error_name(code));
            byte_buffer_deinit(&bytes);
        }
    }
}
END_TEST

static void offsets_that_go_back(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[0].offset_delta = 2;
    r[2].offset_delta = 0;
}
static void offsets_far_apart(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].offset_delta = 1000000;
}
static void negative_offsets(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].offset_delta = -7;
}
static void the_same_offset_twice(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].offset_delta = 0;
}

START_TEST(odd_inner_offsets_are_numbered_anew_in_every_codec) {
    static fault *const rows[] = {offsets_that_go_back, offsets_far_apart, negative_offsets, the_same_offset_twice};
    struct record_workspace *workspace = record_workspace_create();
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            struct byte_buffer bytes = {0};
            build(rows[i], (enum compression_codec)codec, &bytes);
            struct log_append_info info = produce(&bytes);
            ck_assert_int_eq(info.error_code, KAFKA_NONE);
            struct log_read_info read;
            ck_assert_int_eq(log_read(log_, info.first_offset, 1 << 20, INT64_MAX, true, &read), 0);
            uint8_t *stored = xmalloc((size_t)read.records.size);
            ck_assert_int_eq(disk_read(read.records.file, stored, (size_t)read.records.size, read.records.position),
                             read.records.size);
            struct record_batch header;
            ck_assert_int_eq(record_batch_decode(stored, (size_t)read.records.size, &header), 0);
            ck_assert_int_eq(header.codec, codec);
            struct slice batch = {stored, header.size};
            ck_assert(record_batch_crc_is_valid(batch, &header));
            struct record_iterator iterator;
            struct record_view view;
            record_iterator_begin(&iterator, workspace, batch, &header);
            for (int k = 0; k < RECORDS; k++) {
                ck_assert_int_eq(record_iterator_next(&iterator, &view), 1);
                ck_assert_int_eq(view.offset_delta, k);
                ck_assert_int_eq(view.timestamp_delta, k);
                ck_assert_int_eq(view.key_size, 3);
                ck_assert_int_eq(view.value_size, VALUE_SIZE);
                ck_assert_int_eq(view.header_count, 1);
            }
            ck_assert_int_eq(record_iterator_next(&iterator, &view), 0);
            disk_file_unref(read.records.file);
            free(stored);
            byte_buffer_deinit(&bytes);
        }
    }
    record_workspace_destroy(workspace);
}
END_TEST

static int16_t code_with_attributes(unsigned attributes) {
    struct byte_buffer bytes = {0};
    build(whole, CODEC_NONE, &bytes);
    store_u16(bytes.data + BATCH_AT_ATTRIBUTES, (uint16_t)attributes);
    record_batch_update_crc(bytes.data, (int32_t)bytes.size);
    int16_t code = produce(&bytes).error_code;
    byte_buffer_deinit(&bytes);
    return code;
}

START_TEST(codec_bits_5_to_7_minus_1) {
    for (unsigned codec = CODEC_COUNT; codec <= 7; codec++) {
        ck_assert_int_eq(code_with_attributes(codec), KAFKA_UNKNOWN_SERVER_ERROR);
    }
}
END_TEST

START_TEST(compressed_data_that_does_not_unpack_minus_1_in_every_codec) {
    for (unsigned codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        ck_assert_int_eq(code_with_attributes(codec), KAFKA_UNKNOWN_SERVER_ERROR); /* plain records called compressed */
        struct byte_buffer bytes = {0};
        build(whole, (enum compression_codec)codec, &bytes);
        bytes.size -= 6; /* data that stops early */
        store_i32(bytes.data + BATCH_AT_LENGTH, (int32_t)bytes.size - BATCH_OVERHEAD);
        record_batch_update_crc(bytes.data, (int32_t)bytes.size);
        int16_t code = produce(&bytes).error_code;
        ck_assert_msg(code == KAFKA_UNKNOWN_SERVER_ERROR || code == KAFKA_INVALID_RECORD, "codec %u cut: %s", codec,
                      kafka_error_name(code));
        byte_buffer_deinit(&bytes);
    }
}
END_TEST

START_TEST(control_batches_of_clients_87) {
    ck_assert_int_eq(code_with_attributes(BATCH_CONTROL), KAFKA_INVALID_RECORD);
    ck_assert_int_eq(code_with_attributes(BATCH_CONTROL | BATCH_TRANSACTIONAL), KAFKA_INVALID_RECORD);
}
END_TEST

START_TEST(append_time_delete_horizon_and_unused_attribute_bits_are_accepted_and_not_stored) {
    static const unsigned rows[] = {BATCH_LOG_APPEND_TIME, BATCH_DELETE_HORIZON, 0x80, 0x100, 0x8000};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_int_eq(code_with_attributes(rows[i]), KAFKA_NONE);
    }
    struct byte_buffer all = {0};
    test_read_all(log_, INT32_MAX, &all);
    struct record_batch header;
    ck_assert_int_eq(record_batch_decode(all.data, all.size, &header), 0);
    ck_assert_int_eq(header.attributes & BATCH_LOG_APPEND_TIME, 0);
    ck_assert(record_batch_crc_is_valid((struct slice){all.data, header.size}, &header));
    byte_buffer_deinit(&all);
}
END_TEST

START_TEST(a_wrong_max_timestamp_is_accepted_and_put_right) {
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct byte_buffer bytes = {0};
        build(whole, (enum compression_codec)codec, &bytes);
        store_i64(bytes.data + BATCH_AT_MAX_TIMESTAMP, 17);
        record_batch_update_crc(bytes.data, (int32_t)bytes.size);
        ck_assert_int_eq(produce(&bytes).error_code, KAFKA_NONE);
        byte_buffer_deinit(&bytes);
    }
    struct byte_buffer all = {0};
    test_read_all(log_, INT32_MAX, &all);
    struct record_batch header;
    for (size_t at = 0; at < all.size; at += (size_t)header.size) {
        ck_assert_int_eq(record_batch_decode(all.data + at, all.size - at, &header), 0);
        ck_assert_int_eq(header.max_timestamp, 1700000000002);
        ck_assert(record_batch_crc_is_valid((struct slice){all.data + at, header.size}, &header));
    }
    byte_buffer_deinit(&all);
}
END_TEST

static int16_t code_at_timestamp(int64_t timestamp) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(1);
    batch.timestamp = timestamp;
    test_batch_encode(&batch, &bytes);
    struct log_append_info info = produce(&bytes);
    if (info.error_code != 0) {
        ck_assert_int_eq(info.record_error_index, 0);
        ck_assert_ptr_nonnull(info.record_error_message);
    }
    byte_buffer_deinit(&bytes);
    return info.error_code;
}

START_TEST(timestamps_out_of_bounds_32_and_timestamp_minus_1_accepted) {
    config.message_timestamp_before_max_ms = 1000;
    config.message_timestamp_after_max_ms = 500;
    log_set_config(log_, &config);
    int64_t now = test_time.wall_ms;
    ck_assert_int_eq(code_at_timestamp(now - 1000), KAFKA_NONE);
    ck_assert_int_eq(code_at_timestamp(now - 1001), KAFKA_INVALID_TIMESTAMP);
    ck_assert_int_eq(code_at_timestamp(now + 500), KAFKA_NONE);
    ck_assert_int_eq(code_at_timestamp(now + 501), KAFKA_INVALID_TIMESTAMP);
    ck_assert_int_eq(code_at_timestamp(-1), KAFKA_NONE);
    config.log_append_time = true; /* then nobody asks */
    log_set_config(log_, &config);
    ck_assert_int_eq(code_at_timestamp(1), KAFKA_NONE);
}
END_TEST

static void second_without_key(struct raw_record *r, struct byte_buffer *trailing) {
    (void)trailing;
    r[1].key_size = -1;
}

START_TEST(no_key_on_a_compacted_topic_87_with_the_record_named) {
    config.compact = true;
    log_set_config(log_, &config);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct byte_buffer bytes = {0};
        build(second_without_key, (enum compression_codec)codec, &bytes);
        struct log_append_info info = produce(&bytes);
        ck_assert_int_eq(info.error_code, KAFKA_INVALID_RECORD);
        ck_assert_int_eq(info.record_error_index, 1);
        ck_assert_str_eq(info.record_error_message, "Compacted topic cannot accept message without key");
        byte_buffer_deinit(&bytes);
    }
    config.compact = false;
    log_set_config(log_, &config);
    check_in_every_codec("no key", second_without_key, KAFKA_NONE);
}
END_TEST

START_TEST(a_producer_id_without_sequence_87) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(2);
    batch.producer_id = 7;
    batch.producer_epoch = 0;
    test_batch_encode(&batch, &bytes);
    ck_assert_int_eq(produce(&bytes).error_code, KAFKA_INVALID_RECORD);
    byte_buffer_deinit(&bytes);
}
END_TEST

START_TEST(zstd_before_version_7_is_76_and_no_other_codec_is) {
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct byte_buffer bytes = {0};
        build(whole, (enum compression_codec)codec, &bytes);
        ck_assert_int_eq(produce_at(&bytes, 6).error_code,
                         codec == CODEC_ZSTD ? KAFKA_UNSUPPORTED_COMPRESSION_TYPE : KAFKA_NONE);
        byte_buffer_deinit(&bytes);
    }
}
END_TEST

START_TEST(more_than_max_message_bytes_10_also_when_the_broker_recompresses) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(100);
    batch.codec = CODEC_ZSTD;
    test_batch_encode(&batch, &bytes);
    config.max_message_bytes = (int32_t)bytes.size;
    log_set_config(log_, &config);
    struct byte_buffer copy = {0};
    byte_buffer_append(&copy, bytes.data, bytes.size);
    ck_assert_int_eq(produce(&copy).error_code, KAFKA_NONE);
    config.max_message_bytes--;
    log_set_config(log_, &config);
    ck_assert_int_eq(produce(&bytes).error_code, KAFKA_MESSAGE_TOO_LARGE);
    config.max_message_bytes++;
    config.compression_type = CODEC_NONE;
    log_set_config(log_, &config);
    ck_assert_int_eq(produce(&bytes).error_code, KAFKA_MESSAGE_TOO_LARGE);
    byte_buffer_deinit(&copy);
    byte_buffer_deinit(&bytes);
}
END_TEST

START_TEST(data_that_unpacks_to_a_thousand_times_its_size_costs_a_window_of_memory) {
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct byte_buffer zeros = {0};
        size_t size = (size_t)64 << 20; /* in one record that says it is larger still */
        uint8_t *at = byte_buffer_reserve(&zeros, size);
        memset(at, 0, size);
        const uint8_t huge[] = {0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 0xe0, 0xff, 0xff, 0xff, 0x0f};
        memcpy(at, huge, sizeof huge);
        zeros.size = size;
        struct byte_buffer bytes = {0};
        struct test_batch batch = test_batch_of(1);
        batch.codec = (enum compression_codec)codec;
        test_batch_encode_records(&batch, &zeros, &bytes);
        byte_buffer_deinit(&zeros);
        config.max_message_bytes = 32 << 20;
        log_set_config(log_, &config);
        size_t unpacked = log_->workspace->unpacked.capacity;
        ck_assert_int_ne(produce(&bytes).error_code, KAFKA_NONE);
        ck_assert_uint_eq(log_->workspace->unpacked.capacity, unpacked);
        byte_buffer_deinit(&bytes);
    }
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(inner_lengths_and_counts_are_checked_in_every_codec_87),
        TEST(count_other_than_last_offset_delta_plus_one_and_count_0_87),
        TEST(odd_inner_offsets_are_numbered_anew_in_every_codec),
        TEST(codec_bits_5_to_7_minus_1),
        TEST(compressed_data_that_does_not_unpack_minus_1_in_every_codec),
        TEST(control_batches_of_clients_87),
        TEST(append_time_delete_horizon_and_unused_attribute_bits_are_accepted_and_not_stored),
        TEST(a_wrong_max_timestamp_is_accepted_and_put_right),
        TEST(timestamps_out_of_bounds_32_and_timestamp_minus_1_accepted),
        TEST(no_key_on_a_compacted_topic_87_with_the_record_named),
        TEST(a_producer_id_without_sequence_87),
        TEST(zstd_before_version_7_is_76_and_no_other_codec_is),
        TEST(more_than_max_message_bytes_10_also_when_the_broker_recompresses),
        TEST(data_that_unpacks_to_a_thousand_times_its_size_costs_a_window_of_memory),
    };
    return run_tests_with_fixture("log validate", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
