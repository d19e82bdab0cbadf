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
#include <uthash.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/network/connection.h"

#define AREA "network"
/* Accepted in one go before the connections get their turn. */
#define ACCEPTS_MAX 64
/* Wait before trying again when descriptors have run out. */
#define ACCEPT_PAUSE_MS 100

struct address_count {
    char host[INET6_ADDRSTRLEN];
    int32_t count;
    UT_hash_handle hh;
};

struct network *network_create(struct loop *loop, const struct network_config *config) {
    struct network *network = xcalloc(1, sizeof *network);
    network->loop = loop;
    network->clock = loop_clock(loop);
    network->config = *config;
    return network;
}

/* What an override says of this address, else the general bound. */
static int32_t connections_max_of(const struct network *network, const char *host) {
    const char *at = network->config.max_connections_per_ip_overrides;
    size_t host_size = strlen(host);
    while (at != NULL && *at != '\0') {
        at += strspn(at, " ,");
        size_t size = strcspn(at, ",");
        /* The last colon parts the count from the address, which may be IPv6. */
        const char *colon = memrchr(at, ':', size);
        if (colon != NULL && (size_t)(colon - at) == host_size && memcmp(at, host, host_size) == 0) {
            return (int32_t)strtol(colon + 1, NULL, 10);
        }
        at += size;
    }
    return network->config.max_connections_per_ip;
}

static struct address_count *address_ref(struct network *network, const char *host) {
    struct address_count *address = NULL;
    HASH_FIND_STR(network->addresses, host, address);
    if (address == NULL) {
        address = xcalloc(1, sizeof *address);
        snprintf(address->host, sizeof address->host, "%s", host);
        HASH_ADD_STR(network->addresses, host, address);
    }
    address->count++;
    return address;
}

static void address_unref(struct network *network, struct address_count *address) {
    if (--address->count == 0) {
        HASH_DEL(network->addresses, address);
        free(address);
    }
}

/* Listeners of clients stop accepting at max.connections; the inter-broker one goes on, at the cost of others. */
static void update_accepting(struct network *network) {
    struct ev_loop *ev = loop_ev(network->loop);
    bool is_full = network->connection_count >= network->config.max_connections;
    for (int32_t i = 0; i < network->listener_count; i++) {
        struct listener *listener = &network->listeners[i];
        if (listener->descriptor < 0) {
            continue;
        }
        if (network->is_accepting && !timer_is_running(&network->accept_timer) &&
            (!is_full || listener->is_privileged)) {
            ev_io_start(ev, &listener->watcher);
        } else {
            ev_io_stop(ev, &listener->watcher);
        }
    }
}

static void on_accept_pause_over(struct timer *timer) {
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
    address_unref(network, connection->address);
    network->connection_count--;
    update_accepting(network);
}

/* Makes room for a broker's connection: the client that has been silent longest goes. */
static void close_oldest_client(struct network *network) {
    for (struct connection *c = network->first; c != NULL; c = c->next) {
        if (!c->listener->is_privileged) {
            trace_info(AREA, "Closing connection of %s: max.connections is reached and a broker connects", c->host);
            connection_close(c);
            return;
        }
    }
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
    struct address_count *address = address_ref(network, host);
    if (address->count > connections_max_of(network, host)) {
        trace_info(AREA, "Rejected connection from %s, address already has the configured maximum of %d connections.",
                   host, connections_max_of(network, host));
        address_unref(network, address);
        close(descriptor);
        return;
    }
    if (network->connection_count >= network->config.max_connections) {
        close_oldest_client(network);
    }
    set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (network->config.socket_send_buffer_bytes > 0) {
        set_option(descriptor, SOL_SOCKET, SO_SNDBUF, network->config.socket_send_buffer_bytes);
    }
    struct connection *connection = connection_open(listener, descriptor, host, address);
    connection->last_active_ms = clock_now_ms(network->clock);
    list_append(network, connection);
    network->connection_count++;
    if (network->config.connections_max_idle_ms > 0 && !timer_is_running(&network->idle_timer)) {
        timer_start(network->clock, &network->idle_timer, network->config.connections_max_idle_ms, on_idle_timer);
    }
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
        if (descriptor < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                trace_error(AREA, "Cannot accept a connection: %s", strerror(errno));
                timer_start(network->clock, &network->accept_timer, ACCEPT_PAUSE_MS, on_accept_pause_over);
                update_accepting(network);
            }
            return;
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
    while (network->first != NULL) {
        connection_close(network->first);
    }
}

void network_destroy(struct network *network) {
    if (network == NULL) {
        return;
    }
    CHECK(network->connection_count == 0);
    network_stop_accepting(network);
    timer_stop(network->clock, &network->idle_timer);
    while (network->free_exchanges != NULL) {
        struct connection_exchange *e = network->free_exchanges;
        network->free_exchanges = e->next;
        free(e);
    }
    frame_buffer_unref(network->read_buffer);
    frame_pool_deinit(&network->pool);
    free(network);
}

int32_t network_connection_count(const struct network *network) {
    return network->connection_count;
}

void network_set_limits(struct network *network, int32_t max_connections, int32_t max_connections_per_ip,
                        const char *max_connections_per_ip_overrides) {
    network->config.max_connections = max_connections;
    network->config.max_connections_per_ip = max_connections_per_ip;
    network->config.max_connections_per_ip_overrides = max_connections_per_ip_overrides;
    update_accepting(network);
}
