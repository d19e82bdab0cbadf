/* What the benchmark's clients share: a blocking connection, frames, prepared batches whose values can be checked. */
#ifndef OTTLA_TESTS_BENCH_WIRE_H
#define OTTLA_TESTS_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/protocol/codec.h"
#include "broker/protocol/compression.h"

#define WIRE_PRODUCE_VERSION 8 /* the last before flexible encoding: a header that is easy to write by hand */
#define WIRE_FETCH_VERSION 11
#define WIRE_HEADER_SIZE 16 /* size 4, key 2, version 2, correlation 4, client id "bm" 4 */
#define WIRE_ANSWER_BYTES_MAX ((size_t)64 * 1024 * 1024)

double wire_now_seconds(void);
/* Ends the process when nobody listens, or when the other side hangs up. */
int wire_connect(const char *host, const char *port);
void wire_send(int fd, const uint8_t *data, size_t size);
void wire_receive(int fd, uint8_t *data, size_t size);
void wire_header(struct writer *w, size_t body_size, int16_t key, int16_t version);

/* A value says who made it: checksum of the rest 4, producer 4, number of its batch 8, filler of which half is noise.
 */
#define WIRE_VALUE_HEADER 16

/* One batch, encoded once; each time it is sent only its number changes, and the checksums over it. */
struct wire_batch {
    uint8_t *data;
    int32_t size;
    int32_t records;
    uint8_t *first_value; /* in data; the others' stay as they are */
    int32_t value_size;
    int64_t made_ms; /* of a compressed batch: its number is what its timestamp is beyond this */
};

/* Fills a batch of about size_wanted bytes with values of value_size. The caller frees data. */
struct wire_batch wire_batch_create(size_t size_wanted, int32_t value_size, uint32_t producer);
/* Packs the records. What they hold stays as it is from then on, made_ms in the place of the first one's number, and
 * the batch is numbered by its timestamp. */
void wire_batch_compress(struct wire_batch *batch, enum compression_codec codec);
void wire_batch_number(struct wire_batch *batch, uint64_t number);
/* Checks every value of a whole batch (status 0) and tells of its producer and number; -1 when anything is wrong. */
int wire_batch_check(const uint8_t *data, int32_t size, uint32_t *ret_producer, uint64_t *ret_number,
                     int32_t *ret_records);

#endif
