/* The frame splitter, fed in every way a socket may cut a stream. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/frame.h"
#include "tests/lib/runner.h"

#define SIZE_MAX_BYTES 1000

/* A stream of three frames of 4, 300 and 17 bytes; byte i of frame k is k * 50 + i. */
static const int32_t frame_sizes[] = {4, 300, 17};

static size_t make_stream(uint8_t *stream) {
    size_t at = 0;
    for (size_t k = 0; k < ARRAY_SIZE(frame_sizes); k++) {
        store_i32(stream + at, frame_sizes[k]);
        at += FRAME_PREFIX_BYTES;
        for (int32_t i = 0; i < frame_sizes[k]; i++) {
            stream[at++] = (uint8_t)(k * 50 + (size_t)i);
        }
    }
    return at;
}

/* Feeds the stream `piece` bytes at a time and compares what comes out. */
static void feed_in_pieces(size_t piece) {
    uint8_t stream[1024];
    uint8_t gathered[SIZE_MAX_BYTES];
    size_t left = make_stream(stream);
    struct frame_reader reader;
    frame_reader_init(&reader, SIZE_MAX_BYTES);
    size_t frames = 0;
    for (const uint8_t *at = stream; left > 0;) {
        size_t size = MIN(piece, left);
        while (size > 0) {
            struct frame_part part;
            int64_t taken = frame_feed(&reader, at, size, &part);
            ck_assert_int_gt(taken, 0);
            at += taken;
            size -= (size_t)taken;
            left -= (size_t)taken;
            if (part.bytes.size > 0) {
                memcpy(gathered + part.offset, part.bytes.data, (size_t)part.bytes.size);
            }
            if (!part.is_last) {
                continue;
            }
            ck_assert_int_eq(part.offset + part.bytes.size, frame_sizes[frames]);
            for (int32_t i = 0; i < frame_sizes[frames]; i++) {
                ck_assert_uint_eq(gathered[i], (uint8_t)(frames * 50 + (size_t)i));
            }
            frames++;
        }
    }
    ck_assert_uint_eq(frames, ARRAY_SIZE(frame_sizes));
    ck_assert_int_eq(frame_left(&reader), FRAME_PREFIX_BYTES);
}

START_TEST(frames_come_out_whole_however_the_stream_is_cut) {
    for (size_t piece = 1; piece < 340; piece++) {
        feed_in_pieces(piece);
    }
}
END_TEST

START_TEST(a_frame_in_one_piece_is_handed_out_where_it_lies) {
    uint8_t stream[1024];
    size_t size = make_stream(stream);
    struct frame_reader reader;
    frame_reader_init(&reader, SIZE_MAX_BYTES);
    struct frame_part part;
    ck_assert_int_eq(frame_feed(&reader, stream, size, &part), 8);
    ck_assert(part.is_first && part.is_last);
    ck_assert_ptr_eq(part.bytes.data, stream + 4);
    ck_assert_int_eq(part.bytes.size, 4);
}
END_TEST

START_TEST(the_bytes_missing_are_known_as_soon_as_the_length_is) {
    uint8_t prefix[4];
    store_i32(prefix, 500);
    struct frame_reader reader;
    frame_reader_init(&reader, SIZE_MAX_BYTES);
    struct frame_part part;
    ck_assert_int_eq(frame_feed(&reader, prefix, 3, &part), 3);
    ck_assert(!part.is_first);
    ck_assert_int_eq(frame_left(&reader), 1);
    ck_assert_int_eq(frame_feed(&reader, prefix + 3, 1, &part), 1);
    ck_assert(part.is_first && !part.is_last);
    ck_assert_int_eq(reader.size, 500);
    ck_assert_int_eq(frame_left(&reader), 500);
    ck_assert_int_eq(frame_feed(&reader, prefix, 0, &part), 0);
    ck_assert(!part.is_first && !part.is_last);
}
END_TEST

static int64_t feed_length(int32_t length) {
    uint8_t prefix[4];
    store_i32(prefix, length);
    struct frame_reader reader;
    frame_reader_init(&reader, SIZE_MAX_BYTES);
    struct frame_part part;
    int64_t first = frame_feed(&reader, prefix, sizeof prefix, &part);
    if (first < 0) { /* an error stays */
        ck_assert_int_eq(frame_feed(&reader, prefix, sizeof prefix, &part), first);
    }
    return first;
}

START_TEST(a_length_out_of_bounds_is_an_error_that_stays) {
    ck_assert_int_eq(feed_length(-1), ERR_CORRUPT);
    ck_assert_int_eq(feed_length(INT32_MIN), ERR_CORRUPT);
    ck_assert_int_eq(feed_length(0), ERR_CORRUPT);
    ck_assert_int_eq(feed_length(3), ERR_CORRUPT);
    ck_assert_int_eq(feed_length(4), 4);
    ck_assert_int_eq(feed_length(SIZE_MAX_BYTES), 4);
    ck_assert_int_eq(feed_length(SIZE_MAX_BYTES + 1), ERR_TOO_LARGE);
    ck_assert_int_eq(feed_length(INT32_MAX), ERR_TOO_LARGE);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(frames_come_out_whole_however_the_stream_is_cut),
        TEST(a_frame_in_one_piece_is_handed_out_where_it_lies),
        TEST(the_bytes_missing_are_known_as_soon_as_the_length_is),
        TEST(a_length_out_of_bounds_is_an_error_that_stays),
    };
    return run_tests("protocol_frame", tests, ARRAY_SIZE(tests));
}
