/* Blocking sockets and batches built by hand. */
#include "tests/bench/wire.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/base/random.h"
#include "broker/protocol/record_batch.h"

#define PAST_MS 3600000 /* where numbers that are timestamps begin: they must not reach into the future */
#define UNPACKED_BYTES_MAX ((size_t)16 * 1024 * 1024)

static struct compression *packer; /* made by the first who needs it */

double wire_now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int wire_connect(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    CHECK(getaddrinfo(host, port, &hints, &found) == 0);
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        perror("connect");
        exit(1);
    }
    freeaddrinfo(found);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void wire_send(int fd, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            perror("send");
            exit(1);
        }
        data += sent;
        size -= (size_t)sent;
    }
}

void wire_receive(int fd, uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t got = recv(fd, data, size, MSG_WAITALL);
        if (got <= 0) {
            fputs("the broker closed the connection\n", stderr);
            exit(1);
        }
        data += got;
        size -= (size_t)got;
    }
}

void wire_header(struct writer *w, size_t body_size, int16_t key, int16_t version) {
    writer_i32(w, (int32_t)(WIRE_HEADER_SIZE - 4 + body_size));
    writer_i16(w, key);
    writer_i16(w, version);
    writer_i32(w, 1);
    writer_i16(w, 2);
    writer_bytes(w, "bm", 2);
}

static void seal_value(uint8_t *value, int32_t size) {
    store_u32(value, crc32c(0, value + 4, (size_t)size - 4));
}

static void write_record(struct writer *w, int32_t delta, const uint8_t *value, int32_t value_size) {
    int32_t body = (int32_t)(1 + varlong_size(0) + varint_size(delta) + varint_size(-1) + varint_size(value_size) +
                             (size_t)value_size + varint_size(0));
    writer_varint(w, body);
    writer_i8(w, 0);
    writer_varlong(w, 0);
    writer_varint(w, delta);
    writer_varint(w, -1);
    writer_varint(w, value_size);
    writer_bytes(w, value, (size_t)value_size);
    writer_varint(w, 0);
}

struct wire_batch wire_batch_create(size_t size_wanted, int32_t value_size, uint32_t producer) {
    size_t record_max = (size_t)value_size + 64;
    size_t capacity = size_wanted + record_max + BATCH_HEADER_SIZE;
    struct wire_batch batch = {.data = xcalloc(1, capacity), .value_size = value_size};
    uint8_t *value = xcalloc(1, (size_t)value_size);
    struct writer w = writer_of(batch.data + BATCH_HEADER_SIZE, capacity - BATCH_HEADER_SIZE);
    CHECK(value_size >= WIRE_VALUE_HEADER);
    struct random noise;
    random_seed(&noise, producer);
    store_u32(value + 4, producer);
    do {
        for (int32_t i = WIRE_VALUE_HEADER; i < value_size; i++) {
            value[i] = i % 16 < 8 ? (uint8_t)random_u64(&noise) : (uint8_t)(i * 7 + batch.records);
        }
        seal_value(value, value_size);
        write_record(&w, batch.records, value, value_size);
        if (batch.records++ == 0) {
            batch.first_value = batch.data + BATCH_HEADER_SIZE + writer_size(&w) - 1 - value_size;
        }
    } while (writer_size(&w) + (size_t)value_size + BATCH_HEADER_SIZE < size_wanted);
    CHECK(!w.failed);
    free(value);
    batch.size = (int32_t)(BATCH_HEADER_SIZE + writer_size(&w));
    store_i32(batch.data + BATCH_AT_LENGTH, batch.size - BATCH_OVERHEAD);
    store_i32(batch.data + BATCH_AT_LEADER_EPOCH, -1);
    batch.data[BATCH_AT_MAGIC] = 2;
    store_i32(batch.data + BATCH_AT_LAST_OFFSET_DELTA, batch.records - 1);
    store_i64(batch.data + BATCH_AT_BASE_TIMESTAMP, (int64_t)time(NULL) * 1000);
    store_i64(batch.data + BATCH_AT_MAX_TIMESTAMP, (int64_t)time(NULL) * 1000);
    store_i64(batch.data + BATCH_AT_PRODUCER_ID, -1);
    store_i16(batch.data + BATCH_AT_PRODUCER_EPOCH, -1);
    store_i32(batch.data + BATCH_AT_BASE_SEQUENCE, -1);
    store_i32(batch.data + BATCH_AT_RECORD_COUNT, batch.records);
    wire_batch_number(&batch, 0);
    return batch;
}

void wire_batch_compress(struct wire_batch *batch, enum compression_codec codec) {
    struct byte_buffer packed = {0};
    batch->made_ms = (int64_t)time(NULL) * 1000 - PAST_MS;
    store_i64(batch->first_value + 8, batch->made_ms);
    seal_value(batch->first_value, batch->value_size);
    packer = packer != NULL ? packer : compression_create();
    compress_all(packer, codec,
                 (struct slice){.data = batch->data + BATCH_HEADER_SIZE, .size = batch->size - BATCH_HEADER_SIZE},
                 &packed);
    CHECK(packed.size < (size_t)batch->size - BATCH_HEADER_SIZE); /* or packing is not worth a row */
    memcpy(batch->data + BATCH_HEADER_SIZE, packed.data, packed.size);
    batch->size = (int32_t)(BATCH_HEADER_SIZE + packed.size);
    store_i32(batch->data + BATCH_AT_LENGTH, batch->size - BATCH_OVERHEAD);
    store_i16(batch->data + BATCH_AT_ATTRIBUTES, (int16_t)codec);
    byte_buffer_deinit(&packed);
    wire_batch_number(batch, 0);
}

void wire_batch_number(struct wire_batch *batch, uint64_t number) {
    if (batch->made_ms != 0) {
        CHECK(number < PAST_MS);
        store_i64(batch->data + BATCH_AT_BASE_TIMESTAMP, batch->made_ms + (int64_t)number);
        store_i64(batch->data + BATCH_AT_MAX_TIMESTAMP, batch->made_ms + (int64_t)number);
    } else {
        store_i64(batch->first_value + 8, (int64_t)number);
        seal_value(batch->first_value, batch->value_size);
    }
    store_u32(batch->data + BATCH_AT_CRC,
              crc32c(0, batch->data + BATCH_AT_ATTRIBUTES, (size_t)batch->size - BATCH_AT_ATTRIBUTES));
}

/* The records of a batch, unpacked; they live until the next. */
static int unpack(const uint8_t *data, int32_t size, enum compression_codec codec, struct reader *ret) {
    static struct byte_buffer unpacked;
    struct slice packed = {.data = data + BATCH_HEADER_SIZE, .size = size - BATCH_HEADER_SIZE};
    if (codec == CODEC_NONE) {
        *ret = reader_of(packed.data, (size_t)packed.size);
        return 0;
    }
    packer = packer != NULL ? packer : compression_create();
    unpacked.size = 0;
    if (codec >= CODEC_COUNT || decompress_all(packer, codec, packed, UNPACKED_BYTES_MAX, &unpacked) != 0) {
        return -1;
    }
    *ret = reader_of(unpacked.data, unpacked.size);
    return 0;
}

int wire_batch_check(const uint8_t *data, int32_t size, uint32_t *ret_producer, uint64_t *ret_number,
                     int32_t *ret_records) {
    enum compression_codec codec = (enum compression_codec)(load_i16(data + BATCH_AT_ATTRIBUTES) & BATCH_CODEC_MASK);
    struct reader r;
    int32_t count = load_i32(data + BATCH_AT_RECORD_COUNT);
    if (load_u32(data + BATCH_AT_CRC) != crc32c(0, data + BATCH_AT_ATTRIBUTES, (size_t)size - BATCH_AT_ATTRIBUTES) ||
        unpack(data, size, codec, &r) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < count; i++) {
        reader_varint(&r);
        reader_i8(&r);
        reader_varlong(&r);
        reader_varint(&r);
        reader_varint(&r);
        int32_t value_size = reader_varint(&r);
        if (r.failed || value_size < WIRE_VALUE_HEADER || (size_t)value_size > reader_left(&r)) {
            return -1;
        }
        const uint8_t *value = reader_take(&r, (size_t)value_size);
        reader_varint(&r);
        if (r.failed || load_u32(value) != crc32c(0, value + 4, (size_t)value_size - 4)) {
            return -1;
        }
        if (i == 0) {
            *ret_producer = load_u32(value + 4);
            int64_t number = load_i64(value + 8);
            *ret_number = (uint64_t)(codec == CODEC_NONE ? number : load_i64(data + BATCH_AT_BASE_TIMESTAMP) - number);
        }
    }
    *ret_records = count;
    return 0;
}
