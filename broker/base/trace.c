/* Formats one line in a fixed buffer and hands it to the sink. */
#include "broker/base/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TRACE_LINE_MAX 4096

static enum trace_level level_min = TRACE_INFO;
static trace_sink *sink;
static void *sink_context;
static int64_t (*wall_clock)(void *context);
static void *wall_context;

void trace_set_level(enum trace_level new_level_min) {
    level_min = new_level_min;
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
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    if (level < level_min) {
        return;
    }
    char line[TRACE_LINE_MAX];
    int64_t now_ms = wall_now_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    localtime_r(&seconds, &parts);
    size_t used = strftime(line, sizeof line, "[%Y-%m-%d %H:%M:%S", &parts);
    used += (size_t)snprintf(line + used, sizeof line - used, ",%03d] %s ", (int)(now_ms % 1000), names[level]);
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
