/* Java properties: files for --command-config and its kin, and the k=v lists of the console tools. */
#ifndef OTTLA_TOOLS_PROPERTIES_H
#define OTTLA_TOOLS_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct property {
    char *key;
    char *value;
};

/* Zero-initialised is empty. */
struct properties {
    struct property *entries;
    size_t count;
};

void properties_deinit(struct properties *properties);
/* The later value wins. */
void properties_set(struct properties *properties, const char *key, const char *value);
/* NULL when absent. */
const char *properties_get(const struct properties *properties, const char *key);
/* "k=v"; without "=" the value is empty. Blanks around both stay, as in Kafka. */
void properties_set_pair(struct properties *properties, const char *pair);
/* The text of a properties file: comments, continuation lines, escapes. */
void properties_parse(struct properties *properties, const char *text, size_t size);
/* Returns 0 or ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
int properties_load(struct properties *properties, const char *path);
/* true only for "true" in any case. */
bool properties_bool(const struct properties *properties, const char *key, bool fallback);

/* The whole of a file, NUL-terminated, on the heap; NULL with errno set. */
char *file_read_all(const char *path, size_t *ret_size);

#endif
