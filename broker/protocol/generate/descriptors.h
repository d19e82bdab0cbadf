/* The schemas as tables for tests (tests/lib/descriptors.h): with them a test can fill, encode and compare any message
 * by rules of its own, and so witness against the generated code. Part of generate.c. */
#ifndef OTTLA_PROTOCOL_GENERATE_DESCRIPTORS_H
#define OTTLA_PROTOCOL_GENERATE_DESCRIPTORS_H

#include "broker/protocol/generate/emit.h"

static void emit_range(FILE *file, const char *what, struct range range) {
    fprintf(file, "        .%s_first = %d,\n        .%s_last = %d,\n", what, range.first, what,
            range.last == INT_MAX ? 32767 : range.last);
}

static void emit_field_descriptor(FILE *file, const struct structure *structure, const struct field *field) {
    fprintf(file, "    {\n        .name = \"%s\",\n", field->name);
    fprintf(file, "        .kind = FIELD_%s,\n",
            field->type == TYPE_STRUCT ? "STRUCT" : upper(type_rows[field->type].schema));
    fprintf(file, "        .offset = offsetof(struct %s, %s),\n", structure->name, field->name);
    if (field->is_list) {
        fprintf(file, "        .is_list = true,\n        .count_offset = offsetof(struct %s, %s_count),\n",
                structure->name, field->name);
    }
    if (field->type == TYPE_STRUCT) {
        fprintf(file, "        .structure = &descriptor_%s,\n", field->structure->name);
        fprintf(file, "        .is_pointer = %s,\n", is_pointer(field) ? "true" : "false");
    } else if (field->type < TYPE_FLOAT64 && !field->is_list) {
        fprintf(file, "        .default_number = %s,\n", default_number(field));
    }
    emit_range(file, "version", field->versions);
    emit_range(file, "null", field->null_versions);
    fprintf(file, "        .tag = %d,\n", field->tag);
    fprintf(file, "        .is_ignorable = %s,\n", field->is_ignorable ? "true" : "false");
    fprintf(file, "        .is_classic = %s,\n", field->is_classic ? "true" : "false");
    fprintf(file, "        .default_is_null = %s,\n    },\n", default_is_null(field) ? "true" : "false");
}

static void emit_structure_descriptor(FILE *file, const struct structure *structure) {
    if (structure->field_count > 0) {
        fprintf(file, "static const struct field_descriptor fields_%s[] = {\n", structure->name);
        for (int i = 0; i < structure->field_count; i++) {
            emit_field_descriptor(file, structure, &structure->fields[i]);
        }
        fprintf(file, "};\n");
    }
    fprintf(file, "static const struct struct_descriptor descriptor_%s = {\n", structure->name);
    fprintf(file, "    .name = \"%s\",\n    .size = sizeof(struct %s),\n", structure->name, structure->name);
    if (structure->field_count > 0) {
        fprintf(file, "    .fields = fields_%s,\n", structure->name);
    }
    fprintf(file, "    .field_count = %d,\n};\n", structure->field_count);
}

static void emit_descriptors(const char *directory, char **paths, int count) {
    FILE *file = open_output(directory, "descriptors", ".c");
    fprintf(file, "/* Generated from broker/protocol/schema: the schemas as tables. */\n"
                  "#include \"tests/lib/descriptors.h\"\n\n#include <stddef.h>\n\n"
                  "#include \"generated/protocol/all.h\"\n#include \"generated/protocol/messages.h\"\n\n");
    for (int i = 0; i < count; i++) {
        struct schema *schema = allocate(sizeof *schema);
        parse_schema(schema, paths[i]);
        parse_file = output_path;
        for (int m = 0; m < schema->message_count; m++) {
            analyse(&schema->messages[m]);
            for (int s = schema->messages[m].structure_count - 1; s >= 0; s--) {
                emit_structure_descriptor(file, schema->messages[m].structures[s]);
            }
        }
    }
    fprintf(file, "const struct struct_descriptor *const message_descriptors[] = {\n"
                  "#define X(name, key, is_request, first, last, flexible) &descriptor_##name,\n"
                  "MESSAGE_LIST(X)\n#undef X\n};\n");
    close_output(file);
}

#endif
