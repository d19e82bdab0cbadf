/* The dump tool against what Kafka's own prints for the same files, byte for byte. */
#include <check.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "tests/lib/runner.h"
#include "tests/lib/tool_run.h"
#include "tools/property_list.h"
#include "tools/tool.h"

#define DISK "tests/recordings/disk"
#define DUMPS "tests/recordings/dump"

static char scratch[] = "/tmp/tools_dump_test.XXXXXX";

static char *path_in_scratch(const char *name) {
    return xasprintf("%s/%s", scratch, name);
}

static struct tool_result run_tool(const char *directory, int argc, const char *const *argv) {
    return tool_run(tool_dump_log, directory, scratch, argc, argv);
}

static int compare_words(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the partitions inside every "partitions=[...]": they are a set. */
static void sort_sets(char *text) {
    static const char mark[] = "partitions=[";
    for (char *at = strstr(text, mark); at != NULL; at = strstr(at + 1, mark)) {
        char *begin = at + sizeof mark - 1;
        size_t size = strcspn(begin, "]");
        char *copy = xstrndup(begin, size);
        char *rest = copy;
        char *words[16];
        size_t count = 0;
        for (char *word = strsep(&rest, ","); word != NULL && count < 16; word = strsep(&rest, ",")) {
            words[count++] = word;
        }
        qsort(words, count, sizeof *words, compare_words);
        char *to = begin;
        for (size_t i = 0; i < count; i++) {
            to += sprintf(to, "%s%s", i > 0 ? "," : "", words[i]);
        }
        *to = ']';
        free(copy);
    }
}

/* `text` with the absolute path of the recordings shortened to <DISK>. */
static char *shorten_paths(const char *text) {
    char here[PATH_MAX];
    CHECK(getcwd(here, sizeof here) != NULL);
    char *prefix = xasprintf("%s/%s/", here, DISK);
    char *result = xmalloc(strlen(text) + 1);
    char *to = result;
    for (const char *at = text; *at != '\0';) {
        if (strncmp(at, prefix, strlen(prefix)) == 0) {
            to += sprintf(to, "<DISK>/");
            at += strlen(prefix);
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
    free(prefix);
    return result;
}

/* The files of one directory in the order of the recording: by name. */
static char *list_files(const char *directory) {
    static const char *const kinds[] = {"log", "index", "timeindex", "snapshot", "txnindex", "deleted"};
    glob_t found = {0};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char *pattern = xasprintf("%s/%s/*.%s", DISK, directory, kinds[i]);
        int status = glob(pattern, i > 0 ? GLOB_APPEND : 0, NULL, &found);
        ck_assert(status == 0 || status == GLOB_NOMATCH);
        free(pattern);
    }
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, compare_words);
    char *files = xstrdup("");
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *longer = xasprintf("%s%s%s", files, i == 0 ? "" : ",", found.gl_pathv[i] + strlen(DISK) + 1);
        free(files);
        files = longer;
    }
    globfree(&found);
    return files;
}

/* Names the first line that differs; whole dumps are too long for a message. */
static void check_same_text(const char *name, const char *ours, const char *expected) {
    for (int line = 1; *ours != '\0' || *expected != '\0'; line++) {
        size_t our_size = strcspn(ours, "\n");
        size_t expected_size = strcspn(expected, "\n");
        bool is_same = our_size == expected_size && strncmp(ours, expected, our_size) == 0;
        ck_assert_msg(is_same, "%s, line %d: \"%.*s\" instead of \"%.*s\"", name, line, (int)MIN(our_size, 500), ours,
                      (int)MIN(expected_size, 500), expected);
        ours += our_size + (ours[our_size] == '\n');
        expected += expected_size + (expected[expected_size] == '\n');
    }
}

static void check_directory(const char *side, const char *name) {
    char *directory = xasprintf("%s/%s", side, name);
    char *files = list_files(directory);
    const char *decoder = strncmp(name, "__consumer_offsets", 18) == 0    ? "--offsets-decoder"
                          : strncmp(name, "__transaction_state", 19) == 0 ? "--transaction-log-decoder"
                                                                          : "--print-data-log";
    const char *argv[] = {"kafka-dump-log", "--files", files, decoder, NULL};
    struct tool_result result = run_tool(DISK, 4, argv);
    char *out_path = xasprintf("%s/%s-%s.out", DUMPS, side, name);
    char *err_path = xasprintf("%s/%s-%s.err", DUMPS, side, name);
    char *expected_out = file_read_all(out_path, NULL);
    char *expected_err = file_read_all(err_path, NULL);
    ck_assert_ptr_nonnull(expected_out);
    ck_assert_ptr_nonnull(expected_err);
    sort_sets(expected_out);
    sort_sets(result.out);
    char *err = shorten_paths(result.err);
    ck_assert_int_eq(result.status, 0);
    check_same_text(out_path, result.out, expected_out);
    check_same_text(err_path, err, expected_err);
    free(err);
    free(expected_out);
    free(expected_err);
    free(out_path);
    free(err_path);
    free(files);
    free(directory);
    tool_result_free(&result);
}

START_TEST(every_recorded_directory_dumps_as_kafka_dumps_it) {
    static const char *const sides[] = {"clean", "killed"};
    int count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
        char *pattern = xasprintf("%s/%s/*/", DISK, sides[i]);
        glob_t found;
        ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
        for (size_t j = 0; j < found.gl_pathc; j++) {
            char *path = found.gl_pathv[j];
            path[strlen(path) - 1] = '\0';
            check_directory(sides[i], strrchr(path, '/') + 1);
            count++;
        }
        globfree(&found);
        free(pattern);
    }
    printf("directories %d of 15 dumped as by kafka\n", count);
    ck_assert_int_eq(count, 15);
}
END_TEST

/* A copy of a recorded segment with one byte changed and some appended. */
static char *damaged_copy(size_t flipped_byte, size_t appended) {
    size_t size;
    char *data = file_read_all(DISK "/clean/d-plain-0/00000000000000000000.log", &size);
    ck_assert_ptr_nonnull(data);
    if (flipped_byte > 0) {
        data[flipped_byte] = (char)(data[flipped_byte] ^ 1);
    }
    char *path = path_in_scratch("00000000000000000000.log");
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    for (size_t i = 0; i < appended; i++) {
        fputc(0, file);
    }
    fclose(file);
    free(data);
    return path;
}

START_TEST(a_flipped_bit_makes_one_batch_invalid_and_no_more) {
    char *path = damaged_copy(70, 0);
    const char *argv[] = {"kafka-dump-log", "--files", path, NULL};
    struct tool_result result = run_tool(".", 3, argv);
    ck_assert_int_eq(result.status, 0);
    char *invalid = strstr(result.out, "isvalid: false");
    ck_assert_ptr_nonnull(invalid);
    ck_assert_ptr_null(strstr(invalid + 1, "isvalid: false"));
    ck_assert_ptr_nonnull(strstr(invalid, "isvalid: true"));
    free(path);
    tool_result_free(&result);
}
END_TEST

START_TEST(bytes_after_the_last_batch_are_counted) {
    char *path = damaged_copy(0, 5);
    const char *argv[] = {"kafka-dump-log", "--files", path, NULL};
    struct tool_result result = run_tool(".", 3, argv);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.out, "Found 5 invalid bytes at the end of 00000000000000000000.log\n"));
    free(path);
    tool_result_free(&result);
}
END_TEST

START_TEST(a_zeroed_tail_longer_than_a_header_ends_the_dump_with_an_error) {
    char *path = damaged_copy(0, 100);
    const char *argv[] = {"kafka-dump-log", "--files", path, NULL};
    struct tool_result result = run_tool(".", 3, argv);
    ck_assert_int_eq(result.status, 1);
    ck_assert_ptr_nonnull(strstr(result.err, "Found record size 0 smaller than minimum record overhead (14)"));
    free(path);
    tool_result_free(&result);
}
END_TEST

START_TEST(a_name_that_is_no_number_is_refused) {
    const char *argv[] = {"kafka-dump-log", "--files", "foo.log", NULL};
    struct tool_result result = run_tool(".", 3, argv);
    ck_assert_int_eq(result.status, 1);
    ck_assert_str_eq(result.out, "Dumping foo.log\n");
    ck_assert_str_eq(result.err,
                     "Exception in thread \"main\" java.lang.NumberFormatException: For input string: \"foo\"\n");
    tool_result_free(&result);
}
END_TEST

START_TEST(a_snapshot_with_a_wrong_checksum_is_told_apart) {
    char *path = path_in_scratch("00000000000000000000.snapshot");
    FILE *file = fopen(path, "wb");
    const unsigned char bytes[] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 0};
    ck_assert_uint_eq(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    fclose(file);
    const char *argv[] = {"kafka-dump-log", "--files", path, NULL};
    struct tool_result result = run_tool(".", 3, argv);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(result.err, "Snapshot is corrupt (CRC is no longer valid). Stored crc: 1. Computed"));
    free(path);
    tool_result_free(&result);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(every_recorded_directory_dumps_as_kafka_dumps_it),
        TEST(a_flipped_bit_makes_one_batch_invalid_and_no_more),
        TEST(bytes_after_the_last_batch_are_counted),
        TEST(a_zeroed_tail_longer_than_a_header_ends_the_dump_with_an_error),
        TEST(a_name_that_is_no_number_is_refused),
        TEST(a_snapshot_with_a_wrong_checksum_is_told_apart),
    };
    CHECK(mkdtemp(scratch) != NULL);
    int status = run_tests("dump tool", tests, sizeof tests / sizeof tests[0]);
    char *command = xasprintf("rm -rf %s", scratch);
    status = system(command) != 0 ? 1 : status;
    free(command);
    return status;
}
