/* What an answer of the leader does to one partition: records are appended, from the transport's buffer as they are;
 * what diverges is cut off; an offset out of range makes a question of its own (ListOffsets). */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "generated/protocol/list_offsets.h"
#include "replication/fetcher_runtime_internal.h"

#define AREA "kafka.server.ReplicaFetcherThread"

#define LIST_OFFSETS_VERSION 9
#define TIMESTAMP_LATEST (-1)
#define TIMESTAMP_EARLIEST (-2)

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

static struct fetcher_runtime *fetcher_of(struct fetcher *core) {
    return CONTAINER_OF(core, struct fetcher_runtime, core);
}

/* ---- Offsets out of range ---- */

static void on_offset_answer(void *context, int error, const uint8_t *body, size_t body_size);

static void ask_offset(struct partition_runtime *partition, int64_t leader_end) {
    struct replica_manager *manager = partition->manager;
    const struct image_endpoint *endpoint = fetcher_runtime_endpoint(manager, partition->core.leader);
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

void fetcher_runtime_abandon_offset_calls(struct replica_manager *manager) {
    while (manager->offset_calls != NULL) {
        struct offset_call *call = manager->offset_calls;
        manager->offset_calls = call->next;
        call->manager = NULL;
        call->link = NULL;
        call->next = NULL;
    }
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
            fetcher_runtime_resume(partition);
        }
        break;
    case RESOLUTION_ASK_START: ask_offset(partition, leader_end); break;
    case RESOLUTION_RESTART:
        if (partition_runtime_restart_at(partition, offset)) {
            fetcher_runtime_resume(partition);
        }
        break;
    case RESOLUTION_CONTINUE:
        /* The leader has our offset by now, as it grew. */
        fetcher_runtime_resume(partition);
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
        fetcher_runtime_kick(fetcher);
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
        int64_t now_ms = clock_now_ms(partition->manager->clock);
        int64_t untold;
        char text[REPEAT_TEXT_SIZE];
        if (repeat_failed(&partition->fetch_failures, error, now_ms, &untold)) {
            trace_warn(AREA, "%s-%d: records from broker %d at offset %lld not appended: %s%s", partition->topic,
                       partition->index, partition->core.leader, (long long)partition->fetch.position.offset,
                       error_text(error), repeat_text(untold, text));
        }
        fetcher_delay(&partition->fetch, now_ms);
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
    (void)repeat_worked(&partition->fetch_failures);
    partition->fetch.is_caught_up = log_end_offset(partition->log) >= data->high_watermark;
    partition_runtime_sync_start(partition);
    struct partition_event event = partition_runtime_event(partition, PARTITION_FOLLOWER_FETCHED);
    event.log.log_end = log_end_offset(partition->log);
    event.log.leader_high_watermark = data->high_watermark;
    if (partition_runtime_apply(partition, &event) &&
        partition_runtime_raise_start(partition, data->log_start_offset)) {
        fetcher_runtime_resume(partition);
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
                         data->high_watermark, fetcher_runtime_is_in_sync(partition))) {
        trace_info(AREA, "%s-%d: leader %d shares nothing from %lld on with us, who are in sync up to %lld; waiting",
                   partition->topic, partition->index, partition->core.leader, (long long)offset,
                   (long long)partition->core.high_watermark);
        fetcher_delay(&partition->fetch, clock_now_ms(partition->manager->clock));
        return;
    }
    if (keeps_nothing) {
        if (partition_runtime_restart_at(partition, data->log_start_offset)) {
            fetcher_runtime_resume(partition);
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
            fetcher_runtime_resume(partition);
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
        fetcher_runtime_resume(partition);
    }
}

static void retry(struct partition_runtime *partition, int16_t error_code) {
    int64_t now_ms = clock_now_ms(partition->manager->clock);
    int64_t untold;
    char text[REPEAT_TEXT_SIZE];
    if (repeat_failed(&partition->fetch_failures, error_code, now_ms, &untold)) {
        trace_info(AREA, "%s-%d: leader %d answers %s; trying again%s", partition->topic, partition->index,
                   partition->core.leader, kafka_error_name(error_code), repeat_text(untold, text));
    }
    bool is_unready = error_code == KAFKA_UNKNOWN_LEADER_EPOCH || error_code == KAFKA_UNKNOWN_TOPIC_ID ||
                      error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || error_code == KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (is_unready) {
        fetcher_delay_unready(&partition->fetch, now_ms, partition->fetch_failures.count);
    } else {
        fetcher_delay(&partition->fetch, now_ms);
    }
}

void fetcher_runtime_take(struct partition_runtime *partition, const struct fetch_response_partition_data *data) {
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
    case FETCH_RETRY: retry(partition, data->error_code); break;
    }
}
