/* Asks every module for its counters and writes them down; see metrics.h. The only reader of all of them. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/metrics.h"
#include "broker/network/listener.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"

struct collection {
    struct broker *broker;
    const struct network *network; /* NULL: none */
    struct byte_buffer *to;
    double values[METRIC_ID_COUNT]; /* NAN: not known now, no sample */
    enum metric metric;             /* the labelled one being written */
};

/* ---- Values ---- */

static double state_of(enum broker_phase phase) {
    switch (phase) {
    case BROKER_CREATED:
    case BROKER_STARTING: return 1;
    case BROKER_SERVING: return 3;
    case BROKER_STOPPING: return 6;
    case BROKER_STOPPED:
    case BROKER_FAILED: break;
    }
    return 7;
}

static void collect_replicas(struct collection *c) {
    struct replica_status_counts counts = {0};
    double *v = c->values;
    if (c->broker->replicas != NULL) {
        replica_manager_count(c->broker->replicas, &counts);
    }
    v[METRIC_ID_under_replicated] = counts.under_replicated;
    v[METRIC_ID_under_min_isr] = counts.under_min_isr;
    v[METRIC_ID_at_min_isr] = counts.at_min_isr;
    v[METRIC_ID_partitions] = counts.partitions;
    v[METRIC_ID_leaders] = counts.leaders;
    v[METRIC_ID_offline_replicas] = counts.offline;
    v[METRIC_ID_isr_shrinks] = (double)counts.isr_shrinks;
    v[METRIC_ID_isr_expands] = (double)counts.isr_expands;
    v[METRIC_ID_isr_failures] = (double)counts.isr_failures;
}

static void collect_controller(struct collection *c) {
    struct controller_counts counts = {0};
    const struct controller_runtime *controller = c->broker->controller;
    double *v = c->values;
    if (controller != NULL) {
        controller_runtime_count(controller, &counts);
    }
    v[METRIC_ID_active_controller] = controller != NULL && controller_runtime_is_active(controller);
    v[METRIC_ID_offline_partitions] = counts.offline_partitions;
    v[METRIC_ID_preferred_imbalance] = counts.not_preferred_leaders;
    v[METRIC_ID_live_brokers] = counts.live_brokers;
    v[METRIC_ID_global_topics] = counts.topics;
    v[METRIC_ID_global_partitions] = counts.partitions;
    v[METRIC_ID_topics_to_delete] = counts.topics_to_delete;
    v[METRIC_ID_reassigning] = counts.reassigning_partitions;
}

static void collect_network(struct collection *c) {
    const struct dispatcher *dispatcher = c->broker->dispatcher;
    double *v = c->values;
    v[METRIC_ID_requests_in_flight] = dispatcher == NULL ? 0 : dispatcher_in_flight(dispatcher);
    v[METRIC_ID_connections_accepted] = c->network == NULL ? 0 : (double)network_accepted_count(c->network);
    v[METRIC_ID_frame_bytes] = c->network == NULL ? 0 : (double)network_frame_bytes(c->network);
}

static void collect_cleaner(struct collection *c) {
    struct log_cleaner_status status = {.since_look_ms = -1};
    double *v = c->values;
    if (c->broker->logs != NULL) {
        log_manager_cleaner_status(c->broker->logs, &status);
    }
    v[METRIC_ID_dirty_max] = status.dirty_share_max * 100;
    v[METRIC_ID_cleaner_since] = status.since_look_ms < 0 ? NAN : (double)status.since_look_ms;
    v[METRIC_ID_cleaner_stopped] = c->broker->phase == BROKER_SERVING ? status.stopped_threads : 0;
    v[METRIC_ID_cleaner_jobs] = status.jobs;
    v[METRIC_ID_cleaned] = (double)status.cleaned_count;
    v[METRIC_ID_cleaned_bytes] = (double)status.cleaned_bytes_read;
    v[METRIC_ID_clean_seconds_max] = (double)status.clean_ms_max / 1000;
    v[METRIC_ID_recopied_max] = status.recopied_share_max * 100;
}

static void collect_groups(struct collection *c) {
    static const struct group_runtime_counts nothing;
    const struct group_runtime *groups = c->broker->groups;
    const struct group_runtime_counts *counts = groups == NULL ? &nothing : group_runtime_counts(groups);
    double *v = c->values;
    v[METRIC_ID_groups] = groups == NULL ? 0 : group_runtime_group_count(groups);
    v[METRIC_ID_groups_empty] = counts->by_state[GROUP_EMPTY];
    v[METRIC_ID_groups_preparing] = counts->by_state[GROUP_PREPARING_REBALANCE];
    v[METRIC_ID_groups_completing] = counts->by_state[GROUP_COMPLETING_REBALANCE];
    v[METRIC_ID_groups_stable] = counts->by_state[GROUP_STABLE];
    v[METRIC_ID_groups_dead] = counts->by_state[GROUP_DEAD];
    v[METRIC_ID_group_offsets] = (double)counts->offsets;
    v[METRIC_ID_group_bytes] = groups == NULL ? 0 : (double)group_runtime_bytes(groups);
    v[METRIC_ID_group_loading] = counts->loading;
    v[METRIC_ID_group_loads] = (double)counts->loads;
    v[METRIC_ID_group_load_max] = (double)counts->load_ms_max;
    v[METRIC_ID_group_load_average] = counts->loads == 0 ? 0 : (double)counts->load_ms_sum / (double)counts->loads;
}

static void collect_session(struct collection *c) {
    c->values[METRIC_ID_session_connects] = (double)c->broker->session_counts.connects;
    c->values[METRIC_ID_session_disconnects] = (double)c->broker->session_counts.disconnects;
    c->values[METRIC_ID_session_expires] = (double)c->broker->session_counts.expires;
    c->values[METRIC_ID_session_auth_failures] = (double)c->broker->session_counts.auth_failures;
}

/* Below this all descriptors lie; -1 where /proc does not say. */
static int descriptors_end(void) {
    char line[128];
    int end = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && end < 0 && fgets(line, sizeof line, file) != NULL) {
        end = strncmp(line, "FDSize:", 7) == 0 ? (int)strtol(line + 7, NULL, 10) : -1;
    }
    if (file != NULL) {
        fclose(file);
    }
    return end;
}

/* From Linux 6.2 on the size of the directory is their number. Before, each is asked for: to list the directory would
 * hold up the loop for a tenth of a second with the files of five thousand logs. */
static double count_descriptors(void) {
    struct stat status;
    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0) {
        return (double)status.st_size;
    }
    int count = 0;
    int end = descriptors_end();
    for (int i = 0; i < end; i++) {
        count += fcntl(i, F_GETFD) != -1;
    }
    return end < 0 ? (double)NAN : (double)count;
}

/* Seconds since 1970 at which this process began; NAN where /proc does not say. The name may hold spaces, so fields are
 * counted from its closing parenthesis: the start is the 22nd, in ticks since the machine began. */
static double start_of_process(void) {
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL) {
        return NAN;
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    struct timespec wall;
    struct timespec since_boot;
    if (at == NULL || clock_gettime(CLOCK_REALTIME, &wall) != 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) {
        return NAN;
    }
    double ticks = (double)strtoll(at + 1, NULL, 10);
    double boot = (double)(wall.tv_sec - since_boot.tv_sec) + (double)(wall.tv_nsec - since_boot.tv_nsec) / 1e9;
    return boot + ticks / (double)sysconf(_SC_CLK_TCK);
}

static void collect_process(struct collection *c) {
    long long pages = -1;
    long long resident = -1;
    struct rlimit limit;
    struct rusage usage;
    double *v = c->values;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%lld %lld", &pages, &resident) != 2) {
            pages = resident = -1;
        }
        fclose(file);
    }
    double page_size = (double)sysconf(_SC_PAGESIZE);
    v[METRIC_ID_resident_bytes] = resident < 0 ? NAN : (double)resident * page_size;
    v[METRIC_ID_virtual_bytes] = pages < 0 ? NAN : (double)pages * page_size;
    v[METRIC_ID_open_descriptors] = count_descriptors();
    v[METRIC_ID_descriptors_max] = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : NAN;
    v[METRIC_ID_start_time] = start_of_process();
    v[METRIC_ID_cpu_seconds] = getrusage(RUSAGE_SELF, &usage) != 0
                                   ? NAN
                                   : (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- Labelled ones ---- */

static void sample(const struct collection *c, const struct metric_label *labels, int32_t count, double value) {
    metrics_sample(c->to, c->metric, "", labels, count, value);
}

static double traffic_of(enum metric metric, const struct traffic *traffic) {
    switch ((int)metric) {
    case METRIC_ID_messages_in: return (double)traffic->messages_in;
    case METRIC_ID_bytes_in: return (double)traffic->bytes_in;
    case METRIC_ID_bytes_out: return (double)traffic->bytes_out;
    case METRIC_ID_replication_bytes_in: return (double)traffic->replication_bytes_in;
    default: return (double)traffic->replication_bytes_out;
    }
}

static void on_traffic(void *context, const char *topic, const struct traffic *traffic) {
    const struct collection *c = context;
    sample(c, &(struct metric_label){"topic", topic}, 1, traffic_of(c->metric, traffic));
}

static void emit_traffic(struct collection *c) {
    static const struct traffic nothing;
    struct replica_manager *replicas = c->broker->replicas;
    sample(c, NULL, 0, traffic_of(c->metric, replicas == NULL ? &nothing : replica_manager_traffic(replicas)));
    if (replicas != NULL) {
        replica_manager_for_each_traffic(replicas, on_traffic, c);
    }
}
#define emit_messages_in emit_traffic
#define emit_bytes_in emit_traffic
#define emit_bytes_out emit_traffic
#define emit_replication_bytes_in emit_traffic
#define emit_replication_bytes_out emit_traffic

typedef void emit_api(const struct collection *c, const struct metric_label *request,
                      const struct api_counters *counters);

static void emit_for_apis(const struct collection *c, emit_api *emit) {
    int32_t count;
    const struct api_row *rows = dispatch_rows(&count);
    for (int32_t i = 0; i < count && c->broker->dispatcher != NULL; i++) {
        const struct metric_label request = {"request", api_name(rows[i].key)};
        emit(c, &request, dispatcher_counters(c->broker->dispatcher, i));
    }
}

static void emit_api_requests(const struct collection *c, const struct metric_label *request,
                              const struct api_counters *counters) {
    for (int version = 0; version < API_VERSIONS_COUNTED; version++) {
        if (counters->requests[version] > 0) {
            char text[16];
            snprintf(text, sizeof text, "%d", version);
            const struct metric_label labels[] = {*request, {"version", text}};
            sample(c, labels, 2, (double)counters->requests[version]);
        }
    }
}

static void emit_requests(struct collection *c) {
    emit_for_apis(c, emit_api_requests);
}

static void emit_api_errors(const struct collection *c, const struct metric_label *request,
                            const struct api_counters *counters) {
    for (int i = 0; i < ERROR_COUNTS; i++) {
        if (counters->errors[i] > 0) {
            const struct metric_label labels[] = {*request, {"error", kafka_error_name((int16_t)(i - 1))}};
            sample(c, labels, 2, (double)counters->errors[i]);
        }
    }
}

static void emit_errors(struct collection *c) {
    emit_for_apis(c, emit_api_errors);
}

static void emit_api_time(const struct collection *c, const struct metric_label *request,
                          const struct api_counters *counters) {
    metrics_sample(c->to, c->metric, "_sum", request, 1, (double)counters->total_ms);
    metrics_sample(c->to, c->metric, "_count", request, 1, (double)counters->answered);
}

static void emit_total_time(struct collection *c) {
    emit_for_apis(c, emit_api_time);
}

static void emit_api_request_bytes(const struct collection *c, const struct metric_label *request,
                                   const struct api_counters *counters) {
    sample(c, request, 1, (double)counters->request_bytes);
}

static void emit_request_bytes(struct collection *c) {
    emit_for_apis(c, emit_api_request_bytes);
}

static void emit_api_response_bytes(const struct collection *c, const struct metric_label *request,
                                    const struct api_counters *counters) {
    sample(c, request, 1, (double)counters->response_bytes);
}

static void emit_response_bytes(struct collection *c) {
    emit_for_apis(c, emit_api_response_bytes);
}

static void emit_connections(struct collection *c) {
    const struct config *config = c->broker->config;
    for (int32_t i = 0; i < config->listener_count && c->network != NULL; i++) {
        sample(c, &(struct metric_label){"listener", config->listener_list[i].name}, 1,
               network_listener_connection_count(c->network, i));
    }
}

static double size_of_log(enum metric metric, const struct log *log) {
    switch ((int)metric) {
    case METRIC_ID_log_size: return (double)log_size_bytes(log);
    case METRIC_ID_log_segments: return log_segment_count(log);
    case METRIC_ID_log_start: return (double)log_start_offset(log);
    default: return (double)log_end_offset(log);
    }
}

static void on_log(void *context, const char *topic, int32_t partition, struct log *log) {
    const struct collection *c = context;
    char index[16];
    snprintf(index, sizeof index, "%d", partition);
    const struct metric_label labels[] = {{"topic", topic}, {"partition", index}};
    sample(c, labels, 2, size_of_log(c->metric, log));
}

static void emit_logs(struct collection *c) {
    if (c->broker->logs != NULL) {
        log_manager_for_each(c->broker->logs, on_log, c);
    }
}
#define emit_log_size emit_logs
#define emit_log_segments emit_logs
#define emit_log_start emit_logs
#define emit_log_end emit_logs

/* Directories as they are known, without asking a disk that may hang. */
static void emit_directories(struct collection *c) {
    for (int32_t i = 0; c->broker->logs != NULL && i < c->broker->config->log_dir_count; i++) {
        const char *path = c->broker->config->log_dir_list[i];
        int32_t count;
        int64_t bytes;
        log_manager_uncleanable(c->broker->logs, path, &count, &bytes);
        double value = c->metric == METRIC_ID_directory_offline        ? log_manager_is_failed(c->broker->logs, path)
                       : c->metric == METRIC_ID_uncleanable_partitions ? count
                                                                       : (double)bytes;
        sample(c, &(struct metric_label){"logDirectory", path}, 1, value);
    }
}
#define emit_directory_offline emit_directories
#define emit_uncleanable_partitions emit_directories
#define emit_uncleanable_bytes emit_directories

static void collect_directories(struct collection *c) {
    int32_t failed = 0;
    for (int32_t i = 0; c->broker->logs != NULL && i < c->broker->config->log_dir_count; i++) {
        failed += log_manager_is_failed(c->broker->logs, c->broker->config->log_dir_list[i]);
    }
    c->values[METRIC_ID_offline_directories] = failed;
}

/* As Kafka spells ZooKeeper's states, as far as they can be told apart here. */
static void emit_session_state(struct collection *c) {
    static const char *const names[] = {[COORD_CONNECTING] = "CONNECTING",
                                        [COORD_CONNECTED] = "CONNECTED",
                                        [COORD_FENCED] = "FENCED",
                                        [COORD_EXPIRED] = "CLOSED",
                                        [COORD_AUTH_FAILED] = "AUTH_FAILED"};
    struct coord *coord = c->broker->seams.coord;
    enum coord_session_state state = coord->ops->state(coord);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        sample(c, &(struct metric_label){"state", names[i]}, 1, state == (enum coord_session_state)i);
    }
}

/* ---- All of it ---- */

static void (*const emitters[])(struct collection *c) = {
#define VALUE(id, type, name, mbean, meaning) [METRIC_ID_##id] = NULL,
#define LABELLED(id, type, name, mbean, meaning) [METRIC_ID_##id] = emit_##id,
#include "broker/metrics.tbl.h"
#undef VALUE
#undef LABELLED
};

void metrics_collect(struct broker *broker, const struct network *network, struct byte_buffer *to) {
    struct collection c = {.broker = broker, .network = network, .to = to};
    for (int i = 0; i < METRIC_ID_COUNT; i++) {
        c.values[i] = NAN;
    }
    c.values[METRIC_ID_broker_state] = state_of(broker->phase);
    collect_replicas(&c);
    collect_controller(&c);
    collect_network(&c);
    collect_directories(&c);
    collect_cleaner(&c);
    collect_groups(&c);
    collect_session(&c);
    collect_process(&c);
    for (int i = 0; i < METRIC_ID_COUNT; i++) {
        c.metric = (enum metric)i;
        if (emitters[i] == NULL && isnan(c.values[i])) {
            continue;
        }
        metrics_begin(to, c.metric);
        if (emitters[i] != NULL) {
            emitters[i](&c);
        } else {
            sample(&c, NULL, 0, c.values[i]);
        }
    }
}
