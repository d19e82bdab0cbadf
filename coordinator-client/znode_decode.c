/* The reading half of znode_codec.h. jansson parses; here keys are looked up and values bounded. */
#include <jansson.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/znode_codec.h"

/* NULL when the data is no JSON object. */
static json_t *parse(struct slice data) {
    json_t *root = data.size <= 0 ? NULL : json_loadb((const char *)data.data, (size_t)data.size, 0, NULL);
    if (root != NULL && !json_is_object(root)) {
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* A whole number, also when it is spelt as text (Kafka does so for a few). */
static bool take_i64(const json_t *value, int64_t *ret) {
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        char *end;
        long long number = strtoll(text, &end, 10);
        if (*text != '\0' && *end == '\0') {
            *ret = number;
            return true;
        }
    }
    return false;
}

static bool take_i32(const json_t *value, int32_t *ret) {
    int64_t number;
    if (!take_i64(value, &number) || number < INT32_MIN || number > INT32_MAX) {
        return false;
    }
    *ret = (int32_t)number;
    return true;
}

static bool get_i32(const json_t *object, const char *key, int32_t *ret) {
    return take_i32(json_object_get(object, key), ret);
}

static struct str copy_text(struct arena *arena, const json_t *value) {
    return json_is_string(value) ? arena_str(arena, str_from(json_string_value(value))) : STR_NULL;
}

static bool take_ids(struct arena *arena, const json_t *array, int32_t **ret_ids, int32_t *ret_count) {
    size_t index;
    json_t *value;
    if (!json_is_array(array)) {
        return false;
    }
    int32_t *ids = ARENA_ARRAY(arena, int32_t, json_array_size(array) + 1);
    json_array_foreach(array, index, value) {
        if (!take_i32(value, &ids[index])) {
            return false;
        }
    }
    *ret_ids = ids;
    *ret_count = (int32_t)json_array_size(array);
    return true;
}

/* "LISTENER://host:port", the host of IPv6 in brackets. */
static bool parse_endpoint(struct str text, struct znode_endpoint *ret) {
    const char *scheme_end = memmem(text.data, (size_t)text.size, "://", 3);
    const char *colon = memrchr(text.data, ':', (size_t)text.size);
    const char *text_end = text.data + text.size;
    if (scheme_end == NULL || colon <= scheme_end + 2 || colon + 1 >= text_end || text_end - colon > 6) {
        return false;
    }
    const char *host = scheme_end + 3, *host_end = colon;
    if (host_end - host >= 2 && *host == '[' && host_end[-1] == ']') {
        host++;
        host_end--;
    }
    int32_t port = 0;
    for (const char *at = colon + 1; at < text_end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        port = port * 10 + (*at - '0');
    }
    ret->listener = (struct str){text.data, (int32_t)(scheme_end - text.data)};
    ret->host = (struct str){host, (int32_t)(host_end - host)};
    ret->port = port;
    return port <= 65535;
}

static bool decode_endpoints(struct arena *arena, const json_t *root, struct znode_broker *ret) {
    const json_t *list = json_object_get(root, "endpoints");
    const json_t *protocols = json_object_get(root, "listener_security_protocol_map");
    size_t index;
    json_t *value;
    if (ret->version < 2) {
        struct znode_endpoint *only = ARENA_NEW(arena, struct znode_endpoint);
        only->listener = only->security_protocol = STR_LITERAL("PLAINTEXT");
        only->host = copy_text(arena, json_object_get(root, "host"));
        ret->endpoints = only;
        ret->endpoint_count = 1;
        return !str_is_null(only->host) && get_i32(root, "port", &only->port) && only->port >= 0 && only->port <= 65535;
    }
    if (!json_is_array(list)) {
        return false;
    }
    ret->endpoints = ARENA_ARRAY(arena, struct znode_endpoint, json_array_size(list) + 1);
    json_array_foreach(list, index, value) {
        struct znode_endpoint *endpoint = &ret->endpoints[index];
        struct str text = copy_text(arena, value);
        if (str_is_null(text) || !parse_endpoint(text, endpoint)) {
            return false;
        }
        if (protocols == NULL) {
            endpoint->security_protocol = endpoint->listener;
            continue;
        }
        struct str listener = arena_str(arena, endpoint->listener);
        endpoint->security_protocol = copy_text(arena, json_object_get(protocols, listener.data));
        if (str_is_null(endpoint->security_protocol)) {
            return false;
        }
    }
    ret->endpoint_count = (int32_t)json_array_size(list);
    return ret->endpoint_count > 0;
}

static bool decode_feature_ranges(struct arena *arena, json_t *object, const char *min_name, const char *max_name,
                                  struct znode_feature_range **ret_list, int32_t *ret_count) {
    const char *name;
    json_t *value;
    if (!json_is_object(object)) {
        return object == NULL;
    }
    struct znode_feature_range *list = ARENA_ARRAY(arena, struct znode_feature_range, json_object_size(object) + 1);
    int32_t count = 0;
    json_object_foreach(object, name, value) {
        struct znode_feature_range *range = &list[count++];
        range->name = arena_str(arena, str_from(name));
        if (!get_i32(value, max_name, &range->max_version)) {
            return false;
        }
        get_i32(value, min_name, &range->min_version);
    }
    *ret_list = list;
    *ret_count = count;
    return true;
}

int znode_decode_broker(struct arena *arena, struct slice data, struct znode_broker *ret) {
    *ret = (struct znode_broker){.rack = STR_NULL};
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "version", &ret->version) && ret->version >= 1 &&
              get_i32(root, "jmx_port", &ret->jmx_port) && decode_endpoints(arena, root, ret) &&
              decode_feature_ranges(arena, json_object_get(root, "features"), "min_version", "max_version",
                                    &ret->features, &ret->feature_count);
    if (ok) {
        take_i64(json_object_get(root, "timestamp"), &ret->timestamp_ms);
        ret->rack = copy_text(arena, json_object_get(root, "rack"));
    }
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_controller(struct slice data, struct znode_controller *ret) {
    *ret = (struct znode_controller){.kraft_controller_epoch = -1};
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "brokerid", &ret->broker_id);
    if (ok) {
        take_i64(json_object_get(root, "timestamp"), &ret->timestamp_ms);
        get_i32(root, "kraftControllerEpoch", &ret->kraft_controller_epoch);
    }
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_controller_epoch(struct slice data, int32_t *ret_epoch) {
    int64_t epoch = 0;
    if (data.size <= 0) {
        return ERR_CORRUPT;
    }
    for (int32_t i = 0; i < data.size; i++) {
        if (data.data[i] < '0' || data.data[i] > '9' || (epoch = epoch * 10 + (data.data[i] - '0')) > INT32_MAX) {
            return ERR_CORRUPT;
        }
    }
    *ret_epoch = (int32_t)epoch;
    return 0;
}

static int compare_partitions(const void *a, const void *b) {
    int32_t left = ((const struct znode_topic_partition *)a)->partition;
    int32_t right = ((const struct znode_topic_partition *)b)->partition;
    return (left > right) - (left < right);
}

static bool decode_assignment(struct arena *arena, const json_t *root, struct znode_topic *ret) {
    json_t *partitions = json_object_get(root, "partitions"), *value;
    const json_t *adding = json_object_get(root, "adding_replicas");
    const json_t *removing = json_object_get(root, "removing_replicas");
    const char *name;
    if (!json_is_object(partitions)) {
        return false;
    }
    ret->partitions = ARENA_ARRAY(arena, struct znode_topic_partition, json_object_size(partitions) + 1);
    json_object_foreach(partitions, name, value) {
        struct znode_topic_partition *entry = &ret->partitions[ret->partition_count++];
        json_t *number = json_string(name);
        char canonical[16]; /* "02" or "+2" would be partition 2 a second time */
        bool ok = take_i32(number, &entry->partition) && entry->partition >= 0;
        snprintf(canonical, sizeof canonical, "%d", (int)entry->partition);
        ok = ok && strcmp(canonical, name) == 0;
        json_decref(number);
        const json_t *entry_adding = json_object_get(adding, name), *entry_removing = json_object_get(removing, name);
        if (!ok || !take_ids(arena, value, &entry->replicas, &entry->replica_count) ||
            (entry_adding != NULL && !take_ids(arena, entry_adding, &entry->adding, &entry->adding_count)) ||
            (entry_removing != NULL && !take_ids(arena, entry_removing, &entry->removing, &entry->removing_count))) {
            return false;
        }
    }
    if (ret->partition_count > 0) {
        qsort(ret->partitions, (size_t)ret->partition_count, sizeof *ret->partitions, compare_partitions);
    }
    return true;
}

int znode_decode_topic(struct arena *arena, struct slice data, struct znode_topic *ret) {
    *ret = (struct znode_topic){.version = 1};
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "version", &ret->version) && decode_assignment(arena, root, ret);
    const json_t *id = root == NULL ? NULL : json_object_get(root, "topic_id");
    if (ok && json_is_string(id)) {
        ok = uuid_parse(str_from(json_string_value(id)), &ret->topic_id) == 0;
    }
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_partition_state(struct arena *arena, struct slice data, struct znode_partition_state *ret) {
    *ret = (struct znode_partition_state){.leader = -1};
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "leader", &ret->leader) &&
              get_i32(root, "leader_epoch", &ret->leader_epoch) &&
              get_i32(root, "controller_epoch", &ret->controller_epoch) &&
              take_ids(arena, json_object_get(root, "isr"), &ret->isr, &ret->isr_count);
    if (ok) {
        get_i32(root, "leader_recovery_state", &ret->leader_recovery_state);
    }
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_config(struct arena *arena, struct slice data, struct znode_config *ret) {
    *ret = (struct znode_config){0};
    if (data.size <= 0) {
        return 0;
    }
    json_t *root = parse(data), *value;
    json_t *map = root == NULL ? NULL : json_object_get(root, "config");
    const char *name;
    bool ok = json_is_object(map);
    if (ok) {
        ret->entries = ARENA_ARRAY(arena, struct znode_config_entry, json_object_size(map) + 1);
        json_object_foreach(map, name, value) {
            struct znode_config_entry *entry = &ret->entries[ret->entry_count++];
            entry->name = arena_str(arena, str_from(name));
            entry->value = copy_text(arena, value);
            ok = ok && !str_is_null(entry->value);
        }
    }
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

const struct znode_config_entry *znode_config_find(const struct znode_config *config, struct str name) {
    for (int32_t i = 0; i < config->entry_count; i++) {
        if (str_equal(config->entries[i].name, name)) {
            return &config->entries[i];
        }
    }
    return NULL;
}

int znode_decode_config_change(struct arena *arena, struct slice data, struct str *ret_entity_path) {
    json_t *root = parse(data);
    int32_t version = 0;
    *ret_entity_path = STR_NULL;
    if (root != NULL && get_i32(root, "version", &version) && version == 1) {
        struct str type = copy_text(arena, json_object_get(root, "entity_type"));
        struct str name = copy_text(arena, json_object_get(root, "entity_name"));
        if (!str_is_null(type) && !str_is_null(name)) {
            *ret_entity_path = arena_printf(arena, "%.*s/%.*s", STR_ARGS(type), STR_ARGS(name));
        }
    } else if (root != NULL && version >= 2) {
        *ret_entity_path = copy_text(arena, json_object_get(root, "entity_path"));
    }
    json_decref(root);
    return str_is_null(*ret_entity_path) ? ERR_CORRUPT : 0;
}

int znode_decode_partition_list(struct arena *arena, struct slice data, bool with_replicas,
                                struct znode_partition_list *ret) {
    *ret = (struct znode_partition_list){0};
    json_t *root = parse(data), *value;
    const json_t *list = root == NULL ? NULL : json_object_get(root, "partitions");
    size_t index;
    bool ok = json_is_array(list);
    if (ok) {
        ret->entries = ARENA_ARRAY(arena, struct znode_partition_entry, json_array_size(list) + 1);
        json_array_foreach(list, index, value) {
            struct znode_partition_entry *entry = &ret->entries[ret->entry_count++];
            entry->topic = copy_text(arena, json_object_get(value, "topic"));
            const json_t *replicas = json_object_get(value, "replicas");
            ok = ok && !str_is_null(entry->topic) && get_i32(value, "partition", &entry->partition) &&
                 (!with_replicas || take_ids(arena, replicas, &entry->replicas, &entry->replica_count));
        }
    }
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_log_dir_event(struct slice data, int32_t *ret_broker_id) {
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "broker", ret_broker_id);
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_producer_id_block(struct slice data, struct znode_producer_id_block *ret) {
    *ret = (struct znode_producer_id_block){.broker_id = -1, .first = 0, .last = -1};
    if (data.size <= 0) {
        return 0;
    }
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "broker", &ret->broker_id) &&
              take_i64(json_object_get(root, "block_start"), &ret->first) &&
              take_i64(json_object_get(root, "block_end"), &ret->last);
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}

int znode_decode_cluster_id(struct arena *arena, struct slice data, struct str *ret_id) {
    json_t *root = parse(data);
    *ret_id = root == NULL ? STR_NULL : copy_text(arena, json_object_get(root, "id"));
    json_decref(root);
    return str_is_null(*ret_id) ? ERR_CORRUPT : 0;
}

int znode_decode_feature(struct arena *arena, struct slice data, struct znode_feature *ret) {
    *ret = (struct znode_feature){0};
    json_t *root = parse(data);
    bool ok = root != NULL && get_i32(root, "version", &ret->version) && get_i32(root, "status", &ret->status) &&
              decode_feature_ranges(arena, json_object_get(root, "features"), "min_version_level", "max_version_level",
                                    &ret->features, &ret->feature_count);
    json_decref(root);
    return ok ? 0 : ERR_CORRUPT;
}
