/* kafka-log-dirs: what the brokers' log directories hold, as one line of JSON. (cli.md, section 9) */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/admin_tool.h"
#include "tools/tool.h"

#define NAMES_MAX 100000 /* topics or brokers in one list */

static const struct option_spec specs[] = {
    {"bootstrap-server", OPTION_REQUIRED, "String: The server(s) to use for bootstrapping",
     "REQUIRED: the brokers, host:port[,...]."},
    {"broker-list", OPTION_REQUIRED, "String: Broker list", "The brokers to ask, ids with commas; all if absent."},
    {"command-config", OPTION_REQUIRED, "String: Admin client property file",
     "A file of properties for the admin client."},
    {"describe", OPTION_FLAG, NULL, "REQUIRED: describe the log directories."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"topic-list", OPTION_REQUIRED, "String: Topic list", "The topics to show, with commas; all if absent."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

/* Parts between commas, empty ones left out; in the arena. */
static int32_t split(struct arena *arena, const char *text, const char ***ret_parts) {
    int32_t room = 1;
    for (const char *at = text; at != NULL && *at != '\0'; at++) {
        room += *at == ',';
    }
    CHECK(room <= NAMES_MAX);
    const char **parts = ARENA_ARRAY(arena, const char *, room);
    int32_t count = 0;
    for (const char *at = text; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ",");
        if (size > 0) {
            parts[count++] = arena_printf(arena, "%.*s", (int)size, at).data;
        }
        at += size + (at[size] == ',');
    }
    *ret_parts = parts;
    return count;
}

static int compare_ids(const void *a, const void *b) {
    int32_t left = *(const int32_t *)a;
    int32_t right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

static struct str join_ids(struct arena *arena, const int32_t *ids, int32_t count) {
    struct str text = STR_LITERAL("");
    for (int32_t i = 0; i < count; i++) {
        text = arena_printf(arena, "%.*s%s%d", STR_ARGS(text), i > 0 ? "," : "", ids[i]);
    }
    return text;
}

/* The ids of --broker-list, sorted, or of all brokers. ERR_NOT_FOUND when one does not exist: that was printed. */
static int choose_brokers(struct admin_tool *tool, int32_t **ret_ids, int32_t *ret_count) {
    const char **parts;
    int32_t asked = split(&tool->arena, options_text(&tool->options, "broker-list"), &parts);
    int32_t known = tool->client.node_count;
    int32_t *all = ARENA_ARRAY(&tool->arena, int32_t, known + 1);
    for (int32_t i = 0; i < known; i++) {
        all[i] = tool->client.nodes[i]->id;
    }
    qsort(all, (size_t)known, sizeof *all, compare_ids);
    *ret_ids = all;
    *ret_count = known;
    if (asked == 0) {
        return 0;
    }
    int32_t *ids = ARENA_ARRAY(&tool->arena, int32_t, asked);
    int32_t *missing = ARENA_ARRAY(&tool->arena, int32_t, asked);
    int32_t missing_count = 0;
    for (int32_t i = 0; i < asked; i++) {
        if (parse_int32(parts[i], &ids[i]) != 0) {
            return failure_set(&tool->failure, "java.lang.NumberFormatException", "For input string: \"%s\"", parts[i]);
        }
    }
    qsort(ids, (size_t)asked, sizeof *ids, compare_ids);
    for (int32_t i = 0; i < asked; i++) {
        if (client_find_node(&tool->client, ids[i]) == NULL) {
            missing[missing_count++] = ids[i];
        }
    }
    if (missing_count > 0) {
        fprintf(stderr,
                "ERROR: The given brokers do not exist from --broker-list: %.*s. Current existent brokers: %.*s\n",
                STR_ARGS(join_ids(&tool->arena, missing, missing_count)), STR_ARGS(join_ids(&tool->arena, all, known)));
        return ERR_NOT_FOUND;
    }
    *ret_ids = ids;
    *ret_count = asked;
    return 0;
}

static json_t *partitions_json(const struct describe_log_dirs_response_describe_log_dirs_result *dir,
                               const char *const *topics, int32_t topic_count) {
    json_t *partitions = json_array();
    for (int32_t i = 0; i < dir->topics_count; i++) {
        bool is_wanted = topic_count == 0;
        for (int32_t j = 0; j < topic_count && !is_wanted; j++) {
            is_wanted = str_equal_text(dir->topics[i].name, topics[j]);
        }
        for (int32_t j = 0; is_wanted && j < dir->topics[i].partitions_count; j++) {
            const struct describe_log_dirs_response_describe_log_dirs_partition *partition =
                &dir->topics[i].partitions[j];
            json_t *entry = json_object();
            json_object_set_new(entry, "partition",
                                json_sprintf("%.*s-%d", STR_ARGS(dir->topics[i].name), partition->partition_index));
            json_object_set_new(entry, "size", json_integer(partition->partition_size));
            json_object_set_new(entry, "offsetLag", json_integer(partition->offset_lag));
            json_object_set_new(entry, "isFuture", json_boolean(partition->is_future_key));
            json_array_append_new(partitions, entry);
        }
    }
    return partitions;
}

static int describe_broker(struct admin_tool *tool, int32_t id, const char *const *topics, int32_t topic_count,
                           json_t *brokers) {
    struct describe_log_dirs_request request;
    describe_log_dirs_request_init(&request);
    request.topics_count = -1;
    struct describe_log_dirs_response response;
    int error = admin_describe_log_dirs(&tool->client, id, &request, &tool->arena, &response, &tool->failure);
    if (error != 0) {
        return error;
    }
    if (response.error_code != 0) {
        return failure_set_code(&tool->failure, response.error_code, STR_NULL);
    }
    json_t *dirs = json_array();
    for (int32_t i = 0; i < response.results_count; i++) {
        json_t *entry = json_object();
        int16_t code = response.results[i].error_code;
        json_object_set_new(entry, "partitions", partitions_json(&response.results[i], topics, topic_count));
        json_object_set_new(entry, "error", code == 0 ? json_null() : json_string(kafka_error_exception(code)));
        json_object_set_new(entry, "logDir", json_sprintf("%.*s", STR_ARGS(response.results[i].log_dir)));
        json_array_append_new(dirs, entry);
    }
    json_t *broker = json_object();
    json_object_set_new(broker, "broker", json_integer(id));
    json_object_set_new(broker, "logDirs", dirs);
    json_array_append_new(brokers, broker);
    return 0;
}

static int run(struct admin_tool *tool) {
    struct metadata_response response;
    int error = client_metadata(&tool->client, NULL, 0, false, client_deadline(&tool->client), &tool->arena, &response);
    if (error != 0) {
        client_failure(&tool->failure, error, "listNodes");
        return error;
    }
    int32_t *ids = NULL;
    int32_t count = 0;
    const char **topics;
    int32_t topic_count = split(&tool->arena, options_text(&tool->options, "topic-list"), &topics);
    error = choose_brokers(tool, &ids, &count);
    if (error != 0) {
        return error;
    }
    printf("Querying brokers for log directories information\n");
    json_t *brokers = json_array();
    for (int32_t i = 0; i < count && error == 0; i++) {
        error = describe_broker(tool, ids[i], topics, topic_count, brokers);
    }
    if (error == 0) {
        printf("Received log directory information from brokers %.*s\n", STR_ARGS(join_ids(&tool->arena, ids, count)));
        json_t *root = json_pack("{s:O,s:i}", "brokers", brokers, "version", 1);
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
    }
    json_decref(brokers);
    return error;
}

int tool_log_dirs(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error == 0) {
        status = options_help(&tool.options, argc, true,
                              "This tool helps to query log directory usage on the specified brokers.");
        status = status < 0 ? options_check_required(&tool.options,
                                                     (const char *const[]){"bootstrap-server", "describe", NULL})
                            : status;
        if (status == 0 && !options_has(&tool.options, "version")) {
            error = admin_tool_open(&tool, "bootstrap-server", "command-config");
            error = error != 0 ? error : run(&tool);
        }
    }
    if (error != 0) {
        status = 1;
        if (tool.failure.text != NULL) {
            fflush(stdout);
            fprintf(stderr, "%s\n", tool.failure.text);
        }
    }
    admin_tool_deinit(&tool);
    return status;
}
