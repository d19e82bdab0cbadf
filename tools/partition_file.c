#include "tools/partition_file.h"

#include <jansson.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tools/property_list.h"

static bool take_entry(json_t *entry, bool with_offsets, struct arena *arena, struct partition_item *ret) {
    json_t *topic = json_object_get(entry, "topic");
    json_t *partition = json_object_get(entry, "partition");
    json_t *offset = json_object_get(entry, "offset");
    if (!json_is_string(topic) || !json_is_integer(partition) || (with_offsets && !json_is_integer(offset)) ||
        json_integer_value(partition) < 0 || json_integer_value(partition) > INT32_MAX) {
        return false;
    }
    *ret = (struct partition_item){
        .topic = arena_str(arena, str_from(json_string_value(topic))),
        .partition = (int32_t)json_integer_value(partition),
        .argument = with_offsets ? json_integer_value(offset) : 0,
    };
    return true;
}

static enum partition_file_error take_partitions(json_t *partitions, bool with_offsets, struct arena *arena,
                                                 struct partition_file *ret) {
    size_t count = json_array_size(partitions);
    ret->items = ARENA_ARRAY(arena, struct partition_item, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct partition_item *item = &ret->items[i];
        if (!take_entry(json_array_get(partitions, i), with_offsets, arena, item)) {
            return PARTITION_FILE_BAD_ENTRY;
        }
        for (size_t j = 0; j < i; j++) {
            if (partition_item_compare(item, &ret->items[j]) == 0) {
                ret->duplicate = arena_printf(arena, "%.*s-%d", STR_ARGS(item->topic), item->partition);
                return PARTITION_FILE_DUPLICATE;
            }
        }
        ret->count++;
    }
    return PARTITION_FILE_OK;
}

enum partition_file_error partition_file_load(const char *path, bool with_offsets, struct arena *arena,
                                              struct partition_file *ret_file) {
    *ret_file = (struct partition_file){.version = 1};
    size_t size;
    char *text = file_read_all(path, &size);
    if (text == NULL) {
        return PARTITION_FILE_UNREADABLE;
    }
    json_error_t where;
    json_t *root = json_loadb(text, size, 0, &where);
    free(text);
    enum partition_file_error error = PARTITION_FILE_OK;
    json_t *version = json_object_get(root, "version");
    json_t *partitions = json_object_get(root, "partitions");
    if (json_is_integer(version)) {
        ret_file->version = json_integer_value(version);
    }
    if (!json_is_object(root)) {
        error = PARTITION_FILE_NOT_JSON;
    } else if (ret_file->version != 1) {
        error = PARTITION_FILE_BAD_VERSION;
    } else if (!json_is_array(partitions)) {
        error = PARTITION_FILE_NO_PARTITIONS;
    } else {
        error = take_partitions(partitions, with_offsets, arena, ret_file);
    }
    json_decref(root);
    return error;
}
