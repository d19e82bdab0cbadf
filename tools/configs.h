/* What the two files of kafka-configs share: the command line, checked. */
#ifndef OTTLA_TOOLS_CONFIGS_H
#define OTTLA_TOOLS_CONFIGS_H

#include "tools/admin_tool.h"

struct configs_arguments {
    const char *type;  /* "topics"; the first one given */
    const char *name;  /* NULL: all of the type; "" is the default entity */
    bool is_unchanged; /* users, clients, ips: what this release cannot do */
};

/* The option table. */
extern const struct option_spec configs_specs[];
size_t configs_spec_count(void);

/* Kafka's checks in Kafka's order. 0; ERR_INVALID with the failure set (its text alone is printed); after a usage error
 * ERR_DENIED, everything printed. */
int configs_check(const struct options *options, struct configs_arguments *ret_arguments, struct failure *failure);

/* --add-config or --add-config-file into properties, keys checked. */
int configs_parse_added(const struct options *options, struct property_list *ret_added, struct failure *failure);

#endif
