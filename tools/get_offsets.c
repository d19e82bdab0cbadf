/* kafka-get-offsets: where partitions begin, end, or stood at a time. (cli.md, section 12) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/admin_tool.h"
#include "tools/client/partition_work.h"
#include "tools/tool.h"
#include "tools/topic_filter.h"

#define TERSE "org.apache.kafka.tools.TerseException"
#define RULES_MAX 10000 /* parts of --topic-partitions */

static const struct option_spec specs[] = {
    {"bootstrap-server", OPTION_REQUIRED, "String: HOST1:PORT1,...,HOST3:PORT3",
     "REQUIRED: the brokers, host:port[,...]."},
    {"broker-list", OPTION_REQUIRED, "String: HOST1:PORT1,...,HOST3:PORT3",
     "DEPRECATED, use --bootstrap-server, which wins."},
    {"command-config", OPTION_REQUIRED, "String: config file", "A file of properties for the admin client."},
    {"exclude-internal-topics", OPTION_FLAG, NULL, "Leave out Kafka's own topics."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"partitions", OPTION_REQUIRED, "String: partition ids", "Partitions, numbers with commas; all if absent."},
    {"time", OPTION_REQUIRED, "String: <timestamp> / -1 or latest / ...",
     "latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), latest-tiered (-5), or milliseconds since "
     "1970. (default: latest)"},
    {"topic", OPTION_REQUIRED, "String: topic", "Topics, a regular expression; all if absent."},
    {"topic-partitions", OPTION_REQUIRED, "String: topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
     "Rules with commas: topic pattern, a colon, one partition or a range whose end does not count."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

/* One part of --topic-partitions. */
struct rule {
    struct topic_filter *filter;
    int64_t lowest;
    int64_t limit; /* first partition beyond */
};

struct selection {
    struct rule *rules;
    size_t rule_count;
    int32_t *partitions; /* of --partitions */
    size_t partition_count;
    bool exclude_internal;
};

static void selection_deinit(struct selection *selection) {
    for (size_t i = 0; i < selection->rule_count; i++) {
        topic_filter_destroy(selection->rules[i].filter);
    }
    free(selection->rules);
    free(selection->partitions);
}

static int parse_time(const char *text, int64_t *ret_time, struct failure *failure) {
    static const struct {
        const char *name;
        int64_t time;
    } names[] = {
        {"latest", -1}, {"earliest", -2}, {"max-timestamp", -3}, {"earliest-local", -4}, {"latest-tiered", -5}};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(text, names[i].name) == 0) {
            *ret_time = names[i].time;
            return 0;
        }
    }
    if (parse_int64(text, ret_time) == 0) {
        return 0;
    }
    return failure_set(failure, TERSE,
                       "Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / "
                       "-4 or earliest-local / -5 or latest-tiered, or a specified long format timestamp",
                       text);
}

static int parse_partitions(const char *text, struct selection *selection, struct failure *failure) {
    char *copy = xstrdup(text);
    char *rest = copy;
    int error = 0;
    for (char *part = strsep(&rest, ","); part != NULL && error == 0; part = strsep(&rest, ",")) {
        selection->partitions =
            xrealloc(selection->partitions, (selection->partition_count + 1) * sizeof *selection->partitions);
        if (*part != '\0' && parse_int32(part, &selection->partitions[selection->partition_count++]) != 0) {
            error = failure_set(failure, TERSE,
                                "--partitions expects a comma separated list of numeric partition ids, but received: "
                                "%s",
                                text);
        }
    }
    free(copy);
    return error;
}

static int add_rule(struct selection *selection, const char *pattern, int64_t lowest, int64_t limit,
                    struct failure *failure) {
    if (selection->rule_count >= RULES_MAX) {
        return failure_set(failure, TERSE, "Too many rules in --topic-partitions");
    }
    struct topic_filter *filter = topic_filter_create(*pattern == '\0' ? ".*" : pattern);
    if (filter == NULL) {
        return failure_set(failure, "java.util.regex.PatternSyntaxException", "%s is an invalid regex.", pattern);
    }
    selection->rules = xrealloc(selection->rules, (selection->rule_count + 1) * sizeof *selection->rules);
    selection->rules[selection->rule_count++] = (struct rule){filter, lowest, limit};
    return 0;
}

/* "topic", "topic:3", "topic:0-3", "topic:5-", "topic:-3". */
static int parse_rule(char *text, struct selection *selection, struct failure *failure) {
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        return add_rule(selection, text, 0, INT64_MAX, failure);
    }
    const char *range = colon + 1;
    size_t first = strspn(range, "0123456789");
    size_t second = range[first] == '-' ? strspn(range + first + 1, "0123456789") : 0;
    bool is_range = range[first] == '-';
    if (range[first + (is_range ? second + 1 : 0)] != '\0') {
        return failure_set(failure, "java.lang.RuntimeException", TERSE ": Invalid rule specification: %s", text);
    }
    int64_t lowest = first == 0 ? 0 : strtoll(range, NULL, 10);
    int64_t limit = is_range && second > 0   ? strtoll(range + first + 1, NULL, 10)
                    : is_range || first == 0 ? INT64_MAX
                                             : lowest + 1;
    *colon = '\0';
    return add_rule(selection, text, lowest, limit, failure);
}

static int parse_selection(const struct options *options, struct selection *ret, struct failure *failure) {
    const char *topic;
    const char *partitions;
    const char *rules;
    int error = options_string(options, "topic", NULL, &topic, failure);
    error = error != 0 ? error : options_string(options, "partitions", NULL, &partitions, failure);
    error = error != 0 ? error : options_string(options, "topic-partitions", NULL, &rules, failure);
    if (error != 0) {
        return error;
    }
    ret->exclude_internal = options_has(options, "exclude-internal-topics");
    if (rules == NULL) {
        error = partitions == NULL ? 0 : parse_partitions(partitions, ret, failure);
        return error != 0 ? error : add_rule(ret, topic == NULL ? "" : topic, 0, INT64_MAX, failure);
    }
    char *copy = xstrdup(rules);
    char *rest = copy;
    for (char *part = strsep(&rest, ","); part != NULL && error == 0; part = strsep(&rest, ",")) {
        error = parse_rule(part, ret, failure);
    }
    free(copy);
    return error;
}

static bool is_selected(const struct selection *selection, struct str topic, int32_t partition) {
    if (selection->exclude_internal && topic_is_internal(topic)) {
        return false;
    }
    bool in_list = selection->partition_count == 0;
    for (size_t i = 0; i < selection->partition_count && !in_list; i++) {
        in_list = selection->partitions[i] == partition;
    }
    for (size_t i = 0; i < selection->rule_count && in_list; i++) {
        const struct rule *rule = &selection->rules[i];
        if (partition >= rule->lowest && partition < rule->limit && topic_filter_matches(rule->filter, topic)) {
            return true;
        }
    }
    return false;
}

/* As text, so that t-10 comes before t-2. */
static int compare_as_text(const void *a, const void *b) {
    const struct partition_item *left = a;
    const struct partition_item *right = b;
    char *left_text = xasprintf("%.*s-%d", STR_ARGS(left->topic), left->partition);
    char *right_text = xasprintf("%.*s-%d", STR_ARGS(right->topic), right->partition);
    int order = strcmp(left_text, right_text);
    free(left_text);
    free(right_text);
    return order;
}

static int run(struct admin_tool *tool, const struct selection *selection, int64_t timestamp) {
    struct metadata_response response;
    int error = admin_list_topics(&tool->client, &tool->arena, &response, &tool->failure);
    int32_t room = 0;
    for (int32_t i = 0; error == 0 && i < response.topics_count; i++) {
        room += MAX(response.topics[i].partitions_count, 0);
    }
    struct partition_item *items = ARENA_ARRAY(&tool->arena, struct partition_item, room + 1);
    int32_t count = 0;
    for (int32_t i = 0; error == 0 && i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            int32_t partition = response.topics[i].partitions[j].partition_index;
            if (is_selected(selection, response.topics[i].name, partition)) {
                items[count++] = (struct partition_item){.topic = response.topics[i].name, .partition = partition};
            }
        }
    }
    if (error == 0 && count == 0) {
        error = failure_set(&tool->failure, TERSE, "Could not match any topic-partitions with the specified filters");
    }
    error = error != 0 ? error : partitions_list_offsets(&tool->client, items, count, timestamp, &tool->failure);
    if (error == 0) {
        qsort(items, (size_t)count, sizeof *items, compare_as_text);
    }
    for (int32_t i = 0; error == 0 && i < count; i++) {
        if (items[i].failure.text != NULL) {
            fprintf(stderr, "Skip getting offsets for topic-partition %.*s-%d due to error: %s: %s\n",
                    STR_ARGS(items[i].topic), items[i].partition, items[i].failure.class_name, items[i].failure.text);
        } else if (items[i].result >= 0) {
            printf("%.*s:%d:%lld\n", STR_ARGS(items[i].topic), items[i].partition, (long long)items[i].result);
        }
    }
    partition_items_deinit(items, count);
    return error;
}

/* Arguments checked, work done. ERR_INVALID with the failure set; *ret_status after a usage error. */
static int run_options(struct admin_tool *tool, int *ret_status) {
    const struct options *options = &tool->options;
    bool has_list = options_has(options, "broker-list");
    if (!options_has(options, "bootstrap-server") && !has_list) {
        return failure_set(&tool->failure, "joptsimple.MissingRequiredOptionsException",
                           "Missing required option(s) [bootstrap-server]");
    }
    if (options_has(options, "topic-partitions") &&
        (options_has(options, "topic") || options_has(options, "partitions"))) {
        return failure_set(&tool->failure, TERSE, "--topic-partitions cannot be used with --topic or --partitions");
    }
    const char *option = options_has(options, "bootstrap-server") ? "bootstrap-server" : "broker-list";
    if (!addresses_are_valid(options_text(options, option))) {
        *ret_status = options_usage(options, "Please provide valid host:port like host1:9091,host2:9092\n");
        return 0;
    }
    const char *time;
    int64_t timestamp = -1;
    struct selection selection = {0};
    int error = options_string(options, "time", "latest", &time, &tool->failure);
    error = error != 0 ? error : parse_time(time, &timestamp, &tool->failure);
    error = error != 0 ? error : parse_selection(options, &selection, &tool->failure);
    error = error != 0 ? error : admin_tool_open(tool, option, "command-config");
    error = error != 0 ? error : run(tool, &selection, timestamp);
    selection_deinit(&selection);
    return error;
}

int tool_get_offsets(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error == 0) {
        status = options_help(&tool.options, argc, true, "An interactive shell for getting topic-partition offsets.");
    }
    if (error == 0 && status < 0) {
        status = 0;
        error = run_options(&tool, &status);
    }
    if (error != 0) {
        fflush(stdout);
        fprintf(stderr, "Error occurred: %s\n", tool.failure.text);
        status = 1;
    }
    admin_tool_deinit(&tool);
    return status;
}
