/* Memory of one request: allocated in one direction, given back all at once.
 *
 * An arena keeps its blocks across arena_reset(), so a connection in steady state allocates nothing. The budget bounds
 * what one request may take (DESIGN: a decoded request costs at most four times its wire size). */
#ifndef OTTLA_BASE_ARENA_H
#define OTTLA_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *first;
    struct arena_block *current;
    uint8_t *at; /* what is free of the current block, a multiple of 16 bytes */
    uint8_t *end;
    size_t used;   /* bytes handed out since the last reset */
    size_t budget; /* bytes that may be handed out; SIZE_MAX for no bound */
};

void arena_init(struct arena *arena, size_t budget);
void arena_deinit(struct arena *arena);
/* Forgets every allocation, keeps up to ARENA_KEEP_MAX bytes of blocks, sets the budget. */
void arena_reset(struct arena *arena, size_t budget);
/* Zeroed, 16-byte aligned memory; NULL when the budget is used up. */
static inline void *arena_try_alloc(struct arena *arena, size_t size);
/* As above for our own code, whose need is bounded by construction: a used-up budget is a CHECK. */
static inline void *arena_alloc(struct arena *arena, size_t size);
/* For who does not know beforehand how much it needs: it writes into the room there is, and takes what it wrote to.
 * Neither zeroed nor more than happens to be left of a block, perhaps nothing. */
static inline size_t arena_room(const struct arena *arena, uint8_t **ret_room);
static inline void arena_take_room(struct arena *arena, size_t size);
/* Copies; the NUL after the text is not counted in size. */
struct str arena_str(struct arena *arena, struct str text);
struct str arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where the current block has too little left, or the budget. */
void *arena_alloc_slow(struct arena *arena, size_t size);

static inline size_t arena_rounded(size_t size) {
    return (size + 15) & ~(size_t)15;
}

static inline void *arena_try_alloc(struct arena *arena, size_t size) {
    /* Less than what is left is no more than that when it is rounded, and never overflows. */
    if (size >= (size_t)(arena->end - arena->at) || arena_rounded(size) > arena->budget - arena->used) {
        return arena_alloc_slow(arena, size);
    }
    void *result = arena->at;
    arena->at += arena_rounded(size);
    arena->used += arena_rounded(size);
    return memset(result, 0, size);
}

static inline void *arena_alloc(struct arena *arena, size_t size) {
    void *result = arena_try_alloc(arena, size);
    CHECK(result != NULL);
    return result;
}

static inline size_t arena_room(const struct arena *arena, uint8_t **ret_room) {
    *ret_room = arena->at;
    return MIN((size_t)(arena->end - arena->at), (arena->budget - arena->used) & ~(size_t)15);
}

static inline void arena_take_room(struct arena *arena, size_t size) {
    uint8_t *room;
    CHECK(size <= arena_room(arena, &room));
    if (size > 0) {
        arena->at += arena_rounded(size);
        arena->used += arena_rounded(size);
    }
}

#define ARENA_KEEP_MAX ((size_t)256 * 1024)
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

#endif
