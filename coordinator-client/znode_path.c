/* Spelling of znode paths. */
#include "coordinator-client/znode_path.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"

const char *const znode_persistent_paths[] = {
    ZNODE_CONSUMERS,         ZNODE_BROKER_IDS,        ZNODE_TOPICS,
    ZNODE_CONFIG_CHANGES,    ZNODE_DELETE_TOPICS,     ZNODE_BROKER_SEQID,
    ZNODE_ISR_CHANGES,       ZNODE_PRODUCER_ID_BLOCK, ZNODE_LOG_DIR_EVENTS,
    ZNODE_CONFIG "/topics",  ZNODE_CONFIG "/clients", ZNODE_CONFIG "/users",
    ZNODE_CONFIG "/brokers", ZNODE_CONFIG "/ips",
};
const size_t znode_persistent_path_count = ARRAY_SIZE(znode_persistent_paths);

static char *format_path(char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Names were bounded when they came in; a path that does not fit is a mistake of ours. */
static char *format_path(char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(path, ZNODE_PATH_SIZE, format, arguments);
    va_end(arguments);
    CHECK(size >= 0 && size < ZNODE_PATH_SIZE);
    return path;
}

char *znode_broker_path(char ret_path[ZNODE_PATH_SIZE], int32_t broker_id) {
    return format_path(ret_path, ZNODE_BROKER_IDS "/%d", broker_id);
}

char *znode_topic_path(char ret_path[ZNODE_PATH_SIZE], struct str topic) {
    return format_path(ret_path, ZNODE_TOPICS "/%.*s", STR_ARGS(topic));
}

char *znode_partitions_path(char ret_path[ZNODE_PATH_SIZE], struct str topic) {
    return format_path(ret_path, ZNODE_TOPICS "/%.*s/partitions", STR_ARGS(topic));
}

char *znode_partition_path(char ret_path[ZNODE_PATH_SIZE], struct str topic, int32_t partition) {
    return format_path(ret_path, ZNODE_TOPICS "/%.*s/partitions/%d", STR_ARGS(topic), partition);
}

char *znode_partition_state_path(char ret_path[ZNODE_PATH_SIZE], struct str topic, int32_t partition) {
    return format_path(ret_path, ZNODE_TOPICS "/%.*s/partitions/%d/state", STR_ARGS(topic), partition);
}

char *znode_delete_topic_path(char ret_path[ZNODE_PATH_SIZE], struct str topic) {
    return format_path(ret_path, ZNODE_DELETE_TOPICS "/%.*s", STR_ARGS(topic));
}

char *znode_config_path(char ret_path[ZNODE_PATH_SIZE], const char *type, struct str entity) {
    return format_path(ret_path, ZNODE_CONFIG "/%s/%.*s", type, STR_ARGS(entity));
}

char *znode_config_entity_path(char ret_path[ZNODE_PATH_SIZE], struct str entity_path) {
    return format_path(ret_path, ZNODE_CONFIG "/%.*s", STR_ARGS(entity_path));
}

char *znode_child_path(char ret_path[ZNODE_PATH_SIZE], const char *parent, const char *name) {
    return format_path(ret_path, "%s/%s", parent, name);
}

char *znode_sequential_path(char ret_path[ZNODE_PATH_SIZE], const char *parent, const char *prefix) {
    return format_path(ret_path, "%s/%s", parent, prefix);
}

const char *znode_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

int64_t znode_sequence(const char *name, const char *prefix) {
    size_t prefix_size = strlen(prefix);
    if (strncmp(name, prefix, prefix_size) != 0) {
        return -1;
    }
    return znode_number(name + prefix_size);
}

int32_t znode_number(const char *name) {
    int64_t number = 0;
    if (*name == '\0') {
        return -1;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || (number = number * 10 + (*at - '0')) > INT32_MAX) {
            return -1;
        }
    }
    return (int32_t)number;
}

bool znode_is_sensitive(const char *path) {
    static const char *const roots[] = {ZNODE_CONFIG "/users", ZNODE_CONFIG "/brokers", ZNODE_DELEGATION_TOKENS};
    for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
        size_t size = strlen(roots[i]);
        if (strncmp(path, roots[i], size) == 0 && (path[size] == '\0' || path[size] == '/')) {
            return true;
        }
    }
    return false;
}
