/* What the linker's --wrap redirects. Allocation: every live block of a process is kept in one hash table. Locks:
 * whoever holds one may stand still beside the loop (sim_workers.h), and has to get on before it can be had. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/simulation/sim_clock.h"
#include "tests/simulation/sim_heap.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void __real_free(void *pointer);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void __wrap_free(void *pointer);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

struct block {
    void *pointer;
    void *owner;
};

/* Open addressing; capacity is a power of two, at most half full. */
static struct block *table;
static size_t capacity;
static size_t count;

static size_t slot_of(const void *pointer) {
    return (size_t)(((uintptr_t)pointer >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (capacity - 1);
}

static void insert(void *pointer, void *owner) {
    size_t at = slot_of(pointer);
    while (table[at].pointer != NULL) {
        at = (at + 1) & (capacity - 1);
    }
    table[at] = (struct block){pointer, owner};
}

static void *track(void *pointer, void *owner) {
    if (owner == NULL || pointer == NULL) {
        return pointer;
    }
    if (2 * (count + 1) > capacity) {
        struct block *old = table;
        size_t old_capacity = capacity;
        capacity = capacity == 0 ? 65536 : 2 * capacity;
        table = __real_calloc(capacity, sizeof *table);
        CHECK(table != NULL);
        for (size_t i = 0; i < old_capacity; i++) {
            if (old[i].pointer != NULL) {
                insert(old[i].pointer, old[i].owner);
            }
        }
        __real_free(old);
    }
    insert(pointer, owner);
    count++;
    return pointer;
}

/* Takes the block out and closes the gap it leaves; returns its owner, NULL when it has none. */
static void *forget(const void *pointer) {
    if (capacity == 0) {
        return NULL;
    }
    size_t at = slot_of(pointer);
    while (table[at].pointer != pointer) {
        if (table[at].pointer == NULL) {
            return NULL;
        }
        at = (at + 1) & (capacity - 1);
    }
    void *owner = table[at].owner;
    size_t next = at;
    for (;;) {
        next = (next + 1) & (capacity - 1);
        if (table[next].pointer == NULL) {
            break;
        }
        size_t home = slot_of(table[next].pointer);
        if (((next - home) & (capacity - 1)) >= ((next - at) & (capacity - 1))) {
            table[at] = table[next];
            at = next;
        }
    }
    table[at] = (struct block){NULL, NULL};
    count--;
    return owner;
}

void *__wrap_malloc(size_t size) {
    return track(__real_malloc(size), sim_heap_owner());
}

void *__wrap_calloc(size_t number, size_t size) {
    return track(__real_calloc(number, size), sim_heap_owner());
}

/* Grown memory stays with its owner. */
void *__wrap_realloc(void *pointer, size_t size) {
    void *owner = pointer == NULL ? sim_heap_owner() : forget(pointer);
    return track(__real_realloc(pointer, size), owner);
}

void __wrap_free(void *pointer) {
    if (pointer != NULL) {
        forget(pointer);
        __real_free(pointer);
    }
}

char *__wrap_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

char *__wrap_strndup(const char *text, size_t size) {
    size_t length = strnlen(text, size);
    char *copy = __wrap_malloc(length + 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) {
    while (pthread_mutex_trylock(mutex) != 0) {
        sim_wait();
    }
    return 0;
}

void sim_heap_release(void *owner) {
    void **found = __real_malloc(sizeof(void *) * (count + 1));
    size_t found_count = 0;
    CHECK(found != NULL);
    for (size_t i = 0; i < capacity; i++) {
        if (table[i].owner == owner) {
            found[found_count++] = table[i].pointer;
        }
    }
    for (size_t i = 0; i < found_count; i++) {
        forget(found[i]);
        __real_free(found[i]);
    }
    __real_free(found);
}
