/* The real disk: POSIX files.
 *
 * The one file of the project that opens data files. Every call is one system call where the kernel allows it; short
 * reads and writes are continued, EINTR is hidden, and nothing that failed is tried a second time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/log/disk.h"

struct posix_file {
    struct disk_file base; /* first, so that the two pointers are one */
    int descriptor;
};

static int posix_descriptor(struct disk_file *file) {
    return ((struct posix_file *)file)->descriptor;
}

static int posix_open(struct disk *disk, const char *path, int flags, struct disk_file **ret_file) {
    int mode = O_CLOEXEC;
    mode |= (flags & (DISK_WRITE | DISK_CREATE)) != 0 ? O_RDWR : O_RDONLY;
    mode |= (flags & DISK_CREATE) != 0 ? O_CREAT : 0;
    mode |= (flags & DISK_EXCLUSIVE) != 0 ? O_EXCL : 0;
    mode |= (flags & DISK_TRUNCATE) != 0 ? O_TRUNC : 0;
    int descriptor;
    do {
        descriptor = open(path, mode, 0644);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) {
        return error_from_errno(errno);
    }
    struct posix_file *file = xcalloc(1, sizeof *file);
    file->base.disk = disk;
    file->base.references = 1;
    file->descriptor = descriptor;
    *ret_file = &file->base;
    return 0;
}

static void posix_close(struct disk *disk, struct disk_file *file) {
    (void)disk;
    close(posix_descriptor(file));
    free(CONTAINER_OF(file, struct posix_file, base));
}

static int64_t posix_read(struct disk_file *file, void *to, size_t size, int64_t position) {
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(posix_descriptor(file), (char *)to + done, size - done, position + (int64_t)done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_from_errno(errno);
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (int64_t)done;
}

static int posix_write(struct disk_file *file, const void *from, size_t size, int64_t position) {
    size_t done = 0;
    while (done < size) {
        ssize_t put = pwrite(posix_descriptor(file), (const char *)from + done, size - done, position + (int64_t)done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return put < 0 ? error_from_errno(errno) : ERR_IO;
        }
        done += (size_t)put;
    }
    return 0;
}

static int posix_sync(struct disk_file *file) {
    /* fdatasync also writes the metadata needed to read the data back (the size), which is all that is promised. */
    return fdatasync(posix_descriptor(file)) == 0 ? 0 : error_from_errno(errno);
}

static int posix_truncate(struct disk_file *file, int64_t size) {
    int status;
    do {
        status = ftruncate(posix_descriptor(file), size);
    } while (status < 0 && errno == EINTR);
    return status == 0 ? 0 : error_from_errno(errno);
}

static int64_t posix_size(struct disk_file *file) {
    struct stat status;
    return fstat(posix_descriptor(file), &status) == 0 ? (int64_t)status.st_size : error_from_errno(errno);
}

static int64_t posix_modified_ms(struct disk_file *file) {
    struct stat status;
    if (fstat(posix_descriptor(file), &status) != 0) {
        return error_from_errno(errno);
    }
    return (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
}

static int posix_rename(struct disk *disk, const char *from, const char *to) {
    (void)disk;
    return rename(from, to) == 0 ? 0 : error_from_errno(errno);
}

static int posix_unlink(struct disk *disk, const char *path) {
    (void)disk;
    return unlink(path) == 0 ? 0 : error_from_errno(errno);
}

static int posix_make_directory(struct disk *disk, const char *path) {
    (void)disk;
    return mkdir(path, 0755) == 0 ? 0 : error_from_errno(errno);
}

static int posix_remove_directory(struct disk *disk, const char *path) {
    (void)disk;
    return rmdir(path) == 0 ? 0 : error_from_errno(errno);
}

static int posix_sync_directory(struct disk *disk, const char *path) {
    (void)disk;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return error_from_errno(errno);
    }
    int error = fsync(descriptor) == 0 ? 0 : error_from_errno(errno);
    close(descriptor);
    return error;
}

static int posix_sync_file_system(struct disk_file *place) {
    return syncfs(posix_descriptor(place)) == 0 ? 0 : error_from_errno(errno);
}

/* Linux tells what could not be written by syncfs since 5.8. */
static bool syncfs_tells_errors(void) {
    struct utsname system;
    int major = 0;
    int minor = 0;
    return uname(&system) == 0 && sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 8));
}

static bool posix_covers(struct disk_file *place, struct disk_file *file) {
    struct stat a;
    struct stat b;
    return syncfs_tells_errors() && fstat(posix_descriptor(place), &a) == 0 && fstat(posix_descriptor(file), &b) == 0 &&
           a.st_dev == b.st_dev;
}

static bool entry_is_directory(DIR *directory, const struct dirent *entry) {
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) {
        return entry->d_type == DT_DIR;
    }
    struct stat status;
    return fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

static int posix_list(struct disk *disk, const char *path, disk_list_callback *on_entry, void *context) {
    (void)disk;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_from_errno(errno);
    }
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            result = errno == 0 ? 0 : error_from_errno(errno);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            result = on_entry(context, entry->d_name, entry_is_directory(directory, entry));
        }
    }
    closedir(directory);
    return result;
}

static int posix_lock(struct disk_file *file) {
    /* A record lock, because that is what Java's FileChannel.tryLock takes: an Apache broker on the same directory
     * and this one then exclude each other. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(posix_descriptor(file), F_SETLK, &lock) == 0) {
        return 0;
    }
    return errno == EACCES || errno == EAGAIN ? ERR_LOCKED : error_from_errno(errno);
}

static int posix_space(struct disk *disk, const char *path, int64_t *ret_total, int64_t *ret_usable) {
    (void)disk;
    struct statvfs status;
    if (statvfs(path, &status) != 0) {
        return error_from_errno(errno);
    }
    *ret_total = (int64_t)status.f_blocks * (int64_t)status.f_frsize;
    *ret_usable = (int64_t)status.f_bavail * (int64_t)status.f_frsize;
    return 0;
}

struct disk *disk_posix(void) {
    static const struct disk_ops ops = {
        .open = posix_open,
        .close = posix_close,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .truncate = posix_truncate,
        .size = posix_size,
        .descriptor = posix_descriptor,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .make_directory = posix_make_directory,
        .remove_directory = posix_remove_directory,
        .sync_directory = posix_sync_directory,
        .sync_file_system = posix_sync_file_system,
        .covers = posix_covers,
        .list = posix_list,
        .lock = posix_lock,
        .space = posix_space,
        .modified_ms = posix_modified_ms,
        .is_concurrent = true,
    };
    static struct disk disk = {.ops = &ops};
    return &disk;
}
