/* What the group coordinator costs: a heartbeat, ten thousand groups, the loading of a million offsets. Requests go
 * from frame to answer as in a broker, over a real log in a temporary directory; there is no network. Asserts
 * nothing about time. */
#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "generated/protocol/heartbeat.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/sync_group.h"
#include "tests/unit/dispatch_fixture.h"

#define GROUPS 10000
#define HEARTBEATS 200000
#define COMMIT_GROUPS 2000
#define COMMIT_PARTITIONS 500

static int32_t alone[] = {1};
static int32_t trio[] = {1, 2, 3};

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct str name_of(const char *what, int i) {
    static char text[64];
    snprintf(text, sizeof text, "%s-%d", what, i);
    return str_from(text);
}

/* A stable group of one static member; the member's id, in the arena. */
static struct str form(struct str group) {
    struct join_group_request join;
    struct join_group_request_join_group_request_protocol range = {STR_LITERAL("range"), {(const uint8_t *)"m", 1}};
    struct join_group_response joined;
    struct sync_group_request sync;
    struct reply reply;
    join_group_request_init(&join);
    join.group_id = group;
    join.session_timeout_ms = join.rebalance_timeout_ms = 1800000;
    join.member_id = STR_LITERAL("");
    join.group_instance_id = STR_LITERAL("i");
    join.protocol_type = STR_LITERAL("consumer");
    join.protocols = &range;
    join.protocols_count = 1;
    SEND(join_group, API_JOIN_GROUP, 9, &reply, &join);
    memory_run(fx.world);
    DECODE(join_group, API_JOIN_GROUP, 9, &reply, &joined);
    struct str id = arena_str(&fx.arena, joined.member_id);
    reply_free(&reply);
    sync_group_request_init(&sync);
    sync.group_id = group;
    sync.generation_id = 1;
    sync.member_id = id;
    sync.protocol_type = STR_LITERAL("consumer");
    sync.protocol_name = STR_LITERAL("range");
    SEND(sync_group, API_SYNC_GROUP, 5, &reply, &sync);
    memory_run(fx.world);
    ck_assert(reply.is_answered);
    reply_free(&reply);
    return id;
}

static void beat(struct str group, struct str member) {
    struct heartbeat_request request;
    struct reply reply;
    heartbeat_request_init(&request);
    request.group_id = group;
    request.generation_id = 1;
    request.member_id = member;
    struct heartbeat_response response;
    SEND(heartbeat, API_HEARTBEAT, 4, &reply, &request);
    DECODE(heartbeat, API_HEARTBEAT, 4, &reply, &response);
    ck_assert_int_eq(response.error_code, 0);
    reply_free(&reply);
}

static void commit(struct str group) {
    static struct offset_commit_request_offset_commit_request_partition parts[COMMIT_PARTITIONS];
    struct offset_commit_request request;
    struct offset_commit_request_offset_commit_request_topic topic;
    offset_commit_request_init(&request);
    offset_commit_request_offset_commit_request_topic_init(&topic);
    for (int i = 0; i < COMMIT_PARTITIONS; i++) {
        offset_commit_request_offset_commit_request_partition_init(&parts[i]);
        parts[i].partition_index = i;
        parts[i].committed_metadata = STR_LITERAL("");
    }
    topic.name = STR_LITERAL("t");
    topic.partitions = parts;
    topic.partitions_count = COMMIT_PARTITIONS;
    request.group_id = group;
    request.topics = &topic;
    request.topics_count = 1;
    struct reply reply;
    struct offset_commit_response response;
    SEND(offset_commit, API_OFFSET_COMMIT, 9, &reply, &request);
    memory_run(fx.world);
    DECODE(offset_commit, API_OFFSET_COMMIT, 9, &reply, &response);
    for (int i = 0; i < COMMIT_PARTITIONS; i++) {
        ck_assert_int_eq(response.topics[0].partitions[i].error_code, 0);
    }
    reply_free(&reply);
}

static void heartbeats(struct str member) {
    double before = cpu_seconds();
    for (int i = 0; i < HEARTBEATS; i++) {
        beat(STR_LITERAL("g"), member);
    }
    printf("heartbeat: %.2f us, frame to answer (<= 20)\n", (cpu_seconds() - before) / HEARTBEATS * 1e6);
}

static void many_groups(void) {
    size_t bytes_before = mallinfo2().uordblks;
    int32_t groups_before = group_runtime_group_count(fx.groups);
    double before = cpu_seconds();
    for (int i = 0; i < GROUPS; i++) {
        form(name_of("group", i));
    }
    printf("%d groups of one member: %.1f us each to form, %.1f MB of memory (< 100)\n", GROUPS,
           (cpu_seconds() - before) / GROUPS * 1e6, (double)(mallinfo2().uordblks - bytes_before) / 1e6);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), groups_before + GROUPS);
    before = cpu_seconds();
    memory_run_for(fx.world, 60000);
    printf("%d idle groups: %.3f s of CPU a minute (< 0.6)\n", GROUPS, cpu_seconds() - before);
}

static void load(void) {
    for (int i = 0; i < COMMIT_GROUPS; i++) {
        commit(name_of("commits", i % 200));
    }
    struct partition_runtime *partition;
    ck_assert_int_eq(replica_manager_partition(fx.replicas, STR_LITERAL(GROUP_TOPIC), 0, &partition), 0);
    int64_t records = log_end_offset(partition_runtime_log(partition));
    int32_t groups = group_runtime_group_count(fx.groups);
    group_runtime_on_leadership(fx.groups, GROUP_TOPIC, 0, false, 1);
    memory_run(fx.world);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 0);
    double before = cpu_seconds();
    group_runtime_on_leadership(fx.groups, GROUP_TOPIC, 0, true, 1);
    memory_run(fx.world);
    printf("loading %lld records: %.2f s, reading included (< 1)\n", (long long)records, cpu_seconds() - before);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), groups);
}

START_TEST(costs_are_told) {
    fixture_start();
    become_leader(GROUP_TOPIC, alone, 1, 1);
    become_leader("t", trio, 3, 1);
    for (int32_t i = 1; i < COMMIT_PARTITIONS; i++) {
        image_set_partition(fx.image, "t", TOPIC_ID, &(struct image_partition){.partition = i, .leader = 1});
    }
    memory_run(fx.world);
    heartbeats(form(STR_LITERAL("g")));
    many_groups();
    load();
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {TEST(costs_are_told)};
    return run_tests("groups", tests, ARRAY_SIZE(tests));
}
