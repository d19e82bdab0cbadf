/* The transport seam: requests to other brokers and their answers.
 *
 * The real one (network/peer.c) keeps one connection per (peer, channel); the simulated one delays, cuts and loses.
 * Order is kept within a channel, as TCP keeps it. Incoming requests arrive by the dispatcher (request/dispatch.h),
 * whoever sends them. */
#ifndef OTTLA_NETWORK_TRANSPORT_H
#define OTTLA_NETWORK_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

struct transport;

/* Separate connections to the same broker, so that a long poll never delays a control request. */
enum transport_channel { CHANNEL_CONTROL, CHANNEL_FETCH, CHANNEL_FORWARD, CHANNEL_COUNT };

/* `error` is 0 or ERR_DISCONNECTED, ERR_TIMED_OUT, ERR_CLOSING, ERR_TOO_LARGE. On 0, body is the response after its
 * header, valid during the call only. Called exactly once per transport_send, on the loop, never inside the send. */
typedef void transport_answer(void *context, int error, const uint8_t *body, size_t body_size);

struct transport_request {
    int32_t broker_id; /* whose connection: requests of one (broker_id, channel) share it, in order */
    enum transport_channel channel;
    const char *host; /* where to connect; a changed address makes a new connection */
    int32_t port;
    int16_t api_key;
    int16_t api_version;
    const char *client_id;
    const uint8_t *body; /* encoded request after the header; copied before return */
    size_t body_size;
    int64_t timeout_ms;
    transport_answer *on_answer;
    void *context;
};

struct transport_ops {
    void (*send)(struct transport *transport, const struct transport_request *request);
    /* Drops the connection of (broker_id, channel); its requests end with ERR_DISCONNECTED, in order. */
    void (*disconnect)(struct transport *transport, int32_t broker_id, enum transport_channel channel);
};

struct transport {
    const struct transport_ops *ops;
};

static inline void transport_send(struct transport *transport, const struct transport_request *request) {
    transport->ops->send(transport, request);
}
static inline void transport_disconnect(struct transport *transport, int32_t broker_id,
                                        enum transport_channel channel) {
    transport->ops->disconnect(transport, broker_id, channel);
}

#endif
