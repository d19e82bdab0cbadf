/* The group APIs as a client uses them, over the fixture of dispatch: each call sends a frame and reads its answer.
 * Included by the tests of groups. */
#ifndef OTTLA_TESTS_DISPATCH_GROUPS_FIXTURE_H
#define OTTLA_TESTS_DISPATCH_GROUPS_FIXTURE_H

#include "generated/protocol/delete_groups.h"
#include "generated/protocol/describe_groups.h"
#include "generated/protocol/find_coordinator.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/leave_group.h"
#include "generated/protocol/list_groups.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/offset_delete.h"
#include "generated/protocol/offset_fetch.h"
#include "generated/protocol/sync_group.h"
#include <stdio.h>

#include "tests/unit/dispatch_fixture.h"

static int32_t alone[] = {1};
static int32_t trio[] = {1, 2, 3};

/* This broker coordinates every group; topic "t" is there to be consumed. */
static inline void coordinate(void) {
    fixture_start();
    become_leader("__consumer_offsets", alone, 1, 1);
    become_leader("t", trio, 3, 1); /* and thereby brokers 2 and 3 are known to be alive */
    memory_run(fx.world);
}

static struct reply last;

static inline void send_join_as(struct reply *reply, struct str group, struct str member, struct str instance,
                                int16_t version, int32_t session_ms) {
    struct join_group_request request;
    struct join_group_request_join_group_request_protocol range = {STR_LITERAL("range"), {(const uint8_t *)"m", 1}};
    join_group_request_init(&request);
    request.group_id = group;
    request.session_timeout_ms = session_ms;
    request.rebalance_timeout_ms = 60000;
    request.member_id = member;
    request.group_instance_id = instance;
    request.protocol_type = STR_LITERAL("consumer");
    request.protocols = &range;
    request.protocols_count = 1;
    SEND(join_group, API_JOIN_GROUP, version, reply, &request);
}

static inline struct join_group_response join_as(struct str group, struct str member, struct str instance,
                                                 int16_t version, int32_t session_ms) {
    struct join_group_response response;
    reply_free(&last);
    send_join_as(&last, group, member, instance, version, session_ms);
    memory_run(fx.world);
    DECODE(join_group, API_JOIN_GROUP, version, &last, &response);
    return response;
}

static inline struct sync_group_response sync_alone(struct str group, struct str member, int32_t generation) {
    struct sync_group_request request;
    struct sync_group_request_sync_group_request_assignment all = {member, {(const uint8_t *)"all", 3}};
    struct sync_group_response response;
    sync_group_request_init(&request);
    request.group_id = group;
    request.generation_id = generation;
    request.member_id = member;
    request.protocol_type = STR_LITERAL("consumer");
    request.protocol_name = STR_LITERAL("range");
    request.assignments = &all;
    request.assignments_count = 1;
    reply_free(&last);
    SEND(sync_group, API_SYNC_GROUP, 5, &last, &request);
    memory_run(fx.world);
    DECODE(sync_group, API_SYNC_GROUP, 5, &last, &response);
    return response;
}

/* A stable group of one; its member id, in the arena. */
static inline struct str one_member(struct str group) {
    struct join_group_response asked = join_as(group, STR_LITERAL(""), STR_NULL, 9, 10000);
    ck_assert_int_eq(asked.error_code, KAFKA_MEMBER_ID_REQUIRED);
    struct str id = arena_str(&fx.arena, asked.member_id);
    ck_assert_int_eq(strncmp(id.data, "test-", 5), 0);
    ck_assert_int_eq(join_as(group, id, STR_NULL, 9, 10000).generation_id, 1);
    ck_assert_int_eq(sync_alone(group, id, 1).error_code, KAFKA_NONE);
    return id;
}

static inline int16_t heartbeat(struct str group, struct str member, int32_t generation) {
    struct heartbeat_request request;
    struct heartbeat_response response;
    heartbeat_request_init(&request);
    request.group_id = group;
    request.generation_id = generation;
    request.member_id = member;
    reply_free(&last);
    SEND(heartbeat, API_HEARTBEAT, 4, &last, &request);
    DECODE(heartbeat, API_HEARTBEAT, 4, &last, &response);
    return response.error_code;
}

static inline void send_commit(struct reply *reply, struct str group, struct str member, int32_t generation,
                               struct str topic, int64_t offset, struct str metadata) {
    struct offset_commit_request request;
    struct offset_commit_request_offset_commit_request_topic one;
    struct offset_commit_request_offset_commit_request_partition part;
    offset_commit_request_init(&request);
    offset_commit_request_offset_commit_request_topic_init(&one);
    offset_commit_request_offset_commit_request_partition_init(&part);
    part.committed_offset = offset;
    part.committed_leader_epoch = 1;
    part.committed_metadata = metadata;
    one.name = topic;
    one.partitions = &part;
    one.partitions_count = 1;
    request.group_id = group;
    request.generation_id_or_member_epoch = generation;
    request.member_id = member;
    request.topics = &one;
    request.topics_count = 1;
    SEND(offset_commit, API_OFFSET_COMMIT, 9, reply, &request);
}

static inline int16_t commit_result(struct reply *reply) {
    struct offset_commit_response response;
    DECODE(offset_commit, API_OFFSET_COMMIT, 9, reply, &response);
    return response.topics[0].partitions[0].error_code;
}

static inline int16_t commit(struct str group, struct str member, int32_t generation, struct str topic, int64_t offset,
                             struct str metadata) {
    reply_free(&last);
    send_commit(&last, group, member, generation, topic, offset, metadata);
    memory_run(fx.world);
    return commit_result(&last);
}

/* -1: none; the group's error otherwise in *ret_error. */
static inline int64_t fetch(struct str group, bool requires_stable, int16_t *ret_error) {
    struct offset_fetch_request request;
    struct offset_fetch_request_offset_fetch_request_group one;
    struct offset_fetch_request_offset_fetch_request_topics topic;
    struct offset_fetch_response response;
    int32_t partition = 0;
    offset_fetch_request_init(&request);
    offset_fetch_request_offset_fetch_request_group_init(&one);
    offset_fetch_request_offset_fetch_request_topics_init(&topic);
    topic.name = STR_LITERAL("t");
    topic.partition_indexes = &partition;
    topic.partition_indexes_count = 1;
    one.group_id = group;
    one.topics = &topic;
    one.topics_count = 1;
    request.groups = &one;
    request.groups_count = 1;
    request.require_stable = requires_stable;
    reply_free(&last);
    SEND(offset_fetch, API_OFFSET_FETCH, 9, &last, &request);
    DECODE(offset_fetch, API_OFFSET_FETCH, 9, &last, &response);
    *ret_error = response.groups[0].error_code;
    if (*ret_error != KAFKA_NONE) {
        return -1;
    }
    *ret_error = response.groups[0].topics[0].partitions[0].error_code;
    return response.groups[0].topics[0].partitions[0].committed_offset;
}

static inline struct describe_groups_response_described_group describe(struct str group) {
    struct describe_groups_request request;
    struct describe_groups_response response;
    describe_groups_request_init(&request);
    request.groups = &group;
    request.groups_count = 1;
    reply_free(&last);
    SEND(describe_groups, API_DESCRIBE_GROUPS, 5, &last, &request);
    DECODE(describe_groups, API_DESCRIBE_GROUPS, 5, &last, &response);
    return response.groups[0];
}

static inline int16_t delete_group(struct str group) {
    struct delete_groups_request request;
    struct delete_groups_response response;
    delete_groups_request_init(&request);
    request.groups_names = &group;
    request.groups_names_count = 1;
    reply_free(&last);
    SEND(delete_groups, API_DELETE_GROUPS, 2, &last, &request);
    memory_run(fx.world);
    DECODE(delete_groups, API_DELETE_GROUPS, 2, &last, &response);
    return response.results[0].error_code;
}

static inline int16_t leave(struct str group, struct str member) {
    struct leave_group_request request;
    struct leave_group_request_member_identity one;
    struct leave_group_response response;
    leave_group_request_init(&request);
    leave_group_request_member_identity_init(&one);
    one.member_id = member;
    request.group_id = group;
    request.members = &one;
    request.members_count = 1;
    reply_free(&last);
    SEND(leave_group, API_LEAVE_GROUP, 5, &last, &request);
    memory_run(fx.world);
    DECODE(leave_group, API_LEAVE_GROUP, 5, &last, &response);
    return response.error_code != KAFKA_NONE ? response.error_code : response.members[0].error_code;
}

/* Another broker leads the partition from now on. */
static inline void lose_partition(int32_t leader_epoch) {
    struct reply reply;
    send_leader_and_isr(&reply, "__consumer_offsets", 2, trio, 3, leader_epoch);
    ck_assert(reply.is_answered);
    reply_free(&reply);
}

static inline void end(void) {
    reply_free(&last);
    fixture_finish();
}

#define G STR_LITERAL("g")
#define T STR_LITERAL("t")
#define NOBODY STR_LITERAL("")

#endif
