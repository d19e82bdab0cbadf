/* Small files, whole. */
#include "broker/log/file_util.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

void path_join(char ret_path[LOG_PATH_SIZE], const char *directory, const char *name) {
    int size = snprintf(ret_path, LOG_PATH_SIZE, "%s/%s", directory, name);
    CHECK(size > 0 && size < LOG_PATH_SIZE);
}

void path_of_offset(char ret_path[LOG_PATH_SIZE], const struct log_place *place, int64_t offset, const char *suffix) {
    int size = snprintf(ret_path, LOG_PATH_SIZE, "%s/%020" PRId64 "%s", place->directory, offset, suffix);
    CHECK(size > 0 && size < LOG_PATH_SIZE);
}

int file_read_whole(struct disk *disk, const char *path, size_t size_max, struct byte_buffer *ret) {
    struct disk_file *file;
    int error = disk_open(disk, path, DISK_READ, &file);
    if (error != 0) {
        return error;
    }
    int64_t size = disk_size(file);
    if (size >= 0 && (uint64_t)size <= size_max) {
        int64_t got = disk_read(file, byte_buffer_reserve(ret, (size_t)size + 1), (size_t)size, 0);
        error = got < 0 ? (int)got : 0;
        ret->size += got > 0 ? (size_t)got : 0;
    } else {
        error = size < 0 ? (int)size : ERR_TOO_LARGE;
    }
    disk_file_unref(file);
    return error;
}

int file_replace(struct disk *disk, const char *directory, const char *path, const void *data, size_t size) {
    char temporary[LOG_PATH_SIZE];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    CHECK(length > 0 && length < LOG_PATH_SIZE);
    struct disk_file *file;
    int error = disk_open(disk, temporary, DISK_CREATE | DISK_TRUNCATE, &file);
    if (error != 0) {
        return error;
    }
    error = disk_write(file, data, size, 0);
    if (error == 0) {
        error = disk_sync(file);
    }
    disk_file_unref(file);
    if (error == 0) {
        error = disk->ops->rename(disk, temporary, path);
    }
    if (error == 0) {
        error = disk->ops->sync_directory(disk, directory);
    }
    return error;
}

int file_remove(struct disk *disk, const char *path) {
    int error = disk->ops->unlink(disk, path);
    return error == ERR_NOT_FOUND ? 0 : error;
}
