/* The leader-epoch cache of one partition: at which offset each leader's reign began.
 *
 * Kept in memory and in leader-epoch-checkpoint, rewritten whole and synced at every change (zookeeper-mode.md 4.7).
 * Not every change waits for that. Beyond the recovery point the batches themselves say which epoch they are of, and
 * recovery reads them: an epoch that begins need not be in the file before the recovery point passes its start
 * (log_flush.c). What is cut off must be out of the file before a batch of an older epoch can take its place, since
 * that would not push it out: at once when a log is truncated, with the first batch when it was loaded. */
#ifndef OTTLA_LOG_EPOCH_CACHE_H
#define OTTLA_LOG_EPOCH_CACHE_H

#include "broker/log/file_util.h"
#include "broker/log/log.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epoch_cache {
    const struct log_place *place;
    struct epoch_entry *entries; /* both epochs and offsets ascend */
    int32_t count;
    int32_t capacity;
    int32_t cut_epoch;  /* the latest that was dropped at loading and that the file may still have; -1 none */
    int64_t cut_offset; /* where it begins, if it is all that the file has and the cache has not; else -1 */
    struct replaced_file *file;
};

void epoch_cache_init(struct epoch_cache *cache, const struct log_place *place);
void epoch_cache_deinit(struct epoch_cache *cache);
/* Reads the checkpoint; no file or an empty one is an empty cache; ERR_CORRUPT for one that is not in the format. */
int epoch_cache_load(struct epoch_cache *cache);
/* Notes that `epoch` begins at `offset`. Nothing happens when the latest entry already says so (an equal epoch that
 * began earlier). Entries of the same or later epochs, or of later offsets, were never real and go. */
int epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t offset);
/* The same, but the file waits: *ret_write is what has to be run, on any thread, or NULL. It is written now where the
 * epoch is no later than one that was dropped at loading, unless it is that one again. */
int epoch_cache_assign_later(struct epoch_cache *cache, int32_t epoch, int64_t offset, struct file_write **ret_write);
/* A batch is about to be written that no call of the above noted a new epoch for: what was dropped at loading and is
 * still in the file goes from there now, since this batch would not push it out. */
int epoch_cache_settle_cut(struct epoch_cache *cache);
/* The write of a file that is behind the cache, for who needs it durable; NULL when the file has it all. */
struct file_write *epoch_cache_catch_up(struct epoch_cache *cache);
/* The directory is taken away: what waits to be written goes nowhere, and not into the one that may take its place. */
void epoch_cache_retire(struct epoch_cache *cache);
int32_t epoch_cache_latest(const struct epoch_cache *cache);
struct log_epoch_end epoch_cache_end_offset(const struct epoch_cache *cache, int32_t epoch, int64_t log_end);
int32_t epoch_cache_epoch_at(const struct epoch_cache *cache, int64_t offset);
/* Drops what begins at or after `offset`, which is the end of a log that is being loaded. An epoch that begins just
 * there stays in the file: as long as nothing is appended, every loading drops it again. So a start costs no sync for
 * each partition that had a new leader and no records since. */
int epoch_cache_drop_from_end(struct epoch_cache *cache, int64_t offset);
/* Drops what begins at or after `offset`. */
int epoch_cache_truncate_from_end(struct epoch_cache *cache, int64_t offset);
/* Drops what ends at or before `offset`; the epoch that contains it begins there from now on. The file may wait: what
 * it says of offsets below the log start is dropped when it is loaded. *ret_write is what has to be run, on any thread,
 * or NULL. */
void epoch_cache_truncate_from_start(struct epoch_cache *cache, int64_t offset, struct file_write **ret_write);
/* Puts what is known of older records in front; entries of the same epochs as these give way to them. */
int epoch_cache_prepend(struct epoch_cache *cache, const struct epoch_entry *older, int32_t count);
/* Takes over what another knows of the same history. */
int epoch_cache_adopt(struct epoch_cache *cache, const struct epoch_cache *other);
int epoch_cache_clear(struct epoch_cache *cache);

#endif
