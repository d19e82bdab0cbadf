/* kafka-consumer-groups without a cluster: times, plans in CSV, topics named on the command line, tables. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/lib/runner.h"
#include "tools/groups.h"
#include "tools/groups_plan.h"
#include "tools/iso_time.h"

static struct arena arena;
static struct failure failure;

static int64_t datetime(const char *text) {
    int64_t ms;
    ck_assert_msg(iso_datetime_parse(text, &ms, &failure) == 0, "%s", text);
    return ms;
}

START_TEST(dates_are_read_as_javas_formatter_reads_them) {
    ck_assert_int_eq(datetime("1970-01-01T00:00:00.000"), 0);
    ck_assert_int_eq(datetime("2020-01-01T00:00:00.000"), 1577836800000);
    ck_assert_int_eq(datetime("2020-02-29T23:59:59.999Z"), 1583020799999);
    ck_assert_int_eq(datetime("2020-01-01T00:00:00.000+02:30"), 1577836800000 - 9000000);
    ck_assert_int_eq(datetime("2020-01-01T00:00:00.000-02"), 1577836800000 + 7200000);
    ck_assert_int_eq(datetime("2020-01-01T00:00:00.000+0230"), 1577836800000 - 7200000); /* hours are all it looks at */
    ck_assert_int_eq(datetime("2020-01-01T00:00:00.000 +02:00garbage"), 1577836800000 - 7200000);
    ck_assert_int_eq(datetime("2020-1-1T0:0:0.5"), 1577836800005);
    ck_assert_int_eq(datetime("1969-12-31T23:59:59.999"), -1);
    ck_assert_int_eq(datetime("2000-03-01T00:00:00.000"), 951868800000);
}
END_TEST

START_TEST(what_is_no_date_is_refused_in_javas_words) {
    static const char *const no_time[] = {"yesterday", "", "T", "xT", "2020-01-01T", "2020-01-01TT"};
    static const char *const bad[] = {
        "2020-01-01T00:00",        "2020-01-01T00:00:00",      "2020-13-01T00:00:00.000",
        "2021-02-29T00:00:00.000", "1900-02-29T00:00:00.000",  "2020-01-01T24:00:00.000",
        "2020-01-01T00:60:00.000", "2020-01-01T00:00:00.1234", "2020-00-01T00:00:00.000",
        "2020-01-00T00:00:00.000", "2020-01-01T00:00:00.000z", "99999999999999-01-01T00:00:00.000",
        "2020--1-01T00:00:00.000"};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_SIZE(no_time); i++) {
        ck_assert_int_eq(iso_datetime_parse(no_time[i], &ms, &failure), ERR_INVALID);
        ck_assert_str_eq(failure.text,
                         "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format");
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_msg(iso_datetime_parse(bad[i], &ms, &failure) == ERR_INVALID, "%s", bad[i]);
        char *expected = xasprintf("Unparseable date: \"%sZ\"", bad[i]);
        ck_assert_str_eq(failure.text, expected);
        free(expected);
    }
    ck_assert_int_eq(iso_datetime_parse("2020-01-01T00:00:00.000+2", &ms, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Unparseable date: \"2020-01-01T00:00:00.000+2\"");
    ck_assert_str_eq(failure.class_name, "java.text.ParseException");
}
END_TEST

static int64_t before(const char *text, int64_t now_ms) {
    int64_t ms;
    ck_assert_msg(iso_duration_before(text, now_ms, &ms, &failure) == 0, "%s", text);
    return ms;
}

START_TEST(durations_go_back_from_now) {
    ck_assert_int_eq(before("P1D", 86400000), 0);
    ck_assert_int_eq(before("p1dt2h3m4s", 1000000000), 1000000000 - 93784000);
    ck_assert_int_eq(before("PT0.5S", 1000), 500);
    ck_assert_int_eq(before("PT0,0000001S", 1000), 999); /* a moment is cut down to its millisecond */
    ck_assert_int_eq(before("-PT1S", 1000), 2000);
    ck_assert_int_eq(before("PT-1S", 1000), 2000);
    ck_assert_int_eq(before("-P1DT-1H", 0), 86400000 - 3600000);
    ck_assert_int_eq(before("PT-0.5S", 1000), 1500);
    ck_assert_int_eq(before("+P0D", 7), 7);
    ck_assert_int_eq(before("PT2S", 1500), -500);
}
END_TEST

START_TEST(what_is_no_duration_is_refused) {
    static const char *const bad[] = {"",       "5",      "P",   "PT",    "P1DT",  "P1W",    "P1D2H",
                                      "PT1.5H", "1D",     "PT1", "P1DT1", "PT1S ", "PT.5S",  "P-",
                                      "PTS",    "PT1M1H", "-",   "P 1D",  "PT1H-", "P1Y2M1D"};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_msg(iso_duration_before(bad[i], 0, &ms, &failure) == ERR_INVALID, "%s", bad[i]);
        ck_assert_str_eq(failure.text, "Text cannot be parsed to a Duration");
    }
    ck_assert_int_eq(iso_duration_before("P99999999999999999999D", 0, &ms, &failure), ERR_INVALID);
    ck_assert_int_eq(iso_duration_before("PT99999999999999H", 0, &ms, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Instant exceeds minimum or maximum instant");
    ck_assert_int_eq(iso_duration_before("PT4000000000000H", 0, &ms, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "long overflow");
}
END_TEST

START_TEST(topics_are_named_with_and_without_partitions) {
    struct topic_argument topic;
    ck_assert_int_eq(topic_argument_parse("t", &arena, &topic, &failure), 0);
    ck_assert(str_equal_text(topic.topic, "t") && topic.count == -1);
    ck_assert_int_eq(topic_argument_parse("t:0,12", &arena, &topic, &failure), 0);
    ck_assert_int_eq(topic.count, 2);
    ck_assert_int_eq(topic.partitions[1], 12);
    ck_assert_int_eq(topic_argument_parse("t:", &arena, &topic, &failure), 0);
    ck_assert_int_eq(topic.count, -1);
    ck_assert_int_eq(topic_argument_parse("t:x", &arena, &topic, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Invalid partition 'x' specified in topic arg 't:x''");
    ck_assert_int_eq(topic_argument_parse("t:0:1", &arena, &topic, &failure), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Invalid topic arg 't:0:1', expected topic name and partitions");
    ck_assert_str_eq(failure.class_name, USAGE_FAILURE);
}
END_TEST

static int parse(const char *text, bool may_lack_group, struct plan *ret) {
    return plan_parse(str_from(text), may_lack_group, &arena, ret, &failure);
}

START_TEST(plans_are_read_with_and_without_groups) {
    struct plan plan;
    struct group_offsets offsets;
    ck_assert_int_eq(parse("t,1,5\r\n\"t\",0,2\n\nu,0,0", true, &plan), 0);
    plan_of_group(&plan, str_from("any"), &arena, &offsets);
    ck_assert_int_eq(offsets.count, 3);
    ck_assert(str_equal_text(offsets.list[0].topic, "t") && offsets.list[0].offset == 2);
    ck_assert(str_equal_text(offsets.list[2].topic, "u") && offsets.list[2].partition == 0);
    ck_assert_int_eq(parse("g,t,0,2\n\"a,\"\"b\"\"\",t,0,7\ng,t,0,3\n", true, &plan), 0);
    plan_of_group(&plan, str_from("g"), &arena, &offsets);
    ck_assert_int_eq(offsets.count, 1);
    ck_assert_int_eq(offsets.list[0].offset, 3); /* the later line */
    plan_of_group(&plan, str_from("a,\"b\""), &arena, &offsets);
    ck_assert_int_eq(offsets.list[0].offset, 7);
    plan_of_group(&plan, str_from("x"), &arena, &offsets);
    ck_assert_int_eq(offsets.count, 0);
    ck_assert_int_eq(parse("", true, &plan), 0);
    ck_assert_int_eq(plan.count, 0);
}
END_TEST

START_TEST(a_plan_with_a_bad_line_is_no_plan) {
    static const char *const bad[] = {"t,0",
                                      "hello",
                                      "t,x,1",
                                      "t,0,x",
                                      "t,-1,0",
                                      "t,0,1,2,3",
                                      "t,0,1\ng,t,0,1",
                                      "g,t,0,1\nt,0,1",
                                      "\"t,0,1",
                                      "\"t\"x,0,1",
                                      "t,0,99999999999999999999",
                                      "t,2147483648,1",
                                      "t,0,",
                                      "t, 0,1"};
    struct plan plan;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_msg(parse(bad[i], true, &plan) == ERR_INVALID, "%s", bad[i]);
        ck_assert_str_eq(failure.class_name, "java.io.IOException");
    }
    ck_assert_int_eq(parse("t,0,1", false, &plan), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Too few values, expected group,topic,partition,offset, in line 1");
    ck_assert_int_eq(parse("t,0,1\n\nt,1\n", true, &plan), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Too few values, expected topic,partition,offset, in line 3");
    ck_assert_int_eq(parse("t,0,-5", true, &plan), ERR_INVALID);
    ck_assert_str_eq(failure.text, "Invalid negative offset");
    ck_assert_str_eq(failure.class_name, USAGE_FAILURE);
}
END_TEST

static char *written;
static size_t written_size;

static FILE *begin_writing(void) {
    FILE *out = open_memstream(&written, &written_size);
    ck_assert_ptr_nonnull(out);
    return out;
}

static void check_written(FILE *out, const char *expected) {
    fclose(out);
    ck_assert_str_eq(written, expected);
    free(written);
}

START_TEST(what_is_exported_is_quoted_where_kafka_quotes_and_read_back) {
    static const char *const groups[] = {"g",  "a b", "a,b",       "say \"hi\"", "a-group-with-a-name-of-more-than-24",
                                         "#x", "",    "two\nlines"};
    struct group_offset offset = {STR_LITERAL("t"), 3, 42, 0};
    FILE *out = begin_writing();
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        plan_write_line(out, str_from(groups[i]), &offset);
    }
    fputc('\n', out);
    fclose(out);
    ck_assert_str_eq(written, "g,t,3,42\n\"a b\",t,3,42\n\"a,b\",t,3,42\n\"say \"\"hi\"\"\",t,3,42\n"
                              "\"a-group-with-a-name-of-more-than-24\",t,3,42\n\"#x\",t,3,42\n,t,3,42\n"
                              "\"two\nlines\",t,3,42\n\n");
    struct plan plan;
    ck_assert_int_eq(parse(written, false, &plan), 0);
    ck_assert_int_eq(plan.count, ARRAY_SIZE(groups));
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        ck_assert(str_equal_text(plan.lines[i].group, groups[i]));
        ck_assert_int_eq(plan.lines[i].offset.offset, 42);
    }
    free(written);
    out = begin_writing();
    plan_write_line(out, STR_NULL, &offset);
    check_written(out, "t,3,42\n");
}
END_TEST

START_TEST(offsets_are_kept_within_their_log) {
    int64_t offset;
    ck_assert_int_eq(offset_clamp(5, 3, 9, &offset), CLAMPED_NOT);
    ck_assert_int_eq(offset, 5);
    ck_assert_int_eq(offset_clamp(9, 3, 9, &offset), CLAMPED_NOT);
    ck_assert_int_eq(offset_clamp(10, 3, 9, &offset), CLAMPED_TO_END);
    ck_assert_int_eq(offset, 9);
    ck_assert_int_eq(offset_clamp(-1, 3, 9, &offset), CLAMPED_TO_BEGIN);
    ck_assert_int_eq(offset, 3);
}
END_TEST

START_TEST(partitions_named_twice_count_once) {
    struct group_offset list[] = {{STR_LITERAL("u"), 0, 1, 0},
                                  {STR_LITERAL("t"), 1, 2, 0},
                                  {STR_LITERAL("t"), 0, 3, 0},
                                  {STR_LITERAL("t"), 1, 4, 0}};
    struct group_offsets offsets = {list, ARRAY_SIZE(list)};
    group_offsets_normalize(&offsets);
    ck_assert_int_eq(offsets.count, 3);
    ck_assert_int_eq(list[0].offset, 3);
    ck_assert_int_eq(list[1].offset, 4);
    ck_assert_int_eq(list[2].offset, 1);
}
END_TEST

START_TEST(the_table_of_offsets_is_as_wide_as_its_longest_value) {
    struct str dash = STR_LITERAL("-");
    struct offset_row rows[] = {
        {STR_LITERAL("t"), 10, 4, 9, STR_LITERAL("consumer-1-and-more"), STR_LITERAL("/127.0.0.1"), STR_LITERAL("c")},
        {STR_LITERAL("t"), 2, -1, 9, dash, dash, dash},
        {STR_LITERAL("t"), 3, 4, -1, dash, dash, dash}};
    FILE *out = begin_writing();
    offset_table_write(out, str_from("a-group-of-18-char"), rows, ARRAY_SIZE(rows));
    check_written(
        out,
        "\nGROUP              TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID   "
        "      HOST            CLIENT-ID"
        "\na-group-of-18-char t               10         4               9               5               "
        "consumer-1-and-more /127.0.0.1      c"
        "\na-group-of-18-char t               2          -               9               -               -        "
        "           -               -"
        "\na-group-of-18-char t               3          4               -               -               -        "
        "           -               -");
}
END_TEST

START_TEST(the_table_of_members_has_instances_if_any_member_is_one) {
    struct assigned_partition parts[] = {
        {STR_LITERAL("t"), 2}, {STR_LITERAL("t"), 10}, {STR_LITERAL("t"), 0}, {STR_LITERAL("s"), 2}};
    struct member_row rows[] = {
        {STR_LITERAL("m-1"), STR_NULL, STR_LITERAL("/127.0.0.1"), STR_LITERAL("c"), parts, ARRAY_SIZE(parts)},
        {STR_LITERAL("m-2"), STR_NULL, STR_LITERAL("/127.0.0.1"), STR_LITERAL("c"), NULL, 0}};
    FILE *out = begin_writing();
    member_table_write(out, str_from("g"), rows, 2, true);
    check_written(out, "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     ASSIGNMENT\n"
                       "g               m-1             /127.0.0.1      c               4               (2), (0,10,2)\n"
                       "g               m-2             /127.0.0.1      c               0               -\n");
    rows[1].instance_id = STR_LITERAL("i");
    out = begin_writing();
    member_table_write(out, str_from("g"), rows, 2, false);
    check_written(
        out, "\nGROUP           CONSUMER-ID     GROUP-INSTANCE-ID HOST            CLIENT-ID       #PARTITIONS     \n"
             "g               m-1                               /127.0.0.1      c               4               \n"
             "g               m-2             i                 /127.0.0.1      c               0               \n");
    out = begin_writing();
    member_table_write(out, str_from("a-group-that-is-not-there"), NULL, 0, false);
    check_written(out, "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n");
}
END_TEST

START_TEST(assignments_are_decoded_whatever_their_version) {
    static const uint8_t bytes[] = {0, 9, 0, 0, 0, 1, 0, 1, 't',  0,    0,    0,   2,
                                    0, 0, 0, 5, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff};
    struct assigned_partition *list;
    int32_t count;
    ck_assert_int_eq(group_decode_assignment(&arena, (struct slice){bytes, sizeof bytes}, &list, &count), 0);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(list[1].partition, 3);
    ck_assert_int_eq(group_decode_assignment(&arena, (struct slice){bytes, 0}, &list, &count), 0);
    ck_assert_int_eq(count, 0);
    for (int32_t size = 1; size < (int32_t)sizeof bytes; size++) {
        ck_assert_int_eq(group_decode_assignment(&arena, (struct slice){bytes, size}, &list, &count), ERR_CORRUPT);
    }
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(dates_are_read_as_javas_formatter_reads_them),
        TEST(what_is_no_date_is_refused_in_javas_words),
        TEST(durations_go_back_from_now),
        TEST(what_is_no_duration_is_refused),
        TEST(topics_are_named_with_and_without_partitions),
        TEST(plans_are_read_with_and_without_groups),
        TEST(a_plan_with_a_bad_line_is_no_plan),
        TEST(what_is_exported_is_quoted_where_kafka_quotes_and_read_back),
        TEST(offsets_are_kept_within_their_log),
        TEST(partitions_named_twice_count_once),
        TEST(the_table_of_offsets_is_as_wide_as_its_longest_value),
        TEST(the_table_of_members_has_instances_if_any_member_is_one),
        TEST(assignments_are_decoded_whatever_their_version),
    };
    arena_init(&arena, SIZE_MAX);
    int status = run_tests("consumer groups of the tools", tests, sizeof tests / sizeof tests[0]);
    arena_deinit(&arena);
    failure_clear(&failure);
    return status;
}
