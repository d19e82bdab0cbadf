/* Memory given back is kept for the next taker, in sizes that are powers of two, so that what comes and goes with every
 * request is not allocated with every request. Bounded; what does not fit goes back to the system. One thread. */
#ifndef OTTLA_BASE_POOL_H
#define OTTLA_BASE_POOL_H

#include <stddef.h>

#define POOL_SIZE_MIN ((size_t)64)
#define POOL_CLASSES 15 /* 64 bytes to 1 MiB; larger ones are never kept */

struct pool_block;

struct pool {
    struct pool_block *free[POOL_CLASSES];
    size_t kept_bytes;
    size_t kept_bytes_max;
};

void pool_init(struct pool *pool, size_t kept_bytes_max);
/* Frees what is kept; blocks that are out are their owners', and go back with free(). */
void pool_deinit(struct pool *pool);
/* Zeroed; never NULL. */
void *pool_take(struct pool *pool, size_t size);
/* With the size it was taken with. NULL is accepted. */
void pool_give(struct pool *pool, void *memory, size_t size);

#endif
