/* What one partition knows of its producers: the last batches of each, for idempotence, and open transactions.
 *
 * Pure state with a snapshot file format (zookeeper-mode.md 5.4); the rules are Kafka's (4.12): the next batch must go
 * on where the last one ended, one of the last five may be repeated, a new epoch starts at sequence 0, an unknown
 * producer may start anywhere (but not before what was refused to it: replication/refused_batches.h). */
#ifndef OTTLA_LOG_PRODUCER_STATE_H
#define OTTLA_LOG_PRODUCER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/file_util.h"
#include "broker/log/log.h"
#include "broker/protocol/record_batch.h"

/* A producer has at most five requests in flight, so a repeated batch is one of its last five. */
#define PRODUCER_BATCHES_MAX 5
/* Producers of one partition that are remembered, some 35 MB; Kafka has no bound, and whoever draws ids without end
 * fills its memory. Beyond it the one silent longest, of those outside of a transaction, is forgotten, as expiry would:
 * only a repetition by just that producer would go unnoticed. */
#define PRODUCERS_MAX 131072

struct producer_batch {
    int32_t last_sequence;
    int32_t offset_delta;
    int64_t last_offset;
    int64_t timestamp;
};

struct producer_entry;

/* A transaction that began in this partition; completed ones are kept until their marker is replicated. */
struct producer_transaction {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* of the marker; -1 while open */
};

struct producer_transactions {
    struct producer_transaction *items; /* first offsets ascend */
    int32_t count;
    int32_t capacity;
};

struct producer_state {
    struct producer_entry *entries; /* hash by producer id */
    struct producer_entry *oldest;  /* all of them in a list, the one heard of last at its end */
    struct producer_transactions open;
    struct producer_transactions decided;
    int64_t end_offset;      /* the state covers the log up to here */
    int64_t snapshot_offset; /* of the newest snapshot taken or loaded */
    int64_t *snapshots;      /* offsets of the snapshot files, ascending */
    int32_t snapshot_count;
    int32_t snapshot_capacity;
};

struct producer_verdict {
    int16_t error_code;
    const char *message;
    bool is_duplicate;
    int64_t duplicate_first_offset;
    int64_t duplicate_last_offset;
    int64_t duplicate_timestamp;
};

/* The end of a transaction as its marker told it. */
struct producer_completed {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;
    bool is_aborted;
};

void producer_state_init(struct producer_state *state);
void producer_state_deinit(struct producer_state *state);
/* Forgets producers and transactions, not the snapshot files. */
void producer_state_clear(struct producer_state *state);

/* May this batch (with a producer id; marker set for a control batch) be appended? Changes nothing. */
void producer_state_check(const struct producer_state *state, const struct record_batch *batch,
                          const struct end_transaction_marker *marker, enum log_append_origin origin,
                          struct producer_verdict *ret_verdict);
/* Takes in a batch that was appended. Returns true when it completed a transaction. */
bool producer_state_apply(struct producer_state *state, const struct record_batch *batch,
                          const struct end_transaction_marker *marker, struct producer_completed *ret_completed);
/* The last stable offset as it is once `completed` no longer counts, for its entry in the transaction index. */
int64_t producer_state_stable_offset_after(const struct producer_state *state,
                                           const struct producer_completed *completed);
/* Moves a completed transaction from open to decided. */
void producer_state_complete(struct producer_state *state, const struct producer_completed *completed);
/* Forgets decided transactions whose marker lies below `offset`. */
void producer_state_forget_decided(struct producer_state *state, int64_t offset);
/* First offset of the oldest open transaction, -1 when there is none. */
int64_t producer_state_first_open(const struct producer_state *state);
/* ... or of the oldest that is open or decided. */
int64_t producer_state_first_unstable(const struct producer_state *state);
void producer_state_expire(struct producer_state *state, int64_t wall_ms, int64_t expiration_ms);
int32_t producer_state_count(const struct producer_state *state);
bool producer_state_find(const struct producer_state *state, int64_t producer_id, struct log_producer_state *ret);
void producer_state_for_each(const struct producer_state *state, log_producer_visitor *visit, void *context);

/* Snapshot bytes, appended to ret, in the order in which Kafka's hash map yields producers. */
void producer_state_encode(const struct producer_state *state, struct byte_buffer *ret);
/* Adds the producers of a snapshot that have not expired. ERR_CORRUPT leaves the state half filled. */
int producer_state_decode(struct producer_state *state, const uint8_t *data, size_t size, int64_t wall_ms,
                          int64_t expiration_ms);

#endif
