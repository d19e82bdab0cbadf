/* Cleaning as the log manager does it: which log is next, what is remembered, what a log that cannot be cleaned does to
 * the others. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"
#include "tests/lib/compact_log.h"
#include "tests/lib/runner.h"

static struct log_manager *manager;
static int reported;
static int cleanings;
static struct disk *disk;

static void count_reports(enum trace_level level, const char *line, void *context) {
    (void)context;
    if (level == TRACE_ERROR && strstr(line, "cannot be cleaned") != NULL) {
        reported++;
    }
    if (strstr(line, "Cleaned log") != NULL) {
        cleanings++;
    }
}

static struct log_cleaner_config cleaner_config(void) {
    return (struct log_cleaner_config){.is_enabled = true,
                                       .threads = 1,
                                       .dedupe_buffer_bytes = 1 << 20,
                                       .load_factor = 0.9,
                                       .io_buffer_bytes = 4096,
                                       .bytes_per_second_max = 1e308,
                                       .backoff_ms = 15000};
}

static void start_manager(const struct log_cleaner_config *cleaner) {
    struct log_manager_config config = test_log_manager_config((const char *const *)&compact.directory, 1);
    config.defaults = compact_config();
    config.cleaner = *cleaner;
    char *message = NULL;
    ck_assert_int_eq(log_manager_open(disk, &compact.clock.base, &config, &manager, &message), 0);
    ck_assert_int_eq(log_manager_load(manager, &message), 0);
    ck_assert_int_eq(log_manager_write_identity(manager, 1, "cluster"), 0);
    log_manager_start(manager);
}

static void manager_set_up(void) {
    compact_set_up();
    log_destroy(compact.log);
    compact.log = NULL;
    test_directory_remove(compact.directory);
    trace_set_sink(count_reports, NULL);
    reported = 0;
    cleanings = 0;
    disk = disk_posix();
}

static void manager_tear_down(void) {
    trace_set_sink(NULL, NULL);
    log_manager_destroy(manager);
    manager = NULL;
    compact_tear_down();
}

/* A log of `keys` keys written often, its high watermark at its end. */
static struct log *fill(const char *topic, int32_t keys) {
    struct uuid id = {.bytes = {1}};
    ck_assert_int_eq(log_manager_get_or_create(manager, topic, 0, true, id, &compact.log), 0);
    for (int32_t i = 0; i < 200; i++) {
        compact_write_key(i % keys);
    }
    compact_roll();
    manager_find_entry(manager, topic, 0)->high_watermark = log_end_offset(compact.log);
    struct log *log = compact.log;
    compact.log = NULL;
    return log;
}

START_TEST(the_cleaner_cleans_what_is_dirty_enough_and_remembers_how_far) {
    struct log_cleaner_config config = cleaner_config();
    start_manager(&config);
    struct log *log = fill("t", 10);
    int64_t size = log_size_bytes(log);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_int_lt(log_size_bytes(log), size / 5);
    ck_assert_int_eq(log->clean_offset, 200);
    int64_t text_size;
    uint8_t *text = test_file_read(compact.directory, "cleaner-offset-checkpoint", &text_size);
    ck_assert_int_eq(text_size, 12);
    ck_assert_mem_eq(text, "0\n1\nt 0 200\n", 12);
    free(text);
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    log_manager_destroy(manager);
    start_manager(&config);
    ck_assert_int_eq(log_manager_find(manager, "t", 0)->clean_offset, 200);
}
END_TEST

START_TEST(a_log_that_cannot_be_cleaned_is_named_once_and_the_rest_goes_on) {
    struct log_cleaner_config config = cleaner_config();
    start_manager(&config);
    struct log *good = fill("good", 100);
    struct log *bad = fill("bad", 2);
    char name[] = "bad-0/00000000000000000000.log";
    char *path = xasprintf("%s/%s", compact.directory, name);
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 80, SEEK_SET), 0);
    ck_assert_int_ne(fputc(0xff, file), EOF);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
    int64_t bad_size = log_size_bytes(bad);
    int64_t good_size = log_size_bytes(good);
    test_clock_advance(&compact.clock, 15000);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_int_eq(reported, 1);
    ck_assert_int_eq(log_manager_uncleanable_count(manager), 1);
    ck_assert_int_eq(log_size_bytes(bad), bad_size);
    ck_assert_int_lt(log_size_bytes(good), good_size);
    ck_assert(!log_is_fenced(bad));
    struct log_read_info info;
    ck_assert_int_eq(log_read(bad, 150, 1 << 20, 200, true, &info), 0);
    disk_file_unref(info.records.file);
}
END_TEST

START_TEST(the_cleaner_keeps_to_its_budget) {
    struct log_cleaner_config config = cleaner_config();
    config.bytes_per_second_max = 4000;
    start_manager(&config);
    struct log *log = fill("t", 10);
    int64_t size = log_size_bytes(log);
    /* Twice through the log at 4,000 bytes a second. */
    int64_t due_ms = 2 * size * 1000 / 4000;
    test_clock_advance(&compact.clock, 15000);
    for (int64_t waited_ms = 0; waited_ms < due_ms * 9 / 10; waited_ms += 100) {
        ck_assert_int_lt(log->clean_offset, 0);
        test_clock_advance(&compact.clock, 100);
    }
    test_clock_advance(&compact.clock, due_ms);
    ck_assert_int_eq(log->clean_offset, 200);
}
END_TEST

START_TEST(more_keys_than_the_map_has_room_for_take_several_cleanings) {
    struct log_cleaner_config config = cleaner_config();
    config.dedupe_buffer_bytes = 20 * OFFSET_MAP_SLOT_SIZE; /* 18 keys, at a load of 0.9 */
    start_manager(&config);
    struct log *log = fill("t", 60);
    log->config.min_cleanable_ratio = 0;
    test_clock_advance(&compact.clock, 15000);
    /* Neighbours have different keys: a map is full after 18 records. */
    ck_assert_int_ge(cleanings, 200 / 18);
    ck_assert_int_eq(log->clean_offset, 200);
    ck_assert_int_eq(reported, 0);
    compact.log = log;
    struct compact_content content;
    compact_read(&content);
    compact_check(&content, 0, false);
    ck_assert_int_eq(content.count, 60);
    compact.log = NULL;
}
END_TEST

START_TEST(a_stop_or_a_deletion_ends_a_cleaning_under_way) {
    struct log_cleaner_config config = cleaner_config();
    config.bytes_per_second_max = 4000;
    start_manager(&config);
    fill("gone", 10);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_ptr_nonnull(manager->cleaner_jobs);
    ck_assert_int_eq(log_manager_delete(manager, "gone", 0), 0);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_ptr_null(manager->cleaner_jobs);
    struct log *log = fill("t", 10);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_ptr_nonnull(manager->cleaner_jobs);
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    ck_assert_ptr_null(manager->cleaner_jobs);
    ck_assert(log_manager_is_idle(manager));
    ck_assert_int_lt(log->clean_offset, 0);
}
END_TEST

/* A segment that the worker reads is shorter than it was told: that is no fault of the log's. */
START_TEST(a_truncation_under_a_cleaning_only_ends_it) {
    struct log_cleaner_config config = cleaner_config();
    config.bytes_per_second_max = 4000;
    start_manager(&config);
    struct log *log = fill("t", 10);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_ptr_nonnull(manager->cleaner_jobs);
    ck_assert_int_eq(log_truncate_to(log, 120), 0);
    ck_assert_int_gt(log_end_offset(log), log_active_segment(log)->base_offset);
    for (int32_t i = 0; i < 100 && manager->cleaner_jobs != NULL; i++) {
        test_clock_advance(&compact.clock, 100);
    }
    ck_assert_ptr_null(manager->cleaner_jobs);
    ck_assert_int_eq(reported, 0);
    ck_assert_int_eq(log_manager_uncleanable_count(manager), 0);
    ck_assert_int_eq(log_roll(log), 0);
    test_clock_advance(&compact.clock, 60000);
    ck_assert_int_eq(cleanings, 1);
}
END_TEST

static int count_output(void *context, const char *name, bool is_directory) {
    (void)is_directory;
    *(int *)context += strstr(name, ".cleaned") != NULL;
    return 0;
}

/* Files of unfinished cleanings in the log's directory. */
static int output_of(const struct log *log) {
    int count = 0;
    ck_assert_int_eq(disk->ops->list(disk, log_directory(log), count_output, &count), 0);
    return count;
}

/* It would have a crash take a whole group of the successor's back, much later. */
START_TEST(a_cleaning_of_a_deleted_log_leaves_nothing_in_its_successors_directory) {
    struct log_cleaner_config config = cleaner_config();
    config.threads = 2;
    start_manager(&config);
    fill("t", 10);
    compact.clock.defers_work = true;
    test_clock_advance(&compact.clock, 15000);
    ck_assert(test_clock_work(&compact.clock)); /* it prepared itself; the next slice begins to write */
    struct cleaner_job *former = manager->cleaner_jobs;
    ck_assert_ptr_nonnull(former);
    ck_assert_int_eq(log_manager_delete(manager, "t", 0), 0);
    const struct log *log = fill("t", 10);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_ptr_eq(manager->cleaner_jobs, former); /* and no other: that would write the same files */
    while (manager->cleaner_jobs == former) {
        ck_assert(test_clock_work(&compact.clock));
    }
    ck_assert_int_eq(output_of(log), 0);
    compact.clock.defers_work = false;
    test_clock_work_all(&compact.clock);
    test_clock_advance(&compact.clock, 15000);
    ck_assert_int_eq(log->clean_offset, 200);
}
END_TEST

static int open_without_room(struct disk *base, const char *path, int flags, struct disk_file **ret_file) {
    bool is_last_made = strstr(path, ".timeindex.cleaned") != NULL && (flags & DISK_CREATE) != 0;
    (void)base;
    return is_last_made ? ERR_NO_SPACE : disk_open(disk_posix(), path, flags, ret_file);
}

START_TEST(output_that_there_is_no_space_for_leaves_nothing) {
    struct disk_ops ops = *disk_posix()->ops;
    struct disk full = {.ops = &ops};
    ops.open = open_without_room;
    disk = &full;
    struct log_cleaner_config config = cleaner_config();
    start_manager(&config);
    struct log *log = fill("t", 10);
    compact.clock.defers_work = true; /* else it is tried again at once, and again */
    test_clock_advance(&compact.clock, 15000);
    ck_assert_ptr_nonnull(manager->cleaner_jobs);
    test_clock_work_all(&compact.clock);
    ck_assert_ptr_null(manager->cleaner_jobs);
    ck_assert_int_eq(cleanings, 0);
    ck_assert(!log_is_fenced(log));
    ck_assert_int_eq(output_of(log), 0);
    ops.open = disk_posix()->ops->open;
    test_clock_advance(&compact.clock, 15000);
    test_clock_work_all(&compact.clock);
    ck_assert_int_eq(cleanings, 1);
    log_manager_destroy(manager);
    manager = NULL;
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(the_cleaner_cleans_what_is_dirty_enough_and_remembers_how_far),
        TEST(a_log_that_cannot_be_cleaned_is_named_once_and_the_rest_goes_on),
        TEST(the_cleaner_keeps_to_its_budget),
        TEST(more_keys_than_the_map_has_room_for_take_several_cleanings),
        TEST(a_cleaning_of_a_deleted_log_leaves_nothing_in_its_successors_directory),
        TEST(output_that_there_is_no_space_for_leaves_nothing),
        TEST(a_truncation_under_a_cleaning_only_ends_it),
        TEST(a_stop_or_a_deletion_ends_a_cleaning_under_way),
    };
    return run_tests_with_fixture("cleaner", tests, ARRAY_SIZE(tests), manager_set_up, manager_tear_down);
}
