/* Shared by the two files of the producer, and by nobody else. */
#ifndef OTTLA_TOOLS_CLIENT_PRODUCER_INTERNAL_H
#define OTTLA_TOOLS_CLIENT_PRODUCER_INTERNAL_H

#include "tools/client/producer.h"

int producer_update_metadata(struct producer *producer, int64_t deadline_ms, struct failure *failure);
void producer_drop_first(struct producer *producer, struct producer_partition *partition);
bool producer_batch_is_ready(const struct producer *producer, const struct producer_batch *batch, bool flush);

#endif
