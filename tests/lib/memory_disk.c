/* Inodes and two directories of paths. */
#include "tests/lib/memory_disk.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

#define PATHS_MAX 512

struct image {
    uint8_t *bytes;
    int64_t size;
};

struct inode {
    struct image seen;
    struct image stable;
    bool is_directory;
    int links;
};

struct path_entry {
    char *path; /* NULL: free */
    struct inode *inode;
};

struct path_table {
    struct path_entry entries[PATHS_MAX];
    int end; /* behind the last entry that was ever used: most disks are small */
};

struct memory_disk {
    struct disk base;
    struct path_table seen;
    struct path_table stable;
    int64_t operations;
    int64_t fail_at;
    bool is_dead;
};

struct memory_file {
    struct disk_file base;
    struct inode *inode;
};

static struct memory_disk *disk_of(struct disk *disk) {
    return CONTAINER_OF(disk, struct memory_disk, base);
}

static struct memory_disk *disk_of_file(struct disk_file *file) {
    return disk_of(file->disk);
}

static struct inode *inode_of(struct disk_file *file) {
    return CONTAINER_OF(file, struct memory_file, base)->inode;
}

/* Counts a changing operation; false when the machine is dead. *ret_torn: this is the one it dies of. */
static bool alive(struct memory_disk *disk, bool *ret_torn) {
    *ret_torn = false;
    if (disk->is_dead) {
        return false;
    }
    disk->operations++;
    if (disk->operations == disk->fail_at) {
        disk->is_dead = true;
        *ret_torn = true;
    }
    return !disk->is_dead;
}

static void image_resize(struct image *image, int64_t size) {
    image->bytes = xrealloc(image->bytes, (size_t)size + 1);
    if (size > image->size) {
        memset(image->bytes + image->size, 0, (size_t)(size - image->size));
    }
    image->size = size;
}

static void image_copy(struct image *to, const struct image *from) {
    to->bytes = xrealloc(to->bytes, (size_t)from->size + 1);
    to->size = from->size;
    if (from->size > 0) {
        memcpy(to->bytes, from->bytes, (size_t)from->size);
    }
}

static void inode_unlink(struct inode *inode) {
    if (--inode->links == 0) {
        free(inode->seen.bytes);
        free(inode->stable.bytes);
        free(inode);
    }
}

static struct path_entry *find(struct path_table *table, const char *path) {
    for (int i = 0; i < table->end; i++) {
        struct path_entry *entry = &table->entries[i];
        if (entry->path != NULL && strcmp(entry->path, path) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void put(struct path_table *table, const char *path, struct inode *inode) {
    int i = 0;
    while (i < table->end && table->entries[i].path != NULL) {
        i++;
    }
    CHECK(i < PATHS_MAX); /* else the disk is full */
    table->entries[i] = (struct path_entry){.path = xstrdup(path), .inode = inode};
    table->end = MAX(table->end, i + 1);
    inode->links++;
}

static void drop(struct path_entry *entry) {
    free(entry->path);
    entry->path = NULL;
    inode_unlink(entry->inode);
}

static void add(struct memory_disk *disk, const char *path, bool is_directory) {
    struct inode *inode = xcalloc(1, sizeof *inode);
    inode->is_directory = is_directory;
    put(&disk->seen, path, inode);
}

static int memory_open(struct disk *base, const char *path, int flags, struct disk_file **ret_file) {
    struct memory_disk *disk = disk_of(base);
    struct path_entry *entry = find(&disk->seen, path);
    bool torn;
    if (disk->is_dead) {
        return ERR_IO;
    }
    if (entry != NULL && (flags & DISK_EXCLUSIVE) != 0) {
        return ERR_EXISTS;
    }
    if (entry == NULL && (flags & DISK_CREATE) == 0) {
        return ERR_NOT_FOUND;
    }
    if ((entry == NULL || (flags & DISK_TRUNCATE) != 0) && !alive(disk, &torn)) {
        return ERR_IO;
    }
    if (entry == NULL) {
        add(disk, path, false);
        entry = find(&disk->seen, path);
    } else if ((flags & DISK_TRUNCATE) != 0) {
        image_resize(&entry->inode->seen, 0);
    }
    struct memory_file *file = xcalloc(1, sizeof *file);
    file->base = (struct disk_file){.disk = base, .references = 1};
    file->inode = entry->inode;
    file->inode->links++;
    *ret_file = &file->base;
    return 0;
}

static void memory_close(struct disk *base, struct disk_file *file) {
    (void)base;
    inode_unlink(inode_of(file));
    free(CONTAINER_OF(file, struct memory_file, base));
}

static int64_t memory_read(struct disk_file *file, void *to, size_t size, int64_t position) {
    const struct image *image = &inode_of(file)->seen;
    if (disk_of_file(file)->is_dead) {
        return ERR_IO;
    }
    int64_t count = MIN((int64_t)size, MAX(image->size - position, 0));
    if (count > 0) {
        memcpy(to, image->bytes + position, (size_t)count);
    }
    return count;
}

static int memory_write(struct disk_file *file, const void *from, size_t size, int64_t position) {
    bool torn;
    bool is_alive = alive(disk_of_file(file), &torn);
    struct image *image = &inode_of(file)->seen;
    size_t count = is_alive ? size : torn ? size / 2 : 0;
    if (count > 0) {
        image_resize(image, MAX(image->size, position + (int64_t)count));
        memcpy(image->bytes + position, from, count);
    }
    return is_alive ? 0 : ERR_IO;
}

static int memory_sync(struct disk_file *file) {
    bool torn;
    if (!alive(disk_of_file(file), &torn)) {
        return ERR_IO;
    }
    image_copy(&inode_of(file)->stable, &inode_of(file)->seen);
    return 0;
}

static int memory_truncate(struct disk_file *file, int64_t size) {
    bool torn;
    if (!alive(disk_of_file(file), &torn)) {
        return ERR_IO;
    }
    image_resize(&inode_of(file)->seen, size);
    return 0;
}

static int64_t memory_size(struct disk_file *file) {
    return disk_of_file(file)->is_dead ? ERR_IO : inode_of(file)->seen.size;
}

static int memory_descriptor(struct disk_file *file) {
    (void)file;
    return -1;
}

/* Moves one path; everything below it moves along, as names of files in a directory do. */
static void move_paths(struct path_table *table, const char *from, const char *to) {
    size_t size = strlen(from);
    for (int i = 0; i < table->end; i++) {
        char *path = table->entries[i].path;
        if (path != NULL && strncmp(path, from, size) == 0 && (path[size] == 0 || path[size] == '/')) {
            table->entries[i].path = xasprintf("%s%s", to, path + size);
            free(path);
        }
    }
}

static int memory_rename(struct disk *base, const char *from, const char *to) {
    struct memory_disk *disk = disk_of(base);
    bool torn;
    if (!disk->is_dead && find(&disk->seen, from) == NULL) {
        return ERR_NOT_FOUND;
    }
    if (!alive(disk, &torn)) {
        return ERR_IO;
    }
    struct path_entry *target = find(&disk->seen, to);
    if (target != NULL) {
        drop(target);
    }
    move_paths(&disk->seen, from, to);
    return 0;
}

static int memory_unlink(struct disk *base, const char *path) {
    struct memory_disk *disk = disk_of(base);
    struct path_entry *entry = find(&disk->seen, path);
    bool torn;
    if (!disk->is_dead && entry == NULL) {
        return ERR_NOT_FOUND;
    }
    if (!alive(disk, &torn)) {
        return ERR_IO;
    }
    drop(entry);
    return 0;
}

static int memory_make_directory(struct disk *base, const char *path) {
    struct memory_disk *disk = disk_of(base);
    bool torn;
    if (!disk->is_dead && find(&disk->seen, path) != NULL) {
        return ERR_EXISTS;
    }
    if (!alive(disk, &torn)) {
        return ERR_IO;
    }
    add(disk, path, true);
    return 0;
}

/* The name behind "<directory>/", or NULL when the path does not lie directly in it. */
static const char *name_in(const char *path, const char *directory) {
    size_t size = strlen(directory);
    if (path == NULL || strncmp(path, directory, size) != 0 || path[size] != '/') {
        return NULL;
    }
    return strchr(path + size + 1, '/') == NULL ? path + size + 1 : NULL;
}

/* Directories that were renamed into this one take along what is stable in them. */
static void move_stable(struct memory_disk *disk, const char *path) {
    for (int i = 0; i < disk->seen.end; i++) {
        const struct path_entry *seen = &disk->seen.entries[i];
        if (name_in(seen->path, path) == NULL || !seen->inode->is_directory) {
            continue;
        }
        for (int k = 0; k < disk->stable.end; k++) {
            const struct path_entry *stable = &disk->stable.entries[k];
            if (stable->path != NULL && stable->inode == seen->inode && strcmp(stable->path, seen->path) != 0) {
                char *from = xstrdup(stable->path);
                move_paths(&disk->stable, from, seen->path);
                free(from);
                break;
            }
        }
    }
}

/* What is directly in the directory becomes stable, names only. */
static int memory_sync_directory(struct disk *base, const char *path) {
    struct memory_disk *disk = disk_of(base);
    bool torn;
    if (!alive(disk, &torn)) {
        return ERR_IO;
    }
    move_stable(disk, path);
    for (int i = 0; i < disk->stable.end; i++) {
        if (name_in(disk->stable.entries[i].path, path) != NULL) {
            drop(&disk->stable.entries[i]);
        }
    }
    for (int i = 0; i < disk->seen.end; i++) {
        if (name_in(disk->seen.entries[i].path, path) != NULL) {
            put(&disk->stable, disk->seen.entries[i].path, disk->seen.entries[i].inode);
        }
    }
    return 0;
}

/* One that the machine dies of has got through half of the files, and no name. */
static int memory_sync_file_system(struct disk_file *place) {
    struct memory_disk *disk = disk_of_file(place);
    bool torn;
    bool is_done = alive(disk, &torn);
    int files = is_done ? disk->seen.end : torn ? disk->seen.end / 2 : 0;
    for (int i = 0; i < files; i++) {
        if (disk->seen.entries[i].path != NULL) {
            image_copy(&disk->seen.entries[i].inode->stable, &disk->seen.entries[i].inode->seen);
        }
    }
    for (int i = 0; is_done && i < disk->stable.end; i++) {
        if (disk->stable.entries[i].path != NULL) {
            drop(&disk->stable.entries[i]);
        }
    }
    for (int i = 0; is_done && i < disk->seen.end; i++) {
        if (disk->seen.entries[i].path != NULL) {
            put(&disk->stable, disk->seen.entries[i].path, disk->seen.entries[i].inode);
        }
    }
    return is_done ? 0 : ERR_IO;
}

static bool memory_covers(struct disk_file *place, struct disk_file *file) {
    return place->disk == file->disk;
}

static int memory_list(struct disk *base, const char *path, disk_list_callback *on_entry, void *context) {
    struct memory_disk *disk = disk_of(base);
    int result = disk->is_dead ? ERR_IO : 0;
    for (int i = 0; i < disk->seen.end && result == 0; i++) {
        const char *name = name_in(disk->seen.entries[i].path, path);
        if (name != NULL) {
            result = on_entry(context, name, disk->seen.entries[i].inode->is_directory);
        }
    }
    return result;
}

static int memory_lock(struct disk_file *file) {
    return disk_of_file(file)->is_dead ? ERR_IO : 0;
}

static int memory_space(struct disk *base, const char *path, int64_t *ret_total, int64_t *ret_usable) {
    (void)base;
    (void)path;
    *ret_total = 1 << 30;
    *ret_usable = 1 << 29;
    return 0;
}

struct memory_disk *memory_disk_create(void) {
    static const struct disk_ops ops = {.open = memory_open,
                                        .close = memory_close,
                                        .read = memory_read,
                                        .write = memory_write,
                                        .sync = memory_sync,
                                        .truncate = memory_truncate,
                                        .size = memory_size,
                                        .descriptor = memory_descriptor,
                                        .rename = memory_rename,
                                        .unlink = memory_unlink,
                                        .make_directory = memory_make_directory,
                                        .remove_directory = memory_unlink,
                                        .sync_directory = memory_sync_directory,
                                        .sync_file_system = memory_sync_file_system,
                                        .covers = memory_covers,
                                        .list = memory_list,
                                        .lock = memory_lock,
                                        .space = memory_space};
    struct memory_disk *disk = xcalloc(1, sizeof *disk);
    disk->base.ops = &ops;
    return disk;
}

static void drop_all(struct path_table *table) {
    for (int i = 0; i < table->end; i++) {
        if (table->entries[i].path != NULL) {
            drop(&table->entries[i]);
        }
    }
    table->end = 0;
}

void memory_disk_destroy(struct memory_disk *disk) {
    drop_all(&disk->seen);
    drop_all(&disk->stable);
    free(disk);
}

struct disk *memory_disk_base(struct memory_disk *disk) {
    return &disk->base;
}

int64_t memory_disk_operations(const struct memory_disk *disk) {
    return disk->operations;
}

void memory_disk_fail_at(struct memory_disk *disk, int64_t operation) {
    disk->fail_at = operation;
}

void memory_disk_restart(struct memory_disk *disk, bool power_loss) {
    disk->is_dead = false;
    disk->fail_at = 0;
    if (!power_loss) {
        return;
    }
    drop_all(&disk->seen);
    for (int i = 0; i < disk->stable.end; i++) {
        struct path_entry *entry = &disk->stable.entries[i];
        if (entry->path != NULL) {
            image_copy(&entry->inode->seen, &entry->inode->stable);
            put(&disk->seen, entry->path, entry->inode);
        }
    }
}

bool memory_disk_flip(struct memory_disk *disk, const char *path, int64_t position, int bit) {
    struct path_entry *entry = find(&disk->seen, path);
    if (entry == NULL || position >= entry->inode->seen.size) {
        return false;
    }
    entry->inode->seen.bytes[position] ^= (uint8_t)(1 << bit);
    return true;
}
