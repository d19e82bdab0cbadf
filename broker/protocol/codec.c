/* Primitive fields of the protocol. Every length is compared with the bytes left before anything is allocated. */
#include "broker/protocol/codec.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"

int decoder_result(const struct decoder *d) {
    if (d->is_over_budget) {
        return ERR_TOO_LARGE;
    }
    return d->r->failed ? ERR_CORRUPT : 0;
}

double decode_f64(struct decoder *d) {
    int64_t bits = reader_i64(d->r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct uuid decode_uuid(struct decoder *d) {
    struct uuid id = {{0}};
    const uint8_t *from = reader_take(d->r, sizeof id.bytes);
    if (from != NULL) {
        memcpy(id.bytes, from, sizeof id.bytes);
    }
    return id;
}

/* Turns a length into what the caller may trust: -1 for a null that is allowed, else at most the bytes left and at
 * most `size_max`. Anything else fails the reader and gives 0. */
static int32_t checked_size(struct decoder *d, int64_t size, bool is_nullable, int64_t size_max) {
    if (d->r->failed) {
        return 0;
    }
    if (size == -1 && is_nullable) {
        return -1;
    }
    if (size < 0 || size > size_max || (size_t)size > reader_left(d->r)) {
        reader_fail(d->r);
        return 0;
    }
    return (int32_t)size;
}

/* A compact length: one more than the length, 0 for null. */
static int64_t compact_size(struct decoder *d) {
    return (int64_t)reader_uvarint(d->r) - 1;
}

static struct str take_str(struct decoder *d, int64_t size, bool is_nullable) {
    int32_t checked = checked_size(d, size, is_nullable, CODEC_STRING_MAX);
    if (checked < 0) {
        return STR_NULL;
    }
    return (struct str){.data = (const char *)reader_take(d->r, (size_t)checked), .size = checked};
}

struct str decode_classic_str(struct decoder *d, bool is_nullable) {
    return take_str(d, reader_i16(d->r), is_nullable);
}

struct str decode_str(struct decoder *d, bool is_nullable) {
    return d->is_flexible ? take_str(d, compact_size(d), is_nullable) : decode_classic_str(d, is_nullable);
}

struct slice decode_bytes(struct decoder *d, bool is_nullable) {
    int64_t size = d->is_flexible ? compact_size(d) : reader_i32(d->r);
    int32_t checked = checked_size(d, size, is_nullable, INT32_MAX);
    if (checked < 0) {
        return SLICE_NULL;
    }
    return (struct slice){.data = reader_take(d->r, (size_t)checked), .size = checked};
}

struct records decode_records(struct decoder *d, bool is_nullable) {
    struct slice bytes = decode_bytes(d, is_nullable);
    return (struct records){.size = bytes.size, .data = bytes.data};
}

bool decode_presence(struct decoder *d, bool is_nullable) {
    if (!is_nullable) {
        return !d->r->failed;
    }
    int8_t mark = reader_i8(d->r);
    return !d->r->failed && mark >= 0;
}

bool decode_tagged_presence(struct decoder *d, bool is_nullable) {
    uint32_t mark = is_nullable ? reader_uvarint(d->r) : 1;
    return !d->r->failed && mark != 0;
}

void *decode_allocate(struct decoder *d, size_t size) {
    void *memory = arena_try_alloc(d->arena, size);
    if (memory == NULL) {
        d->is_over_budget = true;
        reader_fail(d->r);
    }
    return memory;
}

void *decode_list(struct decoder *d, bool is_nullable, size_t size_min, size_t element_size, int32_t *ret_count) {
    CHECK(size_min > 0);
    int64_t count = d->is_flexible ? compact_size(d) : reader_i32(d->r);
    int32_t checked = checked_size(d, count, is_nullable, INT32_MAX);
    *ret_count = checked;
    if (checked <= 0) {
        return NULL;
    }
    if ((size_t)checked > reader_left(d->r) / size_min) {
        reader_fail(d->r);
        *ret_count = 0;
        return NULL;
    }
    void *elements = decode_allocate(d, (size_t)checked * element_size);
    if (elements == NULL) {
        *ret_count = 0;
    }
    return elements;
}

struct tag_walk decode_tags_begin(struct decoder *d) {
    struct tag_walk walk = {.left = reader_uvarint(d->r), .end = d->r->end};
    /* A tag takes two bytes at least, its number and its size. */
    if (walk.left > reader_left(d->r) / 2) {
        reader_fail(d->r);
        walk.left = 0;
    }
    return walk;
}

bool decode_tags_next(struct decoder *d, struct tag_walk *walk) {
    if (d->r->failed || walk->left == 0) {
        return false;
    }
    walk->left--;
    walk->tag = reader_uvarint(d->r);
    uint32_t size = reader_uvarint(d->r);
    if (d->r->failed || size > reader_left(d->r)) {
        reader_fail(d->r);
        return false;
    }
    walk->after = d->r->at + size;
    d->r->end = walk->after;
    return true;
}

void decode_tag_end(struct decoder *d, struct tag_walk *walk) {
    if (d->r->at != walk->after) {
        reader_fail(d->r);
    }
    d->r->end = walk->end;
}

void decode_tag_unknown(struct decoder *d, struct tag_walk *walk) {
    walk->unknown++;
    if (walk->unknown > CODEC_UNKNOWN_TAGS_MAX) {
        reader_fail(d->r);
    } else {
        d->r->at = walk->after;
    }
    d->r->end = walk->end;
}

void decode_tags_skip(struct decoder *d) {
    struct tag_walk walk = decode_tags_begin(d);
    while (decode_tags_next(d, &walk)) {
        decode_tag_unknown(d, &walk);
    }
}

/* What was written so far counts, too, and no smaller field may be written behind one that was not. */
static void begin_to_count(struct encoder *e) {
    e->is_counting = true;
    e->counted = writer_size(&e->w);
    e->w.failed = true;
}

void encode_beyond(struct encoder *e, size_t size) {
    if (!e->is_counting && e->counts_on) {
        begin_to_count(e);
    }
    e->counted += size; /* nobody looks where it is an error */
}

void encode_f64(struct encoder *e, double v) {
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    encode_i64(e, bits);
}

void encode_long_uvarint(struct encoder *e, uint32_t v) {
    size_t size = uvarint_size(v);
    uint8_t *to = encode_take(e, size);
    if (to != NULL) {
        struct writer w = writer_of(to, size);
        writer_uvarint(&w, v);
    }
}

static void encode_raw(struct encoder *e, const void *data, size_t size) {
    uint8_t *to = encode_take(e, size);
    if (to != NULL && size > 0) {
        memcpy(to, data, size);
    }
}

void encode_uuid(struct encoder *e, struct uuid v) {
    encode_raw(e, v.bytes, sizeof v.bytes);
}

static bool is_carried_str(struct encoder *e, struct str v, bool is_nullable) {
    CHECK(is_nullable || v.size >= 0);
    if (v.size > CODEC_STRING_MAX) {
        e->w.failed = true;
        return false;
    }
    return true;
}

void encode_classic_str(struct encoder *e, struct str v, bool is_nullable) {
    if (is_carried_str(e, v, is_nullable)) {
        encode_i16(e, (int16_t)v.size);
        encode_raw(e, v.data, v.size > 0 ? (size_t)v.size : 0);
    }
}

void encode_str(struct encoder *e, struct str v, bool is_nullable) {
    if (!e->is_flexible) {
        encode_classic_str(e, v, is_nullable);
    } else if (is_carried_str(e, v, is_nullable)) {
        encode_uvarint(e, (uint32_t)v.size + 1);
        encode_raw(e, v.data, v.size > 0 ? (size_t)v.size : 0);
    }
}

void encode_count(struct encoder *e, int32_t count, bool is_nullable) {
    CHECK(count >= (is_nullable ? -1 : 0));
    if (e->is_flexible) {
        encode_uvarint(e, (uint32_t)count + 1);
    } else {
        encode_i32(e, count);
    }
}

void encode_bytes(struct encoder *e, struct slice v, bool is_nullable) {
    encode_count(e, v.size, is_nullable);
    encode_raw(e, v.data, v.size > 0 ? (size_t)v.size : 0);
}

void encode_records(struct encoder *e, const struct records *v, bool is_nullable) {
    encode_count(e, v->size, is_nullable);
    if (v->file == NULL) {
        encode_raw(e, v->data, v->size > 0 ? (size_t)v->size : 0);
        return;
    }
    /* An empty region is noted as well: the splice carries the reference to the file on to whoever gives it back. */
    CHECK(v->size >= 0);
    if (!e->is_counting && e->splice_count == e->splice_capacity) {
        if (!e->counts_on) {
            e->w.failed = true;
            return;
        }
        begin_to_count(e);
    }
    if (!e->is_counting) {
        e->splices[e->splice_count] = (struct splice){.at = (int32_t)writer_size(&e->w), .records = *v};
    }
    e->splice_count++;
    e->splice_bytes += v->size;
}

void encode_presence(struct encoder *e, bool is_present, bool is_nullable) {
    CHECK(is_present || is_nullable);
    if (is_nullable) {
        encode_i8(e, is_present ? 1 : -1);
    }
}

void encode_tag(struct encoder *e, uint32_t tag, void (*payload)(struct encoder *e, const void *message),
                const void *message) {
    struct encoder counting = {.is_counting = true, .is_flexible = true, .version = e->version};
    payload(&counting, message);
    encode_uvarint(e, tag);
    encode_uvarint(e, (uint32_t)counting.counted);
    payload(e, message);
}
