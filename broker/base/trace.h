/* Diagnostics: log lines in Kafka's layout, "[2024-11-01 10:00:00,123] INFO text (area)".
 *
 * "Log" is the record log in this project, so these are traces. Wording is stable: tests read it. One failure is one
 * line, written by whoever decides what to do about it. */
#ifndef OTTLA_BASE_TRACE_H
#define OTTLA_BASE_TRACE_H

#include <stddef.h>
#include <stdint.h>

enum trace_level { TRACE_TRACE, TRACE_DEBUG, TRACE_INFO, TRACE_WARN, TRACE_ERROR, TRACE_FATAL };
#define TRACE_LEVEL_COUNT 6
#define TRACE_ROOT 0 /* the logger that all others follow unless they have a level of their own */

/* Where finished lines go, without their newline. The default writes to stdout. Thread-safe sinks only. */
typedef void trace_sink(enum trace_level level, const char *line, void *context);

/* "INFO" and so on; -1 for other text. */
const char *trace_level_name(enum trace_level level);
int trace_level_find(const char *name, size_t size);

/* Loggers are numbered from 0, see loggers.tbl.h; levels may be changed while others write lines. */
int trace_logger_count(void);
const char *trace_logger_name(int logger);
int trace_logger_find(const char *name, size_t size); /* -1: no such logger */
enum trace_level trace_logger_level(int logger);      /* its own, or root's */
void trace_logger_set(int logger, enum trace_level level_min);
void trace_logger_unset(int logger);              /* follows root again; not for root itself */
void trace_set_level(enum trace_level level_min); /* of root, and of all that have none of their own */

/* Lowest level at which any logger writes lines: what is below costs one comparison. */
extern _Atomic int trace_level_lowest;
void trace_set_sink(trace_sink *sink, void *context); /* NULL restores the default */
/* Wall clock used for the stamp; NULL restores gettimeofday. The simulator sets its own. */
void trace_set_wall_clock(int64_t (*wall_ms)(void *context), void *context);
void trace_line(enum trace_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define trace_debug(area, ...)                                                                                         \
    do {                                                                                                               \
        if (trace_level_lowest <= TRACE_DEBUG) {                                                                       \
            trace_line(TRACE_DEBUG, area, __VA_ARGS__);                                                                \
        }                                                                                                              \
    } while (0)
#define trace_info(area, ...) trace_line(TRACE_INFO, area, __VA_ARGS__)
#define trace_warn(area, ...) trace_line(TRACE_WARN, area, __VA_ARGS__)
#define trace_error(area, ...) trace_line(TRACE_ERROR, area, __VA_ARGS__)
#define trace_fatal(area, ...) trace_line(TRACE_FATAL, area, __VA_ARGS__)

#endif
