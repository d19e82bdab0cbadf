/* Free lists by size class. */
#include "broker/base/pool.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"

/* The address sanitizer sees a use after free only when memory is freed. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_NOTHING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_NOTHING 1
#endif
#endif
#ifndef KEEPS_NOTHING
#define KEEPS_NOTHING 0
#endif

struct pool_block {
    struct pool_block *next;
};

/* POOL_CLASSES when the size is above all of them. */
static size_t class_of(size_t size, size_t *ret_class_size) {
    size_t class = 0;
    size_t class_size = POOL_SIZE_MIN;
    while (class < POOL_CLASSES && class_size < size) {
        class ++;
        class_size *= 2;
    }
    *ret_class_size = class_size;
    return class;
}

void pool_init(struct pool *pool, size_t kept_bytes_max) {
    *pool = (struct pool){.kept_bytes_max = KEEPS_NOTHING ? 0 : kept_bytes_max};
}

void pool_deinit(struct pool *pool) {
    for (size_t i = 0; i < POOL_CLASSES; i++) {
        while (pool->free[i] != NULL) {
            struct pool_block *block = pool->free[i];
            pool->free[i] = block->next;
            free(block);
        }
    }
    pool->kept_bytes = 0;
}

void *pool_take(struct pool *pool, size_t size) {
    size_t class_size;
    size_t class = class_of(size, &class_size);
    if (class == POOL_CLASSES) {
        return xcalloc(1, size);
    }
    struct pool_block *block = pool->free[class];
    if (block == NULL) {
        return xcalloc(1, class_size);
    }
    pool->free[class] = block->next;
    pool->kept_bytes -= class_size;
    return memset(block, 0, size);
}

void pool_give(struct pool *pool, void *memory, size_t size) {
    size_t class_size;
    size_t class = class_of(size, &class_size);
    if (memory == NULL || class == POOL_CLASSES || pool->kept_bytes + class_size > pool->kept_bytes_max) {
        free(memory);
        return;
    }
    struct pool_block *block = memory;
    block->next = pool->free[class];
    pool->free[class] = block;
    pool->kept_bytes += class_size;
}
