/* The coordinator seam on a real ZooKeeper, through its C library (libzookeeper_mt).
 *
 * The library's threads copy what happened and post it to the loop, nothing else. Nobody waits for a server here: the
 * session is made in the background, requests queue until it stands, and unreachable servers are tried for ever. */
#ifndef OTTLA_COORD_ZOOKEEPER_H
#define OTTLA_COORD_ZOOKEEPER_H

#include <stdbool.h>

#include "broker/base/clock.h"
#include "coordinator-client/coord.h"

/* connect: "host:port,host:port/chroot" (zookeeper.connect); the chroot is made when absent. set_acl: znodes belong to
 * their creator and are world-readable unless sensitive (zookeeper.set.acl). ERR_INVALID with *ret_message (heap) when
 * the connect string cannot be one; an unknown host or a refused connection is traced and tried again instead. */
int coord_zookeeper_create(struct clock *clock, const char *connect, int session_timeout_ms, bool set_acl,
                           struct coord **ret, char **ret_message);
/* Ends the session, which removes its ephemeral nodes at once. Outstanding operations end with ERR_CLOSING inside this
 * call, so whoever has some must still be alive, and must not ask for more. The loop must run once more, or be gone. */
void coord_zookeeper_destroy(struct coord *coord);

/* How many requests travel unanswered, as zookeeper.max.in.flight.requests (default 10). */
void coord_zookeeper_set_in_flight_max(struct coord *coord, int32_t requests);
/* Milliseconds the server granted, or what was asked for before there was a session. */
int coord_zookeeper_session_timeout_ms(struct coord *coord);
/* What another process needs to end this session on our behalf. False while not connected. */
bool coord_zookeeper_credentials(struct coord *coord, int64_t *ret_session_id, uint8_t ret_password[16]);
/* One listener: told on the loop of each session as it begins (or is regained), and of its end with session id 0. */
typedef void coord_zookeeper_credentials_callback(void *context, int64_t session_id, const uint8_t password[16],
                                                  int session_timeout_ms);
void coord_zookeeper_on_credentials(struct coord *coord, coord_zookeeper_credentials_callback *on_change,
                                    void *context);

/* Ends a session that another process began, which removes its ephemeral nodes at once. Blocks, for timeout_ms at most
 * and a little; needs no loop. 0 once a server confirms that it is over, ERR_SESSION_EXPIRED when it was over already,
 * ERR_CONNECTION_LOSS when no server could be asked, or none confirmed it, in that time. */
int coord_zookeeper_end_session(const char *connect, int64_t session_id, const uint8_t password[16], int timeout_ms);

#endif
