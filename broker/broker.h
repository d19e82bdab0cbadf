/* One broker: every module opened, wired and closed, in order. The only place that knows them all.
 *
 * Stands on the four seams alone, so that the simulator runs the same broker many times over in one process. Sockets,
 * signals and the real seams are server.c's. */
#ifndef OTTLA_BROKER_H
#define OTTLA_BROKER_H

#include <stddef.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/config.h"
#include "broker/log/disk.h"
#include "broker/network/transport.h"
#include "broker/request/dispatch.h"
#include "coordinator-client/coord.h"

struct broker;

struct broker_seams {
    struct clock *clock;
    struct disk *disk;
    struct transport *transport;
    struct coord *coord;
    /* Where randomness starts: topic and cluster ids, placement. */
    uint64_t seed;
    /* Bytes of commands that may wait for a broker while this one is controller; 0: 64 MiB. */
    size_t controller_queue_bytes_max;
    /* Called on the loop: the broker is registered and serves (once), or can go no further (once; message is one
     * clear line; the process should end with a status other than 0). Before the first registration frames wait in
     * their sockets: the owner starts to read when on_serving comes. */
    void (*on_serving)(void *context);
    void (*on_failed)(void *context, const char *message);
    /* Dynamic settings changed: the config's fields hold the new ones. May be NULL. */
    void (*on_settings)(void *context);
    /* What was led has been handed over and who waited has been answered: connections end here, so that clients find
     * the new leaders while logs are being closed. May be NULL. */
    void (*on_leaving)(void *context);
    void *context;
};

/* The config outlives the broker. Does nothing yet. */
struct broker *broker_create(struct config *config, const struct broker_seams *seams);
/* Begins the start-up of zookeeper-mode.md 2.1; ends in on_serving or on_failed. */
void broker_start(struct broker *broker);
/* Where frames go, from on_serving to the end of broker_stop. */
struct dispatcher *broker_dispatcher(struct broker *broker);
int32_t broker_id(const struct broker *broker);
/* After the stop: no worker has anything of the broker's to do. */
bool broker_is_idle(const struct broker *broker);
/* Controlled shutdown, then everything is closed cleanly (zookeeper-mode.md 2.2). The coord session is left open: its
 * owner closes it last, which is when the registration disappears. */
void broker_stop(struct broker *broker, void (*on_stopped)(void *context), void *context);
/* Frees memory without any of that: after broker_stop, or as a crash. */
void broker_destroy(struct broker *broker);

struct session_guard;

/* Runs a broker with sockets, the disk and ZooKeeper until SIGTERM or SIGINT; SIGHUP calls on_hangup, on the loop. The
 * guard, which may be NULL, is told of every session and stays the caller's. Returns the process's exit status. */
int broker_run(struct config *config, struct session_guard *guard, void (*on_hangup)(void));

#endif
