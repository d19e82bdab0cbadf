/* Feeds a fuzz target, once each, with the inputs kept in tests/fuzz/corpus/TARGET and, if it takes them, with every
 * recorded frame: whole, cut in half and with a byte changed here and there. What `make fuzz` searches with chance, a
 * short fixed walk of it in every test run. Linked with one target; the program is called TARGET_replay. */
#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/lib/recordings.h"
#include "tests/lib/runner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHANGES_MAX ((size_t)300)

static char target[64];
static uint64_t inputs;

static void feed(const uint8_t *data, size_t size) {
    uint8_t *copy = xmalloc(size); /* of its own, so that a sanitizer sees a read beyond it */
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

/* Whole, in half, and with one byte changed after the other, at most so many. */
static void feed_variants(uint8_t *bytes, size_t size, size_t changes_max) {
    size_t stride = size / changes_max + 1;
    feed(bytes, size);
    feed(bytes, size / 2);
    for (size_t i = 0; i < size; i += stride) {
        uint8_t was = bytes[i];
        bytes[i] = (uint8_t)(was + 1 + i * 37 % 255);
        feed(bytes, size);
        bytes[i] = was;
    }
}

static void feed_file(const char *directory, const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    static uint8_t bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    free(path);
    feed_variants(bytes, size, CHANGES_MAX);
}

START_TEST(kept_inputs_with_bytes_changed_do_no_harm) {
    char *directory = xasprintf("tests/fuzz/corpus/%s", target);
    DIR *listing = opendir(directory);
    uint64_t before = inputs;
    while (listing != NULL) {
        const struct dirent *entry = readdir(listing);
        if (entry == NULL) {
            break;
        }
        if (entry->d_name[0] != '.') {
            feed_file(directory, entry->d_name);
        }
    }
    ck_assert_uint_gt(inputs, before);
    if (listing != NULL) {
        closedir(listing);
    }
    free(directory);
}
END_TEST

static bool takes_frames(void) {
    static const char *const targets[] = {"header", "messages", "requests", "record_batch"};
    bool takes = false;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        takes = takes || strcmp(target, targets[i]) == 0;
    }
    return takes;
}

static void feed_frame(const struct recorded_frame *frame, void *context) {
    (void)context;
    feed_variants(frame->bytes, frame->size, frame->size);
}

START_TEST(recorded_frames_with_any_byte_changed_do_no_harm) {
    if (takes_frames()) {
        recordings_each("tests/recordings/wire", feed_frame, NULL);
        ck_assert_uint_gt(inputs, 0);
    }
}
END_TEST

int main(int argument_count, char **arguments) {
    (void)argument_count;
    const char *slash = strrchr(arguments[0], '/');
    snprintf(target, sizeof target, "%s", slash != NULL ? slash + 1 : arguments[0]);
    char *suffix = strstr(target, "_replay");
    CHECK(suffix != NULL);
    *suffix = '\0';
    static const struct test tests[] = {
        TEST(kept_inputs_with_bytes_changed_do_no_harm),
        TEST(recorded_frames_with_any_byte_changed_do_no_harm),
    };
    return run_tests(target, tests, ARRAY_SIZE(tests));
}
