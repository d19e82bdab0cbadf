/* Plans of kafka-reassign-partitions: the JSON files, read, checked and printed. (cli.md, sections 4.2 and 4.3) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tools/reassign.h"

#define VERSION 1

static int compare_items(const void *a, const void *b) {
    const struct reassign_item *left = a, *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

/* ---- JSON ---- */

static int load_json(struct admin_tool *tool, const char *path, const char *malformed, json_t **ret_root) {
    json_error_t where;
    size_t size;
    char *text = file_read_all(path, &size);
    if (text == NULL) {
        return failure_set(&tool->failure, "java.io.IOException", "Unable to read file %s", path);
    }
    *ret_root = json_loadb(text, size, 0, &where);
    free(text);
    if (*ret_root == NULL || !json_is_object(*ret_root)) {
        int error = malformed != NULL
                        ? failure_set(&tool->failure, REASSIGN_OPERATION_FAILED, "%s", malformed)
                        : failure_set(&tool->failure, "com.fasterxml.jackson.core.JsonParseException",
                                      "%s, line %d, column %d", *ret_root == NULL ? where.text : "not an object",
                                      *ret_root == NULL ? where.line : 1, *ret_root == NULL ? where.column : 1);
        json_decref(*ret_root);
        *ret_root = NULL;
        return error;
    }
    return 0;
}

static int check_version(struct admin_tool *tool, const json_t *root) {
    const json_t *version = json_object_get(root, "version");
    if (version != NULL && (!json_is_integer(version) || json_integer_value(version) != VERSION)) {
        return failure_set(&tool->failure, REASSIGN_OPERATION_FAILED, "Not supported version field value %lld",
                           (long long)json_integer_value(version));
    }
    return 0;
}

static bool take_id(const json_t *value, int32_t *ret) {
    if (!json_is_integer(value) || json_integer_value(value) < INT32_MIN || json_integer_value(value) > INT32_MAX) {
        return false;
    }
    *ret = (int32_t)json_integer_value(value);
    return true;
}

/* ---- plans ---- */

/* "[1, 2]", as Java prints lists. */
static struct str print_list(struct arena *arena, const json_t *list) {
    struct str text = STR_LITERAL("[");
    size_t index;
    json_t *value;
    json_array_foreach(list, index, value) {
        const char *between = index == 0 ? "" : ", ";
        text = json_is_string(value)
                   ? arena_printf(arena, "%.*s%s%s", STR_ARGS(text), between, json_string_value(value))
                   : arena_printf(arena, "%.*s%s%lld", STR_ARGS(text), between, (long long)json_integer_value(value));
    }
    return arena_printf(arena, "%.*s]", STR_ARGS(text));
}

static int take_log_dirs(struct admin_tool *tool, const json_t *replicas, const json_t *dirs,
                         struct reassign_item *item) {
    struct arena *arena = &tool->arena;
    size_t index;
    json_t *value;
    if (dirs == NULL) {
        return 0;
    }
    if (json_array_size(dirs) != json_array_size(replicas)) {
        return failure_set(&tool->failure, REASSIGN_COMMAND_FAILED,
                           "Size of replicas list %.*s is different from size of log dirs list %.*s for partition "
                           "%.*s-%d",
                           STR_ARGS(print_list(arena, replicas)), STR_ARGS(print_list(arena, dirs)),
                           STR_ARGS(item->topic), item->partition);
    }
    item->log_dirs = ARENA_ARRAY(arena, const char *, item->replica_count + 1);
    json_array_foreach(dirs, index, value) {
        const char *text = json_string_value(value);
        item->log_dirs[index] = text == NULL || strcmp(text, "any") == 0 ? NULL : arena_str(arena, str_from(text)).data;
    }
    return 0;
}

static int take_item(struct admin_tool *tool, const json_t *entry, struct reassign_item *item) {
    const json_t *topic = json_object_get(entry, "topic"), *replicas = json_object_get(entry, "replicas");
    size_t index;
    json_t *value;
    *item = (struct reassign_item){0};
    if (!json_is_string(topic) || !take_id(json_object_get(entry, "partition"), &item->partition) ||
        !json_is_array(replicas)) {
        return failure_set(&tool->failure, "com.fasterxml.jackson.databind.JsonMappingException",
                           "Every partition needs a topic, a partition and replicas");
    }
    item->topic = arena_str(&tool->arena, str_from(json_string_value(topic)));
    item->replicas = ARENA_ARRAY(&tool->arena, int32_t, json_array_size(replicas) + 1);
    json_array_foreach(replicas, index, value) {
        if (!take_id(value, &item->replicas[item->replica_count++])) {
            return failure_set(&tool->failure, "com.fasterxml.jackson.databind.JsonMappingException",
                               "The replicas of %.*s-%d are not broker ids", STR_ARGS(item->topic), item->partition);
        }
    }
    return take_log_dirs(tool, replicas, json_object_get(entry, "log_dirs"), item);
}

static int take_items(struct admin_tool *tool, const json_t *list, struct reassign_plan *ret) {
    size_t index;
    json_t *entry;
    int error = 0;
    *ret = (struct reassign_plan){0};
    if (list != NULL && !json_is_array(list)) {
        return failure_set(&tool->failure, "com.fasterxml.jackson.databind.JsonMappingException",
                           "\"partitions\" is not a list");
    }
    ret->items = ARENA_ARRAY(&tool->arena, struct reassign_item, json_array_size(list) + 1);
    json_array_foreach(list, index, entry) {
        error = error != 0 ? error : take_item(tool, entry, &ret->items[ret->count++]);
    }
    if (error == 0 && ret->count > 0) {
        qsort(ret->items, (size_t)ret->count, sizeof *ret->items, compare_items);
    }
    return error;
}

/* ---- what --execute asks of a plan ---- */

static struct str duplicate_replicas(struct arena *arena, const struct reassign_item *item) {
    struct str text = STR_NULL;
    for (int32_t i = 0; i < item->replica_count; i++) {
        bool was_before = false, was_twice_before = false;
        for (int32_t j = 0; j < i; j++) {
            was_twice_before |= was_before && item->replicas[j] == item->replicas[i];
            was_before |= item->replicas[j] == item->replicas[i];
        }
        if (was_before && !was_twice_before) {
            text = str_is_null(text) ? arena_printf(arena, "%d", item->replicas[i])
                                     : arena_printf(arena, "%.*s,%d", STR_ARGS(text), item->replicas[i]);
        }
    }
    return text;
}

static int check_strictly(struct admin_tool *tool, const struct reassign_plan *plan) {
    struct arena *arena = &tool->arena;
    struct str partitions = STR_NULL, replicas = STR_NULL;
    if (plan->count == 0) {
        return failure_set(&tool->failure, REASSIGN_COMMAND_FAILED, "Partition reassignment list cannot be empty");
    }
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_item *item = &plan->items[i];
        if (item->replica_count == 0) {
            return failure_set(&tool->failure, REASSIGN_COMMAND_FAILED, "Partition replica list cannot be empty");
        }
        if (i > 0 && compare_items(item, item - 1) == 0 && (i == 1 || compare_items(item, item - 2) != 0)) {
            partitions = arena_printf(arena, "%.*s%s%.*s-%d", STR_ARGS(partitions), str_is_null(partitions) ? "" : ",",
                                      STR_ARGS(item->topic), item->partition);
        }
        struct str twice = duplicate_replicas(arena, item);
        if (!str_is_null(twice)) {
            replicas = arena_printf(arena, "%.*s%s%.*s-%d contains multiple entries for %.*s", STR_ARGS(replicas),
                                    str_is_null(replicas) ? "" : ". ", STR_ARGS(item->topic), item->partition,
                                    STR_ARGS(twice));
        }
    }
    if (!str_is_null(partitions)) {
        return failure_set(&tool->failure, REASSIGN_COMMAND_FAILED,
                           "Partition reassignment contains duplicate topic partitions: %.*s", STR_ARGS(partitions));
    }
    return str_is_null(replicas)
               ? 0
               : failure_set(&tool->failure, REASSIGN_COMMAND_FAILED,
                             "Partition replica lists may not contain duplicate entries: %.*s", STR_ARGS(replicas));
}

int reassign_load_plan(struct admin_tool *tool, const char *path, bool is_strict, struct reassign_plan *ret) {
    json_t *root;
    int error = load_json(tool, path, NULL, &root);
    if (error != 0) {
        return error;
    }
    error = check_version(tool, root);
    error = error != 0 ? error : take_items(tool, json_object_get(root, "partitions"), ret);
    json_decref(root);
    return error == 0 && is_strict ? check_strictly(tool, ret) : error;
}

/* ---- topics to move ---- */

static int compare_texts(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static int check_topics(struct admin_tool *tool, const struct str *topics, int32_t count) {
    struct str twice = STR_NULL;
    for (int32_t i = 1; i < count; i++) {
        if (str_equal(topics[i], topics[i - 1]) && (i == 1 || !str_equal(topics[i], topics[i - 2]))) {
            twice = arena_printf(&tool->arena, "%.*s%s%.*s", STR_ARGS(twice), str_is_null(twice) ? "" : ",",
                                 STR_ARGS(topics[i]));
        }
    }
    return str_is_null(twice)
               ? 0
               : failure_set(&tool->failure, REASSIGN_COMMAND_FAILED,
                             "List of topics to reassign contains duplicate entries: [%.*s]", STR_ARGS(twice));
}

int reassign_load_topics(struct admin_tool *tool, const char *path, struct str **ret_topics, int32_t *ret_count) {
    json_t *root, *entry;
    size_t index;
    int error = load_json(tool, path, "The input string is not a valid JSON", &root);
    if (error != 0) {
        return error;
    }
    error = check_version(tool, root);
    const json_t *list = json_object_get(root, "topics");
    struct str *topics = ARENA_ARRAY(&tool->arena, struct str, json_array_size(list) + 1);
    int32_t count = 0;
    json_array_foreach(list, index, entry) {
        const char *name = json_string_value(json_object_get(entry, "topic"));
        if (error == 0 && name == NULL) {
            error = failure_set(&tool->failure, REASSIGN_OPERATION_FAILED, "Every entry of \"topics\" needs a topic");
        } else if (error == 0) {
            topics[count++] = arena_str(&tool->arena, str_from(name));
        }
    }
    json_decref(root);
    if (error == 0) {
        qsort(topics, (size_t)count, sizeof *topics, compare_texts);
        error = check_topics(tool, topics, count);
    }
    *ret_topics = topics;
    *ret_count = count;
    return error;
}

/* ---- printing and looking ---- */

void reassign_print_plan(const struct reassign_plan *plan) {
    json_t *partitions = json_array();
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_item *item = &plan->items[i];
        json_t *replicas = json_array(), *dirs = json_array(), *entry = json_object();
        for (int32_t j = 0; j < item->replica_count; j++) {
            json_array_append_new(replicas, json_integer(item->replicas[j]));
            json_array_append_new(dirs, json_string("any"));
        }
        json_object_set_new(entry, "topic", json_stringn(item->topic.data, (size_t)item->topic.size));
        json_object_set_new(entry, "partition", json_integer(item->partition));
        json_object_set_new(entry, "replicas", replicas);
        json_object_set_new(entry, "log_dirs", dirs);
        json_array_append_new(partitions, entry);
    }
    json_t *root = json_object();
    json_object_set_new(root, "version", json_integer(VERSION));
    json_object_set_new(root, "partitions", partitions);
    json_dumpf(root, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(root);
}

int32_t reassign_topics(struct admin_tool *tool, const struct reassign_plan *plan, struct str **ret_topics) {
    struct str *topics = ARENA_ARRAY(&tool->arena, struct str, plan->count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < plan->count; i++) {
        if (count == 0 || !str_equal(topics[count - 1], plan->items[i].topic)) {
            topics[count++] = plan->items[i].topic;
        }
    }
    *ret_topics = topics;
    return count;
}

bool reassign_has_log_dirs(const struct reassign_plan *plan) {
    for (int32_t i = 0; i < plan->count; i++) {
        for (int32_t j = 0; plan->items[i].log_dirs != NULL && j < plan->items[i].replica_count; j++) {
            if (plan->items[i].log_dirs[j] != NULL) {
                return true;
            }
        }
    }
    return false;
}

struct str reassign_join(struct arena *arena, const int32_t *ids, int32_t count) {
    struct str text = STR_LITERAL("");
    for (int32_t i = 0; i < count; i++) {
        text = arena_printf(arena, "%.*s%s%d", STR_ARGS(text), i == 0 ? "" : ",", ids[i]);
    }
    return text;
}

const struct reassign_item *reassign_find(const struct reassign_plan *plan, struct str topic, int32_t partition) {
    struct reassign_item key = {.topic = topic, .partition = partition};
    return plan->count == 0 ? NULL
                            : bsearch(&key, plan->items, (size_t)plan->count, sizeof *plan->items, compare_items);
}
