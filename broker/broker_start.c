/* From nothing to a broker that serves (zookeeper-mode.md 2.1), and from a lost session to a new one (2.3).
 *
 *   connect -> cluster id -> open directories -> broker id -> dynamic settings -> load logs -> wire -> register
 *           -> controller, settings follow -> serve
 *
 * Each arrow is a callback of the coordinator; loading is the one step that blocks the loop, which has nothing else to
 * do yet. */
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/random.h"
#include "broker/base/trace.h"
#include "broker/broker_internal.h"
#include "broker/notify.h"
#include "broker/topic_config.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"

#define REGISTER_RETRY_MS 1000

static void on_session(void *context, enum coord_session_state state);
static void on_paths(void *context, int error);
static void on_cluster_id(void *context, int error, const char *cluster_id);
static void on_settings_loaded(void *context, int error);

static void on_connection_timeout(struct timer *timer) {
    struct broker *broker = CONTAINER_OF(timer, struct broker, timer);
    broker_fail(broker,
                "Timed out waiting for connection to ZooKeeper at %s; is it running, and is zookeeper.connect right?",
                broker->config->zookeeper_connect);
}

void broker_start(struct broker *broker) {
    CHECK(broker->phase == BROKER_CREATED);
    broker->phase = BROKER_STARTING;
    const struct config *config = broker->config;
    trace_info(BROKER_AREA, "Connecting to zookeeper on %s", config->zookeeper_connect);
    broker->seams.coord->ops->on_session(broker->seams.coord, on_session, broker);
    int64_t timeout_ms = config->zookeeper_connection_timeout_ms == CONFIG_UNSET
                             ? config->zookeeper_session_timeout_ms
                             : config->zookeeper_connection_timeout_ms;
    timer_start(broker->seams.clock, &broker->timer, timeout_ms, on_connection_timeout);
    registration_create_paths(broker->seams.coord, on_paths, broker);
}

/* Directories, identity. */

static void on_paths(void *context, int error) {
    struct broker *broker = context;
    timer_stop(broker->seams.clock, &broker->timer);
    if (broker->phase != BROKER_STARTING) {
        return;
    }
    if (error != 0) {
        broker_fail(broker, "Could not make Kafka's paths in ZooKeeper at %s: %s", broker->config->zookeeper_connect,
                    error_text(error));
        return;
    }
    struct random random;
    random_seed(&random, broker->seams.seed);
    uint64_t drawn[2] = {random_u64(&random), random_u64(&random)};
    struct uuid proposal;
    memcpy(proposal.bytes, drawn, sizeof proposal.bytes);
    registration_cluster_id(broker->seams.coord, proposal, on_cluster_id, broker);
}

static bool topic_high_watermark(void *context, const char *topic, int32_t partition, int64_t *ret_offset) {
    struct broker *broker = context;
    struct partition_runtime *found;
    if (broker->replicas == NULL ||
        replica_manager_partition(broker->replicas, str_from(topic), partition, &found) != 0) {
        return false;
    }
    *ret_offset = partition_runtime_high_watermark(found);
    return true;
}

static void on_future_settled(void *context, const char *topic, int32_t partition) {
    struct broker *broker = context;
    if (broker->replicas != NULL) {
        replica_manager_on_future_settled(broker->replicas, topic, partition);
    }
}

static void on_future_read(void *context, const char *topic, int32_t partition, const struct log_chunk *chunk) {
    struct broker *broker = context;
    if (broker->replicas != NULL) {
        replica_manager_on_future_read(broker->replicas, topic, partition, chunk);
    }
}

static void on_directory_failed(void *context, const char *directory) {
    struct broker *broker = context;
    if (broker->replicas != NULL) {
        replica_manager_directory_failed(broker->replicas, directory);
    }
    struct log_directory_info list[CONFIG_LOG_DIRS_MAX];
    int32_t count = log_manager_directories(broker->logs, list, CONFIG_LOG_DIRS_MAX);
    bool any_online = false;
    for (int32_t i = 0; i < count; i++) {
        any_online = any_online || !list[i].is_offline;
    }
    if (!any_online) {
        broker_fail(broker, "Shutdown broker because all log dirs in %s have failed", broker->config->log_dirs);
    } else if (broker->phase == BROKER_SERVING) {
        directory_report_send(&broker->directory_report);
    }
}

static void log_config_of_topic(void *context, const char *topic, struct log_config *ret_config) {
    struct broker *broker = context;
    dynamic_config_log_config(broker->dynamic, topic, ret_config);
}

static int open_logs(struct broker *broker) {
    const struct config *config = broker->config;
    struct log_manager_config logs = {
        .directories = config->log_dir_list,
        .directory_count = config->log_dir_count,
        .broker_id = config->broker_id,
        .retention_check_ms = config->log_retention_check_interval_ms,
        .flush_check_ms = config->log_flush_scheduler_interval_ms,
        .flush_offset_checkpoint_ms = config->log_flush_offset_checkpoint_interval_ms,
        .start_offset_checkpoint_ms = config->log_flush_start_offset_checkpoint_interval_ms,
        .high_watermark_checkpoint_ms = config->replica_high_watermark_checkpoint_interval_ms,
        .recovery_threads_per_directory = config->num_recovery_threads_per_data_dir,
        .cleaner = broker_cleaner_config(config),
        .topic_config = log_config_of_topic,
        .high_watermark = topic_high_watermark,
        .on_directory_failed = on_directory_failed,
        .on_future_settled = on_future_settled,
        .on_future_read = on_future_read,
        .context = broker,
    };
    topic_config_merge(config, NULL, &logs.defaults);
    char *message = NULL;
    int error = log_manager_open(broker->seams.disk, broker->seams.clock, &logs, &broker->logs, &message);
    if (error != 0) {
        broker_fail(broker, "%s", message);
        free(message);
    }
    return error;
}

static void load_settings(struct broker *broker) {
    broker->config->broker_id = broker->id;
    dynamic_config_load(broker->dynamic, on_settings_loaded, broker);
}

static void on_generated_id(void *context, int error, int32_t broker_id) {
    struct broker *broker = context;
    if (error != 0) {
        broker_fail(broker, "Could not draw a broker id from ZooKeeper: %s", error_text(error));
        return;
    }
    broker->id = broker_id;
    load_settings(broker);
}

static void on_cluster_id(void *context, int error, const char *cluster_id) {
    struct broker *broker = context;
    if (broker->phase != BROKER_STARTING) {
        return;
    }
    if (error != 0) {
        broker_fail(broker, "Could not read or make the cluster id in ZooKeeper at %s: %s",
                    broker->config->zookeeper_connect, error_text(error));
        return;
    }
    broker->cluster_id = xstrdup(cluster_id);
    trace_info(BROKER_AREA, "Cluster ID = %s", cluster_id);
    if (open_logs(broker) != 0) {
        return;
    }
    const char *stored = log_manager_stored_cluster_id(broker->logs);
    if (stored != NULL && !str_equal(str_from(stored), str_from(cluster_id))) {
        broker_fail(broker,
                    "The Cluster ID %s doesn't match stored clusterId %s in meta.properties. The broker is trying to "
                    "join the wrong cluster. Configured zookeeper.connect may be wrong.",
                    cluster_id, stored);
        return;
    }
    if (broker->id < 0) {
        broker->id = log_manager_stored_broker_id(broker->logs);
    }
    if (broker->id >= 0) {
        load_settings(broker);
    } else if (broker->config->broker_id_generation_enable) {
        registration_generate_broker_id(broker->seams.coord, broker->config->reserved_broker_max_id, on_generated_id,
                                        broker);
    } else {
        broker_fail(broker,
                    "broker.id is not set, meta.properties holds none and broker.id.generation.enable is false");
    }
}

/* Logs and modules. */

static void on_settings_loaded(void *context, int error) {
    struct broker *broker = context;
    if (broker->phase != BROKER_STARTING) {
        return;
    }
    if (error != 0) {
        broker_fail(broker, "Could not read the dynamic settings from ZooKeeper: %s", error_text(error));
        return;
    }
    error = log_manager_write_identity(broker->logs, broker->id, broker->cluster_id);
    if (error != 0) {
        broker_fail(broker, "Could not write meta.properties to any directory of log.dirs: %s", error_text(error));
        return;
    }
    notify_status("loading logs");
    char *message = NULL;
    error = log_manager_load(broker->logs, &message);
    if (error != 0) {
        broker_fail(broker, "%s", message);
        free(message);
        return;
    }
    notify_status("registering in ZooKeeper");
    broker_wire(broker);
    broker_register(broker);
}

/* Registration, first and again. */

static void serve(struct broker *broker) {
    broker->phase = BROKER_SERVING;
    directory_report_init(&broker->directory_report, broker->seams.clock, broker->seams.coord, broker->id);
    replica_manager_start(broker->replicas);
    log_manager_start(broker->logs);
    group_runtime_start(broker->groups);
    controller_runtime_start(broker->controller, broker->epoch);
    dynamic_config_follow(broker->dynamic);
    broker_read_features(broker);
    broker->seams.on_serving(broker->seams.context);
}

/* A broker that serves without being registered is led and followed by nobody, and nothing else would end that. */
static void on_register_retry(struct timer *timer) {
    struct broker *broker = CONTAINER_OF(timer, struct broker, timer);
    if (broker->phase == BROKER_SERVING && !broker->is_registering) {
        broker_register(broker);
    }
}

static void on_registered(void *context, int error, int64_t epoch, const char *message) {
    struct broker *broker = context;
    broker->is_registering = false;
    if (broker->phase != BROKER_STARTING && broker->phase != BROKER_SERVING) {
        return;
    }
    if (broker->must_register_again) {
        broker->must_register_again = false;
        broker_register(broker);
        return;
    }
    if (error != 0) {
        if (broker->phase == BROKER_STARTING) {
            broker_fail(broker, "Could not register broker %d in ZooKeeper: %s", broker->id, message);
        } else if (error != ERR_SESSION_EXPIRED) { /* else another session follows, and another attempt with it */
            trace_error(BROKER_AREA, "Could not register broker %d again: %s -> trying on", broker->id, message);
            timer_start(broker->seams.clock, &broker->timer, REGISTER_RETRY_MS, on_register_retry);
        }
        return;
    }
    broker->epoch = epoch;
    replica_manager_set_broker_epoch(broker->replicas, epoch);
    if (broker->phase == BROKER_STARTING) {
        serve(broker);
    } else {
        controller_runtime_on_session_created(broker->controller, epoch);
        group_runtime_set_fenced(broker->groups, false);
        dynamic_config_follow(broker->dynamic);
        broker_read_features(broker);
    }
}

void broker_register(struct broker *broker) {
    const struct config *config = broker->config;
    struct znode_endpoint endpoints[CONFIG_LISTENERS_MAX];
    for (int32_t i = 0; i < config->advertised_count; i++) {
        const struct config_listener *listener = &config->advertised_list[i];
        endpoints[i] = (struct znode_endpoint){
            .listener = str_from(listener->name),
            .host = str_from(listener->host),
            .port = listener->port,
            .security_protocol = STR_LITERAL("PLAINTEXT"),
        };
    }
    struct znode_broker znode = {
        .endpoints = endpoints,
        .endpoint_count = config->advertised_count,
        .rack = str_from(config->broker_rack),
        .jmx_port = -1,
        .timestamp_ms = clock_wall_ms(broker->seams.clock),
    };
    if (broker->registration == NULL) {
        broker->registration = registration_create(broker->seams.clock, broker->seams.coord, broker->id, &znode,
                                                   config->zookeeper_session_timeout_ms);
    }
    broker->is_registering = true;
    registration_register(broker->registration, on_registered, broker);
}

static void on_session(void *context, enum coord_session_state state) {
    struct broker *broker = context;
    bool is_serving = broker->phase == BROKER_SERVING;
    bool may_control = is_serving || broker->phase == BROKER_STOPPING; /* the controller resigns last */
    switch (state) {
    case COORD_CONNECTED:
        broker->session_counts.connects++;
        if (broker->is_fenced && is_serving && !broker->is_registering) {
            /* The session outlived the gap: nobody took our place. */
            trace_info(BROKER_AREA, "broker %d: the ZooKeeper session lives on -> unfenced", broker->id);
            controller_runtime_on_session_created(broker->controller, broker->epoch);
            group_runtime_set_fenced(broker->groups, false);
        }
        broker->is_fenced = false;
        break;
    case COORD_FENCED:
        broker->is_fenced = true;
        if (may_control) {
            group_runtime_set_fenced(broker->groups, true);
            trace_warn(BROKER_AREA, "broker %d: no ZooKeeper session for longer than its timeout -> fenced",
                       broker->id);
            controller_runtime_on_session_expired(broker->controller);
        }
        break;
    case COORD_EXPIRED:
        broker->session_counts.expires++;
        trace_warn(BROKER_AREA, "broker %d: the ZooKeeper session has expired -> registering again", broker->id);
        /* Stop acting as controller before a new session may exist (rule 37). */
        if (may_control) {
            controller_runtime_on_session_expired(broker->controller);
            group_runtime_set_fenced(broker->groups, true);
        }
        broker->seams.coord->ops->reopen(broker->seams.coord);
        if (is_serving && broker->is_registering) {
            broker->must_register_again = true; /* when the attempt of the session before has ended */
        } else if (is_serving) {
            timer_stop(broker->seams.clock, &broker->timer);
            broker_register(broker);
        } else if (broker->phase == BROKER_STARTING) {
            broker_fail(broker, "The ZooKeeper session expired while starting; start again");
        }
        break;
    case COORD_AUTH_FAILED:
        broker->session_counts.auth_failures++;
        trace_error(BROKER_AREA, "ZooKeeper refused to authenticate this broker");
        break;
    case COORD_CONNECTING: broker->session_counts.disconnects++; break;
    }
}
