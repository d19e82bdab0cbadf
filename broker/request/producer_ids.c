/* A current block, the next one, and those who wait because both are empty. */
#include "broker/request/producer_ids.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/trace.h"
#include "broker/metadata/image.h"
#include "broker/network/transport.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "generated/protocol/allocate_producer_ids.h"
#include "replication/controller_runtime.h"
#include "replication/replica_manager.h"

#define AREA "kafka.server.KafkaApis"
/* A block is asked for when no more than this part of the current one is left. */
#define PREFETCH_DIVISOR 10

struct id_block {
    int64_t next;
    int64_t end;
    int64_t size;
};

struct producer_ids {
    struct request_context *context;
    struct id_block current;
    struct id_block following;
    struct producer_id_waiter *waiters;
    int32_t waiter_count;
    bool is_asking; /* an answer is on its way */
    bool is_stopped;
    bool is_destroyed;    /* freed when that answer has come */
    struct timer timer;   /* retry, or the first waiter's deadline */
    int64_t retry_at_ms;  /* 0: at once */
    int64_t answer_first; /* filled by our own controller */
    int32_t answer_count;
};

static void ask(struct producer_ids *ids);

struct producer_ids *producer_ids_create(struct request_context *context) {
    struct producer_ids *ids = xcalloc(1, sizeof *ids);
    ids->context = context;
    return ids;
}

void producer_ids_destroy(struct producer_ids *ids) {
    if (ids == NULL) {
        return;
    }
    CHECK(ids->waiters == NULL);
    timer_stop(ids->context->clock, &ids->timer);
    ids->is_destroyed = true;
    if (!ids->is_asking) {
        free(ids);
    }
}

static bool take_now(struct producer_ids *ids, int64_t *ret_id) {
    if (ids->current.next == ids->current.end) {
        ids->current = ids->following;
        ids->following = (struct id_block){0};
    }
    if (ids->current.next == ids->current.end) {
        return false;
    }
    *ret_id = ids->current.next++;
    return true;
}

static bool needs_block(const struct producer_ids *ids) {
    int64_t left = ids->current.end - ids->current.next;
    bool has_following = ids->following.next != ids->following.end;
    return !has_following && left <= ids->current.size / PREFETCH_DIVISOR;
}

static void end_waiter(struct producer_ids *ids, struct producer_id_waiter *waiter, int16_t error_code, int64_t id) {
    DL_DELETE2(ids->waiters, waiter, previous, next);
    ids->waiter_count--;
    waiter->on_id(waiter, error_code, id);
}

static void on_timer(struct timer *timer);

/* Wakes for the next attempt or the first deadline. */
static void arm_timer(struct producer_ids *ids) {
    int64_t wake_ms = INT64_MAX;
    int64_t now_ms = clock_now_ms(ids->context->clock);
    if (ids->waiters != NULL) {
        wake_ms = ids->waiters->deadline_ms; /* the first came first, and all wait equally long */
    }
    if (!ids->is_asking && ids->retry_at_ms != 0) {
        wake_ms = MIN(wake_ms, ids->retry_at_ms);
    }
    timer_stop(ids->context->clock, &ids->timer);
    if (wake_ms != INT64_MAX) {
        timer_start(ids->context->clock, &ids->timer, wake_ms - now_ms, on_timer);
    }
}

static void on_timer(struct timer *timer) {
    struct producer_ids *ids = CONTAINER_OF(timer, struct producer_ids, timer);
    int64_t now_ms = clock_now_ms(ids->context->clock);
    while (ids->waiters != NULL && ids->waiters->deadline_ms <= now_ms) {
        end_waiter(ids, ids->waiters, KAFKA_COORDINATOR_LOAD_IN_PROGRESS, -1);
    }
    if (!ids->is_asking && ids->retry_at_ms != 0 && ids->retry_at_ms <= now_ms) {
        ids->retry_at_ms = 0;
        ask(ids);
    }
    arm_timer(ids);
}

static void on_block(struct producer_ids *ids, int16_t error_code, int64_t first, int32_t count) {
    ids->is_asking = false;
    if (ids->is_destroyed) {
        free(ids);
        return;
    }
    if (error_code != KAFKA_NONE || count <= 0) {
        if (ids->retry_at_ms == 0) {
            trace_info(AREA, "The controller gave no producer ids (%s), trying again", kafka_error_name(error_code));
        }
        ids->retry_at_ms = clock_now_ms(ids->context->clock) + PRODUCER_IDS_RETRY_MS;
        arm_timer(ids);
        return;
    }
    ids->retry_at_ms = 0;
    ids->following = (struct id_block){first, first + count, count};
    int64_t id;
    while (ids->waiters != NULL && take_now(ids, &id)) {
        end_waiter(ids, ids->waiters, KAFKA_NONE, id);
    }
    if (!ids->is_stopped && needs_block(ids)) {
        ask(ids);
    }
    arm_timer(ids);
}

static void on_local_block(void *context, int16_t error_code) {
    struct producer_ids *ids = context;
    on_block(ids, error_code, ids->answer_first, ids->answer_count);
}

static void on_remote_block(void *context, int error, const uint8_t *body, size_t body_size) {
    struct allocate_producer_ids_response response;
    struct arena arena;
    struct reader r = reader_of(body, body_size);
    arena_init(&arena, ARENA_KEEP_MAX);
    allocate_producer_ids_response_init(&response);
    if (error != 0 ||
        allocate_producer_ids_response_decode(&r, ALLOCATE_PRODUCER_IDS_RESPONSE_VERSION_MAX, &arena, &response) != 0) {
        response.error_code = KAFKA_NETWORK_EXCEPTION;
    }
    arena_deinit(&arena);
    on_block(context, response.error_code, response.producer_id_start, response.producer_id_len);
}

/* To the controller, wherever it is. Without one in sight: later again. */
static void ask(struct producer_ids *ids) {
    struct request_context *context = ids->context;
    int64_t broker_epoch = replica_manager_broker_epoch(context->replicas);
    int32_t controller = image_controller(context->image);
    ids->is_asking = true;
    if (controller == context->broker_id) {
        controller_allocate_producer_ids(context->controller, context->broker_id, broker_epoch, &ids->answer_first,
                                         &ids->answer_count, on_local_block, ids);
        return;
    }
    const struct image_broker *broker = image_broker(context->image, controller);
    const struct image_endpoint *endpoint =
        broker == NULL ? NULL : image_broker_endpoint(broker, context->inter_broker_listener);
    if (endpoint == NULL) {
        on_block(ids, KAFKA_BROKER_NOT_AVAILABLE, 0, 0);
        return;
    }
    struct allocate_producer_ids_request message;
    uint8_t body[64];
    allocate_producer_ids_request_init(&message);
    message.broker_id = context->broker_id;
    message.broker_epoch = broker_epoch;
    struct encoder e = encoder_of(body, sizeof body);
    allocate_producer_ids_request_encode(&message, ALLOCATE_PRODUCER_IDS_REQUEST_VERSION_MAX, &e);
    CHECK(!e.w.failed);
    char client_id[16];
    snprintf(client_id, sizeof client_id, "%d", context->broker_id);
    struct transport_request request = {
        .broker_id = controller,
        .channel = CHANNEL_FORWARD,
        .host = endpoint->host,
        .port = endpoint->port,
        .api_key = API_ALLOCATE_PRODUCER_IDS,
        .api_version = ALLOCATE_PRODUCER_IDS_REQUEST_VERSION_MAX,
        .client_id = client_id,
        .body = body,
        .body_size = writer_size(&e.w),
        .timeout_ms = context->request_timeout_ms,
        .on_answer = on_remote_block,
        .context = ids,
    };
    transport_send(context->transport, &request);
}

void producer_ids_take(struct producer_ids *ids, struct producer_id_waiter *waiter) {
    int64_t id;
    if (ids->waiters == NULL && take_now(ids, &id)) {
        if (needs_block(ids) && !ids->is_asking && !ids->is_stopped && ids->retry_at_ms == 0) {
            ask(ids);
        }
        waiter->on_id(waiter, KAFKA_NONE, id);
        return;
    }
    if (ids->is_stopped || ids->waiter_count >= PRODUCER_IDS_WAITING_MAX) {
        waiter->on_id(waiter, KAFKA_COORDINATOR_LOAD_IN_PROGRESS, -1);
        return;
    }
    waiter->deadline_ms = clock_now_ms(ids->context->clock) + ids->context->request_timeout_ms;
    DL_APPEND2(ids->waiters, waiter, previous, next);
    ids->waiter_count++;
    if (!ids->is_asking && ids->retry_at_ms == 0) {
        ask(ids);
    }
    arm_timer(ids);
}

void producer_ids_stop(struct producer_ids *ids) {
    ids->is_stopped = true;
    ids->retry_at_ms = 0;
    while (ids->waiters != NULL) {
        end_waiter(ids, ids->waiters, KAFKA_COORDINATOR_LOAD_IN_PROGRESS, -1);
    }
    timer_stop(ids->context->clock, &ids->timer);
}
