/* Every file wraps one of the real disk's and remembers its path. */
#include "tests/lib/faulty_disk.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

struct faulty_file {
    struct disk_file base; /* first, so that the two pointers are one */
    struct disk_file *inner;
    char *path;
    bool has_told; /* that writes were lost */
};

static struct faulty_disk *disk_of(struct disk *disk) {
    return CONTAINER_OF(disk, struct faulty_disk, base);
}

static struct faulty_file *file_of(struct disk_file *file) {
    return CONTAINER_OF(file, struct faulty_file, base);
}

static bool begins_like(const char *path, const char *beginning) {
    return beginning != NULL && strncmp(path, beginning, strlen(beginning)) == 0;
}

static int fault(struct disk *base, const char *path) {
    return begins_like(path, disk_of(base)->broken) ? disk_of(base)->error : 0;
}

static int file_fault(struct disk_file *file) {
    return fault(file->disk, file_of(file)->path);
}

/* Counted, not made: nobody cuts the power here, and how long a sync takes is the machine's affair. */
static void count_sync(struct disk *base) {
    struct faulty_disk *disk = disk_of(base);
    __atomic_add_fetch(*disk->is_worker ? &disk->worker_syncs : &disk->loop_syncs, 1, __ATOMIC_RELAXED);
}

static int faulty_open(struct disk *base, const char *path, int flags, struct disk_file **ret_file) {
    struct disk_file *inner;
    int error = fault(base, path);
    error = error != 0 ? error : disk_open(disk_of(base)->inner, path, flags, &inner);
    if (error != 0) {
        return error;
    }
    struct faulty_file *file = xcalloc(1, sizeof *file);
    *file = (struct faulty_file){.base = {.disk = base, .references = 1}, .inner = inner, .path = xstrdup(path)};
    *ret_file = &file->base;
    return 0;
}

static void faulty_close(struct disk *base, struct disk_file *file) {
    (void)base;
    struct faulty_file *faulty = file_of(file);
    disk_file_unref(faulty->inner);
    free(faulty->path);
    free(faulty);
}

static int64_t faulty_read(struct disk_file *file, void *to, size_t size, int64_t position) {
    int error = file_fault(file);
    return error != 0 ? error : disk_read(file_of(file)->inner, to, size, position);
}

static int faulty_write(struct disk_file *file, const void *from, size_t size, int64_t position) {
    struct faulty_disk *disk = disk_of(file->disk);
    int error = file_fault(file);
    if (error == 0 && disk->space >= 0 && (int64_t)size > disk->space) {
        error = disk_write(file_of(file)->inner, from, size / 2, position);
        disk->space = 0;
        return error != 0 ? error : ERR_NO_SPACE;
    }
    if (error == 0 && disk->space >= 0) {
        disk->space -= (int64_t)size;
    }
    return error != 0 ? error : disk_write(file_of(file)->inner, from, size, position);
}

static int faulty_sync(struct disk_file *file) {
    const struct faulty_disk *disk = disk_of(file->disk);
    struct faulty_file *faulty = file_of(file);
    int error = file_fault(file);
    count_sync(file->disk);
    if (error == 0 && begins_like(faulty->path, disk->lossy) && !faulty->has_told) {
        faulty->has_told = true;
        error = disk->error;
    }
    return error;
}

static int faulty_truncate(struct disk_file *file, int64_t size) {
    int error = file_fault(file);
    return error != 0 ? error : disk_truncate(file_of(file)->inner, size);
}

static int64_t faulty_size(struct disk_file *file) {
    return disk_size(file_of(file)->inner);
}

static int faulty_descriptor(struct disk_file *file) {
    struct disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->descriptor(inner);
}

static int faulty_lock(struct disk_file *file) {
    struct disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->lock(inner);
}

static int64_t faulty_modified_ms(struct disk_file *file) {
    struct disk_file *inner = file_of(file)->inner;
    return inner->disk->ops->modified_ms(inner);
}

static int faulty_rename(struct disk *base, const char *from, const char *to) {
    int error = fault(base, from);
    return error != 0 ? error : disk_of(base)->inner->ops->rename(disk_of(base)->inner, from, to);
}

static int faulty_unlink(struct disk *base, const char *path) {
    int error = fault(base, path);
    return error != 0 ? error : disk_of(base)->inner->ops->unlink(disk_of(base)->inner, path);
}

static int faulty_make_directory(struct disk *base, const char *path) {
    int error = fault(base, path);
    return error != 0 ? error : disk_of(base)->inner->ops->make_directory(disk_of(base)->inner, path);
}

static int faulty_remove_directory(struct disk *base, const char *path) {
    int error = fault(base, path);
    return error != 0 ? error : disk_of(base)->inner->ops->remove_directory(disk_of(base)->inner, path);
}

static int faulty_sync_directory(struct disk *base, const char *path) {
    int error = fault(base, path);
    count_sync(base);
    return error;
}

static int faulty_list(struct disk *base, const char *path, disk_list_callback *on_entry, void *context) {
    int error = fault(base, path);
    return error != 0 ? error : disk_of(base)->inner->ops->list(disk_of(base)->inner, path, on_entry, context);
}

static int faulty_space(struct disk *base, const char *path, int64_t *ret_total, int64_t *ret_usable) {
    return disk_of(base)->inner->ops->space(disk_of(base)->inner, path, ret_total, ret_usable);
}

void faulty_disk_init(struct faulty_disk *disk, const bool *is_worker) {
    static const struct disk_ops ops = {.open = faulty_open,
                                        .close = faulty_close,
                                        .read = faulty_read,
                                        .write = faulty_write,
                                        .sync = faulty_sync,
                                        .truncate = faulty_truncate,
                                        .size = faulty_size,
                                        .descriptor = faulty_descriptor,
                                        .rename = faulty_rename,
                                        .unlink = faulty_unlink,
                                        .make_directory = faulty_make_directory,
                                        .remove_directory = faulty_remove_directory,
                                        .sync_directory = faulty_sync_directory,
                                        .list = faulty_list,
                                        .lock = faulty_lock,
                                        .space = faulty_space,
                                        .modified_ms = faulty_modified_ms,
                                        .is_concurrent = true};
    *disk = (struct faulty_disk){
        .base = {.ops = &ops}, .inner = disk_posix(), .error = ERR_IO, .space = -1, .is_worker = is_worker};
}
