/* The leaf library: varints, ids, arena, CRC. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/bytes.h"
#include "broker/base/crc32c.h"
#include "broker/base/errors.h"
#include "tests/lib/runner.h"

START_TEST(varints_round_trip_at_their_extremes) {
    const int64_t values[] = {0, 1, -1, 63, 64, -64, -65, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t bytes[16];
        struct writer w = writer_of(bytes, sizeof bytes);
        writer_varlong(&w, values[i]);
        ck_assert(!w.failed);
        ck_assert_uint_eq(writer_size(&w), varlong_size(values[i]));
        struct reader r = reader_of(bytes, writer_size(&w));
        ck_assert_int_eq(reader_varlong(&r), values[i]);
        ck_assert(!r.failed);
    }
}
END_TEST

START_TEST(an_overlong_varint_is_an_error) {
    const uint8_t bytes[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    struct reader r = reader_of(bytes, sizeof bytes);
    reader_uvarint(&r);
    ck_assert(r.failed);
}
END_TEST

START_TEST(a_short_read_yields_zero_and_sticks) {
    const uint8_t bytes[] = {1, 2, 3};
    struct reader r = reader_of(bytes, sizeof bytes);
    ck_assert_int_eq(reader_i32(&r), 0);
    ck_assert(r.failed);
    ck_assert_int_eq(reader_i8(&r), 0);
}
END_TEST

START_TEST(ids_have_kafkas_text_form) {
    struct uuid id;
    ck_assert_int_eq(uuid_parse(STR_LITERAL("Xk2vQ5rJQ8K1mD3tA0bZ9w"), &id), 0);
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    ck_assert_str_eq(text, "Xk2vQ5rJQ8K1mD3tA0bZ9w");
    ck_assert_int_ne(uuid_parse(STR_LITERAL("Xk2vQ5rJQ8K1mD3tA0bZ9="), &id), 0);
}
END_TEST

START_TEST(an_arena_stops_at_its_budget_and_can_be_used_again) {
    struct arena arena;
    arena_init(&arena, 100);
    ck_assert_ptr_nonnull(arena_try_alloc(&arena, 96));
    ck_assert_ptr_null(arena_try_alloc(&arena, 16));
    arena_reset(&arena, 200000);
    for (int i = 0; i < 100; i++) {
        ck_assert_ptr_nonnull(arena_try_alloc(&arena, 1000));
    }
    arena_deinit(&arena);
}
END_TEST

START_TEST(what_is_left_of_a_block_can_be_written_to_before_its_size_is_known) {
    struct arena arena;
    uint8_t *room;
    arena_init(&arena, 1000);
    ck_assert_uint_eq(arena_room(&arena, &room), 0);
    arena_take_room(&arena, 0);
    uint8_t *before = arena_alloc(&arena, 10);
    ck_assert_uint_eq(arena_room(&arena, &room), 1000 - 16 - 8); /* of the budget, in steps of 16 */
    ck_assert_ptr_eq(room, before + 16);
    memset(room, 0xff, 100);
    arena_take_room(&arena, 33);
    uint8_t *after = arena_alloc(&arena, 64);
    ck_assert_ptr_eq(after, room + 48);
    ck_assert_uint_eq(after[0], 0);
    ck_assert_uint_eq(room[32], 0xff);
    ck_assert_uint_eq(arena.used, 16 + 48 + 64);
    arena_reset(&arena, SIZE_MAX);
    ck_assert_uint_gt(arena_room(&arena, &room), 1000);
    ck_assert_ptr_eq(room, before);
    arena_deinit(&arena);
}
END_TEST

START_TEST(crc32c_gives_the_check_value_of_the_standard) {
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283U);
    ck_assert_uint_eq(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283U);
}
END_TEST

START_TEST(a_file_in_the_place_of_a_directory_is_called_that) {
    ck_assert_str_eq(error_text(error_from_errno(ENOTDIR)), "not a directory");
    ck_assert_str_eq(error_text(error_from_errno(EACCES)), "permission denied");
    ck_assert_str_eq(error_text(error_from_errno(EIO)), "input/output error");
}
END_TEST

START_TEST(too_many_open_files_are_called_that_and_what_to_raise_is_said) {
    ck_assert_str_eq(error_text(error_from_errno(EMFILE)),
                     "too many open files; raise LimitNOFILE of the service (ulimit -n)");
    ck_assert_str_eq(error_text(error_from_errno(ENFILE)),
                     "too many open files in the whole system; raise fs.file-max (sysctl)");
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(varints_round_trip_at_their_extremes),
        TEST(an_overlong_varint_is_an_error),
        TEST(a_short_read_yields_zero_and_sticks),
        TEST(ids_have_kafkas_text_form),
        TEST(an_arena_stops_at_its_budget_and_can_be_used_again),
        TEST(a_file_in_the_place_of_a_directory_is_called_that),
        TEST(too_many_open_files_are_called_that_and_what_to_raise_is_said),
        TEST(what_is_left_of_a_block_can_be_written_to_before_its_size_is_known),
        TEST(crc32c_gives_the_check_value_of_the_standard),
    };
    return run_tests("base", tests, sizeof tests / sizeof tests[0]);
}
