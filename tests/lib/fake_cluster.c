/* Brokers and their controller: starting, killing, commanding, looking. */
#include "tests/lib/fake_cluster.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/update_metadata.h"
#include "tests/lib/broker_settings.h"
#include "tests/lib/fake_cluster_internal.h"

static void deliver(struct fake_cluster *cluster) {
    for (int round = 0; round < 1000; round++) {
        struct fake_call *call = NULL;
        struct fake_call *after = NULL;
        bool has_moved = false;
        test_clock_advance(&cluster->clock, 0);
        fake_tell(cluster, "time");
        DL_FOREACH_SAFE(cluster->calls, call, after) {
            has_moved = fake_call_serve(call) || has_moved;
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
        fake_tell(cluster, "time");
        deliver(cluster);
    }
}

/* ---- Brokers ---- */

static void topic_config(void *context, const char *topic, struct log_config *ret_config) {
    const struct fake_broker *broker = context;
    (void)topic;
    ret_config->min_insync_replicas = broker->cluster->min_insync_replicas;
    ret_config->compact = broker->cluster->is_compacted;
}

static bool high_watermark(void *context, const char *topic, int32_t partition, int64_t *ret_offset) {
    const struct fake_broker *broker = context;
    return broker->replicas != NULL && replica_manager_high_watermark(broker->replicas, topic, partition, ret_offset);
}

static void directory_failed(void *context, const char *directory) {
    const struct fake_broker *broker = context;
    replica_manager_directory_failed(broker->replicas, directory);
}

static void future_settled(void *context, const char *topic, int32_t partition) {
    const struct fake_broker *broker = context;
    if (broker->replicas != NULL) {
        replica_manager_on_future_settled(broker->replicas, topic, partition);
    }
}

static void future_read(void *context, const char *topic, int32_t partition, const struct log_chunk *chunk) {
    const struct fake_broker *broker = context;
    if (broker->replicas != NULL) {
        replica_manager_on_future_read(broker->replicas, topic, partition, chunk);
    }
}

static struct partition_throttle throttle_of(void *context, const char *topic, int32_t partition) {
    const struct fake_broker *broker = context;
    (void)topic, (void)partition;
    return (struct partition_throttle){broker->cluster->is_throttled, broker->cluster->is_throttled};
}

void fake_broker_start(struct fake_cluster *cluster, int32_t broker_id) {
    struct fake_broker *broker = &cluster->brokers[broker_id];
    const char *const directories[] = {broker->directory, broker->spare_directory};
    char *message = NULL;
    struct log_manager_config logs = test_log_manager_config(directories, broker->spare_directory == NULL ? 1 : 2);
    logs.broker_id = broker_id;
    logs.topic_config = topic_config;
    logs.high_watermark = high_watermark;
    logs.on_directory_failed = directory_failed;
    logs.on_future_settled = future_settled;
    logs.on_future_read = future_read;
    logs.context = broker;
    ck_assert_msg(log_manager_open(disk_posix(), &cluster->clock.base, &logs, &broker->logs, &message) == 0, "%s",
                  message);
    ck_assert_int_eq(log_manager_load(broker->logs, &message), 0);
    struct replica_manager_config config = test_replica_manager_config(broker_id);
    config.replica_lag_time_max_ms = FAKE_LAG_MS;
    config.rack = broker->rack;
    config.throttle = throttle_of;
    config.context = broker;
    config.rack_aware_selector = true;
    broker->image = image_create();
    broker->transport.ops = &fake_transport_ops;
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
            fake_call_end(call, ERR_DISCONNECTED, NULL, 0);
        }
    }
    replica_manager_destroy(broker->replicas);
    fetch_sessions_destroy(broker->sessions);
    log_manager_destroy(broker->logs);
    image_destroy(broker->image);
    broker->replicas = NULL;
    fake_tell(cluster, "killed");
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
            fake_tell(cluster, "metadata");
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
    state.is_new = cluster->is_new;
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
    fake_tell(cluster, "command: leader %d, epoch %d, in sync %d", cluster->leader, cluster->leader_epoch,
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
    fake_tell(cluster, "produce of %d records, acks %d", records, acks);
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
