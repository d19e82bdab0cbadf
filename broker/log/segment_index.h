/* One index of one segment: offset to file position, or timestamp to offset (zookeeper-mode.md 5.3).
 *
 * The file is Kafka's: fixed-size entries, preallocated while the segment is active, cut to size when it is not.
 * Nothing of it is kept in memory but the last entry and, for the active segment, the entries not written yet: those go
 * out a block at a time, so that an append costs no write of its own. Entries lost in a crash are harmless, since
 * recovery rebuilds the index of every segment that was not flushed; lookups only ever find an earlier place to scan
 * from. */
#ifndef OTTLA_LOG_SEGMENT_INDEX_H
#define OTTLA_LOG_SEGMENT_INDEX_H

#include <stdbool.h>

#include "broker/log/file_util.h"

enum segment_index_kind {
    INDEX_OFFSET, /* key: last offset of a batch; value: the position where the batch begins */
    INDEX_TIME,   /* key: greatest timestamp so far; value: last offset of the batch that holds it */
};

#define OFFSET_INDEX_ENTRY_SIZE 8
#define TIME_INDEX_ENTRY_SIZE 12
/* Entries held back: at one entry per 4 KiB of data, one write per 256 KiB. */
#define INDEX_PENDING_MAX 64

struct index_entry {
    int64_t key;
    int64_t value;
};

struct segment_index {
    enum segment_index_kind kind;
    int64_t base_offset;
    int32_t entries; /* pending ones included */
    int32_t entries_max;
    int32_t pending; /* the last so many are only in memory */
    int64_t file_size;
    struct index_entry last; /* meaningful when entries > 0 */
    bool is_loaded;          /* the file is there, and what is here is what it holds */
    struct disk_file *file;  /* open while the segment is active */
    uint8_t *block;          /* encoded pending entries, while the segment is active */
};

const char *segment_index_suffix(enum segment_index_kind kind);
void segment_index_init(struct segment_index *index, enum segment_index_kind kind, int64_t base_offset);
/* Frees memory and closes the file; writes nothing. */
void segment_index_deinit(struct segment_index *index);
/* Reads size and last entry of what is on disk. ERR_NOT_FOUND without a file; ERR_CORRUPT when it cannot be an index
 * of this segment, whose log holds log_size bytes: then it must be rebuilt. */
int segment_index_load(struct segment_index *index, const struct log_place *place, int64_t log_size);
/* An empty file, durable when the directory is. */
int segment_index_create(const struct segment_index *index, const struct log_place *place);
/* Opens or creates the file, preallocated to at most max_bytes, ready for appends. */
int segment_index_activate(struct segment_index *index, const struct log_place *place, int32_t max_bytes);
/* Drops all entries (and activates). */
int segment_index_reset(struct segment_index *index, const struct log_place *place, int32_t max_bytes);
/* Writes what is pending, cuts the file to its entries, closes it. */
int segment_index_deactivate(struct segment_index *index);
/* Writes what is pending. */
int segment_index_write_pending(struct segment_index *index);
/* Offset index: `key` must be above the last. Time index: a timestamp that is not greater than the last is left out. */
int segment_index_append(struct segment_index *index, int64_t key, int64_t value);
bool segment_index_is_full(const struct segment_index *index);
/* Greatest entry whose key (or value) is at most `target`; returns 1 and the entry, 0 when there is none. */
int segment_index_lookup(const struct segment_index *index, const struct log_place *place, int64_t target,
                         bool by_value, struct index_entry *ret);
/* Drops entries of offsets at or above `offset`. The index must be active. */
int segment_index_truncate(struct segment_index *index, const struct log_place *place, int64_t offset);

#endif
