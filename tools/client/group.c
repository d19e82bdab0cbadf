/* Membership: find the coordinator, join, sync, begin where the group has committed; heartbeats, commits, leaving. */
#include "tools/client/group.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tools/client/consumer_internal.h"
#include "tools/client/group_work.h"

#define PROTOCOL_TYPE "consumer"
#define PROTOCOL_NAME "range"
#define RETRY_PAUSE_MS 100
/* How often a leader looks whether its topics have more partitions, while it has any; and while it has none. */
#define LOOK_PAUSE_MS 5000
#define MISSING_PAUSE_MS 1000
/* Waiting for others to join is theirs to bound; this is what comes on top (Java's). */
#define JOIN_EXTRA_MS 5000
#define CLOSE_TIMEOUT_MS 30000
#define KAFKA_EXCEPTION "org.apache.kafka.common.KafkaException"

void group_member_init(struct group_member *member, struct consumer *consumer, const struct group_settings *settings) {
    *member =
        (struct group_member){.consumer = consumer, .settings = *settings, .member_id = xstrdup(""), .generation = -1};
    broker_connection_init(&member->coordinator, consumer->client->settings.client_id,
                           consumer->client->settings.cancel_fd);
    arena_init(&member->arena, SIZE_MAX);
    arena_init(&member->topics_arena, SIZE_MAX);
}

static int64_t call_deadline(const struct group_member *member) {
    return monotonic_ms() + member->consumer->client->settings.request_timeout_ms;
}

static void lose_coordinator(struct group_member *member) {
    broker_connection_close(&member->coordinator);
    client_ask_another(member->consumer->client);
    member->retry_at_ms = monotonic_ms() + RETRY_PAUSE_MS;
}

static void forget_membership(struct group_member *member) {
    free(member->member_id);
    member->member_id = xstrdup("");
    member->generation = -1;
    member->is_joined = false;
}

/* ERR_CLOSING ends everything; whatever else went wrong with a call costs the connection. */
static int lost(struct group_member *member, int error) {
    if (error == ERR_CLOSING) {
        return error;
    }
    lose_coordinator(member);
    return 0;
}

/* Errors after which the same is tried again, with another coordinator or another identity. Others are final. */
static int react(struct group_member *member, int16_t code, struct failure *failure) {
    switch (code) {
    case KAFKA_NONE: return 0;
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR: lose_coordinator(member); return 0;
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_ILLEGAL_GENERATION: forget_membership(member); return 0;
    case KAFKA_REBALANCE_IN_PROGRESS: member->is_joined = false; return 0;
    default: break;
    }
    if (kafka_error_is_retriable(code)) {
        member->retry_at_ms = monotonic_ms() + RETRY_PAUSE_MS;
        return 0;
    }
    return failure_set_code(failure, code, STR_NULL);
}

/* ---- The coordinator ---- */

static int find_coordinator(struct group_member *member, int64_t deadline_ms, struct failure *failure) {
    struct client *client = member->consumer->client;
    struct str group = str_from(member->settings.group_id);
    struct coordinator found;
    struct broker_connection *connection;
    int error = client_any(client, deadline_ms, &connection);
    if (error != 0) {
        return error;
    }
    error = find_coordinators(connection, &group, 1, call_deadline(member), &member->arena, &found);
    if (error != 0) {
        return lost(member, error);
    }
    if (found.code != KAFKA_NONE) {
        return react(member, found.code, failure);
    }
    struct client_node *node = client_find_node(client, found.node_id);
    if (node == NULL) {
        struct metadata_response metadata; /* which brings the brokers up to date */
        error = client_metadata(client, NULL, 0, false, deadline_ms, &member->arena, &metadata);
        return error != 0 ? error : lost(member, 0);
    }
    error = client_connect(client, node, &member->coordinator, deadline_ms);
    return error == 0 ? 0 : lost(member, error);
}

/* ---- Topics ---- */

/* The partitions of so many topics, -1 for all. */
static int read_metadata(struct group_member *member, const struct str *topics, int32_t count, bool create,
                         int64_t deadline_ms, struct metadata_response *ret) {
    return client_metadata(member->consumer->client, topics, count, create, deadline_ms, &member->arena, ret);
}

/* What is subscribed to: the topic, or whatever matches now. */
static int learn_topics(struct group_member *member, int64_t deadline_ms) {
    const struct consumer_settings *settings = &member->consumer->settings;
    arena_reset(&member->topics_arena, SIZE_MAX);
    member->topic_count = 0;
    if (settings->filter == NULL) {
        member->topics = ARENA_ARRAY(&member->topics_arena, struct str, 1);
        member->topics[member->topic_count++] = str_from(settings->topic);
        return 0;
    }
    struct metadata_response response;
    int error = read_metadata(member, NULL, -1, false, deadline_ms, &response);
    if (error != 0) {
        return error;
    }
    member->topics = ARENA_ARRAY(&member->topics_arena, struct str, response.topics_count);
    for (int32_t i = 0; i < response.topics_count; i++) {
        if (consumer_wants(member->consumer, response.topics[i].name)) {
            member->topics[member->topic_count++] = arena_str(&member->topics_arena, response.topics[i].name);
        }
    }
    return 0;
}

static int count_partitions(struct group_member *member, const struct str *topics, int32_t count, int64_t deadline_ms,
                            struct topic_count **ret_counts) {
    struct metadata_response response;
    const struct consumer_settings *settings = &member->consumer->settings;
    *ret_counts = ARENA_ARRAY(&member->arena, struct topic_count, count);
    int error = count == 0 ? 0
                           : read_metadata(member, topics, count, settings->filter == NULL && settings->auto_create,
                                           deadline_ms, &response);
    for (int32_t i = 0; i < count && error == 0; i++) {
        (*ret_counts)[i].topic = topics[i];
        for (int32_t j = 0; j < response.topics_count; j++) {
            bool is_known = response.topics[j].error_code == KAFKA_NONE;
            if (is_known && str_equal(response.topics[j].name, topics[i])) {
                (*ret_counts)[i].partitions = response.topics[j].partitions_count;
            }
        }
    }
    return error;
}

/* Remembers what was shared out, to see later whether there is more. */
static void keep_counts(struct group_member *member, const struct topic_count *counts, int32_t count) {
    member->counts = ARENA_ARRAY(&member->topics_arena, struct topic_count, count);
    member->count_count = count;
    bool is_missing = false;
    for (int32_t i = 0; i < count; i++) {
        member->counts[i] =
            (struct topic_count){arena_str(&member->topics_arena, counts[i].topic), counts[i].partitions};
        is_missing = is_missing || counts[i].partitions == 0;
    }
    member->look_at_ms = monotonic_ms() + (is_missing || count == 0 ? MISSING_PAUSE_MS : LOOK_PAUSE_MS);
}

/* A leader begins a rebalance when a topic has come or grown. */
static int look_for_changes(struct group_member *member, int64_t deadline_ms) {
    struct topic_count *now;
    struct str *topics = ARENA_ARRAY(&member->arena, struct str, member->count_count);
    int32_t topics_before = member->topic_count;
    for (int32_t i = 0; i < member->count_count; i++) {
        topics[i] = arena_str(&member->arena, member->counts[i].topic);
    }
    int error = count_partitions(member, topics, member->count_count, deadline_ms, &now);
    bool has_changed = false;
    for (int32_t i = 0; i < member->count_count && error == 0; i++) {
        has_changed = has_changed || now[i].partitions != member->counts[i].partitions;
    }
    if (error == 0 && !has_changed && member->consumer->settings.filter != NULL) {
        error = learn_topics(member, deadline_ms);
        has_changed = member->topic_count != topics_before;
    }
    keep_counts(member, now, error == 0 ? member->count_count : 0);
    if (has_changed) {
        member->is_joined = false;
    }
    return error;
}

/* ---- Committing ---- */

static int commit(struct group_member *member, struct failure *failure) {
    const struct consumer *consumer = member->consumer;
    struct offset_commit_request request;
    struct offset_commit_response response;
    offset_commit_request_init(&request);
    request.group_id = str_from(member->settings.group_id);
    request.generation_id_or_member_epoch = member->generation;
    request.member_id = str_from(member->member_id);
    request.group_instance_id = str_from(member->settings.instance_id);
    request.topics = ARENA_ARRAY(&member->arena, struct offset_commit_request_offset_commit_request_topic,
                                 consumer->partition_count);
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        const struct consumer_partition *partition = consumer->partitions[i];
        if (partition->offset < 0) {
            continue;
        }
        struct offset_commit_request_offset_commit_request_topic *topic = &request.topics[request.topics_count++];
        offset_commit_request_offset_commit_request_topic_init(topic);
        topic->name = str_from(partition->topic);
        topic->partitions =
            ARENA_ARRAY(&member->arena, struct offset_commit_request_offset_commit_request_partition, 1);
        topic->partitions_count = 1;
        offset_commit_request_offset_commit_request_partition_init(topic->partitions);
        topic->partitions->partition_index = partition->index;
        topic->partitions->committed_offset = partition->offset;
        topic->partitions->committed_metadata = STR_LITERAL("");
    }
    member->commit_at_ms = monotonic_ms() + member->settings.auto_commit_interval_ms;
    if (request.topics_count == 0) {
        return 0;
    }
    int error = call_offset_commit(&member->coordinator, &request, call_deadline(member), &member->arena, &response);
    if (error != 0) {
        return lost(member, error);
    }
    for (int32_t i = 0; i < response.topics_count && error == 0; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count && error == 0; j++) {
            error = react(member, response.topics[i].partitions[j].error_code, failure);
        }
    }
    return error;
}

/* ---- Joining ---- */

static int fetch_offsets(struct group_member *member, const struct assigned_partition *list, int32_t count,
                         struct failure *failure) {
    struct offset_fetch_request request;
    struct offset_fetch_response response;
    struct consumer *consumer = member->consumer;
    offset_fetch_request_init(&request);
    request.group_id = str_from(member->settings.group_id);
    request.topics = ARENA_ARRAY(&member->arena, struct offset_fetch_request_offset_fetch_request_topic, count);
    request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        offset_fetch_request_offset_fetch_request_topic_init(&request.topics[i]);
        request.topics[i].name = list[i].topic;
        request.topics[i].partition_indexes = (int32_t *)(uintptr_t)&list[i].partition;
        request.topics[i].partition_indexes_count = 1;
    }
    if (count == 0) {
        consumer_assign(consumer, NULL, 0, 0);
        return 0;
    }
    int error = call_offset_fetch(&member->coordinator, &request, call_deadline(member), &member->arena, &response);
    if (error != 0 || response.error_code != KAFKA_NONE) {
        member->is_joined = false;
        return error != 0 ? lost(member, error) : react(member, response.error_code, failure);
    }
    consumer_assign(consumer, NULL, 0, 0);
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t j = 0; j < response.topics[i].partitions_count; j++) {
            const struct offset_fetch_response_offset_fetch_response_partition *part =
                &response.topics[i].partitions[j];
            if (part->error_code != KAFKA_NONE) {
                member->is_joined = false; /* else the partitions behind this one would never be read */
                return react(member, part->error_code, failure);
            }
            consumer_assign(consumer, &response.topics[i].name, part->partition_index,
                            part->committed_offset >= 0 ? part->committed_offset : consumer->settings.reset_offset);
        }
    }
    return 0;
}

static int sync(struct group_member *member, const struct join_group_response *joined, int64_t deadline_ms,
                struct failure *failure) {
    struct sync_group_request request;
    struct sync_group_response response;
    sync_group_request_init(&request);
    request.group_id = str_from(member->settings.group_id);
    request.generation_id = member->generation;
    request.member_id = str_from(member->member_id);
    request.group_instance_id = str_from(member->settings.instance_id);
    request.protocol_type = STR_LITERAL(PROTOCOL_TYPE);
    request.protocol_name = STR_LITERAL(PROTOCOL_NAME);
    if (member->leads) {
        struct str *topics;
        struct topic_count *counts;
        int32_t count = group_subscribed_topics(&member->arena, joined, &topics);
        int error = count_partitions(member, topics, count, deadline_ms, &counts);
        if (error != 0) {
            return error;
        }
        group_assign_range(&member->arena, joined, counts, count, &request);
        keep_counts(member, counts, count);
    }
    int error = call_sync_group(&member->coordinator, &request,
                                monotonic_ms() + member->settings.rebalance_timeout_ms + JOIN_EXTRA_MS, &member->arena,
                                &response);
    if (error != 0) {
        return lost(member, error);
    }
    if (response.error_code != KAFKA_NONE) {
        return react(member, response.error_code, failure);
    }
    struct assigned_partition *list;
    int32_t count;
    if (group_decode_assignment(&member->arena, response.assignment, &list, &count) != 0) {
        return failure_set(failure, KAFKA_EXCEPTION, "Error deserializing the assignment of the group's leader");
    }
    member->is_joined = true;
    member->heartbeat_at_ms = monotonic_ms() + member->settings.heartbeat_interval_ms;
    member->commit_at_ms = monotonic_ms() + member->settings.auto_commit_interval_ms;
    return fetch_offsets(member, list, count, failure);
}

static int join(struct group_member *member, int64_t deadline_ms, struct failure *failure) {
    struct join_group_request request;
    struct join_group_response response;
    struct join_group_request_join_group_request_protocol range = {.name = STR_LITERAL(PROTOCOL_NAME)};
    int error = learn_topics(member, deadline_ms);
    if (error != 0) {
        return error;
    }
    range.metadata = group_encode_subscription(&member->arena, member->topics, member->topic_count);
    join_group_request_init(&request);
    request.group_id = str_from(member->settings.group_id);
    request.session_timeout_ms = member->settings.session_timeout_ms;
    request.rebalance_timeout_ms = member->settings.rebalance_timeout_ms;
    request.member_id = str_from(member->member_id);
    request.group_instance_id = str_from(member->settings.instance_id);
    request.protocol_type = STR_LITERAL(PROTOCOL_TYPE);
    request.protocols = &range;
    request.protocols_count = 1;
    int64_t join_deadline_ms = monotonic_ms() + member->settings.rebalance_timeout_ms + JOIN_EXTRA_MS;
    error =
        call_join_group(&member->coordinator, &request, MIN(join_deadline_ms, deadline_ms), &member->arena, &response);
    if (error != 0) {
        return lost(member, error);
    }
    if (response.error_code == KAFKA_NONE || response.error_code == KAFKA_MEMBER_ID_REQUIRED) {
        free(member->member_id);
        member->member_id = xstrndup(response.member_id.data, (size_t)response.member_id.size);
    }
    if (response.error_code == KAFKA_MEMBER_ID_REQUIRED) {
        return 0; /* again, by this name */
    }
    if (response.error_code != KAFKA_NONE) {
        return react(member, response.error_code, failure);
    }
    member->generation = response.generation_id;
    member->leads = str_equal_text(response.leader, member->member_id) && !response.skip_assignment;
    return sync(member, &response, deadline_ms, failure);
}

/* ---- Staying ---- */

static int heartbeat(struct group_member *member, struct failure *failure) {
    struct heartbeat_request request;
    struct heartbeat_response response;
    heartbeat_request_init(&request);
    request.group_id = str_from(member->settings.group_id);
    request.generation_id = member->generation;
    request.member_id = str_from(member->member_id);
    request.group_instance_id = str_from(member->settings.instance_id);
    member->heartbeat_at_ms = monotonic_ms() + member->settings.heartbeat_interval_ms;
    int error = call_heartbeat(&member->coordinator, &request, call_deadline(member), &member->arena, &response);
    return error != 0 ? lost(member, error) : react(member, response.error_code, failure);
}

/* When keep_up() will have something to do again, as long as nothing goes wrong. */
static int64_t due_at(const struct group_member *member) {
    int64_t due_ms = member->heartbeat_at_ms;
    due_ms = member->settings.auto_commit ? MIN(due_ms, member->commit_at_ms) : due_ms;
    return member->leads ? MIN(due_ms, member->look_at_ms) : due_ms;
}

/* What is due before the next fetch. */
static int keep_up(struct group_member *member, int64_t deadline_ms, struct failure *failure) {
    int64_t now_ms = monotonic_ms();
    int error = 0;
    if (member->retry_at_ms > now_ms) {
        error = wait_fd(-1, 0, member->consumer->client->settings.cancel_fd, MIN(member->retry_at_ms, deadline_ms));
        return error == ERR_TIMED_OUT ? 0 : error;
    }
    if (!member->consumer->has_metadata) {
        /* Brings the topic into being, and says what is wrong with it, before anybody waits for an assignment. */
        error = consumer_prepare(member->consumer, deadline_ms, failure);
        if (error != 0) {
            return error;
        }
    }
    if (!broker_connection_is_open(&member->coordinator)) {
        return find_coordinator(member, deadline_ms, failure);
    }
    if (!member->is_joined) {
        return join(member, deadline_ms, failure);
    }
    if (member->heartbeat_at_ms <= now_ms) {
        error = heartbeat(member, failure);
    }
    if (error == 0 && member->settings.auto_commit && (member->commit_at_ms <= now_ms || !member->is_joined) &&
        broker_connection_is_open(&member->coordinator)) {
        error = commit(member, failure); /* also before a rebalance takes the partitions away */
    }
    if (error == 0 && member->leads && member->is_joined && member->look_at_ms <= now_ms) {
        error = look_for_changes(member, deadline_ms);
    }
    return error;
}

int group_poll(struct group_member *member, int64_t deadline_ms, struct failure *failure) {
    for (;;) {
        arena_reset(&member->arena, SIZE_MAX);
        int error = keep_up(member, deadline_ms, failure);
        if (error == ERR_TIMED_OUT) {
            return 0;
        }
        if (error != 0) {
            return error;
        }
        if (member->is_joined && broker_connection_is_open(&member->coordinator)) {
            return consumer_poll(member->consumer, MIN(due_at(member), deadline_ms), failure);
        }
        if (monotonic_ms() >= deadline_ms) {
            return 0;
        }
    }
}

/* ---- Leaving ---- */

static void leave(struct group_member *member) {
    struct leave_group_request request;
    struct leave_group_response response;
    struct leave_group_request_member_identity identity;
    leave_group_request_init(&request);
    leave_group_request_member_identity_init(&identity);
    identity.member_id = str_from(member->member_id);
    identity.reason = STR_LITERAL("the consumer is being closed");
    request.group_id = str_from(member->settings.group_id);
    request.members = &identity;
    request.members_count = 1;
    call_leave_group(&member->coordinator, &request, monotonic_ms() + CLOSE_TIMEOUT_MS, &member->arena, &response);
}

void group_member_close(struct group_member *member) {
    struct failure ignored = {0};
    /* The interrupt that ended the reading must not end this too. */
    member->coordinator.cancel_fd = -1;
    arena_reset(&member->arena, SIZE_MAX);
    if (member->is_joined && member->settings.auto_commit && broker_connection_is_open(&member->coordinator)) {
        commit(member, &ignored);
    }
    if (member->member_id[0] != '\0' && member->settings.instance_id == NULL &&
        broker_connection_is_open(&member->coordinator)) {
        leave(member);
    }
    failure_clear(&ignored);
    broker_connection_close(&member->coordinator);
    arena_deinit(&member->arena);
    arena_deinit(&member->topics_arena);
    free(member->member_id);
}
