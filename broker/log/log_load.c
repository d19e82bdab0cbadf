/* Opening a partition directory: what a crash may have left is put in order, segments are loaded, and those that may
 * not be whole are recovered (zookeeper-mode.md 5.8 and 5.9, rules 29 to 31). */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_internal.h"

#define AREA "kafka.log.LogManager"

struct name_list {
    char **names;
    int32_t count;
    int32_t capacity;
    bool is_outdated; /* files came or went since */
};

static int on_name(void *context, const char *name, bool is_directory) {
    struct name_list *list = context;
    if (is_directory) {
        return 0;
    }
    if (list->count == list->capacity) {
        list->capacity = MAX(list->capacity * 2, 16);
        list->names = xrealloc(list->names, (size_t)list->capacity * sizeof(char *));
    }
    list->names[list->count++] = xstrdup(name);
    return 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void name_list_deinit(struct name_list *list) {
    for (int32_t i = 0; i < list->count; i++) {
        free(list->names[i]);
    }
    free(list->names);
    *list = (struct name_list){0};
}

/* The directory's files in order of their names, so that a load is the same every time. */
static int list_names(const struct log *log, struct name_list *ret) {
    *ret = (struct name_list){0};
    int error = log->place.disk->ops->list(log->place.disk, log->place.directory, on_name, ret);
    if (error != 0) {
        name_list_deinit(ret);
    } else if (ret->count > 0) {
        qsort(ret->names, (size_t)ret->count, sizeof(char *), compare_names);
    }
    return error;
}

static bool ends_with(const char *name, const char *suffix) {
    size_t name_size = strlen(name);
    size_t suffix_size = strlen(suffix);
    return name_size >= suffix_size && strcmp(name + name_size - suffix_size, suffix) == 0;
}

/* The number before the first dot, or -1. */
static int64_t offset_of_name(const char *name) {
    int64_t offset = 0;
    const char *at = name;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (offset > (INT64_MAX - 9) / 10) {
            return -1;
        }
        offset = offset * 10 + (*at - '0');
    }
    return at > name && *at == '.' ? offset : -1;
}

/* Most directories are as they were left, and one listing does: with thousands of logs each further one shows. */
static int list_again(const struct log *log, struct name_list *list) {
    if (!list->is_outdated) {
        return 0;
    }
    name_list_deinit(list);
    return list_names(log, list);
}

static bool has_file(const struct log *log, const struct name_list *list, int64_t offset, const char *suffix) {
    char path[LOG_PATH_SIZE];
    path_of_offset(path, &log->place, offset, suffix);
    const char *name = strrchr(path, '/') + 1;
    return list->count > 0 && bsearch(&name, list->names, (size_t)list->count, sizeof(char *), compare_names) != NULL;
}

static int remove_name(const struct log *log, struct name_list *list, const char *name) {
    char path[LOG_PATH_SIZE];
    path_join(path, log->place.directory, name);
    list->is_outdated = true;
    return file_remove(log->place.disk, path);
}

/* Steps 1 and 2: what was being deleted goes; output that was not complete goes. */
static int remove_leftovers(const struct log *log, struct name_list *list) {
    int64_t cleaned_min = INT64_MAX;
    int error = 0;
    for (int32_t i = 0; i < list->count; i++) {
        int64_t offset = offset_of_name(list->names[i]);
        if (ends_with(list->names[i], ".cleaned") && offset >= 0) {
            cleaned_min = MIN(cleaned_min, offset);
        }
    }
    for (int32_t i = 0; error == 0 && i < list->count; i++) {
        const char *name = list->names[i];
        bool is_incomplete_swap = ends_with(name, ".swap") && offset_of_name(name) >= cleaned_min;
#ifdef MUTANT_M33 /* a swap that a crash interrupted is always taken back */
        is_incomplete_swap = ends_with(name, ".swap");
#endif
        if (ends_with(name, ".deleted") || is_incomplete_swap || ends_with(name, ".tmp")) {
            error = remove_name(log, list, name);
        }
    }
    /* Last, because they are what marks the swap files above as incomplete. */
    for (int32_t i = 0; error == 0 && i < list->count; i++) {
        if (ends_with(list->names[i], ".cleaned")) {
            error = remove_name(log, list, list->names[i]);
        }
    }
    return error;
}

/* Offset after the content of a complete ".log.swap" file. */
static int swap_end(const struct log *log, const char *name, int64_t base_offset, int64_t *ret_end) {
    char path[LOG_PATH_SIZE];
    path_join(path, log->place.directory, name);
    struct disk_file *file;
    int status = disk_open(log->place.disk, path, DISK_READ, &file);
    if (status != 0) {
        return status;
    }
    uint8_t buffer[SCAN_HEADERS_SIZE];
    struct batch_scanner scanner = batch_scanner_of_headers(file, 0, MAX(disk_size(file), 0), buffer, sizeof buffer);
    struct record_batch header;
    int64_t position;
    *ret_end = base_offset;
    while ((status = batch_scanner_next(&scanner, &header, &position, NULL)) > 0) {
        *ret_end = header.last_offset + 1;
    }
    disk_file_unref(file);
    return status == ERR_CORRUPT ? 0 : status;
}

/* Steps 3 and 4: complete output replaces everything it was made of. */
static int finish_swaps(const struct log *log, struct name_list *list) {
    int64_t min = INT64_MAX;
    int64_t max = INT64_MIN;
    int error = 0;
    for (int32_t i = 0; error == 0 && i < list->count; i++) {
        int64_t end;
        int64_t base = offset_of_name(list->names[i]);
        if (ends_with(list->names[i], ".log.swap") && base >= 0) {
            error = swap_end(log, list->names[i], base, &end);
            min = MIN(min, base);
            max = error == 0 ? MAX(max, end) : max;
        }
    }
    for (int32_t i = 0; error == 0 && i < list->count; i++) {
        int64_t offset = offset_of_name(list->names[i]);
        if (!ends_with(list->names[i], ".swap") && offset >= min && offset < max) {
            error = remove_name(log, list, list->names[i]);
        }
    }
    for (int32_t i = 0; error == 0 && i < list->count; i++) {
        if (ends_with(list->names[i], ".swap")) {
            char from[LOG_PATH_SIZE];
            char to[LOG_PATH_SIZE];
            path_join(from, log->place.directory, list->names[i]);
            path_join(to, log->place.directory, list->names[i]);
            to[strlen(to) - strlen(".swap")] = 0;
            list->is_outdated = true;
            error = log->place.disk->ops->rename(log->place.disk, from, to);
        }
    }
    return error;
}

/* A segment being recovered. */
struct recovery {
    struct log *log;
    struct log_segment *segment;
    bool notes_epochs;
};

static int recover_batch(void *context, const struct record_batch *header, struct slice bytes) {
    const struct recovery *recovery = context;
    struct log *log = recovery->log;
    int64_t end = MIN(log->recovered_end, header->base_offset);
    log->is_sparse = log->is_sparse || header->base_offset != log->recovered_end;
    log->recovered_end = header->last_offset + 1;
    if (recovery->notes_epochs && header->leader_epoch >= 0 &&
        header->leader_epoch > epoch_cache_latest(&log->epochs)) {
        int error = epoch_cache_assign(&log->epochs, header->leader_epoch, end); /* as a follower does */
        if (error != 0) {
            return error;
        }
    }
    return log_apply_to_producers(log, recovery->segment, header, bytes);
}

/* Step 3 of 5.9. Returns the number of bytes cut off or an error. The producer state ends at the segment's end. Epochs
 * are noted where segments are recovered in order: they begin in the first that has them. */
static int64_t recover_segment(struct log *log, struct log_segment *segment, bool notes_epochs) {
    int error = log_rebuild_producers(log, segment->base_offset, false);
    if (error == 0) {
        error = transaction_index_truncate(&log->place, segment->base_offset, segment->base_offset);
    }
    if (error != 0) {
        return error;
    }
    struct recovery recovery = {.log = log, .segment = segment, .notes_epochs = notes_epochs};
    log->recovered_end = segment->base_offset;
    int64_t cut = segment_recover(segment, &log->config, recover_batch, &recovery);
    if (cut >= 0) {
        error = log_take_snapshot(log, true);
    }
    return cut < 0 || error == 0 ? cut : error;
}

/* What may not have been flushed is recovered afterwards, in order, when nothing before it is torn any more: recovery
 * replays what is before it where its producer snapshot is torn too. */
static bool is_recovered_later(const struct log_open_options *options, int64_t base_offset) {
    return !options->had_clean_shutdown && base_offset >= options->recovery_point;
}

static int load_segment(struct log *log, const struct log_open_options *options, const struct name_list *list,
                        const char *name) {
    struct log_segment *segment;
    int64_t base_offset = offset_of_name(name);
    int error = segment_open(&log->place, base_offset, clock_wall_ms(log->clock), &segment);
    if (error != 0 && error != ERR_CORRUPT) {
        return error;
    }
    bool rebuild = error == ERR_CORRUPT;
    if (!rebuild && has_file(log, list, base_offset, ".txnindex")) {
        struct aborted_transaction *entries;
        int32_t count;
        error = transaction_index_read(&log->place, base_offset, &entries, &count);
        free(entries);
        rebuild = error == ERR_CORRUPT;
    }
    if (rebuild && !is_recovered_later(options, base_offset)) {
        trace_warn(AREA, "An index of %s/%s is missing or corrupt, rebuilding it", log->place.directory, name);
        int64_t cut = recover_segment(log, segment, false);
        error = cut < 0 ? (int)cut : 0;
    } else if (rebuild) {
        error = 0;
    }
    if (error != 0) {
        segment_destroy(segment);
        return error;
    }
    log_insert_segment(log, segment);
    return 0;
}

/* Step 5: every ".log" is a segment; an index without its log goes. */
static int load_segments(struct log *log, const struct log_open_options *options, struct name_list *list) {
    int error = 0;
    for (int32_t i = 0; error == 0 && i < list->count; i++) {
        const char *name = list->names[i];
        bool is_index = ends_with(name, ".index") || ends_with(name, ".timeindex") || ends_with(name, ".txnindex");
        int64_t offset = offset_of_name(name);
        if (offset >= 0 && ends_with(name, ".log")) {
            error = load_segment(log, options, list, name);
        } else if (offset >= 0 && is_index && !has_file(log, list, offset, ".log")) {
            error = remove_name(log, list, name);
        }
    }
    return error;
}

/* Files reach the disk in no certain order: after a power cut a segment may end early, at the end of a batch, while the
 * one that was begun after it is there. A log that was never compacted has no gaps, so that is where it ends now; so
 * does a copy. Any other goes on, and the place is remembered. */
static bool lost_tail(struct log *log, int32_t at, bool is_copy) {
    int64_t next = at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : log->recovered_end;
    if (log->recovered_end >= next || next <= log->start_offset) {
        return false; /* nothing is missing, or nothing of the log */
    }
    if (is_copy || (!log->config.compact && !log->is_sparse)) {
        return true;
    }
    if (log->doubtful_from < 0) {
        log->doubtful_from = log->recovered_end;
    }
    return false;
}

/* Nor do names: a segment that a truncation took away may be there again, while the one it cut, which is cut durably
 * before anything is appended, has gone on beyond where the other begins. */
static bool came_back(const struct log *log, int32_t at) {
    return at + 1 < log->segment_count && log->recovered_end > log->segments[at + 1]->base_offset;
}

/* A clean stop leaves the recovery point at the log end, but for a doubt that nobody had settled. */
static int recall_doubt(struct log *log, int64_t recovery_point) {
    int error = 0;
    log->is_sparse = true; /* or there had been no doubt */
    for (int32_t i = MAX(log_floor_segment(log, recovery_point), 0); error == 0 && i + 1 < log->segment_count; i++) {
        int64_t position;
        error = segment_read_end(log->segments[i], &log->recovered_end, &position);
        if (error == 0) {
            (void)lost_tail(log, i, false);
        }
    }
    return error == ERR_CORRUPT ? 0 : error; /* whoever reads there finds out */
}

/* Recovers what may not have been flushed; at the first bad byte the log ends. */
static int recover_unflushed(struct log *log, const struct log_open_options *options) {
    for (int32_t i = MAX(log_floor_segment(log, options->recovery_point), 0); i < log->segment_count; i++) {
        struct log_segment *segment = log->segments[i];
        int64_t cut = recover_segment(log, segment, true);
        if (cut < 0) {
            return (int)cut;
        }
        bool ends_here = cut == 0 && (came_back(log, i) || lost_tail(log, i, options->is_copy));
        if (cut > 0 || ends_here) { /* where it is cut it ends, no doubt */
            trace_warn(AREA, "Corruption found in segment %lld of %s, truncating %lld bytes%s",
                       (long long)segment->base_offset, log->place.directory, (long long)cut,
                       ends_here ? "; what follows does not begin where it ends" : "");
            int32_t later = log->segment_count - i - 1;
            while (later-- > 0) {
                int error = log_remove_segments(log, log->segment_count - 1, 1, -1);
                if (error != 0) {
                    return error;
                }
            }
        }
    }
    return 0;
}

/* The end of the last segment. Bytes behind its last batch should not be there after a clean stop; recovery cuts them
 * off if they are. */
static int find_log_end(struct log *log) {
    struct log_segment *segment = log_active_segment(log);
    int64_t end_position;
    int status = segment_read_end(segment, &log->end_offset, &end_position);
    if (status == ERR_CORRUPT) {
        int64_t cut = recover_segment(log, segment, true);
        status = cut < 0 ? (int)cut : segment_read_end(segment, &log->end_offset, &end_position);
    }
    return status;
}

/* A checkpointed start above the log end means that files are missing: what is left is worthless. */
static int settle_end(struct log *log) {
    int error = log->segment_count > 0 ? find_log_end(log) : 0;
    if (error == 0 && log->segment_count > 0 && log->end_offset < log->start_offset) {
        trace_warn(AREA, "Deleting all segments of %s because the log end %lld is below the log start %lld",
                   log->place.directory, (long long)log->end_offset, (long long)log->start_offset);
        error = log_remove_segments(log, 0, log->segment_count, -1);
        if (error == 0) {
            error = epoch_cache_clear(&log->epochs);
        }
        while (error == 0 && log->producers.snapshot_count > 0) {
            error = log_remove_snapshot(log, log->producers.snapshots[0], false);
        }
    }
    if (error == 0 && log->segment_count == 0) {
        struct log_segment *segment;
        error = segment_create(&log->place, log->start_offset, &log->config, clock_wall_ms(log->clock), &segment);
        if (error == 0) {
            log_insert_segment(log, segment);
            log->end_offset = log->start_offset;
        }
    }
    return error;
}

static int load_files(struct log *log, const struct log_open_options *options) {
    struct name_list list;
    int error = list_names(log, &list);
    if (error == 0) {
        error = remove_leftovers(log, &list);
    }
    if (error == 0 && (error = list_again(log, &list)) == 0) {
        error = finish_swaps(log, &list);
    }
    if (error == 0 && (error = list_again(log, &list)) == 0) {
        for (int32_t i = 0; i < list.count; i++) {
            log_note_snapshot(log, list.names[i]);
        }
        error = load_segments(log, options, &list);
    }
    name_list_deinit(&list);
    return error;
}

/* The log start is in a checkpoint that is written now and then, the epochs in a file that is written when they change:
 * after a crash the log may begin earlier than the epochs do. A leader that does not know the epochs of its oldest
 * records cannot tell a follower that its own are others (KIP-101), so they are read from the batches. Records of
 * message formats without epochs have none. */
static int recall_epochs(struct log *log) {
    int64_t known = log->epochs.count > 0 ? log->epochs.entries[0].start_offset : log->end_offset;
    struct epoch_entry *found = NULL;
    int32_t count = 0;
    int error = 0;
    int64_t end = log->start_offset; /* of the batch before */
    for (int64_t offset = end; error == 0 && offset < known;) {
        int32_t segment = log_floor_segment(log, offset);
        struct batch_position batch;
        int status = segment < 0 ? 0 : segment_find(log->segments[segment], offset, &batch);
        if (status == 0 && segment + 1 < log->segment_count) {
            offset = log->segments[segment + 1]->base_offset;
            continue;
        }
        error = MIN(status, 0);
        if (status <= 0 || batch.header.leader_epoch < 0) {
            break;
        }
        if (count == 0 || batch.header.leader_epoch > found[count - 1].epoch) {
            found = xrealloc(found, (size_t)(count + 1) * sizeof *found);
            found[count++] = (struct epoch_entry){.epoch = batch.header.leader_epoch, .start_offset = end};
        }
        offset = end = batch.header.last_offset + 1;
    }
    error = error != 0 ? error : epoch_cache_prepend(&log->epochs, found, count);
    free(found);
    return error;
}

/* What recovery cut off was durable once and must be cut off durably too, before the recovery point passes it. */
static void mark_synced(struct log *log) {
    for (int32_t i = 0; i < log->segment_count; i++) {
        int64_t end = i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : log->end_offset;
        log->segments[i]->is_synced = end <= log->recovery_point && !log->segments[i]->is_recovered;
    }
}

static int load(struct log *log, const struct log_open_options *options) {
    int error = log_read_topic_id(log);
    if (error == 0) {
        error = epoch_cache_load(&log->epochs);
    }
    if (error == 0) {
        error = load_files(log, options);
    }
    if (error == 0 && !options->had_clean_shutdown) {
        error = recover_unflushed(log, options);
    }
    if (error == 0) {
        error = settle_end(log);
    }
    if (error != 0) {
        return error;
    }
    if (options->had_clean_shutdown && (error = recall_doubt(log, options->recovery_point)) != 0) {
        return error;
    }
    bool is_durable = options->had_clean_shutdown && log->doubtful_from < 0;
    log->recovery_point = is_durable ? log->end_offset : MIN(options->recovery_point, log->end_offset);
    log->start_offset = MAX(log->start_offset, log->segments[0]->base_offset);
    mark_synced(log);
    error = epoch_cache_drop_from_end(&log->epochs, log->end_offset);
    if (error == 0) {
        error = log_truncate_epochs_from_start(log, log->start_offset);
    }
    if (error == 0) {
        error = recall_epochs(log);
    }
    if (error == 0) {
        error = log_remove_stray_snapshots(log);
    }
    return error != 0 ? error : log_rebuild_producers(log, log->end_offset, options->had_clean_shutdown);
}

int log_open(const struct log_open_options *options, struct log **ret_log) {
    struct log *log = xcalloc(1, sizeof *log);
    log->place = (struct log_place){.disk = options->disk, .directory = xstrdup(options->directory)};
    log->clock = options->clock;
    log->topic = xstrdup(options->topic);
    log->partition = options->partition;
    log->hooks = options->hooks;
    log->start_offset = options->start_offset;
    log->clean_offset = options->clean_offset;
    log->doubtful_from = -1;
    log->owns_workspace = options->workspace == NULL;
    log->workspace = log->owns_workspace ? record_workspace_create() : options->workspace;
    log_set_config(log, &options->config);
    log->sync_outcome = sync_outcome_create();
    epoch_cache_init(&log->epochs, &log->place);
    producer_state_init(&log->producers);
    log_forget_places(log);
    int error = load(log, options);
    if (error != 0) {
        log_destroy(log);
        return error;
    }
    *ret_log = log;
    return 0;
}
