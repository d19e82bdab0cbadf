/* One round of the controller with the coordinator: many asks, all answered before it counts as done.
 *
 * Reads are pipelined. Fenced writes that follow each other travel as one multi, behind one check of the controller's
 * epoch; when one of them fails, and with it the multi, each of that batch is tried alone. To the core it looks as if
 * each had travelled alone, in order.
 *
 * What a lost connection left undecided is asked again once there is a connection, so that the core sees definite
 * results only. An expired session answers nothing: the owner forgets the wave then. */
#ifndef OTTLA_REPLICATION_CONTROLLER_WAVE_H
#define OTTLA_REPLICATION_CONTROLLER_WAVE_H

#include "broker/base/clock.h"
#include "coordinator-client/coord.h"
#include "replication/controller.h"

/* Unanswered asks at a time. Kafka has 10; its multis wait for each other's threads, ours only share a socket. More
 * would put other users of the session behind a failover of thousands of partitions. */
#define CONTROLLER_WAVE_IN_FLIGHT_MAX 256
#define CONTROLLER_WAVE_RETRY_MS 100
/* Writes in one multi, and the bytes of their paths and data: well below what the server takes (jute.maxbuffer). */
#define CONTROLLER_WAVE_BATCH_MAX 100
#define CONTROLLER_WAVE_BATCH_BYTES ((size_t)512 * 1024)

struct controller_wave;

struct controller_wave_config {
    struct clock *clock;
    struct coord *coord;
    struct coord_watch watch; /* of asks that watch */
    void (*on_done)(void *context, struct controller_wave *wave);
    void *context;
    bool is_last; /* the broker is stopping: any error is an answer */
};

/* The asks must stay until the wave is done or forgotten. */
struct controller_wave *controller_wave_start(const struct controller_wave_config *config, uint32_t serial,
                                              const struct controller_ask *asks, int32_t count);
/* Nothing more is submitted and on_done does not come; also the end of a wave that is done. */
void controller_wave_forget(struct controller_wave *wave);
uint32_t controller_wave_serial(const struct controller_wave *wave);
/* One per ask; valid until the wave is forgotten. */
struct controller_reply *controller_wave_replies(struct controller_wave *wave, int32_t *ret_count);

#endif
