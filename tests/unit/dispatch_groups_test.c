/* The group APIs from frame to answer, over a real log: membership, offsets, and the answers to bad input of
 * zookeeper-mode.md 7.1. */
#include "tests/unit/dispatch_groups_fixture.h"
#include "tests/unit/dispatch_messages.h"

/* ---- Members and offsets ---- */

START_TEST(a_group_forms_commits_and_finds_what_it_committed) {
    coordinate();
    int16_t error;
    struct str id = one_member(G);
    ck_assert_int_eq(heartbeat(G, id, 1), KAFKA_NONE);
    ck_assert_int_eq(commit(G, id, 1, T, 42, STR_LITERAL("note")), KAFKA_NONE);
    ck_assert_int_eq(fetch(G, true, &error), 42);
    struct describe_groups_response_described_group described = describe(G);
    ck_assert(str_equal_text(described.group_state, "Stable"));
    ck_assert(str_equal_text(described.protocol_data, "range"));
    ck_assert(str_equal_text(described.members[0].client_host, "/127.0.0.1"));
    ck_assert_int_eq(described.members[0].member_assignment.size, 3);
    ck_assert_int_eq(leave(G, id), KAFKA_NONE);
    ck_assert(str_equal_text(describe(G).group_state, "Empty"));
    ck_assert_int_eq(fetch(G, false, &error), 42);
    end();
}
END_TEST

START_TEST(what_clients_write_comes_back_byte_for_byte_nul_bytes_too) {
    coordinate();
    struct str metadata = {"Hello\0world!", 12};
    struct str instance = {"in\0stance", 9};
    struct offset_fetch_response fetched;
    int16_t error;
    struct str id = arena_str(&fx.arena, join_as(G, NOBODY, instance, 9, 10000).member_id);
    ck_assert_int_eq(sync_alone(G, id, 1).error_code, KAFKA_NONE);
    ck_assert(str_equal(describe(G).members[0].group_instance_id, instance));
    ck_assert_int_eq(commit(G, id, 1, T, 42, metadata), KAFKA_NONE);
    for (int32_t epoch = 2; epoch <= 3; epoch++) { /* from memory, and from the log */
        ck_assert_int_eq(fetch(G, true, &error), 42);
        DECODE(offset_fetch, API_OFFSET_FETCH, 9, &last, &fetched);
        ck_assert(str_equal(fetched.groups[0].topics[0].partitions[0].metadata, metadata));
        ck_assert(str_equal(describe(G).members[0].group_instance_id, instance));
        lose_partition(2 * epoch);
        memory_run(fx.world);
        become_leader("__consumer_offsets", alone, 1, 2 * epoch + 1);
        memory_run(fx.world);
    }
    end();
}
END_TEST

START_TEST(a_member_that_stays_silent_is_removed) {
    coordinate();
    struct str id = one_member(G);
    memory_run_for(fx.world, 9999);
    ck_assert_int_eq(heartbeat(G, id, 1), KAFKA_NONE);
    memory_run_for(fx.world, 10000);
    ck_assert_int_eq(heartbeat(G, id, 1), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert(str_equal_text(describe(G).group_state, "Empty"));
    end();
}
END_TEST

START_TEST(a_join_whose_client_went_away_does_not_hold_the_group_up) {
    coordinate();
    struct str id = one_member(G);
    struct reply waiting;
    send_join_as(&waiting, G, NOBODY, STR_NULL, 2, 10000);
    ck_assert(!waiting.is_answered);
    waiting.exchange.is_abandoned = true;
    waiting.exchange.on_abandoned(&waiting.exchange);
    ck_assert(waiting.is_answered); /* nobody reads it */
    reply_free(&waiting);
    ck_assert_int_eq(join_as(G, id, STR_NULL, 9, 10000).generation_id, 2);
    end();
}
END_TEST

START_TEST(deleting_a_group_takes_its_offsets_along) {
    coordinate();
    int16_t error;
    struct str id = one_member(G);
    commit(G, id, 1, T, 42, NOBODY);
    ck_assert_int_eq(delete_group(G), KAFKA_NON_EMPTY_GROUP);
    leave(G, id);
    ck_assert_int_eq(delete_group(G), KAFKA_NONE);
    ck_assert_int_eq(delete_group(G), KAFKA_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert(str_equal_text(describe(G).group_state, "Dead"));
    end();
}
END_TEST

static struct offset_delete_response delete_offset(struct offset_delete_request_offset_delete_request_partition *part) {
    struct offset_delete_request request;
    struct offset_delete_request_offset_delete_request_topic topic;
    struct offset_delete_response response;
    offset_delete_request_init(&request);
    offset_delete_request_offset_delete_request_topic_init(&topic);
    topic.name = T;
    topic.partitions = part;
    topic.partitions_count = 1;
    request.group_id = G;
    request.topics = &topic;
    request.topics_count = 1;
    reply_free(&last);
    SEND(offset_delete, API_OFFSET_DELETE, 0, &last, &request);
    memory_run(fx.world);
    DECODE(offset_delete, API_OFFSET_DELETE, 0, &last, &response);
    return response;
}

START_TEST(an_offset_is_deleted_unless_a_member_may_be_reading) {
    coordinate();
    struct offset_delete_response response;
    struct offset_delete_request_offset_delete_request_partition part = {0};
    int16_t error;
    struct str id = one_member(G); /* its metadata is no subscription: it may read anything */
    commit(G, id, 1, T, 42, NOBODY);
    response = delete_offset(&part);
    ck_assert_int_eq(response.topics[0].partitions[0].error_code, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    leave(G, id);
    part.partition_index = 99; /* of a topic that has fewer */
    response = delete_offset(&part);
    ck_assert_int_eq(response.topics[0].partitions[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    part.partition_index = 0;
    response = delete_offset(&part);
    ck_assert_int_eq(response.error_code, KAFKA_NONE);
    ck_assert_int_eq(response.topics[0].partitions[0].error_code, KAFKA_NONE);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    end();
}
END_TEST

START_TEST(expired_offsets_go_and_so_does_their_group) {
    coordinate();
    int16_t error;
    group_runtime_start(fx.groups);
    ck_assert_int_eq(commit(G, NOBODY, -1, T, 42, NOBODY), KAFKA_NONE);
    memory_run_for(fx.world, 50000);
    ck_assert_int_eq(fetch(G, false, &error), 42);
    memory_run_for(fx.world, 20000);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert(str_equal_text(describe(G).group_state, "Dead"));
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 0);
    end();
}
END_TEST

START_TEST(offsets_of_a_deleted_topic_go) {
    coordinate();
    int16_t error;
    commit(G, NOBODY, -1, T, 42, NOBODY);
    group_runtime_on_partition_deleted(fx.groups, STR_LITERAL("another"), 0);
    group_runtime_on_partition_deleted(fx.groups, T, 0);
    group_runtime_on_partition_deleted(fx.groups, T, 1);
    memory_run(fx.world);
    ck_assert_int_eq(fetch(G, false, &error), -1);
    ck_assert_int_eq(group_runtime_group_count(fx.groups), 0);
    end();
}
END_TEST

static struct list_groups_response list(const struct list_groups_request *request) {
    struct list_groups_response response;
    reply_free(&last);
    SEND(list_groups, API_LIST_GROUPS, 5, &last, request);
    DECODE(list_groups, API_LIST_GROUPS, 5, &last, &response);
    return response;
}

START_TEST(groups_are_listed_by_state_and_type) {
    coordinate();
    struct list_groups_request request;
    struct list_groups_response response;
    struct str state = STR_LITERAL("stable");
    struct str type = STR_LITERAL("consumer");
    one_member(G);
    commit(STR_LITERAL("simple"), NOBODY, -1, T, 1, NOBODY);
    list_groups_request_init(&request);
    response = list(&request);
    ck_assert_int_eq(response.groups_count, 2);
    request.states_filter = &state;
    request.states_filter_count = 1;
    response = list(&request);
    ck_assert_int_eq(response.groups_count, 1);
    ck_assert(str_equal_text(response.groups[0].group_type, "classic"));
    request.types_filter = &type;
    request.types_filter_count = 1;
    response = list(&request);
    ck_assert_int_eq(response.groups_count, 0);
    end();
}
END_TEST

/* ---- Bad input (zookeeper-mode.md 7.1) and rule 33 ---- */

START_TEST(bad_joins_are_answered_as_kafka_answers_them) {
    coordinate();
    ck_assert_int_eq(join_as(NOBODY, NOBODY, STR_NULL, 9, 10000).error_code, KAFKA_INVALID_GROUP_ID);
    ck_assert_int_eq(join_as(G, NOBODY, STR_NULL, 9, 5999).error_code, KAFKA_INVALID_SESSION_TIMEOUT);
    ck_assert_int_eq(join_as(G, STR_LITERAL("x"), STR_NULL, 9, 10000).error_code, KAFKA_UNKNOWN_MEMBER_ID);
    struct join_group_response refused = join_as(G, STR_LITERAL("x"), STR_NULL, 6, 10000);
    ck_assert_int_eq(refused.protocol_name.size, 0); /* "" below version 7, null from there on */
    refused = join_as(G, STR_LITERAL("x"), STR_NULL, 7, 10000);
    ck_assert(str_is_null(refused.protocol_name));
    end();
}
END_TEST

START_TEST(rule_by_version_old_and_static_members_need_no_id_first) {
    coordinate();
    ck_assert_int_eq(join_as(G, NOBODY, STR_NULL, 3, 10000).error_code, KAFKA_NONE);
    struct join_group_response joined = join_as(STR_LITERAL("s"), NOBODY, STR_LITERAL("inst"), 9, 10000);
    ck_assert_int_eq(joined.error_code, KAFKA_NONE);
    ck_assert_int_eq(strncmp(joined.member_id.data, "inst-", 5), 0);
    ck_assert_int_eq(joined.member_id.size, 5 + 36);
    end();
}
END_TEST

START_TEST(a_client_id_of_any_length_makes_a_member_id_that_can_travel) {
    coordinate();
    static char name[32768];
    memset(name, 'n', sizeof name - 1);
    struct join_group_response joined = join_as(G, NOBODY, str_from(name), 9, 10000);
    ck_assert_int_eq(joined.error_code, KAFKA_NONE);
    ck_assert_int_eq(joined.member_id.size, 32767);
    end();
}
END_TEST

START_TEST(clients_cannot_write_what_a_coordinator_will_believe) {
    coordinate();
    struct produce_one one;
    struct produce_response response;
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(1);
    test_batch_encode(&batch, &bytes);
    produce_one_init(&one, STR_LITERAL("__consumer_offsets"), 1, 60000, slice_of_buffer(&bytes));
    reply_free(&last);
    SEND(produce, API_PRODUCE, 9, &last, &one.request);
    DECODE(produce, API_PRODUCE, 9, &last, &response);
    ck_assert_int_eq(response.responses[0].partition_responses[0].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    byte_buffer_deinit(&bytes);
    end();
}
END_TEST

START_TEST(bad_commits_are_answered_as_kafka_answers_them) {
    coordinate();
    static char long_text[4098];
    memset(long_text, 'x', sizeof long_text - 1);
    struct str id = one_member(G);
    ck_assert_int_eq(commit(G, id, 1, T, 1, str_from(long_text)), KAFKA_OFFSET_METADATA_TOO_LARGE);
    ck_assert_int_eq(commit(G, STR_LITERAL("x"), 1, T, 1, NOBODY), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(commit(G, id, 1, STR_LITERAL("unknown"), 1, NOBODY), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(commit(G, id, 7, T, 1, NOBODY), KAFKA_ILLEGAL_GENERATION);
    ck_assert_int_eq(commit(STR_LITERAL("none"), STR_LITERAL("m"), 3, T, 1, NOBODY), KAFKA_ILLEGAL_GENERATION);
    end();
}
END_TEST

START_TEST(unknown_groups_are_dead_or_not_found) {
    coordinate();
    int16_t error;
    struct describe_groups_response_described_group described = describe(STR_LITERAL("nobody"));
    ck_assert_int_eq(described.error_code, KAFKA_NONE);
    ck_assert(str_equal_text(described.group_state, "Dead"));
    ck_assert_int_eq(delete_group(STR_LITERAL("nobody")), KAFKA_GROUP_ID_NOT_FOUND);
    ck_assert_int_eq(fetch(STR_LITERAL("nobody"), true, &error), -1);
    ck_assert_int_eq(error, KAFKA_NONE);
    ck_assert_int_eq(heartbeat(STR_LITERAL("nobody"), STR_LITERAL("m"), 1), KAFKA_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(leave(STR_LITERAL("nobody"), STR_LITERAL("m")), KAFKA_UNKNOWN_MEMBER_ID);
    end();
}
END_TEST

static struct find_coordinator_response find(const struct find_coordinator_request *request, int16_t version) {
    struct find_coordinator_response response;
    reply_free(&last);
    SEND(find_coordinator, API_FIND_COORDINATOR, version, &last, request);
    DECODE(find_coordinator, API_FIND_COORDINATOR, version, &last, &response);
    return response;
}

START_TEST(the_coordinator_is_the_leader_of_the_groups_partition) {
    coordinate();
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    struct str keys[] = {G, STR_LITERAL("other")};
    find_coordinator_request_init(&request);
    request.key = G;
    response = find(&request, 2);
    ck_assert_int_eq(response.node_id, 1);
    ck_assert(str_equal_text(response.error_message, "NONE"));
    find_coordinator_request_init(&request);
    request.coordinator_keys = keys;
    request.coordinator_keys_count = 2;
    response = find(&request, 4);
    ck_assert_int_eq(response.coordinators_count, 2);
    ck_assert_int_eq(response.coordinators[1].node_id, 1);
    request.key_type = 2;
    response = find(&request, 5);
    ck_assert_int_eq(response.coordinators[0].error_code, KAFKA_INVALID_REQUEST);
    end();
}
END_TEST

START_TEST(rule_33_a_group_belongs_to_the_partition_of_its_java_hash) {
    /* String.hashCode: "abc" 96354, "polygenelubricants" Integer.MIN_VALUE, "\u00e9" 233, "\U0001f600" 1772899. */
    ck_assert_int_eq(group_partition_of(STR_LITERAL("abc"), 50), 96354 % 50);
    ck_assert_int_eq(group_partition_of(STR_LITERAL("polygenelubricants"), 50), 0);
    ck_assert_int_eq(group_partition_of(STR_LITERAL("\xc3\xa9"), 50), 233 % 50);
    ck_assert_int_eq(group_partition_of(STR_LITERAL("\xf0\x9f\x98\x80"), 50), 1772899 % 50);
    ck_assert_int_eq(group_partition_of(STR_LITERAL("swg9"), 50), 24); /* as the recorded partitions say */
    ck_assert_int_eq(group_partition_of(STR_LITERAL("d-group"), 50), 24);
    ck_assert_int_eq(group_partition_of(STR_LITERAL("d-java"), 50), 33);
}
END_TEST

START_TEST(versions_0_keep_offsets_in_zookeeper) {
    coordinate();
    struct offset_commit_request commit_request;
    struct offset_commit_request_offset_commit_request_topic topic;
    struct offset_commit_request_offset_commit_request_partition part;
    struct offset_commit_response committed;
    struct offset_fetch_request fetch_request;
    struct offset_fetch_request_offset_fetch_request_topic asked;
    struct offset_fetch_response found;
    int32_t partitions[] = {0, 1};
    memory_put(fx.world, "/consumers", NULL);
    offset_commit_request_init(&commit_request);
    offset_commit_request_offset_commit_request_topic_init(&topic);
    offset_commit_request_offset_commit_request_partition_init(&part);
    part.committed_offset = 3;
    part.committed_metadata = NOBODY;
    topic.name = T;
    topic.partitions = &part;
    topic.partitions_count = 1;
    commit_request.group_id = G;
    commit_request.topics = &topic;
    commit_request.topics_count = 1;
    for (int64_t offset = 3; offset < 5; offset++) {
        part.committed_offset = offset; /* made first, then set */
        reply_free(&last);
        SEND(offset_commit, API_OFFSET_COMMIT, 0, &last, &commit_request);
        memory_run(fx.world);
        DECODE(offset_commit, API_OFFSET_COMMIT, 0, &last, &committed);
        ck_assert_int_eq(committed.topics[0].partitions[0].error_code, KAFKA_NONE);
    }
    ck_assert_str_eq(memory_data(fx.world, "/consumers/g/offsets/t/0"), "4");
    offset_fetch_request_init(&fetch_request);
    asked.name = T;
    asked.partition_indexes = partitions;
    asked.partition_indexes_count = 2;
    fetch_request.group_id = G;
    fetch_request.topics = &asked;
    fetch_request.topics_count = 1;
    reply_free(&last);
    SEND(offset_fetch, API_OFFSET_FETCH, 0, &last, &fetch_request);
    memory_run(fx.world);
    DECODE(offset_fetch, API_OFFSET_FETCH, 0, &last, &found);
    ck_assert_int_eq(found.topics[0].partitions[0].committed_offset, 4);
    ck_assert_int_eq(found.topics[0].partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    end();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_group_forms_commits_and_finds_what_it_committed),
        TEST(what_clients_write_comes_back_byte_for_byte_nul_bytes_too),
        TEST(a_member_that_stays_silent_is_removed),
        TEST(a_join_whose_client_went_away_does_not_hold_the_group_up),
        TEST(deleting_a_group_takes_its_offsets_along),
        TEST(an_offset_is_deleted_unless_a_member_may_be_reading),
        TEST(expired_offsets_go_and_so_does_their_group),
        TEST(offsets_of_a_deleted_topic_go),
        TEST(groups_are_listed_by_state_and_type),
        TEST(bad_joins_are_answered_as_kafka_answers_them),
        TEST(rule_by_version_old_and_static_members_need_no_id_first),
        TEST(a_client_id_of_any_length_makes_a_member_id_that_can_travel),
        TEST(clients_cannot_write_what_a_coordinator_will_believe),
        TEST(bad_commits_are_answered_as_kafka_answers_them),
        TEST(unknown_groups_are_dead_or_not_found),
        TEST(the_coordinator_is_the_leader_of_the_groups_partition),
        TEST(rule_33_a_group_belongs_to_the_partition_of_its_java_hash),
        TEST(versions_0_keep_offsets_in_zookeeper),
    };
    return run_tests("dispatch_groups", tests, ARRAY_SIZE(tests));
}
