/* A broker as a process: the real seams, its sockets and signals.
 *
 * Order of opening: loop, ZooKeeper session, listeners bound (so that a taken port is told before anything is
 * registered), broker. Accepting begins when the broker serves. SIGTERM and SIGINT stop it in the reverse order; the
 * ZooKeeper session ends last, because that is what tells the others (zookeeper-mode.md 2.2). */
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/broker.h"
#include "broker/metrics.h"
#include "broker/network/http.h"
#include "broker/network/listener.h"
#include "broker/network/loop.h"
#include "broker/network/peer.h"
#include "broker/notify.h"
#include "broker/session_guard.h"
#include "coordinator-client/coord_zookeeper.h"

/* As Kafka names it: people and their log watchers look for these lines. */
#define AREA "kafka.server.KafkaServer"

/* How often, and for how long at most, the end of the last requests to peers is waited for. */
#define IDLE_CHECK_MS 5
#define IDLE_MS_MAX 2000
/* Below this a broker with a few hundred partitions is in trouble; three files for each segment. */
#define DESCRIPTORS_ADVISED 4096

struct server {
    struct config *config;
    struct session_guard *guard;
    struct loop *loop;
    struct coord *coord;
    struct peers *peers;
    struct network *network;
    struct broker *broker;
    struct http *metrics; /* NULL: nobody is to see them */
    bool is_serving;
    bool is_stopping;
    int exit_status;
    struct timer idle_timer; /* while ending: until nothing is under way */
    struct timer watchdog_timer;
    void (*on_hangup)(void);
    int64_t idle_deadline_ms;
};

static void on_frame(void *context, struct exchange *exchange, uint8_t *frame, size_t size) {
    struct server *server = context;
    dispatch_frame(broker_dispatcher(server->broker), exchange, frame, size);
}

/* Half the interval, as systemd advises. Comes from the loop, so that a loop that hangs is noticed. */
static void on_watchdog(struct timer *timer) {
    struct server *server = CONTAINER_OF(timer, struct server, watchdog_timer);
    int64_t interval_ms = notify_watchdog_ms();
    if (interval_ms > 0) {
        notify_alive();
        timer_start(loop_clock(server->loop), timer, MAX(1, interval_ms / 2), on_watchdog);
    }
}

static void on_serving(void *context) {
    struct server *server = context;
    server->is_serving = true;
    network_start_accepting(server->network);
    trace_info(AREA, "[KafkaServer id=%d] started", broker_id(server->broker));
    notify_ready();
    on_watchdog(&server->watchdog_timer);
}

static struct network_limits network_limits(const struct config *config) {
    return (struct network_limits){
        .max_connections = config->max_connections,
        .max_connections_per_ip = config->max_connections_per_ip,
        .max_connections_per_ip_overrides = config->max_connections_per_ip_overrides,
        .max_connection_creation_rate = config->max_connection_creation_rate,
    };
}

static void set_listener_limits(struct server *server) {
    const struct config *config = server->config;
    for (int32_t i = 0; i < config->listener_count; i++) {
        network_set_listener_limits(server->network, i, config->listener_list[i].max_connections,
                                    config->listener_list[i].max_connection_creation_rate);
    }
}

static void on_settings(void *context) {
    struct server *server = context;
    struct network_limits limits = network_limits(server->config);
    network_set_limits(server->network, &limits);
    set_listener_limits(server);
}

static void on_credentials(void *context, int64_t session_id, const uint8_t password[16], int session_timeout_ms) {
    struct server *server = context;
    session_guard_tell(server->guard, session_id, password, session_timeout_ms);
}

static void end(struct server *server, int exit_status) {
    server->exit_status = exit_status;
    loop_stop(server->loop);
}

static void on_failed(void *context, const char *message) {
    trace_fatal(AREA, "%s", message);
    end(context, 1);
}

static void on_leaving(void *context) {
    struct server *server = context;
    network_stop_accepting(server->network);
    network_close_connections(server->network);
}

static void on_stopped(void *context) {
    struct server *server = context;
    end(server, 0);
}

static void on_signal(void *context, int number) {
    struct server *server = context;
    if (server->is_stopping) {
        return; /* the first one is at work */
    }
    server->is_stopping = true;
    trace_info(AREA, "Terminating process due to signal SIG%s", number == SIGINT ? "INT" : "TERM");
    notify_stopping();
    /* Still accepting: the controller, which may be this very broker, has to be reached to hand leadership over. */
    broker_stop(server->broker, on_stopped, server);
}

static void on_sighup(void *context, int number) {
    (void)number;
    struct server *server = context;
    server->on_hangup();
}

static void on_child(void *context, int number) {
    (void)number;
    struct server *server = context;
    session_guard_check(server->guard);
}

static int open_network(struct server *server) {
    const struct config *config = server->config;
    struct network_config network_config = {
        .socket_request_max_bytes = config->socket_request_max_bytes,
        .socket_send_buffer_bytes = config_socket_buffer_bytes(config, CONFIG_KEY_socket_send_buffer_bytes),
        .socket_receive_buffer_bytes = config_socket_buffer_bytes(config, CONFIG_KEY_socket_receive_buffer_bytes),
        .socket_listen_backlog_size = config->socket_listen_backlog_size,
        .connections_max_idle_ms = config->connections_max_idle_ms,
        .frames_max_bytes =
            config->queued_max_request_bytes > 0 ? config->queued_max_request_bytes : NETWORK_FRAMES_MAX_BYTES,
        .frame_stall_ms = NETWORK_FRAME_STALL_MS,
        .limits = network_limits(config),
        .on_frame = on_frame,
        .context = server,
    };
    server->network = network_create(server->loop, &network_config);
    for (int32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listener_list[i];
        char *message = NULL;
        bool is_privileged = str_equal_text(str_from(listener->name), config->inter_broker_listener) ||
                             (config->control_plane_listener != NULL &&
                              str_equal_text(str_from(listener->name), config->control_plane_listener));
        int error = network_listen(server->network, i, is_privileged, listener->host, listener->port, &message);
        if (error != 0) {
            trace_fatal(AREA, "%s", message);
            free(message);
            return error;
        }
    }
    set_listener_limits(server);
    return 0;
}

static void on_metrics(void *context, struct byte_buffer *to) {
    struct server *server = context;
    metrics_collect(server->broker, server->network, to);
}

static int open_metrics(struct server *server) {
    const struct config *config = server->config;
    char *message = NULL;
    if (config->ottla_metrics_port == 0) {
        return 0;
    }
    int error = http_open(server->loop, config->ottla_metrics_host, config->ottla_metrics_port, "/metrics",
                          METRICS_CONTENT_TYPE, on_metrics, server, &server->metrics, &message);
    if (error != 0) {
        trace_fatal(AREA, "%s", message);
        free(message);
    }
    return error;
}

static uint64_t draw_seed(void) {
    uint64_t seed;
    CHECK(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed);
    return seed;
}

static int open_all(struct server *server) {
    struct config *config = server->config;
    server->loop = loop_create(MAX(1, MIN(config->background_threads, LOOP_WORKERS_MAX)));
    loop_on_signal(server->loop, SIGTERM, on_signal, server);
    loop_on_signal(server->loop, SIGINT, on_signal, server);
    loop_on_signal(server->loop, SIGHUP, on_sighup, server);
    loop_on_signal(server->loop, SIGCHLD, on_child, server);
    session_guard_check(server->guard); /* it may have gone before anyone listened */
    int error = open_network(server);
    if (error != 0) {
        return error;
    }
    char *message = NULL;
    error = coord_zookeeper_create(loop_clock(server->loop), config->zookeeper_connect,
                                   config->zookeeper_session_timeout_ms, config->zookeeper_set_acl, &server->coord,
                                   &message);
    if (error != 0) {
        trace_fatal(AREA, "%s", message);
        free(message);
        return error;
    }
    coord_zookeeper_on_credentials(server->coord, on_credentials, server);
    coord_zookeeper_set_in_flight_max(server->coord, config->zookeeper_max_in_flight_requests);
    struct peers_config peers_config = {
        .socket_receive_buffer_bytes =
            config_socket_buffer_bytes(config, CONFIG_KEY_replica_socket_receive_buffer_bytes),
        .connections_max_idle_ms = config->connections_max_idle_ms,
        .connection_setup_timeout_ms = config->socket_connection_setup_timeout_ms,
        .connection_setup_timeout_max_ms = config->socket_connection_setup_timeout_max_ms,
    };
    server->peers = peers_create(server->loop, &peers_config);
    struct broker_seams seams = {
        .clock = loop_clock(server->loop),
        .disk = disk_posix(),
        .transport = peers_transport(server->peers),
        .coord = server->coord,
        .seed = draw_seed(),
        .on_serving = on_serving,
        .on_failed = on_failed,
        .on_settings = on_settings,
        .on_leaving = on_leaving,
        .context = server,
    };
    server->broker = broker_create(config, &seams);
    return open_metrics(server);
}

static void on_idle_check(struct timer *timer) {
    struct server *server = CONTAINER_OF(timer, struct server, idle_timer);
    if ((peers_is_idle(server->peers) && broker_is_idle(server->broker)) ||
        clock_now_ms(loop_clock(server->loop)) >= server->idle_deadline_ms) {
        loop_stop(server->loop);
    } else {
        timer_start(loop_clock(server->loop), timer, IDLE_CHECK_MS, on_idle_check);
    }
}

/* Everything that points into the broker is ended before its memory goes: connections, then the session, whose end
 * tells the others, then requests to peers, whose last answers the loop still has to deliver. */
static void close_all(struct server *server) {
    if (server->network != NULL) {
        network_stop_accepting(server->network);
        network_close_connections(server->network);
    }
    if (server->peers != NULL) {
        peers_close(server->peers);
    }
    if (server->coord != NULL) {
        coord_zookeeper_destroy(server->coord);
    }
    http_close(server->metrics);
    timer_stop(loop_clock(server->loop), &server->watchdog_timer);
    if (server->exit_status == 0) {
        trace_info(AREA, "[KafkaServer id=%d] shut down completed", broker_id(server->broker));
        struct clock *clock = loop_clock(server->loop);
        server->idle_deadline_ms = clock_now_ms(clock) + IDLE_MS_MAX;
        timer_start(clock, &server->idle_timer, 0, on_idle_check);
        loop_run(server->loop);
        broker_destroy(server->broker);
        network_destroy(server->network);
        peers_destroy(server->peers);
        loop_destroy(server->loop);
    } /* after a failure the process ends at once and the system takes it all back */
}

/* Segments and connections take descriptors by the thousand; the Java broker too takes all it may have. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_ADVISED) {
        trace_warn(AREA, "Only %llu files may be open at once (ulimit -n); %d or more are advised for a broker",
                   (unsigned long long)limit.rlim_cur, DESCRIPTORS_ADVISED);
    }
}

int broker_run(struct config *config, struct session_guard *guard, void (*on_hangup)(void)) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    raise_descriptor_limit();
    static struct server server; /* what a failure leaves to the system is pointed to until the end, and no leak */
    server = (struct server){.config = config, .guard = guard, .exit_status = 1, .on_hangup = on_hangup};
    if (open_all(&server) != 0) {
        close_all(&server);
        return 1;
    }
    broker_start(server.broker);
    loop_run(server.loop);
    close_all(&server);
    return server.exit_status;
}
