/* A replica moves from one log directory to the other and back while it is appended to and truncated, and the machine
 * dies at every single disk operation on the way, by SIGKILL and by power cut.
 *
 * What must hold after the restart: the partition's log is in exactly one directory, whole; nothing acknowledged is
 * missing after a kill, nothing flushed after a power cut; what was deleted from its start stays deleted; a move that
 * was under way can be gone on with. What is done next is decided as in the broker, by log_move_step(). */
#include "replication/log_move.h"
#include "tests/unit/log_crash_fixture.h"

#define STEPS_MAX 2000
/* Copied at a time: two or three batches, so that there are many steps. */
#define CHUNK 250

static const char *const directories[] = {"/a", "/b"};

/* One life of the broker, as far as it concerns a log and its move. */
struct life {
    struct log_manager *manager;
    struct log_move move;
    struct log_move_event news; /* what a worker told */
    bool has_news;
    int failed;
};

static void on_read(void *context, const char *topic, int32_t partition, const struct log_chunk *chunk) {
    struct life *life = context;
    struct log *future = log_manager_find_future(life->manager, topic, partition);
    struct log_append_info info;
    life->failed = chunk->error;
    if (life->failed == 0 && chunk->records.size > 0) {
        life->failed = log_append_as_follower(future, chunk->records, &info);
    }
    life->news = (struct log_move_event){.type = LOG_MOVE_READ,
                                         .bytes = chunk->records.size,
                                         .has_read_all = log_end_offset(future) >= chunk->end_offset};
    life->has_news = true;
}

static void on_settled(void *context, const char *topic, int32_t partition) {
    (void)context;
    (void)topic;
    (void)partition;
}

static int start(struct life *life) {
    struct log_manager_config config = crash_config(directories, ARRAY_SIZE(directories));
    config.on_future_read = on_read;
    config.on_future_settled = on_settled;
    config.context = life;
    log_move_init(&life->move);
    life->has_news = false;
    life->failed = 0;
    return open_and_load(&config, &life->manager);
}

static struct log *own(const struct life *life) {
    return log_manager_find(life->manager, "t", 0);
}

static bool append_own(const struct life *life, int32_t epoch) {
    return own(life) != NULL && append(own(life), epoch);
}

static bool append_some(const struct life *life, int count, int32_t epoch) {
    while (count > 0 && append_own(life, epoch)) {
        count--;
    }
    return count == 0;
}

static bool flush(const struct life *life) {
    bool is_done = own(life) != NULL && log_flush(own(life)) == 0 && log_manager_checkpoint(life->manager) == 0;
    if (is_done) {
        model.flushed = model.end;
    }
    return is_done;
}

static bool truncate_own(const struct life *life, int64_t offset) {
    return own(life) != NULL && truncate_to(own(life), offset);
}

static bool raise_start(const struct life *life, int64_t offset) {
    return own(life) != NULL && log_increase_start_offset(own(life), offset) == 0;
}

static struct log_move_log look_of(const struct log *log) {
    return (struct log_move_log){
        .start = log_start_offset(log), .end = log_end_offset(log), .recovery_point = log_recovery_point(log)};
}

static struct log_move_event event_of(struct life *life) {
    const struct log *future = log_manager_find_future(life->manager, "t", 0);
    struct log_move_event event = life->has_news ? life->news : (struct log_move_event){.type = LOG_MOVE_LOOK};
    life->has_news = false;
    event.allowance = CHUNK;
    event.is_settled = log_manager_future_is_settled(life->manager, "t", 0);
    event.shared_end = log_shared_end(own(life), future);
    event.current = look_of(own(life));
    event.future = look_of(future);
    return event;
}

/* Replaces the log when nothing is missing; the log's part of log_move_runtime.c. */
static bool finish(struct life *life) {
    struct log *future = log_manager_find_future(life->manager, "t", 0);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    int64_t missing = log_end_offset(own(life)) - log_end_offset(future);
    int error = 0;
    if (missing > 0) {
        struct log_read_info read;
        error = log_read(own(life), log_end_offset(future), 1 << 20, log_end_offset(own(life)), true, &read);
        if (error == 0) {
            size_t size = (size_t)read.records.size;
            disk_read(read.records.file, byte_buffer_reserve(&bytes, size), size, read.records.position);
            disk_file_unref(read.records.file);
            error = log_append_as_follower(future, (struct slice){bytes.data, (int32_t)size}, &info);
        }
        byte_buffer_deinit(&bytes);
    }
    life->news = (struct log_move_event){.type = LOG_MOVE_READ, .has_read_all = true};
    life->has_news = true;
    if (error != 0 || log_end_offset(future) != log_end_offset(own(life)) ||
        !log_manager_future_is_settled(life->manager, "t", 0)) {
        return error == 0;
    }
    life->has_news = false;
    if (log_manager_promote_future(life->manager, "t", 0, &future) != 0) {
        return false;
    }
    log_manager_delete_replaced(life->manager, "t", 0);
    return true;
}

static bool perform(struct life *life, const struct log_move_decision *decision) {
    struct log *future = log_manager_find_future(life->manager, "t", 0);
    switch (decision->action) {
    case LOG_MOVE_DO_RESTART: return log_truncate_fully_and_start_at(future, decision->offset) == 0;
    case LOG_MOVE_DO_TRUNCATE: return log_truncate_to(future, decision->offset) == 0;
    case LOG_MOVE_DO_RAISE_START: return log_increase_start_offset(future, decision->offset) == 0;
    case LOG_MOVE_DO_READ:
        return log_manager_read_for_future(life->manager, "t", 0, decision->offset, (int32_t)decision->bytes) == 0 &&
               life->failed == 0;
    case LOG_MOVE_DO_FLUSH:
        log_manager_flush_future(life->manager, "t", 0);
        life->news = (struct log_move_event){.type = LOG_MOVE_FLUSHED};
        life->has_news = true;
        return !log_is_fenced(future);
    case LOG_MOVE_DO_FINISH: return finish(life);
    case LOG_MOVE_WAIT: break;
    }
    ck_abort_msg("a move that waits for nothing");
    return false;
}

/* Steps until the move is over, or that many times. Something is appended between any two of the first steps. */
static bool go_on(struct life *life, int steps, int appends, int32_t epoch) {
    life->move.is_running = true;
    for (int i = 0; i < steps && log_manager_find_future(life->manager, "t", 0) != NULL; i++) {
        struct log_move_decision decision;
        if (own(life) == NULL || (i < appends && !append_own(life, epoch))) {
            return false;
        }
        struct log_move_event event = event_of(life);
        log_move_step(&life->move, &event, &decision);
        if (!perform(life, &decision)) {
            return false;
        }
        ck_assert_int_lt(i, STEPS_MAX - 1);
    }
    return log_manager_find_future(life->manager, "t", 0) != NULL ? own(life) != NULL && steps < STEPS_MAX
                                                                  : own(life) != NULL;
}

static bool begin(struct life *life, int to) {
    struct log *future;
    log_move_init(&life->move);
    life->has_news = false;
    return log_manager_create_future(life->manager, "t", 0, str_from(directories[to]), &future) == 0;
}

/* There under appends, a truncation and a raised start; halfway back, given up; and back again. */
static bool live(struct life *life) {
    struct log *log;
    if (start(life) != 0) {
        return false;
    }
    struct uuid id = {.bytes = {1}};
    bool alive = log_manager_write_identity(life->manager, 1, "cluster") == 0 &&
                 log_manager_get_or_create(life->manager, "t", 0, true, id, &log) == 0;
    alive = alive && append_some(life, 15, 0) && flush(life) && append_some(life, 10, 1);
    alive = alive && begin(life, 1) && go_on(life, 12, 6, 1) && truncate_own(life, 10) && append_some(life, 9, 2) &&
            go_on(life, 6, 3, 2) && raise_start(life, 4) && go_on(life, STEPS_MAX, 8, 3) && append_some(life, 5, 3) &&
            flush(life) && append_some(life, 4, 4);
    alive = alive && begin(life, 0) && go_on(life, 5, 5, 4) && log_manager_delete_future(life->manager, "t", 0) == 0 &&
            append_some(life, 3, 4) && begin(life, 0) && go_on(life, STEPS_MAX, 3, 5) && append_some(life, 6, 5);
    ck_assert(!alive || strcmp(log_directory(own(life)), "/a/t-0") == 0);
    if (alive && log_manager_shutdown(life->manager) == 0) {
        model.flushed = model.end;
    } else {
        alive = false;
    }
    log_manager_destroy(life->manager);
    return alive;
}

static int note_name(void *context, const char *name, bool is_directory) {
    *(int *)context += is_directory && strcmp(name, "t-0") == 0 ? 1 : 0;
    return 0;
}

static int places(void) {
    int count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        memory_disk_base(disk)->ops->list(memory_disk_base(disk), directories[i], note_name, &count);
    }
    return count;
}

/* What a restart may find: how often there was a future log to go on with, and how often both logs had the name. */
static int resumed;
static int halfway;

static bool crash_at(int64_t operation, bool power_loss, const char *when) {
    struct life life = {0};
    begin_on_new_disk(operation);
    bool is_finished = live(&life);
    memory_disk_restart(disk, power_loss);
    halfway += places() == 2;
    ck_assert_msg(start(&life) == 0, "%s: does not start again", when);
    ck_assert_int_eq(log_manager_write_identity(life.manager, 1, "cluster"), 0);
    struct log *log = own(&life);
    check_what_is_left(log, power_loss, when);
    if (log != NULL) {
        ck_assert_msg(places() == 1, "%s: the log is in %d directories", when, places());
        int64_t end = model.end;
        resumed += log_manager_find_future(life.manager, "t", 0) != NULL;
        ck_assert_msg(go_on(&life, STEPS_MAX, 5, 8), "%s: the move does not go on", when);
        ck_assert_msg(append_some(&life, 12, 9), "%s: appending does not go on", when);
        ck_assert_int_ge(log_end_offset(own(&life)), end + 12);
        check_content(own(&life), false, when);
        end = model.end;
        int64_t first = log_start_offset(own(&life));
        ck_assert_int_eq(log_manager_shutdown(life.manager), 0);
        log_manager_destroy(life.manager);
        ck_assert_int_eq(start(&life), 0);
        ck_assert_int_eq(places(), 1);
        ck_assert_int_eq(log_end_offset(own(&life)), end);
        ck_assert_int_eq(log_start_offset(own(&life)), first);
        check_content(own(&life), false, when);
    }
    log_manager_destroy(life.manager);
    memory_disk_destroy(disk);
    return !is_finished;
}

static void sweep(bool power_loss) {
    resumed = halfway = 0;
    ck_assert_int_gt(sweep_operations(crash_at, power_loss), 200);
    printf("%d moves gone on with, %d restarts with two logs\n", resumed, halfway);
    ck_assert_int_gt(resumed, 20);
    ck_assert_int_gt(halfway, 0);
}

START_TEST(a_kill_at_any_disk_operation_of_a_move_loses_nothing_acknowledged) {
    sweep(false);
}
END_TEST

START_TEST(a_power_cut_at_any_disk_operation_of_a_move_loses_nothing_flushed) {
    sweep(true);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_kill_at_any_disk_operation_of_a_move_loses_nothing_acknowledged),
        TEST(a_power_cut_at_any_disk_operation_of_a_move_loses_nothing_flushed),
    };
    return run_tests("log_move_crash", tests, sizeof tests / sizeof tests[0]);
}
