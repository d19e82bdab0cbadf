/* Shared by the files of the consumer, and by nobody else. */
#ifndef OTTLA_TOOLS_CLIENT_CONSUMER_INTERNAL_H
#define OTTLA_TOOLS_CLIENT_CONSUMER_INTERNAL_H

#include "tools/client/consumer.h"

/* Walks the batches one partition was sent, from the partition's offset on, and moves the offset. Returns as
 * consumer_poll; ERR_INVALID with the failure set for damaged data. *ret_count grows by the records handed out. */
int consumer_take_records(struct consumer *consumer, struct consumer_partition *partition,
                          const struct fetch_response_partition_data *data, int64_t *ret_count,
                          struct failure *failure);

/* A leader is not where metadata said: it is read again, of another broker, after a pause. To say so again meanwhile
 * does not put that off: a broker that refuses a fetch refuses it at once, and would for ever. */
void consumer_doubt_metadata(struct consumer *consumer);

/* Metadata when it is due, and offsets for partitions that have none. */
int consumer_prepare(struct consumer *consumer, int64_t deadline_ms, struct failure *failure);

#endif
