/* From a frame to its handler, and from an answer to its bytes.
 *
 * Knows no sockets: frames come as exchanges (protocol/exchange.h), from connections as well as from the simulator.
 * The table of APIs is api.tbl.h; what is not in it is not advertised, and asking for it closes the connection
 * (zookeeper-mode.md 7.1). */
#ifndef OTTLA_REQUEST_DISPATCH_H
#define OTTLA_REQUEST_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

#include "broker/protocol/exchange.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"

/* Memory of a decoded request: a floor, and so many times its size on the wire. Structs are wider than the shortest
 * elements that make them (a topic name of two letters takes 4 bytes on the wire and 32 in memory). */
#define REQUEST_DECODE_FLOOR_BYTES ((size_t)64 * 1024)
#define REQUEST_DECODE_FACTOR ((size_t)8)
/* Request objects kept for reuse, each with at most ARENA_KEEP_MAX bytes. */
#define REQUEST_POOL_MAX 64

struct dispatcher;

/* One row of api.tbl.h with what the schema adds. */
struct api_row {
    int16_t key;
    int16_t version_min;
    int16_t version_max;
    enum api_authorization authorization;
    size_t message_size;
    int (*decode)(struct reader *r, int16_t version, struct arena *arena, void *ret_message);
    void (*encode)(const void *message, int16_t version, struct encoder *e);
    void (*handle)(struct request *request);
};

/* More versions than any API has. */
#define API_VERSIONS_COUNTED 32

/* Since the start. */
struct api_counters {
    int64_t requests[API_VERSIONS_COUNTED];
    int64_t errors[ERROR_COUNTS]; /* error codes answered, as Kafka counts them: of every part, 0 too; [code + 1] */
    int64_t answered;
    int64_t total_ms; /* from a request's frame to its answer, of all that were answered */
    int64_t request_bytes;
    int64_t response_bytes;
};

/* Fills in what the context says the dispatcher makes. The context, its clock and its replica manager outlive the
 * dispatcher's use of them; dispatcher_stop() is the last of it. */
struct dispatcher *dispatcher_create(struct request_context *context);
/* Answers everything that waits as it stands; no further frames may come. Every exchange then has an answer. */
void dispatcher_stop(struct dispatcher *dispatcher);
/* Every exchange has been ended and every answer sent or dropped before. */
void dispatcher_destroy(struct dispatcher *dispatcher);
/* Serves one frame (without the four bytes of its size). The exchange may be ended before this returns. */
void dispatch_frame(struct dispatcher *dispatcher, struct exchange *exchange, uint8_t *frame, size_t size);
/* Requests not yet answered. */
int32_t dispatcher_in_flight(const struct dispatcher *dispatcher);

/* What requests of dispatch_rows()[row] came to. */
const struct api_counters *dispatcher_counters(const struct dispatcher *dispatcher, int32_t row);

/* The rows, ascending by key; and the one of a key, NULL when it is not served. */
const struct api_row *dispatch_rows(int32_t *ret_count);
const struct api_row *dispatch_row(int16_t key);

#endif
