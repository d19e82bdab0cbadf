/* Bounded reading and writing of big-endian bytes, the only place that shifts them.
 *
 * Both carry a sticky error: after the first short read or write every further call is a no-op that yields zeros, and
 * the caller tests `failed` once at the end. */
#ifndef OTTLA_BASE_BYTES_H
#define OTTLA_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/base/slice.h"

static inline uint16_t load_u16(const void *from) {
    uint16_t v;
    memcpy(&v, from, sizeof v);
    return __builtin_bswap16(v);
}
static inline uint32_t load_u32(const void *from) {
    uint32_t v;
    memcpy(&v, from, sizeof v);
    return __builtin_bswap32(v);
}
static inline uint64_t load_u64(const void *from) {
    uint64_t v;
    memcpy(&v, from, sizeof v);
    return __builtin_bswap64(v);
}
static inline int16_t load_i16(const void *from) {
    return (int16_t)load_u16(from);
}
static inline int32_t load_i32(const void *from) {
    return (int32_t)load_u32(from);
}
static inline int64_t load_i64(const void *from) {
    return (int64_t)load_u64(from);
}
static inline void store_u16(void *to, uint16_t v) {
    v = __builtin_bswap16(v);
    memcpy(to, &v, sizeof v);
}
static inline void store_u32(void *to, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(to, &v, sizeof v);
}
static inline void store_u64(void *to, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(to, &v, sizeof v);
}
static inline void store_i16(void *to, int16_t v) {
    store_u16(to, (uint16_t)v);
}
static inline void store_i32(void *to, int32_t v) {
    store_u32(to, (uint32_t)v);
}
static inline void store_i64(void *to, int64_t v) {
    store_u64(to, (uint64_t)v);
}

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(const void *data, size_t size) {
    return (struct reader){.at = data, .end = (const uint8_t *)data + size};
}
static inline size_t reader_left(const struct reader *r) {
    return (size_t)(r->end - r->at);
}
static inline void reader_fail(struct reader *r) {
    r->failed = true;
    r->at = r->end;
}
/* A view of the next `size` bytes, or NULL with the error set. */
static inline const uint8_t *reader_take(struct reader *r, size_t size) {
    if (r->failed || size > reader_left(r)) {
        reader_fail(r);
        return NULL;
    }
    const uint8_t *from = r->at;
    r->at += size;
    return from;
}
static inline int8_t reader_i8(struct reader *r) {
    const uint8_t *from = reader_take(r, 1);
    return from == NULL ? 0 : (int8_t)*from;
}
static inline int16_t reader_i16(struct reader *r) {
    const uint8_t *from = reader_take(r, 2);
    return from == NULL ? 0 : load_i16(from);
}
static inline uint16_t reader_u16(struct reader *r) {
    return (uint16_t)reader_i16(r);
}
static inline int32_t reader_i32(struct reader *r) {
    const uint8_t *from = reader_take(r, 4);
    return from == NULL ? 0 : load_i32(from);
}
static inline uint32_t reader_u32(struct reader *r) {
    return (uint32_t)reader_i32(r);
}
static inline int64_t reader_i64(struct reader *r) {
    const uint8_t *from = reader_take(r, 8);
    return from == NULL ? 0 : load_i64(from);
}
/* Unsigned LEB128 of at most five bytes; a longer or overflowing one is an error. */
static inline uint32_t reader_uvarint(struct reader *r) {
    uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        const uint8_t *from = reader_take(r, 1);
        if (from == NULL) {
            return 0;
        }
        if (shift == 28 && (*from & 0xf0U) != 0) {
            break;
        }
        value |= (uint32_t)(*from & 0x7fU) << shift;
        if ((*from & 0x80U) == 0) {
            return value;
        }
    }
    reader_fail(r);
    return 0;
}
static inline uint64_t reader_uvarlong(struct reader *r) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        const uint8_t *from = reader_take(r, 1);
        if (from == NULL) {
            return 0;
        }
        if (shift == 63 && (*from & 0xfeU) != 0) {
            break;
        }
        value |= (uint64_t)(*from & 0x7fU) << shift;
        if ((*from & 0x80U) == 0) {
            return value;
        }
    }
    reader_fail(r);
    return 0;
}
/* Zigzag, as in records. */
static inline int32_t reader_varint(struct reader *r) {
    uint32_t v = reader_uvarint(r);
    return (int32_t)(v >> 1 ^ (0U - (v & 1U)));
}
static inline int64_t reader_varlong(struct reader *r) {
    uint64_t v = reader_uvarlong(r);
    return (int64_t)(v >> 1 ^ (0U - (v & 1U)));
}

struct writer {
    uint8_t *begin;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct writer writer_of(void *data, size_t size) {
    return (struct writer){.begin = data, .at = data, .end = (uint8_t *)data + size};
}
static inline size_t writer_size(const struct writer *w) {
    return (size_t)(w->at - w->begin);
}
static inline uint8_t *writer_take(struct writer *w, size_t size) {
    if (w->failed || size > (size_t)(w->end - w->at)) {
        w->failed = true;
        return NULL;
    }
    uint8_t *to = w->at;
    w->at += size;
    return to;
}
static inline void writer_i8(struct writer *w, int8_t v) {
    uint8_t *to = writer_take(w, 1);
    if (to != NULL) {
        *to = (uint8_t)v;
    }
}
static inline void writer_i16(struct writer *w, int16_t v) {
    uint8_t *to = writer_take(w, 2);
    if (to != NULL) {
        store_i16(to, v);
    }
}
static inline void writer_i32(struct writer *w, int32_t v) {
    uint8_t *to = writer_take(w, 4);
    if (to != NULL) {
        store_i32(to, v);
    }
}
static inline void writer_i64(struct writer *w, int64_t v) {
    uint8_t *to = writer_take(w, 8);
    if (to != NULL) {
        store_i64(to, v);
    }
}
static inline void writer_bytes(struct writer *w, const void *data, size_t size) {
    uint8_t *to = writer_take(w, size);
    if (to != NULL && size > 0) {
        memcpy(to, data, size);
    }
}
static inline void writer_uvarlong(struct writer *w, uint64_t v) {
    while (v >= 0x80U) {
        writer_i8(w, (int8_t)(uint8_t)(v | 0x80U));
        v >>= 7;
    }
    writer_i8(w, (int8_t)(uint8_t)v);
}
static inline void writer_uvarint(struct writer *w, uint32_t v) {
    writer_uvarlong(w, v);
}
static inline void writer_varint(struct writer *w, int32_t v) {
    writer_uvarint(w, (uint32_t)v << 1 ^ (uint32_t)(v >> 31));
}
static inline void writer_varlong(struct writer *w, int64_t v) {
    writer_uvarlong(w, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}
static inline size_t uvarint_size(uint64_t v) {
    size_t size = 1;
    for (; v >= 0x80U; v >>= 7) {
        size++;
    }
    return size;
}
static inline size_t varint_size(int32_t v) {
    return uvarint_size((uint32_t)v << 1 ^ (uint32_t)(v >> 31));
}
static inline size_t varlong_size(int64_t v) {
    return uvarint_size((uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

#endif
