/* Topic names: what is legal, and which are the broker's own. */
#ifndef OTTLA_REQUEST_TOPICS_H
#define OTTLA_REQUEST_TOPICS_H

#include <stdbool.h>

#include "broker/base/arena.h"
#include "broker/base/slice.h"

/* Letters, digits, '.', '_' and '-'; 1 to 249 of them; neither "." nor "..". */
bool topic_name_is_valid(struct str name);
/* __consumer_offsets and __transaction_state. */
bool topic_is_internal(struct str name);

/* Marks every name that an earlier one of the list equals. An array in the arena; n log n, since clients send the list.
 */
bool *topic_names_repeated(struct arena *arena, const struct str *names, int32_t count);

struct topic_partition_name {
    struct str topic;
    int32_t partition;
};
/* Marks every partition that occurs more than once, all of its places. An array in the arena; n log n. */
bool *topic_partitions_duplicate(struct arena *arena, const struct topic_partition_name *names, int32_t count);

#define TOPIC_NAME_MAX 249

#endif
