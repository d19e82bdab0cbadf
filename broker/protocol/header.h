/* What stands before a request and before an answer, and which of its versions stands there.
 *
 * Request header v1 is classic, v2 adds a tag buffer for flexible versions; the client id keeps its classic length in
 * both. Two old quirks are kept: ControlledShutdown v0 has header v0 (no client id), and ApiVersions answers always
 * with header v0, since the client cannot know yet what the broker speaks. */
#ifndef OTTLA_PROTOCOL_HEADER_H
#define OTTLA_PROTOCOL_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "broker/protocol/codec.h"

struct request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct str client_id; /* a view into the frame; may be null */
};

/* 0 to 2. The key must be known (api_keys.h); the version need not be in the API's range. */
int16_t request_header_version(int16_t api_key, int16_t api_version);
/* 0 or 1. */
int16_t response_header_version(int16_t api_key, int16_t api_version);

/* Reads the header and leaves `r` at the body. 0, ERR_CORRUPT, or ERR_INVALID for an API key no schema has: then
 * nobody knows where the body begins, and Kafka closes the connection. The version may still be one that nobody
 * speaks. */
int request_header_decode(struct reader *r, struct request_header *ret_header);
size_t request_header_encoded_size(const struct request_header *header);
void request_header_encode(const struct request_header *header, struct encoder *e);

/* Reads the header of the answer to a request of that key and version. 0 or ERR_CORRUPT. */
int response_header_decode(struct reader *r, int16_t api_key, int16_t api_version, int32_t *ret_correlation_id);
size_t response_header_encoded_size(int16_t api_key, int16_t api_version);
void response_header_encode(int16_t api_key, int16_t api_version, int32_t correlation_id, struct encoder *e);

#endif
