/* Bump allocation over a chain of blocks. */
#include "broker/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"

#define ARENA_BLOCK_SIZE ((size_t)16 * 1024 - sizeof(struct arena_block))

struct arena_block {
    struct arena_block *next;
    size_t size; /* a multiple of 16 */
    alignas(16) uint8_t data[];
};

static void enter(struct arena *arena, struct arena_block *block) {
    arena->current = block;
    arena->at = block != NULL ? block->data : NULL;
    arena->end = block != NULL ? block->data + block->size : NULL;
}

void arena_init(struct arena *arena, size_t budget) {
    *arena = (struct arena){.budget = budget};
}

static void free_blocks(struct arena_block *block) {
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_deinit(struct arena *arena) {
    free_blocks(arena->first);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena, size_t budget) {
    size_t kept = 0;
    struct arena_block **link = &arena->first;
    while (*link != NULL) {
        kept += (*link)->size;
        if (kept > ARENA_KEEP_MAX) {
            free_blocks(*link);
            *link = NULL;
            break;
        }
        link = &(*link)->next;
    }
    enter(arena, arena->first);
    arena->used = 0;
    arena->budget = budget;
}

static void add_block(struct arena *arena, size_t size) {
    size_t capacity = MAX(size, ARENA_BLOCK_SIZE);
    struct arena_block *block = xmalloc(sizeof *block + capacity);
    block->size = capacity;
    block->next = NULL;
    if (arena->current == NULL) {
        block->next = arena->first;
        arena->first = block;
    } else {
        block->next = arena->current->next;
        arena->current->next = block;
    }
    enter(arena, block);
}

void *arena_alloc_slow(struct arena *arena, size_t size) {
    if (size > SIZE_MAX - 15) {
        return NULL;
    }
    size = arena_rounded(size);
    if (size > arena->budget - arena->used) {
        return NULL;
    }
    while (arena->current != NULL && (size_t)(arena->end - arena->at) < size && arena->current->next != NULL) {
        enter(arena, arena->current->next);
    }
    if (arena->current == NULL || (size_t)(arena->end - arena->at) < size) {
        add_block(arena, size);
    }
    void *result = arena->at;
    arena->at += size;
    arena->used += size;
    memset(result, 0, size);
    return result;
}

struct str arena_str(struct arena *arena, struct str text) {
    if (text.size < 0) {
        return STR_NULL;
    }
    char *copy = arena_alloc(arena, (size_t)text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, (size_t)text.size);
    }
    return (struct str){copy, text.size};
}

struct str arena_printf(struct arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    char *text = arena_alloc(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return (struct str){text, size};
}
