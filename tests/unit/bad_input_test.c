/* Rows of the table of bad input (zookeeper-mode.md 7.1) about requests whose answer is not the log's alone: who leads,
 * epochs, sessions, transactions nobody coordinates. What the log answers to bad batches is in log_validate_test,
 * frames are in dispatch_test, the topics' administration in admin_*_test. */
#include "broker/log/log.h"
#include "generated/protocol/describe_producers.h"
#include "generated/protocol/elect_leaders.h"
#include "generated/protocol/init_producer_id.h"
#include "generated/protocol/offset_for_leader_epoch.h"
#include "tests/lib/recordings.h"
#include "tests/unit/dispatch_requests.h"

static int32_t pair[] = {1, 2};

static struct log *log_of_t(void) {
    struct partition_runtime *partition;
    ck_assert_int_eq(replica_manager_partition(fx.replicas, STR_LITERAL("t"), 0, &partition), 0);
    return partition_runtime_log(partition);
}

static void set_config(void (*change)(struct log_config *config)) {
    struct log *log = log_of_t();
    struct log_config config = *log_get_config(log);
    change(&config);
    log_set_config(log, &config);
}

START_TEST(produce_to_an_unknown_topic_or_partition_3) {
    fixture_start();
    struct reply reply;
    for (int16_t version = 3; version <= PRODUCE_REQUEST_VERSION_MAX; version++) {
        produce(&reply, version, 1, 1000, 1);
        struct produce_response_partition_produce_response part = produced(&reply, version);
        ck_assert_int_eq(part.error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        ck_assert_int_eq(part.base_offset, -1);
    }
    fixture_finish();
}
END_TEST

START_TEST(produce_to_a_follower_6_and_from_version_10_on_with_the_leader) {
    fixture_start();
    fixture_leader = 2;
    become_leader("t", pair, 2, 7);
    for (int16_t version = 3; version <= PRODUCE_REQUEST_VERSION_MAX; version++) {
        struct reply reply;
        struct produce_response response;
        produce(&reply, version, 1, 1000, 1);
        DECODE(produce, API_PRODUCE, version, &reply, &response);
        const struct produce_response_partition_produce_response *part = &response.responses[0].partition_responses[0];
        ck_assert_int_eq(part->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
        ck_assert_int_eq(part->current_leader.leader_id, version >= 10 ? 2 : -1);
        ck_assert_int_eq(part->current_leader.leader_epoch, version >= 10 ? 7 : -1);
        ck_assert_int_eq(response.node_endpoints_count, version >= 10 ? 1 : 0);
        if (version >= 10) {
            ck_assert_int_eq(response.node_endpoints[0].node_id, 2);
            ck_assert_int_eq(response.node_endpoints[0].port, fixture_port);
        }
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

static void want_two_in_sync(struct log_config *config) {
    config->min_insync_replicas = 2;
}

START_TEST(acks_all_with_too_few_in_sync_19_and_other_acks_0) {
    static int32_t three[] = {1, 2, 3};
    fixture_start();
    struct reply reply;
    become_leader("t", three, 3, 0);
    set_config(want_two_in_sync);
    replica_manager_topic_config_changed(fx.replicas, "t");
    fixture_in_sync = 1;
    become_leader("t", three, 3, 1);
    produce(&reply, 9, -1, 1000, 1);
    ck_assert_int_eq(produced(&reply, 9).error_code, KAFKA_NOT_ENOUGH_REPLICAS);
    produce(&reply, 9, 1, 1000, 1);
    ck_assert_int_eq(produced(&reply, 9).error_code, 0);
    fixture_finish();
}
END_TEST

static int16_t produce_transactional(struct str transactional_id) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(1);
    batch.producer_id = 4000;
    batch.producer_epoch = 0;
    batch.base_sequence = 0;
    batch.attributes = BATCH_TRANSACTIONAL;
    test_batch_encode(&batch, &bytes);
    struct produce_one one;
    struct reply reply;
    produce_one_init(&one, STR_LITERAL("t"), -1, 1000, slice_of_buffer(&bytes));
    one.request.transactional_id = transactional_id;
    SEND(produce, API_PRODUCE, 9, &reply, &one.request);
    byte_buffer_deinit(&bytes);
    return produced(&reply, 9).error_code;
}

START_TEST(a_transactional_batch_without_id_53_and_in_no_transaction_48) {
    start_leading(0);
    ck_assert_int_eq(produce_transactional(STR_NULL), KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    ck_assert_int_eq(produce_transactional(STR_LITERAL("tx")), KAFKA_INVALID_TXN_STATE);
    ck_assert_int_eq(log_end_offset(log_of_t()), 0);
    fixture_finish();
}
END_TEST

static void check_no_producer_id(const struct init_producer_id_request *request, int16_t version, int16_t error) {
    struct init_producer_id_response response;
    struct reply reply;
    SEND(init_producer_id, API_INIT_PRODUCER_ID, version, &reply, request);
    DECODE(init_producer_id, API_INIT_PRODUCER_ID, version, &reply, &response);
    ck_assert_int_eq(response.error_code, error);
    ck_assert_int_eq(response.producer_id, -1);
    reply_free(&reply);
}

START_TEST(a_transactional_id_is_refused_for_good_while_nobody_coordinates) {
    start_leading(0);
    struct init_producer_id_request request;
    init_producer_id_request_init(&request);
    request.transactional_id = STR_LITERAL("tx");
    request.transaction_timeout_ms = 60000;
    for (int16_t version = 0; version <= INIT_PRODUCER_ID_REQUEST_VERSION_MAX; version++) {
        check_no_producer_id(&request, version, KAFKA_UNSUPPORTED_VERSION);
    }
    fixture_finish();
}
END_TEST

START_TEST(a_former_producer_id_without_its_epoch_or_the_other_way_round_42) {
    fixture_start();
    const struct {
        int64_t producer_id;
        int16_t producer_epoch;
    } halves[] = {{-1, 3}, {5, -1}};
    for (int i = 0; i < 2; i++) {
        for (int16_t version = 3; version <= INIT_PRODUCER_ID_REQUEST_VERSION_MAX; version++) {
            struct init_producer_id_request request;
            init_producer_id_request_init(&request);
            request.transactional_id = STR_NULL;
            request.producer_id = halves[i].producer_id;
            request.producer_epoch = halves[i].producer_epoch;
            check_no_producer_id(&request, version, KAFKA_INVALID_REQUEST);
        }
    }
    fixture_finish();
}
END_TEST

START_TEST(an_election_of_no_known_type_is_refused_and_not_held) {
    fixture_start();
    struct elect_leaders_request request;
    struct elect_leaders_request_topic_partitions topic;
    struct elect_leaders_response response;
    struct reply reply;
    int32_t index = 4;
    elect_leaders_request_init(&request);
    elect_leaders_request_topic_partitions_init(&topic);
    topic.topic = STR_LITERAL("t");
    topic.partitions = &index;
    topic.partitions_count = 1;
    request.topic_partitions = &topic;
    request.topic_partitions_count = 1;
    request.election_type = 7;
    SEND(elect_leaders, API_ELECT_LEADERS, 2, &reply, &request);
    DECODE(elect_leaders, API_ELECT_LEADERS, 2, &reply, &response);
    ck_assert_int_eq(response.error_code, KAFKA_UNKNOWN_SERVER_ERROR);
    ck_assert_int_eq(response.replica_election_results[0].partition_result[0].partition_id, 4);
    ck_assert_int_eq(response.replica_election_results[0].partition_result[0].error_code, KAFKA_UNKNOWN_SERVER_ERROR);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

START_TEST(fetch_with_a_newer_epoch_75_an_older_74_and_an_unknown_last_fetched_1) {
    start_leading(5);
    produce_records(3);
    for (int16_t version = 9; version <= FETCH_REQUEST_VERSION_MAX; version++) {
        struct fetch_wish wish = fetch_wish(version, 0);
        wish.leader_epoch = 6;
        ck_assert_int_eq(fetch_code(wish), KAFKA_UNKNOWN_LEADER_EPOCH);
        wish.leader_epoch = 4;
        ck_assert_int_eq(fetch_code(wish), KAFKA_FENCED_LEADER_EPOCH);
        wish.leader_epoch = 5;
        ck_assert_int_eq(fetch_code(wish), 0);
        wish.leader_epoch = -1;
        ck_assert_int_eq(fetch_code(wish), 0);
        if (version >= 12) {
            wish.last_fetched_epoch = 6;
            wish.offset = 2;
            ck_assert_int_eq(fetch_code(wish), KAFKA_OFFSET_OUT_OF_RANGE);
            wish.last_fetched_epoch = 5;
            ck_assert_int_eq(fetch_code(wish), 0);
        }
    }
    fixture_finish();
}
END_TEST

START_TEST(names_in_a_session_of_ids_106_at_top_level) {
    start_leading(0);
    struct reply reply;
    struct fetch_wish wish = fetch_wish(13, 0);
    open_session(&wish);
    wish.version = 12;
    wish.session_epoch = 1;
    fetch(&reply, wish);
    struct fetch_response response = fetched(&reply, 12);
    ck_assert_int_eq(response.error_code, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    ck_assert_int_eq(response.session_id, 0);
    ck_assert_int_eq(response.responses_count, 0);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

static void compact_only(struct log_config *config) {
    config->compact = true;
    config->delete = false;
}

START_TEST(delete_records_of_a_compacted_topic_44) {
    start_leading(0);
    set_config(compact_only);
    struct delete_records_response_delete_records_partition_result part = delete_records(0);
    ck_assert_int_eq(part.error_code, KAFKA_POLICY_VIOLATION);
    ck_assert_int_eq(part.low_watermark, -1);
    fixture_finish();
}
END_TEST

START_TEST(list_offsets_version_0_lists_ends_of_segments_newest_first) {
    start_leading(0);
    produce_records(4);
    static const struct {
        int64_t timestamp;
        int32_t max_count;
        int32_t count;
        int64_t offsets[2];
    } cases[] = {{-1, 5, 2, {4, 0}}, {-1, 1, 1, {4}}, {-2, 5, 1, {0}}, {-1, 0, 0, {0}}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct reply reply;
        struct list_offsets_response_list_offsets_partition_response part =
            list_offsets(&reply, 0, cases[i].timestamp, cases[i].max_count, 1);
        ck_assert_int_eq(part.error_code, 0);
        ck_assert_int_eq(part.old_style_offsets_count, cases[i].count);
        for (int32_t j = 0; j < cases[i].count; j++) {
            ck_assert_int_eq(part.old_style_offsets[j], cases[i].offsets[j]);
        }
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(an_epoch_nobody_led_yet_has_no_end_and_that_is_no_error) {
    start_leading(5);
    produce_records(1);
    for (int16_t version = 0; version <= OFFSET_FOR_LEADER_EPOCH_REQUEST_VERSION_MAX; version++) {
        struct offset_for_leader_epoch_request request;
        struct offset_for_leader_epoch_request_offset_for_leader_topic topic;
        struct offset_for_leader_epoch_request_offset_for_leader_partition partition;
        struct offset_for_leader_epoch_response response;
        struct reply reply;
        offset_for_leader_epoch_request_init(&request);
        offset_for_leader_epoch_request_offset_for_leader_topic_init(&topic);
        offset_for_leader_epoch_request_offset_for_leader_partition_init(&partition);
        partition.leader_epoch = 6;
        topic.topic = STR_LITERAL("t");
        topic.partitions = &partition;
        topic.partitions_count = 1;
        request.topics = &topic;
        request.topics_count = 1;
        SEND(offset_for_leader_epoch, API_OFFSET_FOR_LEADER_EPOCH, version, &reply, &request);
        DECODE(offset_for_leader_epoch, API_OFFSET_FOR_LEADER_EPOCH, version, &reply, &response);
        const struct offset_for_leader_epoch_response_epoch_end_offset *part = &response.topics[0].partitions[0];
        ck_assert_int_eq(part->error_code, 0);
        ck_assert_int_eq(part->leader_epoch, -1);
        ck_assert_int_eq(part->end_offset, -1);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

static struct describe_producers_response describe_producers(struct reply *reply, const char *name) {
    struct describe_producers_request request;
    struct describe_producers_request_topic_request topic;
    struct describe_producers_response response;
    int32_t index = 0;
    describe_producers_request_init(&request);
    describe_producers_request_topic_request_init(&topic);
    topic.name = str_from(name);
    topic.partition_indexes = &index;
    topic.partition_indexes_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    SEND(describe_producers, API_DESCRIBE_PRODUCERS, 0, reply, &request);
    DECODE(describe_producers, API_DESCRIBE_PRODUCERS, 0, reply, &response);
    return response;
}

START_TEST(the_producers_of_a_partition_are_described_and_those_of_an_unknown_one_3) {
    start_leading(0);
    struct reply reply;
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(3);
    batch.producer_id = 77;
    batch.producer_epoch = 2;
    batch.base_sequence = 0;
    test_batch_encode(&batch, &bytes);
    produce_bytes(&reply, 9, 1, 1000, slice_of_buffer(&bytes));
    ck_assert_int_eq(produced(&reply, 9).error_code, 0);
    byte_buffer_deinit(&bytes);
    struct describe_producers_response response = describe_producers(&reply, "t");
    const struct describe_producers_response_partition_response *part = &response.topics[0].partitions[0];
    ck_assert_int_eq(part->error_code, 0);
    ck_assert_int_eq(part->active_producers_count, 1);
    ck_assert_int_eq(part->active_producers[0].producer_id, 77);
    ck_assert_int_eq(part->active_producers[0].producer_epoch, 2);
    ck_assert_int_eq(part->active_producers[0].last_sequence, 2);
    ck_assert_int_eq(part->active_producers[0].current_txn_start_offset, -1);
    reply_free(&reply);
    response = describe_producers(&reply, "nobody");
    ck_assert_int_eq(response.topics[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    reply_free(&reply);
    response = describe_producers(&reply, "no name");
    ck_assert_int_eq(response.topics[0].partitions[0].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

/* Produce as the client "sweep" sent it, one record a version, in the order of their versions: the answers are Apache
 * Kafka's to the byte, and message sets of the versions before 3 are stored as batches. */
struct sweep {
    int32_t produced;
    bool is_open; /* the last request was one of these, its answer comes next */
    struct reply reply;
};

static bool is_sweep(const struct recorded_frame *frame) {
    struct reader r = reader_of(frame->bytes, frame->size);
    struct request_header header;
    struct produce_request request;
    return frame->api_key == API_PRODUCE && request_header_decode(&r, &header) == 0 &&
           str_equal_text(header.client_id, "sweep") &&
           produce_request_decode(&r, header.api_version, &fx.arena, &request) == 0 &&
           str_is_null(request.transactional_id) && str_equal_text(request.topic_data[0].name, "sw-0");
}

static void replay_sweep(const struct recorded_frame *frame, void *context) {
    struct sweep *sweep = context;
    if (sweep->is_open && !frame->is_request) {
        ck_assert(sweep->reply.is_answered);
        ck_assert_uint_eq(sweep->reply.size, frame->size);
        /* The offset is the number of records before; in the recording other clients wrote in between. */
        struct reader ours = reader_of(sweep->reply.bytes, sweep->reply.size);
        struct reader theirs = reader_of(frame->bytes, frame->size);
        struct produce_response a;
        struct produce_response b;
        int32_t id;
        ck_assert_int_eq(response_header_decode(&ours, API_PRODUCE, frame->api_version, &id), 0);
        ck_assert_int_eq(response_header_decode(&theirs, API_PRODUCE, frame->api_version, &id), 0);
        ck_assert_int_eq(produce_response_decode(&ours, frame->api_version, &fx.arena, &a), 0);
        ck_assert_int_eq(produce_response_decode(&theirs, frame->api_version, &fx.arena, &b), 0);
        ck_assert_int_eq(b.responses[0].partition_responses[0].error_code, 0);
        ck_assert_int_eq(a.responses[0].partition_responses[0].error_code, 0);
        ck_assert_int_eq(a.responses[0].partition_responses[0].base_offset, sweep->produced - 1);
        ck_assert_int_eq(a.responses[0].partition_responses[0].log_append_time_ms,
                         b.responses[0].partition_responses[0].log_append_time_ms);
        reply_free(&sweep->reply);
    }
    sweep->is_open = frame->is_request && is_sweep(frame);
    if (sweep->is_open) {
        send_bytes(&sweep->reply, frame->bytes, frame->size);
        sweep->produced++;
    }
}

START_TEST(what_kafkas_broker_stored_of_every_version_ours_stores_too) {
    fixture_start();
    become_leader("sw-0", pair, 1, 0);
    struct sweep sweep = {0};
    recordings_each("tests/recordings/wire", replay_sweep, &sweep);
    ck_assert_int_ge(sweep.produced, 8);
    struct partition_runtime *partition;
    ck_assert_int_eq(replica_manager_partition(fx.replicas, STR_LITERAL("sw-0"), 0, &partition), 0);
    ck_assert_int_eq(log_end_offset(partition_runtime_log(partition)), sweep.produced);
    struct byte_buffer bytes = {0};
    test_read_all(partition_runtime_log(partition), 1 << 20, &bytes);
    size_t at = 0;
    for (int32_t i = 0; i < sweep.produced; i++) {
        struct record_batch batch;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &batch), 0);
        ck_assert_int_eq(batch.magic, 2);
        ck_assert_int_eq(batch.base_offset, i);
        ck_assert(record_batch_crc_is_valid((struct slice){bytes.data + at, batch.size}, &batch));
        at += (size_t)batch.size;
    }
    ck_assert_uint_eq(at, bytes.size);
    byte_buffer_deinit(&bytes);
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(produce_to_an_unknown_topic_or_partition_3),
        TEST(produce_to_a_follower_6_and_from_version_10_on_with_the_leader),
        TEST(acks_all_with_too_few_in_sync_19_and_other_acks_0),
        TEST(a_transactional_batch_without_id_53_and_in_no_transaction_48),
        TEST(a_transactional_id_is_refused_for_good_while_nobody_coordinates),
        TEST(a_former_producer_id_without_its_epoch_or_the_other_way_round_42),
        TEST(an_election_of_no_known_type_is_refused_and_not_held),
        TEST(fetch_with_a_newer_epoch_75_an_older_74_and_an_unknown_last_fetched_1),
        TEST(names_in_a_session_of_ids_106_at_top_level),
        TEST(delete_records_of_a_compacted_topic_44),
        TEST(list_offsets_version_0_lists_ends_of_segments_newest_first),
        TEST(an_epoch_nobody_led_yet_has_no_end_and_that_is_no_error),
        TEST(the_producers_of_a_partition_are_described_and_those_of_an_unknown_one_3),
        TEST(what_kafkas_broker_stored_of_every_version_ours_stores_too),
    };
    return run_tests("bad input", tests, sizeof tests / sizeof tests[0]);
}
