/* Producers in a hash table, transactions in short sorted arrays. */
#include "broker/log/producer_state.h"

#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/crc32c.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_HEADER_SIZE 10
#define SNAPSHOT_CRC_FROM 6
#define SNAPSHOT_ENTRY_SIZE 46

struct producer_entry {
    int64_t producer_id; /* the hash key */
    int16_t epoch;
    int32_t coordinator_epoch;
    int64_t last_timestamp;
    int64_t transaction_first_offset; /* -1 none */
    int32_t batch_count;
    struct producer_batch batches[PRODUCER_BATCHES_MAX]; /* oldest first */
    UT_hash_handle hh;
    struct producer_entry *prev;
    struct producer_entry *next;
};

void producer_state_init(struct producer_state *state) {
    *state = (struct producer_state){0};
}

static void remove_entry(struct producer_state *state, struct producer_entry *entry) {
    HASH_DEL(state->entries, entry);
    DL_DELETE(state->oldest, entry);
    free(entry);
}

void producer_state_clear(struct producer_state *state) {
    while (state->oldest != NULL) {
        remove_entry(state, state->oldest);
    }
    state->open.count = 0;
    state->decided.count = 0;
}

void producer_state_deinit(struct producer_state *state) {
    producer_state_clear(state);
    free(state->open.items);
    free(state->decided.items);
    free(state->snapshots);
    *state = (struct producer_state){0};
}

static struct producer_entry *find_entry(const struct producer_state *state, int64_t producer_id) {
    struct producer_entry *entry;
    HASH_FIND(hh, state->entries, &producer_id, sizeof producer_id, entry);
    return entry;
}

/* Makes room for one more. When all are in a transaction, which takes a coordinator to begin, none is forgotten. */
static void forget_oldest(struct producer_state *state) {
    for (struct producer_entry *entry = state->oldest; entry != NULL; entry = entry->next) {
        if (entry->transaction_first_offset < 0) {
            remove_entry(state, entry);
            return;
        }
    }
}

static struct producer_entry *add_entry(struct producer_state *state, int64_t producer_id) {
    if (HASH_COUNT(state->entries) >= PRODUCERS_MAX) {
        forget_oldest(state);
    }
    struct producer_entry *entry = xcalloc(1, sizeof *entry);
    entry->producer_id = producer_id;
    entry->epoch = -1;
    entry->coordinator_epoch = -1;
    entry->last_timestamp = -1;
    entry->transaction_first_offset = -1;
    HASH_ADD(hh, state->entries, producer_id, sizeof entry->producer_id, entry);
    DL_APPEND(state->oldest, entry);
    return entry;
}

static void transactions_insert(struct producer_transactions *list, struct producer_transaction item) {
    if (list->count == list->capacity) {
        list->capacity = MAX(list->capacity * 2, 8);
        list->items = xrealloc(list->items, (size_t)list->capacity * sizeof *list->items);
    }
    int32_t at = list->count++;
    for (; at > 0 && list->items[at - 1].first_offset > item.first_offset; at--) {
        list->items[at] = list->items[at - 1];
    }
    list->items[at] = item;
}

static void transactions_remove(struct producer_transactions *list, int32_t at) {
    memmove(list->items + at, list->items + at + 1, (size_t)(list->count - at - 1) * sizeof *list->items);
    list->count--;
}

static int32_t first_sequence(const struct producer_batch *batch) {
    int64_t first = (int64_t)batch->last_sequence - batch->offset_delta;
    return (int32_t)(first < 0 ? first + INT32_MAX + 1 : first);
}

static int32_t entry_last_sequence(const struct producer_entry *entry) {
    return entry->batch_count > 0 ? entry->batches[entry->batch_count - 1].last_sequence : -1;
}

static const struct producer_batch *find_duplicate(const struct producer_entry *entry,
                                                   const struct record_batch *batch) {
    if (entry->epoch != batch->producer_epoch) {
        return NULL;
    }
    int32_t last_sequence = record_batch_last_sequence(batch);
    for (int32_t i = 0; i < entry->batch_count; i++) {
        if (entry->batches[i].last_sequence == last_sequence &&
            first_sequence(&entry->batches[i]) == batch->base_sequence) {
            return &entry->batches[i];
        }
    }
    return NULL;
}

static void refuse(struct producer_verdict *verdict, int16_t error_code, const char *message) {
    verdict->error_code = error_code;
    verdict->message = message;
}

static void check_data_batch(const struct producer_entry *entry, const struct record_batch *batch,
                             enum log_append_origin origin, struct producer_verdict *verdict) {
    bool is_client = origin == LOG_ORIGIN_CLIENT;
    int32_t last = entry_last_sequence(entry);
    bool in_sequence = batch->base_sequence == (int64_t)last + 1 || (batch->base_sequence == 0 && last == INT32_MAX);
    if (is_client && batch->producer_epoch != entry->epoch) {
        if (batch->base_sequence != 0 && entry->epoch != -1) {
            refuse(verdict, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, "Invalid sequence number for new epoch of producer");
            return;
        }
    } else if (is_client && entry->epoch != -1 && !in_sequence) {
        refuse(verdict, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, "Out of order sequence number for producer");
        return;
    }
    if (entry->transaction_first_offset >= 0 && !record_batch_is_transactional(batch)) {
        refuse(verdict, KAFKA_INVALID_TXN_STATE, "Expected transactional write from producer");
    }
}

void producer_state_check(const struct producer_state *state, const struct record_batch *batch,
                          const struct end_transaction_marker *marker, enum log_append_origin origin,
                          struct producer_verdict *ret_verdict) {
    *ret_verdict = (struct producer_verdict){0};
    const struct producer_entry *entry = find_entry(state, batch->producer_id);
    if (entry == NULL) {
        return;
    }
    const struct producer_batch *duplicate =
        origin == LOG_ORIGIN_CLIENT && batch->base_sequence >= 0 ? find_duplicate(entry, batch) : NULL;
    if (duplicate != NULL) {
        ret_verdict->is_duplicate = true;
        ret_verdict->duplicate_last_offset = duplicate->last_offset;
        ret_verdict->duplicate_first_offset = duplicate->last_offset - duplicate->offset_delta;
        ret_verdict->duplicate_timestamp = duplicate->timestamp;
    } else if (batch->producer_epoch < entry->epoch) {
        refuse(ret_verdict, KAFKA_INVALID_PRODUCER_EPOCH, "The producer's epoch is smaller than the last seen epoch");
    } else if (marker == NULL) {
        check_data_batch(entry, batch, origin, ret_verdict);
    } else if (entry->coordinator_epoch > marker->coordinator_epoch) {
        refuse(ret_verdict, KAFKA_TRANSACTION_COORDINATOR_FENCED, "The transaction coordinator's epoch is too old");
    }
}

static void entry_set_epoch(struct producer_entry *entry, int16_t epoch) {
    if (entry->epoch != epoch) {
        entry->epoch = epoch;
        entry->batch_count = 0;
    }
}

static void entry_add_batch(struct producer_entry *entry, const struct producer_batch *batch) {
    if (entry->batch_count == PRODUCER_BATCHES_MAX) {
        memmove(entry->batches, entry->batches + 1, (PRODUCER_BATCHES_MAX - 1) * sizeof *batch);
        entry->batch_count--;
    }
    entry->batches[entry->batch_count++] = *batch;
}

bool producer_state_apply(struct producer_state *state, const struct record_batch *batch,
                          const struct end_transaction_marker *marker, struct producer_completed *ret_completed) {
    struct producer_entry *entry = find_entry(state, batch->producer_id);
    if (entry == NULL) {
        entry = add_entry(state, batch->producer_id);
    } else {
        DL_DELETE(state->oldest, entry);
        DL_APPEND(state->oldest, entry);
    }
    entry_set_epoch(entry, batch->producer_epoch);
    entry->last_timestamp = batch->max_timestamp;
    if (marker != NULL) {
        bool completed = entry->transaction_first_offset >= 0;
        *ret_completed = (struct producer_completed){.producer_id = batch->producer_id,
                                                     .first_offset = entry->transaction_first_offset,
                                                     .last_offset = batch->base_offset,
                                                     .is_aborted = !marker->is_commit};
        entry->coordinator_epoch = marker->coordinator_epoch;
        entry->transaction_first_offset = -1;
        return completed;
    }
    entry_add_batch(entry, &(struct producer_batch){.last_sequence = record_batch_last_sequence(batch),
                                                    .offset_delta = (int32_t)(batch->last_offset - batch->base_offset),
                                                    .last_offset = batch->last_offset,
                                                    .timestamp = batch->max_timestamp});
    if (record_batch_is_transactional(batch) && entry->transaction_first_offset < 0) {
        entry->transaction_first_offset = batch->base_offset;
        transactions_insert(&state->open, (struct producer_transaction){.producer_id = batch->producer_id,
                                                                        .first_offset = batch->base_offset,
                                                                        .last_offset = -1});
    }
    return false;
}

int64_t producer_state_stable_offset_after(const struct producer_state *state,
                                           const struct producer_completed *completed) {
    for (int32_t i = 0; i < state->open.count; i++) {
        if (state->open.items[i].producer_id != completed->producer_id) {
            return state->open.items[i].first_offset;
        }
    }
    return completed->last_offset + 1;
}

void producer_state_complete(struct producer_state *state, const struct producer_completed *completed) {
    for (int32_t i = 0; i < state->open.count; i++) {
        if (state->open.items[i].first_offset == completed->first_offset) {
            struct producer_transaction item = state->open.items[i];
            item.last_offset = completed->last_offset;
            transactions_remove(&state->open, i);
            transactions_insert(&state->decided, item);
            return;
        }
    }
}

void producer_state_forget_decided(struct producer_state *state, int64_t offset) {
    for (int32_t i = 0; i < state->decided.count;) {
        if (state->decided.items[i].last_offset < offset) {
            transactions_remove(&state->decided, i);
        } else {
            i++;
        }
    }
}

int64_t producer_state_first_open(const struct producer_state *state) {
    return state->open.count > 0 ? state->open.items[0].first_offset : -1;
}

int64_t producer_state_first_unstable(const struct producer_state *state) {
    int64_t open = producer_state_first_open(state);
    int64_t decided = state->decided.count > 0 ? state->decided.items[0].first_offset : -1;
    return open < 0 ? decided : decided < 0 ? open : MIN(open, decided);
}

static bool is_expired(int64_t transaction_first_offset, int64_t last_timestamp, int64_t wall_ms,
                       int64_t expiration_ms) {
    return transaction_first_offset < 0 && wall_ms - last_timestamp >= expiration_ms;
}

void producer_state_expire(struct producer_state *state, int64_t wall_ms, int64_t expiration_ms) {
    struct producer_entry *entry;
    struct producer_entry *next;
    HASH_ITER(hh, state->entries, entry, next) {
        if (is_expired(entry->transaction_first_offset, entry->last_timestamp, wall_ms, expiration_ms)) {
            remove_entry(state, entry);
        }
    }
}

int32_t producer_state_count(const struct producer_state *state) {
    return (int32_t)HASH_COUNT(state->entries);
}

static struct log_producer_state entry_view(const struct producer_entry *entry) {
    int64_t last_offset = entry->batch_count > 0 ? entry->batches[entry->batch_count - 1].last_offset : -1;
    return (struct log_producer_state){.producer_id = entry->producer_id,
                                       .producer_epoch = entry->epoch,
                                       .last_sequence = entry_last_sequence(entry),
                                       .last_timestamp = entry->last_timestamp,
                                       .last_offset = last_offset,
                                       .coordinator_epoch = entry->coordinator_epoch,
                                       .current_transaction_first_offset = entry->transaction_first_offset};
}

bool producer_state_find(const struct producer_state *state, int64_t producer_id, struct log_producer_state *ret) {
    const struct producer_entry *entry = find_entry(state, producer_id);
    if (entry != NULL) {
        *ret = entry_view(entry);
    }
    return entry != NULL;
}

void producer_state_for_each(const struct producer_state *state, log_producer_visitor *visit, void *context) {
    for (const struct producer_entry *entry = state->entries; entry != NULL; entry = entry->hh.next) {
        struct log_producer_state view = entry_view(entry);
        visit(context, &view);
    }
}

/* Where an id comes in Kafka's hash map: the bucket of a table of `capacity`, then the order of arrival. */
struct encode_order {
    const struct producer_entry *entry;
    uint32_t bucket;
    int32_t arrival;
};

static int compare_order(const void *a, const void *b) {
    const struct encode_order *x = a;
    const struct encode_order *y = b;
    if (x->bucket != y->bucket) {
        return x->bucket < y->bucket ? -1 : 1;
    }
    return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

static struct encode_order *entries_in_order(const struct producer_state *state, int32_t count) {
    uint32_t capacity = 16;
    while ((uint32_t)count > capacity / 4 * 3) {
        capacity *= 2;
    }
    struct encode_order *order = xcalloc((size_t)count + 1, sizeof *order);
    int32_t i = 0;
    for (const struct producer_entry *entry = state->entries; entry != NULL; entry = entry->hh.next, i++) {
        uint64_t id = (uint64_t)entry->producer_id;
        uint32_t hash = (uint32_t)(id ^ id >> 32);
        order[i] = (struct encode_order){entry, (hash ^ hash >> 16) & (capacity - 1), i};
    }
    qsort(order, (size_t)count, sizeof *order, compare_order);
    return order;
}

void producer_state_encode(const struct producer_state *state, struct byte_buffer *ret) {
    int32_t count = producer_state_count(state);
    size_t size = SNAPSHOT_HEADER_SIZE + (size_t)count * SNAPSHOT_ENTRY_SIZE;
    uint8_t *begin = byte_buffer_reserve(ret, size);
    struct writer w = writer_of(begin, size);
    writer_i16(&w, SNAPSHOT_VERSION);
    writer_i32(&w, 0);
    writer_i32(&w, count);
    struct encode_order *order = entries_in_order(state, count);
    for (int32_t i = 0; i < count; i++) {
        const struct producer_entry *entry = order[i].entry;
        const struct producer_batch *last = entry->batch_count > 0 ? &entry->batches[entry->batch_count - 1] : NULL;
        writer_i64(&w, entry->producer_id);
        writer_i16(&w, entry->epoch);
        writer_i32(&w, last != NULL ? last->last_sequence : -1);
        writer_i64(&w, last != NULL ? last->last_offset : -1);
        writer_i32(&w, last != NULL ? last->offset_delta : 0);
        writer_i64(&w, entry->last_timestamp);
        writer_i32(&w, entry->coordinator_epoch);
        writer_i64(&w, entry->transaction_first_offset);
    }
    free(order);
    CHECK(!w.failed && writer_size(&w) == size);
    store_u32(begin + 2, crc32c(0, begin + SNAPSHOT_CRC_FROM, size - SNAPSHOT_CRC_FROM));
    ret->size += size;
}

static void decode_entry(struct producer_state *state, struct reader *r, int64_t wall_ms, int64_t expiration_ms) {
    int64_t producer_id = reader_i64(r);
    int16_t epoch = reader_i16(r);
    struct producer_batch last = {.last_sequence = reader_i32(r)};
    last.last_offset = reader_i64(r);
    last.offset_delta = reader_i32(r);
    last.timestamp = reader_i64(r);
    int32_t coordinator_epoch = reader_i32(r);
    int64_t transaction = reader_i64(r);
    if (r->failed || is_expired(transaction, last.timestamp, wall_ms, expiration_ms) ||
        find_entry(state, producer_id) != NULL) {
        return;
    }
    struct producer_entry *entry = add_entry(state, producer_id);
    entry->epoch = epoch;
    entry->coordinator_epoch = coordinator_epoch;
    entry->last_timestamp = last.timestamp;
    entry->transaction_first_offset = transaction >= 0 ? transaction : -1;
    if (last.last_offset >= 0) {
        entry_add_batch(entry, &last);
    }
    if (transaction >= 0) {
        transactions_insert(
            &state->open,
            (struct producer_transaction){.producer_id = producer_id, .first_offset = transaction, .last_offset = -1});
    }
}

int producer_state_decode(struct producer_state *state, const uint8_t *data, size_t size, int64_t wall_ms,
                          int64_t expiration_ms) {
    struct reader r = reader_of(data, size);
    int16_t version = reader_i16(&r);
    uint32_t crc = reader_u32(&r);
    int32_t count = reader_i32(&r);
    if (r.failed || version != SNAPSHOT_VERSION || count < 0 ||
        reader_left(&r) != (size_t)count * SNAPSHOT_ENTRY_SIZE ||
        crc != crc32c(0, data + SNAPSHOT_CRC_FROM, size - SNAPSHOT_CRC_FROM)) {
        return ERR_CORRUPT;
    }
    for (int32_t i = 0; i < count; i++) {
        decode_entry(state, &r, wall_ms, expiration_ms);
    }
    return r.failed ? ERR_CORRUPT : 0;
}
