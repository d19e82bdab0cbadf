/* A disk in memory that can die: after a number of operations that change something, or losing what was not synced.
 *
 * Each file and each directory has what is on stable storage and what the process sees. A killed process loses
 * nothing; a power cut leaves the stable side. */
#ifndef OTTLA_TESTS_MEMORY_DISK_H
#define OTTLA_TESTS_MEMORY_DISK_H

#include "broker/log/disk.h"

struct memory_disk;

struct memory_disk *memory_disk_create(void);
void memory_disk_destroy(struct memory_disk *disk);
struct disk *memory_disk_base(struct memory_disk *disk);
/* Changing operations so far. */
int64_t memory_disk_operations(const struct memory_disk *disk);
/* The operation of this number is torn (a write puts half of its bytes) and fails, as does everything after it. */
void memory_disk_fail_at(struct memory_disk *disk, int64_t operation);
/* The machine comes back; with power_loss only what was synced is there. All files must be closed. */
void memory_disk_restart(struct memory_disk *disk, bool power_loss);
/* Flips one bit of a file, on both sides; false when there is no such byte. */
bool memory_disk_flip(struct memory_disk *disk, const char *path, int64_t position, int bit);

#endif
