/* The format is that of java.util.Properties, read as ISO 8859-1 would be but passed through as bytes (UTF-8). */
#include "tools/property_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

void property_list_deinit(struct property_list *properties) {
    for (size_t i = 0; i < properties->count; i++) {
        free(properties->entries[i].key);
        free(properties->entries[i].value);
    }
    free(properties->entries);
    *properties = (struct property_list){0};
}

void property_list_set(struct property_list *properties, const char *key, const char *value) {
    for (size_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->entries[i].key, key) == 0) {
            char *copy = xstrdup(value);
            free(properties->entries[i].value);
            properties->entries[i].value = copy;
            return;
        }
    }
    properties->entries = xrealloc(properties->entries, (properties->count + 1) * sizeof *properties->entries);
    properties->entries[properties->count++] = (struct property){xstrdup(key), xstrdup(value)};
}

const char *property_list_get(const struct property_list *properties, const char *key) {
    for (size_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->entries[i].key, key) == 0) {
            return properties->entries[i].value;
        }
    }
    return NULL;
}

bool property_list_bool(const struct property_list *properties, const char *key, bool fallback) {
    const char *value = property_list_get(properties, key);
    return value == NULL ? fallback : strcasecmp(value, "true") == 0;
}

void property_list_set_pair(struct property_list *properties, const char *pair) {
    const char *equals = strchr(pair, '=');
    if (equals == NULL) {
        property_list_set(properties, pair, "");
        return;
    }
    char *key = xstrndup(pair, (size_t)(equals - pair));
    property_list_set(properties, key, equals + 1);
    free(key);
}

/* Joins one logical line: an odd number of backslashes before the line's end continues it. */
static const char *take_logical_line(const char *at, const char *end, char *ret_line) {
    size_t size = 0;
    while (at < end) {
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\f')) {
            at++;
        }
        size_t slashes = 0;
        bool comment = size == 0 && at < end && (*at == '#' || *at == '!');
        while (at < end && *at != '\n' && *at != '\r') {
            slashes = *at == '\\' ? slashes + 1 : 0;
            ret_line[size++] = *at++;
        }
        if (at < end && *at == '\r') {
            at++;
        }
        if (at < end && *at == '\n') {
            at++;
        }
        if (comment) {
            size = 0;
            break;
        }
        if (slashes % 2 == 0) {
            break;
        }
        size--;
    }
    ret_line[size] = '\0';
    return at;
}

static size_t put_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0U | code >> 6);
        to[1] = (char)(0x80U | (code & 0x3fU));
        return 2;
    }
    to[0] = (char)(0xe0U | code >> 12);
    to[1] = (char)(0x80U | (code >> 6 & 0x3fU));
    to[2] = (char)(0x80U | (code & 0x3fU));
    return 3;
}

/* Undoes escapes in place. */
static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from == '\0') {
            break;
        }
        switch (*from) {
        case 't': *to++ = '\t'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 'f': *to++ = '\f'; break;
        case 'u':
            if (strlen(from) >= 5) {
                char digits[5] = {from[1], from[2], from[3], from[4], '\0'};
                to += put_utf8(to, (unsigned)strtoul(digits, NULL, 16));
                from += 4;
            }
            break;
        default: *to++ = *from; break;
        }
    }
    *to = '\0';
}

static void parse_line(struct property_list *properties, char *line) {
    if (line[0] == '\0') {
        return;
    }
    size_t key_size = 0;
    while (line[key_size] != '\0' && strchr("=: \t\f", line[key_size]) == NULL) {
        key_size += line[key_size] == '\\' && line[key_size + 1] != '\0' ? 2 : 1;
    }
    char *value = line + key_size;
    value += strspn(value, " \t\f");
    if (*value == '=' || *value == ':') {
        value++;
        value += strspn(value, " \t\f");
    }
    char *value_copy = xstrdup(value);
    line[key_size] = '\0';
    unescape(line);
    unescape(value_copy);
    property_list_set(properties, line, value_copy);
    free(value_copy);
}

void property_list_parse(struct property_list *properties, const char *text, size_t size) {
    char *line = xmalloc(size + 1);
    const char *end = text + size;
    for (const char *at = text; at < end;) {
        at = take_logical_line(at, end, line);
        parse_line(properties, line);
    }
    free(line);
}

char *file_read_all(const char *path, size_t *ret_size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *data = NULL;
    size_t size = 0;
    size_t capacity = 0;
    for (;;) {
        if (capacity - size < 4096) {
            capacity = capacity == 0 ? 8192 : capacity * 2;
            data = xrealloc(data, capacity);
        }
        size_t got = fread(data + size, 1, capacity - size - 1, file);
        size += got;
        if (got == 0) {
            break;
        }
    }
    int saved = ferror(file) != 0 ? EIO : 0;
    fclose(file);
    if (saved != 0) {
        free(data);
        errno = saved;
        return NULL;
    }
    data[size] = '\0';
    if (ret_size != NULL) {
        *ret_size = size;
    }
    return data;
}

int property_list_load(struct property_list *properties, const char *path) {
    size_t size;
    char *text = file_read_all(path, &size);
    if (text == NULL) {
        return error_from_errno(errno);
    }
    property_list_parse(properties, text, size);
    free(text);
    return 0;
}
