/* A compacted log with a model beside it, for the tests of compaction.
 *
 * The model keeps every record ever written with the fate of its transaction; after any cleaning the log must agree
 * with it: the last value of every key is there, nothing comes back, offsets never change. */
#ifndef OTTLA_TESTS_COMPACT_LOG_H
#define OTTLA_TESTS_COMPACT_LOG_H

#include "broker/log/compaction.h"
#include "tests/lib/log_fixture.h"

#define COMPACT_WALL_MS INT64_C(1700000100000)
#define COMPACT_RECORDS_MAX 4096
#define COMPACT_KEYS_MAX 64
#define COMPACT_RETENTION_MS 1000

struct compact_record {
    int32_t key; /* -1: no key, -2: a marker */
    bool is_tombstone;
    bool is_aborted;
};

/* One log at a time. */
struct compact {
    struct test_clock clock;
    char *directory;
    struct log *log;
    struct compact_record model[COMPACT_RECORDS_MAX]; /* by offset */
    enum compression_codec codec;                     /* of the batches written */
};
extern struct compact compact;

struct compact_batch {
    int64_t producer_id; /* -1 none */
    int32_t base_sequence;
    uint16_t attributes;
};
extern const struct compact_batch compact_plain;

/* What is in the log. */
struct compact_content {
    int64_t offsets[COMPACT_RECORDS_MAX]; /* of records, ascending */
    int32_t count;
    int32_t batches;
    int32_t empty_batches;
    int32_t markers;
    int64_t horizons[COMPACT_RECORDS_MAX]; /* by offset; 0 none */
};

/* Small segments, cleanup.policy=compact. */
struct log_config compact_config(void);
/* A fresh directory with an empty log, and its end. */
void compact_set_up(void);
void compact_tear_down(void);
void compact_open(struct disk *disk, const struct log_config *config);
/* Stops cleanly and opens again. */
void compact_reopen(void);

/* Returns the disk's error; a refusal fails the test. */
int compact_write_batch(const struct compact_batch *batch, const struct compact_record *list, int32_t count);
void compact_write_key(int32_t key);
void compact_write_tombstone(int32_t key);
void compact_write_transactional(int64_t producer_id, int32_t sequence, int32_t key, bool will_abort);
int compact_write_marker(int64_t producer_id, bool is_commit);
void compact_roll(void);

/* Reads everything and checks each record against the model. */
void compact_read(struct compact_content *ret);
bool compact_has(const struct compact_content *content, int64_t offset);
/* The last committed record of every key is there (or is a tombstone whose time is up); below clean_end no key has an
 * earlier one, and nothing aborted is left. */
void compact_check(const struct compact_content *content, int64_t clean_end, bool tombstones_may_be_gone);

extern const struct compaction_limits compact_roomy;
/* One whole cleaning in slices; returns the state it ended in. */
enum compaction_state compact_clean_with(const struct compaction_limits *limits, int64_t slice_bytes);
void compact_clean(void);

#endif
