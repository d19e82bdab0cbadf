/* Memory of one request: allocated in one direction, given back all at once.
 *
 * An arena keeps its blocks across arena_reset(), so a connection in steady state allocates nothing. The budget bounds
 * what one request may take (DESIGN: a decoded request costs at most four times its wire size). */
#ifndef OTTLA_BASE_ARENA_H
#define OTTLA_BASE_ARENA_H

#include <stddef.h>

#include "broker/base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *first;
    struct arena_block *current;
    size_t used;   /* bytes handed out since the last reset */
    size_t budget; /* bytes that may be handed out; SIZE_MAX for no bound */
};

void arena_init(struct arena *arena, size_t budget);
void arena_deinit(struct arena *arena);
/* Forgets every allocation, keeps up to ARENA_KEEP_MAX bytes of blocks, sets the budget. */
void arena_reset(struct arena *arena, size_t budget);
/* Zeroed, 16-byte aligned memory; NULL when the budget is used up. */
void *arena_try_alloc(struct arena *arena, size_t size);
/* As above for our own code, whose need is bounded by construction: a used-up budget is a CHECK. */
void *arena_alloc(struct arena *arena, size_t size);
/* Copies; the NUL after the text is not counted in size. */
struct str arena_str(struct arena *arena, struct str text);
struct str arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_KEEP_MAX ((size_t)256 * 1024)
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

#endif
