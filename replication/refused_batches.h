/* Batches of idempotent producers that were refused and may be sent again, so that none that follows goes before them.
 *
 * A log that does not know a producer takes any sequence from it (zookeeper-mode.md 4.12): what it had of the producer
 * may have been deleted. But a client keeps several requests in flight, and when the first batch of a new producer is
 * refused, because the broker does not lead yet or too few replicas are in sync, and a moment later the second is
 * taken, then librdkafka believes both to be written, and the records of the first are lost although they are
 * acknowledged (confluent-kafka-go issue 921); Apache's own client writes the first behind the second. A log that knows
 * the producer refuses the second, but with OUT_OF_ORDER_SEQUENCE_NUMBER, upon which librdkafka numbers anew all it has
 * in all partitions, and writes twice what was written already while its answer got lost with a leader. So the second
 * is refused, by either log, with NOT_LEADER_OR_FOLLOWER, and clients send both again in order. Pure: time is in the
 * arguments. */
#ifndef OTTLA_REPLICATION_REFUSED_BATCHES_H
#define OTTLA_REPLICATION_REFUSED_BATCHES_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

/* Only a batch that was under way when the refusal was sent can overtake; clients let no request live longer. */
#define REFUSED_BATCHES_KEPT_MS 60000
/* Producers times partitions that are refused at once; beyond it the oldest is forgotten, as Apache forgets all. */
#define REFUSED_BATCHES_MAX 4096

struct refused_batch;

/* All zero: nothing was refused. */
struct refused_batches {
    struct refused_batch *items; /* uthash, the oldest first */
};

/* Who sent a batch, and where it stands among what was sent. */
struct batch_place {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
};

void refused_batches_deinit(struct refused_batches *refused);
/* Where the batch these records begin with stands. False when it is no batch of an idempotent producer. */
bool batch_place_read(struct slice records, struct batch_place *ret_place);
/* The batch was refused, and the client may send it again. Behind an earlier one that was, it changes nothing. */
void refused_batches_note(struct refused_batches *refused, struct str topic, int32_t partition,
                          const struct batch_place *place, int64_t now_ms);
/* Whether an earlier batch of the same producer and epoch was refused here and has not been taken since. */
bool refused_batches_precede(struct refused_batches *refused, struct str topic, int32_t partition,
                             const struct batch_place *place, int64_t now_ms);
/* The topic is deleted; another may come under its name, to which what was refused before means nothing. */
void refused_batches_forget_all(struct refused_batches *refused, struct str topic, int32_t partition);
/* A batch of the producer was taken. */
void refused_batches_forget(struct refused_batches *refused, struct str topic, int32_t partition, int64_t producer_id);

#endif
