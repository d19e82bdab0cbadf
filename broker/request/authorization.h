/* Authorized operations as answers carry them: a bit per operation of Kafka's AclOperation, for each kind of resource.
 *
 * Without an authorizer everybody may do everything the resource knows. */
#ifndef OTTLA_REQUEST_AUTHORIZATION_H
#define OTTLA_REQUEST_AUTHORIZATION_H

#include <stdint.h>

enum acl_operation {
    ACL_READ = 3,
    ACL_WRITE = 4,
    ACL_CREATE = 5,
    ACL_DELETE = 6,
    ACL_ALTER = 7,
    ACL_DESCRIBE = 8,
    ACL_CLUSTER_ACTION = 9,
    ACL_DESCRIBE_CONFIGS = 10,
    ACL_ALTER_CONFIGS = 11,
    ACL_IDEMPOTENT_WRITE = 12,
};

#define AUTHORIZED_TOPIC_OPERATIONS                                                                                    \
    ((int32_t)(1 << ACL_READ | 1 << ACL_WRITE | 1 << ACL_CREATE | 1 << ACL_DELETE | 1 << ACL_ALTER |                   \
               1 << ACL_DESCRIBE | 1 << ACL_DESCRIBE_CONFIGS | 1 << ACL_ALTER_CONFIGS))
#define AUTHORIZED_GROUP_OPERATIONS ((int32_t)(1 << ACL_READ | 1 << ACL_DELETE | 1 << ACL_DESCRIBE))
#define AUTHORIZED_CLUSTER_OPERATIONS                                                                                  \
    ((int32_t)(1 << ACL_CREATE | 1 << ACL_ALTER | 1 << ACL_DESCRIBE | 1 << ACL_CLUSTER_ACTION |                        \
               1 << ACL_DESCRIBE_CONFIGS | 1 << ACL_ALTER_CONFIGS | 1 << ACL_IDEMPOTENT_WRITE))

#endif
