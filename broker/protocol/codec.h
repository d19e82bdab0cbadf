/* What generated message code stands on: primitive fields of the protocol, classic and flexible.
 *
 * From schema/NAME.schema (one file per API, request and response, all versions) the generator writes
 * build/generated/protocol/NAME.h and NAME.c. For `Produce (key 0) request` it makes, in snake case:
 *
 *   struct produce_request { struct str transactional_id; int16_t acks; int32_t timeout_ms;
 *                            struct produce_request_topic_produce_data *topic_data; int32_t topic_data_count; };
 *   int produce_request_decode(struct reader *r, int16_t version, struct arena *arena, struct produce_request *ret);
 *   size_t produce_request_encoded_size(const struct produce_request *m, int16_t version);
 *   void produce_request_encode(const struct produce_request *m, int16_t version, struct encoder *e);
 *   void produce_request_init(struct produce_request *m);          // every field at its default
 *   (the same four for produce_response; _init also for every nested struct)
 *
 * Nested structs are named <message>_<type>, both snake case. A list field `xs` has a sibling `xs_count`, -1 for null.
 * Strings are struct str, bytes struct slice, records struct records, uuid struct uuid: views into the frame after
 * decode. A nullable struct is a pointer, NULL when null. Tagged fields are plain members, left out of the encoding
 * when they hold their default. The decoder skips unknown tags (at most CODEC_UNKNOWN_TAGS_MAX a struct). The encoder
 * CHECKs that a non-ignorable field a version cannot carry holds its default. decode returns 0, ERR_CORRUPT (short or
 * malformed), or ERR_TOO_LARGE (arena budget used up). It does not complain of bytes after the message. */
#ifndef OTTLA_PROTOCOL_CODEC_H
#define OTTLA_PROTOCOL_CODEC_H

#include "broker/base/arena.h"
#include "broker/base/bytes.h"
#include "broker/protocol/records.h"

#define CODEC_UNKNOWN_TAGS_MAX 64

/* Writes a body; regions become splices. The caller gives room for encoded_size() bytes and for as many splices as
 * the message has file-backed records. */
struct encoder {
    struct writer w;
    struct splice *splices;
    int32_t splice_count;
    int32_t splice_capacity;
};

#endif
