/* Whole small files: reading one, and replacing one so that a crash leaves the old or the new. */
#ifndef OTTLA_LOG_FILE_UTIL_H
#define OTTLA_LOG_FILE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/disk.h"
#include "broker/protocol/compression.h"

/* Largest path the log makes: a log directory, a partition directory of at most 255 bytes, a file name. */
#define LOG_PATH_SIZE 4096

/* Where one partition's files live. The directory's text changes when it is renamed for deletion. */
struct log_place {
    struct disk *disk;
    char *directory;
    const char *suffix; /* behind every name made from an offset: ".cleaned" for the output of a cleaning; NULL none */
};

/* "<directory>/<name>" in ret_path; a path that does not fit is a CHECK, since directories are bounded at start. */
void path_join(char ret_path[LOG_PATH_SIZE], const char *directory, const char *name);
/* "<directory>/00000000000000000042<suffix><suffix of the place>" */
void path_of_offset(char ret_path[LOG_PATH_SIZE], const struct log_place *place, int64_t offset, const char *suffix);

/* Appends the file's bytes to ret; ERR_TOO_LARGE above size_max, ERR_NOT_FOUND when there is none. */
int file_read_whole(struct disk *disk, const char *path, size_t size_max, struct byte_buffer *ret);
/* Writes <path>.tmp and renames it over path: whole after a kill, durable once file and directory are synced. */
int file_write_unsynced(struct disk *disk, const char *path, const void *data, size_t size);
/* Writes <path>.tmp, syncs it, renames it over path and syncs the directory (rule 32). */
int file_replace(struct disk *disk, const char *directory, const char *path, const void *data, size_t size);

/* A small file that is replaced again and again, by the loop and by workers. Each content takes a number when it is
 * decided; whichever thread comes to write first, an older content never replaces a younger one. Reference-counted,
 * since a write may outlive its owner. */
struct replaced_file;
struct replaced_file *replaced_file_create(void);
struct replaced_file *replaced_file_unref(struct replaced_file *file); /* returns NULL */
/* Replaces it now, as file_replace() does. Waits for a write that a worker has under way. */
int replaced_file_write(struct replaced_file *file, struct disk *disk, const char *directory, const char *path,
                        const void *data, size_t size);

/* Whether contents were decided that are not in the file yet. Does not wait. */
bool replaced_file_is_behind(const struct replaced_file *file);
/* From now on nothing is written any more; what waits has nothing to do. Waits for a write that is under way. */
void replaced_file_retire(struct replaced_file *file);

/* A replacement on its way through a worker: made where the content is decided, run on any thread. */
struct file_write {
    struct replaced_file *file;
    int64_t number;
    struct disk *disk;
    char *directory;
    char *path;
    struct byte_buffer bytes;
    int error; /* after the run */
};
/* Takes over the bytes of the buffer. */
struct file_write *file_write_create(struct replaced_file *file, struct disk *disk, const char *directory,
                                     const char *path, struct byte_buffer *bytes);
void file_write_run(struct file_write *write);
/* The same in two halves, so that one sync serves many files: the content beside the file; and, when that is durable,
 * in its place, which the directory's next sync makes durable. */
int file_write_stage(const struct file_write *write);
int file_write_place(struct file_write *write);
void file_write_destroy(struct file_write *write);

/* Unlinks; a file that is not there is fine. */
int file_remove(struct disk *disk, const char *path);

#endif
