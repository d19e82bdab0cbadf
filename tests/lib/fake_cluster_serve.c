/* The leader side of the fake: Fetch, ListOffsets and AlterPartition by the same functions the handlers use. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/alter_partition.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/list_offsets.h"
#include "tests/lib/fake_cluster_internal.h"

#define ENTRIES_MAX 8

void fake_tell(struct fake_cluster *cluster, const char *format, ...) {
    char fact[256];
    va_list args;
    if (cluster->on_fact != NULL) {
        va_start(args, format);
        vsnprintf(fact, sizeof fact, format, args);
        va_end(args);
        cluster->on_fact(cluster->fact_context, fact);
    }
}

static void fake_send(struct transport *transport, const struct transport_request *request) {
    struct fake_broker *broker = CONTAINER_OF(transport, struct fake_broker, transport);
    struct fake_call *call = xcalloc(1, sizeof *call);
    call->from = broker;
    call->to = &broker->cluster->brokers[request->broker_id];
    call->api_key = request->api_key;
    call->version = request->api_version;
    call->body = xmalloc(request->body_size);
    memcpy(call->body, request->body, request->body_size);
    call->body_size = request->body_size;
    call->sent_ms = broker->cluster->clock.now_ms;
    call->on_answer = request->on_answer;
    call->context = request->context;
    DL_APPEND(broker->cluster->calls, call);
}

const struct transport_ops fake_transport_ops = {.send = fake_send};

void fake_call_end(struct fake_call *call, int error, const uint8_t *body, size_t size) {
    DL_DELETE(call->from->cluster->calls, call);
    if (call->session != NULL) {
        fetch_session_finish(call->session, call->from->cluster->clock.now_ms);
    }
    call->on_answer(call->context, error, body, size);
    if (call->from->is_up) {
        fake_tell(call->from->cluster, "%s", error == 0 ? call->answer : "no answer");
    }
    free(call->body);
    free(call);
}

/* ---- Serving ---- */

static struct partition_runtime *entry_partition(struct fake_broker *leader, struct fetch_entry *entry,
                                                 int16_t *ret_error) {
    struct partition_runtime *partition = NULL;
    const struct image_topic *topic = image_topic_by_id(leader->image, entry->topic_id);
    *ret_error = topic == NULL
                     ? KAFKA_UNKNOWN_TOPIC_ID
                     : replica_manager_partition(leader->replicas, str_from(topic->name), entry->partition, &partition);
    return *ret_error == KAFKA_NONE ? partition : NULL;
}

static struct fetch_outcome read_entry(struct fake_call *call, struct fetch_entry *entry, bool is_reread,
                                       struct partition_fetch *fetch) {
    int16_t error = KAFKA_NONE;
    struct partition_runtime *partition = entry_partition(call->to, entry, &error);
    *fetch = (struct partition_fetch){.replica_id = call->replica_id,
                                      .replica_epoch = call->replica_epoch,
                                      .is_reread = is_reread,
                                      .fetch_offset = entry->fetch_offset,
                                      .current_leader_epoch = entry->current_leader_epoch,
                                      .last_fetched_epoch = entry->last_fetched_epoch,
                                      .log_start_offset = entry->log_start_offset,
                                      .max_bytes = entry->max_bytes,
                                      .min_one_batch = true,
                                      .isolation = FETCH_LOG_END,
                                      .version = call->version,
                                      .error_code = error,
                                      .high_watermark = -1};
    if (partition != NULL) {
        partition_runtime_watch(partition, &entry->watcher);
        partition_runtime_fetch(partition, fetch);
    }
    return (struct fetch_outcome){.error_code = fetch->error_code,
                                  .high_watermark = fetch->high_watermark,
                                  .log_start_offset = fetch->result_log_start_offset,
                                  .records_bytes = fetch->read.records.size,
                                  .is_diverging = fetch->is_diverging};
}

static void fill_data(struct arena *arena, struct fetch_entry *entry, struct partition_fetch *fetch,
                      struct fetch_response_fetchable_topic_response *topic) {
    struct fetch_response_partition_data *data = ARENA_NEW(arena, struct fetch_response_partition_data);
    fetch_response_fetchable_topic_response_init(topic);
    fetch_response_partition_data_init(data);
    topic->topic_id = entry->topic_id;
    topic->partitions = data;
    topic->partitions_count = 1;
    data->partition_index = entry->partition;
    data->error_code = fetch->error_code;
    data->high_watermark = fetch->high_watermark;
    data->log_start_offset = fetch->result_log_start_offset;
    if (fetch->is_diverging) {
        data->diverging_epoch.epoch = fetch->diverging_epoch;
        data->diverging_epoch.end_offset = fetch->diverging_end_offset;
    }
    uint8_t *bytes = arena_alloc(arena, (size_t)fetch->read.records.size + 1);
    if (fetch->read.records.size > 0) {
        ck_assert_int_eq(
            disk_read(fetch->read.records.file, bytes, (size_t)fetch->read.records.size, fetch->read.records.position),
            fetch->read.records.size);
    }
    data->records = (struct records){.size = fetch->read.records.size, .data = bytes};
}

static void answer_fetch(struct fake_call *call, struct fetch_response *response, struct arena *arena) {
    response->session_id =
        call->session == NULL ? 0 : fetch_session_finish(call->session, call->from->cluster->clock.now_ms);
    call->session = NULL;
    size_t size = fetch_response_encoded_size(response, call->version);
    uint8_t *body = arena_alloc(arena, size);
    struct encoder e = encoder_of(body, size);
    fetch_response_encode(response, call->version, &e);
    fake_call_end(call, 0, body, size);
}

static void describe_read(struct fake_call *call, const struct partition_fetch *fetch) {
    if (fetch->error_code != KAFKA_NONE) {
        snprintf(call->answer, sizeof call->answer, "%d answers %s", call->to->id, kafka_error_name(fetch->error_code));
    } else if (fetch->is_diverging) {
        snprintf(call->answer, sizeof call->answer, "%d says epoch %d ends at %lld", call->to->id,
                 fetch->diverging_epoch, (long long)fetch->diverging_end_offset);
    } else {
        snprintf(call->answer, sizeof call->answer, "%s from %lld, high watermark %lld at %d",
                 fetch->read.records.size > 0 ? "records" : "nothing", (long long)fetch->fetch_offset,
                 (long long)fetch->high_watermark, call->to->id);
    }
}

/* Looks at the dirty partitions; true when the call was answered. */
static bool walk_fetch(struct fake_call *call, bool is_reread) {
    struct fetch_entry *entries[ENTRIES_MAX];
    struct partition_fetch reads[ENTRIES_MAX];
    struct fetch_outcome outcomes[ENTRIES_MAX];
    struct fetch_response response;
    struct arena arena;
    int32_t count = 0;
    bool is_over = call->from->cluster->clock.now_ms - call->sent_ms >= 500;
    for (struct fetch_entry *e = fetch_session_first(call->session); e != NULL; e = fetch_session_next(e)) {
        ck_assert_int_lt(count, ENTRIES_MAX);
        entries[count] = e;
        outcomes[count] = read_entry(call, e, is_reread, &reads[count]);
        is_over = is_over || outcomes[count].records_bytes > 0 || fetch_outcome_ends_wait(&outcomes[count]) ||
                  fetch_entry_owes_news(e, &outcomes[count]);
        count++;
    }
    if (count > 0) {
        fake_tell(call->from->cluster, "fetch of %d from %lld", call->replica_id, (long long)entries[0]->fetch_offset);
    }
    snprintf(call->answer, sizeof call->answer, "nothing new at %d", call->to->id);
    arena_init(&arena, SIZE_MAX);
    fetch_response_init(&response);
    response.responses = ARENA_ARRAY(&arena, struct fetch_response_fetchable_topic_response, count);
    for (int32_t i = 0; i < count; i++) {
        if (is_over && fetch_entry_settle(entries[i], &outcomes[i], false)) {
            describe_read(call, &reads[i]);
            call->to->divergings += reads[i].is_diverging ? 1 : 0;
            fill_data(&arena, entries[i], &reads[i], &response.responses[response.responses_count++]);
        }
        disk_file_unref(reads[i].read.records.file);
    }
    if (is_over) {
        answer_fetch(call, &response, &arena);
    }
    arena_deinit(&arena);
    return is_over;
}

static void begin_fetch(struct fake_call *call, struct arena *arena) {
    struct fetch_request request;
    struct fetch_response response;
    struct reader r = reader_of(call->body, call->body_size);
    ck_assert_int_eq(fetch_request_decode(&r, call->version, arena, &request), 0);
    call->replica_id = request.replica_state.replica_id;
    call->from->fetches++;
    struct fetch_begin begin = {.session_id = request.session_id,
                                .session_epoch = request.session_epoch,
                                .uses_topic_ids = true,
                                .is_privileged = true,
                                .now_ms = call->from->cluster->clock.now_ms};
    int16_t error = fetch_sessions_begin(call->to->sessions, &begin, &call->session);
    if (error != KAFKA_NONE) {
        snprintf(call->answer, sizeof call->answer, "%d answers %s", call->to->id, kafka_error_name(error));
        fetch_response_init(&response);
        response.error_code = error;
        answer_fetch(call, &response, arena);
        return;
    }
    for (int32_t i = 0; i < request.forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topic *topic = &request.forgotten_topics_data[i];
        fetch_session_forget(call->session, topic->topic, topic->topic_id, topic->partitions[0]);
    }
    for (int32_t i = 0; i < request.topics_count; i++) {
        const struct fetch_request_fetch_partition *p = &request.topics[i].partitions[0];
        call->from->named++;
        fetch_session_name(call->session, &(struct fetch_named){.topic = STR_NULL,
                                                                .topic_id = request.topics[i].topic_id,
                                                                .partition = p->partition,
                                                                .fetch_offset = p->fetch_offset,
                                                                .current_leader_epoch = p->current_leader_epoch,
                                                                .last_fetched_epoch = p->last_fetched_epoch,
                                                                .log_start_offset = p->log_start_offset,
                                                                .max_bytes = p->partition_max_bytes});
    }
    fetch_session_check(call->session);
    call->replica_epoch = request.replica_state.replica_epoch;
    fetch_session_set_replica_epoch(call->session, call->replica_epoch);
    replica_manager_on_follower_fetch(call->to->replicas, call->replica_id, request.replica_state.replica_epoch);
    walk_fetch(call, false);
}

static void serve_list_offsets(struct fake_call *call, struct arena *arena) {
    struct list_offsets_request request;
    struct list_offsets_response response;
    struct list_offsets_response_list_offsets_topic_response topic;
    struct list_offsets_response_list_offsets_partition_response part;
    struct reader r = reader_of(call->body, call->body_size);
    ck_assert_int_eq(list_offsets_request_decode(&r, call->version, arena, &request), 0);
    struct log *log = partition_runtime_log(fake_partition(call->from->cluster, call->to->id));
    list_offsets_response_init(&response);
    list_offsets_response_list_offsets_topic_response_init(&topic);
    list_offsets_response_list_offsets_partition_response_init(&part);
    part.offset = request.topics[0].partitions[0].timestamp == -1 ? log_end_offset(log) : log_start_offset(log);
    snprintf(call->answer, sizeof call->answer, "%d's log %s at %lld", call->to->id,
             request.topics[0].partitions[0].timestamp == -1 ? "ends" : "begins", (long long)part.offset);
    topic.name = request.topics[0].name;
    topic.partitions = &part;
    topic.partitions_count = 1;
    response.topics = &topic;
    response.topics_count = 1;
    size_t size = list_offsets_response_encoded_size(&response, call->version);
    uint8_t *body = arena_alloc(arena, size);
    struct encoder e = encoder_of(body, size);
    list_offsets_response_encode(&response, call->version, &e);
    fake_call_end(call, 0, body, size);
}

/* What a controller does with a change of the in-sync set: refuse what is stale, else count up. */
static int16_t change_isr(struct fake_cluster *cluster, const struct alter_partition_request_partition_data *wanted) {
    if (cluster->refuse_isr_changes != 0) {
        return cluster->refuse_isr_changes;
    }
    if (wanted->leader_epoch != cluster->leader_epoch) {
        return KAFKA_FENCED_LEADER_EPOCH;
    }
    if (wanted->partition_epoch != cluster->partition_epoch) {
        return KAFKA_INVALID_UPDATE_VERSION;
    }
    cluster->partition_epoch++;
    cluster->isr_count = wanted->new_isr_with_epochs_count;
    for (int32_t i = 0; i < cluster->isr_count; i++) {
        cluster->isr[i] = wanted->new_isr_with_epochs[i].broker_id;
    }
    return KAFKA_NONE;
}

static void serve_alter_partition(struct fake_call *call, struct arena *arena) {
    struct fake_cluster *cluster = call->from->cluster;
    struct alter_partition_request request;
    struct alter_partition_response response;
    struct alter_partition_response_topic_data topic;
    struct alter_partition_response_partition_data part;
    struct reader r = reader_of(call->body, call->body_size);
    ck_assert_int_eq(alter_partition_request_decode(&r, call->version, arena, &request), 0);
    alter_partition_response_init(&response);
    alter_partition_response_topic_data_init(&topic);
    alter_partition_response_partition_data_init(&part);
    cluster->alter_requests++;
    response.error_code = cluster->refuse_alter_requests;
    part.error_code =
        response.error_code != 0 ? response.error_code : change_isr(cluster, &request.topics[0].partitions[0]);
    snprintf(call->answer, sizeof call->answer, "the controller answers %s, partition epoch %d",
             kafka_error_name(part.error_code), cluster->partition_epoch);
    part.leader_id = cluster->leader;
    part.leader_epoch = cluster->leader_epoch;
    part.isr = cluster->isr;
    part.isr_count = cluster->isr_count;
    part.partition_epoch = cluster->partition_epoch;
    topic.topic_id = request.topics[0].topic_id;
    topic.partitions = &part;
    topic.partitions_count = 1;
    response.topics = &topic;
    response.topics_count = response.error_code == 0 ? 1 : 0;
    size_t size = alter_partition_response_encoded_size(&response, call->version);
    uint8_t *body = arena_alloc(arena, size);
    struct encoder e = encoder_of(body, size);
    alter_partition_response_encode(&response, call->version, &e);
    fake_call_end(call, 0, body, size);
}

bool fake_call_serve(struct fake_call *call) {
    struct arena arena;
    if (!call->to->is_up || call->to->is_cut || call->from->is_cut || !call->from->is_up) {
        fake_call_end(call, ERR_DISCONNECTED, NULL, 0);
        return true;
    }
    if (call->session != NULL) {
        return walk_fetch(call, true);
    }
    arena_init(&arena, SIZE_MAX);
    switch (call->api_key) {
    case API_FETCH: begin_fetch(call, &arena); break;
    case API_LIST_OFFSETS: serve_list_offsets(call, &arena); break;
    case API_ALTER_PARTITION: serve_alter_partition(call, &arena); break;
    default: ck_abort_msg("unexpected request %d", call->api_key);
    }
    arena_deinit(&arena);
    return true;
}
