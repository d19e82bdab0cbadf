/* Binary search in a file of fixed-size entries, and a block of entries on their way to it. */
#include "broker/log/segment_index.h"

#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"

/* Entries searched in memory after one read; narrows the last steps of a binary search to one system call. */
#define SEARCH_BLOCK_ENTRIES 128

static int32_t entry_size(const struct segment_index *index) {
    return index->kind == INDEX_OFFSET ? OFFSET_INDEX_ENTRY_SIZE : TIME_INDEX_ENTRY_SIZE;
}

static void entry_encode(const struct segment_index *index, const struct index_entry *entry, uint8_t *to) {
    if (index->kind == INDEX_OFFSET) {
        store_i32(to, (int32_t)(entry->key - index->base_offset));
        store_i32(to + 4, (int32_t)entry->value);
    } else {
        store_i64(to, entry->key);
        store_i32(to + 8, (int32_t)(entry->value - index->base_offset));
    }
}

static struct index_entry entry_decode(const struct segment_index *index, const uint8_t *from) {
    if (index->kind == INDEX_OFFSET) {
        return (struct index_entry){.key = index->base_offset + load_i32(from), .value = load_i32(from + 4)};
    }
    return (struct index_entry){.key = load_i64(from), .value = index->base_offset + load_i32(from + 8)};
}

static int64_t entry_offset(const struct segment_index *index, const struct index_entry *entry) {
    return index->kind == INDEX_OFFSET ? entry->key : entry->value;
}

const char *segment_index_suffix(enum segment_index_kind kind) {
    return kind == INDEX_OFFSET ? ".index" : ".timeindex";
}

void segment_index_init(struct segment_index *index, enum segment_index_kind kind, int64_t base_offset) {
    *index = (struct segment_index){.kind = kind, .base_offset = base_offset};
}

void segment_index_deinit(struct segment_index *index) {
    index->file = disk_file_unref(index->file);
    free(index->block);
    index->block = NULL;
}

static int index_open(const struct segment_index *index, const struct log_place *place, int flags,
                      struct disk_file **ret_file) {
    char path[LOG_PATH_SIZE];
    path_of_offset(path, place, index->base_offset, segment_index_suffix(index->kind));
    return disk_open(place->disk, path, flags, ret_file);
}

/* Reads `count` written entries from number `first` on. */
static int read_entries(const struct segment_index *index, struct disk_file *file, int32_t first, int32_t count,
                        uint8_t *to) {
    size_t size = (size_t)count * (size_t)entry_size(index);
    int64_t got = disk_read(file, to, size, (int64_t)first * entry_size(index));
    return got < 0 ? (int)got : got < (int64_t)size ? ERR_CORRUPT : 0;
}

static int load_last(struct segment_index *index, struct disk_file *file) {
    uint8_t bytes[TIME_INDEX_ENTRY_SIZE];
    if (index->entries == 0) {
        return 0;
    }
    int error = read_entries(index, file, index->entries - 1, 1, bytes);
    if (error == 0) {
        index->last = entry_decode(index, bytes);
    }
    return error;
}

static bool last_is_sane(const struct segment_index *index, int64_t log_size) {
    if (index->entries == 0) {
        return true;
    }
    if (entry_offset(index, &index->last) < index->base_offset) {
        return false;
    }
    /* Trailing zeros of a crash show here: position 0 or timestamp 0 after others. */
    return index->kind == INDEX_OFFSET ? index->last.value > 0 && index->last.value < log_size
                                       : index->last.key > 0 || (index->last.key == 0 && index->entries == 1);
}

int segment_index_load(struct segment_index *index, const struct log_place *place, int64_t log_size) {
    struct disk_file *file;
    int error = index_open(index, place, DISK_READ, &file);
    if (error != 0) {
        return error;
    }
    int64_t size = disk_size(file);
    if (size < 0) {
        error = (int)size;
    } else if (size % entry_size(index) != 0 || size > INT32_MAX) {
        error = ERR_CORRUPT;
    } else {
        index->file_size = size;
        index->entries = (int32_t)(size / entry_size(index));
        index->entries_max = index->entries;
        error = load_last(index, file);
    }
    if (error == 0 && !last_is_sane(index, log_size)) {
        error = ERR_CORRUPT;
    }
    disk_file_unref(file);
    index->is_loaded = error == 0;
    return error;
}

int segment_index_create(const struct segment_index *index, const struct log_place *place) {
    struct disk_file *file;
    int error = index_open(index, place, DISK_CREATE, &file);
    if (error == 0) {
        disk_file_unref(file);
    }
    return error;
}

int segment_index_activate(struct segment_index *index, const struct log_place *place, int32_t max_bytes) {
    if (index->file == NULL) {
        int error = index_open(index, place, DISK_CREATE, &index->file);
        if (error != 0) {
            return error;
        }
        index->block = xmalloc((size_t)INDEX_PENDING_MAX * (size_t)entry_size(index));
        index->file_size = disk_size(index->file);
        if (index->file_size < 0) {
            return (int)index->file_size;
        }
    }
    int64_t wanted = (int64_t)(max_bytes / entry_size(index)) * entry_size(index);
    wanted = MAX(wanted, (int64_t)index->entries * entry_size(index));
    index->entries_max = (int32_t)(wanted / entry_size(index));
    if (index->file_size == wanted) {
        return 0;
    }
    index->file_size = wanted;
    return disk_truncate(index->file, wanted);
}

int segment_index_reset(struct segment_index *index, const struct log_place *place, int32_t max_bytes) {
    index->entries = 0;
    index->pending = 0;
    int error = segment_index_activate(index, place, 0);
    /* Down to nothing and up again, so that what was there reads as zeros. */
    return error != 0 ? error : segment_index_activate(index, place, max_bytes);
}

int segment_index_write_pending(struct segment_index *index) {
    if (index->pending == 0) {
        return 0;
    }
    int64_t position = (int64_t)(index->entries - index->pending) * entry_size(index);
    int error = disk_write(index->file, index->block, (size_t)index->pending * (size_t)entry_size(index), position);
    index->pending = 0;
    return error;
}

int segment_index_deactivate(struct segment_index *index) {
    if (index->file == NULL) {
        return 0;
    }
    int error = segment_index_write_pending(index);
    int64_t size = (int64_t)index->entries * entry_size(index);
    if (error == 0 && index->file_size != size) {
        index->file_size = size;
        error = disk_truncate(index->file, size);
    }
    segment_index_deinit(index);
    return error;
}

int segment_index_append(struct segment_index *index, int64_t key, int64_t value) {
    CHECK(index->block != NULL);
    if (index->kind == INDEX_TIME && key <= (index->entries > 0 ? index->last.key : -1)) {
        return 0;
    }
    CHECK(index->kind == INDEX_TIME || index->entries == 0 || key > index->last.key);
    if (index->pending == INDEX_PENDING_MAX) {
        int error = segment_index_write_pending(index);
        if (error != 0) {
            return error;
        }
    }
    index->last = (struct index_entry){.key = key, .value = value};
    entry_encode(index, &index->last, index->block + index->pending * entry_size(index));
    index->pending++;
    index->entries++;
    return 0;
}

bool segment_index_is_full(const struct segment_index *index) {
    /* The last slot of the time index is for the entry made at the end of the segment. */
    return index->entries >= index->entries_max - (index->kind == INDEX_TIME ? 1 : 0);
}

static int64_t sort_key(const struct index_entry *entry, bool by_value) {
    return by_value ? entry->value : entry->key;
}

/* Entry `number`, wherever it is. */
static int entry_at(const struct segment_index *index, struct disk_file *file, int32_t number,
                    struct index_entry *ret) {
    uint8_t bytes[TIME_INDEX_ENTRY_SIZE];
    int32_t written = index->entries - index->pending;
    if (number >= written) {
        *ret = entry_decode(index, index->block + (number - written) * entry_size(index));
        return 0;
    }
    int error = read_entries(index, file, number, 1, bytes);
    if (error == 0) {
        *ret = entry_decode(index, bytes);
    }
    return error;
}

/* Number of the greatest entry at most `target`, -1 when there is none, or an error below -1. */
static int search(const struct segment_index *index, struct disk_file *file, int64_t target, bool by_value,
                  struct index_entry *ret) {
    struct index_entry probe;
    int32_t low = 0; /* entries before it are at most target */
    int32_t high = index->entries;
    while (high - low > SEARCH_BLOCK_ENTRIES || (high > index->entries - index->pending && low < high)) {
        int32_t middle = low + (high - low) / 2;
        int error = entry_at(index, file, middle, &probe);
        if (error != 0) {
            return error - 1;
        }
        if (sort_key(&probe, by_value) <= target) {
            low = middle + 1;
            *ret = probe;
        } else {
            high = middle;
        }
    }
    uint8_t block[SEARCH_BLOCK_ENTRIES * TIME_INDEX_ENTRY_SIZE];
    int error = high > low ? read_entries(index, file, low, high - low, block) : 0;
    if (error != 0) {
        return error - 1;
    }
    for (int32_t i = low; i < high; i++) {
        probe = entry_decode(index, block + (i - low) * entry_size(index));
        if (sort_key(&probe, by_value) > target) {
            return i - 1;
        }
        *ret = probe;
    }
    return high - 1;
}

int segment_index_lookup(const struct segment_index *index, const struct log_place *place, int64_t target,
                         bool by_value, struct index_entry *ret) {
    if (index->entries == 0) {
        return 0;
    }
    if (sort_key(&index->last, by_value) <= target) {
        *ret = index->last;
        return 1;
    }
    struct disk_file *file = index->file;
    if (file == NULL) {
        int error = index_open(index, place, DISK_READ, &file);
        if (error != 0) {
            return error;
        }
    }
    int number = search(index, file, target, by_value, ret);
    if (index->file == NULL) {
        disk_file_unref(file);
    }
    return number >= 0 ? 1 : number == -1 ? 0 : number + 1;
}

int segment_index_truncate(struct segment_index *index, const struct log_place *place, int64_t offset) {
    CHECK(index->file != NULL);
    (void)place;
    int error = segment_index_write_pending(index);
    if (error != 0 || index->entries == 0) {
        return error;
    }
    struct index_entry ignored;
    int number = search(index, index->file, offset - 1, index->kind == INDEX_TIME, &ignored);
    if (number < -1) {
        return number + 1;
    }
    index->entries = number + 1;
    int64_t size = (int64_t)index->entries_max * entry_size(index);
    /* What is cut off must read as zeros, as it does in a fresh index. */
    error = disk_truncate(index->file, (int64_t)index->entries * entry_size(index));
    if (error == 0) {
        error = disk_truncate(index->file, size);
    }
    index->file_size = size;
    return error != 0 ? error : load_last(index, index->file);
}
