/* Headers, API keys and error codes. */
#include <check.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/header.h"
#include "broker/protocol/message_types.h"
#include "tests/lib/runner.h"

#define DECODE(literal, ret, left) decode((literal), sizeof(literal) - 1, (ret), (left))

static int decode(const char *bytes, size_t size, struct request_header *ret, size_t *ret_left) {
    struct reader r = reader_of(bytes, size);
    int error = request_header_decode(&r, ret);
    *ret_left = reader_left(&r);
    return error;
}

START_TEST(a_classic_header_ends_with_the_client_id) {
    struct request_header header;
    size_t left;
    ck_assert_int_eq(DECODE("\x00\x03\x00\x01\x00\x00\x00\x09\x00\x02meB", &header, &left), 0);
    ck_assert_int_eq(header.api_key, API_METADATA);
    ck_assert_int_eq(header.api_version, 1);
    ck_assert_int_eq(header.correlation_id, 9);
    ck_assert(str_equal_text(header.client_id, "me"));
    ck_assert_uint_eq(left, 1);
}
END_TEST

START_TEST(a_flexible_header_keeps_the_classic_client_id_and_adds_tags) {
    struct request_header header;
    size_t left;
    ck_assert_int_eq(DECODE("\x00\x03\x00\x09\x00\x00\x00\x09\x00\x02me\x01\x05\x01xB", &header, &left), 0);
    ck_assert(str_equal_text(header.client_id, "me"));
    ck_assert_uint_eq(left, 1);
    ck_assert_int_eq(DECODE("\x00\x03\x00\x09\x00\x00\x00\x09\xff\xff\x00", &header, &left), 0);
    ck_assert(str_is_null(header.client_id));
    ck_assert_uint_eq(left, 0);
}
END_TEST

START_TEST(controlled_shutdown_version_0_has_no_client_id) {
    struct request_header header;
    size_t left;
    ck_assert_int_eq(DECODE("\x00\x07\x00\x00\x00\x00\x00\x09\x00\x00\x00\x01", &header, &left), 0);
    ck_assert_int_eq(header.api_key, API_CONTROLLED_SHUTDOWN);
    ck_assert_uint_eq(left, 4);
    ck_assert_int_eq(request_header_version(API_CONTROLLED_SHUTDOWN, 1), 1);
    ck_assert_int_eq(request_header_version(API_CONTROLLED_SHUTDOWN, 3), 2);
}
END_TEST

START_TEST(an_unknown_key_is_told_from_a_malformed_header) {
    struct request_header header;
    size_t left;
    ck_assert_int_eq(DECODE("\x7f\xff\x00\x00\x00\x00\x00\x09\x00\x00", &header, &left), ERR_INVALID);
    ck_assert_int_eq(DECODE("\xff\xff\x00\x00\x00\x00\x00\x09\x00\x00", &header, &left), ERR_INVALID);
    ck_assert_int_eq(DECODE("\x00\x03\x00\x01\x00\x00\x00", &header, &left), ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\x00\x03", &header, &left), ERR_CORRUPT);
    ck_assert_int_eq(DECODE("", &header, &left), ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\x00\x03\x00\x01\x00\x00\x00\x09\xff\xfe", &header, &left), ERR_CORRUPT);
    ck_assert_int_eq(DECODE("\x00\x03\x00\x01\x00\x00\x00\x09\x00\x05me", &header, &left), ERR_CORRUPT);
}
END_TEST

START_TEST(a_version_nobody_speaks_still_has_a_readable_header) {
    struct request_header header;
    size_t left;
    ck_assert_int_eq(DECODE("\x00\x12\x7f\xff\x00\x00\x00\x09\x00\x00\x00", &header, &left), 0);
    ck_assert_int_eq(header.api_version, 32767);
    ck_assert_int_eq(DECODE("\x00\x12\xff\xff\x00\x00\x00\x09\x00\x00", &header, &left), 0);
    ck_assert_int_eq(header.api_version, -1);
    /* Without the tag buffer of header v2, Kafka closes the connection. */
    ck_assert_int_eq(DECODE("\x00\x12\x7f\xff\x00\x00\x00\x09\x00\x00", &header, &left), ERR_CORRUPT);
}
END_TEST

START_TEST(api_versions_answers_with_the_oldest_header) {
    for (int16_t version = 0; version <= 4; version++) {
        ck_assert_int_eq(response_header_version(API_API_VERSIONS, version), 0);
    }
    ck_assert_int_eq(response_header_version(API_METADATA, 8), 0);
    ck_assert_int_eq(response_header_version(API_METADATA, 9), 1);
}
END_TEST

START_TEST(headers_round_trip_for_every_api_at_every_version) {
    for (size_t i = 0; i < message_type_count; i++) {
        const struct message_type *type = &message_types[i];
        for (int16_t v = type->version_min; type->api_key >= 0 && v <= type->version_max; v++) {
            uint8_t room[64];
            struct encoder e = encoder_of(room, sizeof room);
            int32_t id = 0;
            if (!type->is_request) {
                response_header_encode(type->api_key, v, 1234567, &e);
                ck_assert_uint_eq(writer_size(&e.w), response_header_encoded_size(type->api_key, v));
                struct reader r = reader_of(room, writer_size(&e.w));
                ck_assert_int_eq(response_header_decode(&r, type->api_key, v, &id), 0);
                ck_assert_int_eq(id, 1234567);
                ck_assert_uint_eq(reader_left(&r), 0);
                continue;
            }
            struct request_header header = {type->api_key, v, 1234567, STR_LITERAL("client")};
            struct request_header back;
            request_header_encode(&header, &e);
            ck_assert_uint_eq(writer_size(&e.w), request_header_encoded_size(&header));
            struct reader r = reader_of(room, writer_size(&e.w));
            ck_assert_int_eq(request_header_decode(&r, &back), 0);
            ck_assert_int_eq(back.correlation_id, 1234567);
            ck_assert_int_eq(back.api_version, v);
            ck_assert_uint_eq(reader_left(&r), 0);
        }
    }
}
END_TEST

START_TEST(apis_are_found_by_their_key) {
    const struct api *fetch = api_find(1);
    ck_assert_str_eq(fetch->name, "Fetch");
    ck_assert_int_eq(fetch->version_max, 17);
    ck_assert_int_eq(fetch->flexible_min, 12);
    ck_assert_int_eq(api_find(API_SASL_HANDSHAKE)->flexible_min, INT16_MAX);
    ck_assert_str_eq(api_name(API_DESCRIBE_TOPIC_PARTITIONS), "DescribeTopicPartitions");
    ck_assert_ptr_null(api_find(-1));
    ck_assert_ptr_null(api_find(52)); /* Vote: KRaft only */
    ck_assert_ptr_null(api_find(INT16_MAX));
    ck_assert_ptr_null(message_type_find(52, true));
    ck_assert_str_eq(message_type_find(0, true)->name, "produce_request");
    ck_assert_str_eq(message_type_find(0, false)->name, "produce_response");
}
END_TEST

START_TEST(error_codes_have_kafkas_names_and_exceptions) {
    ck_assert_str_eq(kafka_error_name(0), "NONE");
    ck_assert_str_eq(kafka_error_exception(0), "");
    ck_assert_str_eq(kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    ck_assert_str_eq(kafka_error_name(6), "NOT_LEADER_OR_FOLLOWER");
    ck_assert_str_eq(kafka_error_exception(6), "org.apache.kafka.common.errors.NotLeaderOrFollowerException");
    ck_assert_str_eq(kafka_error_exception(29), "org.apache.kafka.common.errors.TopicAuthorizationException");
    ck_assert_str_eq(kafka_error_exception(7), "org.apache.kafka.common.errors.TimeoutException");
    ck_assert_str_eq(kafka_error_name(KAFKA_STORAGE_ERROR), "KAFKA_STORAGE_ERROR");
    ck_assert_str_eq(kafka_error_name(127), "VOTER_NOT_FOUND");
    ck_assert_str_eq(kafka_error_name(128), "UNKNOWN_SERVER_ERROR");
    ck_assert_str_eq(kafka_error_name(INT16_MIN), "UNKNOWN_SERVER_ERROR");
    ck_assert_str_eq(kafka_error_name(INT16_MAX), "UNKNOWN_SERVER_ERROR");
    ck_assert(kafka_error_is_retriable(KAFKA_NOT_ENOUGH_REPLICAS));
    ck_assert(!kafka_error_is_retriable(KAFKA_INVALID_REQUEST));
    for (int16_t code = -1; code <= 127; code++) {
        ck_assert_uint_gt(strlen(kafka_error_text(code)), 0);
    }
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_classic_header_ends_with_the_client_id),
        TEST(a_flexible_header_keeps_the_classic_client_id_and_adds_tags),
        TEST(controlled_shutdown_version_0_has_no_client_id),
        TEST(an_unknown_key_is_told_from_a_malformed_header),
        TEST(a_version_nobody_speaks_still_has_a_readable_header),
        TEST(api_versions_answers_with_the_oldest_header),
        TEST(headers_round_trip_for_every_api_at_every_version),
        TEST(apis_are_found_by_their_key),
        TEST(error_codes_have_kafkas_names_and_exceptions),
    };
    return run_tests("protocol_header", tests, ARRAY_SIZE(tests));
}
