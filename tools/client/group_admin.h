/* What an admin asks of groups: which there are, what they are doing, where they have committed, and changes to that.
 *
 * Each call returns 0 or a negative code with the failure set; what goes wrong with one group is in its item's failure.
 * Answers live in the arena. */
#ifndef OTTLA_TOOLS_CLIENT_GROUP_ADMIN_H
#define OTTLA_TOOLS_CLIENT_GROUP_ADMIN_H

#include "tools/client/group_work.h"

/* One partition of a group: where it has committed, or is to, or what became of it. */
struct group_offset {
    struct str topic;
    int32_t partition;
    int64_t offset;
    int16_t code;
};

/* Sorted by topic and partition, each once. */
struct group_offsets {
    struct group_offset *list;
    int32_t count;
};

/* Groups of consumers on all brokers, by name, each once. The filters go to the brokers; empty ones let all pass. */
int admin_list_groups(struct client *client, const struct list_groups_request *filters, struct arena *arena,
                      struct list_groups_response_listed_group **ret_groups, int32_t *ret_count,
                      struct failure *failure);

enum groups_action {
    GROUPS_DESCRIBE, /* answers: struct describe_groups_response_described_group; a group nobody knows is Dead */
    GROUPS_DELETE,
};
/* Of several groups at once; each item has its answer or its failure. */
int admin_groups(struct client *client, enum groups_action action, struct group_item *items, int32_t count,
                 struct arena *arena, struct failure *failure);
/* Answer: struct group_offsets, all that is committed. */
int admin_fetch_group_offsets(struct client *client, struct group_item *item, struct arena *arena,
                              struct failure *failure);
/* As no member of the group; each partition's code is set. */
int admin_commit_group_offsets(struct client *client, struct group_item *item, struct group_offsets *offsets,
                               struct arena *arena, struct failure *failure);
/* Each partition's code is set, unless the item failed as a whole. */
int admin_delete_group_offsets(struct client *client, struct group_item *item, struct group_offsets *offsets,
                               struct arena *arena, struct failure *failure);

int group_offset_compare(const void *a, const void *b);

#endif
