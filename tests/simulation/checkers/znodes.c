/* See znodes.h. */
#include "tests/simulation/checkers/znodes.h"

#include <stdarg.h>
#include <stdlib.h>
#include <uthash.h>

#include "broker/base/check.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"

/* One partition's registered state. */
struct seen_state {
    UT_hash_handle hh; /* by path of the state node */
    char *path;
    int32_t leader;
    int32_t leader_epoch;
    int32_t *isr;
    int32_t isr_count;
};

struct seen_topic {
    UT_hash_handle hh; /* by path of the topic node */
    char *path;
    struct arena arena;
    struct znode_topic topic;
};

struct seen_epoch {
    UT_hash_handle hh;
    int32_t epoch;
    int64_t session_id; /* that wrote partition state in it */
};

struct znode_checker {
    znode_violation *on_violation;
    void *context;
    struct seen_state *states;
    struct seen_topic *topics;
    struct seen_epoch *epochs;
    int32_t controller_epoch; /* -1 before there is a node */
    int64_t states_seen;
};

static void violated(struct znode_checker *checker, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void violated(struct znode_checker *checker, const char *invariant, const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    checker->on_violation(checker->context, invariant, message);
}

static bool holds(const int32_t *list, int32_t count, int32_t id) {
    for (int32_t i = 0; i < count; i++) {
        if (list[i] == id) {
            return true;
        }
    }
    return false;
}

/* ---- topics ---- */

static struct seen_state *state_of(struct znode_checker *checker, const char *topic_path, int32_t partition) {
    char path[256];
    struct seen_state *state;
    snprintf(path, sizeof path, "%s/partitions/%d/state", topic_path, partition);
    HASH_FIND_STR(checker->states, path, state);
    return state;
}

/* Replicas leave an assignment when what stays holds everything: those that a reassignment removes when its whole
 * target is in sync, those that it was adding, and is not any more, when somebody else is. */
static void check_leaving(struct znode_checker *checker, const char *path, const struct znode_topic_partition *before,
                          const struct znode_topic_partition *after) {
    const struct seen_state *state = state_of(checker, path, before->partition);
    int32_t in_sync = 0;
    bool has_left = false, is_end = false;
    for (int32_t i = 0; i < before->replica_count; i++) {
        bool is_gone = !holds(after->replicas, after->replica_count, before->replicas[i]);
        has_left |= is_gone;
        is_end |= is_gone && holds(before->removing, before->removing_count, before->replicas[i]);
        if (is_gone && !holds(before->removing, before->removing_count, before->replicas[i]) &&
            !holds(before->adding, before->adding_count, before->replicas[i])) {
            violated(checker, "C6", "%s-%d: replica %d left out of turn", path, before->partition, before->replicas[i]);
        }
    }
    for (int32_t i = 0; state != NULL && i < after->replica_count; i++) {
        in_sync += holds(state->isr, state->isr_count, after->replicas[i]);
    }
    if (state != NULL && has_left && (in_sync == 0 || (is_end && in_sync < after->replica_count))) {
        violated(checker, "C6", "%s-%d: replicas left while %d of the %d that stay were in sync", path,
                 before->partition, in_sync, after->replica_count);
    }
}

static void check_assignments(struct znode_checker *checker, const struct seen_topic *before,
                              const struct znode_topic *after) {
    for (int32_t i = 0; i < before->topic.partition_count; i++) {
        for (int32_t j = 0; j < after->partition_count; j++) {
            if (before->topic.partitions[i].partition == after->partitions[j].partition) {
                check_leaving(checker, before->path, &before->topic.partitions[i], &after->partitions[j]);
            }
        }
    }
}

static void forget_topic(struct znode_checker *checker, struct seen_topic *topic) {
    HASH_DEL(checker->topics, topic);
    arena_deinit(&topic->arena);
    free(topic->path);
    free(topic);
}

static void forget_state(struct znode_checker *checker, struct seen_state *state) {
    HASH_DEL(checker->states, state);
    free(state->path);
    free(state->isr);
    free(state);
}

static void on_topic(struct znode_checker *checker, const struct coord_op *op) {
    struct seen_topic *topic;
    HASH_FIND_STR(checker->topics, op->path, topic);
    if (topic != NULL && op->type == COORD_OP_SET) {
        struct znode_topic after;
        if (znode_decode_topic(&topic->arena, op->data, &after) == 0) {
            check_assignments(checker, topic, &after);
        }
    }
    if (topic != NULL) {
        forget_topic(checker, topic);
    }
    if (op->type == COORD_OP_DELETE) {
        return;
    }
    topic = xcalloc(1, sizeof *topic);
    topic->path = xstrdup(op->path);
    arena_init(&topic->arena, SIZE_MAX);
    HASH_ADD_KEYPTR(hh, checker->topics, topic->path, strlen(topic->path), topic);
    if (znode_decode_topic(&topic->arena, op->data, &topic->topic) != 0) {
        violated(checker, "C3", "%s does not decode", op->path);
        forget_topic(checker, topic);
    }
}

/* The assignment of the partition whose state node this is; NULL when the topic is not there. */
static const struct znode_topic_partition *assignment_of(struct znode_checker *checker, const char *state_path) {
    const char *partitions = strstr(state_path, "/partitions/");
    char *topic_path = xstrndup(state_path, (size_t)(partitions - state_path));
    int32_t partition = atoi(partitions + strlen("/partitions/"));
    struct seen_topic *topic;
    HASH_FIND_STR(checker->topics, topic_path, topic);
    free(topic_path);
    for (int32_t i = 0; topic != NULL && i < topic->topic.partition_count; i++) {
        if (topic->topic.partitions[i].partition == partition) {
            return &topic->topic.partitions[i];
        }
    }
    return NULL;
}

/* ---- partition state ---- */

static void check_membership(struct znode_checker *checker, const char *path,
                             const struct znode_partition_state *state) {
    const struct znode_topic_partition *assigned = assignment_of(checker, path);
    if (state->isr_count == 0) {
        violated(checker, "L2", "%s: the in-sync set is empty", path);
    }
    if (state->leader >= 0 && !holds(state->isr, state->isr_count, state->leader)) {
        violated(checker, "L2", "%s: leader %d is not in the in-sync set", path, state->leader);
    }
    for (int32_t i = 0; assigned != NULL && i < state->isr_count; i++) {
        if (!holds(assigned->replicas, assigned->replica_count, state->isr[i])) {
            violated(checker, "L2", "%s: %d is in the in-sync set and no replica", path, state->isr[i]);
        }
    }
    if (assigned == NULL) {
        violated(checker, "C3", "%s: state of a partition that is not assigned", path);
    }
}

static void check_transition(struct znode_checker *checker, const struct seen_state *before,
                             const struct znode_partition_state *after) {
    bool has_new_leader = after->leader != before->leader;
    if (after->leader_epoch < before->leader_epoch) {
        violated(checker, "C2", "%s: leader epoch from %d to %d", before->path, before->leader_epoch,
                 after->leader_epoch);
    } else if (after->leader_epoch > before->leader_epoch + 1) {
        violated(checker, "C3", "%s: leader epoch from %d to %d at once", before->path, before->leader_epoch,
                 after->leader_epoch);
    }
    if (has_new_leader && after->leader_epoch == before->leader_epoch) {
        violated(checker, "C3", "%s: leader from %d to %d within epoch %d", before->path, before->leader, after->leader,
                 after->leader_epoch);
    }
    if (has_new_leader && after->leader >= 0 && after->leader_recovery_state == 0 &&
        !holds(before->isr, before->isr_count, after->leader)) {
        violated(checker, "C3", "%s: %d leads in epoch %d without having been in sync", before->path, after->leader,
                 after->leader_epoch);
    }
}

static void check_fencing(struct znode_checker *checker, const struct sim_transaction *transaction, const char *path) {
    const struct coord_op *fence = NULL;
    for (int32_t i = 0; i < transaction->count; i++) {
        if (transaction->ops[i].type == COORD_OP_CHECK &&
            strcmp(transaction->ops[i].path, ZNODE_CONTROLLER_EPOCH) == 0) {
            fence = &transaction->ops[i];
        }
    }
    if (fence == NULL || fence->version == COORD_ANY_VERSION) {
        violated(checker, "C1", "%s: written without a check of the controller epoch", path);
    }
    struct seen_epoch *seen;
    HASH_FIND_INT(checker->epochs, &checker->controller_epoch, seen);
    if (seen == NULL) {
        seen = xcalloc(1, sizeof *seen);
        seen->epoch = checker->controller_epoch;
        seen->session_id = transaction->session_id;
        HASH_ADD_INT(checker->epochs, epoch, seen);
    } else if (seen->session_id != transaction->session_id) {
        violated(checker, "C1", "%s: sessions 0x%llx and 0x%llx both wrote in controller epoch %d", path,
                 (unsigned long long)seen->session_id, (unsigned long long)transaction->session_id, seen->epoch);
    }
}

static void remember_state(struct znode_checker *checker, struct seen_state *seen, const char *path,
                           const struct znode_partition_state *state) {
    if (seen == NULL) {
        seen = xcalloc(1, sizeof *seen);
        seen->path = xstrdup(path);
        HASH_ADD_KEYPTR(hh, checker->states, seen->path, strlen(seen->path), seen);
    }
    free(seen->isr);
    seen->isr = xcalloc((size_t)state->isr_count + 1, sizeof *seen->isr);
    for (int32_t i = 0; i < state->isr_count; i++) {
        seen->isr[i] = state->isr[i];
    }
    seen->isr_count = state->isr_count;
    seen->leader = state->leader;
    seen->leader_epoch = state->leader_epoch;
}

static void on_state(struct znode_checker *checker, const struct sim_transaction *transaction,
                     const struct coord_op *op) {
    struct seen_state *seen;
    struct znode_partition_state state;
    struct arena arena;
    HASH_FIND_STR(checker->states, op->path, seen);
    check_fencing(checker, transaction, op->path);
    if (op->type == COORD_OP_DELETE) {
        if (seen != NULL) {
            forget_state(checker, seen);
        }
        return;
    }
    arena_init(&arena, SIZE_MAX);
    checker->states_seen++;
    if (znode_decode_partition_state(&arena, op->data, &state) != 0) {
        violated(checker, "C3", "%s does not decode", op->path);
    } else {
        if (state.controller_epoch != checker->controller_epoch) {
            violated(checker, "C1", "%s: written for controller epoch %d in epoch %d", op->path, state.controller_epoch,
                     checker->controller_epoch);
        }
        check_membership(checker, op->path, &state);
        if (seen != NULL) {
            check_transition(checker, seen, &state);
        } else if (state.leader_epoch != 0) {
            violated(checker, "C3", "%s: a first state in leader epoch %d", op->path, state.leader_epoch);
        }
        remember_state(checker, seen, op->path, &state);
    }
    arena_deinit(&arena);
}

/* ---- the controller ---- */

static void on_controller_epoch(struct znode_checker *checker, const struct sim_transaction *transaction,
                                const struct coord_op *op) {
    int32_t epoch = -1;
    bool makes_controller = false;
    for (int32_t i = 0; i < transaction->count; i++) {
        makes_controller = makes_controller || (transaction->ops[i].type == COORD_OP_CREATE &&
                                                strcmp(transaction->ops[i].path, ZNODE_CONTROLLER) == 0);
    }
    if (op->type == COORD_OP_DELETE || znode_decode_controller_epoch(op->data, &epoch) != 0) {
        violated(checker, "C2", "%s was deleted or does not decode", op->path);
    } else if (op->type == COORD_OP_CREATE ? epoch != 0 : epoch != checker->controller_epoch + 1) {
        violated(checker, "C2", "controller epoch from %d to %d", checker->controller_epoch, epoch);
    } else if (op->type == COORD_OP_SET && !makes_controller) {
        violated(checker, "C2", "controller epoch %d without an election", epoch);
    }
    checker->controller_epoch = epoch;
}

void znode_checker_observe(void *context, const struct sim_transaction *transaction) {
    static const char topics[] = ZNODE_TOPICS "/";
    struct znode_checker *checker = context;
    for (int32_t i = 0; i < transaction->count; i++) {
        const struct coord_op *op = &transaction->ops[i];
        if (op->type == COORD_OP_CHECK) {
            continue;
        }
        if (strcmp(op->path, ZNODE_CONTROLLER_EPOCH) == 0) {
            on_controller_epoch(checker, transaction, op);
        } else if (strncmp(op->path, topics, sizeof topics - 1) == 0) {
            const char *rest = op->path + sizeof topics - 1;
            if (strchr(rest, '/') == NULL) {
                on_topic(checker, op);
            } else if (strstr(rest, "/partitions/") != NULL && strcmp(znode_name(op->path), "state") == 0) {
                on_state(checker, transaction, op);
            }
        }
    }
}

struct znode_checker *znode_checker_create(znode_violation *on_violation, void *context) {
    struct znode_checker *checker = xcalloc(1, sizeof *checker);
    checker->on_violation = on_violation;
    checker->context = context;
    checker->controller_epoch = -1;
    return checker;
}

void znode_checker_destroy(struct znode_checker *checker) {
    struct seen_state *state, *next_state;
    struct seen_topic *topic, *next_topic;
    struct seen_epoch *epoch, *next_epoch;
    HASH_ITER(hh, checker->states, state, next_state) {
        forget_state(checker, state);
    }
    HASH_ITER(hh, checker->topics, topic, next_topic) {
        forget_topic(checker, topic);
    }
    HASH_ITER(hh, checker->epochs, epoch, next_epoch) {
        HASH_DEL(checker->epochs, epoch);
        free(epoch);
    }
    free(checker);
}

int64_t znode_checker_states_seen(const struct znode_checker *checker) {
    return checker->states_seen;
}
