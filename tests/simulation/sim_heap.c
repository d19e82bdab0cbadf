/* See sim_heap.h. Which process allocates is the one global of the simulator: malloc takes no context. */
#include "tests/simulation/sim_heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"

#undef xmalloc
#undef xcalloc
#undef xrealloc
#undef xstrdup

static void *current;

void *sim_heap_enter(void *owner) {
    void *before = current;
    current = owner;
    return before;
}

void *sim_heap_owner(void) {
    return current;
}

void *outside_malloc(size_t size) {
    void *owner = sim_heap_enter(NULL);
    void *made = xmalloc(size);
    sim_heap_enter(owner);
    return made;
}

void *outside_calloc(size_t count, size_t size) {
    void *owner = sim_heap_enter(NULL);
    void *made = xcalloc(count, size);
    sim_heap_enter(owner);
    return made;
}

void *outside_realloc(void *pointer, size_t size) {
    void *owner = sim_heap_enter(NULL);
    void *made = xrealloc(pointer, size);
    sim_heap_enter(owner);
    return made;
}

char *outside_strdup(const char *text) {
    void *owner = sim_heap_enter(NULL);
    char *made = xstrdup(text);
    sim_heap_enter(owner);
    return made;
}

char *outside_asprintf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    char *made = outside_malloc((size_t)size + 1);
    vsnprintf(made, (size_t)size + 1, format, again);
    va_end(again);
    return made;
}
