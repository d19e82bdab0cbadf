/* Any bytes as a server.properties, and what it says as the settings of a broker. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/config.h"

static void say_nothing(enum trace_level level, const char *line, void *context) {
    (void)level, (void)line, (void)context;
}

/* One clear line, or none at all. */
static void check_message(int error, char *message) {
    CHECK((error == 0) == (message == NULL));
    CHECK(error == 0 || (error == ERR_INVALID && strchr(message, '\n') == NULL));
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct properties properties;
    char *message = NULL;
    trace_set_sink(say_nothing, NULL);
    properties_init(&properties);
    int error = properties_parse(&properties, (const char *)data, size, &message);
    check_message(error, message);
    if (error == 0) {
        struct config *config = NULL;
        message = NULL;
        if (properties_get(&properties, "zookeeper.connect") == NULL) {
            properties_set(&properties, "zookeeper.connect", "127.0.0.1:2181");
        }
        error = config_create(&properties, &config, &message);
        check_message(error, message);
        if (error == 0) {
            config_destroy(config);
        }
    }
    properties_deinit(&properties);
    return 0;
}
