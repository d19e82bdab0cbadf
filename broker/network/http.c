/* libmicrohttpd under libev: its epoll descriptor is one watcher, its next time-out one timer. */
#include "broker/network/http.h"

#include <errno.h>
#include <ev.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

#define BACKLOG 16

struct http {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    ev_io watcher;
    ev_timer timer;
    const char *path;
    const char *content_type;
    http_page *page;
    void *context;
    int32_t port;
};

static struct MHD_Response *make_page(const struct http *http) {
    struct byte_buffer page = {0};
    http->page(http->context, &page);
    struct MHD_Response *response = MHD_create_response_from_buffer(page.size, page.data, MHD_RESPMEM_MUST_FREE);
    CHECK(response != NULL);
    CHECK(MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, http->content_type) == MHD_YES);
    return response;
}

static struct MHD_Response *make_text(const char *text) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    CHECK(response != NULL);
    return response;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *data_size,
                                  void **state) {
    const struct http *http = context;
    (void)version;
    (void)data;
    (void)state;
    struct MHD_Response *response;
    unsigned status = MHD_HTTP_OK;
    *data_size = 0; /* what is sent along is not read */
    if (strcmp(path, http->path) != 0) {
        status = MHD_HTTP_NOT_FOUND;
        response = make_text("There is nothing here.\n");
    } else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
        response = make_text("This can only be read.\n");
    } else {
        response = make_page(http);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static void arm(struct http *http) {
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    ev_timer_stop(loop_ev(http->loop), &http->timer);
    if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES) {
        ev_timer_set(&http->timer, (double)wait_ms / 1000.0, 0.0);
        ev_timer_start(loop_ev(http->loop), &http->timer);
    }
}

static unsigned connection_count(const struct http *http) {
    return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* With all its connections in use the library listens no more, and begins again only when it is run: once it has closed
 * one, which is the last it does in a run, it is run again. */
static void go_on(struct http *http) {
    unsigned before;
    do {
        before = connection_count(http);
        (void)MHD_run(http->daemon);
    } while (connection_count(http) < before);
    arm(http);
}

static void on_readable(struct ev_loop *ev, ev_io *watcher, int events) {
    (void)ev;
    (void)events;
    go_on(CONTAINER_OF(watcher, struct http, watcher));
}

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int events) {
    (void)ev;
    (void)events;
    go_on(CONTAINER_OF(watcher, struct http, timer));
}

static int bind_to(const struct addrinfo *info) {
    int on = 1;
    int descriptor = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(descriptor, info->ai_addr, info->ai_addrlen) == 0 && listen(descriptor, BACKLOG) == 0) {
        return descriptor;
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

static int bind_any(const char *host, int32_t port, char **ret_message) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(host[0] == '\0' ? NULL : host, service, &hints, &list);
    if (status != 0) {
        *ret_message = xasprintf("The metrics endpoint cannot use %s:%d: %s", host, port, gai_strerror(status));
        return -1;
    }
    int descriptor = -1;
    for (const struct addrinfo *info = list; info != NULL && descriptor < 0; info = info->ai_next) {
        descriptor = bind_to(info);
    }
    if (descriptor < 0) {
        *ret_message = xasprintf("The metrics endpoint cannot use %s:%d: %s", host, port, strerror(errno));
    }
    freeaddrinfo(list);
    return descriptor;
}

static int32_t port_of(int descriptor) {
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    CHECK(getsockname(descriptor, (struct sockaddr *)&bound, &size) == 0);
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

int http_open(struct loop *loop, const char *host, int32_t port, const char *path, const char *content_type,
              http_page *page, void *context, struct http **ret_http, char **ret_message) {
    int descriptor = bind_any(host, port, ret_message);
    if (descriptor < 0) {
        return ERR_IO;
    }
    struct http *http = xcalloc(1, sizeof *http);
    *http = (struct http){.loop = loop,
                          .path = path,
                          .content_type = content_type,
                          .page = page,
                          .context = context,
                          .port = port_of(descriptor)};
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
                                    descriptor, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_MEMORY_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                    (unsigned)HTTP_IDLE_SECONDS, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        http->daemon == NULL ? NULL : MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL) {
        *ret_message = xasprintf("The metrics endpoint cannot be opened at %s:%d", host, port);
        if (http->daemon != NULL) {
            MHD_stop_daemon(http->daemon);
        } else {
            close(descriptor);
        }
        free(http);
        return ERR_IO;
    }
    ev_io_init(&http->watcher, on_readable, info->epoll_fd, EV_READ);
    ev_timer_init(&http->timer, on_timer, 0.0, 0.0);
    ev_io_start(loop_ev(loop), &http->watcher);
    *ret_http = http;
    return 0;
}

int32_t http_port(const struct http *http) {
    return http->port;
}

void http_close(struct http *http) {
    if (http == NULL) {
        return;
    }
    ev_io_stop(loop_ev(http->loop), &http->watcher);
    ev_timer_stop(loop_ev(http->loop), &http->timer);
    MHD_stop_daemon(http->daemon);
    free(http);
}
