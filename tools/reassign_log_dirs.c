/* Moves between the log directories of one broker, as kafka-reassign-partitions starts, watches and cancels them.
 * (cli.md, section 4.3) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/client/broker_connection.h"
#include "tools/reassign.h"

#define RETRY_MS 100

struct dir_move {
    struct str topic;
    int32_t partition;
    int32_t broker_id;
    struct str target;
    struct str current; /* null: on no live directory */
    struct str future;  /* null: no move under way */
    bool is_done;
};

struct dir_moves {
    struct dir_move *items; /* by topic, partition, broker */
    int32_t count;
};

static int compare_moves(const void *a, const void *b) {
    const struct dir_move *left = a, *right = b;
    int order = str_compare(left->topic, right->topic);
    order = order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
    return order != 0 ? order : (left->broker_id > right->broker_id) - (left->broker_id < right->broker_id);
}

static struct dir_moves collect(struct admin_tool *tool, const struct reassign_plan *plan) {
    struct dir_moves moves = {0};
    int32_t capacity = 0;
    for (int32_t i = 0; i < plan->count; i++) {
        capacity += plan->items[i].replica_count;
    }
    moves.items = ARENA_ARRAY(&tool->arena, struct dir_move, capacity + 1);
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_item *item = &plan->items[i];
        for (int32_t j = 0; item->log_dirs != NULL && j < item->replica_count; j++) {
            if (item->log_dirs[j] != NULL) {
                moves.items[moves.count++] = (struct dir_move){.topic = item->topic,
                                                               .partition = item->partition,
                                                               .broker_id = item->replicas[j],
                                                               .target = str_from(item->log_dirs[j]),
                                                               .current = STR_NULL,
                                                               .future = STR_NULL};
            }
        }
    }
    qsort(moves.items, (size_t)moves.count, sizeof *moves.items, compare_moves);
    return moves;
}

static struct str replica_name(struct admin_tool *tool, const struct dir_move *move) {
    return arena_printf(&tool->arena, "%.*s-%d-%d", STR_ARGS(move->topic), move->partition, move->broker_id);
}

/* ---- where they are ---- */

static void take_dir(const struct describe_log_dirs_response_describe_log_dirs_result *dir, int32_t broker_id,
                     struct dir_moves *moves) {
    for (int32_t i = 0; i < dir->topics_count; i++) {
        for (int32_t j = 0; j < dir->topics[i].partitions_count; j++) {
            struct dir_move key = {.topic = dir->topics[i].name,
                                   .partition = dir->topics[i].partitions[j].partition_index,
                                   .broker_id = broker_id};
            struct dir_move *move =
                bsearch(&key, moves->items, (size_t)moves->count, sizeof *moves->items, compare_moves);
            if (move != NULL && dir->topics[i].partitions[j].is_future_key) {
                move->future = dir->log_dir;
            } else if (move != NULL) {
                move->current = dir->log_dir;
            }
        }
    }
}

static int locate(struct admin_tool *tool, struct dir_moves *moves) {
    for (int32_t i = 0; i < moves->count; i++) {
        bool is_asked = false;
        for (int32_t j = 0; j < i; j++) {
            is_asked |= moves->items[j].broker_id == moves->items[i].broker_id;
        }
        if (is_asked) {
            continue;
        }
        struct describe_log_dirs_request request;
        struct describe_log_dirs_response response;
        describe_log_dirs_request_init(&request);
        request.topics_count = -1;
        int error = admin_describe_log_dirs(&tool->client, moves->items[i].broker_id, &request, &tool->arena, &response,
                                            &tool->failure);
        if (error != 0) {
            return error;
        }
        if (response.error_code != KAFKA_NONE) {
            return failure_set_code(&tool->failure, response.error_code, STR_NULL);
        }
        for (int32_t j = 0; j < response.results_count; j++) {
            if (response.results[j].error_code == KAFKA_NONE) {
                take_dir(&response.results[j], moves->items[i].broker_id, moves);
            }
        }
    }
    return 0;
}

static void print_state(struct admin_tool *tool, const struct dir_move *move) {
    struct str name = replica_name(tool, move);
    if (str_is_null(move->current)) {
        printf("Partition %.*s-%d is not found in any live log dir on broker %d. There is likely an offline log "
               "directory on the broker.\n",
               STR_ARGS(move->topic), move->partition, move->broker_id);
    } else if (!str_is_null(move->future) && str_equal(move->future, move->target)) {
        printf("Reassignment of replica %.*s is still in progress.\n", STR_ARGS(name));
    } else if (!str_is_null(move->future)) {
        printf("Partition %.*s-%d on broker %d is being moved to log dir %.*s instead of %.*s.\n",
               STR_ARGS(move->topic), move->partition, move->broker_id, STR_ARGS(move->future), STR_ARGS(move->target));
    } else if (str_equal(move->current, move->target)) {
        printf("Reassignment of replica %.*s completed successfully.\n", STR_ARGS(name));
    } else {
        printf("Partition %.*s-%d on broker %d is not being moved from log dir %.*s to %.*s.\n", STR_ARGS(move->topic),
               move->partition, move->broker_id, STR_ARGS(move->current), STR_ARGS(move->target));
    }
}

int reassign_verify_log_dirs(struct admin_tool *tool, const struct reassign_plan *plan, bool *ret_is_moving) {
    struct dir_moves moves = collect(tool, plan);
    *ret_is_moving = false;
    if (moves.count == 0) {
        putchar('\n');
        return 0;
    }
    int error = locate(tool, &moves);
    for (int32_t i = 0; error == 0 && i < moves.count; i++) {
        print_state(tool, &moves.items[i]);
        *ret_is_moving |= !str_is_null(moves.items[i].future);
    }
    return error;
}

/* ---- starting them ---- */

/* The moves of one broker that are not done: one directory each, which is allowed to come twice. */
static void build_request(struct arena *arena, const struct dir_moves *moves, int32_t broker_id,
                          struct alter_replica_log_dirs_request *request) {
    request->dirs = ARENA_ARRAY(arena, struct alter_replica_log_dirs_request_alter_replica_log_dir, moves->count + 1);
    for (int32_t i = 0; i < moves->count; i++) {
        const struct dir_move *move = &moves->items[i];
        if (move->is_done || move->broker_id != broker_id) {
            continue;
        }
        struct alter_replica_log_dirs_request_alter_replica_log_dir *dir = NULL;
        for (int32_t j = 0; j < request->dirs_count; j++) {
            dir = str_equal(request->dirs[j].path, move->target) ? &request->dirs[j] : dir;
        }
        if (dir == NULL) {
            dir = &request->dirs[request->dirs_count++];
            alter_replica_log_dirs_request_alter_replica_log_dir_init(dir);
            dir->path = move->target;
            dir->topics =
                ARENA_ARRAY(arena, struct alter_replica_log_dirs_request_alter_replica_log_dir_topic, moves->count + 1);
        }
        struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *topic =
            dir->topics_count == 0 ? NULL : &dir->topics[dir->topics_count - 1];
        if (topic == NULL || !str_equal(topic->name, move->topic)) {
            topic = &dir->topics[dir->topics_count++];
            alter_replica_log_dirs_request_alter_replica_log_dir_topic_init(topic);
            topic->name = move->topic;
            topic->partitions = ARENA_ARRAY(arena, int32_t, moves->count + 1);
        }
        topic->partitions[topic->partitions_count++] = move->partition;
    }
}

/* A replica that is not there yet is tried again: the reassignment may only have begun. */
static int take_answer(struct admin_tool *tool, const struct alter_replica_log_dirs_response *response,
                       int32_t broker_id, struct dir_moves *moves) {
    for (int32_t i = 0; i < response->results_count; i++) {
        for (int32_t j = 0; j < response->results[i].partitions_count; j++) {
            int16_t code = response->results[i].partitions[j].error_code;
            struct dir_move key = {.topic = response->results[i].topic_name,
                                   .partition = response->results[i].partitions[j].partition_index,
                                   .broker_id = broker_id};
            struct dir_move *move =
                bsearch(&key, moves->items, (size_t)moves->count, sizeof *moves->items, compare_moves);
            if (move == NULL || code == KAFKA_REPLICA_NOT_AVAILABLE) {
                continue;
            }
            if (code != KAFKA_NONE) {
                return failure_set(&tool->failure, REASSIGN_COMMAND_FAILED, "Failed to alter dir for %.*s",
                                   STR_ARGS(replica_name(tool, move)));
            }
            move->is_done = true;
            printf("Successfully started moving log directory to %.*s for replica %.*s-%d with broker %d \n",
                   STR_ARGS(move->target), STR_ARGS(move->topic), move->partition, broker_id);
        }
    }
    return 0;
}

static int try_broker(struct admin_tool *tool, int32_t broker_id, struct dir_moves *moves) {
    struct alter_replica_log_dirs_request request;
    struct alter_replica_log_dirs_response response;
    alter_replica_log_dirs_request_init(&request);
    build_request(&tool->arena, moves, broker_id, &request);
    if (request.dirs_count == 0) {
        return 0;
    }
    int error = admin_alter_log_dirs(&tool->client, broker_id, &request, &tool->arena, &response, &tool->failure);
    return error != 0 ? error : take_answer(tool, &response, broker_id, moves);
}

static struct str pending(struct admin_tool *tool, const struct dir_moves *moves, int32_t *ret_count) {
    struct str text = STR_NULL;
    *ret_count = 0;
    for (int32_t i = 0; i < moves->count; i++) {
        if (!moves->items[i].is_done) {
            text = arena_printf(&tool->arena, "%.*s%s%.*s", STR_ARGS(text), str_is_null(text) ? "" : ",",
                                STR_ARGS(replica_name(tool, &moves->items[i])));
            (*ret_count)++;
        }
    }
    return text;
}

static int execute(struct admin_tool *tool, struct dir_moves *moves, int64_t timeout_ms) {
    int64_t deadline_ms = monotonic_ms() + timeout_ms;
    for (;;) {
        int32_t left;
        for (int32_t i = 0; i < moves->count; i++) {
            int error = moves->items[i].is_done ? 0 : try_broker(tool, moves->items[i].broker_id, moves);
            if (error != 0) {
                return error;
            }
        }
        struct str names = pending(tool, moves, &left);
        if (left == 0) {
            return 0;
        }
        if (monotonic_ms() >= deadline_ms) {
            return failure_set(&tool->failure, REASSIGN_TERSE,
                               "Timed out before log directory move%s could be started for: %.*s", left == 1 ? "" : "s",
                               STR_ARGS(names));
        }
        if (client_backoff(&tool->client, monotonic_ms() + 2 * (int64_t)RETRY_MS) == ERR_CLOSING) {
            return ERR_CLOSING;
        }
    }
}

int reassign_start_log_dirs(struct admin_tool *tool, const struct reassign_plan *plan, int64_t timeout_ms) {
    struct dir_moves moves = collect(tool, plan);
    return execute(tool, &moves, timeout_ms);
}

int reassign_cancel_log_dirs(struct admin_tool *tool, const struct reassign_plan *plan, int64_t timeout_ms) {
    struct dir_moves moves = collect(tool, plan), active = {0};
    int error = locate(tool, &moves);
    if (error != 0) {
        return error;
    }
    active.items = ARENA_ARRAY(&tool->arena, struct dir_move, moves.count + 1);
    for (int32_t i = 0; i < moves.count; i++) {
        if (!str_is_null(moves.items[i].future) && !str_is_null(moves.items[i].current)) {
            active.items[active.count] = moves.items[i];
            active.items[active.count++].target = moves.items[i].current;
        }
    }
    if (active.count == 0) {
        printf("None of the specified partition moves are active.\n");
        return 0;
    }
    return execute(tool, &active, timeout_ms);
}
