/* Set the node; when it is not there make it, parents first. Every step may be done twice without harm. */
#include "broker/request/legacy_offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"

/* Of a path: /consumers is there from the start, these are below it. */
#define LEVELS 4
#define GROUP_ID_MAX 1024

struct legacy_offset {
    struct coord *coord;
    char *path;
    size_t ends[LEVELS]; /* of the path of each level */
    int level;           /* being made */
    char data[24];
    legacy_offset_written *on_written;
    legacy_offset_found *on_found;
    void *context;
};

/* What can be one level of a path in ZooKeeper. */
static bool is_node_name(struct str name) {
    if (name.size <= 0 || name.size > GROUP_ID_MAX || str_equal_text(name, ".") || str_equal_text(name, "..")) {
        return false;
    }
    for (int32_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c == '/' || c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static struct legacy_offset *begin(struct coord *coord, struct str group_id, struct str topic, int32_t partition) {
    struct legacy_offset *op = xcalloc(1, sizeof *op);
    op->coord = coord;
    op->path = xasprintf(ZNODE_CONSUMERS "/%.*s/offsets/%.*s/%d", STR_ARGS(group_id), STR_ARGS(topic), partition);
    op->ends[0] = strlen(ZNODE_CONSUMERS) + 1 + (size_t)group_id.size;
    op->ends[1] = op->ends[0] + strlen("/offsets");
    op->ends[2] = op->ends[1] + 1 + (size_t)topic.size;
    op->ends[3] = strlen(op->path);
    return op;
}

static void end(struct legacy_offset *op) {
    free(op->path);
    free(op);
}

static void finish_write(struct legacy_offset *op, int error) {
    op->on_written(op->context, error == 0 ? KAFKA_NONE : KAFKA_UNKNOWN_SERVER_ERROR);
    end(op);
}

static void set(struct legacy_offset *op);
static void make_level(struct legacy_offset *op);

static void on_made(void *context, int error, const char *path) {
    (void)path;
    struct legacy_offset *op = context;
    bool is_leaf = op->level == LEVELS - 1;
    if (error != 0 && error != ERR_EXISTS) {
        finish_write(op, error);
    } else if (is_leaf && error == ERR_EXISTS) {
        set(op);
    } else if (is_leaf) {
        finish_write(op, 0);
    } else {
        op->level++;
        make_level(op);
    }
}

static void make_level(struct legacy_offset *op) {
    bool is_leaf = op->level == LEVELS - 1;
    char *path = xstrndup(op->path, op->ends[op->level]);
    struct coord_op create = {
        .type = COORD_OP_CREATE,
        .path = path,
        .data = is_leaf ? (struct slice){(const uint8_t *)op->data, (int32_t)strlen(op->data)} : SLICE_NULL,
        .create_flags = COORD_PERSISTENT,
    };
    coord_create(op->coord, &create, on_made, op);
    free(path);
}

static void on_set(void *context, int error, const struct coord_stat *stat) {
    (void)stat;
    struct legacy_offset *op = context;
    if (error == ERR_NOT_FOUND) {
        op->level = 0;
        make_level(op);
    } else {
        finish_write(op, error);
    }
}

static void set(struct legacy_offset *op) {
    struct slice data = {(const uint8_t *)op->data, (int32_t)strlen(op->data)};
    coord_set(op->coord, op->path, data, COORD_ANY_VERSION, on_set, op);
}

void legacy_offset_write(struct coord *coord, struct str group_id, struct str topic, int32_t partition, int64_t offset,
                         legacy_offset_written *on_done, void *context) {
    if (!is_node_name(group_id)) {
        on_done(context, KAFKA_INVALID_GROUP_ID);
        return;
    }
    struct legacy_offset *op = begin(coord, group_id, topic, partition);
    snprintf(op->data, sizeof op->data, "%" PRId64, offset);
    op->on_written = on_done;
    op->context = context;
    set(op);
}

static void on_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    (void)stat;
    struct legacy_offset *op = context;
    int64_t offset = -1;
    int16_t code = error == 0 || error == ERR_NOT_FOUND ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_SERVER_ERROR;
    char text[24] = {0};
    if (error == 0 && data.size > 0 && (size_t)data.size < sizeof text) {
        char *after;
        memcpy(text, data.data, (size_t)data.size);
        offset = strtoll(text, &after, 10);
        code = *after == '\0' ? KAFKA_NONE : KAFKA_UNKNOWN_SERVER_ERROR;
    }
    op->on_found(op->context, code, code == KAFKA_NONE ? offset : -1);
    end(op);
}

void legacy_offset_read(struct coord *coord, struct str group_id, struct str topic, int32_t partition,
                        legacy_offset_found *on_done, void *context) {
    if (!is_node_name(group_id)) {
        on_done(context, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
        return;
    }
    struct legacy_offset *op = begin(coord, group_id, topic, partition);
    op->on_found = on_done;
    op->context = context;
    coord_get(op->coord, op->path, COORD_NO_WATCH, on_read, op);
}
