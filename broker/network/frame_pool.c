/* Free lists by power of two, bounded by their sum. */
#include "broker/network/frame_pool.h"

#include <stdlib.h>

#include "broker/base/check.h"

struct frame_buffer *frame_buffer_take(struct frame_pool *pool, size_t size) {
    int32_t size_class = 0;
    while (FRAME_POOL_SIZE_MIN << size_class < size) {
        size_class++;
    }
    CHECK(size_class < FRAME_POOL_CLASSES);
    struct frame_buffer *buffer = pool->free[size_class];
    if (buffer != NULL) {
        pool->free[size_class] = buffer->next_free;
        pool->kept_bytes -= buffer->capacity;
    } else {
        size_t capacity = FRAME_POOL_SIZE_MIN << size_class;
        buffer = xmalloc(sizeof *buffer + capacity);
        buffer->pool = pool;
        buffer->size_class = size_class;
        buffer->capacity = capacity;
    }
    buffer->next_free = NULL;
    buffer->references = 1;
    buffer->filled = 0;
    buffer->charged = 0;
    return buffer;
}

void frame_buffer_charge(struct frame_buffer *buffer, size_t size) {
    if (size > buffer->charged) {
        buffer->pool->charged_bytes += (int64_t)(size - buffer->charged);
        buffer->charged = size;
    }
}

struct frame_buffer *frame_buffer_ref(struct frame_buffer *buffer) {
    buffer->references++;
    return buffer;
}

struct frame_buffer *frame_buffer_unref(struct frame_buffer *buffer) {
    if (buffer == NULL || --buffer->references > 0) {
        return NULL;
    }
    struct frame_pool *pool = buffer->pool;
    pool->charged_bytes -= (int64_t)buffer->charged;
    if (buffer->capacity > FRAME_POOL_KEEP_ONE_MAX_BYTES ||
        pool->kept_bytes + buffer->capacity > FRAME_POOL_KEEP_MAX_BYTES) {
        free(buffer);
        return NULL;
    }
    buffer->next_free = pool->free[buffer->size_class];
    pool->free[buffer->size_class] = buffer;
    pool->kept_bytes += buffer->capacity;
    return NULL;
}

void frame_pool_deinit(struct frame_pool *pool) {
    for (int32_t i = 0; i < FRAME_POOL_CLASSES; i++) {
        while (pool->free[i] != NULL) {
            struct frame_buffer *buffer = pool->free[i];
            pool->free[i] = buffer->next_free;
            free(buffer);
        }
    }
}
