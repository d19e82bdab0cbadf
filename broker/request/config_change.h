/* A change of settings as AlterConfigs and IncrementalAlterConfigs ask for it: checked, and turned into the values that
 * are to be stored. Decides only; storing is the handlers'. */
#ifndef OTTLA_REQUEST_CONFIG_CHANGE_H
#define OTTLA_REQUEST_CONFIG_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/slice.h"
#include "broker/config.h"
#include "broker/properties.h"

/* Numbers of the protocol. */
enum config_operation { CONFIG_SET = 0, CONFIG_DELETE = 1, CONFIG_APPEND = 2, CONFIG_SUBTRACT = 3 };

struct config_change {
    struct str name;
    int8_t operation;
    struct str value; /* may be null */
};

/* A Kafka error and its text, which is in the arena or static; text null for none. */
struct config_verdict {
    int16_t error_code;
    struct str message;
};

/* What is wrong with the entries of any resource: doubled or null ones, operations nobody knows. */
struct config_verdict config_change_check_entries(const struct config_change *changes, int32_t count,
                                                  struct arena *arena);
/* What is wrong with a resource before its stored values are known: type, name, doubled or null entries. */
struct config_verdict config_change_check_request(int8_t resource_type, struct str resource_name, int32_t broker_id,
                                                  const struct config_change *changes, int32_t count,
                                                  struct arena *arena);
/* Carries the changes out on `values`, the stored ones. */
struct config_verdict config_change_apply(int8_t resource_type, struct properties *values,
                                          const struct config_change *changes, int32_t count, struct arena *arena);
/* Checks the values that would be stored. */
struct config_verdict config_change_check_topic(const struct config *config, struct str topic,
                                                const struct properties *values, struct arena *arena);
struct config_verdict config_change_check_broker(const struct config *config, struct str resource_name,
                                                 const struct properties *values, struct arena *arena);

#endif
