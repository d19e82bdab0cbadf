/* A log directory dies at every single disk operation of a working life, by SIGKILL and by power cut, and comes back.
 *
 * What must hold after the restart: the directory opens; batches lie without a hole, each one as it was once appended
 * at its offset; nothing acknowledged is missing after a kill, nothing flushed after a power cut; appending goes on. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_internal.h"
#include "broker/log/log_manager.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/memory_disk.h"
#include "tests/lib/runner.h"

#define DIRECTORY "/data"
#define BATCHES_MAX 200

static struct test_clock test_time;

/* What the process was told: values are tags, one per batch of one record. */
struct model {
    int64_t end;                       /* acknowledged log end */
    int64_t flushed;                   /* everything below was flushed and not truncated since */
    int64_t truncating;                /* lowest offset an unfinished truncation aims at, or the end */
    int32_t value[BATCHES_MAX];        /* tag last acknowledged at each offset */
    bool was_there[BATCHES_MAX][1000]; /* tags ever sent at each offset */
    int32_t next_tag;
};

static void silent(enum trace_level level, const char *line, void *context) {
    (void)level;
    (void)line;
    (void)context;
}

static struct log_manager_config manager_config(void) {
    static const char *const directories[] = {DIRECTORY};
    struct log_manager_config config = {.directories = directories,
                                        .directory_count = 1,
                                        .broker_id = 1,
                                        .defaults = test_log_config(),
                                        .retention_check_ms = 300000,
                                        .flush_check_ms = 300000,
                                        .flush_offset_checkpoint_ms = 60000,
                                        .start_offset_checkpoint_ms = 60000,
                                        .high_watermark_checkpoint_ms = 5000};
    config.defaults.segment_bytes = 700;
    config.defaults.index_interval_bytes = 150;
    config.defaults.segment_index_bytes = 240;
    return config;
}

static int start(struct memory_disk *disk, struct log_manager **ret_manager) {
    struct log_manager_config config = manager_config();
    char *message = NULL;
    int error = log_manager_open(memory_disk_base(disk), &test_time.base, &config, ret_manager, &message);
    if (error == 0) {
        error = log_manager_load(*ret_manager, &message);
        if (error != 0) {
            log_manager_destroy(*ret_manager);
        }
    }
    if (error != 0) {
        *ret_manager = NULL;
    }
    free(message);
    return error;
}

/* One record whose timestamp is its tag; a producer with sequences, so that its state is at stake too. */
static bool append(struct log *log, struct model *model, int32_t leader_epoch) {
    int64_t offset = log_end_offset(log);
    ck_assert_int_lt(offset, BATCHES_MAX);
    struct test_batch batch = test_batch_of(1);
    batch.timestamp = model->next_tag;
    batch.leader_epoch = leader_epoch;
    model->was_there[offset][model->next_tag] = true;
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    test_batch_encode(&batch, &bytes);
    int error = log_append_as_leader(log, (struct slice){bytes.data, (int32_t)bytes.size}, leader_epoch,
                                     LOG_ORIGIN_CLIENT, 9, test_time.wall_ms, &info);
    byte_buffer_deinit(&bytes);
    if (error == 0) {
        ck_assert_int_eq(info.error_code, 0);
        model->value[offset] = model->next_tag;
        model->end = offset + 1;
        model->truncating = MAX(model->truncating, model->end);
    }
    model->next_tag++;
    return error == 0;
}

static bool append_some(struct log *log, struct model *model, int count, int32_t leader_epoch) {
    for (int i = 0; i < count; i++) {
        if (!append(log, model, leader_epoch)) {
            return false;
        }
    }
    return true;
}

static bool flush(struct log *log, struct model *model) {
    if (log_flush(log) != 0) {
        return false;
    }
    model->flushed = model->end;
    return true;
}

static bool truncate_to(struct log *log, struct model *model, int64_t offset) {
    model->truncating = offset;
    model->flushed = MIN(model->flushed, offset);
    if (log_truncate_to(log, offset) != 0) {
        return false;
    }
    model->end = offset;
    return true;
}

/* A life with everything in it; ends at the first failure. Returns whether it got to its end. */
static bool live(struct memory_disk *disk, struct model *model) {
    struct log_manager *manager;
    struct log *log;
    if (start(disk, &manager) != 0) {
        return false;
    }
    struct uuid id = {.bytes = {1}};
    bool alive = log_manager_write_identity(manager, 1, "cluster") == 0 &&
                 log_manager_get_or_create(manager, "t", 0, true, id, &log) == 0;
    alive = alive && append_some(log, model, 15, 0) && flush(log, model) && log_manager_checkpoint(manager) == 0 &&
            append_some(log, model, 15, 1) && truncate_to(log, model, 22) && append_some(log, model, 4, 2) &&
            flush(log, model) && log_manager_checkpoint(manager) == 0 && truncate_to(log, model, 12) &&
            append_some(log, model, 20, 3) && log_increase_start_offset(log, 7) == 0 && flush(log, model) &&
            log_manager_checkpoint(manager) == 0 && append_some(log, model, 9, 4);
    if (alive && log_manager_shutdown(manager) == 0) {
        model->flushed = model->end;
    } else {
        alive = false;
    }
    log_manager_destroy(manager);
    return alive;
}

static void check_content(struct log *log, const struct model *model, bool power_loss, const char *when) {
    struct byte_buffer bytes = {0};
    int64_t expected = log_start_offset(log);
    int64_t promised = power_loss ? model->flushed : MIN(model->end, model->truncating);
    test_read_all(log, 300, &bytes);
    for (size_t at = 0; at < bytes.size;) {
        struct record_batch header;
        ck_assert_int_eq(record_batch_decode(bytes.data + at, bytes.size - at, &header), 0);
        struct slice batch = {bytes.data + at, header.size};
        ck_assert_msg(record_batch_crc_is_valid(batch, &header), "%s: a bad batch at %lld", when,
                      (long long)header.base_offset);
        ck_assert_msg(header.base_offset == expected || at == 0, "%s: a hole before %lld", when,
                      (long long)header.base_offset);
        int64_t offset = header.base_offset;
        ck_assert_msg(header.base_timestamp < 1000 && model->was_there[offset][header.base_timestamp],
                      "%s: a stranger at %lld", when, (long long)offset);
        ck_assert_msg(offset >= promised || header.base_timestamp == model->value[offset], "%s: an old batch at %lld",
                      when, (long long)offset);
        expected = header.last_offset + 1;
        at += (size_t)header.size;
    }
    ck_assert_msg(log_end_offset(log) >= promised, "%s: the log ends at %lld, %lld were promised", when,
                  (long long)log_end_offset(log), (long long)promised);
    byte_buffer_deinit(&bytes);
}

/* Dies at this operation, comes back and goes on. Returns false when the life was over before. */
static bool crash_at(int64_t operation, bool power_loss) {
    static struct model model;
    char when[80];
    snprintf(when, sizeof when, "%s at operation %lld", power_loss ? "power cut" : "kill", (long long)operation);
    memset(&model, 0, sizeof model);
    test_clock_init(&test_time, 1700000100000);
    struct memory_disk *disk = memory_disk_create();
    memory_disk_fail_at(disk, operation);
    bool finished = live(disk, &model);
    memory_disk_restart(disk, power_loss);
    struct log_manager *manager;
    struct log *log;
    ck_assert_msg(start(disk, &manager) == 0, "%s: does not start again", when);
    ck_assert_int_eq(log_manager_write_identity(manager, 1, "cluster"), 0);
    log = log_manager_find(manager, "t", 0);
    ck_assert_msg(log != NULL || (power_loss ? model.flushed : model.end) == 0, "%s: the log is gone", when);
    if (log != NULL) {
        check_content(log, &model, power_loss, when);
        int64_t end = log_end_offset(log);
        model.end = model.truncating = end;
        ck_assert_msg(append_some(log, &model, 12, 9), "%s: appending does not go on", when);
        ck_assert_int_eq(log_end_offset(log), end + 12);
        /* And once more, cleanly: what was recovered stays. */
        ck_assert_int_eq(log_manager_shutdown(manager), 0);
        log_manager_destroy(manager);
        ck_assert_int_eq(start(disk, &manager), 0);
        log = log_manager_find(manager, "t", 0);
        ck_assert_ptr_nonnull(log);
        ck_assert_int_eq(log_end_offset(log), end + 12);
        ck_assert_int_eq(log_latest_epoch(log), 9);
    }
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
    return !finished;
}

static void sweep(bool power_loss) {
    trace_set_sink(silent, NULL);
    int64_t operation = 1;
    while (crash_at(operation, power_loss)) {
        operation++;
    }
    printf("%s at each of %lld disk operations: recovered\n", power_loss ? "power cut" : "kill",
           (long long)operation - 1);
    ck_assert_int_gt(operation, 100);
}

START_TEST(a_kill_at_any_disk_operation_loses_nothing_acknowledged) {
    sweep(false);
}
END_TEST

START_TEST(a_power_cut_at_any_disk_operation_loses_nothing_flushed) {
    sweep(true);
}
END_TEST

START_TEST(a_flipped_bit_ends_the_log_before_it_or_is_harmless) {
    static struct model model;
    trace_set_sink(silent, NULL);
    struct test_batch one = test_batch_of(1);
    struct byte_buffer encoded = {0};
    test_batch_encode(&one, &encoded);
    int64_t batch_size = (int64_t)encoded.size;
    byte_buffer_deinit(&encoded);
    for (int64_t position = 0;; position += 3) {
        memset(&model, 0, sizeof model);
        test_clock_init(&test_time, 1700000100000);
        struct memory_disk *disk = memory_disk_create();
        struct log_manager *manager;
        struct log *log;
        ck_assert_int_eq(start(disk, &manager), 0);
        ck_assert_int_eq(log_manager_get_or_create(manager, "t", 0, true, (struct uuid){0}, &log), 0);
        ck_assert(append_some(log, &model, 12, 0));
        log_manager_destroy(manager);
        bool flipped = memory_disk_flip(disk, DIRECTORY "/t-0/00000000000000000000.log", position, (int)(position % 8));
        ck_assert_int_eq(start(disk, &manager), 0);
        log = log_manager_find(manager, "t", 0);
        ck_assert_ptr_nonnull(log);
        model.end = model.truncating = flipped ? 0 : model.end;
        /* Base offset and leader epoch lie outside the checksum (rule 28): a batch that moved forward looks like one
         * after a gap of compaction. The log opens; nothing more can be said. */
        int64_t in_batch = position % batch_size;
        bool is_covered =
            in_batch >= BATCH_AT_LENGTH && (in_batch < BATCH_AT_LEADER_EPOCH || in_batch >= BATCH_AT_MAGIC);
        if (!flipped || is_covered) {
            ck_assert_int_le(log_end_offset(log), flipped ? position / batch_size : 12);
            check_content(log, &model, false, "bit flip");
        }
        log_manager_destroy(manager);
        memory_disk_destroy(disk);
        if (!flipped) {
            break;
        }
    }
}
END_TEST

/* A log of three records of epoch 0, flushed; from now on the workers get to nothing. */
static struct log *start_leading(struct memory_disk *disk, struct log_manager **ret_manager, struct model *model) {
    struct log *log;
    memset(model, 0, sizeof *model);
    trace_set_sink(silent, NULL);
    test_clock_init(&test_time, 1700000100000);
    ck_assert_int_eq(start(disk, ret_manager), 0);
    ck_assert_int_eq(log_manager_get_or_create(*ret_manager, "t", 0, true, (struct uuid){0}, &log), 0);
    ck_assert(append_some(log, model, 3, 0) && flush(log, model));
    ck_assert_int_eq(log_manager_checkpoint(*ret_manager), 0);
    test_time.defers_work = true;
    return log;
}

/* What the workers had yet to do is never done. */
static struct log *die_and_start(struct memory_disk *disk, bool power_loss, struct log_manager **manager) {
    memory_disk_fail_at(disk, memory_disk_operations(disk) + 1);
    log_manager_destroy(*manager);
    while (test_clock_work(&test_time)) {
    }
    memory_disk_restart(disk, power_loss);
    test_time.defers_work = false;
    ck_assert_int_eq(start(disk, manager), 0);
    struct log *log = log_manager_find(*manager, "t", 0);
    ck_assert_ptr_nonnull(log);
    return log;
}

static bool epoch_file_is(struct memory_disk *disk, const char *expected) {
    struct byte_buffer text = {0};
    ck_assert_int_eq(file_read_whole(memory_disk_base(disk), DIRECTORY "/t-0/leader-epoch-checkpoint", 1000, &text), 0);
    bool is_same = text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
    byte_buffer_deinit(&text);
    return is_same;
}

START_TEST(the_epoch_of_a_leader_that_died_before_its_file_was_written_is_that_of_its_batches) {
    static struct model model;
    for (int power_loss = 0; power_loss < 2; power_loss++) {
        struct memory_disk *disk = memory_disk_create();
        struct log_manager *manager;
        struct log *log = start_leading(disk, &manager, &model);
        ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
        ck_assert(append_some(log, &model, 4, 5));
        ck_assert(epoch_file_is(disk, "0\n1\n0 0\n"));
        log = die_and_start(disk, power_loss, &manager);
        check_content(log, &model, power_loss, "a young leader");
        int64_t end = log_end_offset(log);
        ck_assert_int_eq(end, power_loss ? 3 : 7);
        ck_assert_int_eq(log_latest_epoch(log), power_loss ? 0 : 5);
        ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 3);
        ck_assert(epoch_file_is(disk, power_loss ? "0\n1\n0 0\n" : "0\n2\n0 0\n5 3\n"));
        log_manager_destroy(manager);
        memory_disk_destroy(disk);
    }
}
END_TEST

START_TEST(the_recovery_point_passes_no_epoch_that_its_file_does_not_have) {
    static struct model model;
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct log *log = start_leading(disk, &manager, &model);
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    ck_assert(append_some(log, &model, 20, 5)); /* segments of their own: recovery will not read the first of them */
    ck_assert_int_gt(log->segment_count, 3);
    ck_assert(epoch_file_is(disk, "0\n1\n0 0\n"));
    ck_assert(flush(log, &model));
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    ck_assert(append_some(log, &model, 2, 5));
    log = die_and_start(disk, true, &manager);
    check_content(log, &model, true, "a flushed leader");
    ck_assert_int_eq(log_latest_epoch(log), 5);
    ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 3);
    ck_assert(epoch_file_is(disk, "0\n2\n0 0\n5 3\n"));
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

START_TEST(an_epoch_without_a_record_gives_way_to_the_next_one_whatever_its_file_says) {
    static struct model model;
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct log *log = start_leading(disk, &manager, &model);
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    while (test_clock_work(&test_time)) {
    }
    ck_assert(epoch_file_is(disk, "0\n2\n0 0\n5 3\n"));
    ck_assert_int_eq(log_assign_epoch_start(log, 7), 0);
    ck_assert(append_some(log, &model, 4, 7));
    log = die_and_start(disk, false, &manager);
    check_content(log, &model, false, "a leader twice");
    ck_assert_int_eq(log_epoch_end_offset(log, 5).epoch, 0);
    ck_assert(epoch_file_is(disk, "0\n2\n0 0\n7 3\n"));
    /* What was cut off is out of the file before anything takes its place. */
    test_time.defers_work = true;
    ck_assert_int_eq(log_assign_epoch_start(log, 8), 0);
    ck_assert(append_some(log, &model, 2, 8) && truncate_to(log, &model, 5));
    ck_assert(epoch_file_is(disk, "0\n2\n0 0\n7 3\n"));
    ck_assert(append_some(log, &model, 2, 7));
    log = die_and_start(disk, false, &manager);
    ck_assert_int_eq(log_latest_epoch(log), 7);
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

START_TEST(an_epoch_that_loading_dropped_is_out_of_the_file_before_an_older_one_takes_its_place) {
    static struct model model;
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct log *log = start_leading(disk, &manager, &model);
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    while (test_clock_work(&test_time)) {
    }
    /* A start writes nothing for it, and drops it each time. */
    for (int i = 0; i < 2; i++) {
        log = die_and_start(disk, i == 1, &manager);
        ck_assert_int_eq(log_latest_epoch(log), 0);
        ck_assert(epoch_file_is(disk, "0\n2\n0 0\n5 3\n"));
    }
    /* The same leader again has nothing to write either. */
    test_time.defers_work = true;
    ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
    ck_assert_int_eq(test_time.job_count, 0);
    ck_assert_int_eq(log_latest_epoch(log), 5);
    test_time.defers_work = false;
    log = die_and_start(disk, false, &manager);
    test_time.defers_work = true;
    ck_assert(append_some(log, &model, 2, 0));
    ck_assert(epoch_file_is(disk, "0\n1\n0 0\n"));
    log = die_and_start(disk, false, &manager);
    check_content(log, &model, false, "an older epoch goes on");
    ck_assert_int_eq(log_latest_epoch(log), 0);
    ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 5);
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

/* A leader of epoch 0 that has more than us was away while we led and wrote nothing, and leads again: it goes on
 * sending batches of an epoch that we know, or of none at all. */
START_TEST(an_epoch_that_loading_dropped_is_out_of_the_file_before_a_follower_takes_its_place) {
    static struct model model;
    for (int32_t epoch = -1; epoch <= 0; epoch++) {
        struct memory_disk *disk = memory_disk_create();
        struct log_manager *manager;
        struct log *log = start_leading(disk, &manager, &model);
        ck_assert_int_eq(log_assign_epoch_start(log, 5), 0);
        while (test_clock_work(&test_time)) {
        }
        log = die_and_start(disk, false, &manager);
        ck_assert_int_eq(log_latest_epoch(log), 0);
        struct test_batch batch = test_batch_of(2);
        struct byte_buffer bytes = {0};
        struct log_append_info info;
        batch.base_offset = log_end_offset(log);
        batch.leader_epoch = epoch;
        test_batch_encode(&batch, &bytes);
        ck_assert_int_eq(log_append_as_follower(log, (struct slice){bytes.data, (int32_t)bytes.size}, &info), 0);
        byte_buffer_deinit(&bytes);
        ck_assert(epoch_file_is(disk, "0\n1\n0 0\n"));
        log = die_and_start(disk, false, &manager);
        ck_assert_int_eq(log_end_offset(log), 5);
        ck_assert_int_eq(log_latest_epoch(log), 0);
        ck_assert_int_eq(log_epoch_end_offset(log, 0).end_offset, 5);
        log_manager_destroy(manager);
        memory_disk_destroy(disk);
    }
}
END_TEST

/* As the kernel may, at any time. */
static void sync_by_itself(struct memory_disk *disk, const char *path) {
    struct disk_file *file;
    ck_assert_int_eq(disk_open(memory_disk_base(disk), path, DISK_WRITE, &file), 0);
    ck_assert_int_eq(disk_sync(file), 0);
    disk_file_unref(file);
}

/* What lies behind the last batch was durable once, so that the cut, too, has to be made durable. */
START_TEST(what_recovery_cut_off_does_not_come_back_when_the_power_goes_after_the_next_flush) {
    static struct model model;
    static const uint8_t rest[27] = {1, 2, 3};
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct disk_file *file;
    start_leading(disk, &manager, &model);
    ck_assert_int_eq(disk_open(memory_disk_base(disk), DIRECTORY "/t-0/00000000000000000000.log", DISK_WRITE, &file),
                     0);
    ck_assert_int_eq(disk_write(file, rest, sizeof rest, disk_size(file)), 0);
    ck_assert_int_eq(disk_sync(file), 0);
    disk_file_unref(file);
    struct log *log = die_and_start(disk, false, &manager);
    ck_assert_int_eq(log_end_offset(log), 3);
    ck_assert_int_eq(log_roll(log), 0);
    ck_assert(append_some(log, &model, 2, 0) && flush(log, &model));
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    /* Were the indexes not whole, loading would read the segment again. */
    sync_by_itself(disk, DIRECTORY "/t-0/00000000000000000000.index");
    sync_by_itself(disk, DIRECTORY "/t-0/00000000000000000000.timeindex");
    log = die_and_start(disk, true, &manager);
    check_content(log, &model, true, "after a recovery that cut");
    ck_assert_int_eq(log_end_offset(log), 5);
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

START_TEST(a_flush_does_not_believe_an_earlier_one_that_is_still_under_way) {
    static struct model model;
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct log *log = start_leading(disk, &manager, &model);
    ck_assert(append_some(log, &model, 20, 0)); /* the flushes of what was rolled wait for a worker */
    ck_assert_int_gt(log->segment_count, 3);
    ck_assert_int_gt(log->flushes_in_flight, 0);
    struct log_flush later;
    ck_assert(log_flush_begin(log, log->end_offset, &later));
    log_flush_run(&later);
    ck_assert_int_eq(log_flush_finish(log, &later), 0);
    ck_assert_int_eq(log_recovery_point(log), model.end);
    model.flushed = model.end;
    ck_assert_int_eq(log_manager_checkpoint(manager), 0);
    log = die_and_start(disk, true, &manager);
    check_content(log, &model, true, "two flushes");
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

/* Names reach the disk in no certain order either: segments that a truncation took away would be there again, when the
 * one it cut has gone on beyond where they begin, or just up to there. */
static void cut_and_lose_power(int records) {
    static struct model model;
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct log *log = start_leading(disk, &manager, &model);
    ck_assert(append_some(log, &model, 20, 0) && flush(log, &model));
    ck_assert_int_gt(log->segment_count, 2);
    int64_t second = log->segments[1]->base_offset;
    ck_assert(truncate_to(log, &model, second - 2));
    struct log_config config = *log_get_config(log);
    config.segment_bytes = 1 << 20;
    log_set_config(log, &config);
    ck_assert(append_some(log, &model, records, 1));
    ck_assert_int_eq(log->segment_count, 1);
    sync_by_itself(disk, DIRECTORY "/t-0/00000000000000000000.log");
    log = die_and_start(disk, true, &manager);
    check_content(log, &model, true, "a truncation and more records");
    ck_assert_int_eq(log_end_offset(log), second - 2 + records);
    ck_assert_int_eq(log->segment_count, 1);
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}

START_TEST(segments_that_were_cut_off_do_not_come_back_when_the_power_goes) {
    cut_and_lose_power(4);
    cut_and_lose_power(2);
}
END_TEST

static char *path_of(int64_t base_offset, const char *suffix) {
    return xasprintf(DIRECTORY "/t-0/%020lld%s", (long long)base_offset, suffix);
}

static void lose(struct memory_disk *disk, int64_t base_offset, const char *suffix) {
    char *path = path_of(base_offset, suffix);
    ck_assert_int_eq(file_remove(memory_disk_base(disk), path), 0);
    free(path);
}

/* An index is rebuilt by a recovery of its segment, which replays what is before it where there is no snapshot: not
 * before that has been recovered itself. */
START_TEST(a_lost_index_behind_a_torn_segment_does_not_keep_the_log_from_opening) {
    static struct model model;
    struct memory_disk *disk = memory_disk_create();
    struct log_manager *manager;
    struct log *log = start_leading(disk, &manager, &model);
    ck_assert(append_some(log, &model, 20, 0)); /* the flushes of what was rolled wait for a worker */
    ck_assert_int_gt(log->segment_count, 3);
    int64_t torn = log->segments[1]->base_offset;
    int64_t after = log->segments[2]->base_offset;
    lose(disk, torn, ".snapshot");
    lose(disk, after, ".snapshot");
    lose(disk, after, ".index");
    char *path = path_of(torn, ".log");
    ck_assert(memory_disk_flip(disk, path, 16, 6)); /* the magic of its first batch */
    free(path);
    log = die_and_start(disk, false, &manager);
    ck_assert_int_eq(log_end_offset(log), torn);
    check_content(log, &model, true, "a torn segment before a lost index");
    log_manager_destroy(manager);
    memory_disk_destroy(disk);
}
END_TEST

/* A follower whose leader ends, or begins, before its own start: what the checkpoint says of that start would hide what
 * it has now, or have it deleted where it ends below. */
START_TEST(a_log_that_begins_anew_at_a_lower_offset_begins_there_after_a_crash_too) {
    static struct model model;
    for (int fully = 0; fully < 2; fully++) {
        struct memory_disk *disk = memory_disk_create();
        struct log_manager *manager;
        struct log *log = start_leading(disk, &manager, &model);
        ck_assert(append_some(log, &model, 17, 0));
        int64_t base = log->segments[2]->base_offset;
        ck_assert_int_eq(log_increase_start_offset(log, base + 2), 0);
        ck_assert_int_eq(log_manager_checkpoint(manager), 0);
        int64_t start = fully ? 2 : base + 1;
        ck_assert_int_eq(fully ? log_truncate_fully_and_start_at(log, start) : log_truncate_to(log, start), 0);
        ck_assert_int_eq(log_start_offset(log), start);
        ck_assert(append_some(log, &model, 2, 1));
        log = die_and_start(disk, false, &manager);
        ck_assert_int_eq(log_end_offset(log), start + 2);
        ck_assert_int_le(log_start_offset(log), start);
        log_manager_destroy(manager);
        memory_disk_destroy(disk);
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
