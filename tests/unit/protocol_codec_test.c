/* The edges of the codec: counts, lengths, varints, tag buffers, budgets, regions. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/codec.h"
#include "generated/protocol/api_versions.h"
#include "generated/protocol/consumer_group_member_metadata.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/metadata.h"
#include "generated/protocol/produce.h"
#include "tests/lib/runner.h"

struct bytes {
    uint8_t data[4096];
    size_t size;
};

static void put(struct bytes *bytes, const void *data, size_t size) {
    CHECK(bytes->size + size <= sizeof bytes->data);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}
static void put_u8(struct bytes *bytes, uint8_t v) {
    put(bytes, &v, 1);
}
static void put_i32(struct bytes *bytes, int32_t v) {
    uint8_t raw[4];
    store_i32(raw, v);
    put(bytes, raw, sizeof raw);
}

/* Metadata v1 is classic with a nullable list, v0 with one that is not, v9 flexible. */
static int decode_metadata(const struct bytes *bytes, int16_t version, size_t budget, struct metadata_request *ret,
                           size_t *ret_used) {
    struct arena arena;
    arena_init(&arena, budget);
    struct reader r = reader_of(bytes->data, bytes->size);
    int error = metadata_request_decode(&r, version, &arena, ret);
    if (ret_used != NULL) {
        *ret_used = arena.used;
    }
    arena_deinit(&arena);
    return error;
}

static int decode_count(int32_t count, int16_t version, struct metadata_request *ret) {
    struct bytes bytes = {.size = 0};
    put_i32(&bytes, count);
    size_t used;
    int error = decode_metadata(&bytes, version, SIZE_MAX, ret, &used);
    ck_assert_uint_eq(used, 0); /* whatever the count claims: nothing was allocated */
    return error;
}

START_TEST(a_classic_count_is_null_or_fits_into_the_bytes_left) {
    struct metadata_request m;
    ck_assert_int_eq(decode_count(0, 1, &m), 0);
    ck_assert_int_eq(m.topics_count, 0);
    ck_assert_int_eq(decode_count(-1, 1, &m), 0);
    ck_assert_int_eq(m.topics_count, -1);
    ck_assert_int_eq(decode_count(-1, 0, &m), ERR_CORRUPT); /* not nullable before version 1 */
    ck_assert_int_eq(decode_count(-2, 1, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_count(INT32_MIN, 1, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_count(INT32_MAX, 1, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_count(1, 1, &m), ERR_CORRUPT);
}
END_TEST

START_TEST(a_count_is_weighed_at_the_least_size_of_its_elements) {
    /* Eleven bytes hold five empty topic names of two bytes each, not six. */
    struct bytes bytes = {.size = 0};
    put_i32(&bytes, 6);
    put(&bytes, (uint8_t[11]){0}, 11);
    struct metadata_request m;
    size_t used;
    ck_assert_int_eq(decode_metadata(&bytes, 1, SIZE_MAX, &m, &used), ERR_CORRUPT);
    ck_assert_uint_eq(used, 0);
    bytes.data[3] = 5;
    ck_assert_int_eq(decode_metadata(&bytes, 1, SIZE_MAX, &m, &used), 0);
    ck_assert_uint_gt(used, 0);
}
END_TEST

/* Metadata v9: topics, two bools and a tag buffer follow the count. */
static int decode_compact(const void *count, size_t count_size, struct metadata_request *ret) {
    struct bytes bytes = {.size = 0};
    put(&bytes, count, count_size);
    put(&bytes, (uint8_t[4]){1, 0, 0, 0}, 4);
    size_t used;
    int error = decode_metadata(&bytes, 9, SIZE_MAX, ret, &used);
    ck_assert_uint_eq(used, 0);
    return error;
}

START_TEST(a_compact_count_is_null_or_fits_into_the_bytes_left) {
    struct metadata_request m;
    ck_assert_int_eq(decode_compact("\x00", 1, &m), 0);
    ck_assert_int_eq(m.topics_count, -1);
    ck_assert_int_eq(decode_compact("\x01", 1, &m), 0);
    ck_assert_int_eq(m.topics_count, 0);
    ck_assert(m.allow_auto_topic_creation);
    ck_assert_int_eq(decode_compact("\x10", 1, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_compact("\xff\xff\xff\xff\x07", 5, &m), ERR_CORRUPT); /* 2^31 - 2 */
    ck_assert_int_eq(decode_compact("\x80\x80\x80\x80\x08", 5, &m), ERR_CORRUPT); /* 2^31 - 1 */
    ck_assert_int_eq(decode_compact("\xff\xff\xff\xff\x0f", 5, &m), ERR_CORRUPT); /* 2^32 - 2 */
}
END_TEST

START_TEST(an_overlong_or_overflowing_varint_is_an_error) {
    struct metadata_request m;
    ck_assert_int_eq(decode_compact("\x81\x80\x80\x80\x80\x00", 6, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_compact("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_compact("\xff\xff\xff\xff\x1f", 5, &m), ERR_CORRUPT);
    ck_assert_int_eq(decode_compact("\x81\x80\x00", 3, &m), 0); /* longer than needed, but a number: 1 */
    ck_assert_int_eq(m.topics_count, 0);
}
END_TEST

START_TEST(a_list_that_outgrows_the_budget_is_too_large) {
    struct bytes bytes = {.size = 0};
    put_i32(&bytes, 1000);
    put(&bytes, (uint8_t[2000]){0}, 2000);
    struct metadata_request m;
    size_t used;
    ck_assert_int_eq(decode_metadata(&bytes, 1, 4 * bytes.size, &m, &used), ERR_TOO_LARGE);
    ck_assert_uint_le(used, 4 * bytes.size);
    ck_assert_int_eq(decode_metadata(&bytes, 1, SIZE_MAX, &m, NULL), 0);
}
END_TEST

START_TEST(a_text_has_a_length_that_the_protocol_knows) {
    struct produce_request m;
    static const struct {
        uint8_t raw[2];
        int error;
    } classic[] = {{{0xff, 0xff}, 0}, {{0xff, 0xfe}, ERR_CORRUPT}, {{0x80, 0x00}, ERR_CORRUPT}, {{0, 1}, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(classic); i++) {
        struct bytes bytes = {.size = 0};
        put(&bytes, classic[i].raw, 2);
        put(&bytes, (uint8_t[11]){0}, classic[i].raw[1] == 1 ? 11 : 10);
        struct reader r = reader_of(bytes.data, bytes.size);
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        ck_assert_int_eq(produce_request_decode(&r, 3, &arena, &m), classic[i].error);
        arena_deinit(&arena);
    }
    /* Compact, 32768 bytes, all of them there. */
    size_t size = 3 + 32768 + 8;
    uint8_t *large = xcalloc(1, size);
    struct writer w = writer_of(large, size);
    writer_uvarint(&w, 32769);
    struct reader r = reader_of(large, size);
    ck_assert_int_eq(produce_request_decode(&r, 9, NULL, &m), ERR_CORRUPT);
    free(large);
}
END_TEST

START_TEST(a_text_too_long_to_travel_fails_the_encoder) {
    char *text = xcalloc(1, 40000);
    struct produce_request m;
    produce_request_init(&m);
    m.transactional_id = (struct str){.data = text, .size = 32767};
    uint8_t *room = xmalloc(50000);
    struct encoder e = encoder_of(room, 50000);
    produce_request_encode(&m, 3, &e);
    ck_assert(!e.w.failed);
    ck_assert_uint_eq(writer_size(&e.w), produce_request_encoded_size(&m, 3));
    m.transactional_id.size = 32768;
    for (int16_t version = 3; version <= 9; version += 6) {
        e = encoder_of(room, 50000);
        produce_request_encode(&m, version, &e);
        ck_assert(e.w.failed);
    }
    free(room);
    free(text);
}
END_TEST

START_TEST(an_encoder_without_room_fails_and_writes_nothing_beyond) {
    struct metadata_request m;
    metadata_request_init(&m);
    uint8_t room[8];
    memset(room, 0xa5, sizeof room);
    struct encoder e = encoder_of(room, 3);
    metadata_request_encode(&m, 1, &e);
    ck_assert(e.w.failed);
    ck_assert_uint_eq(room[3], 0xa5);
}
END_TEST

/* ---- Tag buffers, by the ApiVersions response (tags 0 to 3) and the Fetch request (a tagged struct). ---- */

static int decode_tags(const void *tags, size_t size, struct api_versions_response *ret, struct arena *arena) {
    struct bytes bytes = {.size = 0};
    put(&bytes, (uint8_t[7]){0, 0, 1, 0, 0, 0, 0}, 7); /* no error, no keys, no throttle */
    put(&bytes, tags, size);
    struct reader r = reader_of(bytes.data, bytes.size);
    arena_init(arena, 4096);
    int error = api_versions_response_decode(&r, 3, arena, ret);
    ck_assert(error != 0 || reader_left(&r) == 0);
    return error;
}
#define DECODE_TAGS(literal, ret, arena) decode_tags((literal), sizeof(literal) - 1, (ret), (arena))

START_TEST(known_tags_are_read_in_any_order_and_unknown_ones_skipped) {
    struct api_versions_response m;
    struct arena arena;
    ck_assert_int_eq(
        DECODE_TAGS("\x04\x09\x02xx\x03\x01\x01\x80\x01\x00\x01\x08\x00\x00\x00\x00\x00\x00\x00\x05", &m, &arena), 0);
    ck_assert(m.zk_migration_ready);
    ck_assert_int_eq(m.finalized_features_epoch, 5);
    ck_assert_int_eq(m.supported_features_count, 0);
    ck_assert_uint_eq(arena.used, 0);
    arena_deinit(&arena);
}
END_TEST

START_TEST(a_tag_whose_size_is_not_that_of_its_field_is_an_error) {
    struct api_versions_response m;
    struct arena arena;
    ck_assert_int_eq(DECODE_TAGS("\x01\x03\x01\x01", &m, &arena), 0);
    arena_deinit(&arena);
    ck_assert_int_eq(DECODE_TAGS("\x01\x03\x02\x01\x00", &m, &arena), ERR_CORRUPT); /* one byte left over */
    arena_deinit(&arena);
    ck_assert_int_eq(DECODE_TAGS("\x01\x03\x00\x01", &m, &arena), ERR_CORRUPT); /* a byte of what comes after */
    arena_deinit(&arena);
    ck_assert_int_eq(DECODE_TAGS("\x01\x09\x05xxxx", &m, &arena), ERR_CORRUPT); /* beyond the frame */
    arena_deinit(&arena);
    ck_assert_int_eq(DECODE_TAGS("\x01\x09\xff\xff\xff\xff\x0f", &m, &arena), ERR_CORRUPT);
    arena_deinit(&arena);
}
END_TEST

START_TEST(a_list_inside_a_tag_cannot_reach_beyond_the_tag) {
    struct api_versions_response m;
    struct arena arena;
    /* Tag 0, seven bytes: one feature named "a", 1 to 2. */
    ck_assert_int_eq(DECODE_TAGS("\x01\x00\x08\x02\x02"
                                 "a\x00\x01\x00\x02\x00",
                                 &m, &arena),
                     0);
    ck_assert_int_eq(m.supported_features_count, 1);
    ck_assert_int_eq(m.supported_features[0].max_version, 2);
    arena_deinit(&arena);
    /* The same bytes, but the tag says they are fewer. */
    ck_assert_int_eq(DECODE_TAGS("\x01\x00\x06\x02\x02"
                                 "a\x00\x01\x00\x02\x00",
                                 &m, &arena),
                     ERR_CORRUPT);
    arena_deinit(&arena);
}
END_TEST

START_TEST(tags_nest_and_inner_unknown_tags_are_skipped_too) {
    struct api_versions_response m;
    struct arena arena;
    /* The feature inside tag 0 has a tag buffer of its own, with one unknown tag of two bytes. */
    ck_assert_int_eq(DECODE_TAGS("\x02\x00\x0c\x02\x02"
                                 "a\x00\x01\x00\x02\x01\x07\x02yy\x03\x01\x01",
                                 &m, &arena),
                     0);
    ck_assert_int_eq(m.supported_features_count, 1);
    ck_assert(m.zk_migration_ready);
    arena_deinit(&arena);
}
END_TEST

static int decode_member(const char *tags, size_t size, struct consumer_group_member_metadata_value *ret,
                         struct arena *arena) {
    struct bytes bytes = {.size = 0};
    put(&bytes, (uint8_t[11]){0, 0, 1, 1, 1, 0, 0, 0, 0, 9, 0}, 11); /* two nulls, two texts, no names, 9 ms */
    put(&bytes, tags, size);
    struct reader r = reader_of(bytes.data, bytes.size);
    arena_init(arena, 4096);
    return consumer_group_member_metadata_value_decode(&r, 0, arena, ret);
}

START_TEST(a_struct_in_a_tag_may_be_null_and_says_so_by_a_varint) {
    struct consumer_group_member_metadata_value m;
    struct arena arena;
    ck_assert_int_eq(decode_member("\x00", 1, &m, &arena), 0);
    ck_assert_ptr_null(m.classic_member_metadata);
    arena_deinit(&arena);
    ck_assert_int_eq(decode_member("\x01\x00\x01\x00", 4, &m, &arena), 0);
    ck_assert_ptr_null(m.classic_member_metadata);
    arena_deinit(&arena);
    ck_assert_int_eq(decode_member("\x01\x00\x07\x01\x00\x00\x00\x05\x01\x00", 10, &m, &arena), 0);
    ck_assert_ptr_nonnull(m.classic_member_metadata);
    ck_assert_int_eq(m.classic_member_metadata->session_timeout_ms, 5);
    arena_deinit(&arena);
}
END_TEST

START_TEST(unknown_tags_are_capped_in_number) {
    for (int count = CODEC_UNKNOWN_TAGS_MAX; count <= CODEC_UNKNOWN_TAGS_MAX + 1; count++) {
        struct bytes tags = {.size = 0};
        put_u8(&tags, (uint8_t)count);
        for (int i = 0; i < count; i++) {
            put_u8(&tags, 0x7f);
            put_u8(&tags, 0);
        }
        struct api_versions_response m;
        struct arena arena;
        int error = decode_tags(tags.data, tags.size, &m, &arena);
        ck_assert_int_eq(error, count > CODEC_UNKNOWN_TAGS_MAX ? ERR_CORRUPT : 0);
        arena_deinit(&arena);
    }
    struct api_versions_response m;
    struct arena arena;
    ck_assert_int_eq(DECODE_TAGS("\xff\xff\xff\xff\x0f\x7f\x00", &m, &arena), ERR_CORRUPT);
    arena_deinit(&arena);
}
END_TEST

START_TEST(a_tagged_field_at_its_default_is_not_sent) {
    struct fetch_request m;
    fetch_request_init(&m);
    size_t without = fetch_request_encoded_size(&m, 15);
    m.replica_state.replica_id = 2;
    ck_assert_uint_gt(fetch_request_encoded_size(&m, 15), without);
    m.replica_state.replica_id = -1;
    ck_assert_uint_eq(fetch_request_encoded_size(&m, 15), without);
}
END_TEST

START_TEST(bytes_after_the_message_are_left_to_the_caller) {
    struct bytes bytes = {.size = 0};
    put_i32(&bytes, 0);
    put(&bytes, "rest", 4);
    struct metadata_request m;
    struct reader r = reader_of(bytes.data, bytes.size);
    ck_assert_int_eq(metadata_request_decode(&r, 1, NULL, &m), 0);
    ck_assert_uint_eq(reader_left(&r), 4);
}
END_TEST

/* ---- Records ---- */

static void make_fetch(struct fetch_response *m, struct fetch_response_fetchable_topic_response *topic,
                       struct fetch_response_partition_data *partitions, int32_t count) {
    fetch_response_init(m);
    fetch_response_fetchable_topic_response_init(topic);
    m->responses = topic;
    m->responses_count = 1;
    topic->partitions = partitions;
    topic->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        fetch_response_partition_data_init(&partitions[i]);
        partitions[i].partition_index = i;
        partitions[i].records = RECORDS_NULL;
    }
}

START_TEST(a_region_is_counted_in_its_length_but_only_noted_in_the_body) {
    struct fetch_response m;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data partitions[3];
    make_fetch(&m, &topic, partitions, 3);
    size_t without = fetch_response_encoded_size(&m, 4);
    static char nothing;
    struct disk_file *file = (struct disk_file *)(void *)&nothing; /* the encoder passes it on without a look */
    partitions[0].records = (struct records){.size = 1000000, .file = file, .position = 77};
    partitions[1].records = (struct records){.size = 3, .data = (const uint8_t *)"abc"};
    partitions[2].records = (struct records){.size = 5, .file = file, .position = 99};

    struct encoder counting = encoder_counting();
    fetch_response_encode(&m, 4, &counting);
    ck_assert_uint_eq(counting.counted, without + 3);
    ck_assert_int_eq(counting.splice_count, 2);
    ck_assert_int_eq(counting.splice_bytes, 1000005);

    uint8_t room[256];
    struct splice splices[2];
    struct encoder e = encoder_of(room, counting.counted);
    e.splices = splices;
    e.splice_capacity = 2;
    fetch_response_encode(&m, 4, &e);
    ck_assert(!e.w.failed);
    ck_assert_uint_eq(writer_size(&e.w), counting.counted);
    ck_assert_int_eq(e.splice_count, 2);
    ck_assert_int_eq(e.splice_bytes, 1000005);
    ck_assert_int_eq(splices[0].records.position, 77);
    ck_assert_int_eq(load_i32(room + splices[0].at - 4), 1000000);
    ck_assert_int_eq(splices[1].at, (int32_t)counting.counted); /* the last bytes of all */
    ck_assert_int_eq(load_i32(room + splices[1].at - 4), 5);
}
END_TEST

START_TEST(records_in_memory_come_back_as_a_view_into_the_frame) {
    struct fetch_response m;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data partition;
    make_fetch(&m, &topic, &partition, 1);
    partition.records = (struct records){.size = 3, .data = (const uint8_t *)"abc"};
    uint8_t room[256];
    struct encoder e = encoder_of(room, sizeof room);
    fetch_response_encode(&m, 12, &e);
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct fetch_response back;
    struct reader r = reader_of(room, writer_size(&e.w));
    ck_assert_int_eq(fetch_response_decode(&r, 12, &arena, &back), 0);
    const struct records *records = &back.responses[0].partitions[0].records;
    ck_assert_int_eq(records->size, 3);
    ck_assert(records->data > room && records->data < room + sizeof room);
    ck_assert_int_eq(memcmp(records->data, "abc", 3), 0);
    ck_assert_ptr_null(records->file);
    arena_deinit(&arena);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_classic_count_is_null_or_fits_into_the_bytes_left),
        TEST(a_count_is_weighed_at_the_least_size_of_its_elements),
        TEST(a_compact_count_is_null_or_fits_into_the_bytes_left),
        TEST(an_overlong_or_overflowing_varint_is_an_error),
        TEST(a_list_that_outgrows_the_budget_is_too_large),
        TEST(a_text_has_a_length_that_the_protocol_knows),
        TEST(a_text_too_long_to_travel_fails_the_encoder),
        TEST(an_encoder_without_room_fails_and_writes_nothing_beyond),
        TEST(known_tags_are_read_in_any_order_and_unknown_ones_skipped),
        TEST(a_tag_whose_size_is_not_that_of_its_field_is_an_error),
        TEST(a_list_inside_a_tag_cannot_reach_beyond_the_tag),
        TEST(tags_nest_and_inner_unknown_tags_are_skipped_too),
        TEST(a_struct_in_a_tag_may_be_null_and_says_so_by_a_varint),
        TEST(unknown_tags_are_capped_in_number),
        TEST(a_tagged_field_at_its_default_is_not_sent),
        TEST(bytes_after_the_message_are_left_to_the_caller),
        TEST(a_region_is_counted_in_its_length_but_only_noted_in_the_body),
        TEST(records_in_memory_come_back_as_a_view_into_the_frame),
    };
    return run_tests("protocol_codec", tests, ARRAY_SIZE(tests));
}
