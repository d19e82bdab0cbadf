/* Reads Java property files: logical lines first, then key and value with their escapes. */
#include "broker/properties.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

void properties_init(struct properties *properties) {
    *properties = (struct properties){0};
}

void properties_deinit(struct properties *properties) {
    for (int32_t i = 0; i < properties->count; i++) {
        free(properties->list[i].key);
        free(properties->list[i].value);
    }
    free(properties->list);
    properties_init(properties);
}

static struct property *find(const struct properties *properties, const char *key) {
    for (int32_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->list[i].key, key) == 0) {
            return &properties->list[i];
        }
    }
    return NULL;
}

void properties_set(struct properties *properties, const char *key, const char *value) {
    struct property *property = find(properties, key);
    if (property != NULL) {
        char *copy = xstrdup(value);
        free(property->value);
        property->value = copy;
        return;
    }
    if (properties->count == properties->capacity) {
        properties->capacity = properties->capacity == 0 ? 32 : properties->capacity * 2;
        properties->list = xrealloc(properties->list, sizeof *properties->list * (size_t)properties->capacity);
    }
    properties->list[properties->count++] = (struct property){.key = xstrdup(key), .value = xstrdup(value)};
}

const char *properties_get(const struct properties *properties, const char *key) {
    const struct property *property = find(properties, key);
    return property == NULL ? NULL : property->value;
}

void properties_remove(struct properties *properties, const char *key) {
    struct property *property = find(properties, key);
    if (property == NULL) {
        return;
    }
    free(property->key);
    free(property->value);
    size_t after = (size_t)(properties->list + properties->count - (property + 1));
    memmove(property, property + 1, after * sizeof *property);
    properties->count--;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

/* Joins one logical line into `line` (room for the rest of the text) and returns where the next one begins. */
static const char *take_line(const char *at, const char *end, char *line, size_t *ret_size) {
    size_t size = 0;
    bool is_first = true;
    for (;;) {
        while (at < end && is_blank(*at)) {
            at++;
        }
        bool is_comment = is_first && at < end && (*at == '#' || *at == '!');
        size_t backslashes = 0;
        for (; at < end && !is_line_end(*at); at++) {
            if (!is_comment) {
                backslashes = *at == '\\' ? backslashes + 1 : 0;
                line[size++] = *at;
            }
        }
        if (at < end) {
            at += at[0] == '\r' && at + 1 < end && at[1] == '\n' ? 2 : 1;
        }
        if (backslashes % 2 == 0) {
            break;
        }
        size--; /* the joining backslash */
        is_first = false;
        if (at >= end) {
            break;
        }
    }
    *ret_size = size;
    return at;
}

static char *put_utf8(char *to, uint32_t code) {
    if (code < 0x80U) {
        *to++ = (char)code;
    } else if (code < 0x800U) {
        *to++ = (char)(0xc0U | code >> 6);
        *to++ = (char)(0x80U | (code & 0x3fU));
    } else if (code < 0x10000U) {
        *to++ = (char)(0xe0U | code >> 12);
        *to++ = (char)(0x80U | (code >> 6 & 0x3fU));
        *to++ = (char)(0x80U | (code & 0x3fU));
    } else {
        *to++ = (char)(0xf0U | code >> 18);
        *to++ = (char)(0x80U | (code >> 12 & 0x3fU));
        *to++ = (char)(0x80U | (code >> 6 & 0x3fU));
        *to++ = (char)(0x80U | (code & 0x3fU));
    }
    return to;
}

/* Four hexadecimal digits; false when they are not there. */
static bool take_hex(const char *at, const char *end, uint32_t *ret_code) {
    if (end - at < 4) {
        return false;
    }
    *ret_code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = tolower((unsigned char)at[i]);
        if (!isxdigit(digit)) {
            return false;
        }
        *ret_code = *ret_code << 4 | (uint32_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return true;
}

/* Resolves escapes of [at, end) into a new string; NULL for a malformed \u escape. */
static char *unescape(const char *at, const char *end) {
    /* A Latin-1 byte becomes at most two; an escape of six bytes at most three. */
    char *text = xmalloc((size_t)(end - at) * 2 + 1);
    char *to = text;
    while (at < end) {
        if (*at != '\\' || at + 1 >= end) {
            if (*at != '\\') {
                to = put_utf8(to, (uint8_t)*at);
            }
            at++;
            continue;
        }
        char escape = at[1];
        at += 2;
        uint32_t code = (uint8_t)escape;
        switch (escape) {
        case 't': code = '\t'; break;
        case 'n': code = '\n'; break;
        case 'r': code = '\r'; break;
        case 'f': code = '\f'; break;
        case 'u':
            if (!take_hex(at, end, &code)) {
                free(text);
                return NULL;
            }
            at += 4;
            uint32_t low = 0;
            if (code >= 0xd800U && code < 0xdc00U && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
                take_hex(at + 2, end, &low) && low >= 0xdc00U && low < 0xe000U) {
                code = 0x10000U + ((code - 0xd800U) << 10) + (low - 0xdc00U);
                at += 6;
            }
            break;
        default: break;
        }
        to = put_utf8(to, code);
    }
    *to = '\0';
    return text;
}

static int take_property(struct properties *properties, const char *line, size_t size) {
    const char *end = line + size;
    const char *key_end = line;
    while (key_end < end && !is_blank(*key_end) && *key_end != '=' && *key_end != ':') {
        key_end += *key_end == '\\' && key_end + 1 < end ? 2 : 1;
    }
    const char *value = key_end;
    while (value < end && is_blank(*value)) {
        value++;
    }
    if (value < end && (*value == '=' || *value == ':')) {
        value++;
        while (value < end && is_blank(*value)) {
            value++;
        }
    }
    char *key_text = unescape(line, key_end);
    char *value_text = unescape(value, end);
    int error = key_text == NULL || value_text == NULL ? ERR_INVALID : 0;
    if (error == 0) {
        properties_set(properties, key_text, value_text);
    }
    free(key_text);
    free(value_text);
    return error;
}

int properties_parse(struct properties *properties, const char *text, size_t size, char **ret_message) {
    char *line = xmalloc(size + 1);
    const char *at = text;
    const char *end = text + size;
    int error = 0;
    while (at < end && error == 0) {
        size_t line_size;
        at = take_line(at, end, line, &line_size);
        if (line_size > 0) {
            error = take_property(properties, line, line_size);
        }
        if (error != 0) {
            *ret_message = xasprintf("Malformed \\uxxxx encoding in '%.*s'", (int)MIN(line_size, 200), line);
        }
    }
    free(line);
    return error;
}

int properties_load(struct properties *properties, const char *path, char **ret_message) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int cause = errno;
        *ret_message = xasprintf("cannot read %s: %s", path, strerror(cause));
        return error_from_errno(cause);
    }
    struct stat stat;
    if (fstat(fileno(file), &stat) == 0 && S_ISDIR(stat.st_mode)) {
        fclose(file);
        *ret_message = xasprintf("cannot read %s: %s", path, strerror(EISDIR));
        return ERR_INVALID;
    }
    char *text = xmalloc(PROPERTIES_FILE_MAX + 1);
    size_t size = fread(text, 1, PROPERTIES_FILE_MAX + 1, file);
    int error = 0;
    if (ferror(file)) {
        error = ERR_IO;
        *ret_message = xasprintf("cannot read %s: %s", path, error_text(error));
    } else if (size > PROPERTIES_FILE_MAX) {
        error = ERR_TOO_LARGE;
        *ret_message = xasprintf("cannot read %s: larger than %zu bytes", path, PROPERTIES_FILE_MAX);
    } else {
        error = properties_parse(properties, text, size, ret_message);
        if (error != 0) {
            char *named = xasprintf("%s: %s", path, *ret_message);
            free(*ret_message);
            *ret_message = named;
        }
    }
    fclose(file);
    free(text);
    return error;
}
