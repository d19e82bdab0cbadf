/* The keys and values of __consumer_offsets and __transaction_state, as JSON. Text forms are in internal_text.c. */
#include "tools/internal_records.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "generated/protocol/consumer_protocol.h"
#include "tools/internal_decode.h"

/* Text that is not UTF-8 comes out with a question mark for each bad byte, as a Java string would hold U+FFFD. */
static json_t *json_str(struct str text) {
    if (str_is_null(text)) {
        return json_null();
    }
    json_t *value = json_stringn(text.data != NULL ? text.data : "", (size_t)text.size);
    if (value == NULL) {
        char *copy = xstrndup(text.data, (size_t)text.size);
        for (int32_t i = 0; i < text.size; i++) {
            copy[i] = (unsigned char)copy[i] < 0x80 ? copy[i] : '?';
        }
        value = json_stringn(copy, (size_t)text.size);
        free(copy);
    }
    CHECK(value != NULL);
    return value;
}

static json_t *json_base64(struct slice bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (bytes.size < 0) {
        return json_null();
    }
    char *text = xmalloc((size_t)bytes.size / 3 * 4 + 8);
    char *to = text;
    for (int32_t i = 0; i < bytes.size; i += 3) {
        int32_t left = MIN(bytes.size - i, 3);
        uint32_t bits = (uint32_t)bytes.data[i] << 16 | (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)bytes.data[i + 2] : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63U];
        *to++ = left > 1 ? digits[bits >> 6 & 63U] : '=';
        *to++ = left > 2 ? digits[bits & 63U] : '=';
    }
    json_t *value = json_stringn(text, (size_t)(to - text));
    free(text);
    return value;
}

static void put(json_t *object, const char *name, json_t *value) {
    CHECK(json_object_set_new(object, name, value) == 0);
}

static json_t *json_ints(const int32_t *values, int32_t count) {
    json_t *array = json_array();
    for (int32_t i = 0; i < count; i++) {
        json_array_append_new(array, json_integer(values[i]));
    }
    return array;
}

static json_t *offset_value_json(const struct offset_commit_value *value, int16_t version) {
    json_t *data = json_object();
    put(data, "offset", json_integer(value->offset));
    if (version >= 3) {
        put(data, "leaderEpoch", json_integer(value->leader_epoch));
    }
    put(data, "metadata", json_str(value->metadata));
    put(data, "commitTimestamp", json_integer(value->commit_timestamp));
    if (version == 1) {
        put(data, "expireTimestamp", json_integer(value->expire_timestamp));
    }
    return data;
}

static json_t *subscription_json(struct slice bytes, struct arena *arena) {
    struct reader r = reader_of(bytes.data, (size_t)MAX(bytes.size, 0));
    int16_t version = reader_i16(&r);
    struct consumer_protocol_subscription subscription;
    version = (int16_t)MIN(version, 3);
    if (r.failed || version < 0 || consumer_protocol_subscription_decode(&r, version, arena, &subscription) != 0) {
        return json_base64(bytes);
    }
    json_t *data = json_object();
    json_t *topics = json_array();
    for (int32_t i = 0; i < subscription.topics_count; i++) {
        json_array_append_new(topics, json_str(subscription.topics[i]));
    }
    put(data, "topics", topics);
    put(data, "userData", json_base64(subscription.user_data));
    if (version >= 1) {
        json_t *owned = json_array();
        for (int32_t i = 0; i < subscription.owned_partitions_count; i++) {
            json_t *entry = json_object();
            put(entry, "topic", json_str(subscription.owned_partitions[i].topic));
            put(entry, "partitions",
                json_ints(subscription.owned_partitions[i].partitions,
                          subscription.owned_partitions[i].partitions_count));
            json_array_append_new(owned, entry);
        }
        put(data, "ownedPartitions", owned);
    }
    if (version >= 2) {
        put(data, "generationId", json_integer(subscription.generation_id));
    }
    if (version >= 3) {
        put(data, "rackId", json_str(subscription.rack_id));
    }
    return data;
}

static json_t *assignment_json(struct slice bytes, struct arena *arena) {
    struct reader r = reader_of(bytes.data, (size_t)MAX(bytes.size, 0));
    int16_t version = reader_i16(&r);
    struct consumer_protocol_assignment assignment;
    version = (int16_t)MIN(version, 3);
    if (r.failed || version < 0 || consumer_protocol_assignment_decode(&r, version, arena, &assignment) != 0) {
        return json_base64(bytes);
    }
    json_t *data = json_object();
    json_t *assigned = json_array();
    for (int32_t i = 0; i < assignment.assigned_partitions_count; i++) {
        json_t *entry = json_object();
        put(entry, "topic", json_str(assignment.assigned_partitions[i].topic));
        put(entry, "partitions",
            json_ints(assignment.assigned_partitions[i].partitions,
                      assignment.assigned_partitions[i].partitions_count));
        json_array_append_new(assigned, entry);
    }
    put(data, "assignedPartitions", assigned);
    put(data, "userData", json_base64(assignment.user_data));
    return data;
}

/* With `unpacked` the members' subscriptions and assignments are read too, where they are a consumer's. */
static json_t *group_value_json(const struct group_metadata_value *value, int16_t version, bool unpacked,
                                struct arena *arena) {
    json_t *data = json_object();
    put(data, "protocolType", json_str(value->protocol_type));
    put(data, "generation", json_integer(value->generation));
    put(data, "protocol", json_str(value->protocol));
    put(data, "leader", json_str(value->leader));
    if (version >= 2) {
        put(data, "currentStateTimestamp", json_integer(value->current_state_timestamp));
    }
    json_t *members = json_array();
    unpacked = unpacked && str_equal_text(value->protocol_type, "consumer");
    for (int32_t i = 0; i < value->members_count; i++) {
        const struct group_metadata_value_member_metadata *member = &value->members[i];
        json_t *entry = json_object();
        put(entry, "memberId", json_str(member->member_id));
        if (version >= 3) {
            put(entry, "groupInstanceId", json_str(member->group_instance_id));
        }
        put(entry, "clientId", json_str(member->client_id));
        put(entry, "clientHost", json_str(member->client_host));
        if (version >= 1) {
            put(entry, "rebalanceTimeout", json_integer(member->rebalance_timeout));
        }
        put(entry, "sessionTimeout", json_integer(member->session_timeout));
        put(entry, "subscription",
            unpacked ? subscription_json(member->subscription, arena) : json_base64(member->subscription));
        put(entry, "assignment",
            unpacked ? assignment_json(member->assignment, arena) : json_base64(member->assignment));
        json_array_append_new(members, entry);
    }
    put(data, "members", members);
    return data;
}

static json_t *transaction_value_json(const struct transaction_log_value *value) {
    json_t *data = json_object();
    put(data, "producerId", json_integer(value->producer_id));
    put(data, "producerEpoch", json_integer(value->producer_epoch));
    put(data, "transactionTimeoutMs", json_integer(value->transaction_timeout_ms));
    put(data, "transactionStatus", json_integer(value->transaction_status));
    json_t *topics = value->transaction_partitions_count < 0 ? json_null() : json_array();
    for (int32_t i = 0; i < value->transaction_partitions_count; i++) {
        json_t *entry = json_object();
        put(entry, "topic", json_str(value->transaction_partitions[i].topic));
        put(entry, "partitionIds",
            json_ints(value->transaction_partitions[i].partition_ids,
                      value->transaction_partitions[i].partition_ids_count));
        json_array_append_new(topics, entry);
    }
    put(data, "transactionPartitions", topics);
    put(data, "transactionLastUpdateTimestampMs", json_integer(value->transaction_last_update_timestamp_ms));
    put(data, "transactionStartTimestampMs", json_integer(value->transaction_start_timestamp_ms));
    return data;
}

static json_t *key_json(const struct internal_record *record) {
    json_t *data = json_object();
    switch (record->kind) {
    case INTERNAL_OFFSETS:
        put(data, "group", json_str(record->offset_key.group));
        put(data, "topic", json_str(record->offset_key.topic));
        put(data, "partition", json_integer(record->offset_key.partition));
        break;
    case INTERNAL_GROUPS: put(data, "group", json_str(record->group_key.group)); break;
    case INTERNAL_TRANSACTIONS: put(data, "transactionalId", json_str(record->transaction_key.transactional_id)); break;
    }
    return data;
}

static json_t *value_json(const struct internal_record *record, bool unpacked, struct arena *arena) {
    if (!record->value_is_known) {
        return json_string("unknown");
    }
    switch (record->kind) {
    case INTERNAL_OFFSETS: return offset_value_json(&record->offset, record->value_version);
    case INTERNAL_GROUPS: return group_value_json(&record->group, record->value_version, unpacked, arena);
    case INTERNAL_TRANSACTIONS: return transaction_value_json(&record->transaction);
    }
    return json_null();
}

void internal_write_json(enum internal_kind kind, struct slice key, struct slice value, FILE *out) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct internal_record record;
    if (internal_decode(kind, key, value, &arena, &record) == 0) {
        json_t *root = json_object();
        json_t *part = json_object();
        put(part, "version", json_integer(record.key_version));
        put(part, "data", key_json(&record));
        put(root, "key", part);
        if (record.is_tombstone) {
            put(root, "value", json_null());
        } else {
            part = json_object();
            put(part, "version", json_integer(record.value_version));
            put(part, "data", value_json(&record, false, &arena));
            put(root, "value", part);
        }
        json_dumpf(root, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(root);
    }
    arena_deinit(&arena);
}

/* {"type":"1","data":{...}}: the dump tool writes versions as text. */
static char *dump_part(const char *name, int16_t version, json_t *data) {
    char number[8];
    snprintf(number, sizeof number, "%d", version);
    json_t *root = json_object();
    put(root, name, json_string(number));
    put(root, "data", data);
    char *text = json_dumps(root, JSON_COMPACT);
    CHECK(text != NULL);
    json_decref(root);
    return text;
}

void internal_describe_offsets(struct slice key, struct slice value, int64_t offset, char **ret_key, char **ret_value) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct internal_record record;
    int16_t version = key.size >= 2 ? load_i16(key.data) : -1;
    enum internal_kind kind = version == 2 ? INTERNAL_GROUPS : INTERNAL_OFFSETS;
    int error = internal_decode(kind, key, value, &arena, &record);
    *ret_value = NULL;
    if (version > 2 || version < 0) {
        *ret_key = xasprintf("Unknown record type %d at offset %lld, skipping.", version, (long long)offset);
    } else if (error != 0 || (!record.is_tombstone && !record.value_is_known)) {
        /* "null" is what Java says of a buffer that ends too early. */
        *ret_key =
            xasprintf("Error at offset %lld, skipping. Could not read record with version %d from %s's buffer due "
                      "to: null.",
                      (long long)offset, error != 0 ? version : record.value_version, error != 0 ? "key" : "value");
    } else {
        *ret_key = dump_part("type", version, key_json(&record));
        *ret_value = record.is_tombstone
                         ? xstrdup("<DELETE>")
                         : dump_part("version", record.value_version, value_json(&record, true, &arena));
    }
    arena_deinit(&arena);
}
