/* The four codecs of record batches, in the framing Kafka gives them.
 *
 * gzip is the file format, lz4 the frame format with independent blocks, zstd a frame; snappy is either the framing of
 * the Java library (magic, version, then length-prefixed blocks) or, as librdkafka writes it, one bare block. Reading
 * is streaming, so that nobody allocates what a hostile batch unpacks to; the caller counts what comes out and stops.
 */
#ifndef OTTLA_PROTOCOL_COMPRESSION_H
#define OTTLA_PROTOCOL_COMPRESSION_H

#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"

enum compression_codec {
    CODEC_NONE = 0,
    CODEC_GZIP = 1,
    CODEC_SNAPPY = 2,
    CODEC_LZ4 = 3,
    CODEC_ZSTD = 4,
    CODEC_COUNT = 5,
};

/* Bytes that grow; kept by its owner from one use to the next so that a steady state allocates nothing. */
struct byte_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* Room for `more` bytes behind what is there; returns where they go. The caller adds to size. */
uint8_t *byte_buffer_reserve(struct byte_buffer *buffer, size_t more);
void byte_buffer_append(struct byte_buffer *buffer, const void *data, size_t size);
void byte_buffer_deinit(struct byte_buffer *buffer);

/* Codec states, created on first use and kept. Not thread-safe; one per thread. */
struct compression;

struct compression *compression_create(void);
void compression_destroy(struct compression *compression);

/* Starts reading `input`, which must stay until the last read. Returns 0, or ERR_CORRUPT when even the frame header is
 * bad or asks for something Kafka's clients cannot read (dependent lz4 blocks). */
int decompress_begin(struct compression *compression, enum compression_codec codec, struct slice input);
/* Up to `size` bytes; 0 at the end of a complete stream; ERR_CORRUPT when the data does not unpack or stops early. */
int64_t decompress_read(struct compression *compression, uint8_t *to, size_t size);
/* Everything, appended to ret; ERR_TOO_LARGE when it would be more than `limit` bytes. */
int decompress_all(struct compression *compression, enum compression_codec codec, struct slice input, size_t limit,
                   struct byte_buffer *ret);
/* Appends the compressed form to ret (CODEC_NONE copies). Levels are the libraries' defaults, as Kafka's are. */
void compress_all(struct compression *compression, enum compression_codec codec, struct slice input,
                  struct byte_buffer *ret);

#endif
