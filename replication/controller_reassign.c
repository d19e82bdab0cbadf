/* Reassignment: a partition moves to other brokers while it is in use (zookeeper-mode.md 3.8).
 *
 * The replicas become the target followed by the others; the newcomers catch up as any follower does; and once the
 * whole target is in sync, and not before, a leader outside of it hands over and those that are not in it go. What
 * the topic's node says comes before what the brokers hear when replicas come, and after it when they go: so a
 * controller that dies at any point leaves a node from which the next one goes on. Partitions that move at the same
 * time take each step together. */
#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

struct reassign {
    struct task task;
    struct reassignment_list list;
    struct reassignment_list writes;
    struct partition_set completing;      /* their target is in sync */
    struct partition_set completed;       /* and their epochs were raised under the new assignment */
    struct znode_topic_partition *before; /* of the completing ones */
    struct replica_set leaving;
};

/* ---- assignments ---- */

/* Target first, then whoever else was there before anything moved. */
struct znode_topic_partition reassignment_towards(struct controller *controller,
                                                  const struct controller_partition *partition, const int32_t *replicas,
                                                  int32_t count) {
    struct arena *arena = &controller->arena;
    int32_t capacity = count + partition->replica_count + 1;
    struct znode_topic_partition wanted = {
        .partition = partition->index,
        .replicas = ARENA_ARRAY(arena, int32_t, capacity),
        .adding = ARENA_ARRAY(arena, int32_t, capacity),
        .removing = ARENA_ARRAY(arena, int32_t, capacity),
    };
    for (int32_t i = 0; i < count; i++) {
        wanted.replicas[wanted.replica_count++] = replicas[i];
    }
    for (int32_t i = 0; i < partition->replica_count; i++) {
        int32_t id = partition->replicas[i].broker_id;
        bool is_original = !ids_contain(partition->adding, partition->adding_count, id);
        if (is_original && !ids_contain(replicas, count, id)) {
            wanted.replicas[wanted.replica_count++] = id;
            wanted.removing[wanted.removing_count++] = id;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        const struct controller_replica *replica = replica_find((struct controller_partition *)partition, replicas[i]);
        if (replica == NULL || ids_contain(partition->adding, partition->adding_count, replicas[i])) {
            wanted.adding[wanted.adding_count++] = replicas[i];
        }
    }
    return wanted;
}

bool reassignment_is_same(const struct znode_topic_partition *a, const struct znode_topic_partition *b) {
    return ids_equal(a->replicas, a->replica_count, b->replicas, b->replica_count) &&
           ids_equal(a->adding, a->adding_count, b->adding, b->adding_count) &&
           ids_equal(a->removing, a->removing_count, b->removing, b->removing_count);
}

/* The target alone. */
static struct znode_topic_partition target_of(struct controller *controller,
                                              const struct controller_partition *partition) {
    struct znode_topic_partition target = {.partition = partition->index};
    target.replicas = ARENA_ARRAY(&controller->arena, int32_t, partition->replica_count + 1);
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (!ids_contain(partition->removing, partition->removing_count, partition->replicas[i].broker_id)) {
            target.replicas[target.replica_count++] = partition->replicas[i].broker_id;
        }
    }
    return target;
}

/* Kafka asks only that the target is in sync. When all of it is away, who leaves would leave nobody to lead. */
bool reassignment_is_complete(struct controller *controller, struct controller_partition *partition) {
    struct znode_topic_partition target = target_of(controller, partition);
    bool has_leader = false;
    if (!partition_is_reassigning(partition)) {
        return true;
    }
#ifdef MUTANT_M28 /* the old replicas go before the new ones are in sync */
    return true;
#endif
    for (int32_t i = 0; i < target.replica_count; i++) {
        if (!partition->has_state || !ids_contain(partition->isr, partition->isr_count, target.replicas[i])) {
            return false;
        }
        has_leader |= replica_is_online(controller, partition, target.replicas[i]);
    }
    return has_leader;
}

/* ---- replicas that leave ---- */

static void collect_leaving(struct controller *controller, struct reassign *self,
                            struct controller_partition *partition) {
    for (int32_t i = 0; i < partition->leaving_count; i++) {
        replica_set_add(controller, &self->leaving, partition,
                        partition->replicas[partition->replica_count + i].broker_id);
    }
}

/* Out of the in-sync sets and off the disks; nobody waits for the brokers' answers. */
static void call_stop_leaving(struct controller *controller, struct reassign *self) {
    call_replicas(controller, &self->leaving, REPLICA_OFFLINE);
    call_replicas(controller, &self->leaving, REPLICA_DELETION_STARTED);
    call_replicas(controller, &self->leaving, REPLICA_DELETION_SUCCESSFUL);
    call_replicas(controller, &self->leaving, REPLICA_NONE);
}

static void forget_leaving(struct reassign *self) {
    for (int32_t i = 0; i < self->leaving.count; i++) {
        partition_forget_leaving(self->leaving.items[i].partition);
    }
    self->leaving = (struct replica_set){0};
}

/* ---- taking up what is wanted ---- */

static bool is_leaving(const struct controller_partition *partition, int32_t broker_id) {
    for (int32_t i = 0; i < partition->leaving_count; i++) {
        if (partition->replicas[partition->replica_count + i].broker_id == broker_id) {
            return true;
        }
    }
    return false;
}

/* Replicas an earlier reassignment was adding and this one does not want go first, while the node still names them: a
 * controller that dies here leaves the earlier one to be resumed, and none of them forgotten. */
static void take_up(struct controller *controller, struct reassign *self) {
    struct partition_set handing_over = {0};
    for (int32_t i = 0; i < self->list.count; i++) {
        struct reassignment *item = &self->list.items[i];
        struct controller_partition *partition = item->partition;
        struct znode_topic_partition now = partition_assignment(controller, partition);
        if (reassignment_is_same(&now, &item->wanted)) {
            continue;
        }
        reassignment_add(controller, &self->writes, partition, &item->wanted);
        self->before[i] = now;
        partition_assign(partition, &item->wanted);
        if (is_leaving(partition, partition->leader)) {
            partition_set_add(controller, &handing_over, partition);
        }
        collect_leaving(controller, self, partition);
    }
    call_partitions(controller, &handing_over, PARTITION_ONLINE, ELECTION_REASSIGN, false);
    call_stop_leaving(controller, self);
}

static void revert_unwritten(struct reassign *self) {
    int32_t written = 0;
    for (int32_t i = 0; i < self->list.count && written < self->writes.count; i++) {
        struct reassignment *item = &self->list.items[i];
        if (self->writes.items[written].partition != item->partition) {
            continue;
        }
        if (self->writes.items[written++].is_failed) {
            item->is_failed = true;
            partition_assign(item->partition, &self->before[i]);
            partition_forget_leaving(item->partition);
        }
    }
}

/* ---- as far as is possible now ---- */

static bool must_hand_over(struct controller *controller, struct controller_partition *partition) {
    struct controller_replica *leader = replica_find(partition, partition->leader);
    return leader == NULL || is_leaving(partition, partition->leader) ||
           !replica_is_online(controller, partition, partition->leader);
}

static void settle_replica_states(struct controller_partition *partition) {
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i].status == REPLICA_NEW || partition->replicas[i].status == REPLICA_NONE) {
            partition->replicas[i].status = REPLICA_ONLINE;
        }
    }
}

static void decide(struct controller *controller, struct reassign *self) {
    struct partition_set raising = {0}, handing_over = {0};
    for (int32_t i = 0; i < self->list.count; i++) {
        struct reassignment *item = &self->list.items[i];
        struct controller_partition *partition = item->partition;
        if (item->is_failed) {
            continue;
        }
        item->is_complete = reassignment_is_complete(controller, partition);
        if (!item->is_complete) {
            partition_set_add(controller, &raising, partition);
            continue;
        }
        struct znode_topic_partition target = target_of(controller, partition);
        self->before[i] = partition_assignment(controller, partition);
        settle_replica_states(partition);
        partition_assign(partition, &target);
        partition_set_add(controller, must_hand_over(controller, partition) ? &handing_over : &raising, partition);
    }
    call_partitions(controller, &handing_over, PARTITION_ONLINE, ELECTION_REASSIGN, false);
    call_raise_epochs(controller, &raising);
}

/* Every replica of the target knows the others now, and who leads is one of them. Where that could not be written, all
 * stay. */
static void drop_leaving(struct controller *controller, struct reassign *self) {
    self->writes = (struct reassignment_list){0};
    for (int32_t i = 0; i < self->list.count; i++) {
        struct reassignment *item = &self->list.items[i];
        struct controller_partition *partition = item->partition;
        if (!item->is_complete) {
            continue;
        }
        if (partition->election_error != KAFKA_NONE) {
            partition_assign(partition, &self->before[i]);
            partition_forget_leaving(partition);
            item->is_failed = true;
            item->is_complete = false;
            continue;
        }
        struct znode_topic_partition now = partition_assignment(controller, partition);
        partition_set_add(controller, &self->completed, partition);
        collect_leaving(controller, self, partition);
        if (!reassignment_is_same(&now, &self->before[i])) {
            reassignment_add(controller, &self->writes, partition, &now);
        }
    }
    call_stop_leaving(controller, self);
}

static void end(struct controller *controller, struct reassign *self) {
    if (self->completed.count == 0) {
        return;
    }
    send_metadata_to_all(controller, &self->completed);
    call_forget_in_reassign_node(controller, &self->completed);
}

static void set_before(struct controller *controller, struct reassign *self) {
    self->before = ARENA_ARRAY(&controller->arena, struct znode_topic_partition, self->list.count + 1);
}

static void read_states(struct controller *controller, struct reassign *self) {
    struct partition_set all = {0};
    for (int32_t i = 0; i < self->list.count; i++) {
        partition_set_add(controller, &all, self->list.items[i].partition);
    }
    call_read_states(controller, &all);
}

enum { TAKE_UP, WRITE, READ, DECIDE, DROP, WRITE_TARGET, END };

static enum task_verdict reassign_run(struct controller *controller, struct task *task) {
    struct reassign *self = CONTAINER_OF(task, struct reassign, task);
    switch (task->phase++) {
    case TAKE_UP:
        set_before(controller, self);
        take_up(controller, self);
        return TASK_AGAIN;
    case WRITE:
        forget_leaving(self);
        call_write_assignments(controller, &self->writes);
        return TASK_AGAIN;
    case READ:
        revert_unwritten(self);
        read_states(controller, self);
        return TASK_AGAIN;
    case DECIDE: decide(controller, self); return TASK_AGAIN;
    case DROP: drop_leaving(controller, self); return TASK_AGAIN;
    case WRITE_TARGET:
        forget_leaving(self);
        call_write_assignments(controller, &self->writes);
        return TASK_AGAIN;
    default: end(controller, self); return TASK_DONE;
    }
}

void call_reassign(struct controller *controller, const struct reassignment_list *list) {
    if (list->count == 0) {
        return;
    }
    struct reassign *self = TASK_NEW(controller, struct reassign, reassign_run);
    self->list = *list;
    task_call(controller, &self->task);
}

/* ---- going on ---- */

static void add_as_it_is(struct controller *controller, struct reassignment_list *list,
                         struct controller_partition *partition) {
    struct znode_topic_partition now = partition_assignment(controller, partition);
    reassignment_add(controller, list, partition, &now);
}

struct resume {
    struct task task;
    struct id_set brokers;
    bool is_everywhere;
};

static bool is_target_on(const struct controller_partition *partition, const struct id_set *brokers) {
    for (int32_t i = 0; i < partition->replica_count; i++) {
        int32_t id = partition->replicas[i].broker_id;
        if (ids_contain(brokers->items, brokers->count, id) &&
            !ids_contain(partition->removing, partition->removing_count, id)) {
            return true;
        }
    }
    return false;
}

/* Gathers when it runs: what went before may have changed what is under way. */
static enum task_verdict resume_run(struct controller *controller, struct task *task) {
    struct resume *self = CONTAINER_OF(task, struct resume, task);
    struct partition_set all = {0};
    struct reassignment_list list = {0};
    (void)task;
    all_partitions(controller, &all);
    for (int32_t i = 0; i < all.count; i++) {
        struct controller_partition *partition = all.items[i];
        if (partition_is_reassigning(partition) && partition->has_state && !partition->topic->is_queued_for_deletion &&
            (self->is_everywhere || is_target_on(partition, &self->brokers))) {
            add_as_it_is(controller, &list, partition);
        }
    }
    call_reassign(controller, &list);
    return TASK_DONE;
}

void call_resume_reassignments(struct controller *controller, const struct id_set *brokers) {
    struct resume *self = TASK_NEW(controller, struct resume, resume_run);
    self->is_everywhere = brokers == NULL;
    if (brokers != NULL) {
        self->brokers = *brokers;
    }
    task_call(controller, &self->task);
}

void call_complete_reassignments(struct controller *controller, const struct partition_set *partitions) {
    struct reassignment_list list = {0};
    for (int32_t i = 0; i < partitions->count; i++) {
        struct controller_partition *partition = partitions->items[i];
        if (partition_is_reassigning(partition) && !partition->topic->is_queued_for_deletion &&
            reassignment_is_complete(controller, partition)) {
            add_as_it_is(controller, &list, partition);
        }
    }
    call_reassign(controller, &list);
}
