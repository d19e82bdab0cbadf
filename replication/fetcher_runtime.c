/* One fetcher per leader: a timer that sends when there is something to ask, and the handling of answers. Records are
 * appended from the transport's buffer as they are. */
#include "replication/fetcher_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/list_offsets.h"
#include "replication/log_move_runtime.h"
#include "replication/replica_manager_internal.h"

#define AREA "kafka.server.ReplicaFetcherThread"

/* Fetch versions with topic ids and without (rule 24). */
#define FETCH_VERSION_BY_ID 17
#define FETCH_VERSION_BY_NAME 12
#define LIST_OFFSETS_VERSION 9
#define TIMESTAMP_LATEST (-1)
#define TIMESTAMP_EARLIEST (-2)

/* What decoding an answer may take: views into the body, four times its size as everywhere, and something for answers
 * that are nothing but headers. */
#define ANSWER_BUDGET(body_size) ((body_size)*4 + 65536)

struct fetcher_runtime {
    struct replica_manager *manager;
    struct fetcher core;
    struct timer timer;
    struct arena arena;
    uint8_t *buffer; /* kept between requests */
    size_t buffer_size;
    struct fetcher_plan plan;
    struct fetch_call *call; /* the one request at a time */
    bool is_under_way;
    bool has_doubts; /* of a partition whose log has a doubtful place */
    char client_id[40];
    int32_t broker_id;
    UT_hash_handle hh;
};

/* The context of requests, which may outlive their fetcher: then that is NULL, and the answer frees it. */
struct fetch_call {
    struct fetcher_runtime *fetcher;
};

/* A question for the leader's offsets; the partition is looked up anew when the answer comes. */
struct offset_call {
    struct replica_manager *manager; /* NULL when gone */
    struct offset_call *next;
    struct offset_call **link;
    char *topic;
    int32_t index;
    int32_t leader_epoch;
    int64_t leader_end; /* known when the start is asked for, else -1 */
};

static void on_timer(struct timer *timer);

/* Soon, and once for all that happens in this turn of the loop. */
static void kick(struct fetcher_runtime *fetcher) {
    if (fetcher->manager->is_started && !fetcher->core.is_in_flight) {
        timer_start(fetcher->manager->clock, &fetcher->timer, 0, on_timer);
    }
}

static struct fetcher_runtime *fetcher_of(struct fetcher *core) {
    return CONTAINER_OF(core, struct fetcher_runtime, core);
}

static struct fetcher_runtime *find_or_create(struct replica_manager *manager, int32_t broker_id) {
    struct fetcher_runtime *fetcher = NULL;
    HASH_FIND(hh, manager->fetchers, &broker_id, sizeof broker_id, fetcher);
    if (fetcher != NULL) {
        return fetcher;
    }
    fetcher = xcalloc(1, sizeof *fetcher);
    fetcher->manager = manager;
    fetcher->broker_id = broker_id;
    fetcher_init(&fetcher->core, broker_id, manager->config.fetch_backoff_ms);
    arena_init(&fetcher->arena, SIZE_MAX);
    fetcher->call = xcalloc(1, sizeof *fetcher->call);
    fetcher->call->fetcher = fetcher;
    snprintf(fetcher->client_id, sizeof fetcher->client_id, "broker-%d-fetcher-0", broker_id);
    HASH_ADD(hh, manager->fetchers, broker_id, sizeof fetcher->broker_id, fetcher);
    return fetcher;
}

/* As far as we have heard: until its leader has answered, a throttle must not hold back a follower that is. */
static bool is_in_sync(const struct partition_runtime *partition) {
    const struct image_partition *known =
        image_partition(partition->manager->image, str_from(partition->topic), partition->index);
    for (int32_t i = 0; known != NULL && i < known->isr_count; i++) {
        if (known->isr[i] == partition->manager->config.broker_id) {
            return true;
        }
    }
    return false;
}

void fetcher_runtime_add(struct replica_manager *manager, struct partition_runtime *partition) {
    struct fetch_position position = partition_runtime_position(partition);
    if (log_latest_epoch(partition->log) < 0 && position.offset > partition->core.high_watermark) {
        /* A log without epochs (older than message format 2) has only the high watermark to go back to. */
        if (!partition_runtime_truncate(partition, partition->core.high_watermark)) {
            return;
        }
        position = partition_runtime_position(partition);
    }
    struct fetcher_runtime *fetcher = find_or_create(manager, partition->core.leader);
    fetcher_add(&fetcher->core, &partition->fetch, str_from(partition->topic), partition->topic_id, partition->index,
                partition->core.leader_epoch, &position);
    partition->fetch.is_caught_up = is_in_sync(partition);
    fetcher->has_doubts = fetcher->has_doubts || log_doubtful_from(partition->log) >= 0;
    kick(fetcher);
}

void fetcher_runtime_remove(struct partition_runtime *partition) {
    fetcher_remove(&partition->fetch);
}

void fetcher_runtime_start_all(struct replica_manager *manager) {
    for (struct fetcher_runtime *at = manager->fetchers; at != NULL; at = at->hh.next) {
        kick(at);
    }
}

static void abandon_offset_calls(struct replica_manager *manager) {
    while (manager->offset_calls != NULL) {
        struct offset_call *call = manager->offset_calls;
        manager->offset_calls = call->next;
        call->manager = NULL;
        call->link = NULL;
        call->next = NULL;
    }
}

void fetcher_runtime_destroy_all(struct replica_manager *manager) {
    struct fetcher_runtime *fetcher = NULL;
    struct fetcher_runtime *after = NULL;
    abandon_offset_calls(manager);
    HASH_ITER(hh, manager->fetchers, fetcher, after) {
        HASH_DEL(manager->fetchers, fetcher);
        timer_stop(manager->clock, &fetcher->timer);
        if (fetcher->is_under_way) {
            fetcher->call->fetcher = NULL;
        } else {
            free(fetcher->call);
        }
        fetcher_deinit(&fetcher->core);
        arena_deinit(&fetcher->arena);
        free(fetcher->buffer);
        free(fetcher);
    }
}

/* ---- Sending ---- */

static void fill_named(struct fetcher_runtime *fetcher, struct fetch_request *request) {
    struct fetcher_partition *at = fetcher_named_first(&fetcher->core, &fetcher->plan);
    int32_t count = 0;
    for (struct fetcher_partition *p = at; p != NULL; p = fetcher_named_next(p, &fetcher->plan)) {
        count++;
    }
    struct fetch_request_fetch_topic *topics = ARENA_ARRAY(&fetcher->arena, struct fetch_request_fetch_topic, count);
    struct fetch_request_fetch_partition *parts =
        ARENA_ARRAY(&fetcher->arena, struct fetch_request_fetch_partition, count);
    request->topics = topics;
    /* Neighbours of one topic share its entry, as Kafka's requests do. */
    struct fetch_request_fetch_topic *topic = NULL;
    for (; at != NULL; at = fetcher_named_next(at, &fetcher->plan)) {
        if (topic == NULL || !str_equal(topic->topic, at->topic)) {
            topic = &topics[request->topics_count++];
            fetch_request_fetch_topic_init(topic);
            topic->topic = at->topic;
            topic->topic_id = at->key.topic_id;
            topic->partitions = parts;
        }
        fetch_request_fetch_partition_init(parts);
        parts->partition = at->key.partition;
        parts->current_leader_epoch = at->leader_epoch;
        parts->fetch_offset = at->position.offset;
        parts->last_fetched_epoch = at->position.last_fetched_epoch;
        parts->log_start_offset = at->position.log_start_offset;
        parts->partition_max_bytes = at->max_bytes;
        topic->partitions_count++;
        parts++;
    }
}

static void forget(struct fetcher_runtime *fetcher, struct fetch_request *request, struct str topic,
                   const struct fetcher_key *key) {
    struct fetch_request_forgotten_topic *to = &request->forgotten_topics_data[request->forgotten_topics_data_count++];
    fetch_request_forgotten_topic_init(to);
    to->topic = topic;
    to->topic_id = key->topic_id;
    to->partitions = ARENA_ARRAY(&fetcher->arena, int32_t, 1);
    to->partitions[0] = key->partition;
    to->partitions_count = 1;
}

static void fill_forgotten(struct fetcher_runtime *fetcher, struct fetch_request *request) {
    int32_t count = 0;
    for (struct fetcher_forgotten *f = fetcher->core.forgotten; f != NULL; f = f->next) {
        count++;
    }
    struct fetcher_partition *leaving = fetcher_leaving_first(&fetcher->core, &fetcher->plan);
    for (struct fetcher_partition *p = leaving; p != NULL; p = fetcher_leaving_next(p)) {
        count++;
    }
    if (fetcher->plan.is_full || count == 0) {
        return;
    }
    request->forgotten_topics_data = ARENA_ARRAY(&fetcher->arena, struct fetch_request_forgotten_topic, count);
    for (struct fetcher_forgotten *f = fetcher->core.forgotten; f != NULL; f = f->next) {
        forget(fetcher, request, str_from(f->topic), &f->key);
    }
    for (struct fetcher_partition *p = leaving; p != NULL; p = fetcher_leaving_next(p)) {
        forget(fetcher, request, p->topic, &p->key);
    }
}

static void fill_request(struct fetcher_runtime *fetcher, struct fetch_request *request) {
    const struct replica_manager_config *config = &fetcher->manager->config;
    fetch_request_init(request);
    if (fetcher->plan.uses_topic_ids) {
        request->replica_state.replica_id = config->broker_id;
        request->replica_state.replica_epoch = fetcher->manager->broker_epoch;
    } else {
        request->replica_id = config->broker_id;
    }
    request->max_wait_ms = (int32_t)config->fetch_wait_max_ms;
    request->min_bytes = config->fetch_min_bytes;
    request->max_bytes = config->fetch_response_max_bytes;
    request->session_id = fetcher->plan.session_id;
    request->session_epoch = fetcher->plan.session_epoch;
    fill_named(fetcher, request);
    fill_forgotten(fetcher, request);
}

static uint8_t *room(struct fetcher_runtime *fetcher, size_t size) {
    if (size > fetcher->buffer_size) {
        fetcher->buffer = xrealloc(fetcher->buffer, size);
        fetcher->buffer_size = size;
    }
    return fetcher->buffer;
}

static const struct image_endpoint *endpoint_of(const struct replica_manager *manager, int32_t broker_id) {
    const struct image_broker *broker = image_broker(manager->image, broker_id);
    return broker == NULL ? NULL : image_broker_endpoint(broker, manager->config.inter_broker_listener);
}

static void on_fetch_answer(void *context, int error, const uint8_t *body, size_t body_size);

static void send_fetch(struct fetcher_runtime *fetcher, const struct image_endpoint *endpoint) {
    struct replica_manager *manager = fetcher->manager;
    struct fetch_request request;
    arena_reset(&fetcher->arena, SIZE_MAX);
    fetcher_plan(&fetcher->core, &fetcher->plan);
    int16_t version = fetcher->plan.uses_topic_ids ? FETCH_VERSION_BY_ID : FETCH_VERSION_BY_NAME;
    fill_request(fetcher, &request);
    size_t size = fetch_request_encoded_size(&request, version);
    struct encoder e = encoder_of(room(fetcher, size), size);
    fetch_request_encode(&request, version, &e);
    CHECK(!e.w.failed);
    fetcher_on_sent(&fetcher->core, &fetcher->plan);
    fetcher->is_under_way = true;
    transport_send(manager->transport, &(struct transport_request){.broker_id = fetcher->broker_id,
                                                                   .channel = CHANNEL_FETCH,
                                                                   .host = endpoint->host,
                                                                   .port = endpoint->port,
                                                                   .api_key = API_FETCH,
                                                                   .api_version = version,
                                                                   .client_id = fetcher->client_id,
                                                                   .body = fetcher->buffer,
                                                                   .body_size = size,
                                                                   .timeout_ms = manager->config.socket_timeout_ms,
                                                                   .on_answer = on_fetch_answer,
                                                                   .context = fetcher->call});
}

/* ---- Throttling ---- */

static bool is_throttled(const struct fetcher_partition *at) {
    const struct partition_runtime *partition = CONTAINER_OF(at, struct partition_runtime, fetch);
    return partition->throttle.is_follower && !at->is_caught_up;
}

/* Shares what may be taken now among those that will be named and are behind; whoever gets nothing waits. In the order
 * of their turns, so that each comes to be first. */
static void share_allowance(struct fetcher_runtime *fetcher, int64_t now_ms) {
    struct throttle *throttle = &fetcher->manager->follower_throttle;
    struct fetcher_plan plan;
    fetcher_plan(&fetcher->core, &plan);
    bool is_on = throttle_is_on(throttle);
    int64_t left = throttle_allowance(throttle, now_ms);
    struct fetcher_partition *next = NULL;
    for (struct fetcher_partition *at = fetcher_named_first(&fetcher->core, &plan); at != NULL; at = next) {
        next = fetcher_named_next(at, &plan);
        at->is_counted = is_on && is_throttled(at);
        at->max_bytes = fetcher->manager->config.fetch_max_bytes;
        if (!at->is_counted) {
            continue;
        }
        if (left <= 0) {
            fetcher_delay_until(at, now_ms + MAX(throttle_wait_ms(throttle), 1));
            continue;
        }
        at->max_bytes = (int32_t)MIN((int64_t)at->max_bytes, left);
        left -= at->max_bytes;
    }
}

static void resume(struct partition_runtime *partition) {
    struct fetch_position position = partition_runtime_position(partition);
    fetcher_move(&partition->fetch, &position);
}

/* Whether the controller may elect us. What it told us with our role holds until it tells of another set under the same
 * epoch; nobody joins that set who has not fetched. */
static bool may_be_elected(const struct partition_runtime *partition) {
    const struct image_partition *known =
        image_partition(partition->manager->image, str_from(partition->topic), partition->index);
    bool has_left = known != NULL && known->leader_epoch == partition->core.leader_epoch && !is_in_sync(partition);
    return partition->was_in_sync && !has_left;
}

/* Before the leader hears of our log end: who is in the in-sync set might be elected without what it cut off, so it
 * asks for nothing until its leader has taken it out for that; anybody else cuts, and asks for what may be missing
 * (README.md, "Holes"). */
static void settle_doubts(struct fetcher_runtime *fetcher, int64_t now_ms) {
    struct fetcher_partition *at = NULL;
    struct fetcher_partition *after = NULL;
    bool has_doubts = false;
    DL_FOREACH_SAFE(fetcher->core.all, at, after) {
        struct partition_runtime *partition = CONTAINER_OF(at, struct partition_runtime, fetch);
        int64_t doubtful = log_doubtful_from(partition->log);
        if (doubtful < 0) {
            continue;
        }
        has_doubts = has_doubts || at->state != FETCHER_FETCHING || may_be_elected(partition);
        if (at->state == FETCHER_FETCHING && may_be_elected(partition)) {
            fetcher_delay(at, now_ms);
        } else if (at->state == FETCHER_FETCHING) {
            trace_warn(AREA, "%s-%d: records may be missing from %lld on since the last crash; fetching them again",
                       partition->topic, partition->index, (long long)doubtful);
            if (partition_runtime_truncate(partition, doubtful)) {
                resume(partition);
                log_move_runtime_look(partition);
            }
        }
    }
    fetcher->has_doubts = has_doubts;
}

static void on_timer(struct timer *timer) {
    struct fetcher_runtime *fetcher = CONTAINER_OF(timer, struct fetcher_runtime, timer);
    struct replica_manager *manager = fetcher->manager;
    int64_t now_ms = clock_now_ms(manager->clock);
    int64_t wake_ms = INT64_MAX;
    if (!manager->is_started) {
        return;
    }
    enum fetcher_turn turn = fetcher_turn(&fetcher->core, now_ms, &wake_ms);
    if (turn == FETCHER_SEND && fetcher->has_doubts) {
        settle_doubts(fetcher, now_ms);
        turn = fetcher_turn(&fetcher->core, now_ms, &wake_ms);
    }
    if (turn == FETCHER_SEND) {
        share_allowance(fetcher, now_ms);
        turn = fetcher_turn(&fetcher->core, now_ms, &wake_ms);
    }
    const struct image_endpoint *endpoint = endpoint_of(manager, fetcher->broker_id);
    if (turn == FETCHER_SEND && endpoint != NULL) {
        send_fetch(fetcher, endpoint);
        return;
    }
    if (turn == FETCHER_SEND) {
        /* Not alive as far as we know; the controller will name another leader, or it comes back. */
        fetcher_on_failed(&fetcher->core, now_ms);
        wake_ms = fetcher->core.quiet_until_ms;
    }
    if (wake_ms != INT64_MAX) {
        timer_start(manager->clock, timer, wake_ms - now_ms, on_timer);
    }
}

/* ---- Offsets out of range ---- */

static void on_offset_answer(void *context, int error, const uint8_t *body, size_t body_size);

static void ask_offset(struct partition_runtime *partition, int64_t leader_end) {
    struct replica_manager *manager = partition->manager;
    const struct image_endpoint *endpoint = endpoint_of(manager, partition->core.leader);
    struct list_offsets_request request;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition part;
    uint8_t body[TOPIC_NAME_MAX + 100];
    if (endpoint == NULL) {
        fetcher_delay(&partition->fetch, clock_now_ms(manager->clock));
        return;
    }
    list_offsets_request_init(&request);
    list_offsets_request_list_offsets_topic_init(&topic);
    list_offsets_request_list_offsets_partition_init(&part);
    request.replica_id = manager->config.broker_id;
    request.topics = &topic;
    request.topics_count = 1;
    topic.name = str_from(partition->topic);
    topic.partitions = &part;
    topic.partitions_count = 1;
    part.partition_index = partition->index;
    part.current_leader_epoch = partition->core.leader_epoch;
    part.timestamp = leader_end < 0 ? TIMESTAMP_LATEST : TIMESTAMP_EARLIEST;
    struct encoder e = encoder_of(body, sizeof body);
    list_offsets_request_encode(&request, LIST_OFFSETS_VERSION, &e);
    CHECK(!e.w.failed);
    struct offset_call *call = xcalloc(1, sizeof *call);
    call->manager = manager;
    call->topic = xstrdup(partition->topic);
    call->index = partition->index;
    call->leader_epoch = partition->core.leader_epoch;
    call->leader_end = leader_end;
    call->next = manager->offset_calls;
    call->link = &manager->offset_calls;
    if (call->next != NULL) {
        call->next->link = &call->next;
    }
    manager->offset_calls = call;
    transport_send(manager->transport,
                   &(struct transport_request){.broker_id = partition->core.leader,
                                               .channel = CHANNEL_FETCH,
                                               .host = endpoint->host,
                                               .port = endpoint->port,
                                               .api_key = API_LIST_OFFSETS,
                                               .api_version = LIST_OFFSETS_VERSION,
                                               .client_id = fetcher_of(partition->fetch.fetcher)->client_id,
                                               .body = body,
                                               .body_size = writer_size(&e.w),
                                               .timeout_ms = manager->config.socket_timeout_ms,
                                               .on_answer = on_offset_answer,
                                               .context = call});
}

/* The one offset of the answer; a Kafka error otherwise. */
static int16_t decode_offset(const uint8_t *body, size_t body_size, int64_t *ret_offset) {
    struct reader r = reader_of(body, body_size);
    struct list_offsets_response response;
    struct arena arena;
    int16_t error = KAFKA_UNKNOWN_SERVER_ERROR;
    arena_init(&arena, ANSWER_BUDGET(body_size));
    if (list_offsets_response_decode(&r, LIST_OFFSETS_VERSION, &arena, &response) == 0 && response.topics_count == 1 &&
        response.topics[0].partitions_count == 1) {
        error = response.topics[0].partitions[0].error_code;
        *ret_offset = response.topics[0].partitions[0].offset;
    }
    arena_deinit(&arena);
    return error;
}

static void resolve(struct partition_runtime *partition, int64_t leader_end, int64_t leader_start) {
    int64_t offset = 0;
    switch (fetcher_resolution(log_end_offset(partition->log), leader_end, leader_start, &offset)) {
    case RESOLUTION_TRUNCATE:
        if (partition_runtime_truncate(partition, offset)) {
            resume(partition);
        }
        break;
    case RESOLUTION_ASK_START: ask_offset(partition, leader_end); break;
    case RESOLUTION_RESTART:
        if (partition_runtime_restart_at(partition, offset)) {
            resume(partition);
        }
        break;
    case RESOLUTION_CONTINUE:
        /* The leader has our offset by now, as it grew. */
        resume(partition);
        break;
    }
}

static void offset_call_destroy(struct offset_call *call) {
    if (call->link != NULL) {
        *call->link = call->next;
        if (call->next != NULL) {
            call->next->link = call->link;
        }
    }
    free(call->topic);
    free(call);
}

static void on_offset_answer(void *context, int error, const uint8_t *body, size_t body_size) {
    struct offset_call *call = context;
    struct partition_runtime *partition =
        call->manager == NULL ? NULL : replica_manager_find(call->manager, str_from(call->topic), call->index);
    if (partition != NULL && !partition->is_offline && partition->fetch.fetcher != NULL &&
        partition->fetch.state == FETCHER_RESOLVING && partition->core.leader_epoch == call->leader_epoch) {
        struct fetcher_runtime *fetcher = fetcher_of(partition->fetch.fetcher);
        int64_t offset = -1;
        int16_t kafka_error = error != 0 ? KAFKA_NETWORK_EXCEPTION : decode_offset(body, body_size, &offset);
        if (kafka_error == KAFKA_FENCED_LEADER_EPOCH) {
            fetcher_park(&partition->fetch);
        } else if (kafka_error != KAFKA_NONE || offset < 0) {
            fetcher_delay(&partition->fetch, clock_now_ms(call->manager->clock));
        } else if (call->leader_end < 0) {
            resolve(partition, offset, -1);
        } else {
            resolve(partition, call->leader_end, offset);
        }
        kick(fetcher);
    }
    offset_call_destroy(call);
}

/* ---- Answers ---- */

/* The leader's log may begin in the middle of a batch (DeleteRecords), and it sends batches whole: a log that is empty,
 * or has nothing but what the leader no longer has, and waits for that offset begins with the batch, and its start is
 * raised again behind it. False when that is not so. */
static bool begin_with_batch(struct partition_runtime *partition, const struct records *records, int64_t leader_start) {
    struct record_batch first;
    int64_t end = log_end_offset(partition->log);
    int64_t start = log_start_offset(partition->log);
    return (start == end || fetcher_keeps_nothing(end, start, leader_start)) &&
           record_batch_decode(records->data, (size_t)records->size, &first) == 0 && first.base_offset < end &&
           first.last_offset >= end && partition_runtime_restart_at(partition, first.base_offset);
}

/* Appends what came; false when there is nothing to go on with now. */
static bool append_records(struct partition_runtime *partition, const struct fetch_response_partition_data *data) {
    const struct records *records = &data->records;
    struct log_append_info info;
    if (records->size <= 0) {
        return true;
    }
    struct slice bytes = {records->data, records->size};
    int error = log_append_as_follower(partition->log, bytes, &info);
    if (error == ERR_INVALID && begin_with_batch(partition, records, data->log_start_offset)) {
        error = log_append_as_follower(partition->log, bytes, &info);
    }
    if (partition->is_offline) {
        return false; /* its directory failed while it was to begin anew */
    }
    if (error == ERR_INVALID || error == ERR_CORRUPT) {
        trace_warn(AREA, "%s-%d: records from broker %d at offset %lld not appended: %s", partition->topic,
                   partition->index, partition->core.leader, (long long)partition->fetch.position.offset,
                   error_text(error));
        fetcher_delay(&partition->fetch, clock_now_ms(partition->manager->clock));
        return false;
    }
    if (error != 0) {
        partition_runtime_fail(partition, error);
        return false;
    }
    partition_runtime_count_appended(partition, false, 0, records->size);
    return true;
}

/* A log that ends where its leader's begins may hold records of epochs that the leader has forgotten, and nobody finds
 * anything wrong with that: hidden behind the leader's start, they would be seen again after a crash. False when the
 * partition went offline. */
static bool leave_what_leader_forgot(struct partition_runtime *partition, int64_t leader_start) {
    const struct log *log = partition->log;
    return log_end_offset(log) != leader_start ||
           !fetcher_keeps_nothing(log_end_offset(log), log_start_offset(log), leader_start) ||
           partition_runtime_start_at_end(partition);
}

/* Rule 19 and M7: records, then the high watermark, then the log start, so that each lies in what came before. */
static void take_answer(struct partition_runtime *partition, const struct fetch_response_partition_data *data) {
    if (partition->fetch.is_counted) {
        throttle_record(&partition->manager->follower_throttle, MAX(data->records.size, 0));
    }
    if (!leave_what_leader_forgot(partition, data->log_start_offset) || !append_records(partition, data)) {
        return;
    }
    partition->fetch.is_caught_up = log_end_offset(partition->log) >= data->high_watermark;
    partition_runtime_sync_start(partition);
    struct partition_event event = partition_runtime_event(partition, PARTITION_FOLLOWER_FETCHED);
    event.log.log_end = log_end_offset(partition->log);
    event.log.leader_high_watermark = data->high_watermark;
    if (partition_runtime_apply(partition, &event) &&
        partition_runtime_raise_start(partition, data->log_start_offset)) {
        resume(partition);
    }
}

static void take_divergence(struct partition_runtime *partition, const struct fetch_response_partition_data *data) {
    const struct fetch_response_epoch_end_offset *end = &data->diverging_epoch;
    struct log_epoch_end own = log_epoch_end_offset(partition->log, end->epoch);
    int64_t log_end = log_end_offset(partition->log);
    int64_t offset = fetcher_truncation(end->epoch, end->end_offset, own.epoch, own.end_offset, log_end);
    int32_t latest_epoch = log_latest_epoch(partition->log);
    bool keeps_nothing = fetcher_keeps_nothing(offset, log_start_offset(partition->log), data->log_start_offset);
    if (!fetcher_may_cut(keeps_nothing ? data->log_start_offset : offset, partition->core.high_watermark,
                         data->high_watermark, is_in_sync(partition))) {
        trace_info(AREA, "%s-%d: leader %d shares nothing from %lld on with us, who are in sync up to %lld; waiting",
                   partition->topic, partition->index, partition->core.leader, (long long)offset,
                   (long long)partition->core.high_watermark);
        fetcher_delay(&partition->fetch, clock_now_ms(partition->manager->clock));
        return;
    }
    if (keeps_nothing) {
        if (partition_runtime_restart_at(partition, data->log_start_offset)) {
            resume(partition);
        }
        return;
    }
    if (offset >= log_end) {
        /* No record is foreign, but an epoch may be: we led, noted where our epoch begins and appended nothing
         * (KAFKA-10706). Without it we ask again with the epoch before. */
        if (!partition_runtime_truncate(partition, log_end)) {
            return;
        }
        if (log_latest_epoch(partition->log) != latest_epoch) {
            resume(partition);
            return;
        }
        /* Nothing would change by it, so that asking again at once would turn in a circle. */
        trace_warn(AREA, "%s-%d: leader %d says that epoch %d ends at %lld; our log [%lld, %lld) is no longer",
                   partition->topic, partition->index, partition->core.leader, end->epoch, (long long)end->end_offset,
                   (long long)log_start_offset(partition->log), (long long)log_end);
        fetcher_delay(&partition->fetch, clock_now_ms(partition->manager->clock));
        return;
    }
    if (partition_runtime_truncate(partition, offset)) {
        resume(partition);
    }
}

static void take_partition(struct partition_runtime *partition, const struct fetch_response_partition_data *data) {
    const struct fetch_answer answer = {.error_code = data->error_code,
                                        .is_diverging = data->diverging_epoch.epoch >= 0};
    switch (fetcher_judge(&partition->fetch, &answer)) {
    case FETCH_IGNORE: break;
    case FETCH_APPEND: take_answer(partition, data); break;
    case FETCH_TRUNCATE:
#ifdef MUTANT_M7 /* the high watermark before the truncation */
    {
        struct partition_event event = partition_runtime_event(partition, PARTITION_FOLLOWER_FETCHED);
        event.log.log_end = log_end_offset(partition->log);
        event.log.leader_high_watermark = data->high_watermark;
        partition_runtime_apply(partition, &event);
    }
#endif
        take_divergence(partition, data);
        break;
    case FETCH_RESOLVE:
        trace_warn(AREA, "%s-%d: offset %lld is out of range at leader %d", partition->topic, partition->index,
                   (long long)partition->fetch.position.offset, partition->core.leader);
        fetcher_resolve(&partition->fetch);
        ask_offset(partition, -1);
        break;
    case FETCH_PARK:
        trace_warn(AREA, "%s-%d: leader %d has a newer epoch than %d; waiting for the controller's word",
                   partition->topic, partition->index, partition->core.leader, partition->core.leader_epoch);
        fetcher_park(&partition->fetch);
        break;
    case FETCH_RETRY:
        trace_info(AREA, "%s-%d: leader %d answers %s; trying again", partition->topic, partition->index,
                   partition->core.leader, kafka_error_name(data->error_code));
        fetcher_delay(&partition->fetch, clock_now_ms(partition->manager->clock));
        break;
    }
}

static struct partition_runtime *partition_of(struct fetcher_runtime *fetcher,
                                              const struct fetch_response_fetchable_topic_response *topic,
                                              int32_t index) {
    if (!fetcher->plan.uses_topic_ids) {
        struct partition_runtime *partition = replica_manager_find(fetcher->manager, topic->topic, index);
        return partition != NULL && partition->fetch.fetcher == &fetcher->core ? partition : NULL;
    }
    struct fetcher_partition *found = fetcher_find(&fetcher->core, topic->topic_id, index);
    return found == NULL ? NULL : CONTAINER_OF(found, struct partition_runtime, fetch);
}

static void take_response(struct fetcher_runtime *fetcher, const struct fetch_response *response, int64_t now_ms) {
    if (!fetcher_on_answer(&fetcher->core, response->error_code, response->session_id, now_ms)) {
        trace_info(AREA, "Fetch session with broker %d: %s; beginning a new one", fetcher->broker_id,
                   kafka_error_name(response->error_code));
        return;
    }
    for (int32_t i = 0; i < response->responses_count; i++) {
        const struct fetch_response_fetchable_topic_response *topic = &response->responses[i];
        for (int32_t k = 0; k < topic->partitions_count; k++) {
            struct partition_runtime *partition = partition_of(fetcher, topic, topic->partitions[k].partition_index);
            if (partition != NULL) {
                take_partition(partition, &topic->partitions[k]);
            }
        }
    }
}

static void on_fetch_answer(void *context, int error, const uint8_t *body, size_t body_size) {
    struct fetch_call *call = context;
    struct fetcher_runtime *fetcher = call->fetcher;
    if (fetcher == NULL) {
        free(call);
        return;
    }
    int64_t now_ms = clock_now_ms(fetcher->manager->clock);
    int16_t version = fetcher->plan.uses_topic_ids ? FETCH_VERSION_BY_ID : FETCH_VERSION_BY_NAME;
    struct fetch_response response;
    fetcher->is_under_way = false;
    arena_reset(&fetcher->arena, error == 0 ? ANSWER_BUDGET(body_size) : 0);
    if (error == 0) {
        struct reader r = reader_of(body, body_size);
        error = fetch_response_decode(&r, version, &fetcher->arena, &response);
    }
    if (error != 0) {
        trace_info(AREA, "Fetch from broker %d failed: %s", fetcher->broker_id, error_text(error));
        fetcher_on_failed(&fetcher->core, now_ms);
    } else {
        take_response(fetcher, &response, now_ms);
    }
    kick(fetcher);
}
