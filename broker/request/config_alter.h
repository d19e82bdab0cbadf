/* What AlterConfigs and IncrementalAlterConfigs share: each resource is checked, changed in the coordinator and
 * answered for by itself. */
#ifndef OTTLA_REQUEST_CONFIG_ALTER_H
#define OTTLA_REQUEST_CONFIG_ALTER_H

#include "broker/request/config_change.h"
#include "broker/request/request.h"

struct config_alteration;

struct config_alter_item {
    /* To be filled in. */
    int8_t resource_type;
    struct str resource_name;
    const struct config_change *changes;
    int32_t change_count;
    /* What came of it. */
    struct config_verdict verdict;
    struct config_alteration *alteration;
};

/* In the request's arena, like its items. */
struct config_alteration {
    struct request *request;
    struct config_alter_item *items;
    int32_t item_count;
    bool is_incremental; /* else the changes replace what is stored */
    bool validate_only;
    void (*on_all)(struct config_alteration *alteration); /* answers the request */
    int32_t left;
};

void config_alter(struct config_alteration *alteration);

#endif
