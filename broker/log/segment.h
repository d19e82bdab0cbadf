/* One segment: a run of batches in a file named by its first offset, and its two indexes and transaction index.
 *
 * Only the last segment of a log is active: its indexes are open, preallocated and appended to. */
#ifndef OTTLA_LOG_SEGMENT_H
#define OTTLA_LOG_SEGMENT_H

#include <stdbool.h>

#include "broker/log/batch_scanner.h"
#include "broker/log/file_util.h"
#include "broker/log/log.h"
#include "broker/log/segment_index.h"

struct log_segment {
    const struct log_place *place;
    int64_t base_offset;
    struct disk_file *file;
    int64_t size;
    struct segment_index offset_index;
    struct segment_index time_index;
    int64_t max_timestamp;        /* -1 none */
    int64_t max_timestamp_offset; /* last offset of its batch */
    int64_t first_timestamp;      /* max timestamp of the first batch, the base for rolling by time */
    bool first_timestamp_known;
    bool is_synced;       /* nothing was written since the last sync */
    bool is_recovered;    /* in this life: indexes made anew, perhaps bytes cut off, and none of that is synced */
    bool is_preallocated; /* the file is longer than its content (log.preallocate) */
    int64_t created_ms;
    int64_t bytes_since_index_entry;
};

struct batch_position {
    struct record_batch header;
    int64_t position;
};

/* A new segment, empty and inactive; files of that name that are in the way are removed first. */
int segment_create(const struct log_place *place, int64_t base_offset, const struct log_config *config, int64_t wall_ms,
                   struct log_segment **ret_segment);
/* Opens an existing one, inactive. ERR_CORRUPT with *ret_segment set when its indexes must be rebuilt. */
int segment_open(const struct log_place *place, int64_t base_offset, int64_t wall_ms, struct log_segment **ret_segment);
/* Frees memory, closes files, writes nothing. */
void segment_destroy(struct log_segment *segment);
/* Makes the indexes appendable; nothing to do when they are. The first append to a segment does: most partitions of a
 * large cluster are idle, and no index of theirs need be open, nor change its length at each start and stop. */
int segment_activate(struct log_segment *segment, const struct log_config *config);
/* What Kafka does when a segment is rolled or closed: a last time index entry, both indexes cut to size. */
int segment_deactivate(struct log_segment *segment);

/* Notes a batch already written at `position` of an active segment, making an index entry when it is time for one. */
int segment_note_batch(struct log_segment *segment, const struct record_batch *header, int64_t position,
                       int32_t index_interval_bytes);
/* True when `bytes` more, ending at last_offset with max_timestamp, belong into another segment. */
int segment_should_roll(struct log_segment *segment, const struct log_config *config, int64_t bytes,
                        int64_t last_offset, int64_t max_timestamp, int64_t wall_ms, bool *ret_roll);
/* segment.ms less this segment's share of segment.jitter.ms, which depends on the partition's directory and the base
 * offset alone: partitions filled alike do not all roll at once, and a run of the simulator can be repeated. */
int64_t segment_roll_ms(const struct log_segment *segment, const struct log_config *config);
/* First batch whose last offset is at or above `offset`: 1, 0 when all are below, or an error. */
int segment_find(const struct log_segment *segment, int64_t offset, struct batch_position *ret);
/* Offset after the last whole batch (the base offset when empty), and where that batch ends. */
int segment_read_end(const struct log_segment *segment, int64_t *ret_next_offset, int64_t *ret_end_position);
/* Cuts off everything from the batch that contains `offset` on. The segment must be active. */
int segment_truncate(struct log_segment *segment, int64_t offset, int64_t wall_ms);
/* Greatest timestamp of the first batch, the base for rolling by time; -1 when there is none. */
int segment_first_timestamp(struct log_segment *segment, int64_t *ret_timestamp);
/* Greatest timestamp, or the file's time when no record has one: what retention goes by. */
int64_t segment_retention_timestamp(const struct log_segment *segment);

/* Called for each good batch of a recovery; a negative result ends it. */
typedef int segment_batch_callback(void *context, const struct record_batch *header, struct slice bytes);
/* Rebuilds indexes from the data, with checksums checked, and cuts off everything from the first bad byte on. Returns
 * the number of bytes cut off or an error. Leaves the segment inactive, its indexes complete. */
int64_t segment_recover(struct log_segment *segment, const struct log_config *config, segment_batch_callback *on_batch,
                        void *context);

/* Renames all of a segment's files from one place's suffix to another's. */
int segment_move_files(const struct log_place *from_place, const struct log_place *to_place, int64_t base_offset);

#endif
