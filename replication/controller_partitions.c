/* The partition state machine: first leaders of new partitions, elections for the others (zookeeper-mode.md 3.4, 3.5).
 *
 * An election decides by the states in memory, which all writes of this controller keep up to date, and writes under
 * the version they have; whatever somebody else wrote meanwhile it reads, and starts again (rule 5). Who would be left
 * without a leader, or get an unclean one, is read first: nothing is written there that could find out. Apache's
 * controller reads all of them, which is most of what a thousand elections take. */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

struct partitions_task {
    struct task task;
    struct partition_set partitions;
    enum partition_status target;
    enum election_strategy strategy;
    bool is_unclean_forced;
    struct partition_set creating;
    struct partition_set doubtful; /* their state node was there already: perhaps our own lost reply */
    struct partition_set electing; /* still to be elected */
    struct candidate *candidates;  /* one per electing partition */
    struct partition_set unread;   /* of them, whose states are asked for */
    bool is_second_look;           /* somebody else wrote: no state in memory will do */
    struct partition_set configs;  /* one partition per topic whose settings are asked for */
};

struct candidate {
    struct znode_partition_state state;
    int32_t version;
    bool is_known; /* from memory */
    bool is_readable;
    bool is_unclean_allowed;
    bool is_decided;
    struct election_result result;
};

static const char *const status_names[] = {"NonExistentPartition", "NewPartition", "OnlinePartition",
                                           "OfflinePartition"};

static bool may_become(enum partition_status from, enum partition_status to) {
    switch (to) {
    case PARTITION_NEW: return from == PARTITION_NONE;
    case PARTITION_ONLINE:
    case PARTITION_OFFLINE: return from != PARTITION_NONE;
    case PARTITION_NONE: return from == PARTITION_OFFLINE;
    }
    return false;
}

static void sort_out(struct controller *controller, struct partitions_task *self) {
    for (int32_t i = 0; i < self->partitions.count; i++) {
        struct controller_partition *partition = self->partitions.items[i];
        partition->election_error = KAFKA_UNKNOWN_SERVER_ERROR;
        if (!may_become(partition->status, self->target)) {
            trace_error(AREA, "[Controller id=%d] Partition %.*s-%d may not go from %s to %s",
                        controller->config.broker_id, STR_ARGS(partition->topic->name), partition->index,
                        status_names[partition->status], status_names[self->target]);
        } else if (self->target != PARTITION_ONLINE) {
            partition->status = self->target;
        } else if (partition->status == PARTITION_NEW) {
            partition_set_add(controller, &self->creating, partition);
        } else {
            partition_set_add(controller, &self->electing, partition);
        }
    }
}

/* ---- new partitions ---- */

/* The first state: the first live replica leads, all live ones are in sync. False when none is live. */
static bool first_state(struct controller *controller, struct controller_partition *partition,
                        struct znode_partition_state *ret) {
    *ret = (struct znode_partition_state){.controller_epoch = controller->epoch};
    ret->isr = ARENA_ARRAY(&controller->arena, int32_t, partition->replica_count + 1);
    for (int32_t i = 0; i < partition->replica_count; i++) {
        int32_t id = partition->replicas[i].broker_id;
        if (replica_is_online(controller, partition, id)) {
            ret->isr[ret->isr_count++] = id;
        }
    }
    ret->leader = ret->isr_count > 0 ? ret->isr[0] : CONTROLLER_NO_LEADER;
    return ret->isr_count > 0;
}

static void drop_without_live(struct controller *controller, struct partitions_task *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->creating.count; i++) {
        struct znode_partition_state state;
        struct controller_partition *partition = self->creating.items[i];
        if (first_state(controller, partition, &state)) {
            self->creating.items[kept++] = partition;
        } else {
            trace_error(AREA, "[Controller id=%d] No replica of new partition %.*s-%d is alive",
                        controller->config.broker_id, STR_ARGS(partition->topic->name), partition->index);
        }
    }
    self->creating.count = kept;
}

/* Whether the topic's node of partitions is there for certain. */
static bool has_parent(const struct controller_topic *topic) {
    return topic->partition_count > 0 && topic->partitions[0]->has_state;
}

/* Parents and states in one wave, which keeps their order. The states' replies are the last ones. */
static void ask_create(struct controller *controller, struct partitions_task *self) {
    char path[ZNODE_PATH_SIZE];
    const struct controller_topic *last = NULL;
    for (int32_t i = 0; i < self->creating.count; i++) {
        struct controller_partition *partition = self->creating.items[i];
        if (partition->topic != last && !has_parent(partition->topic)) {
            last = partition->topic;
            ask_fenced(controller, CONTROLLER_OP_CREATE, znode_partitions_path(path, last->name), SLICE_NULL, 0);
        }
        ask_fenced(controller, CONTROLLER_OP_CREATE,
                   znode_partition_path(path, partition->topic->name, partition->index), SLICE_NULL, 0);
    }
    for (int32_t i = 0; i < self->creating.count; i++) {
        struct znode_partition_state state;
        struct controller_partition *partition = self->creating.items[i];
        first_state(controller, partition, &state);
        ask_fenced(controller, CONTROLLER_OP_CREATE,
                   znode_partition_state_path(path, partition->topic->name, partition->index),
                   znode_encode_partition_state(&controller->arena, &state), 0);
    }
}

static void adopt_first(struct controller *controller, struct controller_partition *partition,
                        const struct znode_partition_state *state) {
    partition_set_state(partition, state, controller->epoch, 0);
    partition->status = PARTITION_ONLINE;
    partition->election_error = KAFKA_NONE;
    for (int32_t i = 0; i < state->isr_count; i++) {
        batch_leader_and_isr(controller, state->isr[i], partition, true);
    }
}

static void on_created(struct controller *controller, struct partitions_task *self) {
    const struct controller_reply *replies = &controller->replies[controller->reply_count - self->creating.count];
    for (int32_t i = 0; i < self->creating.count; i++) {
        struct znode_partition_state state;
        struct controller_partition *partition = self->creating.items[i];
        int error = reply_op_error(&replies[i], 1);
        first_state(controller, partition, &state);
        if (error == 0) {
            adopt_first(controller, partition, &state);
        } else if (error == ERR_EXISTS) {
            partition_set_add(controller, &self->doubtful, partition);
        } else {
            trace_error(AREA, "[Controller id=%d] Creating the state of %.*s-%d failed: %s",
                        controller->config.broker_id, STR_ARGS(partition->topic->name), partition->index,
                        error_text(error));
        }
    }
}

/* A connection lost after the write was applied makes its repetition find the node: ours when nobody else could have
 * written it in this controller epoch. */
static void on_doubtful_read(struct controller *controller, struct partitions_task *self) {
    for (int32_t i = 0; i < self->doubtful.count; i++) {
        struct znode_partition_state mine, found;
        struct controller_partition *partition = self->doubtful.items[i];
        const struct controller_reply *reply = &controller->replies[i];
        first_state(controller, partition, &mine);
        if (reply->error == 0 && reply->version == 0 &&
            znode_decode_partition_state(&controller->arena, reply->data, &found) == 0 &&
            found.controller_epoch == controller->epoch && found.leader == mine.leader && found.leader_epoch == 0 &&
            ids_equal(found.isr, found.isr_count, mine.isr, mine.isr_count)) {
            adopt_first(controller, partition, &mine);
        } else {
            trace_error(AREA, "[Controller id=%d] New partition %.*s-%d has a state already",
                        controller->config.broker_id, STR_ARGS(partition->topic->name), partition->index);
        }
    }
}

/* ---- elections ---- */

static struct election_replica view_of(struct controller *controller, struct controller_partition *partition,
                                       int32_t id) {
    struct controller_broker *broker = broker_find(controller, id);
    return (struct election_replica){
        .broker_id = id,
        .is_live = replica_is_online(controller, partition, id),
        .is_reachable = replica_is_reachable(controller, partition, id),
        .is_shutting_down = broker != NULL && broker->is_shutting_down,
    };
}

static struct election election_of(struct controller *controller, struct controller_partition *partition,
                                   const struct candidate *candidate, enum election_strategy strategy) {
    struct election_replica *replicas =
        ARENA_ARRAY(&controller->arena, struct election_replica, partition->replica_count + 1);
    struct election_replica *isr =
        ARENA_ARRAY(&controller->arena, struct election_replica, candidate->state.isr_count + 1);
    for (int32_t i = 0; i < partition->replica_count; i++) {
        replicas[i] = view_of(controller, partition, partition->replicas[i].broker_id);
    }
    for (int32_t i = 0; i < candidate->state.isr_count; i++) {
        isr[i] = view_of(controller, partition, candidate->state.isr[i]);
    }
    return (struct election){
        .strategy = strategy,
        .replicas = replicas,
        .replica_count = partition->replica_count,
        .isr = isr,
        .isr_count = candidate->state.isr_count,
        .is_unclean_allowed = candidate->is_unclean_allowed,
    };
}

static void fail_election(struct controller *controller, struct partitions_task *self,
                          struct controller_partition *partition, const char *why) {
    partition->election_error = self->strategy == ELECTION_PREFERRED ? KAFKA_PREFERRED_LEADER_NOT_AVAILABLE
                                                                     : KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    trace_warn(AREA, "[Controller id=%d] No leader elected for %.*s-%d: %s", controller->config.broker_id,
               STR_ARGS(partition->topic->name), partition->index, why);
}

static void prepare_result(struct controller *controller, const struct election *election,
                           struct election_result *ret_result) {
    ret_result->isr = ARENA_ARRAY(&controller->arena, int32_t, election->isr_count + 1);
    ret_result->recipients = ARENA_ARRAY(&controller->arena, int32_t, election->replica_count + 1);
}

/* Whether the state in memory gives the partition a leader of its in-sync set. */
static bool take_known(struct controller *controller, const struct partitions_task *self,
                       struct controller_partition *partition, struct candidate *candidate) {
    if (self->is_second_look || !partition->has_state || partition->controller_epoch > controller->epoch ||
        partition->topic->is_queued_for_deletion) {
        return false;
    }
    candidate->state = partition_state(partition);
    candidate->version = partition->partition_epoch;
    candidate->is_unclean_allowed = self->is_unclean_forced;
    struct election election = election_of(controller, partition, candidate, self->strategy);
    struct election_result result;
    prepare_result(controller, &election, &result);
    return election_decide(&election, &result) && !result.is_unclean;
}

static void ask_unknown(struct controller *controller, struct partitions_task *self) {
    self->candidates = ARENA_ARRAY(&controller->arena, struct candidate, self->electing.count + 1);
    self->unread = (struct partition_set){0};
    for (int32_t i = 0; i < self->electing.count; i++) {
        struct candidate *candidate = &self->candidates[i];
        *candidate = (struct candidate){0};
        candidate->is_known = take_known(controller, self, self->electing.items[i], candidate);
        candidate->is_readable = candidate->is_known;
        if (!candidate->is_known) {
            partition_set_add(controller, &self->unread, self->electing.items[i]);
        }
    }
    ask_states(controller, &self->unread);
}

/* Takes the states read, and asks for the settings of topics that have no live in-sync replica. */
static void on_states_read(struct controller *controller, struct partitions_task *self) {
    int32_t read = 0;
    self->configs = (struct partition_set){0};
    for (int32_t i = 0; i < self->electing.count; i++) {
        struct controller_partition *partition = self->electing.items[i];
        struct candidate *candidate = &self->candidates[i];
        if (candidate->is_known) {
            continue; /* it was not asked for */
        }
        const struct controller_reply *reply = &controller->replies[read++];
        if (reply->error != 0 ||
            znode_decode_partition_state(&controller->arena, reply->data, &candidate->state) != 0) {
            fail_election(controller, self, partition, "its state cannot be read");
            continue;
        }
        if (candidate->state.controller_epoch > controller->epoch) {
            fail_election(controller, self, partition, "a newer controller wrote its state"); /* rule 6 */
            continue;
        }
        candidate->is_readable = true;
        candidate->version = reply->version;
        candidate->is_unclean_allowed = self->is_unclean_forced;
        struct election election = election_of(controller, partition, candidate, self->strategy);
        bool is_last =
            self->configs.count > 0 && self->configs.items[self->configs.count - 1]->topic == partition->topic;
        if (self->strategy == ELECTION_OFFLINE && !self->is_unclean_forced && !election_has_live_isr(&election) &&
            !is_last) {
            partition_set_add(controller, &self->configs, partition);
        }
    }
    for (int32_t i = 0; i < self->configs.count; i++) {
        char path[ZNODE_PATH_SIZE];
        ask_get(controller, znode_config_path(path, "topics", self->configs.items[i]->topic->name), false);
    }
}

static bool allows_unclean(struct controller *controller, const struct controller_reply *reply) {
    struct znode_config config;
    if (reply->error == ERR_NOT_FOUND) {
        return controller->is_unclean_default;
    }
    if (reply->error != 0 || znode_decode_config(&controller->arena, reply->data, &config) != 0) {
        return false; /* nobody knows: then no data is given up */
    }
    const struct znode_config_entry *entry = znode_config_find(&config, STR_LITERAL("unclean.leader.election.enable"));
    return entry == NULL ? controller->is_unclean_default : str_equal_text(entry->value, "true");
}

static void on_configs_read(struct controller *controller, struct partitions_task *self) {
    for (int32_t i = 0; i < self->configs.count; i++) {
        bool is_allowed = allows_unclean(controller, &controller->replies[i]);
        for (int32_t j = 0; j < self->electing.count; j++) {
            if (self->electing.items[j]->topic == self->configs.items[i]->topic) {
                self->candidates[j].is_unclean_allowed = is_allowed;
            }
        }
    }
}

/* Decides, keeps those that have a leader, and asks for the writes. */
static void ask_elected(struct controller *controller, struct partitions_task *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->electing.count; i++) {
        struct controller_partition *partition = self->electing.items[i];
        struct candidate *candidate = &self->candidates[i];
        if (!candidate->is_readable) {
            continue;
        }
        struct election election = election_of(controller, partition, candidate, self->strategy);
        struct election_result *result = &candidate->result;
        prepare_result(controller, &election, result);
        if (!election_decide(&election, result)) {
            fail_election(controller, self, partition, "no replica is eligible");
            continue;
        }
        struct znode_partition_state *state = &candidate->state;
        state->leader = result->leader;
        state->leader_epoch++;
        state->controller_epoch = controller->epoch;
        state->leader_recovery_state = result->is_unclean ? 1 : state->leader_recovery_state;
        state->isr = result->isr;
        state->isr_count = result->isr_count;
        char path[ZNODE_PATH_SIZE];
        ask_fenced(controller, CONTROLLER_OP_SET,
                   znode_partition_state_path(path, partition->topic->name, partition->index),
                   znode_encode_partition_state(&controller->arena, state), candidate->version);
        self->electing.items[kept] = partition;
        self->candidates[kept++] = *candidate;
    }
    self->electing.count = kept;
}

static void on_elected(struct controller *controller, struct partitions_task *self) {
    struct partition_set again = {0};
    for (int32_t i = 0; i < self->electing.count; i++) {
        struct controller_partition *partition = self->electing.items[i];
        struct candidate *candidate = &self->candidates[i];
        int error = reply_op_error(&controller->replies[i], 1);
        if (error == ERR_BAD_VERSION) {
            partition_set_add(controller, &again, partition);
        } else if (error != 0) {
            fail_election(controller, self, partition, error_text(error));
        } else {
            partition_set_state(partition, &candidate->state, controller->epoch, controller->replies[i].op_versions[1]);
            partition->status = PARTITION_ONLINE;
            partition->election_error = KAFKA_NONE;
            for (int32_t j = 0; j < candidate->result.recipient_count; j++) {
                batch_leader_and_isr(controller, candidate->result.recipients[j], partition, false);
            }
        }
    }
    self->electing = again;
    self->is_second_look = true;
}

/* ---- the task ---- */

enum { BEGIN, CREATED, DOUBTFUL_READ, ELECT, STATES_READ, CONFIGS_READ, ELECTED, SEND };

static enum task_verdict partitions_run(struct controller *controller, struct task *task) {
    struct partitions_task *self = CONTAINER_OF(task, struct partitions_task, task);
    for (;;) {
        int32_t asked = controller->ask_count;
        switch (task->phase++) {
        case BEGIN:
            batch_open(controller);
            sort_out(controller, self);
            drop_without_live(controller, self);
            ask_create(controller, self);
            break;
        case CREATED:
            if (self->creating.count > 0) {
                on_created(controller, self);
                ask_states(controller, &self->doubtful);
            }
            break;
        case DOUBTFUL_READ: on_doubtful_read(controller, self); break;
        case ELECT: ask_unknown(controller, self); break;
        case STATES_READ:
            if (self->electing.count > 0) {
                on_states_read(controller, self);
            }
            break;
        case CONFIGS_READ:
            on_configs_read(controller, self);
            ask_elected(controller, self);
            break;
        case ELECTED:
            on_elected(controller, self);
            task->phase = self->electing.count > 0 ? ELECT : SEND;
            break;
        default: batch_send(controller); return TASK_DONE;
        }
        if (controller->ask_count > asked) {
            return TASK_AGAIN;
        }
    }
}

void call_partitions(struct controller *controller, const struct partition_set *partitions,
                     enum partition_status target, enum election_strategy strategy, bool is_unclean_forced) {
    if (partitions->count == 0) {
        return;
    }
    struct partitions_task *self = TASK_NEW(controller, struct partitions_task, partitions_run);
    self->partitions = *partitions;
    self->target = target;
    self->strategy = strategy;
    self->is_unclean_forced = is_unclean_forced;
    task_call(controller, &self->task);
}

/* Gathers when it runs, not when it is called: what went before may have changed states. */
static enum task_verdict elect_offline_run(struct controller *controller, struct task *task) {
    struct partition_set all = {0}, offline = {0};
    (void)task;
    all_partitions(controller, &all);
    for (int32_t i = 0; i < all.count; i++) {
        enum partition_status status = all.items[i]->status;
        if ((status == PARTITION_NEW || status == PARTITION_OFFLINE) && !all.items[i]->topic->is_queued_for_deletion) {
            partition_set_add(controller, &offline, all.items[i]);
        }
    }
    call_partitions(controller, &offline, PARTITION_ONLINE, ELECTION_OFFLINE, false);
    return TASK_DONE;
}

void call_elect_offline(struct controller *controller) {
    task_call(controller, task_init(ARENA_NEW(&controller->arena, struct task), elect_offline_run));
}
