/* Any bytes as the files of a log directory, which a crash, a broken disk or a careless hand may have left: a broker
 * must start on them or say why not, and what it then serves must hold together.
 *
 * The input is a list of files: a byte that names it, two bytes of length, so many bytes. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager.h"
#include "broker/protocol/record_batch.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/memory_disk.h"

#define ROOT "/d"
#define PARTITION ROOT "/t-0"

static const char *const names[] = {
    PARTITION "/00000000000000000000.log",
    PARTITION "/00000000000000000000.index",
    PARTITION "/00000000000000000000.timeindex",
    PARTITION "/00000000000000000008.log",
    PARTITION "/00000000000000000008.index",
    PARTITION "/00000000000000000008.timeindex",
    PARTITION "/00000000000000000008.txnindex",
    PARTITION "/00000000000000000008.snapshot",
    PARTITION "/00000000000000000057.snapshot",
    PARTITION "/leader-epoch-checkpoint",
    PARTITION "/partition.metadata",
    ROOT "/meta.properties",
    ROOT "/recovery-point-offset-checkpoint",
    ROOT "/replication-offset-checkpoint",
    ROOT "/log-start-offset-checkpoint",
    ROOT "/cleaner-offset-checkpoint",
    ROOT "/.kafka_cleanshutdown",
    PARTITION "/00000000000000000000.log.swap",
    PARTITION "/00000000000000000008.log.deleted",
    PARTITION "/00000000000000000000.log.cleaned",
};

static void say_nothing(enum trace_level level, const char *line, void *context) {
    (void)level, (void)line, (void)context;
}

static void write_files(struct disk *disk, const uint8_t *data, size_t size) {
    CHECK(disk->ops->make_directory(disk, ROOT) == 0 && disk->ops->make_directory(disk, PARTITION) == 0);
    while (size >= 3) {
        const char *name = names[data[0] % ARRAY_SIZE(names)];
        size_t length = MIN((size_t)(data[1] << 8 | data[2]), size - 3);
        struct disk_file *file;
        CHECK(disk_open(disk, name, DISK_CREATE | DISK_TRUNCATE, &file) == 0);
        CHECK(length == 0 || disk_write(file, data + 3, length, 0) == 0);
        CHECK(disk_sync(file) == 0);
        disk_file_unref(file);
        data += 3 + length;
        size -= 3 + length;
    }
}

/* Whole batches with growing offsets, from the start to the end, or an error that fences the log. */
static void read_all(struct log *log) {
    int64_t end = log_end_offset(log);
    int64_t next = log_start_offset(log);
    CHECK(next <= end);
    while (next < end) {
        struct log_read_info info;
        uint8_t head[BATCH_HEADER_SIZE];
        struct record_batch batch;
        int error = log_read(log, next, 1, end, true, &info);
        if (error != 0 || info.records.size == 0) {
            return;
        }
        int64_t got = disk_read(info.records.file, head, sizeof head, info.records.position);
        disk_file_unref(info.records.file);
        CHECK(got >= 0);
        if (record_batch_decode(head, (size_t)got, &batch) != 0) {
            return; /* an old format has another head */
        }
        CHECK(batch.last_offset >= next);
        next = batch.last_offset + 1;
    }
}

static void use(struct log *log) {
    struct log_timestamp_offset found;
    struct test_batch batch = test_batch_of(2);
    int64_t end = log_end_offset(log);
    read_all(log);
    log_offset_for_timestamp(log, 1000, &found);
    log_offset_of_max_timestamp(log, &found);
    log_epoch_end_offset(log, 1);
    log_epoch_for_offset(log, end / 2);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    test_batch_encode(&batch, &bytes);
    if (log_append_as_leader(log, (struct slice){bytes.data, (int32_t)bytes.size}, MAX(log_latest_epoch(log), 0),
                             LOG_ORIGIN_CLIENT, 9, batch.timestamp, &info) == 0 &&
        info.error_code == 0) {
        CHECK(info.first_offset == end && log_end_offset(log) == end + 2);
    }
    byte_buffer_deinit(&bytes);
    if (log_truncate_to(log, end / 2) == 0) {
        CHECK(log_end_offset(log) <= MAX(end / 2, log_start_offset(log)));
    }
    read_all(log);
}

static void start(struct disk *disk, struct clock *clock) {
    static const char *const directories[] = {ROOT};
    struct log_manager_config config = test_log_manager_config(directories, 1);
    config.broker_id = -1;
    config.defaults.segment_index_bytes = 4096; /* the disk in memory has no holes */
    struct log_manager *manager = NULL;
    char *message = NULL;
    if (log_manager_open(disk, clock, &config, &manager, &message) != 0) {
        CHECK(message != NULL && strchr(message, '\n') == NULL);
        free(message);
        return;
    }
    if (log_manager_load(manager, &message) == 0) {
        struct log *log = log_manager_find(manager, "t", 0);
        if (log != NULL) {
            use(log);
        }
        log_manager_shutdown(manager);
    }
    free(message);
    log_manager_destroy(manager);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memory_disk *disk = memory_disk_create();
    struct test_clock clock;
    trace_set_sink(say_nothing, NULL);
    test_clock_init(&clock, 1700000000000);
    write_files(memory_disk_base(disk), data, size);
    start(memory_disk_base(disk), &clock.base);
    /* And once more on what that has left. */
    start(memory_disk_base(disk), &clock.base);
    memory_disk_destroy(disk);
    return 0;
}
