/* Topics in a table, the partitions of each in a sorted list: a million offsets cost some 60 bytes each. */
#include "broker/group/offsets.h"

#include <stdlib.h>

#include <uthash.h>

#include "broker/base/check.h"

struct offsets_entry {
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    int64_t commit_timestamp_ms;
    int64_t expire_timestamp_ms;
    int64_t record_offset; /* of the newest record that counted, tombstones too; -1 none */
    char *metadata;        /* NULL: empty */
    int32_t metadata_size;
    int32_t pending; /* commits on their way */
    bool is_committed;
};

struct offsets_topic {
    struct str name;
    struct offsets_entry *entries; /* sorted by partition */
    int32_t count;
    int32_t capacity;
    UT_hash_handle hh;
};

struct held_commit {
    struct str topic;
    int32_t partition;
    struct committed_offset commit; /* its metadata is ours */
    int64_t record_offset;
};

/* What one producer's open transaction would commit. */
struct offsets_transaction {
    int64_t producer_id;
    struct held_commit *list;
    int32_t count;
    int32_t capacity;
    UT_hash_handle hh;
};

static struct str copy_str(struct str text) {
    return text.size <= 0 ? (struct str){"", 0} : (struct str){xstrndup(text.data, (size_t)text.size), text.size};
}

static void free_str(struct str text) {
    if (text.size > 0) {
        free((char *)(uintptr_t)text.data);
    }
}

static struct offsets_topic *topic_of(const struct offsets *offsets, struct str name) {
    struct offsets_topic *topic = NULL;
    HASH_FIND(hh, offsets->topics, name.data, (size_t)MAX(name.size, 0), topic);
    return topic;
}

/* The place of the partition, or where it would be. */
static int32_t place_of(const struct offsets_topic *topic, int32_t partition) {
    int32_t from = 0;
    int32_t to = topic->count;
    while (from < to) {
        int32_t middle = from + (to - from) / 2;
        if (topic->entries[middle].partition < partition) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static struct offsets_entry *entry_of(const struct offsets *offsets, struct str name, int32_t partition) {
    const struct offsets_topic *topic = topic_of(offsets, name);
    if (topic == NULL) {
        return NULL;
    }
    int32_t at = place_of(topic, partition);
    return at < topic->count && topic->entries[at].partition == partition ? &topic->entries[at] : NULL;
}

static struct offsets_entry *make_entry(struct offsets *offsets, struct str name, int32_t partition) {
    struct offsets_topic *topic = topic_of(offsets, name);
    if (topic == NULL) {
        topic = xcalloc(1, sizeof *topic);
        topic->name = copy_str(name);
        HASH_ADD_KEYPTR(hh, offsets->topics, topic->name.data, (size_t)topic->name.size, topic);
        offsets->bytes += (int64_t)sizeof *topic + topic->name.size;
    }
    int32_t at = place_of(topic, partition);
    if (at < topic->count && topic->entries[at].partition == partition) {
        return &topic->entries[at];
    }
    if (topic->count == topic->capacity) {
        topic->capacity = MAX(4, topic->capacity + topic->capacity / 2);
        topic->entries = xrealloc(topic->entries, (size_t)topic->capacity * sizeof *topic->entries);
    }
    memmove(&topic->entries[at + 1], &topic->entries[at], (size_t)(topic->count - at) * sizeof *topic->entries);
    topic->count++;
    offsets->bytes += (int64_t)sizeof *topic->entries;
    topic->entries[at] = (struct offsets_entry){.partition = partition, .record_offset = -1};
    return &topic->entries[at];
}

static void free_topic(struct offsets *offsets, struct offsets_topic *topic) {
    HASH_DEL(offsets->topics, topic);
    offsets->bytes -= (int64_t)sizeof *topic + topic->name.size;
    free_str(topic->name);
    free(topic->entries);
    free(topic);
}

static void drop_metadata(struct offsets *offsets, struct offsets_entry *entry) {
    offsets->bytes -= entry->metadata_size;
    free(entry->metadata);
    entry->metadata = NULL;
    entry->metadata_size = 0;
}

/* An entry that says nothing any more goes. While commits are on their way it remembers up to where the log is known.
 */
static void tidy(struct offsets *offsets, struct str name, int32_t partition) {
    struct offsets_topic *topic = topic_of(offsets, name);
    struct offsets_entry *entry = entry_of(offsets, name, partition);
    if (entry->is_committed || entry->pending > 0) {
        return;
    }
    int32_t at = (int32_t)(entry - topic->entries);
    memmove(entry, entry + 1, (size_t)(topic->count - at - 1) * sizeof *entry);
    topic->count--;
    offsets->bytes -= (int64_t)sizeof *entry;
    if (topic->count == 0) {
        free_topic(offsets, topic);
    }
}

static void free_transaction(struct offsets *offsets, struct offsets_transaction *transaction) {
    HASH_DEL(offsets->transactions, transaction);
    for (int32_t i = 0; i < transaction->count; i++) {
        free_str(transaction->list[i].topic);
        free_str(transaction->list[i].commit.metadata);
    }
    offsets->bytes -= (int64_t)transaction->capacity * (int64_t)sizeof *transaction->list;
    free(transaction->list);
    free(transaction);
}

void offsets_deinit(struct offsets *offsets) {
    struct offsets_topic *topic;
    struct offsets_topic *after;
    HASH_ITER(hh, offsets->topics, topic, after) {
        for (int32_t i = 0; i < topic->count; i++) {
            drop_metadata(offsets, &topic->entries[i]);
        }
        offsets->bytes -= topic->count * (int64_t)sizeof *topic->entries;
        free_topic(offsets, topic);
    }
    struct offsets_transaction *transaction;
    struct offsets_transaction *transaction_after;
    HASH_ITER(hh, offsets->transactions, transaction, transaction_after) {
        free_transaction(offsets, transaction);
    }
    *offsets = (struct offsets){0};
}

/* ---- Changes ---- */

static bool take(struct offsets *offsets, struct offsets_entry *entry, const struct committed_offset *commit,
                 int64_t record_offset) {
    if (record_offset <= entry->record_offset) {
        return false; /* a newer record is in force */
    }
    entry->record_offset = record_offset;
    drop_metadata(offsets, entry);
    bool was_committed = entry->is_committed;
    offsets->count -= was_committed;
    entry->is_committed = commit != NULL;
    if (commit == NULL) {
        return was_committed;
    }
    offsets->count++;
    entry->offset = commit->offset;
    entry->leader_epoch = commit->leader_epoch;
    entry->commit_timestamp_ms = commit->commit_timestamp_ms;
    entry->expire_timestamp_ms = commit->expire_timestamp_ms;
    if (commit->metadata.size > 0) {
        entry->metadata = xstrndup(commit->metadata.data, (size_t)commit->metadata.size);
        entry->metadata_size = commit->metadata.size;
        offsets->bytes += entry->metadata_size;
    }
    return true;
}

void offsets_stage(struct offsets *offsets, struct str topic, int32_t partition) {
    make_entry(offsets, topic, partition)->pending++;
    offsets->pending_count++;
}

void offsets_settle(struct offsets *offsets, struct str topic, int32_t partition, const struct committed_offset *commit,
                    int64_t record_offset) {
    struct offsets_entry *entry = entry_of(offsets, topic, partition);
    CHECK(entry != NULL && entry->pending > 0);
    entry->pending--;
    offsets->pending_count--;
    if (commit != NULL) {
        take(offsets, entry, commit, record_offset);
    }
    tidy(offsets, topic, partition);
}

bool offsets_apply(struct offsets *offsets, struct str topic, int32_t partition, const struct committed_offset *commit,
                   int64_t record_offset) {
    if (commit == NULL && entry_of(offsets, topic, partition) == NULL) {
        return false;
    }
    bool has_changed = take(offsets, make_entry(offsets, topic, partition), commit, record_offset);
    tidy(offsets, topic, partition);
    return has_changed;
}

void offsets_stage_transactional(struct offsets *offsets, int64_t producer_id, struct str topic, int32_t partition,
                                 const struct committed_offset *commit, int64_t record_offset) {
    struct offsets_transaction *transaction;
    HASH_FIND(hh, offsets->transactions, &producer_id, sizeof producer_id, transaction);
    if (transaction == NULL) {
        transaction = xcalloc(1, sizeof *transaction);
        transaction->producer_id = producer_id;
        HASH_ADD(hh, offsets->transactions, producer_id, sizeof producer_id, transaction);
    }
    if (transaction->count == transaction->capacity) {
        int32_t capacity = MAX(4, 2 * transaction->capacity);
        offsets->bytes += (int64_t)(capacity - transaction->capacity) * (int64_t)sizeof *transaction->list;
        transaction->capacity = capacity;
        transaction->list = xrealloc(transaction->list, (size_t)capacity * sizeof *transaction->list);
    }
    struct held_commit *held = &transaction->list[transaction->count++];
    *held = (struct held_commit){
        .topic = copy_str(topic), .partition = partition, .commit = *commit, .record_offset = record_offset};
    held->commit.metadata = copy_str(commit->metadata);
}

void offsets_end_transaction(struct offsets *offsets, int64_t producer_id, bool is_commit) {
    struct offsets_transaction *transaction;
    HASH_FIND(hh, offsets->transactions, &producer_id, sizeof producer_id, transaction);
    if (transaction == NULL) {
        return;
    }
    for (int32_t i = 0; i < transaction->count && is_commit; i++) {
        const struct held_commit *held = &transaction->list[i];
        offsets_apply(offsets, held->topic, held->partition, &held->commit, held->record_offset);
    }
    free_transaction(offsets, transaction);
}

/* ---- Reading ---- */

static struct committed_offset committed_of(const struct offsets_entry *entry) {
    return (struct committed_offset){
        .offset = entry->offset,
        .leader_epoch = entry->leader_epoch,
        .metadata = {entry->metadata == NULL ? "" : entry->metadata, entry->metadata_size},
        .commit_timestamp_ms = entry->commit_timestamp_ms,
        .expire_timestamp_ms = entry->expire_timestamp_ms,
    };
}

bool offsets_find(const struct offsets *offsets, struct str topic, int32_t partition, struct committed_offset *ret) {
    const struct offsets_entry *entry = entry_of(offsets, topic, partition);
    if (entry == NULL || !entry->is_committed) {
        return false;
    }
    *ret = committed_of(entry);
    return true;
}

bool offsets_are_stable(const struct offsets *offsets, struct str topic, int32_t partition) {
    const struct offsets_entry *entry = entry_of(offsets, topic, partition);
    if (entry != NULL && entry->pending > 0) {
        return false;
    }
    const struct offsets_transaction *transaction;
    for (transaction = offsets->transactions; transaction != NULL; transaction = transaction->hh.next) {
        for (int32_t i = 0; i < transaction->count; i++) {
            if (transaction->list[i].partition == partition && str_equal(transaction->list[i].topic, topic)) {
                return false;
            }
        }
    }
    return true;
}

bool offsets_are_empty(const struct offsets *offsets) {
    return offsets->count == 0 && offsets->pending_count == 0 && offsets->transactions == NULL;
}

static void visit_all(const struct offsets *offsets, bool with_pending, offsets_visitor *visit, void *context) {
    const struct offsets_topic *topic;
    for (topic = offsets->topics; topic != NULL; topic = topic->hh.next) {
        for (int32_t i = 0; i < topic->count; i++) {
            if (topic->entries[i].is_committed || with_pending) {
                struct committed_offset commit = committed_of(&topic->entries[i]);
                visit(context, topic->name, topic->entries[i].partition, &commit);
            }
        }
    }
}

void offsets_each(const struct offsets *offsets, offsets_visitor *visit, void *context) {
    visit_all(offsets, false, visit, context);
}

void offsets_each_known(const struct offsets *offsets, offsets_visitor *visit, void *context) {
    visit_all(offsets, true, visit, context);
}

bool offsets_have_topic(const struct offsets *offsets, struct str topic) {
    return topic_of(offsets, topic) != NULL;
}

static bool is_expired(const struct offsets_entry *entry, const struct offsets_retention *retention) {
    if (!entry->is_committed || entry->pending > 0) {
        return false;
    }
    if (entry->expire_timestamp_ms >= 0) {
        return retention->now_ms >= entry->expire_timestamp_ms;
    }
    bool by_group = retention->age == OFFSETS_SINCE_EMPTY && retention->empty_since_ms >= 0;
    int64_t since_ms = by_group ? retention->empty_since_ms : entry->commit_timestamp_ms;
    return retention->now_ms - since_ms >= retention->retention_ms;
}

void offsets_each_expired(const struct offsets *offsets, const struct offsets_retention *retention,
                          offsets_visitor *visit, void *visitor_context) {
    const struct offsets_topic *topic;
    if (retention->age == OFFSETS_KEPT) {
        return;
    }
    for (topic = offsets->topics; topic != NULL; topic = topic->hh.next) {
        if (retention->age == OFFSETS_UNSUBSCRIBED && retention->is_subscribed(retention->context, topic->name)) {
            continue;
        }
        for (int32_t i = 0; i < topic->count; i++) {
            if (is_expired(&topic->entries[i], retention)) {
                struct committed_offset commit = committed_of(&topic->entries[i]);
                visit(visitor_context, topic->name, topic->entries[i].partition, &commit);
            }
        }
    }
}
