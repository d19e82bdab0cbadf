/* The simulated disk: what survives which death. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/errors.h"
#include "tests/simulation/sim_disk.h"

static struct disk *made(uint64_t seed) {
    struct disk *disk = sim_disk_create(seed);
    sim_disk_make_path(disk, "/data");
    return disk;
}

static struct disk_file *opened(struct disk *disk, const char *path, int flags) {
    struct disk_file *file;
    ck_assert_int_eq(disk_open(disk, path, flags, &file), 0);
    return file;
}

static void write_text(struct disk *disk, const char *path, const char *text, bool is_synced) {
    struct disk_file *file = opened(disk, path, DISK_CREATE | DISK_TRUNCATE);
    ck_assert_int_eq(disk_write(file, text, strlen(text), 0), 0);
    if (is_synced) {
        ck_assert_int_eq(disk_sync(file), 0);
        ck_assert_int_eq(disk->ops->sync_directory(disk, "/data"), 0);
    }
    disk_file_unref(file);
}

START_TEST(a_process_that_dies_leaves_what_it_wrote_and_no_handle) {
    struct disk *disk = made(1);
    struct disk_file *file = opened(disk, "/data/a", DISK_CREATE);
    ck_assert_int_eq(disk_write(file, "hello", 5, 0), 0);
    ck_assert_int_eq(disk->ops->lock(file), 0);
    sim_disk_process_died(disk);
    ck_assert_int_eq(sim_disk_open_count(disk), 0);
    file = opened(disk, "/data/a", DISK_WRITE);
    ck_assert_int_eq(disk->ops->lock(file), 0);
    char bytes[8];
    ck_assert_int_eq(disk_read(file, bytes, sizeof bytes, 0), 5);
    ck_assert_mem_eq(bytes, "hello", 5);
    disk_file_unref(file);
    sim_disk_destroy(disk);
}
END_TEST

START_TEST(what_was_synced_survives_the_power) {
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct disk *disk = made(seed);
        write_text(disk, "/data/a", "durable", true);
        sim_disk_power_loss(disk);
        struct disk_file *file = opened(disk, "/data/a", DISK_READ);
        char bytes[16];
        ck_assert_int_eq(disk_read(file, bytes, sizeof bytes, 0), 7);
        ck_assert_mem_eq(bytes, "durable", 7);
        disk_file_unref(file);
        sim_disk_destroy(disk);
    }
}
END_TEST

START_TEST(what_was_not_synced_is_sometimes_lost_sometimes_torn_sometimes_there) {
    int lost = 0, torn = 0, there = 0;
    static uint8_t old[2048], new[2048];
    memset(old, 'o', sizeof old);
    memset(new, 'n', sizeof new);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct disk *disk = made(seed);
        struct disk_file *file = opened(disk, "/data/a", DISK_CREATE);
        ck_assert_int_eq(disk_write(file, old, sizeof old, 0), 0);
        ck_assert_int_eq(disk_sync(file), 0);
        ck_assert_int_eq(disk->ops->sync_directory(disk, "/data"), 0);
        ck_assert_int_eq(disk_write(file, new, 512, 512), 0);
        sim_disk_power_loss(disk);
        file = opened(disk, "/data/a", DISK_READ);
        uint8_t bytes[2048];
        ck_assert_int_eq(disk_read(file, bytes, sizeof bytes, 0), 2048);
        ck_assert_mem_eq(bytes, old, 512);
        ck_assert_mem_eq(bytes + 1024, old, 1024);
        bool begins_new = bytes[512] == 'n', ends_new = bytes[1023] == 'n';
        lost += !begins_new && !ends_new;
        there += begins_new && ends_new;
        torn += begins_new && !ends_new;
        disk_file_unref(file);
        sim_disk_destroy(disk);
    }
    ck_assert_int_gt(lost, 0);
    ck_assert_int_gt(torn, 0);
    ck_assert_int_gt(there, 0);
}
END_TEST

START_TEST(a_name_is_durable_only_after_its_directory_was_synced) {
    int there = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk *disk = made(seed);
        struct disk_file *file = opened(disk, "/data/a", DISK_CREATE);
        ck_assert_int_eq(disk_write(file, "x", 1, 0), 0);
        ck_assert_int_eq(disk_sync(file), 0);
        sim_disk_power_loss(disk);
        struct disk_file *found;
        if (disk_open(disk, "/data/a", DISK_READ, &found) == 0) {
            there++;
            disk_file_unref(found);
        }
        sim_disk_destroy(disk);
    }
    ck_assert_int_gt(there, 20);
    ck_assert_int_lt(there, 80);
}
END_TEST

START_TEST(a_rename_that_was_not_synced_happened_or_did_not_but_never_half) {
    int old = 0, new = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk *disk = made(seed);
        write_text(disk, "/data/a", "one", true);
        write_text(disk, "/data/b", "second", true);
        ck_assert_int_eq(disk->ops->rename(disk, "/data/b", "/data/a"), 0);
        sim_disk_power_loss(disk);
        struct disk_file *file = opened(disk, "/data/a", DISK_READ);
        int64_t size = disk_size(file);
        struct disk_file *other;
        bool has_b = disk_open(disk, "/data/b", DISK_READ, &other) == 0;
        ck_assert_int_eq(size, has_b ? 3 : 6);
        old += has_b;
        new += !has_b;
        sim_disk_destroy(disk);
    }
    ck_assert_int_gt(old, 0);
    ck_assert_int_gt(new, 0);
}
END_TEST

START_TEST(an_injected_error_comes_after_so_many_operations_of_its_kind) {
    struct disk *disk = made(3);
    struct disk_file *file = opened(disk, "/data/a", DISK_CREATE);
    sim_disk_fail(disk, SIM_DISK_WRITE, 1, ERR_NO_SPACE);
    ck_assert_int_eq(disk_write(file, "x", 1, 0), 0);
    ck_assert_int_eq(disk_sync(file), 0);
    ck_assert_int_eq(disk_write(file, "y", 1, 1), ERR_NO_SPACE);
    ck_assert_int_eq(disk_write(file, "y", 1, 1), ERR_NO_SPACE);
    sim_disk_fail(disk, 0, 0, 0);
    ck_assert_int_eq(disk_write(file, "y", 1, 1), 0);
    disk_file_unref(file);
    sim_disk_destroy(disk);
}
END_TEST

START_TEST(a_file_removed_while_open_is_still_readable) {
    struct disk *disk = made(4);
    write_text(disk, "/data/a", "kept", false);
    struct disk_file *file = opened(disk, "/data/a", DISK_READ);
    ck_assert_int_eq(disk->ops->unlink(disk, "/data/a"), 0);
    struct disk_file *again;
    ck_assert_int_eq(disk_open(disk, "/data/a", DISK_READ, &again), ERR_NOT_FOUND);
    char bytes[4];
    ck_assert_int_eq(disk_read(file, bytes, 4, 0), 4);
    disk_file_unref(file);
    sim_disk_destroy(disk);
}
END_TEST

START_TEST(a_directory_goes_only_when_it_is_empty) {
    struct disk *disk = made(5);
    ck_assert_int_eq(disk->ops->make_directory(disk, "/data/d"), 0);
    ck_assert_int_eq(disk->ops->make_directory(disk, "/data/d"), ERR_EXISTS);
    write_text(disk, "/data/d/a", "x", false);
    ck_assert_int_eq(disk->ops->remove_directory(disk, "/data/d"), ERR_NOT_EMPTY);
    ck_assert_int_eq(disk->ops->rename(disk, "/data/d", "/data/e"), 0);
    ck_assert_int_eq(disk->ops->unlink(disk, "/data/e/a"), 0);
    ck_assert_int_eq(disk->ops->remove_directory(disk, "/data/e"), 0);
    sim_disk_destroy(disk);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sim_disk");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_process_that_dies_leaves_what_it_wrote_and_no_handle);
    tcase_add_test(tests, what_was_synced_survives_the_power);
    tcase_add_test(tests, what_was_not_synced_is_sometimes_lost_sometimes_torn_sometimes_there);
    tcase_add_test(tests, a_name_is_durable_only_after_its_directory_was_synced);
    tcase_add_test(tests, a_rename_that_was_not_synced_happened_or_did_not_but_never_half);
    tcase_add_test(tests, an_injected_error_comes_after_so_many_operations_of_its_kind);
    tcase_add_test(tests, a_file_removed_while_open_is_still_readable);
    tcase_add_test(tests, a_directory_goes_only_when_it_is_empty);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
