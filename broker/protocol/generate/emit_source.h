/* From a schema to NAME.c: defaults, decode, encode. Part of generate.c. */
#ifndef OTTLA_PROTOCOL_GENERATE_EMIT_SOURCE_H
#define OTTLA_PROTOCOL_GENERATE_EMIT_SOURCE_H

#include "broker/protocol/generate/emit.h"

/* ---- Defaults ---- */

static void emit_init(FILE *file, const struct structure *structure) {
    fprintf(file, "\nvoid %s_init(struct %s *m) {\n    memset(m, 0, sizeof *m);\n", structure->name, structure->name);
    for (int i = 0; i < structure->field_count; i++) {
        const struct field *field = &structure->fields[i];
        if (field->is_list) {
            if (default_is_null(field)) {
                fprintf(file, "m->%s_count = -1;\n", field->name);
            }
        } else if (field->type == TYPE_STRUCT) {
            if (!is_pointer(field)) {
                fprintf(file, "%s_init(&m->%s);\n", field->structure->name, field->name);
            }
        } else if (field->type >= TYPE_STRING) {
            if (default_is_null(field)) {
                fprintf(file, "m->%s.size = -1;\n", field->name);
            }
        } else if (field->type != TYPE_UUID && field->type != TYPE_FLOAT64 && strcmp(default_number(field), "0") != 0 &&
                   strcmp(default_number(field), "false") != 0) {
            fprintf(file, "m->%s = %s;\n", field->name, default_number(field));
        }
    }
    fprintf(file, "}\n");
}

static void emit_is_default(FILE *file, const struct structure *structure) {
    fprintf(file, "\nstatic bool is_default_%s(const struct %s *m) {\n    return ", structure->name, structure->name);
    for (int i = 0; i < structure->field_count; i++) {
        fprintf(file, "%s%s", i > 0 ? " && " : "", default_test(&structure->fields[i]));
    }
    fprintf(file, ";\n}\n");
}

/* ---- Decode ---- */

static int size_min(const struct message *message, const struct structure *structure, int version) {
    bool is_flexible = version >= message->flexible_first;
    int size = is_flexible ? 1 : 0;
    for (int i = 0; i < structure->field_count; i++) {
        const struct field *field = &structure->fields[i];
        if (!range_has(field->versions, version) || field->tag >= 0) {
            continue;
        }
        if (field->is_list) {
            size += is_flexible ? 1 : 4;
        } else if (is_pointer(field)) {
            size += 1;
        } else if (field->type == TYPE_STRUCT) {
            size += size_min(message, field->structure, version);
        } else {
            size += is_flexible && !field->is_classic ? type_rows[field->type].size_flexible
                                                      : type_rows[field->type].size_classic;
        }
    }
    return size;
}

/* Least wire sizes by version; 1 where the struct is not on the wire at all. */
static void emit_size_min(FILE *file, const struct message *message, const struct structure *structure) {
    fprintf(file, "\nstatic const uint16_t size_min_%s[] = {", structure->name);
    for (int version = message->versions.first; version <= message->versions.last; version++) {
        int size = size_min(message, structure, version);
        fprintf(file, "%s%d", version > message->versions.first ? ", " : "", size > 0 ? size : 1);
    }
    fprintf(file, "};\n");
}

static void emit_decode_value(const struct output *output, const struct field *field, const char *to) {
    const char *codec = type_rows[field->type].codec;
    if (field->type < TYPE_STRING) {
        fprintf(output->file, "%s = decode_%s(d);\n", to, codec);
    } else {
        fprintf(output->file, "%s = decode_%s%s(d, %s);\n", to, field->is_classic ? "classic_" : "", codec,
                field->is_list ? "false" : null_condition(output, field));
    }
}

static void emit_decode_list(const struct output *output, const struct field *field) {
    char element[512];
    snprintf(element, sizeof element, "ret->%s[i]", field->name);
    fprintf(output->file, "ret->%s = decode_list(d, %s, ", field->name, null_condition(output, field));
    if (field->type == TYPE_STRUCT) {
        if (output->message->versions.first == 0) {
            fprintf(output->file, "size_min_%s[d->version]", field->structure->name);
        } else {
            fprintf(output->file, "size_min_%s[d->version - %d]", field->structure->name,
                    output->message->versions.first);
        }
    } else if (type_rows[field->type].size_classic == type_rows[field->type].size_flexible) {
        fprintf(output->file, "%d", type_rows[field->type].size_classic);
    } else {
        fprintf(output->file, "d->is_flexible ? %d : %d", type_rows[field->type].size_flexible,
                type_rows[field->type].size_classic);
    }
    fprintf(output->file, ", sizeof *ret->%s, &ret->%s_count);\n", field->name, field->name);
    fprintf(output->file, "for (int32_t i = 0; i < ret->%s_count && !d->r->failed; i++) {\n", field->name);
    if (field->type == TYPE_STRUCT) {
        fprintf(output->file, "decode_%s(d, &%s);\n", field->structure->name, element);
    } else {
        emit_decode_value(output, field, element);
    }
    fprintf(output->file, "}\n");
}

static void emit_decode_field(const struct output *output, const struct field *field) {
    if (field->is_list) {
        emit_decode_list(output, field);
    } else if (is_pointer(field)) {
        fprintf(output->file, "if (decode_%spresence(d, %s)) {\n", field->tag >= 0 ? "tagged_" : "",
                null_condition(output, field));
        fprintf(output->file, "ret->%s = decode_allocate(d, sizeof *ret->%s);\n", field->name, field->name);
        fprintf(output->file, "if (ret->%s != NULL) {\n", field->name);
        fprintf(output->file, "decode_%s(d, ret->%s);\n    }\n    }\n", field->structure->name, field->name);
    } else if (field->type == TYPE_STRUCT) {
        fprintf(output->file, "decode_%s(d, &ret->%s);\n", field->structure->name, field->name);
    } else {
        char to[512];
        snprintf(to, sizeof to, "ret->%s", field->name);
        emit_decode_value(output, field, to);
    }
}

static void emit_decode_tags(const struct output *output, const struct structure *structure) {
    FILE *file = output->file;
    if (output->message->flexible_first == NEVER) {
        return;
    }
    fprintf(file, "if (d->is_flexible) {\n");
    if (!has_tags(structure)) {
        fprintf(file, "decode_tags_skip(d);\n    }\n");
        return;
    }
    fprintf(file, "struct tag_walk walk = decode_tags_begin(d);\n    while (decode_tags_next(d, &walk)) {\n    ");
    for (int i = 0; i < structure->field_count; i++) {
        const struct field *field = &structure->fields[i];
        if (field->tag >= 0) {
            /* Tags need a flexible version; where a tag begins with those, the version need not be asked again. */
            struct range flexible = {output->message->flexible_first, output->message->versions.last};
            const char *test = condition(output, field->versions, flexible);
            bool is_always = strcmp(test, "true") == 0;
            fprintf(file, "if (walk.tag == %d%s%s) {\n", field->tag, is_always ? "" : " && ", is_always ? "" : test);
            emit_decode_field(output, field);
            fprintf(file, "decode_tag_end(d, &walk);\n    } else ");
        }
    }
    fprintf(file, "{\n    decode_tag_unknown(d, &walk);\n    }\n    }\n    }\n");
}

static void emit_decode_struct(const struct output *output, const struct structure *structure) {
    FILE *file = output->file;
    fprintf(file, "\nstatic void decode_%s(struct decoder *d, struct %s *ret) {\n", structure->name, structure->name);
    fprintf(file, "%s_init(ret);\n", structure->name);
    char open[128] = "true";
    for (int i = 0; i < structure->field_count; i++) {
        const struct field *field = &structure->fields[i];
        const char *test = field_condition(output, field);
        if (field->tag >= 0 || strcmp(test, "false") == 0) {
            continue;
        }
        if (strcmp(test, open) != 0) {
            fprintf(file, "%s", strcmp(open, "true") != 0 ? "    }\n" : "");
            if (strcmp(test, "true") != 0) {
                fprintf(file, "if (%s) {\n", test);
            }
            snprintf(open, sizeof open, "%s", test);
        }
        emit_decode_field(output, field);
    }
    fprintf(file, "%s", strcmp(open, "true") != 0 ? "    }\n" : "");
    emit_decode_tags(output, structure);
    if (structure->field_count == 0 && output->message->flexible_first == NEVER) {
        fprintf(file, "(void)d;\n");
    }
    fprintf(file, "}\n");
}

/* ---- Encode ---- */

static void emit_encode_value(const struct output *output, const struct field *field, const char *from) {
    const char *codec = type_rows[field->type].codec;
    if (field->type < TYPE_STRING) {
        bool is_error = field->type == TYPE_INT16 && strcmp(field->name, "error_code") == 0;
        fprintf(output->file, "encode_%s(e, %s);\n", is_error ? "error_code" : codec, from);
    } else {
        fprintf(output->file, "encode_%s%s(e, %s%s, %s);\n", field->is_classic ? "classic_" : "", codec,
                field->type == TYPE_RECORDS ? "&" : "", from, field->is_list ? "false" : null_condition(output, field));
    }
}

static void emit_encode_field(const struct output *output, const struct field *field) {
    FILE *file = output->file;
    char from[512];
    if (field->is_list) {
        fprintf(file, "encode_count(e, m->%s_count, %s);\n", field->name, null_condition(output, field));
        fprintf(file, "for (int32_t i = 0; i < m->%s_count; i++) {\n", field->name);
        snprintf(from, sizeof from, "m->%s[i]", field->name);
        if (field->type == TYPE_STRUCT) {
            fprintf(file, "encode_%s(e, &%s);\n", field->structure->name, from);
        } else {
            emit_encode_value(output, field, from);
        }
        fprintf(file, "}\n");
    } else if (is_pointer(field)) {
        fprintf(file, "encode_presence(e, m->%s != NULL, %s);\n", field->name, null_condition(output, field));
        fprintf(file, "if (m->%s != NULL) {\n", field->name);
        fprintf(file, "encode_%s(e, m->%s);\n    }\n", field->structure->name, field->name);
    } else if (field->type == TYPE_STRUCT) {
        fprintf(file, "encode_%s(e, &m->%s);\n", field->structure->name, field->name);
    } else {
        snprintf(from, sizeof from, "m->%s", field->name);
        emit_encode_value(output, field, from);
    }
}

static void emit_default_checks(FILE *file, const struct structure *structure, int first, int last) {
    for (int i = first; i < last; i++) {
        if (!structure->fields[i].is_ignorable) {
            fprintf(file, "CHECK(%s);\n", default_test(&structure->fields[i]));
        }
    }
}

/* Fields [first, last) share one condition: their bytes under it, and otherwise the CHECK that nothing is lost. */
static void emit_encode_group(const struct output *output, const struct structure *structure, int first, int last,
                              const char *test) {
    FILE *file = output->file;
    bool is_always = strcmp(test, "true") == 0;
    bool is_never = strcmp(test, "false") == 0;
    bool has_bytes = false;
    bool has_checks = false;
    for (int i = first; i < last; i++) {
        has_bytes |= !is_never && structure->fields[i].tag < 0;
        has_checks |= !is_always && !structure->fields[i].is_ignorable;
    }
    if (has_bytes && !is_always) {
        fprintf(file, "if (%s) {\n", test);
    }
    for (int i = first; i < last && has_bytes; i++) {
        if (structure->fields[i].tag < 0) {
            emit_encode_field(output, &structure->fields[i]);
        }
    }
    if (has_bytes && has_checks) {
        fprintf(file, "} else {\n");
    } else if (has_checks) {
        fprintf(file, "if (!(%s)) {\n", test);
    }
    if (has_checks) {
        emit_default_checks(file, structure, first, last);
    }
    if (has_checks || (has_bytes && !is_always)) {
        fprintf(file, "}\n");
    }
}

static void emit_encode_payloads(const struct output *output, const struct structure *structure) {
    for (int i = 0; i < structure->field_count; i++) {
        const struct field *field = &structure->fields[i];
        if (field->tag >= 0) {
            fprintf(output->file, "\nstatic void encode_%s_tag_%d(struct encoder *e, const void *message) {\n",
                    structure->name, field->tag);
            fprintf(output->file, "const struct %s *m = message;\n", structure->name);
            emit_encode_field(output, field);
            fprintf(output->file, "}\n");
        }
    }
}

/* Tagged fields by rising tag, as KIP-482 wants them. */
static void emit_encode_tags(const struct output *output, const struct structure *structure) {
    FILE *file = output->file;
    if (output->message->flexible_first == NEVER) {
        return;
    }
    fprintf(file, "if (e->is_flexible) {\n");
    if (!has_tags(structure)) {
        fprintf(file, "encode_uvarint(e, 0);\n    }\n");
        return;
    }
    const struct field *by_tag[FIELDS_MAX] = {NULL};
    for (int i = 0; i < structure->field_count; i++) {
        if (structure->fields[i].tag >= 0) {
            by_tag[structure->fields[i].tag] = &structure->fields[i];
        }
    }
    fprintf(file, "uint32_t tags = 0;\n");
    for (int pass = 0; pass < 2; pass++) {
        for (int tag = 0; tag < FIELDS_MAX && by_tag[tag] != NULL; tag++) {
            struct range flexible = {output->message->flexible_first, output->message->versions.last};
            const char *test = condition(output, by_tag[tag]->versions, flexible);
            bool is_always = strcmp(test, "true") == 0;
            fprintf(file, "if (%s%s!(%s)) {\n    ", is_always ? "" : test, is_always ? "" : " && ",
                    default_test(by_tag[tag]));
            if (pass == 0) {
                fprintf(file, "tags++;\n    }\n");
            } else {
                fprintf(file, "encode_tag(e, %d, encode_%s_tag_%d, m);\n    }\n", tag, structure->name, tag);
            }
        }
        fprintf(file, "%s", pass == 0 ? "encode_uvarint(e, tags);\n" : "");
    }
    fprintf(file, "}\n");
}

static void emit_encode_struct(const struct output *output, const struct structure *structure) {
    FILE *file = output->file;
    emit_encode_payloads(output, structure);
    fprintf(file, "\nstatic void encode_%s(struct encoder *e, const struct %s *m) {\n", structure->name,
            structure->name);
    for (int first = 0; first < structure->field_count;) {
        char test[128];
        snprintf(test, sizeof test, "%s", field_condition(output, &structure->fields[first]));
        int last = first + 1;
        while (last < structure->field_count && strcmp(test, field_condition(output, &structure->fields[last])) == 0) {
            last++;
        }
        emit_encode_group(output, structure, first, last, test);
        first = last;
    }
    emit_encode_tags(output, structure);
    if (structure->field_count == 0) {
        fprintf(file, "(void)m;\n");
    }
    fprintf(file, "}\n");
}

/* ---- The whole ---- */

static void emit_public(const struct output *output) {
    const struct message *message = output->message;
    const char *name = message->name;
    FILE *file = output->file;
    char flexible[64] = "false";
    if (message->flexible_first <= message->versions.first) {
        snprintf(flexible, sizeof flexible, "true");
    } else if (message->flexible_first != NEVER) {
        snprintf(flexible, sizeof flexible, "version >= %d", message->flexible_first);
    }
    fprintf(file, "\nint %s_decode(struct reader *r, int16_t version, struct arena *arena, struct %s *ret) {\n", name,
            name);
    fprintf(file, "CHECK(version >= %s_VERSION_MIN && version <= %s_VERSION_MAX);\n", upper(name), upper(name));
    fprintf(file, "struct decoder d = decoder_of(r, version, %s, arena);\n    decode_%s(&d, ret);\n", flexible, name);
    fprintf(file, "return decoder_result(&d);\n}\n");
    fprintf(file, "\nvoid %s_encode(const struct %s *m, int16_t version, struct encoder *e) {\n", name, name);
    fprintf(file, "CHECK(version >= %s_VERSION_MIN && version <= %s_VERSION_MAX);\n", upper(name), upper(name));
    fprintf(file, "e->version = version;\n    e->is_flexible = %s;\n    encode_%s(e, m);\n}\n", flexible, name);
    fprintf(file, "\nsize_t %s_encoded_size(const struct %s *m, int16_t version) {\n", name, name);
    fprintf(file, "struct encoder e = encoder_counting();\n    %s_encode(m, version, &e);\n", name);
    fprintf(file, "return e.counted;\n}\n");
}

static void emit_source(const struct schema *schema, const char *directory) {
    FILE *file = open_output(directory, schema->base, ".c");
    fprintf(file,
            "/* Generated from broker/protocol/schema/%s.schema. */\n#include \"generated/protocol/%s.h\"\n\n"
            "#include \"broker/base/check.h\"\n",
            schema->base, schema->base);
    for (int i = 0; i < schema->message_count; i++) {
        const struct message *message = &schema->messages[i];
        for (int s = message->structure_count - 1; s >= 0; s--) {
            const struct structure *structure = message->structures[s];
            struct output output = {.file = file, .message = message, .coder = "d"};
            emit_init(file, structure);
            if (structure->is_compared) {
                emit_is_default(file, structure);
            }
            if (structure->is_element) {
                emit_size_min(file, message, structure);
            }
            emit_decode_struct(&output, structure);
            output.coder = "e";
            emit_encode_struct(&output, structure);
        }
        struct output output = {.file = file, .message = message, .coder = "e"};
        emit_public(&output);
    }
    close_output(file);
}

#endif
