/* Lookup in the table of Kafka's error codes. */
#include "broker/protocol/errors.h"

#include <stddef.h>

#include "broker/base/check.h"

struct error_row {
    int16_t code;
    bool is_retriable;
    const char *name;
    const char *exception;
    const char *text;
};

#define EXCEPTION_OF(exception) (sizeof(exception) == 1 ? "" : "org.apache.kafka.common.errors." exception)

static const struct error_row rows[] = {
#define KAFKA_ERROR(constant, number, name, is_retriable, exception, text)                                             \
    {number, is_retriable, name, EXCEPTION_OF(exception), text},
#include "broker/protocol/errors.tbl.h"
#undef KAFKA_ERROR
};

/* The codes run without a gap from -1, so a code is its index but one. */
static const struct error_row *find_row(int16_t code) {
    size_t index = (size_t)(code + 1);
    if (code < -1 || index >= ARRAY_SIZE(rows)) {
        return &rows[0];
    }
    CHECK(rows[index].code == code);
    return &rows[index];
}

const char *kafka_error_name(int16_t code) {
    return find_row(code)->name;
}

const char *kafka_error_text(int16_t code) {
    return find_row(code)->text;
}

const char *kafka_error_exception(int16_t code) {
    return find_row(code)->exception;
}

bool kafka_error_is_retriable(int16_t code) {
    return find_row(code)->is_retriable;
}
