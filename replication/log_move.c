#include "replication/log_move.h"

#include "broker/base/check.h"

void log_move_init(struct log_move *move) {
    *move = (struct log_move){0};
}

static struct log_move_decision wait_until(int64_t wake_ms) {
    return (struct log_move_decision){.action = LOG_MOVE_WAIT, .wake_ms = wake_ms};
}

static struct log_move_decision change(enum log_move_action action, int64_t offset) {
    return (struct log_move_decision){.action = action, .offset = offset, .wake_ms = INT64_MAX};
}

static void note(struct log_move *move, const struct log_move_event *event) {
    switch (event->type) {
    case LOG_MOVE_RESUME: move->is_running = true; break;
    case LOG_MOVE_PAUSE: move->is_running = false; break;
    case LOG_MOVE_READ:
        CHECK(move->is_busy);
        move->is_busy = false;
        move->is_near = event->has_read_all;
        move->unsynced_bytes += event->bytes;
        break;
    case LOG_MOVE_FLUSHED: move->is_busy = false; break;
    case LOG_MOVE_FAILED:
        move->is_busy = false;
        move->quiet_until_ms = event->now_ms + event->backoff_ms;
        break;
    case LOG_MOVE_LOOK: break;
    }
}

/* What the future log must lose before it may go on; false when it is a part of the current one. */
static bool correct(const struct log_move_event *event, struct log_move_decision *ret) {
    const struct log_move_log *current = &event->current;
    const struct log_move_log *future = &event->future;
    /* All of it lies before the current start, or it lacks what is there from the current start on. */
    bool is_behind_start = future->start < current->start && future->end <= current->start;
    if (is_behind_start || future->start > current->start || event->shared_end < current->start) {
        *ret = change(LOG_MOVE_DO_RESTART, current->start);
        return true;
    }
    if (event->shared_end < future->end) {
        *ret = change(LOG_MOVE_DO_TRUNCATE, event->shared_end);
        return true;
    }
    if (future->start < current->start) {
        *ret = change(LOG_MOVE_DO_RAISE_START, current->start);
        return true;
    }
    return false;
}

static struct log_move_decision flush(struct log_move *move) {
    move->is_busy = true;
    move->was_flushed = move->is_near;
    move->unsynced_bytes = 0;
    return change(LOG_MOVE_DO_FLUSH, 0);
}

static struct log_move_decision copy(struct log_move *move, const struct log_move_event *event) {
    if (move->unsynced_bytes >= LOG_MOVE_UNSYNCED_BYTES_MAX) {
        return flush(move);
    }
    if (event->allowance <= 0) {
        return wait_until(event->now_ms + MAX(event->wait_ms, 1));
    }
    move->is_busy = true;
    struct log_move_decision decision = change(LOG_MOVE_DO_READ, event->future.end);
    decision.bytes = MIN(event->allowance, LOG_MOVE_CHUNK_BYTES);
    return decision;
}

/* Nothing that was promised to be durable may become less so: what the current log has synced, the future one has,
 * too. Then it is replaced, in one turn, so that nothing is appended in between. */
static struct log_move_decision finish(struct log_move *move, const struct log_move_event *event) {
    if (!move->was_flushed || event->future.recovery_point < MIN(event->current.recovery_point, event->future.end)) {
        return flush(move);
    }
    move->is_busy = event->is_settled;
    return event->is_settled ? change(LOG_MOVE_DO_FINISH, event->future.end) : wait_until(INT64_MAX);
}

void log_move_step(struct log_move *move, const struct log_move_event *event, struct log_move_decision *ret_decision) {
    note(move, event);
    *ret_decision = wait_until(INT64_MAX);
    if (!move->is_running || move->is_busy) {
        return;
    }
    if (event->now_ms < move->quiet_until_ms) {
        *ret_decision = wait_until(move->quiet_until_ms);
        return;
    }
    if (correct(event, ret_decision)) {
        move->is_near = false;
        move->was_flushed = false;
        return;
    }
    move->is_near = move->is_near || event->future.end == event->current.end;
    *ret_decision = move->is_near ? finish(move, event) : copy(move, event);
}
