/* kafka-console-consumer: the records of a topic's partitions on standard output. (cli.md, section 3) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/client/group.h"
#include "tools/formatter.h"
#include "tools/options.h"
#include "tools/signals.h"
#include "tools/tool.h"

#define LOGGER "org.apache.kafka.tools.consumer.ConsoleConsumer"
#define CONFIG_EXCEPTION "org.apache.kafka.common.config.ConfigException"
/* What the record callback returns to end the poll. */
#define STOP_ENOUGH 1
#define STOP_FAILED 2
#define OWN_GROUPS 100000

static const struct option_spec specs[] = {
    {"bootstrap-server", OPTION_REQUIRED, "String: server to connect to", "REQUIRED: the brokers, host:port[,...]."},
    {"consumer-property", OPTION_REQUIRED, "String: consumer_prop", "A consumer setting, k=v; may be repeated."},
    {"consumer.config", OPTION_REQUIRED, "String: config file",
     "A file of consumer settings; --consumer-property beats it."},
    {"enable-systest-events", OPTION_FLAG, NULL, "Print shutdown_complete at the end."},
    {"formatter", OPTION_REQUIRED, "String: class",
     "The class that prints records. (default: org.apache.kafka.tools.consumer.DefaultMessageFormatter)"},
    {"formatter-config", OPTION_REQUIRED, "String: config file", "A file of formatter settings; --property beats it."},
    {"from-beginning", OPTION_FLAG, NULL, "Begin with the earliest record instead of the next one to come."},
    {"group", OPTION_REQUIRED, "String: consumer group id",
     "The consumer group; without it a group of its own, which commits nothing."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"include", OPTION_REQUIRED, "String: Java regex (String)", "Consume all topics that match."},
    {"isolation-level", OPTION_REQUIRED, "String", "read_uncommitted or read_committed. (default: read_uncommitted)"},
    {"key-deserializer", OPTION_REQUIRED, "String: deserializer for key", "The class that reads keys."},
    {"max-messages", OPTION_REQUIRED, "Integer: num_messages", "End after so many records."},
    {"offset", OPTION_REQUIRED, "String: consume offset",
     "Where to begin in --partition: a number, earliest or latest. (default: latest)"},
    {"partition", OPTION_REQUIRED, "Integer: partition", "Consume one partition of --topic only."},
    {"property", OPTION_REQUIRED, "String: prop",
     "A setting of the formatter, k=v: print.timestamp, print.key, print.offset, print.partition, print.headers, "
     "print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, "
     "value.deserializer, headers.deserializer. May be repeated."},
    {"skip-message-on-error", OPTION_FLAG, NULL, "Pass over a record that cannot be printed instead of ending."},
    {"timeout-ms", OPTION_REQUIRED, "Long: timeout_ms", "End when no record has come for so long."},
    {"topic", OPTION_REQUIRED, "String: topic", "The topic to consume."},
    {"value-deserializer", OPTION_REQUIRED, "String: deserializer for values", "The class that reads values."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
    {"whitelist", OPTION_REQUIRED, "String: Java regex (String)", "DEPRECATED, use --include, which wins."},
};

struct console {
    struct consumer consumer;
    struct group_member member; /* unless one partition was asked for */
    bool is_in_group;
    struct formatter *formatter;
    int64_t messages;
    int64_t messages_max; /* -1: no end */
    int64_t timeout_ms;   /* -1: no end */
    int64_t last_ms;      /* when the last record came */
    bool skips_errors;
    bool output_lost;
    struct failure failure; /* of a record */
};

/* "" and never more than one: topic or pattern. 0 or the exit status. */
static int check_options(const struct options *options) {
    bool has_pattern = options_has(options, "include") || options_has(options, "whitelist");
    if (options_has(options, "topic") == has_pattern) {
        return options_usage(options, "Exactly one of --include/--topic is required. %s",
                             options_has(options, "whitelist")
                                 ? "--whitelist is DEPRECATED use --include instead; ignored if --include specified."
                                 : "");
    }
    if (options_has(options, "partition")) {
        if (!options_has(options, "topic")) {
            return options_usage(options, "The topic is required when partition is specified.");
        }
        if (options_has(options, "from-beginning") && options_has(options, "offset")) {
            return options_usage(options, "Options from-beginning and offset cannot be specified together.");
        }
    } else if (options_has(options, "offset")) {
        return options_usage(options, "The partition is required when offset is specified.");
    }
    return options_check_required(options, (const char *const[]){"bootstrap-server", NULL});
}

/* --group, --consumer-property and --consumer.config must name one group, or none: NULL. 0 or the exit status. */
static int check_group(const struct options *options, const struct property_list *from_file,
                       const struct property_list *from_line, const char **ret_group) {
    const char *ids[] = {options_text(options, "group"), property_list_get(from_line, "group.id"),
                         property_list_get(from_file, "group.id")};
    const char *distinct[ARRAY_SIZE(ids)];
    size_t count = 0;
    if (options_count(options, "group") > 1) {
        fprintf(stderr, "Exception in thread \"main\" joptsimple.MultipleArgumentsForOptionException: Found multiple "
                        "arguments for option group, but you asked for only one\n");
        return 1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        bool is_new = ids[i] != NULL;
        for (size_t j = 0; j < count && is_new; j++) {
            is_new = strcmp(ids[i], distinct[j]) != 0;
        }
        if (is_new) {
            distinct[count++] = ids[i];
        }
    }
    if (count > 1) {
        return options_usage(options,
                             "The group ids provided in different places (directly using '--group', via "
                             "'--consumer-property', or via '--consumer.config') do not match. Detected group ids: "
                             "'%s', '%s'%s%s%s",
                             distinct[0], distinct[1], count > 2 ? ", '" : "", count > 2 ? distinct[2] : "",
                             count > 2 ? "'" : "");
    }
    if (count > 0 && options_has(options, "partition")) {
        return options_usage(options, "Options group and partition cannot be specified together.");
    }
    *ret_group = count > 0 ? distinct[0] : NULL;
    return 0;
}

/* Where to begin, of --offset and --from-beginning. */
static int parse_offset(const struct options *options, int64_t *ret_offset) {
    const char *text = options_text(options, "offset");
    *ret_offset = options_has(options, "from-beginning") ? CONSUMER_OFFSET_EARLIEST : CONSUMER_OFFSET_LATEST;
    if (text == NULL) {
        return 0;
    }
    if (strcasecmp(text, "earliest") == 0 || strcasecmp(text, "latest") == 0) {
        *ret_offset = strcasecmp(text, "earliest") == 0 ? CONSUMER_OFFSET_EARLIEST : CONSUMER_OFFSET_LATEST;
        return 0;
    }
    if (parse_int64(text, ret_offset) != 0 || *ret_offset < 0) {
        return options_usage(options,
                             "The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a "
                             "non-negative long.",
                             text);
    }
    return 0;
}

static int load_properties(const char *path, struct property_list *ret) {
    if (path != NULL && property_list_load(ret, path) != 0) {
        fprintf(stderr, "Exception in thread \"main\" java.nio.file.NoSuchFileException: %s\n", path);
        return 1;
    }
    return 0;
}

/* The group of --group and the like; else one of our own, as Kafka names them, which commits only if told to. */
static void set_group(struct property_list *settings, const char *group) {
    if (group == NULL) {
        uint64_t drawn = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)monotonic_ms();
        char *own = xasprintf("console-consumer-%d", (int)(drawn % OWN_GROUPS));
        property_list_set(settings, "group.id", own);
        free(own);
        if (property_list_get(settings, "enable.auto.commit") == NULL) {
            property_list_set(settings, "enable.auto.commit", "false");
        }
    } else {
        property_list_set(settings, "group.id", group);
    }
}

/* The consumer's settings: file, --consumer-property over it, and the reset policy. 0 or the exit status. */
static int gather_settings(const struct options *options, struct property_list *ret) {
    struct property_list from_file = {0};
    struct property_list from_line = {0};
    int status = load_properties(options_text(options, "consumer.config"), &from_file);
    for (size_t i = 0; i < options_count(options, "consumer-property"); i++) {
        property_list_set_pair(&from_line, options_nth(options, "consumer-property", i));
    }
    const char *group = NULL;
    status = status != 0 ? status : check_group(options, &from_file, &from_line, &group);
    for (size_t i = 0; i < from_file.count; i++) {
        property_list_set(ret, from_file.entries[i].key, from_file.entries[i].value);
    }
    for (size_t i = 0; i < from_line.count; i++) {
        property_list_set(ret, from_line.entries[i].key, from_line.entries[i].value);
    }
    set_group(ret, group);
    property_list_deinit(&from_file);
    property_list_deinit(&from_line);
    if (status != 0) {
        return status;
    }
    const char *reset = property_list_get(ret, "auto.offset.reset");
    bool from_beginning = options_has(options, "from-beginning");
    if (reset == NULL) {
        property_list_set(ret, "auto.offset.reset", from_beginning ? "earliest" : "latest");
    } else if (from_beginning && strcmp(reset, "earliest") != 0) {
        fprintf(stderr,
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', please remove one option\n",
                reset);
        return 1;
    }
    const char *isolation = options_text(options, "isolation-level");
    if (isolation != NULL || property_list_get(ret, "isolation.level") == NULL) {
        property_list_set(ret, "isolation.level", isolation != NULL ? isolation : "read_uncommitted");
    }
    if (property_list_get(ret, "client.id") == NULL) {
        property_list_set(ret, "client.id", "console-consumer");
    }
    return 0;
}

static int gather_formatter_settings(const struct options *options, struct property_list *ret) {
    int status = load_properties(options_text(options, "formatter-config"), ret);
    for (size_t i = 0; i < options_count(options, "property"); i++) {
        property_list_set_pair(ret, options_nth(options, "property", i));
    }
    const char *key = options_text(options, "key-deserializer");
    const char *value = options_text(options, "value-deserializer");
    if (key != NULL) {
        property_list_set(ret, "key.deserializer", key);
    }
    if (value != NULL) {
        property_list_set(ret, "value.deserializer", value);
    }
    return status;
}

static int number_of(const struct property_list *settings, const char *key, int64_t fallback, int64_t *ret_value,
                     struct failure *failure) {
    const char *text = property_list_get(settings, key);
    *ret_value = fallback;
    if (text != NULL && (parse_int64(text, ret_value) != 0 || *ret_value < 0 || *ret_value > INT32_MAX)) {
        return failure_set(failure, CONFIG_EXCEPTION, "Invalid value %s for configuration %s: Not a number of type INT",
                           text, key);
    }
    return 0;
}

static int choice_of(const struct property_list *settings, const char *key, const char *const *choices,
                     size_t choice_count, const char *listed, size_t *ret_choice, struct failure *failure) {
    const char *text = property_list_get(settings, key);
    for (*ret_choice = 0; *ret_choice < choice_count; ++*ret_choice) {
        if (strcmp(text, choices[*ret_choice]) == 0) {
            return 0;
        }
    }
    return failure_set(failure, CONFIG_EXCEPTION, "Invalid value %s for configuration %s: String must be one of: %s",
                       text, key, listed);
}

static int parse_settings(const struct property_list *settings, struct consumer_settings *ret, int64_t *ret_request_ms,
                          struct failure *failure) {
    static const char *const resets[] = {"latest", "earliest", "none"};
    static const int64_t reset_offsets[] = {CONSUMER_OFFSET_LATEST, CONSUMER_OFFSET_EARLIEST, CONSUMER_OFFSET_NONE};
    static const char *const levels[] = {"read_uncommitted", "read_committed"};
    size_t reset = 0;
    size_t level = 0;
    int64_t max_wait_ms = 0;
    int64_t min_bytes = 0;
    int64_t max_bytes = 0;
    int64_t partition_max_bytes = 0;
    int error =
        choice_of(settings, "auto.offset.reset", resets, ARRAY_SIZE(resets), "latest, earliest, none", &reset, failure);
    error = error != 0 ? error
                       : choice_of(settings, "isolation.level", levels, ARRAY_SIZE(levels),
                                   "read_committed, read_uncommitted", &level, failure);
    const struct {
        const char *key;
        int64_t fallback;
        int64_t *to;
    } numbers[] = {{"fetch.max.wait.ms", 500, &max_wait_ms},
                   {"fetch.min.bytes", 1, &min_bytes},
                   {"fetch.max.bytes", 52428800, &max_bytes},
                   {"max.partition.fetch.bytes", 1048576, &partition_max_bytes},
                   {"metadata.max.age.ms", 300000, &ret->metadata_max_age_ms},
                   {"request.timeout.ms", 30000, ret_request_ms}};
    for (size_t i = 0; i < ARRAY_SIZE(numbers) && error == 0; i++) {
        error = number_of(settings, numbers[i].key, numbers[i].fallback, numbers[i].to, failure);
    }
    const char *rack = property_list_get(settings, "client.rack");
    ret->rack = rack != NULL ? rack : "";
    ret->reset_offset = reset_offsets[MIN(reset, ARRAY_SIZE(resets) - 1)];
    ret->read_committed = level == 1;
    ret->exclude_internal = property_list_bool(settings, "exclude.internal.topics", true);
    ret->auto_create = property_list_bool(settings, "allow.auto.create.topics", true);
    ret->check_crcs = property_list_bool(settings, "check.crcs", true);
    ret->max_wait_ms = (int32_t)max_wait_ms;
    ret->min_bytes = (int32_t)min_bytes;
    ret->max_bytes = (int32_t)max_bytes;
    ret->partition_max_bytes = (int32_t)partition_max_bytes;
    return error;
}

static int parse_group(const struct property_list *settings, struct group_settings *ret, struct failure *failure) {
    int64_t interval_ms = 0;
    int64_t session_ms = 0;
    int64_t heartbeat_ms = 0;
    int64_t rebalance_ms = 0;
    const struct {
        const char *key;
        int64_t fallback;
        int64_t *to;
    } numbers[] = {{"auto.commit.interval.ms", 5000, &interval_ms},
                   {"session.timeout.ms", 45000, &session_ms},
                   {"heartbeat.interval.ms", 3000, &heartbeat_ms},
                   {"max.poll.interval.ms", 300000, &rebalance_ms}};
    const char *auto_commit = property_list_get(settings, "enable.auto.commit");
    const char *instance_id = property_list_get(settings, "group.instance.id");
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(numbers) && error == 0; i++) {
        error = number_of(settings, numbers[i].key, numbers[i].fallback, numbers[i].to, failure);
    }
    if (error == 0 && auto_commit != NULL && strcasecmp(auto_commit, "true") != 0 &&
        strcasecmp(auto_commit, "false") != 0) {
        error = failure_set(failure, CONFIG_EXCEPTION,
                            "Invalid value %s for configuration enable.auto.commit: Expected value to be either true "
                            "or false",
                            auto_commit);
    }
    if (error == 0 && instance_id != NULL && *instance_id == '\0') {
        error = failure_set(failure, CONFIG_EXCEPTION,
                            "Invalid value  for configuration group.instance.id: String must be non-empty");
    }
    if (error == 0 && heartbeat_ms >= session_ms) {
        error = failure_set(failure, "org.apache.kafka.common.KafkaException", "Failed to construct kafka consumer");
    }
    *ret = (struct group_settings){
        .group_id = property_list_get(settings, "group.id"),
        .instance_id = instance_id,
        .auto_commit = property_list_bool(settings, "enable.auto.commit", true),
        .auto_commit_interval_ms = interval_ms,
        .session_timeout_ms = (int32_t)session_ms,
        .heartbeat_interval_ms = (int32_t)heartbeat_ms,
        .rebalance_timeout_ms = (int32_t)rebalance_ms,
    };
    return error;
}

static int on_record(void *context, const struct consumer_record *record) {
    struct console *console = context;
    console->messages++;
    console->last_ms = monotonic_ms();
    if (formatter_write(console->formatter, record, stdout, &console->failure) != 0) {
        if (!console->skips_errors) {
            return STOP_FAILED;
        }
        report_log("ERROR", LOGGER, "Error processing message, skipping this message: ");
        fprintf(stderr, "%s: %s\n", console->failure.class_name, console->failure.text);
    }
    if (ferror(stdout) != 0) {
        console->output_lost = true;
        return STOP_ENOUGH;
    }
    return console->messages_max >= 0 && console->messages >= console->messages_max ? STOP_ENOUGH : 0;
}

/* Reads until there is a reason to stop. Returns it: an error, a stop code, ERR_TIMED_OUT. */
static int read_records(struct console *console, struct failure *failure) {
    console->last_ms = monotonic_ms();
    while (console->messages_max < 0 || console->messages < console->messages_max) {
        int64_t deadline_ms = console->timeout_ms < 0 || console->timeout_ms > INT64_MAX - console->last_ms
                                  ? INT64_MAX
                                  : console->last_ms + console->timeout_ms;
        int error = console->is_in_group ? group_poll(&console->member, deadline_ms, failure)
                                         : consumer_poll(&console->consumer, deadline_ms, failure);
        if (fflush(stdout) != 0) {
            console->output_lost = true;
            return STOP_ENOUGH;
        }
        if (error != 0) {
            return error;
        }
        bool is_over = console->timeout_ms >= 0 && monotonic_ms() - console->last_ms >= console->timeout_ms;
        if (is_over) {
            return ERR_TIMED_OUT;
        }
    }
    return 0;
}

/* Java's message for a pattern that does not compile. */
static void fail_pattern(struct failure *failure, const char *pattern) {
    char *text = topic_filter_normalize(pattern);
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_code_free(pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL));
    char message[128] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
    bool is_class = code == PCRE2_ERROR_MISSING_SQUARE_BRACKET;
    int index = (int)(at > 0 ? at - 1 : 0);
    failure_set(failure, "java.util.regex.PatternSyntaxException", "%s near index %d\n%s\n%*s^",
                is_class ? "Unclosed character class" : message, index, text, index, "");
    free(text);
}

static int report_unknown_error(const struct failure *failure) {
    fflush(stdout);
    report_log("ERROR", LOGGER, "Unknown error when running consumer: ");
    fprintf(stderr, "%s: %s\n", failure->class_name, failure->text);
    return 1;
}

/* Says why the reading ended; the exit status, or a signal to die of. */
static int report_end(struct console *console, int reason, const struct failure *failure, int signal_fd,
                      bool systest_events, int *ret_signal) {
    *ret_signal = reason == ERR_CLOSING ? signals_take(signal_fd) : 0;
    if (console->output_lost) {
        fprintf(stderr, "Unable to write to standard out, closing consumer.\n");
    }
    if (reason == ERR_TIMED_OUT || reason == ERR_INVALID) {
        report_log("ERROR", LOGGER, "Error processing message, terminating consumer process: ");
        if (reason == ERR_TIMED_OUT) {
            fprintf(stderr, "org.apache.kafka.common.errors.TimeoutException\n");
        } else {
            fprintf(stderr, "%s: %s\n", failure->class_name, failure->text);
        }
    }
    fprintf(stderr, "Processed a total of %lld messages\n", (long long)console->messages);
    int status = reason == STOP_FAILED ? report_unknown_error(&console->failure) : 0;
    if (systest_events) {
        printf("shutdown_complete\n");
    }
    return status;
}

/* With everything parsed: connects, reads, reports. Returns the exit status. */
static int consume(const struct options *options, const struct property_list *settings,
                   struct consumer_settings *consumer_settings, struct console *console, struct failure *failure) {
    struct client client = {0};
    struct group_settings group = {0};
    int64_t request_timeout_ms = 0;
    const char *pattern = options_text(options, "include");
    pattern = pattern != NULL ? pattern : options_text(options, "whitelist");
    struct topic_filter *filter = pattern == NULL ? NULL : topic_filter_create(pattern);
    int error = 0;
    if (pattern != NULL && filter == NULL) {
        fail_pattern(failure, pattern);
        error = ERR_INVALID;
    }
    consumer_settings->filter = filter;
    consumer_settings->topic = options_text(options, "topic");
    error = error != 0 ? error : parse_settings(settings, consumer_settings, &request_timeout_ms, failure);
    error = error != 0 ? error : parse_group(settings, &group, failure);
    console->is_in_group = consumer_settings->partition < 0;
    consumer_settings->by_assignment = console->is_in_group;
    const char *client_id = property_list_get(settings, "client.id");
    char *log_name = xasprintf("Consumer clientId=%s, groupId=%s", client_id, property_list_get(settings, "group.id"));
    struct client_settings client_settings = {
        .bootstrap = options_text(options, "bootstrap-server"),
        .client_id = client_id,
        .log_name = log_name,
        .request_timeout_ms = (int32_t)request_timeout_ms,
        .api_timeout_ms = (int32_t)request_timeout_ms,
        .cancel_fd = signals_open(),
        .logs_bootstrap_losses = true,
    };
    if (error == 0 && client_init(&client, &client_settings, failure) != 0) {
        error = failure_set(failure, "org.apache.kafka.common.KafkaException", "Failed to construct kafka consumer");
    }
    int status = 1;
    int signal_number = 0;
    if (error != 0) {
        report_unknown_error(failure);
    } else {
        signal(SIGPIPE, SIG_IGN);
        consumer_init(&console->consumer, &client, consumer_settings, on_record, console);
        if (console->is_in_group) {
            group_member_init(&console->member, &console->consumer, &group);
        }
        int reason = read_records(console, failure);
        if (console->is_in_group) {
            group_member_close(&console->member);
        }
        status = report_end(console, reason, failure, client_settings.cancel_fd,
                            options_has(options, "enable-systest-events"), &signal_number);
        consumer_deinit(&console->consumer);
    }
    client_deinit(&client);
    topic_filter_destroy(filter);
    free(log_name);
    close(client_settings.cancel_fd);
    if (signal_number != 0) {
        signals_die(signal_number);
    }
    return status;
}

static int run(const struct options *options, struct failure *failure) {
    struct property_list settings = {0};
    struct property_list formatter_settings = {0};
    struct consumer_settings consumer_settings = {.partition = -1};
    struct console console = {.skips_errors = options_has(options, "skip-message-on-error")};
    int32_t messages_max = -1;
    int status = gather_settings(options, &settings);
    status = status != 0 ? status : gather_formatter_settings(options, &formatter_settings);
    status = status != 0 ? status : parse_offset(options, &consumer_settings.start_offset);
    if (status == 0 &&
        formatter_create(options_text(options, "formatter"), &formatter_settings, &console.formatter, failure) != 0) {
        status = options_usage(options, "%s", failure->text);
    }
    if (status == 0) {
        int error = options_int(options, "max-messages", -1, &messages_max, failure);
        error = error != 0 ? error : options_long(options, "timeout-ms", -1, &console.timeout_ms, failure);
        error = error != 0 ? error : options_int(options, "partition", -1, &consumer_settings.partition, failure);
        console.messages_max = messages_max;
        status = error != 0 ? report_unknown_error(failure)
                            : consume(options, &settings, &consumer_settings, &console, failure);
    }
    formatter_destroy(console.formatter);
    failure_clear(&console.failure);
    property_list_deinit(&settings);
    property_list_deinit(&formatter_settings);
    return status;
}

int tool_console_consumer(int argc, char **argv) {
    struct options options;
    struct failure failure = {0};
    int status;
    if (options_parse(&options, specs, ARRAY_SIZE(specs), argc, argv, &failure) != 0) {
        status = options_usage(&options, "%s", failure.text);
    } else {
        status = options_help(&options, argc, true,
                              "This tool helps to read data from Kafka topics and outputs it to standard output.");
        status = status < 0 ? check_options(&options) : status;
        bool goes_on = status == 0 && !options_has(&options, "version");
        status = goes_on ? run(&options, &failure) : status;
    }
    failure_clear(&failure);
    options_deinit(&options);
    return status;
}
