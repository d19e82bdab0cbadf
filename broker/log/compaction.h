/* One cleaning of one log: its closed segments, or as many as the key map has room for, are written anew without the
 * records that later ones replaced.
 *
 * The loop begins it with what it may read (closed segments never change) and later puts the output in the place of
 * its input (log_replace_segments); everything between runs on a worker, a slice at a time, and touches nothing of the
 * log but files. Output lies in "<base>.log.cleaned" and so on until then, so that a crash leaves only what the next
 * start removes. Sources: Kafka's LogCleaner, KIP-87, KIP-534. */
#ifndef OTTLA_LOG_COMPACTION_H
#define OTTLA_LOG_COMPACTION_H

#include "broker/log/compaction_filter.h"

/* A closed segment as the cleaning sees it. */
struct compaction_source {
    int64_t base_offset;
    int64_t next_offset; /* base of the segment after it */
    struct disk_file *file;
    int64_t size;
    int64_t index_bytes; /* of its larger index */
};

/* What may be cleaned of a log (Kafka's LogCleanerManager.cleanableOffsets). */
struct compaction_range {
    int64_t first_dirty;
    int64_t first_uncleanable;
    int64_t clean_bytes;
    int64_t dirty_bytes;   /* cleanable ones */
    bool is_overdue;       /* max.compaction.lag.ms has passed for some of them */
    bool was_out_of_range; /* the checkpointed offset was not in the log and is to be written anew */
};

struct compaction_limits {
    int64_t map_bytes_max;
    double map_load_factor;
    int32_t io_buffer_bytes; /* output is written in pieces of about this size */
};

struct compaction_stats {
    int64_t bytes_read; /* both passes */
    int64_t bytes_cleaned;
    int64_t bytes_written;
    int64_t records_read;
    int64_t records_kept;
};

enum compaction_state {
    COMPACTION_MORE,     /* call again */
    COMPACTION_REPLACES, /* a group is done: the loop replaces it, then calls again */
    COMPACTION_DONE,     /* everything below `end_offset` is clean */
    COMPACTION_FAILED,   /* `error`: ERR_CORRUPT or ERR_INVALID for a log that cannot be cleaned, else the disk's */
};

/* Keys on their way into the map. */
struct compaction_keys {
    struct offset_key keys[OFFSET_MAP_KEYS_AT_ONCE];
    int64_t offsets[OFFSET_MAP_KEYS_AT_ONCE];
    int32_t count;
};

struct compaction {
    struct log_place place; /* of the log when the cleaning began */
    struct log_place output_place;
    struct log_config config;
    struct compaction_limits limits;
    struct compaction_range range;
    struct compaction_source *sources; /* closed segments below first_uncleanable, all of them from the first */
    int32_t source_count;
    int32_t map_source_count; /* how many the map covers, once it is built */
    int64_t *aborted_bases;   /* segments whose transaction indexes are read by the worker */
    int32_t aborted_base_count;
    struct aborted_transaction *aborted;
    int32_t aborted_count;
    int32_t aborted_capacity;
    struct compaction_producer *producers;
    int32_t producer_count;
    int64_t wall_ms;
    int64_t truncations; /* of the log when the cleaning began */
    int64_t end_offset;

    enum compaction_state state;
    int error;
    const char *failure; /* static text beside ERR_INVALID and ERR_CORRUPT */
    struct compaction_stats stats;

    enum { COMPACTION_PREPARES, COMPACTION_MAPS, COMPACTION_CLEANS } phase;
    int32_t at;       /* source being read */
    int64_t position; /* in it */
    struct offset_map map;
    struct compaction_keys pending; /* of the batches mapped last */
    struct compaction_transactions transactions;
    struct record_workspace *workspace;
    struct byte_buffer input;
    struct byte_buffer output; /* written, and noted in the indexes, when it is full */
    int32_t group_first;       /* the group being written: sources [group_first, group_end) */
    int32_t group_end;
    struct log_segment *cleaned; /* its output; after COMPACTION_REPLACES whoever replaces takes it */
};

/* What of the log may be cleaned, with everything below clean_offset (-1 unknown) cleaned before. `stable_offset` is
 * the last stable offset, which lies at or below the high watermark. */
struct compaction_range log_cleanable_range(struct log *log, int64_t clean_offset, int64_t stable_offset,
                                            int64_t wall_ms);
/* Begins a cleaning, on the loop. ERR_NOT_FOUND when there is no closed segment to clean. */
int compaction_begin(struct log *log, const struct compaction_range *range, const struct compaction_limits *limits,
                     int64_t wall_ms, struct compaction **ret_compaction);
/* Adds entries of a transaction index that the worker cannot read by itself (the active segment's). */
void compaction_add_aborted(struct compaction *compaction, const struct aborted_transaction *list, int32_t count);
/* Goes on until about `budget_bytes` are read, or a group is done; on any one thread at a time. */
enum compaction_state compaction_work(struct compaction *compaction, int64_t budget_bytes);
/* About where it is, for messages. */
int64_t compaction_position(const struct compaction *compaction);
/* Puts the finished group in the place of its sources, on the loop. ERR_NOT_FOUND when they are not what they were
 * (truncation, retention): then nothing was changed and the cleaning is of no more use. */
int log_replace_segments(struct log *log, struct compaction *compaction);
/* Removes unfinished output, where the caller says so, and frees everything. */
void compaction_destroy(struct compaction *compaction, bool remove_output);

#endif
