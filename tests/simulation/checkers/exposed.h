/* The one history of each partition: every batch that any replica ever held below its high watermark, in order. What
 * was in here once stays, on every replica that goes so far, unless retention removed it. */
#ifndef OTTLA_CHECKER_EXPOSED_H
#define OTTLA_CHECKER_EXPOSED_H

#include "tests/simulation/topics.h"

struct exposed_batch {
    int64_t base_offset;
    int64_t last_offset;
    int32_t leader_epoch;
    uint32_t crc;
};

struct exposed;

struct exposed *exposed_create(void);
void exposed_destroy(struct exposed *exposed);
/* Where it ends so far; 0 for a partition nobody exposed anything of. */
int64_t exposed_end(const struct exposed *exposed, int32_t stream);
/* Offset the first batch we know begins at. */
int64_t exposed_begin(const struct exposed *exposed, int32_t stream);
/* The batch with that offset, NULL when it is not (or no longer) known. */
const struct exposed_batch *exposed_find(const struct exposed *exposed, int32_t stream, int64_t offset);
const struct exposed_batch *exposed_last(const struct exposed *exposed, int32_t stream);
/* It follows what is there, after a gap when retention took what nobody had looked at yet. */
void exposed_add(struct exposed *exposed, int32_t stream, const struct exposed_batch *batch);
bool exposed_equal(const struct exposed_batch *a, const struct exposed_batch *b);
/* The same batch, from which the cleaner may have taken records. */
bool exposed_same(const struct exposed_batch *a, const struct exposed_batch *b);

#endif
