/* The records of __consumer_offsets in Kafka's formats: what a group is and what it has committed.
 *
 * Written: offset keys version 1 with values version 3 (1 when the client set a retention), group keys version 2 with
 * values version 3. Read: every version there is (zookeeper-mode.md 6). */
#ifndef OTTLA_GROUP_RECORDS_H
#define OTTLA_GROUP_RECORDS_H

#include "broker/base/arena.h"
#include "broker/group/group.h"
#include "broker/group/offsets.h"
#include "broker/protocol/record_batch.h"

enum group_record_type { GROUP_RECORD_OFFSET, GROUP_RECORD_GROUP, GROUP_RECORD_UNKNOWN };

struct group_record {
    enum group_record_type type;
    bool is_tombstone;
    struct str group;
    /* OFFSET */
    struct str topic;
    int32_t partition;
    struct committed_offset commit;
    /* GROUP */
    int32_t generation;
    struct str protocol_type;
    struct str protocol;
    struct str leader;
    int64_t state_timestamp_ms; /* -1 unknown */
    struct group_loaded_member *members;
    int32_t member_count;
};

/* 0 with views into the record and the arena; ERR_CORRUPT for what is no such record. Keys of versions nobody knows
 * are UNKNOWN: a later Kafka wrote them. */
int group_record_decode(const struct record_view *view, struct arena *arena, struct group_record *ret);

/* Keys and values; the bytes are the arena's. */
struct slice group_record_offset_key(struct arena *arena, struct str group, struct str topic, int32_t partition);
struct slice group_record_offset_value(struct arena *arena, const struct committed_offset *commit);
struct slice group_record_group_key(struct arena *arena, struct str group);
/* The group as it is, with the staged assignments or those in force. size -1 when it does not fit into a record. */
struct slice group_record_group_value(struct arena *arena, const struct group *group, bool is_staged);

#endif
