/* The index of all messages: messages.h with their X-macros, all.h with their headers. Part of generate.c. */
#ifndef OTTLA_PROTOCOL_GENERATE_INDEX_H
#define OTTLA_PROTOCOL_GENERATE_INDEX_H

#include "broker/protocol/generate/emit.h"

#define SCHEMAS_MAX 256

static int flexible_or_minus_one(const struct message *message) {
    return message->flexible_first == NEVER ? -1 : message->flexible_first;
}

static int compare_keys(const void *a, const void *b) {
    const struct schema *const *left = a;
    const struct schema *const *right = b;
    return (*left)->messages[0].api_key - (*right)->messages[0].api_key;
}

static void emit_api_rows(FILE *file, struct schema **schemas, int count) {
    fprintf(file, "\n/* X(ENUM_NAME, c_name, \"KafkaName\", key, version_min, version_max, flexible_min or -1) */\n"
                  "#define API_LIST(X)");
    for (int i = 0; i < count; i++) {
        const struct message *request = &schemas[i]->messages[0];
        if (request->api_key < 0) {
            continue;
        }
        const struct message *response = &schemas[i]->messages[1];
        if (schemas[i]->message_count != 2 || !request->is_request || response->is_request ||
            memcmp(&request->versions, &response->versions, sizeof request->versions) != 0 ||
            request->flexible_first != response->flexible_first) {
            die("%s: request and response do not match", schemas[i]->base);
        }
        fprintf(file, " \\\n    X(API_%s, %s, \"%s\", %d, %d, %d, %d)", upper(request->api_name), request->api_name,
                request->kafka_name, request->api_key, request->versions.first, request->versions.last,
                flexible_or_minus_one(request));
    }
    fprintf(file, "\n");
}

static void emit_message_rows(FILE *file, struct schema **schemas, int count) {
    fprintf(file, "\n/* X(c_name, api_key or -1, is_request, version_min, version_max, flexible_min or -1) */\n"
                  "#define MESSAGE_LIST(X)");
    for (int i = 0; i < count; i++) {
        for (int m = 0; m < schemas[i]->message_count; m++) {
            const struct message *message = &schemas[i]->messages[m];
            fprintf(file, " \\\n    X(%s, %d, %s, %d, %d, %d)", message->name, message->api_key,
                    message->is_request ? "true" : "false", message->versions.first, message->versions.last,
                    flexible_or_minus_one(message));
        }
    }
    fprintf(file, "\n");
}

static void emit_index(const char *directory, char **paths, int count) {
    static struct schema *schemas[SCHEMAS_MAX];
    if (count > SCHEMAS_MAX) {
        die("more than %d schemas", SCHEMAS_MAX);
    }
    for (int i = 0; i < count; i++) {
        schemas[i] = allocate(sizeof *schemas[i]);
        parse_schema(schemas[i], paths[i]);
    }
    qsort(schemas, (size_t)count, sizeof schemas[0], compare_keys);
    FILE *file = open_output(directory, "messages", ".h");
    fprintf(file, "/* Generated from broker/protocol/schema: every message and every API. */\n"
                  "#ifndef OTTLA_GENERATED_MESSAGES_H\n#define OTTLA_GENERATED_MESSAGES_H\n");
    emit_api_rows(file, schemas, count);
    emit_message_rows(file, schemas, count);
    fprintf(file, "\n#endif\n");
    close_output(file);
    file = open_output(directory, "all", ".h");
    fprintf(file, "/* Generated: the headers of all messages. */\n#ifndef OTTLA_GENERATED_ALL_H\n"
                  "#define OTTLA_GENERATED_ALL_H\n\n");
    for (int i = 0; i < count; i++) {
        fprintf(file, "#include \"generated/protocol/%s.h\"\n", schemas[i]->base);
    }
    fprintf(file, "\n#endif\n");
    close_output(file);
}

#endif
