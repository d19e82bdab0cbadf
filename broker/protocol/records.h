/* The `records` type of the protocol: a run of record batches, in memory or as a region of a file.
 *
 * Requests carry views into their frame. Fetch answers carry regions: the encoder writes only the length and notes a
 * splice; the transport sends the region (sendfile) when it gets there. Bytes stay where they are. */
#ifndef OTTLA_PROTOCOL_RECORDS_H
#define OTTLA_PROTOCOL_RECORDS_H

#include <stdint.h>

struct disk_file; /* broker/log/disk.h; opaque here */

struct records {
    int32_t size;           /* -1 is null */
    const uint8_t *data;    /* set when in memory */
    struct disk_file *file; /* set when in a file; the message holds a reference */
    int64_t position;
};

#define RECORDS_NULL ((struct records){.size = -1})

/* Where, in an encoded body, the bytes of a region belong. */
struct splice {
    int32_t at; /* offset in the encoded bytes at which the region's bytes come */
    struct records records;
};

#endif
