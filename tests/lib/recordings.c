/* Reads recorded frames: a `#` line with kind, key, version and correlation id, then lines of hex. */
#include "tests/lib/recordings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"

#define FRAME_MAX_BYTES ((size_t)1 << 20)

static int hex_digit(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at == NULL ? -1 : (int)(at - digits);
}

static void append_hex(struct recorded_frame *frame, const char *line) {
    for (; hex_digit(line[0]) >= 0; line += 2) {
        CHECK(hex_digit(line[1]) >= 0);
        CHECK(frame->size < FRAME_MAX_BYTES);
        frame->bytes[frame->size++] = (uint8_t)(hex_digit(line[0]) << 4 | hex_digit(line[1]));
    }
    CHECK(*line == '\n' || *line == '\0');
}

/* True for a line that opens a frame; other `#` lines are comments. */
static bool parse_head(const char *line, struct recorded_frame *frame) {
    char kind[16];
    const char *version = strstr(line, " version ");
    const char *correlation = strstr(line, " correlation ");
    int key;
    if (strcmp(line, "# response\n") == 0) { /* to the request above it */
        frame->is_request = false;
        return true;
    }
    if (sscanf(line, "# %15s key %d", kind, &key) != 2 || version == NULL || correlation == NULL) {
        return false;
    }
    frame->is_request = strcmp(kind, "request") == 0;
    frame->api_key = (int16_t)key;
    frame->api_version = (int16_t)atoi(version + sizeof " version " - 1);
    frame->correlation_id = (int32_t)strtol(correlation + sizeof " correlation " - 1, NULL, 10);
    return true;
}

static int read_file(const char *directory, const char *name, recorded_frame_callback *callback, void *context) {
    char *path = xasprintf("%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    struct recorded_frame frame = {.file = name, .index = -1, .bytes = xmalloc(FRAME_MAX_BYTES)};
    static char line[1 << 16];
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#') {
            append_hex(&frame, line);
            continue;
        }
        if (frame.size > 0) {
            callback(&frame, context);
            frame.size = 0;
        }
        frame.index += parse_head(line, &frame) ? 1 : 0;
    }
    if (frame.size > 0) {
        callback(&frame, context);
    }
    fclose(file);
    free(frame.bytes);
    free(path);
    return frame.index + 1;
}

int recordings_each(const char *directory, recorded_frame_callback *callback, void *context) {
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, alphasort);
    CHECK(count >= 0);
    int frames = 0;
    for (int i = 0; i < count; i++) {
        const char *suffix = strrchr(entries[i]->d_name, '.');
        if (suffix != NULL && strcmp(suffix, ".hex") == 0) {
            frames += read_file(directory, entries[i]->d_name, callback, context);
        }
        free(entries[i]);
    }
    free(entries);
    return frames;
}
