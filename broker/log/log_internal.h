/* What the files of broker/log share about one log, and how the log manager opens, flushes and closes it. */
#ifndef OTTLA_LOG_LOG_INTERNAL_H
#define OTTLA_LOG_LOG_INTERNAL_H

#include "broker/base/clock.h"
#include "broker/log/epoch_cache.h"
#include "broker/log/log.h"
#include "broker/log/producer_state.h"
#include "broker/log/segment.h"
#include "broker/protocol/record_batch.h"

/* Batches at the end of the log whose place is known without reading: readers at the tail need no system call. */
#define LOG_TAIL_MAX 32
/* Places where earlier reads ended, so that each sequential reader goes on without an index lookup. */
#define LOG_CURSORS_MAX 8

struct log_tail_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t position;
};

struct log_cursor {
    int64_t offset; /* the first offset after what was read; -1 unused */
    int64_t segment_base_offset;
    int64_t position;
};

/* What a log asks of whoever keeps it. All members may be NULL. */
struct log_hooks {
    /* A segment was rolled: everything below `offset` wants a flush, in the background. */
    void (*flush_wanted)(void *context, struct log *log, int64_t offset);
    /* A file was renamed to .deleted and may go after file.delete.delay.ms. */
    void (*delete_later)(void *context, struct log *log, const char *path);
    /* A file of this log is to be replaced, in the background; takes the write. NULL: at once. */
    void (*write_later)(void *context, struct log *log, struct file_write *write);
    /* A truncation moved the recovery point back: the checkpoint must say so before anything is appended. */
    int (*recovery_point_lowered)(void *context, struct log *log);
    int (*start_offset_lowered)(void *context, struct log *log); /* the same of the log start */
    void *context;
};

/* What any sync of a log's files failed with, for all of them: the system tells it once per open file, and whoever asks
 * after that hears that all is well. Reference-counted, since a flush may outlive its log. */
struct sync_outcome;
struct sync_outcome *sync_outcome_create(void);
struct sync_outcome *sync_outcome_unref(struct sync_outcome *outcome); /* returns NULL */
/* The first error, 0 none. Waits for a flush that a worker has under way. */
int sync_outcome_error(struct sync_outcome *outcome);

struct log {
    struct log_place place;
    struct clock *clock;
    char *topic;
    int32_t partition;
    struct log_config config;
    struct log_hooks hooks;
    struct uuid topic_id;
    bool is_fenced;
    int fence_error;               /* why, 0 after a clean close */
    struct log_segment **segments; /* by base offset; never empty once open */
    int32_t segment_count;
    int32_t segment_capacity;
    struct epoch_cache epochs;
    struct producer_state producers;
    int64_t start_offset;
    int64_t end_offset;
    int64_t recovery_point;
    int64_t clean_offset; /* everything below was compacted; -1 unknown */
    int64_t truncations;  /* counts them, so that a flush that ran meanwhile is not believed */
    struct sync_outcome *sync_outcome;
    int32_t flushes_in_flight; /* begun, not yet finished: what they call synced need not be */
    bool is_flush_wanted;      /* up to flush_wanted, once that of the manager which is under way is done */
    int64_t flush_wanted;
    int64_t last_flush_ms;
    int64_t recovered_end;            /* while loading: where the batches of the segment looked at end */
    bool is_sparse;                   /* while loading: offsets are missing between batches, so it was compacted once */
    int64_t doubtful_from;            /* log_doubtful_from() */
    bool parent_is_synced;            /* the partition directory's own name is on stable storage */
    struct file_write *staged_epochs; /* while it is closed */
    bool has_unsynced_metadata;       /* partition.metadata was written and not yet synced */
    struct record_workspace *workspace;
    bool owns_workspace;
    struct log_tail_batch tail[LOG_TAIL_MAX]; /* of the active segment; a ring that ends at tail_next */
    int32_t tail_count;
    int32_t tail_next;
    struct log_cursor cursors[LOG_CURSORS_MAX];
    int32_t cursor_next;
};

struct log_open_options {
    struct disk *disk;
    struct clock *clock;
    const char *directory; /* the partition's; must exist */
    const char *topic;
    int32_t partition;
    struct log_config config;
    int64_t recovery_point;             /* from the checkpoint, 0 when it has none */
    int64_t start_offset;               /* likewise */
    int64_t clean_offset;               /* likewise, -1 when it has none */
    bool had_clean_shutdown;            /* what is there was closed properly: no recovery */
    bool is_copy;                       /* of another log here: what may be missing is cut off and copied again */
    struct log_hooks hooks;             /* all NULL is fine */
    struct record_workspace *workspace; /* shared among logs of one thread; NULL: one of its own */
};

/* Loads the directory, recovering what needs it (zookeeper-mode.md 5.8, 5.9). */
int log_open(const struct log_open_options *options, struct log **ret_log);
/* Clean stop: flush, producer snapshot at the log end, indexes cut to size. The log must still be destroyed. */
int log_close(struct log *log);
/* The same in steps, between which a sync makes durable what many logs wrote (disk.h, sync_file_system). The second
 * puts files in place that the first wrote beside them: 1 when it had any, which takes another sync. */
int log_close_begin(struct log *log);
int log_close_place(struct log *log);
int log_close_end(struct log *log);
/* Nothing of it waits for a sync. */
bool log_is_durable(const struct log *log);
/* Frees memory and closes files; writes nothing. */
void log_destroy(struct log *log);

/* Raises the start of the epoch cache; the file follows in the background. */
/* An epoch begins; the file follows (epoch_cache.h says when it must have). */
int log_note_epoch(struct log *log, int32_t epoch, int64_t offset);
int log_truncate_epochs_from_start(struct log *log, int64_t offset);

/* Every call that met an I/O error passes it through here on its way out: from then on the log only says ERR_FENCED. */
int log_fence(struct log *log, int error);

struct log_segment *log_active_segment(const struct log *log);
/* Index of the segment that contains, or would contain, `offset`; -1 below the first. */
int32_t log_floor_segment(const struct log *log, int64_t offset);
void log_insert_segment(struct log *log, struct log_segment *segment);
/* Takes the segments [first, first + count) out of the log, renames their files to .deleted and has them removed later,
 * producer snapshots of their bases included, except at `replaced_at` (-1 none), where another segment takes over. */
int log_remove_segments(struct log *log, int32_t first, int32_t count, int64_t replaced_at);
/* Adds a segment that begins at `offset`, which is at or above the log end. */
int log_roll_at(struct log *log, int64_t offset);
void log_forget_places(struct log *log);
/* Position of the first batch whose last offset is at or above `offset`: 1, 0 none in this segment, or an error. */
int log_find_in_segment(struct log *log, const struct log_segment *segment, int64_t offset, struct batch_position *ret);

/* Producer state on disk. */
int log_take_snapshot(struct log *log, bool sync);
/* While loading: the name of a file, of a snapshot perhaps. */
void log_note_snapshot(struct log *log, const char *name);
int log_remove_snapshot(struct log *log, int64_t offset, bool later);
/* Removes snapshots that belong to no segment, except the newest when it lies above the last segment's base. */
int log_remove_stray_snapshots(struct log *log);
/* Brings the producer state to `end_offset` from the newest snapshot below and the batches after it. */
int log_rebuild_producers(struct log *log, int64_t end_offset, bool from_clean_shutdown);
/* The two, which end at the same offset, exchange what they know of producers, short of the files. */
void log_exchange_producers(struct log *log, struct log *other);
/* Takes a batch of the log into the producer state and, for an abort, the transaction index of its segment. */
int log_apply_to_producers(struct log *log, const struct log_segment *segment, const struct record_batch *header,
                           struct slice bytes);

/* Transaction index of a segment: entries as in the file. */
struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;
    int64_t last_stable_offset;
};
int transaction_index_append(const struct log_place *place, int64_t base_offset,
                             const struct aborted_transaction *entry);
/* Reads all entries; no file is none. The array is the caller's to free. ERR_CORRUPT for a file that is no index. */
int transaction_index_read(const struct log_place *place, int64_t base_offset, struct aborted_transaction **ret_list,
                           int32_t *ret_count);
int transaction_index_truncate(const struct log_place *place, int64_t base_offset, int64_t offset);

/* A flush in two halves, so that the syncs can run on a worker. */
struct log_flush {
    struct log *log;
    struct disk_file **files;
    int32_t count;
    int32_t capacity;
    char *directory;  /* to sync */
    bool sync_parent; /* and the one it lies in: the log is new */
    struct disk *disk;
    struct sync_outcome *outcome;
    int64_t offset; /* the recovery point it leads to */
    int64_t truncations;
    struct file_write
        *epochs; /* the epoch file was behind: it goes first, so that no epoch below the offset is missing */
    int error;
};
/* Collects what must be synced for everything below `offset` to be durable; false when nothing must. */
bool log_flush_begin(struct log *log, int64_t offset, struct log_flush *ret_flush);
void log_flush_run(struct log_flush *flush);                    /* on any thread */
void log_note_durable(struct log *log, int64_t offset);         /* everything below `offset` is */
int log_flush_finish(struct log *log, struct log_flush *flush); /* frees the flush; moves the recovery point */
void log_flush_discard(struct log_flush *flush);                /* the log is gone meanwhile */

/* "topic_id" of partition.metadata, zero when there is no file. */
int log_read_topic_id(struct log *log);

#endif
