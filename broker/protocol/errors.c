/* Lookups in the table of Kafka's error codes. */
#include "broker/protocol/errors.h"

const char *kafka_error_name(int16_t code) {
    switch (code) {
#define X(number, constant, name, retriable)                                                                           \
    case number: return name;
        KAFKA_ERRORS(X)
#undef X
    default: return "UNKNOWN_SERVER_ERROR";
    }
}

bool kafka_error_is_retriable(int16_t code) {
    switch (code) {
#define X(number, constant, name, retriable)                                                                           \
    case number: return retriable;
        KAFKA_ERRORS(X)
#undef X
    default: return false;
    }
}
