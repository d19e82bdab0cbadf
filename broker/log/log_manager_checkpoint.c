/* The four offset checkpoints of a log directory: reading them at start, writing them on the loop or in the
 * background.
 *
 * Timers and deletions write in the background, one write per file at a time. The loop writes itself, and waits, where
 * order demands it: when a truncation moved a recovery point back, and when a log is made anew while the checkpoint may
 * still tell of its predecessor. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/log/log_manager_internal.h"
#include "broker/log/offset_checkpoint.h"

static const char *const checkpoint_names[] = {
    [CHECKPOINT_RECOVERY_POINT] = "recovery-point-offset-checkpoint",
    [CHECKPOINT_START_OFFSET] = "log-start-offset-checkpoint",
    [CHECKPOINT_HIGH_WATERMARK] = "replication-offset-checkpoint",
    [CHECKPOINT_CLEANER] = "cleaner-offset-checkpoint",
};

static int64_t *checkpoint_field(struct managed_log *entry, enum checkpoint_kind kind) {
    switch (kind) {
    case CHECKPOINT_RECOVERY_POINT: return &entry->recovery_point;
    case CHECKPOINT_START_OFFSET: return &entry->start_offset;
    case CHECKPOINT_CLEANER: return &entry->clean_offset;
    case CHECKPOINT_HIGH_WATERMARK: break;
    }
    return &entry->high_watermark;
}

/* For a future log, or a second log of the partition: what this directory says, whoever else says something. */
static void note_told(struct managed_log *entry, int32_t directory, enum checkpoint_kind kind, int64_t offset) {
    struct told_offsets *told = &entry->told;
    if (told->directory != directory) {
        *told = (struct told_offsets){.directory = directory, .clean_offset = -1};
    }
    switch (kind) {
    case CHECKPOINT_RECOVERY_POINT: told->recovery_point = offset; break;
    case CHECKPOINT_START_OFFSET: told->start_offset = offset; break;
    case CHECKPOINT_HIGH_WATERMARK: told->high_watermark = offset; break;
    case CHECKPOINT_CLEANER: told->clean_offset = offset; break;
    }
}

/* Only what the directory that holds the log says counts: another may still tell of a replica that was moved away. */
static void note_offset(struct managed_log *entry, int32_t directory, enum checkpoint_kind kind, int64_t offset) {
    note_told(entry, directory, kind, offset);
    if (entry->log != NULL || entry->is_loading) {
        return;
    }
    if (entry->directory != directory) {
        manager_forget_checkpoints(entry);
        entry->directory = directory;
    }
    *checkpoint_field(entry, kind) = offset;
}

bool manager_checkpoint_may_be_stale(const struct log_manager *manager, int32_t directory, enum checkpoint_kind kind) {
    const struct log_checkpoint *checkpoint = &manager->directories[directory].checkpoints[kind];
    return checkpoint->is_being_written || (checkpoint->decided.size == 0 && !checkpoint->was_absent);
}

void manager_forget_checkpoints(struct managed_log *entry) {
    entry->recovery_point = 0;
    entry->start_offset = 0;
    entry->high_watermark = 0;
    entry->clean_offset = -1;
}

static int read_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind) {
    char path[LOG_PATH_SIZE];
    path_join(path, manager->directories[directory].path, checkpoint_names[kind]);
    struct byte_buffer text = {0};
    struct checkpoint_reader reader;
    int error = file_read_whole(manager->disk, path, CHECKPOINT_SIZE_MAX, &text);
    if (error == 0) {
        error = checkpoint_read_begin(&reader, &text);
    }
    for (int32_t i = 0; error == 0 && i < reader.count; i++) {
        struct str topic;
        int32_t partition;
        int64_t offset;
        error = checkpoint_read_offset(&reader, &topic, &partition, &offset);
        if (error == 0 && topic.size <= LOG_DIRECTORY_NAME_MAX && offset >= 0) {
            char name[LOG_DIRECTORY_NAME_MAX + 1];
            snprintf(name, sizeof name, "%.*s", STR_ARGS(topic));
            note_offset(manager_add_entry(manager, name, partition), directory, kind, offset);
        }
    }
    byte_buffer_deinit(&text);
    manager->directories[directory].checkpoints[kind].was_absent = error == ERR_NOT_FOUND;
    if (error == ERR_CORRUPT) {
        /* Kafka goes on without: recovery then begins at 0, high watermarks and starts come back from the leaders. */
        trace_warn("kafka.log.LogManager", "The checkpoint %s is malformed and taken to be empty", path);
        return 0;
    }
    return error == ERR_NOT_FOUND ? 0 : error;
}

int manager_read_checkpoints(struct log_manager *manager, int32_t directory) {
    int error = 0;
    for (int kind = CHECKPOINT_RECOVERY_POINT; error == 0 && kind < CHECKPOINT_KINDS; kind++) {
        error = read_checkpoint(manager, directory, (enum checkpoint_kind)kind);
    }
    return error;
}

/* What the file says of one log; false when nothing. */
static bool checkpointed_offset(const struct log_manager *manager, struct managed_log *entry, const struct log *log,
                                enum checkpoint_kind kind, int64_t *ret_offset) {
    bool is_future = entry->future.log == log;
    switch (kind) {
    case CHECKPOINT_RECOVERY_POINT: *ret_offset = log->recovery_point; return true;
    case CHECKPOINT_START_OFFSET:
        *ret_offset = log->start_offset;
        return log->start_offset > log->segments[0]->base_offset; /* rule 32: else the first segment's name says it */
    case CHECKPOINT_HIGH_WATERMARK:
        *ret_offset = manager_high_watermark(manager, entry);
        if (is_future) {
            *ret_offset = MIN(*ret_offset, log->end_offset);
        } else {
            entry->high_watermark = *ret_offset;
        }
        return true;
    case CHECKPOINT_CLEANER: *ret_offset = log->clean_offset; return log->clean_offset >= 0 && !is_future;
    }
    return false;
}

/* What the file shall say now. */
static void print_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind,
                             struct byte_buffer *ret_text, char ret_path[LOG_PATH_SIZE]) {
    struct byte_buffer lines = {0};
    int32_t count = 0;
    for (struct managed_log *entry = manager->logs; entry != NULL; entry = entry->hh.next) {
        const struct log *log = entry->log != NULL && entry->directory == directory                 ? entry->log
                                : entry->future.log != NULL && entry->future.directory == directory ? entry->future.log
                                                                                                    : NULL;
        int64_t offset;
        if (log != NULL && checkpointed_offset(manager, entry, log, kind, &offset)) {
            checkpoint_print_offset(&lines, entry->topic, entry->partition, offset);
            count++;
        }
    }
    checkpoint_print(ret_text, "0\n%" PRId32 "\n", count);
    byte_buffer_append(ret_text, lines.data, lines.size);
    byte_buffer_deinit(&lines);
    path_join(ret_path, manager->directories[directory].path, checkpoint_names[kind]);
}

/* Notes what the file shall say from now on. False when that is nothing new: whatever is on its way came before. */
static bool decide(struct log_checkpoint *checkpoint, const struct byte_buffer *text) {
    struct byte_buffer *decided = &checkpoint->decided;
    if (decided->size == text->size && memcmp(decided->data, text->data, text->size) == 0) {
        return false;
    }
    decided->size = 0;
    byte_buffer_append(decided, text->data, text->size);
    checkpoint->was_absent = false;
    return true;
}

int manager_write_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind) {
    struct log_directory *place = &manager->directories[directory];
    struct byte_buffer text = {0};
    char path[LOG_PATH_SIZE];
    print_checkpoint(manager, directory, kind, &text, path);
    decide(&place->checkpoints[kind], &text);
    int error =
        replaced_file_write(place->checkpoints[kind].file, manager->disk, place->path, path, text.data, text.size);
    byte_buffer_deinit(&text);
    if (error != 0) {
        place->checkpoints[kind].decided.size = 0; /* nobody knows what it says */
    }
    return error;
}

int manager_write_checkpoints(struct log_manager *manager, int32_t directory) {
    int error = manager_write_checkpoint(manager, directory, CHECKPOINT_RECOVERY_POINT);
    if (error == 0) {
        error = manager_write_checkpoint(manager, directory, CHECKPOINT_START_OFFSET);
    }
    if (error == 0 && manager->high_watermarks_enabled) {
        error = manager_write_checkpoint(manager, directory, CHECKPOINT_HIGH_WATERMARK);
    }
    return error;
}

int manager_stage_checkpoint(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind,
                             struct file_write **ret_write) {
    struct log_directory *place = &manager->directories[directory];
    struct byte_buffer text = {0};
    char path[LOG_PATH_SIZE];
    print_checkpoint(manager, directory, kind, &text, path);
    decide(&place->checkpoints[kind], &text);
    *ret_write = file_write_create(place->checkpoints[kind].file, manager->disk, place->path, path, &text);
    return file_write_stage(*ret_write);
}

/* A file that says something of an earlier log of the name, or may do so because it is being written, would be believed
 * after a crash: segments left unchecked below the old recovery point, records hidden below the old start, others
 * exposed below the old high watermark. Whether it does is not asked: the table forgets what was read of a log once
 * that is deleted, wherever else something was said of it. */
int manager_correct_checkpoints(struct log_manager *manager, struct managed_log *entry, int32_t directory) {
    int error = 0;
    entry->told.directory = -1;
    for (int kind = 0; error == 0 && kind < CHECKPOINT_KINDS; kind++) {
        if (manager_checkpoint_may_be_stale(manager, directory, (enum checkpoint_kind)kind)) {
            error = manager_write_checkpoint(manager, directory, (enum checkpoint_kind)kind);
        }
    }
    return error;
}

/* A checkpoint on its way through a worker. */
struct checkpoint_job {
    struct manager_link *link;
    int32_t directory;
    enum checkpoint_kind kind;
    struct file_write *write;
};

static void checkpoint_job_run(void *context) {
    file_write_run(((struct checkpoint_job *)context)->write);
}

static void checkpoint_job_done(void *context) {
    struct checkpoint_job *job = context;
    struct log_manager *manager = job->link->manager;
    int32_t directory = job->directory;
    enum checkpoint_kind kind = job->kind;
    int error = job->write->error;
    file_write_destroy(job->write);
    manager_link_release(job->link);
    free(job);
    if (manager == NULL) {
        return;
    }
    struct log_checkpoint *checkpoint = &manager->directories[directory].checkpoints[kind];
    bool again = checkpoint->is_wanted_again;
    checkpoint->is_being_written = false;
    checkpoint->is_wanted_again = false;
    if (error != 0) {
        checkpoint->decided.size = 0;
        manager_fail_directory(manager, directory, error, "writing a checkpoint");
    } else if (again) {
        manager_checkpoint_later(manager, directory, kind);
    }
}

void manager_checkpoint_later(struct log_manager *manager, int32_t directory, enum checkpoint_kind kind) {
    const struct log_directory *place = &manager->directories[directory];
    struct log_checkpoint *checkpoint = &manager->directories[directory].checkpoints[kind];
    if (place->is_offline) {
        return;
    }
    if (checkpoint->is_being_written) {
        checkpoint->is_wanted_again = true;
        return;
    }
    struct byte_buffer text = {0};
    char path[LOG_PATH_SIZE];
    print_checkpoint(manager, directory, kind, &text, path);
    if (!decide(checkpoint, &text)) {
        byte_buffer_deinit(&text);
        return;
    }
    checkpoint->is_being_written = true;
    struct checkpoint_job *job = xcalloc(1, sizeof *job);
    *job = (struct checkpoint_job){
        .link = manager_link_ref(manager),
        .directory = directory,
        .kind = kind,
        .write = file_write_create(checkpoint->file, manager->disk, place->path, path, &text),
    };
    clock_spawn(manager->clock, checkpoint_job_run, checkpoint_job_done, job);
}
