/* DescribeConfigs: what is in force for topics, this broker, and the default of all brokers, and where it comes from.
 */
#include "generated/protocol/describe_configs.h"

#include <stdlib.h>

#include "broker/dynamic_config.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/broker_loggers.h"
#include "broker/request/config_change.h"
#include "broker/request/config_entries.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/settings_wait.h"
#include "broker/request/topic_admin.h"

/* Longest wait for the coordinator, and most topics that are read for one request; others are described from memory. */
#define READ_MS_MAX 5000
#define READS_MAX 1000

static void refuse(struct describe_configs_response_describe_configs_result *result, int16_t error_code,
                   struct str message) {
    result->error_code = error_code;
    result->error_message = message;
}

static void describe_topic(struct request *request, const struct config_entries_options *options,
                           struct describe_configs_response_describe_configs_result *result) {
    const struct request_context *context = request->context;
    struct topic_verdict verdict = topic_admin_check_name(result->resource_name, &request->arena);
    if (verdict.error_code != KAFKA_NONE) {
        refuse(result, verdict.error_code, verdict.message);
        return;
    }
    const struct image_topic *topic = image_topic(context->image, result->resource_name);
    if (topic == NULL) {
        refuse(result, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, STR_LITERAL(""));
        return;
    }
    config_entries_of_topic(context->config, dynamic_config_topic(context->dynamic_config, topic->name), options,
                            &request->arena, result);
}

static void describe_broker(struct request *request, const struct config_entries_options *options,
                            struct describe_configs_response_describe_configs_result *result) {
    const struct request_context *context = request->context;
    struct str name = result->resource_name;
    int32_t id = 0;
    bool is_number = name.size > 0 && name.size < 11;
    for (int32_t i = 0; is_number && i < name.size; i++) {
        is_number = name.data[i] >= '0' && name.data[i] <= '9' && id <= (INT32_MAX - 9) / 10;
        id = is_number ? id * 10 + (name.data[i] - '0') : id;
    }
    if (name.size > 0 && !is_number) {
        refuse(result, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Broker id must be an integer, but it is: %.*s", STR_ARGS(name)));
    } else if (name.size > 0 && id != context->broker_id) {
        refuse(result, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Unexpected broker id, expected %d or empty string, but received %.*s",
                            context->broker_id, STR_ARGS(name)));
    } else {
        config_entries_of_broker(context->config, name.size <= 0, options, &request->arena, result);
    }
}

static void describe_resource(struct request *request,
                              const struct describe_configs_request_describe_configs_resource *resource,
                              struct describe_configs_response_describe_configs_result *result) {
    const struct describe_configs_request *message = request->message;
    describe_configs_response_describe_configs_result_init(result);
    result->error_message = STR_LITERAL("");
    result->resource_type = resource->resource_type;
    result->resource_name = resource->resource_name;
    struct config_entries_options options = {
        .keys = resource->configuration_keys,
        .key_count = resource->configuration_keys_count,
        .with_synonyms = message->include_synonyms,
        .with_documentation = message->include_documentation,
    };
    switch (resource->resource_type) {
    case CONFIG_RESOURCE_TOPIC: describe_topic(request, &options, result); return;
    case CONFIG_RESOURCE_BROKER: describe_broker(request, &options, result); return;
    case CONFIG_RESOURCE_BROKER_LOGGER:
        broker_loggers_describe(resource->resource_name, request->context->broker_id, &options, &request->arena,
                                result);
        return;
    case CONFIG_RESOURCE_CLIENT_METRICS:
        refuse(result, KAFKA_INVALID_REQUEST,
               STR_LITERAL("Config type client-metrics is only supported on KRaft clusters"));
        return;
    default:
        refuse(result, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Unexpected resource type %d for resource %.*s", resource->resource_type,
                            STR_ARGS(resource->resource_name)));
    }
}

/* When the coordinator does not answer in time, what this broker last heard is described. */
static void describe_all(struct request *request, bool are_read) {
    const struct describe_configs_request *message = request->message;
    struct describe_configs_response response;
    (void)are_read;
    describe_configs_response_init(&response);
    int32_t count = message->resources_count > 0 ? message->resources_count : 0;
    response.results = ARENA_ARRAY(&request->arena, struct describe_configs_response_describe_configs_result, count);
    response.results_count = count;
    for (int32_t i = 0; i < count; i++) {
        describe_resource(request, &message->resources[i], &response.results[i]);
    }
    request_answer(request, &response);
}

/* A topic's settings are read before they are described, as Kafka does: whoever asks any broker right after a change
 * must see it, though the notification of it may still be on its way. */
void handle_describe_configs(struct request *request) {
    const struct describe_configs_request *message = request->message;
    struct settings_wait *wait = settings_wait_begin(request, describe_all);
    for (int32_t i = 0; i < message->resources_count && i < READS_MAX; i++) {
        const struct describe_configs_request_describe_configs_resource *resource = &message->resources[i];
        bool is_topic = resource->resource_type == CONFIG_RESOURCE_TOPIC;
        if (is_topic && image_topic(request->context->image, resource->resource_name) != NULL) {
            settings_wait_topic(wait, resource->resource_name);
        }
    }
    settings_wait_run(wait, READ_MS_MAX);
}
