/* What a broker is made of, and what it does when its session or its settings change. Starting is broker_start.c,
 * stopping broker_stop.c. */
#include "broker/broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/broker_internal.h"
#include "broker/topic_config.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"

static void on_topic_settings(void *context, const char *topic) {
    struct broker *broker = context;
    if (broker->logs != NULL) {
        log_manager_reconfigure(broker->logs, topic);
    }
    if (broker->replicas != NULL) {
        replica_manager_topic_config_changed(broker->replicas, topic);
    }
    if (topic != NULL && broker->phase == BROKER_SERVING) {
        struct log_config config;
        dynamic_config_log_config(broker->dynamic, topic, &config);
        if (config.unclean_leader_election) {
            controller_runtime_unclean_enabled(broker->controller, topic, false);
        }
    }
}

struct log_cleaner_config broker_cleaner_config(const struct config *config) {
    return (struct log_cleaner_config){.is_enabled = config->log_cleaner_enable,
                                       .threads = config->log_cleaner_threads,
                                       .dedupe_buffer_bytes = config->log_cleaner_dedupe_buffer_size,
                                       .load_factor = config->log_cleaner_io_buffer_load_factor,
                                       .io_buffer_bytes = config->log_cleaner_io_buffer_size,
                                       .bytes_per_second_max = config->log_cleaner_io_max_bytes_per_second,
                                       .backoff_ms = config->log_cleaner_backoff_ms};
}

static void set_throttle_rates(struct broker *broker) {
    if (broker->replicas != NULL) {
        replica_manager_set_throttle_rates(broker->replicas, broker->config->leader_replication_throttled_rate,
                                           broker->config->follower_replication_throttled_rate);
        replica_manager_set_move_rate(broker->replicas, broker->config->replica_alter_log_dirs_io_max_bytes_per_second);
    }
}

static void on_broker_settings(void *context) {
    struct broker *broker = context;
    if (broker->logs != NULL) {
        struct log_cleaner_config cleaner = broker_cleaner_config(broker->config);
        log_manager_configure_cleaner(broker->logs, &cleaner);
    }
    set_throttle_rates(broker);
    if (broker->dispatcher != NULL) {
        broker->context.fetch_max_bytes = broker->config->fetch_max_bytes;
    }
    bool is_unclean = broker->config->unclean_leader_election_enable;
    if (is_unclean != broker->is_unclean_default && broker->phase == BROKER_SERVING) {
        broker->is_unclean_default = is_unclean;
        controller_runtime_unclean_enabled(broker->controller, NULL, is_unclean);
    }
    if (broker->seams.on_settings != NULL) {
        broker->seams.on_settings(broker->seams.context);
    }
}

struct broker *broker_create(struct config *config, const struct broker_seams *seams) {
    struct broker *broker = xcalloc(1, sizeof *broker);
    broker->config = config;
    broker->seams = *seams;
    broker->id = config->broker_id;
    broker->epoch = -1;
    arena_init(&broker->features_arena, SIZE_MAX);
    const struct dynamic_config_callbacks callbacks = {
        .on_topic = on_topic_settings,
        .on_broker = on_broker_settings,
        .context = broker,
    };
    broker->dynamic = dynamic_config_create(config, seams->clock, seams->coord, &callbacks);
    return broker;
}

void broker_fail(struct broker *broker, const char *format, ...) {
    if (broker->phase == BROKER_FAILED) {
        return;
    }
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    broker->phase = BROKER_FAILED;
    timer_stop(broker->seams.clock, &broker->timer);
    directory_report_stop(&broker->directory_report);
    broker->seams.on_failed(broker->seams.context, message);
}

struct dispatcher *broker_dispatcher(struct broker *broker) {
    CHECK(broker->dispatcher != NULL);
    return broker->dispatcher;
}

bool broker_is_idle(const struct broker *broker) {
    return broker->logs == NULL || log_manager_is_idle(broker->logs);
}

int32_t broker_id(const struct broker *broker) {
    return broker->id;
}

static void fill_context(struct broker *broker) {
    const struct config *config = broker->config;
    struct request_context *context = &broker->context;
    *context = (struct request_context){
        .clock = broker->seams.clock,
        .image = broker->image,
        .replicas = broker->replicas,
        .controller = broker->controller,
        .coord = broker->seams.coord,
        .logs = broker->logs,
        .transport = broker->seams.transport,
        .config = config,
        .topic_creator = topic_admin_auto_create,
        .topic_admin = broker->topics,
        .groups = broker->groups,
        .dynamic_config = broker->dynamic,
        .broker_id = broker->id,
        .cluster_id = broker->cluster_id,
        .listener_count = config->listener_count,
        .inter_broker_listener = config->inter_broker_listener,
        .auto_create_topics_enable = config->auto_create_topics_enable,
        .unstable_api_versions_enable = config->unstable_api_versions_enable,
        .fetch_max_bytes = config->fetch_max_bytes,
        .max_incremental_fetch_session_cache_slots = config->max_incremental_fetch_session_cache_slots,
        .request_timeout_ms = config->request_timeout_ms,
        .transaction_max_timeout_ms = config->transaction_max_timeout_ms,
        .seed = broker->seams.seed,
        .features_epoch = -1,
    };
    for (int32_t i = 0; i < config->listener_count; i++) {
        context->listeners[i] = config->listener_list[i].name;
    }
}

static struct partition_throttle throttle_of(void *context, const char *topic, int32_t partition) {
    const struct broker *broker = context;
    const struct properties *values = dynamic_config_topic(broker->dynamic, topic);
    return (struct partition_throttle){
        .is_leader = topic_config_is_throttled(values, TOPIC_CONFIG_KEY_leader_replication_throttled_replicas,
                                               partition, broker->id),
        .is_follower = topic_config_is_throttled(values, TOPIC_CONFIG_KEY_follower_replication_throttled_replicas,
                                                 partition, broker->id),
    };
}

static void on_leadership(void *context, const char *topic, int32_t partition, bool is_leader, int32_t leader_epoch) {
    struct broker *broker = context;
    group_runtime_on_leadership(broker->groups, topic, partition, is_leader, leader_epoch);
}

/* How many partitions the groups' topic is registered with, for who places groups in them. */
static void on_group_topic_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct broker *broker = context;
    struct arena arena;
    struct znode_topic topic = {0};
    (void)stat;
    if (broker->groups == NULL) {
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (error == 0 && znode_decode_topic(&arena, data, &topic) != 0) {
        trace_error(BROKER_AREA, "The znode of " GROUP_TOPIC " cannot be read -> no group is served until it can");
        topic = (struct znode_topic){0};
    } /* without an answer the next group asks again */
    group_runtime_set_partition_count(broker->groups, topic.topic_id, topic.partition_count);
    arena_deinit(&arena);
}

static void ask_group_partition_count(void *context) {
    struct broker *broker = context;
    char path[ZNODE_PATH_SIZE];
    coord_get(broker->seams.coord, znode_topic_path(path, STR_LITERAL(GROUP_TOPIC)), COORD_NO_WATCH,
              on_group_topic_read, broker);
}

static void create_groups(struct broker *broker) {
    const struct config *config = broker->config;
    const struct group_runtime_config groups = {
        .limits = {.session_timeout_min_ms = config->group_min_session_timeout_ms,
                   .session_timeout_max_ms = config->group_max_session_timeout_ms,
                   .initial_rebalance_delay_ms = config->group_initial_rebalance_delay_ms,
                   .size_max = config->group_max_size},
        .topic_partitions = config->offsets_topic_num_partitions,
        .ask_partition_count = ask_group_partition_count,
        .context = broker,
        .offset_metadata_max_bytes = config->offset_metadata_max_bytes,
        .offsets_retention_ms = (int64_t)config->offsets_retention_minutes * 60 * 1000,
        .retention_check_ms = config->offsets_retention_check_interval_ms,
        .commit_timeout_ms = config->offsets_commit_timeout_ms,
        .required_acks = config->offsets_commit_required_acks,
        .load_buffer_bytes = config->offsets_load_buffer_size,
        .compression_codec = (int8_t)config->offsets_topic_compression_codec,
        .seed = broker->seams.seed,
    };
    broker->groups = group_runtime_create(&groups, broker->seams.clock, broker->replicas, broker->image);
}

void broker_wire(struct broker *broker) {
    const struct config *config = broker->config;
    const struct broker_seams *seams = &broker->seams;
    broker->image = image_create();
    struct replica_manager_config replicas = {
        .broker_id = broker->id,
        .inter_broker_listener = config->inter_broker_listener,
        .rack = config->broker_rack,
        .replica_lag_time_max_ms = config->replica_lag_time_max_ms,
        .fetch_wait_max_ms = config->replica_fetch_wait_max_ms,
        .fetch_min_bytes = config->replica_fetch_min_bytes,
        .fetch_max_bytes = config->replica_fetch_max_bytes,
        .fetch_response_max_bytes = config->replica_fetch_response_max_bytes,
        .fetch_backoff_ms = config->replica_fetch_backoff_ms,
        .socket_timeout_ms = config->replica_socket_timeout_ms,
        .rack_aware_selector = config->rack_aware_selector,
        .log_moves_max = config->num_replica_alter_log_dirs_threads > 0 ? config->num_replica_alter_log_dirs_threads
                                                                        : config->log_dir_count,
        .throttle = throttle_of,
        .on_leadership = on_leadership,
        .context = broker,
    };
    broker->replicas = replica_manager_create(&replicas, seams->clock, broker->logs, broker->image, seams->transport);
    set_throttle_rates(broker);
    create_groups(broker);
    struct controller_config controller = {
        .broker_id = broker->id,
        .inter_broker_listener = config->inter_broker_listener,
        .control_plane_listener = config->control_plane_listener,
        .unclean_leader_election = config->unclean_leader_election_enable,
        .auto_leader_rebalance = config->auto_leader_rebalance_enable,
        .delete_topic_enable = config->delete_topic_enable,
        .leader_imbalance_check_ms = (int64_t)config->leader_imbalance_check_interval_seconds * 1000,
        .leader_imbalance_percentage = config->leader_imbalance_per_broker_percentage,
        .socket_timeout_ms = config->controller_socket_timeout_ms,
        .queue_bytes_max = seams->controller_queue_bytes_max,
    };
    broker->controller = controller_runtime_create(&controller, seams->clock, seams->coord, seams->transport);
    broker->topics = topic_admin_create(config, seams->clock, seams->coord, broker->image, seams->seed);
    broker->is_unclean_default = config->unclean_leader_election_enable;
    fill_context(broker);
    broker->dispatcher = dispatcher_create(&broker->context);
    replica_manager_on_image_changed(broker->replicas, topic_admin_on_image_changed, broker->topics);
}

void broker_destroy(struct broker *broker) {
    if (broker == NULL) {
        return;
    }
    timer_stop(broker->seams.clock, &broker->timer);
    directory_report_stop(&broker->directory_report);
    if (broker->dispatcher != NULL) {
        dispatcher_destroy(broker->dispatcher);
        group_runtime_stop(broker->groups);
        topic_admin_destroy(broker->topics);
        controller_runtime_destroy(broker->controller);
        replica_manager_destroy(broker->replicas); /* which tells the groups of every partition it gives up */
        group_runtime_destroy(broker->groups);
        image_destroy(broker->image);
    }
    registration_destroy(broker->registration);
    if (broker->dynamic != NULL) {
        dynamic_config_destroy(broker->dynamic);
    }
    if (broker->logs != NULL) {
        log_manager_destroy(broker->logs);
    }
    arena_deinit(&broker->features_arena);
    free(broker->cluster_id);
    free(broker);
}
