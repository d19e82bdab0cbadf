/* The keys of compacted topics: every record below a high watermark, read from a leader as it is exposed and long
 * before a tombstone's time is up, and so the last word on each key. */
#ifndef OTTLA_CHECKER_KEYS_H
#define OTTLA_CHECKER_KEYS_H

#include "tests/simulation/checkers/checker.h"

#define KEYS_MAX 64 /* of one partition */

struct key_state {
    bool is_known;
    int64_t offset; /* of its last record */
    struct value value;
};

struct keyed_stream {
    struct key_state last[KEYS_MAX];
    struct value *values; /* by offset; producer -1 where nothing was seen */
    int64_t end;
    int64_t capacity;
    bool is_exempt; /* a replica was behind for longer than tombstones live: it may keep what they deleted */
};

struct keys;

struct keys *keys_create(void);
void keys_destroy(struct keys *keys);
struct keyed_stream *keys_stream(struct keys *keys, int32_t stream);
/* Looks at what has been exposed since. */
void keys_learn(struct keys *keys, const struct world *world);
/* What was seen at the offset; false for nothing. */
bool keys_value_at(const struct keyed_stream *stream, int64_t offset, struct value *ret);
/* All partitions of the workload's compacted topics: FOR_EACH_KEYED(world, topic, partition) { ... } */
#define FOR_EACH_KEYED(world, t, p) FOR_EACH_STREAM(world, t, p) if ((t)->key_count > 0)

#endif
