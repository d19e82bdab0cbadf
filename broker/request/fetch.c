/* Fetch: records for consumers and followers, by way of sessions (replication/fetch_session.h).
 *
 * Work follows the session's list of partitions that may have something to say. A fetch that finds too little waits in
 * the waiting room and looks again when one of them changes. Records leave as file regions; nobody touches them. */
#include "broker/request/fetch.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/metadata/image.h"
#include "broker/protocol/compression.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/leaders.h"

/* Consumers below this version can only be told what they can read. */
#define VERSION_WITH_ZSTD 10
#define VERSION_WITH_IDS 13
#define VERSION_WITH_REPLICA_STATE 15

static enum fetch_isolation isolation_of(const struct fetch *fetch) {
    if (fetch->replica_id != -1) {
        return FETCH_LOG_END;
    }
    return fetch->message->isolation_level == 1 ? FETCH_TXN_COMMITTED : FETCH_HIGH_WATERMARK;
}

/* The name behind an id may come and go with the image. */
static void resolve_topic(const struct fetch *fetch, struct fetch_entry *entry) {
    if (fetch->session->uses_topic_ids) {
        const struct image_topic *topic = image_topic_by_id(fetch->request->context->image, entry->topic_id);
        fetch_entry_set_topic(entry, topic == NULL ? STR_NULL : str_from(topic->name));
    }
}

static int16_t look_up(struct fetch *fetch, struct fetch_part *part, struct partition_runtime **ret_partition) {
    struct request_context *context = fetch->request->context;
    struct fetch_entry *entry = part->entry;
    resolve_topic(fetch, entry);
    if (str_is_null(entry->topic)) {
        part->is_unknown = true;
        return KAFKA_UNKNOWN_TOPIC_ID;
    }
    if (image_partition(context->image, entry->topic, entry->partition) == NULL) {
        part->is_unknown = true;
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return replica_manager_partition(context->replicas, entry->topic, entry->partition, ret_partition);
}

/* The partition that this entry found when it was last read, unless it is gone or the entry may mean another by now. */
static struct partition_runtime *found_before(const struct fetch *fetch, const struct fetch_entry *entry) {
    bool is_same =
        partition_watcher_is_set(&entry->watcher) && entry->found_in == image_shape(fetch->request->context->image);
    return is_same ? entry->found : NULL;
}

/* What cannot be served before the log is looked at. */
static int16_t find_partition(struct fetch *fetch, struct fetch_part *part, struct partition_runtime **ret_partition) {
    const struct fetch_entry *entry = part->entry;
    *ret_partition = found_before(fetch, entry);
    int16_t error =
        *ret_partition != NULL ? partition_runtime_look_again(*ret_partition) : look_up(fetch, part, ret_partition);
    if (error != KAFKA_NONE) {
        return error;
    }
    const struct log *log = partition_runtime_log(*ret_partition);
    if (fetch->session->uses_topic_ids && !uuid_is_zero(log_topic_id(log)) &&
        !uuid_equal(log_topic_id(log), entry->topic_id)) {
        return KAFKA_INCONSISTENT_TOPIC_ID;
    }
    const int16_t version = fetch->request->header.api_version;
    if (version < VERSION_WITH_ZSTD && log_get_config(log)->compression_type == CODEC_ZSTD) {
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (version < FETCH_VERSION_WITH_BATCHES && !log_get_config(log)->message_downconversion) {
        return KAFKA_UNSUPPORTED_VERSION;
    }
    return KAFKA_NONE;
}

static void release_read(struct fetch *fetch, struct fetch_part *part) {
    replica_manager_unfetch(fetch->request->context->replicas, &part->read);
    part->read.read.records.file = disk_file_unref(part->read.read.records.file);
    part->read.read.records = (struct records){.size = 0};
}

static void keep_found(const struct fetch *fetch, struct fetch_entry *entry, struct partition_runtime *partition) {
    if (entry->found != partition || !partition_watcher_is_set(&entry->watcher)) {
        partition_runtime_watch(partition, &entry->watcher);
        entry->found = partition;
    }
    entry->found_in = image_shape(fetch->request->context->image);
}

static void read_part(struct fetch *fetch, struct fetch_part *part, int32_t budget_bytes, bool min_one_batch) {
    struct fetch_entry *entry = part->entry;
    struct partition_runtime *partition = NULL;
    release_read(fetch, part);
    part->read = (struct partition_fetch){
        .replica_id = fetch->replica_id,
        .replica_epoch = fetch->replica_epoch,
        .is_reread = part->is_read,
        .fetch_offset = entry->fetch_offset,
        .current_leader_epoch = entry->current_leader_epoch,
        .last_fetched_epoch = entry->last_fetched_epoch,
        .log_start_offset = entry->log_start_offset,
        .max_bytes = MIN(entry->max_bytes, budget_bytes),
        .min_one_batch = min_one_batch,
        .isolation = isolation_of(fetch),
        .rack = fetch->message->rack_id,
        .version = fetch->request->header.api_version,
        .preferred_read_replica = -1,
    };
    part->is_unknown = false;
    fetch_entry_begin_read(entry);
    part->read.error_code = find_partition(fetch, part, &partition);
    if (part->read.error_code == KAFKA_NONE) {
        keep_found(fetch, entry, partition);
        partition_runtime_fetch(partition, &part->read);
        part->is_read = true;
    }
    part->partition = partition;
    part->outcome = (struct fetch_outcome){
        .error_code = part->read.error_code,
        .high_watermark = part->read.high_watermark,
        .log_start_offset = part->read.result_log_start_offset,
        .records_bytes = part->read.error_code == KAFKA_NONE ? part->read.read.records.size : 0,
        .has_preferred_replica = part->read.preferred_read_replica >= 0,
        .is_diverging = part->read.is_diverging,
    };
    part->had_no_room = budget_bytes <= 0 || part->read.is_held_back;
}

/* Reads whatever may have something to say, up to the bytes the client takes. True when there is enough to answer. */
static bool fetch_walk(struct fetch *fetch) {
    struct fetch_session *session = fetch->session;
    /* Versions up to 2 hold to their limit even when that means no records at all. */
    bool min_one_batch = fetch->request->header.api_version > 2;
    int32_t budget_bytes = fetch->bytes_max;
    int64_t total_bytes = 0;
    bool is_enough = false;
    fetch->owes_news = false;
    for (struct fetch_entry *entry = fetch_session_first(session); entry != NULL; entry = fetch_session_next(entry)) {
        if (budget_bytes <= 0 && session->is_incremental) {
            break; /* the rest stays on the list for the next fetch */
        }
        struct fetch_part *part = entry->context;
        if (part == NULL) {
            part = ARENA_NEW(&fetch->request->arena, struct fetch_part);
            part->entry = entry;
            entry->context = part;
            *fetch->parts_end = part;
            fetch->parts_end = &part->next;
        }
        read_part(fetch, part, budget_bytes, min_one_batch);
        int32_t bytes = part->outcome.records_bytes;
        total_bytes += bytes;
        if (bytes > 0) {
            min_one_batch = false;
            budget_bytes = bytes < budget_bytes ? budget_bytes - bytes : 0;
        }
        is_enough = is_enough || fetch_outcome_ends_wait(&part->outcome);
        fetch->owes_news = fetch->owes_news || fetch_entry_owes_news(entry, &part->outcome);
    }
    return is_enough || total_bytes >= fetch->bytes_min;
}

static bool fetch_is_over(struct wait *wait) {
    struct fetch *fetch = CONTAINER_OF(wait, struct fetch, wait);
    if (fetch_session_is_closed(fetch->session) || fetch_walk(fetch) || fetch->session->is_hurried) {
        return true;
    }
    if (fetch->owes_news) {
        wait_hasten(wait, FETCH_NEWS_WAIT_MS);
    }
    return false;
}

static void finish_fetch(struct wait *wait) {
    fetch_answer(CONTAINER_OF(wait, struct fetch, wait));
}

static void on_session_dirty(struct fetch_session *session) {
    struct fetch *fetch = session->context;
    fetch->is_changed = true;
    if (fetch->wait.room != NULL) {
        wait_mark(&fetch->wait);
    }
}

static void await_records(struct fetch *fetch) {
    fetch->wait.request = fetch->request;
    fetch->wait.is_over = fetch_is_over;
    fetch->wait.finish = finish_fetch;
    int32_t wait_ms = fetch_session_wait_ms(fetch->session, fetch->message->max_wait_ms, fetch->request->received_ms);
    wait_ms = fetch->owes_news ? MIN(wait_ms, FETCH_NEWS_WAIT_MS) : wait_ms;
    waiting_room_enter(fetch->request->context->waiting_room, &fetch->wait, wait_ms);
}

/* Comes after name_partitions: what one request both names and forgets is forgotten. A full fetch has nothing to
 * forget. */
static void forget_partitions(struct fetch *fetch) {
    const struct fetch_request *message = fetch->message;
    for (int32_t i = 0; fetch->session->is_incremental && i < message->forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topic *topic = &message->forgotten_topics_data[i];
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            fetch_session_forget(fetch->session, topic->topic, topic->topic_id, topic->partitions[j]);
        }
    }
    fetch_session_check(fetch->session);
}

/* The partitions of the request into the session. */
static void name_partitions(struct fetch *fetch) {
    const struct fetch_request *message = fetch->message;
    for (int32_t i = 0; i < message->topics_count; i++) {
        const struct fetch_request_fetch_topic *topic = &message->topics[i];
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            const struct fetch_request_fetch_partition *partition = &topic->partitions[j];
            struct fetch_named named = {
                .topic = topic->topic,
                .topic_id = topic->topic_id,
                .partition = partition->partition,
                .fetch_offset = partition->fetch_offset,
                .current_leader_epoch = partition->current_leader_epoch,
                .last_fetched_epoch = partition->last_fetched_epoch,
                .log_start_offset = partition->log_start_offset,
                .max_bytes = partition->partition_max_bytes,
            };
            fetch_session_name(fetch->session, &named);
        }
    }
}

static void answer_top_level(struct request *request, int16_t error_code) {
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = error_code;
    request_answer(request, &response);
}

void handle_fetch(struct request *request) {
    const struct fetch_request *message = request->message;
    struct request_context *context = request->context;
    const int16_t version = request->header.api_version;
    if (message->isolation_level != 0 && message->isolation_level != 1) {
        fetch_answer_malformed(request);
        return;
    }
    struct fetch *fetch = ARENA_NEW(&request->arena, struct fetch);
    fetch->request = request;
    fetch->message = message;
    fetch->parts_end = &fetch->parts;
    fetch->replica_id = version >= VERSION_WITH_REPLICA_STATE ? message->replica_state.replica_id : message->replica_id;
    fetch->replica_epoch = version >= VERSION_WITH_REPLICA_STATE ? message->replica_state.replica_epoch : -1;
    fetch->bytes_max = MIN(message->max_bytes, context->fetch_max_bytes);
    fetch->bytes_min = MIN(message->min_bytes, context->fetch_max_bytes);
    struct fetch_begin begin = {
        .session_id = message->session_id,
        .session_epoch = message->session_epoch,
        .uses_topic_ids = version >= VERSION_WITH_IDS,
        .is_privileged = fetch->replica_id >= 0,
        .now_ms = request->received_ms,
    };
    int16_t error = fetch_sessions_begin(context->fetch_sessions, &begin, &fetch->session);
    if (error != KAFKA_NONE) {
        answer_top_level(request, error);
        return;
    }
    name_partitions(fetch);
    forget_partitions(fetch);
    if (fetch->replica_id >= 0) {
        fetch_session_set_replica_epoch(fetch->session, fetch->replica_epoch);
        replica_manager_on_follower_fetch(context->replicas, fetch->replica_id, fetch->replica_epoch);
    }
    /* A follower's fetch may itself move the high watermark: whoever is told of that by this very walk looks again,
     * else the follower would learn of it only with the next record. */
    fetch->session->context = fetch;
    fetch->session->on_dirty = on_session_dirty;
    bool is_enough = fetch_walk(fetch);
    if (!is_enough && fetch->is_changed) {
        is_enough = fetch_walk(fetch);
    }
    bool is_empty = fetch->session->entries == NULL;
    if (is_enough || is_empty || message->max_wait_ms <= 0) {
        fetch_answer(fetch);
    } else {
        await_records(fetch);
    }
}
