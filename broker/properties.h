/* Java property files, as server.properties is written.
 *
 * Separator `=`, `:` or blanks; `#` or `!` begins a comment line; a backslash at the end joins the next line; \uXXXX
 * and \t \n \r \f escapes; ISO 8859-1 outside escapes, kept here as UTF-8; the later of two equal keys wins. */
#ifndef OTTLA_PROPERTIES_H
#define OTTLA_PROPERTIES_H

#include <stddef.h>
#include <stdint.h>

struct property {
    char *key;
    char *value;
};

struct properties {
    struct property *list; /* in the order of the file */
    int32_t count;
    int32_t capacity;
};

/* A settings file is a few kilobytes; what is larger than this was given by mistake. */
#define PROPERTIES_FILE_MAX ((size_t)1024 * 1024)

void properties_init(struct properties *properties);
void properties_deinit(struct properties *properties);
/* Adds or replaces; copies both. */
void properties_set(struct properties *properties, const char *key, const char *value);
/* NULL when the key is not there. The text lives until the next change. */
const char *properties_get(const struct properties *properties, const char *key);
void properties_remove(struct properties *properties, const char *key);
/* Adds what the text says. 0 or ERR_INVALID with *ret_message (heap, one line). */
int properties_parse(struct properties *properties, const char *text, size_t size, char **ret_message);
/* As above from a file; an unreadable one gives a negative code and a message that names it. */
int properties_load(struct properties *properties, const char *path, char **ret_message);

#endif
