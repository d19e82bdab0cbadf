/* What all emitters share, and NAME.h. Part of generate.c. */
#ifndef OTTLA_PROTOCOL_GENERATE_EMIT_H
#define OTTLA_PROTOCOL_GENERATE_EMIT_H

#include "broker/protocol/generate/model.h"

struct output {
    FILE *file;
    const struct message *message;
    const char *coder; /* "d" or "e": whose version the conditions ask */
};

static char output_path[4096];
static char *output_text;
static size_t output_size;

/* Text is gathered in memory and indented by its braces at the end, so that the emitters need not know their depth. */
static FILE *open_output(const char *directory, const char *base, const char *suffix) {
    snprintf(output_path, sizeof output_path, "%s/%s%s", directory, base, suffix);
    parse_file = output_path;
    parse_line = 0;
    FILE *file = open_memstream(&output_text, &output_size);
    if (file == NULL) {
        die("out of memory");
    }
    return file;
}

static void close_output(FILE *gathered) {
    fclose(gathered);
    FILE *file = fopen(output_path, "w");
    if (file == NULL) {
        die("cannot be written");
    }
    int depth = 0;
    char *cursor = output_text;
    for (char *line = strsep(&cursor, "\n"); line != NULL && cursor != NULL; line = strsep(&cursor, "\n")) {
        bool is_continued = line[0] == ' ' && depth == 0;
        line += is_continued ? 0 : strspn(line, " ");
        depth -= line[0] == '}' ? 1 : 0;
        fprintf(file, "%*s%s\n", line[0] == '\0' ? 0 : 4 * depth, "", line);
        size_t size = strlen(line);
        depth += size > 0 && line[size - 1] == '{' ? 1 : 0;
    }
    free(output_text);
    if (fclose(file) != 0) {
        die("cannot be written");
    }
}

static bool is_pointer(const struct field *field) {
    return field->type == TYPE_STRUCT && !field->is_list && !range_is_empty(field->null_versions);
}

/* "true", "false" or a comparison of the coder's version, within the versions `within` that can reach the place. */
static const char *condition(const struct output *output, struct range range, struct range within) {
    static char buffers[8][128];
    static int next;
    char *text = buffers[next++ % 8];
    size_t size = sizeof buffers[0];
    struct range met = range_meet(range, within);
    if (range_is_empty(met)) {
        snprintf(text, size, "false");
    } else if (range_covers(range, within)) {
        snprintf(text, size, "true");
    } else if (met.first == within.first && met.first == met.last) {
        snprintf(text, size, "%s->version == %d", output->coder, met.first);
    } else if (met.first <= within.first) {
        snprintf(text, size, "%s->version <= %d", output->coder, met.last);
    } else if (met.last >= within.last) {
        snprintf(text, size, "%s->version >= %d", output->coder, met.first);
    } else {
        snprintf(text, size, "%s->version >= %d && %s->version <= %d", output->coder, met.first, output->coder,
                 met.last);
    }
    return text;
}

static const char *field_condition(const struct output *output, const struct field *field) {
    return condition(output, field->versions, output->message->versions);
}
static const char *null_condition(const struct output *output, const struct field *field) {
    return condition(output, field->null_versions, range_meet(field->versions, output->message->versions));
}

static bool has_tags(const struct structure *structure) {
    for (int i = 0; i < structure->field_count; i++) {
        if (structure->fields[i].tag >= 0) {
            return true;
        }
    }
    return false;
}

/* The C spelling of a number's default; "0" when the schema names none. */
static const char *default_number(const struct field *field) {
    const char *text = field->default_text;
    if (field->type == TYPE_BOOL) {
        return strcasecmp(text, "true") == 0 ? "true" : "false";
    }
    if (strcmp(text, "-2147483648") == 0) {
        return "INT32_MIN";
    }
    return *text == '\0' ? "0" : text;
}

static bool default_is_null(const struct field *field) {
    return strcmp(field->default_text, "null") == 0 || strcmp(field->default_text, "None") == 0;
}

/* An expression that is true when `m->field` holds its default. */
static const char *default_test(const struct field *field) {
    static char text[512];
    const char *name = field->name;
    if (field->is_list) {
        snprintf(text, sizeof text, "m->%s_count %s 0", name, default_is_null(field) ? "<" : "==");
    } else if (is_pointer(field)) {
        snprintf(text, sizeof text, "m->%s == NULL", name);
    } else if (field->type == TYPE_STRUCT) {
        snprintf(text, sizeof text, "is_default_%s(&m->%s)", field->structure->name, name);
    } else if (field->type == TYPE_STRING || field->type == TYPE_BYTES || field->type == TYPE_RECORDS) {
        snprintf(text, sizeof text, "m->%s.size %s 0", name, default_is_null(field) ? "<" : "==");
    } else if (field->type == TYPE_UUID) {
        snprintf(text, sizeof text, "uuid_is_zero(m->%s)", name);
    } else if (field->type == TYPE_BOOL) {
        snprintf(text, sizeof text, "%sm->%s", strcmp(default_number(field), "true") == 0 ? "" : "!", name);
    } else {
        snprintf(text, sizeof text, "m->%s == %s", name, default_number(field));
    }
    return text;
}

/* Marks the structs that need an is_default function: those compared as a whole, and what they hold. */
static void mark_compared(struct structure *structure) {
    structure->is_compared = true;
    for (int i = 0; i < structure->field_count; i++) {
        const struct field *field = &structure->fields[i];
        if (field->type == TYPE_STRUCT && !field->is_list && !is_pointer(field)) {
            mark_compared(field->structure);
        }
    }
}

/* Holders before what they hold; the emitters walk backwards, as C wants it. */
static void sort_structures(struct message *message, struct structure *structure, struct structure *sorted[],
                            int *left) {
    for (int i = 0; i < message->structure_count; i++) {
        if (sorted[i] == structure) {
            return;
        }
    }
    for (int i = 0; i < structure->field_count; i++) {
        if (structure->fields[i].type == TYPE_STRUCT) {
            sort_structures(message, structure->fields[i].structure, sorted, left);
        }
    }
    sorted[--*left] = structure;
}

static void analyse(struct message *message) {
    struct structure *sorted[STRUCTS_MAX] = {NULL};
    int left = message->structure_count;
    sort_structures(message, message->structures[0], sorted, &left);
    memcpy(message->structures, sorted, sizeof sorted);
    for (int s = 0; s < message->structure_count; s++) {
        for (int i = 0; i < message->structures[s]->field_count; i++) {
            const struct field *field = &message->structures[s]->fields[i];
            bool is_sometimes_absent = !range_covers(field->versions, message->versions) && !field->is_ignorable;
            if (field->tag >= 0 && !range_covers(field->tag_versions, range_meet(field->versions, message->versions))) {
                die("%s of %s is tagged in some of its versions only", field->name, message->structures[s]->name);
            }
            if (field->type == TYPE_STRUCT && !field->is_list && !is_pointer(field) &&
                (field->tag >= 0 || is_sometimes_absent)) {
                mark_compared(field->structure);
            }
        }
    }
}

/* ---- NAME.h ---- */

static void emit_member(FILE *file, const struct field *field) {
    const char *star = field->is_list || is_pointer(field) ? "*" : "";
    if (field->type == TYPE_STRUCT) {
        fprintf(file, "struct %s %s%s;\n", field->structure->name, star, field->name);
    } else {
        fprintf(file, "%s %s%s;\n", type_rows[field->type].c, star, field->name);
    }
    if (field->is_list) {
        fprintf(file, "int32_t %s_count;\n", field->name);
    }
}

/* Structs in the order C wants: what is held by value stands before its holder. */
static void emit_structs(FILE *file, const struct message *message) {
    for (int s = message->structure_count - 1; s >= 0; s--) {
        const struct structure *structure = message->structures[s];
        fprintf(file, "struct %s {\n", structure->name);
        for (int i = 0; i < structure->field_count; i++) {
            emit_member(file, &structure->fields[i]);
        }
        if (structure->field_count == 0) {
            fprintf(file, "uint8_t no_fields; /* C wants one */\n");
        }
        fprintf(file, "};\n");
    }
    for (int s = 0; s < message->structure_count; s++) {
        fprintf(file, "void %s_init(struct %s *m);\n", message->structures[s]->name, message->structures[s]->name);
    }
}

static void emit_header(const struct schema *schema, const char *directory) {
    FILE *file = open_output(directory, schema->base, ".h");
    fprintf(file,
            "/* Generated from broker/protocol/schema/%s.schema. */\n#ifndef OTTLA_GENERATED_%s_H\n"
            "#define OTTLA_GENERATED_%s_H\n\n#include \"broker/protocol/codec.h\"\n",
            schema->base, upper(schema->base), upper(schema->base));
    for (int i = 0; i < schema->message_count; i++) {
        const struct message *message = &schema->messages[i];
        const char *name = message->name;
        fprintf(file, "\n#define %s_VERSION_MIN %d\n#define %s_VERSION_MAX %d\n\n", upper(name),
                message->versions.first, upper(name), message->versions.last);
        emit_structs(file, message);
        fprintf(file, "int %s_decode(struct reader *r, int16_t version, struct arena *arena, struct %s *ret);\n", name,
                name);
        fprintf(file, "size_t %s_encoded_size(const struct %s *m, int16_t version);\n", name, name);
        fprintf(file, "void %s_encode(const struct %s *m, int16_t version, struct encoder *e);\n", name, name);
    }
    fprintf(file, "\n#endif\n");
    close_output(file);
}

#endif
