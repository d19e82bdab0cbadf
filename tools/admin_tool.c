#include "tools/admin_tool.h"

#include "broker/base/errors.h"

void admin_tool_init(struct admin_tool *tool) {
    *tool = (struct admin_tool){.cancel_fd = -1};
    arena_init(&tool->arena, SIZE_MAX);
}

void admin_tool_deinit(struct admin_tool *tool) {
    client_deinit(&tool->client);
    property_list_deinit(&tool->properties);
    options_deinit(&tool->options);
    failure_clear(&tool->failure);
    arena_deinit(&tool->arena);
}

int admin_tool_settings(struct admin_tool *tool, const char *bootstrap_option, const char *config_option) {
    const char *bootstrap;
    const char *config;
    int error = options_string(&tool->options, bootstrap_option, NULL, &bootstrap, &tool->failure);
    error = error != 0 ? error : options_string(&tool->options, config_option, NULL, &config, &tool->failure);
    error = error != 0 ? error
                       : client_admin_settings(&tool->settings, bootstrap, config, &tool->properties, &tool->failure);
    tool->settings.cancel_fd = tool->cancel_fd;
    return error;
}

int admin_tool_open(struct admin_tool *tool, const char *bootstrap_option, const char *config_option) {
    int error = admin_tool_settings(tool, bootstrap_option, config_option);
    if (error == 0 && client_init(&tool->client, &tool->settings, &tool->failure) != 0) {
        error = failure_set(&tool->failure, "org.apache.kafka.common.KafkaException",
                            "Failed to create new KafkaAdminClient");
    }
    return error;
}
