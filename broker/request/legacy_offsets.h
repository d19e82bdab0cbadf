/* Offsets in ZooKeeper, /consumers/GROUP/offsets/TOPIC/PARTITION as text: where consumers of 2013 kept them, and where
 * OffsetCommit and OffsetFetch of version 0 still put and find them. */
#ifndef OTTLA_REQUEST_LEGACY_OFFSETS_H
#define OTTLA_REQUEST_LEGACY_OFFSETS_H

#include <stdint.h>

#include "broker/base/slice.h"
#include "coordinator-client/coord.h"

typedef void legacy_offset_written(void *context, int16_t error_code);
/* The names are copied. Calls back once, perhaps before it returns. */
void legacy_offset_write(struct coord *coord, struct str group_id, struct str topic, int32_t partition, int64_t offset,
                         legacy_offset_written *on_done, void *context);

/* UNKNOWN_TOPIC_OR_PARTITION and -1 when there is none. */
typedef void legacy_offset_found(void *context, int16_t error_code, int64_t offset);
void legacy_offset_read(struct coord *coord, struct str group_id, struct str topic, int32_t partition,
                        legacy_offset_found *on_done, void *context);

#endif
