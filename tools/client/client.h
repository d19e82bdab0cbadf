/* A cluster as a tool sees it: the addresses it was given, the brokers behind them, and a connection to each.
 *
 * Everything blocks, under the API deadline of the call. What Kafka's own clients log while they cannot connect is
 * logged here too, in their words. */
#ifndef OTTLA_TOOLS_CLIENT_CLIENT_H
#define OTTLA_TOOLS_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "tools/client/broker_connection.h"
#include "tools/client/calls.h"
#include "tools/property_list.h"
#include "tools/report.h"

struct client_node {
    int32_t id; /* -1, -2, ... for bootstrap addresses */
    char *host;
    int32_t port;
    char *rack; /* NULL for none */
    struct broker_connection connection;
    int64_t retry_at_ms; /* not tried before this */
    int32_t failures;    /* in a row */
};

struct client_settings {
    const char *bootstrap; /* host:port list */
    const char *client_id;
    const char *log_name; /* "AdminClient clientId=adminclient-1" */
    int32_t request_timeout_ms;
    int32_t api_timeout_ms;
    int cancel_fd;              /* -1 for none */
    bool logs_bootstrap_losses; /* producers and consumers say a second line */
};

struct client {
    struct client_settings settings;
    struct client_node **bootstrap;
    int32_t bootstrap_count;
    struct client_node **nodes; /* from metadata */
    int32_t node_count;
    int32_t controller_id; /* -1 unknown */
    int32_t turn;          /* where a round over the brokers begins; 0: with those connected already */
    char *cluster_id;      /* NULL unknown */
};

/* Kafka's form of an address list: every part needs a port, and there must be one part. */
bool addresses_are_valid(const char *text);

/* The settings of an admin tool: defaults, then the file of --command-config (NULL for none). The settings point into
 * `properties`, which must outlive them. On failure the class and text are those of a file that cannot be read. */
int client_admin_settings(struct client_settings *settings, const char *bootstrap, const char *config_path,
                          struct property_list *properties, struct failure *failure);

/* Parses and resolves the addresses; one without an address is told and left out. ERR_INVALID, with Kafka's exception
 * in `failure`, when one is not host:port or none is left. */
int client_init(struct client *client, const struct client_settings *settings, struct failure *failure);
void client_deinit(struct client *client);

int64_t client_deadline(const struct client *client);

/* An open connection that knows its broker's versions. Waits and tries on until the deadline. */
int client_any(struct client *client, int64_t deadline_ms, struct broker_connection **ret_connection);
/* Of one broker; the brokers must be known. Tries once, unless it was just tried in vain: ERR_DISCONNECTED then. */
int client_node(struct client *client, int32_t id, int64_t deadline_ms, struct broker_connection **ret_connection);
struct client_node *client_find_node(struct client *client, int32_t id);
/* Opens a connection of the caller's own to a broker, with its versions; a failure is logged and makes the broker wait
 * before the next try. 0, ERR_DISCONNECTED or ERR_CLOSING. */
int client_connect(struct client *client, struct client_node *node, struct broker_connection *connection,
                   int64_t deadline_ms);

/* Metadata of the given topics (count -1 for all, 0 for none); brings the brokers up to date. Tried until the
 * deadline. */
int client_metadata(struct client *client, const struct str *topics, int32_t topic_count, bool create,
                    int64_t deadline_ms, struct arena *arena, struct metadata_response *ret_response);
/* Each address once, in order, until one tells of the brokers, which are brought up to date. ERR_DISCONNECTED when none
 * does, ERR_CLOSING. */
int client_ask_addresses(struct client *client, struct arena *arena, struct metadata_response *ret_response);
/* A connection to the controller, which is found by metadata if need be. */
int client_controller(struct client *client, int64_t deadline_ms, struct arena *arena,
                      struct broker_connection **ret_connection);
/* Forget who the controller is, after NOT_CONTROLLER. */
void client_forget_controller(struct client *client);
/* What a broker said of the cluster proved wrong, or it says nothing: the next question goes to another one. A broker
 * that lost touch with the controller would tell the same for ever. */
void client_ask_another(struct client *client);

/* Sleeps before the next try (retry.backoff.ms of the admin client). ERR_TIMED_OUT when the deadline comes first. */
int client_backoff(struct client *client, int64_t deadline_ms);

/* Puts an error of a call into words. */
int client_failure(struct failure *failure, int error, const char *call_name);

#endif
