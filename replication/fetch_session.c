/* Sessions of incremental fetches. Eviction follows Kafka: an unused session first, then one that is worth less. */
#include "replication/fetch_session.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/pool.h"
#include "broker/base/random.h"
#include "broker/protocol/errors.h"

/* Key of an entry: the id or the name, then the partition. Names are at most 249 bytes; a longer one cannot exist and
 * is cut, which makes it one more unknown topic. */
#define ENTRY_NAME_MAX 250
#define ENTRY_KEY_MAX (ENTRY_NAME_MAX + sizeof(int32_t))

/* librdkafka knows no sessions: each of its fetches makes one and ends it. Their memory is kept for the next: enough
 * for some thousand partitions named by fetches under way. */
#define KEPT_BYTES_MAX ((size_t)4 * 1024 * 1024)
/* How long a follower may take to hear of a leader that has heard of it, and how often it is asked for news until then:
 * at 20 ms an acknowledgement waits little, and fifty empty fetches cost a leader a millisecond or two. */
#define HURRY_MS 1000
#define HURRIED_WAIT_MS 20
/* The tables of the maps below come from there, too. Every function that touches a map has a `session` at hand. */
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size) pool_take(&session->cache->pool, size)
#define uthash_free(memory, size) pool_give(&session->cache->pool, memory, size)

struct fetch_sessions {
    struct fetch_session *by_id;
    int32_t slots_max;
    int64_t evict_after_ms;
    int64_t hurry_until_ms;
    struct random random;
    struct pool pool;
};

struct fetch_sessions *fetch_sessions_create(int32_t slots_max, int64_t evict_after_ms, uint64_t seed) {
    struct fetch_sessions *cache = xcalloc(1, sizeof *cache);
    cache->slots_max = slots_max;
    cache->evict_after_ms = evict_after_ms;
    random_seed(&cache->random, seed);
    pool_init(&cache->pool, KEPT_BYTES_MAX);
    return cache;
}

static void entry_unlist(struct fetch_entry *entry) {
    if (entry->is_dirty) {
        DL_DELETE(entry->session->dirty, entry);
        entry->session->dirty_count--;
        entry->is_dirty = false;
    }
}

static void entry_list(struct fetch_entry *entry) {
    if (!entry->is_dirty) {
        DL_APPEND(entry->session->dirty, entry);
        entry->session->dirty_count++;
        entry->is_dirty = true;
    }
}

static void entry_free_topic(struct fetch_entry *entry) {
    pool_give(&entry->session->cache->pool, entry->owned_topic, (size_t)MAX(entry->topic.size, 0) + 1);
    entry->owned_topic = NULL;
    entry->topic = STR_NULL;
}

static void entry_destroy(struct fetch_entry *entry) {
    struct fetch_session *session = entry->session;
    entry_unlist(entry);
    partition_watcher_remove(&entry->watcher);
    HASH_DEL(session->entries, entry);
    entry_free_topic(entry);
    pool_give(&session->cache->pool, entry, sizeof *entry + entry->key_size);
}

static void session_destroy(struct fetch_session *session) {
    struct fetch_entry *entry = NULL;
    struct fetch_entry *after = NULL;
    HASH_ITER(hh, session->entries, entry, after) {
        entry_destroy(entry);
    }
    pool_give(&session->cache->pool, session, sizeof *session);
}

/* Out of the cache; a session that a request is using lives until that request is through. */
static void session_close(struct fetch_session *session) {
    if (session->id != FETCH_SESSION_ID_NONE) {
        HASH_DEL(session->cache->by_id, session);
        session->id = FETCH_SESSION_ID_NONE;
    }
    if (session->is_busy) {
        session->is_closed = true;
    } else {
        session_destroy(session);
    }
}

void fetch_sessions_destroy(struct fetch_sessions *cache) {
    struct fetch_session *session = NULL;
    struct fetch_session *after = NULL;
    HASH_ITER(hh, cache->by_id, session, after) {
        CHECK(!session->is_busy);
        session_close(session);
    }
    pool_deinit(&cache->pool);
    free(cache);
}

int32_t fetch_sessions_count(const struct fetch_sessions *cache) {
    return (int32_t)HASH_COUNT(cache->by_id);
}

static struct fetch_session *session_find(const struct fetch_sessions *cache, int32_t id) {
    struct fetch_session *session = NULL;
    HASH_FIND(hh, cache->by_id, &id, sizeof id, session);
    return session;
}

int32_t fetch_session_epoch_after(int32_t epoch) {
    return epoch < 0 ? FETCH_SESSION_EPOCH_FINAL : epoch == INT32_MAX ? 1 : epoch + 1;
}

static struct fetch_session *session_create(struct fetch_sessions *cache, const struct fetch_begin *begin) {
    struct fetch_session *session = pool_take(&cache->pool, sizeof *session);
    session->cache = cache;
    session->is_privileged = begin->is_privileged;
    session->uses_topic_ids = begin->uses_topic_ids;
    session->wants_cache = begin->session_epoch == FETCH_SESSION_EPOCH_INITIAL;
    session->created_ms = begin->now_ms;
    session->epoch = 1;
    return session;
}

int16_t fetch_sessions_begin(struct fetch_sessions *cache, const struct fetch_begin *begin,
                             struct fetch_session **ret_session) {
    struct fetch_session *session =
        begin->session_id == FETCH_SESSION_ID_NONE ? NULL : session_find(cache, begin->session_id);
    *ret_session = NULL;
    if (begin->session_epoch == FETCH_SESSION_EPOCH_INITIAL || begin->session_epoch == FETCH_SESSION_EPOCH_FINAL) {
        if (session != NULL) {
            session_close(session);
        }
        session = session_create(cache, begin);
    } else if (session == NULL) {
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    } else if (session->epoch != begin->session_epoch || session->is_busy) {
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    } else if (session->uses_topic_ids != begin->uses_topic_ids) {
        return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    } else {
        session->epoch = fetch_session_epoch_after(session->epoch);
        session->is_incremental = true;
    }
    session->is_busy = true;
    session->is_hurried = false;
    session->used_ms = begin->now_ms;
    *ret_session = session;
    return KAFKA_NONE;
}

static uint32_t entry_key(uint8_t *ret_key, bool uses_topic_ids, struct str topic, struct uuid id, int32_t partition) {
    uint32_t size = 0;
    if (uses_topic_ids) {
        memcpy(ret_key, id.bytes, sizeof id.bytes);
        size = sizeof id.bytes;
    } else if (topic.size > 0) {
        size = (uint32_t)MIN(topic.size, ENTRY_NAME_MAX);
        memcpy(ret_key, topic.data, size);
    }
    memcpy(ret_key + size, &partition, sizeof partition);
    return size + (uint32_t)sizeof partition;
}

static struct fetch_entry *entry_find(const struct fetch_session *session, const uint8_t *key, uint32_t key_size) {
    struct fetch_entry *entry = NULL;
    HASH_FIND(hh, session->entries, key, key_size, entry);
    return entry;
}

static void on_partition_change(struct partition_watcher *watcher) {
    struct fetch_entry *entry = CONTAINER_OF(watcher, struct fetch_entry, watcher);
    struct fetch_session *session = entry->session;
    entry->is_changed = true;
    if (!entry->is_dirty) {
        entry_list(entry);
    }
    if (session->on_dirty != NULL) {
        session->on_dirty(session);
    }
}

void fetch_entry_set_topic(struct fetch_entry *entry, struct str topic) {
    if (str_equal(entry->topic, topic)) {
        return;
    }
    entry_free_topic(entry);
    if (!str_is_null(topic)) {
        entry->owned_topic = pool_take(&entry->session->cache->pool, (size_t)topic.size + 1);
        memcpy(entry->owned_topic, topic.data, (size_t)topic.size);
        entry->topic = (struct str){entry->owned_topic, topic.size};
    }
}

struct fetch_entry *fetch_session_name(struct fetch_session *session, const struct fetch_named *named) {
    uint8_t key[ENTRY_KEY_MAX];
    uint32_t key_size = entry_key(key, session->uses_topic_ids, named->topic, named->topic_id, named->partition);
    struct fetch_entry *entry = entry_find(session, key, key_size);
    if (entry == NULL) {
        entry = pool_take(&session->cache->pool, sizeof *entry + key_size);
        entry->topic = STR_NULL;
        entry->topic_id = named->topic_id;
        entry->partition = named->partition;
        entry->watcher.on_change = on_partition_change;
        entry->sent_high_watermark = -1;
        entry->sent_log_start_offset = -1;
        entry->is_new = true;
        entry->session = session;
        entry->key_size = key_size;
        memcpy(entry->key, key, key_size);
        HASH_ADD_KEYPTR(hh, session->entries, entry->key, key_size, entry);
    } else if (named->fetch_offset <= entry->fetch_offset ||
               named->current_leader_epoch != entry->current_leader_epoch) {
        /* Who names a partition again without having come further may not have taken our last answer: a follower drops
         * what was under way when its leader epoch changed or its log was cut. What that answer said is told once more;
         * an idle partition's follower would else keep an old high watermark for ever. */
        entry->sent_high_watermark = -1;
        entry->sent_log_start_offset = -1;
    }
    if (!session->uses_topic_ids) {
        fetch_entry_set_topic(entry, named->topic);
    }
    entry->fetch_offset = named->fetch_offset;
    entry->current_leader_epoch = named->current_leader_epoch;
    entry->last_fetched_epoch = named->last_fetched_epoch;
    entry->log_start_offset = named->log_start_offset;
    entry->max_bytes = named->max_bytes;
    entry_list(entry);
    return entry;
}

void fetch_session_forget(struct fetch_session *session, struct str topic, struct uuid topic_id, int32_t partition) {
    uint8_t key[ENTRY_KEY_MAX];
    uint32_t key_size = entry_key(key, session->uses_topic_ids, topic, topic_id, partition);
    struct fetch_entry *entry = entry_find(session, key, key_size);
    if (entry != NULL) {
        entry_destroy(entry);
    }
}

void fetch_session_check(struct fetch_session *session) {
    if (session->is_incremental && HASH_COUNT(session->entries) == 0) {
        HASH_DEL(session->cache->by_id, session);
        session->id = FETCH_SESSION_ID_NONE;
        session->is_incremental = false;
    }
}

void fetch_session_set_replica_epoch(struct fetch_session *session, int64_t replica_epoch) {
    if (session->replica_epoch == replica_epoch) {
        return;
    }
    session->replica_epoch = replica_epoch;
    for (struct fetch_entry *entry = session->entries; entry != NULL; entry = entry->hh.next) {
        if (!entry->is_dirty) {
            entry_list(entry);
        }
    }
}

void fetch_sessions_hurry(struct fetch_sessions *cache, int64_t now_ms) {
    struct fetch_session *next;
    cache->hurry_until_ms = now_ms + HURRY_MS;
    for (struct fetch_session *session = cache->by_id; session != NULL; session = next) {
        next = session->hh.next;
        if (session->is_privileged && session->is_busy && session->on_dirty != NULL) {
            session->is_hurried = true;
            session->on_dirty(session);
        }
    }
}

int32_t fetch_session_wait_ms(const struct fetch_session *session, int32_t wait_ms, int64_t now_ms) {
    bool is_hurried = session->is_privileged && now_ms < session->cache->hurry_until_ms;
    return is_hurried ? MIN(wait_ms, HURRIED_WAIT_MS) : wait_ms;
}

struct fetch_entry *fetch_session_first(const struct fetch_session *session) {
    return session->dirty;
}

struct fetch_entry *fetch_session_next(const struct fetch_entry *entry) {
    return entry->next;
}

bool fetch_entry_is_news(const struct fetch_entry *entry, const struct fetch_outcome *outcome) {
    return !entry->session->is_incremental || outcome->records_bytes > 0 || outcome->error_code != KAFKA_NONE ||
           outcome->is_diverging || outcome->has_preferred_replica ||
           outcome->high_watermark != entry->sent_high_watermark ||
           outcome->log_start_offset != entry->sent_log_start_offset;
}

bool fetch_outcome_ends_wait(const struct fetch_outcome *outcome) {
    return outcome->error_code != KAFKA_NONE || outcome->is_diverging || outcome->has_preferred_replica;
}

bool fetch_entry_owes_news(const struct fetch_entry *entry, const struct fetch_outcome *outcome) {
    return entry->session->is_privileged && entry->session->is_incremental && !entry->is_new &&
           outcome->high_watermark != entry->sent_high_watermark;
}

bool fetch_entry_settle(struct fetch_entry *entry, const struct fetch_outcome *outcome, bool keep_dirty) {
    bool is_news = fetch_entry_is_news(entry, outcome);
    bool has_more = outcome->records_bytes > 0 || outcome->error_code != KAFKA_NONE || outcome->is_diverging;
    /* A partition answered with an error is sent again next time, whatever its high watermark (Kafka's -1). */
    entry->sent_high_watermark = outcome->error_code == KAFKA_NONE ? outcome->high_watermark : -1;
    entry->sent_log_start_offset = outcome->log_start_offset;
    entry->is_new = false;
    if (keep_dirty && !is_news) {
        return false;
    }
    entry_unlist(entry);
    /* Without a watcher nobody would report a change: look again at the next fetch. The same when something changed
     * after the partition was read, as by this very fetch: a follower's offset may have moved the high watermark. */
    if (has_more || keep_dirty || entry->is_changed || !partition_watcher_is_set(&entry->watcher)) {
        entry_list(entry);
    }
    return is_news;
}

bool fetch_session_is_closed(const struct fetch_session *session) {
    return session->is_closed;
}

/* What a session is worth to the cache: followers before consumers, then size (Kafka's EvictableKey). */
static bool is_worth_less(const struct fetch_session *a, const struct fetch_session *b) {
    if (a->is_privileged != b->is_privileged) {
        return !a->is_privileged;
    }
    return HASH_COUNT(a->entries) < HASH_COUNT(b->entries);
}

/* Room for one more: an unused session goes first; then, among those that may go for this newcomer (for a follower any
 * consumer's session, else only sessions older than the eviction time), the one that is worth least and not more than
 * the newcomer. A full walk: sessions are opened rarely, and there are at most slots_max. */
static bool cache_make_room(struct fetch_sessions *cache, const struct fetch_session *newcomer, int64_t now_ms) {
    if (fetch_sessions_count(cache) < cache->slots_max) {
        return true;
    }
    struct fetch_session *oldest = NULL;
    struct fetch_session *least = NULL;
    for (struct fetch_session *at = cache->by_id; at != NULL; at = at->hh.next) {
        bool may_go =
            (newcomer->is_privileged && !at->is_privileged) || now_ms - at->created_ms > cache->evict_after_ms;
        if (oldest == NULL || at->used_ms < oldest->used_ms) {
            oldest = at;
        }
        if (may_go && (least == NULL || is_worth_less(at, least))) {
            least = at;
        }
    }
    if (oldest != NULL && now_ms - oldest->used_ms > cache->evict_after_ms) {
        session_close(oldest);
        return true;
    }
    if (least != NULL && !is_worth_less(newcomer, least)) {
        session_close(least);
        return true;
    }
    return false;
}

static void cache_add(struct fetch_sessions *cache, struct fetch_session *session) {
    do {
        session->id = 1 + (int32_t)random_below(&cache->random, INT32_MAX);
    } while (session_find(cache, session->id) != NULL);
    HASH_ADD(hh, cache->by_id, id, sizeof session->id, session);
}

int32_t fetch_session_finish(struct fetch_session *session, int64_t now_ms) {
    CHECK(session->is_busy);
    session->is_busy = false;
    session->on_dirty = NULL;
    session->context = NULL;
    session->used_ms = now_ms;
    if (session->wants_cache && !session->is_closed) {
        session->wants_cache = false;
        if (cache_make_room(session->cache, session, now_ms)) {
            cache_add(session->cache, session);
        }
    }
    int32_t id = session->id;
    if (id == FETCH_SESSION_ID_NONE) {
        session_destroy(session);
    }
    return id;
}

void follower_session_reset(struct follower_session *session) {
    session->epoch = FETCH_SESSION_EPOCH_INITIAL;
}

bool follower_session_on_answer(struct follower_session *session, int16_t error_code, int32_t session_id) {
    if (error_code == KAFKA_FETCH_SESSION_ID_NOT_FOUND) {
        session->id = FETCH_SESSION_ID_NONE;
    }
    if (error_code != KAFKA_NONE) {
        follower_session_reset(session);
        return false;
    }
    if (follower_session_is_full(session)) {
        /* Without a place in the leader's cache every request is full. */
        session->id = session_id;
        session->epoch = session_id == FETCH_SESSION_ID_NONE ? FETCH_SESSION_EPOCH_INITIAL : 1;
        return true;
    }
    if (session_id != session->id) {
        /* The leader closed the session and served this fetch alone. */
        session->id = FETCH_SESSION_ID_NONE;
        follower_session_reset(session);
        return true;
    }
    session->epoch = fetch_session_epoch_after(session->epoch);
    return true;
}
