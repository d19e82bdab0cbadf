/* Java properties: files for --command-config and its kin, and the k=v lists of the console tools. */
#ifndef OTTLA_TOOLS_PROPERTY_LIST_H
#define OTTLA_TOOLS_PROPERTY_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct property {
    char *key;
    char *value;
};

/* Zero-initialised is empty. */
struct property_list {
    struct property *entries;
    size_t count;
};

void property_list_deinit(struct property_list *properties);
/* The later value wins. */
void property_list_set(struct property_list *properties, const char *key, const char *value);
/* NULL when absent. */
const char *property_list_get(const struct property_list *properties, const char *key);
/* "k=v"; without "=" the value is empty. Blanks around both stay, as in Kafka. */
void property_list_set_pair(struct property_list *properties, const char *pair);
/* The text of a properties file: comments, continuation lines, escapes. */
void property_list_parse(struct property_list *properties, const char *text, size_t size);
/* Returns 0 or ERR_NOT_FOUND, ERR_DENIED, ERR_IO. */
int property_list_load(struct property_list *properties, const char *path);
/* true only for "true" in any case. */
bool property_list_bool(const struct property_list *properties, const char *key, bool fallback);

/* The whole of a file, NUL-terminated, on the heap; NULL with errno set. */
char *file_read_all(const char *path, size_t *ret_size);

#endif
