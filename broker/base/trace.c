/* Formats one line in a fixed buffer and hands it to the sink. */
#include "broker/base/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TRACE_LINE_MAX 4096

#define LEVEL_OF_ROOT (-1) /* no level of its own */

static const char *const level_names[TRACE_LEVEL_COUNT] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

static const char *const loggers[] = {
#define X(name) name,
#include "broker/base/loggers.tbl.h"
#undef X
};
#define LOGGER_COUNT ((int)(sizeof loggers / sizeof *loggers))

static _Atomic int levels[LOGGER_COUNT] = {[TRACE_ROOT] = TRACE_INFO, [1 ... LOGGER_COUNT - 1] = LEVEL_OF_ROOT};
_Atomic int trace_level_lowest = TRACE_INFO;

static trace_sink *sink;
static void *sink_context;
static int64_t (*wall_clock)(void *context);
static void *wall_context;

const char *trace_level_name(enum trace_level level) {
    return level_names[level];
}

static int find(const char *const *names, int count, const char *name, size_t size) {
    for (int i = 0; i < count; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) {
            return i;
        }
    }
    return -1;
}

int trace_level_find(const char *name, size_t size) {
    return find(level_names, TRACE_LEVEL_COUNT, name, size);
}

int trace_logger_count(void) {
    return LOGGER_COUNT;
}

const char *trace_logger_name(int logger) {
    return loggers[logger];
}

int trace_logger_find(const char *name, size_t size) {
    return find(loggers, LOGGER_COUNT, name, size);
}

enum trace_level trace_logger_level(int logger) {
    int level = levels[logger];
    return (enum trace_level)(level == LEVEL_OF_ROOT ? levels[TRACE_ROOT] : level);
}

static void change_level(int logger, int level) {
    levels[logger] = level;
    int lowest = levels[TRACE_ROOT];
    for (int i = 1; i < LOGGER_COUNT; i++) {
        int own = levels[i];
        lowest = own != LEVEL_OF_ROOT && own < lowest ? own : lowest;
    }
    trace_level_lowest = lowest;
}

void trace_logger_set(int logger, enum trace_level level_min) {
    change_level(logger, (int)level_min);
}

void trace_logger_unset(int logger) {
    change_level(logger, LEVEL_OF_ROOT);
}

void trace_set_level(enum trace_level level_min) {
    change_level(TRACE_ROOT, (int)level_min);
}

void trace_set_sink(trace_sink *new_sink, void *context) {
    sink = new_sink;
    sink_context = context;
}

void trace_set_wall_clock(int64_t (*wall_ms)(void *context), void *context) {
    wall_clock = wall_ms;
    wall_context = context;
}

static int64_t wall_now_ms(void) {
    if (wall_clock != NULL) {
        return wall_clock(wall_context);
    }
    struct timeval now;
    gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

void trace_line(enum trace_level level, const char *area, const char *format, ...) {
    if ((int)level < trace_level_lowest) {
        return;
    }
    int logger = trace_logger_find(area, strlen(area));
    if (level < trace_logger_level(logger < 0 ? TRACE_ROOT : logger)) {
        return;
    }
    char line[TRACE_LINE_MAX];
    int64_t now_ms = wall_now_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    localtime_r(&seconds, &parts);
    size_t used = strftime(line, sizeof line, "[%Y-%m-%d %H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used, ",%03d] %s ", (int)(now_ms % 1000), level_names[level]);
    va_list args;
    va_start(args, format);
    int written = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    used += written < 0 ? 0 : (size_t)written;
    if (used > sizeof line - 64) {
        used = sizeof line - 64; /* leave room for the area */
    }
    snprintf(line + used, sizeof line - used, " (%s)", area);
    if (sink != NULL) {
        sink(level, line, sink_context);
        return;
    }
    size_t size = strlen(line);
    line[size] = '\n';
    ssize_t ignored = write(STDOUT_FILENO, line, size + 1); /* nobody to tell when stdout is gone */
    (void)ignored;
}
