/* One request from its frame to its answer.
 *
 * A request lives from dispatch to request_answer(). Its arena holds what was decoded and what is answered; its frame
 * stays alive as long, so decoded views do too, and its bytes may be written to (Produce assigns offsets in place).
 * Handlers run on the loop. A handler either answers before it returns or keeps the pointer and answers later
 * (waiting_room.h); it must answer exactly once. The connection may vanish meanwhile: then the answer is dropped, but
 * must still be given. */
#ifndef OTTLA_REQUEST_REQUEST_H
#define OTTLA_REQUEST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/protocol/codec.h"
#include "broker/protocol/header.h"

struct request_context;
struct dispatcher;
struct exchange;
struct api_row;

struct request {
    struct request_context *context; /* what the broker offers to handlers (context.h) */
    struct request_header header;
    struct arena arena;     /* no budget once the request is decoded */
    int64_t received_ms;    /* monotonic */
    struct str client_host; /* textual address, "/127.0.0.1" without the slash */
    int32_t listener;       /* index into the broker's listeners, to answer with that listener's endpoints */
    int64_t connection;     /* numbered in the order they were accepted */
    bool is_privileged;     /* came by the inter-broker listener */
    bool is_abandoned;      /* the connection closed: long polls may end early */
    const void *message;    /* the decoded request, of the type the API's row names */
    void (*on_abandoned)(struct request *request); /* set by a waiting handler; may be NULL */
    void *waiting;                                 /* the waiting handler's own state, usually in the arena */

    /* The dispatcher's; handlers leave them alone. */
    struct dispatcher *dispatcher;
    struct exchange *exchange;
    const struct api_row *row;
    struct request *next_free;
};

/* Encodes and sends `message`, the response struct that belongs to the request's API, and ends the request. References
 * that file-backed records hold pass to the transport. */
void request_answer(struct request *request, const void *message);
/* No answer (acks=0), the connection goes on. */
void request_answer_nothing(struct request *request);
/* The connection is closed without an answer (malformed request). */
void request_close_connection(struct request *request);

#endif
