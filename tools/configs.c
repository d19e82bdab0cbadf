/* kafka-configs for topics, brokers and loggers. (cli.md, section 7) */
#include "tools/configs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/tool.h"

#define RESOURCE_TOPIC 2
#define RESOURCE_BROKER 4
#define RESOURCE_BROKER_LOGGER 8
#define RESOURCE_CLIENT_METRICS 16
#define OPERATION_SET 0
#define OPERATION_DELETE 1
#define DESCRIBE_TIMEOUT_MS 30000
#define TOPIC_NAME_MAX 249

static const char *const source_names[] = {"UNKNOWN",
                                           "DYNAMIC_TOPIC_CONFIG",
                                           "DYNAMIC_BROKER_CONFIG",
                                           "DYNAMIC_DEFAULT_BROKER_CONFIG",
                                           "STATIC_BROKER_CONFIG",
                                           "DEFAULT_CONFIG",
                                           "DYNAMIC_BROKER_LOGGER_CONFIG",
                                           "DYNAMIC_CLIENT_METRICS_CONFIG",
                                           "GROUP_CONFIG"};

/* One entity, as requests name it. */
struct entity {
    int8_t resource_type;
    const char *name;
    int32_t node_id;       /* the broker that must be asked, -1 for any */
    int8_t dynamic_source; /* of what was set for it; 0 for no filter */
};

static struct entity make_entity(const char *type, const char *name) {
    if (strcmp(type, "topics") == 0) {
        return (struct entity){RESOURCE_TOPIC, name, -1, 1};
    }
    if (strcmp(type, "client-metrics") == 0) {
        return (struct entity){RESOURCE_CLIENT_METRICS, name, -1, 0};
    }
    int32_t id = -1;
    bool is_default = name[0] == '\0';
    if (!is_default) {
        CHECK(parse_int32(name, &id) == 0);
    }
    if (strcmp(type, "brokers") == 0) {
        return (struct entity){RESOURCE_BROKER, name, id, is_default ? 3 : 2};
    }
    return (struct entity){RESOURCE_BROKER_LOGGER, name, id, 0};
}

/* Names Kafka checks before it asks. */
static int check_topic_name(const char *name, struct failure *failure) {
    size_t size = strlen(name);
    if (size == 0) {
        return failure_set(failure, "InvalidTopicException", "Topic name is invalid: the empty string is not allowed");
    }
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return failure_set(failure, "InvalidTopicException", "Topic name is invalid: '%s' is not allowed", name);
    }
    if (size > TOPIC_NAME_MAX) {
        return failure_set(failure, "InvalidTopicException",
                           "Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name,
                           TOPIC_NAME_MAX);
    }
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] != '\0') {
        return failure_set(failure, "InvalidTopicException",
                           "Topic name is invalid: '%s' contains one or more characters other than ASCII "
                           "alphanumerics, '.', '_' and '-'",
                           name);
    }
    return 0;
}

/* A broker's refusal comes out of Java's future, wrapped. */
static int wrap_failure(struct failure *failure) {
    char *text = xasprintf("%s: %s", failure->class_name, failure->text);
    failure_set(failure, "java.util.concurrent.ExecutionException", "%s", text);
    free(text);
    return ERR_INVALID;
}

/* Kafka waits 30 s for a description, whatever the client would wait; that time-out has no text. */
static int wrap_call_error(const struct admin_tool *tool, int error, struct failure *failure) {
    if (error == ERR_TIMED_OUT && tool->settings.api_timeout_ms >= DESCRIBE_TIMEOUT_MS) {
        return failure_set(failure, "java.util.concurrent.TimeoutException", "%s", "");
    }
    return wrap_failure(failure);
}

static int compare_entries(const void *a, const void *b) {
    const struct describe_configs_response_describe_configs_resource_result *left = a;
    const struct describe_configs_response_describe_configs_resource_result *right = b;
    return str_compare(left->name, right->name);
}

/* The entity's settings sorted by name; without `all` only those set for it. */
static int load_configs(struct admin_tool *tool, const struct entity *entity, bool all,
                        struct describe_configs_response_describe_configs_result *ret_result) {
    if (entity->resource_type == RESOURCE_TOPIC) {
        int error = check_topic_name(entity->name, &tool->failure);
        if (error != 0) {
            return error;
        }
    }
    struct describe_configs_request_describe_configs_resource resource;
    describe_configs_request_describe_configs_resource_init(&resource);
    resource.resource_type = entity->resource_type;
    resource.resource_name = str_from(entity->name);
    resource.configuration_keys_count = -1;
    struct describe_configs_request request;
    describe_configs_request_init(&request);
    request.resources = &resource;
    request.resources_count = 1;
    request.include_synonyms = true;
    struct describe_configs_response response;
    int error =
        admin_describe_configs(&tool->client, entity->node_id, &request, &tool->arena, &response, &tool->failure);
    if (error != 0) {
        return wrap_call_error(tool, error, &tool->failure);
    }
    if (response.results_count != 1 || response.results[0].error_code != 0) {
        int16_t code = response.results_count == 1 ? response.results[0].error_code : KAFKA_UNKNOWN_SERVER_ERROR;
        failure_set_code(&tool->failure, code,
                         response.results_count == 1 ? response.results[0].error_message : STR_NULL);
        return wrap_failure(&tool->failure);
    }
    *ret_result = response.results[0];
    int32_t count = 0;
    for (int32_t i = 0; i < ret_result->configs_count; i++) {
        if (all || entity->dynamic_source == 0 || ret_result->configs[i].config_source == entity->dynamic_source) {
            ret_result->configs[count++] = ret_result->configs[i];
        }
    }
    ret_result->configs_count = count;
    if (count > 0) {
        qsort(ret_result->configs, (size_t)count, sizeof *ret_result->configs, compare_entries);
    }
    return 0;
}

static void print_value(struct str value) {
    if (str_is_null(value)) {
        fputs("null", stdout);
    } else {
        printf("%.*s", STR_ARGS(value));
    }
}

static void print_entry(const struct describe_configs_response_describe_configs_resource_result *entry) {
    printf("  %.*s=", STR_ARGS(entry->name));
    print_value(entry->value);
    printf(" sensitive=%s synonyms={", entry->is_sensitive ? "true" : "false");
    for (int32_t i = 0; i < entry->synonyms_count; i++) {
        int8_t source = entry->synonyms[i].source;
        bool is_known = source >= 0 && source < (int8_t)ARRAY_SIZE(source_names);
        printf("%s%s:%.*s=", i > 0 ? ", " : "", source_names[is_known ? source : 0], STR_ARGS(entry->synonyms[i].name));
        print_value(entry->synonyms[i].value);
    }
    puts("}");
}

static int describe_one(struct admin_tool *tool, const char *type, const char *name) {
    bool all = options_has(&tool->options, "all");
    if (name[0] == '\0') {
        printf("Default configs for %s in the cluster are:\n", type);
    } else {
        printf("%s configs for %.*s %s are:\n", all ? "All" : "Dynamic", (int)strlen(type) - 1, type, name);
    }
    fflush(stdout);
    struct entity entity = make_entity(type, name);
    struct describe_configs_response_describe_configs_result result;
    int error = load_configs(tool, &entity, all, &result);
    for (int32_t i = 0; error == 0 && i < result.configs_count; i++) {
        print_entry(&result.configs[i]);
    }
    return error;
}

static int compare_ids(const void *a, const void *b) {
    int32_t left = *(const int32_t *)a;
    int32_t right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

/* All topics, or all brokers and then what holds for all of them. */
static int describe_all(struct admin_tool *tool, const char *type) {
    if (strcmp(type, "client-metrics") == 0) { /* the list of them is for clusters without ZooKeeper */
        failure_set(&tool->failure, "UnsupportedVersionException",
                    "The node does not support LIST_CLIENT_METRICS_RESOURCES");
        return wrap_failure(&tool->failure);
    }
    struct metadata_response response;
    int error = admin_list_topics(&tool->client, &tool->arena, &response, &tool->failure);
    if (error != 0) {
        return wrap_failure(&tool->failure);
    }
    if (strcmp(type, "topics") == 0) {
        for (int32_t i = 0; error == 0 && i < response.topics_count; i++) {
            error = describe_one(tool, type, arena_str(&tool->arena, response.topics[i].name).data);
        }
        return error;
    }
    int32_t count = tool->client.node_count;
    int32_t *ids = ARENA_ARRAY(&tool->arena, int32_t, count + 1);
    for (int32_t i = 0; i < count; i++) {
        ids[i] = tool->client.nodes[i]->id;
    }
    qsort(ids, (size_t)count, sizeof *ids, compare_ids);
    for (int32_t i = 0; error == 0 && i < count; i++) {
        error = describe_one(tool, type, arena_printf(&tool->arena, "%d", ids[i]).data);
    }
    return error != 0 ? error : describe_one(tool, type, "");
}

static bool holds_key(const struct describe_configs_response_describe_configs_result *result, struct str key) {
    for (int32_t i = 0; i < result->configs_count; i++) {
        if (str_equal(result->configs[i].name, key)) {
            return true;
        }
    }
    return false;
}

static void add_change(struct incremental_alter_configs_request_alter_configs_resource *resource, struct str key,
                       struct str value, int8_t operation) {
    struct incremental_alter_configs_request_alterable_config *change = &resource->configs[resource->configs_count++];
    incremental_alter_configs_request_alterable_config_init(change);
    change->name = key;
    change->config_operation = operation;
    change->value = value;
}

/* Fills in what to set and what to remove; removing what is not set is refused. */
static int gather_changes(struct admin_tool *tool, const struct entity *entity, const struct property_list *added,
                          struct incremental_alter_configs_request_alter_configs_resource *resource) {
    struct describe_configs_response_describe_configs_result present;
    int error = load_configs(tool, entity, false, &present);
    if (error != 0) {
        return error;
    }
    const char *deleted = options_text(&tool->options, "delete-config");
    size_t room = added->count + (deleted == NULL ? 0 : strlen(deleted) + 1);
    resource->configs = ARENA_ARRAY(&tool->arena, struct incremental_alter_configs_request_alterable_config, room + 1);
    struct str invalid = STR_LITERAL("");
    bool is_logger = entity->resource_type == RESOURCE_BROKER_LOGGER;
    for (size_t i = 0; i < added->count; i++) {
        struct str key = str_from(added->entries[i].key);
        if (is_logger && !holds_key(&present, key)) {
            invalid =
                arena_printf(&tool->arena, "%.*s%s%.*s", STR_ARGS(invalid), invalid.size > 0 ? "," : "", STR_ARGS(key));
        }
        add_change(resource, key, str_from(added->entries[i].value), OPERATION_SET);
    }
    for (const char *at = deleted; at != NULL && *at != '\0';) {
        at += strspn(at, " ,");
        size_t size = strcspn(at, " ,");
        struct str key = {at, (int32_t)size};
        if (size > 0 && !holds_key(&present, key)) {
            invalid =
                arena_printf(&tool->arena, "%.*s%s%.*s", STR_ARGS(invalid), invalid.size > 0 ? "," : "", STR_ARGS(key));
        } else if (size > 0) {
            add_change(resource, key, STR_NULL, OPERATION_DELETE);
        }
        at += size;
    }
    if (invalid.size > 0) {
        return failure_set(&tool->failure, "java.lang.IllegalArgumentException",
                           is_logger ? "Invalid broker logger(s): %.*s" : "Invalid config(s): %.*s", STR_ARGS(invalid));
    }
    return 0;
}

static int alter(struct admin_tool *tool, const struct configs_arguments *arguments,
                 const struct property_list *added) {
    struct entity entity = make_entity(arguments->type, arguments->name);
    struct incremental_alter_configs_request_alter_configs_resource resource;
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    resource.resource_type = entity.resource_type;
    resource.resource_name = str_from(entity.name);
    int error = gather_changes(tool, &entity, added, &resource);
    if (error != 0) {
        return error;
    }
    struct incremental_alter_configs_request request;
    incremental_alter_configs_request_init(&request);
    request.resources = &resource;
    request.resources_count = 1;
    struct incremental_alter_configs_response response;
    error = admin_alter_configs(&tool->client, entity.node_id, &request, &tool->arena, &response, &tool->failure);
    if (error != 0) {
        return wrap_call_error(tool, error, &tool->failure);
    }
    for (int32_t i = 0; i < response.responses_count; i++) {
        if (response.responses[i].error_code != 0) {
            failure_set_code(&tool->failure, response.responses[i].error_code, response.responses[i].error_message);
            return wrap_failure(&tool->failure);
        }
    }
    if (entity.name[0] == '\0') {
        printf("Completed updating default config for %s in the cluster.\n", arguments->type);
    } else {
        printf("Completed updating config for %.*s %s.\n", (int)strlen(arguments->type) - 1, arguments->type,
               entity.name);
    }
    return 0;
}

static int run(struct admin_tool *tool, const struct configs_arguments *arguments) {
    struct property_list added = {0};
    int error = configs_parse_added(&tool->options, &added, &tool->failure);
    if (error == 0 && (arguments->is_unchanged || !options_has(&tool->options, "bootstrap-server"))) {
        error = failure_set(&tool->failure, "java.lang.IllegalArgumentException",
                            "Quotas, SCRAM credentials and --zookeeper are not available: this release alters and "
                            "describes topics, brokers and broker-loggers with --bootstrap-server.");
    }
    error = error != 0 ? error : admin_tool_open(tool, "bootstrap-server", "command-config");
    tool->client.settings.api_timeout_ms = MIN(tool->settings.api_timeout_ms, DESCRIBE_TIMEOUT_MS);
    if (error == 0 && options_has(&tool->options, "alter")) {
        error = alter(tool, arguments, &added);
    } else if (error == 0) {
        error = arguments->name != NULL ? describe_one(tool, arguments->type, arguments->name)
                                        : describe_all(tool, arguments->type);
    }
    property_list_deinit(&added);
    return error;
}

/* Checks speak for themselves; everything else comes with the command line that led to it. */
static void report_failure(const struct failure *failure, int argc, char **argv) {
    fflush(stdout);
    if (strcmp(failure->class_name, "java.lang.IllegalArgumentException") == 0 ||
        strncmp(failure->class_name, "joptsimple.", 11) == 0) {
        fprintf(stderr, "%s\n", failure->text);
        return;
    }
    fprintf(stderr, "Error while executing config command with args '");
    for (int i = 1; i < argc; i++) {
        fprintf(stderr, "%s%s", i > 1 ? " " : "", argv[i]);
    }
    fprintf(stderr, "'\n%s", failure->class_name);
    bool is_bare = strcmp(failure->class_name, "java.util.concurrent.TimeoutException") == 0;
    fprintf(stderr, is_bare ? "\n" : ": %s\n", failure->text);
}

int tool_configs(int argc, char **argv) {
    struct admin_tool tool;
    struct configs_arguments arguments;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, configs_specs, configs_spec_count(), argc, argv, &tool.failure);
    if (error == 0) {
        status = options_help(&tool.options, argc, true,
                              "This tool helps to manipulate and describe entity config for a topic, client, user, "
                              "broker or ip.");
    }
    if (error == 0 && status < 0) {
        error = configs_check(&tool.options, &arguments, &tool.failure);
        error = error != 0 ? error : run(&tool, &arguments);
        status = 0;
    }
    if (error != 0) {
        if (tool.failure.text != NULL) {
            report_failure(&tool.failure, argc, argv);
        }
        status = 1;
    }
    admin_tool_deinit(&tool);
    return status;
}
