/* See sim_disk.h. */
#include "tests/simulation/sim_disk.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/simulation/sim_disk_node.h"
#include "tests/simulation/sim_workers.h"

#define SPACE_BYTES (INT64_C(1) << 40)

struct sim_handle {
    struct disk_file base; /* first, so that the two pointers are one */
    struct sim_node *node;
    struct sim_handle *next;
    struct sim_handle **link;
    bool is_writable;
    char name[64]; /* the end of it */
};

struct sim_disk {
    struct disk disk;
    struct sim_nodes nodes;
    struct random random;
    struct sim_handle *handles;
    int32_t handle_count;
    struct clock *clock;
    int fail_mask;
    int64_t fail_after;
    int fail_error;
    const char *once_suffix; /* NULL: nothing */
    int once_mask;
    int once_error;
    void (*on_effect)(void *context, const char *name);
    void *context;
    int64_t effects;
};

static struct sim_disk *disk_of(struct disk *disk) {
    return CONTAINER_OF(disk, struct sim_disk, disk);
}

static struct sim_handle *handle_of(struct disk_file *file) {
    return CONTAINER_OF(file, struct sim_handle, base);
}

static bool is_watched_only;

bool sim_disk_spectate(bool is_spectator) {
    bool before = is_watched_only;
    is_watched_only = is_spectator;
    return before;
}

/* Before an operation looks at anything. */
static void turn(void) {
    if (!is_watched_only) {
        sim_workers_turn();
    }
}

/* The error this operation shall fail with, 0 for none. */
static int fault(struct sim_disk *disk, enum sim_disk_operation operation) {
    if (is_watched_only) {
        return 0;
    }
    if (disk->fail_error == 0 || (disk->fail_mask & (int)operation) == 0) {
        return 0;
    }
    return disk->fail_after-- > 0 ? 0 : disk->fail_error;
}

static int effect(struct sim_disk *disk, enum sim_disk_operation operation, const char *name) {
    disk->effects++;
    if (disk->on_effect != NULL) {
        disk->on_effect(disk->context, name);
    }
    return fault(disk, operation);
}

/* The same for an operation on an open file. */
static int file_effect(struct sim_disk *disk, const struct sim_handle *handle, enum sim_disk_operation operation) {
    int error = effect(disk, operation, handle->name);
    size_t size = strlen(handle->name);
    if (error == 0 && disk->once_suffix != NULL && (disk->once_mask & (int)operation) != 0 &&
        size >= strlen(disk->once_suffix) &&
        strcmp(handle->name + size - strlen(disk->once_suffix), disk->once_suffix) == 0) {
        error = disk->once_error;
        disk->once_suffix = NULL;
    }
    return error;
}

static void touch(struct sim_disk *disk, struct sim_node *node) {
    node->modified_ms = disk->clock == NULL ? 0 : clock_wall_ms(disk->clock);
}

/* The directory that holds `path` (NULL when a part is missing) and the last name of it. */
static struct sim_node *find_parent(struct sim_disk *disk, const char *path, const char **ret_name) {
    struct sim_node *at = disk->nodes.root;
    for (;;) {
        while (*path == '/') {
            path++;
        }
        const char *end = strchr(path, '/');
        if (end == NULL) {
            *ret_name = path;
            return at;
        }
        at = sim_node_find(at, path, (size_t)(end - path));
        if (at == NULL || !at->is_directory) {
            return NULL;
        }
        path = end + 1;
    }
}

static struct sim_node *find(struct sim_disk *disk, const char *path) {
    const char *name;
    struct sim_node *parent = find_parent(disk, path, &name);
    if (parent == NULL) {
        return NULL;
    }
    return *name == '\0' ? parent : sim_node_find(parent, name, strlen(name));
}

/* ---- files ---- */

static int sim_open(struct disk *base, const char *path, int flags, struct disk_file **ret_file) {
    turn();
    struct sim_disk *disk = disk_of(base);
    const char *name;
    struct sim_node *parent = find_parent(disk, path, &name);
    if (parent == NULL || *name == '\0') {
        return ERR_NOT_FOUND;
    }
    struct sim_node *node = sim_node_find(parent, name, strlen(name));
    int error;
    if (node == NULL) {
        if ((flags & DISK_CREATE) == 0) {
            return ERR_NOT_FOUND;
        }
        if ((error = effect(disk, SIM_DISK_OPEN, name)) != 0) {
            return error;
        }
        node = sim_node_create(&disk->nodes, false);
        touch(disk, node);
        sim_node_link(parent, name, node);
        sim_node_unref(node);
    } else if ((flags & DISK_EXCLUSIVE) != 0) {
        return ERR_EXISTS;
    } else if (node->is_directory) {
        return ERR_INVALID;
    } else if ((error = fault(disk, SIM_DISK_OPEN)) != 0) {
        return error;
    }
    if ((flags & DISK_TRUNCATE) != 0) {
        sim_node_resize(node, 0);
        touch(disk, node);
    }
    struct sim_handle *handle = xcalloc(1, sizeof *handle);
    handle->base = (struct disk_file){.disk = base, .references = 1};
    handle->node = sim_node_ref(node);
    size_t name_size = strlen(name);
    memcpy(handle->name, name_size < sizeof handle->name ? name : name + name_size + 1 - sizeof handle->name,
           MIN(name_size + 1, sizeof handle->name));
    handle->is_writable = (flags & (DISK_WRITE | DISK_CREATE)) != 0;
    handle->next = disk->handles;
    handle->link = &disk->handles;
    if (handle->next != NULL) {
        handle->next->link = &handle->next;
    }
    disk->handles = handle;
    disk->handle_count++;
    *ret_file = &handle->base;
    return 0;
}

static void sim_close(struct disk *base, struct disk_file *file) {
    struct sim_handle *handle = handle_of(file);
    *handle->link = handle->next;
    if (handle->next != NULL) {
        handle->next->link = handle->link;
    }
    if (handle->node->locked_by == handle) {
        handle->node->locked_by = NULL;
    }
    sim_node_unref(handle->node);
    disk_of(base)->handle_count--;
    free(handle);
}

static int64_t sim_read(struct disk_file *file, void *to, size_t size, int64_t position) {
    turn();
    const struct sim_node *node = handle_of(file)->node;
    int error = fault(disk_of(file->disk), SIM_DISK_READ);
    if (error != 0) {
        return error;
    }
    if (position >= node->cached.size) {
        return 0;
    }
    size_t count = MIN(size, (size_t)(node->cached.size - position));
    memcpy(to, node->cached.bytes + position, count);
    return (int64_t)count;
}

static int sim_write(struct disk_file *file, const void *from, size_t size, int64_t position) {
    turn();
    struct sim_disk *disk = disk_of(file->disk);
    struct sim_handle *handle = handle_of(file);
    CHECK(handle->is_writable && position >= 0);
    int error = file_effect(disk, handle, SIM_DISK_WRITE);
    if (error != 0) {
        /* A failed write may have got part of the way. */
        size = (size_t)random_below(&disk->random, (uint64_t)size + 1);
    }
    sim_node_write(handle->node, from, (int64_t)size, position);
    touch(disk, handle->node);
    return error;
}

static int sim_sync(struct disk_file *file) {
    turn();
    struct sim_disk *disk = disk_of(file->disk);
    int error = file_effect(disk, handle_of(file), SIM_DISK_SYNC);
    if (error == 0) {
        sim_node_sync(handle_of(file)->node);
    }
    return error;
}

static int sim_truncate(struct disk_file *file, int64_t size) {
    turn();
    struct sim_disk *disk = disk_of(file->disk);
    CHECK(handle_of(file)->is_writable && size >= 0);
    int error = file_effect(disk, handle_of(file), SIM_DISK_TRUNCATE);
    if (error == 0) {
        sim_node_resize(handle_of(file)->node, size);
        touch(disk, handle_of(file)->node);
    }
    return error;
}

static int64_t sim_size(struct disk_file *file) {
    return handle_of(file)->node->cached.size;
}

static int sim_descriptor(struct disk_file *file) {
    (void)file;
    return -1;
}

static int sim_lock(struct disk_file *file) {
    struct sim_handle *handle = handle_of(file);
    if (handle->node->locked_by != NULL && handle->node->locked_by != handle) {
        return ERR_LOCKED;
    }
    handle->node->locked_by = handle;
    return 0;
}

static int64_t sim_modified_ms(struct disk_file *file) {
    return handle_of(file)->node->modified_ms;
}

/* ---- directories ---- */

static int sim_rename(struct disk *base, const char *from, const char *to) {
    turn();
    struct sim_disk *disk = disk_of(base);
    const char *from_name;
    const char *to_name;
    struct sim_node *from_parent = find_parent(disk, from, &from_name);
    struct sim_node *to_parent = find_parent(disk, to, &to_name);
    struct sim_node *node = from_parent == NULL ? NULL : sim_node_find(from_parent, from_name, strlen(from_name));
    if (node == NULL || to_parent == NULL) {
        return ERR_NOT_FOUND;
    }
    CHECK(from_parent == to_parent); /* nothing of ours moves between directories */
    struct sim_node *replaced = sim_node_find(to_parent, to_name, strlen(to_name));
    if (replaced != NULL && replaced->is_directory && replaced->entries.count > 0) {
        return ERR_NOT_EMPTY;
    }
    int error = effect(disk, SIM_DISK_DIRECTORY, strstr(to_name, ".deleted") != NULL ? to_name : from_name);
    if (error == 0) {
        sim_node_rename(from_parent, from_name, to_name);
    }
    return error;
}

static int remove_entry(struct sim_disk *disk, const char *path, bool is_directory) {
    turn();
    const char *name;
    struct sim_node *parent = find_parent(disk, path, &name);
    struct sim_node *node = parent == NULL ? NULL : sim_node_find(parent, name, strlen(name));
    if (node == NULL) {
        return ERR_NOT_FOUND;
    }
    if (node->is_directory != is_directory) {
        return ERR_INVALID;
    }
    if (is_directory && node->entries.count > 0) {
        return ERR_NOT_EMPTY;
    }
    int error = effect(disk, SIM_DISK_DIRECTORY, name);
    if (error == 0) {
        sim_node_unlink(parent, name);
    }
    return error;
}

static int sim_unlink(struct disk *base, const char *path) {
    return remove_entry(disk_of(base), path, false);
}

static int sim_remove_directory(struct disk *base, const char *path) {
    return remove_entry(disk_of(base), path, true);
}

static int sim_make_directory(struct disk *base, const char *path) {
    turn();
    struct sim_disk *disk = disk_of(base);
    const char *name;
    struct sim_node *parent = find_parent(disk, path, &name);
    if (parent == NULL) {
        return ERR_NOT_FOUND;
    }
    if (sim_node_find(parent, name, strlen(name)) != NULL) {
        return ERR_EXISTS;
    }
    int error = effect(disk, SIM_DISK_DIRECTORY, name);
    if (error == 0) {
        struct sim_node *node = sim_node_create(&disk->nodes, true);
        sim_node_link(parent, name, node);
        sim_node_unref(node);
    }
    return error;
}

static int sim_sync_directory(struct disk *base, const char *path) {
    turn();
    struct sim_disk *disk = disk_of(base);
    struct sim_node *node = find(disk, path);
    if (node == NULL || !node->is_directory) {
        return ERR_NOT_FOUND;
    }
    int error = effect(disk, SIM_DISK_DIRECTORY, path);
    if (error == 0) {
        sim_node_sync(node);
    }
    return error;
}

static int sim_sync_file_system(struct disk_file *place) {
    turn();
    struct sim_disk *disk = disk_of(place->disk);
    int error = effect(disk, SIM_DISK_SYNC, "/");
    for (struct sim_node *node = error == 0 ? disk->nodes.first : NULL; node != NULL; node = node->next) {
        sim_node_sync(node);
    }
    return error;
}

static bool sim_covers(struct disk_file *place, struct disk_file *file) {
    return place->disk == file->disk;
}

static int sim_list(struct disk *base, const char *path, disk_list_callback *on_entry, void *context) {
    turn();
    struct sim_node *node = find(disk_of(base), path);
    if (node == NULL || !node->is_directory) {
        return ERR_NOT_FOUND;
    }
    /* A copy of the names: the callback may change the directory. */
    int32_t count = node->entries.count;
    char **names = xcalloc((size_t)count + 1, sizeof *names);
    bool *are_directories = xcalloc((size_t)count + 1, sizeof *are_directories);
    for (int32_t i = 0; i < count; i++) {
        names[i] = xstrdup(node->entries.list[i].name);
        are_directories[i] = node->entries.list[i].node->is_directory;
    }
    int result = 0;
    for (int32_t i = 0; i < count; i++) {
        if (result == 0) {
            result = on_entry(context, names[i], are_directories[i]);
        }
        free(names[i]);
    }
    free(names);
    free(are_directories);
    return result;
}

static int sim_space(struct disk *base, const char *path, int64_t *ret_total, int64_t *ret_usable) {
    if (find(disk_of(base), path) == NULL) {
        return ERR_NOT_FOUND;
    }
    *ret_total = SPACE_BYTES;
    *ret_usable = SPACE_BYTES / 2;
    return 0;
}

/* ---- the machine ---- */

struct disk *sim_disk_create(uint64_t seed) {
    static const struct disk_ops ops = {
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .truncate = sim_truncate,
        .size = sim_size,
        .descriptor = sim_descriptor,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .make_directory = sim_make_directory,
        .remove_directory = sim_remove_directory,
        .sync_directory = sim_sync_directory,
        .sync_file_system = sim_sync_file_system,
        .covers = sim_covers,
        .list = sim_list,
        .lock = sim_lock,
        .space = sim_space,
        .modified_ms = sim_modified_ms,
    };
    struct sim_disk *disk = xcalloc(1, sizeof *disk);
    disk->disk.ops = &ops;
    random_seed(&disk->random, seed);
    sim_nodes_init(&disk->nodes);
    return &disk->disk;
}

void sim_disk_process_died(struct disk *base) {
    struct sim_disk *disk = disk_of(base);
    while (disk->handles != NULL) {
        sim_close(base, &disk->handles->base);
    }
    disk->clock = NULL;
}

void sim_disk_power_loss(struct disk *base) {
    struct sim_disk *disk = disk_of(base);
    sim_disk_process_died(base);
    sim_nodes_power_loss(&disk->nodes, &disk->random);
}

void sim_disk_destroy(struct disk *base) {
    struct sim_disk *disk = disk_of(base);
    sim_disk_process_died(base);
    sim_nodes_deinit(&disk->nodes);
    free(disk);
}

void sim_disk_set_clock(struct disk *base, struct clock *clock) {
    disk_of(base)->clock = clock;
}

void sim_disk_fail(struct disk *base, int mask, int64_t after, int error) {
    struct sim_disk *disk = disk_of(base);
    disk->fail_mask = mask;
    disk->fail_after = after;
    disk->fail_error = error;
}

void sim_disk_on_effect(struct disk *base, void (*on_effect)(void *context, const char *name), void *context) {
    disk_of(base)->on_effect = on_effect;
    disk_of(base)->context = context;
}

void sim_disk_make_path(struct disk *base, const char *path) {
    struct sim_disk *disk = disk_of(base);
    char *copy = xstrdup(path);
    for (char *at = copy + 1;; at++) {
        char kept = *at;
        if (kept == '/' || kept == '\0') {
            *at = '\0';
            int error = sim_make_directory(base, copy);
            CHECK(error == 0 || error == ERR_EXISTS);
            const char *name;
            sim_node_sync(find_parent(disk, copy, &name));
            *at = kept;
        }
        if (kept == '\0') {
            break;
        }
    }
    free(copy);
}

int64_t sim_disk_effects(const struct disk *disk) {
    return CONTAINER_OF(disk, const struct sim_disk, disk)->effects;
}

int32_t sim_disk_open_count(const struct disk *disk) {
    return CONTAINER_OF(disk, const struct sim_disk, disk)->handle_count;
}

void sim_disk_fail_once(struct disk *base, const char *suffix, int mask, int error) {
    struct sim_disk *disk = disk_of(base);
    disk->once_suffix = suffix;
    disk->once_mask = mask;
    disk->once_error = error;
}

bool sim_disk_peek(const struct disk *base, const char *path, struct slice *ret_bytes) {
    const struct sim_node *node = find(disk_of((struct disk *)(uintptr_t)base), path);
    if (node == NULL || node->is_directory) {
        return false;
    }
    *ret_bytes = (struct slice){node->cached.bytes, (int32_t)node->cached.size};
    return true;
}

void sim_disk_peek_list(const struct disk *base, const char *path, void (*on_name)(void *context, const char *name),
                        void *context) {
    const struct sim_node *node = find(disk_of((struct disk *)(uintptr_t)base), path);
    for (int32_t i = 0; node != NULL && node->is_directory && i < node->entries.count; i++) {
        on_name(context, node->entries.list[i].name);
    }
}
