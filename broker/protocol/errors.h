/* Kafka's error codes: what a client is told. Data, never control flow of ours (those are base/errors.h). */
#ifndef OTTLA_PROTOCOL_ERRORS_H
#define OTTLA_PROTOCOL_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/protocol/errors.tbl.h"

enum kafka_error {
#define X(code, constant, name, retriable) constant = code,
    KAFKA_ERRORS(X)
#undef X
};

/* "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN_SERVER_ERROR" for a code that is not in the table, as Kafka does. */
const char *kafka_error_name(int16_t code);
bool kafka_error_is_retriable(int16_t code);

#endif
