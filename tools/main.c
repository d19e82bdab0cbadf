/* One executable for all command-line tools. The name it is called by chooses the tool, with or without ".sh";
 * called by its own name it takes the tool's name as first argument. */
#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"
#include "tools/tool.h"

struct tool {
    const char *name;
    tool_main *run;
};

static const struct tool tools[] = {
    {"kafka-topics", tool_topics},
    {"kafka-console-producer", tool_console_producer},
    {"kafka-console-consumer", tool_console_consumer},
    {"kafka-dump-log", tool_dump_log},
    {"kafka-broker-api-versions", tool_broker_api_versions},
    {"kafka-cluster", tool_cluster},
    {"kafka-log-dirs", tool_log_dirs},
    {"kafka-get-offsets", tool_get_offsets},
    {"kafka-delete-records", tool_delete_records},
    {"kafka-leader-election", tool_leader_election},
    {"kafka-consumer-groups", tool_consumer_groups},
    {"kafka-reassign-partitions", tool_reassign_partitions},
    {"kafka-configs", tool_configs},
    {"kafka-server-stop", tool_server_stop},
    {"zookeeper-shell", tool_zookeeper_shell},
};

/* Compares `name` with the tool's, letting an ending ".sh" and a missing "kafka-" pass. */
static bool tool_is_named(const struct tool *tool, const char *name) {
    size_t size = strlen(name);
    if (size > 3 && strcmp(name + size - 3, ".sh") == 0) {
        size -= 3;
    }
    const char *own = tool->name;
    if (strlen(own) == size && strncmp(own, name, size) == 0) {
        return true;
    }
    return strncmp(own, "kafka-", 6) == 0 && strlen(own + 6) == size && strncmp(own + 6, name, size) == 0;
}

static const struct tool *tool_find(const char *name) {
    const char *slash = strrchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
        if (tool_is_named(&tools[i], base)) {
            return &tools[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    const struct tool *tool = argc > 0 ? tool_find(argv[0]) : NULL;
    if (tool == NULL && argc > 1) {
        tool = tool_find(argv[1]);
        argc--;
        argv++;
    }
    if (tool == NULL) {
        fprintf(stderr, "usage: ottla-tools TOOL [ARGUMENTS], where TOOL is one of\n");
        for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
            fprintf(stderr, "  %s\n", tools[i].name);
        }
        return 1;
    }
    return tool->run(argc, argv);
}
