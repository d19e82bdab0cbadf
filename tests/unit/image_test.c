/* The metadata image: what UpdateMetadata leaves behind, and how it is looked up. */
#include <check.h>
#include <stdio.h>

#include "broker/base/check.h"
#include "broker/metadata/image.h"
#include "tests/lib/runner.h"

static struct image *image;

static void set_up(void) {
    image = image_create();
}
static void tear_down(void) {
    image_destroy(image);
}

static const struct uuid id_a = {{0xa}};
static const struct uuid id_b = {{0xb}};

static void set(const char *topic, struct uuid id, int32_t partition, int32_t leader) {
    int32_t replicas[] = {3, 1, 2};
    image_set_partition(image, topic, id,
                        &(struct image_partition){.partition = partition,
                                                  .leader = leader,
                                                  .leader_epoch = 4,
                                                  .replicas = replicas,
                                                  .replica_count = 3,
                                                  .isr = replicas,
                                                  .isr_count = 2});
}

START_TEST(a_partition_state_is_a_deep_copy_and_replaces_the_one_before) {
    set("t", id_a, 0, 1);
    const struct image_partition *found = image_partition(image, STR_LITERAL("t"), 0);
    ck_assert_int_eq(found->leader, 1);
    ck_assert_int_eq(found->replica_count, 3);
    ck_assert_int_eq(found->replicas[0], 3);
    ck_assert_int_eq(found->isr[1], 1);
    ck_assert_ptr_null(found->offline);
    set("t", id_a, 0, -1);
    ck_assert_int_eq(image_partition(image, STR_LITERAL("t"), 0)->leader, -1);
    ck_assert_int_eq(image_topic(image, STR_LITERAL("t"))->partition_count, 1);
    ck_assert_ptr_null(image_partition(image, STR_LITERAL("t"), 1));
    ck_assert_ptr_null(image_partition(image, STR_LITERAL("tt"), 0));
    ck_assert_ptr_null(image_partition(image, STR_NULL, 0));
}
END_TEST

START_TEST(topics_are_in_name_order_and_partitions_in_index_order) {
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "t%02d", i * 37 % 100);
        set(name, (struct uuid){{0}}, 0, 1);
    }
    ck_assert_int_eq(image_topic_count(image), 100);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "t%02d", i);
        ck_assert_str_eq(image_topic_at(image, i)->name, name);
    }
    const int32_t order[] = {5, 2, 9, 0, 4};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        set("t50", id_a, order[i], order[i]);
    }
    const struct image_topic *topic = image_topic_by_id(image, id_a);
    ck_assert_int_eq(topic->partition_count, 5);
    for (int32_t i = 1; i < 5; i++) {
        ck_assert_int_lt(topic->partitions[i - 1]->partition, topic->partitions[i]->partition);
    }
    ck_assert_int_eq(image_partition(image, STR_LITERAL("t50"), 9)->leader, 9);
}
END_TEST

START_TEST(leader_minus_two_removes_the_partition_and_with_the_last_the_topic_and_its_id) {
    set("t", id_a, 0, 1);
    set("t", id_a, 1, 1);
    set("t", id_a, 0, IMAGE_LEADER_DURING_DELETE);
    ck_assert_ptr_null(image_partition(image, STR_LITERAL("t"), 0));
    ck_assert_int_eq(image_partition(image, STR_LITERAL("t"), 1)->partition, 1);
    ck_assert_ptr_nonnull(image_topic_by_id(image, id_a));
    set("t", id_a, 1, IMAGE_LEADER_DURING_DELETE);
    ck_assert_ptr_null(image_topic(image, STR_LITERAL("t")));
    ck_assert_ptr_null(image_topic_by_id(image, id_a));
    ck_assert_int_eq(image_topic_count(image), 0);
    set("unknown", id_b, 1, IMAGE_LEADER_DURING_DELETE);
    ck_assert_int_eq(image_topic_count(image), 0);
}
END_TEST

START_TEST(a_zero_topic_id_clears_the_id_and_a_new_one_replaces_it) {
    set("t", id_a, 0, 1);
    set("t", (struct uuid){{0}}, 0, 1);
    ck_assert_ptr_null(image_topic_by_id(image, id_a));
    ck_assert(uuid_is_zero(image_topic(image, STR_LITERAL("t"))->id));
    set("t", id_b, 0, 1);
    ck_assert_str_eq(image_topic_by_id(image, id_b)->name, "t");
    set("u", id_b, 0, 1);
    ck_assert_str_eq(image_topic_by_id(image, id_b)->name, "u");
    ck_assert(uuid_is_zero(image_topic(image, STR_LITERAL("t"))->id));
}
END_TEST

START_TEST(a_topic_made_anew_keeps_no_partition_of_the_former_one) {
    set("t", id_a, 0, 1);
    set("t", id_a, 1, 2);
    set("t", id_b, 0, 3);
    ck_assert_int_eq(image_topic(image, STR_LITERAL("t"))->partition_count, 1);
    ck_assert_int_eq(image_partition(image, STR_LITERAL("t"), 0)->leader, 3);
    ck_assert_ptr_null(image_partition(image, STR_LITERAL("t"), 1));
    ck_assert_ptr_null(image_topic_by_id(image, id_a));
    ck_assert_str_eq(image_topic_by_id(image, id_b)->name, "t");
    ck_assert_int_eq(image_topic_count(image), 1);
}
END_TEST

START_TEST(the_live_brokers_are_replaced_whole_and_sorted) {
    struct image_endpoint endpoints[] = {{.listener = "PLAINTEXT", .host = "h", .port = 9092},
                                         {.listener = "REPLICATION", .host = "r", .port = 9093}};
    struct image_broker brokers[] = {{.id = 7, .endpoints = endpoints, .endpoint_count = 2},
                                     {.id = 2, .rack = "b1", .endpoints = endpoints, .endpoint_count = 1}};
    ck_assert_ptr_null(image_broker(image, 2));
    image_set_brokers(image, brokers, 2);
    int32_t count = 0;
    ck_assert_int_eq(image_brokers(image, &count)[0].id, 2);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(image_broker_endpoint(image_broker(image, 7), "REPLICATION")->port, 9093);
    ck_assert_ptr_null(image_broker_endpoint(image_broker(image, 2), "REPLICATION"));
    ck_assert_str_eq(image_broker(image, 2)->rack, "b1");
    image_set_brokers(image, brokers, 1);
    ck_assert_ptr_null(image_broker(image, 2));
    image_set_brokers(image, NULL, 0);
    ck_assert_ptr_null(image_broker(image, 7));
}
END_TEST

START_TEST(the_controller_is_unknown_until_somebody_says) {
    ck_assert_int_eq(image_controller(image), -1);
    image_set_controller(image, 3);
    ck_assert_int_eq(image_controller(image), 3);
}
END_TEST

static void ensure_shape(bool is_another) {
    static uint64_t before;
    ck_assert_int_eq(image_shape(image) != before, is_another);
    before = image_shape(image);
}

START_TEST(its_shape_changes_with_what_is_there_and_not_with_the_state_it_is_in) {
    ck_assert_uint_ne(image_shape(image), 0);
    ensure_shape(true);
    set("t", id_a, 0, 1);
    ensure_shape(true);
    set("t", id_a, 0, 2);
    image_set_controller(image, 3);
    ensure_shape(false);
    set("t", id_a, 1, 1);
    ensure_shape(true);
    set("t", (struct uuid){{0}}, 0, 1);
    ensure_shape(true);
    set("t", id_b, 0, 1); /* the id becomes known */
    ensure_shape(true);
    set("u", id_b, 0, 1); /* and is another topic's */
    ensure_shape(true);
    set("t", id_a, 0, IMAGE_LEADER_DURING_DELETE);
    ensure_shape(true);
    set("t", id_a, 7, IMAGE_LEADER_DURING_DELETE); /* is not there */
    ensure_shape(false);
    set("u", id_a, 0, 1); /* made anew */
    ensure_shape(true);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_partition_state_is_a_deep_copy_and_replaces_the_one_before),
        TEST(topics_are_in_name_order_and_partitions_in_index_order),
        TEST(leader_minus_two_removes_the_partition_and_with_the_last_the_topic_and_its_id),
        TEST(a_zero_topic_id_clears_the_id_and_a_new_one_replaces_it),
        TEST(a_topic_made_anew_keeps_no_partition_of_the_former_one),
        TEST(the_live_brokers_are_replaced_whole_and_sorted),
        TEST(its_shape_changes_with_what_is_there_and_not_with_the_state_it_is_in),
        TEST(the_controller_is_unknown_until_somebody_says),
    };
    return run_tests_with_fixture("image", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
