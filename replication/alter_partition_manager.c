/* Queue, one request in flight, retry. The partition core decides what an answer means for its partition. */
#include "replication/alter_partition_manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/alter_partition.h"
#include "replication/replica_manager_internal.h"

#define AREA "kafka.server.DefaultAlterPartitionManager"

#define VERSION_BY_ID 3
#define VERSION_BY_NAME 1
/* After a failed request, as Kafka; twice as long after every one that follows, up to what Kafka's clients wait at most
 * (retry.backoff.max.ms): whoever is not registered is refused until it is. */
#define RETRY_MS 50
#define RETRY_MS_MAX 1000
/* Changes in one request; the others go with the next. Keeps a request well below socket.request.max.bytes. */
#define ITEMS_MAX 4096

struct alter_partition_manager {
    struct replica_manager *manager;
    struct alter_partition_item *queue;
    struct alter_partition_item *in_flight; /* uthash by key */
    struct alter_call *call;
    int16_t version; /* of the request in flight */
    struct timer timer;
    int64_t retry_ms; /* to wait after the next failure */
    /* Why the last request failed as a whole, and said so: 0 and none when it did not. */
    int told_error;
    int16_t told_error_code;
};

/* The context of the request in flight; NULL when the manager has gone meanwhile. */
struct alter_call {
    struct alter_partition_manager *alter;
};

static void on_timer(struct timer *timer);

static struct partition_runtime *partition_of(struct alter_partition_item *item) {
    return CONTAINER_OF(item, struct partition_runtime, alter);
}

struct alter_partition_manager *alter_partition_manager_create(struct replica_manager *manager) {
    struct alter_partition_manager *alter = xcalloc(1, sizeof *alter);
    alter->manager = manager;
    alter->retry_ms = RETRY_MS;
    return alter;
}

void alter_partition_manager_destroy(struct alter_partition_manager *alter) {
    CHECK(alter->queue == NULL && alter->in_flight == NULL);
    timer_stop(alter->manager->clock, &alter->timer);
    if (alter->call != NULL) {
        alter->call->alter = NULL;
    }
    free(alter);
}

static void schedule(struct alter_partition_manager *alter, int64_t after_ms) {
    if (alter->call == NULL && alter->queue != NULL && !timer_is_running(&alter->timer)) {
        timer_start(alter->manager->clock, &alter->timer, after_ms, on_timer);
    }
}

void alter_partition_manager_submit(struct alter_partition_manager *alter, struct partition_runtime *partition) {
    struct alter_partition_item *item = &partition->alter;
    if (item->state == ALTER_IN_FLIGHT) {
        item->is_changed_meanwhile = true;
    } else if (item->state == ALTER_NONE) {
        item->state = ALTER_QUEUED;
        DL_APPEND(alter->queue, item);
        schedule(alter, 0);
    }
}

void alter_partition_manager_withdraw(struct alter_partition_manager *alter, struct partition_runtime *partition) {
    struct alter_partition_item *item = &partition->alter;
    if (item->state == ALTER_QUEUED) {
        DL_DELETE(alter->queue, item);
    } else if (item->state == ALTER_IN_FLIGHT) {
        HASH_DEL(alter->in_flight, item);
    }
    item->state = ALTER_NONE;
    item->is_changed_meanwhile = false;
}

void alter_partition_manager_hurry(struct alter_partition_manager *alter) {
    alter->retry_ms = RETRY_MS;
    if (timer_is_running(&alter->timer)) {
        timer_start(alter->manager->clock, &alter->timer, 0, on_timer);
    }
}

/* ---- Sending ---- */

static bool is_pending(const struct partition_runtime *partition) {
    return partition->core.role == PARTITION_LEADER && !isr_is_settled(&partition->core.isr) &&
           !partition->core.isr.is_parked;
}

/* What is sent again says nothing new. */
static void note_proposal(struct alter_partition_item *item, const struct partition_runtime *partition) {
    const struct isr *isr = &partition->core.isr;
    if (item->proposal != isr->proposal) {
        trace_info(AREA, "%s-%d: proposing an in-sync set of %d instead of %d at partition epoch %d", partition->topic,
                   partition->index, isr->proposed.count, isr->committed.count, partition->core.partition_epoch);
        item->proposal = isr->proposal;
        item->told_error_code = KAFKA_NONE;
    }
}

/* Moves the first ITEMS_MAX queued changes that still stand into flight; their count. */
static int32_t take_off(struct alter_partition_manager *alter) {
    struct alter_partition_item *item = NULL;
    struct alter_partition_item *after = NULL;
    int32_t count = 0;
    alter->version = VERSION_BY_ID;
    DL_FOREACH_SAFE(alter->queue, item, after) {
        struct partition_runtime *partition = partition_of(item);
        if (count == ITEMS_MAX) {
            break;
        }
        DL_DELETE(alter->queue, item);
        item->state = ALTER_NONE;
        item->is_changed_meanwhile = false;
        if (!is_pending(partition)) {
            continue;
        }
        memset(&item->key, 0, sizeof item->key);
        item->key.topic_id = partition->topic_id;
        item->key.partition = partition->index;
        note_proposal(item, partition);
        item->state = ALTER_IN_FLIGHT;
        HASH_ADD(hh, alter->in_flight, key, sizeof item->key, item);
        alter->version = uuid_is_zero(partition->topic_id) ? VERSION_BY_NAME : alter->version;
        count++;
    }
    return count;
}

static void fill_partition(struct arena *arena, int16_t version, const struct partition_runtime *partition,
                           struct alter_partition_request_partition_data *to) {
    const struct replica_list *isr = &partition->core.isr.proposed;
    alter_partition_request_partition_data_init(to);
    to->partition_index = partition->index;
    to->leader_epoch = partition->core.leader_epoch;
    to->partition_epoch = partition->core.partition_epoch;
    if (version >= VERSION_BY_ID) {
        to->new_isr_with_epochs = ARENA_ARRAY(arena, struct alter_partition_request_broker_state, isr->count);
        to->new_isr_with_epochs_count = isr->count;
        for (int32_t i = 0; i < isr->count; i++) {
            alter_partition_request_broker_state_init(&to->new_isr_with_epochs[i]);
            const struct replica_state *remote = partition_replica(&partition->core, isr->ids[i]);
            to->new_isr_with_epochs[i].broker_id = isr->ids[i];
            to->new_isr_with_epochs[i].broker_epoch =
                isr_member_epoch(&partition->core.isr, isr->ids[i], remote == NULL ? -1 : remote->replica_epoch);
        }
        return;
    }
    to->new_isr = ARENA_ARRAY(arena, int32_t, isr->count);
    to->new_isr_count = isr->count;
    for (int32_t i = 0; i < isr->count; i++) {
        to->new_isr[i] = isr->ids[i];
    }
}

static void fill_request(struct alter_partition_manager *alter, struct arena *arena, int32_t count,
                         struct alter_partition_request *request) {
    struct alter_partition_request_partition_data *parts =
        ARENA_ARRAY(arena, struct alter_partition_request_partition_data, count);
    struct alter_partition_request_topic_data *topic = NULL;
    alter_partition_request_init(request);
    request->broker_id = alter->manager->config.broker_id;
    request->broker_epoch = alter->manager->broker_epoch;
    request->topics = ARENA_ARRAY(arena, struct alter_partition_request_topic_data, count);
    for (struct alter_partition_item *item = alter->in_flight; item != NULL; item = item->hh.next) {
        const struct partition_runtime *partition = partition_of(item);
        if (topic == NULL || !str_equal_text(topic->topic_name, partition->topic)) {
            topic = &request->topics[request->topics_count++];
            alter_partition_request_topic_data_init(topic);
            topic->topic_name = str_from(partition->topic);
            topic->topic_id = partition->topic_id;
            topic->partitions = parts;
        }
        fill_partition(arena, alter->version, partition, parts);
        topic->partitions_count++;
        parts++;
    }
}

static void on_alter_answer(void *context, int error, const uint8_t *body, size_t body_size);

static void send_request(struct alter_partition_manager *alter, int32_t controller,
                         const struct image_endpoint *endpoint, int32_t count) {
    struct replica_manager *manager = alter->manager;
    struct alter_partition_request request;
    struct arena arena;
    char client_id[16];
    arena_init(&arena, SIZE_MAX);
    fill_request(alter, &arena, count, &request);
    size_t size = alter_partition_request_encoded_size(&request, alter->version);
    uint8_t *body = arena_alloc(&arena, size);
    struct encoder e = encoder_of(body, size);
    alter_partition_request_encode(&request, alter->version, &e);
    CHECK(!e.w.failed);
    snprintf(client_id, sizeof client_id, "%d", manager->config.broker_id);
    alter->call = xcalloc(1, sizeof *alter->call);
    alter->call->alter = alter;
    transport_send(manager->transport, &(struct transport_request){.broker_id = controller,
                                                                   .channel = CHANNEL_FORWARD,
                                                                   .host = endpoint->host,
                                                                   .port = endpoint->port,
                                                                   .api_key = API_ALTER_PARTITION,
                                                                   .api_version = alter->version,
                                                                   .client_id = client_id,
                                                                   .body = body,
                                                                   .body_size = size,
                                                                   .timeout_ms = manager->config.socket_timeout_ms,
                                                                   .on_answer = on_alter_answer,
                                                                   .context = alter->call});
    arena_deinit(&arena);
}

static void on_timer(struct timer *timer) {
    struct alter_partition_manager *alter = CONTAINER_OF(timer, struct alter_partition_manager, timer);
    struct replica_manager *manager = alter->manager;
    /* The controller is known from UpdateMetadata, not from the coordinator. */
    int32_t controller = image_controller(manager->image);
    const struct image_broker *broker = image_broker(manager->image, controller);
    const struct image_endpoint *endpoint =
        broker == NULL ? NULL : image_broker_endpoint(broker, manager->config.inter_broker_listener);
    if (endpoint == NULL || !manager->is_started) {
        schedule(alter, RETRY_MS);
        return;
    }
    int32_t count = take_off(alter);
    if (count > 0) {
        send_request(alter, controller, endpoint, count);
    }
}

/* ---- Answers ---- */

static void land(struct alter_partition_manager *alter, struct alter_partition_item *item) {
    HASH_DEL(alter->in_flight, item);
    item->state = ALTER_NONE;
}

/* What is left in flight goes into the queue again. */
static void requeue(struct alter_partition_manager *alter) {
    struct alter_partition_item *item = NULL;
    struct alter_partition_item *after = NULL;
    HASH_ITER(hh, alter->in_flight, item, after) {
        land(alter, item);
        item->state = ALTER_QUEUED;
        DL_APPEND(alter->queue, item);
    }
}

static void take_partition(struct alter_partition_manager *alter, struct alter_partition_item *item,
                           const struct alter_partition_response_partition_data *data) {
    struct partition_runtime *partition = partition_of(item);
    struct partition_event event = partition_runtime_event(partition, PARTITION_ISR_ANSWERED);
    bool is_changed_meanwhile = item->is_changed_meanwhile;
    event.isr_answer.proposal = item->proposal;
    event.isr_answer.error_code = data->error_code;
    event.isr_answer.leader_epoch = data->leader_epoch;
    event.isr_answer.partition_epoch = data->partition_epoch;
    if (!replica_list_set(&event.isr_answer.isr, data->isr, MAX(data->isr_count, 0))) {
        event.isr_answer.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (data->error_code == KAFKA_NONE || data->error_code != item->told_error_code) {
        trace_info(AREA, "%s-%d: the controller answers %s, in-sync set of %d at partition epoch %d", partition->topic,
                   partition->index, kafka_error_name(data->error_code), data->isr_count, data->partition_epoch);
        item->told_error_code = data->error_code;
    }
    land(alter, item);
    int32_t in_sync = partition->core.isr.committed.count;
    partition_runtime_apply(partition, &event);
    alter->manager->isr_expands += partition->core.isr.committed.count > in_sync;
    alter->manager->isr_shrinks += partition->core.isr.committed.count < in_sync;
    alter->manager->isr_failures += event.isr_answer.error_code != KAFKA_NONE;
    if (is_changed_meanwhile) {
        alter_partition_manager_submit(alter, partition);
    }
}

static struct alter_partition_item *item_of(struct alter_partition_manager *alter,
                                            const struct alter_partition_response_topic_data *topic, int32_t index) {
    struct alter_partition_item *item = NULL;
    if (alter->version < VERSION_BY_ID) {
        struct partition_runtime *partition = replica_manager_find(alter->manager, topic->topic_name, index);
        return partition != NULL && partition->alter.state == ALTER_IN_FLIGHT ? &partition->alter : NULL;
    }
    struct fetcher_key key;
    memset(&key, 0, sizeof key);
    key.topic_id = topic->topic_id;
    key.partition = index;
    HASH_FIND(hh, alter->in_flight, &key, sizeof key, item);
    return item;
}

/* A request that failed as a whole goes again and again; what it fails for is said once. */
static void tell_failure(struct alter_partition_manager *alter, int error, int16_t error_code) {
    if (error == alter->told_error && error_code == alter->told_error_code) {
        return;
    }
    alter->told_error = error;
    alter->told_error_code = error_code;
    if (error != 0) {
        trace_info(AREA, "AlterPartition failed: %s; trying again", error_text(error));
    } else if (error_code != KAFKA_NONE) {
        trace_info(AREA, "AlterPartition: the controller answers %s; trying again", kafka_error_name(error_code));
    }
}

/* Returns how long the next request waits: not at all when nothing was refused, as little as may be when something was
 * taken, else longer than this one did. */
static int64_t take_response(struct alter_partition_manager *alter, const struct alter_partition_response *response) {
    int32_t taken = 0;
    int32_t refused = 0;
    for (int32_t i = 0; i < response->topics_count; i++) {
        const struct alter_partition_response_topic_data *topic = &response->topics[i];
        for (int32_t k = 0; k < topic->partitions_count; k++) {
            struct alter_partition_item *item = item_of(alter, topic, topic->partitions[k].partition_index);
            if (item != NULL) {
                taken += topic->partitions[k].error_code == KAFKA_NONE;
                refused += topic->partitions[k].error_code != KAFKA_NONE;
                take_partition(alter, item, &topic->partitions[k]);
            }
        }
    }
    bool is_clean = refused == 0 && alter->in_flight == NULL;
    alter->retry_ms = is_clean || taken > 0 ? RETRY_MS : alter->retry_ms;
    return is_clean ? 0 : alter->retry_ms;
}

static void on_alter_answer(void *context, int error, const uint8_t *body, size_t body_size) {
    struct alter_call *call = context;
    struct alter_partition_manager *alter = call->alter;
    struct alter_partition_response response = {0};
    free(call);
    if (alter == NULL) {
        return;
    }
    struct arena arena;
    arena_init(&arena, body_size * 4 + 65536);
    if (error == 0) {
        struct reader r = reader_of(body, body_size);
        error = alter_partition_response_decode(&r, alter->version, &arena, &response);
    }
    int16_t error_code = error == 0 ? response.error_code : KAFKA_NONE;
    bool has_failed = error != 0 || error_code != KAFKA_NONE;
    tell_failure(alter, error, error_code);
    int64_t wait_ms = has_failed ? alter->retry_ms : take_response(alter, &response);
    alter->retry_ms = wait_ms > 0 ? MIN(wait_ms * 2, RETRY_MS_MAX) : RETRY_MS;
    arena_deinit(&arena);
    alter->call = NULL;
    requeue(alter);
    schedule(alter, wait_ms);
}
