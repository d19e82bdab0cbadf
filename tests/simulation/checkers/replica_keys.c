/* Replicas of a compacted log may be cleaned to different points, but agree in the end on the value of every key, also
 * those of __consumer_offsets. A tombstone is as good as no record. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/client_common.h"
#include "tests/simulation/checkers/dump_records.h"
#include "tests/simulation/checkers/keys.h"
#include "tests/simulation/checkers/view.h"

struct replica_key {
    UT_hash_handle hh;
    int64_t offset;
    uint32_t crc; /* of the value */
    bool is_tombstone;
    int32_t key_size;
    uint8_t key[];
};

static void on_record(void *context, const struct dump_record *record) {
    struct replica_key **table = context;
    struct replica_key *key = NULL;
    if (record->key.size < 0) {
        return;
    }
    HASH_FIND(hh, *table, record->key.data, (size_t)record->key.size, key);
    if (key == NULL) {
        key = xcalloc(1, sizeof *key + (size_t)record->key.size);
        key->key_size = record->key.size;
        memcpy(key->key, record->key.data, (size_t)record->key.size);
        HASH_ADD(hh, *table, key, (size_t)key->key_size, key);
    }
    key->offset = record->offset;
    key->is_tombstone = record->value.size < 0;
    key->crc = key->is_tombstone ? 0 : crc32c(0, record->value.data, (size_t)record->value.size);
}

static void free_table(struct replica_key *table) {
    struct replica_key *key;
    struct replica_key *after;
    HASH_ITER(hh, table, key, after) {
        HASH_DEL(table, key);
        free(key);
    }
}

/* Every key that one has, the other has too, with the same value. */
static void compare(const struct world *world, const struct topic *topic, int32_t partition, int32_t a_id,
                    struct replica_key *a, int32_t b_id, struct replica_key *b) {
    int64_t start = client_checker_latest_start(world, topic, partition);
    for (const struct replica_key *key = a; key != NULL; key = key->hh.next) {
        struct replica_key *other = NULL;
        HASH_FIND(hh, b, key->key, (size_t)key->key_size, other);
        bool is_same = other == NULL ? key->is_tombstone
                                     : other->offset == key->offset && other->is_tombstone == key->is_tombstone &&
                                           other->crc == key->crc;
        if (!is_same && key->offset >= start) {
            violate(world, "replica keys",
                    "in the end brokers %d and %d differ in a key of %s-%d, at %" PRId64 " and %" PRId64, a_id, b_id,
                    topic->name, partition, key->offset, other == NULL ? -1 : other->offset);
        }
    }
}

static void check(const struct world *world, const struct topic *topic, int32_t partition) {
    struct replica_key *first = NULL;
    int32_t first_id = 0;
    for (int32_t i = 0; i < topic->replica_counts[partition]; i++) {
        int32_t id = topic->replicas[partition][i];
        struct replica_key *table = NULL;
        if (!dump_records(view_machine(world, id), topic->name, partition, on_record, &table)) {
            continue; /* L12 says so */
        }
        if (first_id == 0) {
            first_id = id;
            first = table;
            continue;
        }
        compare(world, topic, partition, first_id, first, id, table);
        compare(world, topic, partition, id, table, first_id, first);
        free_table(table);
    }
    free_table(first);
}

static void on_end(void *context) {
    const struct client_checker *checker = context;
    FOR_EACH_STREAM(checker->world, topic, partition) {
        if (topic->is_compacted && !keys_stream(checker->world->keys, stream_of(topic, partition))->is_exempt) {
            check(checker->world, topic, partition);
        }
    }
}

const struct checker_ops checker_replica_keys = {
    .name = "replica keys",
    .sentence = "in the end replicas of a compacted log agree on the value of every key",
    .create = client_checker_create,
    .destroy = free,
    .on_end = on_end,
};
