/* The znode tree of the simulated coordinator, apart from who asks and when. */
#ifndef OTTLA_SIM_COORD_INTERNAL_H
#define OTTLA_SIM_COORD_INTERNAL_H

#include <uthash.h>

#include "tests/simulation/sim_coord.h"

struct sim_znode {
    UT_hash_handle hh; /* by path */
    char *path;
    uint8_t *data; /* NULL: null data */
    struct coord_stat stat;
};

struct sim_tree {
    struct sim_znode *nodes;
    int64_t zxid;
};

void sim_tree_init(struct sim_tree *tree);
void sim_tree_deinit(struct sim_tree *tree);
struct sim_znode *sim_tree_find(const struct sim_tree *tree, const char *path);
/* Applies all or nothing. results has one entry per op; created[i] is the heap name of a create, else NULL, and is the
 * caller's. Returns 0 or the error of the part that failed. A new zxid is drawn only on success. */
int sim_tree_apply(struct sim_tree *tree, const struct coord_op *ops, int32_t count, int64_t session_id,
                   int64_t wall_ms, struct coord_op_result *results, char **created);
/* Heap array of the names of the children, sorted. */
char **sim_tree_children(const struct sim_tree *tree, const char *path, int32_t *ret_count);
/* Heap copy of the parent's path; "/" for a top-level node. */
char *sim_tree_parent(const char *path);

#endif
