/* A small process beside the broker that ends its ZooKeeper session when it dies without doing so itself, so that a
 * crash costs milliseconds instead of the session timeout.
 *
 * The broker stays the main process: systemd, pid files and SIGSTOP act on it. The guard is forked first of all, so it
 * holds none of the broker's sockets, files or locks, and is told each session over a pipe. It acts only once the
 * broker is gone (its pidfd says so, not the pipe), when no write of it can land any more; a stopped broker is not
 * gone. A kill of the whole control group takes the guard along: then the session times out, as without it. */
#ifndef OTTLA_SESSION_GUARD_H
#define OTTLA_SESSION_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct session_guard;

/* Called in the guard: it has nothing to say while the broker lives, and must not keep a file that is rotated away. */
typedef void session_guard_output(bool is_wanted);
/* Forks the guard; call before the process has threads or open files. `arguments` is main's vector: the guard's command
 * line is told apart from the broker's there. NULL, with a traced line, where the system cannot watch a process. */
struct session_guard *session_guard_start(const char *zookeeper_connect, int argument_count, char **arguments,
                                          session_guard_output *set_output);
/* The session to end if this process dies; id 0: none. NULL as guard does nothing. */
void session_guard_tell(struct session_guard *guard, int64_t session_id, const uint8_t password[16],
                        int session_timeout_ms);
/* At SIGCHLD: reaps a guard that somebody killed, and says what that means. The broker goes on without. NULL does
 * nothing. */
void session_guard_check(struct session_guard *guard);
/* Says goodbye, after which the guard does nothing more, and reaps it. NULL does nothing. */
void session_guard_end(struct session_guard *guard);

#endif
