/* The tools of one multi-call executable: each is a function that gets its own arguments (argv[0] is its name) and
 * returns the exit status. */
#ifndef OTTLA_TOOLS_TOOL_H
#define OTTLA_TOOLS_TOOL_H

#include <stdbool.h>

/* The release whose behaviour the tools have; what --version prints. */
#define TOOL_VERSION "3.9.2"

typedef int tool_main(int argc, char **argv);

tool_main tool_topics;
tool_main tool_console_producer;
tool_main tool_console_consumer;
tool_main tool_broker_api_versions;
tool_main tool_cluster;
tool_main tool_get_offsets;
tool_main tool_leader_election;
tool_main tool_consumer_groups;
tool_main tool_reassign_partitions;
tool_main tool_configs;
tool_main tool_delete_records;
tool_main tool_log_dirs;
tool_main tool_dump_log;
tool_main tool_server_stop;
tool_main tool_zookeeper_shell;

#endif
