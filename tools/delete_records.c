/* kafka-delete-records: moves the beginning of partitions. (cli.md, section 10) */
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/admin_tool.h"
#include "tools/partition_file.h"
#include "tools/tool.h"

#define HANDLER_LOGGER "org.apache.kafka.clients.admin.internals.DeleteRecordsHandler"
#define OPERATION "org.apache.kafka.server.common.AdminOperationException"

static const struct option_spec specs[] = {
    {"bootstrap-server", OPTION_REQUIRED, "String: server(s) to use for bootstrapping",
     "REQUIRED: the brokers, host:port[,...]."},
    {"command-config", OPTION_REQUIRED, "String: command config property file path",
     "A file of properties for the admin client."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"offset-json-file", OPTION_REQUIRED, "String: Offset json file path",
     "REQUIRED: what to delete, {\"partitions\": [{\"topic\": \"t\", \"partition\": 0, \"offset\": 10}], \"version\": "
     "1}; records below the offset go, -1 stands for the high watermark."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

struct work {
    const char *log_name;
    int32_t timeout_ms;
};

static void take_answer(const struct work *work, struct partition_item *item,
                        const struct delete_records_response_delete_records_partition_result *answer) {
    if (kafka_error_is_retriable(answer->error_code)) {
        return;
    }
    item->is_done = true;
    item->result = answer->low_watermark;
    if (answer->error_code != 0) {
        failure_set_code(&item->failure, answer->error_code, STR_NULL);
        report_log("ERROR", HANDLER_LOGGER,
                   "[%s] DeleteRecords request for topic partition %.*s-%d failed due to an unexpected error %s",
                   work->log_name, STR_ARGS(item->topic), item->partition, kafka_error_name(answer->error_code));
    }
}

static int delete_from_leader(void *context, struct broker_connection *connection, struct partition_item **items,
                              int32_t count, int64_t deadline_ms, struct arena *arena) {
    const struct work *work = context;
    struct delete_records_request request;
    delete_records_request_init(&request);
    request.timeout_ms = work->timeout_ms;
    request.topics = ARENA_ARRAY(arena, struct delete_records_request_delete_records_topic, count);
    request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct delete_records_request_delete_records_topic *topic = &request.topics[i];
        delete_records_request_delete_records_topic_init(topic);
        topic->name = items[i]->topic;
        topic->partitions = ARENA_NEW(arena, struct delete_records_request_delete_records_partition);
        topic->partitions_count = 1;
        topic->partitions->partition_index = items[i]->partition;
        topic->partitions->offset = items[i]->argument;
    }
    struct delete_records_response response;
    int error = call_delete_records(connection, &request, deadline_ms, arena, &response);
    for (int32_t i = 0; error == 0 && i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            for (int32_t k = 0; k < count; k++) {
                if (items[k]->partition == response.topics[i].partitions[j].partition_index &&
                    str_equal(items[k]->topic, response.topics[i].name)) {
                    take_answer(work, items[k], &response.topics[i].partitions[j]);
                }
            }
        }
    }
    return error;
}

static int load_file(struct admin_tool *tool, struct partition_file *ret_file) {
    const char *path;
    int error = options_string(&tool->options, "offset-json-file", NULL, &path, &tool->failure);
    if (error != 0) {
        return error;
    }
    switch (partition_file_load(path, true, &tool->arena, ret_file)) {
    case PARTITION_FILE_OK: return 0;
    case PARTITION_FILE_UNREADABLE:
        return failure_set(&tool->failure, "java.io.IOException", "Unable to read file %s", path);
    case PARTITION_FILE_NOT_JSON: return failure_set(&tool->failure, OPERATION, "The input string is not a valid JSON");
    case PARTITION_FILE_BAD_VERSION:
        return failure_set(&tool->failure, OPERATION, "Not supported version field value %lld",
                           (long long)ret_file->version);
    case PARTITION_FILE_NO_PARTITIONS: return failure_set(&tool->failure, OPERATION, "Missing partitions field");
    case PARTITION_FILE_BAD_ENTRY:
        return failure_set(&tool->failure, OPERATION, "Every partition needs a topic, a partition and an offset in %s",
                           path);
    case PARTITION_FILE_DUPLICATE: break;
    }
    return failure_set(&tool->failure, "org.apache.kafka.server.common.AdminCommandFailedException",
                       "Offset json file contains duplicate topic partitions: %.*s", STR_ARGS(ret_file->duplicate));
}

static int run(struct admin_tool *tool) {
    struct partition_file file;
    int error = load_file(tool, &file);
    error = error != 0 ? error : admin_tool_open(tool, "bootstrap-server", "command-config");
    if (error != 0) {
        return error;
    }
    printf("Executing records delete operation\n");
    fflush(stdout);
    struct work work = {tool->settings.log_name, tool->settings.request_timeout_ms};
    error = partition_work(&tool->client, file.items, file.count, "deleteRecords", delete_from_leader, &work,
                           &tool->failure);
    if (error == 0) {
        printf("Records delete operation completed:\n");
        qsort(file.items, (size_t)file.count, sizeof *file.items, partition_item_compare);
    }
    for (int32_t i = 0; error == 0 && i < file.count; i++) {
        const struct partition_item *item = &file.items[i];
        printf("partition: %.*s-%d\t", STR_ARGS(item->topic), item->partition);
        if (item->failure.text != NULL) {
            printf("error: %s: %s\n", item->failure.class_name, item->failure.text);
        } else {
            printf("low_watermark: %lld\n", (long long)item->result);
        }
    }
    partition_items_deinit(file.items, file.count);
    return error;
}

int tool_delete_records(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error == 0) {
        status = options_help(&tool.options, argc, true,
                              "This tool helps to delete records of the given partitions down to the specified "
                              "offset.");
        status = status < 0 ? options_check_required(
                                  &tool.options, (const char *const[]){"bootstrap-server", "offset-json-file", NULL})
                            : status;
        if (status == 0 && !options_has(&tool.options, "version")) {
            error = run(&tool);
        }
    }
    if (error != 0) {
        fflush(stdout);
        fprintf(stderr, "%s\n", tool.failure.text);
        status = 1;
    }
    admin_tool_deinit(&tool);
    return status;
}
