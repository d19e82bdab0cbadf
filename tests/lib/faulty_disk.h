/* The process's disk, with part of it broken on demand, and with an account of who waits for it. */
#ifndef OTTLA_TESTS_FAULTY_DISK_H
#define OTTLA_TESTS_FAULTY_DISK_H

#include "broker/log/disk.h"

struct faulty_disk {
    struct disk base;
    struct disk *inner;
    const char *broken; /* every operation on a path that begins like this fails; NULL: none does */
    int error;          /* with this */
    const char *lossy;  /* so does the first sync, and only that, of each open file whose path begins like this */
    int64_t space;      /* bytes that may still be written; -1 no bound. Beyond: half is written, ERR_NO_SPACE */
    const bool *is_worker;
    int64_t loop_syncs; /* syncs, of files and directories, while *is_worker is false */
    int64_t worker_syncs;
};

/* `is_worker` says on whose behalf operations are made. */
void faulty_disk_init(struct faulty_disk *disk, const bool *is_worker);

#endif
