/* Files and directories of a simulated disk, each with its cached and its durable side. Only for sim_disk.c. */
#ifndef OTTLA_SIM_DISK_NODE_H
#define OTTLA_SIM_DISK_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/random.h"

struct sim_node;

struct sim_content {
    uint8_t *bytes;
    int64_t size;
    int64_t capacity; /* bytes beyond the size are zero */
};

struct sim_entry {
    char *name;
    struct sim_node *node; /* holds a reference */
};

struct sim_entries {
    struct sim_entry *list;
    int32_t count;
    int32_t capacity;
};

enum sim_change_type { SIM_LINK, SIM_UNLINK, SIM_RENAME };

/* A change of a directory that is not durable yet. */
struct sim_change {
    enum sim_change_type type;
    char *name;
    char *to;              /* rename */
    struct sim_node *node; /* link; holds a reference */
};

struct sim_node {
    struct sim_nodes *nodes;
    struct sim_node *previous;
    struct sim_node *next;
    int32_t references;
    bool is_directory;
    const void *locked_by;
    int64_t modified_ms;
    /* A file: bytes [dirty_from, dirty_to) and the size may differ between the two sides. */
    struct sim_content cached;
    struct sim_content durable;
    int64_t dirty_from;
    int64_t dirty_to;
    /* A directory: durable entries, and what happened since. */
    struct sim_entries entries;
    struct sim_entries durable_entries;
    struct sim_change *changes;
    int32_t change_count;
    int32_t change_capacity;
};

/* All nodes of a disk. */
struct sim_nodes {
    struct sim_node *first;
    struct sim_node *root;
};

void sim_nodes_init(struct sim_nodes *nodes);
void sim_nodes_deinit(struct sim_nodes *nodes);
/* Every node becomes what its durable side and chance make of it. */
void sim_nodes_power_loss(struct sim_nodes *nodes, struct random *random);

/* One reference, the caller's. */
struct sim_node *sim_node_create(struct sim_nodes *nodes, bool is_directory);
struct sim_node *sim_node_ref(struct sim_node *node);
void sim_node_unref(struct sim_node *node);
struct sim_node *sim_node_find(const struct sim_node *directory, const char *name, size_t size);
void sim_node_link(struct sim_node *directory, const char *name, struct sim_node *node);
void sim_node_unlink(struct sim_node *directory, const char *name);
void sim_node_rename(struct sim_node *directory, const char *from, const char *to);
void sim_node_write(struct sim_node *file, const void *from, int64_t size, int64_t position);
void sim_node_resize(struct sim_node *file, int64_t size);
/* Cached becomes durable, of a file or of a directory. */
void sim_node_sync(struct sim_node *node);

#endif
