/* A clean stop (zookeeper-mode.md 2.2): leadership is handed over, requests end, logs are closed, the controller
 * resigns. The session is the owner's to close, last. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/broker_internal.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/controlled_shutdown.h"

/* Resigning needs ZooKeeper. When it does not answer, the session times out soon after we are gone. */
#define RESIGN_MS_MAX 5000
#define CONTROLLED_SHUTDOWN_VERSION 3

static void ask_controller(struct broker *broker);

static void finish(struct broker *broker) {
    if (broker->phase == BROKER_STOPPED) {
        return;
    }
    broker->phase = BROKER_STOPPED;
    directory_report_stop(&broker->directory_report);
    timer_stop(broker->seams.clock, &broker->timer);
    broker->on_stopped(broker->on_stopped_context);
}

static void on_controller_stopped(void *context) {
    finish(context);
}

static void on_resign_timeout(struct timer *timer) {
    struct broker *broker = CONTAINER_OF(timer, struct broker, timer);
    trace_warn(BROKER_AREA, "ZooKeeper does not answer -> ending without resigning");
    finish(broker);
}

static void close_modules(struct broker *broker) {
    dispatcher_stop(broker->dispatcher);
    replica_manager_stop(broker->replicas);
    if (broker->seams.on_leaving != NULL) {
        broker->seams.on_leaving(broker->seams.context);
    }
    int error = log_manager_shutdown(broker->logs);
    if (error != 0) {
        trace_error(BROKER_AREA, "Not every log could be closed cleanly (%s): they will be recovered at the next start",
                    error_text(error));
    }
    timer_start(broker->seams.clock, &broker->timer, RESIGN_MS_MAX, on_resign_timeout);
    controller_runtime_stop(broker->controller, on_controller_stopped, broker);
}

static void on_retry(struct timer *timer) {
    ask_controller(CONTAINER_OF(timer, struct broker, timer));
}

static void retry(struct broker *broker, const char *why) {
    const struct config *config = broker->config;
    if (broker->shutdown_tries >= config->controlled_shutdown_max_retries) {
        trace_warn(BROKER_AREA, "Proceeding to do an unclean shutdown as all the controlled shutdown attempts failed");
        close_modules(broker);
        return;
    }
    trace_info(BROKER_AREA, "Controlled shutdown: %s -> retrying in %lld ms", why,
               (long long)config->controlled_shutdown_retry_backoff_ms);
    timer_start(broker->seams.clock, &broker->timer, config->controlled_shutdown_retry_backoff_ms, on_retry);
}

static void on_shutdown_answer(void *context, int error, const uint8_t *body, size_t body_size) {
    struct broker *broker = context;
    if (error != 0) {
        retry(broker, error_text(error));
        return;
    }
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct reader r = reader_of(body, body_size);
    struct controlled_shutdown_response response;
    error = controlled_shutdown_response_decode(&r, CONTROLLED_SHUTDOWN_VERSION, &arena, &response);
    bool is_done = error == 0 && response.error_code == 0 && response.remaining_partitions_count == 0;
    int16_t code = error == 0 ? response.error_code : (int16_t)KAFKA_UNKNOWN_SERVER_ERROR;
    int32_t left = error == 0 ? response.remaining_partitions_count : 0;
    arena_deinit(&arena);
    if (is_done) {
        trace_info(BROKER_AREA, "Controlled shutdown request returned successfully");
        close_modules(broker);
    } else if (code != 0) {
        retry(broker, kafka_error_name(code));
    } else {
        char why[64];
        snprintf(why, sizeof why, "%d partitions still led here", left);
        retry(broker, why);
    }
}

static void ask_controller(struct broker *broker) {
    broker->shutdown_tries++;
    int32_t controller_id = image_controller(broker->image);
    const struct image_broker *controller = image_broker(broker->image, controller_id);
    const struct image_endpoint *endpoint =
        controller == NULL ? NULL : image_broker_endpoint(controller, broker->config->inter_broker_listener);
    if (endpoint == NULL) {
        retry(broker, "no controller is known");
        return;
    }
    struct controlled_shutdown_request request;
    controlled_shutdown_request_init(&request);
    request.broker_id = broker->id;
    request.broker_epoch = broker->epoch;
    uint8_t body[64];
    struct encoder e = {.w = writer_of(body, sizeof body)};
    controlled_shutdown_request_encode(&request, CONTROLLED_SHUTDOWN_VERSION, &e);
    CHECK(!e.w.failed);
    char client_id[16];
    snprintf(client_id, sizeof client_id, "%d", broker->id);
    struct transport_request send = {
        .broker_id = controller_id,
        .channel = CHANNEL_FORWARD,
        .host = endpoint->host,
        .port = endpoint->port,
        .api_key = API_CONTROLLED_SHUTDOWN,
        .api_version = CONTROLLED_SHUTDOWN_VERSION,
        .client_id = client_id,
        .body = body,
        .body_size = writer_size(&e.w),
        .timeout_ms = broker->config->controller_socket_timeout_ms,
        .on_answer = on_shutdown_answer,
        .context = broker,
    };
    transport_send(broker->seams.transport, &send);
}

void broker_stop(struct broker *broker, void (*on_stopped)(void *context), void *context) {
    enum broker_phase phase = broker->phase;
    broker->on_stopped = on_stopped;
    broker->on_stopped_context = context;
    timer_stop(broker->seams.clock, &broker->timer);
    if (phase != BROKER_SERVING) {
        /* Nothing is registered yet. Loaded logs are closed so that the next start need not recover them. */
        if (phase == BROKER_STARTING && broker->dispatcher != NULL) {
            log_manager_shutdown(broker->logs);
        }
        finish(broker);
        return;
    }
    broker->phase = BROKER_STOPPING;
    trace_info(BROKER_AREA, "[KafkaServer id=%d] shutting down", broker->id);
    if (broker->config->controlled_shutdown_enable && broker->config->controlled_shutdown_max_retries > 0) {
        replica_manager_leave(broker->replicas);
        ask_controller(broker);
    } else {
        close_modules(broker);
    }
}
