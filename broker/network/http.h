/* A page over HTTP, made anew for each who asks, on the broker's loop: what it shows needs no lock and is of one
 * moment.
 *
 * libmicrohttpd speaks HTTP; the loop watches its sockets. What strangers can cost is bounded: HTTP_CONNECTIONS_MAX of
 * them, HTTP_MEMORY_MAX for what each sends, HTTP_IDLE_SECONDS of silence. */
#ifndef OTTLA_NETWORK_HTTP_H
#define OTTLA_NETWORK_HTTP_H

#include <stdint.h>

#include "broker/network/loop.h"
#include "broker/protocol/compression.h"

#define HTTP_CONNECTIONS_MAX 16
#define HTTP_MEMORY_MAX ((size_t)16 * 1024)
#define HTTP_IDLE_SECONDS 30

struct http;

/* Appends the page. */
typedef void http_page(void *context, struct byte_buffer *to);

/* Serves GET and HEAD of `path`, "/metrics", at host ("" is every interface) and port (0: any free one); everything
 * else is answered with 404 or 405. 0, or ERR_IO with one line in *ret_message (heap). */
int http_open(struct loop *loop, const char *host, int32_t port, const char *path, const char *content_type,
              http_page *page, void *context, struct http **ret_http, char **ret_message);
int32_t http_port(const struct http *http);
/* Connections are cut. NULL is fine. */
void http_close(struct http *http);

#endif
