/* Any bytes as a stream of frames, each frame as a request header: what a stranger can send before anything is known
 * about it. */
#include "broker/protocol/frame.h"
#include "broker/protocol/header.h"
#include "tests/fuzz/message.h"

#define FRAME_MAX_BYTES 4096

static void try_header(const uint8_t *data, size_t size) {
    struct reader r = reader_of(data, size);
    struct request_header header;
    int error = request_header_decode(&r, &header);
    CHECK(error == 0 || error == ERR_CORRUPT || error == ERR_INVALID);
    if (error != 0) {
        return;
    }
    uint8_t *room = xmalloc(request_header_encoded_size(&header));
    struct encoder e = encoder_of(room, request_header_encoded_size(&header));
    request_header_encode(&header, &e);
    CHECK(!e.w.failed);
    struct reader again = reader_of(room, writer_size(&e.w));
    struct request_header back;
    CHECK(request_header_decode(&again, &back) == 0);
    CHECK(reader_left(&again) == 0);
    CHECK(back.api_key == header.api_key && back.api_version == header.api_version);
    CHECK(back.correlation_id == header.correlation_id && str_equal(back.client_id, header.client_id));
    free(room);
}

/* The first byte says how the stream is cut. Whole frames are gathered and must be what one look at the stream says. */
static void try_stream(const uint8_t *data, size_t size) {
    size_t piece = size > 0 ? (size_t)data[0] % 64 + 1 : 1;
    uint8_t *gathered = xmalloc(FRAME_MAX_BYTES);
    struct frame_reader reader;
    frame_reader_init(&reader, FRAME_MAX_BYTES);
    size_t frame_at = 0; /* of the frame's length in the stream */
    for (size_t at = 0; at < size;) {
        struct frame_part part;
        int64_t taken = frame_feed(&reader, data + at, MIN(piece, size - at), &part);
        if (taken < 0) {
            CHECK(size - frame_at >= FRAME_PREFIX_BYTES);
            int32_t length = load_i32(data + frame_at);
            CHECK(length < FRAME_MIN_BYTES || length > FRAME_MAX_BYTES);
            break;
        }
        CHECK(taken > 0);
        at += (size_t)taken;
        if (part.bytes.size > 0) {
            CHECK(part.offset + part.bytes.size <= FRAME_MAX_BYTES);
            memcpy(gathered + part.offset, part.bytes.data, (size_t)part.bytes.size);
        }
        if (part.is_last) {
            int32_t length = load_i32(data + frame_at);
            CHECK(part.offset + part.bytes.size == length);
            CHECK(memcmp(gathered, data + frame_at + FRAME_PREFIX_BYTES, (size_t)length) == 0);
            try_header(gathered, (size_t)length);
            frame_at = at;
        }
    }
    free(gathered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_header(data, size);
    try_stream(data, size);
    return 0;
}
