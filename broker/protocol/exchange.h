/* One frame that came in and the answer that goes out: the contract between whoever moves frames (network/connection.c,
 * the simulator) and whoever serves them (request/dispatch.c). Neither knows the other.
 *
 * The mover embeds a struct exchange in its own record of the frame and hands it to the server. The server calls
 * exactly one of the three functions, once, at any later time, on the loop. Until then the frame's bytes stay where
 * they are and may be written to; before it ends the exchange it may say that the frame came from another broker. When
 * the peer goes away first, the mover sets is_abandoned and calls on_abandoned;
 * the exchange must still be ended, and what is answered is dropped. */
#ifndef OTTLA_PROTOCOL_EXCHANGE_H
#define OTTLA_PROTOCOL_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/slice.h"
#include "broker/protocol/records.h"

struct exchange;

/* The bytes of an answer, the four of its size included. They and the splices belong to the server and stay until
 * on_sent, which is called exactly once, sent or dropped. Each splice's file reference passes to the mover. */
struct answer {
    const uint8_t *bytes;
    size_t size;
    struct splice *splices; /* in the order of `at`, which counts from `bytes` */
    int32_t splice_count;
    void (*on_sent)(void *owner);
    void *owner;
};

struct exchange_ops {
    void (*answer)(struct exchange *exchange, const struct answer *answer);
    /* No answer (acks=0); the connection goes on. */
    void (*answer_nothing)(struct exchange *exchange);
    /* The connection is closed once the answers before this one are out. */
    void (*close)(struct exchange *exchange);
    /* While the exchange lasts: this frame is one that only brokers send, and came by the inter-broker listener. May be
     * NULL where the mover treats everybody alike. */
    void (*is_of_broker)(struct exchange *exchange);
};

struct exchange {
    const struct exchange_ops *ops;
    struct str client_host; /* textual address; lives as long as the exchange */
    int32_t listener;       /* index into the broker's listeners */
    int64_t connection;     /* on which it came: they are numbered in the order they were accepted, from 1 */
    bool is_privileged;     /* that listener is the inter-broker one */
    bool is_abandoned;
    void (*on_abandoned)(struct exchange *exchange); /* the server's; may be NULL */
    void *server;                                    /* the server's own state */
};

#endif
