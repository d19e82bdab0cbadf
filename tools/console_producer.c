/* kafka-console-producer: one record per line of standard input. (cli.md, section 2) */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/client/producer.h"
#include "tools/line_reader.h"
#include "tools/options.h"
#include "tools/signals.h"
#include "tools/tool.h"

#define CALLBACK_LOGGER "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback"
#define CONFIG_EXCEPTION "org.apache.kafka.common.config.ConfigException"
/* A longer line is no record any broker would take; without a bound a file without newlines eats all memory. */
#define LINE_SIZE_MAX ((size_t)1 << 30)
#define READ_SIZE 65536

static const struct option_spec specs[] = {
    {"batch-size", OPTION_REQUIRED, "Integer: size",
     "Bytes gathered for one partition before they are sent. (default: 16384)"},
    {"bootstrap-server", OPTION_REQUIRED, "String: server to connect to",
     "REQUIRED unless --broker-list is given: the brokers, host:port[,...]."},
    {"broker-list", OPTION_REQUIRED, "String: broker-list", "DEPRECATED, use --bootstrap-server, which wins."},
    {"compression-codec", OPTION_OPTIONAL, "String: compression-codec",
     "none, gzip, snappy, lz4 or zstd; without a value gzip."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"line-reader", OPTION_REQUIRED, "String: reader_class",
     "The class that reads lines; only Kafka's LineMessageReader exists here."},
    {"max-block-ms", OPTION_REQUIRED, "Long: max block on send",
     "How long a send may wait for metadata or memory. (default: 60000)"},
    {"max-memory-bytes", OPTION_REQUIRED, "Long: total memory in bytes",
     "Memory for records waiting to be sent. (default: 33554432)"},
    {"max-partition-memory-bytes", OPTION_REQUIRED, "Integer: memory in bytes per partition",
     "Another name for --batch-size, which it beats. (default: 16384)"},
    {"message-send-max-retries", OPTION_REQUIRED, "Integer", "How often a send is tried again. (default: 3)"},
    {"metadata-expiry-ms", OPTION_REQUIRED, "Long: metadata expiration interval",
     "Age at which metadata is asked for again. (default: 300000)"},
    {"producer-property", OPTION_REQUIRED, "String: producer_prop", "A producer setting, k=v; may be repeated."},
    {"producer.config", OPTION_REQUIRED, "String: config file",
     "A file of producer settings; --producer-property beats it."},
    {"property", OPTION_REQUIRED, "String: prop",
     "A setting of the reader, k=v: parse.key, parse.headers, ignore.error, key.separator, headers.delimiter, "
     "headers.separator, headers.key.separator, null.marker. May be repeated."},
    {"reader-config", OPTION_REQUIRED, "String: config file", "A file of reader settings; --property beats it."},
    {"request-required-acks", OPTION_REQUIRED, "String: request required acks",
     "0, 1, -1 or all: which replicas must have a record. (default: -1)"},
    {"request-timeout-ms", OPTION_REQUIRED, "Integer: request timeout ms",
     "How long one request may take. (default: 1500)"},
    {"retry-backoff-ms", OPTION_REQUIRED, "Long", "Pause before a send is tried again. (default: 100)"},
    {"socket-buffer-size", OPTION_REQUIRED, "Integer: size", "The socket's send buffer. (default: 102400)"},
    {"sync", OPTION_FLAG, NULL, "Wait for each record's acknowledgement."},
    {"timeout", OPTION_REQUIRED, "Long: timeout_ms", "How long records are gathered before a send. (default: 1000)"},
    {"topic", OPTION_REQUIRED, "String: topic", "REQUIRED: the topic to produce to."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

/* Options that stand for a producer setting: the option if given, else the file's value, else the default. */
static const struct {
    const char *option;
    const char *key;
    const char *fallback;
    bool is_long;
} merged[] = {
    {"request-required-acks", "acks", "-1", false},
    {"request-timeout-ms", "request.timeout.ms", "1500", false},
    {"message-send-max-retries", "retries", "3", false},
    {"retry-backoff-ms", "retry.backoff.ms", "100", true},
    {"socket-buffer-size", "send.buffer.bytes", "102400", false},
    {"max-memory-bytes", "buffer.memory", "33554432", true},
    {"batch-size", "batch.size", "16384", false},
    {"max-partition-memory-bytes", "batch.size", NULL, false},
    {"metadata-expiry-ms", "metadata.max.age.ms", "300000", true},
    {"max-block-ms", "max.block.ms", "60000", true},
    {"timeout", "linger.ms", "1000", true},
};

/* All settings of the producer, as text. Type errors of options are the option library's. */
static int gather_settings(const struct options *options, struct property_list *settings, struct failure *failure) {
    const char *path;
    int error = options_string(options, "producer.config", NULL, &path, failure);
    if (error != 0) {
        return error;
    }
    if (path != NULL && property_list_load(settings, path) != 0) {
        return failure_set(failure, "java.nio.file.NoSuchFileException", "%s", path);
    }
    for (size_t i = 0; i < options_count(options, "producer-property"); i++) {
        property_list_set_pair(settings, options_nth(options, "producer-property", i));
    }
    for (size_t i = 0; i < ARRAY_SIZE(merged); i++) {
        const char *text;
        int64_t number;
        int32_t small;
        bool is_text = strcmp(merged[i].key, "acks") == 0;
        error = options_string(options, merged[i].option, NULL, &text, failure);
        if (error == 0 && !is_text) {
            error = merged[i].is_long ? options_long(options, merged[i].option, 0, &number, failure)
                                      : options_int(options, merged[i].option, 0, &small, failure);
        }
        if (error != 0) {
            return error;
        }
        if (text != NULL) {
            property_list_set(settings, merged[i].key, text);
        } else if (merged[i].fallback != NULL && property_list_get(settings, merged[i].key) == NULL) {
            property_list_set(settings, merged[i].key, merged[i].fallback);
        }
    }
    const char *codec = options_text(options, "compression-codec");
    property_list_set(settings, "compression.type",
                      codec != NULL                               ? codec
                      : options_has(options, "compression-codec") ? "gzip"
                                                                  : "none");
    if (property_list_get(settings, "client.id") == NULL) {
        property_list_set(settings, "client.id", "console-producer");
    }
    return 0;
}

static int number_of(const struct property_list *settings, const char *key, int64_t fallback, int64_t max,
                     int64_t *ret_value, struct failure *failure) {
    const char *text = property_list_get(settings, key);
    *ret_value = fallback;
    if (text != NULL && (parse_int64(text, ret_value) != 0 || *ret_value > max || *ret_value < -max)) {
        return failure_set(failure, CONFIG_EXCEPTION, "Invalid value %s for configuration %s: Not a number of type %s",
                           text, key, max == INT32_MAX ? "INT" : "LONG");
    }
    if (*ret_value < 0) {
        return failure_set(failure, CONFIG_EXCEPTION, "Invalid value %s for configuration %s: Value must be at least 0",
                           text, key);
    }
    return 0;
}

static int parse_acks(const char *text, int16_t *ret_acks, struct failure *failure) {
    static const struct {
        const char *text;
        int16_t acks;
    } all[] = {{"all", -1}, {"-1", -1}, {"0", 0}, {"1", 1}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (strcmp(text, all[i].text) == 0) {
            *ret_acks = all[i].acks;
            return 0;
        }
    }
    return failure_set(failure, CONFIG_EXCEPTION,
                       "Invalid value %s for configuration acks: String must be one of: all, -1, 0, 1", text);
}

static int parse_codec(const char *text, enum compression_codec *ret_codec, struct failure *failure) {
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_codec = (enum compression_codec)i;
            return 0;
        }
    }
    return failure_set(failure, CONFIG_EXCEPTION,
                       "Invalid value %s for configuration compression.type: String must be one of: none, gzip, "
                       "snappy, lz4, zstd",
                       text);
}

/* Idempotence is on unless a setting speaks against it; asked for by name, such a setting is an error (KIP-679). */
static int settle_idempotence(const struct property_list *settings, struct producer_settings *ret,
                              struct failure *failure) {
    const char *asked = property_list_get(settings, "enable.idempotence");
    int64_t in_flight;
    int error = number_of(settings, "max.in.flight.requests.per.connection", 5, INT32_MAX, &in_flight, failure);
    if (error != 0) {
        return error;
    }
    bool is_asked = asked != NULL && strcasecmp(asked, "true") == 0;
    ret->idempotent = (asked == NULL || is_asked) && ret->acks == -1 && ret->retries > 0 && in_flight <= 5;
    if (!is_asked || ret->idempotent) {
        return 0;
    }
    if (ret->retries == 0) {
        return failure_set(failure, CONFIG_EXCEPTION,
                           "Must set retries to non-zero when using the idempotent producer.");
    }
    if (ret->acks != -1) {
        return failure_set(failure, CONFIG_EXCEPTION,
                           "Must set acks to all in order to use the idempotent producer. Otherwise we cannot "
                           "guarantee idempotence.");
    }
    return failure_set(failure, CONFIG_EXCEPTION,
                       "Must set max.in.flight.requests.per.connection to at most 5 when using the idempotent "
                       "producer.");
}

static int parse_settings(const struct property_list *settings, struct producer_settings *ret,
                          struct failure *failure) {
    int64_t batch_size = 0;
    int64_t retries = 0;
    int64_t request_timeout_ms = 0;
    int64_t max_request_size = 0;
    *ret = (struct producer_settings){0};
    const struct {
        const char *key;
        int64_t fallback;
        int64_t max;
        int64_t *to;
    } numbers[] = {
        {"batch.size", 16384, INT32_MAX, &batch_size},
        {"retries", 3, INT32_MAX, &retries},
        {"request.timeout.ms", 1500, INT32_MAX, &request_timeout_ms},
        {"max.request.size", 1048576, INT32_MAX, &max_request_size},
        {"linger.ms", 1000, INT64_MAX, &ret->linger_ms},
        {"retry.backoff.ms", 100, INT64_MAX, &ret->retry_backoff_ms},
        {"metadata.max.age.ms", 300000, INT64_MAX, &ret->metadata_max_age_ms},
        {"max.block.ms", 60000, INT64_MAX, &ret->max_block_ms},
        {"buffer.memory", 33554432, INT64_MAX, &ret->buffer_memory},
        {"delivery.timeout.ms", 120000, INT32_MAX, &ret->delivery_timeout_ms},
    };
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(numbers) && error == 0; i++) {
        error = number_of(settings, numbers[i].key, numbers[i].fallback, numbers[i].max, numbers[i].to, failure);
    }
    error = error != 0 ? error : parse_acks(property_list_get(settings, "acks"), &ret->acks, failure);
    error = error != 0 ? error : parse_codec(property_list_get(settings, "compression.type"), &ret->codec, failure);
    ret->batch_size = (int32_t)batch_size;
    ret->retries = (int32_t)retries;
    ret->request_timeout_ms = (int32_t)request_timeout_ms;
    ret->max_request_size = (int32_t)max_request_size;
    return error != 0 ? error : settle_idempotence(settings, ret, failure);
}

/* What the run needs at hand. */
struct console {
    struct producer producer;
    struct line_reader reader;
    int signal_fd;
    bool is_sync;
    bool is_terminal;
    char *input; /* read but not yet parsed */
    size_t input_size;
    size_t input_capacity;
    size_t line_begin;
    size_t scanned;
    bool at_end;
    bool after_return; /* the last line ended in CR: an LF that follows belongs to it */
    char *topic;
    struct failure sync_failure;
};

static void format_size(int32_t size, char *ret_text, size_t room) {
    if (size < 0) {
        snprintf(ret_text, room, "null");
    } else {
        snprintf(ret_text, room, "%d bytes", size);
    }
}

static void on_error(void *context, int32_t key_size, int32_t value_size, const struct failure *failure) {
    struct console *console = context;
    if (console->is_sync) {
        failure_set(&console->sync_failure, failure->class_name, "%s", failure->text);
        return;
    }
    char key[32];
    char value[32];
    format_size(key_size, key, sizeof key);
    format_size(value_size, value, sizeof value);
    report_log("ERROR", CALLBACK_LOGGER,
               "Error when sending message to topic %s with key: %s, value: %s with error:", console->topic, key,
               value);
    fprintf(stderr, "%s: %s\n", failure->class_name, failure->text);
}

/* The next complete line of what was read. At the end the rest counts as a line. */
static bool take_line(struct console *console, struct str *ret_line) {
    if (console->after_return && console->line_begin < console->input_size) {
        console->line_begin += console->input[console->line_begin] == '\n';
        console->scanned = console->line_begin;
        console->after_return = false;
    }
    while (console->scanned < console->input_size) {
        char c = console->input[console->scanned++];
        if (c == '\n' || c == '\r') {
            *ret_line = (struct str){console->input + console->line_begin,
                                     (int32_t)(console->scanned - 1 - console->line_begin)};
            console->line_begin = console->scanned;
            console->after_return = c == '\r';
            return true;
        }
    }
    if (console->at_end && console->line_begin < console->input_size) {
        *ret_line =
            (struct str){console->input + console->line_begin, (int32_t)(console->input_size - console->line_begin)};
        console->line_begin = console->input_size;
        return true;
    }
    return false;
}

/* Reads once. 0, or ERR_TOO_LARGE, ERR_IO. */
static int read_input(struct console *console) {
    size_t left = console->input_size - console->line_begin;
    if (left > 0) {
        memmove(console->input, console->input + console->line_begin, left);
    }
    console->scanned -= console->line_begin;
    console->input_size = left;
    console->line_begin = 0;
    if (console->input_capacity - left < READ_SIZE) {
        if (console->input_capacity >= LINE_SIZE_MAX) {
            return ERR_TOO_LARGE;
        }
        console->input_capacity = MAX(console->input_capacity * 2, (size_t)(2 * READ_SIZE));
        console->input = xrealloc(console->input, console->input_capacity);
    }
    ssize_t got = read(STDIN_FILENO, console->input + left, console->input_capacity - left);
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : ERR_IO;
    }
    console->at_end = got == 0;
    console->input_size += (size_t)got;
    return 0;
}

static void prompt(const struct console *console) {
    if (console->is_terminal) {
        fputs(">", stdout);
        fflush(stdout);
    }
}

/* Waits for a line; sends what falls due meanwhile. 1 with a line, 0 at the end, ERR_CLOSING, ERR_IO, ERR_TOO_LARGE. */
static int next_line(struct console *console, struct str *ret_line) {
    prompt(console);
    while (!take_line(console, ret_line)) {
        if (console->at_end) {
            return 0;
        }
        int error = wait_fd(STDIN_FILENO, POLLIN, console->signal_fd, producer_wakeup_ms(&console->producer));
        if (error == 0) {
            error = read_input(console);
        } else if (error == ERR_TIMED_OUT) {
            error = producer_step(&console->producer, false);
        }
        if (error != 0) {
            return error;
        }
    }
    return 1;
}

static int64_t wall_ms(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

/* With --sync the first failure ends the run; without it every failure is only told. */
static int send_record(struct console *console, struct producer_record *record, struct failure *failure) {
    record->timestamp_ms = wall_ms();
    int error = producer_send(&console->producer, record, failure);
    if (error == ERR_CLOSING) {
        return error;
    }
    if (error != 0) {
        on_error(console, record->key.size, record->value.size, failure);
        failure_clear(failure);
        error = 0;
    } else {
        error = console->is_sync ? producer_flush(&console->producer) : producer_step(&console->producer, false);
    }
    if (error == 0 && console->sync_failure.text != NULL) {
        error = failure_set(failure, "java.util.concurrent.ExecutionException", "%s: %s",
                            console->sync_failure.class_name, console->sync_failure.text);
    }
    return error;
}

static int run(struct console *console, struct failure *failure) {
    struct str line;
    int error;
    while ((error = next_line(console, &line)) == 1) {
        struct producer_record record;
        error = line_reader_parse(&console->reader, line, &record, failure);
        error = error != 0 ? error : send_record(console, &record, failure);
        if (error != 0) {
            break;
        }
    }
    if (error == ERR_IO || error == ERR_TOO_LARGE) {
        failure_set(failure, "java.io.IOException", "standard input: %s", error_text(error));
    }
    return error;
}

/* Reader, client and producer from the settings; then the lines. Returns the exit status. */
static int produce(const struct options *options, struct property_list *settings, struct property_list *reader_settings,
                   const char *bootstrap, struct failure *failure) {
    struct console console = {.is_sync = options_has(options, "sync"),
                              .is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
    struct producer_settings producer_settings;
    struct client client = {0};
    const char *topic;
    int error = options_string(options, "topic", NULL, &topic, failure);
    error = error != 0 ? error : line_reader_init(&console.reader, reader_settings, failure);
    error = error != 0 ? error : parse_settings(settings, &producer_settings, failure);
    if (error != 0) {
        line_reader_deinit(&console.reader);
        return 1;
    }
    console.topic = xstrdup(topic);
    console.signal_fd = signals_open();
    char *log_name = xasprintf("Producer clientId=%s", property_list_get(settings, "client.id"));
    struct client_settings client_settings = {
        .bootstrap = bootstrap,
        .client_id = property_list_get(settings, "client.id"),
        .log_name = log_name,
        .request_timeout_ms = producer_settings.request_timeout_ms,
        .api_timeout_ms = (int32_t)MIN(producer_settings.max_block_ms, INT32_MAX),
        .cancel_fd = console.signal_fd,
        .logs_bootstrap_losses = true,
    };
    if (client_init(&client, &client_settings, failure) != 0) {
        error = failure_set(failure, "org.apache.kafka.common.KafkaException", "Failed to construct kafka producer");
    }
    int signal_number = 0;
    if (error == 0) {
        producer_init(&console.producer, &client, str_from(console.topic), &producer_settings, on_error, &console);
        error = run(&console, failure);
        signal_number = error == ERR_CLOSING ? signals_take(console.signal_fd) : 0;
        /* What was read is sent, whatever ended the reading; another signal ends that too. */
        if (producer_flush(&console.producer) == ERR_CLOSING && signal_number == 0) {
            signal_number = signals_take(console.signal_fd);
        }
        producer_deinit(&console.producer);
    }
    client_deinit(&client);
    line_reader_deinit(&console.reader);
    failure_clear(&console.sync_failure);
    free(console.input);
    free(console.topic);
    free(log_name);
    close(console.signal_fd);
    if (signal_number != 0) {
        signals_die(signal_number);
    }
    return error == 0 ? 0 : 1;
}

/* The reader's settings: file first, --property over it. */
static int gather_reader_settings(const struct options *options, struct property_list *ret, struct failure *failure) {
    const char *path = options_text(options, "reader-config");
    if (path != NULL && property_list_load(ret, path) != 0) {
        return failure_set(failure, "java.nio.file.NoSuchFileException", "%s", path);
    }
    for (size_t i = 0; i < options_count(options, "property"); i++) {
        property_list_set_pair(ret, options_nth(options, "property", i));
    }
    const char *class_name = options_text(options, "line-reader");
    if (class_name != NULL && strcmp(class_name, "org.apache.kafka.tools.LineMessageReader") != 0 &&
        strcmp(class_name, "kafka.tools.ConsoleProducer$LineMessageReader") != 0) {
        return failure_set(failure, "java.lang.ClassNotFoundException", "%s", class_name);
    }
    return 0;
}

static int check_options(const struct options *options, const char **ret_bootstrap) {
    if (!options_has(options, "bootstrap-server") && !options_has(options, "broker-list")) {
        return options_usage(options, "Missing required option(s) [bootstrap-server]");
    }
    int status = options_check_required(options, (const char *const[]){"topic", NULL});
    if (status != 0) {
        return status;
    }
    *ret_bootstrap = options_text(options, "bootstrap-server");
    if (*ret_bootstrap == NULL) {
        *ret_bootstrap = options_text(options, "broker-list");
    }
    if (!addresses_are_valid(*ret_bootstrap)) {
        return options_usage(options, "Please provide valid host:port like host1:9091,host2:9092\n ");
    }
    return 0;
}

int tool_console_producer(int argc, char **argv) {
    struct options options;
    struct failure failure = {0};
    struct property_list settings = {0};
    struct property_list reader_settings = {0};
    const char *bootstrap = NULL;
    int status;
    if (options_parse(&options, specs, ARRAY_SIZE(specs), argc, argv, &failure) != 0) {
        status = options_usage(&options, "%s", failure.text);
        failure_clear(&failure);
    } else {
        status = options_help(&options, argc, false,
                              "This tool helps to read data from standard input and publish it to Kafka.");
        status = status < 0 && (status = check_options(&options, &bootstrap)) == 0 ? -1 : status;
    }
    if (status < 0) {
        status = 1;
        if (gather_settings(&options, &settings, &failure) == 0 &&
            gather_reader_settings(&options, &reader_settings, &failure) == 0) {
            status = produce(&options, &settings, &reader_settings, bootstrap, &failure);
        }
    }
    if (failure.text != NULL) {
        fflush(stdout);
        bool is_option_error = strncmp(failure.class_name, "joptsimple.", 11) == 0;
        fprintf(stderr, "%s%s%s\n", is_option_error ? "" : failure.class_name, is_option_error ? "" : ": ",
                failure.text);
    }
    property_list_deinit(&settings);
    property_list_deinit(&reader_settings);
    failure_clear(&failure);
    options_deinit(&options);
    return status;
}
