/* AlterConfigs: the values given are all the values there shall be. */
#include "generated/protocol/alter_configs.h"

#include "broker/request/config_alter.h"
#include "broker/request/handlers.h"

static void answer(struct config_alteration *alteration) {
    struct alter_configs_response response;
    alter_configs_response_init(&response);
    response.responses =
        ARENA_ARRAY(&alteration->request->arena, struct alter_configs_response_alter_configs_resource_response,
                    alteration->item_count);
    response.responses_count = alteration->item_count;
    for (int32_t i = 0; i < alteration->item_count; i++) {
        const struct config_alter_item *item = &alteration->items[i];
        alter_configs_response_alter_configs_resource_response_init(&response.responses[i]);
        response.responses[i].error_code = item->verdict.error_code;
        response.responses[i].error_message = item->verdict.message;
        response.responses[i].resource_type = item->resource_type;
        response.responses[i].resource_name = item->resource_name;
    }
    request_answer(alteration->request, &response);
}

void handle_alter_configs(struct request *request) {
    const struct alter_configs_request *message = request->message;
    struct config_alteration *alteration = ARENA_NEW(&request->arena, struct config_alteration);
    int32_t count = message->resources_count > 0 ? message->resources_count : 0;
    *alteration = (struct config_alteration){
        .request = request,
        .items = ARENA_ARRAY(&request->arena, struct config_alter_item, count),
        .item_count = count,
        .is_incremental = false,
        .validate_only = message->validate_only,
        .on_all = answer,
    };
    for (int32_t i = 0; i < count; i++) {
        const struct alter_configs_request_alter_configs_resource *resource = &message->resources[i];
        int32_t change_count = resource->configs_count > 0 ? resource->configs_count : 0;
        struct config_change *changes = ARENA_ARRAY(&request->arena, struct config_change, change_count);
        for (int32_t j = 0; j < change_count; j++) {
            const struct alter_configs_request_alterable_config *from = &resource->configs[j];
            changes[j] = (struct config_change){.name = from->name, .operation = CONFIG_SET, .value = from->value};
        }
        alteration->items[i] = (struct config_alter_item){
            .resource_type = resource->resource_type,
            .resource_name = resource->resource_name,
            .changes = changes,
            .change_count = change_count,
        };
    }
    config_alter(alteration);
}
