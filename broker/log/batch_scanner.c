/* A buffer moved along a file. */
#include "broker/log/batch_scanner.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"

struct batch_scanner batch_scanner_of_headers(struct disk_file *file, int64_t position, int64_t limit, uint8_t *buffer,
                                              size_t capacity) {
    CHECK(capacity >= BATCH_DECODE_SIZE);
    return (struct batch_scanner){
        .file = file, .position = position, .limit = limit, .buffer = buffer, .capacity = capacity};
}

struct batch_scanner batch_scanner_of_batches(struct disk_file *file, int64_t position, int64_t limit,
                                              struct byte_buffer *buffer) {
    buffer->size = 0;
    int64_t wanted = MIN(limit - position, (int64_t)SCAN_BATCHES_SIZE);
    uint8_t *bytes = byte_buffer_reserve(buffer, (size_t)MAX(wanted, (int64_t)BATCH_DECODE_SIZE));
    return (struct batch_scanner){.file = file,
                                  .position = position,
                                  .limit = limit,
                                  .buffer = bytes,
                                  .capacity = buffer->capacity,
                                  .growable = buffer};
}

/* Bytes of the buffer from the scanner's position on. */
static size_t buffered(const struct batch_scanner *scanner) {
    int64_t at = scanner->position - scanner->buffer_position;
    return at >= 0 && at < (int64_t)scanner->buffer_size ? scanner->buffer_size - (size_t)at : 0;
}

/* Makes at least `size` bytes from the position on available, which the file is known to have. */
static int fill(struct batch_scanner *scanner, size_t size) {
    if (buffered(scanner) >= size) {
        return 0;
    }
    if (size > scanner->capacity) {
        CHECK(scanner->growable != NULL);
        scanner->buffer = byte_buffer_reserve(scanner->growable, size);
        scanner->capacity = scanner->growable->capacity;
    }
    size_t wanted = (size_t)MIN((int64_t)scanner->capacity, scanner->limit - scanner->position);
    int64_t got = disk_read(scanner->file, scanner->buffer, wanted, scanner->position);
    scanner->buffer_position = scanner->position;
    scanner->buffer_size = got > 0 ? (size_t)got : 0;
    return got < 0 ? (int)got : got < (int64_t)size ? ERR_CORRUPT : 0;
}

int batch_scanner_next(struct batch_scanner *scanner, struct record_batch *ret_header, int64_t *ret_position,
                       struct slice *ret_bytes) {
    int64_t left = scanner->limit - scanner->position;
    if (left <= 0) {
        return 0;
    }
    int error = fill(scanner, (size_t)MIN(left, (int64_t)BATCH_DECODE_SIZE));
    if (error == 0) {
        const uint8_t *at = scanner->buffer + (scanner->position - scanner->buffer_position);
        error = record_batch_decode(at, buffered(scanner), ret_header);
    }
    if (error == ERR_OUT_OF_RANGE || (error == 0 && ret_header->size > left)) {
        return ERR_CORRUPT;
    }
    if (error == 0 && scanner->growable != NULL) {
        error = fill(scanner, (size_t)ret_header->size);
    }
    if (error != 0) {
        return error;
    }
    if (ret_bytes != NULL && scanner->growable != NULL) {
        *ret_bytes = (struct slice){scanner->buffer + (scanner->position - scanner->buffer_position), ret_header->size};
    }
    *ret_position = scanner->position;
    scanner->position += ret_header->size;
    return 1;
}
