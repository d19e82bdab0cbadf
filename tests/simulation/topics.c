/* See topics.h. */
#include "tests/simulation/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "tests/simulation/plan.h"

#define NAME_PREFIX "topic-"

struct topics {
    struct sim *sim;
    const struct plan *plan;
    struct arena arena;
    struct topic list[TOPICS_MAX];
    int32_t count;
};

struct topics *topics_create(struct sim *sim, const struct plan *plan) {
    struct topics *topics = xcalloc(1, sizeof *topics);
    topics->sim = sim;
    topics->plan = plan;
    arena_init(&topics->arena, SIZE_MAX);
    return topics;
}

void topics_destroy(struct topics *topics) {
    arena_deinit(&topics->arena);
    free(topics);
}

void topic_name(int32_t slot, char ret_name[16]) {
    snprintf(ret_name, 16, NAME_PREFIX "%d", slot);
}

int32_t topics_count(const struct topics *topics) {
    return topics->count;
}

struct topic *topics_at(struct topics *topics, int32_t index) {
    CHECK(index >= 0 && index < topics->count);
    return &topics->list[index];
}

struct topic *topics_by_id(struct topics *topics, struct uuid id) {
    for (int32_t i = topics->count; i-- > 0;) {
        if (uuid_equal(topics->list[i].id, id)) {
            return &topics->list[i];
        }
    }
    return NULL;
}

struct topic *topics_current(struct topics *topics, int32_t slot) {
    for (int32_t i = topics->count; i-- > 0;) {
        if (topics->list[i].slot == slot) {
            return topics->list[i].is_gone ? NULL : &topics->list[i];
        }
    }
    return NULL;
}

struct topic *topics_by_name(struct topics *topics, struct str name) {
    for (int32_t i = topics->count; i-- > 0;) {
        if (!topics->list[i].is_gone && str_equal_text(name, topics->list[i].name)) {
            return &topics->list[i];
        }
    }
    return NULL;
}

bool topic_is_settled(const struct topic *topic) {
    return !topic->is_gone && !topic->is_deleting;
}

static void set_assignment(struct topic *topic, const struct znode_topic *node) {
    topic->id = node->topic_id;
    topic->partition_count = 0;
    for (int32_t i = 0; i < node->partition_count; i++) {
        const struct znode_topic_partition *from = &node->partitions[i];
        CHECK(from->partition >= 0 && from->partition < PARTITIONS_MAX && from->replica_count <= TOPIC_REPLICAS_MAX);
        topic->partition_count = MAX(topic->partition_count, from->partition + 1);
        if (topic->replica_counts[from->partition] != from->replica_count) {
            bool is_new = topic->replica_counts[from->partition] == 0;
            topic->former_counts[from->partition] =
                is_new ? from->replica_count : topic->replica_counts[from->partition];
            topic->least_counts[from->partition] =
                is_new ? from->replica_count : MIN(topic->least_counts[from->partition], from->replica_count);
        }
        topic->replica_counts[from->partition] = from->replica_count;
        topic->target_counts[from->partition] = from->replica_count - from->removing_count;
        topic->is_moving[from->partition] = from->adding_count + from->removing_count > 0;
        memcpy(topic->replicas[from->partition], from->replicas, sizeof(int32_t) * (size_t)from->replica_count);
    }
}

/* What was asked of a topic by its name may arrive when the next one has it. */
static bool was_to_shrink(const struct topics *topics, const struct topic *topic) {
    for (int32_t i = 0; i < topic->index; i++) {
        if (topics->list[i].slot == topic->slot && topics->list[i].may_shrink) {
            return true;
        }
    }
    return false;
}

static void set_cleanup(const struct topics *topics, struct topic *topic) {
    if (topic->slot < topics->plan->topic_count) {
        topic->key_count = topics->plan->topics[topic->slot].key_count;
        topic->is_compacted = topic->key_count > 0;
        topic->may_shrink = topics->plan->topics[topic->slot].cleanup == CLEANUP_BOTH;
    } else {
        topic->is_compacted = true; /* __consumer_offsets */
    }
}

static void on_topic(struct topics *topics, const struct coord_op *op, const char *name) {
    struct topic *topic = topics_by_name(topics, str_from(name));
    struct znode_topic node;
    if (op->type == COORD_OP_DELETE) {
        if (topic != NULL) {
            topic->is_gone = true;
        }
        return;
    }
    bool is_offsets = strcmp(name, OFFSETS_TOPIC) == 0;
    if ((!is_offsets && strncmp(name, NAME_PREFIX, sizeof NAME_PREFIX - 1) != 0) ||
        znode_decode_topic(&topics->arena, op->data, &node) != 0) {
        return;
    }
    if (op->type == COORD_OP_CREATE) {
        CHECK(topics->count < TOPICS_MAX);
        topic = &topics->list[topics->count];
        *topic = (struct topic){.index = topics->count++,
                                .slot = is_offsets ? OFFSETS_SLOT : atoi(name + sizeof NAME_PREFIX - 1),
                                .created_ms = sim_now_ms(topics->sim)};
        snprintf(topic->name, sizeof topic->name, "%s", name);
        set_cleanup(topics, topic);
        topic->may_shrink = topic->may_shrink || was_to_shrink(topics, topic);
    }
    if (topic != NULL) {
        set_assignment(topic, &node);
    }
}

static void on_state(struct topics *topics, const struct coord_op *op, const char *rest) {
    char name[32];
    int32_t partition;
    if (sscanf(rest, "%31[^/]/partitions/%d/state", name, &partition) != 2) {
        return;
    }
    struct topic *topic = topics_by_name(topics, str_from(name));
    if (topic == NULL || partition < 0 || partition >= PARTITIONS_MAX) {
        return;
    }
    struct topic_state *state = &topic->states[partition];
    struct znode_partition_state node;
    if (op->type == COORD_OP_DELETE) {
        *state = (struct topic_state){.is_known = false};
        return;
    }
    if (znode_decode_partition_state(&topics->arena, op->data, &node) != 0) {
        return; /* C3 says so */
    }
    state->version = op->type == COORD_OP_CREATE ? 0 : state->version + 1;
    state->is_known = true;
    state->leader = node.leader;
    state->leader_epoch = node.leader_epoch;
    state->isr_count = MIN(node.isr_count, TOPIC_REPLICAS_MAX);
    memcpy(state->isr, node.isr, sizeof(int32_t) * (size_t)state->isr_count);
}

void topics_observe(struct topics *topics, const struct sim_transaction *transaction) {
    static const char prefix[] = ZNODE_TOPICS "/";
    static const char deletions[] = ZNODE_DELETE_TOPICS "/";
    arena_reset(&topics->arena, SIZE_MAX);
    for (int32_t i = 0; i < transaction->count; i++) {
        const struct coord_op *op = &transaction->ops[i];
        if (op->type == COORD_OP_CHECK) {
            continue;
        }
        if (strncmp(op->path, prefix, sizeof prefix - 1) == 0) {
            const char *rest = op->path + sizeof prefix - 1;
            if (strchr(rest, '/') == NULL) {
                on_topic(topics, op, rest);
            } else if (strcmp(znode_name(op->path), "state") == 0) {
                on_state(topics, op, rest);
            }
        } else if (strncmp(op->path, deletions, sizeof deletions - 1) == 0 && op->type == COORD_OP_CREATE) {
            struct topic *topic = topics_by_name(topics, str_from(op->path + sizeof deletions - 1));
            if (topic != NULL) {
                topic->is_deleting = true;
            }
        }
    }
}
