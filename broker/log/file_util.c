/* Small files, whole. */
#include "broker/log/file_util.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

void path_join(char ret_path[LOG_PATH_SIZE], const char *directory, const char *name) {
    int size = snprintf(ret_path, LOG_PATH_SIZE, "%s/%s", directory, name);
    CHECK(size > 0 && size < LOG_PATH_SIZE);
}

void path_of_offset(char ret_path[LOG_PATH_SIZE], const struct log_place *place, int64_t offset, const char *suffix) {
    int size = snprintf(ret_path, LOG_PATH_SIZE, "%s/%020" PRId64 "%s%s", place->directory, offset, suffix,
                        place->suffix != NULL ? place->suffix : "");
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

static int write_by_rename(struct disk *disk, const char *path, const void *data, size_t size, bool sync) {
    char temporary[LOG_PATH_SIZE];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    CHECK(length > 0 && length < LOG_PATH_SIZE);
    struct disk_file *file;
    int error = disk_open(disk, temporary, DISK_CREATE | DISK_TRUNCATE, &file);
    if (error != 0) {
        return error;
    }
    error = disk_write(file, data, size, 0);
    if (error == 0 && sync) {
        error = disk_sync(file);
    }
    disk_file_unref(file);
    if (error != 0) {
        disk->ops->unlink(disk, temporary); /* a full disk is not helped by half a file */
        return error;
    }
    return disk->ops->rename(disk, temporary, path);
}

int file_write_unsynced(struct disk *disk, const char *path, const void *data, size_t size) {
    return write_by_rename(disk, path, data, size, false);
}

int file_replace(struct disk *disk, const char *directory, const char *path, const void *data, size_t size) {
    int error = write_by_rename(disk, path, data, size, true);
    return error != 0 ? error : disk->ops->sync_directory(disk, directory);
}

struct replaced_file {
    pthread_mutex_t mutex; /* held while the file is written: it guards the temporary file, and `written` */
    int64_t written;       /* number of the content that is in the file; atomic, written under the mutex */
    int64_t last;          /* number given last; atomic, like the references */
    int32_t references;
};

struct replaced_file *replaced_file_create(void) {
    struct replaced_file *file = xcalloc(1, sizeof *file);
    CHECK(pthread_mutex_init(&file->mutex, NULL) == 0);
    file->references = 1;
    return file;
}

struct replaced_file *replaced_file_unref(struct replaced_file *file) {
    if (file != NULL && __atomic_sub_fetch(&file->references, 1, __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_destroy(&file->mutex);
        free(file);
    }
    return NULL;
}

static int64_t next_number(struct replaced_file *file) {
    return __atomic_add_fetch(&file->last, 1, __ATOMIC_RELAXED);
}

static int replace_in_order(struct replaced_file *file, int64_t number, struct disk *disk, const char *directory,
                            const char *path, const void *data, size_t size) {
    int error = 0;
    pthread_mutex_lock(&file->mutex);
    if (number > file->written) {
        error = file_replace(disk, directory, path, data, size);
        if (error == 0) {
            __atomic_store_n(&file->written, number, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&file->mutex);
    return error;
}

int replaced_file_write(struct replaced_file *file, struct disk *disk, const char *directory, const char *path,
                        const void *data, size_t size) {
    return replace_in_order(file, next_number(file), disk, directory, path, data, size);
}

struct file_write *file_write_create(struct replaced_file *file, struct disk *disk, const char *directory,
                                     const char *path, struct byte_buffer *bytes) {
    struct file_write *write = xcalloc(1, sizeof *write);
    __atomic_add_fetch(&file->references, 1, __ATOMIC_RELAXED);
    *write = (struct file_write){.file = file,
                                 .number = next_number(file),
                                 .disk = disk,
                                 .directory = xstrdup(directory),
                                 .path = xstrdup(path),
                                 .bytes = *bytes};
    *bytes = (struct byte_buffer){0};
    return write;
}

bool replaced_file_is_behind(const struct replaced_file *file) {
    return __atomic_load_n(&file->written, __ATOMIC_ACQUIRE) < __atomic_load_n(&file->last, __ATOMIC_RELAXED);
}

void replaced_file_retire(struct replaced_file *file) {
    pthread_mutex_lock(&file->mutex);
    __atomic_store_n(&file->written, INT64_MAX, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&file->mutex);
}

void file_write_run(struct file_write *write) {
    write->error = replace_in_order(write->file, write->number, write->disk, write->directory, write->path,
                                    write->bytes.data, write->bytes.size);
}

static void staged_path(const struct file_write *write, char ret_path[LOG_PATH_SIZE]) {
    int length =
        snprintf(ret_path, LOG_PATH_SIZE, "%s.new.tmp", write->path); /* a write under way has the other name */
    CHECK(length > 0 && length < LOG_PATH_SIZE);
}

int file_write_stage(const struct file_write *write) {
    char path[LOG_PATH_SIZE];
    struct disk_file *file;
    staged_path(write, path);
    int error = disk_open(write->disk, path, DISK_CREATE | DISK_TRUNCATE, &file);
    if (error == 0) {
        error = disk_write(file, write->bytes.data, write->bytes.size, 0);
        disk_file_unref(file);
    }
    return error;
}

int file_write_place(struct file_write *write) {
    struct replaced_file *file = write->file;
    char path[LOG_PATH_SIZE];
    staged_path(write, path);
    pthread_mutex_lock(&file->mutex);
    bool is_newest = write->number > file->written;
    int error = is_newest ? write->disk->ops->rename(write->disk, path, write->path) : file_remove(write->disk, path);
    if (error == 0 && is_newest) {
        __atomic_store_n(&file->written, write->number, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&file->mutex);
    return error;
}

void file_write_destroy(struct file_write *write) {
    replaced_file_unref(write->file);
    byte_buffer_deinit(&write->bytes);
    free(write->directory);
    free(write->path);
    free(write);
}

int file_remove(struct disk *disk, const char *path) {
    int error = disk->ops->unlink(disk, path);
    return error == ERR_NOT_FOUND ? 0 : error;
}
