/* What the two halves of the fake cluster share: calls on their way (fake_cluster_serve.c) and brokers
 * (fake_cluster.c).
 */
#ifndef OTTLA_TESTS_FAKE_CLUSTER_INTERNAL_H
#define OTTLA_TESTS_FAKE_CLUSTER_INTERNAL_H

#include "broker/network/transport.h"
#include "tests/lib/fake_cluster.h"

struct fake_call {
    struct fake_broker *from;
    struct fake_broker *to;
    int16_t api_key;
    int16_t version;
    uint8_t *body;
    size_t body_size;
    int64_t sent_ms;
    transport_answer *on_answer;
    void *context;
    struct fetch_session *session; /* of a Fetch that waits */
    int32_t replica_id;
    int64_t replica_epoch;
    char answer[128]; /* as the transcript puts it */
    struct fake_call *prev, *next;
};

extern const struct transport_ops fake_transport_ops;

/* Something reached a broker. */
void fake_tell(struct fake_cluster *cluster, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends a call. An answer to a broker that is gone is dropped, but its context must hear of the end. */
void fake_call_end(struct fake_call *call, int error, const uint8_t *body, size_t size);
/* True when the call moved. */
bool fake_call_serve(struct fake_call *call);

#endif
