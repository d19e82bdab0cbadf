/* kafka-leader-election: has the controller elect preferred or any living leaders. (cli.md, section 11) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/admin_tool.h"
#include "tools/partition_file.h"
#include "tools/tool.h"

#define COMMAND_FAILED "org.apache.kafka.server.common.AdminCommandFailedException"
#define OPERATION "org.apache.kafka.server.common.AdminOperationException"
#define API_TIMEOUT_MS 30000
#define REQUEST_TIMEOUT_MS 15000

static const struct option_spec specs[] = {
    {"admin.config", OPTION_REQUIRED, "String: config file", "A file of properties for the admin client."},
    {"all-topic-partitions", OPTION_FLAG, NULL, "Elect for all partitions that need it."},
    {"bootstrap-server", OPTION_REQUIRED, "String: host:port", "REQUIRED: the brokers, host:port[,...]."},
    {"election-type", OPTION_REQUIRED, "PREFERRED,UNCLEAN: election type",
     "REQUIRED: preferred elects the first replica if it is in sync; unclean elects any living replica where there is "
     "no leader, and may lose records."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"partition", OPTION_REQUIRED, "Integer: partition id", "The partition of --topic."},
    {"path-to-json-file", OPTION_REQUIRED, "String: Path to JSON file",
     "A file that names the partitions: {\"partitions\": [{\"topic\": \"t\", \"partition\": 0}]}."},
    {"topic", OPTION_REQUIRED, "String: topic name", "The topic; needs --partition."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

struct election {
    int8_t type; /* 0 preferred, 1 unclean */
    const char *type_name;
    struct partition_item *items; /* NULL for all partitions */
    int32_t count;
};

static int check_options(const struct options *options, struct failure *failure) {
    bool has_server = options_has(options, "bootstrap-server");
    bool has_type = options_has(options, "election-type");
    if (!has_server || !has_type) {
        return failure_set(failure, COMMAND_FAILED, "Missing required option(s): %s%s%s",
                           has_server ? "" : "bootstrap-server", has_server || has_type ? "" : ", ",
                           has_type ? "" : "election-type");
    }
    int scopes = options_has(options, "topic") + options_has(options, "all-topic-partitions") +
                 options_has(options, "path-to-json-file");
    if (scopes != 1) {
        return failure_set(failure, COMMAND_FAILED,
                           "One and only one of the following options is required: topic, all-topic-partitions, "
                           "path-to-json-file");
    }
    if (options_has(options, "topic") && !options_has(options, "partition")) {
        return failure_set(failure, COMMAND_FAILED, "Missing required option(s): partition");
    }
    if (!options_has(options, "topic") && options_has(options, "partition")) {
        return failure_set(failure, COMMAND_FAILED, "Option partition is only allowed if topic is used");
    }
    return 0;
}

static int load_file(struct admin_tool *tool, const char *path, struct election *election) {
    struct partition_file file;
    switch (partition_file_load(path, false, &tool->arena, &file)) {
    case PARTITION_FILE_OK: break;
    case PARTITION_FILE_UNREADABLE:
        return failure_set(&tool->failure, "java.lang.RuntimeException", "java.io.IOException: Unable to read file %s",
                           path);
    case PARTITION_FILE_NOT_JSON: return failure_set(&tool->failure, OPERATION, "Replica election data is empty");
    case PARTITION_FILE_BAD_VERSION:
    case PARTITION_FILE_NO_PARTITIONS:
        return failure_set(&tool->failure, OPERATION, "Replica election data is missing \"partitions\" field");
    case PARTITION_FILE_BAD_ENTRY:
        return failure_set(&tool->failure, OPERATION, "Every partition needs a topic and a partition in %s", path);
    case PARTITION_FILE_DUPLICATE:
        return failure_set(&tool->failure, OPERATION, "Replica election data contains duplicate partitions: [%.*s]",
                           STR_ARGS(file.duplicate));
    }
    election->items = file.items;
    election->count = file.count;
    return 0;
}

static int parse_election(struct admin_tool *tool, struct election *ret) {
    const char *type;
    const char *topic;
    const char *path;
    int32_t partition;
    *ret = (struct election){0};
    int error = options_string(&tool->options, "election-type", NULL, &type, &tool->failure);
    error = error != 0 ? error : options_string(&tool->options, "topic", NULL, &topic, &tool->failure);
    error = error != 0 ? error : options_int(&tool->options, "partition", 0, &partition, &tool->failure);
    error = error != 0 ? error : options_string(&tool->options, "path-to-json-file", NULL, &path, &tool->failure);
    if (error != 0) {
        return error;
    }
    ret->type = strcasecmp(type, "unclean") == 0;
    ret->type_name = ret->type == 1 ? "UNCLEAN" : "PREFERRED";
    if (ret->type == 0 && strcasecmp(type, "preferred") != 0) {
        return failure_set(&tool->failure, "joptsimple.OptionArgumentConversionException",
                           "Cannot parse argument '%s' of option election-type", type);
    }
    if (topic != NULL) {
        ret->items = ARENA_NEW(&tool->arena, struct partition_item);
        ret->items[0] = (struct partition_item){.topic = str_from(topic), .partition = partition};
        ret->count = 1;
    }
    return path != NULL ? load_file(tool, path, ret) : 0;
}

static void build_request(struct admin_tool *tool, const struct election *election,
                          struct elect_leaders_request *ret_request) {
    elect_leaders_request_init(ret_request);
    ret_request->election_type = election->type;
    ret_request->timeout_ms = tool->settings.request_timeout_ms;
    ret_request->topic_partitions_count = -1;
    if (election->items == NULL) {
        return;
    }
    ret_request->topic_partitions_count = election->count;
    ret_request->topic_partitions =
        ARENA_ARRAY(&tool->arena, struct elect_leaders_request_topic_partitions, election->count + 1);
    for (int32_t i = 0; i < election->count; i++) {
        struct elect_leaders_request_topic_partitions *entry = &ret_request->topic_partitions[i];
        elect_leaders_request_topic_partitions_init(entry);
        entry->topic = election->items[i].topic;
        entry->partitions = ARENA_NEW(&tool->arena, int32_t);
        entry->partitions[0] = election->items[i].partition;
        entry->partitions_count = 1;
    }
}

/* One line with all partitions that have a result of this kind. */
static void print_partitions(const struct elect_leaders_response *response, int16_t code, const char *heading) {
    bool first = true;
    for (int32_t i = 0; i < response->replica_election_results_count; i++) {
        const struct elect_leaders_response_replica_election_result *topic = &response->replica_election_results[i];
        for (int32_t j = 0; j < topic->partition_result_count; j++) {
            if (topic->partition_result[j].error_code == code) {
                printf("%s%.*s-%d", first ? heading : ", ", STR_ARGS(topic->topic),
                       topic->partition_result[j].partition_id);
                first = false;
            }
        }
    }
    if (!first) {
        putchar('\n');
    }
}

static int print_failures(const struct elect_leaders_response *response, const struct election *election,
                          struct failure *failure) {
    int failures = 0;
    for (int32_t i = 0; i < response->replica_election_results_count; i++) {
        const struct elect_leaders_response_replica_election_result *topic = &response->replica_election_results[i];
        for (int32_t j = 0; j < topic->partition_result_count; j++) {
            const struct elect_leaders_response_partition_result *result = &topic->partition_result[j];
            if (result->error_code == 0 || result->error_code == KAFKA_ELECTION_NOT_NEEDED) {
                continue;
            }
            failure_set_code(failure, result->error_code, result->error_message);
            printf("Error completing leader election (%s) for partition: %.*s-%d: %s: %s\n", election->type_name,
                   STR_ARGS(topic->topic), result->partition_id, failure->class_name, failure->text);
            failures++;
        }
    }
    return failures == 0 ? 0 : failure_set(failure, COMMAND_FAILED, "%d replica(s) could not be elected", failures);
}

static int run(struct admin_tool *tool) {
    struct election election;
    int error = check_options(&tool->options, &tool->failure);
    error = error != 0 ? error : parse_election(tool, &election);
    error = error != 0 ? error : admin_tool_open(tool, "bootstrap-server", "admin.config");
    if (error != 0) {
        return error;
    }
    if (property_list_get(&tool->properties, "default.api.timeout.ms") == NULL) {
        tool->client.settings.api_timeout_ms = API_TIMEOUT_MS;
    }
    if (property_list_get(&tool->properties, "request.timeout.ms") == NULL) {
        tool->client.settings.request_timeout_ms = REQUEST_TIMEOUT_MS;
    }
    struct elect_leaders_request request;
    struct elect_leaders_response response;
    build_request(tool, &election, &request);
    error = admin_elect_leaders(&tool->client, &request, &tool->arena, &response, &tool->failure);
    if (error == ERR_TIMED_OUT || (error == 0 && response.error_code == KAFKA_REQUEST_TIMED_OUT)) {
        printf("Timeout waiting for election results\n");
        return failure_set(&tool->failure, COMMAND_FAILED, "Timeout waiting for election results");
    }
    if (error != 0) {
        return error;
    }
    if (response.error_code == KAFKA_CLUSTER_AUTHORIZATION_FAILED) {
        printf("Not authorized to perform leader election\n");
        return failure_set(&tool->failure, COMMAND_FAILED, "Not authorized to perform leader election");
    }
    if (response.error_code != 0) {
        return failure_set_code(&tool->failure, response.error_code, STR_NULL);
    }
    char *heading = xasprintf("Successfully completed leader election (%s) for partitions ", election.type_name);
    print_partitions(&response, 0, heading);
    free(heading);
    if (election.items != NULL) {
        print_partitions(&response, KAFKA_ELECTION_NOT_NEEDED, "Valid replica already elected for partitions ");
    }
    return print_failures(&response, &election, &tool->failure);
}

int tool_leader_election(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error == 0) {
        status = options_help(&tool.options, argc, true,
                              "This tool attempts to elect a new leader for a set of topic partitions. The type of "
                              "elections supported are preferred replicas and unclean replicas.");
    }
    if (error == 0 && status < 0) {
        error = run(&tool);
        status = 0;
    }
    if (error != 0) {
        fflush(stdout);
        fprintf(stderr, "%s\n", tool.failure.text);
        status = 1;
    }
    admin_tool_deinit(&tool);
    return status;
}
