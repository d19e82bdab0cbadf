/* One client's connection: frames in, answers out, in the order of the frames.
 *
 * Only for listener.c, which owns the struct network below. */
#ifndef OTTLA_NETWORK_CONNECTION_H
#define OTTLA_NETWORK_CONNECTION_H

#include <ev.h>
#include <netinet/in.h>

#include "broker/network/admission.h"
#include "broker/network/frame_pool.h"
#include "broker/network/listener.h"
#include "broker/protocol/frame.h"

/* Frames of one connection that have no answer on its way yet. Reading stops there: the client feels it through TCP.
 * Far above what clients keep in flight where order matters (5), and enough to hide a replication round trip. */
#define CONNECTION_IN_FLIGHT_MAX 128
/* And their bytes: one connection holds at most this plus its largest frame. */
#define CONNECTION_IN_FLIGHT_MAX_BYTES ((int64_t)32 * 1024 * 1024)
/* Answers of one connection that its client has not read: reading stops above, so a client that only asks and never
 * listens costs this plus one answer, not the broker. */
#define CONNECTION_OUTPUT_MAX_BYTES ((int64_t)1024 * 1024)
/* Frames up to this size are copied out of the shared read buffer into the exchange, so that a long poll of a hundred
 * bytes does not hold on to the whole buffer. */
#define CONNECTION_SMALL_FRAME_BYTES 2048
/* The read buffer connections share, and the least room worth reading into. */
#define CONNECTION_READ_BYTES ((size_t)128 * 1024)
#define CONNECTION_READ_ROOM_MIN ((size_t)16 * 1024)
/* What is read of a new connection on the inter-broker listener whatever memory is in use: enough for ApiVersions and a
 * Fetch of a thousand partitions, so that a follower that comes back is known as one. */
#define CONNECTION_FIRST_BYTES ((int64_t)64 * 1024)
/* Reads of one connection before the others get their turn. */
#define CONNECTION_READS_MAX 8
/* Exchange records kept for reuse. */
#define EXCHANGE_POOL_MAX 256
#define LISTENERS_MAX 16

struct connection;

enum exchange_state { EXCHANGE_WAITING, EXCHANGE_ANSWERED, EXCHANGE_SILENT, EXCHANGE_CLOSING };

/* One frame and its answer; in the connection's list from arrival until the answer is out. */
struct connection_exchange {
    struct exchange exchange;
    struct connection *connection;
    struct connection_exchange *next;
    struct frame_buffer *buffer; /* holds the frame unless it is small */
    int64_t frame_bytes;
    enum exchange_state state;
    struct answer answer;
    size_t bytes_sent;    /* of answer.bytes */
    int32_t splice_index; /* the next region to send */
    int32_t splice_sent;  /* bytes of it */
    uint8_t small[CONNECTION_SMALL_FRAME_BYTES] __attribute__((aligned(16)));
};

struct listener {
    struct network *network;
    ev_io watcher;
    int descriptor; /* -1 when unused */
    int32_t index;
    int32_t port;
    bool is_privileged;
    struct admission_listener admission;
};

struct network {
    struct loop *loop;
    struct clock *clock;
    struct network_config config;
    struct listener listeners[LISTENERS_MAX];
    int32_t listener_count;
    bool has_client_listener; /* one that is not privileged */
    bool is_accepting;
    struct frame_pool pool;
    struct frame_buffer *read_buffer; /* shared; NULL until needed */
    struct connection_exchange *free_exchanges;
    int32_t free_exchange_count;
    struct admission admission;
    int64_t accepted_count;
    bool is_short_of_memory; /* connections that have begun no frame are not read */
    int64_t short_told_ms;
    bool is_resume_posted;
    /* Least recently active first. */
    struct connection *first;
    struct connection *last;
    struct timer idle_timer;
    struct timer accept_timer; /* until admission lets a listener go on */
    struct timer stall_timer;  /* runs while memory is short */
};

struct connection {
    struct network *network;
    int64_t number; /* in the order of accepting */
    struct listener *listener;
    int descriptor;
    ev_io read_watcher;
    ev_io write_watcher;
    struct frame_reader reader;
    struct frame_buffer *partial; /* the frame under way when it did not come in one piece */
    int64_t partial_since_ms;
    struct frame_buffer *unparsed; /* read, but not taken up yet because too much was in flight */
    size_t unparsed_at;
    size_t unparsed_end;
    struct connection_exchange *first; /* unanswered or unsent, in order */
    struct connection_exchange *last;
    int32_t in_flight;       /* WAITING ones in that list */
    int64_t in_flight_bytes; /* of their frames */
    int32_t references;      /* exchanges and posted tasks that point here */
    int64_t output_bytes;    /* answered and not yet sent */
    int64_t received_bytes;  /* in all */
    bool is_broker;          /* what it sent says so */
    bool is_reading;         /* the read watcher runs */
    bool is_being_read;      /* it is young already: an answer that goes out at once need not say so again */
    bool is_in_callback;     /* frames are being handed out: answers are flushed together afterwards */
    bool is_resume_posted;
    bool is_ending; /* no more frames; closes when the answers before are out */
    bool is_closed;
    int64_t last_active_ms;
    struct connection *previous;
    struct connection *next;
    struct address_count *address;
    char host[INET6_ADDRSTRLEN];
};

/* Takes over a connected, non-blocking socket. */
struct connection *connection_open(struct listener *listener, int descriptor, const char *host,
                                   struct address_count *address);
/* Closes at once; the struct goes away with the last exchange that points to it. */
void connection_close(struct connection *connection);
/* listener.c: the connection has left; its counts go down. */
void network_on_connection_closed(struct network *network, struct connection *connection);
/* Moves the connection to the young end of the list. */
void network_touch(struct network *network, struct connection *connection);
/* Whether a connection may be read: one that has begun a frame may go on up to twice the bound, so that frames begun at
 * the same time come to an end. Notes, and tells, when not. */
bool network_note_shortage(struct network *network, bool has_begun);
static inline bool network_has_memory(struct network *network, bool has_begun) {
    return network->pool.charged_bytes < network->config.frames_max_bytes || network_note_shortage(network, has_begun);
}
/* To be called when frames have been given back: reading goes on where it stopped for want of memory. */
void network_end_shortage(struct network *network);
static inline void network_on_memory_freed(struct network *network) {
    if (network->is_short_of_memory) {
        network_end_shortage(network);
    }
}
/* Starts or stops reading, as what is in flight and memory allow. */
void connection_update_reading(struct connection *connection);

#endif
