/* The fake's leader side serves Fetch, ListOffsets and AlterPartition with the same functions the handlers use. */
#include "tests/lib/fake_cluster.h"

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
#include "broker/protocol/compression.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/alter_partition.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/list_offsets.h"
#include "generated/protocol/update_metadata.h"

#define ENTRIES_MAX 8

struct fake_call {
    struct fake_broker *from;
    struct fake_broker *to;
    int16_t api_key;
    int16_t version;
    uint8_t *body;
    size_t body_size;
    int64_t sent_ms;
    transport_answer *on_answer;
    void *context;
    struct fetch_session *session; /* of a Fetch that waits */
    int32_t replica_id;
    int64_t replica_epoch;
    char answer[128]; /* as the transcript puts it */
    struct fake_call *prev, *next;
};

static void __attribute__((format(printf, 2, 3))) tell(struct fake_cluster *cluster, const char *format, ...) {
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

static const struct transport_ops fake_ops = {.send = fake_send};

/* Ends a call. An answer to a broker that is gone is dropped, but its context must hear of the end. */
static void end_call(struct fake_call *call, int error, const uint8_t *body, size_t size) {
    DL_DELETE(call->from->cluster->calls, call);
    if (call->session != NULL) {
        fetch_session_finish(call->session, call->from->cluster->clock.now_ms);
    }
    call->on_answer(call->context, error, body, size);
    if (call->from->is_up) {
        tell(call->from->cluster, "%s", error == 0 ? call->answer : "no answer");
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
    end_call(call, 0, body, size);
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
        is_over = is_over || outcomes[count].records_bytes > 0 || fetch_entry_ends_wait(e, &outcomes[count]);
        count++;
    }
    if (count > 0) {
        tell(call->from->cluster, "fetch of %d from %lld", call->replica_id, (long long)entries[0]->fetch_offset);
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
    end_call(call, 0, body, size);
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
    part.error_code = change_isr(cluster, &request.topics[0].partitions[0]);
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
    response.topics_count = 1;
    size_t size = alter_partition_response_encoded_size(&response, call->version);
    uint8_t *body = arena_alloc(arena, size);
    struct encoder e = encoder_of(body, size);
    alter_partition_response_encode(&response, call->version, &e);
    end_call(call, 0, body, size);
}

/* True when the call moved. */
static bool serve(struct fake_call *call) {
    struct arena arena;
    if (!call->to->is_up || call->to->is_cut || call->from->is_cut || !call->from->is_up) {
        end_call(call, ERR_DISCONNECTED, NULL, 0);
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

static void deliver(struct fake_cluster *cluster) {
    for (int round = 0; round < 1000; round++) {
        struct fake_call *call = NULL;
        struct fake_call *after = NULL;
        bool has_moved = false;
        test_clock_advance(&cluster->clock, 0);
        tell(cluster, "time");
        DL_FOREACH_SAFE(cluster->calls, call, after) {
            has_moved = serve(call) || has_moved;
        }
        if (!has_moved) {
            return;
        }
    }
    ck_abort_msg("the brokers never come to rest");
}

void fake_cluster_run(struct fake_cluster *cluster, int64_t for_ms) {
    int64_t end_ms = cluster->clock.now_ms + for_ms;
    deliver(cluster);
    while (cluster->clock.now_ms < end_ms) {
        test_clock_advance(&cluster->clock, MIN(250, end_ms - cluster->clock.now_ms));
        tell(cluster, "time");
        deliver(cluster);
    }
}

/* ---- Brokers ---- */

static void topic_config(void *context, const char *topic, struct log_config *ret_config) {
    const struct fake_broker *broker = context;
    (void)topic;
    ret_config->min_insync_replicas = broker->cluster->min_insync_replicas;
}

static bool high_watermark(void *context, const char *topic, int32_t partition, int64_t *ret_offset) {
    const struct fake_broker *broker = context;
    return broker->replicas != NULL && replica_manager_high_watermark(broker->replicas, topic, partition, ret_offset);
}

static void directory_failed(void *context, const char *directory) {
    const struct fake_broker *broker = context;
    replica_manager_directory_failed(broker->replicas, directory);
}

void fake_broker_start(struct fake_cluster *cluster, int32_t broker_id) {
    struct fake_broker *broker = &cluster->brokers[broker_id];
    const char *const directories[] = {broker->directory, broker->spare_directory};
    char *message = NULL;
    struct log_manager_config logs = {.directories = directories,
                                      .directory_count = broker->spare_directory == NULL ? 1 : 2,
                                      .broker_id = broker_id,
                                      .defaults = test_log_config(),
                                      .retention_check_ms = 300000,
                                      .flush_check_ms = INT32_MAX,
                                      .flush_offset_checkpoint_ms = 60000,
                                      .start_offset_checkpoint_ms = 60000,
                                      .high_watermark_checkpoint_ms = 5000,
                                      .recovery_threads_per_directory = 1,
                                      .topic_config = topic_config,
                                      .high_watermark = high_watermark,
                                      .on_directory_failed = directory_failed,
                                      .context = broker};
    ck_assert_msg(log_manager_open(disk_posix(), &cluster->clock.base, &logs, &broker->logs, &message) == 0, "%s",
                  message);
    ck_assert_int_eq(log_manager_load(broker->logs, &message), 0);
    struct replica_manager_config config = {.broker_id = broker_id,
                                            .inter_broker_listener = "PLAINTEXT",
                                            .replica_lag_time_max_ms = FAKE_LAG_MS,
                                            .fetch_wait_max_ms = 500,
                                            .fetch_min_bytes = 1,
                                            .fetch_max_bytes = 1048576,
                                            .fetch_response_max_bytes = 10485760,
                                            .fetch_backoff_ms = 1000,
                                            .socket_timeout_ms = 30000,
                                            .rack = broker->rack,
                                            .rack_aware_selector = true};
    broker->image = image_create();
    broker->transport.ops = &fake_ops;
    broker->sessions = fetch_sessions_create(10, 120000, (uint64_t)broker_id);
    broker->replicas =
        replica_manager_create(&config, &cluster->clock.base, broker->logs, broker->image, &broker->transport);
    replica_manager_set_broker_epoch(broker->replicas, cluster->clock.now_ms);
    replica_manager_start(broker->replicas);
    broker->is_up = true;
}

void fake_broker_kill(struct fake_cluster *cluster, int32_t broker_id) {
    struct fake_broker *broker = &cluster->brokers[broker_id];
    struct fake_call *call = NULL;
    struct fake_call *after = NULL;
    broker->is_up = false;
    DL_FOREACH_SAFE(cluster->calls, call, after) {
        if (call->from == broker || call->to == broker) {
            end_call(call, ERR_DISCONNECTED, NULL, 0);
        }
    }
    replica_manager_destroy(broker->replicas);
    fetch_sessions_destroy(broker->sessions);
    log_manager_destroy(broker->logs);
    image_destroy(broker->image);
    broker->replicas = NULL;
    tell(cluster, "killed");
}

void fake_cluster_create(struct fake_cluster *cluster, int32_t count, int16_t min_insync_replicas) {
    *cluster = (struct fake_cluster){.count = count,
                                     .min_insync_replicas = min_insync_replicas,
                                     .topic_id = {{7, 7}},
                                     .leader = -1,
                                     .leader_epoch = -1,
                                     .partition_epoch = -1};
    test_clock_init(&cluster->clock, 1700000000000);
    cluster->clock.now_ms = 1000000;
    for (int32_t id = 1; id <= count; id++) {
        cluster->brokers[id].cluster = cluster;
        cluster->brokers[id].id = id;
        cluster->brokers[id].directory = test_directory_create();
        fake_broker_start(cluster, id);
    }
}

void fake_cluster_destroy(struct fake_cluster *cluster) {
    for (int32_t id = 1; id <= cluster->count; id++) {
        if (cluster->brokers[id].is_up) {
            fake_broker_kill(cluster, id);
        }
        test_directory_remove(cluster->brokers[id].directory);
        free(cluster->brokers[id].directory);
        if (cluster->brokers[id].spare_directory != NULL) {
            test_directory_remove(cluster->brokers[id].spare_directory);
            free(cluster->brokers[id].spare_directory);
        }
    }
}

/* ---- The controller ---- */

void fake_cluster_update_metadata(struct fake_cluster *cluster) {
    struct update_metadata_request_update_metadata_endpoint endpoint;
    struct update_metadata_request_update_metadata_broker live[FAKE_BROKERS_MAX];
    struct update_metadata_request_update_metadata_partition_state state;
    struct update_metadata_request_update_metadata_topic_state topic;
    struct update_metadata_request request;
    int32_t replicas[FAKE_BROKERS_MAX];
    update_metadata_request_init(&request);
    update_metadata_request_update_metadata_endpoint_init(&endpoint);
    update_metadata_request_update_metadata_partition_state_init(&state);
    update_metadata_request_update_metadata_topic_state_init(&topic);
    endpoint.host = STR_LITERAL("127.0.0.1");
    endpoint.port = 9092;
    endpoint.listener = STR_LITERAL("PLAINTEXT");
    for (int32_t id = 1; id <= cluster->count; id++) {
        replicas[id - 1] = id;
        if (cluster->brokers[id].is_up) {
            struct update_metadata_request_update_metadata_broker *b = &live[request.live_brokers_count++];
            update_metadata_request_update_metadata_broker_init(b);
            b->id = id;
            b->rack = str_from(cluster->brokers[id].rack);
            b->endpoints = &endpoint;
            b->endpoints_count = 1;
        }
    }
    state.leader = cluster->leader;
    state.leader_epoch = cluster->leader_epoch;
    state.isr = cluster->isr;
    state.isr_count = cluster->isr_count;
    state.replicas = replicas;
    state.replicas_count = cluster->count;
    topic.topic_name = STR_LITERAL("t");
    topic.topic_id = cluster->topic_id;
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    request.live_brokers = live;
    request.controller_id = live[0].id;
    request.controller_epoch = 1;
    for (int32_t id = 1; id <= cluster->count; id++) {
        if (cluster->brokers[id].is_up && !cluster->brokers[id].is_cut) {
            ck_assert_int_eq(replica_manager_update_metadata(cluster->brokers[id].replicas, &request, 8), 0);
            tell(cluster, "metadata");
        }
    }
}

int16_t fake_cluster_command(struct fake_cluster *cluster, int32_t broker_id, int32_t controller_epoch) {
    struct leader_and_isr_request_leader_and_isr_partition_state state;
    struct leader_and_isr_request_leader_and_isr_topic_state topic;
    struct leader_and_isr_request request;
    struct leader_and_isr_response response;
    struct arena arena;
    int32_t replicas[FAKE_BROKERS_MAX];
    leader_and_isr_request_init(&request);
    leader_and_isr_response_init(&response);
    leader_and_isr_request_leader_and_isr_partition_state_init(&state);
    leader_and_isr_request_leader_and_isr_topic_state_init(&topic);
    for (int32_t id = 1; id <= cluster->count; id++) {
        replicas[id - 1] = id;
    }
    state.leader = cluster->leader;
    state.leader_epoch = cluster->leader_epoch;
    state.partition_epoch = cluster->partition_epoch;
    state.isr = cluster->isr;
    state.isr_count = cluster->isr_count;
    state.replicas = replicas;
    state.replicas_count = cluster->count;
    topic.topic_name = STR_LITERAL("t");
    topic.topic_id = cluster->topic_id;
    topic.partition_states = &state;
    topic.partition_states_count = 1;
    request.topic_states = &topic;
    request.topic_states_count = 1;
    request.controller_epoch = controller_epoch;
    request.broker_epoch = replica_manager_broker_epoch(cluster->brokers[broker_id].replicas);
    arena_init(&arena, SIZE_MAX);
    replica_manager_leader_and_isr(cluster->brokers[broker_id].replicas, &request, 7, &arena, &response);
    int16_t error = response.topics[0].partition_errors[0].error_code;
    arena_deinit(&arena);
    tell(cluster, "command: leader %d, epoch %d, in sync %d", cluster->leader, cluster->leader_epoch,
         fake_isr(cluster));
    return error;
}

void fake_cluster_lead(struct fake_cluster *cluster, int32_t leader, int32_t isr_digits) {
    cluster->leader = leader;
    cluster->leader_epoch++;
    cluster->partition_epoch++;
    cluster->isr_count = 0;
    for (int32_t divisor = 10000; divisor > 0; divisor /= 10) {
        if (isr_digits / divisor % 10 != 0) {
            cluster->isr[cluster->isr_count++] = isr_digits / divisor % 10;
        }
    }
    fake_cluster_update_metadata(cluster);
    for (int32_t id = 1; id <= cluster->count; id++) {
        if (cluster->brokers[id].is_up && !cluster->brokers[id].is_cut) {
            ck_assert_int_eq(fake_cluster_command(cluster, id, 1), 0);
        }
    }
}

/* ---- Looking ---- */

struct partition_runtime *fake_partition(struct fake_cluster *cluster, int32_t broker_id) {
    struct partition_runtime *partition = NULL;
    ck_assert_int_eq(replica_manager_partition(cluster->brokers[broker_id].replicas, STR_LITERAL("t"), 0, &partition),
                     0);
    return partition;
}

struct log_append_info fake_append(struct fake_cluster *cluster, int32_t broker_id, int32_t records, int16_t acks) {
    struct test_batch batch = test_batch_of(records);
    struct byte_buffer bytes = {0};
    struct log_append_info info;
    struct partition_runtime *partition = NULL;
    batch.value_size = 10 + broker_id;
    test_batch_encode(&batch, &bytes);
    replica_manager_append(cluster->brokers[broker_id].replicas, STR_LITERAL("t"), 0,
                           (struct slice){bytes.data, (int32_t)bytes.size}, acks, LOG_ORIGIN_CLIENT, 9, &info,
                           &partition);
    byte_buffer_deinit(&bytes);
    tell(cluster, "produce of %d records, acks %d", records, acks);
    return info;
}

int64_t fake_log_end(struct fake_cluster *cluster, int32_t broker_id) {
    return log_end_offset(partition_runtime_log(fake_partition(cluster, broker_id)));
}

int64_t fake_high_watermark(struct fake_cluster *cluster, int32_t broker_id) {
    return partition_runtime_high_watermark(fake_partition(cluster, broker_id));
}

bool fake_logs_equal(struct fake_cluster *cluster, int32_t a, int32_t b) {
    struct byte_buffer left = {0};
    struct byte_buffer right = {0};
    test_read_all(partition_runtime_log(fake_partition(cluster, a)), 1048576, &left);
    test_read_all(partition_runtime_log(fake_partition(cluster, b)), 1048576, &right);
    bool is_equal = left.size == right.size && (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
    byte_buffer_deinit(&left);
    byte_buffer_deinit(&right);
    return is_equal;
}

int32_t fake_isr(const struct fake_cluster *cluster) {
    int32_t digits = 0;
    for (int32_t i = 0; i < cluster->isr_count; i++) {
        digits = digits * 10 + cluster->isr[i];
    }
    return digits;
}
