/* Feeds a fuzz target, once each, with the inputs kept in tests/fuzz/corpus/TARGET and with every recorded frame,
 * whole, cut in half and with each byte changed: what `make fuzz` searches with chance, a short fixed walk of it in
 * every test run. Linked with one target; the program is called TARGET_replay. */
#include <check.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/lib/recordings.h"
#include "tests/lib/runner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char target[64];
static uint64_t inputs;

static void feed(const uint8_t *data, size_t size) {
    uint8_t *copy = xmalloc(size); /* of its own, so that a sanitizer sees a read beyond it */
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

static void feed_file(const char *directory, const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    static uint8_t bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    free(path);
    feed(bytes, size);
}

START_TEST(the_kept_inputs_do_no_harm) {
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

static void feed_frame(const struct recorded_frame *frame, void *context) {
    (void)context;
    feed(frame->bytes, frame->size);
    feed(frame->bytes, frame->size / 2);
    for (size_t i = 0; i < frame->size; i++) {
        uint8_t was = frame->bytes[i];
        frame->bytes[i] = (uint8_t)(was + 1 + i * 37 % 255);
        feed(frame->bytes, frame->size);
        frame->bytes[i] = was;
    }
}

START_TEST(recorded_frames_with_any_byte_changed_do_no_harm) {
    recordings_each("tests/recordings/wire", feed_frame, NULL);
    ck_assert_uint_gt(inputs, 0);
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
        TEST(the_kept_inputs_do_no_harm),
        TEST(recorded_frames_with_any_byte_changed_do_no_harm),
    };
    return run_tests(target, tests, ARRAY_SIZE(tests));
}
