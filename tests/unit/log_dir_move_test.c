/* AlterReplicaLogDirs on a broker with two directories: replicas move while they are used, moves are cancelled,
 * stopped, gone on with after a restart, and end with their directories. */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/log/compaction.h"
#include "broker/protocol/errors.h"
#include "replication/log_move_runtime.h"
#include "replication/partition_runtime.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/runner.h"

#define TRICKLE 400 /* bytes a second: some batches */

static struct fake_cluster c;

static struct replica_manager *replicas(void) {
    return c.brokers[1].replicas;
}

static struct str home(void) {
    return str_from(c.brokers[1].directory);
}

static struct str spare(void) {
    return str_from(c.brokers[1].spare_directory);
}

static void set_up(void) {
    fake_cluster_create(&c, 2, 1);
    fake_cluster_lead(&c, 1, 12); /* before there is a second directory, so that the log is in the first */
    fake_cluster_run(&c, 1000);
    fake_broker_kill(&c, 1);
    c.brokers[1].spare_directory = test_directory_create();
    fake_broker_start(&c, 1);
    fake_cluster_lead(&c, 1, 12);
    fake_cluster_run(&c, 1000);
}

static void tear_down(void) {
    fake_cluster_destroy(&c);
}

static int16_t move_to(struct str path) {
    return replica_manager_alter_log_dir(replicas(), STR_LITERAL("t"), 0, path);
}

static bool is_in(struct str path) {
    return log_manager_is_in(c.brokers[1].logs, fake_partition(&c, 1)->log, path);
}

static struct log *future(void) {
    return log_manager_find_future(c.brokers[1].logs, "t", 0);
}

/* Directories of the partition's logs, those to be deleted left out. */
static int count_names(struct str path, const char *tail) {
    DIR *directory = opendir(path.data);
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t size = strlen(entry->d_name);
        count += strncmp(entry->d_name, "t-0", 3) == 0 && size >= strlen(tail) &&
                 strcmp(entry->d_name + size - strlen(tail), tail) == 0;
    }
    closedir(directory);
    return count;
}

static void append(int batches) {
    for (int i = 0; i < batches; i++) {
        ck_assert_int_eq(fake_append(&c, 1, 5, 1).error_code, KAFKA_NONE);
    }
}

/* Of 40 batches some are there, and the rate lets no more through. */
static void begin_slowly(void) {
    append(40);
    replica_manager_set_move_rate(replicas(), TRICKLE);
    fake_cluster_run(&c, 2000);
    ck_assert_int_eq(move_to(spare()), KAFKA_NONE);
    fake_cluster_run(&c, 1000);
    ck_assert_ptr_nonnull(future());
    ck_assert_int_gt(log_end_offset(future()), 0);
    ck_assert_int_lt(log_end_offset(future()), fake_log_end(&c, 1));
}

static void let_go(void) {
    replica_manager_set_move_rate(replicas(), INT64_MAX);
    fake_cluster_run(&c, 2000);
}

START_TEST(a_replica_moves_while_it_is_used) {
    begin_slowly();
    append(3);
    let_go();
    ck_assert_ptr_null(future());
    ck_assert(is_in(spare()));
    ck_assert_int_eq(count_names(home(), "t-0"), 0);
    ck_assert_int_eq(count_names(home(), "-delete"), 1);
    append(3);
    fake_cluster_run(&c, 1000);
    ck_assert_int_eq(fake_log_end(&c, 1), 46 * 5);
    ck_assert_int_eq(fake_high_watermark(&c, 1), 46 * 5);
    ck_assert(fake_logs_equal(&c, 1, 2));
    /* And back, after which a restart finds it there. */
    ck_assert_int_eq(move_to(home()), KAFKA_NONE);
    fake_cluster_run(&c, 1000);
    ck_assert(is_in(home()));
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    ck_assert_int_eq(log_end_offset(log_manager_find(c.brokers[1].logs, "t", 0)), 46 * 5);
}
END_TEST

START_TEST(the_directory_it_is_in_cancels_a_move_and_the_one_it_goes_to_changes_nothing) {
    begin_slowly();
    const struct log *before = future();
    ck_assert_int_eq(move_to(spare()), KAFKA_NONE);
    ck_assert_ptr_eq(future(), before);
    ck_assert_int_eq(move_to(home()), KAFKA_NONE);
    ck_assert_ptr_null(future());
    ck_assert(is_in(home()));
    ck_assert_int_eq(count_names(spare(), "-future"), 0);
    let_go();
    ck_assert(is_in(home()));
    ck_assert_int_eq(move_to(home()), KAFKA_NONE);
    ck_assert_ptr_null(future());
}
END_TEST

START_TEST(errors_are_kafkas) {
    char name[220];
    memset(name, 'x', sizeof name);
    ck_assert_int_eq(move_to(STR_LITERAL("/nosuch")), KAFKA_LOG_DIR_NOT_FOUND);
    ck_assert_int_eq(replica_manager_alter_log_dir(replicas(), (struct str){name, sizeof name}, 0, spare()),
                     KAFKA_INVALID_TOPIC_EXCEPTION);
    ck_assert_int_eq(replica_manager_alter_log_dir(replicas(), STR_LITERAL("u"), 0, spare()),
                     KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}
END_TEST

START_TEST(a_replica_that_is_not_here_yet_is_made_where_it_was_asked_for) {
    /* The first directory would be as good: nothing is in either. */
    struct uuid id = c.topic_id;
    const struct image_partition told = {.partition = 7, .leader = 1, .leader_epoch = 0};
    struct log *log;
    image_set_partition(c.brokers[1].image, "u", id, &told);
    for (int i = 0; i < 2; i++) {
        struct str path = i == 0 ? spare() : home();
        ck_assert_int_eq(replica_manager_alter_log_dir(replicas(), STR_LITERAL("u"), 7, path),
                         KAFKA_REPLICA_NOT_AVAILABLE);
        ck_assert_int_eq(log_manager_get_or_create(c.brokers[1].logs, "u", 7, true, id, &log), 0);
        ck_assert(log_manager_is_in(c.brokers[1].logs, log, path));
        ck_assert_int_eq(log_manager_delete(c.brokers[1].logs, "u", 7), 0);
    }
}
END_TEST

START_TEST(a_restart_goes_on_with_a_move) {
    begin_slowly();
    fake_broker_kill(&c, 1);
    fake_broker_start(&c, 1);
    ck_assert_ptr_nonnull(future());
    fake_cluster_run(&c, 1000);
    ck_assert_ptr_nonnull(future()); /* nobody has said yet whose replica it is */
    fake_cluster_lead(&c, 2, 12);
    fake_cluster_run(&c, 2000);
    ck_assert_ptr_null(future());
    ck_assert(is_in(spare()));
    ck_assert(fake_logs_equal(&c, 1, 2));
}
END_TEST

/* All there is, as the cleaner would, on a broker that is down. */
static void clean_at_home(const struct log_config *config) {
    static const struct compaction_limits limits = {
        .map_bytes_max = 1 << 20, .map_load_factor = 0.9, .io_buffer_bytes = 4096};
    char *directory = xasprintf("%s/t-0", c.brokers[1].directory);
    struct log *log = test_log_open(disk_posix(), &c.clock.base, directory, config, 0, false);
    ck_assert_int_eq(log_roll(log), 0);
    int64_t end = log_end_offset(log);
    int64_t size = log_size_bytes(log);
    struct compaction_range range = log_cleanable_range(log, -1, end, c.clock.wall_ms);
    struct compaction *compaction;
    ck_assert_int_eq(compaction_begin(log, &range, &limits, c.clock.wall_ms, &compaction), 0);
    for (enum compaction_state state; (state = compaction_work(compaction, 1 << 20)) != COMPACTION_DONE;) {
        ck_assert_int_ne(state, COMPACTION_FAILED);
        if (state == COMPACTION_REPLACES) {
            ck_assert_int_eq(log_replace_segments(log, compaction), 0);
        }
    }
    compaction_destroy(compaction, true);
    ck_assert_int_lt(log_size_bytes(log), size / 5);
    ck_assert_int_eq(log_close(log), 0);
    log_destroy(log);
    free(directory);
}

/* The copy's directory was not there, so that the cleaner did not wait for it. What it took would be in the copy. */
START_TEST(a_copy_from_before_a_cleaning_begins_anew) {
    begin_slowly();
    struct log_config config = *log_get_config(future());
    config.compact = true;
    fake_broker_kill(&c, 1);
    clean_at_home(&config);
    c.is_compacted = true;
    fake_broker_start(&c, 1);
    fake_cluster_lead(&c, 2, 12);
    int64_t size = log_size_bytes(fake_partition(&c, 1)->log);
    fake_cluster_run(&c, 2000);
    ck_assert_ptr_null(future());
    ck_assert(is_in(spare()));
    ck_assert_int_eq(log_size_bytes(fake_partition(&c, 1)->log), size);
}
END_TEST

/* Nobody cleans it while its copy is there, so that this is the last time it need be asked. */
START_TEST(a_copy_that_began_anew_is_gone_on_with_when_its_replica_is_commanded_again) {
    begin_slowly();
    fake_broker_kill(&c, 1);
    c.is_compacted = true;
    fake_broker_start(&c, 1);
    replica_manager_set_move_rate(replicas(), TRICKLE);
    fake_cluster_lead(&c, 2, 12);
    fake_cluster_run(&c, 1000);
    int64_t end = log_end_offset(future());
    ck_assert_int_gt(end, 0);
    log_move_runtime_resume(fake_partition(&c, 1));
    ck_assert_int_eq(log_end_offset(future()), end);
}
END_TEST

/* A power cut may leave a copy without it, since it is synced with the first flush only. */
START_TEST(a_copy_that_lost_its_topic_id_has_it_again_when_it_takes_the_place) {
    begin_slowly();
    char *path = xasprintf("%s/partition.metadata", log_directory(future()));
    fake_broker_kill(&c, 1);
    ck_assert_int_eq(unlink(path), 0);
    free(path);
    fake_broker_start(&c, 1);
    fake_cluster_lead(&c, 2, 12);
    fake_cluster_run(&c, 2000);
    ck_assert_ptr_null(future());
    ck_assert(is_in(spare()));
    const struct partition_runtime *partition = fake_partition(&c, 1);
    ck_assert(!uuid_is_zero(partition->topic_id));
    ck_assert(uuid_equal(log_topic_id(partition->log), partition->topic_id));
}
END_TEST

/* A follower of a cleaned log may have been cut inside a gap: there is nothing to copy up to its end, for now. */
START_TEST(a_copy_waits_where_the_log_ends_in_a_gap) {
    append(2);
    fake_cluster_run(&c, 1000);
    struct log *log = fake_partition(&c, 1)->log;
    struct test_batch batch = test_batch_of(1);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    batch.base_offset = 20;
    batch.leader_epoch = log_latest_epoch(log);
    test_batch_encode(&batch, &bytes);
    ck_assert_int_eq(log_append_as_follower(log, (struct slice){bytes.data, (int32_t)bytes.size}, &info), 0);
    byte_buffer_deinit(&bytes);
    ck_assert_int_eq(log_truncate_to(log, 15), 0);
    ck_assert_int_eq(log_end_offset(log), 15);
    ck_assert_int_eq(move_to(spare()), KAFKA_NONE);
    fake_cluster_run(&c, 3000);
    ck_assert_int_eq(log_end_offset(future()), 10);
}
END_TEST

/* A doubt is the log's, and would be gone with it (replication/README.md, "Holes"). */
START_TEST(a_copy_of_a_doubtful_log_waits_until_that_is_settled) {
    c.is_compacted = true;
    for (int i = 0; i < 3; i++) {
        append(2);
        ck_assert_int_eq(log_roll(fake_partition(&c, 1)->log), 0);
    }
    fake_cluster_run(&c, 1000);
    fake_broker_kill(&c, 1);
    char *path = xasprintf("%s/t-0/%020d.log", c.brokers[1].directory, 10);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(truncate(path, status.st_size / 2), 0);
    free(path);
    fake_broker_start(&c, 1);
    fake_broker_kill(&c, 2);
    fake_cluster_lead(&c, 2, 12); /* which is not followed, so that nobody knows yet */
    ck_assert_int_eq(log_doubtful_from(fake_partition(&c, 1)->log), 15);
    ck_assert_int_eq(move_to(spare()), KAFKA_NONE);
    fake_cluster_run(&c, 5000);
    ck_assert_int_eq(log_doubtful_from(fake_partition(&c, 1)->log), 15);
    ck_assert_int_eq(log_end_offset(future()), 30);
    ck_assert(is_in(home()));
    fake_cluster_lead(&c, 1, 1);
    fake_cluster_run(&c, 2000);
    ck_assert_ptr_null(future());
    ck_assert(is_in(spare()));
}
END_TEST

START_TEST(a_deposed_leader_is_cut_and_its_copy_with_it) {
    append(10);
    fake_cluster_run(&c, 1000);
    c.brokers[2].is_cut = true;
    append(10); /* nobody else has these */
    replica_manager_set_move_rate(replicas(), TRICKLE);
    ck_assert_int_eq(move_to(spare()), KAFKA_NONE);
    replica_manager_set_move_rate(replicas(), 5000);
    for (int i = 0; i < 100 && future() != NULL && log_end_offset(future()) <= 60; i++) {
        fake_cluster_run(&c, 10);
    }
    c.brokers[2].is_cut = false;
    fake_cluster_lead(&c, 2, 12);
    ck_assert_int_eq(fake_append(&c, 2, 1, 1).error_code, KAFKA_NONE);
    fake_cluster_run(&c, 20000);
    ck_assert_ptr_null(future());
    ck_assert(is_in(spare()));
    ck_assert_int_eq(fake_log_end(&c, 1), 51);
    ck_assert(fake_logs_equal(&c, 1, 2));
}
END_TEST

START_TEST(deleted_records_are_waited_for_in_the_copy_too) {
    begin_slowly();
    int64_t offset;
    int64_t low_watermark;
    int64_t target = log_end_offset(future()) + 20;
    fake_cluster_run(&c, 0);
    ck_assert_int_eq(partition_runtime_delete_records(fake_partition(&c, 1), target, &offset, &low_watermark),
                     KAFKA_NONE);
    ck_assert_int_lt(low_watermark, target);
    fake_cluster_run(&c, 2000);
    ck_assert_int_ge(log_start_offset(future()), target);
    ck_assert_int_eq(partition_runtime_low_watermark(fake_partition(&c, 1)), target);
    let_go();
    ck_assert(is_in(spare()));
    ck_assert_int_eq(log_start_offset(fake_partition(&c, 1)->log), target);
}
END_TEST

START_TEST(a_deletion_takes_both) {
    begin_slowly();
    fake_broker_kill(&c, 1); /* and what nobody commanded since a restart goes as well */
    fake_broker_start(&c, 1);
    ck_assert_int_eq(log_manager_delete(c.brokers[1].logs, "t", 0), 0);
    ck_assert_int_eq(count_names(home(), "t-0") + count_names(spare(), "t-0"), 0);
    ck_assert_int_eq(count_names(home(), "-delete") + count_names(spare(), "-delete"), 2);
}
END_TEST

START_TEST(a_failed_target_leaves_the_replica_where_it_is) {
    begin_slowly();
    log_manager_fail_directory_of(c.brokers[1].logs, future());
    ck_assert_ptr_null(future());
    ck_assert_ptr_null(fake_partition(&c, 1)->move);
    append(2);
    ck_assert_int_eq(move_to(spare()), KAFKA_STORAGE_ERROR);
    let_go();
    ck_assert(is_in(home()));
    ck_assert_int_eq(fake_log_end(&c, 1), 42 * 5);
}
END_TEST

START_TEST(a_failed_source_takes_the_replica_offline_and_its_copy_does_not_stand_in) {
    begin_slowly();
    struct partition_runtime *partition = fake_partition(&c, 1);
    partition_runtime_fail(partition, -5);
    ck_assert(partition->is_offline);
    ck_assert_ptr_null(partition->move);
    ck_assert_int_eq(move_to(spare()), KAFKA_STORAGE_ERROR);
    fake_cluster_run(&c, 2000);
    ck_assert(partition->is_offline);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_replica_moves_while_it_is_used),
        TEST(the_directory_it_is_in_cancels_a_move_and_the_one_it_goes_to_changes_nothing),
        TEST(errors_are_kafkas),
        TEST(a_replica_that_is_not_here_yet_is_made_where_it_was_asked_for),
        TEST(a_restart_goes_on_with_a_move),
        TEST(a_copy_from_before_a_cleaning_begins_anew),
        TEST(a_copy_that_began_anew_is_gone_on_with_when_its_replica_is_commanded_again),
        TEST(a_copy_that_lost_its_topic_id_has_it_again_when_it_takes_the_place),
        TEST(a_copy_waits_where_the_log_ends_in_a_gap),
        TEST(a_copy_of_a_doubtful_log_waits_until_that_is_settled),
        TEST(a_deposed_leader_is_cut_and_its_copy_with_it),
        TEST(deleted_records_are_waited_for_in_the_copy_too),
        TEST(a_deletion_takes_both),
        TEST(a_failed_target_leaves_the_replica_where_it_is),
        TEST(a_failed_source_takes_the_replica_offline_and_its_copy_does_not_stand_in),
    };
    return run_tests_with_fixture("log_dir_move", tests, ARRAY_SIZE(tests), set_up, tear_down);
}
