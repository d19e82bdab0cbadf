/* What the tests of the record log share: a clock that stands still, temporary directories, batches made by hand. */
#ifndef OTTLA_TESTS_LOG_FIXTURE_H
#define OTTLA_TESTS_LOG_FIXTURE_H

#include "broker/base/clock.h"
#include "broker/log/log_internal.h"
#include "broker/log/log_manager.h"

/* Runs nothing by itself: tests move it and run what is due. */
struct test_clock {
    struct clock base;
    int64_t now_ms;
    int64_t wall_ms;
    struct timer *timers[32];
    bool defers_work; /* spawned work waits for test_clock_work() instead of being done at once */
    bool is_working;  /* what runs now runs as a worker would */
    struct test_job {
        task_callback *work;
        task_callback *done;
        void *context;
    } jobs[64];
    int job_count;
};

void test_clock_init(struct test_clock *clock, int64_t wall_ms);
/* Does the oldest job and tells that it is done; false when there is none. */
bool test_clock_work(struct test_clock *clock);
/* Does all there are, and those that they ask for. */
void test_clock_work_all(struct test_clock *clock);
/* Moves both times forward, firing timers on the way. */
void test_clock_advance(struct test_clock *clock, int64_t by_ms);

/* A fresh directory below TMPDIR; the text is the caller's to free. */
char *test_directory_create(void);
/* Removes it and everything in it. */
void test_directory_remove(const char *path);
/* Copies all plain files of one directory into another, which is made. */
void test_directory_copy(const char *from, const char *to);
/* Reads a whole file; size -1 when there is none. The bytes are the caller's to free. */
uint8_t *test_file_read(const char *directory, const char *name, int64_t *ret_size);

/* Kafka's defaults, except that nothing expires. */
struct log_config test_log_config(void);
/* Broker 1 with these directories and logs of test_log_config(), at Kafka's intervals. */
struct log_manager_config test_log_manager_config(const char *const *directories, int32_t count);
/* Opens a log of an existing directory; a failure fails the test. */
struct log *test_log_open(struct disk *disk, struct clock *clock, const char *directory,
                          const struct log_config *config, int64_t recovery_point, bool is_clean);

struct test_batch {
    enum compression_codec codec;
    int32_t record_count;
    int32_t value_size;
    bool null_keys;
    int64_t timestamp;   /* of the first record; each later one is 1 ms more */
    int64_t producer_id; /* -1 none */
    int16_t producer_epoch;
    int32_t base_sequence;
    uint16_t attributes; /* beside the codec */
    int64_t base_offset;
    int32_t leader_epoch;
};

/* A plain batch of `count` records with keys and small values, no producer. */
struct test_batch test_batch_of(int32_t count);
/* Encodes it; appended to the buffer. */
void test_batch_encode(const struct test_batch *batch, struct byte_buffer *ret);
/* The batch's header before records made by other means, which are compressed with its codec. */
void test_batch_encode_records(const struct test_batch *batch, const struct byte_buffer *records,
                               struct byte_buffer *ret);
/* A control batch that ends a transaction. */
void test_marker_encode(int64_t producer_id, int16_t producer_epoch, bool is_commit, int32_t coordinator_epoch,
                        int64_t timestamp, struct byte_buffer *ret);
/* Appends as leader, Produce v9, and returns the info; I/O errors fail the test. */
struct log_append_info test_append(struct log *log, const struct test_batch *batch);

/* Reads all batches of the log through log_read, in steps of max_bytes, into the buffer. */
void test_read_all(struct log *log, int32_t max_bytes, struct byte_buffer *ret);

#endif
