#include "broker/group/group_records.h"

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "generated/protocol/group_metadata.h"
#include "generated/protocol/offset_commit_record.h"

#define OFFSET_KEY_VERSION 1
#define OFFSET_VALUE_VERSION 3
#define OFFSET_VALUE_VERSION_WITH_EXPIRY 1
#define GROUP_KEY_VERSION 2
#define GROUP_VALUE_VERSION 3

/* ---- Reading ---- */

/* The version a key or value opens with, the reader behind it. */
static int16_t begin(struct reader *r, const uint8_t *data, int32_t size) {
    *r = reader_of(data, (size_t)MAX(size, 0));
    return reader_i16(r);
}

static int decode_offset_value(const struct record_view *view, struct arena *arena, struct group_record *ret) {
    struct reader r;
    int16_t version = begin(&r, view->value, view->value_size);
    struct offset_commit_value value;
    if (r.failed || version < OFFSET_COMMIT_VALUE_VERSION_MIN || version > OFFSET_COMMIT_VALUE_VERSION_MAX) {
        return ERR_CORRUPT;
    }
    int error = offset_commit_value_decode(&r, version, arena, &value);
    if (error != 0) {
        return error;
    }
    ret->commit = (struct committed_offset){
        .offset = value.offset,
        .leader_epoch = version >= 3 ? value.leader_epoch : -1,
        .metadata = value.metadata,
        .commit_timestamp_ms = value.commit_timestamp,
        .expire_timestamp_ms = version == OFFSET_VALUE_VERSION_WITH_EXPIRY ? value.expire_timestamp : -1,
    };
    return 0;
}

static int decode_group_value(const struct record_view *view, struct arena *arena, struct group_record *ret) {
    struct reader r;
    int16_t version = begin(&r, view->value, view->value_size);
    struct group_metadata_value value;
    if (r.failed || version < GROUP_METADATA_VALUE_VERSION_MIN || version > GROUP_METADATA_VALUE_VERSION_MAX) {
        return ERR_CORRUPT;
    }
    int error = group_metadata_value_decode(&r, version, arena, &value);
    if (error != 0) {
        return error;
    }
    ret->generation = value.generation;
    ret->protocol_type = value.protocol_type;
    ret->protocol = value.protocol;
    ret->leader = value.leader;
    ret->state_timestamp_ms = version >= 2 ? value.current_state_timestamp : -1;
    ret->member_count = value.members_count;
    ret->members = ARENA_ARRAY(arena, struct group_loaded_member, value.members_count);
    for (int32_t i = 0; i < value.members_count; i++) {
        const struct group_metadata_value_member_metadata *member = &value.members[i];
        ret->members[i] = (struct group_loaded_member){
            .id = member->member_id,
            .instance_id = version >= 3 ? member->group_instance_id : STR_NULL,
            .client_id = member->client_id,
            .client_host = member->client_host,
            .rebalance_timeout_ms = version == 0 ? member->session_timeout : member->rebalance_timeout,
            .session_timeout_ms = member->session_timeout,
            .subscription = member->subscription,
            .assignment = member->assignment,
        };
    }
    return 0;
}

int group_record_decode(const struct record_view *view, struct arena *arena, struct group_record *ret) {
    struct reader r;
    int16_t version = begin(&r, view->key, view->key_size);
    *ret = (struct group_record){.type = GROUP_RECORD_UNKNOWN, .is_tombstone = view->value_size < 0};
    if (r.failed) {
        return ERR_CORRUPT;
    }
    if (version <= OFFSET_COMMIT_KEY_VERSION_MAX && version >= OFFSET_COMMIT_KEY_VERSION_MIN) {
        struct offset_commit_key key;
        int error = offset_commit_key_decode(&r, version, arena, &key);
        if (error != 0) {
            return error;
        }
        ret->type = GROUP_RECORD_OFFSET;
        ret->group = key.group;
        ret->topic = key.topic;
        ret->partition = key.partition;
        return ret->is_tombstone ? 0 : decode_offset_value(view, arena, ret);
    }
    if (version == GROUP_KEY_VERSION) {
        struct group_metadata_key key;
        int error = group_metadata_key_decode(&r, version, arena, &key);
        if (error != 0) {
            return error;
        }
        ret->type = GROUP_RECORD_GROUP;
        ret->group = key.group;
        return ret->is_tombstone ? 0 : decode_group_value(view, arena, ret);
    }
    return 0;
}

/* ---- Writing ---- */

/* Room for a version and a message of this size, the version written. */
static struct encoder begin_encoding(struct arena *arena, int16_t version, size_t size) {
    size_t room = sizeof version + size;
    struct encoder e = encoder_of(arena_alloc(arena, room), room);
    writer_i16(&e.w, version);
    return e;
}

/* Null when a text is longer than the format allows. */
static struct slice end_encoding(const struct encoder *e) {
    return e->w.failed ? SLICE_NULL : (struct slice){e->w.begin, (int32_t)writer_size(&e->w)};
}

struct slice group_record_offset_key(struct arena *arena, struct str group, struct str topic, int32_t partition) {
    const struct offset_commit_key key = {.group = group, .topic = topic, .partition = partition};
    size_t size = offset_commit_key_encoded_size(&key, OFFSET_KEY_VERSION);
    struct encoder e = begin_encoding(arena, OFFSET_KEY_VERSION, size);
    offset_commit_key_encode(&key, OFFSET_KEY_VERSION, &e);
    return end_encoding(&e);
}

struct slice group_record_offset_value(struct arena *arena, const struct committed_offset *commit) {
    int16_t version = commit->expire_timestamp_ms >= 0 ? OFFSET_VALUE_VERSION_WITH_EXPIRY : OFFSET_VALUE_VERSION;
    const struct offset_commit_value value = {
        .offset = commit->offset,
        .leader_epoch = commit->leader_epoch,
        .metadata = commit->metadata,
        .commit_timestamp = commit->commit_timestamp_ms,
        .expire_timestamp = commit->expire_timestamp_ms,
    };
    struct encoder e = begin_encoding(arena, version, offset_commit_value_encoded_size(&value, version));
    offset_commit_value_encode(&value, version, &e);
    return end_encoding(&e);
}

struct slice group_record_group_key(struct arena *arena, struct str group) {
    const struct group_metadata_key key = {.group = group};
    struct encoder e =
        begin_encoding(arena, GROUP_KEY_VERSION, group_metadata_key_encoded_size(&key, GROUP_KEY_VERSION));
    group_metadata_key_encode(&key, GROUP_KEY_VERSION, &e);
    return end_encoding(&e);
}

/* Bytes of the members' metadata and assignments, which the batch must be able to count. */
static int64_t payload_size(const struct group *group, bool is_staged) {
    int64_t size = 0;
    const struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        size += member->protocol_bytes + member->id.size + member->client_id.size + member->client_host.size +
                (is_staged ? member->staged_assignment.size : member->assignment.size);
    }
    return size;
}

struct slice group_record_group_value(struct arena *arena, const struct group *group, bool is_staged) {
    if (payload_size(group, is_staged) > INT32_MAX / 4) {
        return SLICE_NULL;
    }
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol_type = str_is_null(group->protocol_type) ? STR_LITERAL("") : group->protocol_type;
    value.generation = group->generation;
    value.protocol = group->protocol;
    value.leader = group->leader;
    value.current_state_timestamp = group->state_timestamp_ms;
    value.members = ARENA_ARRAY(arena, struct group_metadata_value_member_metadata, group_size(group));
    const struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        struct group_metadata_value_member_metadata *to = &value.members[value.members_count++];
        group_metadata_value_member_metadata_init(to);
        to->member_id = member->id;
        to->group_instance_id = member->instance_id;
        to->client_id = member->client_id;
        to->client_host = member->client_host;
        to->rebalance_timeout = member->rebalance_timeout_ms;
        to->session_timeout = member->session_timeout_ms;
        to->subscription = group_member_metadata(member, group->protocol);
        to->assignment = is_staged ? member->staged_assignment : member->assignment;
    }
    struct encoder e =
        begin_encoding(arena, GROUP_VALUE_VERSION, group_metadata_value_encoded_size(&value, GROUP_VALUE_VERSION));
    group_metadata_value_encode(&value, GROUP_VALUE_VERSION, &e);
    return end_encoding(&e);
}
