/* Carries out what the controller's core decides: rounds with the coordinator, requests to brokers, answers. */
#include "replication/controller_runtime.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"
#include "replication/controller_channel.h"
#include "replication/controller_wave.h"

struct controller_runtime {
    struct controller_config config;
    struct clock *clock;
    struct coord *coord;
    struct transport *transport;
    struct controller *core;
    struct controller_actions actions;
    bool is_performing;
    struct controller_wave *wave; /* the asks that are out */
    struct controller_channel **channels;
    int32_t channel_count;
    struct timer rebalance;
    void (*on_stopped)(void *context);
    void *stop_context;
};

/* What CONTROLLER_ANSWER names. */
struct call {
    struct controller_runtime *runtime;
    controller_answer *on_done;
    void *context;
    int16_t error_code;
};

static void step(struct controller_runtime *runtime, struct controller_event *event);

/* ---- answers ---- */

static void deliver(void *context) {
    struct call *call = context;
    call->on_done(call->context, call->error_code);
    free(call);
}

static void *call_create(struct controller_runtime *runtime, controller_answer *on_done, void *context) {
    struct call *call = xcalloc(1, sizeof *call);
    *call = (struct call){runtime, on_done, context, 0};
    return call;
}

/* ---- brokers ---- */

static int32_t find_channel(struct controller_runtime *runtime, int32_t broker_id) {
    for (int32_t i = 0; i < runtime->channel_count; i++) {
        if (controller_channel_broker_id(runtime->channels[i]) == broker_id) {
            return i;
        }
    }
    return -1;
}

static void close_channel(struct controller_runtime *runtime, int32_t broker_id) {
    int32_t at = find_channel(runtime, broker_id);
    if (at >= 0) {
        struct controller_channel *channel = runtime->channels[at];
        runtime->channels[at] = runtime->channels[--runtime->channel_count];
        controller_channel_close(channel);
    }
}

static void take_leader_and_isr(struct controller_event *event, const uint8_t *answer, size_t size, int16_t version,
                                struct arena *arena) {
    struct leader_and_isr_response response;
    struct reader r = reader_of(answer, size);
    int32_t count = 0;
    if (leader_and_isr_response_decode(&r, version, arena, &response) != 0) {
        event->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        return;
    }
    event->error_code = response.error_code;
    for (int32_t i = 0; i < response.topics_count; i++) {
        count += response.topics[i].partition_errors_count;
    }
    event->results = ARENA_ARRAY(arena, struct controller_partition_result, count + 1);
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partition_errors_count; j++) {
            event->results[event->result_count++] = (struct controller_partition_result){
                .topic = STR_NULL,
                .topic_id = response.topics[i].topic_id,
                .partition = response.topics[i].partition_errors[j].partition_index,
                .error_code = response.topics[i].partition_errors[j].error_code,
            };
        }
    }
}

static bool was_deletion(const struct stop_replica_request *request, struct str topic, int32_t partition) {
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        for (int32_t j = 0; j < request->topic_states[i].partition_states_count; j++) {
            if (request->topic_states[i].partition_states[j].partition_index == partition &&
                str_equal(request->topic_states[i].topic_name, topic)) {
                return request->topic_states[i].partition_states[j].delete_partition;
            }
        }
    }
    return false;
}

static void take_stop_replica(struct controller_event *event, const struct controller_channel_request *request,
                              const uint8_t *answer, size_t size, struct arena *arena) {
    struct stop_replica_response response;
    struct stop_replica_request sent;
    struct reader r = reader_of(answer, size);
    struct reader sent_reader = reader_of(request->body, request->body_size);
    if (stop_replica_response_decode(&r, request->api_version, arena, &response) != 0 ||
        stop_replica_request_decode(&sent_reader, request->api_version, arena, &sent) != 0) {
        event->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        return;
    }
    event->error_code = response.error_code;
    event->results = ARENA_ARRAY(arena, struct controller_partition_result, response.partition_errors_count + 1);
    for (int32_t i = 0; i < response.partition_errors_count; i++) {
        const struct stop_replica_response_stop_replica_partition_error *error = &response.partition_errors[i];
        if (was_deletion(&sent, error->topic_name, error->partition_index)) {
            event->results[event->result_count++] = (struct controller_partition_result){
                .topic = error->topic_name, .partition = error->partition_index, .error_code = error->error_code};
        }
    }
}

static void on_channel_answer(void *context, const struct controller_channel *channel,
                              const struct controller_channel_request *request, const uint8_t *answer, size_t size) {
    struct controller_runtime *runtime = context;
    struct controller_event event = {
        .broker_id = controller_channel_broker_id(channel),
        .broker_epoch = controller_channel_broker_epoch(channel),
        .controller_epoch = request->controller_epoch,
        .number = request->number,
        .path = STR_NULL,
    };
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    if (request->api_key == API_LEADER_AND_ISR) {
        event.type = CONTROLLER_EVENT_LEADER_AND_ISR_ANSWERED;
        take_leader_and_isr(&event, answer, size, request->api_version, &arena);
    } else if (request->api_key == API_STOP_REPLICA) {
        event.type = CONTROLLER_EVENT_STOP_REPLICA_ANSWERED;
        take_stop_replica(&event, request, answer, size, &arena);
    } else {
        struct update_metadata_response response = {0};
        struct reader r = reader_of(answer, size);
        event.error_code = update_metadata_response_decode(&r, request->api_version, &arena, &response) == 0
                               ? response.error_code
                               : (int16_t)KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (event.error_code != KAFKA_NONE) {
        trace_error("kafka.controller.KafkaController", "[Controller id=%d] Broker %d answered %s with %s",
                    runtime->config.broker_id, event.broker_id, api_name(request->api_key),
                    kafka_error_name(event.error_code));
    }
    if (request->api_key != API_UPDATE_METADATA) {
        step(runtime, &event);
    }
    arena_deinit(&arena);
}

static size_t encode(const struct controller_action *action, struct encoder *e) {
    switch (action->api_key) {
    case API_LEADER_AND_ISR: leader_and_isr_request_encode(action->message, action->api_version, e); break;
    case API_STOP_REPLICA: stop_replica_request_encode(action->message, action->api_version, e); break;
    default:
        CHECK(action->api_key == API_UPDATE_METADATA);
        update_metadata_request_encode(action->message, action->api_version, e);
        break;
    }
    return e->counted;
}

static void send(struct controller_runtime *runtime, const struct controller_action *action) {
    int32_t at = find_channel(runtime, action->broker_id);
    if (at < 0) {
        return; /* registered without the listener brokers talk on */
    }
    struct encoder counting = encoder_counting();
    struct controller_channel_request request = {
        .api_key = action->api_key,
        .api_version = action->api_version,
        .controller_epoch = controller_epoch(runtime->core),
        .number = action->number,
        .is_kept = action->is_kept,
        .body_size = encode(action, &counting),
    };
    request.body = xmalloc(request.body_size + 1);
    struct encoder e = encoder_of(request.body, request.body_size);
    encode(action, &e);
    CHECK(!e.w.failed);
    controller_channel_send(runtime->channels[at], &request);
}

static void on_channel_overflow(void *context, const struct controller_channel *channel) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_QUEUE_DROPPED,
        .path = STR_NULL,
        .broker_id = controller_channel_broker_id(channel),
        .broker_epoch = controller_channel_broker_epoch(channel),
    };
    step(context, &event);
}

static void open_channel(struct controller_runtime *runtime, const struct controller_action *action) {
    struct controller_channel_config config = {
        .controller_id = runtime->config.broker_id,
        .broker_id = action->broker_id,
        .broker_epoch = action->broker_epoch,
        .host = action->host,
        .port = action->port,
        .timeout_ms = runtime->config.socket_timeout_ms,
        .queue_bytes_max = runtime->config.queue_bytes_max,
        .on_answer = on_channel_answer,
        .on_overflow = on_channel_overflow,
        .context = runtime,
    };
    close_channel(runtime, action->broker_id);
    runtime->channels =
        xrealloc(runtime->channels, ((size_t)runtime->channel_count + 1) * sizeof(struct controller_channel *));
    runtime->channels[runtime->channel_count++] = controller_channel_open(&config, runtime->clock, runtime->transport);
}

/* ---- the coordinator ---- */

static void on_wave_done(void *context, struct controller_wave *wave) {
    struct controller_runtime *runtime = context;
    struct controller_event event = {.type = CONTROLLER_EVENT_REPLIES, .path = STR_NULL};
    event.serial = controller_wave_serial(wave);
    event.replies = controller_wave_replies(wave, &event.reply_count);
    runtime->wave = NULL;
    step(runtime, &event);
    controller_wave_forget(wave);
}

static void on_watch(void *context, enum coord_watch_type type, const char *path) {
    (void)type;
    struct controller_event event = {.type = CONTROLLER_EVENT_WATCH, .path = str_from(path)};
    step(context, &event);
}

static void ask(struct controller_runtime *runtime, const struct controller_action *action) {
    struct controller_wave_config config = {
        .clock = runtime->clock,
        .coord = runtime->coord,
        .watch = {on_watch, runtime},
        .on_done = on_wave_done,
        .context = runtime,
        .is_last = runtime->on_stopped != NULL,
    };
    CHECK(runtime->wave == NULL);
    runtime->wave = controller_wave_start(&config, action->serial, action->asks, action->ask_count);
}

/* ---- performing ---- */

static void on_rebalance(struct timer *timer) {
    struct controller_runtime *runtime = CONTAINER_OF(timer, struct controller_runtime, rebalance);
    struct controller_event event = {.type = CONTROLLER_EVENT_REBALANCE, .path = STR_NULL};
    step(runtime, &event);
}

static void perform(struct controller_runtime *runtime, const struct controller_action *action) {
    switch (action->type) {
    case CONTROLLER_ASK: ask(runtime, action); break;
    case CONTROLLER_FORGET_ASKS:
        if (runtime->wave != NULL) {
            controller_wave_forget(runtime->wave);
            runtime->wave = NULL;
        }
        break;
    case CONTROLLER_ADD_BROKER: open_channel(runtime, action); break;
    case CONTROLLER_REMOVE_BROKER: close_channel(runtime, action->broker_id); break;
    case CONTROLLER_SEND: send(runtime, action); break;
    case CONTROLLER_TOLD: {
        int32_t at = find_channel(runtime, action->broker_id);
        if (at >= 0) {
            controller_channel_told(runtime->channels[at]);
        }
        break;
    }
    case CONTROLLER_ANSWER: {
        struct call *call = action->call;
        call->error_code = action->error_code;
        clock_post(runtime->clock, deliver, call);
        break;
    }
    case CONTROLLER_SET_TIMER:
        timer_stop(runtime->clock, &runtime->rebalance);
        if (action->after_ms >= 0) {
            timer_start(runtime->clock, &runtime->rebalance, action->after_ms, on_rebalance);
        }
        break;
    case CONTROLLER_STOPPED:
        if (runtime->on_stopped != NULL) {
            clock_post(runtime->clock, runtime->on_stopped, runtime->stop_context);
        }
        break;
    }
}

/* Actions never call back into the core before they return: answers are posted, the seams are asynchronous. */
static void step(struct controller_runtime *runtime, struct controller_event *event) {
    CHECK(!runtime->is_performing);
    runtime->is_performing = true;
    event->wall_ms = clock_wall_ms(runtime->clock);
    controller_step(runtime->core, event, &runtime->actions);
    for (int32_t i = 0; i < runtime->actions.count; i++) {
        perform(runtime, &runtime->actions.items[i]);
    }
    controller_actions_reset(&runtime->actions);
    runtime->is_performing = false;
}

/* ---- life ---- */

struct controller_runtime *controller_runtime_create(const struct controller_config *config, struct clock *clock,
                                                     struct coord *coord, struct transport *transport) {
    struct controller_runtime *runtime = xcalloc(1, sizeof *runtime);
    runtime->config = *config;
    runtime->clock = clock;
    runtime->coord = coord;
    runtime->transport = transport;
    if (runtime->config.seed == 0) {
        runtime->config.seed = (uint64_t)clock_wall_ms(clock) << 20 ^ (uint64_t)(uint32_t)config->broker_id;
    }
    runtime->core = controller_create(&runtime->config);
    controller_actions_init(&runtime->actions);
    return runtime;
}

void controller_runtime_destroy(struct controller_runtime *runtime) {
    if (runtime == NULL) {
        return;
    }
    timer_stop(runtime->clock, &runtime->rebalance);
    while (runtime->channel_count > 0) {
        close_channel(runtime, controller_channel_broker_id(runtime->channels[0]));
    }
    if (runtime->wave != NULL) {
        controller_wave_forget(runtime->wave);
    }
    controller_destroy(runtime->core);
    controller_actions_deinit(&runtime->actions);
    free(runtime->channels);
    free(runtime);
}

void controller_runtime_start(struct controller_runtime *runtime, int64_t broker_epoch) {
    struct controller_event event = {.type = CONTROLLER_EVENT_START, .broker_epoch = broker_epoch, .path = STR_NULL};
    step(runtime, &event);
}

void controller_runtime_on_session_expired(struct controller_runtime *runtime) {
    struct controller_event event = {.type = CONTROLLER_EVENT_SESSION_EXPIRED, .path = STR_NULL};
    step(runtime, &event);
}

void controller_runtime_on_session_created(struct controller_runtime *runtime, int64_t broker_epoch) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_SESSION_CREATED, .broker_epoch = broker_epoch, .path = STR_NULL};
    step(runtime, &event);
}

void controller_runtime_stop(struct controller_runtime *runtime, void (*on_done)(void *context), void *context) {
    struct controller_event event = {.type = CONTROLLER_EVENT_STOP, .path = STR_NULL};
    runtime->on_stopped = on_done;
    runtime->stop_context = context;
    step(runtime, &event);
}

void controller_runtime_unclean_enabled(struct controller_runtime *runtime, const char *topic, bool is_default) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_UNCLEAN_ENABLED, .path = str_from(topic), .is_unclean_default = is_default};
    step(runtime, &event);
}

bool controller_runtime_is_active(const struct controller_runtime *runtime) {
    return controller_is_active(runtime->core);
}

int32_t controller_runtime_epoch(const struct controller_runtime *runtime) {
    return controller_epoch(runtime->core);
}

void controller_runtime_count(const struct controller_runtime *runtime, struct controller_counts *ret_counts) {
    controller_count(runtime->core, ret_counts);
}

/* ---- calls ---- */

void controller_alter_partition(struct controller_runtime *runtime, const struct alter_partition_request *request,
                                int16_t version, struct arena *arena, struct alter_partition_response *ret,
                                controller_answer *on_done, void *context) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_ALTER_PARTITION,
        .path = STR_NULL,
        .call = call_create(runtime, on_done, context),
        .arena = arena,
        .version = version,
        .alter_partition = request,
        .ret_alter_partition = ret,
    };
    step(runtime, &event);
}

void controller_controlled_shutdown(struct controller_runtime *runtime, int32_t broker_id, int64_t broker_epoch,
                                    struct arena *arena, struct controlled_shutdown_partition **ret_list,
                                    int32_t *ret_count, controller_answer *on_done, void *context) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_CONTROLLED_SHUTDOWN,
        .path = STR_NULL,
        .call = call_create(runtime, on_done, context),
        .arena = arena,
        .broker_id = broker_id,
        .broker_epoch = broker_epoch,
        .ret_list = ret_list,
        .ret_count = ret_count,
    };
    step(runtime, &event);
}

void controller_allocate_producer_ids(struct controller_runtime *runtime, int32_t broker_id, int64_t broker_epoch,
                                      int64_t *ret_first, int32_t *ret_count, controller_answer *on_done,
                                      void *context) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_ALLOCATE_PRODUCER_IDS,
        .path = STR_NULL,
        .call = call_create(runtime, on_done, context),
        .broker_id = broker_id,
        .broker_epoch = broker_epoch,
        .ret_first = ret_first,
        .ret_count = ret_count,
    };
    step(runtime, &event);
}

void controller_elect_leaders(struct controller_runtime *runtime, const struct elect_leaders_request *request,
                              int16_t version, struct arena *arena, struct elect_leaders_response *ret,
                              controller_answer *on_done, void *context) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_ELECT_LEADERS,
        .path = STR_NULL,
        .call = call_create(runtime, on_done, context),
        .arena = arena,
        .version = version,
        .elect_leaders = request,
        .ret_elect_leaders = ret,
    };
    step(runtime, &event);
}

void controller_alter_reassignments(struct controller_runtime *runtime,
                                    const struct alter_partition_reassignments_request *request, struct arena *arena,
                                    struct alter_partition_reassignments_response *ret, controller_answer *on_done,
                                    void *context) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_ALTER_REASSIGNMENTS,
        .path = STR_NULL,
        .call = call_create(runtime, on_done, context),
        .arena = arena,
        .alter_reassignments = request,
        .ret_alter_reassignments = ret,
    };
    step(runtime, &event);
}

void controller_list_reassignments(struct controller_runtime *runtime,
                                   const struct list_partition_reassignments_request *request, struct arena *arena,
                                   struct list_partition_reassignments_response *ret, controller_answer *on_done,
                                   void *context) {
    struct controller_event event = {
        .type = CONTROLLER_EVENT_LIST_REASSIGNMENTS,
        .path = STR_NULL,
        .call = call_create(runtime, on_done, context),
        .arena = arena,
        .list_reassignments = request,
        .ret_list_reassignments = ret,
    };
    step(runtime, &event);
}
