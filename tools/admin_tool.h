/* The common beginning and end of the tools that make admin calls. */
#ifndef OTTLA_TOOLS_ADMIN_TOOL_H
#define OTTLA_TOOLS_ADMIN_TOOL_H

#include "tools/client/admin.h"
#include "tools/options.h"

struct admin_tool {
    struct options options;
    int cancel_fd; /* becomes readable when the user wants to stop; -1, as it begins, for none */
    struct property_list properties;
    struct client_settings settings;
    struct client client;
    struct arena arena;
    struct failure failure;
};

/* Zeroed memory, no cancel_fd and an empty arena. */
void admin_tool_init(struct admin_tool *tool);
void admin_tool_deinit(struct admin_tool *tool);
/* Reads the options' addresses and settings file. */
int admin_tool_settings(struct admin_tool *tool, const char *bootstrap_option, const char *config_option);
/* That, and makes the client. ERR_INVALID with the failure set: for an address
 * that cannot be, Kafka's "Failed to create new KafkaAdminClient" with the reason as class and text in the log form. */
int admin_tool_open(struct admin_tool *tool, const char *bootstrap_option, const char *config_option);

#endif
