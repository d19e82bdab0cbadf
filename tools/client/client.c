/* Finding and keeping connections to a cluster's brokers. */
#include "tools/client/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/options.h"

#define NETWORK_LOGGER "org.apache.kafka.clients.NetworkClient"
#define CONNECT_TIMEOUT_MS 10000      /* socket.connection.setup.timeout.ms */
#define RECONNECT_BACKOFF_MS 50       /* reconnect.backoff.ms */
#define RECONNECT_BACKOFF_MAX_MS 1000 /* reconnect.backoff.max.ms */
#define RETRY_BACKOFF_MS 100          /* retry.backoff.ms */
#define API_TIMEOUT_MS 60000          /* default.api.timeout.ms */
#define REQUEST_TIMEOUT_MS 30000      /* request.timeout.ms */

/* Splits "host:port" or "[v6]:port" or "PROTOCOL://host:port". The host is on the heap. */
static int parse_address(const char *text, size_t size, char **ret_host, int32_t *ret_port) {
    char *copy = xstrndup(text, size);
    char *host = strstr(copy, "://");
    host = host == NULL ? copy : host + 3;
    char *colon = strrchr(host, ':');
    int error = colon == NULL || colon == host ? ERR_INVALID : parse_int32(colon + 1, ret_port);
    if (error == 0 && (*ret_port <= 0 || *ret_port > 65535)) {
        error = ERR_INVALID;
    }
    if (error == 0) {
        *colon = '\0';
        size_t host_size = strlen(host);
        bool bracketed = host[0] == '[' && host[host_size - 1] == ']';
        *ret_host = bracketed ? xstrndup(host + 1, host_size - 2) : xstrdup(host);
    }
    free(copy);
    return error;
}

static const char *next_address(const char *at, const char **ret_begin, size_t *ret_size) {
    at += strspn(at, ", \t");
    *ret_begin = at;
    *ret_size = strcspn(at, ",");
    at += *ret_size;
    while (*ret_size > 0 && strchr(" \t", (*ret_begin)[*ret_size - 1]) != NULL) {
        --*ret_size;
    }
    return at;
}

bool addresses_are_valid(const char *text) {
    int32_t count = 0;
    const char *begin;
    size_t size;
    for (const char *at = next_address(text, &begin, &size); size > 0; at = next_address(at, &begin, &size)) {
        char *host;
        int32_t port;
        if (parse_address(begin, size, &host, &port) != 0) {
            return false;
        }
        free(host);
        count++;
    }
    return count > 0;
}

int client_admin_settings(struct client_settings *settings, const char *bootstrap, const char *config_path,
                          struct property_list *properties, struct failure *failure) {
    if (config_path != NULL && property_list_load(properties, config_path) != 0) {
        return failure_set(failure, "java.nio.file.NoSuchFileException", "%s", config_path);
    }
    *settings = (struct client_settings){
        .bootstrap = bootstrap,
        .client_id = "adminclient-1",
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
        .api_timeout_ms = API_TIMEOUT_MS,
        .cancel_fd = -1,
    };
    const char *id = property_list_get(properties, "client.id");
    settings->client_id = id != NULL ? id : settings->client_id;
    const struct {
        const char *key;
        int32_t *to;
    } numbers[] = {{"request.timeout.ms", &settings->request_timeout_ms},
                   {"default.api.timeout.ms", &settings->api_timeout_ms}};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        const char *text = property_list_get(properties, numbers[i].key);
        if (text != NULL && parse_int32(text, numbers[i].to) != 0) {
            return failure_set(failure, "org.apache.kafka.common.config.ConfigException",
                               "Invalid value %s for configuration %s: Not a number of type INT", text, numbers[i].key);
        }
    }
    /* The name lives with the properties that may have set it. */
    char *log_name = xasprintf("AdminClient clientId=%s", settings->client_id);
    property_list_set(properties, " log.name", log_name);
    free(log_name);
    settings->log_name = property_list_get(properties, " log.name");
    return 0;
}

static struct client_node *node_create(const struct client *client, int32_t id, char *host, int32_t port, char *rack) {
    struct client_node *node = xcalloc(1, sizeof *node);
    *node = (struct client_node){.id = id, .host = host, .port = port, .rack = rack};
    broker_connection_init(&node->connection, client->settings.client_id, client->settings.cancel_fd);
    return node;
}

static void node_destroy(struct client_node *node) {
    broker_connection_close(&node->connection);
    free(node->host);
    free(node->rack);
    free(node);
}

static bool resolves(const char *host) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses;
    if (getaddrinfo(host, NULL, &hints, &addresses) != 0) {
        return false;
    }
    freeaddrinfo(addresses);
    return true;
}

int client_init(struct client *client, const struct client_settings *settings, struct failure *failure) {
    *client = (struct client){.settings = *settings, .controller_id = -1};
    const char *begin;
    size_t size;
    const char *at = settings->bootstrap;
    for (at = next_address(at, &begin, &size); size > 0; at = next_address(at, &begin, &size)) {
        char *host;
        int32_t port;
        if (parse_address(begin, size, &host, &port) != 0) {
            client_deinit(client);
            return failure_set(failure, "org.apache.kafka.common.config.ConfigException",
                               "Invalid url in bootstrap.servers: %.*s", (int)size, begin);
        }
        if (!resolves(host)) {
            report_log("WARN", "org.apache.kafka.clients.ClientUtils",
                       "Couldn't resolve server %.*s from bootstrap.servers as DNS resolution failed for %s", (int)size,
                       begin, host);
            free(host);
            continue;
        }
        client->bootstrap =
            xrealloc(client->bootstrap, ((size_t)client->bootstrap_count + 1) * sizeof(struct client_node *));
        client->bootstrap[client->bootstrap_count] =
            node_create(client, -1 - client->bootstrap_count, host, port, NULL);
        client->bootstrap_count++;
    }
    if (client->bootstrap_count == 0) {
        return failure_set(failure, "org.apache.kafka.common.config.ConfigException",
                           "No resolvable bootstrap urls given in bootstrap.servers");
    }
    return 0;
}

void client_deinit(struct client *client) {
    for (int32_t i = 0; i < client->bootstrap_count; i++) {
        node_destroy(client->bootstrap[i]);
    }
    for (int32_t i = 0; i < client->node_count; i++) {
        node_destroy(client->nodes[i]);
    }
    free(client->bootstrap);
    free(client->nodes);
    free(client->cluster_id);
    *client = (struct client){0};
}

int64_t client_deadline(const struct client *client) {
    return monotonic_ms() + client->settings.api_timeout_ms;
}

/* "localhost/127.0.0.1:9092", "/127.0.0.1:9092" for a numeric host: as Java prints a socket address. */
static void format_socket_address(const struct client_node *node, char *ret_text, size_t size) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *addresses;
    if (getaddrinfo(node->host, NULL, &hints, &addresses) == 0) {
        freeaddrinfo(addresses);
        snprintf(ret_text, size, "/%s:%d", node->host, node->port);
        return;
    }
    hints.ai_flags = 0;
    char numeric[64] = "<unresolved>";
    if (getaddrinfo(node->host, NULL, &hints, &addresses) == 0) {
        getnameinfo(addresses->ai_addr, addresses->ai_addrlen, numeric, sizeof numeric, NULL, 0, NI_NUMERICHOST);
        freeaddrinfo(addresses);
    }
    snprintf(ret_text, size, "%s/%s:%d", node->host, numeric, node->port);
}

static void node_failed(struct client *client, struct client_node *node) {
    int shift = MIN(node->failures, 10);
    node->failures++;
    node->retry_at_ms = monotonic_ms() + MIN(RECONNECT_BACKOFF_MS << shift, RECONNECT_BACKOFF_MAX_MS);
    char address[512];
    format_socket_address(node, address, sizeof address);
    report_log("WARN", NETWORK_LOGGER,
               "[%s] Connection to node %d (%s) could not be established. Node may not be available.",
               client->settings.log_name, node->id, address);
    if (node->id < 0 && client->settings.logs_bootstrap_losses) {
        report_log("WARN", NETWORK_LOGGER, "[%s] Bootstrap broker %s:%d (id: %d rack: null) disconnected",
                   client->settings.log_name, node->host, node->port, node->id);
    }
}

int client_connect(struct client *client, struct client_node *node, struct broker_connection *connection,
                   int64_t deadline_ms) {
    if (broker_connection_is_open(connection)) {
        return 0;
    }
    if (node->retry_at_ms > monotonic_ms()) {
        return ERR_DISCONNECTED;
    }
    int64_t connect_deadline_ms = MIN(deadline_ms, monotonic_ms() + CONNECT_TIMEOUT_MS);
    int error = broker_connection_open(connection, node->host, node->port, connect_deadline_ms);
    if (error == 0) {
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        struct api_versions_response response;
        error = call_api_versions(connection, MIN(deadline_ms, monotonic_ms() + client->settings.request_timeout_ms),
                                  &arena, &response);
        arena_deinit(&arena);
    }
    if (error == ERR_CLOSING) {
        return error;
    }
    if (error != 0) {
        broker_connection_close(connection);
        node_failed(client, node);
        return ERR_DISCONNECTED;
    }
    node->failures = 0;
    return 0;
}

static int node_connect(struct client *client, struct client_node *node, int64_t deadline_ms) {
    return client_connect(client, node, &node->connection, deadline_ms);
}

struct client_node *client_find_node(struct client *client, int32_t id) {
    for (int32_t i = 0; i < client->node_count; i++) {
        if (client->nodes[i]->id == id) {
            return client->nodes[i];
        }
    }
    return NULL;
}

int client_node(struct client *client, int32_t id, int64_t deadline_ms, struct broker_connection **ret_connection) {
    struct client_node *node = client_find_node(client, id);
    int error = node == NULL ? ERR_NOT_FOUND : node_connect(client, node, deadline_ms);
    *ret_connection = error == 0 ? &node->connection : NULL;
    return error;
}

/* One round over the list; open connections first, unless another broker than before is to be asked. */
static int try_nodes(struct client *client, struct client_node **nodes, int32_t count, int64_t deadline_ms,
                     struct broker_connection **ret_connection) {
    for (int32_t i = 0; i < count && client->turn == 0; i++) {
        if (broker_connection_is_open(&nodes[i]->connection)) {
            *ret_connection = &nodes[i]->connection;
            return 0;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        struct client_node *node = nodes[(client->turn + i) % count];
        int error = node_connect(client, node, deadline_ms);
        if (error == 0 || error == ERR_CLOSING) {
            *ret_connection = &node->connection;
            return error;
        }
    }
    return ERR_DISCONNECTED;
}

int client_any(struct client *client, int64_t deadline_ms, struct broker_connection **ret_connection) {
    for (;;) {
        int error = try_nodes(client, client->nodes, client->node_count, deadline_ms, ret_connection);
        if (error == ERR_DISCONNECTED) {
            error = try_nodes(client, client->bootstrap, client->bootstrap_count, deadline_ms, ret_connection);
        }
        if (error != ERR_DISCONNECTED) {
            return error;
        }
        error = wait_fd(-1, 0, client->settings.cancel_fd, MIN(deadline_ms, monotonic_ms() + RECONNECT_BACKOFF_MS));
        if (error == ERR_CLOSING) {
            return error;
        }
        if (monotonic_ms() >= deadline_ms) {
            return ERR_TIMED_OUT;
        }
    }
}

/* Takes the brokers of a metadata answer; connections to those that stay are kept. */
static void update_nodes(struct client *client, const struct metadata_response *response) {
    struct client_node **nodes = xcalloc((size_t)response->brokers_count + 1, sizeof *nodes);
    for (int32_t i = 0; i < response->brokers_count; i++) {
        const struct metadata_response_metadata_response_broker *broker = &response->brokers[i];
        for (int32_t j = 0; j < client->node_count && nodes[i] == NULL; j++) {
            struct client_node *known = client->nodes[j];
            if (known != NULL && known->id == broker->node_id && known->port == broker->port &&
                str_equal_text(broker->host, known->host)) {
                nodes[i] = known;
                client->nodes[j] = NULL;
            }
        }
        if (nodes[i] == NULL) {
            char *rack = str_is_null(broker->rack) ? NULL : xstrndup(broker->rack.data, (size_t)broker->rack.size);
            nodes[i] = node_create(client, broker->node_id, xstrndup(broker->host.data, (size_t)broker->host.size),
                                   broker->port, rack);
        }
    }
    for (int32_t j = 0; j < client->node_count; j++) {
        if (client->nodes[j] != NULL) {
            node_destroy(client->nodes[j]);
        }
    }
    free(client->nodes);
    client->nodes = nodes;
    client->node_count = response->brokers_count;
    client->controller_id = response->controller_id;
    if (!str_is_null(response->cluster_id)) {
        free(client->cluster_id);
        client->cluster_id = xstrndup(response->cluster_id.data, (size_t)response->cluster_id.size);
    }
}

int client_ask_addresses(struct client *client, struct arena *arena, struct metadata_response *ret_response) {
    struct metadata_request request;
    metadata_request_init(&request);
    request.topics_count = 0;
    for (int32_t i = 0; i < client->bootstrap_count; i++) {
        struct client_node *node = client->bootstrap[i];
        int64_t deadline_ms = monotonic_ms() + client->settings.request_timeout_ms;
        int error = node_connect(client, node, deadline_ms);
        error = error != 0 ? error : call_metadata(&node->connection, &request, deadline_ms, arena, ret_response);
        if (error == 0) {
            update_nodes(client, ret_response);
        }
        if (error == 0 || error == ERR_CLOSING) {
            return error;
        }
    }
    return ERR_DISCONNECTED;
}

int client_metadata(struct client *client, const struct str *topics, int32_t topic_count, bool create,
                    int64_t deadline_ms, struct arena *arena, struct metadata_response *ret_response) {
    struct metadata_request request;
    metadata_request_init(&request);
    request.topics_count = topic_count;
    request.allow_auto_topic_creation = create;
    if (topic_count > 0) {
        request.topics = ARENA_ARRAY(arena, struct metadata_request_metadata_request_topic, topic_count);
        for (int32_t i = 0; i < topic_count; i++) {
            metadata_request_metadata_request_topic_init(&request.topics[i]);
            request.topics[i].name = topics[i];
        }
    }
    for (;;) {
        struct broker_connection *connection;
        int error = client_any(client, deadline_ms, &connection);
        if (error != 0) {
            return error;
        }
        int64_t request_deadline_ms = MIN(deadline_ms, monotonic_ms() + client->settings.request_timeout_ms);
        error = call_metadata(connection, &request, request_deadline_ms, arena, ret_response);
        if (error == 0) {
            update_nodes(client, ret_response);
            return 0;
        }
        if (error != ERR_DISCONNECTED && error != ERR_TIMED_OUT) {
            return error;
        }
        client_ask_another(client);
        error = client_backoff(client, deadline_ms);
        if (error != 0) {
            return error;
        }
    }
}

int client_controller(struct client *client, int64_t deadline_ms, struct arena *arena,
                      struct broker_connection **ret_connection) {
    for (;;) {
        int error = 0;
        if (client->controller_id < 0) {
            struct metadata_response response;
            error = client_metadata(client, NULL, 0, false, deadline_ms, arena, &response);
        }
        if (error == 0 && client->controller_id >= 0) {
            error = client_node(client, client->controller_id, deadline_ms, ret_connection);
            if (error == 0) {
                return 0;
            }
        }
        if (error == ERR_CLOSING || error == ERR_TIMED_OUT) {
            return error;
        }
        client_forget_controller(client);
        error = client_backoff(client, deadline_ms);
        if (error != 0) {
            return error;
        }
    }
}

void client_forget_controller(struct client *client) {
    client->controller_id = -1;
    client_ask_another(client);
}

void client_ask_another(struct client *client) {
    client->turn = client->turn == INT32_MAX / 2 ? 1 : client->turn + 1;
}

int client_backoff(struct client *client, int64_t deadline_ms) {
    int64_t until_ms = monotonic_ms() + RETRY_BACKOFF_MS;
    if (until_ms >= deadline_ms) {
        return ERR_TIMED_OUT;
    }
    int error = wait_fd(-1, 0, client->settings.cancel_fd, until_ms);
    return error == ERR_TIMED_OUT ? 0 : error;
}

int client_failure(struct failure *failure, int error, const char *call_name) {
    switch (error) {
    case ERR_NOT_FOUND:
    case ERR_OUT_OF_RANGE:
        return failure_set(failure, "UnsupportedVersionException", "The broker does not support the request %s needs",
                           call_name);
    case ERR_CORRUPT:
        return failure_set(failure, "UnknownServerException", "The broker's answer to %s cannot be read", call_name);
    default:
        return failure_set(failure, "TimeoutException", "Timed out waiting for a node assignment. Call: %s", call_name);
    }
}
