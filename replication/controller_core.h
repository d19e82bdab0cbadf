/* What the parts of the controller's core share: what it knows of the cluster, and how an event becomes rounds.
 *
 * An event is worked off by a stack of tasks. A task's run function is called again and again, its `phase` telling it
 * where it is: it may ask the coordinator (then it runs again when every reply is there), call other tasks (then it
 * runs again when they are done), or end. Tasks, sets and messages of one event live in its arena. */
#ifndef OTTLA_REPLICATION_CONTROLLER_CORE_H
#define OTTLA_REPLICATION_CONTROLLER_CORE_H

#include <stdlib.h>
#include <uthash.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "replication/controller.h"
#include "replication/election.h"

#define CONTROLLER_NO_LEADER (-1)
/* Leader of a partition whose topic is going away (KIP-ish name: LEADER_DURING_DELETE). */
#define CONTROLLER_LEADER_DURING_DELETE (-2)
/* Type of an UpdateMetadata that names every partition there is: what else a broker knows is gone (KIP-866). */
#define CONTROLLER_METADATA_FULL 2
/* StopReplica: leader epoch of a partition that is deleted, and of one without known state. */
#define CONTROLLER_EPOCH_DURING_DELETE (-2)
#define CONTROLLER_NO_EPOCH (-1)

/* ---- the cluster ---- */

enum partition_status { PARTITION_NONE, PARTITION_NEW, PARTITION_ONLINE, PARTITION_OFFLINE };

enum replica_status {
    REPLICA_NONE,
    REPLICA_NEW,
    REPLICA_ONLINE,
    REPLICA_OFFLINE,
    REPLICA_DELETION_STARTED,
    REPLICA_DELETION_SUCCESSFUL,
    REPLICA_DELETION_INELIGIBLE,
};

/* A partition of the batch being built, for one broker. */
struct batch_entry {
    struct controller_partition *partition;
    bool flag; /* LeaderAndIsr: is new. StopReplica: delete */
    UT_hash_handle hh;
};

struct controller_broker {
    int32_t id;
    int64_t epoch; /* czxid of its registration */
    bool is_shutting_down;
    struct arena arena; /* of info */
    struct znode_broker info;
    /* The batch being built. */
    struct batch_entry *leader_and_isr;
    struct batch_entry *stop_replica;
    bool is_metadata_target;
};

struct controller_replica {
    int32_t broker_id;
    enum replica_status status;
    bool is_dir_offline; /* on a failed log directory */
    /* Requests sent when its deletion began: an answer to one of them speaks of another topic of that name, or of a
     * reassignment; StopReplica names no topic id. */
    int64_t deletion_began;
};

struct controller_topic;

struct controller_partition {
    struct controller_topic *topic;
    int32_t index;
    enum partition_status status;
    struct controller_replica *replicas; /* assignment order; behind them those that are leaving */
    int32_t replica_count;
    int32_t leaving_count; /* no longer assigned, being stopped by the event in progress */
    int32_t *adding;       /* of a reassignment: as the znode has them */
    int32_t adding_count;
    int32_t *removing;
    int32_t removing_count;
    bool has_state; /* what follows is known */
    int32_t leader;
    int32_t leader_epoch;
    int32_t controller_epoch;
    int32_t recovery_state;
    int32_t partition_epoch; /* dataVersion of the state node */
    int32_t *isr;
    int32_t isr_count;
    bool is_in_batch;       /* its metadata is part of the batch being built */
    int16_t election_error; /* of the last election: what ElectLeaders answers */
};

struct controller_topic {
    struct str name;
    struct uuid id;
    struct controller_partition **partitions; /* ascending */
    int32_t partition_count;
    bool is_queued_for_deletion;
    bool is_deletion_started;
    bool is_ineligible_for_deletion; /* until something changes: a replica is away */
    bool is_seen;                    /* scratch of comparing listings */
    struct controller_topic *next_dead;
    UT_hash_handle by_name;
    UT_hash_handle by_id;
};

struct partition_set {
    struct controller_partition **items;
    int32_t count;
    int32_t capacity;
};

struct replica_ref {
    struct controller_partition *partition;
    int32_t broker_id;
};

struct replica_set {
    struct replica_ref *items;
    int32_t count;
    int32_t capacity;
};

struct id_set {
    int32_t *items;
    int32_t count;
    int32_t capacity;
};

/* ---- events and tasks ---- */

enum task_verdict { TASK_DONE, TASK_AGAIN };

struct task {
    enum task_verdict (*run)(struct controller *controller, struct task *task);
    int phase;
    struct task *below;
};

struct queued_event {
    struct controller_event event;
    struct queued_event *next;
};

struct controller {
    struct controller_config config;
    struct random random;
    bool is_active;
    bool is_registered; /* between START or SESSION_CREATED and SESSION_EXPIRED or STOP */
    int32_t active_id;
    int32_t epoch;
    int32_t epoch_version; /* dataVersion of /controller_epoch */
    bool is_unclean_default;
    int64_t wall_ms;

    struct controller_broker **brokers; /* ascending; live or shutting down */
    int32_t broker_count;
    struct controller_topic *topics; /* by name, in the order of their arrival */
    struct controller_topic *topics_by_id;
    struct controller_topic *dead_topics; /* freed when the event ends: tasks may still point to them */
    bool is_batch_open;
    struct partition_set batch_partitions;
    bool is_batch_full; /* its metadata is all there is */

    struct queued_event *queue_first;
    struct queued_event **queue_end;
    int32_t calls_queued;
    struct queued_event *current; /* the event being processed */
    struct arena arena;           /* of that event */
    struct task *top;
    struct task **call_end; /* tasks called by the running one, in order */
    struct task *called;
    struct controller_ask *asks;
    int32_t ask_count;
    int32_t ask_capacity;
    uint32_t serial;    /* of the asks that are out */
    int64_t sent_count; /* requests */
    bool is_waiting;
    const struct controller_reply *replies;
    int32_t reply_count;
    struct controller_actions *actions;
};

/* A task of `type`, whose first member `task` is set up; put on the stack by task_call. */
#define TASK_NEW(controller, type, run_function)                                                                       \
    ((type *)task_init(arena_alloc(&(controller)->arena, sizeof(type)), (run_function)))
void *task_init(void *memory, enum task_verdict (*run)(struct controller *, struct task *));
/* Runs after the caller returns, before it runs again; several in the order called. */
void task_call(struct controller *controller, struct task *task);

/* Each returns the index of its reply. Paths and data are copied. */
int32_t ask_get(struct controller *controller, const char *path, bool is_watching);
int32_t ask_children(struct controller *controller, const char *path, bool is_watching);
/* One op, fenced by the controller epoch (rule 4); its result is op 1 of the reply. */
int32_t ask_fenced(struct controller *controller, enum controller_op_type type, const char *path, struct slice data,
                   int32_t version);
/* The ops as they are. */
int32_t ask_multi(struct controller *controller, const struct controller_op *ops, int32_t count);
/* The result of a multi's op: 0 or a code; that of the whole reply when it has no per-op results. */
int reply_op_error(const struct controller_reply *reply, int32_t op);

struct controller_action *emit(struct controller *controller, enum controller_action_type type);
/* Answers the current event's call, once. */
void answer_call(struct controller *controller, int16_t error_code);
/* What a caller is told when this broker is not the controller. */
int16_t not_controller_error(enum controller_event_type type);
/* Stops being controller in memory: forgets the cluster, the senders and the timer. */
void controller_resign(struct controller *controller);

/* ---- controller_context.c: the cluster in memory ---- */

void partition_set_add(struct controller *controller, struct partition_set *set, struct controller_partition *item);
void replica_set_add(struct controller *controller, struct replica_set *set, struct controller_partition *partition,
                     int32_t broker_id);
void id_set_add(struct controller *controller, struct id_set *set, int32_t id);
bool ids_contain(const int32_t *ids, int32_t count, int32_t id);
bool ids_equal(const int32_t *a, int32_t a_count, const int32_t *b, int32_t b_count);

struct controller_broker *broker_find(struct controller *controller, int32_t id);
/* Takes a deep copy of `info`. */
struct controller_broker *broker_add(struct controller *controller, int32_t id, int64_t epoch,
                                     const struct znode_broker *info);
void broker_update(struct controller_broker *broker, const struct znode_broker *info);
void broker_remove(struct controller *controller, int32_t id);
/* NULL when the broker has no such listener. */
const struct znode_endpoint *broker_endpoint(const struct controller_broker *broker, const char *listener);

struct controller_topic *topic_find(struct controller *controller, struct str name);
struct controller_topic *topic_find_by_id(struct controller *controller, struct uuid id);
struct controller_topic *topic_add(struct controller *controller, struct str name);
void topic_set_id(struct controller *controller, struct controller_topic *topic, struct uuid id);
/* Gone for everyone at once, freed when the event ends. */
void topic_remove(struct controller *controller, struct controller_topic *topic);
struct controller_partition *partition_find(struct controller_topic *topic, int32_t index);
struct controller_partition *partition_add(struct controller_topic *topic,
                                           const struct znode_topic_partition *assigned);
struct controller_partition *partition_lookup(struct controller *controller, struct str topic, int32_t index);
/* Another assignment: who is in it no longer is leaving, until partition_forget_leaving. */
void partition_assign(struct controller_partition *partition, const struct znode_topic_partition *assigned);
void partition_forget_leaving(struct controller_partition *partition);
/* The assignment as the topic's node has it; lists in the event's arena. */
struct znode_topic_partition partition_assignment(struct controller *controller,
                                                  const struct controller_partition *partition);
void partition_set_state(struct controller_partition *partition, const struct znode_partition_state *state,
                         int32_t controller_epoch, int32_t partition_epoch);
/* The state in memory, with the partition's own in-sync set: not to be changed, gone with the next partition_set_state.
 */
struct znode_partition_state partition_state(const struct controller_partition *partition);
bool partition_is_reassigning(const struct controller_partition *partition);
void topic_partitions(struct controller *controller, struct controller_topic *topic, struct partition_set *set);
void all_partitions(struct controller *controller, struct partition_set *set);

/* Also one that is leaving. */
struct controller_replica *replica_find(struct controller_partition *partition, int32_t broker_id);
bool replica_is_online(struct controller *controller, struct controller_partition *partition, int32_t broker_id);
bool replica_is_reachable(struct controller *controller, struct controller_partition *partition, int32_t broker_id);
void replicas_of(struct controller *controller, const struct partition_set *partitions, struct replica_set *set);
void replicas_on(struct controller *controller, const struct id_set *brokers, struct replica_set *set);
void context_clear(struct controller *controller);
void context_bury_dead(struct controller *controller);

/* ---- controller_batch.c: requests to brokers ---- */

void batch_open(struct controller *controller);
/* LeaderAndIsr of the partition to the broker, and its metadata to all. */
void batch_leader_and_isr(struct controller *controller, int32_t broker_id, struct controller_partition *partition,
                          bool is_new);
/* The same to that broker alone, who has heard all of it before or has missed it. */
void batch_repeat_leader_and_isr(struct controller *controller, int32_t broker_id,
                                 struct controller_partition *partition);
void batch_stop_replica(struct controller *controller, int32_t broker_id, struct controller_partition *partition,
                        bool is_delete);
void batch_metadata_all(struct controller *controller, struct controller_partition *partition);
void batch_metadata_to(struct controller *controller, int32_t broker_id);
void batch_metadata_of(struct controller *controller, struct controller_partition *partition);
/* Every partition that stays, and that there are no others. */
void batch_metadata_full(struct controller *controller);
/* Emits all LeaderAndIsr, then all UpdateMetadata, then all StopReplica. */
void batch_send(struct controller *controller);
/* Forgets the batch being built, if any: the event it belongs to is given up. */
void batch_discard(struct controller *controller);
/* A batch of nothing but UpdateMetadata to every broker; partitions may be NULL. */
void send_metadata_to_all(struct controller *controller, const struct partition_set *partitions);

/* ---- controller_read.c: reading znodes ---- */

struct broker_reading {
    int32_t id;
    int64_t epoch;
    struct znode_broker info;
    bool is_incompatible; /* does not support a finalized feature: it is not taken into the cluster */
};

struct broker_readings {
    struct broker_reading *items; /* ascending */
    int32_t count;
    bool is_corrupt; /* a registration did not parse */
};
/* /brokers/ids and every registration, arming all watches. */
void call_read_brokers(struct controller *controller, struct broker_readings *ret);

/* Takes the broker into memory and gives it a sender. */
void controller_open_broker(struct controller *controller, const struct broker_reading *reading);

struct name_list {
    struct str *items; /* sorted */
    int32_t count;
};
/* The children of a node, none when it is absent; arms the child watch when told. */
void call_read_names(struct controller *controller, const char *path, bool is_watching, struct name_list *ret);
/* Reads the assignments of these topics, arming their watches; gives ids to those without one. */
struct topic_reading {
    struct str name;
    struct znode_topic topic;
    bool is_found;
};
void call_read_topics(struct controller *controller, const struct name_list *names, struct topic_reading *ret);
/* Asks for the state nodes of the partitions, and takes the replies as the cached states. */
void ask_states(struct controller *controller, const struct partition_set *partitions);
void take_states(struct controller *controller, const struct partition_set *partitions);
/* Refreshes the cached state of the partitions from their state nodes; those without a node lose it. */
void call_read_states(struct controller *controller, const struct partition_set *partitions);
/* Deletes every child of `path` (fenced) after listing it with a watch. */
void call_clear_children(struct controller *controller, const char *path);

/* ---- state machines ---- */

/* One batch: the partitions change to `target`; for PARTITION_ONLINE by `strategy`. An admin may force an unclean
 * election. Each partition's election_error tells how it went. */
void call_partitions(struct controller *controller, const struct partition_set *partitions,
                     enum partition_status target, enum election_strategy strategy, bool is_unclean_forced);
/* Elections for everything that is New or Offline and not going away. */
void call_elect_offline(struct controller *controller);
void call_replicas(struct controller *controller, const struct replica_set *replicas, enum replica_status target);

/* ---- flows ---- */

void call_failover(struct controller *controller);
void call_new_partitions(struct controller *controller, const struct partition_set *partitions);
void call_replicas_offline(struct controller *controller, const struct replica_set *replicas);
void call_delete_topics_step(struct controller *controller); /* resumes every deletion that can go on */
void call_fail_deletion(struct controller *controller, const struct replica_set *replicas);
void call_preferred_node(struct controller *controller);

/* ---- controller_assignment.c, controller_reassign.c, controller_reassign_calls.c ---- */

/* What becomes of one partition's assignment. */
struct reassignment {
    struct controller_partition *partition;
    struct znode_topic_partition wanted; /* replicas, adding and removing */
    bool is_failed;                      /* nothing was changed, or not all of it: the next event may go on */
    bool is_complete;                    /* the target is in sync: what leaves, leaves now */
};

struct reassignment_list {
    struct reassignment *items;
    int32_t count;
    int32_t capacity;
};

void reassignment_add(struct controller *controller, struct reassignment_list *list,
                      struct controller_partition *partition, const struct znode_topic_partition *wanted);
/* Writes the wanted assignments into the topics' nodes, one write per topic, and leaves there what this controller has
 * not read yet. Those of a topic without a node fail. */
void call_write_assignments(struct controller *controller, const struct reassignment_list *list);
/* Raises the leader epochs of the partitions and tells all their replicas. election_error says how it went. */
void call_raise_epochs(struct controller *controller, const struct partition_set *partitions);
/* Takes every partition as far towards its wanted assignment as is possible now. */
void call_reassign(struct controller *controller, const struct reassignment_list *list);
/* Goes on with what is under way: where one of the brokers is a target, or everywhere (NULL). */
void call_resume_reassignments(struct controller *controller, const struct id_set *brokers);
/* Ends the reassignments of these partitions whose targets are in sync by now. */
void call_complete_reassignments(struct controller *controller, const struct partition_set *partitions);
void call_reassign_node(struct controller *controller);
/* Takes these partitions out of the legacy node, which goes when it is empty. */
void call_forget_in_reassign_node(struct controller *controller, const struct partition_set *gone);
/* Towards these replicas, from whatever is under way. */
struct znode_topic_partition reassignment_towards(struct controller *controller,
                                                  const struct controller_partition *partition, const int32_t *replicas,
                                                  int32_t count);
bool reassignment_is_complete(struct controller *controller, struct controller_partition *partition);
bool reassignment_is_same(const struct znode_topic_partition *a, const struct znode_topic_partition *b);
/* Kafka's checks of one wish, NULL replicas being a cancel: an error, or 0 and what is wanted. The partition may be
 * NULL. `ret_message` may be; its text lives in `arena`. */
int16_t reassignment_check(struct controller *controller, struct arena *arena, struct controller_partition *partition,
                           const int32_t *replicas, int32_t count, struct znode_topic_partition *ret_wanted,
                           struct str *ret_message);
/* Marks those of a list that are named again later on: the last wish for a partition counts. */
void reassignment_mark_overtaken(struct controller_partition **partitions, int32_t count, bool *ret_is_overtaken);

/* The task of each event. */
struct task *elect_task(struct controller *controller);
struct task *controller_node_task(struct controller *controller);
struct task *stop_task(struct controller *controller);
struct task *watch_task(struct controller *controller, struct str path);
struct task *broker_change_task(struct controller *controller);
struct task *broker_modification_task(struct controller *controller, int32_t broker_id);
struct task *topic_change_task(struct controller *controller);
struct task *partition_modification_task(struct controller *controller, struct str topic);
struct task *topic_deletion_task(struct controller *controller);
struct task *isr_change_task(struct controller *controller);
struct task *log_dir_event_task(struct controller *controller);
struct task *preferred_node_task(struct controller *controller);
struct task *rebalance_task(struct controller *controller);
struct task *leader_and_isr_answered_task(struct controller *controller);
struct task *stop_replica_answered_task(struct controller *controller);
struct task *queue_dropped_task(struct controller *controller);
struct task *unclean_enabled_task(struct controller *controller);
struct task *alter_partition_task(struct controller *controller);
struct task *controlled_shutdown_task(struct controller *controller);
struct task *allocate_producer_ids_task(struct controller *controller);
struct task *elect_leaders_task(struct controller *controller);
struct task *reassign_node_task(struct controller *controller);
struct task *alter_reassignments_task(struct controller *controller);
struct task *list_reassignments_task(struct controller *controller);

#endif
