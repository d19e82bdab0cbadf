/* A replica on its way to another log directory of this broker: what is done next. Pure.
 *
 * A second log, the future one, follows the partition's own as a follower follows its leader, one move at a time, and
 * takes its place when it has everything (KIP-113). It is cut by the epochs of the log it copies, never by the high
 * watermark; the log may be truncated, or begin anew, between any two steps. What the two look like is in the event;
 * log_move_runtime.c reads, appends, flushes and replaces. */
#ifndef OTTLA_REPLICATION_LOG_MOVE_H
#define OTTLA_REPLICATION_LOG_MOVE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes copied at a time: a worker reads them, the loop checks and writes them, some 200 us. */
#define LOG_MOVE_CHUNK_BYTES (256 * 1024)
/* Copied and not yet synced: more would have the kernel make the loop wait for the disk. */
#define LOG_MOVE_UNSYNCED_BYTES_MAX ((int64_t)32 * 1024 * 1024)

enum log_move_event_type {
    LOG_MOVE_RESUME, /* a leader or follower now: the partition's log changes, and may be copied */
    LOG_MOVE_PAUSE,  /* the replica was stopped */
    LOG_MOVE_READ,   /* what LOG_MOVE_DO_READ asked for was read, and appended unless it had become stale */
    LOG_MOVE_FLUSHED,
    LOG_MOVE_FAILED, /* the records cannot be read or appended; nothing is wrong with the disks */
    LOG_MOVE_LOOK,
};

struct log_move_log {
    int64_t start;
    int64_t end;
    int64_t recovery_point;
};

struct log_move_event {
    enum log_move_event_type type;
    int64_t now_ms;
    int64_t bytes;      /* READ: how many */
    bool has_read_all;  /* READ: up to where the log ended when it was read */
    int64_t backoff_ms; /* FAILED */
    int64_t allowance;  /* the throttle's, not positive: wait_ms */
    int64_t wait_ms;    /* until the throttle is looked at again */
    bool is_settled;    /* no worker has anything to do with the future log */
    int64_t shared_end; /* up to where both tell the same history */
    struct log_move_log current;
    struct log_move_log future;
};

enum log_move_action {
    LOG_MOVE_WAIT,           /* until the next event, or until wake_ms */
    LOG_MOVE_DO_RESTART,     /* the future log drops everything and begins anew at `offset` */
    LOG_MOVE_DO_TRUNCATE,    /* the future log, to `offset` */
    LOG_MOVE_DO_RAISE_START, /* of the future log, to `offset` */
    LOG_MOVE_DO_READ,        /* at most `bytes` from `offset`, by a worker */
    LOG_MOVE_DO_FLUSH,       /* the future log, by a worker */
    LOG_MOVE_DO_FINISH,      /* the few records that are missing, now; then, if that was all, replace the log */
};

struct log_move_decision {
    enum log_move_action action;
    int64_t offset;
    int64_t bytes;
    int64_t wake_ms; /* INT64_MAX: when something happens */
};

struct log_move {
    bool is_running;
    bool is_busy;           /* a worker reads, or flushes */
    bool is_near;           /* the last read came to the end of the log */
    bool was_flushed;       /* once since it came near, so that little is left to sync */
    int64_t unsynced_bytes; /* appended since the last flush began */
    int64_t quiet_until_ms; /* after a failure */
};

void log_move_init(struct log_move *move);
/* One step. A decision to read, to flush or to finish makes the move busy until READ, FLUSHED or FAILED. */
void log_move_step(struct log_move *move, const struct log_move_event *event, struct log_move_decision *ret_decision);

#endif
