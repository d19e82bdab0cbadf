/* The controller's line to one broker: requests in the order of decision, one in flight, repeated until answered
 * (zookeeper-mode.md 3.6, rule 26).
 *
 * A request that fails is sent again after 100 ms, same bytes, for as long as the broker is registered. None is lost or
 * reordered, as brokers act on the last word they heard. The one exception is a broker that is registered and does not
 * answer while so much is decided that the bound is reached: what waits for it is then dropped all at once, and the
 * controller tells it everything anew, as a newly elected one would. */
#ifndef OTTLA_REPLICATION_CONTROLLER_CHANNEL_H
#define OTTLA_REPLICATION_CONTROLLER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/network/transport.h"

#define CONTROLLER_CHANNEL_RETRY_MS 100
/* Bytes of requests that may wait for a broker, beyond what telling it everything anew takes. */
#define CONTROLLER_CHANNEL_QUEUE_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct controller_channel;

struct controller_channel_request {
    int16_t api_key;
    int16_t api_version;
    int32_t controller_epoch;
    uint8_t *body; /* encoded, after the header */
    size_t body_size;
    int64_t number; /* the owner's */
    bool is_kept;   /* not repeated by telling everything anew: news of topics that are gone. Never dropped */
};

/* An answer, valid during the call. */
typedef void controller_channel_answer(void *context, const struct controller_channel *channel,
                                       const struct controller_channel_request *request, const uint8_t *answer,
                                       size_t answer_size);

/* The bound was reached and what waited is dropped; not inside controller_channel_send(). The owner sends everything
 * anew and then calls controller_channel_told(). */
typedef void controller_channel_overflow(void *context, const struct controller_channel *channel);

struct controller_channel_config {
    int32_t controller_id; /* its text is the client id */
    int32_t broker_id;
    int64_t broker_epoch;
    const char *host;
    int32_t port;
    int64_t timeout_ms;
    size_t queue_bytes_max; /* 0: CONTROLLER_CHANNEL_QUEUE_BYTES_MAX */
    controller_channel_answer *on_answer;
    controller_channel_overflow *on_overflow;
    void *context;
};

struct controller_channel *controller_channel_open(const struct controller_channel_config *config, struct clock *clock,
                                                   struct transport *transport);
/* Drops what is queued and the connection; no callback comes any more. */
void controller_channel_close(struct controller_channel *channel);
/* Takes the body, which was allocated with xmalloc. */
void controller_channel_send(struct controller_channel *channel, const struct controller_channel_request *request);
/* Everything was sent anew: from here on counts what waits beyond it. */
void controller_channel_told(struct controller_channel *channel);
int32_t controller_channel_broker_id(const struct controller_channel *channel);
int64_t controller_channel_broker_epoch(const struct controller_channel *channel);

#endif
