/* What the controller commands: LeaderAndIsr, StopReplica, UpdateMetadata (zookeeper-mode.md 4.1 to 4.4). */
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"
#include "replication/fetcher_runtime.h"
#include "replication/log_move_runtime.h"
#include "replication/replica_manager_internal.h"

#define AREA "kafka.server.ReplicaManager"

/* Leader epochs of StopReplica that are none. */
#define EPOCH_DURING_DELETE (-2)
#define NO_EPOCH (-1)

/* Topic ids are in LeaderAndIsr answers from here on. */
#define LEADER_AND_ISR_BY_ID 5

/* ---- Gates of every command ---- */

/* M10, rule 9: one-sided, since the controller may know of a newer registration before we do. */
static bool is_broker_epoch_stale(const struct replica_manager *manager, int64_t broker_epoch) {
#ifdef MUTANT_M10 /* obeys what was meant for a former life */
    return false;
#endif
    return broker_epoch != -1 && broker_epoch < manager->broker_epoch;
}

/* M9: of an older controller nothing is obeyed. */
static bool is_controller_epoch_stale(const struct replica_manager *manager, int32_t controller_epoch) {
#ifdef MUTANT_M9 /* obeys deposed controllers */
    return false;
#endif
    return controller_epoch < manager->controller_epoch;
}

static int16_t gate(struct replica_manager *manager, int64_t broker_epoch, int32_t controller_id,
                    int32_t controller_epoch, const char *what) {
    int16_t error = is_broker_epoch_stale(manager, broker_epoch)           ? KAFKA_STALE_BROKER_EPOCH
                    : is_controller_epoch_stale(manager, controller_epoch) ? KAFKA_STALE_CONTROLLER_EPOCH
                                                                           : KAFKA_NONE;
    if (error != KAFKA_NONE) {
        trace_warn(AREA, "%s of controller %d (epoch %d, broker epoch %lld) refused: %s", what, controller_id,
                   controller_epoch, (long long)broker_epoch, kafka_error_name(error));
        return error;
    }
    manager->controller_epoch = controller_epoch;
    return KAFKA_NONE;
}

bool replica_manager_hears(struct replica_manager *manager, int32_t controller_epoch, int64_t connection) {
#ifdef MUTANT_M38 /* obeys what comes late on a connection given up */
    return true;
#endif
    if (controller_epoch < manager->heard_epoch) {
        return true; /* the gate refuses it */
    }
    if (controller_epoch == manager->heard_epoch && connection < manager->heard_connection) {
        trace_warn(AREA, "A command of the controller of epoch %d is late: it has been heard on a newer connection",
                   controller_epoch);
        return false;
    }
    manager->heard_epoch = controller_epoch;
    manager->heard_connection = connection;
    return true;
}

/* Of a command that passed the gate. Before we are registered no epoch of ours can be meant. */
static struct command_stamp stamp_of(const struct replica_manager *manager, int32_t controller_epoch,
                                     int64_t broker_epoch) {
    return (struct command_stamp){.controller_epoch = controller_epoch,
                                  .broker_epoch = manager->broker_epoch < 0 ? -1 : broker_epoch};
}

/* ---- LeaderAndIsr ---- */

struct leader_command {
    struct str topic;
    struct uuid topic_id;
    struct command_stamp stamp;
    const struct leader_and_isr_request_leader_and_isr_partition_state *state;
    int16_t *error;
};

/* The partition with an open log, made when it is not there. */
static int16_t open_partition(struct replica_manager *manager, const struct leader_command *command,
                              struct partition_runtime **ret_partition) {
    struct partition_runtime *partition = *ret_partition;
    struct log *log = NULL;
    if (partition == NULL) {
        partition = partition_runtime_create(manager, command->topic, command->state->partition_index);
        *ret_partition = partition;
    }
    if (partition->log != NULL) {
        return KAFKA_NONE;
    }
    int error = log_manager_get_or_create(manager->logs, partition->topic, partition->index, command->state->is_new,
                                          command->topic_id, &log);
    if (error == ERR_INVALID) {
        partition_runtime_destroy(partition);
        *ret_partition = NULL;
        return KAFKA_INCONSISTENT_TOPIC_ID;
    }
    if (error != 0) {
        /* Rule 22: its data may lie in the failed directory; an empty replica in its place would be a lie. The
         * partition stays, offline, until the broker starts again. */
        if (error == ERR_NOT_FOUND) {
            trace_warn(AREA, "Ignoring the LeaderAndIsr request for %s-%d: its log is in an offline log directory",
                       partition->topic, partition->index);
        } else {
            trace_error(AREA, "%s-%d: cannot open its log: %s", partition->topic, partition->index, error_text(error));
        }
        return KAFKA_STORAGE_ERROR;
    }
    partition_runtime_open(partition, log);
    return KAFKA_NONE;
}

static int16_t set_topic_id(struct partition_runtime *partition, struct uuid id) {
    int error = log_set_topic_id(partition->log, id);
    if (error != 0) {
        if (error != ERR_INVALID) {
            partition_runtime_fail(partition, error);
        }
        return error == ERR_INVALID ? KAFKA_INCONSISTENT_TOPIC_ID : KAFKA_STORAGE_ERROR;
    }
    partition->topic_id = id;
    return KAFKA_NONE;
}

/* Fetches go on under the topic id the partition has now. */
static void restart_fetching(struct replica_manager *manager, struct partition_runtime *partition) {
    if (partition->core.role == PARTITION_FOLLOWER) {
        fetcher_runtime_remove(partition);
        fetcher_runtime_add(manager, partition);
    }
}

/* The same leader epoch again: nothing but the topic id may change by it. */
static int16_t repeat_command(struct replica_manager *manager, struct partition_runtime *partition,
                              const struct leader_command *command) {
    bool names_id = !uuid_is_zero(command->topic_id);
    if (names_id && uuid_is_zero(partition->topic_id)) {
        int16_t error = set_topic_id(partition, command->topic_id);
        if (error == KAFKA_NONE) {
            restart_fetching(manager, partition);
        }
        return error;
    }
    if (!names_id && !uuid_is_zero(partition->topic_id) && command->state->leader != manager->config.broker_id) {
        partition->topic_id = (struct uuid){{0}};
        restart_fetching(manager, partition);
        return KAFKA_NONE;
    }
    return KAFKA_STALE_CONTROLLER_EPOCH;
}

static int16_t take_role(struct replica_manager *manager, struct partition_runtime *partition,
                         const struct leader_and_isr_request_leader_and_isr_partition_state *state) {
    bool leads = state->leader == manager->config.broker_id;
    struct partition_event event =
        partition_runtime_event(partition, leads ? PARTITION_BECOME_LEADER : PARTITION_BECOME_FOLLOWER);
    event.become.leader = state->leader;
    event.become.leader_epoch = state->leader_epoch;
    event.become.partition_epoch = state->partition_epoch;
    if (!replica_list_set(&event.become.replicas, state->replicas, state->replicas_count) ||
        !replica_list_set(&event.become.isr, state->isr, state->isr_count)) {
        return KAFKA_INVALID_REQUEST;
    }
    partition->was_in_sync = replica_list_contains(&event.become.isr, manager->config.broker_id);
    if (leads) {
        log_believe(partition->log);
    }
    trace_info(AREA, "%s-%d: %s under leader epoch %d, log end %lld, high watermark %lld", partition->topic,
               partition->index, leads ? "leads" : "follows", state->leader_epoch, (long long)partition->core.log_end,
               (long long)partition->core.high_watermark);
    return partition_runtime_apply(partition, &event) ? KAFKA_NONE : KAFKA_STORAGE_ERROR;
}

/* A controller that knows this topic wants it here. */
static void note_named(struct partition_runtime *partition, const struct leader_command *command) {
    if (partition->named.controller_epoch < 0 || command_is_later(&command->stamp, &partition->named)) {
        partition->named = command->stamp;
    }
    partition->named_epoch = MAX(partition->named_epoch, command->state->leader_epoch);
}

/* Rule 24: data of a topic of that name that was deleted and made anew is not this topic's. */
static int16_t clear_place(struct replica_manager *manager, const struct leader_command *command) {
    const struct leader_and_isr_request_leader_and_isr_partition_state *state = command->state;
    if (!replica_manager_has_other_topic(manager, command->topic, state->partition_index, command->topic_id)) {
        return KAFKA_NONE;
    }
    int16_t error = partition_check_command(NULL, manager->config.broker_id, state->leader_epoch, state->replicas,
                                            state->replicas_count);
    return error != KAFKA_NONE ? error
                               : replica_manager_make_way(manager, command->topic, state->partition_index,
                                                          command->topic_id, &command->stamp);
}

static int16_t obey(struct replica_manager *manager, const struct leader_command *command) {
    const struct leader_and_isr_request_leader_and_isr_partition_state *state = command->state;
    struct partition_runtime *partition = replica_manager_find(manager, command->topic, state->partition_index);
    if (command->topic.size <= 0 || command->topic.size > TOPIC_NAME_MAX || state->partition_index < 0) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (partition != NULL && partition->is_offline) {
        return KAFKA_STORAGE_ERROR;
    }
    int16_t error = clear_place(manager, command);
    if (error != KAFKA_NONE) {
        return error;
    }
    partition = replica_manager_find(manager, command->topic, state->partition_index);
    if (partition != NULL) {
        note_named(partition, command);
    }
    if (partition != NULL && state->leader_epoch == partition->core.leader_epoch) {
        return repeat_command(manager, partition, command);
    }
    error = partition_check_command(partition == NULL ? NULL : &partition->core, manager->config.broker_id,
                                    state->leader_epoch, state->replicas, state->replicas_count);
    if (error != KAFKA_NONE) {
        return error;
    }
    error = open_partition(manager, command, &partition);
    if (partition != NULL) {
        note_named(partition, command);
    }
    if (error == KAFKA_NONE && uuid_is_zero(partition->topic_id) && !uuid_is_zero(command->topic_id)) {
        error = set_topic_id(partition, command->topic_id);
    }
    if (error != KAFKA_NONE || partition_is_superseded(&partition->core, state->partition_epoch)) {
        return error;
    }
    /* Rule 7: a leader nobody told us of (or none) is not followed. The log is there, so that its high watermark stays
     * in the checkpoint file (rule 21); epoch and fetcher stay as they were. */
    if (state->leader != manager->config.broker_id && image_broker(manager->image, state->leader) == NULL) {
        trace_warn(AREA, "%s-%d: leader %d of epoch %d is not alive; not following", partition->topic, partition->index,
                   state->leader, state->leader_epoch);
        return KAFKA_NONE;
    }
    return take_role(manager, partition, state);
}

/* A move goes on where a stop, or the last run of this broker, ended it. */
static void resume_move(struct replica_manager *manager, const struct leader_command *command) {
    struct partition_runtime *partition =
        replica_manager_find(manager, command->topic, command->state->partition_index);
    if (*command->error == KAFKA_NONE && partition != NULL && !partition->is_offline) {
        log_move_runtime_resume(partition);
    }
}

static int32_t count_states(const struct leader_and_isr_request *request) {
    int32_t count = MAX(request->ungrouped_partition_states_count, 0);
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        count += MAX(request->topic_states[i].partition_states_count, 0);
    }
    return count;
}

/* Fills in one error of the answer and returns the place of its code. */
static int16_t *answer_one(struct leader_and_isr_response_leader_and_isr_partition_error *to, struct str topic,
                           int32_t index) {
    leader_and_isr_response_leader_and_isr_partition_error_init(to);
    to->topic_name = topic;
    to->partition_index = index;
    return &to->error_code;
}

/* The skeleton of the answer and the list of what is commanded; names are left out of answers that go by ids. */
static int32_t list_commands(const struct leader_and_isr_request *request, struct command_stamp stamp, int16_t version,
                             struct arena *arena, struct leader_and_isr_response *ret,
                             struct leader_command **ret_commands) {
    int32_t total = count_states(request);
    struct leader_command *commands = ARENA_ARRAY(arena, struct leader_command, total);
    struct leader_and_isr_response_leader_and_isr_partition_error *errors =
        ARENA_ARRAY(arena, struct leader_and_isr_response_leader_and_isr_partition_error, total);
    bool by_id = version >= LEADER_AND_ISR_BY_ID;
    int32_t count = 0;
    for (int32_t i = 0; i < request->ungrouped_partition_states_count; i++) {
        const struct leader_and_isr_request_leader_and_isr_partition_state *state =
            &request->ungrouped_partition_states[i];
        commands[count] = (struct leader_command){.topic = state->topic_name, .stamp = stamp, .state = state};
        commands[count].error = answer_one(&errors[count], state->topic_name, state->partition_index);
        count++;
    }
    if (by_id) {
        ret->topics = ARENA_ARRAY(arena, struct leader_and_isr_response_leader_and_isr_topic_error,
                                  MAX(request->topic_states_count, 0));
        ret->topics_count = MAX(request->topic_states_count, 0);
    }
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        const struct leader_and_isr_request_leader_and_isr_topic_state *topic = &request->topic_states[i];
        if (by_id) {
            leader_and_isr_response_leader_and_isr_topic_error_init(&ret->topics[i]);
            ret->topics[i].topic_id = topic->topic_id;
            ret->topics[i].partition_errors = &errors[count];
            ret->topics[i].partition_errors_count = MAX(topic->partition_states_count, 0);
        }
        for (int32_t k = 0; k < topic->partition_states_count; k++) {
            const struct leader_and_isr_request_leader_and_isr_partition_state *state = &topic->partition_states[k];
            commands[count] = (struct leader_command){
                .topic = topic->topic_name, .topic_id = topic->topic_id, .stamp = stamp, .state = state};
            commands[count].error =
                answer_one(&errors[count], by_id ? (struct str){"", 0} : topic->topic_name, state->partition_index);
            count++;
        }
    }
    if (!by_id) {
        ret->partition_errors = errors;
        ret->partition_errors_count = count;
    }
    *ret_commands = commands;
    return count;
}

void replica_manager_leader_and_isr(struct replica_manager *manager, const struct leader_and_isr_request *request,
                                    int16_t version, struct arena *arena, struct leader_and_isr_response *ret) {
    struct leader_command *commands = NULL;
    struct command_stamp stamp = stamp_of(manager, request->controller_epoch, request->broker_epoch);
    int32_t count = list_commands(request, stamp, version, arena, ret, &commands);
    ret->error_code =
        gate(manager, request->broker_epoch, request->controller_id, request->controller_epoch, "LeaderAndIsr");
    /* Leaders first, then followers. */
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t i = 0; i < count; i++) {
            bool leads = commands[i].state->leader == manager->config.broker_id;
            if (leads == (pass == 0)) {
                *commands[i].error = ret->error_code != KAFKA_NONE ? ret->error_code : obey(manager, &commands[i]);
                resume_move(manager, &commands[i]);
            }
        }
    }
    if (ret->error_code == KAFKA_NONE && !manager->has_had_leader_and_isr) {
        /* Rule 21: earlier the checkpoint would have lost every partition not yet here. */
        manager->has_had_leader_and_isr = true;
        log_manager_enable_high_watermarks(manager->logs);
    }
}

/* ---- StopReplica ---- */

typedef int log_remover(struct log_manager *manager, const char *topic, int32_t partition);

/* Also what is only on disk: the topic was deleted while we were away. */
static int16_t remove_log(struct replica_manager *manager, struct str topic, int32_t index, log_remover *remove) {
    struct partition_runtime *partition = replica_manager_find(manager, topic, index);
    if (partition != NULL) {
        partition_runtime_destroy(partition);
    }
    char name[TOPIC_NAME_MAX + 1] = {0};
    memcpy(name, topic.data, (size_t)topic.size);
    int error = remove(manager->logs, name, index);
    if (error == ERR_NOT_FOUND) {
        return log_manager_is_offline(manager->logs, name, index) ? KAFKA_STORAGE_ERROR : KAFKA_NONE;
    }
    if (error != 0) {
        trace_error(AREA, "%s-%d: cannot be removed: %s", name, index, error_text(error));
        return KAFKA_STORAGE_ERROR;
    }
    return KAFKA_NONE;
}

static int16_t stop_one(struct replica_manager *manager, struct str topic, int32_t index, int32_t leader_epoch,
                        bool is_deletion) {
    struct partition_runtime *partition = replica_manager_find(manager, topic, index);
    if (topic.size <= 0 || topic.size > TOPIC_NAME_MAX) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    if (partition != NULL && partition->is_offline) {
        return KAFKA_STORAGE_ERROR;
    }
    /* Rule 23. */
    if (partition != NULL && leader_epoch != EPOCH_DURING_DELETE && leader_epoch != NO_EPOCH &&
        leader_epoch < partition->core.leader_epoch) {
        return KAFKA_FENCED_LEADER_EPOCH;
    }
    if (partition != NULL) {
        /* Without deletion it stays in memory, so that its high watermark stays in the checkpoint file. */
        struct partition_event event = partition_runtime_event(partition, PARTITION_RESIGN);
        partition_runtime_apply(partition, &event);
        log_move_runtime_pause(partition);
    }
    return is_deletion ? remove_log(manager, topic, index, log_manager_delete) : KAFKA_NONE;
}

int16_t replica_manager_delete_replica(struct replica_manager *manager, struct str topic, int32_t index) {
    return stop_one(manager, topic, index, EPOCH_DURING_DELETE, true);
}

int16_t replica_manager_set_replica_aside(struct replica_manager *manager, struct str topic, int32_t index) {
    int16_t error = stop_one(manager, topic, index, EPOCH_DURING_DELETE, false);
    return error != KAFKA_NONE ? error : remove_log(manager, topic, index, log_manager_set_aside);
}

static int32_t count_stops(const struct stop_replica_request *request) {
    int32_t count = MAX(request->ungrouped_partitions_count, 0);
    for (int32_t i = 0; i < request->topics_count; i++) {
        count += MAX(request->topics[i].partition_indexes_count, 0);
    }
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        count += MAX(request->topic_states[i].partition_states_count, 0);
    }
    return count;
}

struct stop_walk {
    struct replica_manager *manager;
    struct stop_replica_response *response;
};

static void stop_and_answer(const struct stop_walk *walk, struct str topic, int32_t index, int32_t leader_epoch,
                            bool is_deletion) {
    struct stop_replica_response *response = walk->response;
    struct stop_replica_response_stop_replica_partition_error *error =
        &response->partition_errors[response->partition_errors_count++];
    stop_replica_response_stop_replica_partition_error_init(error);
    error->topic_name = topic;
    error->partition_index = index;
    error->error_code = response->error_code != KAFKA_NONE
                            ? response->error_code
                            : stop_one(walk->manager, topic, index, leader_epoch, is_deletion);
}

void replica_manager_stop_replica(struct replica_manager *manager, const struct stop_replica_request *request,
                                  int16_t version, struct arena *arena, struct stop_replica_response *ret) {
    (void)version;
    const struct stop_walk walk = {.manager = manager, .response = ret};
    ret->error_code =
        gate(manager, request->broker_epoch, request->controller_id, request->controller_epoch, "StopReplica");
    ret->partition_errors =
        ARENA_ARRAY(arena, struct stop_replica_response_stop_replica_partition_error, count_stops(request));
    ret->partition_errors_count = 0;
    for (int32_t i = 0; i < request->ungrouped_partitions_count; i++) {
        const struct stop_replica_request_stop_replica_partition_v0 *at = &request->ungrouped_partitions[i];
        stop_and_answer(&walk, at->topic_name, at->partition_index, NO_EPOCH, request->delete_partitions);
    }
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct stop_replica_request_stop_replica_topic_v1 *topic = &request->topics[i];
        for (int32_t k = 0; k < topic->partition_indexes_count; k++) {
            stop_and_answer(&walk, topic->name, topic->partition_indexes[k], NO_EPOCH, request->delete_partitions);
        }
    }
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        const struct stop_replica_request_stop_replica_topic_state *topic = &request->topic_states[i];
        for (int32_t k = 0; k < topic->partition_states_count; k++) {
            const struct stop_replica_request_stop_replica_partition_state *at = &topic->partition_states[k];
            stop_and_answer(&walk, topic->topic_name, at->partition_index, at->leader_epoch, at->delete_partition);
        }
    }
}

/* ---- UpdateMetadata ---- */

static const char *protocol_name(int16_t security_protocol) {
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    return security_protocol >= 0 && (size_t)security_protocol < ARRAY_SIZE(names) ? names[security_protocol] : "";
}

/* A name as C text, in the arena. */
static char *text_of(struct arena *arena, struct str text) {
    struct str copy = arena_str(arena, str_is_null(text) ? (struct str){"", 0} : text);
    return (char *)(uintptr_t)copy.data;
}

static struct image_broker broker_of(struct arena *arena,
                                     const struct update_metadata_request_update_metadata_broker *b, int16_t version) {
    struct image_broker broker = {.id = b->id, .rack = str_is_null(b->rack) ? NULL : text_of(arena, b->rack)};
    int32_t count = version == 0 ? 1 : MAX(b->endpoints_count, 0);
    broker.endpoints = ARENA_ARRAY(arena, struct image_endpoint, count);
    broker.endpoint_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct image_endpoint *endpoint = &broker.endpoints[i];
        int16_t protocol = version == 0 ? 0 : b->endpoints[i].security_protocol;
        endpoint->security_protocol = protocol;
        endpoint->host = text_of(arena, version == 0 ? b->v0_host : b->endpoints[i].host);
        endpoint->port = version == 0 ? b->v0_port : b->endpoints[i].port;
        /* Before version 3 a listener is called as its protocol. */
        endpoint->listener = text_of(arena, version < 3 ? str_from(protocol_name(protocol)) : b->endpoints[i].listener);
    }
    return broker;
}

static void set_brokers(struct replica_manager *manager, const struct update_metadata_request *request, int16_t version,
                        struct arena *arena) {
    int32_t count = MAX(request->live_brokers_count, 0);
    struct image_broker *brokers = ARENA_ARRAY(arena, struct image_broker, count);
    for (int32_t i = 0; i < count; i++) {
        brokers[i] = broker_of(arena, &request->live_brokers[i], version);
    }
    image_set_brokers(manager->image, brokers, count);
    replica_manager_update_peers(manager);
}

static void set_partition(struct replica_manager *manager, const char *topic, struct uuid topic_id,
                          const struct command_stamp *stamp,
                          const struct update_metadata_request_update_metadata_partition_state *state) {
    const struct image_partition told = {.partition = state->partition_index,
                                         .controller_epoch = state->controller_epoch,
                                         .leader = state->leader,
                                         .leader_epoch = state->leader_epoch,
                                         .partition_epoch = state->zk_version,
                                         .replicas = state->replicas,
                                         .replica_count = MAX(state->replicas_count, 0),
                                         .isr = state->isr,
                                         .isr_count = MAX(state->isr_count, 0),
                                         .offline = state->offline_replicas,
                                         .offline_count = MAX(state->offline_replicas_count, 0)};
    image_set_partition(manager->image, topic, topic_id, &told);
    replica_manager_drop_stray(manager, topic, topic_id, stamp, &told);
    if (told.leader == IMAGE_LEADER_DURING_DELETE) {
        refused_batches_forget_all(&manager->refused, str_from(topic), told.partition);
    }
}

int16_t replica_manager_update_metadata(struct replica_manager *manager, const struct update_metadata_request *request,
                                        int16_t version) {
    int16_t error =
        gate(manager, request->broker_epoch, request->controller_id, request->controller_epoch, "UpdateMetadata");
    if (error != KAFKA_NONE) {
        return error;
    }
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    if (image_controller(manager->image) != request->controller_id) {
        image_set_controller(manager->image, request->controller_id);
        alter_partition_manager_hurry(manager->alter);
    }
    struct command_stamp stamp = stamp_of(manager, request->controller_epoch, request->broker_epoch);
    for (int32_t i = 0; i < request->ungrouped_partition_states_count; i++) {
        const struct update_metadata_request_update_metadata_partition_state *state =
            &request->ungrouped_partition_states[i];
        set_partition(manager, text_of(&arena, state->topic_name), (struct uuid){{0}}, &stamp, state);
    }
    for (int32_t i = 0; i < request->topic_states_count; i++) {
        const struct update_metadata_request_update_metadata_topic_state *topic = &request->topic_states[i];
        const char *name = text_of(&arena, topic->topic_name);
        for (int32_t k = 0; k < topic->partition_states_count; k++) {
            set_partition(manager, name, topic->topic_id, &stamp, &topic->partition_states[k]);
        }
    }
    set_brokers(manager, request, version, &arena);
    arena_deinit(&arena);
    for (int32_t i = 0; i < manager->listener_count; i++) {
        manager->listeners[i].on_change(manager->listeners[i].context);
    }
    return KAFKA_NONE;
}
