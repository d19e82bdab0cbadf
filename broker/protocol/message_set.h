/* Message sets of magic 0 and 1, which old clients speak: into batches on produce, out of batches on fetch
 * (zookeeper-mode.md 5.6). The log itself holds magic 2; only segments older than the topic's upgrade hold these. */
#ifndef OTTLA_PROTOCOL_MESSAGE_SET_H
#define OTTLA_PROTOCOL_MESSAGE_SET_H

#include "broker/base/arena.h"
#include "broker/protocol/record_batch.h"
#include "broker/protocol/records.h"

struct message_set_verdict {
    int16_t error_code; /* Kafka's */
    const char *message;
};

/* Makes one magic 2 batch, base offset 0 and no producer, of a message set of magic 0 or 1, in workspace->converted.
 * The codec of the set is kept. */
void message_set_up_convert(struct slice messages, int32_t message_size_max, struct record_workspace *workspace,
                            struct message_set_verdict *ret_verdict);

/* Makes a message set of `to_magic` (0 or 1) of the batches in `batches`, bytes in the arena, for old fetch versions.
 * Control batches are left out, so are uncompressed records below first_offset; headers are lost; a batch cut off at
 * the end is dropped. Returns a Kafka error: 0, UNSUPPORTED_COMPRESSION_TYPE for zstd, MESSAGE_TOO_LARGE when the arena
 * has no room, CORRUPT_MESSAGE. */
int16_t record_batch_down_convert(struct slice batches, int8_t to_magic, int64_t first_offset, struct arena *arena,
                                  struct record_workspace *workspace, struct records *ret_records);

#endif
