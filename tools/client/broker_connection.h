/* One blocking connection to a broker: a frame out, its answer in, each under a deadline.
 *
 * The socket is non-blocking and waited for with poll, so that a deadline and the user's interrupt (a descriptor that
 * becomes readable) both end a wait. Requests of one connection are answered in order; more than one may be under way.
 */
#ifndef OTTLA_TOOLS_CLIENT_BROKER_CONNECTION_H
#define OTTLA_TOOLS_CLIENT_BROKER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/bytes.h"
#include "broker/protocol/codec.h"

/* API keys known to the protocol of 3.9 fit below this; larger ones in an ApiVersions answer are kept aside. */
#define CONNECTION_API_KEYS_MAX 128
/* No answer a tool asks for is larger: a fetch is bounded by its own max.bytes, metadata by some 100,000 partitions. */
#define CONNECTION_FRAME_MAX (256 * 1024 * 1024)

struct api_range {
    int16_t key;
    int16_t min;
    int16_t max;
};

struct broker_connection {
    int fd;        /* -1: closed */
    int cancel_fd; /* becomes readable when the user wants to stop; -1 for none */
    const char *client_id;
    int32_t correlation_id; /* of the last request sent */
    struct api_range *apis; /* what the broker said it serves, ascending */
    int32_t api_count;
    uint8_t *out; /* the frame being encoded */
    size_t out_capacity;
    uint8_t head[4]; /* the answer being received */
    size_t head_size;
    uint8_t *frame;
    size_t frame_size;
    size_t frame_received;
};

/* Milliseconds on the monotonic clock; deadlines are in these. */
int64_t monotonic_ms(void);
/* Waits until `fd` has one of `events`. 0, ERR_TIMED_OUT or ERR_CLOSING (the user's interrupt). fd may be -1. */
int wait_fd(int fd, short events, int cancel_fd, int64_t deadline_ms);

/* Zeroed memory in, closed connection out. */
void broker_connection_init(struct broker_connection *connection, const char *client_id, int cancel_fd);
/* Resolves and connects. 0, ERR_NOT_FOUND (name does not resolve), ERR_DISCONNECTED (refused, unreachable),
 * ERR_TIMED_OUT or ERR_CLOSING. */
int broker_connection_open(struct broker_connection *connection, const char *host, int32_t port, int64_t deadline_ms);
void broker_connection_close(struct broker_connection *connection);
bool broker_connection_is_open(const struct broker_connection *connection);

/* The highest version both sides have, within [min, max]. Before the ranges are known, `max`. ERR_NOT_FOUND when the
 * broker does not serve the API, ERR_OUT_OF_RANGE when there is no common version. */
int broker_connection_version(const struct broker_connection *connection, int16_t key, int16_t min, int16_t max,
                              int16_t *ret_version);

/* Starts a frame: header written, room for `body_size` bytes behind it. Then encode into ret_encoder and send. */
void broker_connection_begin(struct broker_connection *connection, int16_t key, int16_t version, bool flexible,
                             size_t body_size, struct encoder *ret_encoder);
/* Sends the frame. 0, ERR_DISCONNECTED, ERR_TIMED_OUT, ERR_CLOSING; after an error the connection is closed. */
int broker_connection_send(struct broker_connection *connection, struct encoder *encoder, int64_t deadline_ms);
/* Takes what has arrived without waiting. 1 when a whole answer is there, 0 when not, ERR_DISCONNECTED, ERR_CORRUPT. */
int broker_connection_poll_answer(struct broker_connection *connection);
/* Waits for the next answer, copies it to the arena and skips its header. Errors as connection_send. */
int broker_connection_receive(struct broker_connection *connection, bool flexible_header, int64_t deadline_ms,
                              struct arena *arena, struct reader *ret_body);

#endif
