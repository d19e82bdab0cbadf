/* Dispatch behind real connections: a follower on the listener that clients use too. */
#include "generated/protocol/alter_partition.h"
#include "generated/protocol/controlled_shutdown.h"
#include "generated/protocol/list_offsets.h"
#include "generated/protocol/metadata.h"
#include "generated/protocol/offset_for_leader_epoch.h"
#include "generated/protocol/stop_replica.h"
#include "tests/unit/dispatch_messages.h"
#include "tests/unit/network_fixture.h"

/* Two of the buffers connections are read into. */
#define FRAMES_MAX_BYTES (2 * (int64_t)CONNECTION_READ_BYTES)
#define PRODUCE_RECORDS 500
#define FETCH_VERSION 17
#define PRODUCE_VERSION 9

static int32_t two_replicas[] = {1, 2};

static void dispatch(void *context, struct exchange *exchange, uint8_t *frame, size_t size) {
    (void)context;
    dispatch_frame(fx.dispatcher, exchange, frame, size);
}

/* Sends it; how many bytes it took. */
static size_t ask(int descriptor, int16_t key, int16_t version, encode_function *encode, const void *message) {
    static uint8_t bytes[256 * 1024];
    size_t size = encode_request(bytes, sizeof bytes, key, version, encode, message);
    send_frame(descriptor, bytes, size);
    return 4 + size;
}

static void ask_produce(int descriptor) {
    struct produce_one one;
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(PRODUCE_RECORDS);
    test_batch_encode(&batch, &bytes);
    produce_one_init(&one, STR_LITERAL("t"), -1, 60000, slice_of_buffer(&bytes));
    ask(descriptor, API_PRODUCE, PRODUCE_VERSION, (encode_function *)produce_request_encode, &one.request);
    byte_buffer_deinit(&bytes);
}

static size_t ask_fetch(int descriptor, int32_t replica_id, int64_t offset) {
    struct fetch_one one;
    fetch_one_init(&one, offset);
    one.request.replica_state.replica_id = replica_id;
    one.request.session_epoch = -1;
    return ask(descriptor, API_FETCH, FETCH_VERSION, (encode_function *)fetch_request_encode, &one.request);
}

/* Until more has been read of the connection than is read of any. */
static void ask_on(int descriptor, int32_t replica_id) {
    for (int64_t sent = 0; sent <= CONNECTION_FIRST_BYTES;) {
        size_t size;
        sent += (int64_t)ask_fetch(descriptor, replica_id, 0);
        free(receive_frame(descriptor, &size));
    }
}

static bool has_in_flight(void *context) {
    return dispatcher_in_flight(fx.dispatcher) == *(int32_t *)context;
}

static bool is_unanswered(int descriptor) {
    uint8_t byte;
    return recv(descriptor, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

START_TEST(acks_all_completes_while_waiting_produces_use_up_the_memory_of_a_shared_listener) {
    struct network_config config = test_config();
    size_t size;
    config.frames_max_bytes = FRAMES_MAX_BYTES;
    config.on_frame = dispatch;
    start_shared(&config);
    fixture_clock = loop_clock(loop);
    fixture_start();
    become_leader("t", two_replicas, 2, 0);
    int consumer = connect_client();
    int follower = connect_client();
    int producer = connect_client();
    ask_on(consumer, -1);
    ask_on(follower, 2);
    int32_t waiting = 0;
    while (network_frame_bytes(network) < FRAMES_MAX_BYTES) {
        waiting++;
        ask_produce(producer);
        run_until(has_in_flight, &waiting);
    }
    ask_fetch(consumer, -1, 0);
    run_for(20);
    ck_assert(is_unanswered(consumer));
    ck_assert(is_unanswered(producer));
    ask_fetch(follower, 2, (int64_t)waiting * PRODUCE_RECORDS);
    free(receive_frame(follower, &size));
    for (int32_t i = 0; i < waiting; i++) {
        uint8_t *answer = receive_frame(producer, &size);
        struct reader r = reader_of(answer, size);
        struct produce_response response;
        int32_t id;
        ck_assert_int_eq(response_header_decode(&r, API_PRODUCE, PRODUCE_VERSION, &id), 0);
        ck_assert_int_eq(produce_response_decode(&r, PRODUCE_VERSION, &fx.arena, &response), 0);
        ck_assert_int_eq(response.responses[0].partition_responses[0].error_code, 0);
        free(answer);
    }
    close(consumer);
    close(follower);
    close(producer);
    network_close_connections(network);
    fixture_finish();
    finish();
}
END_TEST

static int mark_count;

static void mark(struct exchange *exchange) {
    (void)exchange;
    mark_count++;
}

/* Whether dispatch says of this request that only a broker sends it. */
static bool is_marked(bool is_privileged, int16_t key, int16_t version, encode_function *encode, const void *message) {
    static const struct exchange_ops ops = {
        .answer = reply_answer, .answer_nothing = reply_nothing, .close = reply_close, .is_of_broker = mark};
    uint8_t bytes[1024];
    size_t size = encode_request(bytes, sizeof bytes, key, version, encode, message);
    struct reply reply = {
        .exchange = {.ops = &ops, .client_host = STR_LITERAL("127.0.0.1"), .is_privileged = is_privileged}};
    mark_count = 0;
    dispatch_frame(fx.dispatcher, &reply.exchange, bytes, size);
    memory_run_for(fx.world, 5000); /* Metadata waits for the controller's news */
    ck_assert(reply.is_answered);
    reply_free(&reply);
    ck_assert_int_le(mark_count, 1);
    return mark_count == 1;
}

#define IS_MARKED(c_name, ENUM_NAME, version, message)                                                                 \
    is_marked(true, API_##ENUM_NAME, version, (encode_function *)c_name##_request_encode, message)

START_TEST(dispatch_tells_requests_of_replicas_and_controllers_from_those_of_clients) {
    struct fetch_request fetch;
    struct list_offsets_request list;
    struct offset_for_leader_epoch_request epochs;
    struct metadata_request metadata;
    struct alter_partition_request alter;
    struct controlled_shutdown_request shutdown;
    struct stop_replica_request stop;
    fixture_clock = NULL;
    fixture_start();
    fetch_request_init(&fetch);
    list_offsets_request_init(&list);
    offset_for_leader_epoch_request_init(&epochs);
    metadata_request_init(&metadata);
    alter_partition_request_init(&alter);
    controlled_shutdown_request_init(&shutdown);
    stop_replica_request_init(&stop);
    fetch.session_epoch = -1;
    fetch.replica_id = list.replica_id = epochs.replica_id = -1;
    ck_assert(!IS_MARKED(fetch, FETCH, 11, &fetch));
    ck_assert(!IS_MARKED(fetch, FETCH, 17, &fetch));
    ck_assert(!IS_MARKED(list_offsets, LIST_OFFSETS, 7, &list));
    ck_assert(!IS_MARKED(offset_for_leader_epoch, OFFSET_FOR_LEADER_EPOCH, 4, &epochs));
    ck_assert(!IS_MARKED(metadata, METADATA, 12, &metadata));
    fetch.replica_id = list.replica_id = epochs.replica_id = 2;
    ck_assert(IS_MARKED(fetch, FETCH, 11, &fetch));
    fetch.replica_id = -1;
    fetch.replica_state.replica_id = 2;
    ck_assert(IS_MARKED(fetch, FETCH, 17, &fetch));
    ck_assert(IS_MARKED(list_offsets, LIST_OFFSETS, 7, &list));
    ck_assert(IS_MARKED(offset_for_leader_epoch, OFFSET_FOR_LEADER_EPOCH, 4, &epochs));
    ck_assert(IS_MARKED(alter_partition, ALTER_PARTITION, 3, &alter));
    ck_assert(IS_MARKED(controlled_shutdown, CONTROLLED_SHUTDOWN, 3, &shutdown));
    ck_assert(IS_MARKED(stop_replica, STOP_REPLICA, 3, &stop));
    /* On a listener for clients nobody is believed. */
    ck_assert(!is_marked(false, API_FETCH, 17, (encode_function *)fetch_request_encode, &fetch));
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(dispatch_tells_requests_of_replicas_and_controllers_from_those_of_clients),
        TEST(acks_all_completes_while_waiting_produces_use_up_the_memory_of_a_shared_listener),
    };
    return run_tests("dispatch network", tests, sizeof tests / sizeof tests[0]);
}
