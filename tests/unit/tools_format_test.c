/* What the tools print, and what the producer computes before it sends. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/lib/runner.h"
#include "tools/client/producer.h"
#include "tools/formatter.h"
#include "tools/internal_records.h"
#include "tools/java_number.h"

static void check_double(double value, const char *expected) {
    char text[JAVA_DOUBLE_SIZE];
    java_double_format(value, text);
    ck_assert_str_eq(text, expected);
}

START_TEST(doubles_print_as_java_prints_them) {
    check_double(1024, "1024.0");
    check_double(1e7, "1.0E7");
    check_double(12345678.5, "1.23456785E7");
    check_double(0.001, "0.001");
    check_double(0.0001, "1.0E-4");
    check_double(0.1, "0.1");
    check_double(-2.5, "-2.5");
    check_double(0, "0.0");
    check_double(NAN, "NaN");
    check_double(9999999, "9999999.0");
    char text[JAVA_DOUBLE_SIZE];
    java_float_format(0.1F, text);
    ck_assert_str_eq(text, "0.1");
}
END_TEST

START_TEST(keys_hash_to_the_partitions_kafka_gives_them) {
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        ck_assert_int_eq((int32_t)murmur2((const uint8_t *)known[i].key, strlen(known[i].key)), known[i].hash);
    }
}
END_TEST

START_TEST(a_records_size_is_reckoned_as_kafka_reckons_it) {
    /* cli.md: a value of 1,100,000 bytes is "1100088 bytes when serialized". */
    const struct producer_record record = {.key = SLICE_NULL, .value = {NULL, 1100000}};
    ck_assert_int_eq(record_size_upper_bound(&record), 1100088);
}
END_TEST

static char *format(const char *class_name, const char *const *pairs, const struct consumer_record *record,
                    int *ret_error, struct failure *failure) {
    struct property_list settings = {0};
    for (; *pairs != NULL; pairs++) {
        property_list_set_pair(&settings, *pairs);
    }
    struct formatter *formatter;
    ck_assert_int_eq(formatter_create(class_name, &settings, &formatter, failure), 0);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    *ret_error = formatter_write(formatter, record, out, failure);
    fclose(out);
    formatter_destroy(formatter);
    property_list_deinit(&settings);
    return text;
}

static void check_format(const char *const *pairs, const struct consumer_record *record, const char *expected) {
    struct failure failure = {0};
    int error;
    char *text = format(NULL, pairs, record, &error, &failure);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(text, expected);
    free(text);
}

static struct consumer_record sample(void) {
    static const uint8_t headers[] = {4, 'h', '1', 2, 'a', 4, 'h', '2', 1}; /* zigzag lengths; the second is null */
    return (struct consumer_record){
        .topic = STR_LITERAL("t"),
        .partition = 3,
        .offset = 42,
        .timestamp_ms = 1700000000000,
        .timestamp_type = CONSUMER_CREATE_TIME,
        .key = {(const uint8_t *)"k", 1},
        .value = {(const uint8_t *)"four", 4},
        .header_count = 2,
        .headers = reader_of(headers, sizeof headers),
    };
}

START_TEST(columns_come_in_kafkas_order) {
    struct consumer_record record = sample();
    const char *all[] = {"print.key=true",
                         "print.value=true",
                         "print.offset=true",
                         "print.partition=true",
                         "print.headers=true",
                         "print.timestamp=true",
                         NULL};
    check_format(all, &record, "CreateTime:1700000000000\tPartition:3\tOffset:42\th1:a,h2:null\tk\tfour\n");
    check_format((const char *[]){NULL}, &record, "four\n");
    check_format((const char *[]){"print.value=false", NULL}, &record, "");
    check_format((const char *[]){"print.value=false", "print.offset=true", NULL}, &record, "Offset:42\n");
    record.header_count = 0;
    record.key = SLICE_NULL;
    const char *odd[] = {"print.key=true",   "print.headers=true", "key.separator=@",
                         "line.separator=#", "null.literal=nil",   NULL};
    check_format(odd, &record, "NO_HEADERS@nil@four#");
}
END_TEST

START_TEST(a_value_its_deserializer_refuses_prints_nothing) {
    struct consumer_record record = sample();
    struct failure failure = {0};
    int error;
    const char *pairs[] = {"print.key=true",
                           "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer", NULL};
    char *text = format(NULL, pairs, &record, &error, &failure);
    ck_assert_int_eq(error, ERR_INVALID);
    ck_assert_str_eq(text, "");
    ck_assert_str_eq(failure.text, "Size of data received by LongDeserializer is not 8");
    free(text);
    record.value = (struct slice){(const uint8_t *)"\0\0\0\0\0\0\1\2", 8};
    failure_clear(&failure);
    text = format(NULL, pairs, &record, &error, &failure);
    ck_assert_int_eq(error, 0);
    ck_assert_str_eq(text, "k\t258\n");
    free(text);
}
END_TEST

static char *describe(void (*write)(enum internal_kind, struct slice, struct slice, FILE *), enum internal_kind kind,
                      struct slice key, struct slice value) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write(kind, key, value, out);
    fclose(out);
    return text;
}

START_TEST(a_committed_offset_prints_in_both_forms) {
    static const uint8_t key[] = {0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 7};
    static const uint8_t value[] = {0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
    struct slice key_bytes = {key, sizeof key};
    struct slice value_bytes = {value, sizeof value};
    char *text = describe(internal_write_json, INTERNAL_OFFSETS, key_bytes, value_bytes);
    ck_assert_str_eq(text, "{\"key\":{\"version\":1,\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":7}},"
                           "\"value\":{\"version\":3,\"data\":{\"offset\":5,\"leaderEpoch\":-1,\"metadata\":\"\","
                           "\"commitTimestamp\":9}}}\n");
    free(text);
    text = describe(internal_write_text, INTERNAL_OFFSETS, key_bytes, value_bytes);
    ck_assert_str_eq(text, "[g,t,7]::OffsetAndMetadata(offset=5, leaderEpoch=Optional.empty, metadata=, "
                           "commitTimestamp=9, expireTimestamp=None)\n");
    free(text);
    text = describe(internal_write_json, INTERNAL_GROUPS, key_bytes, value_bytes);
    ck_assert_str_eq(text, "");
    free(text);
    text = describe(internal_write_text, INTERNAL_OFFSETS, key_bytes, SLICE_NULL);
    ck_assert_str_eq(text, "[g,t,7]::NULL\n");
    free(text);
}
END_TEST

START_TEST(a_damaged_internal_record_is_named_and_passed_over) {
    static const uint8_t short_key[] = {0, 1, 0, 9, 'g'};
    char *key;
    char *value;
    internal_describe_offsets((struct slice){short_key, sizeof short_key}, SLICE_NULL, 12, &key, &value);
    ck_assert_ptr_nonnull(strstr(key, "Error at offset 12, skipping."));
    ck_assert_ptr_null(value);
    free(key);
    static const uint8_t unknown[] = {0, 77};
    internal_describe_offsets((struct slice){unknown, sizeof unknown}, SLICE_NULL, 13, &key, &value);
    ck_assert_str_eq(key, "Unknown record type 77 at offset 13, skipping.");
    ck_assert_ptr_null(value);
    free(key);
}
END_TEST

START_TEST(addresses_need_a_port) {
    ck_assert(addresses_are_valid("a:1,b:2"));
    ck_assert(addresses_are_valid("[::1]:9092"));
    ck_assert(addresses_are_valid("PLAINTEXT://a:9092"));
    ck_assert(!addresses_are_valid("a"));
    ck_assert(!addresses_are_valid("a:1,b"));
    ck_assert(!addresses_are_valid("a:70000"));
    ck_assert(!addresses_are_valid(""));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(doubles_print_as_java_prints_them),
        TEST(keys_hash_to_the_partitions_kafka_gives_them),
        TEST(a_records_size_is_reckoned_as_kafka_reckons_it),
        TEST(columns_come_in_kafkas_order),
        TEST(a_value_its_deserializer_refuses_prints_nothing),
        TEST(a_committed_offset_prints_in_both_forms),
        TEST(a_damaged_internal_record_is_named_and_passed_over),
        TEST(addresses_need_a_port),
    };
    return run_tests("output of the tools", tests, sizeof tests / sizeof tests[0]);
}
