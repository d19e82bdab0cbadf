/* What a cleaning knows of keys: for each, the offset of its last record in the dirty part of the log.
 *
 * Keys are kept as the first 128 bits of their SHA-256, so that nobody can make two keys that are taken for one: the
 * older of two equal keys is thrown away for good. Memory grows with the keys seen, up to a bound. */
#ifndef OTTLA_LOG_OFFSET_MAP_H
#define OTTLA_LOG_OFFSET_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"

#define OFFSET_MAP_SLOT_SIZE 24
/* Keys worth making at once: what a core can have on its way from memory, and a little more. */
#define OFFSET_MAP_KEYS_AT_ONCE 32

struct offset_key {
    uint64_t hash[2];
};

struct offset_slot {
    struct offset_key key;
    int64_t offset; /* -1: free */
};

struct offset_map {
    struct offset_slot *slots;
    size_t slot_count;
    size_t slots_max;
    size_t entries;
    size_t entries_max;
    int64_t latest_offset; /* the map speaks for records up to here; -1 none */
};

/* At most bytes_max of slots (half as much again while they grow), of which the share load_factor is filled. */
void offset_map_init(struct offset_map *map, int64_t bytes_max, double load_factor);
void offset_map_deinit(struct offset_map *map);
/* The key as the map knows it. Begins to fetch the memory where it lies, so that whoever has several keys makes all of
 * them before the first is looked up: a map is larger than any cache, and waiting for it is most of what it costs. */
struct offset_key offset_map_key(const struct offset_map *map, struct slice key);
/* How many keys more it takes. */
size_t offset_map_room(const struct offset_map *map);
/* Notes that the key has a record at `offset`, which is above those noted before. False when there is no more room. */
bool offset_map_put(struct offset_map *map, const struct offset_key *key, int64_t offset);
/* The offset noted for the key, -1 when there is none. */
int64_t offset_map_get(const struct offset_map *map, const struct offset_key *key);

#endif
