/* What a cleaning keeps of one batch, and the batch as it is written again (Kafka's LogCleaner and RecordFilter rules).
 *
 * Pure: batches in, bytes out, with the time of the cleaning given. The batches of a log are fed in order, because
 * which markers may go depends on whether a batch of their transaction was seen. */
#ifndef OTTLA_LOG_COMPACTION_FILTER_H
#define OTTLA_LOG_COMPACTION_FILTER_H

#include "broker/log/log_internal.h"
#include "broker/log/offset_map.h"

/* The last word of a producer that is still known: its batch stays, be it empty, for the sequence in its header. */
struct compaction_producer {
    int64_t producer_id;
    int64_t last_offset; /* of its last data batch; -1 when only a marker is known of it */
    int16_t producer_epoch;
};

/* Transactions on the way through the log. */
struct compaction_transactions {
    const struct aborted_transaction *aborted; /* by first offset; the caller's */
    int32_t aborted_count;
    int64_t from_offset; /* where the walk begins: markers below it are not met */
    int32_t next;
    struct open_abort *open_aborts;
    int32_t open_abort_count;
    int32_t open_abort_capacity;
    int64_t *committed; /* producers with batches of a transaction that was committed, marker not yet seen */
    int32_t committed_count;
    int32_t committed_capacity;
};

void compaction_transactions_init(struct compaction_transactions *transactions,
                                  const struct aborted_transaction *aborted, int32_t aborted_count,
                                  int64_t from_offset);
void compaction_transactions_deinit(struct compaction_transactions *transactions);
/* Takes in a data batch; true when it belongs to an aborted transaction. */
bool compaction_transactions_on_batch(struct compaction_transactions *transactions, const struct record_batch *header);
/* Takes in a control batch; true when nothing is left of its transaction. *ret_kept is set to the entry of the
 * transaction index that goes with a marker that stays, with last_offset -1 when there is none. */
bool compaction_transactions_on_marker(struct compaction_transactions *transactions, const struct record_batch *header,
                                       struct slice bytes, struct aborted_transaction *ret_kept);

struct compaction_rules {
    const struct offset_map *map;
    int64_t wall_ms;                             /* when the cleaning began */
    int64_t delete_retention_ms;                 /* how long tombstones and spent markers stay */
    int64_t end_offset;                          /* the batch that ends here stays, be it empty */
    const struct compaction_producer *producers; /* by id */
    int32_t producer_count;
};

struct compaction_outcome {
    bool is_kept;                    /* *ret_bytes is what is left of the batch */
    struct aborted_transaction kept; /* belongs into the transaction index; last_offset -1: none */
    int32_t records_read;
    int32_t records_kept;
};

/* What is left of the batch: the batch itself, one built anew in the workspace, or nothing. Returns 0, or an error for
 * a batch that cannot be read: ERR_CORRUPT or ERR_INVALID, ERR_TOO_LARGE when it unpacks to too much. */
int compaction_filter(const struct compaction_rules *rules, struct compaction_transactions *transactions,
                      const struct record_batch *header, struct slice bytes, struct record_workspace *workspace,
                      struct compaction_outcome *ret_outcome, struct slice *ret_bytes);

#endif
