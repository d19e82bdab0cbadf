/* One queue, one request in flight, one timer for the pause between tries. */
#include "replication/controller_channel.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"

#define AREA "kafka.controller.KafkaController"

struct queued_request {
    struct controller_channel_request request;
    struct queued_request *next;
};

struct controller_channel {
    struct controller_channel_config config;
    char *host;
    char client_id[16];
    struct clock *clock;
    struct transport *transport;
    struct queued_request *first; /* in flight, or waiting for its next try */
    struct queued_request **end;
    size_t queued_bytes;
    size_t limit_bytes; /* of queued_bytes */
    struct timer retry;
    struct timer overflow;
    bool is_in_flight;
    bool is_closed;
    bool is_failing;    /* said once per outage */
    bool is_overflowed; /* until everything was told anew */
};

static void send_first(struct controller_channel *channel);

static void drop_first(struct controller_channel *channel) {
    struct queued_request *first = channel->first;
    channel->first = first->next;
    if (channel->first == NULL) {
        channel->end = &channel->first;
    }
    channel->queued_bytes -= first->request.body_size;
    if (channel->first == NULL) {
        channel->limit_bytes = channel->config.queue_bytes_max;
    }
    free(first->request.body);
    free(first);
}

static void channel_free(struct controller_channel *channel) {
    while (channel->first != NULL) {
        drop_first(channel);
    }
    free(channel->host);
    free(channel);
}

static void on_retry(struct timer *timer) {
    send_first(CONTAINER_OF(timer, struct controller_channel, retry));
}

static void on_answer(void *context, int error, const uint8_t *body, size_t body_size) {
    struct controller_channel *channel = context;
    channel->is_in_flight = false;
    if (channel->is_closed) {
        channel_free(channel);
        return;
    }
    if (error != 0) {
        if (!channel->is_failing) {
            trace_warn(AREA, "[Controller id=%d] Requests to broker %d (%s:%d) fail: %s; trying again",
                       channel->config.controller_id, channel->config.broker_id, channel->host, channel->config.port,
                       error_text(error));
        }
        channel->is_failing = true;
        timer_start(channel->clock, &channel->retry, CONTROLLER_CHANNEL_RETRY_MS, on_retry);
        return;
    }
    channel->is_failing = false;
    struct controller_channel_request request = channel->first->request;
    channel->first->request.body = NULL; /* the callback may close this channel */
    drop_first(channel);
    channel->is_in_flight = true; /* keeps the channel alive during the callback */
    channel->config.on_answer(channel->config.context, channel, &request, body, body_size);
    free(request.body);
    channel->is_in_flight = false;
    if (channel->is_closed) {
        channel_free(channel);
    } else {
        send_first(channel);
    }
}

static void send_first(struct controller_channel *channel) {
    if (channel->first == NULL || channel->is_in_flight || timer_is_running(&channel->retry)) {
        return;
    }
    const struct controller_channel_request *request = &channel->first->request;
    struct transport_request sent = {
        .broker_id = channel->config.broker_id,
        .channel = CHANNEL_CONTROL,
        .host = channel->host,
        .port = channel->config.port,
        .api_key = request->api_key,
        .api_version = request->api_version,
        .client_id = channel->client_id,
        .body = request->body,
        .body_size = request->body_size,
        .timeout_ms = channel->config.timeout_ms,
        .on_answer = on_answer,
        .context = channel,
    };
    channel->is_in_flight = true;
    transport_send(channel->transport, &sent);
}

struct controller_channel *controller_channel_open(const struct controller_channel_config *config, struct clock *clock,
                                                   struct transport *transport) {
    struct controller_channel *channel = xcalloc(1, sizeof *channel);
    channel->config = *config;
    channel->host = xstrdup(config->host);
    channel->clock = clock;
    channel->transport = transport;
    channel->end = &channel->first;
    if (channel->config.queue_bytes_max == 0) {
        channel->config.queue_bytes_max = CONTROLLER_CHANNEL_QUEUE_BYTES_MAX;
    }
    channel->limit_bytes = channel->config.queue_bytes_max;
    snprintf(channel->client_id, sizeof channel->client_id, "%d", config->controller_id);
    return channel;
}

void controller_channel_close(struct controller_channel *channel) {
    timer_stop(channel->clock, &channel->retry);
    timer_stop(channel->clock, &channel->overflow);
    channel->is_closed = true;
    transport_disconnect(channel->transport, channel->config.broker_id, CHANNEL_CONTROL);
    if (!channel->is_in_flight) {
        channel_free(channel);
    }
}

static void on_overflow(struct timer *timer) {
    struct controller_channel *channel = CONTAINER_OF(timer, struct controller_channel, overflow);
    channel->config.on_overflow(channel->config.context, channel);
}

/* The first stays: it may have arrived, and its answer must find it. */
static void drop_waiting(struct controller_channel *channel) {
    struct queued_request **link = &channel->first->next;
    while (*link != NULL) {
        struct queued_request *at = *link;
        if (at->request.is_kept) {
            link = &at->next;
            continue;
        }
        *link = at->next;
        channel->queued_bytes -= at->request.body_size;
        free(at->request.body);
        free(at);
    }
    channel->end = link;
}

void controller_channel_send(struct controller_channel *channel, const struct controller_channel_request *request) {
    struct queued_request *queued = xcalloc(1, sizeof *queued);
    queued->request = *request;
    *channel->end = queued;
    channel->end = &queued->next;
    channel->queued_bytes += request->body_size;
    if (channel->queued_bytes > channel->limit_bytes && !channel->is_overflowed) {
        trace_warn(AREA,
                   "[Controller id=%d] Broker %d does not answer and %zu bytes of requests wait for it -> dropped, and "
                   "everything told anew",
                   channel->config.controller_id, channel->config.broker_id, channel->queued_bytes);
        channel->is_overflowed = true;
        drop_waiting(channel);
        timer_start(channel->clock, &channel->overflow, 0, on_overflow);
    }
    send_first(channel);
}

void controller_channel_told(struct controller_channel *channel) {
    channel->is_overflowed = false;
    channel->limit_bytes = channel->queued_bytes + channel->config.queue_bytes_max;
}

int32_t controller_channel_broker_id(const struct controller_channel *channel) {
    return channel->config.broker_id;
}

int64_t controller_channel_broker_epoch(const struct controller_channel *channel) {
    return channel->config.broker_epoch;
}
