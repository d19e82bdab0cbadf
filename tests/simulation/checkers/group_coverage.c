/* Not a checker of the brokers but of the seeds: the corners of groups they visited (marks.h). */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/group/group_runtime_internal.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/sync_group.h"
#include "tests/simulation/checkers/group_wire.h"

struct group_coverage {
    struct group_checker checker; /* first */
    int32_t coordinators[PLAN_GROUPS_MAX];
    int32_t generations[PLAN_GROUPS_MAX];
};

GROUP_DECODER(heartbeat, response, answer)
GROUP_DECODER(join_group, request, request)
GROUP_DECODER(join_group, response, answer)
GROUP_DECODER(offset_commit, response, answer)
GROUP_DECODER(sync_group, request, request)
GROUP_DECODER(sync_group, response, answer)

static void *create(struct world *world) {
    struct group_coverage *coverage = xcalloc(1, sizeof *coverage);
    group_checker_init(&coverage->checker, world);
    return coverage;
}

static void mark(struct group_coverage *coverage, enum mark mark, bool is_so) {
    coverage->checker.world->marks->counts[mark] += is_so;
}

static void on_joined(struct group_coverage *coverage, const struct served *served) {
    struct join_group_request request;
    struct join_group_response response;
    if (!group_decode_join_group_request(&coverage->checker, served, &request) ||
        !group_decode_join_group_response(&coverage->checker, served, &response)) {
        return;
    }
    int32_t group = group_number(request.group_id);
    mark(coverage, MARK_GROUP_LOADING, response.error_code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    mark(coverage, MARK_GROUP_STATIC_BACK,
         response.error_code == KAFKA_NONE && request.group_instance_id.size > 0 && request.member_id.size == 0 &&
             response.generation_id == coverage->generations[group]);
}

static void on_synced(struct group_coverage *coverage, const struct served *served) {
    struct sync_group_request request;
    struct sync_group_response response;
    if (!group_decode_sync_group_request(&coverage->checker, served, &request) ||
        !group_decode_sync_group_response(&coverage->checker, served, &response) || response.error_code != KAFKA_NONE) {
        return;
    }
    int32_t group = group_number(request.group_id);
    mark(coverage, MARK_GROUP_FORMED, request.generation_id > coverage->generations[group]);
    mark(coverage, MARK_GROUP_MOVED,
         coverage->coordinators[group] != 0 && coverage->coordinators[group] != served->machine->id);
    coverage->generations[group] = MAX(coverage->generations[group], request.generation_id);
    coverage->coordinators[group] = served->machine->id;
}

static void on_committed(struct group_coverage *coverage, const struct served *served) {
    struct offset_commit_response response;
    if (group_decode_offset_commit_response(&coverage->checker, served, &response) && response.topics_count > 0) {
        int16_t code = response.topics[0].partitions[0].error_code;
        mark(coverage, MARK_GROUP_COMMIT_FENCED,
             code == KAFKA_ILLEGAL_GENERATION || code == KAFKA_UNKNOWN_MEMBER_ID || code == KAFKA_FENCED_INSTANCE_ID);
    }
}

static void on_beaten(struct group_coverage *coverage, const struct served *served) {
    struct heartbeat_response response;
    if (group_decode_heartbeat_response(&coverage->checker, served, &response)) {
        mark(coverage, MARK_GROUP_MEMBER_UNKNOWN, response.error_code == KAFKA_UNKNOWN_MEMBER_ID);
        mark(coverage, MARK_GROUP_LOADING, response.error_code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    }
}

static void on_answer(void *context, const struct served *served) {
    struct group_coverage *coverage = context;
    arena_reset(&coverage->checker.arena, SIZE_MAX);
    switch (served->api_key) {
    case API_JOIN_GROUP: on_joined(coverage, served); break;
    case API_SYNC_GROUP: on_synced(coverage, served); break;
    case API_OFFSET_COMMIT: on_committed(coverage, served); break;
    case API_HEARTBEAT: on_beaten(coverage, served); break;
    default: break;
    }
}

static void on_death(void *context, struct machine *machine) {
    struct group_coverage *coverage = context;
    if (machine->broker == NULL || machine->broker->groups == NULL) {
        return;
    }
    for (const struct group_shard *shard = machine->broker->groups->shards; shard != NULL; shard = shard->hh.next) {
        mark(coverage, MARK_GROUP_DIED_STORING, shard->writes != NULL);
        for (const struct group_entry *entry = shard->entries; entry != NULL; entry = entry->hh.next) {
            mark(coverage, MARK_GROUP_DIED_REBALANCING,
                 entry->group.state == GROUP_PREPARING_REBALANCE || entry->group.state == GROUP_COMPLETING_REBALANCE);
        }
    }
}

const struct checker_ops checker_group_coverage = {
    .name = "group coverage",
    .sentence = "the seeds visit the corners of groups they are there for",
    .create = create,
    .destroy = group_checker_destroy,
    .on_answer = on_answer,
    .on_death = on_death,
};
