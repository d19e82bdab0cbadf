/* See broker_settings.h. */
#include "tests/lib/broker_settings.h"

#include <check.h>
#include <string.h>

#include "broker/properties.h"

int test_broker_config_try(const char *broker_id, const char *lines, struct config **ret_config, char **ret_message) {
    struct properties properties;
    properties_init(&properties);
    properties_set(&properties, "broker.id", broker_id);
    properties_set(&properties, "zookeeper.connect", "localhost:2181");
    properties_set(&properties, "listeners", "PLAINTEXT://127.0.0.1:9092");
    *ret_config = NULL;
    *ret_message = NULL;
    ck_assert_int_eq(properties_parse(&properties, lines, strlen(lines), ret_message), 0);
    *ret_message = NULL;
    int error = config_create(&properties, ret_config, ret_message);
    properties_deinit(&properties);
    return error;
}

struct config *test_broker_config(const char *broker_id, const char *lines) {
    struct config *config;
    char *message;
    ck_assert_msg(test_broker_config_try(broker_id, lines, &config, &message) == 0, "%s", message);
    return config;
}

struct replica_manager_config test_replica_manager_config(int32_t broker_id) {
    return (struct replica_manager_config){.broker_id = broker_id,
                                           .inter_broker_listener = "PLAINTEXT",
                                           .replica_lag_time_max_ms = 30000,
                                           .fetch_wait_max_ms = 500,
                                           .fetch_min_bytes = 1,
                                           .fetch_max_bytes = 1048576,
                                           .fetch_response_max_bytes = 10485760,
                                           .fetch_backoff_ms = 1000,
                                           .socket_timeout_ms = 30000};
}
