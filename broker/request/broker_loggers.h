/* The levels of this broker's loggers as settings of a resource (KIP-412): what DescribeConfigs and
 * IncrementalAlterConfigs do for resource type 8. They last until the broker ends. */
#ifndef OTTLA_REQUEST_BROKER_LOGGERS_H
#define OTTLA_REQUEST_BROKER_LOGGERS_H

#include "broker/request/config_change.h"
#include "broker/request/config_entries.h"

/* Fills ret with the loggers and the levels in force, or with Kafka's refusal when `name` is not this broker's id. */
void broker_loggers_describe(struct str name, int32_t broker_id, const struct config_entries_options *options,
                             struct arena *arena, struct describe_configs_response_describe_configs_result *ret);
/* Carries out all of the changes, or none and says why. With validate_only it only says. */
struct config_verdict broker_loggers_alter(struct str name, int32_t broker_id, const struct config_change *changes,
                                           int32_t count, bool validate_only, struct arena *arena);

#endif
