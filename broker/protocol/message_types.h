/* Every message as a value: what code needs that handles messages without knowing which. */
#ifndef OTTLA_PROTOCOL_MESSAGE_TYPES_H
#define OTTLA_PROTOCOL_MESSAGE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/protocol/codec.h"

/* The functions are the generated ones (codec.h); `void` stands for the message's struct of `size` bytes. */
struct message_type {
    const char *name; /* of the struct: "produce_request" */
    int16_t api_key;  /* -1 for records of internal topics and for headers */
    bool is_request;
    int16_t version_min;
    int16_t version_max;
    int16_t flexible_min; /* first flexible version; INT16_MAX for none */
    size_t size;
    void (*init)(void *message);
    int (*decode)(struct reader *r, int16_t version, struct arena *arena, void *ret_message);
    size_t (*encoded_size)(const void *message, int16_t version);
    void (*encode)(const void *message, int16_t version, struct encoder *e);
};

extern const struct message_type message_types[];
extern const size_t message_type_count;

/* The request or response of an API; NULL for a key no schema has. */
const struct message_type *message_type_find(int16_t api_key, bool is_request);

#endif
