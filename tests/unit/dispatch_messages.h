/* Produce and Fetch of one partition, built in place: a message and the lists it points to. For tests of dispatch. */
#ifndef OTTLA_TESTS_DISPATCH_MESSAGES_H
#define OTTLA_TESTS_DISPATCH_MESSAGES_H

#include "generated/protocol/fetch.h"
#include "generated/protocol/produce.h"
#include "tests/unit/dispatch_fixture.h"

struct produce_one {
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data partition;
};

/* This batch to partition 0; the bytes stay the caller's. */
static inline void produce_one_init(struct produce_one *one, struct str topic, int16_t acks, int32_t timeout_ms,
                                    struct slice batch) {
    produce_request_init(&one->request);
    produce_request_topic_produce_data_init(&one->topic);
    produce_request_partition_produce_data_init(&one->partition);
    one->partition.records = (struct records){.size = batch.size, .data = batch.data};
    one->topic.name = topic;
    one->topic.partition_data = &one->partition;
    one->topic.partition_data_count = 1;
    one->request.acks = acks;
    one->request.timeout_ms = timeout_ms;
    one->request.topic_data = &one->topic;
    one->request.topic_data_count = 1;
}

struct fetch_one {
    struct fetch_request request;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
};

/* Partition 0 of topic "t", up to 1 MiB of it. */
static inline void fetch_one_init(struct fetch_one *one, int64_t offset) {
    fetch_request_init(&one->request);
    fetch_request_fetch_topic_init(&one->topic);
    fetch_request_fetch_partition_init(&one->partition);
    one->partition.fetch_offset = offset;
    one->partition.partition_max_bytes = 1048576;
    one->topic.topic = STR_LITERAL("t");
    one->topic.topic_id = TOPIC_ID;
    one->topic.partitions = &one->partition;
    one->topic.partitions_count = 1;
    one->request.topics = &one->topic;
    one->request.topics_count = 1;
}

static inline struct slice slice_of_buffer(const struct byte_buffer *buffer) {
    return (struct slice){buffer->data, (int32_t)buffer->size};
}

#endif
