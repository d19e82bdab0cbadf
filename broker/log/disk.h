/* The disk seam: every file operation the record log may use.
 *
 * disk_posix.c is the real one; the simulator keeps a durable image and a list of unsynced writes per file, so the
 * contract tells the two apart: a write or a directory change is durable only after the sync that covers it. Errors are
 * negative codes of errors.h. An I/O error is reported once and never retried here: the caller fences the log. */
#ifndef OTTLA_LOG_DISK_H
#define OTTLA_LOG_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;
struct disk_file;

enum disk_open_flags {
    DISK_READ = 0,
    DISK_WRITE = 1,     /* read and write */
    DISK_CREATE = 2,    /* create when absent (implies DISK_WRITE) */
    DISK_EXCLUSIVE = 4, /* with DISK_CREATE: ERR_EXISTS when present */
    DISK_TRUNCATE = 8,
};

/* Called for every name in a directory but "." and "..". A non-zero return stops the walk and becomes its result. */
typedef int disk_list_callback(void *context, const char *name, bool is_directory);

struct disk_ops {
    int (*open)(struct disk *disk, const char *path, int flags, struct disk_file **ret_file);
    void (*close)(struct disk *disk, struct disk_file *file);
    /* Reads up to `size` bytes at `position`; returns the count (short only at the end of file) or a negative error. */
    int64_t (*read)(struct disk_file *file, void *to, size_t size, int64_t position);
    /* Writes all or returns an error; after an error the file's content from `position` on is undefined. */
    int (*write)(struct disk_file *file, const void *from, size_t size, int64_t position);
    int (*sync)(struct disk_file *file);
    int (*truncate)(struct disk_file *file, int64_t size); /* shrinks, or extends with zeros */
    int64_t (*size)(struct disk_file *file);
    /* The descriptor for sendfile, or -1 where there is none (simulation): the transport then reads. */
    int (*descriptor)(struct disk_file *file);
    int (*rename)(struct disk *disk, const char *from, const char *to); /* replaces `to` atomically */
    int (*unlink)(struct disk *disk, const char *path);
    int (*make_directory)(struct disk *disk, const char *path); /* ERR_EXISTS when present; parents must exist */
    int (*remove_directory)(struct disk *disk, const char *path);
    int (*sync_directory)(struct disk *disk, const char *path);
    /* Makes durable what was written so far to the whole file system that holds `place`, names included: one wait where
     * thousands of files would each have theirs. An error may be of any file there, since `place` was opened. NULL
     * where there is none. `covers`: whether it does for `file` all that sync does, telling its errors included. */
    int (*sync_file_system)(struct disk_file *place);
    bool (*covers)(struct disk_file *place, struct disk_file *file);
    int (*list)(struct disk *disk, const char *path, disk_list_callback *on_entry, void *context);
    /* Takes an exclusive lock on the open file for as long as it stays open; ERR_LOCKED when another process has it. */
    int (*lock)(struct disk_file *file);
    /* Bytes total and usable in the file system that holds `path`. */
    int (*space)(struct disk *disk, const char *path, int64_t *ret_total, int64_t *ret_usable);
    /* Several threads may use the disk at once. False in simulations, where everything happens on one. */
    bool is_concurrent;
    /* Wall time of the last change of content, for segments without timestamps. May be NULL: then unknown. */
    int64_t (*modified_ms)(struct disk_file *file);
};

struct disk {
    const struct disk_ops *ops;
};

/* Reference-counted so that a region on its way to a socket survives the deletion of its segment.
 * Implementations embed this as their first member. */
struct disk_file {
    struct disk *disk;
    int references;
};

static inline int disk_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file) {
    return disk->ops->open(disk, path, flags, ret_file);
}
static inline struct disk_file *disk_file_ref(struct disk_file *file) {
    __atomic_add_fetch(&file->references, 1, __ATOMIC_RELAXED);
    return file;
}
/* Returns NULL, so that `f = disk_file_unref(f);` leaves nothing dangling. NULL is accepted. */
static inline struct disk_file *disk_file_unref(struct disk_file *file) {
    if (file != NULL && __atomic_sub_fetch(&file->references, 1, __ATOMIC_ACQ_REL) == 0) {
        file->disk->ops->close(file->disk, file);
    }
    return NULL;
}
static inline int64_t disk_read(struct disk_file *file, void *to, size_t size, int64_t position) {
    return file->disk->ops->read(file, to, size, position);
}
static inline int disk_write(struct disk_file *file, const void *from, size_t size, int64_t position) {
    return file->disk->ops->write(file, from, size, position);
}
static inline int disk_sync(struct disk_file *file) {
    return file->disk->ops->sync(file);
}
static inline int disk_truncate(struct disk_file *file, int64_t size) {
    return file->disk->ops->truncate(file, size);
}
static inline int64_t disk_size(struct disk_file *file) {
    return file->disk->ops->size(file);
}

/* The process's disk. */
struct disk *disk_posix(void);

#endif
