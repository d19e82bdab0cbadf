/* CreateTopics: plan each topic, write the good ones, wait until the image shows their leaders. */
#include "generated/protocol/create_topics.h"

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "broker/request/config_entries.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topic_admin.h"
#include "replication/controller_runtime.h"

struct creation;

struct creation_item {
    struct creation *creation;
    struct create_topics_response_creatable_topic_result *result;
    struct topic_plan plan;
};

/* In the request's arena. */
struct creation {
    struct topic_wait waiting;
    struct request *request;
    const struct create_topics_request *message;
    struct create_topics_response response;
    struct creation_item *items;
    int32_t writes_left;
};

/* An error takes back what was said of the topic that did not come. */
static void fail_result(struct create_topics_response_creatable_topic_result *result, int16_t error_code,
                        struct str message) {
    result->error_code = error_code;
    result->error_message = message;
    result->configs_count = 0;
    result->num_partitions = -1;
    result->replication_factor = -1;
}

static bool is_ready(const struct creation *creation, int32_t i) {
    const struct creation_item *item = &creation->items[i];
    return item->result->error_code != KAFKA_NONE ||
           topic_admin_has_leaders(creation->request->context->image, item->plan.topic,
                                   item->plan.assignment.partition_count);
}

static bool is_creation_over(struct wait *wait) {
    struct creation *creation = CONTAINER_OF(wait, struct creation, waiting.wait);
    for (int32_t i = 0; i < creation->response.topics_count; i++) {
        if (!is_ready(creation, i)) {
            return false;
        }
    }
    return true;
}

static void answer(struct creation *creation) {
    for (int32_t i = 0; i < creation->response.topics_count; i++) {
        if (!creation->message->validate_only && !is_ready(creation, i)) {
            fail_result(&creation->response.topics[i], KAFKA_REQUEST_TIMED_OUT, STR_NULL);
        }
    }
    request_answer(creation->request, &creation->response);
}

static void finish_creation(struct wait *wait) {
    struct creation *creation = CONTAINER_OF(wait, struct creation, waiting.wait);
    topic_admin_leave(creation->request->context->topic_admin, &creation->waiting);
    answer(creation);
}

static void time_out_all(struct creation *creation) {
    for (int32_t i = 0; i < creation->response.topics_count; i++) {
        if (creation->response.topics[i].error_code == KAFKA_NONE) {
            fail_result(&creation->response.topics[i], KAFKA_REQUEST_TIMED_OUT, STR_NULL);
        }
    }
}

static void all_written(struct creation *creation) {
    struct request_context *context = creation->request->context;
    if (!creation->message->validate_only && creation->message->timeout_ms <= 0) {
        time_out_all(creation); /* Kafka does not look at the image when the client would not wait */
    }
    if (creation->message->validate_only || is_creation_over(&creation->waiting.wait)) {
        answer(creation);
        return;
    }
    creation->waiting.wait =
        (struct wait){.request = creation->request, .is_over = is_creation_over, .finish = finish_creation};
    topic_admin_wait(context->topic_admin, context->waiting_room, &creation->waiting, creation->message->timeout_ms);
}

static void on_written(void *context, int16_t error_code, struct str message, struct uuid topic_id) {
    struct creation_item *item = context;
    struct creation *creation = item->creation;
    if (error_code != KAFKA_NONE) {
        struct str kept = str_is_null(message) ? STR_NULL : arena_str(&creation->request->arena, message);
        fail_result(item->result, error_code, kept);
    } else {
        item->result->topic_id = topic_id;
    }
    if (--creation->writes_left == 0) {
        all_written(creation);
    }
}

/* Refuses what cannot be, describes what will be. */
static void plan_item(struct creation *creation, const struct create_topics_request_creatable_topic *wanted,
                      struct creation_item *item) {
    struct request *request = creation->request;
    const struct create_topics_request *message = creation->message;
    for (int32_t i = 0; i < message->topics_count; i++) {
        if (&message->topics[i] != wanted && str_equal(message->topics[i].name, wanted->name)) {
            fail_result(item->result, KAFKA_INVALID_REQUEST, STR_LITERAL("Found multiple entries for this topic."));
            return;
        }
    }
    if (str_equal_text(wanted->name, "__cluster_metadata")) {
        fail_result(item->result, KAFKA_INVALID_REQUEST,
                    STR_LITERAL("Creation of internal topic __cluster_metadata is prohibited."));
        return;
    }
    struct topic_verdict verdict =
        topic_admin_plan(request->context->topic_admin, wanted, &request->arena, &item->plan);
    if (verdict.error_code != KAFKA_NONE) {
        fail_result(item->result, verdict.error_code, verdict.message);
        return;
    }
    item->result->num_partitions = item->plan.assignment.partition_count;
    item->result->replication_factor = (int16_t)item->plan.assignment.partitions[0].replica_count;
    struct properties values;
    topic_plan_properties(&item->plan, &values);
    config_entries_of_new_topic(request->context->config, &values, &request->arena, item->result);
    properties_deinit(&values);
}

void handle_create_topics(struct request *request) {
    const struct create_topics_request *message = request->message;
    bool is_controller = controller_runtime_is_active(request->context->controller);
    struct creation *creation = ARENA_NEW(&request->arena, struct creation);
    creation->request = request;
    creation->message = message;
    create_topics_response_init(&creation->response);
    int32_t count = message->topics_count > 0 ? message->topics_count : 0;
    creation->response.topics =
        ARENA_ARRAY(&request->arena, struct create_topics_response_creatable_topic_result, count);
    creation->response.topics_count = count;
    creation->items = ARENA_ARRAY(&request->arena, struct creation_item, count);
    /* One held back until the loop is through: a callback may come before the last topic is written. */
    creation->writes_left = 1;
    for (int32_t i = 0; i < count; i++) {
        struct create_topics_response_creatable_topic_result *result = &creation->response.topics[i];
        create_topics_response_creatable_topic_result_init(result);
        result->name = message->topics[i].name;
        result->error_message = STR_NULL;
        creation->items[i] = (struct creation_item){.creation = creation, .result = result};
        if (!is_controller) {
            result->error_code = KAFKA_NOT_CONTROLLER;
            continue;
        }
        plan_item(creation, &message->topics[i], &creation->items[i]);
        if (result->error_code == KAFKA_NONE) {
            creation->writes_left++;
            topic_admin_write(request->context->topic_admin, &creation->items[i].plan, message->validate_only,
                              on_written, &creation->items[i]);
        }
    }
    if (--creation->writes_left == 0) {
        all_written(creation);
    }
}
