/* The members of a group and the protocols they offer. */
#include <stdlib.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/group/group_internal.h"

/* A table of this many bytes a member stands beside its strings: the struct and what uthash takes. */
#define MEMBER_OVERHEAD_BYTES ((int64_t)sizeof(struct group_member) + 64)
#define CONSUMER_PROTOCOL_TYPE "consumer"

struct str group_keep_str(struct str text) {
    return str_is_null(text) ? STR_NULL : (struct str){xstrndup(text.data, (size_t)text.size), text.size};
}

struct slice group_keep_slice(struct slice bytes) {
    if (bytes.size <= 0) {
        return (struct slice){NULL, bytes.size};
    }
    uint8_t *copy = xmalloc((size_t)bytes.size);
    memcpy(copy, bytes.data, (size_t)bytes.size);
    return (struct slice){copy, bytes.size};
}

void group_drop_str(struct str *text) {
    free((char *)(uintptr_t)text->data);
    *text = STR_NULL;
}

void group_drop_slice(struct slice *bytes) {
    free((uint8_t *)(uintptr_t)bytes->data);
    *bytes = (struct slice){NULL, 0};
}

struct group_member *group_member_of(const struct group *group, struct str member_id) {
    struct group_member *member = NULL;
    if (member_id.size > 0) {
        HASH_FIND(hh, group->members, member_id.data, (size_t)member_id.size, member);
    }
    return member;
}

struct group_member *group_instance_of(const struct group *group, struct str instance_id) {
    struct group_member *member = NULL;
    if (instance_id.size >= 0) {
        HASH_FIND(hh_instance, group->instances, instance_id.data, (size_t)instance_id.size, member);
    }
    return member;
}

const struct group_member *group_find_member(const struct group *group, struct str member_id) {
    return group_member_of(group, member_id);
}

int32_t group_size(const struct group *group) {
    return (int32_t)HASH_COUNT(group->members);
}

bool group_is_leader(const struct group *group, struct str member_id) {
    return !str_is_null(group->leader) && str_equal(group->leader, member_id);
}

bool group_is_consumer(const struct group *group) {
    return str_equal_text(group->protocol_type, CONSUMER_PROTOCOL_TYPE);
}

/* ---- Protocols ---- */

struct slice group_member_metadata(const struct group_member *member, struct str protocol) {
    for (int32_t i = 0; i < member->protocol_count; i++) {
        if (str_equal(member->protocols[i].name, protocol)) {
            return member->protocols[i].metadata;
        }
    }
    return (struct slice){NULL, 0};
}

static struct group_protocol_count *count_of(const struct group *group, struct str name) {
    for (int32_t i = 0; i < group->protocol_count_size; i++) {
        if (str_equal(group->protocol_counts[i].name, name)) {
            return &group->protocol_counts[i];
        }
    }
    return NULL;
}

static bool is_named_before(const struct group_protocol *protocols, int32_t at) {
    for (int32_t i = 0; i < at; i++) {
        if (str_equal(protocols[i].name, protocols[at].name)) {
            return true;
        }
    }
    return false;
}

static void count_protocols(struct group *group, const struct group_member *member, int32_t by) {
    for (int32_t i = 0; i < member->protocol_count; i++) {
        if (is_named_before(member->protocols, i)) {
            continue;
        }
        struct group_protocol_count *entry = count_of(group, member->protocols[i].name);
        if (entry == NULL) {
            group->protocol_counts = xrealloc(group->protocol_counts, (size_t)(group->protocol_count_size + 1) *
                                                                          sizeof *group->protocol_counts);
            entry = &group->protocol_counts[group->protocol_count_size++];
            *entry = (struct group_protocol_count){.name = group_keep_str(member->protocols[i].name)};
        }
        entry->count += by;
        CHECK(entry->count >= 0);
        if (entry->count == 0) {
            group_drop_str(&entry->name);
            *entry = group->protocol_counts[--group->protocol_count_size];
        }
    }
}

bool group_supports(const struct group *group, struct str protocol_type, const struct group_protocol *protocols,
                    int32_t count) {
    if (group->state == GROUP_EMPTY) {
        return protocol_type.size > 0 && count > 0;
    }
    if (!str_equal(group->protocol_type, protocol_type)) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct group_protocol_count *entry = count_of(group, protocols[i].name);
        /* Nobody at all is left in a rebalance whose members have gone: then whatever comes is what all offer. */
        if ((entry == NULL ? 0 : entry->count) == group_size(group)) {
            return true;
        }
    }
    return false;
}

/* The first of the member's protocols that all offer. */
static int32_t vote_of(const struct group *group, const struct group_member *member) {
    for (int32_t i = 0; i < member->protocol_count; i++) {
        const struct group_protocol_count *entry = count_of(group, member->protocols[i].name);
        if (entry->count == group_size(group)) {
            return (int32_t)(entry - group->protocol_counts);
        }
    }
    return -1;
}

struct str group_select_protocol(const struct group *group) {
    int32_t *votes = xcalloc((size_t)MAX(group->protocol_count_size, 1), sizeof *votes);
    int32_t best = -1;
    const struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        int32_t vote = vote_of(group, member);
        CHECK(vote >= 0); /* nobody is let in who offers none of what all offer */
        votes[vote]++;
    }
    for (int32_t i = 0; i < group->protocol_count_size; i++) {
        if (votes[i] > 0 && (best < 0 || votes[i] > votes[best])) {
            best = i;
        }
    }
    free(votes);
    CHECK(best >= 0);
    return group->protocol_counts[best].name;
}

bool group_member_offers_same(const struct group_member *member, const struct group_protocol *protocols,
                              int32_t count) {
    bool is_same = member->protocol_count == count;
    for (int32_t i = 0; i < count && is_same; i++) {
        const struct group_protocol *known = &member->protocols[i];
        is_same = str_equal(known->name, protocols[i].name) && known->metadata.size == protocols[i].metadata.size &&
                  (known->metadata.size <= 0 ||
                   memcmp(known->metadata.data, protocols[i].metadata.data, (size_t)known->metadata.size) == 0);
    }
    return is_same;
}

int64_t group_copy_protocols(const struct group_protocol *protocols, int32_t count, struct group_protocol **ret) {
    size_t list_size = (size_t)count * sizeof **ret;
    int64_t bytes = 0;
    for (int32_t i = 0; i < count; i++) {
        bytes += MAX(protocols[i].name.size, 0) + MAX(protocols[i].metadata.size, 0);
    }
    *ret = xmalloc(MAX(list_size + (size_t)bytes, 1));
    uint8_t *to = (uint8_t *)*ret + list_size;
    for (int32_t i = 0; i < count; i++) {
        size_t name_size = (size_t)MAX(protocols[i].name.size, 0);
        size_t metadata_size = (size_t)MAX(protocols[i].metadata.size, 0);
        (*ret)[i].name = (struct str){(const char *)to, (int32_t)name_size};
        if (name_size > 0) {
            memcpy(to, protocols[i].name.data, name_size);
        }
        to += name_size;
        (*ret)[i].metadata = (struct slice){to, (int32_t)metadata_size};
        if (metadata_size > 0) {
            memcpy(to, protocols[i].metadata.data, metadata_size);
        }
        to += metadata_size;
    }
    return bytes;
}

void group_swap_protocols(struct group *group, struct group_member *member, struct group_protocol **protocols,
                          int32_t *count, int64_t *bytes) {
    struct group_protocol *old = member->protocols;
    int32_t old_count = member->protocol_count;
    int64_t old_bytes = member->protocol_bytes;
    count_protocols(group, member, -1);
    member->protocols = *protocols;
    member->protocol_count = *count;
    member->protocol_bytes = *bytes;
    count_protocols(group, member, 1);
    group->bytes += member->protocol_bytes - old_bytes;
    *protocols = old;
    *count = old_count;
    *bytes = old_bytes;
}

/* ---- Coming and going ---- */

static int64_t cost_of(const struct group_member *member) {
    return MEMBER_OVERHEAD_BYTES + member->id.size + MAX(member->instance_id.size, 0) + member->client_id.size +
           member->client_host.size + member->protocol_bytes;
}

void group_add_member(struct group *group, struct group_member *member) {
    HASH_ADD_KEYPTR(hh, group->members, member->id.data, (size_t)member->id.size, member);
    if (!str_is_null(member->instance_id)) {
        HASH_ADD_KEYPTR(hh_instance, group->instances, member->instance_id.data, (size_t)member->instance_id.size,
                        member);
    }
    if (str_is_null(group->leader)) {
        group->leader = group_keep_str(member->id);
    }
    group->awaiting_join_count += member->join_waiter != NULL;
    group->bytes += cost_of(member);
    count_protocols(group, member, 1);
}

void group_set_assignment(struct group *group, struct group_member *member, struct slice assignment) {
    group->bytes += MAX(assignment.size, 0) - MAX(member->assignment.size, 0);
    group_drop_slice(&member->assignment);
    member->assignment = assignment;
}

void group_remove_member(struct group *group, struct group_member *member) {
    CHECK(member->join_waiter == NULL && member->sync_waiter == NULL);
    HASH_DEL(group->members, member);
    if (!str_is_null(member->instance_id)) {
        HASH_DELETE(hh_instance, group->instances, member);
    }
    count_protocols(group, member, -1);
    group->bytes -= cost_of(member);
    group->sync_due_count -= member->is_sync_due;
    if (group_is_leader(group, member->id)) {
        group_drop_str(&group->leader);
        if (group->members != NULL) {
            group->leader = group_keep_str(group->members->id);
        }
    }
    group_drop_str(&member->id);
    group_drop_str(&member->instance_id);
    group_drop_str(&member->client_id);
    group_drop_str(&member->client_host);
    group_set_assignment(group, member, (struct slice){NULL, 0});
    group_drop_slice(&member->staged_assignment);
    free(member->protocols);
    free(member);
}

void group_rename_member(struct group *group, struct group_member *member, struct str new_id) {
    bool was_leader = group_is_leader(group, member->id);
    HASH_DEL(group->members, member);
    group->bytes += new_id.size - member->id.size;
    group_drop_str(&member->id);
    member->id = group_keep_str(new_id);
    HASH_ADD_KEYPTR(hh, group->members, member->id.data, (size_t)member->id.size, member);
    if (was_leader) {
        group_drop_str(&group->leader);
        group->leader = group_keep_str(new_id);
    }
}

struct group_pending_member *group_pending_of(const struct group *group, struct str member_id) {
    struct group_pending_member *pending = NULL;
    if (member_id.size > 0) {
        HASH_FIND(hh, group->pending, member_id.data, (size_t)member_id.size, pending);
    }
    return pending;
}

void group_add_pending(struct group *group, struct str member_id, int64_t deadline_ms) {
    struct group_pending_member *pending = xcalloc(1, sizeof *pending);
    pending->id = group_keep_str(member_id);
    pending->deadline_ms = deadline_ms;
    HASH_ADD_KEYPTR(hh, group->pending, pending->id.data, (size_t)pending->id.size, pending);
    group->bytes += (int64_t)sizeof *pending + pending->id.size;
    group_wake_at(group, deadline_ms);
}

void group_remove_pending(struct group *group, struct group_pending_member *pending) {
    HASH_DEL(group->pending, pending);
    group->bytes -= (int64_t)sizeof *pending + pending->id.size;
    group_drop_str(&pending->id);
    free(pending);
}

int32_t group_rebalance_timeout_ms(const struct group *group) {
    int32_t longest = 0;
    const struct group_member *member;
    for (member = group->members; member != NULL; member = member->hh.next) {
        longest = MAX(longest, member->rebalance_timeout_ms);
    }
    return longest;
}

/* ---- What consumers subscribe to ---- */

void group_forget_subscription(struct group *group) {
    for (int32_t i = 0; i < group->subscribed_count; i++) {
        group_drop_str(&group->subscribed[i]);
    }
    free(group->subscribed);
    group->subscribed = NULL;
    group->subscribed_count = 0;
    group->is_subscription_known = false;
}

static int compare_names(const void *a, const void *b) {
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted, each name once. */
static void keep_topics(struct group *group, struct str *topics, int32_t count) {
    if (count > 0) {
        qsort(topics, (size_t)count, sizeof *topics, compare_names);
    }
    group->subscribed = xcalloc((size_t)MAX(count, 1), sizeof *group->subscribed);
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || !str_equal(topics[i], topics[i - 1])) {
            group->subscribed[group->subscribed_count++] = group_keep_str(topics[i]);
        }
    }
    group->is_subscription_known = true;
}

/* The topics of one consumer's subscription: a version, then the list; what follows does not matter here. False when
 * that is not what the bytes are. */
static bool read_topics(struct slice metadata, struct str **topics, int32_t *count, int32_t *capacity) {
    struct reader r = reader_of(metadata.data, (size_t)MAX(metadata.size, 0));
    int16_t version = reader_i16(&r);
    int32_t left = reader_i32(&r);
    if (r.failed || version < 0 || left < 0) {
        return false;
    }
    for (; left > 0; left--) {
        int16_t size = reader_i16(&r);
        const uint8_t *name = size < 0 ? NULL : reader_take(&r, (size_t)size);
        if (name == NULL) {
            return false;
        }
        if (*count == *capacity) {
            *capacity = MAX(16, 2 * *capacity);
            *topics = xrealloc(*topics, (size_t)*capacity * sizeof **topics);
        }
        (*topics)[(*count)++] = (struct str){(const char *)name, size};
    }
    return true;
}

void group_learn_subscription(struct group *group) {
    group_forget_subscription(group);
    if (!group_is_consumer(group) || (group->members != NULL && str_is_null(group->protocol))) {
        return;
    }
    struct str *topics = NULL;
    int32_t count = 0;
    int32_t capacity = 0;
    bool is_read = true;
    const struct group_member *member;
    for (member = group->members; member != NULL && is_read; member = member->hh.next) {
        is_read = read_topics(group_member_metadata(member, group->protocol), &topics, &count, &capacity);
    }
    if (is_read) {
        keep_topics(group, topics, count);
    }
    free(topics);
}

bool group_is_subscribed(const struct group *group, struct str topic) {
    if (!group->is_subscription_known) {
        return true;
    }
    return group->subscribed_count > 0 && bsearch(&topic, group->subscribed, (size_t)group->subscribed_count,
                                                  sizeof *group->subscribed, compare_names) != NULL;
}
