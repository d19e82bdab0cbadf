/* Line by line, with the family that is open and the series that were seen. */
#include "tests/lib/exposition.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "broker/base/check.h"

struct seen {
    char *name;
    UT_hash_handle hh;
};

struct exposition {
    struct seen *families;
    struct seen *series;
    char *family; /* that is open; NULL none */
    char *type;   /* its own; NULL before the line */
};

static bool add(struct seen **set, const char *name, size_t size) {
    struct seen *found = NULL;
    HASH_FIND(hh, *set, name, size, found);
    if (found != NULL) {
        return false;
    }
    found = xcalloc(1, sizeof *found);
    found->name = xstrndup(name, size);
    HASH_ADD_KEYPTR(hh, *set, found->name, size, found);
    return true;
}

static void clear(struct seen **set) {
    struct seen *item = NULL;
    struct seen *after = NULL;
    HASH_ITER(hh, *set, item, after) {
        HASH_DEL(*set, item);
        free(item->name);
        free(item);
    }
}

/* The characters of a name at the beginning of the text; labels may not hold colons. */
static size_t name_size(const char *at, bool is_label) {
    size_t size = 0;
    while (isalpha((unsigned char)at[size]) || at[size] == '_' || (at[size] == ':' && !is_label) ||
           (size > 0 && isdigit((unsigned char)at[size]))) {
        size++;
    }
    return size;
}

/* Behind the closing brace; NULL with what is wrong. */
static const char *pass_labels(const char *at, const char **ret_error) {
    struct seen *names = NULL;
    *ret_error = NULL;
    at++; /* the brace */
    while (*at != '}' && *ret_error == NULL) {
        size_t size = name_size(at, true);
        if (size == 0 || strncmp(at + size, "=\"", 2) != 0) {
            *ret_error = "a label is not name=\"value\"";
        } else if (!add(&names, at, size)) {
            *ret_error = "a label comes twice";
        } else {
            for (at += size + 2; *at != '"' && *at != '\0'; at++) {
                if (*at == '\\' && strchr("\\\"n", *++at) == NULL) {
                    *ret_error = "an unknown escape in a label";
                    break;
                }
            }
            if (*ret_error == NULL && *at != '"') {
                *ret_error = "a label does not end";
            } else if (*ret_error == NULL) {
                at++;
                at += *at == ',' && at[1] != '}';
                *ret_error = *at == '\0' ? "labels do not end" : NULL;
            }
        }
    }
    clear(&names);
    return at + 1;
}

static bool is_number(const char *text) {
    char *end;
    if (strcmp(text, "NaN") == 0 || strcmp(text, "+Inf") == 0 || strcmp(text, "-Inf") == 0) {
        return true;
    }
    if (!isdigit((unsigned char)text[text[0] == '-'])) {
        return false;
    }
    (void)strtod(text, &end);
    return *end == '\0';
}

static bool is_name_of_family(const struct exposition *e, const char *name, size_t size) {
    size_t family = strlen(e->family);
    if (size == family && memcmp(name, e->family, size) == 0) {
        return strcmp(e->type, "summary") != 0 || name[size] == '{';
    }
    bool is_part = strcmp(e->type, "summary") == 0 && size > family && memcmp(name, e->family, family) == 0;
    return is_part && ((size == family + 4 && memcmp(name + family, "_sum", 4) == 0) ||
                       (size == family + 6 && memcmp(name + family, "_count", 6) == 0));
}

static const char *check_sample(struct exposition *e, const char *line) {
    const char *error = NULL;
    size_t size = name_size(line, false);
    const char *at = line + size;
    if (size == 0) {
        return "not a sample";
    }
    if (e->type == NULL || !is_name_of_family(e, line, size)) {
        return "a sample outside of its family";
    }
    if (*at == '{') {
        at = pass_labels(at, &error);
    }
    if (error != NULL) {
        return error;
    }
    if (!add(&e->series, line, (size_t)(at - line))) {
        return "a series comes twice";
    }
    if (*at != ' ' || !is_number(at + 1)) {
        return "no number";
    }
    if (strcmp(e->type, "counter") == 0 && at[1] == '-') {
        return "a negative counter";
    }
    return NULL;
}

static const char *check_help(struct exposition *e, const char *text) {
    size_t size = name_size(text, false);
    if (size == 0 || text[size] != ' ' || text[size + 1] == '\0' || strchr(text, '\\') != NULL) {
        return "HELP without a name or a text";
    }
    if (!add(&e->families, text, size)) {
        return "a family comes twice";
    }
    free(e->family);
    free(e->type);
    e->family = xstrndup(text, size);
    e->type = NULL;
    return NULL;
}

static const char *check_type(struct exposition *e, const char *text) {
    static const char *const types[] = {"counter", "gauge", "summary"};
    size_t size = name_size(text, false);
    if (e->family == NULL || e->type != NULL || strlen(e->family) != size || memcmp(text, e->family, size) != 0) {
        return "TYPE does not follow its HELP";
    }
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(text + size, "") != 0 && strcmp(text + size + 1, types[i]) == 0) {
            e->type = xstrdup(types[i]);
            return NULL;
        }
    }
    return "an unknown type";
}

static const char *check_line(struct exposition *e, const char *line) {
    if (strncmp(line, "# HELP ", 7) == 0) {
        return check_help(e, line + 7);
    }
    if (strncmp(line, "# TYPE ", 7) == 0) {
        return check_type(e, line + 7);
    }
    return check_sample(e, line);
}

char *exposition_error(const char *text, int32_t *ret_samples) {
    struct exposition e = {0};
    char *message = NULL;
    for (const char *at = text; *at != '\0' && message == NULL;) {
        const char *end = strchr(at, '\n');
        char *line = xstrndup(at, end == NULL ? strlen(at) : (size_t)(end - at));
        const char *error = end == NULL ? "the last line does not end" : check_line(&e, line);
        if (error != NULL) {
            message = xasprintf("%s: %s", error, line);
        }
        free(line);
        at = end == NULL ? at + strlen(at) : end + 1;
    }
    *ret_samples = (int32_t)HASH_COUNT(e.series);
    clear(&e.families);
    clear(&e.series);
    free(e.family);
    free(e.type);
    return message;
}
