/* A sorted array and its text file. */
#include "broker/log/epoch_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/offset_checkpoint.h"

/* Entries of one partition; a leader change adds one, so this is beyond any real history. Bounds a hostile file. */
#define EPOCH_ENTRIES_MAX (1 << 20)

void epoch_cache_init(struct epoch_cache *cache, const struct log_place *place) {
    *cache = (struct epoch_cache){.place = place, .cut_epoch = -1, .cut_offset = -1, .file = replaced_file_create()};
}

void epoch_cache_deinit(struct epoch_cache *cache) {
    free(cache->entries);
    replaced_file_unref(cache->file);
    *cache = (struct epoch_cache){0};
}

static void cache_push(struct epoch_cache *cache, int32_t epoch, int64_t offset) {
    if (cache->count == cache->capacity) {
        cache->capacity = MAX(cache->capacity * 2, 4);
        cache->entries = xrealloc(cache->entries, (size_t)cache->capacity * sizeof *cache->entries);
    }
    cache->entries[cache->count++] = (struct epoch_entry){.epoch = epoch, .start_offset = offset};
}

/* The file's text and path. */
static void cache_print(const struct epoch_cache *cache, struct byte_buffer *ret_text, char ret_path[LOG_PATH_SIZE]) {
    checkpoint_print(ret_text, "0\n%d\n", cache->count);
    for (int32_t i = 0; i < cache->count; i++) {
        checkpoint_print(ret_text, "%d %" PRId64 "\n", cache->entries[i].epoch, cache->entries[i].start_offset);
    }
    path_join(ret_path, cache->place->directory, "leader-epoch-checkpoint");
}

static int cache_write(struct epoch_cache *cache) {
    struct byte_buffer text = {0};
    char path[LOG_PATH_SIZE];
    cache_print(cache, &text, path);
#ifdef MUTANT_M12 /* unsynced */
    struct disk_file *file;
    int error = disk_open(cache->place->disk, path, DISK_CREATE | DISK_TRUNCATE, &file);
    error = error != 0 ? error : disk_write(file, text.data, text.size, 0);
    disk_file_unref(file);
#else
    int error =
        replaced_file_write(cache->file, cache->place->disk, cache->place->directory, path, text.data, text.size);
#endif
    byte_buffer_deinit(&text);
    if (error == 0) {
        cache->cut_epoch = -1;
    }
    return error;
}

int epoch_cache_load(struct epoch_cache *cache) {
    char path[LOG_PATH_SIZE];
    path_join(path, cache->place->directory, "leader-epoch-checkpoint");
    struct byte_buffer text = {0};
    cache->count = 0;
    int error = file_read_whole(cache->place->disk, path, CHECKPOINT_SIZE_MAX, &text);
    if (error == ERR_NOT_FOUND) {
        return 0;
    }
    struct checkpoint_reader reader;
    if (error == 0) {
        error = checkpoint_read_begin(&reader, &text);
    }
    for (int32_t i = 0; error == 0 && i < reader.count; i++) {
        int64_t fields[2];
        error = reader.count > EPOCH_ENTRIES_MAX ? ERR_CORRUPT : checkpoint_read_numbers(&reader, fields, 2);
        if (error == 0 && (fields[0] < 0 || fields[0] > INT32_MAX || fields[1] < 0)) {
            error = ERR_CORRUPT;
        }
        /* An entry that contradicts those before it replaces them, as Kafka's reader does by assigning in turn. */
        while (error == 0 && cache->count > 0 &&
               (cache->entries[cache->count - 1].epoch >= fields[0] ||
                cache->entries[cache->count - 1].start_offset >= fields[1])) {
            cache->count--;
        }
        if (error == 0) {
            cache_push(cache, (int32_t)fields[0], fields[1]);
        }
    }
    byte_buffer_deinit(&text);
    return error;
}

static struct file_write *cache_write_later(struct epoch_cache *cache) {
#ifdef MUTANT_M12
    CHECK(cache_write(cache) == 0);
    return NULL;
#else
    struct byte_buffer text = {0};
    char path[LOG_PATH_SIZE];
    cache->cut_offset = -1;
    cache_print(cache, &text, path);
    return file_write_create(cache->file, cache->place->disk, cache->place->directory, path, &text);
#endif
}

/* False when there is nothing to note. */
static bool cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t offset) {
    CHECK(epoch >= 0 && offset >= 0);
    const struct epoch_entry *last = cache->count > 0 ? &cache->entries[cache->count - 1] : NULL;
    if (last != NULL && last->epoch == epoch && last->start_offset <= offset) {
        return false;
    }
    while (cache->count > 0 && (cache->entries[cache->count - 1].epoch >= epoch ||
                                cache->entries[cache->count - 1].start_offset >= offset)) {
        cache->count--;
    }
    cache_push(cache, epoch, offset);
    return true;
}

int epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t offset) {
    return cache_assign(cache, epoch, offset) || cache->cut_epoch >= 0 ? cache_write(cache) : 0;
}

int epoch_cache_assign_later(struct epoch_cache *cache, int32_t epoch, int64_t offset, struct file_write **ret_write) {
    bool is_new = cache_assign(cache, epoch, offset);
    *ret_write = NULL;
    if (is_new && epoch == cache->cut_epoch && offset == cache->cut_offset) {
        cache->cut_epoch = -1; /* a leader that goes on: the file has it already */
        return 0;
    }
    if (epoch <= cache->cut_epoch) {
        return cache_write(cache);
    }
    if (is_new) {
        cache->cut_epoch = -1; /* a later epoch pushes it out, in the file and in recovery */
        *ret_write = cache_write_later(cache);
    }
    return 0;
}

int epoch_cache_settle_cut(struct epoch_cache *cache) {
    return cache->cut_epoch >= 0 ? cache_write(cache) : 0;
}

struct file_write *epoch_cache_catch_up(struct epoch_cache *cache) {
    return replaced_file_is_behind(cache->file) ? cache_write_later(cache) : NULL;
}

void epoch_cache_retire(struct epoch_cache *cache) {
    replaced_file_retire(cache->file);
}

int32_t epoch_cache_latest(const struct epoch_cache *cache) {
    return cache->count > 0 ? cache->entries[cache->count - 1].epoch : -1;
}

struct log_epoch_end epoch_cache_end_offset(const struct epoch_cache *cache, int32_t epoch, int64_t log_end) {
    struct log_epoch_end undefined = {.epoch = -1, .end_offset = -1};
    int32_t latest = epoch_cache_latest(cache);
    if (epoch < 0 || epoch > latest) {
        return undefined;
    }
    if (epoch == latest) {
        return (struct log_epoch_end){.epoch = epoch, .end_offset = log_end};
    }
    int32_t next = 0; /* first entry of a later epoch; there is one, since epoch < latest */
    while (cache->entries[next].epoch <= epoch) {
        next++;
    }
    int32_t found = next == 0 ? epoch : cache->entries[next - 1].epoch;
    return (struct log_epoch_end){.epoch = found, .end_offset = cache->entries[next].start_offset};
}

int32_t epoch_cache_epoch_at(const struct epoch_cache *cache, int64_t offset) {
    for (int32_t i = cache->count - 1; i >= 0; i--) {
        if (cache->entries[i].start_offset <= offset) {
            return cache->entries[i].epoch;
        }
    }
    return -1;
}

static bool drop_from_end(struct epoch_cache *cache, int64_t offset) {
    int32_t before = cache->count;
#ifdef MUTANT_M15 /* an epoch that begins at the new log end stays in the cache (KAFKA-10706) */
    offset++;
#endif
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= offset) {
        cache->count--;
    }
    return cache->count < before;
}

int epoch_cache_drop_from_end(struct epoch_cache *cache, int64_t offset) {
    struct epoch_entry last = {-1, -1};
    int32_t before = cache->count;
    if (before > 0) {
        last = cache->entries[before - 1];
    }
    if (!drop_from_end(cache, offset)) {
        return 0;
    }
    if (last.start_offset > offset || cache->count < before - 1) {
        return cache_write(cache);
    }
    cache->cut_epoch = last.epoch;
    cache->cut_offset = last.start_offset;
    return 0;
}

int epoch_cache_truncate_from_end(struct epoch_cache *cache, int64_t offset) {
    return drop_from_end(cache, offset) || cache->cut_epoch >= 0 ? cache_write(cache) : 0;
}

void epoch_cache_truncate_from_start(struct epoch_cache *cache, int64_t offset, struct file_write **ret_write) {
    *ret_write = NULL;
    if (cache->count == 0 || cache->entries[0].start_offset >= offset) {
        return;
    }
    int32_t gone = 0; /* entries that begin at or before the offset; the last of them moves there */
    while (gone < cache->count && cache->entries[gone].start_offset <= offset) {
        gone++;
    }
    cache->entries[gone - 1].start_offset = offset;
    memmove(cache->entries, cache->entries + gone - 1, (size_t)(cache->count - gone + 1) * sizeof *cache->entries);
    cache->count -= gone - 1;
    *ret_write = cache_write_later(cache);
}

int epoch_cache_prepend(struct epoch_cache *cache, const struct epoch_entry *older, int32_t count) {
    struct epoch_cache joined = {
        .place = cache->place, .cut_epoch = cache->cut_epoch, .cut_offset = cache->cut_offset, .file = cache->file};
    for (int32_t i = 0; i < count; i++) {
        cache_push(&joined, older[i].epoch, older[i].start_offset);
    }
    for (int32_t i = 0; i < cache->count; i++) {
        if (cache->entries[i].epoch > epoch_cache_latest(&joined)) {
            cache_push(&joined, cache->entries[i].epoch, cache->entries[i].start_offset);
        }
    }
    free(cache->entries);
    *cache = joined;
    return count == 0 ? 0 : cache_write(cache);
}

int epoch_cache_adopt(struct epoch_cache *cache, const struct epoch_cache *other) {
    bool is_same = cache->count == other->count;
    for (int32_t i = 0; is_same && i < cache->count; i++) {
        is_same = cache->entries[i].epoch == other->entries[i].epoch &&
                  cache->entries[i].start_offset == other->entries[i].start_offset;
    }
    if (is_same) {
        return 0;
    }
    cache->count = 0;
    for (int32_t i = 0; i < other->count; i++) {
        cache_push(cache, other->entries[i].epoch, other->entries[i].start_offset);
    }
    return cache_write(cache);
}

int epoch_cache_clear(struct epoch_cache *cache) {
    if (cache->count == 0 && cache->cut_epoch < 0) {
        return 0;
    }
    cache->count = 0;
    return cache_write(cache);
}
