/* The settings of a broker for tests: what every server.properties has, and lines of the test's own. */
#ifndef OTTLA_TESTS_BROKER_SETTINGS_H
#define OTTLA_TESTS_BROKER_SETTINGS_H

#include "broker/config.h"
#include "replication/replica_manager.h"

/* As config_create(); *ret_config is NULL after an error. The lines must be properties. */
int test_broker_config_try(const char *broker_id, const char *lines, struct config **ret_config, char **ret_message);
/* A refusal fails the test. */
struct config *test_broker_config(const char *broker_id, const char *lines);
/* Kafka's defaults. */
struct replica_manager_config test_replica_manager_config(int32_t broker_id);

#endif
