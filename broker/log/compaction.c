/* The worker's part of a cleaning: build the key map, then write the segments anew; see compaction.h. */
#include "broker/log/compaction.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

static enum compaction_state finish(struct compaction *c, enum compaction_state state) {
    c->state = state;
    return state;
}

static enum compaction_state fail(struct compaction *c, int error, const char *failure) {
    c->error = error;
    c->failure = failure;
    return finish(c, COMPACTION_FAILED);
}

/* ---- Preparing ---- */

void compaction_add_aborted(struct compaction *c, const struct aborted_transaction *list, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (c->aborted_count == c->aborted_capacity) {
            c->aborted_capacity = MAX(c->aborted_capacity * 2, 16);
            c->aborted = xrealloc(c->aborted, (size_t)c->aborted_capacity * sizeof *c->aborted);
        }
        c->aborted[c->aborted_count++] = list[i];
    }
}

static int compare_aborted(const void *a, const void *b) {
    const struct aborted_transaction *x = a;
    const struct aborted_transaction *y = b;
    return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

/* A transaction may begin in one segment and be aborted in another, so all indexes are read before anything else. */
static int read_transaction_indexes(struct compaction *c) {
    for (int32_t i = 0; i < c->aborted_base_count; i++) {
        struct aborted_transaction *list;
        int32_t count;
        int error = transaction_index_read(&c->place, c->aborted_bases[i], &list, &count);
        if (error != 0) {
            return error;
        }
        compaction_add_aborted(c, list, count);
        free(list);
    }
    if (c->aborted_count > 0) {
        qsort(c->aborted, (size_t)c->aborted_count, sizeof *c->aborted, compare_aborted);
    }
    return 0;
}

static void restart_transactions(struct compaction *c, int64_t from_offset) {
    compaction_transactions_deinit(&c->transactions);
    compaction_transactions_init(&c->transactions, c->aborted, c->aborted_count, from_offset);
}

static int32_t first_dirty_source(const struct compaction *c) {
    int32_t at = 0;
    while (at + 1 < c->source_count && c->sources[at].next_offset <= c->range.first_dirty) {
        at++;
    }
    return at;
}

static enum compaction_state prepare(struct compaction *c) {
    int error = read_transaction_indexes(c);
    if (error != 0) {
        return fail(c, error, "a transaction index cannot be read");
    }
    offset_map_init(&c->map, c->limits.map_bytes_max, c->limits.map_load_factor);
    c->workspace = record_workspace_create();
    c->phase = COMPACTION_MAPS;
    c->at = first_dirty_source(c);
    c->position = 0;
    c->map.latest_offset = c->range.first_dirty - 1;
    restart_transactions(c, c->sources[c->at].base_offset);
    return finish(c, COMPACTION_MORE);
}

/* ---- First pass: the last offset of every key ---- */

/* False when the map is full. */
static bool put_pending(struct compaction *c) {
    for (int32_t i = 0; i < c->pending.count; i++) {
        if (!offset_map_put(&c->map, &c->pending.keys[i], c->pending.offsets[i])) {
            return false;
        }
    }
    c->pending.count = 0;
    return true;
}

/* 1, 0 when the map is full, or an error. Keys of many small batches wait for each other, but never more than the map
 * has room for: so it is full by a key of the batch in hand, and has all of those before. */
static int map_records(struct compaction *c, const struct record_batch *header, struct slice bytes) {
    struct record_iterator iterator;
    struct record_view record;
    int more = record_batch_unpack(bytes, header, c->workspace);
    if (more != 0) {
        return more;
    }
    struct slice records = {c->workspace->unpacked.data, (int32_t)c->workspace->unpacked.size};
    record_iterator_begin_memory(&iterator, records, header->record_count);
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        int64_t offset = header->base_offset + record.offset_delta;
        if (record.key_size < 0 || offset < c->range.first_dirty) {
            continue;
        }
        struct compaction_keys *pending = &c->pending;
        pending->keys[pending->count] = offset_map_key(&c->map, (struct slice){record.key, record.key_size});
        pending->offsets[pending->count++] = offset;
        bool is_enough =
            pending->count == OFFSET_MAP_KEYS_AT_ONCE || (size_t)pending->count >= offset_map_room(&c->map);
        if (is_enough && !put_pending(c)) {
            return 0;
        }
    }
    return more != 0 ? more : 1;
}

/* 1, 0 when the map is full, or an error. A batch the map has no room for is left to the next cleaning, whole. */
static int map_batch(struct compaction *c, const struct record_batch *header, struct slice bytes) {
    int status = 1;
    if (header->magic != 2) {
        return ERR_INVALID;
    }
    if (record_batch_is_control(header)) {
        struct aborted_transaction ignored;
        compaction_transactions_on_marker(&c->transactions, header, bytes, &ignored);
    } else if (!compaction_transactions_on_batch(&c->transactions, header) && header->record_count > 0 &&
               header->last_offset >= c->range.first_dirty) {
        status = map_records(c, header, bytes);
    }
    if (status == 1) {
        c->map.latest_offset = MAX(c->map.latest_offset, header->last_offset);
    }
    return status;
}

/* Groups of segments that fit into one by size, by index and by the four bytes an index has for an offset. */
static void choose_group(struct compaction *c) {
    int64_t size = c->sources[c->group_first].size;
    int64_t index_bytes = c->sources[c->group_first].index_bytes;
    int32_t end = c->group_first + 1;
    while (end < c->map_source_count && size + c->sources[end].size <= c->config.segment_bytes &&
           index_bytes + c->sources[end].index_bytes <= c->config.segment_index_bytes &&
           c->sources[end].next_offset - c->sources[c->group_first].base_offset <= INT32_MAX) {
        size += c->sources[end].size;
        index_bytes += c->sources[end].index_bytes;
        end++;
    }
    c->group_end = end;
}

static enum compaction_state begin_group(struct compaction *c, int32_t first) {
    if (first >= c->map_source_count) {
        return finish(c, COMPACTION_DONE);
    }
    c->group_first = first;
    choose_group(c);
    c->at = first;
    c->position = 0;
    int error = segment_create(&c->output_place, c->sources[first].base_offset, &c->config, c->wall_ms, &c->cleaned);
    if (error == 0) {
        error = segment_activate(c->cleaned, &c->config);
    }
    return error != 0 ? fail(c, error, NULL) : finish(c, COMPACTION_MORE);
}

static enum compaction_state map_is_built(struct compaction *c, bool is_full) {
    if (!is_full) {
        bool has_room = put_pending(c);
        CHECK(has_room);
        c->map.latest_offset = MAX(c->map.latest_offset, c->range.first_uncleanable - 1);
    }
    c->end_offset = c->map.latest_offset + 1;
    if (c->end_offset <= c->range.first_dirty) {
        return fail(c, ERR_TOO_LARGE, "one batch holds more keys than log.cleaner.dedupe.buffer.size has room for");
    }
    while (c->map_source_count < c->source_count && c->sources[c->map_source_count].base_offset < c->end_offset) {
        c->map_source_count++;
    }
    c->phase = COMPACTION_CLEANS;
    restart_transactions(c, c->sources[0].base_offset);
    return begin_group(c, 0);
}

/* ---- Second pass: writing anew ---- */

static int write_output(struct compaction *c) {
    struct slice rest = {c->output.data, (int32_t)c->output.size};
    int64_t position = c->cleaned->size;
    int error = rest.size > 0 ? disk_write(c->cleaned->file, rest.data, (size_t)rest.size, position) : 0;
    while (error == 0 && rest.size > 0) {
        struct record_batch header;
        error = record_batch_decode(rest.data, (size_t)rest.size, &header);
        CHECK(error == 0 && header.size <= rest.size);
        error = segment_note_batch(c->cleaned, &header, position, c->config.index_interval_bytes);
        position += header.size;
        rest.data += header.size;
        rest.size -= header.size;
    }
    c->stats.bytes_written += position - c->cleaned->size;
    c->cleaned->size = position;
    c->output.size = 0;
    return error;
}

static int clean_batch(struct compaction *c, const struct record_batch *header, struct slice bytes) {
    struct compaction_rules rules = {.map = &c->map,
                                     .wall_ms = c->wall_ms,
                                     .delete_retention_ms = c->config.delete_retention_ms,
                                     .end_offset = c->range.first_uncleanable,
                                     .producers = c->producers,
                                     .producer_count = c->producer_count};
    struct compaction_outcome outcome;
    struct slice kept;
    int error = compaction_filter(&rules, &c->transactions, header, bytes, c->workspace, &outcome, &kept);
    if (error != 0) {
        return error;
    }
    c->stats.bytes_cleaned += header->size;
    c->stats.records_read += outcome.records_read;
    c->stats.records_kept += outcome.records_kept;
    if (outcome.kept.last_offset >= 0) {
        error = transaction_index_append(&c->output_place, c->cleaned->base_offset, &outcome.kept);
    }
    if (error == 0 && outcome.is_kept) {
        byte_buffer_append(&c->output, kept.data, (size_t)kept.size);
        if (c->output.size >= (size_t)c->limits.io_buffer_bytes) {
            error = write_output(c);
        }
    }
    return error;
}

static int sync_path(struct disk *disk, const char *path) {
    struct disk_file *file;
    int error = disk_open(disk, path, DISK_WRITE, &file);
    if (error != 0) {
        return error == ERR_NOT_FOUND ? 0 : error;
    }
    error = disk_sync(file);
    disk_file_unref(file);
    return error;
}

/* Everything of the output is on stable storage before it may take the place of anything. */
static int sync_output(struct compaction *c) {
    static const char *const suffixes[] = {".index", ".timeindex", ".txnindex"};
    int error = disk_sync(c->cleaned->file);
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(suffixes); i++) {
        char path[LOG_PATH_SIZE];
        path_of_offset(path, &c->output_place, c->cleaned->base_offset, suffixes[i]);
        error = sync_path(c->place.disk, path);
    }
    return error != 0 ? error : c->place.disk->ops->sync_directory(c->place.disk, c->place.directory);
}

static enum compaction_state end_group(struct compaction *c) {
    int error = write_output(c);
    if (error == 0) {
        error = segment_deactivate(c->cleaned);
    }
    if (error == 0) {
        error = sync_output(c);
    }
    if (error != 0) {
        return fail(c, error, NULL);
    }
    c->cleaned->is_synced = true;
    return finish(c, COMPACTION_REPLACES);
}

/* ---- Slices ---- */

static const char *failure_text(int error) {
    switch (error) {
    case ERR_INVALID: return "it holds records that are malformed or of a format before 0.11";
    case ERR_TOO_LARGE: return "a batch unpacks to more than the broker allows";
    default: return "a batch is corrupt";
    }
}

/* Reads the source on from where the last slice ended: 1 when the budget is spent, 0 at its end, or an error (in
 * *ret_is_full when it is only that the map is). */
static int read_source(struct compaction *c, int64_t *budget_bytes, bool *ret_is_full) {
    const struct compaction_source *source = &c->sources[c->at];
    struct batch_scanner scanner = batch_scanner_of_batches(source->file, c->position, source->size, &c->input);
    struct record_batch header;
    struct slice bytes;
    int64_t position;
    int status;
    while ((status = batch_scanner_next(&scanner, &header, &position, &bytes)) > 0) {
        if (!record_batch_crc_is_valid(bytes, &header)) {
            return ERR_CORRUPT;
        }
        int result = c->phase == COMPACTION_MAPS ? map_batch(c, &header, bytes) : clean_batch(c, &header, bytes);
        if (result < 0) {
            return result;
        }
        if (c->phase == COMPACTION_MAPS && result == 0) {
            *ret_is_full = true;
            return 0;
        }
        c->position = position + header.size;
        c->stats.bytes_read += header.size;
        *budget_bytes -= header.size;
        if (*budget_bytes <= 0) {
            return 1;
        }
    }
    return status;
}

static enum compaction_state next_source(struct compaction *c) {
    c->at++;
    c->position = 0;
    if (c->phase == COMPACTION_MAPS) {
        return c->at == c->source_count ? map_is_built(c, false) : COMPACTION_MORE;
    }
    return c->at == c->group_end ? end_group(c) : COMPACTION_MORE;
}

enum compaction_state compaction_work(struct compaction *c, int64_t budget_bytes) {
    CHECK(c->state == COMPACTION_MORE || c->state == COMPACTION_REPLACES);
    if (c->phase == COMPACTION_PREPARES) {
        return prepare(c);
    }
    if (c->state == COMPACTION_REPLACES) {
        CHECK(c->cleaned == NULL); /* it was taken */
        int error = c->place.disk->ops->sync_directory(c->place.disk, c->place.directory);
        return error != 0 ? fail(c, error, NULL) : begin_group(c, c->group_end);
    }
    while (budget_bytes > 0) {
        bool is_full = false;
        int status = read_source(c, &budget_bytes, &is_full);
        if (status < 0) {
            bool is_about_bytes = status == ERR_CORRUPT || status == ERR_INVALID || status == ERR_TOO_LARGE;
            return fail(c, status, is_about_bytes ? failure_text(status) : NULL);
        }
        if (status == 0) {
            enum compaction_state state = is_full ? map_is_built(c, true) : next_source(c);
            if (state != COMPACTION_MORE) {
                return state;
            }
        }
    }
    return finish(c, COMPACTION_MORE);
}

int64_t compaction_position(const struct compaction *c) {
    return c->source_count == 0 ? -1 : c->sources[MIN(c->at, c->source_count - 1)].base_offset;
}

void compaction_destroy(struct compaction *c, bool remove_output) {
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};
    if (c == NULL) {
        return;
    }
    segment_destroy(c->cleaned);
    /* Also what could be made in part only. One ".cleaned" that stays has a crash in the middle of a later replacement
     * take that back when it should go on. */
    for (size_t i = 0; remove_output && c->phase == COMPACTION_CLEANS && i < ARRAY_SIZE(suffixes); i++) {
        char path[LOG_PATH_SIZE];
        path_of_offset(path, &c->output_place, c->sources[c->group_first].base_offset, suffixes[i]);
        file_remove(c->place.disk, path); /* what stays is removed by the next start */
    }
    for (int32_t i = 0; i < c->source_count; i++) {
        disk_file_unref(c->sources[i].file);
    }
    if (c->phase != COMPACTION_PREPARES) {
        offset_map_deinit(&c->map);
        record_workspace_destroy(c->workspace);
    }
    compaction_transactions_deinit(&c->transactions);
    byte_buffer_deinit(&c->input);
    byte_buffer_deinit(&c->output);
    free(c->sources);
    free(c->aborted_bases);
    free(c->aborted);
    free(c->producers);
    free(c->place.directory);
    free(c);
}
