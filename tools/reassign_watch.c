/* kafka-reassign-partitions --verify --watch: waits until the moves of a plan are over and shows on a terminal, once a
 * second, how many bytes are left. Kafka has no such thing. */
#include "tools/reassign_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/client/broker_connection.h"
#include "tools/progress.h"

#define REPAINT_MS 1000
#define SIZES_TIMEOUT_MS 1000 /* a broker that does not answer is shown without its sizes */
#define MOVES_SHOWN_MAX 10
#define WIDTH 80 /* of a terminal that does not say */
#define HEIGHT 24

/* ---- what is moving ---- */

static void add(struct watched_moves *moves, const struct reassign_item *item, int32_t broker_id, bool is_dir) {
    moves->items[moves->count++] = (struct watched_move){.topic = item->topic,
                                                         .partition = item->partition,
                                                         .broker_id = broker_id,
                                                         .is_dir = is_dir,
                                                         .source_bytes = -1,
                                                         .copied_bytes = -1};
}

struct watched_moves reassign_watch_collect(struct arena *arena, const struct reassign_plan *plan,
                                            const struct reassign_ongoing_list *ongoing) {
    struct watched_moves moves = {0};
    int32_t capacity = 0;
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_ongoing *running =
            reassign_find_ongoing(ongoing, plan->items[i].topic, plan->items[i].partition);
        capacity += plan->items[i].replica_count + (running == NULL ? 0 : running->adding_count + 1);
    }
    moves.items = ARENA_ARRAY(arena, struct watched_move, capacity + 1);
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_item *item = &plan->items[i];
        const struct reassign_ongoing *running = reassign_find_ongoing(ongoing, item->topic, item->partition);
        for (int32_t j = 0; running != NULL && j < running->adding_count; j++) {
            add(&moves, item, running->adding[j], false);
        }
        if (running != NULL && running->adding_count == 0) {
            add(&moves, item, -1, false);
        }
        for (int32_t j = 0; item->log_dirs != NULL && j < item->replica_count; j++) {
            if (item->log_dirs[j] != NULL) {
                add(&moves, item, item->replicas[j], true);
            }
        }
    }
    return moves;
}

static int compare_names(const struct watched_move *move, struct str topic, int32_t partition) {
    int order = str_compare(move->topic, topic);
    return order != 0 ? order : (move->partition > partition) - (move->partition < partition);
}

/* The moves of one partition are neighbours; *ret_first is the first one. How many. */
static int32_t find(const struct watched_moves *moves, struct str topic, int32_t partition, int32_t *ret_first) {
    int32_t low = 0, high = moves->count, count = 0;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (compare_names(&moves->items[middle], topic, partition) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low + count < moves->count && compare_names(&moves->items[low + count], topic, partition) == 0) {
        count++;
    }
    *ret_first = low;
    return count;
}

static void take_log(struct watched_move *moves, int32_t count, int32_t broker_id,
                     const struct describe_log_dirs_response_describe_log_dirs_partition *log) {
    bool is_new = false;
    for (int32_t i = 0; i < count; i++) {
        is_new |= !moves[i].is_dir && moves[i].broker_id == broker_id;
    }
    for (int32_t i = 0; i < count; i++) {
        bool is_here = moves[i].broker_id == broker_id;
        if (moves[i].is_dir ? is_here && log->is_future_key : is_here && !log->is_future_key) {
            moves[i].copied_bytes = log->partition_size;
        } else if (!log->is_future_key && (moves[i].is_dir ? is_here : !is_new)) {
            moves[i].source_bytes = MAX(moves[i].source_bytes, log->partition_size);
        }
    }
}

void reassign_watch_take(struct watched_moves *moves, int32_t broker_id,
                         const struct describe_log_dirs_response *response) {
    for (int32_t i = 0; i < response->results_count; i++) {
        const struct describe_log_dirs_response_describe_log_dirs_result *dir = &response->results[i];
        for (int32_t j = 0; dir->error_code == KAFKA_NONE && j < dir->topics_count; j++) {
            for (int32_t k = 0; k < dir->topics[j].partitions_count; k++) {
                int32_t first;
                int32_t count = find(moves, dir->topics[j].name, dir->topics[j].partitions[k].partition_index, &first);
                take_log(&moves->items[first], count, broker_id, &dir->topics[j].partitions[k]);
            }
        }
    }
}

void reassign_watch_settle(struct watched_moves *moves) {
    int32_t kept = 0;
    for (int32_t i = 0; i < moves->count; i++) {
        const struct watched_move *move = &moves->items[i];
        if (move->is_dir && move->copied_bytes < 0) {
            continue; /* not moving between directories, or not any more */
        }
        moves->partition_count +=
            kept == 0 || compare_names(&moves->items[kept - 1], move->topic, move->partition) != 0;
        moves->left_bytes += reassign_watch_left(move);
        moves->items[kept++] = *move;
    }
    moves->count = kept;
}

int64_t reassign_watch_left(const struct watched_move *move) {
    return MAX(move->source_bytes - MAX(move->copied_bytes, 0), 0);
}

/* ---- asking ---- */

static void request_sizes(struct arena *arena, const struct watched_moves *moves,
                          struct describe_log_dirs_request *request) {
    struct describe_log_dirs_request_describable_log_dir_topic *topic = NULL;
    int32_t *partitions = ARENA_ARRAY(arena, int32_t, moves->count + 1);
    describe_log_dirs_request_init(request);
    request->topics = ARENA_ARRAY(arena, struct describe_log_dirs_request_describable_log_dir_topic, moves->count + 1);
    request->topics_count = 0;
    for (int32_t i = 0; i < moves->count; i++) {
        const struct watched_move *move = &moves->items[i];
        if (i > 0 && compare_names(&moves->items[i - 1], move->topic, move->partition) == 0) {
            continue;
        }
        if (topic == NULL || !str_equal(topic->topic, move->topic)) {
            topic = &request->topics[request->topics_count++];
            describe_log_dirs_request_describable_log_dir_topic_init(topic);
            topic->topic = move->topic;
            topic->partitions = partitions;
        }
        topic->partitions[topic->partitions_count++] = move->partition;
        partitions++;
    }
}

/* One look at the cluster: what of the plan is moving, and the sizes, from the brokers that are there. */
static int look(struct admin_tool *tool, const struct reassign_plan *plan, struct watched_moves *ret) {
    struct reassign_ongoing_list ongoing;
    struct metadata_response nodes;
    struct describe_log_dirs_request request;
    struct client *client = &tool->client;
    int error = reassign_list(tool, &ongoing);
    if (error != 0) {
        return error;
    }
    *ret = reassign_watch_collect(&tool->arena, plan, &ongoing);
    if (ret->count == 0) {
        return 0;
    }
    error = client_metadata(client, NULL, 0, false, client_deadline(client), &tool->arena, &nodes);
    if (error != 0) {
        client_failure(&tool->failure, error, "listNodes");
        return error;
    }
    request_sizes(&tool->arena, ret, &request);
    ret->is_whole = true;
    for (int32_t i = 0; i < client->node_count; i++) {
        struct describe_log_dirs_response response;
        struct broker_connection *connection;
        int64_t deadline_ms = monotonic_ms() + SIZES_TIMEOUT_MS;
        error = client_node(client, client->nodes[i]->id, deadline_ms, &connection);
        error = error != 0 ? error : call_describe_log_dirs(connection, &request, deadline_ms, &tool->arena, &response);
        if (error == ERR_CLOSING) {
            return error;
        }
        if (error == 0 && response.error_code == KAFKA_NONE) {
            reassign_watch_take(ret, client->nodes[i]->id, &response);
        } else {
            ret->is_whole = false;
        }
    }
    reassign_watch_settle(ret);
    return 0;
}

/* ---- showing ---- */

static int compare_left(const void *a, const void *b) {
    int64_t left = reassign_watch_left(a), right = reassign_watch_left(b);
    return (left < right) - (left > right);
}

static struct str describe(struct arena *arena, const struct watched_move *move) {
    struct str name = arena_printf(arena, "  %.*s-%d", STR_ARGS(move->topic), move->partition);
    if (move->broker_id < 0) {
        return arena_printf(arena, "%.*s loses replicas", STR_ARGS(name));
    }
    struct str to = arena_printf(arena, "%.*s %s %d", STR_ARGS(name), move->is_dir ? "within" : "to", move->broker_id);
    if (move->source_bytes < 0) {
        return arena_printf(arena, "%.*s", STR_ARGS(to));
    }
    return arena_printf(arena, "%.*s: %.*s of %.*s left", STR_ARGS(to),
                        STR_ARGS(progress_bytes(arena, reassign_watch_left(move))),
                        STR_ARGS(progress_bytes(arena, move->source_bytes)));
}

/* A line, cut to the width of the terminal so that it stays one. */
static void print_line(struct str line, int32_t width) {
    printf("%.*s\n", (int)MIN(line.size, width - 1), line.data);
}

/* Over what was painted before. Returns the number of lines. */
static int32_t paint(struct arena *arena, const struct watched_moves *moves, int32_t planned,
                     const struct progress *progress, int32_t painted) {
    struct winsize size = {0};
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    int32_t width = is_known && size.ws_col > 1 ? size.ws_col : WIDTH;
    int32_t height = is_known && size.ws_row > 0 ? size.ws_row : HEIGHT;
    /* The head, what is left out, and the cursor need a line each. */
    int32_t shown = MIN(MIN(moves->count, MOVES_SHOWN_MAX), MAX(height - 3, 0));
    int32_t lines = 1 + shown;
    int64_t seconds = progress_seconds_left(progress);
    struct str rate = STR_LITERAL("");
    if (seconds >= 0) {
        rate = arena_printf(arena, ", %.*s/s, about %.*s", STR_ARGS(progress_bytes(arena, progress_rate(progress))),
                            STR_ARGS(progress_duration(arena, seconds)));
    }
    if (painted > 0) {
        printf("\033[%dA\033[J", painted);
    }
    print_line(arena_printf(arena, "%d of %d partitions are moving: %.*s left%.*s", moves->partition_count, planned,
                            STR_ARGS(progress_bytes(arena, moves->left_bytes)), STR_ARGS(rate)),
               width);
    qsort(moves->items, (size_t)moves->count, sizeof *moves->items, compare_left);
    for (int32_t i = 0; i < shown; i++) {
        print_line(describe(arena, &moves->items[i]), width);
    }
    if (shown < moves->count) {
        print_line(arena_printf(arena, "  and %d more", moves->count - shown), width);
        lines++;
    }
    fflush(stdout);
    return lines;
}

/* ---- until it is over ---- */

int reassign_watch(struct admin_tool *tool, const struct reassign_plan *plan) {
    bool is_terminal = isatty(STDOUT_FILENO) == 1;
    int64_t next_ms = monotonic_ms();
    struct progress progress = {0};
    int32_t painted = 0;
    for (;;) {
        struct watched_moves moves;
        struct arena kept = tool->arena; /* the plan's; what one look needs goes after it */
        arena_init(&tool->arena, SIZE_MAX);
        int error = look(tool, plan, &moves);
        bool is_over = error == 0 && moves.count == 0;
        if (error == 0 && !is_over && is_terminal) {
            if (moves.is_whole) {
                progress_note(&progress, monotonic_ms(), moves.left_bytes);
            }
            painted = paint(&tool->arena, &moves, plan->count, &progress, painted);
        }
        arena_deinit(&tool->arena);
        tool->arena = kept;
        next_ms = MAX(next_ms + REPAINT_MS, monotonic_ms());
        if (error == 0 && !is_over) {
            error = wait_fd(-1, 0, tool->settings.cancel_fd, next_ms);
            error = error == ERR_TIMED_OUT ? 0 : error;
        }
        if (error == ERR_CLOSING && is_terminal) {
            printf("The moves go on. --verify takes the throttles back once they are over.\n");
        }
        if (error != 0) {
            return error;
        }
        if (is_over) {
            break;
        }
    }
    if (painted > 0) {
        printf("\033[%dA\033[J", painted);
    }
    return 0;
}
