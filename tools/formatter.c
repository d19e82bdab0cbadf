/* The default formatter and its relatives; those for the internal topics are in internal_records.c. */
#include "tools/formatter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/internal_records.h"
#include "tools/java_number.h"

#define PACKAGE "org.apache.kafka.tools.consumer."
#define SERIALIZATION "org.apache.kafka.common.serialization."

enum kind {
    KIND_DEFAULT,
    KIND_LOGGING,
    KIND_NO_OP,
    KIND_OFFSETS,
    KIND_GROUPS,
    KIND_TRANSACTIONS,
    KIND_OLD_OFFSETS,
    KIND_OLD_GROUPS,
    KIND_OLD_TRANSACTIONS,
};

static const struct {
    const char *name;
    enum kind kind;
    const char *successor; /* set for names that are on their way out */
} classes[] = {
    {PACKAGE "DefaultMessageFormatter", KIND_DEFAULT, NULL},
    {PACKAGE "LoggingMessageFormatter", KIND_LOGGING, NULL},
    {PACKAGE "NoOpMessageFormatter", KIND_NO_OP, NULL},
    {PACKAGE "OffsetsMessageFormatter", KIND_OFFSETS, NULL},
    {PACKAGE "GroupMetadataMessageFormatter", KIND_GROUPS, NULL},
    {PACKAGE "TransactionLogMessageFormatter", KIND_TRANSACTIONS, NULL},
    {"kafka.tools.DefaultMessageFormatter", KIND_DEFAULT, PACKAGE "DefaultMessageFormatter"},
    {"kafka.tools.LoggingMessageFormatter", KIND_LOGGING, PACKAGE "LoggingMessageFormatter"},
    {"kafka.tools.NoOpMessageFormatter", KIND_NO_OP, PACKAGE "NoOpMessageFormatter"},
    {"kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter", KIND_OLD_OFFSETS,
     PACKAGE "OffsetsMessageFormatter"},
    {"kafka.coordinator.group.GroupMetadataManager$GroupMetadataMessageFormatter", KIND_OLD_GROUPS,
     PACKAGE "GroupMetadataMessageFormatter"},
    {"kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter", KIND_OLD_TRANSACTIONS,
     PACKAGE "TransactionLogMessageFormatter"},
};

enum deserializer {
    DESERIALIZE_BYTES,
    DESERIALIZE_SHORT,
    DESERIALIZE_INTEGER,
    DESERIALIZE_LONG,
    DESERIALIZE_FLOAT,
    DESERIALIZE_DOUBLE,
    DESERIALIZE_BOOLEAN,
    DESERIALIZE_VOID,
};

static const struct {
    const char *name;
    enum deserializer deserializer;
} deserializers[] = {
    {SERIALIZATION "StringDeserializer", DESERIALIZE_BYTES},
    {SERIALIZATION "ByteArrayDeserializer", DESERIALIZE_BYTES},
    {SERIALIZATION "BytesDeserializer", DESERIALIZE_BYTES},
    {SERIALIZATION "ByteBufferDeserializer", DESERIALIZE_BYTES},
    {SERIALIZATION "ShortDeserializer", DESERIALIZE_SHORT},
    {SERIALIZATION "IntegerDeserializer", DESERIALIZE_INTEGER},
    {SERIALIZATION "LongDeserializer", DESERIALIZE_LONG},
    {SERIALIZATION "FloatDeserializer", DESERIALIZE_FLOAT},
    {SERIALIZATION "DoubleDeserializer", DESERIALIZE_DOUBLE},
    {SERIALIZATION "BooleanDeserializer", DESERIALIZE_BOOLEAN},
    {SERIALIZATION "VoidDeserializer", DESERIALIZE_VOID},
};

struct formatter {
    enum kind kind;
    bool print_timestamp;
    bool print_key;
    bool print_value;
    bool print_partition;
    bool print_offset;
    bool print_headers;
    const char *key_separator;
    const char *line_separator;
    const char *headers_separator;
    const char *null_literal;
    enum deserializer key;
    enum deserializer value;
    enum deserializer headers;
    char *buffer; /* a record is put together here, so that a refused value prints nothing */
    size_t buffer_size;
};

static int find_deserializer(const struct property_list *properties, const char *key, enum deserializer *ret,
                             struct failure *failure) {
    const char *name = property_list_get(properties, key);
    *ret = DESERIALIZE_BYTES;
    if (name == NULL || *name == '\0') {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(deserializers); i++) {
        if (strcmp(name, deserializers[i].name) == 0) {
            *ret = deserializers[i].deserializer;
            return 0;
        }
    }
    failure_set(failure, "java.lang.ClassNotFoundException", "%s", name);
    return ERR_NOT_FOUND;
}

static const char *property_or(const struct property_list *properties, const char *key, const char *fallback) {
    const char *value = property_list_get(properties, key);
    return value != NULL ? value : fallback;
}

int formatter_create(const char *class_name, const struct property_list *properties, struct formatter **ret_formatter,
                     struct failure *failure) {
    size_t found = 0;
    if (class_name != NULL) {
        while (found < ARRAY_SIZE(classes) && strcmp(classes[found].name, class_name) != 0) {
            found++;
        }
    }
    if (found == ARRAY_SIZE(classes)) {
        failure_set(failure, "java.lang.ClassNotFoundException", "%s", class_name);
        return ERR_NOT_FOUND;
    }
    if (classes[found].successor != NULL) {
        fprintf(stderr,
                "WARNING: %s is deprecated and will be removed in the next major release. Please use %s instead\n",
                class_name, classes[found].successor);
    }
    struct formatter formatter = {
        .kind = classes[found].kind,
        .print_timestamp = property_list_bool(properties, "print.timestamp", false),
        .print_key = property_list_bool(properties, "print.key", false),
        .print_value = property_list_bool(properties, "print.value", true),
        .print_partition = property_list_bool(properties, "print.partition", false),
        .print_offset = property_list_bool(properties, "print.offset", false),
        .print_headers = property_list_bool(properties, "print.headers", false),
        .key_separator = property_or(properties, "key.separator", "\t"),
        .line_separator = property_or(properties, "line.separator", "\n"),
        .headers_separator = property_or(properties, "headers.separator", ","),
        .null_literal = property_or(properties, "null.literal", "null"),
    };
    int error = find_deserializer(properties, "key.deserializer", &formatter.key, failure);
    error = error != 0 ? error : find_deserializer(properties, "value.deserializer", &formatter.value, failure);
    /* Kafka's help names the first, its code reads the second. */
    error = error != 0 ? error : find_deserializer(properties, "header.deserializer", &formatter.headers, failure);
    if (error == 0 && formatter.headers == DESERIALIZE_BYTES) {
        error = find_deserializer(properties, "headers.deserializer", &formatter.headers, failure);
    }
    if (error != 0) {
        return error;
    }
    *ret_formatter = xmalloc(sizeof **ret_formatter);
    **ret_formatter = formatter;
    return 0;
}

void formatter_destroy(struct formatter *formatter) {
    if (formatter != NULL) {
        free(formatter->buffer);
        free(formatter);
    }
}

static int check_size(int32_t size, int32_t wanted, const char *name, struct failure *failure) {
    return size == wanted
               ? 0
               : failure_set(failure, "SerializationException", "Size of data received by %s is not %d", name, wanted);
}

static int write_number(enum deserializer deserializer, struct slice bytes, FILE *out, struct failure *failure) {
    char text[JAVA_DOUBLE_SIZE];
    int error = 0;
    switch (deserializer) {
    case DESERIALIZE_SHORT:
        error = check_size(bytes.size, 2, "ShortDeserializer", failure);
        error == 0 ? fprintf(out, "%d", load_i16(bytes.data)) : 0;
        break;
    case DESERIALIZE_INTEGER:
        error = check_size(bytes.size, 4, "IntegerDeserializer", failure);
        error == 0 ? fprintf(out, "%d", load_i32(bytes.data)) : 0;
        break;
    case DESERIALIZE_LONG:
        error = check_size(bytes.size, 8, "LongDeserializer", failure);
        error == 0 ? fprintf(out, "%" PRId64, load_i64(bytes.data)) : 0;
        break;
    case DESERIALIZE_FLOAT:
        error = check_size(bytes.size, 4, "Deserializer", failure);
        if (error == 0) {
            uint32_t bits = load_u32(bytes.data);
            float value;
            memcpy(&value, &bits, sizeof value);
            java_float_format(value, text);
            fputs(text, out);
        }
        break;
    case DESERIALIZE_DOUBLE:
        error = check_size(bytes.size, 8, "Deserializer", failure);
        if (error == 0) {
            uint64_t bits = load_u64(bytes.data);
            double value;
            memcpy(&value, &bits, sizeof value);
            java_double_format(value, text);
            fputs(text, out);
        }
        break;
    case DESERIALIZE_BOOLEAN:
        error = check_size(bytes.size, 1, "BooleanDeserializer", failure);
        error == 0 ? fputs(bytes.data[0] != 0 ? "true" : "false", out) : 0;
        break;
    case DESERIALIZE_VOID:
    case DESERIALIZE_BYTES: break;
    }
    return error;
}

static int write_field(const struct formatter *formatter, enum deserializer deserializer, struct slice bytes, FILE *out,
                       struct failure *failure) {
    if (bytes.size < 0) {
        bytes = (struct slice){(const uint8_t *)formatter->null_literal, (int32_t)strlen(formatter->null_literal)};
    }
    if (deserializer == DESERIALIZE_BYTES) {
        fwrite(bytes.data, 1, (size_t)bytes.size, out);
        return 0;
    }
    return write_number(deserializer, bytes, out, failure);
}

static int write_headers(const struct formatter *formatter, const struct consumer_record *record, FILE *out,
                         struct failure *failure) {
    if (record->header_count <= 0) {
        fputs("NO_HEADERS", out);
        return 0;
    }
    struct reader r = record->headers;
    int error = 0;
    for (int32_t i = 0; i < record->header_count && error == 0 && !r.failed; i++) {
        int32_t key_size = reader_varint(&r);
        const uint8_t *key = reader_take(&r, (size_t)MAX(key_size, 0));
        int32_t value_size = reader_varint(&r);
        const uint8_t *value = reader_take(&r, (size_t)MAX(value_size, 0));
        fprintf(out, "%s%.*s:", i > 0 ? formatter->headers_separator : "", MAX(key_size, 0),
                key == NULL ? "" : (const char *)key);
        error = write_field(formatter, formatter->headers, (struct slice){value, value_size}, out, failure);
    }
    return error;
}

/* Columns are separated; the line ends with the last one printed. */
static int write_default(const struct formatter *formatter, const struct consumer_record *record, FILE *out,
                         struct failure *failure) {
    const char *separator = "";
    int error = 0;
    if (formatter->print_timestamp) {
        static const char *const names[] = {
            [CONSUMER_CREATE_TIME] = "CreateTime", [CONSUMER_LOG_APPEND_TIME] = "LogAppendTime"};
        if (record->timestamp_type == CONSUMER_NO_TIMESTAMP) {
            fputs("NO_TIMESTAMP", out);
        } else {
            fprintf(out, "%s:%" PRId64, names[record->timestamp_type], record->timestamp_ms);
        }
        separator = formatter->key_separator;
    }
    if (formatter->print_partition) {
        fprintf(out, "%sPartition:%d", separator, record->partition);
        separator = formatter->key_separator;
    }
    if (formatter->print_offset) {
        fprintf(out, "%sOffset:%" PRId64, separator, record->offset);
        separator = formatter->key_separator;
    }
    if (formatter->print_headers) {
        fputs(separator, out);
        error = write_headers(formatter, record, out, failure);
        separator = formatter->key_separator;
    }
    if (formatter->print_key && error == 0) {
        fputs(separator, out);
        error = write_field(formatter, formatter->key, record->key, out, failure);
        separator = formatter->key_separator;
    }
    if (formatter->print_value && error == 0) {
        fputs(separator, out);
        error = write_field(formatter, formatter->value, record->value, out, failure);
    }
    bool is_empty = !formatter->print_timestamp && !formatter->print_partition && !formatter->print_offset &&
                    !formatter->print_headers && !formatter->print_key && !formatter->print_value;
    if (!is_empty && error == 0) {
        fputs(formatter->line_separator, out);
    }
    return error;
}

static int write_record(const struct formatter *formatter, const struct consumer_record *record, FILE *out,
                        struct failure *failure) {
    switch (formatter->kind) {
    case KIND_NO_OP: return 0;
    case KIND_OFFSETS: internal_write_json(INTERNAL_OFFSETS, record->key, record->value, out); return 0;
    case KIND_GROUPS: internal_write_json(INTERNAL_GROUPS, record->key, record->value, out); return 0;
    case KIND_TRANSACTIONS: internal_write_json(INTERNAL_TRANSACTIONS, record->key, record->value, out); return 0;
    case KIND_OLD_OFFSETS: internal_write_text(INTERNAL_OFFSETS, record->key, record->value, out); return 0;
    case KIND_OLD_GROUPS: internal_write_text(INTERNAL_GROUPS, record->key, record->value, out); return 0;
    case KIND_OLD_TRANSACTIONS: internal_write_text(INTERNAL_TRANSACTIONS, record->key, record->value, out); return 0;
    case KIND_DEFAULT:
    case KIND_LOGGING: break;
    }
    return write_default(formatter, record, out, failure);
}

int formatter_write(struct formatter *formatter, const struct consumer_record *record, FILE *out,
                    struct failure *failure) {
    FILE *memory = open_memstream(&formatter->buffer, &formatter->buffer_size);
    CHECK(memory != NULL);
    int error = write_record(formatter, record, memory, failure);
    fclose(memory);
    if (error == 0) {
        fwrite(formatter->buffer, 1, formatter->buffer_size, out);
    }
    free(formatter->buffer);
    formatter->buffer = NULL;
    return error;
}
