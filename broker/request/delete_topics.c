/* DeleteTopics: marks topics for deletion and waits until the image has forgotten them. */
#include "generated/protocol/delete_topics.h"

#include "broker/base/check.h"
#include "broker/config.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topic_admin.h"
#include "replication/controller_runtime.h"

struct deletion;

struct deletion_item {
    struct deletion *deletion;
    struct delete_topics_response_deletable_topic_result *result;
};

/* In the request's arena. */
struct deletion {
    struct topic_wait waiting;
    struct request *request;
    const struct delete_topics_request *message;
    struct delete_topics_response response;
    struct deletion_item *items;
    int32_t writes_left;
};

static bool is_gone(const struct deletion_item *item) {
    return item->result->error_code != KAFKA_NONE ||
           image_topic(item->deletion->request->context->image, item->result->name) == NULL;
}

static bool is_deletion_over(struct wait *wait) {
    struct deletion *deletion = CONTAINER_OF(wait, struct deletion, waiting.wait);
    for (int32_t i = 0; i < deletion->response.responses_count; i++) {
        if (!is_gone(&deletion->items[i])) {
            return false;
        }
    }
    return true;
}

static void answer(struct deletion *deletion) {
    for (int32_t i = 0; i < deletion->response.responses_count; i++) {
        struct deletion_item *item = &deletion->items[i];
        if (item->result->error_code == KAFKA_NONE && (deletion->message->timeout_ms <= 0 || !is_gone(item))) {
            item->result->error_code = KAFKA_REQUEST_TIMED_OUT;
        }
    }
    request_answer(deletion->request, &deletion->response);
}

static void finish_deletion(struct wait *wait) {
    struct deletion *deletion = CONTAINER_OF(wait, struct deletion, waiting.wait);
    topic_admin_leave(deletion->request->context->topic_admin, &deletion->waiting);
    answer(deletion);
}

static void all_written(struct deletion *deletion) {
    struct request_context *context = deletion->request->context;
    if (deletion->message->timeout_ms <= 0 || is_deletion_over(&deletion->waiting.wait)) {
        answer(deletion);
        return;
    }
    deletion->waiting.wait =
        (struct wait){.request = deletion->request, .is_over = is_deletion_over, .finish = finish_deletion};
    topic_admin_wait(context->topic_admin, context->waiting_room, &deletion->waiting, deletion->message->timeout_ms);
}

static void on_written(void *context, int16_t error_code, struct str message, struct uuid topic_id) {
    (void)message; /* Kafka gives none here */
    (void)topic_id;
    struct deletion_item *item = context;
    item->result->error_code = error_code;
    if (--item->deletion->writes_left == 0) {
        all_written(item->deletion);
    }
}

/* The topics asked for, in either of the request's forms. */
static int32_t count_topics(const struct delete_topics_request *message, int16_t version) {
    int32_t count = version >= 6 ? message->topics_count : message->topic_names_count;
    return count > 0 ? count : 0;
}

static void name_topic(const struct request *request, int32_t i,
                       struct delete_topics_response_deletable_topic_result *ret) {
    const struct delete_topics_request *message = request->message;
    delete_topics_response_deletable_topic_result_init(ret);
    ret->error_message = STR_NULL;
    if (request->header.api_version < 6) {
        ret->name = message->topic_names[i];
        return;
    }
    ret->name = message->topics[i].name;
    ret->topic_id = message->topics[i].topic_id;
}

/* Resolves ids, refuses what is not there. */
static void check_topic(struct deletion *deletion, int32_t i) {
    const struct request_context *context = deletion->request->context;
    struct delete_topics_response_deletable_topic_result *result = &deletion->response.responses[i];
    if (!uuid_is_zero(result->topic_id)) {
        const struct image_topic *topic = image_topic_by_id(context->image, result->topic_id);
        result->name = topic == NULL ? STR_NULL : str_from(topic->name);
        result->error_code = topic == NULL ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_NONE;
    } else if (str_is_null(result->name) || image_topic(context->image, result->name) == NULL) {
        result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (result->error_code == KAFKA_NONE) {
        /* The image may forget the topic while we wait. */
        result->name = arena_str(&deletion->request->arena, result->name);
    }
}

static bool has_name_and_id(const struct delete_topics_request *message) {
    for (int32_t i = 0; i < message->topics_count; i++) {
        if (!str_is_null(message->topics[i].name) && !uuid_is_zero(message->topics[i].topic_id)) {
            return true;
        }
    }
    return false;
}

static int16_t refuse_all(const struct request *request) {
    if (!controller_runtime_is_active(request->context->controller)) {
        return KAFKA_NOT_CONTROLLER;
    }
    if (!request->context->config->delete_topic_enable) {
        return request->header.api_version < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED;
    }
    if (request->header.api_version >= 6 && has_name_and_id(request->message)) {
        return KAFKA_INVALID_REQUEST;
    }
    return KAFKA_NONE;
}

void handle_delete_topics(struct request *request) {
    const struct delete_topics_request *message = request->message;
    int16_t refusal = refuse_all(request);
    struct deletion *deletion = ARENA_NEW(&request->arena, struct deletion);
    deletion->request = request;
    deletion->message = message;
    delete_topics_response_init(&deletion->response);
    int32_t count = count_topics(message, request->header.api_version);
    deletion->response.responses =
        ARENA_ARRAY(&request->arena, struct delete_topics_response_deletable_topic_result, count);
    deletion->response.responses_count = count;
    deletion->items = ARENA_ARRAY(&request->arena, struct deletion_item, count);
    deletion->writes_left = 1; /* until the loop is through */
    for (int32_t i = 0; i < count; i++) {
        struct delete_topics_response_deletable_topic_result *result = &deletion->response.responses[i];
        name_topic(request, i, result);
        deletion->items[i] = (struct deletion_item){deletion, result};
        result->error_code = refusal;
        if (refusal == KAFKA_NONE) {
            check_topic(deletion, i);
        }
        if (result->error_code == KAFKA_NONE) {
            deletion->writes_left++;
            topic_admin_delete(request->context->topic_admin, result->name, on_written, &deletion->items[i]);
        }
    }
    if (--deletion->writes_left == 0) {
        all_written(deletion);
    }
}
