/* The frame splitter. */
#include "broker/protocol/frame.h"

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"

void frame_reader_init(struct frame_reader *reader, int32_t size_max) {
    CHECK(size_max >= FRAME_MIN_BYTES);
    *reader = (struct frame_reader){.size_max = size_max, .size = -1};
}

/* The length, once whole: 0, or why it cannot be one. The reader stays where it is on an error, so that it recurs. */
static int accept_size(struct frame_reader *reader) {
    int32_t size = load_i32(reader->prefix);
    if (size < FRAME_MIN_BYTES) {
        return ERR_CORRUPT;
    }
    if (size > reader->size_max) {
        return ERR_TOO_LARGE;
    }
    reader->size = size;
    reader->filled = 0;
    return 0;
}

int64_t frame_feed(struct frame_reader *reader, const uint8_t *data, size_t size, struct frame_part *ret_part) {
    *ret_part = (struct frame_part){0};
    size_t taken = 0;
    if (reader->size < 0) {
        while (reader->filled < FRAME_PREFIX_BYTES && taken < size) {
            reader->prefix[reader->filled++] = data[taken++];
        }
        if (reader->filled < FRAME_PREFIX_BYTES) {
            return (int64_t)taken;
        }
        int error = accept_size(reader);
        if (error != 0) {
            return error;
        }
        ret_part->is_first = true;
    }
    size_t part = MIN(size - taken, (size_t)frame_left(reader));
    ret_part->bytes = (struct slice){.data = part > 0 ? data + taken : NULL, .size = (int32_t)part};
    ret_part->offset = reader->filled;
    reader->filled += (int32_t)part;
    if (reader->filled == reader->size) {
        ret_part->is_last = true;
        reader->size = -1;
        reader->filled = 0;
    }
    return (int64_t)(taken + part);
}

int32_t frame_left(const struct frame_reader *reader) {
    return (reader->size < 0 ? FRAME_PREFIX_BYTES : reader->size) - reader->filled;
}
