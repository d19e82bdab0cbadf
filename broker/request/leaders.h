/* Hints for a client that asked the wrong broker (KIP-951): who leads now, and where. */
#ifndef OTTLA_REQUEST_LEADERS_H
#define OTTLA_REQUEST_LEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/metadata/image.h"
#include "broker/request/request.h"

/* The listener's name by which the request came. */
const char *request_listener_name(const struct request *request);

/* Nodes named by one answer, each once. */
struct leader_hints {
    struct request *request;
    const struct image_broker **nodes;
    int32_t count;
    int32_t capacity;
};

/* For an answer about at most `partitions` partitions. */
struct leader_hints leader_hints_begin(struct request *request, int32_t partitions);
/* What the image knows of the partition's leader; false when nothing. Notes the leader as a node when the client can
 * reach it. */
bool leader_hints_add(struct leader_hints *hints, struct str topic, int32_t partition, int32_t *ret_leader,
                      int32_t *ret_leader_epoch);

#endif
