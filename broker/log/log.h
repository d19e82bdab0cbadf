/* One partition's record log on disk: Kafka's files, byte for byte.
 *
 * Not thread-safe by itself: one loop owns a log; background work (flush, recovery, deletion) goes through
 * log_manager.h. After the first I/O error a log is fenced: every call answers ERR_FENCED and the directory is reported
 * offline. Kafka's errors towards a client are Kafka codes (protocol/errors.h) in the append result. */
#ifndef OTTLA_LOG_LOG_H
#define OTTLA_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"
#include "broker/log/disk.h"
#include "broker/protocol/records.h"

struct log;

/* Effective settings of one topic, defaults already merged. */
struct log_config {
    int32_t segment_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    int64_t retention_bytes; /* -1: no bound */
    int64_t retention_ms;    /* -1: no bound */
    int32_t max_message_bytes;
    int64_t flush_messages;
    int64_t flush_ms;
    int64_t file_delete_delay_ms;
    int64_t message_timestamp_before_max_ms;
    int64_t message_timestamp_after_max_ms;
    int64_t producer_id_expiration_ms;
    int64_t delete_retention_ms; /* of tombstones and markers, once a cleaning has met them */
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_ratio;
    int16_t compression_type; /* codec number, -1 = producer's choice */
    int16_t min_insync_replicas;
    bool log_append_time;
    bool compact; /* cleanup.policy contains compact */
    bool delete;  /* cleanup.policy contains delete */
    bool preallocate;
    bool unclean_leader_election;
    bool message_downconversion;
};

enum log_append_origin {
    LOG_ORIGIN_CLIENT,      /* Produce: everything is checked */
    LOG_ORIGIN_COORDINATOR, /* our own group and transaction records */
};

struct log_append_info {
    int16_t error_code;         /* Kafka error; then nothing was written */
    const char *error_message;  /* static text or NULL */
    int32_t record_error_index; /* batch index for RecordErrors, -1 none */
    const char *record_error_message;
    int64_t first_offset;
    int64_t last_offset;
    int64_t log_append_time_ms; /* -1 for create time */
    int64_t log_start_offset;
    bool is_duplicate; /* an idempotent retry: offsets are those of the first write */
};

struct log_read_info {
    struct records records;      /* a file region holding one reference, or size 0 */
    int64_t first_offset;        /* base offset of the first batch of the region */
    bool first_batch_is_partial; /* cut by max_bytes because the reader asked for a hard limit */
};

struct log_epoch_end {
    int32_t epoch; /* -1 undefined */
    int64_t end_offset;
};

struct log_timestamp_offset {
    int64_t timestamp; /* -1: nothing found */
    int64_t offset;
    int32_t leader_epoch;
};

struct log_aborted_transaction {
    int64_t producer_id;
    int64_t first_offset;
};

/* Validates, assigns offsets from the log end and the epoch, appends in place (the bytes are changed: base offset,
 * epoch, and for LogAppendTime timestamps and CRC). records is one frame's view and must be writable memory.
 * Returns 0 with *ret_info filled (look at error_code), or a negative I/O error, after which the log is fenced.
 * Message sets of magic 0 and 1 are up-converted when allow_old_formats. */
int log_append_as_leader(struct log *log, struct slice records, int32_t leader_epoch, enum log_append_origin origin,
                         int16_t request_version, int64_t wall_ms, struct log_append_info *ret_info);
/* Appends batches fetched from a leader byte for byte: CRC and offset order checked, first offset must be the log end
 * (ERR_INVALID otherwise, ERR_CORRUPT for bad bytes); a last batch cut short is left out. */
int log_append_as_follower(struct log *log, struct slice records, struct log_append_info *ret_info);

/* Batches from the one that contains `offset` up to, not including, `offset_max` (the high watermark, last stable
 * offset or log end, as the reader's isolation says). At most max_bytes, whole batches... except that the first batch
 * is given whole beyond max_bytes when min_one_batch. ERR_OUT_OF_RANGE outside [start, end]. */
int log_read(struct log *log, int64_t offset, int32_t max_bytes, int64_t offset_max, bool min_one_batch,
             struct log_read_info *ret_info);

int64_t log_start_offset(const struct log *log);
int64_t log_end_offset(const struct log *log);
/* First offset of an open transaction, or the log end; callers take the minimum with the high watermark. */
int64_t log_first_unstable_offset(const struct log *log);
/* The last stable offset for read_committed: the high watermark, or the first offset of the oldest transaction that is
 * open or whose marker is not yet replicated. Decided transactions below the high watermark are forgotten. */
int64_t log_last_stable_offset(struct log *log, int64_t high_watermark);
/* Transactions aborted in [from, to), for read_committed answers. The array belongs to the arena. */
struct arena;
int log_aborted_transactions(struct log *log, int64_t from, int64_t to, struct arena *arena,
                             struct log_aborted_transaction **ret_list, int32_t *ret_count);

int32_t log_latest_epoch(const struct log *log); /* of the epoch cache, -1 when empty */
/* Kafka's endOffsetFor (zookeeper-mode.md 4.7). */
struct log_epoch_end log_epoch_end_offset(const struct log *log, int32_t epoch);
/* Notes (epoch, log end) in the epoch cache: a new leader calls it before it accepts anything. A worker writes the
 * file; the recovery point does not pass the epoch's start before that is done. */
int log_assign_epoch_start(struct log *log, int32_t epoch);
/* Up to where the two logs of one partition tell the same history, as far as their epochs say: the end of the last
 * epoch they share, at most the end of either. */
int64_t log_shared_end(const struct log *log, const struct log *other);
/* Leader epoch of the batch at `offset`, -1 unknown. */
int32_t log_epoch_for_offset(const struct log *log, int64_t offset);

int log_truncate_to(struct log *log, int64_t offset);
int log_truncate_fully_and_start_at(struct log *log, int64_t offset);
/* Raises the start offset (DeleteRecords, leader's answer); whole segments below go away. */
int log_increase_start_offset(struct log *log, int64_t offset);
/* The same to the end of the log, and in an empty segment: nothing before it is only hidden. Producers stay known, and
 * the last epoch. */
int log_start_at_end(struct log *log);
/* First offset whose timestamp is >= timestamp; -1 in ret->timestamp when there is none. Looks into batches. */
int log_offset_for_timestamp(struct log *log, int64_t timestamp, struct log_timestamp_offset *ret);
/* Greatest timestamp and its offset (ListOffsets -3). */
int log_offset_of_max_timestamp(struct log *log, struct log_timestamp_offset *ret);
/* For ListOffsets of version 0, which knows segments only: their starts, and the log end, newest first, from the newest
 * that is not younger than `timestamp` (-1: the log end; -2: the log start). At most `capacity`; returns how many. */
int32_t log_offsets_before(const struct log *log, int64_t timestamp, int64_t wall_ms, int64_t *ret, int32_t capacity);
int32_t log_segment_count(const struct log *log);
/* Deletes segments past retention, all of them below high_watermark; rolls the active one first when it must go.
 * Returns the number of segments removed or an error. */
int log_apply_retention(struct log *log, int64_t high_watermark, int64_t wall_ms);
int log_roll(struct log *log);
int log_flush(struct log *log); /* sync, and move the recovery point to the log end */
int64_t log_size_bytes(const struct log *log);
int64_t log_recovery_point(const struct log *log);
/* A crash may have taken the end of a segment whose successor is there, and in a log that was compacted nobody can tell
 * that from what a cleaner took: from here on records may be missing, -1 when there is no such place. A follower that
 * is not in sync cuts its log there and fetches what its leader has; until then the recovery point stays below, so that
 * the next start sees it again. */
int64_t log_doubtful_from(const struct log *log);
/* Nothing is doubtful any more: what a leader has is the partition's history, and what a member of the in-sync set has
 * may become it without anybody asking. Both are believed, as in Kafka. */
void log_believe(struct log *log);
/* Counts truncations: what was read before one may be gone, or something else, after it. */
int64_t log_truncation_count(const struct log *log);
void log_set_config(struct log *log, const struct log_config *config);
const struct log_config *log_get_config(const struct log *log);
struct uuid log_topic_id(const struct log *log); /* zero when unknown */
int log_set_topic_id(struct log *log,
                     struct uuid id);             /* writes partition.metadata; ERR_INVALID when another is there */
const char *log_directory(const struct log *log); /* the partition's directory */
bool log_is_fenced(const struct log *log);

/* Producer state, for InitProducerId users and DescribeProducers: newest entry of one producer; ERR_NOT_FOUND. */
struct log_producer_state {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t last_sequence;
    int64_t last_timestamp;
    int64_t last_offset; /* of its last data batch, -1 when only a marker is known */
    int32_t coordinator_epoch;
    int64_t current_transaction_first_offset;
};
int log_producer_state(const struct log *log, int64_t producer_id, struct log_producer_state *ret);
int32_t log_producer_count(const struct log *log);
typedef void log_producer_visitor(void *context, const struct log_producer_state *producer);
void log_each_producer(const struct log *log, log_producer_visitor *visit, void *context);

#endif
