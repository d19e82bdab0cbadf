/* Runs the changes of one request, all at once. */
#include "broker/request/config_alter.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/dynamic_config.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/broker_loggers.h"
#include "broker/request/config_entries.h"
#include "broker/request/context.h"
#include "coordinator-client/znode_path.h"

#define AREA "kafka.server.ZkAdminManager"

static void item_done(struct config_alter_item *item) {
    struct config_alteration *alteration = item->alteration;
    if (--alteration->left == 0) {
        alteration->on_all(alteration);
    }
}

/* The stored values are known: change and check them. */
static bool decide(void *context, struct properties *values) {
    struct config_alter_item *item = context;
    struct request *request = item->alteration->request;
    if (!item->alteration->is_incremental) {
        properties_deinit(values);
    }
    item->verdict =
        config_change_apply(item->resource_type, values, item->changes, item->change_count, &request->arena);
    if (item->verdict.error_code != KAFKA_NONE) {
        return false;
    }
    struct request_context *broker = request->context;
    if (item->resource_type == CONFIG_RESOURCE_TOPIC) {
        if (image_topic(broker->image, item->resource_name) == NULL) {
            item->verdict = (struct config_verdict){
                KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                arena_printf(&request->arena, "The topic '%.*s' does not exist.", STR_ARGS(item->resource_name))};
            return false;
        }
        item->verdict = config_change_check_topic(broker->config, item->resource_name, values, &request->arena);
    } else {
        item->verdict = config_change_check_broker(broker->config, item->resource_name, values, &request->arena);
    }
    return item->verdict.error_code == KAFKA_NONE && !item->alteration->validate_only;
}

static void on_written(void *context, int error) {
    struct config_alter_item *item = context;
    struct request *request = item->alteration->request;
    if (error != 0 && error != ERR_INVALID && item->verdict.error_code == KAFKA_NONE) {
        trace_error(AREA, "Changing the settings of %.*s failed: %s", STR_ARGS(item->resource_name), error_text(error));
        item->verdict = (struct config_verdict){
            KAFKA_UNKNOWN_SERVER_ERROR,
            arena_printf(&request->arena, "The settings could not be stored: %s", error_text(error))};
    }
    item_done(item);
}

static bool is_named_twice(const struct config_alteration *alteration, const struct config_alter_item *item) {
    for (int32_t i = 0; i < alteration->item_count; i++) {
        const struct config_alter_item *other = &alteration->items[i];
        if (other != item && other->resource_type == item->resource_type &&
            str_equal(other->resource_name, item->resource_name)) {
            return true;
        }
    }
    return false;
}

static void begin(struct config_alter_item *item) {
    struct config_alteration *alteration = item->alteration;
    struct request *request = alteration->request;
    if (is_named_twice(alteration, item)) {
        item->verdict =
            (struct config_verdict){KAFKA_INVALID_REQUEST, STR_LITERAL("Each resource must appear at most once.")};
    } else if (alteration->is_incremental && item->resource_type == CONFIG_RESOURCE_BROKER_LOGGER) {
        item->verdict = broker_loggers_alter(item->resource_name, request->context->broker_id, item->changes,
                                             item->change_count, alteration->validate_only, &request->arena);
        item_done(item);
        return;
    } else {
        item->verdict =
            config_change_check_request(item->resource_type, item->resource_name, request->context->broker_id,
                                        item->changes, item->change_count, &request->arena);
    }
    if (item->verdict.error_code != KAFKA_NONE) {
        item_done(item);
        return;
    }
    bool is_topic = item->resource_type == CONFIG_RESOURCE_TOPIC;
    struct str entity =
        !is_topic && item->resource_name.size <= 0 ? STR_LITERAL(ZNODE_DEFAULT_ENTITY) : item->resource_name;
    dynamic_config_change(request->context->dynamic_config, is_topic ? "topics" : "brokers", entity, decide, on_written,
                          item);
}

void config_alter(struct config_alteration *alteration) {
    alteration->left = alteration->item_count + 1; /* one for the loop below */
    for (int32_t i = 0; i < alteration->item_count; i++) {
        alteration->items[i].alteration = alteration;
        alteration->items[i].verdict = (struct config_verdict){KAFKA_NONE, STR_NULL};
        begin(&alteration->items[i]);
    }
    if (--alteration->left == 0) {
        alteration->on_all(alteration);
    }
}
