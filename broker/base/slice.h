/* Views: a place in somebody else's memory. Whoever hands out a view says how long it lives.
 *
 * A size of -1 is null (Kafka tells null from empty); data is then NULL. Text is not NUL-terminated. */
#ifndef OTTLA_BASE_SLICE_H
#define OTTLA_BASE_SLICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    int32_t size;
};

struct str {
    const char *data;
    int32_t size;
};

struct uuid {
    uint8_t bytes[16];
};

#define STR_NULL ((struct str){NULL, -1})
#define SLICE_NULL ((struct slice){NULL, -1})
#define STR_LITERAL(text) ((struct str){(text), (int32_t)sizeof(text) - 1})
/* For printf: "%.*s", STR_ARGS(name). */
#define STR_ARGS(s) ((s).size > 0 ? (s).size : 0), ((s).data != NULL ? (s).data : "")

static inline struct str str_from(const char *text) {
    return text == NULL ? STR_NULL : (struct str){text, (int32_t)strlen(text)};
}

static inline bool str_is_null(struct str s) {
    return s.size < 0;
}

static inline bool str_equal(struct str a, struct str b) {
    return a.size == b.size && (a.size <= 0 || memcmp(a.data, b.data, (size_t)a.size) == 0);
}

static inline bool str_equal_text(struct str a, const char *text) {
    return str_equal(a, str_from(text));
}

/* Bytewise order; null first. */
static inline int str_compare(struct str a, struct str b) {
    int32_t shared = a.size < b.size ? a.size : b.size;
    int order = shared > 0 ? memcmp(a.data, b.data, (size_t)shared) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static inline bool uuid_equal(struct uuid a, struct uuid b) {
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

static inline bool uuid_is_zero(struct uuid a) {
    static const struct uuid zero;
    return uuid_equal(a, zero);
}

/* URL-safe base64 without padding, 22 characters and NUL: Kafka's text form of ids. */
#define UUID_TEXT_SIZE 23
void uuid_format(struct uuid id, char ret_text[UUID_TEXT_SIZE]);
/* Parses that form. Returns 0 or ERR_INVALID. */
int uuid_parse(struct str text, struct uuid *ret_id);

#endif
