/* The event queue and the task stack: what makes many rounds with the coordinator one event. */
#include "replication/controller.h"

#include "replication/controller_core.h"

#define AREA "kafka.controller.KafkaController"

/* ---- actions ---- */

void controller_actions_init(struct controller_actions *actions) {
    *actions = (struct controller_actions){0};
    arena_init(&actions->arena, SIZE_MAX);
}

void controller_actions_deinit(struct controller_actions *actions) {
    arena_deinit(&actions->arena);
    free(actions->items);
    *actions = (struct controller_actions){0};
}

void controller_actions_reset(struct controller_actions *actions) {
    arena_reset(&actions->arena, SIZE_MAX);
    actions->count = 0;
}

struct controller_action *emit(struct controller *controller, enum controller_action_type type) {
    struct controller_actions *actions = controller->actions;
    if (actions->count == actions->capacity) {
        actions->capacity = actions->capacity == 0 ? 16 : actions->capacity * 2;
        actions->items = xrealloc(actions->items, (size_t)actions->capacity * sizeof *actions->items);
    }
    struct controller_action *action = &actions->items[actions->count++];
    *action = (struct controller_action){.type = type};
    return action;
}

void answer_call(struct controller *controller, int16_t error_code) {
    struct controller_event *event = &controller->current->event;
    if (event->call != NULL) {
        struct controller_action *action = emit(controller, CONTROLLER_ANSWER);
        action->call = event->call;
        action->error_code = error_code;
        event->call = NULL;
    }
}

int16_t not_controller_error(enum controller_event_type type) {
    /* Kafka throws ControllerMovedException here, whose code on the wire is this one. */
    return type == CONTROLLER_EVENT_CONTROLLED_SHUTDOWN ? KAFKA_STALE_CONTROLLER_EPOCH : KAFKA_NOT_CONTROLLER;
}

/* ---- asking ---- */

static struct controller_ask *add_ask(struct controller *controller, enum controller_ask_type type, int32_t *ret) {
    if (controller->ask_count == controller->ask_capacity) {
        int32_t capacity = controller->ask_capacity == 0 ? 16 : controller->ask_capacity * 2;
        struct controller_ask *asks = ARENA_ARRAY(&controller->arena, struct controller_ask, capacity);
        if (controller->ask_count > 0) {
            memcpy(asks, controller->asks, (size_t)controller->ask_count * sizeof *asks);
        }
        controller->asks = asks;
        controller->ask_capacity = capacity;
    }
    *ret = controller->ask_count;
    struct controller_ask *ask = &controller->asks[controller->ask_count++];
    *ask = (struct controller_ask){.type = type};
    return ask;
}

static const char *copy_path(struct controller *controller, const char *path) {
    return arena_str(&controller->arena, str_from(path)).data;
}

int32_t ask_get(struct controller *controller, const char *path, bool is_watching) {
    int32_t index;
    struct controller_ask *ask = add_ask(controller, CONTROLLER_GET, &index);
    ask->path = copy_path(controller, path);
    ask->is_watching = is_watching;
    return index;
}

int32_t ask_children(struct controller *controller, const char *path, bool is_watching) {
    int32_t index;
    struct controller_ask *ask = add_ask(controller, CONTROLLER_CHILDREN, &index);
    ask->path = copy_path(controller, path);
    ask->is_watching = is_watching;
    return index;
}

int32_t ask_multi(struct controller *controller, const struct controller_op *ops, int32_t count) {
    int32_t index;
    struct controller_ask *ask = add_ask(controller, CONTROLLER_MULTI, &index);
    ask->ops = ARENA_ARRAY(&controller->arena, struct controller_op, count);
    ask->op_count = count;
    for (int32_t i = 0; i < count; i++) {
        ask->ops[i] = ops[i];
        ask->ops[i].path = copy_path(controller, ops[i].path);
        struct str data = arena_str(&controller->arena, (struct str){(const char *)ops[i].data.data, ops[i].data.size});
        ask->ops[i].data = (struct slice){(const uint8_t *)data.data, data.size};
    }
    return index;
}

int32_t ask_fenced(struct controller *controller, enum controller_op_type type, const char *path, struct slice data,
                   int32_t version) {
    struct controller_op ops[] = {
        {.type = CONTROLLER_OP_CHECK,
         .path = ZNODE_CONTROLLER_EPOCH,
         .data = SLICE_NULL,
         .version = controller->epoch_version},
        {.type = type, .path = path, .data = data, .version = version},
    };
    int32_t index = ask_multi(controller, ops, 2);
    controller->asks[index].is_fenced = true;
    return index;
}

int reply_op_error(const struct controller_reply *reply, int32_t op) {
    return reply->op_errors != NULL ? reply->op_errors[op] : reply->error;
}

/* ---- tasks ---- */

void *task_init(void *memory, enum task_verdict (*run)(struct controller *, struct task *)) {
    struct task *task = memory;
    task->run = run;
    return task;
}

void task_call(struct controller *controller, struct task *task) {
    *controller->call_end = task;
    controller->call_end = &task->below;
}

static void run_top(struct controller *controller) {
    struct task *task = controller->top;
    controller->called = NULL;
    controller->call_end = &controller->called;
    controller->asks = NULL;
    controller->ask_count = controller->ask_capacity = 0;
    enum task_verdict verdict = task->run(controller, task);
    controller->replies = NULL;
    controller->reply_count = 0;
    /* Who asks must be there for the replies, and its calls would run before they come. */
    CHECK(controller->ask_count == 0 || (verdict == TASK_AGAIN && controller->called == NULL));
    struct task *below = verdict == TASK_DONE ? task->below : task;
    *controller->call_end = below;
    controller->top = controller->called != NULL ? controller->called : below;
    if (controller->ask_count > 0) {
        struct controller_action *action = emit(controller, CONTROLLER_ASK);
        action->serial = ++controller->serial;
        action->asks = controller->asks;
        action->ask_count = controller->ask_count;
        controller->is_waiting = true;
    }
}

static struct task *first_task(struct controller *controller, const struct controller_event *event) {
    switch (event->type) {
    case CONTROLLER_EVENT_START:
    case CONTROLLER_EVENT_SESSION_CREATED: return controller_node_task(controller);
    case CONTROLLER_EVENT_STOP: return stop_task(controller);
    case CONTROLLER_EVENT_WATCH: return watch_task(controller, event->path);
    case CONTROLLER_EVENT_REBALANCE: return rebalance_task(controller);
    case CONTROLLER_EVENT_LEADER_AND_ISR_ANSWERED: return leader_and_isr_answered_task(controller);
    case CONTROLLER_EVENT_STOP_REPLICA_ANSWERED: return stop_replica_answered_task(controller);
    case CONTROLLER_EVENT_QUEUE_DROPPED: return queue_dropped_task(controller);
    case CONTROLLER_EVENT_UNCLEAN_ENABLED: return unclean_enabled_task(controller);
    case CONTROLLER_EVENT_ALTER_PARTITION: return alter_partition_task(controller);
    case CONTROLLER_EVENT_CONTROLLED_SHUTDOWN: return controlled_shutdown_task(controller);
    case CONTROLLER_EVENT_ALLOCATE_PRODUCER_IDS: return allocate_producer_ids_task(controller);
    case CONTROLLER_EVENT_ELECT_LEADERS: return elect_leaders_task(controller);
    case CONTROLLER_EVENT_ALTER_REASSIGNMENTS: return alter_reassignments_task(controller);
    case CONTROLLER_EVENT_LIST_REASSIGNMENTS: return list_reassignments_task(controller);
    case CONTROLLER_EVENT_SESSION_EXPIRED:
    case CONTROLLER_EVENT_REPLIES:
    case CONTROLLER_EVENT_TYPE_COUNT: break;
    }
    CHECK(false);
    return NULL;
}

/* ---- the queue ---- */

static bool is_call(enum controller_event_type type) {
    return type == CONTROLLER_EVENT_ALTER_PARTITION || type == CONTROLLER_EVENT_CONTROLLED_SHUTDOWN ||
           type == CONTROLLER_EVENT_ALLOCATE_PRODUCER_IDS || type == CONTROLLER_EVENT_ELECT_LEADERS ||
           type == CONTROLLER_EVENT_ALTER_REASSIGNMENTS || type == CONTROLLER_EVENT_LIST_REASSIGNMENTS;
}

/* The event with its texts, in one piece of memory. */
static struct queued_event *copy_event(const struct controller_event *event) {
    size_t results_size = (size_t)event->result_count * sizeof *event->results;
    size_t size = sizeof(struct queued_event) + results_size + (size_t)MAX(event->path.size, 0);
    for (int32_t i = 0; i < event->result_count; i++) {
        size += (size_t)MAX(event->results[i].topic.size, 0);
    }
    struct queued_event *copy = xcalloc(1, size);
    copy->event = *event;
    copy->event.results = (struct controller_partition_result *)(copy + 1);
    char *text = (char *)copy->event.results + results_size;
    if (event->path.size > 0) {
        memcpy(text, event->path.data, (size_t)event->path.size);
        copy->event.path.data = text;
        text += event->path.size;
    }
    for (int32_t i = 0; i < event->result_count; i++) {
        copy->event.results[i] = event->results[i];
        if (event->results[i].topic.size > 0) {
            memcpy(text, event->results[i].topic.data, (size_t)event->results[i].topic.size);
            copy->event.results[i].topic.data = text;
            text += event->results[i].topic.size;
        }
    }
    return copy;
}

static void enqueue(struct controller *controller, const struct controller_event *event) {
    if (event->type == CONTROLLER_EVENT_WATCH) {
        /* One re-reading answers every change before it. */
        for (struct queued_event *at = controller->queue_first; at != NULL; at = at->next) {
            if (at->event.type == CONTROLLER_EVENT_WATCH && str_equal(at->event.path, event->path)) {
                return;
            }
        }
    }
    if (is_call(event->type) && controller->calls_queued == CONTROLLER_CALLS_MAX) {
        struct controller_action *action = emit(controller, CONTROLLER_ANSWER);
        action->call = event->call;
        action->error_code = not_controller_error(event->type); /* come again */
        return;
    }
    struct queued_event *copy = copy_event(event);
    *controller->queue_end = copy;
    controller->queue_end = &copy->next;
    controller->calls_queued += is_call(event->type);
}

static bool begin_next(struct controller *controller) {
    struct queued_event *next = controller->queue_first;
    if (next == NULL) {
        return false;
    }
    controller->queue_first = next->next;
    if (controller->queue_first == NULL) {
        controller->queue_end = &controller->queue_first;
    }
    controller->calls_queued -= is_call(next->event.type);
    controller->current = next;
    controller->wall_ms = next->event.wall_ms;
    controller->top = first_task(controller, &next->event);
    return true;
}

static void end_event(struct controller *controller) {
    /* Whatever way the event took, its caller hears of it. */
    answer_call(controller, not_controller_error(controller->current->event.type));
    free(controller->current);
    controller->current = NULL;
    controller->top = NULL;
    context_bury_dead(controller);
    if (!controller->is_waiting) {
        arena_reset(&controller->arena, SIZE_MAX);
    }
}

static void advance(struct controller *controller) {
    while (!controller->is_waiting) {
        if (controller->top != NULL) {
            run_top(controller);
        } else {
            if (controller->current != NULL) {
                end_event(controller);
            }
            if (!begin_next(controller)) {
                return;
            }
        }
    }
}

/* Drops the event in progress. Its caller hears that this is not the controller. */
static void abandon(struct controller *controller) {
    if (controller->is_waiting) {
        emit(controller, CONTROLLER_FORGET_ASKS);
        controller->is_waiting = false;
        controller->serial++;
    }
    controller->replies = NULL;
    batch_discard(controller);
    if (controller->current != NULL) {
        end_event(controller);
    }
}

static void drop_queue(struct controller *controller) {
    struct queued_event *event = controller->queue_first;
    controller->queue_first = NULL;
    controller->queue_end = &controller->queue_first;
    controller->calls_queued = 0;
    while (event != NULL) {
        struct queued_event *next = event->next;
        controller->current = event;
        answer_call(controller, not_controller_error(event->event.type));
        free(event);
        event = next;
    }
    controller->current = NULL;
}

void controller_resign(struct controller *controller) {
    if (controller->is_active) {
        trace_info(AREA, "[Controller id=%d] Resigned", controller->config.broker_id);
        for (int32_t i = 0; i < controller->broker_count; i++) {
            emit(controller, CONTROLLER_REMOVE_BROKER)->broker_id = controller->brokers[i]->id;
        }
        emit(controller, CONTROLLER_SET_TIMER)->after_ms = -1;
    }
    controller->is_active = false;
    controller->epoch = 0;
    controller->epoch_version = 0;
    context_clear(controller);
}

/* The coordinator says that another controller was elected: rule 4, the whole event stops. */
static void on_moved(struct controller *controller) {
    trace_warn(AREA, "[Controller id=%d] Controller epoch %d is no longer the newest; resigning",
               controller->config.broker_id, controller->epoch);
    controller->top = NULL;
    controller->replies = NULL;
    batch_discard(controller);
    answer_call(controller, not_controller_error(controller->current->event.type));
    controller_resign(controller);
    arena_reset(&controller->arena, SIZE_MAX);
    if (controller->current->event.type == CONTROLLER_EVENT_STOP) {
        controller->is_registered = false; /* /controller is another's already */
        emit(controller, CONTROLLER_STOPPED);
        return;
    }
    controller->top = controller_node_task(controller);
}

static bool is_fence_broken(const struct controller_reply *replies, const struct controller_ask *asks, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        int error = asks[i].is_fenced && replies[i].op_errors != NULL ? replies[i].op_errors[0] : 0;
        if (error == ERR_BAD_VERSION || error == ERR_NOT_FOUND) {
            return true;
        }
    }
    return false;
}

static void on_replies(struct controller *controller, const struct controller_event *event) {
    if (!controller->is_waiting || event->serial != controller->serial) {
        return;
    }
    CHECK(event->reply_count == controller->ask_count);
    controller->is_waiting = false;
    if (is_fence_broken(event->replies, controller->asks, controller->ask_count)) {
        on_moved(controller);
        return;
    }
    controller->replies = event->replies;
    controller->reply_count = event->reply_count;
}

void controller_step(struct controller *controller, const struct controller_event *event,
                     struct controller_actions *ret_actions) {
    controller->actions = ret_actions;
    switch (event->type) {
    case CONTROLLER_EVENT_REPLIES: on_replies(controller, event); break;
    case CONTROLLER_EVENT_SESSION_EXPIRED:
        abandon(controller);
        drop_queue(controller);
        controller_resign(controller);
        context_bury_dead(controller);
        controller->is_registered = false;
        controller->active_id = -1;
        break;
    case CONTROLLER_EVENT_STOP:
        abandon(controller);
        drop_queue(controller);
        enqueue(controller, event);
        break;
    default:
        controller->is_registered |=
            event->type == CONTROLLER_EVENT_START || event->type == CONTROLLER_EVENT_SESSION_CREATED;
        enqueue(controller, event);
        break;
    }
    advance(controller);
    controller->actions = NULL;
}

/* ---- life ---- */

struct controller *controller_create(const struct controller_config *config) {
    struct controller *controller = xcalloc(1, sizeof *controller);
    controller->config = *config;
    controller->is_unclean_default = config->unclean_leader_election;
    controller->active_id = -1;
    controller->queue_end = &controller->queue_first;
    random_seed(&controller->random, config->seed);
    arena_init(&controller->arena, SIZE_MAX);
    return controller;
}

void controller_destroy(struct controller *controller) {
    if (controller == NULL) {
        return;
    }
    context_clear(controller);
    context_bury_dead(controller);
    free(controller->current);
    for (struct queued_event *event = controller->queue_first; event != NULL;) {
        struct queued_event *next = event->next;
        free(event);
        event = next;
    }
    free(controller->brokers);
    arena_deinit(&controller->arena);
    free(controller);
}

bool controller_is_active(const struct controller *controller) {
    return controller->is_active;
}

int32_t controller_epoch(const struct controller *controller) {
    return controller->epoch;
}

int32_t controller_active_id(const struct controller *controller) {
    return controller->active_id;
}

bool controller_is_busy(const struct controller *controller) {
    return controller->current != NULL;
}
