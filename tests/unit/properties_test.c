/* Java property files, read as Java reads them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/base/errors.h"
#include "broker/properties.h"
#include "tests/lib/runner.h"

static struct properties parse(const char *text) {
    struct properties properties;
    properties_init(&properties);
    char *message = NULL;
    ck_assert_int_eq(properties_parse(&properties, text, strlen(text), &message), 0);
    return properties;
}

static void assert_value(const char *text, const char *key, const char *expected) {
    struct properties properties = parse(text);
    ck_assert_pstr_eq(properties_get(&properties, key), expected);
    properties_deinit(&properties);
}

START_TEST(separators_are_equals_colon_and_blanks) {
    assert_value("a=1", "a", "1");
    assert_value("a : 1", "a", "1");
    assert_value("a\t1", "a", "1");
    assert_value("a = = 1", "a", "= 1");
    assert_value("  a   1 2 ", "a", "1 2 ");
    assert_value("a", "a", "");
}
END_TEST

START_TEST(comments_and_blank_lines_hold_nothing) {
    struct properties properties = parse("# a=1\n  ! b=2\\\n\n\r\n \t\nc=3\r\nd=4\re=5");
    ck_assert_int_eq(properties.count, 3);
    ck_assert_str_eq(properties_get(&properties, "c"), "3");
    ck_assert_str_eq(properties_get(&properties, "d"), "4");
    ck_assert_str_eq(properties_get(&properties, "e"), "5");
    properties_deinit(&properties);
}
END_TEST

START_TEST(a_backslash_joins_lines_and_two_do_not) {
    assert_value("a=1,\\\n   2,\\\r\n\t3\nb=x", "a", "1,2,3");
    assert_value("a=1\\\\\nb=2", "a", "1\\");
    assert_value("a=1\\\\\nb=2", "b", "2");
    assert_value("a=1\\", "a", "1");
    assert_value("a=1\\\n# no comment here", "a", "1# no comment here");
}
END_TEST

START_TEST(escapes_are_resolved_in_keys_and_values) {
    assert_value("a\\ b\\=c=1", "a b=c", "1");
    assert_value("a=x\\ty\\nz\\q", "a", "x\ty\nzq");
    assert_value("a=\\u0041\\u00e9\\u20AC", "a", "A\xc3\xa9\xe2\x82\xac");
    assert_value("a=\\ud83d\\ude00", "a", "\xf0\x9f\x98\x80");
    assert_value("a=\xe9", "a", "\xc3\xa9"); /* the file is ISO 8859-1 */
}
END_TEST

START_TEST(the_later_duplicate_wins_in_the_place_of_the_first) {
    struct properties properties = parse("a=1\nb=2\na=3");
    ck_assert_int_eq(properties.count, 2);
    ck_assert_str_eq(properties.list[0].value, "3");
    properties_remove(&properties, "a");
    ck_assert_int_eq(properties.count, 1);
    ck_assert_ptr_null(properties_get(&properties, "a"));
    properties_deinit(&properties);
}
END_TEST

START_TEST(a_malformed_unicode_escape_is_refused) {
    const char *const texts[] = {"a=\\u12", "a=\\u12G4", "\\u=1"};
    for (size_t i = 0; i < 3; i++) {
        struct properties properties;
        properties_init(&properties);
        char *message = NULL;
        ck_assert_int_eq(properties_parse(&properties, texts[i], strlen(texts[i]), &message), ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(message, "Malformed \\uxxxx encoding"));
        free(message);
        properties_deinit(&properties);
    }
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named) {
    struct properties properties;
    properties_init(&properties);
    char *message = NULL;
    ck_assert_int_eq(properties_load(&properties, "/nonexistent/server.properties", &message), ERR_NOT_FOUND);
    ck_assert_str_eq(message, "cannot read /nonexistent/server.properties: No such file or directory");
    free(message);
    ck_assert_int_eq(properties_load(&properties, "/tmp", &message), ERR_INVALID);
    ck_assert_str_eq(message, "cannot read /tmp: Is a directory");
    free(message);
    properties_deinit(&properties);
}
END_TEST

START_TEST(a_file_is_read_whole) {
    char path[] = "/tmp/properties_testXXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(dprintf(file, "broker.id=1\nlisteners=PLAINTEXT://:9092\n"), 40);
    close(file);
    struct properties properties;
    properties_init(&properties);
    char *message = NULL;
    ck_assert_int_eq(properties_load(&properties, path, &message), 0);
    ck_assert_str_eq(properties_get(&properties, "listeners"), "PLAINTEXT://:9092");
    properties_deinit(&properties);
    unlink(path);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(separators_are_equals_colon_and_blanks),
        TEST(comments_and_blank_lines_hold_nothing),
        TEST(a_backslash_joins_lines_and_two_do_not),
        TEST(escapes_are_resolved_in_keys_and_values),
        TEST(the_later_duplicate_wins_in_the_place_of_the_first),
        TEST(a_malformed_unicode_escape_is_refused),
        TEST(a_file_that_cannot_be_read_is_named),
        TEST(a_file_is_read_whole),
    };
    return run_tests("properties", tests, sizeof tests / sizeof tests[0]);
}
