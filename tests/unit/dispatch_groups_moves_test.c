/* What becomes of groups when their partition comes and goes: loading, losing it, replication, a lost session. */
#include <stdio.h>

#include "broker/group/group_runtime_internal.h"
#include "broker/log/log_internal.h"
#include "broker/protocol/message_set.h"
#include "tests/unit/dispatch_groups_fixture.h"

/* ---- The partition comes and goes ---- */

START_TEST(rule_34_a_new_coordinator_knows_what_the_log_holds) {
    coordinate();
    int16_t error;
    struct str id = one_member(G);
    commit(G, id, 1, T, 42, STR_LITERAL("note"));
    commit(STR_LITERAL("gone"), NOBODY, -1, T, 7, NOBODY);
    delete_group(STR_LITERAL("gone"));
    lose_partition(2);
    ck_assert_int_eq(heartbeat(G, id, 1), KAFKA_NOT_COORDINATOR); /* at once, before anything is tidied up */
    memory_run(fx.world);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 0);
    become_leader("__consumer_offsets", alone, 1, 3);
    memory_run(fx.world);
    ck_assert_int_eq(heartbeat(G, id, 1), KAFKA_NONE);
    ck_assert_int_eq(fetch(G, false, &error), 42);
    ck_assert_int_eq(sync_alone(G, id, 1).assignment.size, 3);
    ck_assert(str_equal_text(describe(STR_LITERAL("gone")).group_state, "Dead"));
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 1);
    end();
}
END_TEST

START_TEST(thousands_of_records_are_loaded_piece_by_piece) {
    coordinate();
    int16_t error;
    char name[32];
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "group-%d", i % 1200);
        ck_assert_int_eq(commit(str_from(name), NOBODY, -1, T, i, STR_LITERAL("some metadata, so that it adds up")),
                         KAFKA_NONE);
    }
    lose_partition(2);
    memory_run(fx.world);
    become_leader("__consumer_offsets", alone, 1, 3);
    memory_run(fx.world);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 1200);
    ck_assert_int_eq(fetch(STR_LITERAL("group-399"), false, &error), 3999);
    ck_assert_int_eq(fetch(STR_LITERAL("group-1199"), false, &error), 3599);
    end();
}
END_TEST

/* What the log holds becomes what a cluster of before Kafka 0.11 would have written. */
static void age_log(int8_t magic) {
    struct log *log = log_manager_find(fx.logs, "__consumer_offsets", 0);
    struct record_workspace *workspace = record_workspace_create();
    struct log_read_info read;
    struct log_append_info info;
    struct records aged;
    uint8_t bytes[4096];
    ck_assert_int_eq(log_read(log, 0, sizeof bytes, log_end_offset(log), true, &read), 0);
    ck_assert_int_eq(disk_read(read.records.file, bytes, (size_t)read.records.size, read.records.position),
                     read.records.size);
    disk_file_unref(read.records.file);
    struct slice batches = {bytes, (int32_t)read.records.size};
    ck_assert_int_eq(record_batch_down_convert(batches, magic, 0, &fx.arena, workspace, &aged), 0);
    record_workspace_destroy(workspace);
    int64_t end = log_end_offset(log);
    ck_assert_int_eq(log_truncate_fully_and_start_at(log, 0), 0);
    struct slice messages = {aged.data, aged.size};
    ck_assert_int_eq(log_append_as_follower(log, messages, &info), 0);
    ck_assert_int_eq(log_end_offset(log), end);
}

static void load_aged(int8_t magic, int8_t codec) {
    coordinate();
    int16_t error;
    fx.groups->config.compression_codec = codec;
    commit(G, NOBODY, -1, T, 41, STR_LITERAL("note"));
    commit(G, NOBODY, -1, T, 42, STR_LITERAL("note"));
    commit(STR_LITERAL("other"), NOBODY, -1, T, 7, NOBODY);
    lose_partition(2);
    memory_run(fx.world);
    age_log(magic);
    become_leader("__consumer_offsets", alone, 1, 3);
    memory_run(fx.world);
    ck_assert_int_eq(fetch(G, false, &error), 42);
    ck_assert_int_eq(fetch(STR_LITERAL("other"), false, &error), 7);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 2);
    end();
}

START_TEST(offsets_in_messages_of_before_record_batches_are_loaded) {
    load_aged(1, CODEC_NONE);
    load_aged(1, CODEC_GZIP);
    load_aged(0, CODEC_NONE);
    load_aged(0, CODEC_GZIP);
}
END_TEST

START_TEST(while_it_loads_nothing_is_served_but_heartbeats) {
    fixture_start();
    become_leader("t", trio, 3, 1);
    group_runtime_on_leadership(fx.groups, "__consumer_offsets", 0, false, 0); /* of a partition we do not know */
    become_leader("__consumer_offsets", trio, 3, 1);
    lose_partition(2);
    memory_run(fx.world);
    int16_t error;
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert_int_eq(error, KAFKA_NOT_COORDINATOR);
    end();
}
END_TEST

START_TEST(m27_what_is_loaded_is_served_once_it_is_replicated) {
    fixture_start();
    become_leader("__consumer_offsets", trio, 3, 1);
    become_leader("t", trio, 3, 1);
    memory_run(fx.world);
    int16_t error;
    struct reply waiting;
    send_commit(&waiting, G, NOBODY, -1, T, 42, NOBODY);
    lose_partition(2);
    memory_run(fx.world);
    reply_free(&waiting);
    become_leader("__consumer_offsets", trio, 3, 3);
    memory_run(fx.world);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert_int_eq(error, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(heartbeat(G, STR_LITERAL("m"), 1), KAFKA_NONE);
    ck_assert_int_eq(commit(G, NOBODY, -1, T, 43, NOBODY), KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    become_leader("__consumer_offsets", alone, 1, 4); /* the others have left the in-sync set */
    memory_run(fx.world);
    ck_assert_int_eq(fetch(G, false, &error), 42);
    end();
}
END_TEST

START_TEST(a_join_that_waits_is_sent_elsewhere_when_the_partition_is_lost) {
    coordinate();
    one_member(G);
    struct join_group_response response;
    struct reply waiting;
    send_join_as(&waiting, G, NOBODY, STR_NULL, 2, 10000);
    ck_assert(!waiting.is_answered);
    lose_partition(2);
    memory_run(fx.world);
    DECODE(join_group, API_JOIN_GROUP, 2, &waiting, &response);
    ck_assert_int_eq(response.error_code, KAFKA_NOT_COORDINATOR);
    reply_free(&waiting);
    end();
}
END_TEST

START_TEST(a_commit_is_answered_when_it_is_replicated_and_unstable_until_then) {
    fixture_start();
    become_leader("t", alone, 1, 1);
    become_leader("__consumer_offsets", trio, 3, 1);
    memory_run(fx.world);
    int16_t error;
    struct reply waiting;
    send_commit(&waiting, G, NOBODY, -1, T, 42, NOBODY);
    memory_run(fx.world);
    ck_assert(!waiting.is_answered);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert_int_eq(error, KAFKA_NONE);
    fetch(G, true, &error);
    ck_assert_int_eq(error, KAFKA_UNSTABLE_OFFSET_COMMIT);
    memory_run_for(fx.world, 5000); /* offsets.commit.timeout.ms */
    ck_assert_int_eq(commit_result(&waiting), KAFKA_REQUEST_TIMED_OUT);
    reply_free(&waiting);
    end();
}
END_TEST

START_TEST(a_leader_that_was_replaced_answers_its_commits_with_not_coordinator) {
    fixture_start();
    become_leader("t", alone, 1, 1);
    become_leader("__consumer_offsets", trio, 3, 1);
    memory_run(fx.world);
    struct reply waiting;
    send_commit(&waiting, G, NOBODY, -1, T, 42, NOBODY);
    memory_run(fx.world);
    lose_partition(2);
    memory_run(fx.world);
    ck_assert_int_eq(commit_result(&waiting), KAFKA_NOT_COORDINATOR);
    reply_free(&waiting);
    end();
}
END_TEST

START_TEST(without_its_session_a_coordinator_serves_nothing) {
    coordinate();
    int16_t error;
    commit(G, NOBODY, -1, T, 42, NOBODY);
    group_runtime_set_fenced(fx.groups, true);
    fetch(G, false, &error);
    ck_assert_int_eq(error, KAFKA_NOT_COORDINATOR);
    ck_assert_int_eq(commit(G, NOBODY, -1, T, 43, NOBODY), KAFKA_NOT_COORDINATOR);
    group_runtime_set_fenced(fx.groups, false);
    ck_assert_int_eq(fetch(G, false, &error), 42);
    end();
}
END_TEST

static int times_asked;

static void note_question(void *context) {
    (void)context;
    times_asked++;
}

/* Partitions that never had a leader are not in the image: a group would move when they come. */
START_TEST(a_group_keeps_to_the_partitions_that_are_registered_whatever_the_image_knows_of_them) {
    coordinate();
    struct group_runtime_config config = fixture_groups();
    config.ask_partition_count = note_question;
    times_asked = 0;
    struct group_runtime *groups = group_runtime_create(&config, fx.clock, fx.replicas, fx.image);
    struct group_shard *shard;
    const struct uuid id = image_topic(fx.image, STR_LITERAL(GROUP_TOPIC))->id;
    const struct uuid other = {{7}};
    ck_assert_int_eq(group_runtime_partition(groups, G), -1);
    ck_assert_int_eq(group_runtime_shard(groups, G, &shard), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(times_asked, 1);
    group_runtime_set_partition_count(groups, id, 0);
    ck_assert_int_eq(group_runtime_partition(groups, G), -1);
    ck_assert_int_eq(times_asked, 2);
    group_runtime_set_partition_count(groups, id, 50);
    ck_assert_int_eq(group_runtime_partition(groups, G), group_partition_of(G, 50));
    ck_assert_int_eq(times_asked, 2);
    group_runtime_set_partition_count(groups, other, 50);
    ck_assert_int_eq(group_runtime_partition(groups, G), uuid_is_zero(id) ? group_partition_of(G, 50) : -1);
    group_runtime_destroy(groups);
    end();
}
END_TEST

/* A new controller names partitions to their leaders, and tells of the topic afterwards. */
START_TEST(a_group_keeps_to_the_partitions_that_are_registered_also_before_the_image_knows_the_topic) {
    coordinate();
    struct image *nothing = image_create();
    fx.groups->image = nothing;
    fx.groups->config.ask_partition_count = note_question;
    times_asked = 0;
    int16_t error;
    fetch(G, false, &error);
    ck_assert_int_eq(error, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(times_asked, 1);
    group_runtime_set_partition_count(fx.groups, TOPIC_ID, 1);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert_int_eq(error, KAFKA_NONE);
    fx.groups->image = fx.image;
    image_destroy(nothing);
    end();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(rule_34_a_new_coordinator_knows_what_the_log_holds),
        TEST(thousands_of_records_are_loaded_piece_by_piece),
        TEST(offsets_in_messages_of_before_record_batches_are_loaded),
        TEST(while_it_loads_nothing_is_served_but_heartbeats),
        TEST(m27_what_is_loaded_is_served_once_it_is_replicated),
        TEST(a_join_that_waits_is_sent_elsewhere_when_the_partition_is_lost),
        TEST(a_commit_is_answered_when_it_is_replicated_and_unstable_until_then),
        TEST(a_leader_that_was_replaced_answers_its_commits_with_not_coordinator),
        TEST(without_its_session_a_coordinator_serves_nothing),
        TEST(a_group_keeps_to_the_partitions_that_are_registered_whatever_the_image_knows_of_them),
        TEST(a_group_keeps_to_the_partitions_that_are_registered_also_before_the_image_knows_the_topic),
    };
    return run_tests("dispatch_groups_moves", tests, ARRAY_SIZE(tests));
}
