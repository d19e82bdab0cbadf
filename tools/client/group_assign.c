/* The consumer protocol inside JoinGroup and SyncGroup, and Kafka's range assignor. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "generated/protocol/consumer_protocol.h"
#include "tools/client/group.h"

#define PROTOCOL_VERSION 3

static struct encoder begin(struct arena *arena, size_t size) {
    struct encoder e = encoder_of(arena_alloc(arena, sizeof(int16_t) + size), sizeof(int16_t) + size);
    writer_i16(&e.w, PROTOCOL_VERSION);
    return e;
}

static struct slice end(const struct encoder *e) {
    CHECK(!e->w.failed);
    return (struct slice){e->w.begin, (int32_t)writer_size(&e->w)};
}

struct slice group_encode_subscription(struct arena *arena, const struct str *topics, int32_t count) {
    struct consumer_protocol_subscription subscription;
    consumer_protocol_subscription_init(&subscription);
    subscription.topics = (struct str *)(uintptr_t)topics;
    subscription.topics_count = count;
    subscription.user_data = SLICE_NULL;
    subscription.generation_id = -1;
    subscription.rack_id = STR_NULL;
    struct encoder e = begin(arena, consumer_protocol_subscription_encoded_size(&subscription, PROTOCOL_VERSION));
    consumer_protocol_subscription_encode(&subscription, PROTOCOL_VERSION, &e);
    return end(&e);
}

/* One member and what it is given. */
struct share {
    const struct join_group_response_join_group_response_member *member;
    struct str *topics;
    int32_t topic_count;
    struct consumer_protocol_assignment_topic_partition *given;
    int32_t given_count;
};

/* A version above ours is read as ours: later ones only add to the end. */
static void decode_topics(struct arena *arena, struct slice bytes, struct str **ret_topics, int32_t *ret_count) {
    struct consumer_protocol_subscription subscription;
    struct reader r = reader_of(bytes.data, (size_t)MAX(bytes.size, 0));
    int16_t version = reader_i16(&r);
    *ret_topics = NULL;
    *ret_count = 0;
    if (!r.failed && version >= 0 &&
        consumer_protocol_subscription_decode(&r, MIN(version, PROTOCOL_VERSION), arena, &subscription) == 0) {
        *ret_topics = subscription.topics;
        *ret_count = subscription.topics_count;
    }
}

static int compare_topics(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

int32_t group_subscribed_topics(struct arena *arena, const struct join_group_response *joined,
                                struct str **ret_topics) {
    struct str *all = NULL;
    int32_t count = 0;
    for (int32_t i = 0; i < joined->members_count; i++) {
        struct str *topics;
        int32_t more;
        decode_topics(arena, joined->members[i].metadata, &topics, &more);
        struct str *joint = ARENA_ARRAY(arena, struct str, count + more);
        if (count > 0) {
            memcpy(joint, all, (size_t)count * sizeof *joint);
        }
        for (int32_t j = 0; j < more; j++) {
            joint[count++] = topics[j];
        }
        all = joint;
    }
    if (count > 0) {
        qsort(all, (size_t)count, sizeof *all, compare_topics);
    }
    int32_t distinct = 0;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || !str_equal(all[i], all[distinct - 1])) {
            all[distinct++] = all[i];
        }
    }
    *ret_topics = all;
    return distinct;
}

/* Static members first, by instance; then by member id. */
static int compare_shares(const void *a, const void *b) {
    const struct share *x = a;
    const struct share *y = b;
    bool x_static = !str_is_null(x->member->group_instance_id);
    bool y_static = !str_is_null(y->member->group_instance_id);
    if (x_static && y_static) {
        return str_compare(x->member->group_instance_id, y->member->group_instance_id);
    }
    return x_static != y_static ? (int)y_static - (int)x_static
                                : str_compare(x->member->member_id, y->member->member_id);
}

static bool wants(const struct share *share, struct str topic) {
    for (int32_t i = 0; i < share->topic_count; i++) {
        if (str_equal(share->topics[i], topic)) {
            return true;
        }
    }
    return false;
}

/* Consecutive partitions to each who wants the topic; the first ones get one more when it does not come out even. */
static void share_out(struct arena *arena, const struct topic_count *topic, struct share *shares, int32_t count) {
    int32_t takers = 0;
    for (int32_t i = 0; i < count; i++) {
        takers += wants(&shares[i], topic->topic);
    }
    int32_t next = 0;
    int32_t nth = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!wants(&shares[i], topic->topic)) {
            continue;
        }
        int32_t size = topic->partitions / takers + (nth++ < topic->partitions % takers);
        if (size == 0) {
            continue;
        }
        struct consumer_protocol_assignment_topic_partition *given = &shares[i].given[shares[i].given_count++];
        consumer_protocol_assignment_topic_partition_init(given);
        given->topic = topic->topic;
        given->partitions_count = size;
        given->partitions = ARENA_ARRAY(arena, int32_t, size);
        for (int32_t j = 0; j < size; j++) {
            given->partitions[j] = next++;
        }
    }
}

void group_assign_range(struct arena *arena, const struct join_group_response *joined, const struct topic_count *counts,
                        int32_t count, struct sync_group_request *ret) {
    struct share *shares = ARENA_ARRAY(arena, struct share, joined->members_count);
    for (int32_t i = 0; i < joined->members_count; i++) {
        shares[i].member = &joined->members[i];
        decode_topics(arena, joined->members[i].metadata, &shares[i].topics, &shares[i].topic_count);
        shares[i].given = ARENA_ARRAY(arena, struct consumer_protocol_assignment_topic_partition, count);
    }
    if (joined->members_count > 0) {
        qsort(shares, (size_t)joined->members_count, sizeof *shares, compare_shares);
    }
    for (int32_t i = 0; i < count; i++) {
        share_out(arena, &counts[i], shares, joined->members_count);
    }
    ret->assignments =
        ARENA_ARRAY(arena, struct sync_group_request_sync_group_request_assignment, joined->members_count);
    ret->assignments_count = joined->members_count;
    for (int32_t i = 0; i < joined->members_count; i++) {
        struct consumer_protocol_assignment assignment;
        consumer_protocol_assignment_init(&assignment);
        assignment.assigned_partitions = shares[i].given;
        assignment.assigned_partitions_count = shares[i].given_count;
        assignment.user_data = SLICE_NULL;
        struct encoder e = begin(arena, consumer_protocol_assignment_encoded_size(&assignment, PROTOCOL_VERSION));
        consumer_protocol_assignment_encode(&assignment, PROTOCOL_VERSION, &e);
        sync_group_request_sync_group_request_assignment_init(&ret->assignments[i]);
        ret->assignments[i].member_id = shares[i].member->member_id;
        ret->assignments[i].assignment = end(&e);
    }
}

int group_decode_assignment(struct arena *arena, struct slice bytes, struct assigned_partition **ret_list,
                            int32_t *ret_count) {
    struct consumer_protocol_assignment assignment;
    struct reader r = reader_of(bytes.data, (size_t)MAX(bytes.size, 0));
    *ret_list = NULL;
    *ret_count = 0;
    if (bytes.size <= 0) {
        return 0; /* the leader has forgotten us */
    }
    int16_t version = reader_i16(&r);
    if (r.failed || version < 0 ||
        consumer_protocol_assignment_decode(&r, MIN(version, PROTOCOL_VERSION), arena, &assignment) != 0) {
        return ERR_CORRUPT;
    }
    int32_t total = 0;
    for (int32_t i = 0; i < assignment.assigned_partitions_count; i++) {
        total += assignment.assigned_partitions[i].partitions_count;
    }
    *ret_list = ARENA_ARRAY(arena, struct assigned_partition, total);
    for (int32_t i = 0; i < assignment.assigned_partitions_count; i++) {
        const struct consumer_protocol_assignment_topic_partition *topic = &assignment.assigned_partitions[i];
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            (*ret_list)[(*ret_count)++] = (struct assigned_partition){topic->topic, topic->partitions[j]};
        }
    }
    return 0;
}
