/* The tools' client before brokers that answer as they are told: what one of them says wrongly, and what it does not do
 * any more, must not stop a tool for ever. */
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/api_versions.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/find_coordinator.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/leave_group.h"
#include "generated/protocol/list_partition_reassignments.h"
#include "generated/protocol/metadata.h"
#include "generated/protocol/offset_fetch.h"
#include "generated/protocol/sync_group.h"
#include "tests/lib/runner.h"
#include "tools/client/admin.h"
#include "tools/client/consumer.h"
#include "tools/client/group.h"

#define BROKERS 3
#define PARTITIONS 2
#define CONNECTIONS_MAX 8
#define FRAME_MAX 4096

/* Set before the brokers start; the counters are read after they have ended. */
struct cluster {
    int32_t controller;
    int32_t leader;                    /* of both partitions */
    int32_t coordinator;               /* of the group */
    int32_t refusals_left;             /* of committed offsets of partition 0 */
    int32_t named_controller[BROKERS]; /* by each broker */
    int32_t named_leader[BROKERS];
    int32_t ports[BROKERS];
    int listeners[BROKERS];
    pthread_t threads[BROKERS];
    int stop[2];
    int32_t fetches[BROKERS]; /* asked of each; atomic */
    int32_t metadata[BROKERS];
};

struct broker {
    struct cluster *cluster;
    int32_t id;
};

static void encode_api_versions(int16_t version, struct encoder *e) {
    struct api_versions_response response;
    static const struct {
        int16_t key, min, max;
    } served[] = {
        {API_FETCH, 4, 10},           {API_METADATA, 1, 7},     {API_OFFSET_FETCH, 5, 5},
        {API_FIND_COORDINATOR, 0, 2}, {API_JOIN_GROUP, 5, 5},   {API_LEAVE_GROUP, 3, 3},
        {API_SYNC_GROUP, 3, 3},       {API_API_VERSIONS, 0, 3}, {API_LIST_PARTITION_REASSIGNMENTS, 0, 0},
    };
    struct api_versions_response_api_version keys[ARRAY_SIZE(served)];
    api_versions_response_init(&response);
    for (size_t i = 0; i < ARRAY_SIZE(served); i++) {
        api_versions_response_api_version_init(&keys[i]);
        keys[i].api_key = served[i].key;
        keys[i].min_version = served[i].min;
        keys[i].max_version = served[i].max;
    }
    response.api_keys = keys;
    response.api_keys_count = ARRAY_SIZE(served);
    api_versions_response_encode(&response, version, e);
}

static void encode_metadata(struct broker *broker, int16_t version, struct encoder *e) {
    struct cluster *cluster = broker->cluster;
    struct metadata_response response;
    struct metadata_response_metadata_response_broker brokers[BROKERS];
    struct metadata_response_metadata_response_topic topic;
    struct metadata_response_metadata_response_partition partitions[PARTITIONS];
    metadata_response_init(&response);
    for (int32_t i = 0; i < BROKERS; i++) {
        metadata_response_metadata_response_broker_init(&brokers[i]);
        brokers[i].node_id = i;
        brokers[i].host = STR_LITERAL("127.0.0.1");
        brokers[i].port = cluster->ports[i];
        brokers[i].rack = STR_NULL;
    }
    metadata_response_metadata_response_topic_init(&topic);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        metadata_response_metadata_response_partition_init(&partitions[i]);
        partitions[i].partition_index = i;
        partitions[i].leader_id = cluster->named_leader[broker->id];
    }
    topic.name = STR_LITERAL("t");
    topic.partitions = partitions;
    topic.partitions_count = PARTITIONS;
    response.brokers = brokers;
    response.brokers_count = BROKERS;
    response.topics = &topic;
    response.topics_count = 1;
    response.controller_id = cluster->named_controller[broker->id];
    metadata_response_encode(&response, version, e);
}

static void encode_fetch(struct broker *broker, int16_t version, struct encoder *e) {
    struct fetch_response response;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data partition;
    fetch_response_init(&response);
    fetch_response_fetchable_topic_response_init(&topic);
    fetch_response_partition_data_init(&partition);
    partition.error_code = broker->id == broker->cluster->leader ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
    topic.topic = STR_LITERAL("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    response.responses = &topic;
    response.responses_count = 1;
    fetch_response_encode(&response, version, e);
}

static void encode_coordinator(struct broker *broker, int16_t version, struct encoder *e) {
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    response.node_id = broker->cluster->coordinator;
    response.host = STR_LITERAL("127.0.0.1");
    response.port = broker->cluster->ports[broker->cluster->coordinator];
    find_coordinator_response_encode(&response, version, e);
}

static void encode_join(int16_t version, struct encoder *e) {
    struct join_group_response response;
    join_group_response_init(&response);
    response.generation_id = 1;
    response.protocol_name = STR_LITERAL("range");
    response.leader = STR_LITERAL("somebody else");
    response.member_id = STR_LITERAL("member");
    join_group_response_encode(&response, version, e);
}

/* Both partitions, as the leader of a group writes it. */
static void encode_sync(int16_t version, struct encoder *e) {
    uint8_t assignment[64];
    struct writer w = writer_of(assignment, sizeof assignment);
    writer_i16(&w, 0); /* version */
    writer_i32(&w, 1); /* topic */
    writer_i16(&w, 1);
    writer_i8(&w, 't');
    writer_i32(&w, PARTITIONS);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        writer_i32(&w, i);
    }
    writer_i32(&w, -1); /* no user data */
    struct sync_group_response response;
    sync_group_response_init(&response);
    response.assignment = (struct slice){assignment, (int32_t)writer_size(&w)};
    sync_group_response_encode(&response, version, e);
}

static void encode_offsets(struct broker *broker, int16_t version, struct encoder *e) {
    struct offset_fetch_response response;
    struct offset_fetch_response_offset_fetch_response_topic topic;
    struct offset_fetch_response_offset_fetch_response_partition partitions[PARTITIONS];
    offset_fetch_response_init(&response);
    offset_fetch_response_offset_fetch_response_topic_init(&topic);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        offset_fetch_response_offset_fetch_response_partition_init(&partitions[i]);
        partitions[i].partition_index = i;
        partitions[i].committed_offset = 5;
        partitions[i].metadata = STR_LITERAL("");
    }
    if (broker->cluster->refusals_left > 0) {
        broker->cluster->refusals_left--;
        partitions[0].error_code = KAFKA_UNSTABLE_OFFSET_COMMIT;
    }
    topic.name = STR_LITERAL("t");
    topic.partitions = partitions;
    topic.partitions_count = PARTITIONS;
    response.topics = &topic;
    response.topics_count = 1;
    offset_fetch_response_encode(&response, version, e);
}

static void encode_leave(int16_t version, struct encoder *e) {
    struct leave_group_response response;
    leave_group_response_init(&response);
    leave_group_response_encode(&response, version, e);
}

static void encode_reassignments(struct broker *broker, int16_t version, struct encoder *e) {
    struct list_partition_reassignments_response response;
    list_partition_reassignments_response_init(&response);
    response.error_code = broker->id == broker->cluster->controller ? KAFKA_NONE : KAFKA_NOT_CONTROLLER;
    encode_i8(e, 0); /* no tags in the header */
    list_partition_reassignments_response_encode(&response, version, e);
}

static void answer(struct broker *broker, int connection, const uint8_t *frame) {
    uint8_t room[FRAME_MAX];
    struct reader r = reader_of(frame, 8);
    int16_t key = reader_i16(&r);
    int16_t version = reader_i16(&r);
    struct encoder e = encoder_of(room, sizeof room);
    encode_i32(&e, 0); /* the size, below */
    encode_i32(&e, reader_i32(&r));
    switch (key) {
    case API_API_VERSIONS: encode_api_versions(version, &e); break;
    case API_METADATA:
        __atomic_add_fetch(&broker->cluster->metadata[broker->id], 1, __ATOMIC_RELAXED);
        encode_metadata(broker, version, &e);
        break;
    case API_FETCH:
        __atomic_add_fetch(&broker->cluster->fetches[broker->id], 1, __ATOMIC_RELAXED);
        encode_fetch(broker, version, &e);
        break;
    case API_FIND_COORDINATOR: encode_coordinator(broker, version, &e); break;
    case API_JOIN_GROUP: encode_join(version, &e); break;
    case API_SYNC_GROUP: encode_sync(version, &e); break;
    case API_OFFSET_FETCH: encode_offsets(broker, version, &e); break;
    case API_LEAVE_GROUP: encode_leave(version, &e); break;
    default:
        CHECK(key == API_LIST_PARTITION_REASSIGNMENTS);
        encode_reassignments(broker, version, &e);
        break;
    }
    CHECK(!e.w.failed);
    size_t size = writer_size(&e.w);
    struct writer w = writer_of(room, 4);
    writer_i32(&w, (int32_t)size - 4);
    CHECK(write(connection, room, size) == (ssize_t)size);
}

/* A client's frames come one at a time, each in one piece. False when it has gone. */
static bool serve(struct broker *broker, int connection) {
    uint8_t frame[FRAME_MAX];
    ssize_t size = recv(connection, frame, sizeof frame, 0);
    if (size <= 0) {
        close(connection);
        return false;
    }
    CHECK(size > 12);
    answer(broker, connection, frame + 4);
    return true;
}

static void *run_broker(void *argument) {
    struct broker *broker = argument;
    struct pollfd fds[CONNECTIONS_MAX] = {
        {.fd = broker->cluster->stop[0], .events = POLLIN},
        {.fd = broker->cluster->listeners[broker->id], .events = POLLIN},
    };
    nfds_t count = 2;
    while (poll(fds, count, -1) > 0 && fds[0].revents == 0) {
        for (nfds_t i = count - 1; i > 1; i--) {
            if (fds[i].revents != 0 && !serve(broker, fds[i].fd)) {
                fds[i] = fds[--count];
            }
        }
        if (fds[1].revents != 0) {
            CHECK(count < CONNECTIONS_MAX);
            fds[count++] = (struct pollfd){.fd = accept(fds[1].fd, NULL, NULL), .events = POLLIN};
        }
    }
    for (nfds_t i = 1; i < count; i++) {
        close(fds[i].fd);
    }
    free(broker);
    return NULL;
}

static void cluster_start(struct cluster *cluster, char *ret_bootstrap, size_t size) {
    size_t length = 0;
    CHECK(pipe(cluster->stop) == 0);
    for (int32_t i = 0; i < BROKERS; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t address_size = sizeof address;
        cluster->listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(bind(cluster->listeners[i], (struct sockaddr *)&address, sizeof address) == 0);
        CHECK(listen(cluster->listeners[i], CONNECTIONS_MAX) == 0);
        CHECK(getsockname(cluster->listeners[i], (struct sockaddr *)&address, &address_size) == 0);
        cluster->ports[i] = ntohs(address.sin_port);
        length += (size_t)snprintf(ret_bootstrap + length, size - length, "%s127.0.0.1:%d", i > 0 ? "," : "",
                                   cluster->ports[i]);
    }
    for (int32_t i = 0; i < BROKERS; i++) {
        struct broker *broker = xmalloc(sizeof *broker);
        *broker = (struct broker){cluster, i};
        CHECK(pthread_create(&cluster->threads[i], NULL, run_broker, broker) == 0);
    }
}

static void cluster_stop(struct cluster *cluster) {
    close(cluster->stop[1]);
    for (int32_t i = 0; i < BROKERS; i++) {
        pthread_join(cluster->threads[i], NULL);
    }
    close(cluster->stop[0]);
}

static void open_client(struct client *client, const char *bootstrap, int32_t api_timeout_ms) {
    struct failure failure = {0};
    struct client_settings settings = {
        .bootstrap = bootstrap,
        .client_id = "test",
        .log_name = "test",
        .request_timeout_ms = 30000,
        .api_timeout_ms = api_timeout_ms,
        .cancel_fd = -1,
    };
    ck_assert_int_eq(client_init(client, &settings, &failure), 0);
}

START_TEST(a_broker_that_names_a_wrong_controller_is_not_asked_for_ever) {
    struct cluster cluster = {.controller = 2, .named_controller = {0, 0, 2}};
    char bootstrap[128];
    cluster_start(&cluster, bootstrap, sizeof bootstrap);
    struct client client;
    struct arena arena;
    struct failure failure = {0};
    open_client(&client, bootstrap, 10000);
    arena_init(&arena, SIZE_MAX);
    struct list_partition_reassignments_request request;
    struct list_partition_reassignments_response response;
    list_partition_reassignments_request_init(&request);
    ck_assert_int_eq(admin_list_reassignments(&client, &request, &arena, &response, &failure), 0);
    ck_assert_int_eq(response.error_code, KAFKA_NONE);
    ck_assert_int_eq(client.controller_id, 2);
    arena_deinit(&arena);
    client_deinit(&client);
    cluster_stop(&cluster);
    ck_assert_int_eq(cluster.metadata[2], 1);
}
END_TEST

static int on_record(void *context, const struct consumer_record *record) {
    (void)context, (void)record;
    ck_abort_msg("there is none");
}

static const struct consumer_settings reading = {
    .topic = "t",
    .partition = 0,
    .start_offset = 0,
    .reset_offset = CONSUMER_OFFSET_EARLIEST,
    .rack = "",
    .max_wait_ms = 500,
    .min_bytes = 1,
    .max_bytes = 1 << 20,
    .partition_max_bytes = 1 << 20,
    .metadata_max_age_ms = 300000,
};

START_TEST(a_consumer_follows_a_leader_that_has_moved_while_the_old_one_refuses_at_once) {
    /* One of them has heard; the others still say what was true when the consumer began. */
    struct cluster cluster = {.leader = 2, .named_leader = {0, 0, 2}};
    char bootstrap[128];
    cluster_start(&cluster, bootstrap, sizeof bootstrap);
    struct client client;
    struct consumer consumer;
    struct failure failure = {0};
    open_client(&client, bootstrap, 30000);
    consumer_init(&consumer, &client, &reading, on_record, NULL);
    int64_t deadline_ms = monotonic_ms() + 10000;
    while (__atomic_load_n(&cluster.fetches[2], __ATOMIC_RELAXED) == 0 && monotonic_ms() < deadline_ms) {
        ck_assert_int_eq(consumer_poll(&consumer, monotonic_ms() + 200, &failure), 0);
    }
    consumer_deinit(&consumer);
    client_deinit(&client);
    cluster_stop(&cluster);
    ck_assert_int_gt(cluster.fetches[2], 0);
    /* The old one was asked again only after news. */
    ck_assert_int_le(cluster.fetches[0], cluster.metadata[0] + cluster.metadata[1] + cluster.metadata[2]);
}
END_TEST

START_TEST(a_member_that_was_refused_a_committed_offset_gets_all_its_partitions_in_the_end) {
    struct cluster cluster = {.refusals_left = 2};
    char bootstrap[128];
    cluster_start(&cluster, bootstrap, sizeof bootstrap);
    struct client client;
    struct consumer consumer;
    struct group_member member;
    struct failure failure = {0};
    struct consumer_settings settings = reading;
    settings.partition = -1;
    settings.by_assignment = true;
    struct group_settings group = {
        .group_id = "g", .session_timeout_ms = 45000, .heartbeat_interval_ms = 30000, .rebalance_timeout_ms = 60000};
    open_client(&client, bootstrap, 30000);
    consumer_init(&consumer, &client, &settings, on_record, NULL);
    group_member_init(&member, &consumer, &group);
    int64_t deadline_ms = monotonic_ms() + 10000;
    while (consumer.partition_count < PARTITIONS && monotonic_ms() < deadline_ms) {
        ck_assert_int_eq(group_poll(&member, monotonic_ms() + 200, &failure), 0);
    }
    ck_assert_int_eq(consumer.partition_count, PARTITIONS);
    ck_assert_int_eq(consumer.partitions[1]->offset, 5);
    group_member_close(&member);
    consumer_deinit(&consumer);
    client_deinit(&client);
    cluster_stop(&cluster);
    ck_assert_int_eq(cluster.refusals_left, 0);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_broker_that_names_a_wrong_controller_is_not_asked_for_ever),
        TEST(a_consumer_follows_a_leader_that_has_moved_while_the_old_one_refuses_at_once),
        TEST(a_member_that_was_refused_a_committed_offset_gets_all_its_partitions_in_the_end),
    };
    return run_tests("the tools' client", tests, ARRAY_SIZE(tests));
}
