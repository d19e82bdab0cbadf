/* kafka-broker-api-versions: what each broker serves. (cli.md, section 13) */
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/api_keys.h"
#include "tools/admin_tool.h"
#include "tools/tool.h"

static const struct option_spec specs[] = {
    {"bootstrap-server", OPTION_REQUIRED, "String: server(s) to use for bootstrapping",
     "REQUIRED: the brokers, host:port[,...]."},
    {"command-config", OPTION_REQUIRED, "String: command config property file",
     "A file of properties for the admin client."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

/* Requests of 3.9 that exist with KRaft only and so have no schema here; a client knows them all the same. */
static const struct {
    int16_t key;
    const char *name;
} kraft_apis[] = {
    {55, "DescribeQuorum"},
    {64, "UnregisterBroker"},
    {76, "ShareGroupHeartbeat"},
    {77, "ShareGroupDescribe"},
    {78, "ShareFetch"},
    {79, "ShareAcknowledge"},
    {80, "AddRaftVoter"},
    {81, "RemoveRaftVoter"},
    {83, "InitializeShareGroupState"},
    {84, "ReadShareGroupState"},
    {85, "WriteShareGroupState"},
    {86, "DeleteShareGroupState"},
    {87, "ReadShareGroupStateSummary"},
};
#define KEY_MAX 87

#define REQUEST_TIMEOUT_MS 5000 /* of this tool's client, where the settings name none */
#define AWAIT_MS 50             /* between looks for a first broker */

/* Requests between brokers: shown where a broker serves them, not missed where it does not. */
static bool is_between_brokers(int16_t key) {
    static const int16_t keys[] = {API_LEADER_AND_ISR,       API_STOP_REPLICA,    API_UPDATE_METADATA,
                                   API_CONTROLLED_SHUTDOWN,  API_ALTER_PARTITION, API_ENVELOPE,
                                   API_ALLOCATE_PRODUCER_IDS};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i] == key) {
            return true;
        }
    }
    return false;
}

static const char *kraft_name(int16_t key) {
    for (size_t i = 0; i < ARRAY_SIZE(kraft_apis); i++) {
        if (kraft_apis[i].key == key) {
            return kraft_apis[i].name;
        }
    }
    return NULL;
}

static const struct api_range *find_range(const struct broker_connection *connection, int16_t key) {
    for (int32_t i = 0; i < connection->api_count; i++) {
        if (connection->apis[i].key == key) {
            return &connection->apis[i];
        }
    }
    return NULL;
}

static void print_range(const struct api_range *range) {
    const struct api *api = api_find(range->key);
    if (api != NULL) {
        printf("\t%s(%d): ", api->name, range->key);
    } else {
        const char *name = kraft_name(range->key);
        printf("\t%s(%d): ", name != NULL ? name : "UNKNOWN", range->key);
    }
    printf(range->min == range->max ? "%d" : "%d to %d", range->min, range->max);
    if (api == NULL) {
        return;
    }
    if (range->min > api->version_max) {
        printf(" [unusable: node too new]");
    } else if (range->max < api->version_min) {
        printf(" [unusable: node too old]");
    } else {
        printf(" [usable: %d]", MIN(range->max, api->version_max));
    }
}

static void print_broker(const struct client_node *node, const struct broker_connection *connection) {
    printf("%s:%d (id: %d rack: %s) -> (\n", node->host, node->port, node->id,
           node->rack == NULL ? "null" : node->rack);
    int16_t last = KEY_MAX;
    for (int32_t i = 0; i < connection->api_count; i++) {
        last = MAX(last, connection->apis[i].key);
    }
    const char *separator = "";
    for (int16_t key = 0; key <= last; key++) {
        const struct api_range *range = find_range(connection, key);
        const struct api *api = api_find(key);
        const char *name = api != NULL ? api->name : kraft_name(key);
        if (range == NULL && (name == NULL || is_between_brokers(key))) {
            continue;
        }
        fputs(separator, stdout);
        if (range != NULL) {
            print_range(range);
        } else {
            printf("\t%s(%d): UNSUPPORTED", name, key);
        }
        separator = ",\n";
    }
    printf("\n)\n");
}

/* The tool's client is an older one than the other tools', with a name and a patience of its own. */
static void use_legacy_settings(struct admin_tool *tool) {
    tool->settings.client_id = "admin-1";
    tool->settings.log_name = "LegacyAdminClient clientId=admin-1";
    tool->settings.logs_bootstrap_losses = true;
    if (property_list_get(&tool->properties, "request.timeout.ms") == NULL) {
        tool->settings.request_timeout_ms = REQUEST_TIMEOUT_MS;
    }
}

static int no_answer(struct admin_tool *tool) {
    struct str list = STR_LITERAL("");
    for (int32_t i = 0; i < tool->client.bootstrap_count; i++) {
        const struct client_node *node = tool->client.bootstrap[i];
        list = arena_printf(&tool->arena, "%.*s%s%s:%d (id: %d rack: null)", STR_ARGS(list), i > 0 ? ", " : "",
                            node->host, node->port, node->id);
    }
    return failure_set(&tool->failure, "java.lang.RuntimeException", "Request METADATA failed on brokers List(%.*s)",
                       STR_ARGS(list));
}

/* Waits for a cluster whose brokers know of none yet, but for no broker that is not there. */
static int await_brokers(struct admin_tool *tool) {
    for (;;) {
        struct metadata_response response;
        arena_reset(&tool->arena, SIZE_MAX);
        int error = client_ask_addresses(&tool->client, &tool->arena, &response);
        if (error != 0) {
            return no_answer(tool);
        }
        if (response.brokers_count > 0) {
            return 0;
        }
        wait_fd(-1, 0, -1, monotonic_ms() + AWAIT_MS);
    }
}

static int run(struct admin_tool *tool) {
    int error = await_brokers(tool);
    for (int32_t i = 0; error == 0 && i < tool->client.node_count; i++) {
        const struct client_node *node = tool->client.nodes[i];
        struct broker_connection *connection;
        int64_t deadline_ms = monotonic_ms() + tool->settings.request_timeout_ms;
        if (client_node(&tool->client, node->id, deadline_ms, &connection) == 0) {
            print_broker(node, connection);
        } else {
            printf("%s:%d (id: %d rack: %s) -> ERROR: org.apache.kafka.common.errors.DisconnectException\n", node->host,
                   node->port, node->id, node->rack == NULL ? "null" : node->rack);
        }
    }
    return error;
}

int tool_broker_api_versions(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error == 0) {
        status = options_help(&tool.options, argc, true, "This tool helps to retrieve broker version information.");
        status = status < 0 ? options_check_required(&tool.options, (const char *const[]){"bootstrap-server", NULL})
                            : status;
        if (status == 0 && !options_has(&tool.options, "version")) {
            error = admin_tool_settings(&tool, "bootstrap-server", "command-config");
            if (error == 0) {
                use_legacy_settings(&tool);
                error = client_init(&tool.client, &tool.settings, &tool.failure);
            }
            error = error != 0 ? error : run(&tool);
        }
    }
    if (error != 0) {
        fflush(stdout);
        fprintf(stderr, "Exception in thread \"main\" %s: %s\n", tool.failure.class_name, tool.failure.text);
        status = 1;
    }
    admin_tool_deinit(&tool);
    return status;
}
