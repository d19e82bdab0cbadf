/* OffsetFetch: what groups have committed; several groups at once from version 8 on (KIP-709). Version 0 reads from
 * ZooKeeper. */
#include "generated/protocol/offset_fetch.h"
#include "broker/base/check.h"
#include "broker/group/group_runtime.h"
#include "broker/metadata/image.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/legacy_offsets.h"
#include "broker/request/topics.h"

#define VERSION_IN_LOG 1
#define VERSION_WITH_GROUP_ERROR 2
#define VERSION_WITH_GROUPS 8
#define NO_OFFSET (-1)

/* One group's question; the topics of both forms of the request have the same fields. */
struct offset_query {
    struct request *request;
    const struct offsets *offsets; /* NULL: no such group */
    bool requires_stable;
};

/* One partition's answer, before it takes either form. */
struct offset_answer {
    int64_t offset;
    int32_t leader_epoch;
    struct str metadata;
    int16_t error_code;
};

static struct offset_answer find(const struct offset_query *query, struct str topic, int32_t partition) {
    struct offset_answer answer = {.offset = NO_OFFSET, .leader_epoch = -1, .metadata = STR_LITERAL("")};
    struct committed_offset commit;
    if (query->offsets == NULL) {
        return answer;
    }
    if (query->requires_stable && !offsets_are_stable(query->offsets, topic, partition)) {
        answer.error_code = KAFKA_UNSTABLE_OFFSET_COMMIT;
    } else if (offsets_find(query->offsets, topic, partition, &commit)) {
        answer.offset = commit.offset;
        answer.leader_epoch = commit.leader_epoch;
        answer.metadata = commit.metadata;
    }
    return answer;
}

/* ---- All offsets of a group, topic by topic ---- */

struct topic_list {
    struct arena *arena;
    struct offset_fetch_response_offset_fetch_response_topics *topics;
    int32_t count;
    int32_t capacity;
    int32_t partition_capacity; /* of the last topic */
};

/* A list in the arena with room for one more. */
static void *grown(struct arena *arena, const void *list, size_t size, int32_t count, int32_t *capacity) {
    if (count < *capacity) {
        return (void *)(uintptr_t)list;
    }
    *capacity = MAX(8, 2 * *capacity);
    void *to = arena_alloc(arena, size * (size_t)*capacity);
    if (count > 0) {
        memcpy(to, list, size * (size_t)count);
    }
    return to;
}

/* Offsets of one topic come one after the other. */
static void list_offset(void *context, struct str topic, int32_t partition, const struct committed_offset *commit) {
    (void)commit;
    struct topic_list *list = context;
    if (list->count == 0 || !str_equal(list->topics[list->count - 1].name, topic)) {
        list->topics = grown(list->arena, list->topics, sizeof *list->topics, list->count, &list->capacity);
        offset_fetch_response_offset_fetch_response_topics_init(&list->topics[list->count]);
        list->topics[list->count++].name = topic;
        list->partition_capacity = 0;
    }
    struct offset_fetch_response_offset_fetch_response_topics *to = &list->topics[list->count - 1];
    to->partitions =
        grown(list->arena, to->partitions, sizeof *to->partitions, to->partitions_count, &list->partition_capacity);
    offset_fetch_response_offset_fetch_response_partitions_init(&to->partitions[to->partitions_count]);
    to->partitions[to->partitions_count++].partition_index = partition;
}

static void fill_partitions(const struct offset_query *query,
                            struct offset_fetch_response_offset_fetch_response_topics *topic) {
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        struct offset_fetch_response_offset_fetch_response_partitions *part = &topic->partitions[i];
        struct offset_answer answer = find(query, topic->name, part->partition_index);
        part->committed_offset = answer.offset;
        part->committed_leader_epoch = answer.leader_epoch;
        part->metadata = answer.metadata;
        part->error_code = answer.error_code;
    }
}

/* Answers one group in the newer form, from which the older one is copied. */
static void fetch_group(struct request *request, struct str group_id,
                        const struct offset_fetch_request_offset_fetch_request_topics *asked, int32_t asked_count,
                        bool requires_stable, struct offset_fetch_response_offset_fetch_response_group *to) {
    struct offset_query query = {.request = request, .requires_stable = requires_stable};
    offset_fetch_response_offset_fetch_response_group_init(to);
    to->group_id = group_id;
    query.offsets = group_runtime_offsets(request->context->groups, group_id, &to->error_code);
    if (to->error_code != KAFKA_NONE) {
        return;
    }
    if (asked_count < 0) {
        struct topic_list list = {.arena = &request->arena};
        if (query.offsets != NULL) {
            offsets_each(query.offsets, list_offset, &list);
        }
        to->topics = list.topics;
        to->topics_count = list.count;
    } else {
        to->topics =
            ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_topics, asked_count);
        to->topics_count = asked_count;
    }
    for (int32_t i = 0; i < asked_count; i++) {
        struct offset_fetch_response_offset_fetch_response_topics *topic = &to->topics[i];
        offset_fetch_response_offset_fetch_response_topics_init(topic);
        topic->name = asked[i].name;
        topic->partitions_count = asked[i].partition_indexes_count;
        topic->partitions = ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_partitions,
                                        topic->partitions_count);
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            offset_fetch_response_offset_fetch_response_partitions_init(&topic->partitions[j]);
            topic->partitions[j].partition_index = asked[i].partition_indexes[j];
        }
    }
    for (int32_t i = 0; i < to->topics_count; i++) {
        fill_partitions(&query, &to->topics[i]);
    }
}

static void fetch_groups(struct request *request) {
    const struct offset_fetch_request *message = request->message;
    struct offset_fetch_response response;
    offset_fetch_response_init(&response);
    /* A group named twice is answered once, however many offsets it has. */
    struct str *names = ARENA_ARRAY(&request->arena, struct str, message->groups_count);
    for (int32_t i = 0; i < message->groups_count; i++) {
        names[i] = message->groups[i].group_id;
    }
    const bool *is_repeated = topic_names_repeated(&request->arena, names, message->groups_count);
    response.groups =
        ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_group, message->groups_count);
    for (int32_t i = 0; i < message->groups_count; i++) {
        const struct offset_fetch_request_offset_fetch_request_group *group = &message->groups[i];
        if (!is_repeated[i]) {
            fetch_group(request, group->group_id, group->topics, group->topics_count, message->require_stable,
                        &response.groups[response.groups_count++]);
        }
    }
    request_answer(request, &response);
}

/* ---- One group, versions 0 to 7 ---- */

/* The topics asked for with nothing found: `error_code` for each partition. */
static void fill_old(struct request *request, int16_t error_code, struct offset_fetch_response *response) {
    const struct offset_fetch_request *message = request->message;
    int32_t count = MAX(message->topics_count, 0);
    response->topics = ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_topic, count);
    response->topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct offset_fetch_request_offset_fetch_request_topic *asked = &message->topics[i];
        struct offset_fetch_response_offset_fetch_response_topic *topic = &response->topics[i];
        offset_fetch_response_offset_fetch_response_topic_init(topic);
        topic->name = asked->name;
        topic->partitions_count = asked->partition_indexes_count;
        topic->partitions = ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_partition,
                                        topic->partitions_count);
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            struct offset_fetch_response_offset_fetch_response_partition *part = &topic->partitions[j];
            offset_fetch_response_offset_fetch_response_partition_init(part);
            part->partition_index = asked->partition_indexes[j];
            part->committed_offset = NO_OFFSET;
            part->metadata = STR_LITERAL("");
            part->error_code = error_code;
        }
    }
}

/* The newer form of one topic as the older one. */
static void copy_topic(struct request *request, const struct offset_fetch_response_offset_fetch_response_topics *from,
                       struct offset_fetch_response_offset_fetch_response_topic *to) {
    offset_fetch_response_offset_fetch_response_topic_init(to);
    to->name = from->name;
    to->partitions_count = from->partitions_count;
    to->partitions = ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_partition,
                                 from->partitions_count);
    for (int32_t i = 0; i < from->partitions_count; i++) {
        const struct offset_fetch_response_offset_fetch_response_partitions *part = &from->partitions[i];
        to->partitions[i] = (struct offset_fetch_response_offset_fetch_response_partition){
            .partition_index = part->partition_index,
            .committed_offset = part->committed_offset,
            .committed_leader_epoch = part->committed_leader_epoch,
            .metadata = part->metadata,
            .error_code = part->error_code,
        };
    }
}

static void fetch_one(struct request *request) {
    const struct offset_fetch_request *message = request->message;
    struct offset_fetch_response_offset_fetch_response_group group;
    struct offset_fetch_response response;
    struct offset_fetch_request_offset_fetch_request_topics *asked = ARENA_ARRAY(
        &request->arena, struct offset_fetch_request_offset_fetch_request_topics, MAX(message->topics_count, 0));
    for (int32_t i = 0; i < message->topics_count; i++) {
        asked[i] = (struct offset_fetch_request_offset_fetch_request_topics){
            .name = message->topics[i].name,
            .partition_indexes = message->topics[i].partition_indexes,
            .partition_indexes_count = message->topics[i].partition_indexes_count,
        };
    }
    offset_fetch_response_init(&response);
    fetch_group(request, message->group_id, asked, message->topics_count, message->require_stable, &group);
    response.error_code = group.error_code;
    if (group.error_code != KAFKA_NONE) {
        if (request->header.api_version < VERSION_WITH_GROUP_ERROR) {
            fill_old(request, group.error_code, &response); /* there is nowhere else to say it */
        }
        request_answer(request, &response);
        return;
    }
    response.topics_count = group.topics_count;
    response.topics =
        ARENA_ARRAY(&request->arena, struct offset_fetch_response_offset_fetch_response_topic, group.topics_count);
    for (int32_t i = 0; i < group.topics_count; i++) {
        copy_topic(request, &group.topics[i], &response.topics[i]);
    }
    request_answer(request, &response);
}

/* ---- Version 0 ---- */

struct legacy_fetch {
    struct request *request;
    struct offset_fetch_response response;
    int32_t left; /* reads under way, and one while they begin */
};

struct legacy_part {
    struct legacy_fetch *fetch;
    struct offset_fetch_response_offset_fetch_response_partition *part;
};

static void end_legacy(struct legacy_fetch *fetch) {
    if (--fetch->left == 0) {
        request_answer(fetch->request, &fetch->response);
    }
}

static void on_legacy_read(void *context, int16_t error_code, int64_t offset) {
    struct legacy_part *legacy = context;
    legacy->part->error_code = error_code;
    legacy->part->committed_offset = offset;
    end_legacy(legacy->fetch);
}

static void fetch_legacy(struct request *request) {
    const struct offset_fetch_request *message = request->message;
    struct legacy_fetch *fetch = ARENA_NEW(&request->arena, struct legacy_fetch);
    fetch->request = request;
    fetch->left = 1;
    offset_fetch_response_init(&fetch->response);
    fill_old(request, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, &fetch->response);
    for (int32_t i = 0; i < fetch->response.topics_count; i++) {
        struct offset_fetch_response_offset_fetch_response_topic *topic = &fetch->response.topics[i];
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            struct offset_fetch_response_offset_fetch_response_partition *part = &topic->partitions[j];
            if (image_partition(request->context->image, topic->name, part->partition_index) == NULL) {
                continue;
            }
            struct legacy_part *legacy = ARENA_NEW(&request->arena, struct legacy_part);
            *legacy = (struct legacy_part){fetch, part};
            fetch->left++;
            legacy_offset_read(request->context->coord, message->group_id, topic->name, part->partition_index,
                               on_legacy_read, legacy);
        }
    }
    end_legacy(fetch);
}

void handle_offset_fetch(struct request *request) {
    if (request->header.api_version < VERSION_IN_LOG) {
        fetch_legacy(request);
    } else if (request->header.api_version < VERSION_WITH_GROUPS) {
        fetch_one(request);
    } else {
        fetch_groups(request);
    }
}
