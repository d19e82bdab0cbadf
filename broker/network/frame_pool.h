/* Memory for frames that come in: counted references, sizes in powers of two, kept for the next frame.
 *
 * Small frames of many connections share one read buffer; a frame that did not come in one piece gets a buffer of its
 * own. Either lives until the last request in it has been answered. */
#ifndef OTTLA_NETWORK_FRAME_POOL_H
#define OTTLA_NETWORK_FRAME_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Kept for reuse, all sizes together: enough for a burst of produce requests of a megabyte, and little beside the page
 * cache. A single buffer above the second bound goes back to the system at once. */
#define FRAME_POOL_KEEP_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define FRAME_POOL_KEEP_ONE_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define FRAME_POOL_SIZE_MIN ((size_t)4096)
#define FRAME_POOL_CLASSES 20 /* 4 KiB to 2 GiB */

struct frame_pool;

struct frame_buffer {
    struct frame_pool *pool;
    struct frame_buffer *next_free;
    int32_t references;
    int32_t size_class;
    size_t capacity;
    size_t filled; /* the owner's */
    size_t charged;
    uint8_t data[];
};

struct frame_pool {
    struct frame_buffer *free[FRAME_POOL_CLASSES];
    size_t kept_bytes;
    int64_t charged_bytes; /* of all buffers in use */
};

/* A buffer of at least `size` bytes with one reference. */
struct frame_buffer *frame_buffer_take(struct frame_pool *pool, size_t size);
struct frame_buffer *frame_buffer_ref(struct frame_buffer *buffer);
/* Counts the first `size` bytes of the buffer as used, until it is given back. A frame is charged as it arrives, not as
 * it is announced: memory that nobody has written to costs nothing. */
void frame_buffer_charge(struct frame_buffer *buffer, size_t size);
/* Returns NULL; NULL is accepted. */
struct frame_buffer *frame_buffer_unref(struct frame_buffer *buffer);
/* Every buffer has been given back. */
void frame_pool_deinit(struct frame_pool *pool);

#endif
