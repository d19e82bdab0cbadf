/* A log manager on two real directories, any of which can be broken on demand. For the tests that include it. */
#ifndef OTTLA_TESTS_LOG_MANAGER_FIXTURE_H
#define OTTLA_TESTS_LOG_MANAGER_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager.h"
#include "broker/protocol/errors.h"
#include "tests/lib/faulty_disk.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/runner.h"

#define DIRECTORIES 2

static struct test_clock test_time;
static struct faulty_disk disk;
static char *root;
static char *directories[DIRECTORIES];
static struct log_manager *manager;
static struct log_config log_config;
static int failed_directories;
static int errors_logged;
static char last_error[1024];
static struct uuid topic_id = {{7}};

__attribute__((unused)) static void note_line(enum trace_level level, const char *line, void *context) {
    (void)context;
    if (level >= TRACE_ERROR) {
        errors_logged++;
        snprintf(last_error, sizeof last_error, "%s", line);
    }
}

__attribute__((unused)) static void on_directory_failed(void *context, const char *directory) {
    (void)context;
    (void)directory;
    failed_directories++;
}

__attribute__((unused)) static int try_start(char **ret_message) {
    struct log_manager_config config = test_log_manager_config((const char *const *)directories, DIRECTORIES);
    config.defaults = log_config;
    config.recovery_threads_per_directory = 2;
    config.on_directory_failed = on_directory_failed;
    *ret_message = NULL;
    int error = log_manager_open(&disk.base, &test_time.base, &config, &manager, ret_message);
    if (error != 0) {
        manager = NULL;
        return error;
    }
    error = log_manager_load(manager, ret_message);
    if (error != 0) {
        log_manager_destroy(manager);
        manager = NULL;
        return error;
    }
    error = log_manager_write_identity(manager, 1, "cluster");
    log_manager_start(manager);
    log_manager_enable_high_watermarks(manager);
    return error;
}

__attribute__((unused)) static void start(void) {
    char *message;
    int error = try_start(&message);
    ck_assert_msg(error == 0, "start: %s", message != NULL ? message : error_text(error));
}

__attribute__((unused)) static void kill_broker(void) {
    log_manager_destroy(manager);
    manager = NULL;
}

__attribute__((unused)) static void stop_broker(void) {
    ck_assert_int_eq(log_manager_shutdown(manager), 0);
    kill_broker();
}

__attribute__((unused)) static void restart(void) {
    stop_broker();
    start();
}

__attribute__((unused)) static void set_up(void) {
    test_clock_init(&test_time, 1700000100000);
    faulty_disk_init(&disk, &test_time.is_working);
    root = test_directory_create();
    for (int i = 0; i < DIRECTORIES; i++) {
        directories[i] = xasprintf("%s/%c", root, 'a' + i);
    }
    log_config = test_log_config();
    failed_directories = 0;
    errors_logged = 0;
    trace_set_sink(note_line, NULL);
    start();
}

__attribute__((unused)) static void tear_down(void) {
    test_clock_work_all(&test_time);
    log_manager_destroy(manager);
    test_directory_remove(root);
    free(root);
    for (int i = 0; i < DIRECTORIES; i++) {
        free(directories[i]);
    }
}

__attribute__((unused)) static struct log *make_log(const char *topic, int32_t partition) {
    struct log *log;
    ck_assert_int_eq(log_manager_get_or_create(manager, topic, partition, true, topic_id, &log), 0);
    return log;
}

__attribute__((unused)) static void append(struct log *log, int count) {
    for (int i = 0; i < count; i++) {
        struct test_batch batch = test_batch_of(1);
        ck_assert_int_eq(test_append(log, &batch).error_code, 0);
    }
}

/* Log t-0 after a restart that made segments small, with so many records. */
__attribute__((unused)) static struct log *make_segments(int records) {
    log_config.segment_bytes = 300;
    restart();
    struct log *log = make_log("t", 0);
    append(log, records);
    return log;
}

/* Where the log of a partition lies: 'a', 'b'. */
__attribute__((unused)) static char place_of(const char *topic, int32_t partition) {
    return log_directory(log_manager_find(manager, topic, partition))[strlen(root) + 1];
}

__attribute__((unused)) static bool exists(const char *directory, const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

__attribute__((unused)) static char *text_of(const char *directory, const char *name) {
    int64_t size;
    char *text = (char *)test_file_read(directory, name, &size);
    ck_assert_msg(text != NULL, "no %s/%s", directory, name);
    text[size] = 0;
    return text;
}

__attribute__((unused)) static void check_text(const char *directory, const char *name, const char *expected) {
    char *text = text_of(directory, name);
    ck_assert_str_eq(text, expected);
    free(text);
}

__attribute__((unused)) static void write_text(const char *directory, const char *name, const char *text) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
    free(path);
}

#endif
