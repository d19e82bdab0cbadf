/* Recorded runs of Kafka's dump tool, on a partition that a broker had open and on files that are damaged or odd,
 * repeated with ours: every byte of both outputs and the exit status. */
#include <check.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/protocol/compression.h"
#include "tests/lib/runner.h"
#include "tests/lib/tool_run.h"
#include "tools/property_list.h"
#include "tools/tool.h"

#define WORDS_MAX 64

static char scratch[] = "/tmp/tools_dump_cases_test.XXXXXX";
static char here[PATH_MAX];

struct text {
    char *bytes;
    size_t size;
};

static void text_add(struct text *text, const char *from, size_t size) {
    text->bytes = xrealloc(text->bytes, text->size + size + 1);
    memcpy(text->bytes + text->size, from, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

/* One case of a file in the format of tests/recordings/cli/README.md. */
struct recorded {
    char name[64];
    char args[1024];
    int status;
    char departure[256]; /* why ours says something else; empty when it does not */
    struct text out;
    struct text err;
};

/* ---- the files that cases are about ---- */

static char *in_scratch(const char *name) {
    return xasprintf("%s/%s", scratch, name);
}

static void write_bytes(const char *path, const struct byte_buffer *bytes) {
    char *directory = xstrdup(path);
    for (char *slash = strchr(directory + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(directory, 0755);
        *slash = '/';
    }
    free(directory);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes->data, 1, bytes->size, file), bytes->size);
    fclose(file);
}

static uint8_t from_hex(const char *two) {
    unsigned value;
    ck_assert_int_eq(sscanf(two, "%2x", &value), 1);
    return (uint8_t)value;
}

/* "make PATH from SOURCE [keep N] [set AT HEX] [append HEX]..." */
static void make_file(char *words) {
    char *rest = words;
    strsep(&rest, " ");
    char *path = in_scratch(strsep(&rest, " "));
    ck_assert_str_eq(strsep(&rest, " "), "from");
    const char *source = strsep(&rest, " ");
    struct byte_buffer bytes = {0};
    byte_buffer_reserve(&bytes, 1);
    if (strcmp(source, "nothing") != 0) {
        char *from = in_scratch(source);
        size_t size;
        char *data = file_read_all(from, &size);
        ck_assert_msg(data != NULL, "no file %s", from);
        byte_buffer_append(&bytes, data, size);
        free(data);
        free(from);
    }
    while (rest != NULL) {
        const char *verb = strsep(&rest, " ");
        size_t at = strcmp(verb, "append") == 0 ? bytes.size : strtoul(strsep(&rest, " "), NULL, 10);
        if (strcmp(verb, "keep") == 0) {
            ck_assert_uint_le(at, bytes.size);
            bytes.size = at;
            continue;
        }
        const char *hex = strsep(&rest, " ");
        for (; *hex != '\0'; hex += 2, at++) {
            uint8_t byte = from_hex(hex);
            if (at < bytes.size) {
                bytes.data[at] = byte;
            } else {
                byte_buffer_append(&bytes, &byte, 1);
            }
        }
    }
    write_bytes(path, &bytes);
    byte_buffer_deinit(&bytes);
    free(path);
}

/* "copy <DATA1>/l1-0 to <TMP>/l1-0 and append five zero bytes to the .log", or with bit 0 of byte 70 flipped. */
static void copy_log(const char *words) {
    size_t size;
    char *data = file_read_all("tests/recordings/dump/live/l1-0/00000000000000000000.log", &size);
    ck_assert_ptr_nonnull(data);
    struct byte_buffer bytes = {0};
    byte_buffer_append(&bytes, data, size);
    if (strstr(words, "five zero bytes") != NULL) {
        byte_buffer_append(&bytes, "\0\0\0\0\0", 5);
    } else {
        bytes.data[70] ^= 1;
    }
    char *path = in_scratch("l1-0/00000000000000000000.log");
    write_bytes(path, &bytes);
    free(path);
    free(data);
    byte_buffer_deinit(&bytes);
}

static void set_up_case(char *words) {
    if (strncmp(words, "make ", 5) == 0) {
        make_file(words);
    } else if (strncmp(words, "copy ", 5) == 0) {
        copy_log(words);
    } /* the others fill the partition that is recorded */
}

/* ---- reading the recording ---- */

static void read_case_line(struct recorded *into, char *line, struct text **block) {
    if (line[0] == '|' || line[0] == '\\') {
        text_add(*block, line + 1, strlen(line + 1));
        text_add(*block, "\n", line[0] == '|' ? 1 : 0);
        return;
    }
    static struct text ignored;
    *block = strcmp(line, "stdout:") == 0 ? &into->out : strcmp(line, "stderr:") == 0 ? &into->err : &ignored;
    if (strncmp(line, "args: ", 6) == 0) {
        snprintf(into->args, sizeof into->args, "%s", line + 6);
    } else if (strncmp(line, "exit: ", 6) == 0) {
        into->status = atoi(line + 6);
    } else if (strncmp(line, "departure: ", 11) == 0) {
        snprintf(into->departure, sizeof into->departure, "%s", line + 11);
    } else if (strncmp(line, "setup: ", 7) == 0) {
        set_up_case(line + 7);
    }
}

/* ---- comparing ---- */

static const struct {
    const char *name;
    const char *text;    /* NULL: a pattern */
    const char *pattern; /* of POSIX extended regular expressions */
} places[] = {
    {"<DATA1>", "tests/recordings/dump/live", NULL},
    {"<OFFSETS_LOG>", "tests/recordings/dump/live/__consumer_offsets-3/00000000000000000000.log", NULL},
    {"<TXN_LOG>", "tests/recordings/dump/live/__transaction_state-3/00000000000000000000.log", NULL},
    {"<TMP>", "", NULL},
    {"<PID>", NULL, "[0-9]+"},
    {"<MS>", NULL, "-?[0-9]+"},
    {"<N>", NULL, "-?[0-9]+"},
    {"<CRC>", NULL, "[0-9]+"},
    {"<UUID>", NULL, "[0-9a-f-]+"},
    {"<VERSION>", NULL, "[0-9]+\\.[0-9]+\\.[0-9]+"},
    {"<REST>", NULL, ".*"},
    {"<SUMMARY>", NULL, ".+"},
};

/* Places become what they stand for here: in arguments the text, in expected lines a regular expression. */
static char *fill_in(const char *from, bool is_pattern) {
    struct text to = {0};
    text_add(&to, "", 0);
    while (*from != '\0') {
        size_t i = 0;
        while (i < ARRAY_SIZE(places) && strncmp(from, places[i].name, strlen(places[i].name)) != 0) {
            i++;
        }
        if (i == ARRAY_SIZE(places)) {
            if (is_pattern && strchr("\\^$.[]|()*+?{}", *from) != NULL) {
                text_add(&to, "\\", 1);
            }
            text_add(&to, from++, 1);
            continue;
        }
        from += strlen(places[i].name);
        char *filled = places[i].text == NULL   ? xstrdup(places[i].pattern)
                       : places[i].text[0] == 0 ? xstrdup(scratch)
                                                : xasprintf("%s/%s", here, places[i].text);
        text_add(&to, filled, strlen(filled));
        free(filled);
    }
    return to.bytes;
}

static bool line_matches(const char *pattern, const char *line, size_t size) {
    char *filled = fill_in(pattern, true);
    char *whole = xasprintf("^%s$", filled);
    char *copy = xstrndup(line, size);
    regex_t regex;
    ck_assert_msg(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) == 0, "%s", whole);
    bool found = regexec(&regex, copy, 0, NULL, 0) == 0;
    regfree(&regex);
    free(copy);
    free(whole);
    free(filled);
    return found;
}

/* Line by line; <TABLE> stands for the rest, <TRACE> for lines of Java that ours does not print. */
static bool matches(const struct text *expected, const char *actual, char *ret_why, size_t why_size) {
    const char *at = expected->bytes == NULL ? "" : expected->bytes;
    while (*at != '\0') {
        char line[8192];
        size_t size = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)size, at);
        at += size + (at[size] == '\n');
        if (strcmp(line, "<TABLE>") == 0) {
            return *actual != '\0';
        }
        if (strcmp(line, "<TRACE>") == 0) {
            continue;
        }
        size_t actual_size = strcspn(actual, "\n");
        if (!line_matches(line, actual, actual_size)) {
            snprintf(ret_why, why_size, "\"%.*s\" instead of \"%.300s\"", (int)MIN(actual_size, 300), actual, line);
            return false;
        }
        bool has_newline = actual[actual_size] == '\n';
        if (has_newline != (at[-1] == '\n')) {
            snprintf(ret_why, why_size, "a newline more or less after \"%.300s\"", line);
            return false;
        }
        actual += actual_size + has_newline;
    }
    snprintf(ret_why, why_size, "\"%.300s\" where nothing more should come", actual);
    return *actual == '\0';
}

static bool run_case(const struct recorded *recorded, char *ret_why, size_t why_size) {
    char *args = fill_in(recorded->args, false);
    char *rest = args;
    const char *argv[WORDS_MAX] = {"kafka-dump-log"};
    int argc = 1;
    while (rest != NULL && *rest != '\0') {
        ck_assert_int_lt(argc, WORDS_MAX - 1);
        argv[argc++] = strsep(&rest, " ");
    }
    struct tool_result result = tool_run(tool_dump_log, scratch, scratch, argc, argv);
    bool is_same = result.status == recorded->status;
    if (!is_same) {
        snprintf(ret_why, why_size, "status %d instead of %d", result.status, recorded->status);
    }
    is_same = is_same && matches(&recorded->out, result.out, ret_why, why_size);
    is_same = is_same && matches(&recorded->err, result.err, ret_why, why_size);
    tool_result_free(&result);
    free(args);
    return is_same;
}

/* Runs every case of a file; what differs must be on the list of departures, and be different. */
static void run_cases(const char *path, int *ret_same, int *ret_count) {
    char *text = file_read_all(path, NULL);
    ck_assert_msg(text != NULL, "no %s", path);
    char *rest = text;
    struct recorded recorded = {0};
    struct text *block = NULL;
    *ret_same = 0;
    *ret_count = 0;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        if (strncmp(line, "=== ", 4) == 0) {
            snprintf(recorded.name, sizeof recorded.name, "%s", line + 4);
        } else if (line[0] != '\0' && recorded.name[0] != '\0') {
            read_case_line(&recorded, line, &block);
        } else if (recorded.name[0] != '\0') {
            char why[1024] = "";
            bool is_same = run_case(&recorded, why, sizeof why);
            ck_assert_msg(is_same == (recorded.departure[0] == '\0'), "%s, case %s (%s): %s", path, recorded.name,
                          recorded.args, is_same ? "departs no more" : why);
            *ret_same += is_same;
            *ret_count += 1;
            free(recorded.out.bytes);
            free(recorded.err.bytes);
            recorded = (struct recorded){0};
        }
    }
    free(text);
}

static void set_up(void) {
    CHECK(getcwd(here, sizeof here) != NULL);
    char *command = xasprintf("ln -sfn %s/tests/recordings/disk/clean/* %s/", here, scratch);
    ck_assert_int_eq(system(command), 0);
    free(command);
    char *path = in_scratch("foo.log"); /* of the case bad-name */
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    free(path);
}

START_TEST(the_recorded_transcripts_come_out_of_the_recorded_partition) {
    int same, count;
    run_cases("tests/recordings/cli/dump-log.txt", &same, &count);
    printf("dump transcripts %d of %d\n", same, count);
    ck_assert_int_eq(count, 27);
}
END_TEST

START_TEST(damaged_and_odd_files_are_told_as_kafka_tells_them) {
    int same, count;
    run_cases("tests/recordings/dump/odd-files.txt", &same, &count);
    printf("dump transcripts of odd files %d of %d\n", same, count);
    ck_assert_int_eq(count, 87);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(the_recorded_transcripts_come_out_of_the_recorded_partition),
        TEST(damaged_and_odd_files_are_told_as_kafka_tells_them),
    };
    CHECK(mkdtemp(scratch) != NULL);
    int status = run_tests_with_fixture("dump tool cases", tests, ARRAY_SIZE(tests), set_up, NULL);
    char *command = xasprintf("rm -rf %s", scratch);
    status = system(command) != 0 ? 1 : status;
    free(command);
    return status;
}
