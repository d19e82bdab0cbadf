/* Whose memory is being allocated: a simulated process's, or the simulator's own.
 *
 * A crash takes a process's memory with it, at any moment and without a destructor: the simulator notes which process
 * allocated what (sim_wrap.c, by the linker's --wrap) and frees it all at once. While an event of a process runs, that
 * process owns what is allocated; sources of the simulator are compiled with outside.h and so stay out of it. */
#ifndef OTTLA_SIM_HEAP_H
#define OTTLA_SIM_HEAP_H

#include <stddef.h>

/* From now on `owner` allocates; NULL is the simulator. Returns who did before. */
void *sim_heap_enter(void *owner);
void *sim_heap_owner(void);
/* Frees everything that owner still holds. In sim_wrap.c. */
void sim_heap_release(void *owner);

void *outside_malloc(size_t size);
void *outside_calloc(size_t count, size_t size);
void *outside_realloc(void *pointer, size_t size);
char *outside_strdup(const char *text);
char *outside_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
