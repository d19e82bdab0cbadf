/* What connection.c and connection_output.c share. */
#ifndef OTTLA_NETWORK_CONNECTION_OUTPUT_H
#define OTTLA_NETWORK_CONNECTION_OUTPUT_H

#include "broker/network/connection.h"

/* Bytes on the wire, regions included. */
int64_t answer_total_bytes(const struct answer *answer);
/* Gives back the regions from `splice_from` on and tells the server that the answer is gone. */
void answer_drop(const struct answer *answer, int32_t splice_from);
/* Sends what is ready, as far as the socket takes it. False when the connection has to close. */
bool connection_flush(struct connection *connection);
/* The record goes back to the pool, its frame and its hold on the connection with it. */
void connection_exchange_release(struct connection_exchange *e);

#endif
