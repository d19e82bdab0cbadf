/* The writing half of znode_codec.h: a small JSON writer that spells as Jackson does, and Kafka's key orders.
 *
 * Kafka builds most znodes from hash maps, so its order is that of Java's String.hashCode in a table of powers of two.
 * Where the keys are fixed the order is written down; for maps with free keys (partitions, settings) it is computed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "coordinator-client/znode_codec.h"

/* A growing text; finish() moves it into the arena. */
struct text {
    char *data;
    size_t size;
    size_t capacity;
};

static void put_bytes(struct text *text, const char *from, size_t size) {
    if (text->size + size > text->capacity) {
        text->capacity = MAX(text->capacity * 2, text->size + size + 256);
        text->data = xrealloc(text->data, text->capacity);
    }
    memcpy(text->data + text->size, from, size);
    text->size += size;
}

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For short pieces only: numbers and punctuation. */
static void put(struct text *text, const char *format, ...) {
    char piece[160];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    CHECK(size >= 0 && (size_t)size < sizeof piece);
    put_bytes(text, piece, (size_t)size);
}

/* A JSON string, or null. Bytes above 0x7f pass as they are: names are UTF-8. */
static void put_string(struct text *text, struct str value) {
    static const char short_escapes[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (str_is_null(value)) {
        put(text, "null");
        return;
    }
    put(text, "\"");
    for (int32_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c == '"' || c == '\\') {
            put(text, "\\%c", c);
        } else if (c >= 0x20) {
            put_bytes(text, &value.data[i], 1);
        } else if (short_escapes[c] != 0) {
            put(text, "\\%c", short_escapes[c]);
        } else {
            put(text, "\\u%04X", c);
        }
    }
    put(text, "\"");
}

static void put_ids(struct text *text, const int32_t *ids, int32_t count) {
    put(text, "[");
    for (int32_t i = 0; i < count; i++) {
        put(text, i == 0 ? "%d" : ",%d", ids[i]);
    }
    put(text, "]");
}

static struct slice finish(struct arena *arena, struct text *text) {
    struct str copy = arena_str(arena, (struct str){text->data, (int32_t)text->size});
    free(text->data);
    return (struct slice){(const uint8_t *)copy.data, copy.size};
}

/* String.hashCode(): over UTF-16 units. Malformed UTF-8 counts byte by byte; only the order depends on it. */
static uint32_t java_hash(struct str text) {
    uint32_t hash = 0;
    for (int32_t i = 0; i < text.size;) {
        const uint8_t *at = (const uint8_t *)text.data + i;
        int32_t length = *at < 0xc0 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
        if (length > text.size - i) {
            length = 1;
        }
        uint32_t point = length == 1 ? *at : *at & (0xffU >> (length + 1));
        for (int32_t k = 1; k < length; k++) {
            point = point << 6 | (at[k] & 0x3fU);
        }
        if (point >= 0x10000) {
            point -= 0x10000;
            hash = hash * 31 + (0xd800U | point >> 10);
            point = 0xdc00U | (point & 0x3ffU);
        }
        hash = hash * 31 + point;
        i += length;
    }
    return hash;
}

struct ordered_key {
    uint32_t bucket;
    uint32_t hash;
    int32_t index;
};

/* Within a bucket Scala's map keeps its nodes by hash, Java's by time of insertion. */
static int compare_scala_keys(const void *a, const void *b) {
    const struct ordered_key *left = a, *right = b;
    if (left->bucket != right->bucket) {
        return left->bucket < right->bucket ? -1 : 1;
    }
    return left->hash < right->hash ? -1 : left->hash > right->hash;
}

static int compare_java_keys(const void *a, const void *b) {
    const struct ordered_key *left = a, *right = b;
    if (left->bucket != right->bucket) {
        return left->bucket < right->bucket ? -1 : 1;
    }
    return left->index - right->index;
}

/* Fills in buckets from hashes and sorts: scala.collection.mutable.HashMap and java.util.Properties agree on 16 buckets
 * at first, twice as many whenever three quarters are reached, and on the spreading of the hash. */
static void order_keys(struct ordered_key *keys, int32_t count, int (*compare)(const void *, const void *)) {
    uint32_t buckets = 16;
    while ((uint32_t)count >= buckets / 4 * 3) {
        buckets *= 2;
    }
    for (int32_t i = 0; i < count; i++) {
        keys[i].hash ^= keys[i].hash >> 16;
        keys[i].bucket = keys[i].hash & (buckets - 1);
        keys[i].index = i;
    }
    if (count > 0) {
        qsort(keys, (size_t)count, sizeof *keys, compare);
    }
}

static void put_endpoint(struct text *text, const struct znode_endpoint *endpoint) {
    bool is_ipv6 = endpoint->host.size > 0 && memchr(endpoint->host.data, ':', (size_t)endpoint->host.size) != NULL;
    char *spelt = xasprintf(is_ipv6 ? "%.*s://[%.*s]:%d" : "%.*s://%.*s:%d", STR_ARGS(endpoint->listener),
                            STR_ARGS(endpoint->host), endpoint->port);
    put_string(text, str_from(spelt));
    free(spelt);
}

static void put_feature_ranges(struct text *text, const struct znode_feature_range *features, int32_t count,
                               const char *min_name, const char *max_name) {
    put(text, "{");
    for (int32_t i = 0; i < count; i++) {
        put(text, i == 0 ? "" : ",");
        put_string(text, features[i].name);
        put(text, ":{");
        if (min_name != NULL) {
            put(text, "\"%s\":%d,", min_name, features[i].min_version);
        }
        put(text, "\"%s\":%d}", max_name, features[i].max_version);
    }
    put(text, "}");
}

struct slice znode_encode_broker(struct arena *arena, const struct znode_broker *broker) {
    struct text text = {0};
    struct str plaintext_host = STR_NULL;
    int32_t plaintext_port = -1;
    put(&text, "{\"features\":");
    put_feature_ranges(&text, broker->features, broker->feature_count, "min_version", "max_version");
    put(&text, ",\"listener_security_protocol_map\":{");
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        const struct znode_endpoint *endpoint = &broker->endpoints[i];
        put(&text, i == 0 ? "" : ",");
        put_string(&text, endpoint->listener);
        put(&text, ":");
        put_string(&text, endpoint->security_protocol);
        if (plaintext_port < 0 && str_equal_text(endpoint->security_protocol, "PLAINTEXT")) {
            plaintext_host = endpoint->host;
            plaintext_port = endpoint->port;
        }
    }
    put(&text, "},\"endpoints\":[");
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        put(&text, i == 0 ? "" : ",");
        put_endpoint(&text, &broker->endpoints[i]);
    }
    put(&text, "],");
    if (!str_is_null(broker->rack)) {
        put(&text, "\"rack\":");
        put_string(&text, broker->rack);
        put(&text, ",");
    }
    put(&text, "\"jmx_port\":%d,\"port\":%d,\"host\":", broker->jmx_port, plaintext_port);
    put_string(&text, plaintext_host);
    put(&text, ",\"version\":5,\"timestamp\":\"%lld\"}", (long long)broker->timestamp_ms);
    return finish(arena, &text);
}

struct slice znode_encode_controller(struct arena *arena, const struct znode_controller *controller) {
    struct text text = {0};
    put(&text, "{\"version\":2,\"brokerid\":%d,\"timestamp\":\"%lld\",\"kraftControllerEpoch\":%d}",
        controller->broker_id, (long long)controller->timestamp_ms, controller->kraft_controller_epoch);
    return finish(arena, &text);
}

struct slice znode_encode_controller_epoch(struct arena *arena, int32_t epoch) {
    struct text text = {0};
    put(&text, "%d", epoch);
    return finish(arena, &text);
}

enum assignment_list { LIST_REPLICAS, LIST_ADDING, LIST_REMOVING };

static const int32_t *assignment_of(const struct znode_topic_partition *partition, enum assignment_list list,
                                    int32_t *ret_count) {
    switch (list) {
    case LIST_ADDING: *ret_count = partition->adding_count; return partition->adding;
    case LIST_REMOVING: *ret_count = partition->removing_count; return partition->removing;
    case LIST_REPLICAS: break;
    }
    *ret_count = partition->replica_count;
    return partition->replicas;
}

/* {"0":[1,2],...}; of adding and removing only the partitions that have some. */
static void put_assignment(struct text *text, const struct znode_topic *topic, enum assignment_list list) {
    struct ordered_key *keys = xcalloc((size_t)topic->partition_count + 1, sizeof *keys);
    int32_t *members = xcalloc((size_t)topic->partition_count + 1, sizeof *members);
    int32_t count = 0;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        int32_t replica_count;
        assignment_of(&topic->partitions[i], list, &replica_count);
        if (list == LIST_REPLICAS || replica_count > 0) {
            char name[16];
            snprintf(name, sizeof name, "%d", topic->partitions[i].partition);
            members[count] = i;
            keys[count++].hash = java_hash(str_from(name));
        }
    }
    order_keys(keys, count, compare_scala_keys);
    put(text, "{");
    for (int32_t i = 0; i < count; i++) {
        const struct znode_topic_partition *partition = &topic->partitions[members[keys[i].index]];
        int32_t replica_count;
        const int32_t *replicas = assignment_of(partition, list, &replica_count);
        put(text, i == 0 ? "\"%d\":" : ",\"%d\":", partition->partition);
        put_ids(text, replicas, replica_count);
    }
    put(text, "}");
    free(members);
    free(keys);
}

struct slice znode_encode_topic(struct arena *arena, const struct znode_topic *topic) {
    struct text text = {0};
    put(&text, "{\"partitions\":");
    put_assignment(&text, topic, LIST_REPLICAS);
    if (!uuid_is_zero(topic->topic_id)) {
        char id[UUID_TEXT_SIZE];
        uuid_format(topic->topic_id, id);
        put(&text, ",\"topic_id\":\"%s\"", id);
    }
    put(&text, ",\"adding_replicas\":");
    put_assignment(&text, topic, LIST_ADDING);
    put(&text, ",\"removing_replicas\":");
    put_assignment(&text, topic, LIST_REMOVING);
    put(&text, ",\"version\":3}");
    return finish(arena, &text);
}

struct slice znode_encode_partition_state(struct arena *arena, const struct znode_partition_state *state) {
    struct text text = {0};
    put(&text, "{\"controller_epoch\":%d,\"leader\":%d,\"version\":1,", state->controller_epoch, state->leader);
    if (state->leader_recovery_state != 0) {
        put(&text, "\"leader_recovery_state\":%d,", state->leader_recovery_state);
    }
    put(&text, "\"leader_epoch\":%d,\"isr\":", state->leader_epoch);
    put_ids(&text, state->isr, state->isr_count);
    put(&text, "}");
    return finish(arena, &text);
}

struct slice znode_encode_config(struct arena *arena, const struct znode_config *config) {
    struct text text = {0};
    struct ordered_key *keys = xcalloc((size_t)config->entry_count + 1, sizeof *keys);
    for (int32_t i = 0; i < config->entry_count; i++) {
        keys[i].hash = java_hash(config->entries[i].name);
    }
    order_keys(keys, config->entry_count, compare_java_keys);
    put(&text, "{\"version\":1,\"config\":{");
    for (int32_t i = 0; i < config->entry_count; i++) {
        const struct znode_config_entry *entry = &config->entries[keys[i].index];
        put(&text, i == 0 ? "" : ",");
        put_string(&text, entry->name);
        put(&text, ":");
        put_string(&text, entry->value);
    }
    put(&text, "}}");
    free(keys);
    return finish(arena, &text);
}

struct slice znode_encode_config_change(struct arena *arena, struct str entity_path) {
    struct text text = {0};
    put(&text, "{\"version\":2,\"entity_path\":");
    put_string(&text, entity_path);
    put(&text, "}");
    return finish(arena, &text);
}

static struct slice encode_partition_list(struct arena *arena, const struct znode_partition_list *list,
                                          bool with_replicas) {
    struct text text = {0};
    put(&text, "{\"version\":1,\"partitions\":[");
    for (int32_t i = 0; i < list->entry_count; i++) {
        const struct znode_partition_entry *entry = &list->entries[i];
        put(&text, i == 0 ? "{\"topic\":" : ",{\"topic\":");
        put_string(&text, entry->topic);
        put(&text, ",\"partition\":%d", entry->partition);
        if (with_replicas) {
            put(&text, ",\"replicas\":");
            put_ids(&text, entry->replicas, entry->replica_count);
        }
        put(&text, "}");
    }
    put(&text, "]}");
    return finish(arena, &text);
}

struct slice znode_encode_isr_change(struct arena *arena, const struct znode_partition_list *list) {
    return encode_partition_list(arena, list, false);
}

struct slice znode_encode_preferred_replica_election(struct arena *arena, const struct znode_partition_list *list) {
    return encode_partition_list(arena, list, false);
}

struct slice znode_encode_reassign_partitions(struct arena *arena, const struct znode_partition_list *list) {
    return encode_partition_list(arena, list, true);
}

struct slice znode_encode_log_dir_event(struct arena *arena, int32_t broker_id) {
    struct text text = {0};
    put(&text, "{\"version\":1,\"broker\":%d,\"event\":1}", broker_id);
    return finish(arena, &text);
}

struct slice znode_encode_producer_id_block(struct arena *arena, const struct znode_producer_id_block *block) {
    struct text text = {0};
    put(&text, "{\"version\":1,\"broker\":%d,\"block_start\":\"%lld\",\"block_end\":\"%lld\"}", block->broker_id,
        (long long)block->first, (long long)block->last);
    return finish(arena, &text);
}

struct slice znode_encode_cluster_id(struct arena *arena, struct str id) {
    struct text text = {0};
    put(&text, "{\"version\":\"1\",\"id\":");
    put_string(&text, id);
    put(&text, "}");
    return finish(arena, &text);
}

struct slice znode_encode_feature(struct arena *arena, const struct znode_feature *feature) {
    struct text text = {0};
    put(&text, "{\"features\":");
    put_feature_ranges(&text, feature->features, feature->feature_count,
                       feature->version < 2 ? "min_version_level" : NULL, "max_version_level");
    put(&text, ",\"version\":%d,\"status\":%d}", feature->version, feature->status);
    return finish(arena, &text);
}
