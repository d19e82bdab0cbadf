/* kafka-cluster: the cluster's id. (cli.md, section 14) Its command line is in another style than that of most tools.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/admin_tool.h"
#include "tools/tool.h"

#define PROGRAM "kafka-cluster"
#define API_UNREGISTER_BROKER 64

struct arguments {
    const char *command;
    const char *bootstrap_server;
    const char *bootstrap_controller;
    const char *config;
    const char *id;
    bool help;
    const char *unknown; /* the first word nobody takes */
};

static const struct {
    const char *long_name;
    const char *short_name;
    size_t offset;
} names[] = {
    {"--bootstrap-server", "-b", offsetof(struct arguments, bootstrap_server)},
    {"--bootstrap-controller", "-C", offsetof(struct arguments, bootstrap_controller)},
    {"--config", "-c", offsetof(struct arguments, config)},
    {"--id", "-i", offsetof(struct arguments, id)},
};

static void print_usage(FILE *out, const char *command) {
    if (command == NULL) {
        fprintf(out, "usage: " PROGRAM " [-h] {cluster-id,unregister} ...\n");
    } else {
        fprintf(out,
                "usage: " PROGRAM " %s [-h] [--bootstrap-server BOOTSTRAP_SERVER] [--bootstrap-controller "
                "BOOTSTRAP_CONTROLLER] [--config CONFIG]%s\n",
                command, strcmp(command, "unregister") == 0 ? " --id ID" : "");
    }
}

static int fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(const char *command, const char *format, ...) {
    print_usage(stderr, command);
    fprintf(stderr, PROGRAM ": error: ");
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return 1;
}

/* The option's place, if `word` is it; *ret_value is set for --name=value. */
static const char **find_option(struct arguments *arguments, const char *word, const char **ret_value) {
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t size = strlen(names[i].long_name);
        bool is_assigned = strncmp(word, names[i].long_name, size) == 0 && word[size] == '=';
        if (is_assigned || strcmp(word, names[i].long_name) == 0 || strcmp(word, names[i].short_name) == 0) {
            *ret_value = is_assigned ? word + size + 1 : NULL;
            return (const char **)((char *)arguments + names[i].offset);
        }
    }
    return NULL;
}

/* 0 or the exit status. */
static int parse(struct arguments *arguments, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const char **to = arguments->command == NULL ? NULL : find_option(arguments, argv[i], &value);
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            arguments->help = true;
        } else if (to != NULL) {
            if (value == NULL && i + 1 >= argc) {
                return fail(arguments->command, "argument %s: expected one argument", argv[i]);
            }
            *to = value != NULL ? value : argv[++i];
        } else if (arguments->command == NULL && argv[i][0] != '-') {
            arguments->command = argv[i];
            if (strcmp(argv[i], "cluster-id") != 0 && strcmp(argv[i], "unregister") != 0) {
                return fail(NULL, "invalid choice: '%s' (choose from 'cluster-id', 'unregister')", argv[i]);
            }
        } else if (arguments->unknown == NULL) {
            arguments->unknown = argv[i];
        }
    }
    return 0;
}

static int check(const struct arguments *arguments, int32_t *ret_id) {
    const char *command = arguments->command;
    if (arguments->unknown != NULL) {
        return fail(command, "unrecognized arguments: '%s'", arguments->unknown);
    }
    if (command == NULL) {
        return fail(NULL, "too few arguments");
    }
    bool is_unregister = strcmp(command, "unregister") == 0;
    if (!is_unregister && arguments->id != NULL) {
        return fail(command, "unrecognized arguments: '--id'");
    }
    if (is_unregister && arguments->id != NULL && parse_int32(arguments->id, ret_id) != 0) {
        return fail(command, "argument --id/-i: could not convert '%s' to Integer (For input string: \"%s\")",
                    arguments->id, arguments->id);
    }
    if (arguments->bootstrap_server == NULL && arguments->bootstrap_controller == NULL) {
        return fail(command, "one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required");
    }
    if (arguments->bootstrap_server != NULL && arguments->bootstrap_controller != NULL) {
        return fail(command, "argument --bootstrap-controller/-C: not allowed with argument --bootstrap-server/-b");
    }
    if (is_unregister && arguments->id == NULL) {
        return fail(command, "argument --id/-i is required");
    }
    return 0;
}

static int run(struct admin_tool *tool, const struct arguments *arguments) {
    int64_t deadline_ms = client_deadline(&tool->client);
    if (strcmp(arguments->command, "unregister") == 0) {
        struct broker_connection *connection;
        int16_t version;
        int error = client_any(&tool->client, deadline_ms, &connection);
        if (error != 0) {
            client_failure(&tool->failure, error, "unregisterBroker");
            return error;
        }
        if (broker_connection_version(connection, API_UNREGISTER_BROKER, 0, 0, &version) == 0) {
            return failure_set(&tool->failure, "UnsupportedVersionException",
                               "Brokers of a KRaft cluster are unregistered with Kafka's own tool.");
        }
        printf("The target cluster does not support the broker unregistration API.\n");
        return 0;
    }
    struct metadata_response response;
    int error = client_metadata(&tool->client, NULL, 0, false, deadline_ms, &tool->arena, &response);
    if (error != 0) {
        client_failure(&tool->failure, error, "listNodes");
        return error;
    }
    if (tool->client.cluster_id == NULL) {
        printf("No cluster ID found. The Kafka version is probably too old.\n");
    } else {
        printf("Cluster ID: %s\n", tool->client.cluster_id);
    }
    return 0;
}

int tool_cluster(int argc, char **argv) {
    struct arguments arguments = {0};
    int32_t id;
    int status = parse(&arguments, argc, argv);
    if (status == 0 && arguments.help) {
        print_usage(stdout, arguments.command);
        printf("\nThe Kafka cluster tool.\n\n  cluster-id   show the cluster's id\n  unregister   unregister a broker "
               "(KRaft "
               "only)\n");
        return 1;
    }
    status = status != 0 ? status : check(&arguments, &id);
    if (status != 0) {
        return status;
    }
    struct admin_tool tool;
    admin_tool_init(&tool);
    const char *bootstrap =
        arguments.bootstrap_server != NULL ? arguments.bootstrap_server : arguments.bootstrap_controller;
    int error = client_admin_settings(&tool.settings, bootstrap, arguments.config, &tool.properties, &tool.failure);
    if (error == 0 && client_init(&tool.client, &tool.settings, &tool.failure) != 0) {
        error = failure_set(&tool.failure, "org.apache.kafka.common.KafkaException",
                            "Failed to create new KafkaAdminClient");
    }
    error = error != 0 ? error : run(&tool, &arguments);
    if (error != 0) {
        fprintf(stderr, "%s\n", tool.failure.text);
    }
    admin_tool_deinit(&tool);
    return error == 0 ? 0 : 1;
}
