/* The inside of the simulated network. A call goes through these hands: sent -> (link) -> dispatched -> answered, in
 * order -> (link) -> told to its sender. Whoever dies on the way, the call is freed when nobody points to it any more.
 */
#ifndef OTTLA_SIM_TRANSPORT_INTERNAL_H
#define OTTLA_SIM_TRANSPORT_INTERNAL_H

#include "broker/base/random.h"
#include "broker/protocol/exchange.h"
#include "tests/simulation/sim_transport.h"

struct sim_link {
    int64_t min_ms;
    int64_t max_ms;
    bool is_cut;
    bool strands; /* the next command */
};

struct sim_member {
    struct clock *clock; /* NULL: no process here */
    struct dispatcher *dispatcher;
    uint32_t incarnation;
};

enum call_state { CALL_TRAVELS, CALL_SERVED, CALL_ANSWERED, CALL_RETURNS };

struct sim_call {
    struct exchange exchange;
    struct sim_connection *connection;
    struct sim_call *next; /* of the connection, in the order of sending */
    enum call_state state;
    bool is_with_server; /* the exchange has not been ended */
    bool is_with_client; /* the sender has not been told */
    bool closes;         /* instead of an answer the connection ends */
    bool has_answer;
    bool is_over;   /* for the sender; the server may still be at work on it, as after a closed connection */
    int references; /* posted tasks and events that point here */
    int16_t api_key;
    int16_t api_version;
    uint8_t *frame;
    size_t frame_size;
    uint8_t *answer; /* after its size */
    size_t answer_size;
    int error;
    transport_answer *on_answer;
    void *context;
    struct sim_event *timeout;
};

struct sim_connection {
    struct sim_network *network;
    struct sim_connection *next;
    int32_t from;
    int32_t to;
    int32_t channel;
    uint32_t from_incarnation;
    uint32_t to_incarnation; /* of the process that accepted; 0 before */
    int64_t number;          /* in the order of accepting */
    bool is_broken;
    bool is_aborted;        /* by its sender, who lives, or by something between */
    bool is_stranded;       /* and what it sent before is on its way */
    struct sim_call *first; /* not over */
    struct sim_call *last;
    int64_t arrival_ms[2]; /* of the last message each way: later ones come no earlier */
    int references;
};

/* One message on its way. */
struct sim_message {
    struct sim_network *network;
    struct sim_message *next; /* in the order of sending */
    struct sim_connection *connection;
    struct sim_call *call; /* NULL: the connection broke */
    bool is_answer;
    bool is_arrived; /* held back by a cut */
    bool is_lost;    /* does not arrive at all */
    struct sim_event *event;
};

struct sim_network {
    struct sim *sim;
    struct random random;
    struct sim_link links[SIM_NODES_MAX][SIM_NODES_MAX];
    struct sim_member members[SIM_NODES_MAX];
    struct sim_connection *connections;
    struct sim_message *messages;
    struct sim_message **messages_end;
    uint64_t message_count;
    int64_t late_count;
    int64_t accepted_count;
    sim_exchange_observer *on_request;
    sim_exchange_observer *on_answer;
    void *observer_context;
};

struct sim_transport {
    struct transport transport;
    struct sim_network *network;
    int32_t node;
};

/* sim_transport.c */
void sim_connection_unref(struct sim_connection *connection);
/* Frees the call when nobody needs it any more. */
void sim_call_settle(struct sim_call *call);
void sim_call_unref(struct sim_call *call);
bool sim_connection_client_lives(const struct sim_connection *connection);
bool sim_connection_server_lives(const struct sim_connection *connection);
/* call NULL: the connection broke. */
void sim_message_send(struct sim_connection *connection, struct sim_call *call, bool is_answer);

/* sim_transport_ends.c */
void sim_call_finish(struct sim_call *call, int error);
/* The server notices that its peer is gone. */
void sim_connection_break_server(struct sim_connection *connection);
/* The sender's end breaks; the first call may end with another error than the others. */
void sim_connection_break_client(struct sim_connection *connection, struct sim_call *blamed, int error);
void sim_call_request_arrived(struct sim_connection *connection, struct sim_call *call);
void sim_call_answer_arrived(struct sim_connection *connection, struct sim_call *call);

#endif
