/* See sim_coord_internal.h. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tests/simulation/sim_coord_internal.h"

static struct sim_znode *add_node(struct sim_tree *tree, const char *path, struct slice data) {
    struct sim_znode *node = xcalloc(1, sizeof *node);
    node->path = xstrdup(path);
    node->stat.data_size = data.size < 0 ? 0 : data.size;
    if (data.size >= 0) {
        node->data = xmalloc((size_t)data.size + 1);
        memcpy(node->data, data.size == 0 ? (const uint8_t *)"" : data.data, (size_t)data.size);
    }
    HASH_ADD_KEYPTR(hh, tree->nodes, node->path, strlen(node->path), node);
    return node;
}

static void remove_node(struct sim_tree *tree, struct sim_znode *node) {
    HASH_DEL(tree->nodes, node);
    free(node->path);
    free(node->data);
    free(node);
}

void sim_tree_init(struct sim_tree *tree) {
    *tree = (struct sim_tree){.zxid = 0x100};
    add_node(tree, "/", SLICE_NULL);
}

void sim_tree_deinit(struct sim_tree *tree) {
    struct sim_znode *node, *next;
    HASH_ITER(hh, tree->nodes, node, next) {
        remove_node(tree, node);
    }
}

struct sim_znode *sim_tree_find(const struct sim_tree *tree, const char *path) {
    struct sim_znode *node;
    HASH_FIND_STR(tree->nodes, path, node);
    return node;
}

char *sim_tree_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    CHECK(slash != NULL && path[0] == '/' && path[1] != '\0');
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **sim_tree_children(const struct sim_tree *tree, const char *path, int32_t *ret_count) {
    size_t size = strcmp(path, "/") == 0 ? 0 : strlen(path);
    char **names = xcalloc(HASH_COUNT(tree->nodes) + 1, sizeof *names);
    int32_t count = 0;
    for (struct sim_znode *node = tree->nodes; node != NULL; node = node->hh.next) {
        if (strncmp(node->path, path, size) == 0 && node->path[size] == '/' && node->path[size + 1] != '\0' &&
            strchr(node->path + size + 1, '/') == NULL) {
            names[count++] = xstrdup(node->path + size + 1);
        }
    }
    qsort(names, (size_t)count, sizeof *names, compare_names);
    *ret_count = count;
    return names;
}

/* What undoes one applied part. */
struct undo {
    const struct coord_op *op;
    struct sim_znode removed; /* path, data and stat to put back */
    uint8_t *old_data;
    struct coord_stat old_stat;
    struct coord_stat parent_stat;
};

static int apply_create(struct sim_tree *tree, const struct coord_op *op, int64_t session_id, int64_t wall_ms,
                        struct undo *undo, char **ret_created) {
    char *parent_path = sim_tree_parent(op->path);
    struct sim_znode *parent = sim_tree_find(tree, parent_path);
    free(parent_path);
    if (parent == NULL) {
        return ERR_NOT_FOUND;
    }
    if (parent->stat.ephemeral_owner != 0) {
        return ERR_INVALID;
    }
    char *path =
        op->create_flags & COORD_SEQUENTIAL ? xasprintf("%s%010d", op->path, parent->stat.cversion) : xstrdup(op->path);
    if (sim_tree_find(tree, path) != NULL) {
        free(path);
        return ERR_EXISTS;
    }
    undo->parent_stat = parent->stat;
    struct sim_znode *node = add_node(tree, path, op->data);
    node->stat.czxid = node->stat.mzxid = tree->zxid + 1;
    node->stat.ctime_ms = node->stat.mtime_ms = wall_ms;
    node->stat.ephemeral_owner = op->create_flags & COORD_EPHEMERAL ? session_id : 0;
    parent->stat.cversion++;
    parent->stat.child_count++;
    *ret_created = path;
    return 0;
}

static int apply_set(struct sim_tree *tree, const struct coord_op *op, int64_t wall_ms, struct undo *undo,
                     struct coord_op_result *result) {
    struct sim_znode *node = sim_tree_find(tree, op->path);
    if (node == NULL) {
        return ERR_NOT_FOUND;
    }
    if (op->version != COORD_ANY_VERSION && op->version != node->stat.version) {
        return ERR_BAD_VERSION;
    }
    undo->old_data = node->data;
    undo->old_stat = node->stat;
    node->data = NULL;
    if (op->data.size >= 0) {
        node->data = xmalloc((size_t)op->data.size + 1);
        memcpy(node->data, op->data.size == 0 ? (const uint8_t *)"" : op->data.data, (size_t)op->data.size);
    }
    node->stat.data_size = MAX(op->data.size, 0);
    node->stat.version++;
    node->stat.mzxid = tree->zxid + 1;
    node->stat.mtime_ms = wall_ms;
    result->stat = node->stat;
    return 0;
}

static int apply_delete(struct sim_tree *tree, const struct coord_op *op, struct undo *undo) {
    struct sim_znode *node = sim_tree_find(tree, op->path);
    if (node == NULL) {
        return ERR_NOT_FOUND;
    }
    if (op->version != COORD_ANY_VERSION && op->version != node->stat.version) {
        return ERR_BAD_VERSION;
    }
    if (node->stat.child_count > 0) {
        return ERR_NOT_EMPTY;
    }
    char *parent_path = sim_tree_parent(op->path);
    struct sim_znode *parent = sim_tree_find(tree, parent_path);
    free(parent_path);
    undo->parent_stat = parent->stat;
    parent->stat.cversion++;
    parent->stat.child_count--;
    undo->removed = *node;
    HASH_DEL(tree->nodes, node);
    free(node);
    return 0;
}

static int apply_part(struct sim_tree *tree, const struct coord_op *op, int64_t session_id, int64_t wall_ms,
                      struct undo *undo, struct coord_op_result *result, char **ret_created) {
    const struct sim_znode *node;
    undo->op = op;
    switch (op->type) {
    case COORD_OP_CREATE: return apply_create(tree, op, session_id, wall_ms, undo, ret_created);
    case COORD_OP_SET: return apply_set(tree, op, wall_ms, undo, result);
    case COORD_OP_DELETE: return apply_delete(tree, op, undo);
    case COORD_OP_CHECK: break;
    }
    node = sim_tree_find(tree, op->path);
    if (node == NULL) {
        return ERR_NOT_FOUND;
    }
    return op->version != COORD_ANY_VERSION && op->version != node->stat.version ? ERR_BAD_VERSION : 0;
}

static void restore_parent(struct sim_tree *tree, const char *path, const struct coord_stat *stat) {
    char *parent_path = sim_tree_parent(path);
    sim_tree_find(tree, parent_path)->stat = *stat;
    free(parent_path);
}

/* By path: an earlier undo may have put another node object in place. */
static void undo_part(struct sim_tree *tree, struct undo *undo, const char *created) {
    if (undo->op->type == COORD_OP_CREATE) {
        restore_parent(tree, created, &undo->parent_stat);
        remove_node(tree, sim_tree_find(tree, created));
    } else if (undo->op->type == COORD_OP_SET) {
        struct sim_znode *node = sim_tree_find(tree, undo->op->path);
        free(node->data);
        node->data = undo->old_data;
        node->stat = undo->old_stat;
    } else if (undo->op->type == COORD_OP_DELETE) {
        struct sim_znode *node = xcalloc(1, sizeof *node);
        node->path = undo->removed.path;
        node->data = undo->removed.data;
        node->stat = undo->removed.stat;
        HASH_ADD_KEYPTR(hh, tree->nodes, node->path, strlen(node->path), node);
        restore_parent(tree, node->path, &undo->parent_stat);
    }
}

static void forget_undo(struct undo *undo) {
    if (undo->op->type == COORD_OP_SET) {
        free(undo->old_data);
    } else if (undo->op->type == COORD_OP_DELETE) {
        free(undo->removed.path);
        free(undo->removed.data);
    }
}

int sim_tree_apply(struct sim_tree *tree, const struct coord_op *ops, int32_t count, int64_t session_id,
                   int64_t wall_ms, struct coord_op_result *results, char **created) {
    struct undo *undo = xcalloc((size_t)count + 1, sizeof *undo);
    int error = 0;
    int32_t done = 0;
    for (; done < count; done++) {
        error = apply_part(tree, &ops[done], session_id, wall_ms, &undo[done], &results[done], &created[done]);
        if (error != 0) {
            break;
        }
    }
    if (error == 0) {
        tree->zxid++;
        for (int32_t i = 0; i < count; i++) {
            forget_undo(&undo[i]);
            results[i].path = created[i];
        }
    } else {
        for (int32_t i = done; i-- > 0;) {
            undo_part(tree, &undo[i], created[i]);
            free(created[i]);
            created[i] = NULL;
        }
        for (int32_t i = 0; i < count; i++) {
            results[i] = (struct coord_op_result){.error = i == done ? error : ERR_ROLLED_BACK};
        }
    }
    free(undo);
    return error;
}
