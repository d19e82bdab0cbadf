/* One notification at a time; a failure in the meantime makes another. */
#include "broker/directory_report.h"

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"

#define RETRY_MS 500

static void send_next(struct directory_report *report);

static void on_retry(struct timer *timer) {
    send_next(CONTAINER_OF(timer, struct directory_report, retry));
}

static void on_created(void *context, int error, const char *path) {
    struct directory_report *report = context;
    (void)path;
    report->is_in_flight = false;
    if (report->is_stopped) {
        return;
    }
    if (error != 0) {
        trace_warn("kafka.server.KafkaServer", "Could not tell the controller of the failed directory: %s -> again",
                   error_text(error));
        report->is_wanted = true;
        timer_start(report->clock, &report->retry, RETRY_MS, on_retry);
    } else if (report->is_wanted) {
        send_next(report);
    }
}

/* The controller answers with LeaderAndIsr for all our replicas and learns from the errors which are gone. A second
 * notification, because the answer to the first was lost, does no harm. */
static void send_next(struct directory_report *report) {
    struct arena arena;
    char path[ZNODE_PATH_SIZE];
    arena_init(&arena, SIZE_MAX);
    struct coord_op op = {
        .type = COORD_OP_CREATE,
        .path = znode_sequential_path(path, ZNODE_LOG_DIR_EVENTS, ZNODE_LOG_DIR_EVENT_PREFIX),
        .data = znode_encode_log_dir_event(&arena, report->broker_id),
        .create_flags = COORD_SEQUENTIAL,
    };
    report->is_wanted = false;
    report->is_in_flight = true;
    coord_create(report->coord, &op, on_created, report);
    arena_deinit(&arena);
}

void directory_report_init(struct directory_report *report, struct clock *clock, struct coord *coord,
                           int32_t broker_id) {
    *report = (struct directory_report){.clock = clock, .coord = coord, .broker_id = broker_id};
}

void directory_report_send(struct directory_report *report) {
    report->is_wanted = true;
    if (!report->is_in_flight && !report->is_stopped && !timer_is_running(&report->retry)) {
        send_next(report);
    }
}

void directory_report_stop(struct directory_report *report) {
    if (report->clock != NULL) {
        timer_stop(report->clock, &report->retry);
    }
    report->is_stopped = true;
}
