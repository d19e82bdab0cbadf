/* The APIs of the protocol, from the schemas: key, name, versions. What this broker serves is request/dispatch's
 * table; this one only says how a request is read. */
#ifndef OTTLA_PROTOCOL_API_KEYS_H
#define OTTLA_PROTOCOL_API_KEYS_H

#include <stdint.h>

#include "generated/protocol/messages.h"

enum api_key {
#define X(enum_name, c_name, name, key, version_min, version_max, flexible_min) enum_name = key,
    API_LIST(X)
#undef X
};

struct api {
    int16_t key;
    int16_t version_min; /* of the schemas */
    int16_t version_max;
    int16_t flexible_min; /* first flexible version; INT16_MAX for none */
    const char *name;     /* "Produce", as Kafka spells it */
};

/* NULL for a key no schema has. */
const struct api *api_find(int16_t key);
/* "Produce"; "Unknown" for a key no schema has. */
const char *api_name(int16_t key);

#endif
