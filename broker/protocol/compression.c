/* Four libraries behind one pull interface. Each codec has a begin and a read function in the table at the end. */
#include "broker/protocol/compression.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"

/* Snappy's densest element is a three-byte copy of 64 bytes: a block that claims to unpack to more than this many
 * times its size is lying, and nothing is allocated for it. */
#define SNAPPY_RATIO_MAX 24U
#define SNAPPY_BLOCK_BYTES ((size_t)32 * 1024)
/* Largest window a zstd frame may ask for: the decoder's own default, 128 MiB, which every encoder level stays under.
 */
#define ZSTD_WINDOW_LOG_MAX 27
/* Java's stream gives no hint of its size; this is what zlib calls gzip and nothing else. */
#define GZIP_WINDOW_BITS (15 + 16)

static const uint8_t snappy_java_magic[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
#define SNAPPY_JAVA_HEADER_SIZE ((size_t)16)

struct compression {
    enum compression_codec codec;
    const uint8_t *at; /* what is left of the input */
    const uint8_t *end;
    bool is_complete; /* the current stream ended as it should */
    bool has_inflater;
    bool snappy_is_framed;
    z_stream inflater;
    LZ4F_dctx *lz4;
    ZSTD_DCtx *zstd_decoder;
    ZSTD_CCtx *zstd_encoder;
    struct byte_buffer block; /* one unpacked snappy block */
    size_t block_read;
};

uint8_t *byte_buffer_reserve(struct byte_buffer *buffer, size_t more) {
    if (buffer->capacity - buffer->size < more) {
        size_t wanted = MAX(buffer->size + more, buffer->capacity * 2);
        buffer->data = xrealloc(buffer->data, wanted);
        buffer->capacity = wanted;
    }
    return buffer->data + buffer->size;
}

void byte_buffer_append(struct byte_buffer *buffer, const void *data, size_t size) {
    if (size > 0) {
        memcpy(byte_buffer_reserve(buffer, size), data, size);
        buffer->size += size;
    }
}

void byte_buffer_deinit(struct byte_buffer *buffer) {
    free(buffer->data);
    *buffer = (struct byte_buffer){0};
}

struct compression *compression_create(void) {
    return xcalloc(1, sizeof(struct compression));
}

void compression_destroy(struct compression *compression) {
    if (compression == NULL) {
        return;
    }
    if (compression->has_inflater) {
        inflateEnd(&compression->inflater);
    }
    LZ4F_freeDecompressionContext(compression->lz4);
    ZSTD_freeDCtx(compression->zstd_decoder);
    ZSTD_freeCCtx(compression->zstd_encoder);
    byte_buffer_deinit(&compression->block);
    free(compression);
}

static int gzip_begin(struct compression *c) {
    if (c->has_inflater) {
        return inflateReset(&c->inflater) == Z_OK ? 0 : ERR_CORRUPT;
    }
    CHECK(inflateInit2(&c->inflater, GZIP_WINDOW_BITS) == Z_OK);
    c->has_inflater = true;
    return 0;
}

static int64_t gzip_read(struct compression *c, uint8_t *to, size_t size) {
    z_stream *z = &c->inflater;
    z->next_out = to;
    z->avail_out = (uInt)size;
    while (z->avail_out > 0) {
        if (c->is_complete) {
            if (c->at == c->end) {
                break;
            }
            /* Another member follows, as the format allows and Java's reader accepts. */
            inflateReset(z);
            c->is_complete = false;
        }
        z->next_in = (Bytef *)(uintptr_t)c->at;
        z->avail_in = (uInt)(c->end - c->at);
        int status = inflate(z, Z_NO_FLUSH);
        c->at = z->next_in;
        if (status == Z_STREAM_END) {
            c->is_complete = true;
        } else if (status != Z_OK) {
            return ERR_CORRUPT;
        }
    }
    return (int64_t)(size - z->avail_out);
}

static int snappy_begin(struct compression *c) {
    c->block.size = 0;
    c->block_read = 0;
    size_t left = (size_t)(c->end - c->at);
    c->snappy_is_framed =
        left >= SNAPPY_JAVA_HEADER_SIZE && memcmp(c->at, snappy_java_magic, sizeof snappy_java_magic) == 0;
    if (c->snappy_is_framed) {
        c->at += SNAPPY_JAVA_HEADER_SIZE;
    }
    return 0;
}

/* Unpacks the next block. Returns 1, 0 at the end, or ERR_CORRUPT. */
static int snappy_next_block(struct compression *c) {
    size_t left = (size_t)(c->end - c->at);
    size_t packed = left;
    if (left == 0) {
        return 0;
    }
    if (c->snappy_is_framed) {
        if (left < 4) {
            return ERR_CORRUPT;
        }
        packed = load_u32(c->at);
        c->at += 4;
        if (packed > left - 4) {
            return ERR_CORRUPT;
        }
    }
    size_t unpacked = 0;
    if (snappy_uncompressed_length((const char *)c->at, packed, &unpacked) != SNAPPY_OK ||
        unpacked > packed * SNAPPY_RATIO_MAX) {
        return ERR_CORRUPT;
    }
    c->block.size = 0;
    c->block_read = 0;
    char *to = (char *)byte_buffer_reserve(&c->block, unpacked + 1);
    if (snappy_uncompress((const char *)c->at, packed, to, &unpacked) != SNAPPY_OK) {
        return ERR_CORRUPT;
    }
    c->block.size = unpacked;
    c->at += packed;
    return 1;
}

static int64_t snappy_read(struct compression *c, uint8_t *to, size_t size) {
    while (c->block_read == c->block.size) {
        int status = snappy_next_block(c);
        if (status <= 0) {
            return status;
        }
    }
    size_t count = MIN(size, c->block.size - c->block_read);
    memcpy(to, c->block.data + c->block_read, count);
    c->block_read += count;
    return (int64_t)count;
}

static int lz4_begin(struct compression *c) {
    if (c->lz4 == NULL) {
        CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&c->lz4, LZ4F_VERSION)));
    }
    LZ4F_resetDecompressionContext(c->lz4);
    LZ4F_frameInfo_t info;
    size_t size = (size_t)(c->end - c->at);
    if (LZ4F_isError(LZ4F_getFrameInfo(c->lz4, &info, c->at, &size)) || info.blockMode != LZ4F_blockIndependent) {
        return ERR_CORRUPT;
    }
    c->at += size;
    return 0;
}

static int64_t lz4_read(struct compression *c, uint8_t *to, size_t size) {
    size_t done = 0;
    while (done < size && !c->is_complete) {
        size_t room = size - done;
        size_t given = (size_t)(c->end - c->at);
        size_t hint = LZ4F_decompress(c->lz4, to + done, &room, c->at, &given, NULL);
        if (LZ4F_isError(hint)) {
            return ERR_CORRUPT;
        }
        c->at += given;
        done += room;
        c->is_complete = hint == 0;
        if (!c->is_complete && room == 0 && given == 0) {
            return ERR_CORRUPT;
        }
    }
    return (int64_t)done;
}

static int zstd_begin(struct compression *c) {
    if (c->zstd_decoder == NULL) {
        c->zstd_decoder = ZSTD_createDCtx();
        CHECK(c->zstd_decoder != NULL);
        CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(c->zstd_decoder, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)));
    }
    ZSTD_DCtx_reset(c->zstd_decoder, ZSTD_reset_session_only);
    return 0;
}

static int64_t zstd_read(struct compression *c, uint8_t *to, size_t size) {
    ZSTD_outBuffer out = {.dst = to, .size = size};
    ZSTD_inBuffer in = {.src = c->at, .size = (size_t)(c->end - c->at)};
    while (out.pos < out.size && !(c->is_complete && in.pos == in.size)) {
        size_t before = out.pos;
        size_t consumed = in.pos;
        size_t hint = ZSTD_decompressStream(c->zstd_decoder, &out, &in);
        if (ZSTD_isError(hint)) {
            return ERR_CORRUPT;
        }
        c->is_complete = hint == 0;
        if (!c->is_complete && out.pos == before && in.pos == consumed) {
            return ERR_CORRUPT;
        }
    }
    c->at += in.pos;
    return (int64_t)out.pos;
}

int decompress_begin(struct compression *compression, enum compression_codec codec, struct slice input) {
    compression->codec = codec;
    compression->at = input.data;
    compression->end = input.data + MAX(input.size, 0);
    compression->is_complete = false;
    switch (codec) {
    case CODEC_GZIP: return gzip_begin(compression);
    case CODEC_SNAPPY: return snappy_begin(compression);
    case CODEC_LZ4: return lz4_begin(compression);
    case CODEC_ZSTD: return zstd_begin(compression);
    case CODEC_NONE:
    case CODEC_COUNT: break;
    }
    return 0;
}

int64_t decompress_read(struct compression *compression, uint8_t *to, size_t size) {
    switch (compression->codec) {
    case CODEC_GZIP: return gzip_read(compression, to, size);
    case CODEC_SNAPPY: return snappy_read(compression, to, size);
    case CODEC_LZ4: return lz4_read(compression, to, size);
    case CODEC_ZSTD: return zstd_read(compression, to, size);
    case CODEC_NONE:
    case CODEC_COUNT: break;
    }
    size_t count = MIN(size, (size_t)(compression->end - compression->at));
    if (count > 0) {
        memcpy(to, compression->at, count);
        compression->at += count;
    }
    return (int64_t)count;
}

int decompress_all(struct compression *compression, enum compression_codec codec, struct slice input, size_t limit,
                   struct byte_buffer *ret) {
    int error = decompress_begin(compression, codec, input);
    size_t total = 0;
    while (error == 0) {
        size_t chunk = (size_t)64 * 1024;
        int64_t got = decompress_read(compression, byte_buffer_reserve(ret, chunk), chunk);
        if (got <= 0) {
            return (int)got;
        }
        ret->size += (size_t)got;
        total += (size_t)got;
        error = total > limit ? ERR_TOO_LARGE : 0;
    }
    return error;
}

static void gzip_compress(struct slice input, struct byte_buffer *ret) {
    z_stream z = {0};
    CHECK(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t bound = deflateBound(&z, (uLong)input.size);
    z.next_in = (Bytef *)(uintptr_t)input.data;
    z.avail_in = (uInt)input.size;
    z.next_out = byte_buffer_reserve(ret, bound);
    z.avail_out = (uInt)bound;
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    ret->size += bound - z.avail_out;
    deflateEnd(&z);
}

static void snappy_compress_framed(struct slice input, struct byte_buffer *ret) {
    static const uint8_t versions[] = {0, 0, 0, 1, 0, 0, 0, 1};
    byte_buffer_append(ret, snappy_java_magic, sizeof snappy_java_magic);
    byte_buffer_append(ret, versions, sizeof versions);
    for (size_t done = 0; done < (size_t)input.size;) {
        size_t count = MIN(SNAPPY_BLOCK_BYTES, (size_t)input.size - done);
        size_t packed = snappy_max_compressed_length(count);
        uint8_t *to = byte_buffer_reserve(ret, packed + 4);
        CHECK(snappy_compress((const char *)input.data + done, count, (char *)to + 4, &packed) == SNAPPY_OK);
        store_u32(to, (uint32_t)packed);
        ret->size += packed + 4;
        done += count;
    }
}

static void lz4_compress(struct slice input, struct byte_buffer *ret) {
    const LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent}};
    size_t bound = LZ4F_compressFrameBound((size_t)input.size, &preferences);
    size_t packed =
        LZ4F_compressFrame(byte_buffer_reserve(ret, bound), bound, input.data, (size_t)input.size, &preferences);
    CHECK(!LZ4F_isError(packed));
    ret->size += packed;
}

static void zstd_compress(struct compression *c, struct slice input, struct byte_buffer *ret) {
    if (c->zstd_encoder == NULL) {
        c->zstd_encoder = ZSTD_createCCtx();
        CHECK(c->zstd_encoder != NULL);
    }
    size_t bound = ZSTD_compressBound((size_t)input.size);
    size_t packed = ZSTD_compressCCtx(c->zstd_encoder, byte_buffer_reserve(ret, bound), bound, input.data,
                                      (size_t)input.size, ZSTD_CLEVEL_DEFAULT);
    CHECK(!ZSTD_isError(packed));
    ret->size += packed;
}

void compress_all(struct compression *compression, enum compression_codec codec, struct slice input,
                  struct byte_buffer *ret) {
    CHECK(input.size >= 0);
    switch (codec) {
    case CODEC_GZIP: gzip_compress(input, ret); return;
    case CODEC_SNAPPY: snappy_compress_framed(input, ret); return;
    case CODEC_LZ4: lz4_compress(input, ret); return;
    case CODEC_ZSTD: zstd_compress(compression, input, ret); return;
    case CODEC_NONE:
    case CODEC_COUNT: break;
    }
    byte_buffer_append(ret, input.data, (size_t)input.size);
}
