/* Binding, accepting, counting and idling out. */
#include "broker/network/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/network/connection.h"

#define AREA "kafka.network.SocketServer"
/* Accepted in one go before the connections get their turn. */
#define ACCEPTS_MAX 64
/* A peer that has vanished without a word is noticed after this silence and so many unanswered probes (4 minutes),
 * whatever its request waits for. */
#define KEEPALIVE_IDLE_S 120
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES 8
/* How often stalled frames are looked for while memory is short. */
#define STALL_CHECK_MS 1000
/* How often, at most, it is said that memory is short. */
#define SHORT_TOLD_MS 60000

struct network *network_create(struct loop *loop, const struct network_config *config) {
    struct network *network = xcalloc(1, sizeof *network);
    network->loop = loop;
    network->clock = loop_clock(loop);
    network->config = *config;
    admission_init(&network->admission);
    const struct network_limits *limits = &config->limits;
    admission_set_limits(&network->admission, limits->max_connections, limits->max_connections_per_ip,
                         limits->max_connections_per_ip_overrides, limits->max_connection_creation_rate);
    return network;
}

static void on_accept_timer(struct timer *timer);

/* Listeners accept while admission lets them; what is not accepted queues in the kernel. */
static void update_accepting(struct network *network) {
    struct ev_loop *ev = loop_ev(network->loop);
    int64_t now_ms = clock_now_ms(network->clock);
    int64_t again_ms = -1;
    for (int32_t i = 0; i < network->listener_count; i++) {
        struct listener *listener = &network->listeners[i];
        if (listener->descriptor < 0) {
            continue;
        }
        int64_t wait_ms =
            network->is_accepting ? admission_wait_ms(&network->admission, &listener->admission, now_ms) : -1;
        if (wait_ms == 0) {
            ev_io_start(ev, &listener->watcher);
        } else {
            ev_io_stop(ev, &listener->watcher);
        }
        if (wait_ms > 0 && (again_ms < 0 || wait_ms < again_ms)) {
            again_ms = wait_ms;
        }
    }
    if (again_ms > 0) {
        timer_start(network->clock, &network->accept_timer, again_ms, on_accept_timer);
    } else {
        timer_stop(network->clock, &network->accept_timer);
    }
}

static void on_accept_timer(struct timer *timer) {
    update_accepting(CONTAINER_OF(timer, struct network, accept_timer));
}

static void list_append(struct network *network, struct connection *connection) {
    connection->previous = network->last;
    connection->next = NULL;
    if (network->last != NULL) {
        network->last->next = connection;
    } else {
        network->first = connection;
    }
    network->last = connection;
}

static void list_remove(struct network *network, struct connection *connection) {
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        network->first = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    } else {
        network->last = connection->previous;
    }
}

void network_touch(struct network *network, struct connection *connection) {
    connection->last_active_ms = clock_now_ms(network->clock);
    if (network->last != connection) {
        list_remove(network, connection);
        list_append(network, connection);
    }
}

/* Closes what has been idle too long and sleeps until the next may be. Whoever waits for an answer is not idle. */
static void on_idle_timer(struct timer *timer) {
    struct network *network = CONTAINER_OF(timer, struct network, idle_timer);
    int64_t now_ms = clock_now_ms(network->clock);
    int64_t idle_max_ms = network->config.connections_max_idle_ms;
    while (network->first != NULL && now_ms - network->first->last_active_ms >= idle_max_ms) {
        if (network->first->in_flight > 0) {
            network_touch(network, network->first);
        } else {
            trace_debug(AREA, "Closing idle connection of %s", network->first->host);
            connection_close(network->first);
        }
    }
    if (network->first != NULL) {
        timer_start(network->clock, timer, network->first->last_active_ms + idle_max_ms - now_ms, on_idle_timer);
    }
}

void network_on_connection_closed(struct network *network, struct connection *connection) {
    list_remove(network, connection);
    admission_leave(&network->admission, &connection->listener->admission, connection->address);
    update_accepting(network);
    network_on_memory_freed(network);
}

/* While memory is short: closes a connection whose frame has been on its way too long. */
static bool close_stalled(struct network *network) {
    int64_t now_ms = clock_now_ms(network->clock);
    for (struct connection *c = network->first; c != NULL; c = c->next) {
        if (c->partial != NULL && now_ms - c->partial_since_ms >= network->config.frame_stall_ms) {
            trace_warn(AREA,
                       "Closing connection of %s: memory for requests is used up and its request has been on its way "
                       "for %lld ms",
                       c->host, (long long)(now_ms - c->partial_since_ms));
            connection_close(c);
            return true;
        }
    }
    return false;
}

static void on_stall_timer(struct timer *timer) {
    struct network *network = CONTAINER_OF(timer, struct network, stall_timer);
    while (network->is_short_of_memory && close_stalled(network)) {
    }
    if (network->is_short_of_memory) {
        timer_start(network->clock, timer, MIN(STALL_CHECK_MS, network->config.frame_stall_ms), on_stall_timer);
    }
}

bool network_note_shortage(struct network *network, bool has_begun) {
    if (!network->is_short_of_memory) {
        int64_t now_ms = clock_now_ms(network->clock);
        if (network->short_told_ms == 0 || now_ms - network->short_told_ms >= SHORT_TOLD_MS) {
            network->short_told_ms = now_ms;
            trace_warn(AREA, "Requests take %lld bytes, as many as they may (queued.max.request.bytes): clients wait",
                       (long long)network->pool.charged_bytes);
        }
        network->is_short_of_memory = true;
        timer_start(network->clock, &network->stall_timer, MIN(STALL_CHECK_MS, network->config.frame_stall_ms),
                    on_stall_timer);
    }
    return has_begun && network->pool.charged_bytes / 2 < network->config.frames_max_bytes;
}

/* A posted task: reading may start only outside of whoever gave the memory back. */
static void resume_all(void *context) {
    struct network *network = context;
    network->is_resume_posted = false;
    for (struct connection *c = network->first; c != NULL; c = c->next) {
        connection_update_reading(c);
    }
}

void network_end_shortage(struct network *network) {
    /* Some room is made before all are woken. */
    if (network->pool.charged_bytes > network->config.frames_max_bytes - network->config.frames_max_bytes / 4) {
        return;
    }
    network->is_short_of_memory = false;
    timer_stop(network->clock, &network->stall_timer);
    if (!network->is_resume_posted) {
        network->is_resume_posted = true;
        clock_post(network->clock, resume_all, network);
    }
}

/* There are more than max.connections, because a broker connected or the bound was lowered: the client that has been
 * silent longest goes. */
static bool close_oldest_client(struct network *network) {
    for (struct connection *c = network->first; c != NULL; c = c->next) {
        if (!c->listener->admission.is_protected) {
            trace_info(AREA, "Closing connection of %s: max.connections is exceeded", c->host);
            connection_close(c);
            return true;
        }
    }
    return false;
}

/* The address as text; IPv4 in its own form also where the socket is IPv6. */
static void address_text(const struct sockaddr_storage *address, char ret_text[INET6_ADDRSTRLEN]) {
    ret_text[0] = '\0';
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, ret_text, INET6_ADDRSTRLEN);
        return;
    }
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
        inet_ntop(AF_INET, &v6->s6_addr[12], ret_text, INET6_ADDRSTRLEN);
    } else {
        inet_ntop(AF_INET6, v6, ret_text, INET6_ADDRSTRLEN);
    }
}

static void set_option(int descriptor, int level, int option, int value) {
    if (setsockopt(descriptor, level, option, &value, sizeof value) != 0) {
        trace_debug(AREA, "Socket option %d cannot be set: %s", option, strerror(errno));
    }
}

static void admit(struct listener *listener, int descriptor, const struct sockaddr_storage *from) {
    struct network *network = listener->network;
    char host[INET6_ADDRSTRLEN];
    address_text(from, host);
    int32_t max;
    struct address_count *address = admission_enter(&network->admission, &listener->admission, host, &max);
    if (address == NULL) {
        trace_info(AREA, "Rejected connection from %s, address already has the configured maximum of %d connections.",
                   host, max);
        close(descriptor);
        return;
    }
    set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    if (network->config.socket_send_buffer_bytes > 0) {
        set_option(descriptor, SOL_SOCKET, SO_SNDBUF, network->config.socket_send_buffer_bytes);
    }
    struct connection *connection = connection_open(listener, descriptor, host, address);
    connection->last_active_ms = clock_now_ms(network->clock);
    network->accepted_count++;
    list_append(network, connection);
    if (admission_is_exceeded(&network->admission)) {
        (void)close_oldest_client(network);
    }
    if (network->config.connections_max_idle_ms > 0 && !timer_is_running(&network->idle_timer)) {
        timer_start(network->clock, &network->idle_timer, network->config.connections_max_idle_ms, on_idle_timer);
    }
}

/* The rest of the descriptors is for the log: a broker that cannot open a segment loses its directory, a client that
 * cannot connect comes again. */
static void pause_for_descriptors(struct network *network, int descriptor) {
    int error = errno;
    if (admission_out_of_descriptors(&network->admission, clock_now_ms(network->clock))) {
        trace_error(AREA, "Accepting no more connections for now: %s",
                    descriptor < 0 ? strerror(error) : "the rest of the open files (ulimit -n) is kept for the log");
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    update_accepting(network);
}

static void on_acceptable(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev;
    (void)events;
    struct listener *listener = CONTAINER_OF(watcher, struct listener, watcher);
    struct network *network = listener->network;
    for (int i = 0; i < ACCEPTS_MAX && ev_is_active(watcher); i++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        int descriptor = accept4(listener->descriptor, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) {
            return;
        }
        if (descriptor < 0 || descriptor >= network->admission.descriptor_end) {
            pause_for_descriptors(network, descriptor);
            return;
        }
        if (admission_descriptors_are_back(&network->admission)) {
            trace_info(AREA, "Accepting connections again");
        }
        admit(listener, descriptor, &from);
        update_accepting(network);
    }
}

/* A listening socket for this address, or -1 with errno. */
static int bind_to(const struct network *network, const struct addrinfo *info) {
    int descriptor = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (info->ai_family == AF_INET6) {
        set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (network->config.socket_receive_buffer_bytes > 0) {
        set_option(descriptor, SOL_SOCKET, SO_RCVBUF, network->config.socket_receive_buffer_bytes);
    }
    int backlog = network->config.socket_listen_backlog_size;
    if (bind(descriptor, info->ai_addr, info->ai_addrlen) == 0 && listen(descriptor, backlog > 0 ? backlog : 50) == 0) {
        return descriptor;
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static int bind_any(const struct network *network, const char *host, int32_t port, char **ret_message) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    bool is_wildcard = host[0] == '\0';
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(is_wildcard ? NULL : host, service, &hints, &list);
    if (status != 0) {
        *ret_message = xasprintf("Socket server failed to bind to %s:%d: %s", host, port, gai_strerror(status));
        return -1;
    }
    /* Every interface means IPv6 with IPv4 inside it, or IPv4 alone on a machine without IPv6. */
    int descriptor = -1;
    for (int pass = is_wildcard ? 0 : 1; pass < 2 && descriptor < 0; pass++) {
        for (const struct addrinfo *info = list; info != NULL && descriptor < 0; info = info->ai_next) {
            if (pass == 1 || info->ai_family == AF_INET6) {
                descriptor = bind_to(network, info);
            }
        }
    }
    if (descriptor < 0) {
        *ret_message = xasprintf("Socket server failed to bind to %s:%d: %s.", is_wildcard ? "0.0.0.0" : host, port,
                                 strerror(errno));
    }
    freeaddrinfo(list);
    return descriptor;
}

int network_listen(struct network *network, int32_t index, bool is_privileged, const char *host, int32_t port,
                   char **ret_message) {
    CHECK(network->listener_count < LISTENERS_MAX);
    int descriptor = bind_any(network, host, port, ret_message);
    if (descriptor < 0) {
        return ERR_IO;
    }
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    CHECK(getsockname(descriptor, (struct sockaddr *)&bound, &size) == 0);
    struct listener *listener = &network->listeners[network->listener_count++];
    listener->network = network;
    listener->descriptor = descriptor;
    listener->index = index;
    listener->is_privileged = is_privileged;
    network->has_client_listener |= !is_privileged;
    listener->admission.max_connections = ADMISSION_UNLIMITED;
    listener->admission.rate.per_second = ADMISSION_UNLIMITED;
    /* Where brokers and clients share one listener, nothing tells them apart. */
    for (int32_t i = 0; i < network->listener_count; i++) {
        network->listeners[i].admission.is_protected =
            network->listeners[i].is_privileged && network->listener_count > 1;
    }
    listener->port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                                      : ((struct sockaddr_in6 *)&bound)->sin6_port);
    ev_io_init(&listener->watcher, on_acceptable, descriptor, EV_READ);
    update_accepting(network);
    return 0;
}

int32_t network_port(const struct network *network, int32_t index) {
    for (int32_t i = 0; i < network->listener_count; i++) {
        if (network->listeners[i].index == index) {
            return network->listeners[i].port;
        }
    }
    return -1;
}

void network_start_accepting(struct network *network) {
    network->is_accepting = true;
    update_accepting(network);
}

void network_stop_accepting(struct network *network) {
    network->is_accepting = false;
    timer_stop(network->clock, &network->accept_timer);
    update_accepting(network);
    for (int32_t i = 0; i < network->listener_count; i++) {
        if (network->listeners[i].descriptor >= 0) {
            close(network->listeners[i].descriptor);
            network->listeners[i].descriptor = -1;
        }
    }
}

void network_close_connections(struct network *network) {
    timer_stop(network->clock, &network->idle_timer);
    timer_stop(network->clock, &network->stall_timer);
    network->is_short_of_memory = false;
    while (network->first != NULL) {
        connection_close(network->first);
    }
}

void network_destroy(struct network *network) {
    if (network == NULL) {
        return;
    }
    CHECK(network->admission.count == 0);
    network_stop_accepting(network);
    timer_stop(network->clock, &network->idle_timer);
    while (network->free_exchanges != NULL) {
        struct connection_exchange *e = network->free_exchanges;
        network->free_exchanges = e->next;
        free(e);
    }
    frame_buffer_unref(network->read_buffer);
    frame_pool_deinit(&network->pool);
    admission_deinit(&network->admission);
    free(network);
}

int32_t network_connection_count(const struct network *network) {
    return network->admission.count;
}

int32_t network_listener_connection_count(const struct network *network, int32_t index) {
    for (int32_t i = 0; i < network->listener_count; i++) {
        if (network->listeners[i].index == index) {
            return network->listeners[i].admission.count;
        }
    }
    return 0;
}

int64_t network_accepted_count(const struct network *network) {
    return network->accepted_count;
}

int64_t network_frame_bytes(const struct network *network) {
    return network->pool.charged_bytes;
}

void network_set_limits(struct network *network, const struct network_limits *limits) {
    admission_set_limits(&network->admission, limits->max_connections, limits->max_connections_per_ip,
                         limits->max_connections_per_ip_overrides, limits->max_connection_creation_rate);
    while (admission_is_exceeded(&network->admission) && close_oldest_client(network)) {
    }
    update_accepting(network);
}

void network_set_listener_limits(struct network *network, int32_t index, int32_t max_connections,
                                 int32_t max_connection_creation_rate) {
    for (int32_t i = 0; i < network->listener_count; i++) {
        if (network->listeners[i].index == index) {
            network->listeners[i].admission.max_connections = max_connections;
            network->listeners[i].admission.rate.per_second = max_connection_creation_rate;
        }
    }
    update_accepting(network);
}
