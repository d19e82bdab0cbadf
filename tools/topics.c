/* kafka-topics: create, list, alter, delete; describe is in topics_describe.c. (cli.md, section 1) */
#include "tools/topics.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/tool.h"
#include "tools/topic_filter.h"

#define LOGGER "org.apache.kafka.tools.TopicCommand"
/* A topic's partitions are bounded by what the controller can hold; this only keeps the parser's array honest. */
#define ASSIGNMENT_PARTITIONS_MAX 200000
#define REPLICATION_FACTOR_MAX 32767

static const struct option_spec specs[] = {
    {"alter", OPTION_FLAG, NULL,
     "Grow the number of partitions (--partitions) of the topics, with or without a "
     "--replica-assignment."},
    {"at-min-isr-partitions", OPTION_FLAG, NULL,
     "With --describe: only partitions whose in-sync replicas are just as many as min.insync.replicas."},
    {"bootstrap-server", OPTION_REQUIRED, "String: server to connect to", "REQUIRED: the brokers, host:port[,...]."},
    {"command-config", OPTION_REQUIRED, "String: command config property file",
     "A file of properties for the admin client."},
    {"config", OPTION_REQUIRED, "String: name=value", "With --create: a topic setting; may be repeated."},
    {"create", OPTION_FLAG, NULL, "Create a topic."},
    {"delete", OPTION_FLAG, NULL, "Delete the topics the pattern matches."},
    {"delete-config", OPTION_REQUIRED, "String: name", "Not supported; use kafka-configs."},
    {"describe", OPTION_FLAG, NULL, "Show the topics and their partitions."},
    {"exclude-internal", OPTION_FLAG, NULL, "With --list and --describe: leave out Kafka's own topics."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"if-exists", OPTION_FLAG, NULL, "With --alter, --delete, --describe: a missing topic is no error."},
    {"if-not-exists", OPTION_FLAG, NULL, "With --create: an existing topic is no error."},
    {"list", OPTION_FLAG, NULL, "List the topics."},
    {"partition-size-limit-per-response", OPTION_REQUIRED, "Integer: maximum partitions in one response",
     "With --describe: how many partitions one answer may hold."},
    {"partitions", OPTION_REQUIRED, "Integer: # of partitions",
     "How many partitions to create or to grow to. The broker's default if absent on --create."},
    {"replica-assignment", OPTION_REQUIRED, "String: broker_id_for_part1_replica1:broker_id_for_part1_replica2,...",
     "The brokers of each partition, chosen by hand."},
    {"replication-factor", OPTION_REQUIRED, "Integer: replication factor",
     "With --create: replicas of each partition. The broker's default if absent."},
    {"topic", OPTION_REQUIRED, "String: topic", "The topic's name; a regular expression except with --create."},
    {"topic-id", OPTION_REQUIRED, "String: topic-id", "With --describe: the topic's id, instead of its name."},
    {"topics-with-overrides", OPTION_FLAG, NULL, "With --describe: only topics with settings of their own."},
    {"unavailable-partitions", OPTION_FLAG, NULL, "With --describe: only partitions without a live leader."},
    {"under-min-isr-partitions", OPTION_FLAG, NULL,
     "With --describe: only partitions with fewer in-sync replicas than min.insync.replicas."},
    {"under-replicated-partitions", OPTION_FLAG, NULL,
     "With --describe: only partitions with fewer in-sync replicas than replicas."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

int topics_select(struct client *client, const char *pattern, bool exclude_internal, struct arena *arena,
                  struct topics_selection *ret_selection, struct failure *failure) {
    struct topic_filter *filter = NULL;
    if (pattern != NULL) {
        filter = topic_filter_create(pattern);
        if (filter == NULL) {
            char *text = topic_filter_normalize(pattern);
            failure_set(failure, "java.lang.RuntimeException", "%s is an invalid regex.", text);
            free(text);
            return ERR_INVALID;
        }
    }
    int error = admin_list_topics(client, arena, &ret_selection->metadata, failure);
    ret_selection->count = 0;
    int32_t all = error == 0 ? ret_selection->metadata.topics_count : 0;
    ret_selection->topics =
        ARENA_ARRAY(arena, const struct metadata_response_metadata_response_topic *, MAX(all, 0) + 1);
    for (int32_t i = 0; i < all; i++) {
        const struct metadata_response_metadata_response_topic *topic = &ret_selection->metadata.topics[i];
        if (topic_filter_matches(filter, topic->name) && !(exclude_internal && topic_is_internal(topic->name))) {
            ret_selection->topics[ret_selection->count++] = topic;
        }
    }
    topic_filter_destroy(filter);
    return error;
}

int topics_require(const struct topics_selection *selection, const char *pattern, const struct options *options,
                   struct failure *failure) {
    if (selection->count > 0 || options_has(options, "if-exists")) {
        return 0;
    }
    return failure_set(failure, "java.lang.IllegalArgumentException", "Topic '%s' does not exist as expected", pattern);
}

/* "1:2,2:3" to one list of brokers per partition. */
static int parse_assignment(const char *text, struct arena *arena,
                            struct create_topics_request_creatable_replica_assignment **ret_partitions,
                            int32_t *ret_count, struct failure *failure) {
    int32_t count = 1;
    for (const char *at = text; *at != '\0'; at++) {
        count += *at == ',';
    }
    if (count > ASSIGNMENT_PARTITIONS_MAX) {
        return failure_set(failure, "java.lang.IllegalArgumentException", "Too many partitions in the assignment");
    }
    struct create_topics_request_creatable_replica_assignment *partitions =
        ARENA_ARRAY(arena, struct create_topics_request_creatable_replica_assignment, count);
    char *copy = xstrdup(text);
    char *rest = copy;
    int error = 0;
    for (int32_t i = 0; i < count && error == 0; i++) {
        char *part = strsep(&rest, ",");
        int32_t size = 1;
        for (const char *at = part; *at != '\0'; at++) {
            size += *at == ':';
        }
        create_topics_request_creatable_replica_assignment_init(&partitions[i]);
        partitions[i].partition_index = i;
        partitions[i].broker_ids = ARENA_ARRAY(arena, int32_t, size);
        for (char *id = strsep(&part, ":"); id != NULL && error == 0; id = strsep(&part, ":")) {
            id += strspn(id, " ");
            id[strcspn(id, " ")] = '\0';
            int32_t value;
            if (parse_int32(id, &value) != 0) {
                error = failure_set(failure, "java.lang.NumberFormatException", "For input string: \"%s\"", id);
                break;
            }
            for (int32_t j = 0; j < partitions[i].broker_ids_count && error == 0; j++) {
                if (partitions[i].broker_ids[j] == value) {
                    error = failure_set(failure, "org.apache.kafka.server.common.AdminCommandFailedException",
                                        "Partition replica lists may not contain duplicate entries: %d", value);
                }
            }
            partitions[i].broker_ids[partitions[i].broker_ids_count++] = value;
        }
        if (error == 0 && partitions[i].broker_ids_count != partitions[0].broker_ids_count) {
            struct str list = arena_printf(arena, "%d", partitions[i].broker_ids[0]);
            for (int32_t j = 1; j < partitions[i].broker_ids_count; j++) {
                list = arena_printf(arena, "%.*s, %d", STR_ARGS(list), partitions[i].broker_ids[j]);
            }
            error = failure_set(failure, "org.apache.kafka.server.common.AdminOperationException",
                                "Partition %d has different replication factor: [%.*s]", i, STR_ARGS(list));
        }
    }
    free(copy);
    *ret_partitions = partitions;
    *ret_count = count;
    return error;
}

/* The --config options: name=value, blanks around the sign dropped. */
static int parse_configs(const struct options *options, struct arena *arena,
                         struct create_topics_request_creatable_topic *topic, struct failure *failure) {
    int32_t count = (int32_t)options_count(options, "config");
    topic->configs = ARENA_ARRAY(arena, struct create_topics_request_creatable_topic_config, count + 1);
    topic->configs_count = count;
    for (int32_t i = 0; i < count; i++) {
        const char *pair = options_nth(options, "config", (size_t)i);
        const char *equals = strchr(pair, '=');
        const char *value = equals == NULL ? "" : equals + 1 + strspn(equals + 1, " \t");
        if (*value == '\0' || strchr(value, '=') != NULL) {
            return failure_set(failure, "java.lang.IllegalArgumentException",
                               "requirement failed: Invalid topic config: all configs to be added must be in the "
                               "format \"key=val\".");
        }
        int32_t size = (int32_t)(equals - pair);
        while (size > 0 && isspace((unsigned char)pair[size - 1])) {
            size--;
        }
        create_topics_request_creatable_topic_config_init(&topic->configs[i]);
        topic->configs[i].name = (struct str){pair, size};
        topic->configs[i].value = str_from(value);
        if (str_equal_text(topic->configs[i].name, "message.format.version")) {
            printf("WARNING: The configuration message.format.version=%s is specified. This configuration will be "
                   "ignored if the version is newer than the inter.broker.protocol.version specified in the broker or "
                   "if the inter.broker.protocol.version is 3.0 or newer. This configuration is deprecated and it "
                   "will be removed in Apache Kafka 4.0.\n",
                   value);
        }
    }
    return 0;
}

static int parse_new_topic(const struct options *options, struct arena *arena,
                           struct create_topics_request_creatable_topic *topic, struct failure *failure) {
    const char *name;
    const char *assignment;
    int32_t partitions = -1;
    int32_t factor = -1;
    create_topics_request_creatable_topic_init(topic);
    int error = options_string(options, "topic", NULL, &name, failure);
    error = error != 0 ? error : options_int(options, "partitions", -1, &partitions, failure);
    error = error != 0 ? error : options_int(options, "replication-factor", -1, &factor, failure);
    error = error != 0 ? error : options_string(options, "replica-assignment", NULL, &assignment, failure);
    if (error == 0 && assignment != NULL && *assignment != '\0') {
        error = parse_assignment(assignment, arena, &topic->assignments, &topic->assignments_count, failure);
    }
    error = error != 0 ? error : parse_configs(options, arena, topic, failure);
    if (error != 0) {
        return error;
    }
    if (strpbrk(name, "._") != NULL) {
        printf("WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could "
               "collide. To avoid issues it is best to use either, but not both.\n");
    }
    if (options_has(options, "replication-factor") && (factor < 1 || factor > REPLICATION_FACTOR_MAX)) {
        return failure_set(failure, "java.lang.IllegalArgumentException",
                           "The replication factor must be between 1 and 32767 inclusive");
    }
    if (options_has(options, "partitions") && partitions < 1) {
        return failure_set(failure, "java.lang.IllegalArgumentException", "The partitions must be greater than 0");
    }
    if (*name == '\0') {
        return failure_set(failure, "InvalidTopicException",
                           "The given topic name '' cannot be represented in a request.");
    }
    topic->name = str_from(name);
    topic->num_partitions = partitions;
    topic->replication_factor = (int16_t)factor;
    return 0;
}

/* A value the broker refuses is refused by Java's tool before it asks, with another class. */
static void rename_config_refusal(struct failure *failure) {
    if (failure->code == KAFKA_INVALID_CONFIG && strncmp(failure->text, "Invalid value ", 14) == 0) {
        char *text = xstrdup(failure->text);
        failure_set(failure, "org.apache.kafka.common.config.ConfigException", "%s", text);
        free(text);
    }
}

static int run_create(struct client *client, const struct options *options, struct arena *arena,
                      struct failure *failure) {
    struct create_topics_request request;
    struct create_topics_request_creatable_topic topic;
    create_topics_request_init(&request);
    int error = parse_new_topic(options, arena, &topic, failure);
    if (error != 0) {
        return error;
    }
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = client->settings.request_timeout_ms;
    struct create_topics_response response;
    error = admin_create_topics(client, &request, arena, &response, failure);
    if (error != 0) {
        return error;
    }
    for (int32_t i = 0; i < response.topics_count; i++) {
        int16_t code = response.topics[i].error_code;
        if (code == KAFKA_TOPIC_ALREADY_EXISTS && options_has(options, "if-not-exists")) {
            return 0;
        }
        if (code != 0) {
            error = failure_set_code(failure, code, response.topics[i].error_message);
            rename_config_refusal(failure);
            return error;
        }
    }
    printf("Created topic %.*s.\n", STR_ARGS(topic.name));
    return 0;
}

static int run_list(struct client *client, const struct options *options, struct arena *arena,
                    struct failure *failure) {
    const char *pattern;
    struct topics_selection selection;
    int error = options_string(options, "topic", NULL, &pattern, failure);
    if (error == 0) {
        error = topics_select(client, pattern, options_has(options, "exclude-internal"), arena, &selection, failure);
    }
    if (error != 0) {
        return error;
    }
    for (int32_t i = 0; i < selection.count; i++) {
        printf("%.*s\n", STR_ARGS(selection.topics[i]->name));
    }
    if (selection.count == 0) {
        putchar('\n');
    }
    return 0;
}

static int run_alter(struct client *client, const struct options *options, struct arena *arena,
                     struct failure *failure) {
    const char *pattern;
    const char *assignment;
    int32_t partitions = 0;
    struct create_topics_request_creatable_replica_assignment *assigned = NULL;
    int32_t assigned_count = 0;
    struct topics_selection selection;
    int error = options_string(options, "topic", NULL, &pattern, failure);
    error = error != 0 ? error : options_int(options, "partitions", 0, &partitions, failure);
    error = error != 0 ? error : options_string(options, "replica-assignment", NULL, &assignment, failure);
    if (error == 0 && assignment != NULL && *assignment != '\0') {
        error = parse_assignment(assignment, arena, &assigned, &assigned_count, failure);
    }
    error = error != 0 ? error : topics_select(client, pattern, false, arena, &selection, failure);
    error = error != 0 ? error : topics_require(&selection, pattern, options, failure);
    if (error != 0 || selection.count == 0) {
        return error;
    }
    struct create_partitions_request request;
    create_partitions_request_init(&request);
    request.timeout_ms = client->settings.request_timeout_ms;
    request.topics_count = selection.count;
    request.topics = ARENA_ARRAY(arena, struct create_partitions_request_create_partitions_topic, selection.count);
    for (int32_t i = 0; i < selection.count; i++) {
        struct create_partitions_request_create_partitions_topic *topic = &request.topics[i];
        create_partitions_request_create_partitions_topic_init(topic);
        topic->name = selection.topics[i]->name;
        topic->count = partitions;
        topic->assignments_count = -1;
        if (assigned != NULL) {
            /* The list describes all partitions; what exists already is passed over. */
            int32_t first = MIN(selection.topics[i]->partitions_count, assigned_count);
            topic->assignments_count = assigned_count - first;
            topic->assignments =
                ARENA_ARRAY(arena, struct create_partitions_request_create_partitions_assignment, assigned_count + 1);
            for (int32_t j = first; j < assigned_count; j++) {
                topic->assignments[j - first].broker_ids = assigned[j].broker_ids;
                topic->assignments[j - first].broker_ids_count = assigned[j].broker_ids_count;
            }
        }
    }
    struct create_partitions_response response;
    error = admin_create_partitions(client, &request, arena, &response, failure);
    for (int32_t i = 0; error == 0 && i < response.results_count; i++) {
        if (response.results[i].error_code != 0) {
            error = failure_set_code(failure, response.results[i].error_code, response.results[i].error_message);
        }
    }
    return error;
}

static int run_delete(struct client *client, const struct options *options, struct arena *arena,
                      struct failure *failure) {
    const char *pattern;
    struct topics_selection selection;
    int error = options_string(options, "topic", NULL, &pattern, failure);
    error = error != 0 ? error : topics_select(client, pattern, false, arena, &selection, failure);
    error = error != 0 ? error : topics_require(&selection, pattern, options, failure);
    if (error != 0 || selection.count == 0) {
        return error;
    }
    struct delete_topics_request request;
    delete_topics_request_init(&request);
    request.timeout_ms = client->settings.request_timeout_ms;
    request.topic_names = ARENA_ARRAY(arena, struct str, selection.count);
    request.topic_names_count = selection.count;
    for (int32_t i = 0; i < selection.count; i++) {
        request.topic_names[i] = selection.topics[i]->name;
    }
    struct delete_topics_response response;
    error = admin_delete_topics(client, &request, arena, &response, failure);
    for (int32_t i = 0; error == 0 && i < response.responses_count; i++) {
        if (response.responses[i].error_code != 0) {
            error = failure_set_code(failure, response.responses[i].error_code, response.responses[i].error_message);
        }
    }
    return error;
}

/* Which other options an option may not meet. */
static int check_conflicts(const struct options *options) {
    static const struct {
        const char *name;
        const char *others[8];
    } rules[] = {
        {"delete-config", {"bootstrap-server"}},
        {"config", {"describe", "list", "delete"}},
        {"partitions", {"describe", "list", "delete"}},
        {"replication-factor", {"alter", "describe", "list", "delete"}},
        {"replica-assignment", {"describe", "list", "delete"}},
        {"under-replicated-partitions", {"create", "alter", "list", "delete", "topics-with-overrides"}},
        {"under-min-isr-partitions", {"create", "alter", "list", "delete", "topics-with-overrides"}},
        {"at-min-isr-partitions", {"create", "alter", "list", "delete", "topics-with-overrides"}},
        {"unavailable-partitions", {"create", "alter", "list", "delete", "topics-with-overrides"}},
        {"topics-with-overrides", {"create", "alter", "list", "delete"}},
        {"if-exists", {"create", "list"}},
        {"if-not-exists", {"alter", "describe", "list", "delete"}},
        {"exclude-internal", {"create", "alter", "delete"}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        int status = options_check_conflicts(options, rules[i].name, rules[i].others);
        if (status != 0) {
            return status;
        }
        bool is_assignment = strcmp(rules[i].name, "replica-assignment") == 0;
        if (is_assignment && options_has(options, "create")) {
            static const char *const counts[] = {"partitions", "replication-factor", NULL};
            status = options_check_conflicts(options, "replica-assignment", counts);
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

/* 0, or the exit status after the usage error. */
static int check_options(const struct options *options) {
    static const char *const actions[] = {"create", "list", "alter", "describe", "delete"};
    int count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        count += options_has(options, actions[i]);
    }
    if (count != 1) {
        return options_usage(
            options, "Command must include exactly one action: --list, --describe, --create, --alter or --delete");
    }
    if (!options_has(options, "bootstrap-server")) {
        fprintf(stderr, "--bootstrap-server must be specified\n");
        return 1;
    }
    if (options_has(options, "describe") && options_has(options, "if-exists")) {
        if (!options_has(options, "topic") && !options_has(options, "topic-id")) {
            return options_usage(options, "--topic or --topic-id is required to describe a topic");
        }
        if (options_has(options, "topic") && options_has(options, "topic-id")) {
            printf("Only topic id will be used when both --topic and --topic-id are specified and topicId is not "
                   "Uuid.ZERO_UUID\n");
        }
    }
    if (!options_has(options, "list") && !options_has(options, "describe")) {
        int status = options_check_required(options, (const char *const[]){"topic", NULL});
        if (status != 0) {
            return status;
        }
    }
    if (options_has(options, "alter")) {
        if (options_has(options, "config")) {
            return options_usage(options, "Option combination \"[[bootstrap-server], [config]]\" can't be used with "
                                          "option \"[alter]\" (the kafka-configs CLI supports altering topic configs "
                                          "with a --bootstrap-server option)");
        }
        int status = options_check_required(options, (const char *const[]){"partitions", NULL});
        if (status != 0) {
            return status;
        }
    }
    return check_conflicts(options);
}

static int run_action(struct client *client, const struct options *options, struct failure *failure) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    int error;
    if (options_has(options, "create")) {
        error = run_create(client, options, &arena, failure);
    } else if (options_has(options, "alter")) {
        error = run_alter(client, options, &arena, failure);
    } else if (options_has(options, "list")) {
        error = run_list(client, options, &arena, failure);
    } else if (options_has(options, "delete")) {
        error = run_delete(client, options, &arena, failure);
    } else {
        error = topics_describe(client, options, &arena, failure);
    }
    if (error != 0) {
        printf("Error while executing topic command : %s\n", failure->text);
        fflush(stdout);
        report_log("ERROR", LOGGER, "%s: %s\n", failure->class_name, failure->text);
    }
    arena_deinit(&arena);
    return error == 0 ? 0 : 1;
}

int tool_topics(int argc, char **argv) {
    struct options options;
    struct failure failure = {0};
    struct property_list properties = {0};
    struct client client = {0};
    struct client_settings settings;
    const char *bootstrap;
    const char *config;
    int status = 1;
    if (options_parse(&options, specs, ARRAY_SIZE(specs), argc, argv, &failure) != 0) {
        fprintf(stderr, "%s\n", failure.text);
    } else {
        status = options_help(&options, argc, true, "This tool helps to create, delete, describe, or change a topic.");
        status = status < 0 && (status = check_options(&options)) == 0 ? -1 : status;
    }
    if (status < 0) {
        status = 1;
        if (options_string(&options, "bootstrap-server", NULL, &bootstrap, &failure) != 0 ||
            options_string(&options, "command-config", NULL, &config, &failure) != 0 ||
            client_admin_settings(&settings, bootstrap, config, &properties, &failure) != 0) {
            fprintf(stderr, "%s\n", failure.text);
        } else if (client_init(&client, &settings, &failure) != 0) {
            fprintf(stderr, "Failed to create new KafkaAdminClient\n");
        } else {
            status = run_action(&client, &options, &failure);
        }
    }
    client_deinit(&client);
    property_list_deinit(&properties);
    failure_clear(&failure);
    options_deinit(&options);
    return status;
}
