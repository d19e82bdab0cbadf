/* One fetcher per leader: a timer that sends when there is something to ask, and its answers, which go on to the
 * partitions (fetcher_runtime_take.c). */
#include "replication/fetcher_runtime_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "replication/log_move_runtime.h"

#define AREA "kafka.server.ReplicaFetcherThread"

/* Fetch versions with topic ids and without (rule 24). */
#define FETCH_VERSION_BY_ID 17
#define FETCH_VERSION_BY_NAME 12

/* The context of requests, which may outlive their fetcher: then that is NULL, and the answer frees it. */
struct fetch_call {
    struct fetcher_runtime *fetcher;
};

static void on_timer(struct timer *timer);

void fetcher_runtime_kick(struct fetcher_runtime *fetcher) {
    if (fetcher->manager->is_started && !fetcher->core.is_in_flight) {
        timer_start(fetcher->manager->clock, &fetcher->timer, 0, on_timer);
    }
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

bool fetcher_runtime_is_in_sync(const struct partition_runtime *partition) {
    const struct image_partition *known =
        image_partition(partition->manager->image, str_from(partition->topic), partition->index);
    for (int32_t i = 0; known != NULL && i < known->isr_count; i++) {
        if (known->isr[i] == partition->manager->config.broker_id) {
            return true;
        }
    }
    return false;
}

void fetcher_runtime_resume(struct partition_runtime *partition) {
    struct fetch_position position = partition_runtime_position(partition);
    fetcher_move(&partition->fetch, &position);
}

void fetcher_runtime_add(struct replica_manager *manager, struct partition_runtime *partition) {
    if (manager->is_leaving && !partition->was_in_sync) {
        return;
    }
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
    partition->fetch.is_caught_up = fetcher_runtime_is_in_sync(partition);
    partition->fetch_failures = (struct repeat){0}; /* of another leader */
    fetcher->has_doubts = fetcher->has_doubts || log_doubtful_from(partition->log) >= 0;
    fetcher_runtime_kick(fetcher);
}

void fetcher_runtime_remove(struct partition_runtime *partition) {
    fetcher_remove(&partition->fetch);
}

void fetcher_runtime_start_all(struct replica_manager *manager) {
    for (struct fetcher_runtime *at = manager->fetchers; at != NULL; at = at->hh.next) {
        fetcher_runtime_kick(at);
    }
}

void fetcher_runtime_destroy_all(struct replica_manager *manager) {
    struct fetcher_runtime *fetcher = NULL;
    struct fetcher_runtime *after = NULL;
    fetcher_runtime_abandon_offset_calls(manager);
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

const struct image_endpoint *fetcher_runtime_endpoint(const struct replica_manager *manager, int32_t broker_id) {
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

/* Whether the controller may elect us. What it told us with our role holds until it tells of another set under the same
 * epoch; nobody joins that set who has not fetched. */
static bool may_be_elected(const struct partition_runtime *partition) {
    const struct image_partition *known =
        image_partition(partition->manager->image, str_from(partition->topic), partition->index);
    bool has_left =
        known != NULL && known->leader_epoch == partition->core.leader_epoch && !fetcher_runtime_is_in_sync(partition);
    return partition->was_in_sync && !has_left;
}

/* Before the leader hears of our log end. Who is in the in-sync set might be elected without what it cut off, so it
 * believes what it has, as Kafka's do; anybody else cuts, and asks for what may be missing (README.md, "Holes"). */
static void settle_doubts(struct fetcher_runtime *fetcher) {
    struct fetcher_partition *at = NULL;
    struct fetcher_partition *after = NULL;
    bool has_doubts = false;
    DL_FOREACH_SAFE(fetcher->core.all, at, after) {
        struct partition_runtime *partition = CONTAINER_OF(at, struct partition_runtime, fetch);
        int64_t doubtful = log_doubtful_from(partition->log);
        if (doubtful < 0) {
            continue;
        }
        if (at->state != FETCHER_FETCHING) {
            has_doubts = true;
        } else if (may_be_elected(partition)) {
            trace_warn(AREA, "%s-%d: records may be missing from %lld on since the last crash; believed, being in sync",
                       partition->topic, partition->index, (long long)doubtful);
            log_believe(partition->log);
            log_move_runtime_look(partition);
        } else {
            trace_warn(AREA, "%s-%d: records may be missing from %lld on since the last crash; fetching them again",
                       partition->topic, partition->index, (long long)doubtful);
            if (partition_runtime_truncate(partition, doubtful)) {
                fetcher_runtime_resume(partition);
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
        settle_doubts(fetcher);
        turn = fetcher_turn(&fetcher->core, now_ms, &wake_ms);
    }
    if (turn == FETCHER_SEND) {
        share_allowance(fetcher, now_ms);
        turn = fetcher_turn(&fetcher->core, now_ms, &wake_ms);
    }
    const struct image_endpoint *endpoint = fetcher_runtime_endpoint(manager, fetcher->broker_id);
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

/* ---- Answers ---- */

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
                fetcher_runtime_take(partition, &topic->partitions[k]);
            }
        }
    }
}

static void tell_failure(struct fetcher_runtime *fetcher, int error, int64_t now_ms) {
    int64_t untold;
    char text[REPEAT_TEXT_SIZE];
    if (repeat_failed(&fetcher->failures, error, now_ms, &untold)) {
        trace_info(AREA, "Fetch from broker %d failed: %s%s", fetcher->broker_id, error_text(error),
                   repeat_text(untold, text));
    }
}

static void tell_success(struct fetcher_runtime *fetcher) {
    int64_t failures = repeat_worked(&fetcher->failures);
    if (failures > 0) {
        trace_info(AREA, "Fetch from broker %d works again (failures: %lld)", fetcher->broker_id, (long long)failures);
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
        tell_failure(fetcher, error, now_ms);
        fetcher_on_failed(&fetcher->core, now_ms);
    } else {
        tell_success(fetcher);
        take_response(fetcher, &response, now_ms);
    }
    /* At once, not in a turn of its own: the leader's clients wait for this fetch. */
    timer_stop(fetcher->manager->clock, &fetcher->timer);
    on_timer(&fetcher->timer);
}
