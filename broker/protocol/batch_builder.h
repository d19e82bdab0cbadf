/* Record batches made here: the coordinators' own records. What clients send is stored as it came. */
#ifndef OTTLA_PROTOCOL_BATCH_BUILDER_H
#define OTTLA_PROTOCOL_BATCH_BUILDER_H

#include <stdint.h>

#include "broker/base/slice.h"
#include "broker/protocol/compression.h"

struct batch_builder {
    struct byte_buffer *buffer; /* the batch being built is its whole content */
    int64_t timestamp_ms;       /* of every record */
    int32_t count;
    int32_t base_sequence;
};

/* An empty batch of magic 2, without producer or sequence, in the place of what the buffer held. */
void batch_builder_begin(struct batch_builder *builder, struct byte_buffer *buffer, int64_t timestamp_ms);
/* A value of size -1 is null: a tombstone. */
void batch_builder_add(struct batch_builder *builder, struct slice key, struct slice value);
/* Header and checksum; there is at least one record. The view lives as long as the buffer stays as it is. */
struct slice batch_builder_finish(struct batch_builder *builder);

#endif
