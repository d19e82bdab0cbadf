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
 * CHECKs that a non-ignorable field a version cannot carry holds its default, and that nothing is null that the
 * version cannot carry as null. decode returns 0, ERR_CORRUPT (short or malformed), or ERR_TOO_LARGE (arena budget
 * used up); after an error the message must not be used. It does not complain of bytes after the message. Versions
 * must lie in the message's range (X_VERSION_MIN to X_VERSION_MAX); the caller has checked.
 *
 * A string beyond 32767 bytes cannot travel: encode then leaves e->w.failed set, as it does when the room runs out.
 * Whoever sends tests that flag. */
#ifndef OTTLA_PROTOCOL_CODEC_H
#define OTTLA_PROTOCOL_CODEC_H

#include "broker/base/arena.h"
#include "broker/base/bytes.h"
#include "broker/protocol/records.h"

/* Nobody sends more than a handful; without a bound a tag buffer is millions of two-byte tags (CVE-2026-111115). */
#define CODEC_UNKNOWN_TAGS_MAX 64
/* The protocol's own limit for text, classic and compact. */
#define CODEC_STRING_MAX 32767

/* Writes a body; regions become splices. The caller gives room for encoded_size() bytes and for as many splices as the
 * message has file-backed records; where either does not suffice, w.failed tells. With `is_counting` nothing is
 * written: `counted`, `splice_count` and `splice_bytes` then tell what writing would take (encoder_counting below).
 * With `counts_on` it writes as long as there is room for both, and where there is none it begins to count, as if it
 * had from the start: one walk is enough for what fits, and two for what does not. */
struct encoder {
    struct writer w;
    struct splice *splices;
    int32_t splice_count;
    int32_t splice_capacity;
    int64_t splice_bytes; /* sum of the regions noted: the frame is this much longer than what w holds */
    size_t counted;
    bool is_counting;
    bool counts_on;
    bool is_flexible; /* of the message being written; set by its _encode */
    int16_t version;  /* likewise */
    /* Where error codes that are written are counted, [code + 1]; NULL: nowhere. */
    int64_t *error_counts;
};

/* One more than the codes there are; what lies outside is counted as UNKNOWN_SERVER_ERROR, -1. */
#define ERROR_COUNTS 129

/* An encoder that only measures: X_encode(message, version, &e), then read e.counted, e.splice_count, e.splice_bytes.
 */
static inline struct encoder encoder_counting(void) {
    return (struct encoder){.is_counting = true};
}
/* An encoder into `room`, for a message without file-backed records. */
static inline struct encoder encoder_of(void *room, size_t size) {
    return (struct encoder){.w = writer_of(room, size)};
}

/* ---- What follows is called by generated code and by header.c. ---- */

struct decoder {
    struct reader *r;
    struct arena *arena;
    int16_t version;
    bool is_flexible;
    bool is_over_budget;
};

/* One walk over a tag buffer. */
struct tag_walk {
    uint32_t left;        /* tags not yet seen */
    uint32_t unknown;     /* tags skipped so far */
    uint32_t tag;         /* the current one */
    const uint8_t *after; /* where its bytes end */
    const uint8_t *end;   /* the reader's own end, restored after each tag */
};

static inline struct decoder decoder_of(struct reader *r, int16_t version, bool is_flexible, struct arena *arena) {
    return (struct decoder){.r = r, .arena = arena, .version = version, .is_flexible = is_flexible};
}
/* 0, ERR_CORRUPT or ERR_TOO_LARGE. */
int decoder_result(const struct decoder *d);

static inline bool decode_bool(struct decoder *d) {
    return reader_i8(d->r) != 0;
}
static inline int8_t decode_i8(struct decoder *d) {
    return reader_i8(d->r);
}
static inline int16_t decode_i16(struct decoder *d) {
    return reader_i16(d->r);
}
static inline int32_t decode_i32(struct decoder *d) {
    return reader_i32(d->r);
}
static inline int64_t decode_i64(struct decoder *d) {
    return reader_i64(d->r);
}
double decode_f64(struct decoder *d);
struct uuid decode_uuid(struct decoder *d);
struct str decode_str(struct decoder *d, bool is_nullable);
/* With the classic length even in a flexible version (client id of the request header). */
struct str decode_classic_str(struct decoder *d, bool is_nullable);
struct slice decode_bytes(struct decoder *d, bool is_nullable);
struct records decode_records(struct decoder *d, bool is_nullable);
/* The byte before a nullable struct: true when the struct follows. */
bool decode_presence(struct decoder *d, bool is_nullable);
/* In a tagged field the mark is an unsigned varint, 0 for null; where the struct follows both are one byte, 1. */
bool decode_tagged_presence(struct decoder *d, bool is_nullable);
/* Memory for a nullable struct; NULL with the error set when the budget is used up. */
void *decode_allocate(struct decoder *d, size_t size);
/* Reads a count and gives zeroed memory for so many elements: NULL for none, for null (count -1) and after an error
 * (count 0). A count that cannot fit into the bytes left, at `size_min` wire bytes each, allocates nothing. */
void *decode_list(struct decoder *d, bool is_nullable, size_t size_min, size_t element_size, int32_t *ret_count);

struct tag_walk decode_tags_begin(struct decoder *d);
/* Steps to the next tag and narrows the reader to its bytes; false at the end or after an error. */
bool decode_tags_next(struct decoder *d, struct tag_walk *walk);
/* Ends the current tag, read by the caller; bytes left over in it are an error. */
void decode_tag_end(struct decoder *d, struct tag_walk *walk);
/* Ends the current tag, which nobody knows. */
void decode_tag_unknown(struct decoder *d, struct tag_walk *walk);
/* A tag buffer of which no tag is known. */
void decode_tags_skip(struct decoder *d);

/* What becomes of bytes for which there is no room: they are counted, or an error. */
void encode_beyond(struct encoder *e, size_t size);

/* Where there is nothing to write to, NULL: while counting there is no room at all. */
static inline uint8_t *encode_take(struct encoder *e, size_t size) {
    uint8_t *to = writer_take(&e->w, size);
    if (__builtin_expect(to == NULL, 0)) {
        encode_beyond(e, size);
    }
    return to;
}
static inline void encode_i8(struct encoder *e, int8_t v) {
    uint8_t *to = encode_take(e, 1);
    if (to != NULL) {
        *to = (uint8_t)v;
    }
}
static inline void encode_bool(struct encoder *e, bool v) {
    encode_i8(e, v ? 1 : 0);
}
static inline void encode_i16(struct encoder *e, int16_t v) {
    uint8_t *to = encode_take(e, 2);
    if (to != NULL) {
        store_i16(to, v);
    }
}
/* Fields named error_code. */
static inline void encode_error_code(struct encoder *e, int16_t v) {
    if (e->error_counts != NULL) {
        e->error_counts[v >= 0 && v < ERROR_COUNTS - 1 ? v + 1 : 0]++;
    }
    encode_i16(e, v);
}
static inline void encode_i32(struct encoder *e, int32_t v) {
    uint8_t *to = encode_take(e, 4);
    if (to != NULL) {
        store_i32(to, v);
    }
}
static inline void encode_i64(struct encoder *e, int64_t v) {
    uint8_t *to = encode_take(e, 8);
    if (to != NULL) {
        store_i64(to, v);
    }
}
void encode_f64(struct encoder *e, double v);
void encode_long_uvarint(struct encoder *e, uint32_t v);
static inline void encode_uvarint(struct encoder *e, uint32_t v) {
    if (v < 0x80U) {
        encode_i8(e, (int8_t)v);
    } else {
        encode_long_uvarint(e, v);
    }
}
void encode_uuid(struct encoder *e, struct uuid v);
void encode_str(struct encoder *e, struct str v, bool is_nullable);
void encode_classic_str(struct encoder *e, struct str v, bool is_nullable);
void encode_bytes(struct encoder *e, struct slice v, bool is_nullable);
void encode_records(struct encoder *e, const struct records *v, bool is_nullable);
void encode_presence(struct encoder *e, bool is_present, bool is_nullable);
/* The count of a list; -1 is null. */
void encode_count(struct encoder *e, int32_t count, bool is_nullable);
/* One tagged field: its number, its size, its bytes. `payload` writes the bytes and runs twice. */
void encode_tag(struct encoder *e, uint32_t tag, void (*payload)(struct encoder *e, const void *message),
                const void *message);

#endif
