/* Assertion failure and allocation that cannot fail. */
#include "broker/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void check_failed(const char *file, int line, const char *function, const char *expression) {
    fprintf(stderr, "%s:%d: %s: CHECK(%s) failed\n", file, line, function, expression);
    fflush(stderr);
    abort();
}

static void *not_null(void *pointer) {
    if (pointer == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return pointer;
}

void *xmalloc(size_t size) {
    return not_null(malloc(size > 0 ? size : 1));
}

void *xcalloc(size_t count, size_t size) {
    return not_null(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *xrealloc(void *pointer, size_t size) {
    return not_null(realloc(pointer, size > 0 ? size : 1));
}

char *xstrdup(const char *text) {
    return not_null(strdup(text));
}

char *xstrndup(const char *text, size_t size) {
    char *copy = xmalloc(size + 1);
    if (size > 0) {
        memcpy(copy, text, size);
    }
    copy[size] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int written = vasprintf(&text, format, args);
    va_end(args);
    return not_null(written < 0 ? NULL : text);
}
