/* What the message targets share: a message that decodes must stay within its budget, and survive the way out and in
 * again unchanged. */
#ifndef OTTLA_TESTS_FUZZ_MESSAGE_H
#define OTTLA_TESTS_FUZZ_MESSAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/message_types.h"

/* A decoded request may cost four times its wire size, and a little for the smallest. */
#define FUZZ_BUDGET(size) (4 * (size) + 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline uint8_t *fuzz_encode(const struct message_type *type, int16_t version, const void *message,
                                   size_t *ret_size) {
    size_t size = type->encoded_size(message, version);
    uint8_t *bytes = xmalloc(size + 1);
    struct encoder e = encoder_of(bytes, size);
    type->encode(message, version, &e);
    CHECK(!e.w.failed);
    CHECK(writer_size(&e.w) == size);
    *ret_size = size;
    return bytes;
}

/* Decodes the body in `r`; what decodes is encoded, decoded and encoded once more: the two encodings are equal. (The
 * input itself may differ: longer varints than needed, unknown tags.) */
static inline void fuzz_message(const struct message_type *type, int16_t version, struct reader *r) {
    struct arena arena;
    size_t budget = FUZZ_BUDGET(reader_left(r));
    arena_init(&arena, budget);
    void *message = xcalloc(1, type->size);
    int error = type->decode(r, version, &arena, message);
    CHECK(arena.used <= budget);
    CHECK(error == 0 || error == ERR_CORRUPT || error == ERR_TOO_LARGE);
    if (error == 0) {
        size_t first_size;
        size_t second_size;
        uint8_t *first = fuzz_encode(type, version, message, &first_size);
        struct arena other;
        arena_init(&other, SIZE_MAX);
        struct reader again = reader_of(first, first_size);
        CHECK(type->decode(&again, version, &other, message) == 0);
        CHECK(reader_left(&again) == 0);
        uint8_t *second = fuzz_encode(type, version, message, &second_size);
        CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
        free(first);
        free(second);
        arena_deinit(&other);
    }
    free(message);
    arena_deinit(&arena);
}

#endif
