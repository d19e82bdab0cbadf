/* Assertions that stay on in release.
 *
 * A failed CHECK is a broken assumption of ours: it prints the expression with its place and aborts. Operating
 * errors are negative codes (errors.h); a client's errors are data in the answer. The three are never mixed. */
#ifndef OTTLA_BASE_CHECK_H
#define OTTLA_BASE_CHECK_H

#include <stddef.h>

/* Prints "file:line: function: CHECK(expression) failed" to stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *function, const char *expression);

#define CHECK(expression)                                                                                              \
    do {                                                                                                               \
        if (__builtin_expect(!(expression), 0)) {                                                                      \
            check_failed(__FILE__, __LINE__, __func__, #expression);                                                   \
        }                                                                                                              \
    } while (0)

#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Allocation that cannot fail: out of memory ends the process with one line, because nothing useful can be done
 * without memory and a half-applied change is worse than a restart. Sizes must have been bounded by the caller. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t size);
char *xstrdup(const char *text);
/* All `size` bytes, NUL bytes among them as well, and a NUL at the end. */
char *xstrndup(const char *text, size_t size);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
