/* Frames good and bad through dispatch: what is answered, what closes the connection (zookeeper-mode.md 7.1), and that
 * every recorded request of Apache Kafka's clients gets an answer of its own version. */
#include "generated/protocol/allocate_producer_ids.h"
#include "generated/protocol/api_versions.h"
#include "generated/protocol/controlled_shutdown.h"
#include "generated/protocol/describe_cluster.h"
#include "generated/protocol/init_producer_id.h"
#include "generated/protocol/metadata.h"
#include "tests/lib/recordings.h"
#include "tests/unit/dispatch_fixture.h"

static int32_t alone[] = {1};

static uint8_t hex_digit(char c) {
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t from_hex(const char *text, uint8_t *ret) {
    size_t size = strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        ret[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    }
    return size;
}

static void send_hex(struct reply *reply, const char *text) {
    uint8_t bytes[1024];
    send_bytes(reply, bytes, from_hex(text, bytes));
}

static void expect_hex(struct reply *reply, const char *text) {
    uint8_t bytes[1024];
    size_t size = from_hex(text, bytes);
    ck_assert(reply->is_answered);
    ck_assert_uint_eq(reply->size, size);
    ck_assert_mem_eq(reply->bytes, bytes, size);
    reply_free(reply);
}

START_TEST(api_versions_lists_exactly_what_is_dispatched) {
    fixture_start();
    fx.context.features_epoch = 0;
    struct reply reply;
    int32_t row_count;
    const struct api_row *rows = dispatch_rows(&row_count);
    for (int16_t version = 0; version <= API_VERSIONS_REQUEST_VERSION_MAX; version++) {
        struct api_versions_request request;
        struct api_versions_response response;
        api_versions_request_init(&request);
        request.client_software_name = request.client_software_version =
            version < 3 ? STR_LITERAL("") : STR_LITERAL("a-1.0");
        SEND(api_versions, API_API_VERSIONS, version, &reply, &request);
        DECODE(api_versions, API_API_VERSIONS, version, &reply, &response);
        ck_assert_int_eq(response.error_code, 0);
        ck_assert_int_eq(response.api_keys_count, row_count);
        for (int32_t i = 0; i < row_count; i++) {
            ck_assert_int_eq(response.api_keys[i].api_key, rows[i].key);
            ck_assert_int_eq(response.api_keys[i].max_version, rows[i].version_max);
            ck_assert_int_ne(rows[i].authorization, 0);
        }
        ck_assert_int_eq(response.finalized_features_epoch, version < 3 ? -1 : 0);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(an_api_versions_nobody_knows_is_answered_in_version_0) {
    fixture_start();
    struct reply reply;
    /* Version 5 with header 2, and version -1 with header 1; the bodies are not looked at. */
    send_hex(&reply, "001200050000000700017a00ffffff");
    expect_hex(&reply, "00000007002300000001001200000004");
    send_hex(&reply, "0012ffff0000000800017a");
    expect_hex(&reply, "00000008002300000001001200000004");
    fixture_finish();
}
END_TEST

START_TEST(an_empty_software_name_is_an_invalid_request) {
    fixture_start();
    struct reply reply;
    send_hex(&reply, "0012000300000065000372617700010100");
    expect_hex(&reply, "00000065002a010000000000");
    fixture_finish();
}
END_TEST

START_TEST(what_is_not_served_or_not_readable_closes_the_connection) {
    static const char *const frames[] = {
        "",
        "0012",
        "00120000000000010001",                               /* client id cut short */
        "7fff00000000000100017a",                             /* no such key */
        "003a00000000000100017a00",                           /* Envelope is not served */
        "0003000d0000000100017a00",                           /* Metadata has no version 13 here */
        "0003ffff0000000100017a",                             /* negative version */
        "000300010000000100017a0000000100ff",                 /* a topic name cut short */
        "000300010000000100017a7fffffff",                     /* two milliards of topics */
        "0000000900000001000174000000ffff00000000ffffffffff", /* a compact count without end */
    };
    fixture_start();
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct reply reply;
        send_hex(&reply, frames[i]);
        ck_assert_msg(reply.is_closed, "frame %zu", i);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(bytes_after_the_body_and_unknown_tags_are_ignored) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    struct reply reply;
    /* librdkafka's Metadata v12 with three stray bytes, and ApiVersions v3 with a tag of its own. */
    send_hex(&reply, "0003000c0000000100017a000001000000abcdef");
    ck_assert(reply.is_answered);
    reply_free(&reply);
    send_hex(&reply, "001200030000000100017a01050261620261023101630178");
    ck_assert(reply.is_answered);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

static struct metadata_response ask_metadata(struct reply *reply, int16_t version,
                                             struct metadata_request_metadata_request_topic *topics, int32_t count) {
    struct metadata_request request;
    struct metadata_response response;
    metadata_request_init(&request);
    request.topics = topics;
    request.topics_count = count;
    request.allow_auto_topic_creation = true;
    SEND(metadata, API_METADATA, version, reply, &request);
    DECODE(metadata, API_METADATA, version, reply, &response);
    return response;
}

START_TEST(metadata_of_every_version_shows_brokers_and_leaders) {
    fixture_start();
    become_leader("t", alone, 1, 3);
    for (int16_t version = 0; version <= METADATA_REQUEST_VERSION_MAX; version++) {
        struct reply reply;
        struct metadata_response response = ask_metadata(&reply, version, NULL, version == 0 ? 0 : -1);
        ck_assert_int_eq(response.brokers_count, 1);
        ck_assert(str_equal_text(response.brokers[0].host, "localhost"));
        ck_assert_int_eq(response.topics_count, 1);
        ck_assert(str_equal_text(response.topics[0].name, "t"));
        ck_assert_int_eq(response.topics[0].partitions[0].leader_id, 1);
        ck_assert_int_eq(response.topics[0].partitions[0].error_code, 0);
        if (version >= 10) {
            ck_assert(uuid_equal(response.topics[0].topic_id, TOPIC_ID));
        }
        reply_free(&reply);
        if (version > 0) {
            response = ask_metadata(&reply, version, NULL, 0);
            ck_assert_int_eq(response.topics_count, 0);
            reply_free(&reply);
        }
    }
    fixture_finish();
}
END_TEST

START_TEST(metadata_waits_until_the_controller_has_told_of_the_cluster) {
    fixture_start();
    struct metadata_request request;
    struct metadata_response response;
    struct reply reply;
    metadata_request_init(&request);
    request.topics_count = -1;
    SEND(metadata, API_METADATA, 12, &reply, &request);
    memory_run_for(fx.world, 1000);
    ck_assert(!reply.is_answered);
    become_leader("t", alone, 1, 0);
    memory_run(fx.world);
    ck_assert(reply.is_answered);
    DECODE(metadata, API_METADATA, 12, &reply, &response);
    ck_assert_int_eq(response.brokers_count, 1);
    ck_assert_int_eq(response.topics_count, 1);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

START_TEST(without_a_controller_metadata_is_answered_empty_after_a_while) {
    fixture_start();
    struct metadata_request request;
    struct metadata_response response;
    struct reply reply;
    metadata_request_init(&request);
    request.topics_count = -1;
    SEND(metadata, API_METADATA, 12, &reply, &request);
    memory_run_for(fx.world, 2001);
    DECODE(metadata, API_METADATA, 12, &reply, &response);
    ck_assert_int_eq(response.brokers_count, 0);
    ck_assert_int_eq(response.controller_id, -1);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

START_TEST(metadata_names_what_it_does_not_know) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    struct metadata_request_metadata_request_topic topics[4];
    static const char *const names[] = {"missing", "bad/name", "t", "t"};
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        metadata_request_metadata_request_topic_init(&topics[i]);
        topics[i].name = str_from(names[i]);
    }
    for (int16_t version = 0; version <= METADATA_REQUEST_VERSION_MAX; version++) {
        struct reply reply;
        struct metadata_response response = ask_metadata(&reply, version, topics, 4);
        ck_assert_int_eq(response.topics_count, 3);
        ck_assert_int_eq(response.topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        ck_assert_int_eq(response.topics[1].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
        ck_assert_int_eq(response.topics[2].error_code, 0);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(metadata_by_id_is_for_version_12_and_refused_before) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    struct metadata_request_metadata_request_topic topics[2];
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
        metadata_request_metadata_request_topic_init(&topics[i]);
        topics[i].name = STR_NULL;
    }
    topics[0].topic_id = TOPIC_ID;
    topics[1].topic_id = (struct uuid){{77}};
    for (int16_t version = 10; version <= 12; version++) {
        struct reply reply;
        struct metadata_response response = ask_metadata(&reply, version, topics, 2);
        ck_assert_int_eq(response.topics_count, 2);
        if (version < 12) {
            ck_assert_int_eq(response.topics[0].error_code, KAFKA_INVALID_REQUEST);
            ck_assert_int_eq(response.brokers_count, 0);
            ck_assert(str_is_null(response.cluster_id));
            ck_assert_int_eq(response.controller_id, -1);
        } else {
            ck_assert_int_eq(response.topics[0].error_code, 0);
            ck_assert(str_equal_text(response.topics[0].name, "t"));
            ck_assert_int_eq(response.topics[1].error_code, KAFKA_UNKNOWN_TOPIC_ID);
        }
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

START_TEST(describe_cluster_knows_only_brokers) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    struct reply reply;
    struct describe_cluster_request request;
    struct describe_cluster_response response;
    describe_cluster_request_init(&request);
    SEND(describe_cluster, API_DESCRIBE_CLUSTER, 1, &reply, &request);
    DECODE(describe_cluster, API_DESCRIBE_CLUSTER, 1, &reply, &response);
    ck_assert_int_eq(response.brokers_count, 1);
    ck_assert_int_eq(response.controller_id, 1);
    reply_free(&reply);
    /* As recorded: correlation 226, endpoint type 2. */
    send_hex(&reply, "003c0001000000e20005737765657000000200");
    expect_hex(&reply, "000000e2000000000000726154686520726571756573742077617320"
                       "73656e7420746f20616e20656e64706f696e74206f6620747970652042524f4b45522c20627574207765207761"
                       "6e74656420616e20656e64706f696e74206f66207479706520434f4e54524f4c4c45520101ffffffff01800000"
                       "0000");
    fixture_finish();
}
END_TEST

static struct init_producer_id_response init_producer(struct reply *reply, struct str transactional_id,
                                                      int32_t timeout_ms) {
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    init_producer_id_request_init(&request);
    request.transactional_id = transactional_id;
    request.transaction_timeout_ms = timeout_ms;
    SEND(init_producer_id, API_INIT_PRODUCER_ID, 4, reply, &request);
    memory_run(fx.world);
    DECODE(init_producer_id, API_INIT_PRODUCER_ID, 4, reply, &response);
    reply_free(reply);
    return response;
}

START_TEST(producer_ids_are_given_once_from_blocks_of_the_controller) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    struct reply reply;
    for (int64_t i = 0; i < 35; i++) {
        struct init_producer_id_response response = init_producer(&reply, STR_NULL, 0);
        ck_assert_int_eq(response.error_code, 0);
        ck_assert_int_eq(response.producer_id, 1000 + i);
        ck_assert_int_eq(response.producer_epoch, 0);
    }
    ck_assert_int_le(fake_blocks, 5);
    ck_assert_int_eq(init_producer(&reply, STR_LITERAL(""), 60000).error_code, KAFKA_INVALID_REQUEST);
    ck_assert_int_eq(init_producer(&reply, STR_LITERAL("tx"), 0).error_code, KAFKA_INVALID_TRANSACTION_TIMEOUT);
    ck_assert_int_eq(init_producer(&reply, STR_LITERAL("tx"), 900001).error_code, KAFKA_INVALID_TRANSACTION_TIMEOUT);
    fixture_finish();
}
END_TEST

START_TEST(without_a_controller_producer_ids_are_waited_for_and_then_refused) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    fake_controller_error = KAFKA_NOT_CONTROLLER;
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    struct reply first;
    struct reply second;
    init_producer_id_request_init(&request);
    request.transactional_id = STR_NULL;
    SEND(init_producer_id, API_INIT_PRODUCER_ID, 4, &first, &request);
    memory_run_for(fx.world, 20000);
    ck_assert(!first.is_answered);
    memory_run_for(fx.world, 10001);
    DECODE(init_producer_id, API_INIT_PRODUCER_ID, 4, &first, &response);
    ck_assert_int_eq(response.error_code, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    SEND(init_producer_id, API_INIT_PRODUCER_ID, 4, &second, &request);
    memory_run_for(fx.world, 1000);
    ck_assert(!second.is_answered);
    fake_controller_error = KAFKA_NONE;
    memory_run_for(fx.world, 200);
    DECODE(init_producer_id, API_INIT_PRODUCER_ID, 4, &second, &response);
    ck_assert_int_eq(response.error_code, 0);
    reply_free(&first);
    reply_free(&second);
    fixture_finish();
}
END_TEST

START_TEST(controller_requests_elsewhere_are_refused_in_their_own_words) {
    fixture_start();
    fake_controller_error = KAFKA_NOT_CONTROLLER;
    struct reply reply;
    struct controlled_shutdown_request shutdown;
    struct controlled_shutdown_response shutdown_answer;
    controlled_shutdown_request_init(&shutdown);
    for (int16_t version = 0; version <= CONTROLLED_SHUTDOWN_REQUEST_VERSION_MAX; version++) {
        SEND(controlled_shutdown, API_CONTROLLED_SHUTDOWN, version, &reply, &shutdown);
        DECODE(controlled_shutdown, API_CONTROLLED_SHUTDOWN, version, &reply, &shutdown_answer);
        ck_assert_int_eq(shutdown_answer.error_code, KAFKA_STALE_CONTROLLER_EPOCH);
        reply_free(&reply);
    }
    struct allocate_producer_ids_request allocate;
    struct allocate_producer_ids_response allocate_answer;
    allocate_producer_ids_request_init(&allocate);
    SEND(allocate_producer_ids, API_ALLOCATE_PRODUCER_IDS, 0, &reply, &allocate);
    DECODE(allocate_producer_ids, API_ALLOCATE_PRODUCER_IDS, 0, &reply, &allocate_answer);
    ck_assert_int_eq(allocate_answer.error_code, KAFKA_NOT_CONTROLLER);
    reply_free(&reply);
    fixture_finish();
}
END_TEST

struct replay {
    int served;
    int answered;
};

/* APIs whose tests are elsewhere: they write to the coordinator, or their context needs the broker's settings. */
static bool is_admin(int16_t key) {
    return key == API_CREATE_TOPICS || key == API_DELETE_TOPICS || key == API_CREATE_PARTITIONS ||
           key == API_DESCRIBE_CONFIGS || key == API_ALTER_CONFIGS || key == API_INCREMENTAL_ALTER_CONFIGS;
}

static void replay_frame(const struct recorded_frame *frame, void *context) {
    struct replay *replay = context;
    if (!frame->is_request || dispatch_row(frame->api_key) == NULL || is_admin(frame->api_key)) {
        return;
    }
    struct reply reply;
    fixture_start();
    become_leader("sw-0", alone, 1, 0);
    send_bytes(&reply, frame->bytes, frame->size);
    memory_run_for(fx.world, 120000);
    ck_assert_msg(reply.is_answered || reply.is_silent || reply.is_closed, "%s frame %d", frame->file, frame->index);
    /* Produce with acks=0 gets nothing, and recorded bad input may close; whatever is answered has its id. */
    if (reply.is_answered) {
        struct reader r = reader_of(reply.bytes, reply.size);
        int32_t id;
        ck_assert_int_eq(response_header_decode(&r, frame->api_key, frame->api_version, &id), 0);
        ck_assert_int_eq(id, frame->correlation_id);
        replay->answered++;
    } else if (reply.is_closed) {
        ck_assert_msg(frame->api_key == API_PRODUCE, "%s frame %d closed", frame->file, frame->index);
    }
    replay->served++;
    reply_free(&reply);
    fixture_finish();
}

/* A message of one topic. */
static void tell_of_topic(const char *name, struct uuid id, int32_t partition_count, int8_t type) {
    struct reply reply;
    struct update_metadata_request update;
    struct update_metadata_request_update_metadata_partition_state states[3];
    struct update_metadata_request_update_metadata_topic_state topic;
    update_metadata_request_init(&update);
    update_metadata_request_update_metadata_topic_state_init(&topic);
    for (int32_t i = 0; i < partition_count; i++) {
        update_metadata_request_update_metadata_partition_state_init(&states[i]);
        states[i].partition_index = i;
        states[i].leader = 1;
    }
    topic.topic_name = str_from(name);
    topic.topic_id = id;
    topic.partition_states = states;
    topic.partition_states_count = partition_count;
    update.controller_id = 1;
    update.controller_epoch = 1;
    update.broker_epoch = 5;
    update.type = type;
    update.topic_states = &topic;
    update.topic_states_count = 1;
    SEND(update_metadata, API_UPDATE_METADATA, 8, &reply, &update);
    ck_assert(reply.is_answered);
    reply_free(&reply);
}

START_TEST(what_a_full_update_does_not_name_is_gone) {
    const struct uuid first = {{1}}, second = {{2}}, third = {{3}};
    fixture_start();
    tell_of_topic("deleted", first, 1, 0);
    tell_of_topic("recreated", second, 3, 0);
    ck_assert_int_eq(image_topic_count(fx.image), 2); /* others only add */
    tell_of_topic("recreated", third, 1, IMAGE_UPDATE_FULL);
    ck_assert_ptr_null(image_topic(fx.image, STR_LITERAL("deleted")));
    ck_assert_ptr_null(image_topic_by_id(fx.image, first));
    ck_assert_ptr_null(image_topic_by_id(fx.image, second));
    ck_assert_int_eq(image_topic(fx.image, STR_LITERAL("recreated"))->partition_count, 1);
    tell_of_topic("recreated", third, 1, IMAGE_UPDATE_FULL); /* as it was */
    ck_assert_ptr_nonnull(image_topic_by_id(fx.image, third));
    fixture_finish();
}
END_TEST

/* It would outlive the topic that took its name, and that one's deletion. */
START_TEST(what_is_known_of_a_topic_goes_when_another_of_its_name_is_told) {
    const struct uuid first = {{1}}, second = {{2}}, none = {{0}};
    fixture_start();
    tell_of_topic("recreated", first, 3, 0);
    tell_of_topic("recreated", second, 1, 0);
    ck_assert_ptr_null(image_topic_by_id(fx.image, first));
    ck_assert_int_eq(image_topic(fx.image, STR_LITERAL("recreated"))->partition_count, 1);
    tell_of_topic("recreated", none, 3, 0); /* of an old controller, who knows no ids */
    tell_of_topic("recreated", second, 1, 0);
    ck_assert_int_eq(image_topic(fx.image, STR_LITERAL("recreated"))->partition_count, 3);
    fixture_finish();
}
END_TEST

START_TEST(every_recorded_request_gets_its_answer) {
    struct replay replay = {0};
    recordings_each("tests/recordings/wire", replay_frame, &replay);
    ck_assert_int_gt(replay.served, 150);
    ck_assert_int_ge(replay.answered, replay.served - 5);
}
END_TEST

START_TEST(a_recorded_request_cut_anywhere_harms_nobody) {
    fixture_start();
    become_leader("t", alone, 1, 0);
    uint8_t bytes[64];
    size_t size = from_hex("0001000c0000000100017a00ffffffff000000000000000100ffffff0000000000"
                           "ffffffff020274",
                           bytes);
    for (size_t i = 0; i <= size; i++) {
        struct reply reply;
        send_bytes(&reply, bytes, i);
        ck_assert(reply.is_closed);
        reply_free(&reply);
    }
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(api_versions_lists_exactly_what_is_dispatched),
        TEST(an_api_versions_nobody_knows_is_answered_in_version_0),
        TEST(an_empty_software_name_is_an_invalid_request),
        TEST(what_is_not_served_or_not_readable_closes_the_connection),
        TEST(bytes_after_the_body_and_unknown_tags_are_ignored),
        TEST(metadata_of_every_version_shows_brokers_and_leaders),
        TEST(metadata_waits_until_the_controller_has_told_of_the_cluster),
        TEST(without_a_controller_metadata_is_answered_empty_after_a_while),
        TEST(metadata_names_what_it_does_not_know),
        TEST(metadata_by_id_is_for_version_12_and_refused_before),
        TEST(describe_cluster_knows_only_brokers),
        TEST(producer_ids_are_given_once_from_blocks_of_the_controller),
        TEST(without_a_controller_producer_ids_are_waited_for_and_then_refused),
        TEST(controller_requests_elsewhere_are_refused_in_their_own_words),
        TEST(what_a_full_update_does_not_name_is_gone),
        TEST(what_is_known_of_a_topic_goes_when_another_of_its_name_is_told),
        TEST(every_recorded_request_gets_its_answer),
        TEST(a_recorded_request_cut_anywhere_harms_nobody),
    };
    return run_tests("dispatch", tests, sizeof tests / sizeof tests[0]);
}
