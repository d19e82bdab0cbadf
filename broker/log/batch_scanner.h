/* Walks the batches of a segment file from one position on: headers only, or whole batches.
 *
 * The caller lends the buffer. For headers a few kilobytes do: batches that lie inside are seen without another read,
 * bodies beyond it are skipped. */
#ifndef OTTLA_LOG_BATCH_SCANNER_H
#define OTTLA_LOG_BATCH_SCANNER_H

#include <stdbool.h>

#include "broker/log/disk.h"
#include "broker/protocol/record_batch.h"

#define SCAN_HEADERS_SIZE 4096
/* What recovery reads at a time, where the segment has as much; larger batches make the buffer grow. */
#define SCAN_BATCHES_SIZE ((size_t)1024 * 1024)

struct batch_scanner {
    struct disk_file *file;
    int64_t position; /* where the next batch begins */
    int64_t limit;    /* end of the file */
    uint8_t *buffer;
    size_t capacity;
    int64_t buffer_position;
    size_t buffer_size;
    struct byte_buffer *growable; /* the buffer's owner when whole batches are wanted, else NULL */
};

/* Headers only. */
struct batch_scanner batch_scanner_of_headers(struct disk_file *file, int64_t position, int64_t limit, uint8_t *buffer,
                                              size_t capacity);
/* Whole batches; `buffer` grows as needed and is the caller's to free. */
struct batch_scanner batch_scanner_of_batches(struct disk_file *file, int64_t position, int64_t limit,
                                              struct byte_buffer *buffer);
/* Returns 1 with the batch that begins at *ret_position (its bytes in *ret_bytes when whole batches are wanted; valid
 * until the next call); 0 at the limit; ERR_CORRUPT when what is there is not a batch or is cut off, with
 * scanner->position at it; or the disk's error. Checksums are the caller's. */
int batch_scanner_next(struct batch_scanner *scanner, struct record_batch *ret_header, int64_t *ret_position,
                       struct slice *ret_bytes);

#endif
