/* CreatePartitions: adds partitions to topics and waits until the image shows leaders for all of them. */
#include "generated/protocol/create_partitions.h"

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topic_admin.h"
#include "replication/controller_runtime.h"

struct growth;

struct growth_item {
    struct growth *growth;
    const struct create_partitions_request_create_partitions_topic *wanted;
    struct create_partitions_response_create_partitions_topic_result *result;
};

/* In the request's arena. */
struct growth {
    struct topic_wait waiting;
    struct request *request;
    const struct create_partitions_request *message;
    struct create_partitions_response response;
    struct growth_item *items;
    int32_t writes_left;
};

static bool is_ready(const struct growth_item *item) {
    return item->result->error_code != KAFKA_NONE ||
           topic_admin_has_leaders(item->growth->request->context->image, item->wanted->name, item->wanted->count);
}

static bool is_growth_over(struct wait *wait) {
    struct growth *growth = CONTAINER_OF(wait, struct growth, waiting.wait);
    for (int32_t i = 0; i < growth->response.results_count; i++) {
        if (!is_ready(&growth->items[i])) {
            return false;
        }
    }
    return true;
}

/* `is_patient`: what the image shows counts; a client that would not wait gets a time-out in any case. */
static void answer(struct growth *growth, bool is_patient) {
    for (int32_t i = 0; i < growth->response.results_count; i++) {
        struct growth_item *item = &growth->items[i];
        if (item->result->error_code == KAFKA_NONE && !(is_patient && is_ready(item))) {
            item->result->error_code = KAFKA_REQUEST_TIMED_OUT;
        }
    }
    request_answer(growth->request, &growth->response);
}

static void finish_growth(struct wait *wait) {
    struct growth *growth = CONTAINER_OF(wait, struct growth, waiting.wait);
    topic_admin_leave(growth->request->context->topic_admin, &growth->waiting);
    answer(growth, true);
}

static void all_written(struct growth *growth) {
    struct request_context *context = growth->request->context;
    if (growth->message->validate_only) {
        request_answer(growth->request, &growth->response);
    } else if (growth->message->timeout_ms <= 0 || is_growth_over(&growth->waiting.wait)) {
        answer(growth, growth->message->timeout_ms > 0);
    } else {
        growth->waiting.wait =
            (struct wait){.request = growth->request, .is_over = is_growth_over, .finish = finish_growth};
        topic_admin_wait(context->topic_admin, context->waiting_room, &growth->waiting, growth->message->timeout_ms);
    }
}

static void on_written(void *context, int16_t error_code, struct str message, struct uuid topic_id) {
    (void)topic_id;
    struct growth_item *item = context;
    item->result->error_code = error_code;
    if (!str_is_null(message)) {
        item->result->error_message = arena_str(&item->growth->request->arena, message);
    }
    if (--item->growth->writes_left == 0) {
        all_written(item->growth);
    }
}

static bool is_named(const struct create_partitions_request *message, struct str name, int32_t from, int32_t to) {
    for (int32_t i = from; i < to; i++) {
        if (str_equal(message->topics[i].name, name)) {
            return true;
        }
    }
    return false;
}

void handle_create_partitions(struct request *request) {
    const struct create_partitions_request *message = request->message;
    bool is_controller = controller_runtime_is_active(request->context->controller);
    struct growth *growth = ARENA_NEW(&request->arena, struct growth);
    growth->request = request;
    growth->message = message;
    create_partitions_response_init(&growth->response);
    int32_t count = message->topics_count > 0 ? message->topics_count : 0;
    growth->response.results =
        ARENA_ARRAY(&request->arena, struct create_partitions_response_create_partitions_topic_result, count);
    growth->items = ARENA_ARRAY(&request->arena, struct growth_item, count);
    growth->writes_left = 1; /* until the loop is through */
    for (int32_t i = 0; i < count; i++) {
        struct str name = message->topics[i].name;
        if (is_named(message, name, 0, i)) {
            continue; /* answered once, as Kafka does */
        }
        struct growth_item *item = &growth->items[growth->response.results_count];
        struct create_partitions_response_create_partitions_topic_result *result =
            &growth->response.results[growth->response.results_count++];
        create_partitions_response_create_partitions_topic_result_init(result);
        result->name = name;
        result->error_message = STR_NULL;
        *item = (struct growth_item){growth, &message->topics[i], result};
        if (!is_controller) {
            result->error_code = KAFKA_NOT_CONTROLLER;
        } else if (is_named(message, name, i + 1, count)) {
            result->error_code = KAFKA_INVALID_REQUEST;
            result->error_message = STR_LITERAL("Duplicate topic in request.");
        } else {
            growth->writes_left++;
            topic_admin_grow(request->context->topic_admin, &message->topics[i], message->validate_only, on_written,
                             item);
        }
    }
    if (--growth->writes_left == 0) {
        all_written(growth);
    }
}
