/* The disk of one simulated machine: what processes see, and what would be left after the power goes.
 *
 * Every file has two contents: the page cache, which all handles see and which survives the death of a process, and
 * what is on the platter, to which only a sync moves bytes. Directories have the same two sides, with the operations
 * between them in order. When the power goes, each 512-byte sector that was not synced stays old, is new, or is torn in
 * the middle, size and content may disagree, and each directory keeps a prefix of its unsynced operations. */
#ifndef OTTLA_SIM_DISK_H
#define OTTLA_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/base/random.h"
#include "broker/base/slice.h"
#include "broker/log/disk.h"

#define SIM_SECTOR_BYTES 512

/* What can fail; a mask. */
enum sim_disk_operation {
    SIM_DISK_OPEN = 1,
    SIM_DISK_READ = 2,
    SIM_DISK_WRITE = 4,
    SIM_DISK_SYNC = 8,
    SIM_DISK_TRUNCATE = 16,
    SIM_DISK_DIRECTORY = 32, /* rename, unlink, make and remove directories, sync them */
    SIM_DISK_ANY = 63,
};

struct disk *sim_disk_create(uint64_t seed);
/* With or without open files. */
void sim_disk_destroy(struct disk *disk);
/* Stamps of change come from this clock; NULL: 0. */
void sim_disk_set_clock(struct disk *disk, struct clock *clock);
/* The process died: its handles are freed and its locks released, all that it wrote stays. */
void sim_disk_process_died(struct disk *disk);
/* The power went as well. */
void sim_disk_power_loss(struct disk *disk);
/* After `after` more operations of the mask, each fails with the error until it is set to 0. */
void sim_disk_fail(struct disk *disk, int mask, int64_t after, int error);
/* The next operation of the mask on a file whose name ends so fails, once; NULL takes that back. */
void sim_disk_fail_once(struct disk *disk, const char *suffix, int mask, int error);
/* Called before every operation that changes the disk, with the name of the file (of a rename the old one, or the new
 * one that marks it deleted); may end the process there (sim_escape). NULL: nobody. */
void sim_disk_on_effect(struct disk *disk, void (*on_effect)(void *context, const char *name), void *context);
/* Makes a directory with its parents, durably. */
void sim_disk_make_path(struct disk *disk, const char *path);
/* Whoever looks through a broker's own eyes meets no fault and costs it nothing; returns what was said before. */
bool sim_disk_spectate(bool is_spectator);
/* For whoever looks without being a process: no fault, no effect. False when there is no such file; bytes are valid
 * until the next write. */
bool sim_disk_peek(const struct disk *disk, const char *path, struct slice *ret_bytes);
/* Calls back with every name in the directory. */
void sim_disk_peek_list(const struct disk *disk, const char *path, void (*on_name)(void *context, const char *name),
                        void *context);
int64_t sim_disk_effects(const struct disk *disk);
int32_t sim_disk_open_count(const struct disk *disk);

#endif
