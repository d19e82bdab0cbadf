/* See sim_disk_node.h. */
#include "tests/simulation/sim_disk_node.h"

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/simulation/sim_disk.h"

/* ---- contents ---- */

static void content_reserve(struct sim_content *content, int64_t size) {
    if (size <= content->capacity) {
        return;
    }
    int64_t capacity = MAX(size, MAX(2 * content->capacity, 1024));
    content->bytes = xrealloc(content->bytes, (size_t)capacity);
    memset(content->bytes + content->capacity, 0, (size_t)(capacity - content->capacity));
    content->capacity = capacity;
}

static void content_resize(struct sim_content *content, int64_t size) {
    content_reserve(content, size);
    if (size < content->size) {
        memset(content->bytes + size, 0, (size_t)(content->size - size));
    }
    content->size = size;
}

/* ---- entries ---- */

static int32_t entries_find(const struct sim_entries *entries, const char *name, size_t size) {
    for (int32_t i = 0; i < entries->count; i++) {
        if (strncmp(entries->list[i].name, name, size) == 0 && entries->list[i].name[size] == '\0') {
            return i;
        }
    }
    return -1;
}

static void entries_remove(struct sim_entries *entries, const char *name) {
    int32_t at = entries_find(entries, name, strlen(name));
    if (at < 0) {
        return;
    }
    struct sim_entry gone = entries->list[at];
    memmove(&entries->list[at], &entries->list[at + 1], sizeof gone * (size_t)(entries->count - at - 1));
    entries->count--;
    free(gone.name);
    sim_node_unref(gone.node);
}

static void entries_add(struct sim_entries *entries, const char *name, struct sim_node *node) {
    sim_node_ref(node);
    entries_remove(entries, name);
    if (entries->count == entries->capacity) {
        entries->capacity = MAX(8, 2 * entries->capacity);
        entries->list = xrealloc(entries->list, sizeof *entries->list * (size_t)entries->capacity);
    }
    entries->list[entries->count++] = (struct sim_entry){xstrdup(name), node};
}

static void entries_rename(struct sim_entries *entries, const char *from, const char *to) {
    int32_t at = entries_find(entries, from, strlen(from));
    if (at >= 0) {
        struct sim_node *node = sim_node_ref(entries->list[at].node);
        entries_remove(entries, from);
        entries_add(entries, to, node);
        sim_node_unref(node);
    }
}

static void entries_clear(struct sim_entries *entries) {
    while (entries->count > 0) {
        struct sim_entry *last = &entries->list[--entries->count];
        free(last->name);
        sim_node_unref(last->node);
    }
    free(entries->list);
    *entries = (struct sim_entries){0};
}

static void entries_copy(struct sim_entries *to, const struct sim_entries *from) {
    entries_clear(to);
    for (int32_t i = 0; i < from->count; i++) {
        entries_add(to, from->list[i].name, from->list[i].node);
    }
}

static void entries_apply(struct sim_entries *entries, const struct sim_change *change) {
    switch (change->type) {
    case SIM_LINK: entries_add(entries, change->name, change->node); break;
    case SIM_UNLINK: entries_remove(entries, change->name); break;
    case SIM_RENAME: entries_rename(entries, change->name, change->to); break;
    }
}

/* ---- nodes ---- */

struct sim_node *sim_node_create(struct sim_nodes *nodes, bool is_directory) {
    struct sim_node *node = xcalloc(1, sizeof *node);
    node->nodes = nodes;
    node->references = 1;
    node->is_directory = is_directory;
    node->dirty_from = INT64_MAX;
    node->next = nodes->first;
    if (node->next != NULL) {
        node->next->previous = node;
    }
    nodes->first = node;
    return node;
}

struct sim_node *sim_node_ref(struct sim_node *node) {
    node->references++;
    return node;
}

static void changes_clear(struct sim_node *node) {
    for (int32_t i = 0; i < node->change_count; i++) {
        free(node->changes[i].name);
        free(node->changes[i].to);
        if (node->changes[i].node != NULL) {
            sim_node_unref(node->changes[i].node);
        }
    }
    node->change_count = 0;
}

void sim_node_unref(struct sim_node *node) {
    if (--node->references > 0) {
        return;
    }
    entries_clear(&node->entries);
    entries_clear(&node->durable_entries);
    changes_clear(node);
    if (node->previous != NULL) {
        node->previous->next = node->next;
    } else {
        node->nodes->first = node->next;
    }
    if (node->next != NULL) {
        node->next->previous = node->previous;
    }
    free(node->changes);
    free(node->cached.bytes);
    free(node->durable.bytes);
    free(node);
}

struct sim_node *sim_node_find(const struct sim_node *directory, const char *name, size_t size) {
    int32_t at = entries_find(&directory->entries, name, size);
    return at < 0 ? NULL : directory->entries.list[at].node;
}

static void change(struct sim_node *directory, enum sim_change_type type, const char *name, const char *to,
                   struct sim_node *node) {
    if (directory->change_count == directory->change_capacity) {
        directory->change_capacity = MAX(8, 2 * directory->change_capacity);
        directory->changes =
            xrealloc(directory->changes, sizeof *directory->changes * (size_t)directory->change_capacity);
    }
    struct sim_change *added = &directory->changes[directory->change_count++];
    *added = (struct sim_change){.type = type, .name = xstrdup(name), .node = node};
    added->to = to == NULL ? NULL : xstrdup(to);
    if (node != NULL) {
        sim_node_ref(node);
    }
    entries_apply(&directory->entries, added);
}

void sim_node_link(struct sim_node *directory, const char *name, struct sim_node *node) {
    change(directory, SIM_LINK, name, NULL, node);
}

void sim_node_unlink(struct sim_node *directory, const char *name) {
    change(directory, SIM_UNLINK, name, NULL, NULL);
}

void sim_node_rename(struct sim_node *directory, const char *from, const char *to) {
    change(directory, SIM_RENAME, from, to, NULL);
}

static void dirty(struct sim_node *file, int64_t from, int64_t to) {
    file->dirty_from = MIN(file->dirty_from, from);
    file->dirty_to = MAX(file->dirty_to, to);
}

void sim_node_write(struct sim_node *file, const void *from, int64_t size, int64_t position) {
    if (size == 0) {
        return;
    }
    content_reserve(&file->cached, position + size);
    memcpy(file->cached.bytes + position, from, (size_t)size);
    file->cached.size = MAX(file->cached.size, position + size);
    dirty(file, position, position + size);
}

void sim_node_resize(struct sim_node *file, int64_t size) {
    dirty(file, MIN(size, file->cached.size), MAX(size, file->cached.size));
    content_resize(&file->cached, size);
}

void sim_node_sync(struct sim_node *node) {
    if (node->is_directory) {
        entries_copy(&node->durable_entries, &node->entries);
        changes_clear(node);
        return;
    }
    content_resize(&node->durable, node->cached.size);
    int64_t to = MIN(node->dirty_to, node->cached.size);
    if (node->dirty_from < to) {
        memcpy(node->durable.bytes + node->dirty_from, node->cached.bytes + node->dirty_from,
               (size_t)(to - node->dirty_from));
    }
    node->dirty_from = INT64_MAX;
    node->dirty_to = 0;
}

/* ---- power ---- */

static void file_power_loss(struct sim_node *file, struct random *random) {
    if (file->dirty_from < file->dirty_to || file->cached.size != file->durable.size) {
        int64_t old_size = file->durable.size;
        int64_t new_size = file->cached.size;
        content_reserve(&file->durable, MAX(old_size, new_size));
        content_reserve(&file->cached, MAX(old_size, new_size));
        for (int64_t at = file->dirty_from / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES; at < file->dirty_to;
             at += SIM_SECTOR_BYTES) {
            int64_t end = MIN(at + SIM_SECTOR_BYTES, MAX(old_size, new_size));
            uint64_t fate = random_below(random, 8);
            int64_t kept = fate < 4 ? 0 : end - at; /* old or new, or torn: the new beginning and the old end */
            if (fate == 7 && end > at) {
                kept = (int64_t)random_below(random, (uint64_t)(end - at));
            }
            if (kept > 0) {
                memcpy(file->durable.bytes + at, file->cached.bytes + at, (size_t)kept);
            }
        }
        int64_t low = MIN(old_size, new_size);
        int64_t high = MAX(old_size, new_size);
        uint64_t fate = random_below(random, 3);
        int64_t size = fate == 0   ? old_size
                       : fate == 1 ? new_size
                                   : low + (int64_t)random_below(random, (uint64_t)(high - low) + 1);
        file->durable.size = high; /* so that what is cut off becomes zero */
        content_resize(&file->durable, size);
    }
    content_resize(&file->cached, 0);
    sim_node_write(file, file->durable.bytes, file->durable.size, 0);
    file->dirty_from = INT64_MAX;
    file->dirty_to = 0;
}

static void directory_power_loss(struct sim_node *directory, struct random *random) {
    int32_t kept = (int32_t)random_below(random, (uint64_t)directory->change_count + 1);
    for (int32_t i = 0; i < kept; i++) {
        entries_apply(&directory->durable_entries, &directory->changes[i]);
    }
    entries_copy(&directory->entries, &directory->durable_entries);
    changes_clear(directory);
}

void sim_nodes_power_loss(struct sim_nodes *nodes, struct random *random) {
    /* Directories may let go of any node: all are held until all have had their turn. */
    for (struct sim_node *node = nodes->first; node != NULL; node = node->next) {
        node->references++;
    }
    for (struct sim_node *node = nodes->first; node != NULL; node = node->next) {
        if (node->is_directory) {
            directory_power_loss(node, random);
        } else {
            file_power_loss(node, random);
        }
    }
    for (struct sim_node *node = nodes->first; node != NULL;) {
        struct sim_node *next = node->next;
        if (next != NULL) {
            next->references++; /* alive while this one goes */
        }
        sim_node_unref(node);
        if (next != NULL) {
            CHECK(next->references > 1);
            next->references--;
        }
        node = next;
    }
}

void sim_nodes_init(struct sim_nodes *nodes) {
    nodes->first = NULL;
    nodes->root = sim_node_create(nodes, true);
}

void sim_nodes_deinit(struct sim_nodes *nodes) {
    sim_node_unref(nodes->root);
    CHECK(nodes->first == NULL);
}
