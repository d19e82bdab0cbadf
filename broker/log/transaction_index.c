/* The index of aborted transactions: 34-byte entries, in the order in which their markers came. */
#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/log_internal.h"

#define TRANSACTION_ENTRY_SIZE 34
/* 16 million aborts in one segment; bounds what a broken file can make us read. */
#define TRANSACTION_INDEX_SIZE_MAX ((size_t)512 * 1024 * 1024)

static int open_index(const struct log_place *place, int64_t base_offset, int flags, struct disk_file **ret_file) {
    char path[LOG_PATH_SIZE];
    path_of_offset(path, place, base_offset, ".txnindex");
    return disk_open(place->disk, path, flags, ret_file);
}

int transaction_index_append(const struct log_place *place, int64_t base_offset,
                             const struct aborted_transaction *entry) {
    struct disk_file *file;
    int error = open_index(place, base_offset, DISK_CREATE, &file);
    if (error != 0) {
        return error;
    }
    uint8_t bytes[TRANSACTION_ENTRY_SIZE];
    struct writer w = writer_of(bytes, sizeof bytes);
    writer_i16(&w, 0);
    writer_i64(&w, entry->producer_id);
    writer_i64(&w, entry->first_offset);
    writer_i64(&w, entry->last_offset);
    writer_i64(&w, entry->last_stable_offset);
    int64_t size = disk_size(file);
    error = size < 0 ? (int)size : disk_write(file, bytes, sizeof bytes, size);
    disk_file_unref(file);
    return error;
}

int transaction_index_read(const struct log_place *place, int64_t base_offset, struct aborted_transaction **ret_list,
                           int32_t *ret_count) {
    *ret_list = NULL;
    *ret_count = 0;
    char path[LOG_PATH_SIZE];
    path_of_offset(path, place, base_offset, ".txnindex");
    struct byte_buffer bytes = {0};
    int error = file_read_whole(place->disk, path, TRANSACTION_INDEX_SIZE_MAX, &bytes);
    if (error == ERR_NOT_FOUND) {
        return 0;
    }
    if (error == 0 && bytes.size % TRANSACTION_ENTRY_SIZE != 0) {
        error = ERR_CORRUPT;
    }
    if (error == 0 && bytes.size > 0) {
        int32_t count = (int32_t)(bytes.size / TRANSACTION_ENTRY_SIZE);
        *ret_list = xcalloc((size_t)count, sizeof **ret_list);
        struct reader r = reader_of(bytes.data, bytes.size);
        for (int32_t i = 0; i < count; i++) {
            struct aborted_transaction *entry = &(*ret_list)[i];
            int16_t version = reader_i16(&r);
            entry->producer_id = reader_i64(&r);
            entry->first_offset = reader_i64(&r);
            entry->last_offset = reader_i64(&r);
            entry->last_stable_offset = reader_i64(&r);
            if (version != 0 || entry->last_offset < base_offset || entry->first_offset > entry->last_offset) {
                error = ERR_CORRUPT;
            }
        }
        *ret_count = count;
    }
    byte_buffer_deinit(&bytes);
    if (error != 0) {
        free(*ret_list);
        *ret_list = NULL;
        *ret_count = 0;
    }
    return error;
}

int transaction_index_truncate(const struct log_place *place, int64_t base_offset, int64_t offset) {
    struct aborted_transaction *list;
    int32_t count;
    int error = transaction_index_read(place, base_offset, &list, &count);
    /* One that cannot be read is emptied when everything goes anyway. */
    if (error != 0 && !(error == ERR_CORRUPT && offset <= base_offset)) {
        return error;
    }
    int32_t kept = 0;
    while (kept < count && list[kept].last_offset < offset) {
        kept++;
    }
    free(list);
    if (error == 0 && kept == count) {
        return 0;
    }
    struct disk_file *file;
    error = open_index(place, base_offset, DISK_WRITE, &file);
    if (error == 0) {
        error = disk_truncate(file, (int64_t)kept * TRANSACTION_ENTRY_SIZE);
        disk_file_unref(file);
    }
    return error;
}
