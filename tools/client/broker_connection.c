/* The socket work of the tools' client. */
#include "tools/client/broker_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

int64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wait_fd(int fd, short events, int cancel_fd, int64_t deadline_ms) {
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = cancel_fd, .events = POLLIN}};
    for (;;) {
        int64_t left = deadline_ms - monotonic_ms();
        int timeout = left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
        int ready = poll(fds, 2, timeout);
        if (ready < 0 && errno != EINTR) {
            return ERR_IO;
        }
        if (ready > 0 && fds[1].revents != 0) {
            return ERR_CLOSING;
        }
        if (ready > 0 && fds[0].revents != 0) {
            return 0;
        }
        if (ready == 0 && left <= 0) {
            return ERR_TIMED_OUT;
        }
    }
}

void broker_connection_init(struct broker_connection *connection, const char *client_id, int cancel_fd) {
    *connection = (struct broker_connection){.fd = -1, .cancel_fd = cancel_fd, .client_id = client_id};
}

bool broker_connection_is_open(const struct broker_connection *connection) {
    return connection->fd >= 0;
}

static int connect_one(struct broker_connection *connection, const struct addrinfo *address, int64_t deadline_ms) {
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0) {
        return ERR_DISCONNECTED;
    }
    int error = 0;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        error = errno == EINPROGRESS ? wait_fd(fd, POLLOUT, connection->cancel_fd, deadline_ms) : ERR_DISCONNECTED;
        int socket_error = 0;
        socklen_t size = sizeof socket_error;
        if (error == 0 && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &socket_error, &size) != 0 || socket_error != 0)) {
            error = ERR_DISCONNECTED;
        }
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connection->fd = fd;
    return 0;
}

int broker_connection_open(struct broker_connection *connection, const char *host, int32_t port, int64_t deadline_ms) {
    broker_connection_close(connection);
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses;
    if (getaddrinfo(host, service, &hints, &addresses) != 0) {
        return ERR_NOT_FOUND;
    }
    int error = ERR_DISCONNECTED;
    for (struct addrinfo *at = addresses; at != NULL && error != 0 && error != ERR_CLOSING; at = at->ai_next) {
        error = connect_one(connection, at, deadline_ms);
    }
    freeaddrinfo(addresses);
    return error;
}

void broker_connection_close(struct broker_connection *connection) {
    if (connection->fd >= 0) {
        close(connection->fd);
    }
    free(connection->apis);
    free(connection->out);
    free(connection->frame);
    int32_t correlation_id = connection->correlation_id; /* logs name it after the connection is gone */
    broker_connection_init(connection, connection->client_id, connection->cancel_fd);
    connection->correlation_id = correlation_id;
}

int broker_connection_version(const struct broker_connection *connection, int16_t key, int16_t min, int16_t max,
                              int16_t *ret_version) {
    if (connection->apis == NULL) {
        *ret_version = max;
        return 0;
    }
    for (int32_t i = 0; i < connection->api_count; i++) {
        const struct api_range *api = &connection->apis[i];
        if (api->key == key) {
            *ret_version = MIN(api->max, max);
            return *ret_version >= min && *ret_version >= api->min ? 0 : ERR_OUT_OF_RANGE;
        }
    }
    return ERR_NOT_FOUND;
}

void broker_connection_begin(struct broker_connection *connection, int16_t key, int16_t version, bool flexible,
                             size_t body_size, struct encoder *ret_encoder) {
    size_t id_size = strlen(connection->client_id);
    size_t size = 4 + 2 + 2 + 4 + 2 + id_size + 1 + body_size;
    if (connection->out_capacity < size) {
        connection->out = xrealloc(connection->out, size);
        connection->out_capacity = size;
    }
    *ret_encoder = (struct encoder){.w = writer_of(connection->out, size)};
    struct writer *w = &ret_encoder->w;
    writer_i32(w, 0); /* the frame's size, known when it is sent */
    writer_i16(w, key);
    writer_i16(w, version);
    writer_i32(w, ++connection->correlation_id);
    writer_i16(w, (int16_t)id_size);
    writer_bytes(w, connection->client_id, id_size);
    if (flexible) {
        writer_i8(w, 0);
    }
}

int broker_connection_send(struct broker_connection *connection, struct encoder *encoder, int64_t deadline_ms) {
    CHECK(!encoder->w.failed);
    size_t size = writer_size(&encoder->w);
    store_i32(connection->out, (int32_t)(size - 4));
    for (size_t sent = 0; sent < size;) {
        ssize_t done = send(connection->fd, connection->out + sent, size - sent, MSG_NOSIGNAL);
        if (done > 0) {
            sent += (size_t)done;
            continue;
        }
        int error = ERR_DISCONNECTED;
        if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
            error = wait_fd(connection->fd, POLLOUT, connection->cancel_fd, deadline_ms);
        }
        if (error != 0) {
            broker_connection_close(connection);
            return error;
        }
    }
    return 0;
}

/* Reads up to `size` bytes. What came, 0 for nothing yet, or ERR_DISCONNECTED. */
static int64_t receive_some(struct broker_connection *connection, void *to, size_t size) {
    ssize_t got = recv(connection->fd, to, size, 0);
    if (got > 0) {
        return got;
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : ERR_DISCONNECTED;
}

int broker_connection_poll_answer(struct broker_connection *connection) {
    while (connection->head_size < sizeof connection->head) {
        int64_t got = receive_some(connection, connection->head + connection->head_size,
                                   sizeof connection->head - connection->head_size);
        if (got <= 0) {
            return (int)got;
        }
        connection->head_size += (size_t)got;
        if (connection->head_size == sizeof connection->head) {
            int32_t size = load_i32(connection->head);
            if (size < 4 || size > CONNECTION_FRAME_MAX) {
                return ERR_CORRUPT;
            }
            connection->frame = xmalloc((size_t)size);
            connection->frame_size = (size_t)size;
            connection->frame_received = 0;
        }
    }
    while (connection->frame_received < connection->frame_size) {
        int64_t got = receive_some(connection, connection->frame + connection->frame_received,
                                   connection->frame_size - connection->frame_received);
        if (got <= 0) {
            return (int)got;
        }
        connection->frame_received += (size_t)got;
    }
    return 1;
}

int broker_connection_receive(struct broker_connection *connection, bool flexible_header, int64_t deadline_ms,
                              struct arena *arena, struct reader *ret_body) {
    for (;;) {
        int ready = broker_connection_poll_answer(connection);
        int error = ready < 0 ? ready : 0;
        if (ready == 0) {
            error = wait_fd(connection->fd, POLLIN, connection->cancel_fd, deadline_ms);
        }
        if (error != 0) {
            broker_connection_close(connection);
            return error;
        }
        if (ready == 1) {
            break;
        }
    }
    uint8_t *frame = arena_alloc(arena, connection->frame_size);
    memcpy(frame, connection->frame, connection->frame_size);
    *ret_body = reader_of(frame, connection->frame_size);
    free(connection->frame);
    connection->frame = NULL;
    connection->head_size = 0;
    reader_i32(ret_body); /* correlation id: answers of one connection come in order */
    if (flexible_header) {
        uint32_t tags = reader_uvarint(ret_body);
        for (uint32_t i = 0; i < tags && !ret_body->failed; i++) {
            reader_uvarint(ret_body);
            reader_take(ret_body, reader_uvarint(ret_body));
        }
    }
    return ret_body->failed ? ERR_CORRUPT : 0;
}
