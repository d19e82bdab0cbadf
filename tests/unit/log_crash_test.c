/* A log directory dies at every single disk operation of a working life, by SIGKILL and by power cut, and comes back.
 *
 * What must hold after the restart: the directory opens; batches lie without a hole, each one as it was once appended
 * at its offset; nothing acknowledged is missing after a kill, nothing flushed after a power cut; appending goes on. */
#include "tests/unit/log_crash_fixture.h"

#define DIRECTORY "/data"

static struct log_manager *manager;

static int start(void) {
    static const char *const directories[] = {DIRECTORY};
    const struct log_manager_config config = crash_config(directories, 1);
    return open_and_load(&config, &manager);
}

static void end(void) {
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}

static struct log *make_log(void) {
    struct log *log;
    ck_assert_int_eq(start(), 0);
    ck_assert_int_eq(log_manager_get_or_create(manager, "t", 0, true, (struct uuid){0}, &log), 0);
    return log;
}

static struct log *find_log(void) {
    struct log *log = log_manager_find(manager, "t", 0);
    ck_assert_ptr_nonnull(log);
    return log;
}

static bool append_some(struct log *log, int count, int32_t leader_epoch) {
    while (count > 0 && append(log, leader_epoch)) {
        count--;
    }
    return count == 0;
}

static bool flush(struct log *log) {
    if (log_flush(log) != 0) {
        return false;
    }
    model.flushed = model.end;
    return true;
}

/* A life with everything in it; ends at the first failure. Returns whether it got to its end. */
static bool live(void) {
    struct log *log;
    if (start() != 0) {
        return false;
    }
    struct uuid id = {.bytes = {1}};
    bool alive = log_manager_write_identity(manager, 1, "cluster") == 0 &&
                 log_manager_get_or_create(manager, "t", 0, true, id, &log) == 0;
    alive = alive && append_some(log, 15, 0) && flush(log) && log_manager_checkpoint(manager) == 0 &&
            append_some(log, 15, 1) && truncate_to(log, 22) && append_some(log, 4, 2) && flush(log) &&
            log_manager_checkpoint(manager) == 0 && truncate_to(log, 12) && append_some(log, 20, 3) &&
            log_increase_start_offset(log, 7) == 0 && flush(log) && log_manager_checkpoint(manager) == 0 &&
            append_some(log, 9, 4);
    if (alive && log_manager_shutdown(manager) == 0) {
        model.flushed = model.end;
    } else {
        alive = false;
    }
    log_manager_destroy(manager);
    return alive;
}

/* Dies at this operation, comes back and goes on. Returns false when the life was over before. */
static bool crash_at(int64_t operation, bool power_loss, const char *when) {
    begin_on_new_disk(operation);
    bool finished = live();
    memory_disk_restart(disk, power_loss);
    ck_assert_msg(start() == 0, "%s: does not start again", when);
    ck_assert_int_eq(log_manager_write_identity(manager, 1, "cluster"), 0);
    struct log *log = log_manager_find(manager, "t", 0);
    check_what_is_left(log, power_loss, when);
    if (log != NULL) {
        int64_t left = log_end_offset(log);
        ck_assert_msg(append_some(log, 12, 9), "%s: appending does not go on", when);
        ck_assert_int_eq(log_end_offset(log), left + 12);
        /* And once more, cleanly: what was recovered stays. */
        ck_assert_int_eq(log_manager_shutdown(manager), 0);
        log_manager_destroy(manager);
        ck_assert_int_eq(start(), 0);
        log = find_log();
        ck_assert_int_eq(log_end_offset(log), left + 12);
        ck_assert_int_eq(log_latest_epoch(log), 9);
    }
    end();
    return !finished;
}

START_TEST(a_kill_at_any_disk_operation_loses_nothing_acknowledged) {
    ck_assert_int_gt(sweep_operations(crash_at, false), 100);
}
END_TEST

START_TEST(a_power_cut_at_any_disk_operation_loses_nothing_flushed) {
    ck_assert_int_gt(sweep_operations(crash_at, true), 100);
}
END_TEST

START_TEST(a_flipped_bit_ends_the_log_before_it_or_is_harmless) {
    struct test_batch one = test_batch_of(1);
    struct byte_buffer encoded = {0};
    test_batch_encode(&one, &encoded);
    int64_t batch_size = (int64_t)encoded.size;
    byte_buffer_deinit(&encoded);
    for (int64_t position = 0;; position += 3) {
        begin_on_new_disk(0);
        struct log *log = make_log();
        ck_assert(append_some(log, 12, 0));
        log_manager_destroy(manager);
        bool flipped = memory_disk_flip(disk, DIRECTORY "/t-0/00000000000000000000.log", position, (int)(position % 8));
        ck_assert_int_eq(start(), 0);
        log = find_log();
        model.end = model.truncating = flipped ? 0 : model.end;
        /* Base offset and leader epoch lie outside the checksum (rule 28): a batch that moved forward looks like one
         * after a gap of compaction. The log opens; nothing more can be said. */
        int64_t in_batch = position % batch_size;
        bool is_covered =
            in_batch >= BATCH_AT_LENGTH && (in_batch < BATCH_AT_LEADER_EPOCH || in_batch >= BATCH_AT_MAGIC);
        if (!flipped || is_covered) {
            ck_assert_int_le(log_end_offset(log), flipped ? position / batch_size : 12);
            check_content(log, false, "bit flip");
        }
        end();
        if (!flipped) {
            break;
        }
    }
}
END_TEST

/* A log of three records of epoch 0, flushed; from now on the workers get to nothing. */
static struct log *start_leading(void) {
    begin_on_new_disk(0);
    struct log *log = make_log();
    ck_assert(append_some(log, 3, 0) && flush(log));
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    test_time.defers_work = true;
    return log;
}

/* What the workers had yet to do is never done. */
static struct log *die_and_start(bool power_loss) {
    memory_disk_fail_at(disk, memory_disk_operations(disk) + 1);
    log_manager_destroy(manager);
    test_clock_work_all(&test_time);
    memory_disk_restart(disk, power_loss);
    test_time.defers_work = false;
    ck_assert_int_eq(start(), 0);
    return find_log();
}

static bool epoch_file_is(const char *expected) {
    struct byte_buffer text = {0};
    ck_assert_int_eq(file_read_whole(memory_disk_base(disk), DIRECTORY "/t-0/leader-epoch-checkpoint", 1000, &text), 0);
    bool is_same = text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
    byte_buffer_deinit(&text);
    return is_same;
}

START_TEST(the_epoch_of_a_leader_that_died_before_its_file_was_written_is_that_of_its_batches) {
    for (int power_loss = 0; power_loss < 2; power_loss++) {
        struct log *log = start_leading();
        ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
        ck_assert(append_some(log, 4, 5));
        ck_assert(epoch_file_is("0\n1\n0 0\n"));
        log = die_and_start(power_loss);
        check_content(log, power_loss, "a young leader");
        ck_assert_int_eq(log_end_offset(log), power_loss ? 3 : 7);
        ck_assert_int_eq(log_latest_epoch(log), power_loss ? 0 : 5);
        ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 3);
        ck_assert(epoch_file_is(power_loss ? "0\n1\n0 0\n" : "0\n2\n0 0\n5 3\n"));
        end();
    }
}
END_TEST

START_TEST(the_recovery_point_passes_no_epoch_that_its_file_does_not_have) {
    struct log *log = start_leading();
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    ck_assert(append_some(log, 20, 5)); /* segments of their own: recovery will not read the first of them */
    ck_assert_int_gt(log->segment_count, 3);
    ck_assert(epoch_file_is("0\n1\n0 0\n"));
    ck_assert(flush(log));
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    ck_assert(append_some(log, 2, 5));
    log = die_and_start(true);
    check_content(log, true, "a flushed leader");
    ck_assert_int_eq(log_latest_epoch(log), 5);
    ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 3);
    ck_assert(epoch_file_is("0\n2\n0 0\n5 3\n"));
    end();
}
END_TEST

START_TEST(an_epoch_without_a_record_gives_way_to_the_next_one_whatever_its_file_says) {
    struct log *log = start_leading();
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    test_clock_work_all(&test_time);
    ck_assert(epoch_file_is("0\n2\n0 0\n5 3\n"));
    ck_assert_int_eq(log_assign_epoch_start(log, 7), 0);
    ck_assert(append_some(log, 4, 7));
    log = die_and_start(false);
    check_content(log, false, "a leader twice");
    ck_assert_int_eq(log_epoch_end_offset(log, 5).epoch, 0);
    ck_assert(epoch_file_is("0\n2\n0 0\n7 3\n"));
    /* What was cut off is out of the file before anything takes its place. */
    test_time.defers_work = true;
    ck_assert_int_eq(log_assign_epoch_start(log, 8), 0);
    ck_assert(append_some(log, 2, 8) && truncate_to(log, 5));
    ck_assert(epoch_file_is("0\n2\n0 0\n7 3\n"));
    ck_assert(append_some(log, 2, 7));
    log = die_and_start(false);
    ck_assert_int_eq(log_latest_epoch(log), 7);
    end();
}
END_TEST

START_TEST(an_epoch_that_loading_dropped_is_out_of_the_file_before_an_older_one_takes_its_place) {
    struct log *log = start_leading();
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    test_clock_work_all(&test_time);
    /* A start writes nothing for it, and drops it each time. */
    for (int i = 0; i < 2; i++) {
        log = die_and_start(i == 1);
        ck_assert_int_eq(log_latest_epoch(log), 0);
        ck_assert(epoch_file_is("0\n2\n0 0\n5 3\n"));
    }
    /* The same leader again has nothing to write either. */
    test_time.defers_work = true;
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    ck_assert_int_eq(test_time.job_count, 0);
    ck_assert_int_eq(log_latest_epoch(log), 5);
    test_time.defers_work = false;
    log = die_and_start(false);
    test_time.defers_work = true;
    ck_assert(append_some(log, 2, 0));
    ck_assert(epoch_file_is("0\n1\n0 0\n"));
    log = die_and_start(false);
    check_content(log, false, "an older epoch goes on");
    ck_assert_int_eq(log_latest_epoch(log), 0);
    ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 5);
    end();
}
END_TEST

/* A leader of epoch 0 that has more than us was away while we led and wrote nothing, and leads again: it goes on
 * sending batches of an epoch that we know, or of none at all. */
START_TEST(an_epoch_that_loading_dropped_is_out_of_the_file_before_a_follower_takes_its_place) {
    for (int32_t epoch = -1; epoch <= 0; epoch++) {
        struct log *log = start_leading();
        ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
        test_clock_work_all(&test_time);
        log = die_and_start(false);
        ck_assert_int_eq(log_latest_epoch(log), 0);
        struct test_batch batch = test_batch_of(2);
        struct byte_buffer bytes = {0};
        struct log_append_info info;
        batch.base_offset = log_end_offset(log);
        batch.leader_epoch = epoch;
        test_batch_encode(&batch, &bytes);
        ck_assert_int_eq(log_append_as_follower(log, (struct slice){bytes.data, (int32_t)bytes.size}, &info), 0);
        byte_buffer_deinit(&bytes);
        ck_assert(epoch_file_is("0\n1\n0 0\n"));
        log = die_and_start(false);
        ck_assert_int_eq(log_end_offset(log), 5);
        ck_assert_int_eq(log_latest_epoch(log), 0);
        ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 5);
        end();
    }
}
END_TEST

/* As the kernel may, at any time. */
static void sync_by_itself(const char *path) {
    struct disk_file *file;
    ck_assert_int_eq(disk_open(memory_disk_base(disk), path, DISK_WRITE, &file), 0);
    ck_assert_int_eq(disk_sync(file), 0);
    disk_file_unref(file);
}

/* What lies behind the last batch was durable once, so that the cut, too, has to be made durable. */
START_TEST(what_recovery_cut_off_does_not_come_back_when_the_power_goes_after_the_next_flush) {
    static const uint8_t rest[27] = {1, 2, 3};
    struct disk_file *file;
    start_leading();
    ck_assert_int_eq(disk_open(memory_disk_base(disk), DIRECTORY "/t-0/00000000000000000000.log", DISK_WRITE, &file),
                     0);
    ck_assert_int_eq(disk_write(file, rest, sizeof rest, disk_size(file)), 0);
    ck_assert_int_eq(disk_sync(file), 0);
    disk_file_unref(file);
    struct log *log = die_and_start(false);
    ck_assert_int_eq(log_end_offset(log), 3);
    ck_assert_int_eq(log_roll(log), 0);
    ck_assert(append_some(log, 2, 0) && flush(log));
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    /* Were the indexes not whole, loading would read the segment again. */
    sync_by_itself(DIRECTORY "/t-0/00000000000000000000.index");
    sync_by_itself(DIRECTORY "/t-0/00000000000000000000.timeindex");
    log = die_and_start(true);
    check_content(log, true, "after a recovery that cut");
    ck_assert_int_eq(log_end_offset(log), 5);
    end();
}
END_TEST

START_TEST(a_flush_does_not_believe_an_earlier_one_that_is_still_under_way) {
    struct log *log = start_leading();
    ck_assert(append_some(log, 20, 0)); /* the flushes of what was rolled wait for a worker */
    ck_assert_int_gt(log->segment_count, 3);
    ck_assert_int_gt(log->flushes_in_flight, 0);
    struct log_flush later;
    ck_assert(log_flush_begin(log, log->end_offset, &later));
    log_flush_run(&later);
    ck_assert_int_eq(log_flush_finish(log, &later), 0);
    ck_assert_int_eq(log_recovery_point(log), model.end);
    model.flushed = model.end;
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    log = die_and_start(true);
    check_content(log, true, "two flushes");
    end();
}
END_TEST

/* Names reach the disk in no certain order either: segments that a truncation took away would be there again, when the
 * one it cut has gone on beyond where they begin, or just up to there. */
static void cut_and_lose_power(int records) {
    struct log *log = start_leading();
    ck_assert(append_some(log, 20, 0) && flush(log));
    ck_assert_int_gt(log->segment_count, 2);
    int64_t second = log->segments[1]->base_offset;
    ck_assert(truncate_to(log, second - 2));
    struct log_config config = *log_get_config(log);
    config.segment_bytes = 1 << 20;
    log_set_config(log, &config);
    ck_assert(append_some(log, records, 1));
    ck_assert_int_eq(log->segment_count, 1);
    sync_by_itself(DIRECTORY "/t-0/00000000000000000000.log");
    log = die_and_start(true);
    check_content(log, true, "a truncation and more records");
    ck_assert_int_eq(log_end_offset(log), second - 2 + records);
    ck_assert_int_eq(log->segment_count, 1);
    end();
}

START_TEST(segments_that_were_cut_off_do_not_come_back_when_the_power_goes) {
    cut_and_lose_power(4);
    cut_and_lose_power(2);
}
END_TEST

static char *path_of(int64_t base_offset, const char *suffix) {
    return xasprintf(DIRECTORY "/t-0/%020lld%s", (long long)base_offset, suffix);
}

static void lose(int64_t base_offset, const char *suffix) {
    char *path = path_of(base_offset, suffix);
    ck_assert_int_eq(file_remove(memory_disk_base(disk), path), 0);
    free(path);
}

/* An index is rebuilt by a recovery of its segment, which replays what is before it where there is no snapshot: not
 * before that has been recovered itself. */
START_TEST(a_lost_index_behind_a_torn_segment_does_not_keep_the_log_from_opening) {
    struct log *log = start_leading();
    ck_assert(append_some(log, 20, 0)); /* the flushes of what was rolled wait for a worker */
    ck_assert_int_gt(log->segment_count, 3);
    int64_t torn = log->segments[1]->base_offset;
    int64_t after = log->segments[2]->base_offset;
    lose(torn, ".snapshot");
    lose(after, ".snapshot");
    lose(after, ".index");
    char *path = path_of(torn, ".log");
    ck_assert(memory_disk_flip(disk, path, 16, 6)); /* the magic of its first batch */
    free(path);
    log = die_and_start(false);
    ck_assert_int_eq(log_end_offset(log), torn);
    check_content(log, true, "a torn segment before a lost index");
    end();
}
END_TEST

/* A follower whose leader ends, or begins, before its own start: what the checkpoint says of that start would hide what
 * it has now, or have it deleted where it ends below. */
START_TEST(a_log_that_begins_anew_at_a_lower_offset_begins_there_after_a_crash_too) {
    for (int fully = 0; fully < 2; fully++) {
        struct log *log = start_leading();
        ck_assert(append_some(log, 17, 0));
        int64_t base = log->segments[2]->base_offset;
        ck_assert_int_eq(log_increase_start_offset(log, base + 2), 0);
        ck_assert_int_eq(log_manager_checkpoint(manager), 0);
        int64_t start = fully ? 2 : base + 1;
        ck_assert_int_eq(fully ? log_truncate_fully_and_start_at(log, start) : log_truncate_to(log, start), 0);
        ck_assert_int_eq(log_start_offset(log), start);
        ck_assert(append_some(log, 2, 1));
        log = die_and_start(false);
        ck_assert_int_eq(log_end_offset(log), start + 2);
        ck_assert_int_le(log_start_offset(log), start);
        end();
    }
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_kill_at_any_disk_operation_loses_nothing_acknowledged),
        TEST(a_power_cut_at_any_disk_operation_loses_nothing_flushed),
        TEST(a_flipped_bit_ends_the_log_before_it_or_is_harmless),
        TEST(the_epoch_of_a_leader_that_died_before_its_file_was_written_is_that_of_its_batches),
        TEST(the_recovery_point_passes_no_epoch_that_its_file_does_not_have),
        TEST(an_epoch_without_a_record_gives_way_to_the_next_one_whatever_its_file_says),
        TEST(an_epoch_that_loading_dropped_is_out_of_the_file_before_an_older_one_takes_its_place),
        TEST(an_epoch_that_loading_dropped_is_out_of_the_file_before_a_follower_takes_its_place),
        TEST(segments_that_were_cut_off_do_not_come_back_when_the_power_goes),
        TEST(a_flush_does_not_believe_an_earlier_one_that_is_still_under_way),
        TEST(a_log_that_begins_anew_at_a_lower_offset_begins_there_after_a_crash_too),
        TEST(a_lost_index_behind_a_torn_segment_does_not_keep_the_log_from_opening),
        TEST(what_recovery_cut_off_does_not_come_back_when_the_power_goes_after_the_next_flush),
    };
    return run_tests("log_crash", tests, sizeof tests / sizeof tests[0]);
}
