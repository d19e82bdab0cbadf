/* What the tools say besides their results: log lines in Kafka's layout on stderr, and failures in the words that
 * Kafka's tools use (an exception class of Java and its message, because scripts grep for both). */
#ifndef OTTLA_TOOLS_REPORT_H
#define OTTLA_TOOLS_REPORT_H

#include <stdarg.h>
#include <stdint.h>

#include "broker/base/slice.h"

/* Why something failed. Zero-initialised is "nothing failed". */
struct failure {
    char *class_name; /* "org.apache.kafka.common.errors.TimeoutException" */
    char *text;       /* never NULL once set; may be empty */
    int16_t code;     /* the Kafka error code it came from, else 0 */
};

/* "[2024-11-01 10:00:00,123] WARN text (logger)" on stderr. */
void report_log(const char *level, const char *logger, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Replaces what the failure held. A class name without a dot gets Kafka's package of errors before it. Always returns
 * ERR_INVALID, so that a check can end with `return failure_set(...)`. */
int failure_set(struct failure *failure, const char *class_name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* From an error code of a broker's answer; `message` may be null, then the code's own text is used. */
int failure_set_code(struct failure *failure, int16_t code, struct str message);
void failure_clear(struct failure *failure);

#endif
