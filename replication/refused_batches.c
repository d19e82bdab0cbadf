#include "replication/refused_batches.h"

#include <stdlib.h>

#include <uthash.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/protocol/record_batch.h"
#include "replication/partition_runtime.h"

struct key {
    uint8_t bytes[PARTITION_KEY_MAX + sizeof(int64_t)]; /* of the partition, and the producer's id behind it */
    size_t size;
};

struct refused_batch {
    struct key key;
    int16_t producer_epoch;
    int32_t lowest_sequence;
    int64_t refused_ms;
    UT_hash_handle hh;
};

/* False for what can be no topic's name. */
static bool make_key(struct str topic, int32_t partition, int64_t producer_id, struct key *ret_key) {
    uint32_t size = partition_key(ret_key->bytes, topic, partition);
    memcpy(ret_key->bytes + size, &producer_id, sizeof producer_id);
    ret_key->size = size + sizeof producer_id;
    return size > 0;
}

static struct refused_batch *find(const struct refused_batches *refused, struct str topic, int32_t partition,
                                  int64_t producer_id) {
    struct key key;
    struct refused_batch *found = NULL;
    if (refused->items != NULL && make_key(topic, partition, producer_id, &key)) {
        HASH_FIND(hh, refused->items, key.bytes, key.size, found);
    }
    return found;
}

static void drop(struct refused_batches *refused, struct refused_batch *item) {
    HASH_DEL(refused->items, item);
    free(item);
}

static void drop_old(struct refused_batches *refused, int64_t now_ms) {
    while (refused->items != NULL && now_ms - refused->items->refused_ms > REFUSED_BATCHES_KEPT_MS) {
        drop(refused, refused->items);
    }
}

void refused_batches_deinit(struct refused_batches *refused) {
    while (refused->items != NULL) {
        drop(refused, refused->items);
    }
}

bool batch_place_read(struct slice records, struct batch_place *ret_place) {
    if (records.size < BATCH_HEADER_SIZE || records.data[BATCH_AT_MAGIC] < 2) {
        return false;
    }
    ret_place->producer_id = load_i64(records.data + BATCH_AT_PRODUCER_ID);
    ret_place->producer_epoch = load_i16(records.data + BATCH_AT_PRODUCER_EPOCH);
    ret_place->base_sequence = load_i32(records.data + BATCH_AT_BASE_SEQUENCE);
    return ret_place->producer_id >= 0 && ret_place->base_sequence >= 0;
}

void refused_batches_note(struct refused_batches *refused, struct str topic, int32_t partition,
                          const struct batch_place *place, int64_t now_ms) {
    drop_old(refused, now_ms);
    struct refused_batch *item = find(refused, topic, partition, place->producer_id);
    if (item != NULL && item->producer_epoch == place->producer_epoch && item->lowest_sequence < place->base_sequence) {
        return; /* what comes behind keeps no refusal alive that nobody comes back for */
    }
    if (item != NULL) {
        drop(refused, item); /* it is the youngest from here on */
    } else if (HASH_COUNT(refused->items) >= REFUSED_BATCHES_MAX) {
        drop(refused, refused->items);
    }
    struct key key;
    if (!make_key(topic, partition, place->producer_id, &key)) {
        return;
    }
    item = xcalloc(1, sizeof *item);
    item->key = key;
    item->producer_epoch = place->producer_epoch;
    item->lowest_sequence = place->base_sequence;
    item->refused_ms = now_ms;
    HASH_ADD_KEYPTR(hh, refused->items, item->key.bytes, item->key.size, item);
}

bool refused_batches_precede(struct refused_batches *refused, struct str topic, int32_t partition,
                             const struct batch_place *place, int64_t now_ms) {
    drop_old(refused, now_ms);
    const struct refused_batch *item = find(refused, topic, partition, place->producer_id);
    return item != NULL && item->producer_epoch == place->producer_epoch &&
           item->lowest_sequence < place->base_sequence;
}

void refused_batches_forget(struct refused_batches *refused, struct str topic, int32_t partition, int64_t producer_id) {
    struct refused_batch *item = find(refused, topic, partition, producer_id);
    if (item != NULL) {
        drop(refused, item);
    }
}

void refused_batches_forget_all(struct refused_batches *refused, struct str topic, int32_t partition) {
    struct key key;
    struct refused_batch *item;
    struct refused_batch *after;
    if (refused->items == NULL || !make_key(topic, partition, 0, &key)) {
        return;
    }
    HASH_ITER(hh, refused->items, item, after) {
        if (item->key.size == key.size && memcmp(item->key.bytes, key.bytes, key.size - sizeof(int64_t)) == 0) {
            drop(refused, item);
        }
    }
}
