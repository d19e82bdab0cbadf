/* The table of APIs turned into calls, the pool of requests, and the way of an answer to the transport. */
#include "broker/request/dispatch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/group/group_runtime.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "broker/request/producer_ids.h"
#include "broker/request/waiting_room.h"
#include "generated/protocol/allocate_producer_ids.h"
#include "generated/protocol/alter_configs.h"
#include "generated/protocol/alter_partition.h"
#include "generated/protocol/alter_partition_reassignments.h"
#include "generated/protocol/alter_replica_log_dirs.h"
#include "generated/protocol/api_versions.h"
#include "generated/protocol/consumer_group_describe.h"
#include "generated/protocol/consumer_group_heartbeat.h"
#include "generated/protocol/controlled_shutdown.h"
#include "generated/protocol/create_partitions.h"
#include "generated/protocol/create_topics.h"
#include "generated/protocol/delete_groups.h"
#include "generated/protocol/delete_records.h"
#include "generated/protocol/delete_topics.h"
#include "generated/protocol/describe_cluster.h"
#include "generated/protocol/describe_configs.h"
#include "generated/protocol/describe_groups.h"
#include "generated/protocol/describe_log_dirs.h"
#include "generated/protocol/describe_producers.h"
#include "generated/protocol/elect_leaders.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/find_coordinator.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/incremental_alter_configs.h"
#include "generated/protocol/init_producer_id.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/leave_group.h"
#include "generated/protocol/list_groups.h"
#include "generated/protocol/list_offsets.h"
#include "generated/protocol/list_partition_reassignments.h"
#include "generated/protocol/metadata.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/offset_delete.h"
#include "generated/protocol/offset_fetch.h"
#include "generated/protocol/offset_for_leader_epoch.h"
#include "generated/protocol/produce.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/sync_group.h"
#include "generated/protocol/update_metadata.h"
#include "replication/fetch_session.h"

#define AREA "kafka.server.KafkaApis"
#define REQUEST_LOG_AREA "kafka.request.logger"
/* Kafka's min.incremental.fetch.session.eviction.ms, a constant. */
#define FETCH_SESSION_EVICT_AFTER_MS 120000
/* File regions that an answer may have to be encoded without being measured first. */
#define SPLICES_IN_ONE_WALK 8

struct dispatcher {
    struct request_context *context;
    struct request *free;
    int32_t free_count;
    int32_t in_flight;
    struct api_counters *counters; /* by row */
};

/* The generated functions are typed; these give them one shape. */
#define API(c_name, enum_name, authorization)                                                                          \
    static int decode_##c_name(struct reader *r, int16_t version, struct arena *arena, void *ret_message) {            \
        return c_name##_request_decode(r, version, arena, ret_message);                                                \
    }                                                                                                                  \
    static void encode_##c_name(const void *message, int16_t version, struct encoder *e) {                             \
        c_name##_response_encode(message, version, e);                                                                 \
    }
#include "broker/request/api.tbl.h"
#undef API

#define API(c_name, enum_name, authorization)                                                                          \
    {API_##enum_name,                                                                                                  \
     enum_name##_REQUEST_VERSION_MIN,                                                                                  \
     enum_name##_REQUEST_VERSION_MAX,                                                                                  \
     authorization,                                                                                                    \
     sizeof(struct c_name##_request),                                                                                  \
     decode_##c_name,                                                                                                  \
     encode_##c_name,                                                                                                  \
     handle_##c_name},
static const struct api_row rows[] = {
#include "broker/request/api.tbl.h"
};
#undef API

const struct api_row *dispatch_rows(int32_t *ret_count) {
    *ret_count = (int32_t)ARRAY_SIZE(rows);
    return rows;
}

const struct api_row *dispatch_row(int16_t key) {
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].key == key) {
            return &rows[i];
        }
    }
    return NULL;
}

struct dispatcher *dispatcher_create(struct request_context *context) {
    for (size_t i = 1; i < ARRAY_SIZE(rows); i++) {
        CHECK(rows[i - 1].key < rows[i].key);
    }
    struct dispatcher *dispatcher = xcalloc(1, sizeof *dispatcher);
    dispatcher->context = context;
    dispatcher->counters = xcalloc(ARRAY_SIZE(rows), sizeof *dispatcher->counters);
    context->waiting_room = waiting_room_create(context->clock);
    context->fetch_sessions = fetch_sessions_create(context->max_incremental_fetch_session_cache_slots,
                                                    FETCH_SESSION_EVICT_AFTER_MS, context->seed);
    context->producer_ids = producer_ids_create(context);
    context->workspace = record_workspace_create();
    replica_manager_on_image_changed(context->replicas, waiting_room_on_image_changed, context->waiting_room);
    return dispatcher;
}

void dispatcher_stop(struct dispatcher *dispatcher) {
    if (dispatcher->context->groups != NULL) {
        group_runtime_stop(dispatcher->context->groups);
    }
    waiting_room_finish_all(dispatcher->context->waiting_room);
    producer_ids_stop(dispatcher->context->producer_ids);
}

void dispatcher_destroy(struct dispatcher *dispatcher) {
    if (dispatcher == NULL) {
        return;
    }
    CHECK(dispatcher->in_flight == 0);
    while (dispatcher->free != NULL) {
        struct request *request = dispatcher->free;
        dispatcher->free = request->next_free;
        arena_deinit(&request->arena);
        free(request);
    }
    record_workspace_destroy(dispatcher->context->workspace);
    producer_ids_destroy(dispatcher->context->producer_ids);
    fetch_sessions_destroy(dispatcher->context->fetch_sessions);
    waiting_room_destroy(dispatcher->context->waiting_room);
    free(dispatcher->counters);
    free(dispatcher);
}

int32_t dispatcher_in_flight(const struct dispatcher *dispatcher) {
    return dispatcher->in_flight;
}

const struct api_counters *dispatcher_counters(const struct dispatcher *dispatcher, int32_t row) {
    return &dispatcher->counters[row];
}

static struct api_counters *counters_of(const struct request *request) {
    return &request->dispatcher->counters[request->row - rows];
}

/* A request object with an empty arena, from the pool when there is one. */
static struct request *request_take(struct dispatcher *dispatcher) {
    struct request *request = dispatcher->free;
    if (request != NULL) {
        dispatcher->free = request->next_free;
        dispatcher->free_count--;
        struct arena arena = request->arena;
        *request = (struct request){.arena = arena};
    } else {
        request = xcalloc(1, sizeof *request);
        arena_init(&request->arena, SIZE_MAX);
    }
    request->dispatcher = dispatcher;
    request->context = dispatcher->context;
    dispatcher->in_flight++;
    return request;
}

static void request_release(void *owner) {
    struct request *request = owner;
    struct dispatcher *dispatcher = request->dispatcher;
    dispatcher->in_flight--;
    if (dispatcher->free_count >= REQUEST_POOL_MAX) {
        arena_deinit(&request->arena);
        free(request);
        return;
    }
    arena_reset(&request->arena, SIZE_MAX);
    request->next_free = dispatcher->free;
    dispatcher->free = request;
    dispatcher->free_count++;
}

/* Cuts the request loose from its exchange; nobody calls back into it afterwards. */
static struct exchange *request_detach(struct request *request) {
    struct exchange *exchange = request->exchange;
    CHECK(exchange != NULL); /* answered twice otherwise */
    request->exchange = NULL;
    exchange->on_abandoned = NULL;
    exchange->server = NULL;
    return exchange;
}

static void count_answer(const struct request *request, int64_t answer_bytes) {
    struct api_counters *counters = counters_of(request);
    counters->answered++;
    counters->total_ms += clock_now_ms(request->context->clock) - request->received_ms;
    counters->response_bytes += answer_bytes;
}

/* Kafka's request log, for who sets that logger to DEBUG. */
static void trace_request(const struct request *request, int64_t answer_bytes) {
    trace_debug(REQUEST_LOG_AREA,
                "Completed request: %s(%d) version %d, correlation id %d, client id %.*s, from %.*s, "
                "answered after %lld ms with %lld bytes",
                api_name(request->header.api_key), request->header.api_key, request->header.api_version,
                request->header.correlation_id, STR_ARGS(request->header.client_id), STR_ARGS(request->client_host),
                (long long)(clock_now_ms(request->context->clock) - request->received_ms), (long long)answer_bytes);
}

static void encode_answer(const struct request *request, const void *message, struct encoder *e) {
    encode_i32(e, 0); /* the size, when it is known */
    response_header_encode(request->header.api_key, request->header.api_version, request->header.correlation_id, e);
    request->row->encode(message, request->header.api_version, e);
}

/* Most answers fit into what is left of the arena's block, and are written there in one walk. For others this walk
 * measures, and a second one writes. */
static void encode_into_arena(struct request *request, const void *message, struct encoder *ret) {
    struct splice splices[SPLICES_IN_ONE_WALK];
    uint8_t *room;
    size_t room_size = arena_room(&request->arena, &room);
    *ret = encoder_of(room, room_size);
    ret->counts_on = true;
    ret->splices = splices;
    ret->splice_capacity = (int32_t)ARRAY_SIZE(splices);
    ret->error_counts = counters_of(request)->errors;
    encode_answer(request, message, ret);
    if (ret->is_counting) {
        size_t size = ret->counted;
        int32_t count = ret->splice_count;
        CHECK((int64_t)size + ret->splice_bytes <= INT32_MAX);
        *ret = encoder_of(arena_alloc(&request->arena, size), size);
        ret->splice_capacity = count;
        ret->splices = ARENA_ARRAY(&request->arena, struct splice, count);
        encode_answer(request, message, ret);
        CHECK(writer_size(&ret->w) == size);
        return;
    }
    arena_take_room(&request->arena, writer_size(&ret->w));
    ret->splices = NULL;
    if (ret->splice_count > 0) {
        ret->splices = ARENA_ARRAY(&request->arena, struct splice, ret->splice_count);
        memcpy(ret->splices, splices, (size_t)ret->splice_count * sizeof *splices);
    }
}

void request_answer(struct request *request, const void *message) {
    struct encoder e;
    encode_into_arena(request, message, &e);
    size_t size = writer_size(&e.w);
    int64_t body_size = (int64_t)(size - sizeof(int32_t)) + e.splice_bytes;
    CHECK(!e.w.failed && body_size <= INT32_MAX);
    store_i32(e.w.begin, (int32_t)body_size);
    count_answer(request, body_size);
    trace_request(request, body_size);
    struct exchange *exchange = request_detach(request);
    struct answer answer = {.bytes = e.w.begin,
                            .size = size,
                            .splices = e.splices,
                            .splice_count = e.splice_count,
                            .on_sent = request_release,
                            .owner = request};
    exchange->ops->answer(exchange, &answer);
}

void request_answer_nothing(struct request *request) {
    count_answer(request, 0);
    trace_request(request, 0);
    struct exchange *exchange = request_detach(request);
    request_release(request);
    exchange->ops->answer_nothing(exchange);
}

void request_close_connection(struct request *request) {
    struct exchange *exchange = request_detach(request);
    request_release(request);
    exchange->ops->close(exchange);
}

static void on_exchange_abandoned(struct exchange *exchange) {
    struct request *request = exchange->server;
    request->is_abandoned = true;
    if (request->on_abandoned != NULL) {
        request->on_abandoned(request);
    }
}

/* KIP-511: an ApiVersions version nobody knows yet is answered in version 0 with the range of ApiVersions itself, so
 * that a newer client can try again on the same connection. */
static void answer_unknown_api_versions(struct request *request) {
    struct api_versions_response response;
    struct api_versions_response_api_version range = {API_API_VERSIONS, API_VERSIONS_REQUEST_VERSION_MIN,
                                                      API_VERSIONS_REQUEST_VERSION_MAX};
    api_versions_response_init(&response);
    response.error_code = KAFKA_UNSUPPORTED_VERSION;
    response.api_keys = &range;
    response.api_keys_count = 1;
    request->header.api_version = 0;
    request_answer(request, &response);
}

/* Whoever asks for what is not served sees nothing but the end of the connection; operators need to see why. */
static void refuse(struct request *request, const char *why) {
    trace_info(AREA, "Closing connection of client %.*s (%.*s): %s, API key %" PRId16 " (%s) version %" PRId16,
               STR_ARGS(request->client_host), STR_ARGS(request->header.client_id), why, request->header.api_key,
               api_name(request->header.api_key), request->header.api_version);
    request_close_connection(request);
}

/* What only another broker has a reason to send: the transport does not keep it waiting for memory. */
static bool is_of_broker(const struct request *request) {
    switch (request->row->key) {
    case API_FETCH: {
        const struct fetch_request *fetch = request->message;
        return fetch->replica_id >= 0 || fetch->replica_state.replica_id >= 0;
    }
    case API_LIST_OFFSETS: return ((const struct list_offsets_request *)request->message)->replica_id >= 0;
    case API_OFFSET_FOR_LEADER_EPOCH:
        return ((const struct offset_for_leader_epoch_request *)request->message)->replica_id >= 0;
    default: return request->row->authorization == AUTHORIZE_CLUSTER_ACTION;
    }
}

void dispatch_frame(struct dispatcher *dispatcher, struct exchange *exchange, uint8_t *frame, size_t size) {
    struct request *request = request_take(dispatcher);
    request->exchange = exchange;
    request->received_ms = clock_now_ms(dispatcher->context->clock);
    request->client_host = exchange->client_host;
    request->listener = exchange->listener;
    request->connection = exchange->connection;
    request->is_privileged = exchange->is_privileged;
    exchange->server = request;
    exchange->on_abandoned = on_exchange_abandoned;

    struct reader r = reader_of(frame, size);
    int status = request_header_decode(&r, &request->header);
    if (status != 0) {
        refuse(request, status == ERR_INVALID ? "unknown API" : "malformed request header");
        return;
    }
    const struct api_row *row = dispatch_row(request->header.api_key);
    if (row == NULL) {
        refuse(request, "API not served");
        return;
    }
    request->row = row;
    struct api_counters *counters = counters_of(request);
    counters->request_bytes += (int64_t)size;
    if (request->header.api_version < row->version_min || request->header.api_version > row->version_max) {
        if (row->key == API_API_VERSIONS) {
            answer_unknown_api_versions(request);
        } else {
            refuse(request, "version not served");
        }
        return;
    }
    CHECK(request->header.api_version < API_VERSIONS_COUNTED);
    counters->requests[request->header.api_version]++;
    CHECK(request->arena.used == 0);
    request->arena.budget = REQUEST_DECODE_FLOOR_BYTES + REQUEST_DECODE_FACTOR * size;
    void *message = arena_alloc(&request->arena, row->message_size);
    status = row->decode(&r, request->header.api_version, &request->arena, message);
    if (status != 0) {
        refuse(request, status == ERR_TOO_LARGE ? "request takes too much memory" : "malformed request");
        return;
    }
    request->arena.budget = SIZE_MAX;
    request->message = message;
    if (exchange->is_privileged && exchange->ops->is_of_broker != NULL && is_of_broker(request)) {
        exchange->ops->is_of_broker(exchange);
    }
    row->handle(request);
}
