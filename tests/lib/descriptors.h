/* The schemas as tables: what a message holds and how it travels, for tests that check the generated code by other
 * means. The tables are generated (broker/protocol/generate/descriptors.h). */
#ifndef OTTLA_TESTS_DESCRIPTORS_H
#define OTTLA_TESTS_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
    FIELD_BOOL,
    FIELD_INT8,
    FIELD_INT16,
    FIELD_INT32,
    FIELD_INT64,
    FIELD_FLOAT64,
    FIELD_UUID,
    FIELD_STRING,
    FIELD_BYTES,
    FIELD_RECORDS,
    FIELD_STRUCT
};

struct struct_descriptor;

struct field_descriptor {
    const char *name;
    enum field_kind kind;
    bool is_list;
    bool is_pointer; /* a nullable struct */
    bool is_ignorable;
    bool is_classic; /* classic length even in flexible versions */
    bool default_is_null;
    int64_t default_number;
    size_t offset;
    size_t count_offset; /* of a list */
    const struct struct_descriptor *structure;
    int version_first;
    int version_last;
    int null_first; /* last < first for what is never null */
    int null_last;
    int tag; /* -1 for none */
};

struct struct_descriptor {
    const char *name;
    size_t size;
    const struct field_descriptor *fields;
    int field_count;
};

/* In the order of message_types[] (broker/protocol/message_types.h). */
extern const struct struct_descriptor *const message_descriptors[];

#endif
