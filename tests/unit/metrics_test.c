/* The table of metrics, the text that is made of it, and the endpoint that serves it. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/broker.h"
#include "broker/config.h"
#include "broker/metrics.h"
#include "tests/lib/exposition.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

static struct byte_buffer page;

static void set_up(void) {
    page = (struct byte_buffer){0};
}

static void tear_down(void) {
    byte_buffer_deinit(&page);
}

static const char *page_text(void) {
    byte_buffer_append(&page, "", 1);
    page.size--;
    return (const char *)page.data;
}

static void ck_is_valid(int32_t samples_least) {
    int32_t samples;
    char *message = exposition_error(page_text(), &samples);
    ck_assert_msg(message == NULL, "%s", message);
    ck_assert_int_ge(samples, samples_least);
}

static void ck_is_invalid(const char *text) {
    int32_t samples;
    char *message = exposition_error(text, &samples);
    ck_assert_msg(message != NULL, "passes: %s", text);
    free(message);
}

START_TEST(the_checker_finds_what_scrapers_would_stumble_over) {
#define GOOD "# HELP a x\n# TYPE a counter\n"
    ck_is_invalid("a 1\n");
    ck_is_invalid("# HELP a x\na 1\n");
    ck_is_invalid(GOOD "a 1\na 2\n");
    ck_is_invalid(GOOD "a 1\n" GOOD "a 2\n");
    ck_is_invalid(GOOD "b 1\n");
    ck_is_invalid(GOOD "a one\n");
    ck_is_invalid(GOOD "a -1\n");
    ck_is_invalid(GOOD "a 1");
    ck_is_invalid(GOOD "a{l=\"x} 1\n");
    ck_is_invalid(GOOD "a{l=\"x\\y\"} 1\n");
    ck_is_invalid(GOOD "a{l=\"x\",l=\"y\"} 1\n");
    ck_is_invalid(GOOD "a{l-l=\"x\"} 1\n");
    ck_is_invalid(GOOD "a_sum 1\n");
    ck_is_invalid("# HELP a x\n# TYPE a summary\na 1\n");
    ck_is_invalid("# HELP a x\n# TYPE a thing\na 1\n");
}
END_TEST

START_TEST(every_row_has_a_name_of_its_own_and_says_what_it_means) {
    for (int i = 0; i < METRIC_ID_COUNT; i++) {
        const struct metric_row *row = metric_row((enum metric)i);
        size_t size = strlen(row->name);
        bool is_total = size > 6 && strcmp(row->name + size - 6, "_total") == 0;
        ck_assert_msg(is_total == (row->type == METRIC_COUNTER), "%s", row->name);
        ck_assert_msg(strlen(row->meaning) > 5 && strpbrk(row->meaning, "\\\n|") == NULL, "%s", row->name);
        ck_assert_msg(strcmp(row->mbean, "-") == 0 || strncmp(row->mbean, "kafka.", 6) == 0, "%s", row->name);
        for (const char *at = row->name; *at != '\0'; at++) {
            ck_assert_msg(islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '_', "%s", row->name);
        }
        metrics_begin(&page, (enum metric)i);
        metrics_sample(&page, (enum metric)i, row->type == METRIC_SUMMARY ? "_sum" : "", NULL, 0, i);
    }
    ck_is_valid(METRIC_ID_COUNT);
}
END_TEST

START_TEST(names_with_any_characters_are_escaped) {
    const struct metric_label labels[] = {{"logDirectory", "/a \"b\"\\c\nd,e}"}, {"topic", ""}};
    metrics_begin(&page, METRIC_ID_uncleanable_bytes);
    metrics_sample(&page, METRIC_ID_uncleanable_bytes, "", labels, 2, 7);
    ck_is_valid(1);
    ck_assert_ptr_nonnull(strstr(page_text(), "{logDirectory=\"/a \\\"b\\\"\\\\c\\nd,e}\",topic=\"\"} 7\n"));
}
END_TEST

START_TEST(numbers_are_written_as_they_are) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, " 0\n"},          {9007199254740991.0, " 9007199254740991\n"},
                 {-3, " -3\n"},        {0.5, " 0.5\n"},
                 {1e300, " 1e+300\n"}, {INFINITY, " +Inf\n"},
                 {NAN, " NaN\n"},      {123456789.25, " 123456789.25\n"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        page.size = 0;
        metrics_begin(&page, METRIC_ID_dirty_max);
        metrics_sample(&page, METRIC_ID_dirty_max, "", NULL, 0, cases[i].value);
        ck_is_valid(1);
        ck_assert_msg(strstr(page_text(), cases[i].text) != NULL, "%s", page_text());
    }
}
END_TEST

START_TEST(a_broker_that_has_not_begun_has_a_page_with_every_value) {
    struct properties properties;
    struct config *config;
    char *message = NULL;
    struct memory_world *world = memory_world_create();
    properties_init(&properties);
    properties_set(&properties, "zookeeper.connect", "localhost:2181");
    properties_set(&properties, "log.dirs", "/nowhere");
    ck_assert_msg(config_create(&properties, &config, &message) == 0, "%s", message);
    ck_assert_int_eq(config->ottla_metrics_port, 0); /* nobody listens unless told to */
    ck_assert_str_eq(config->ottla_metrics_host, "127.0.0.1");
    struct broker *broker =
        broker_create(config, &(struct broker_seams){.clock = memory_clock(world), .coord = memory_coord(world)});
    metrics_collect(broker, NULL, &page);
    ck_is_valid(50);
    for (int i = 0; i < METRIC_ID_COUNT; i++) {
        const char *name = metric_row((enum metric)i)->name;
        char *help = xasprintf("# HELP %s ", name);
        bool is_there = strstr(page_text(), help) != NULL;
        ck_assert_msg(is_there || i == METRIC_ID_cleaner_since, "%s is not on the page", name);
        free(help);
    }
    broker_destroy(broker);
    memory_world_destroy(world);
    config_destroy(config);
    properties_deinit(&properties);
}
END_TEST

START_TEST(the_reference_page_is_that_of_the_table) {
    int64_t size;
    metrics_reference(&page);
    uint8_t *stored = test_file_read("broker", "METRICS.md", &size);
    ck_assert_msg(size == (int64_t)page.size && memcmp(stored, page.data, page.size) == 0,
                  "broker/METRICS.md is not what the table says: make broker/METRICS.md");
    free(stored);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(the_checker_finds_what_scrapers_would_stumble_over),
        TEST(every_row_has_a_name_of_its_own_and_says_what_it_means),
        TEST(names_with_any_characters_are_escaped),
        TEST(numbers_are_written_as_they_are),
        TEST(a_broker_that_has_not_begun_has_a_page_with_every_value),
        TEST(the_reference_page_is_that_of_the_table),
    };
    return run_tests_with_fixture("metrics", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
