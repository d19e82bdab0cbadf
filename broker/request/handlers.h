/* One handler per API, from the table; and what a row says about its authorization. */
#ifndef OTTLA_REQUEST_HANDLERS_H
#define OTTLA_REQUEST_HANDLERS_H

#include "broker/request/request.h"

/* What an authorizer is asked before an API does its work. EACH: the handler asks for every resource the request
 * names, and answers for the refused ones alone; otherwise the whole request is refused. */
enum api_authorization {
    AUTHORIZE_NOTHING = 1, /* open to everyone, even before login; 0 stays free so that no row can forget its own */
    AUTHORIZE_CLUSTER_ACTION,
    AUTHORIZE_CLUSTER_ALTER,
    AUTHORIZE_CLUSTER_ALTER_CONFIGS,
    AUTHORIZE_CLUSTER_CREATE,
    AUTHORIZE_CLUSTER_DESCRIBE,
    AUTHORIZE_CLUSTER_IDEMPOTENT_WRITE,
    AUTHORIZE_EACH_CONFIG_ALTER,
    AUTHORIZE_EACH_CONFIG_DESCRIBE,
    AUTHORIZE_EACH_GROUP_DELETE,
    AUTHORIZE_EACH_GROUP_DESCRIBE,
    AUTHORIZE_EACH_GROUP_READ,
    AUTHORIZE_EACH_TOPIC_ALTER,
    AUTHORIZE_EACH_TOPIC_CREATE,
    AUTHORIZE_EACH_TOPIC_DELETE,
    AUTHORIZE_EACH_TOPIC_DESCRIBE,
    AUTHORIZE_EACH_TOPIC_READ,
    AUTHORIZE_EACH_TOPIC_WRITE,
    AUTHORIZE_EACH_TRANSACTION_DESCRIBE,
    AUTHORIZE_EACH_TRANSACTION_WRITE,
};

#define API(c_name, enum_name, authorization) void handle_##c_name(struct request *request);
#include "broker/request/api.tbl.h"
#undef API

#endif
