/* Compaction from the rule for one record up to one cleaning of one log: what stays, what goes, and what a crash
 * leaves. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "tests/lib/compact_log.h"
#include "tests/lib/memory_disk.h"
#include "tests/lib/runner.h"

static void fill_and_clean(enum compression_codec codec) {
    compact.codec = codec;
    struct random random;
    random_seed(&random, 7);
    while (log_end_offset(compact.log) < 900) {
        struct compact_record list[5];
        int32_t count = 1 + (int32_t)random_below(&random, 5);
        for (int32_t i = 0; i < count; i++) {
            list[i] = (struct compact_record){.key = (int32_t)random_below(&random, 40)};
        }
        ck_assert_int_eq(compact_write_batch(&compact_plain, list, count), 0);
        if (log_end_offset(compact.log) % 150 == 0) {
            compact_clean();
        }
    }
    compact_roll();
    compact_clean();
}

START_TEST(the_last_value_of_every_key_stays_at_its_offset) {
    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        fill_and_clean((enum compression_codec)codec);
        struct compact_content content;
        compact_read(&content);
        compact_check(&content, compact.log->clean_offset, false);
        ck_assert_int_eq(compact.log->clean_offset, log_end_offset(compact.log));
        ck_assert_int_eq(content.count, 40);
        compact_reopen();
        struct compact_content again;
        compact_read(&again);
        ck_assert_int_eq(again.count, content.count);
        ck_assert_int_eq(log_end_offset(compact.log), compact.log->clean_offset);
        compact_tear_down();
        compact_set_up();
    }
}
END_TEST

START_TEST(a_reader_gets_the_next_batch_there_is_from_any_offset) {
    for (int i = 0; i < 200; i++) {
        compact_write_key(i % 10);
    }
    compact_roll();
    compact_clean();
    int64_t first = -1;
    for (int64_t offset = 0; offset < 200; offset++) {
        struct log_read_info info;
        ck_assert_int_eq(log_read(compact.log, offset, 1 << 20, 200, true, &info), 0);
        ck_assert_int_gt(info.records.size, 0);
        ck_assert_int_ge(info.first_offset, first);
        first = info.first_offset;
        disk_file_unref(info.records.file);
    }
    ck_assert_int_eq(first, 199);
}
END_TEST

START_TEST(the_active_segment_and_what_is_not_stable_are_never_touched) {
    compact_write_key(1);
    compact_write_key(1);
    compact_roll();
    compact_write_key(1);
    compact_write_key(1);
    struct log *log = compact.log;
    struct compaction_range range = log_cleanable_range(log, -1, 4, compact.clock.wall_ms);
    ck_assert_int_eq(range.first_uncleanable, 2);
    range = log_cleanable_range(log, -1, 1, compact.clock.wall_ms);
    ck_assert_int_eq(range.first_uncleanable, 0);
    ck_assert_int_eq(range.dirty_bytes, 0);
    compact_clean();
    struct compact_content content;
    compact_read(&content);
    ck_assert(!compact_has(&content, 0) && compact_has(&content, 1) && compact_has(&content, 2) &&
              compact_has(&content, 3));
}
END_TEST

START_TEST(records_younger_than_min_compaction_lag_wait) {
    compact.log->config.min_compaction_lag_ms = 5000;
    compact_write_key(1);
    compact_roll();
    test_clock_advance(&compact.clock, 4000);
    compact_write_key(1);
    compact_roll();
    test_clock_advance(&compact.clock, 2000);
    struct compaction_range range = log_cleanable_range(compact.log, -1, 2, compact.clock.wall_ms);
    ck_assert_int_eq(range.first_uncleanable, 1);
    compact.log->config.max_compaction_lag_ms = 5500;
    range = log_cleanable_range(compact.log, -1, 2, compact.clock.wall_ms);
    ck_assert(range.is_overdue);
    compact.log->config.max_compaction_lag_ms = 6500;
    range = log_cleanable_range(compact.log, -1, 2, compact.clock.wall_ms);
    ck_assert(!range.is_overdue);
}
END_TEST

START_TEST(a_checkpoint_outside_the_log_begins_anew) {
    for (int i = 0; i < 4; i++) {
        compact_write_key(i);
    }
    struct compaction_range range = log_cleanable_range(compact.log, 9, 4, compact.clock.wall_ms);
    ck_assert(range.was_out_of_range);
    ck_assert_int_eq(range.first_dirty, 0);
}
END_TEST

START_TEST(a_tombstone_stays_for_delete_retention_after_a_cleaning_met_it) {
    compact_write_key(1);
    compact_write_tombstone(1);
    compact_write_key(2);
    compact_roll();
    compact_clean();
    struct compact_content content;
    compact_read(&content);
    ck_assert(!compact_has(&content, 0) && compact_has(&content, 1));
    ck_assert_int_eq(content.horizons[1], COMPACT_WALL_MS + COMPACT_RETENTION_MS);
    /* A second cleaning before its time keeps it, and the time it has. */
    test_clock_advance(&compact.clock, COMPACT_RETENTION_MS - 1);
    compact_write_key(3);
    compact_roll();
    compact_clean();
    compact_read(&content);
    ck_assert(compact_has(&content, 1));
    ck_assert_int_eq(content.horizons[1], COMPACT_WALL_MS + COMPACT_RETENTION_MS);
    test_clock_advance(&compact.clock, 1);
    compact_write_key(4);
    compact_roll();
    compact_clean();
    compact_read(&content);
    ck_assert(!compact_has(&content, 1) && compact_has(&content, 2) && compact_has(&content, 3) &&
              compact_has(&content, 4));
    compact_check(&content, compact.log->clean_offset, true);
}
END_TEST

START_TEST(records_without_a_key_go) {
    compact.log->config.compact = false;
    struct compact_record record = {.key = -1};
    ck_assert_int_eq(compact_write_batch(&compact_plain, &record, 1), 0);
    compact.log->config.compact = true;
    compact_write_key(1);
    compact_write_key(2);
    compact_roll();
    compact_clean();
    struct compact_content content;
    compact_read(&content);
    ck_assert_int_eq(content.count, 2);
}
END_TEST

START_TEST(aborted_records_go_first_and_their_marker_when_nothing_is_left_of_them) {
    compact_write_key(7);
    compact_write_transactional(5, 0, 1, true);
    compact_write_transactional(5, 1, 7, true);
    ck_assert_int_eq(compact_write_marker(5, false), 0);
    compact_write_transactional(5, 2, 2, false);
    ck_assert_int_eq(compact_write_marker(5, true), 0);
    compact_write_key(3);
    compact_roll();
    compact_clean();
    struct compact_content content;
    compact_read(&content);
    /* An aborted value does not take the place of the committed one. */
    ck_assert(compact_has(&content, 0) && !compact_has(&content, 1) && !compact_has(&content, 2) &&
              compact_has(&content, 4) && compact_has(&content, 6));
    ck_assert_int_eq(content.markers, 2);
    compact_write_key(3);
    compact_roll();
    compact_clean(); /* nothing is left of the aborted one: its marker begins to age */
    compact_read(&content);
    ck_assert_int_eq(content.markers, 2);
    ck_assert_int_eq(content.horizons[3], COMPACT_WALL_MS + COMPACT_RETENTION_MS);
    test_clock_advance(&compact.clock, COMPACT_RETENTION_MS);
    compact_write_key(3);
    compact_roll();
    compact_clean();
    compact_read(&content);
    ck_assert_int_eq(content.markers, 1);
    compact_check(&content, compact.log->clean_offset, false);
}
END_TEST

START_TEST(the_transaction_index_follows_its_markers) {
    compact_write_transactional(5, 0, 1, true);
    compact_roll();
    compact_write_key(2);
    ck_assert_int_eq(compact_write_marker(5, false), 0);
    compact_write_key(3);
    compact_roll();
    struct aborted_transaction *list;
    int32_t count;
    compact_clean();
    ck_assert_int_eq(transaction_index_read(&compact.log->place, 0, &list, &count), 0);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(list[0].producer_id, 5);
    free(list);
    /* The emptied last batch of the producer went with it; then nothing is left but the marker. */
    producer_state_clear(&compact.log->producers);
    compact_write_key(3);
    compact_roll();
    compact_clean();
    compact_write_key(3);
    compact_roll();
    compact_clean();
    ck_assert_int_eq(transaction_index_read(&compact.log->place, 0, &list, &count), 0);
    ck_assert_int_eq(count, 0);
    free(list);
}
END_TEST

START_TEST(the_last_batch_of_a_known_producer_stays_for_its_sequence) {
    struct compact_record record = {.key = 1};
    struct compact_batch spec = {.producer_id = 9, .base_sequence = 0};
    ck_assert_int_eq(compact_write_batch(&spec, &record, 1), 0);
    spec.base_sequence = 1;
    ck_assert_int_eq(compact_write_batch(&spec, &record, 1), 0);
    compact_write_key(1);
    compact_write_key(2);
    compact_roll();
    compact_clean();
    struct compact_content content;
    compact_read(&content);
    ck_assert_int_eq(content.count, 2);
    ck_assert_int_eq(content.empty_batches, 1);
    /* Also when the state is built from the log alone. */
    ck_assert_int_eq(log_close(compact.log), 0);
    struct log_config config = compact.log->config;
    log_destroy(compact.log);
    compact.log = test_log_open(disk_posix(), &compact.clock.base, compact.directory, &config, 0, false);
    struct log_producer_state state;
    ck_assert_int_eq(log_producer_state(compact.log, 9, &state), 0);
    ck_assert_int_eq(state.last_sequence, 1);
    ck_assert_int_eq(state.last_offset, 1);
}
END_TEST

START_TEST(the_last_batch_below_the_end_of_a_cleaning_stays_for_its_offset) {
    compact_write_key(1);
    compact_write_key(1);
    compact_roll();
    compact_write_key(2);
    compact_write_transactional(5, 0, 3, true);
    ck_assert_int_eq(compact_write_marker(5, false), 0);
    compact_roll();
    producer_state_expire(&compact.log->producers, compact.clock.wall_ms + 10 * COMPACT_RETENTION_MS, 0);
    compact_clean();
    test_clock_advance(&compact.clock, COMPACT_RETENTION_MS);
    compact.log->clean_offset = 0;
    compact_clean();
    compact.log->clean_offset = 0;
    test_clock_advance(&compact.clock, COMPACT_RETENTION_MS);
    compact_clean();
    struct byte_buffer bytes = {0};
    test_read_all(compact.log, 1 << 20, &bytes);
    int64_t last = -1;
    for (size_t at = 0; at < bytes.size;) {
        struct record_batch header;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &header), 0);
        last = header.last_offset;
        at += (size_t)header.size;
    }
    ck_assert_int_eq(last, 4);
    byte_buffer_deinit(&bytes);
}
END_TEST

START_TEST(small_segments_become_one) {
    for (int i = 0; i < 12; i++) {
        compact_write_key(i % 3);
        compact_roll();
    }
    ck_assert_int_eq(compact.log->segment_count, 13);
    compact_clean();
    compact_write_key(1);
    compact_roll();
    compact_clean();
    ck_assert_int_le(compact.log->segment_count, 3);
    compact_reopen();
    ck_assert_int_le(compact.log->segment_count, 3);
    struct compact_content content;
    compact_read(&content);
    compact_check(&content, compact.log->clean_offset, false);
}
END_TEST

START_TEST(a_full_key_map_cleans_as_far_as_it_reaches) {
    const struct compaction_limits tight = {
        .map_bytes_max = 10 * OFFSET_MAP_SLOT_SIZE, .map_load_factor = 0.9, .io_buffer_bytes = 4096};
    for (int i = 0; i < 300; i++) {
        compact_write_key(i % 40);
    }
    compact_roll();
    int64_t before = 0;
    int rounds = 0;
    do {
        ck_assert_int_eq(compact_clean_with(&tight, 500), COMPACTION_DONE);
        ck_assert_int_gt(compact.log->clean_offset, before);
        before = compact.log->clean_offset;
        rounds++;
        struct compact_content content;
        compact_read(&content);
        compact_check(&content, 0, false);
    } while (compact.log->clean_offset < log_end_offset(compact.log));
    ck_assert_int_gt(rounds, 5);
    struct compact_content content;
    compact_read(&content);
    ck_assert_int_eq(content.count, 40);
}
END_TEST

/* Every key twice, a batch each time: keys of many batches go into the map together, and none too few or too many. */
START_TEST(a_full_key_map_has_all_keys_of_the_batches_before) {
    static const int rooms[] = {1, 2, OFFSET_MAP_KEYS_AT_ONCE - 1, OFFSET_MAP_KEYS_AT_ONCE,
                                OFFSET_MAP_KEYS_AT_ONCE + 1};
    int64_t expected = 0;
    for (int i = 0; i < 300; i++) {
        compact_write_key(i / 2 % 50);
    }
    compact_roll();
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        const struct compaction_limits tight = {.map_bytes_max = (rooms[i] * 10 / 9 + 1) * OFFSET_MAP_SLOT_SIZE,
                                                .map_load_factor = 0.9,
                                                .io_buffer_bytes = 4096};
        ck_assert_int_eq(compact_clean_with(&tight, 500), COMPACTION_DONE);
        expected += 2 * (int64_t)rooms[i];
        ck_assert_int_eq(compact.log->clean_offset, expected);
    }
    struct compact_content content;
    compact_read(&content);
    compact_check(&content, expected, false);
}
END_TEST

START_TEST(a_log_that_was_truncated_meanwhile_keeps_what_it_has) {
    for (int i = 0; i < 60; i++) {
        compact_write_key(i % 5);
    }
    compact_roll();
    compact_write_key(1);
    struct compaction_range range = log_cleanable_range(compact.log, -1, 61, compact.clock.wall_ms);
    struct compaction *compaction;
    ck_assert_int_eq(compaction_begin(compact.log, &range, &compact_roomy, compact.clock.wall_ms, &compaction), 0);
    while (compaction_work(compaction, INT64_MAX) == COMPACTION_MORE) {
    }
    ck_assert_int_eq(compaction->state, COMPACTION_REPLACES);
    ck_assert_int_eq(log_truncate_to(compact.log, 40), 0);
    ck_assert_int_eq(log_replace_segments(compact.log, compaction), ERR_NOT_FOUND);
    compaction_destroy(compaction, true);
    struct compact_content content;
    compact_read(&content);
    ck_assert_int_eq(content.count, 40);
    compact_write_key(2);
    compact_reopen();
    ck_assert_int_eq(log_end_offset(compact.log), 41);
}
END_TEST

/* ---- Crashes ---- */

/* Lives on the memory disk until it fails; a batch of the model is there once its append was answered. */
static bool live_until_failure(struct memory_disk *disk, int64_t *ret_acknowledged, int64_t *ret_flushed) {
    struct log_config config = compact_config();
    struct log_open_options options = {.disk = memory_disk_base(disk),
                                       .clock = &compact.clock.base,
                                       .directory = "/data",
                                       .topic = "t",
                                       .config = config,
                                       .clean_offset = -1};
    *ret_acknowledged = 0;
    *ret_flushed = 0;
    if (log_open(&options, &compact.log) != 0) {
        return false;
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 25; i++) {
            struct compact_record record = {.key = (i * 7 + round) % 11, .is_tombstone = i % 9 == 8};
            if (compact_write_batch(&compact_plain, &record, 1) != 0) {
                return false;
            }
            *ret_acknowledged = log_end_offset(compact.log);
        }
        if (log_roll(compact.log) != 0 || log_flush(compact.log) != 0) {
            return false;
        }
        *ret_flushed = *ret_acknowledged;
        if (compact_clean_with(&compact_roomy, 700) != COMPACTION_DONE) {
            return false;
        }
    }
    return true;
}

static void crash_everywhere(bool power_loss) {
    log_destroy(compact.log);
    compact.log = NULL;
    int64_t crash_points = 0;
    for (int64_t at = 1;; at++) {
        struct memory_disk *disk = memory_disk_create();
        struct disk *base = memory_disk_base(disk);
        ck_assert_int_eq(base->ops->make_directory(base, "/data"), 0);
        ck_assert_int_eq(base->ops->sync_directory(base, "/"), 0);
        memory_disk_fail_at(disk, memory_disk_operations(disk) + at);
        int64_t acknowledged;
        int64_t flushed;
        bool alive = live_until_failure(disk, &acknowledged, &flushed);
        log_destroy(compact.log);
        compact.log = NULL;
        memory_disk_restart(disk, power_loss);
        struct log_open_options options = {.disk = base,
                                           .clock = &compact.clock.base,
                                           .directory = "/data",
                                           .topic = "t",
                                           .recovery_point = power_loss ? flushed : 0,
                                           .config = compact_config(),
                                           .clean_offset = -1};
        ck_assert_int_eq(log_open(&options, &compact.log), 0);
        ck_assert_int_ge(log_end_offset(compact.log), power_loss ? flushed : acknowledged);
        struct compact_content content;
        compact_read(&content);
        compact_check(&content, 0, false);
        log_destroy(compact.log);
        compact.log = NULL;
        memory_disk_destroy(disk);
        crash_points++;
        if (alive) {
            break;
        }
    }
    ck_assert_int_gt(crash_points, 150);
    struct log_config config = compact_config();
    compact_open(disk_posix(), &config);
}

START_TEST(a_kill_at_any_operation_of_a_cleaning_leaves_the_old_or_the_new) {
    crash_everywhere(false);
}
END_TEST

START_TEST(a_power_cut_at_any_operation_of_a_cleaning_leaves_the_old_or_the_new) {
    crash_everywhere(true);
}
END_TEST

/* ---- The key map ---- */

START_TEST(batches_of_any_size_around_a_block_of_keys_are_cleaned) {
    static const int32_t sizes[] = {OFFSET_MAP_KEYS_AT_ONCE - 1, OFFSET_MAP_KEYS_AT_ONCE, OFFSET_MAP_KEYS_AT_ONCE + 1,
                                    2 * OFFSET_MAP_KEYS_AT_ONCE, OFFSET_MAP_KEYS_AT_ONCE / 2};
    struct compact_content content;
    compact.log->config.segment_bytes = 1 << 20;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct compact_record records[2 * OFFSET_MAP_KEYS_AT_ONCE];
        for (int32_t k = 0; k < sizes[i]; k++) {
            records[k] = (struct compact_record){.key = k};
        }
        ck_assert_int_eq(compact_write_batch(&compact_plain, records, sizes[i]), 0);
    }
    compact_roll();
    int64_t end = log_end_offset(compact.log);
    compact_clean();
    compact_read(&content);
    compact_check(&content, end, false);
    ck_assert_int_eq(content.count, 2 * OFFSET_MAP_KEYS_AT_ONCE);
}
END_TEST

static bool put(struct offset_map *map, int32_t number, int64_t offset) {
    struct offset_key key = offset_map_key(map, (struct slice){(const uint8_t *)&number, sizeof number});
    return offset_map_put(map, &key, offset);
}

static int64_t get(const struct offset_map *map, int32_t number) {
    struct offset_key key = offset_map_key(map, (struct slice){(const uint8_t *)&number, sizeof number});
    return offset_map_get(map, &key);
}

static void check_map(int32_t slots, int32_t entries) {
    struct offset_map map;
    offset_map_init(&map, (int64_t)slots * OFFSET_MAP_SLOT_SIZE, 0.9);
    for (int32_t i = 0; i < entries; i++) {
        ck_assert(put(&map, i, i));
    }
    ck_assert(!put(&map, entries, entries));
    ck_assert(put(&map, 17, 1000000));
    ck_assert_int_eq(get(&map, 17), 1000000);
    ck_assert_int_eq(get(&map, entries), -1);
    for (int32_t i = 18; i < entries; i++) {
        ck_assert_int_eq(get(&map, i), i);
    }
    ck_assert_uint_le(map.slot_count, (size_t)slots);
    offset_map_deinit(&map);
}

START_TEST(the_key_map_grows_to_its_bound_and_says_when_it_is_full) {
    check_map(4000, 3600);
    check_map(400000, 360000); /* large enough for huge pages */
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(the_last_value_of_every_key_stays_at_its_offset),
        TEST(a_reader_gets_the_next_batch_there_is_from_any_offset),
        TEST(the_active_segment_and_what_is_not_stable_are_never_touched),
        TEST(records_younger_than_min_compaction_lag_wait),
        TEST(a_checkpoint_outside_the_log_begins_anew),
        TEST(a_tombstone_stays_for_delete_retention_after_a_cleaning_met_it),
        TEST(records_without_a_key_go),
        TEST(aborted_records_go_first_and_their_marker_when_nothing_is_left_of_them),
        TEST(the_transaction_index_follows_its_markers),
        TEST(the_last_batch_of_a_known_producer_stays_for_its_sequence),
        TEST(the_last_batch_below_the_end_of_a_cleaning_stays_for_its_offset),
        TEST(small_segments_become_one),
        TEST(a_full_key_map_cleans_as_far_as_it_reaches),
        TEST(a_full_key_map_has_all_keys_of_the_batches_before),
        TEST(a_log_that_was_truncated_meanwhile_keeps_what_it_has),
        TEST(a_kill_at_any_operation_of_a_cleaning_leaves_the_old_or_the_new),
        TEST(a_power_cut_at_any_operation_of_a_cleaning_leaves_the_old_or_the_new),
        TEST(batches_of_any_size_around_a_block_of_keys_are_cleaned),
        TEST(the_key_map_grows_to_its_bound_and_says_when_it_is_full),
    };
    return run_tests_with_fixture("compaction", tests, ARRAY_SIZE(tests), compact_set_up, compact_tear_down);
}
