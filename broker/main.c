/* kafka-server-start: flags, settings, where log lines go; then the broker runs until it is told to stop.
 *
 *   kafka-server-start [-daemon] server.properties [--override property=value]* [--check-config] [--no-session-guard]
 *   kafka-server-start --version
 *
 * Exits 0 after a clean stop (where the Java broker's process dies of the signal it was stopped with), 1 otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/broker.h"
#include "broker/config.h"
#include "broker/metrics.h"
#include "broker/properties.h"
#include "broker/session_guard.h"

#define AREA "kafka.Kafka$"
#define VERSION "3.9.2"
#define USAGE                                                                                                          \
    "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]* [--check-config]\n"            \
    "\n"                                                                                                               \
    "  -daemon             run in the background; output goes to $LOG_DIR/kafkaServer.out\n"                           \
    "  --override k=v      beats the file; may be repeated\n"                                                          \
    "  --check-config      say what is wrong with the settings, and do not start\n"                                    \
    "  --print-metrics     print the page that lists all metrics\n"                                                    \
    "  --no-session-guard  no second process that ends the ZooKeeper session if this one is killed\n"                  \
    "  --version           say which Kafka this broker speaks\n"                                                       \
    "  --help              this text\n"                                                                                \
    "\n"                                                                                                               \
    "With $LOG_DIR set, log lines also go to $LOG_DIR/server.log; SIGHUP opens it anew, for who rotates it.\n"

struct flags {
    const char *path;
    struct properties overrides;
    bool is_daemon;
    bool check_config;
    bool without_guard;
};

static int log_file = -1;
static char *log_file_directory; /* of server.log; NULL when there is none */

static void write_all(int file, const char *text, size_t size) {
    while (size > 0) {
        ssize_t written = write(file, text, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nobody to tell */
        }
        text += written;
        size -= (size_t)written;
    }
}

/* One write per line, so that lines of several threads do not mix. */
static void write_line(enum trace_level level, const char *line, void *context) {
    (void)level;
    int file = *(const int *)context;
    char *text = xasprintf("%s\n", line);
    write_all(file, text, strlen(text));
    if (log_file >= 0) {
        write_all(log_file, text, strlen(text));
    }
    free(text);
}

static const int out_file = STDOUT_FILENO;
static const int err_file = STDERR_FILENO;

/* Why the process ends before it has begun: one line, on the error output. Takes the message. */
static int refuse_to_start(char *message) {
    trace_set_sink(write_line, (void *)&err_file);
    trace_error(AREA, "Exiting Kafka due to fatal exception: %s", message);
    free(message);
    return 1;
}

/* 0 to go on; else the process ends with *ret_status. */
static bool is_answered(const char *argument, int *ret_status) {
    if (strcmp(argument, "--version") == 0) {
        puts(VERSION);
        *ret_status = 0;
        return true;
    }
    if (strcmp(argument, "--print-metrics") == 0) {
        struct byte_buffer page = {0};
        metrics_reference(&page);
        write_all(STDOUT_FILENO, (const char *)page.data, page.size);
        byte_buffer_deinit(&page);
        *ret_status = 0;
        return true;
    }
    if (strcmp(argument, "--help") == 0) {
        fputs(USAGE, stderr);
        *ret_status = 1; /* as every Kafka tool */
        return true;
    }
    return false;
}

static bool take_override(struct flags *flags, const char *text) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return false;
    }
    char *key = xstrndup(text, (size_t)(equals - text));
    properties_set(&flags->overrides, key, equals + 1);
    free(key);
    return true;
}

/* False when the process ends with *ret_status instead of going on. */
static bool parse_flags(int count, char **arguments, struct flags *flags, int *ret_status) {
    *ret_status = 1;
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (is_answered(argument, ret_status)) {
            return false;
        }
        if (strcmp(argument, "-daemon") == 0) {
            flags->is_daemon = true;
        } else if (strcmp(argument, "--check-config") == 0) {
            flags->check_config = true;
        } else if (strcmp(argument, "--no-session-guard") == 0) {
            flags->without_guard = true;
        } else if (strcmp(argument, "--override") == 0) {
            if (i + 1 == count || !take_override(flags, arguments[i + 1])) {
                fprintf(stderr, "--override takes property=value\n%s", USAGE);
                return false;
            }
            i++;
        } else if (strncmp(argument, "--override=", 11) == 0 && take_override(flags, argument + 11)) {
            continue;
        } else if (argument[0] == '-') {
            fprintf(stderr, "%s is not a recognized option\n%s", argument, USAGE);
            return false;
        } else if (flags->path == NULL) {
            flags->path = argument;
        } else {
            fprintf(stderr, "Found non argument parameters: %s\n%s", argument, USAGE);
            return false;
        }
    }
    if (flags->path == NULL) {
        fputs(USAGE, stdout);
        return false;
    }
    return true;
}

static int load_config(const struct flags *flags, struct config **ret_config, char **ret_message) {
    struct properties properties;
    properties_init(&properties);
    int error = properties_load(&properties, flags->path, ret_message);
    if (error == 0) {
        for (int32_t i = 0; i < flags->overrides.count; i++) {
            properties_set(&properties, flags->overrides.list[i].key, flags->overrides.list[i].value);
        }
        error = config_create(&properties, ret_config, ret_message);
    }
    properties_deinit(&properties);
    return error;
}

/* $LOG_DIR, or for a daemon the logs directory beside bin; NULL when there is none. Heap. */
static char *log_directory(bool is_daemon) {
    const char *given = getenv("LOG_DIR");
    if (given != NULL && given[0] != '\0') {
        return xstrdup(given);
    }
    char executable[PATH_MAX];
    ssize_t size = is_daemon ? readlink("/proc/self/exe", executable, sizeof executable - 1) : -1;
    if (size <= 0) {
        return NULL;
    }
    executable[size] = '\0';
    return xasprintf("%s/../logs", dirname(executable));
}

static int open_in(const char *directory, const char *name) {
    if (mkdir(directory, 0755) != 0 && errno != EEXIST) {
        return -1;
    }
    char *path = xasprintf("%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    free(path);
    return file;
}

/* Leaves the terminal. The parent ends at once, as Kafka's script does: whether the broker came up is in the output. */
static bool become_daemon(const char *directory, char **ret_message) {
    int output = directory == NULL ? -1 : open_in(directory, "kafkaServer.out");
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (output < 0 || input < 0) {
        *ret_message = xasprintf("cannot write kafkaServer.out in %s: %s (set LOG_DIR to a directory that can be "
                                 "written)",
                                 directory == NULL ? "$LOG_DIR" : directory, strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        *ret_message = xasprintf("cannot start a background process: %s", strerror(errno));
        return false;
    }
    if (child > 0) {
        _exit(0);
    }
    setsid();
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    return true;
}

/* Opens server.log, or opens it anew under the number it has, so that whoever is writing a line goes on. */
static void open_log_file(void) {
    int file = log_file_directory == NULL ? -1 : open_in(log_file_directory, "server.log");
    if (file < 0 && log_file_directory != NULL) {
        trace_warn(AREA, "cannot write %s/server.log: %s; log lines go %s", log_file_directory, strerror(errno),
                   log_file < 0 ? "to the standard output only" : "where they went");
    }
    if (file < 0 || log_file < 0) {
        log_file = file < 0 ? log_file : file;
        return;
    }
    dup3(file, log_file, O_CLOEXEC);
    close(file);
}

static void set_guard_output(bool is_wanted) {
    if (is_wanted) {
        open_log_file();
    } else if (log_file >= 0) {
        close(log_file);
        log_file = -1;
    }
}

static void say(void *context, const char *line) {
    (void)context;
    write_line(TRACE_INFO, line, (void *)&out_file);
}

static int run(struct flags *flags, struct config *config, int argument_count, char **arguments) {
    if (flags->check_config) {
        printf("%s: the settings are valid\n", flags->path);
        return 0;
    }
    char *directory = log_directory(flags->is_daemon);
    char *message = NULL;
    if (flags->is_daemon && !become_daemon(directory, &message)) {
        free(directory);
        return refuse_to_start(message);
    }
    if (getenv("LOG_DIR") != NULL) {
        log_file_directory = directory;
        open_log_file();
        char *absolute = realpath(directory, NULL); /* the guard opens it from elsewhere */
        if (absolute != NULL) {
            free(directory);
            log_file_directory = absolute;
        }
    } else {
        free(directory);
    }
    trace_info("kafka.server.KafkaConfig", "KafkaConfig values:");
    config_print(config, say, NULL);
    struct session_guard *guard = flags->without_guard ? NULL
                                                       : session_guard_start(config->zookeeper_connect, argument_count,
                                                                             arguments, set_guard_output);
    int status = broker_run(config, guard, open_log_file);
    session_guard_end(guard);
    free(log_file_directory);
    return status;
}

int main(int argument_count, char **arguments) {
    struct flags flags = {0};
    properties_init(&flags.overrides);
    trace_set_sink(write_line, (void *)&out_file);
    int status;
    if (parse_flags(argument_count, arguments, &flags, &status)) {
        struct config *config = NULL;
        char *message = NULL;
        if (load_config(&flags, &config, &message) != 0) {
            status = refuse_to_start(message);
        } else {
            status = run(&flags, config, argument_count, arguments);
            config_destroy(config);
        }
    }
    properties_deinit(&flags.overrides);
    return status;
}
