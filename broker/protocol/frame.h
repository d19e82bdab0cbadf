/* Splits a stream of bytes into frames: four bytes of length, then so many bytes. It never saw a socket.
 *
 * Whoever reads feeds what came in and gets it back in parts, without a copy: a frame that arrived in one piece is one
 * part, both first and last. A frame in several pieces is best gathered in a buffer of its own: after the first part,
 * `size` is known and frame_left() says how many bytes are missing, so the next read can go straight there.
 *
 *   while (size > 0) {
 *       int64_t taken = frame_feed(&reader, data, size, &part);
 *       if (taken < 0) close the connection
 *       data += taken, size -= taken;
 *       if (part.is_first) room for reader.size bytes, unless part.is_last too: then part.bytes is the frame
 *       if (part.is_last) a whole frame
 *   }
 */
#ifndef OTTLA_PROTOCOL_FRAME_H
#define OTTLA_PROTOCOL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"

#define FRAME_PREFIX_BYTES 4
/* Nothing shorter is a request or an answer: both open with more. Kafka closes on these as well, only later. */
#define FRAME_MIN_BYTES 4

struct frame_reader {
    int32_t size_max; /* socket.request.max.bytes, or less before login */
    int32_t size;     /* of the frame under way, its length excluded; -1 until that has arrived */
    int32_t filled;   /* bytes of the length seen while size is -1, then bytes of the frame */
    uint8_t prefix[FRAME_PREFIX_BYTES];
};

struct frame_part {
    struct slice bytes; /* of the frame, inside what was fed; may be empty */
    int32_t offset;     /* of these bytes in the frame */
    bool is_first;      /* the frame's length has just become known */
    bool is_last;       /* the frame is whole; the reader stands before the next one */
};

void frame_reader_init(struct frame_reader *reader, int32_t size_max);
/* Takes bytes of at most one frame from the front of `data`. Returns how many were taken (with its length; at least 1
 * when `size` is), ERR_CORRUPT for a length that is negative or shorter than FRAME_MIN_BYTES, or ERR_TOO_LARGE above
 * size_max; after an error the stream cannot be followed any more and every further call says the same. */
int64_t frame_feed(struct frame_reader *reader, const uint8_t *data, size_t size, struct frame_part *ret_part);
/* Bytes missing: of the frame when its length is known, else of the length. */
int32_t frame_left(const struct frame_reader *reader);

#endif
