/* The rules of compaction, batch by batch; see compaction_filter.h. */
#include "broker/log/compaction_filter.h"

#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"

#define NO_HORIZON INT64_C(-1)

/* ---- Transactions ---- */

/* An aborted transaction whose marker has not come yet. */
struct open_abort {
    struct aborted_transaction transaction;
    bool has_batches; /* some are still in the log */
};

void compaction_transactions_init(struct compaction_transactions *transactions,
                                  const struct aborted_transaction *aborted, int32_t aborted_count,
                                  int64_t from_offset) {
    *transactions = (struct compaction_transactions){
        .aborted = aborted, .aborted_count = aborted_count, .from_offset = from_offset};
}

void compaction_transactions_deinit(struct compaction_transactions *transactions) {
    free(transactions->open_aborts);
    free(transactions->committed);
    *transactions = (struct compaction_transactions){0};
}

static struct open_abort *find_abort(const struct compaction_transactions *transactions, int64_t producer_id) {
    for (int32_t i = 0; i < transactions->open_abort_count; i++) {
        if (transactions->open_aborts[i].transaction.producer_id == producer_id) {
            return &transactions->open_aborts[i];
        }
    }
    return NULL;
}

/* Transactions that begin at or below `offset` are open from now on. */
static void advance(struct compaction_transactions *transactions, int64_t offset) {
    while (transactions->next < transactions->aborted_count &&
           transactions->aborted[transactions->next].first_offset <= offset) {
        const struct aborted_transaction *transaction = &transactions->aborted[transactions->next++];
        if (transaction->last_offset < transactions->from_offset ||
            find_abort(transactions, transaction->producer_id) != NULL) {
            continue; /* its marker would never come, and later batches of the producer pass for aborted */
        }
        if (transactions->open_abort_count == transactions->open_abort_capacity) {
            transactions->open_abort_capacity = MAX(transactions->open_abort_capacity * 2, 8);
            transactions->open_aborts = xrealloc(transactions->open_aborts, (size_t)transactions->open_abort_capacity *
                                                                                sizeof *transactions->open_aborts);
        }
        transactions->open_aborts[transactions->open_abort_count++] = (struct open_abort){.transaction = *transaction};
    }
}

static int32_t find_committed(const struct compaction_transactions *transactions, int64_t producer_id) {
    int32_t at = 0;
    while (at < transactions->committed_count && transactions->committed[at] != producer_id) {
        at++;
    }
    return at;
}

bool compaction_transactions_on_batch(struct compaction_transactions *transactions, const struct record_batch *header) {
    advance(transactions, header->last_offset);
    if (!record_batch_is_transactional(header)) {
        return false;
    }
    struct open_abort *abort = find_abort(transactions, header->producer_id);
    if (abort != NULL) {
        abort->has_batches = true;
        return true;
    }
    if (find_committed(transactions, header->producer_id) == transactions->committed_count) {
        if (transactions->committed_count == transactions->committed_capacity) {
            transactions->committed_capacity = MAX(transactions->committed_capacity * 2, 8);
            transactions->committed = xrealloc(transactions->committed, (size_t)transactions->committed_capacity *
                                                                            sizeof *transactions->committed);
        }
        transactions->committed[transactions->committed_count++] = header->producer_id;
    }
    return false;
}

static bool on_abort_marker(struct compaction_transactions *transactions, int64_t producer_id,
                            struct aborted_transaction *ret_kept) {
    struct open_abort *abort = find_abort(transactions, producer_id);
    if (abort == NULL) {
        return true;
    }
    bool has_batches = abort->has_batches;
    if (has_batches) {
        *ret_kept = abort->transaction;
    }
    *abort = transactions->open_aborts[--transactions->open_abort_count];
    return !has_batches;
}

bool compaction_transactions_on_marker(struct compaction_transactions *transactions, const struct record_batch *header,
                                       struct slice bytes, struct aborted_transaction *ret_kept) {
    *ret_kept = (struct aborted_transaction){.last_offset = -1};
    advance(transactions, header->last_offset);
    if (header->record_count == 0) {
        return true; /* a marker that was emptied before */
    }
    struct end_transaction_marker marker;
    if (record_batch_marker(bytes, header, &marker) != 0) {
        return false; /* another kind of control record is not ours to judge */
    }
    if (!marker.is_commit) {
        return on_abort_marker(transactions, header->producer_id, ret_kept);
    }
    int32_t at = find_committed(transactions, header->producer_id);
    if (at == transactions->committed_count) {
        return true;
    }
    transactions->committed[at] = transactions->committed[--transactions->committed_count];
    return false;
}

/* ---- Batches and records ---- */

enum retention { DROP_BATCH, KEEP_RECORDS, KEEP_EVEN_EMPTY };

struct batch_plan {
    enum retention retention;
    bool drops_records;   /* all of them: aborted, or a marker whose time is up */
    bool is_spent_marker; /* nothing is left of its transaction: its time begins to run */
    int64_t horizon_ms;   /* of the batch, NO_HORIZON when it has none */
};

static bool is_last_of_producer(const struct compaction_rules *rules, const struct record_batch *header) {
    int32_t low = 0;
    int32_t high = rules->producer_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (rules->producers[middle].producer_id < header->producer_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (header->producer_id < 0 || low == rules->producer_count ||
        rules->producers[low].producer_id != header->producer_id) {
        return false;
    }
    const struct compaction_producer *producer = &rules->producers[low];
    return producer->last_offset >= 0
               ? header->last_offset == producer->last_offset
               : record_batch_is_control(header) && header->producer_epoch == producer->producer_epoch;
}

static struct batch_plan plan_batch(const struct compaction_rules *rules, struct compaction_transactions *transactions,
                                    const struct record_batch *header, struct slice bytes,
                                    struct aborted_transaction *ret_kept) {
    struct batch_plan plan = {.horizon_ms = (header->attributes & BATCH_DELETE_HORIZON) != 0 ? header->base_timestamp
                                                                                             : NO_HORIZON};
    *ret_kept = (struct aborted_transaction){.last_offset = -1};
    if (record_batch_is_control(header)) {
        plan.is_spent_marker = compaction_transactions_on_marker(transactions, header, bytes, ret_kept);
        plan.drops_records = plan.is_spent_marker && plan.horizon_ms != NO_HORIZON && plan.horizon_ms <= rules->wall_ms;
    } else {
        plan.drops_records = compaction_transactions_on_batch(transactions, header);
    }
    if (is_last_of_producer(rules, header) || header->last_offset + 1 == rules->end_offset) {
        plan.retention = KEEP_EVEN_EMPTY;
    } else {
        plan.retention = plan.drops_records ? DROP_BATCH : KEEP_RECORDS;
    }
    return plan;
}

/* Whether the map decides on the record. */
static bool is_looked_up(const struct compaction_rules *rules, const struct record_batch *header,
                         const struct batch_plan *plan, const struct record_view *record) {
    return !plan->drops_records && !record_batch_is_control(header) && record->key_size >= 0 &&
           header->base_offset + record->offset_delta <= rules->map->latest_offset;
}

/* `key` is the record's where the map decides. */
static bool keeps_record(const struct compaction_rules *rules, const struct record_batch *header,
                         const struct batch_plan *plan, const struct record_view *record,
                         const struct offset_key *key) {
    int64_t offset = header->base_offset + record->offset_delta;
    if (plan->drops_records) {
        return false;
    }
    if (record_batch_is_control(header) || offset > rules->map->latest_offset) {
        return true;
    }
    if (record->key_size < 0) {
        return false; /* written before the topic was compacted: nothing can ever take its place */
    }
    if (offset < offset_map_get(rules->map, key)) {
        return false;
    }
#ifdef MUTANT_M32 /* tombstones go with what they deleted */
    if (record->value_size < 0) {
        return false;
    }
#endif
    return record->value_size >= 0 || plan->horizon_ms == NO_HORIZON || rules->wall_ms < plan->horizon_ms;
}

struct rebuilt {
    int32_t records;
    bool has_tombstones;
    bool has_first;
    int64_t base_timestamp;
    int64_t max_timestamp;
};

static int64_t timestamp_of(const struct record_batch *header, const struct record_view *record) {
    return (header->attributes & BATCH_LOG_APPEND_TIME) != 0
               ? header->max_timestamp
               : (int64_t)((uint64_t)header->base_timestamp + (uint64_t)record->timestamp_delta);
}

/* First pass: what stays. The batch is the workspace's `unpacked`; the verdicts, a byte a record, lie in `converted`
 * until a batch is built there, because looking up a key costs more than copying its record. */
static int count_kept(const struct compaction_rules *rules, const struct record_batch *header,
                      const struct batch_plan *plan, struct record_workspace *workspace, struct rebuilt *ret) {
    struct slice records = {workspace->unpacked.data, (int32_t)workspace->unpacked.size};
    struct record_iterator iterator;
    struct record_view views[OFFSET_MAP_KEYS_AT_ONCE];
    struct offset_key keys[OFFSET_MAP_KEYS_AT_ONCE];
    int more;
    *ret = (struct rebuilt){.max_timestamp = -1};
    workspace->converted.size = 0;
    record_iterator_begin_memory(&iterator, records, header->record_count);
    do {
        int32_t count = 0;
        while (count < OFFSET_MAP_KEYS_AT_ONCE && (more = record_iterator_next(&iterator, &views[count])) > 0) {
            if (is_looked_up(rules, header, plan, &views[count])) {
                keys[count] = offset_map_key(rules->map, (struct slice){views[count].key, views[count].key_size});
            }
            count++;
        }
        for (int32_t i = 0; i < count; i++) {
            bool is_kept = keeps_record(rules, header, plan, &views[i], &keys[i]);
            byte_buffer_append(&workspace->converted, is_kept ? "\1" : "", 1);
            ret->records += is_kept;
            ret->has_tombstones |= is_kept && views[i].value_size < 0;
        }
    } while (more > 0);
    return more;
}

/* Second pass: the kept records, timestamps counted from the new base. */
static void copy_kept(const struct record_batch *header, int64_t horizon_ms, struct record_workspace *workspace,
                      struct rebuilt *rebuilt) {
    const uint8_t *verdict = workspace->converted.data;
    struct slice records = {workspace->unpacked.data, (int32_t)workspace->unpacked.size};
    struct record_iterator iterator;
    struct record_view record;
    workspace->records.size = 0;
    record_iterator_begin_memory(&iterator, records, header->record_count);
    for (int32_t i = 0; i < header->record_count; i++) {
        if (verdict[i] == 0) {
            record_iterator_skip(&iterator);
            continue;
        }
        int more = record_iterator_next(&iterator, &record);
        CHECK(more == 1); /* as the first pass read it */
        int64_t timestamp = timestamp_of(header, &record);
        if (!rebuilt->has_first) {
            rebuilt->has_first = true;
            rebuilt->base_timestamp = horizon_ms != NO_HORIZON ? horizon_ms : timestamp;
        }
        rebuilt->max_timestamp = MAX(rebuilt->max_timestamp, timestamp);
        rebuilt->records++;
        record_append(&workspace->records, &record, (int64_t)((uint64_t)timestamp - (uint64_t)rebuilt->base_timestamp),
#ifdef MUTANT_M36 /* what is left of a batch is numbered anew */
                      rebuilt->records - 1);
#else
                      record.offset_delta);
#endif
    }
}

/* The old header with what changed: offsets, producer and sequence stay, so that the batch still says the same of its
 * producer and the log end is not lost with it. */
static void write_header(struct byte_buffer *out, const struct record_batch *header, uint16_t attributes,
                         int64_t base_timestamp, int64_t max_timestamp, int32_t record_count) {
    uint8_t *batch = out->data;
    store_i32(batch + BATCH_AT_LENGTH, (int32_t)out->size - BATCH_OVERHEAD);
    store_u16(batch + BATCH_AT_ATTRIBUTES, attributes);
    store_i64(batch + BATCH_AT_BASE_TIMESTAMP, base_timestamp);
    store_i64(batch + BATCH_AT_MAX_TIMESTAMP, max_timestamp);
    store_i32(batch + BATCH_AT_LAST_OFFSET_DELTA, (int32_t)(header->last_offset - header->base_offset));
    store_i32(batch + BATCH_AT_RECORD_COUNT, record_count);
    record_batch_update_crc(batch, (int32_t)out->size);
}

static void begin_batch(struct byte_buffer *out, struct slice bytes) {
    out->size = 0;
    byte_buffer_append(out, bytes.data, BATCH_HEADER_SIZE);
}

static struct slice built(const struct byte_buffer *out) {
    return (struct slice){out->data, (int32_t)out->size};
}

static void build_empty(const struct record_batch *header, struct slice bytes, struct record_workspace *workspace) {
    begin_batch(&workspace->converted, bytes);
    unsigned gone = BATCH_CODEC_MASK | BATCH_DELETE_HORIZON;
    write_header(&workspace->converted, header, (uint16_t)(header->attributes & ~gone), -1, header->max_timestamp, 0);
}

static int build_kept(const struct record_batch *header, struct slice bytes, int64_t horizon_ms,
                      struct record_workspace *workspace) {
    struct rebuilt rebuilt = {.max_timestamp = -1};
    copy_kept(header, horizon_ms, workspace, &rebuilt);
    struct byte_buffer *out = &workspace->converted;
    begin_batch(out, bytes);
    struct slice records = {workspace->records.data, (int32_t)workspace->records.size};
    compress_all(workspace->compression, (enum compression_codec)header->codec, records, out);
    if (out->size > INT32_MAX) {
        return ERR_TOO_LARGE;
    }
    bool append_time = (header->attributes & BATCH_LOG_APPEND_TIME) != 0;
    uint16_t horizon_bit = horizon_ms != NO_HORIZON ? BATCH_DELETE_HORIZON : 0;
    write_header(out, header, (uint16_t)(header->attributes | horizon_bit), rebuilt.base_timestamp,
                 append_time ? header->max_timestamp : rebuilt.max_timestamp, rebuilt.records);
    return 0;
}

int compaction_filter(const struct compaction_rules *rules, struct compaction_transactions *transactions,
                      const struct record_batch *header, struct slice bytes, struct record_workspace *workspace,
                      struct compaction_outcome *ret_outcome, struct slice *ret_bytes) {
    *ret_outcome = (struct compaction_outcome){.kept.last_offset = -1};
    *ret_bytes = SLICE_NULL;
    if (header->magic != 2) {
        return ERR_INVALID; /* old formats: the caller refuses such logs */
    }
    struct batch_plan plan = plan_batch(rules, transactions, header, bytes, &ret_outcome->kept);
    ret_outcome->records_read = header->record_count;
    if (plan.retention == DROP_BATCH) {
        return 0;
    }
    int error = record_batch_unpack(bytes, header, workspace);
    struct rebuilt kept = {0};
    if (error == 0) {
        error = count_kept(rules, header, &plan, workspace, &kept);
    }
    if (error != 0) {
        return error;
    }
    ret_outcome->records_kept = kept.records;
    if (kept.records == 0) {
        if (plan.retention == KEEP_EVEN_EMPTY) {
            build_empty(header, bytes, workspace);
            ret_outcome->is_kept = true;
            *ret_bytes = built(&workspace->converted);
        }
        return 0;
    }
    /* A tombstone, or a marker of which nothing else is left, begins to age when a cleaning first meets it. */
    bool begins_to_age = (kept.has_tombstones || plan.is_spent_marker) && plan.horizon_ms == NO_HORIZON;
    ret_outcome->is_kept = true;
    *ret_bytes = bytes;
    if (kept.records == header->record_count && !begins_to_age) {
        return 0;
    }
    int64_t retention_ms = MIN(rules->delete_retention_ms, INT64_MAX - rules->wall_ms);
    error = build_kept(header, bytes, begins_to_age ? rules->wall_ms + retention_ms : plan.horizon_ms, workspace);
    *ret_bytes = built(&workspace->converted);
    return error;
}
