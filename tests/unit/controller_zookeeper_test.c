/* The controller's core and runtime against a real ZooKeeper server: what large flows cost. Brokers are registrations
 * without a process, whose answers are made up. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "coordinator-client/coord_zookeeper.h"
#include "coordinator-client/registration.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"
#include "replication/controller_runtime.h"
#include "tests/lib/coord_calls.h"
#include "tests/lib/runner.h"
#include "tests/lib/zookeeper.h"

#define PORT 21240
#define SESSION_TIMEOUT_MS 10000
#define TURN_MS 2 /* between two looks at whether a flow has ended */
#define TURNS_MAX 30000

/* ---- a coordinator that counts ---- */

struct counting_coord {
    struct coord coord;
    struct coord *real;
    int32_t reads;
    int32_t multis;
};

static struct counting_coord counting;

static void count_get(struct coord *coord, const char *path, struct coord_watch watch, coord_get_callback *on_done,
                      void *context) {
    (void)coord;
    counting.reads++;
    coord_get(counting.real, path, watch, on_done, context);
}

static void count_children(struct coord *coord, const char *path, struct coord_watch watch,
                           coord_children_callback *on_done, void *context) {
    (void)coord;
    counting.reads++;
    coord_children(counting.real, path, watch, on_done, context);
}

static void count_multi(struct coord *coord, const struct coord_op *ops, int32_t count, coord_multi_callback *on_done,
                        void *context) {
    (void)coord;
    counting.multis++;
    coord_multi(counting.real, ops, count, on_done, context);
}

static enum coord_session_state real_state(struct coord *coord) {
    (void)coord;
    return counting.real->ops->state(counting.real);
}

static const struct coord_ops counting_ops = {
    .get = count_get, .children = count_children, .multi = count_multi, .state = real_state};

/* ---- brokers that obey ---- */

struct obedient_call {
    struct clock *clock;
    transport_answer *on_answer;
    void *context;
    int16_t api_key;
    int16_t api_version;
};

static struct clock *loop_clock;
static struct obedient_call *held; /* of the broker that does not answer */
static int32_t mute_broker;        /* 0: none */
static int32_t mute_requests;      /* sent to it */
static bool heard_of[32];          /* topics it was told to replicate, by the number in their name */

static void obey(void *context) {
    struct obedient_call call = *(struct obedient_call *)context;
    uint8_t bytes[64];
    struct encoder e = encoder_of(bytes, sizeof bytes);
    free(context);
    if (call.api_key == API_LEADER_AND_ISR) {
        struct leader_and_isr_response response;
        leader_and_isr_response_init(&response);
        leader_and_isr_response_encode(&response, call.api_version, &e);
    } else if (call.api_key == API_STOP_REPLICA) {
        struct stop_replica_response response;
        stop_replica_response_init(&response);
        stop_replica_response_encode(&response, call.api_version, &e);
    } else {
        struct update_metadata_response response;
        update_metadata_response_init(&response);
        update_metadata_response_encode(&response, call.api_version, &e);
    }
    call.on_answer(call.context, 0, bytes, writer_size(&e.w));
}

/* Which topics a LeaderAndIsr names. */
static void listen(const struct transport_request *request) {
    struct leader_and_isr_request message;
    struct arena arena;
    mute_requests++;
    if (request->api_key != API_LEADER_AND_ISR) {
        return;
    }
    arena_init(&arena, SIZE_MAX);
    struct reader r = reader_of(request->body, request->body_size);
    ck_assert_int_eq(leader_and_isr_request_decode(&r, request->api_version, &arena, &message), 0);
    for (int32_t i = 0; i < message.topic_states_count; i++) {
        heard_of[znode_number(arena_str(&arena, message.topic_states[i].topic_name).data + 1)] = true;
    }
    arena_deinit(&arena);
}

static void send(struct transport *transport, const struct transport_request *request) {
    (void)transport;
    struct obedient_call *call = xmalloc(sizeof *call);
    *call = (struct obedient_call){loop_clock, request->on_answer, request->context, request->api_key,
                                   request->api_version};
    if (request->broker_id == mute_broker) {
        listen(request);
        held = call;
        return;
    }
    clock_post(loop_clock, obey, call);
}

static void disconnect(struct transport *transport, int32_t broker_id, enum transport_channel channel) {
    (void)transport, (void)broker_id, (void)channel;
}

static const struct transport_ops obedient_ops = {.send = send, .disconnect = disconnect};

/* ---- the cluster ---- */

static struct zookeeper_server server;
static struct real_loop *loop;
static struct coord *outside; /* a session of our own, for what administrators and brokers do */
static struct controller_runtime *controller;
static struct transport transport = {.ops = &obedient_ops};

static void on_paths(void *context, int error) {
    ck_assert_int_eq(error, 0);
    *(bool *)context = true;
}

static void put(const char *path, const char *data) {
    struct call call;
    call_create(&call, outside, path, data, COORD_PERSISTENT);
    ck_assert_int_eq(call_wait(&call, loop), 0);
}

static void turn(void) {
    bool never = false;
    real_loop_until(loop, &never, TURN_MS);
}

static void register_broker(int32_t id) {
    char path[ZNODE_PATH_SIZE], data[512];
    snprintf(data, sizeof data,
             "{\"features\":{},\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"},\"endpoints\":"
             "[\"PLAINTEXT://h%d:9092\"],\"jmx_port\":-1,\"port\":9092,\"host\":\"h%d\",\"version\":5,"
             "\"timestamp\":\"1\"}",
             id, id);
    put(znode_broker_path(path, id), data);
}

static void set_up(void) {
    char *message = NULL;
    bool has_paths = false;
    trace_set_level(TRACE_ERROR);
    zookeeper_server_start(&server, PORT);
    loop = real_loop_create();
    loop_clock = real_loop_clock(loop);
    ck_assert_int_eq(
        coord_zookeeper_create(loop_clock, server.connect, SESSION_TIMEOUT_MS, false, &counting.real, &message), 0);
    ck_assert_int_eq(coord_zookeeper_create(loop_clock, server.connect, SESSION_TIMEOUT_MS, false, &outside, &message),
                     0);
    registration_create_paths(outside, on_paths, &has_paths);
    ck_assert(real_loop_until(loop, &has_paths, CALL_TIMEOUT_MS));
    for (int32_t id = 1; id <= 3; id++) {
        register_broker(id);
    }
    counting.coord.ops = &counting_ops;
    const struct controller_config config = {.broker_id = 1,
                                             .inter_broker_listener = "PLAINTEXT",
                                             .delete_topic_enable = true,
                                             .socket_timeout_ms = 30000,
                                             .queue_bytes_max = 16384,
                                             .seed = 1};
    controller = controller_runtime_create(&config, loop_clock, &counting.coord, &transport);
    controller_runtime_start(controller, 1);
    for (int32_t i = 0; !controller_runtime_is_active(controller); i++) {
        ck_assert_int_lt(i, TURNS_MAX);
        turn();
    }
}

static void tear_down(void) {
    coord_zookeeper_destroy(counting.real);
    coord_zookeeper_destroy(outside);
    turn();
    controller_runtime_destroy(controller);
    real_loop_destroy(loop);
    zookeeper_server_destroy(&server);
}

static void create_topic(const char *name, int32_t count, const char *replicas) {
    char path[ZNODE_PATH_SIZE];
    size_t size = (size_t)count * 32 + 256, used = 0;
    char *data = xmalloc(size);
    put(znode_config_path(path, "topics", str_from(name)), "{\"version\":1,\"config\":{}}");
    used += (size_t)snprintf(data, size, "{\"partitions\":{");
    for (int32_t i = 0; i < count; i++) {
        used += (size_t)snprintf(data + used, size - used, "%s\"%d\":%s", i > 0 ? "," : "", i, replicas);
    }
    snprintf(data + used, size - used,
             "},\"topic_id\":\"Qs-O1kFsRRm0ud19RMuSyQ\",\"adding_replicas\":{},\"removing_replicas\":{},"
             "\"version\":3}");
    put(znode_topic_path(path, str_from(name)), data);
    free(data);
}

/* Until the node holds this. */
static void await_text(const char *path, const char *part) {
    struct call call;
    for (int32_t i = 0;; i++) {
        call_get(&call, outside, path, COORD_NO_WATCH);
        int error = call_wait(&call, loop);
        if (error == 0 && strstr(call.text, part) != NULL) {
            return;
        }
        ck_assert_int_lt(i, TURNS_MAX);
        turn();
    }
}

static struct timespec began;

static void begin(void) {
    counting.reads = counting.multis = 0;
    clock_gettime(CLOCK_MONOTONIC, &began);
}

static void tell(const char *what) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%s: %d multis, %d reads, %ld ms\n", what, counting.multis, counting.reads,
           (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000);
}

START_TEST(large_flows_cost_a_multi_for_every_hundred_writes) {
    create_topic("first", 1, "[1,2,3]");
    await_text("/brokers/topics/first/partitions/0/state", "\"leader\":1"); /* the failover is over */
    begin();
    create_topic("a", 1000, "[1,2,3]");
    await_text("/brokers/topics/a/partitions/999/state", "\"leader\":1");
    tell("a topic of 1000 partitions was created");
    /* A node for all, one for each, and its state. */
    ck_assert_int_ge(counting.multis, 2001 / 100);
    ck_assert_int_le(counting.multis, 2001 / 100 + 1);

    create_topic("b", 2000, "[3,1,2]");
    await_text("/brokers/topics/b/partitions/1999/state", "\"leader\":3");
    struct call call;
    begin();
    call_remove(&call, outside, "/brokers/ids/3", COORD_ANY_VERSION);
    ck_assert_int_eq(call_wait(&call, loop), 0);
    await_text("/brokers/topics/b/partitions/1999/state", "\"leader\":1");
    tell("2000 partitions of a dead broker have new leaders");
    await_text("/brokers/topics/a/partitions/999/state", "\"isr\":[1,2]");
    tell("and it has left the in-sync sets of 1000 more");
    ck_assert_int_le(counting.multis, 32);
}
END_TEST

/* A few kilobytes may wait for a broker here, and far more comes. */
START_TEST(a_broker_that_does_not_answer_costs_bounded_memory_and_learns_everything_in_the_end) {
    char name[16], path[ZNODE_PATH_SIZE];
    mute_broker = 3;
    for (int32_t i = 0; i < 32; i++) {
        snprintf(name, sizeof name, "t%d", i);
        create_topic(name, 10, "[1,2,3]");
        await_text(znode_partition_state_path(path, str_from(name), 9), "\"leader\":1");
        turn();
    }
    ck_assert_int_eq(mute_requests, 1); /* one in flight, whatever is decided */
    while (held != NULL) {
        struct obedient_call *call = held;
        held = NULL;
        obey(call);
        turn();
    }
    for (int32_t i = 0; i < 32; i++) {
        ck_assert_msg(heard_of[i], "t%d", i);
    }
    ck_assert_int_lt(mute_requests, 32); /* two for each topic without the bound */
    mute_broker = 0;
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_broker_that_does_not_answer_costs_bounded_memory_and_learns_everything_in_the_end),
        TEST(large_flows_cost_a_multi_for_every_hundred_writes)};
    return run_tests_with_fixture("controller on ZooKeeper", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
