/* A broker's request side without sockets: real dispatch, handlers, replicas and logs; time and coordinator are
 * virtual, the controller is whatever the test says. Included by the tests of dispatch. */
#ifndef OTTLA_TESTS_DISPATCH_FIXTURE_H
#define OTTLA_TESTS_DISPATCH_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/group/group_runtime.h"
#include "broker/log/log_manager.h"
#include "broker/metadata/image.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/header.h"
#include "broker/request/dispatch.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/update_metadata.h"
#include "replication/controller_runtime.h"
#include "replication/replica_manager.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/memory_coord.h"
#include "tests/lib/runner.h"

/* What became of one frame. */
struct reply {
    struct exchange exchange;
    bool is_answered;
    bool is_silent;
    bool is_closed;
    uint8_t *frame; /* the request's */
    uint8_t *bytes; /* the answer's, regions filled in, without the size */
    size_t size;
};

struct fixture {
    struct memory_world *world;
    struct clock *clock;
    struct transport transport;
    char *directory;
    struct log_manager *logs;
    struct image *image;
    struct replica_manager *replicas;
    struct group_runtime *groups;
    struct request_context context;
    struct dispatcher *dispatcher;
    struct arena arena; /* for what tests build and decode */
};

static struct fixture fx;
/* Set before fixture_start() to use another clock than the virtual one. */
static struct clock *fixture_clock;
/* Likewise, for the settings of topics. */
static void (*fixture_topic_config)(void *context, const char *topic, struct log_config *ret_config);
static struct partition_throttle (*fixture_throttle)(void *context, const char *topic, int32_t partition);
/* Likewise, for a disk that can die; logs then lie in a directory of this disk that stays. */
static struct disk *fixture_disk;
#define FIXTURE_DISK_DIRECTORY "/logs"
/* Whether this answer never arrives; the reply then stays unanswered. */
static bool (*fixture_loses_answer)(struct reply *reply);
static uint64_t fixture_seed = 11;  /* of member ids */
static int32_t fixture_port = 9092; /* of every broker of become_leader() */
static int32_t fixture_in_sync = 0; /* how many of its replicas are in sync; 0: all */
static int32_t fixture_leader = 1;  /* whom become_leader() makes the leader; this broker is 1 */
/* What the double of the controller says. */
static int16_t fake_controller_error;
static int64_t fake_next_producer_id;
static int fake_blocks;

/* The controller's part of the link; the real one wins where a test brings it in. */
#define DOUBLE __attribute__((weak))
DOUBLE bool controller_runtime_is_active(const struct controller_runtime *controller) {
    (void)controller;
    return false;
}
DOUBLE int32_t controller_runtime_epoch(const struct controller_runtime *controller) {
    (void)controller;
    return 1;
}
DOUBLE void controller_alter_partition(struct controller_runtime *controller,
                                       const struct alter_partition_request *request, int16_t version,
                                       struct arena *arena, struct alter_partition_response *ret,
                                       controller_answer *on_done, void *context) {
    (void)controller, (void)request, (void)version, (void)arena, (void)ret;
    on_done(context, fake_controller_error);
}
DOUBLE void controller_controlled_shutdown(struct controller_runtime *controller, int32_t broker_id,
                                           int64_t broker_epoch, struct arena *arena,
                                           struct controlled_shutdown_partition **ret_list, int32_t *ret_count,
                                           controller_answer *on_done, void *context) {
    (void)controller, (void)broker_id, (void)broker_epoch, (void)arena, (void)ret_list, (void)ret_count;
    on_done(context, fake_controller_error);
}
DOUBLE void controller_allocate_producer_ids(struct controller_runtime *controller, int32_t broker_id,
                                             int64_t broker_epoch, int64_t *ret_first, int32_t *ret_count,
                                             controller_answer *on_done, void *context) {
    (void)controller, (void)broker_id, (void)broker_epoch;
    *ret_first = fake_next_producer_id;
    *ret_count = 10;
    if (fake_controller_error == KAFKA_NONE) {
        fake_next_producer_id += 10;
        fake_blocks++;
    }
    on_done(context, fake_controller_error);
}
DOUBLE void controller_elect_leaders(struct controller_runtime *controller, const struct elect_leaders_request *request,
                                     int16_t version, struct arena *arena, struct elect_leaders_response *ret,
                                     controller_answer *on_done, void *context) {
    (void)controller, (void)request, (void)version, (void)arena, (void)ret;
    on_done(context, fake_controller_error);
}

DOUBLE void controller_alter_reassignments(struct controller_runtime *controller,
                                           const struct alter_partition_reassignments_request *request,
                                           struct arena *arena, struct alter_partition_reassignments_response *ret,
                                           controller_answer *on_done, void *context) {
    (void)controller, (void)request, (void)arena, (void)ret;
    on_done(context, fake_controller_error);
}
DOUBLE void controller_list_reassignments(struct controller_runtime *controller,
                                          const struct list_partition_reassignments_request *request,
                                          struct arena *arena, struct list_partition_reassignments_response *ret,
                                          controller_answer *on_done, void *context) {
    (void)controller, (void)request, (void)arena, (void)ret;
    on_done(context, fake_controller_error);
}

static void reply_answer(struct exchange *exchange, const struct answer *answer) {
    struct reply *reply = CONTAINER_OF(exchange, struct reply, exchange);
    ck_assert(!reply->is_answered && !reply->is_silent && !reply->is_closed);
    if (fixture_loses_answer != NULL && fixture_loses_answer(reply)) {
        ck_assert_int_eq(answer->splice_count, 0);
        answer->on_sent(answer->owner);
        return;
    }
    size_t total = answer->size;
    for (int32_t i = 0; i < answer->splice_count; i++) {
        total += (size_t)answer->splices[i].records.size;
    }
    ck_assert_int_eq(load_i32(answer->bytes), (int32_t)total - 4);
    uint8_t *to = reply->bytes = xmalloc(total);
    size_t from = 4;
    for (int32_t i = 0; i < answer->splice_count; i++) {
        const struct splice *splice = &answer->splices[i];
        memcpy(to, answer->bytes + from, (size_t)splice->at - from);
        to += (size_t)splice->at - from;
        from = (size_t)splice->at;
        int64_t count = disk_read(splice->records.file, to, (size_t)splice->records.size, splice->records.position);
        ck_assert_int_eq(count, splice->records.size);
        to += count;
        disk_file_unref(splice->records.file);
    }
    memcpy(to, answer->bytes + from, answer->size - from);
    reply->size = total - 4;
    reply->is_answered = true;
    answer->on_sent(answer->owner);
}

static void reply_nothing(struct exchange *exchange) {
    CONTAINER_OF(exchange, struct reply, exchange)->is_silent = true;
}

static void reply_close(struct exchange *exchange) {
    CONTAINER_OF(exchange, struct reply, exchange)->is_closed = true;
}

static const struct exchange_ops reply_ops = {
    .answer = reply_answer, .answer_nothing = reply_nothing, .close = reply_close};

/* Hands over a frame, which is copied. */
static inline void send_bytes(struct reply *reply, const uint8_t *bytes, size_t size) {
    *reply = (struct reply){.exchange = {.ops = &reply_ops, .client_host = STR_LITERAL("127.0.0.1")}};
    reply->frame = xmalloc(size + 1);
    memcpy(reply->frame, bytes, size);
    dispatch_frame(fx.dispatcher, &reply->exchange, reply->frame, size);
}

typedef void encode_function(const void *message, int16_t version, struct encoder *e);

/* The frame of a request, without the size; allocates nothing. */
static inline size_t encode_request(uint8_t *bytes, size_t capacity, int16_t key, int16_t version,
                                    encode_function *encode, const void *message) {
    struct encoder e = encoder_of(bytes, capacity);
    struct request_header header = {
        .api_key = key, .api_version = version, .correlation_id = 42, .client_id = STR_LITERAL("test")};
    request_header_encode(&header, &e);
    encode(message, version, &e);
    CHECK(!e.w.failed);
    return writer_size(&e.w);
}

static inline void send_message(struct reply *reply, int16_t key, int16_t version, encode_function *encode,
                                const void *message) {
    static uint8_t bytes[4 * 1024 * 1024];
    send_bytes(reply, bytes, encode_request(bytes, sizeof bytes, key, version, encode, message));
}

static inline void reply_free(struct reply *reply) {
    free(reply->frame);
    free(reply->bytes);
    *reply = (struct reply){0};
}

/* SEND(produce, API_PRODUCE, 9, &reply, &message) */
#define SEND(c_name, key, version, reply, message)                                                                     \
    send_message(reply, key, version, (encode_function *)c_name##_request_encode, message)
/* Decodes the answer, to its last byte, into *ret; views live in the reply. */
#define DECODE(c_name, key, version, reply, ret)                                                                       \
    do {                                                                                                               \
        ck_assert((reply)->is_answered);                                                                               \
        struct reader decode_r = reader_of((reply)->bytes, (reply)->size);                                             \
        int32_t decode_id;                                                                                             \
        ck_assert_int_eq(response_header_decode(&decode_r, key, version, &decode_id), 0);                              \
        ck_assert_int_eq(decode_id, 42);                                                                               \
        ck_assert_int_eq(c_name##_response_decode(&decode_r, version, &fx.arena, ret), 0);                             \
        ck_assert_uint_eq(reader_left(&decode_r), 0);                                                                  \
    } while (0)

struct lost_call {
    transport_answer *on_answer;
    void *context;
};

static void lose_call(void *context) {
    struct lost_call call = *(struct lost_call *)context;
    free(context);
    call.on_answer(call.context, ERR_DISCONNECTED, NULL, 0);
}

/* Nobody is there: other brokers cannot be reached. */
static void lose_request(struct transport *transport, const struct transport_request *request) {
    (void)transport;
    struct lost_call *call = xmalloc(sizeof *call);
    *call = (struct lost_call){request->on_answer, request->context};
    clock_post(fx.clock, lose_call, call);
}

static void ignore_disconnect(struct transport *transport, int32_t broker_id, enum transport_channel channel) {
    (void)transport, (void)broker_id, (void)channel;
}

static const struct transport_ops lost_ops = {.send = lose_request, .disconnect = ignore_disconnect};

static void fixture_on_leadership(void *context, const char *topic, int32_t partition, bool is_leader,
                                  int32_t leader_epoch) {
    (void)context;
    group_runtime_on_leadership(fx.groups, topic, partition, is_leader, leader_epoch);
}

/* Kafka's defaults, except that nobody waits before the first rebalance, that there is one partition, and that offsets
 * live for a minute only. */
static inline struct group_runtime_config fixture_groups(void) {
    return (struct group_runtime_config){
        .limits = {.session_timeout_min_ms = 6000, .session_timeout_max_ms = 1800000, .size_max = INT32_MAX},
        .topic_partitions = 1,
        .offset_metadata_max_bytes = 4096,
        .offsets_retention_ms = 60000,
        .retention_check_ms = 10000,
        .commit_timeout_ms = 5000,
        .required_acks = -1,
        .load_buffer_bytes = 5242880,
        .seed = fixture_seed,
    };
}

static inline void fixture_start(void) {
    trace_set_level(TRACE_FATAL);
    fake_controller_error = KAFKA_NONE;
    fake_next_producer_id = 1000;
    fake_blocks = 0;
    fixture_leader = 1;
    fixture_in_sync = 0;
    memset(&fx, 0, sizeof fx);
    fx.world = memory_world_create();
    fx.clock = fixture_clock != NULL ? fixture_clock : memory_clock(fx.world);
    fx.transport.ops = &lost_ops;
    fx.directory = fixture_disk == NULL ? test_directory_create() : xstrdup(FIXTURE_DISK_DIRECTORY);
    arena_init(&fx.arena, SIZE_MAX);
    struct log_manager_config logs = test_log_manager_config((const char *const *)&fx.directory, 1);
    logs.topic_config = fixture_topic_config;
    char *message = NULL;
    ck_assert_int_eq(
        log_manager_open(fixture_disk == NULL ? disk_posix() : fixture_disk, fx.clock, &logs, &fx.logs, &message), 0);
    ck_assert_int_eq(log_manager_load(fx.logs, &message), 0);
    fx.image = image_create();
    struct replica_manager_config replicas = test_replica_manager_config(1);
    replicas.throttle = fixture_throttle;
    replicas.on_leadership = fixture_on_leadership;
    fx.replicas = replica_manager_create(&replicas, fx.clock, fx.logs, fx.image, &fx.transport);
    replica_manager_set_broker_epoch(fx.replicas, 5);
    struct group_runtime_config groups = fixture_groups();
    fx.groups = group_runtime_create(&groups, fx.clock, fx.replicas, fx.image);
    fx.context = (struct request_context){
        .clock = fx.clock,
        .image = fx.image,
        .replicas = fx.replicas,
        .groups = fx.groups,
        .coord = memory_coord(fx.world),
        .logs = fx.logs,
        .transport = &fx.transport,
        .broker_id = 1,
        .cluster_id = "test-cluster",
        .listeners = {"PLAINTEXT"},
        .listener_count = 1,
        .inter_broker_listener = "PLAINTEXT",
        .fetch_max_bytes = 57671680,
        .max_incremental_fetch_session_cache_slots = 100,
        .seed = 7,
        .request_timeout_ms = 30000,
        .transaction_max_timeout_ms = 900000,
        .features_epoch = -1,
    };
    fx.dispatcher = dispatcher_create(&fx.context);
}

static inline void fixture_finish(void) {
    dispatcher_stop(fx.dispatcher);
    replica_manager_stop(fx.replicas);
    memory_run(fx.world);
    ck_assert_int_eq(dispatcher_in_flight(fx.dispatcher), 0);
    dispatcher_destroy(fx.dispatcher);
    replica_manager_destroy(fx.replicas);
    group_runtime_destroy(fx.groups);
    image_destroy(fx.image);
    log_manager_destroy(fx.logs);
    memory_run(fx.world);
    memory_world_destroy(fx.world);
    arena_deinit(&fx.arena);
    if (fixture_disk == NULL) {
        test_directory_remove(fx.directory);
    }
    free(fx.directory);
}

#define TOPIC_ID ((struct uuid){{9, 9, 9, 9, 1}})

/* What the controller says of TOPIC-0 to those who hold a replica; of these fixture_in_sync are in sync. */
static inline void send_leader_and_isr(struct reply *reply, const char *topic, int32_t leader, int32_t *replicas,
                                       int32_t count, int32_t leader_epoch) {
    struct leader_and_isr_request lead;
    struct leader_and_isr_request_leader_and_isr_partition_state state;
    struct leader_and_isr_request_leader_and_isr_topic_state state_topic;
    leader_and_isr_request_init(&lead);
    leader_and_isr_request_leader_and_isr_partition_state_init(&state);
    state.controller_epoch = 1;
    state.leader = leader;
    state.leader_epoch = leader_epoch;
    state.isr = state.replicas = replicas;
    state.replicas_count = count;
    state.isr_count = fixture_in_sync > 0 ? fixture_in_sync : count;
    state.is_new = true;
    leader_and_isr_request_leader_and_isr_topic_state_init(&state_topic);
    state_topic.topic_name = str_from(topic);
    state_topic.topic_id = TOPIC_ID;
    state_topic.partition_states = &state;
    state_topic.partition_states_count = 1;
    lead.controller_id = 1;
    lead.controller_epoch = 1;
    lead.broker_epoch = 5;
    lead.topic_states = &state_topic;
    lead.topic_states_count = 1;
    SEND(leader_and_isr, API_LEADER_AND_ISR, 7, reply, &lead);
}

/* The controller makes this broker the leader of TOPIC-0, with the replicas given (1 is this broker), all in sync. */
static inline void become_leader(const char *topic, int32_t *replicas, int32_t count, int32_t leader_epoch) {
    struct reply reply;
    struct update_metadata_request update;
    struct update_metadata_request_update_metadata_endpoint endpoint;
    struct update_metadata_request_update_metadata_broker brokers[4];
    struct update_metadata_request_update_metadata_partition_state known;
    struct update_metadata_request_update_metadata_topic_state known_topic;
    update_metadata_request_init(&update);
    update_metadata_request_update_metadata_endpoint_init(&endpoint);
    endpoint.host = STR_LITERAL("localhost");
    endpoint.port = fixture_port;
    endpoint.listener = STR_LITERAL("PLAINTEXT");
    for (int32_t i = 0; i < count; i++) {
        update_metadata_request_update_metadata_broker_init(&brokers[i]);
        brokers[i].id = replicas[i];
        brokers[i].endpoints = &endpoint;
        brokers[i].endpoints_count = 1;
    }
    update_metadata_request_update_metadata_partition_state_init(&known);
    known.controller_epoch = 1;
    known.leader = fixture_leader;
    known.leader_epoch = leader_epoch;
    known.isr = known.replicas = replicas;
    known.replicas_count = count;
    known.isr_count = fixture_in_sync > 0 ? fixture_in_sync : count;
    update_metadata_request_update_metadata_topic_state_init(&known_topic);
    known_topic.topic_name = str_from(topic);
    known_topic.topic_id = TOPIC_ID;
    known_topic.partition_states = &known;
    known_topic.partition_states_count = 1;
    update.controller_id = 1;
    update.controller_epoch = 1;
    update.broker_epoch = 5;
    update.topic_states = &known_topic;
    update.topic_states_count = 1;
    update.live_brokers = brokers;
    update.live_brokers_count = count;
    SEND(update_metadata, API_UPDATE_METADATA, 8, &reply, &update);
    ck_assert(reply.is_answered);
    reply_free(&reply);

    send_leader_and_isr(&reply, topic, fixture_leader, replicas, count, leader_epoch);
    struct leader_and_isr_response response;
    DECODE(leader_and_isr, API_LEADER_AND_ISR, 7, &reply, &response);
    ck_assert_int_eq(response.error_code, 0);
    ck_assert_int_eq(response.topics[0].partition_errors[0].error_code, 0);
    reply_free(&reply);
    memory_run(fx.world);
}

#endif
