/* Frames in and answers out of one connection, in their order. */
#include "tests/unit/network_fixture.h"

START_TEST(answers_leave_in_the_order_of_their_frames) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    send_frame(client, "first", 5);
    send_frame(client, "second", 6);
    send_frame(client, "third", 5);
    await_held(3);
    answer_held(2);
    answer_held(1);
    answer_held(0);
    expect_frame(client, "first", 5);
    expect_frame(client, "second", 6);
    expect_frame(client, "third", 5);
    ck_assert_int_eq(sent_count, 3);
    close(client);
    finish();
}
END_TEST

START_TEST(a_frame_may_come_byte_by_byte) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    uint8_t bytes[4 + 3000];
    store_i32(bytes, 3000);
    memset(bytes + 4, 'x', 3000);
    for (size_t i = 0; i < sizeof bytes; i += i < 8 ? 1 : 499) {
        size_t part = MIN(i < 8 ? 1 : 499, sizeof bytes - i);
        ck_assert_int_eq(send(client, bytes + i, part, 0), (ssize_t)part);
        run_for(1);
    }
    await_held(1);
    answer_held(0);
    expect_frame(client, bytes + 4, 3000);
    close(client);
    finish();
}
END_TEST

START_TEST(large_frames_arrive_whole_and_stay_writable_until_answered) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    size_t size = 3 * 1024 * 1024;
    uint8_t *body = xmalloc(size);
    for (size_t i = 0; i < size; i++) {
        body[i] = (uint8_t)(i * 31 >> 3);
    }
    send_frame(client, body, size);
    send_frame(client, "behind", 6);
    await_held(2);
    ck_assert_mem_eq(held[0].frame, body, size);
    held[0].frame[7] = 0xee;
    body[7] = 0xee;
    answer_held(1);
    answer_held(0);
    expect_frame(client, body, size);
    expect_frame(client, "behind", 6);
    free(body);
    close(client);
    finish();
}
END_TEST

START_TEST(a_file_region_goes_out_in_its_place) {
    struct network_config config = test_config();
    start(&config);
    char path[] = "/tmp/network_test_XXXXXX";
    int made = mkstemp(path);
    ck_assert_int_ge(made, 0);
    close(made);
    struct disk_file *file;
    ck_assert_int_eq(disk_open(disk_posix(), path, DISK_WRITE, &file), 0);
    size_t size = 2 * 1024 * 1024;
    uint8_t *content = xmalloc(size);
    for (size_t i = 0; i < size; i++) {
        content[i] = (uint8_t)(i * 7 >> 2);
    }
    ck_assert_int_eq(disk_write(file, content, size, 0), 0);
    int client = connect_client();
    send_frame(client, "headtail", 8);
    await_held(1);
    held_splice = (struct splice){.at = 8, .records = {.size = (int32_t)size - 100, .file = disk_file_ref(file)}};
    held_splice.records.position = 100;
    answer_held(0);
    size_t got;
    uint8_t *body = receive_frame(client, &got);
    ck_assert_uint_eq(got, size - 100 + 8);
    ck_assert_mem_eq(body, "head", 4);
    ck_assert_mem_eq(body + 4, content + 100, size - 100);
    ck_assert_mem_eq(body + 4 + size - 100, "tail", 4);
    ck_assert_int_eq(file->references, 1);
    free(body);
    free(content);
    disk_file_unref(file);
    unlink(path);
    close(client);
    finish();
}
END_TEST

#define PATTERN_BYTES 300000

static uint8_t pattern_at(size_t i) {
    return (uint8_t)(i * 11 >> 3);
}

static struct disk_file *patterned_file(char *path) {
    struct disk_file *file;
    uint8_t *content = xmalloc(PATTERN_BYTES);
    close(mkstemp(path));
    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        content[i] = pattern_at(i);
    }
    ck_assert_int_eq(disk_open(disk_posix(), path, DISK_WRITE, &file), 0);
    ck_assert_int_eq(disk_write(file, content, PATTERN_BYTES, 0), 0);
    free(content);
    return file;
}

/* Answers with these regions of the file, one behind the other: before each and at the end stands the number of the
 * frame. */
static void answer_regions(int index, struct disk_file *file, const int32_t *sizes, int32_t count) {
    size_t size = 4 + ((size_t)count + 1) * 4;
    size_t splices_at = (size + 15) & ~(size_t)15;
    uint8_t *bytes = xmalloc(splices_at + (size_t)count * sizeof(struct splice));
    struct splice *splices = (struct splice *)(void *)(bytes + splices_at);
    int32_t total = (int32_t)size - 4;
    for (int32_t i = 0; i <= count; i++) {
        store_i32(bytes + 4 + 4 * i, index);
    }
    for (int32_t i = 0; i < count; i++) {
        splices[i] = (struct splice){.at = 8 + 4 * i,
                                     .records = {.size = sizes[i], .position = 7 * i, .file = disk_file_ref(file)}};
        total += sizes[i];
    }
    store_i32(bytes, total);
    struct exchange *exchange = held[index].exchange;
    held[index].exchange = NULL;
    struct answer answer = {
        .bytes = bytes, .size = size, .splices = splices, .splice_count = count, .on_sent = on_sent, .owner = bytes};
    exchange->ops->answer(exchange, &answer);
}

static void expect_regions(int client, int index, const int32_t *sizes, int32_t count) {
    size_t got;
    uint8_t *body = receive_frame(client, &got);
    const uint8_t *at = body;
    for (int32_t i = 0; i <= count; i++, at += 4) {
        ck_assert_int_eq(load_i32(at), index);
        for (int32_t k = 0; i < count && k < sizes[i]; k++) {
            ck_assert_uint_eq(at[4 + k], pattern_at((size_t)(7 * i + k)));
        }
        at += i < count ? sizes[i] : 0;
    }
    ck_assert_uint_eq(got, (size_t)(at - body));
    free(body);
}

START_TEST(small_regions_and_large_ones_go_out_in_their_places_to_a_client_that_reads_late) {
    static const int32_t sizes[][5] = {{0, 1, 100, 0, 4096},
                                       {4096, 4096, 4096, 4096, 4096},
                                       {4097, 10, 0, 70000, 5},
                                       {290000, 0, 0, 4095, 0},
                                       {0, 0, 0, 0, 0}};
    enum { ANSWERS = 60, REGIONS = ARRAY_SIZE(sizes[0]) };
    struct network_config config = test_config();
    start(&config);
    char path[] = "/tmp/network_test_XXXXXX";
    struct disk_file *file = patterned_file(path);
    int client = connect_client();
    for (int i = 0; i < ANSWERS; i++) {
        send_frame(client, "frame", 5);
    }
    await_held(ANSWERS);
    for (int i = ANSWERS - 1; i >= 0; i--) { /* nothing leaves before the last of these is given */
        answer_regions(i, file, sizes[i % (int)ARRAY_SIZE(sizes)], REGIONS);
    }
    ck_assert_int_lt(sent_count, ANSWERS); /* more than the sockets take */
    for (int i = 0; i < ANSWERS; i++) {
        expect_regions(client, i, sizes[i % (int)ARRAY_SIZE(sizes)], REGIONS);
    }
    ck_assert_int_eq(sent_count, ANSWERS);
    ck_assert_int_eq(file->references, 1);
    disk_file_unref(file);
    unlink(path);
    close(client);
    finish();
}
END_TEST

START_TEST(a_region_cut_short_ends_the_connection) {
    struct network_config config = test_config();
    start(&config);
    char path[] = "/tmp/network_test_XXXXXX";
    close(mkstemp(path));
    struct disk_file *file;
    ck_assert_int_eq(disk_open(disk_posix(), path, DISK_WRITE, &file), 0);
    ck_assert_int_eq(disk_write(file, "short", 5, 0), 0);
    int client = connect_client();
    send_frame(client, "headtail", 8);
    await_held(1);
    held_splice = (struct splice){.at = 8, .records = {.size = 1000, .file = disk_file_ref(file)}};
    answer_held(0);
    uint8_t bytes[64];
    struct transfer t = {.descriptor = client, .bytes = bytes, .size = sizeof bytes};
    run_until(receive_some, &t);
    ck_assert(t.is_closed);
    ck_assert_int_eq(file->references, 1);
    ck_assert_int_eq(sent_count, 1);
    disk_file_unref(file);
    unlink(path);
    close(client);
    finish();
}
END_TEST

START_TEST(what_was_asked_before_a_malformed_frame_is_answered) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    send_frame(client, "good", 4);
    uint8_t prefix[4];
    store_i32(prefix, -5);
    ck_assert_int_eq(send(client, prefix, 4, 0), 4);
    await_held(1);
    run_for(5);
    answer_held(0);
    expect_frame(client, "good", 4);
    expect_end(client);
    finish();
}
END_TEST

START_TEST(a_vanished_client_abandons_what_waits) {
    struct network_config config = test_config();
    start(&config);
    int client = connect_client();
    send_frame(client, "first", 5);
    send_frame(client, "second", 6);
    await_held(2);
    close(client);
    int want = 2;
    for (int i = 0; i < 1000 && abandoned_count < want; i++) {
        run_for(1);
    }
    ck_assert_int_eq(abandoned_count, 2);
    ck_assert(held[0].is_abandoned && held[1].is_abandoned);
    ck_assert_int_eq(network_connection_count(network), 0);
    answer_held(0);
    ck_assert_int_eq(sent_count, 1);
    finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(answers_leave_in_the_order_of_their_frames),
        TEST(a_frame_may_come_byte_by_byte),
        TEST(large_frames_arrive_whole_and_stay_writable_until_answered),
        TEST(a_file_region_goes_out_in_its_place),
        TEST(small_regions_and_large_ones_go_out_in_their_places_to_a_client_that_reads_late),
        TEST(a_region_cut_short_ends_the_connection),
        TEST(what_was_asked_before_a_malformed_frame_is_answered),
        TEST(a_vanished_client_abandons_what_waits),
    };
    return run_tests("network", tests, sizeof tests / sizeof tests[0]);
}
