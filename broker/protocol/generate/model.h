/* A schema in memory, and the parser that puts it there. Part of generate.c; see there for the notation.
 *
 * The generator is a build step: it reads our own files, allocates without freeing, and dies with "file:line: reason"
 * on anything it does not understand. */
#ifndef OTTLA_PROTOCOL_GENERATE_MODEL_H
#define OTTLA_PROTOCOL_GENERATE_MODEL_H

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 64  /* of one struct; the largest has 19 */
#define STRUCTS_MAX 32 /* of one message */
#define MESSAGES_MAX 8 /* of one file */
#define NAME_MAX_BYTES 160
#define NEVER INT_MAX

struct range {
    int first;
    int last; /* INT_MAX is open, last < first is empty */
};

enum field_type {
    TYPE_BOOL,
    TYPE_INT8,
    TYPE_INT16,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_FLOAT64,
    TYPE_UUID,
    TYPE_STRING,
    TYPE_BYTES,
    TYPE_RECORDS,
    TYPE_STRUCT
};

/* How one type is spelt in the schema, in C and in calls of codec.h. */
static const struct type_row {
    const char *schema;
    const char *c;
    const char *codec;
    int size_classic; /* least size on the wire */
    int size_flexible;
} type_rows[] = {
    [TYPE_BOOL] = {"bool", "bool", "bool", 1, 1},
    [TYPE_INT8] = {"int8", "int8_t", "i8", 1, 1},
    [TYPE_INT16] = {"int16", "int16_t", "i16", 2, 2},
    [TYPE_INT32] = {"int32", "int32_t", "i32", 4, 4},
    [TYPE_INT64] = {"int64", "int64_t", "i64", 8, 8},
    [TYPE_FLOAT64] = {"float64", "double", "f64", 8, 8},
    [TYPE_UUID] = {"uuid", "struct uuid", "uuid", 16, 16},
    [TYPE_STRING] = {"string", "struct str", "str", 2, 1},
    [TYPE_BYTES] = {"bytes", "struct slice", "bytes", 4, 1},
    [TYPE_RECORDS] = {"records", "struct records", "records", 4, 1},
};

struct structure;

struct field {
    char name[NAME_MAX_BYTES];
    enum field_type type;
    bool is_list;
    struct structure *structure; /* of TYPE_STRUCT */
    struct range versions;
    struct range null_versions;
    struct range tag_versions;
    int tag; /* -1 when never tagged */
    char default_text[32];
    bool is_ignorable;
    bool is_classic; /* "flexible none": classic length even in flexible versions */
};

struct structure {
    char type_name[NAME_MAX_BYTES]; /* as in the schema; "" for the message itself */
    char name[NAME_MAX_BYTES];      /* of the C struct */
    struct field fields[FIELDS_MAX];
    int field_count;
    bool is_complete; /* its block has been read */
    bool is_element;  /* of a list */
    bool is_compared; /* with its default: somewhere it is a tagged field or absent in some version */
};

struct message {
    char kafka_name[NAME_MAX_BYTES]; /* "Produce" */
    char name[NAME_MAX_BYTES];       /* "produce_request" */
    char api_name[NAME_MAX_BYTES];   /* "produce" */
    int api_key;                     /* -1 for what is no API */
    bool is_request;
    struct range versions;
    int flexible_first;                        /* NEVER for none */
    struct structure *structures[STRUCTS_MAX]; /* the message itself is the first */
    int structure_count;
};

struct schema {
    char base[NAME_MAX_BYTES]; /* "produce" */
    struct message messages[MESSAGES_MAX];
    int message_count;
};

static const char *parse_file;
static int parse_line;

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", parse_file, parse_line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static __attribute__((format(printf, 2, 3))) void set_name(char *to, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(to, NAME_MAX_BYTES, format, arguments);
    va_end(arguments);
    if (size < 0 || size >= NAME_MAX_BYTES) {
        die("name too long");
    }
}

/* "TopicData" -> "topic_data", "isKRaftController" -> "is_kraft_controller". */
static const char *snake(const char *name) {
    static char buffers[8][NAME_MAX_BYTES];
    static int next;
    char *text = buffers[next++ % 8];
    size_t at = 0;
    for (size_t i = 0; name[i] != '\0' && at + 2 < NAME_MAX_BYTES; i++) {
        if (isupper((unsigned char)name[i]) && i > 0 && !isupper((unsigned char)name[i - 1])) {
            text[at++] = '_';
        }
        text[at++] = (char)tolower((unsigned char)name[i]);
    }
    text[at] = '\0';
    return text;
}

static const char *upper(const char *name) {
    static char buffers[4][NAME_MAX_BYTES];
    static int next;
    char *text = buffers[next++ % 4];
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < NAME_MAX_BYTES; i++) {
        text[i] = (char)toupper((unsigned char)name[i]);
    }
    text[i] = '\0';
    return text;
}

static bool range_has(struct range range, int version) {
    return range.first <= version && version <= range.last;
}
static bool range_covers(struct range outer, struct range inner) {
    return outer.first <= inner.first && inner.last <= outer.last;
}
static bool range_is_empty(struct range range) {
    return range.last < range.first;
}
static struct range range_meet(struct range a, struct range b) {
    return (struct range){a.first > b.first ? a.first : b.first, a.last < b.last ? a.last : b.last};
}

#define RANGE_EMPTY ((struct range){0, -1})

/* "3", "0-7" or "3+". */
static struct range parse_range(const char *text) {
    char *end;
    struct range range;
    range.first = (int)strtol(text, &end, 10);
    range.last = range.first;
    if (end == text) {
        die("version range expected, not '%s'", text);
    }
    if (strcmp(end, "+") == 0) {
        range.last = INT_MAX;
    } else if (*end == '-') {
        range.last = (int)strtol(end + 1, &end, 10);
    }
    if (*end != '\0' && *end != '+') {
        die("version range expected, not '%s'", text);
    }
    return range;
}

static struct structure *add_structure(struct message *message, const char *type_name) {
    if (message->structure_count == STRUCTS_MAX) {
        die("more than %d structs", STRUCTS_MAX);
    }
    struct structure *structure = allocate(sizeof *structure);
    set_name(structure->type_name, "%s", type_name);
    if (*type_name == '\0') {
        set_name(structure->name, "%s", message->name);
    } else {
        set_name(structure->name, "%s_%s", message->name, snake(type_name));
    }
    message->structures[message->structure_count++] = structure;
    return structure;
}

static struct structure *find_structure(struct message *message, const char *type_name) {
    for (int i = 0; i < message->structure_count; i++) {
        if (strcmp(message->structures[i]->type_name, type_name) == 0) {
            return message->structures[i];
        }
    }
    return NULL;
}

static void parse_type(struct message *message, struct field *field, const char *text) {
    field->is_list = strncmp(text, "[]", 2) == 0;
    text += field->is_list ? 2 : 0;
    for (int type = 0; type < TYPE_STRUCT; type++) {
        if (strcmp(type_rows[type].schema, text) == 0) {
            field->type = (enum field_type)type;
            return;
        }
    }
    if (!isupper((unsigned char)*text)) {
        die("unknown type '%s'", text);
    }
    field->type = TYPE_STRUCT;
    field->structure = find_structure(message, text);
    if (field->structure == NULL) {
        field->structure = add_structure(message, text);
    }
    field->structure->is_element |= field->is_list;
}

static char *next_word(char **cursor) {
    char *word;
    do {
        word = strsep(cursor, " ");
    } while (word != NULL && *word == '\0');
    return word;
}

static char *wanted_word(char **cursor, const char *what) {
    char *word = next_word(cursor);
    if (word == NULL) {
        die("%s expected at the end of the line", what);
    }
    return word;
}

static void parse_field(struct message *message, struct field *field, char *line) {
    char *cursor = line;
    *field = (struct field){.null_versions = RANGE_EMPTY, .tag_versions = RANGE_EMPTY, .tag = -1};
    set_name(field->name, "%s", snake(wanted_word(&cursor, "name")));
    parse_type(message, field, wanted_word(&cursor, "type"));
    field->versions = parse_range(wanted_word(&cursor, "versions"));
    for (char *word = next_word(&cursor); word != NULL; word = next_word(&cursor)) {
        if (strcmp(word, "null") == 0) {
            field->null_versions = parse_range(wanted_word(&cursor, "null versions"));
        } else if (strcmp(word, "default") == 0) {
            snprintf(field->default_text, sizeof field->default_text, "%s", wanted_word(&cursor, "default"));
        } else if (strcmp(word, "tag") == 0) {
            char *text = wanted_word(&cursor, "tag");
            char *number = strsep(&text, "@");
            field->tag = atoi(number);
            field->tag_versions = parse_range(text != NULL ? text : "");
        } else if (strcmp(word, "flexible") == 0) {
            field->is_classic = strcmp(wanted_word(&cursor, "none"), "none") == 0;
        } else if (strcmp(word, "ignorable") == 0) {
            field->is_ignorable = true;
        } else if (strcmp(word, "key") != 0 && strcmp(word, "zero-copy") != 0 && *word != '<') {
            die("unknown word '%s'", word);
        }
    }
}

static void parse_message(struct schema *schema, char *line) {
    if (schema->message_count == MESSAGES_MAX) {
        die("more than %d messages", MESSAGES_MAX);
    }
    struct message *message = &schema->messages[schema->message_count++];
    *message = (struct message){.api_key = -1, .flexible_first = NEVER, .versions = RANGE_EMPTY};
    char *cursor = line;
    set_name(message->kafka_name, "%s", wanted_word(&cursor, "name"));
    set_name(message->api_name, "%s", snake(message->kafka_name));
    set_name(message->name, "%s", message->api_name);
    for (char *word = next_word(&cursor); word != NULL; word = next_word(&cursor)) {
        if (strcmp(word, "(key") == 0) {
            message->api_key = atoi(wanted_word(&cursor, "key"));
        } else if (strcmp(word, "request") == 0 || strcmp(word, "response") == 0) {
            message->is_request = word[2] == 'q';
            set_name(message->name, "%s_%s", message->api_name, word);
        } else if (strcmp(word, "versions") == 0) {
            message->versions = parse_range(wanted_word(&cursor, "versions"));
        } else if (strcmp(word, "flexible") == 0) {
            char *text = wanted_word(&cursor, "flexible versions");
            message->flexible_first = strcmp(text, "none") == 0 ? NEVER : parse_range(text).first;
        } else if (strcmp(word, "deprecated") == 0 || strcmp(word, "on") == 0) {
            wanted_word(&cursor, word);
        } else if (strcmp(word, "(data)") != 0 && strcmp(word, "(header)") != 0) {
            die("unknown word '%s'", word);
        }
    }
    if (range_is_empty(message->versions) || message->versions.last == INT_MAX) {
        die("a message needs a closed range of versions");
    }
    add_structure(message, "")->is_complete = true;
}

static bool fields_are_equal(const struct field *a, const struct field *b) {
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->is_list == b->is_list &&
           a->structure == b->structure && memcmp(&a->versions, &b->versions, sizeof a->versions) == 0 &&
           memcmp(&a->null_versions, &b->null_versions, sizeof a->versions) == 0 && a->tag == b->tag &&
           strcmp(a->default_text, b->default_text) == 0;
}

/* A field at its depth: into the block that is open there. A struct that a message names twice is written twice; the
 * second time must say the same. */
static void parse_indented(struct message *message, char *line, struct structure *open[], int seen[], int *depth_last) {
    int indent = (int)strspn(line, " ");
    int depth = indent / 2 - 1;
    if (indent % 2 != 0 || depth > *depth_last + 1 || open[depth] == NULL) {
        die("indented wrongly");
    }
    struct field field;
    parse_field(message, &field, line + indent);
    struct structure *structure = open[depth];
    if (!structure->is_complete || depth == 0) {
        if (structure->field_count == FIELDS_MAX) {
            die("more than %d fields", FIELDS_MAX);
        }
        structure->fields[structure->field_count] = field;
    } else if (seen[depth] >= structure->field_count || !fields_are_equal(&structure->fields[seen[depth]], &field)) {
        die("%s differs from its first block", structure->type_name);
    }
    seen[depth]++;
    if (structure->field_count < seen[depth]) {
        structure->field_count = seen[depth];
    }
    for (int deeper = depth + 1; deeper <= *depth_last + 1; deeper++) {
        if (open[deeper] != NULL) {
            open[deeper]->is_complete = true;
        }
        open[deeper] = NULL;
    }
    open[depth + 1] = field.structure;
    seen[depth + 1] = 0;
    *depth_last = depth;
}

#define DEPTH_MAX 16

static void parse_schema(struct schema *schema, const char *path) {
    FILE *file = fopen(path, "r");
    parse_file = path;
    parse_line = 0;
    if (file == NULL) {
        die("cannot be read");
    }
    const char *slash = strrchr(path, '/');
    set_name(schema->base, "%s", slash != NULL ? slash + 1 : path);
    schema->base[strcspn(schema->base, ".")] = '\0';
    struct structure *open[DEPTH_MAX] = {NULL};
    int seen[DEPTH_MAX] = {0};
    int depth_last = -1;
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        parse_line++;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        if (line[0] != ' ') {
            parse_message(schema, line);
            memset(open, 0, sizeof open);
            memset(seen, 0, sizeof seen);
            open[0] = schema->messages[schema->message_count - 1].structures[0];
            depth_last = -1;
        } else if (schema->message_count == 0 || strspn(line, " ") / 2 + 2 > DEPTH_MAX) {
            die("a field without a message, or too deep");
        } else {
            parse_indented(&schema->messages[schema->message_count - 1], line, open, seen, &depth_last);
        }
    }
    fclose(file);
}

#endif
