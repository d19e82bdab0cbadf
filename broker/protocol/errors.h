/* Kafka's error codes: what a client is told. They are data in answers; operating errors are base/errors.h. */
#ifndef OTTLA_PROTOCOL_ERRORS_H
#define OTTLA_PROTOCOL_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

enum kafka_error {
#define KAFKA_ERROR(constant, number, name, is_retriable, exception, text) constant = number,
#include "broker/protocol/errors.tbl.h"
#undef KAFKA_ERROR
};

/* "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN_SERVER_ERROR" for a code the table lacks, as Kafka reads those. */
const char *kafka_error_name(int16_t code);
/* One sentence for people. */
const char *kafka_error_text(int16_t code);
/* "org.apache.kafka.common.errors.NotLeaderOrFollowerException", as Kafka's tools print it; "" for NONE. */
const char *kafka_error_exception(int16_t code);
/* Whether the same request may succeed later. */
bool kafka_error_is_retriable(int16_t code);

#endif
