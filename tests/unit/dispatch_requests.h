/* Produce and Fetch requests as tests of dispatch send them, and their answers. */
#ifndef OTTLA_TESTS_DISPATCH_REQUESTS_H
#define OTTLA_TESTS_DISPATCH_REQUESTS_H

#include "generated/protocol/delete_records.h"
#include "generated/protocol/list_offsets.h"
#include "tests/unit/dispatch_messages.h"

/* A broker that leads topic "t" and has no followers. */
static inline void start_leading(int32_t leader_epoch) {
    static int32_t alone[] = {1};
    fixture_start();
    become_leader("t", alone, 1, leader_epoch);
}

static inline void produce_bytes(struct reply *reply, int16_t version, int16_t acks, int32_t timeout_ms,
                                 struct slice batch) {
    struct produce_one one;
    produce_one_init(&one, STR_LITERAL("t"), acks, timeout_ms, batch);
    SEND(produce, API_PRODUCE, version, reply, &one.request);
}

static inline void produce(struct reply *reply, int16_t version, int16_t acks, int32_t timeout_ms, int32_t records) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(records);
    test_batch_encode(&batch, &bytes);
    produce_bytes(reply, version, acks, timeout_ms, slice_of_buffer(&bytes));
    byte_buffer_deinit(&bytes);
}

static inline struct produce_response_partition_produce_response produced(struct reply *reply, int16_t version) {
    struct produce_response response;
    DECODE(produce, API_PRODUCE, version, reply, &response);
    struct produce_response_partition_produce_response part = response.responses[0].partition_responses[0];
    reply_free(reply);
    return part;
}

struct fetch_wish {
    int16_t version;
    int64_t offset;
    int32_t replica_id;
    int32_t max_wait_ms;
    int32_t min_bytes;
    int32_t session_id;
    int32_t session_epoch;
    int8_t isolation;
    bool names_nothing;
    bool wrong_name;
    bool forgets;               /* the partition it names */
    int32_t leader_epoch;       /* -1: none; counts from version 9 on */
    int32_t last_fetched_epoch; /* counts from version 12 on */
};

static inline struct fetch_wish fetch_wish(int16_t version, int64_t offset) {
    return (struct fetch_wish){
        .version = version, .offset = offset, .replica_id = -1, .session_epoch = -1, .last_fetched_epoch = -1};
}

static inline void fetch(struct reply *reply, struct fetch_wish wish) {
    struct fetch_one one;
    struct fetch_request *request = &one.request;
    fetch_one_init(&one, wish.offset);
    one.partition.current_leader_epoch = wish.version >= 9 ? wish.leader_epoch : -1;
    one.partition.last_fetched_epoch = wish.version >= 12 ? wish.last_fetched_epoch : -1;
    if (wish.wrong_name) {
        one.topic.topic = STR_LITERAL("nobody");
        one.topic.topic_id = (struct uuid){{4}};
    }
    if (wish.version >= 15) {
        request->replica_state.replica_id = wish.replica_id;
    } else {
        request->replica_id = wish.replica_id;
    }
    request->max_wait_ms = wish.max_wait_ms;
    request->min_bytes = wish.min_bytes;
    request->isolation_level = wish.isolation;
    request->session_id = wish.session_id;
    request->session_epoch = wish.session_epoch;
    request->topics_count = wish.names_nothing ? 0 : 1;
    struct fetch_request_forgotten_topic forgotten;
    fetch_request_forgotten_topic_init(&forgotten);
    int32_t index = 0;
    forgotten.topic = one.topic.topic;
    forgotten.topic_id = one.topic.topic_id;
    forgotten.partitions = &index;
    forgotten.partitions_count = 1;
    request->forgotten_topics_data = &forgotten;
    request->forgotten_topics_data_count = wish.forgets ? 1 : 0;
    SEND(fetch, API_FETCH, wish.version, reply, request);
}

static inline struct fetch_response fetched(struct reply *reply, int16_t version) {
    struct fetch_response response;
    DECODE(fetch, API_FETCH, version, reply, &response);
    return response;
}

/* The error of the partition, which is answered at once. */
static inline int16_t fetch_code(struct fetch_wish wish) {
    struct reply reply;
    fetch(&reply, wish);
    int16_t code = fetched(&reply, wish.version).responses[0].partitions[0].error_code;
    reply_free(&reply);
    return code;
}

/* Fetches in a new session, which the wish then names. */
static inline void open_session(struct fetch_wish *wish) {
    struct reply reply;
    wish->session_epoch = 0;
    fetch(&reply, *wish);
    wish->session_id = fetched(&reply, wish->version).session_id;
    ck_assert_int_ne(wish->session_id, 0);
    reply_free(&reply);
}

/* Records that the log takes. */
static inline void produce_records(int32_t records) {
    struct reply reply;
    produce(&reply, 9, 1, 1000, records);
    ck_assert_int_eq(produced(&reply, 9).error_code, KAFKA_NONE);
}

/* ListOffsets of partition 0, named so many times (at most 2): the answer about the first. */
static inline struct list_offsets_response_list_offsets_partition_response
list_offsets(struct reply *reply, int16_t version, int64_t timestamp, int32_t max_count, int copies) {
    struct list_offsets_request request;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition partitions[2];
    struct list_offsets_response response;
    list_offsets_request_init(&request);
    list_offsets_request_list_offsets_topic_init(&topic);
    for (int i = 0; i < copies; i++) {
        list_offsets_request_list_offsets_partition_init(&partitions[i]);
        partitions[i].timestamp = timestamp;
        partitions[i].max_num_offsets = max_count;
    }
    request.replica_id = -1;
    topic.name = STR_LITERAL("t");
    topic.partitions = partitions;
    topic.partitions_count = copies;
    request.topics = &topic;
    request.topics_count = 1;
    SEND(list_offsets, API_LIST_OFFSETS, version, reply, &request);
    DECODE(list_offsets, API_LIST_OFFSETS, version, reply, &response);
    return response.topics[0].partitions[0];
}

static inline struct delete_records_response_delete_records_partition_result delete_records(int64_t offset) {
    struct delete_records_request request;
    struct delete_records_request_delete_records_topic topic;
    struct delete_records_request_delete_records_partition partition;
    struct delete_records_response response;
    struct reply reply;
    delete_records_request_init(&request);
    delete_records_request_delete_records_topic_init(&topic);
    delete_records_request_delete_records_partition_init(&partition);
    partition.offset = offset;
    topic.name = STR_LITERAL("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = 1000;
    SEND(delete_records, API_DELETE_RECORDS, 2, &reply, &request);
    memory_run_for(fx.world, 10);
    DECODE(delete_records, API_DELETE_RECORDS, 2, &reply, &response);
    reply_free(&reply);
    return response.topics[0].partitions[0];
}

#endif
