/* Command lines, properties files and the console producer's lines. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/lib/runner.h"
#include "tools/configs.h"
#include "tools/line_reader.h"
#include "tools/options.h"
#include "tools/property_list.h"
#include "tools/topic_filter.h"

static const struct option_spec specs[] = {
    {"codec", OPTION_OPTIONAL, "String", ""},
    {"list", OPTION_FLAG, NULL, ""},
    {"offset", OPTION_REQUIRED, "String", ""},
    {"partitions", OPTION_REQUIRED, "Integer", ""},
};

static struct options options;
static struct failure failure;

static int parse(int argc, const char *const *argv) {
    options_deinit(&options);
    return options_parse(&options, specs, ARRAY_SIZE(specs), argc, (char **)argv, &failure);
}

static void tear_down(void) {
    options_deinit(&options);
    failure_clear(&failure);
}

START_TEST(both_forms_of_an_argument_and_a_single_dash_are_taken) {
    ck_assert_int_eq(parse(5, (const char *[]){"tool", "-list", "--offset=5", "-partitions", "3"}), 0);
    ck_assert(options_has(&options, "list"));
    ck_assert_str_eq(options_text(&options, "offset"), "5");
    int32_t value;
    ck_assert_int_eq(options_int(&options, "partitions", 0, &value, &failure), 0);
    ck_assert_int_eq(value, 3);
    tear_down();
}
END_TEST

START_TEST(a_required_argument_swallows_a_word_with_a_dash) {
    ck_assert_int_eq(parse(3, (const char *[]){"tool", "--offset", "-1"}), 0);
    ck_assert_str_eq(options_text(&options, "offset"), "-1");
    tear_down();
}
END_TEST

START_TEST(an_optional_argument_leaves_the_next_option_alone) {
    ck_assert_int_eq(parse(3, (const char *[]){"tool", "--codec", "--list"}), 0);
    ck_assert(options_has(&options, "codec") && options_has(&options, "list"));
    ck_assert_ptr_null(options_text(&options, "codec"));
    tear_down();
}
END_TEST

START_TEST(words_of_no_option_are_ignored) {
    ck_assert_int_eq(parse(4, (const char *[]){"tool", "extra", "--list", "words"}), 0);
    ck_assert(options_has(&options, "list"));
    tear_down();
}
END_TEST

START_TEST(errors_are_worded_as_kafkas_library_words_them) {
    ck_assert_int_eq(parse(2, (const char *[]){"tool", "--lis"}), ERR_INVALID);
    ck_assert_str_eq(failure.text, "lis is not a recognized option");
    ck_assert_str_eq(failure.class_name, "joptsimple.UnrecognizedOptionException");
    ck_assert_int_eq(parse(2, (const char *[]){"tool", "--offset"}), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Option offset requires an argument");
    ck_assert_int_eq(parse(5, (const char *[]){"tool", "--offset", "a", "--offset", "b"}), 0);
    const char *text;
    ck_assert_int_eq(options_string(&options, "offset", NULL, &text, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Found multiple arguments for option offset, but you asked for only one");
    ck_assert_int_eq(parse(3, (const char *[]){"tool", "--partitions", "abc"}), 0);
    int32_t value;
    ck_assert_int_eq(options_int(&options, "partitions", 0, &value, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Cannot parse argument 'abc' of option partitions");
    tear_down();
}
END_TEST

START_TEST(numbers_beyond_their_type_are_refused) {
    int64_t wide;
    int32_t narrow;
    ck_assert_int_eq(parse_int64("9223372036854775808", &wide), ERR_INVALID);
    ck_assert_int_eq(parse_int64("-9223372036854775808", &wide), 0);
    ck_assert_int_eq(parse_int32("2147483648", &narrow), ERR_INVALID);
    ck_assert_int_eq(parse_int32("", &narrow), ERR_INVALID);
    ck_assert_int_eq(parse_int32(" 1", &narrow), ERR_INVALID);
}
END_TEST

START_TEST(properties_know_comments_continuations_and_escapes) {
    static const char text[] = "# comment\n! too\n a = b \\\n   c\nd:e\\u0041\\tf\nempty\nk\\=ey=v\\\\w\r\nlast=x";
    struct property_list list = {0};
    property_list_parse(&list, text, strlen(text));
    ck_assert_uint_eq(list.count, 5);
    ck_assert_str_eq(property_list_get(&list, "a"), "b c");
    ck_assert_str_eq(property_list_get(&list, "d"), "eA\tf");
    ck_assert_str_eq(property_list_get(&list, "empty"), "");
    ck_assert_str_eq(property_list_get(&list, "k=ey"), "v\\w");
    ck_assert_str_eq(property_list_get(&list, "last"), "x");
    property_list_deinit(&list);
}
END_TEST

START_TEST(a_topic_pattern_must_match_the_whole_name) {
    struct topic_filter *filter = topic_filter_create("t[12], u.*");
    ck_assert_ptr_nonnull(filter);
    ck_assert(topic_filter_matches(filter, STR_LITERAL("t1")));
    ck_assert(topic_filter_matches(filter, STR_LITERAL("uv")));
    ck_assert(!topic_filter_matches(filter, STR_LITERAL("t12")));
    ck_assert(!topic_filter_matches(filter, STR_LITERAL("xt1")));
    topic_filter_destroy(filter);
    ck_assert_ptr_null(topic_filter_create("["));
}
END_TEST

static struct line_reader reader;
static struct property_list settings;

static void set_up_reader(const char *const *pairs) {
    settings = (struct property_list){0};
    for (; *pairs != NULL; pairs++) {
        property_list_set_pair(&settings, *pairs);
    }
    ck_assert_int_eq(line_reader_init(&reader, &settings, &failure), 0);
}

static void tear_down_reader(void) {
    line_reader_deinit(&reader);
    property_list_deinit(&settings);
    failure_clear(&failure);
}

static bool is_text(struct slice bytes, const char *text) {
    return text == NULL ? bytes.size < 0
                        : bytes.size == (int32_t)strlen(text) && memcmp(bytes.data, text, strlen(text)) == 0;
}

START_TEST(a_line_is_headers_key_and_value_where_asked_for) {
    struct producer_record record;
    set_up_reader((const char *[]){"parse.key=true", "parse.headers=true", "null.marker=NULL", NULL});
    ck_assert_int_eq(line_reader_parse(&reader, STR_LITERAL("h1:a,h2:NULL\tk\tv\tw"), &record, &failure), 0);
    ck_assert_int_eq(record.header_count, 2);
    ck_assert(str_equal_text(record.headers[0].key, "h1") && is_text(record.headers[0].value, "a"));
    ck_assert(str_equal_text(record.headers[1].key, "h2") && is_text(record.headers[1].value, NULL));
    ck_assert(is_text(record.key, "k") && is_text(record.value, "v\tw"));
    ck_assert_int_eq(line_reader_parse(&reader, STR_LITERAL("NULL\tNULL\tNULL"), &record, &failure), 0);
    ck_assert_int_eq(record.header_count, 0);
    ck_assert(is_text(record.key, NULL) && is_text(record.value, NULL));
    tear_down_reader();
}
END_TEST

START_TEST(without_parse_key_the_whole_line_is_the_value) {
    struct producer_record record;
    set_up_reader((const char *[]){NULL});
    ck_assert_int_eq(line_reader_parse(&reader, STR_LITERAL("a\tb"), &record, &failure), 0);
    ck_assert(is_text(record.key, NULL) && is_text(record.value, "a\tb"));
    tear_down_reader();
}
END_TEST

START_TEST(a_missing_separator_names_the_line) {
    struct producer_record record;
    set_up_reader((const char *[]){"parse.key=true", "key.separator=:", NULL});
    ck_assert_int_eq(line_reader_parse(&reader, STR_LITERAL("a:b"), &record, &failure), 0);
    ck_assert_int_eq(line_reader_parse(&reader, STR_LITERAL("nokey"), &record, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "No key separator found on line number 2: 'nokey'");
    tear_down_reader();
    set_up_reader((const char *[]){"parse.key=true", "key.separator=:", "ignore.error=true", NULL});
    ck_assert_int_eq(line_reader_parse(&reader, STR_LITERAL("nokey"), &record, &failure), 0);
    ck_assert(is_text(record.key, NULL) && is_text(record.value, "nokey"));
    tear_down_reader();
}
END_TEST

START_TEST(separators_that_are_equal_are_refused) {
    settings = (struct property_list){0};
    property_list_set(&settings, "headers.delimiter", ",");
    ck_assert_int_eq(line_reader_init(&reader, &settings, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "headers.delimiter and headers.separator may not be equal");
    tear_down_reader();
}
END_TEST

START_TEST(brackets_hold_a_setting_with_commas_together) {
    struct options line;
    struct property_list added = {0};
    const char *argv[] = {"tool", "--add-config", "a=1,cleanup.policy=[compact,delete],c=", NULL};
    ck_assert_int_eq(options_parse(&line, configs_specs, configs_spec_count(), 3, (char **)argv, &failure), 0);
    ck_assert_int_eq(configs_parse_added(&line, &added, &failure), 0);
    ck_assert_uint_eq(added.count, 3);
    ck_assert_str_eq(property_list_get(&added, "cleanup.policy"), "compact,delete");
    ck_assert_str_eq(property_list_get(&added, "c"), "");
    property_list_deinit(&added);
    options_deinit(&line);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(both_forms_of_an_argument_and_a_single_dash_are_taken),
        TEST(a_required_argument_swallows_a_word_with_a_dash),
        TEST(an_optional_argument_leaves_the_next_option_alone),
        TEST(words_of_no_option_are_ignored),
        TEST(errors_are_worded_as_kafkas_library_words_them),
        TEST(numbers_beyond_their_type_are_refused),
        TEST(properties_know_comments_continuations_and_escapes),
        TEST(a_topic_pattern_must_match_the_whole_name),
        TEST(a_line_is_headers_key_and_value_where_asked_for),
        TEST(without_parse_key_the_whole_line_is_the_value),
        TEST(a_missing_separator_names_the_line),
        TEST(separators_that_are_equal_are_refused),
        TEST(brackets_hold_a_setting_with_commas_together),
    };
    return run_tests("command lines of the tools", tests, sizeof tests / sizeof tests[0]);
}
