/* Diagnostics: log lines in Kafka's layout, "[2024-11-01 10:00:00,123] INFO text (area)".
 *
 * "Log" is the record log in this project, so these are traces. Wording is stable: tests read it. One failure is one
 * line, written by whoever decides what to do about it. */
#ifndef OTTLA_BASE_TRACE_H
#define OTTLA_BASE_TRACE_H

#include <stdint.h>

enum trace_level { TRACE_DEBUG, TRACE_INFO, TRACE_WARN, TRACE_ERROR, TRACE_FATAL };

/* Where finished lines go, without their newline. The default writes to stdout. Thread-safe sinks only. */
typedef void trace_sink(enum trace_level level, const char *line, void *context);

void trace_set_level(enum trace_level level_min);
void trace_set_sink(trace_sink *sink, void *context); /* NULL restores the default */
/* Wall clock used for the stamp; NULL restores gettimeofday. The simulator sets its own. */
void trace_set_wall_clock(int64_t (*wall_ms)(void *context), void *context);
void trace_line(enum trace_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define trace_debug(area, ...) trace_line(TRACE_DEBUG, area, __VA_ARGS__)
#define trace_info(area, ...) trace_line(TRACE_INFO, area, __VA_ARGS__)
#define trace_warn(area, ...) trace_line(TRACE_WARN, area, __VA_ARGS__)
#define trace_error(area, ...) trace_line(TRACE_ERROR, area, __VA_ARGS__)
#define trace_fatal(area, ...) trace_line(TRACE_FATAL, area, __VA_ARGS__)

#endif
