/* Log lines and failures of the tools. */
#include "tools/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

void report_log(const char *level, const char *logger, const char *format, ...) {
    struct timeval now;
    struct tm local;
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &local);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(stderr, "[%s,%03ld] %s ", stamp, (long)(now.tv_usec / 1000), level);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (%s)\n", logger);
}

int failure_set(struct failure *failure, const char *class_name, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text;
    CHECK(vasprintf(&text, format, args) >= 0);
    va_end(args);
    failure_clear(failure);
    failure->text = text;
    failure->class_name = strchr(class_name, '.') != NULL ? xstrdup(class_name)
                                                          : xasprintf("org.apache.kafka.common.errors.%s", class_name);
    return ERR_INVALID;
}

int failure_set_code(struct failure *failure, int16_t code, struct str message) {
    if (str_is_null(message)) {
        message = str_from(kafka_error_text(code));
    }
    failure_set(failure, kafka_error_exception(code), "%.*s", STR_ARGS(message));
    failure->code = code;
    return ERR_INVALID;
}

void failure_clear(struct failure *failure) {
    free(failure->class_name);
    free(failure->text);
    *failure = (struct failure){0};
}
