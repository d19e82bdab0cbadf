/* Produce and Fetch requests as tests of dispatch send them, and their answers. */
#ifndef OTTLA_TESTS_DISPATCH_REQUESTS_H
#define OTTLA_TESTS_DISPATCH_REQUESTS_H

#include "generated/protocol/fetch.h"
#include "generated/protocol/produce.h"
#include "tests/unit/dispatch_fixture.h"

static inline void produce_bytes(struct reply *reply, int16_t version, int16_t acks, int32_t timeout_ms,
                                 struct slice batch) {
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data partition;
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    produce_request_partition_produce_data_init(&partition);
    partition.records = (struct records){.size = batch.size, .data = batch.data};
    topic.name = STR_LITERAL("t");
    topic.partition_data = &partition;
    topic.partition_data_count = 1;
    request.acks = acks;
    request.timeout_ms = timeout_ms;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    SEND(produce, API_PRODUCE, version, reply, &request);
}

static inline void produce(struct reply *reply, int16_t version, int16_t acks, int32_t timeout_ms, int32_t records) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(records);
    test_batch_encode(&batch, &bytes);
    produce_bytes(reply, version, acks, timeout_ms, (struct slice){bytes.data, (int32_t)bytes.size});
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
    struct fetch_request request;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
    fetch_request_init(&request);
    fetch_request_fetch_topic_init(&topic);
    fetch_request_fetch_partition_init(&partition);
    partition.fetch_offset = wish.offset;
    partition.partition_max_bytes = 1048576;
    partition.current_leader_epoch = wish.version >= 9 ? wish.leader_epoch : -1;
    partition.last_fetched_epoch = wish.version >= 12 ? wish.last_fetched_epoch : -1;
    topic.topic = wish.wrong_name ? STR_LITERAL("nobody") : STR_LITERAL("t");
    topic.topic_id = wish.wrong_name ? (struct uuid){{4}} : TOPIC_ID;
    topic.partitions = &partition;
    topic.partitions_count = 1;
    if (wish.version >= 15) {
        request.replica_state.replica_id = wish.replica_id;
    } else {
        request.replica_id = wish.replica_id;
    }
    request.max_wait_ms = wish.max_wait_ms;
    request.min_bytes = wish.min_bytes;
    request.isolation_level = wish.isolation;
    request.session_id = wish.session_id;
    request.session_epoch = wish.session_epoch;
    request.topics = &topic;
    request.topics_count = wish.names_nothing ? 0 : 1;
    struct fetch_request_forgotten_topic forgotten;
    fetch_request_forgotten_topic_init(&forgotten);
    int32_t index = 0;
    forgotten.topic = topic.topic;
    forgotten.topic_id = topic.topic_id;
    forgotten.partitions = &index;
    forgotten.partitions_count = 1;
    request.forgotten_topics_data = &forgotten;
    request.forgotten_topics_data_count = wish.forgets ? 1 : 0;
    SEND(fetch, API_FETCH, wish.version, reply, &request);
}

static inline struct fetch_response fetched(struct reply *reply, int16_t version) {
    struct fetch_response response;
    DECODE(fetch, API_FETCH, version, reply, &response);
    return response;
}

#endif
