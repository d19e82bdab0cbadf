/* The controller's line to one broker: requests in the order of decision, one in flight, repeated until answered
 * (zookeeper-mode.md 3.6, rule 26).
 *
 * A request that fails is sent again after 100 ms, same bytes, for as long as the broker is registered. What it cannot
 * do is lose or reorder one: brokers act on the last word they heard. */
#ifndef OTTLA_REPLICATION_CONTROLLER_CHANNEL_H
#define OTTLA_REPLICATION_CONTROLLER_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/network/transport.h"

#define CONTROLLER_CHANNEL_RETRY_MS 100
/* A broker that is registered and does not answer piles up requests. They cannot be dropped one by one; beyond this
 * many bytes each doubling is traced, so that somebody looks at that broker. */
#define CONTROLLER_CHANNEL_QUIET_BYTES ((size_t)64 * 1024 * 1024)

struct controller_channel;

struct controller_channel_request {
    int16_t api_key;
    int16_t api_version;
    int32_t controller_epoch;
    uint8_t *body; /* encoded, after the header */
    size_t body_size;
};

/* An answer, valid during the call. */
typedef void controller_channel_answer(void *context, const struct controller_channel *channel,
                                       const struct controller_channel_request *request, const uint8_t *answer,
                                       size_t answer_size);

struct controller_channel_config {
    int32_t controller_id; /* its text is the client id */
    int32_t broker_id;
    int64_t broker_epoch;
    const char *host;
    int32_t port;
    int64_t timeout_ms;
    controller_channel_answer *on_answer;
    void *context;
};

struct controller_channel *controller_channel_open(const struct controller_channel_config *config, struct clock *clock,
                                                   struct transport *transport);
/* Drops what is queued and the connection; no callback comes any more. */
void controller_channel_close(struct controller_channel *channel);
/* Takes the body, which was allocated with xmalloc. */
void controller_channel_send(struct controller_channel *channel, const struct controller_channel_request *request);
int32_t controller_channel_broker_id(const struct controller_channel *channel);
int64_t controller_channel_broker_epoch(const struct controller_channel *channel);

#endif
