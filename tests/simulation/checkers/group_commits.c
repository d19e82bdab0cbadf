/* Commit regress: an offset that a group was told to be committed, by the answer to its commit or by OffsetFetch, is
 * never answered lower by whoever coordinates it later. Members only ever go on from what they were told. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/offset_fetch.h"
#include "tests/simulation/checkers/group_wire.h"
#include "tests/simulation/sim_transport.h"

/* What was known when a question was taken up: a later commit need not be in its answer. While one of the node's is
 * unanswered a later one does not replace it, since nobody knows which of them an answer is for. */
struct asked {
    bool is_known;
    int32_t machine;
    int64_t floors[STREAMS_MAX];
};

struct group_commits {
    struct group_checker checker; /* first */
    int64_t told[PLAN_GROUPS_MAX][STREAMS_MAX];
    struct asked asked[SIM_NODES_MAX];
};

GROUP_DECODER(offset_commit, request, request)
GROUP_DECODER(offset_commit, response, answer)
GROUP_DECODER(offset_fetch, request, request)
GROUP_DECODER(offset_fetch, response, answer)

static void *create(struct world *world) {
    struct group_commits *commits = xcalloc(1, sizeof *commits);
    group_checker_init(&commits->checker, world);
    return commits;
}

static void on_request(void *context, const struct served *served) {
    struct group_commits *commits = context;
    struct offset_fetch_request request;
    arena_reset(&commits->checker.arena, SIZE_MAX);
    if (served->api_key != API_OFFSET_FETCH ||
        !group_decode_offset_fetch_request(&commits->checker, served, &request) || request.groups_count != 1) {
        return;
    }
    int32_t group = group_number(request.groups[0].group_id);
    struct asked *asked = &commits->asked[served->from];
    if (asked->is_known && asked->machine == served->machine->id) {
        return;
    }
    asked->is_known = group >= 0 && group_is_coordinator(commits->checker.world, served->machine, group);
    asked->machine = served->machine->id;
    if (group >= 0) {
        memcpy(asked->floors, commits->told[group], sizeof asked->floors);
    }
}

static void on_fetched(struct group_commits *commits, const struct served *served) {
    const struct world *world = commits->checker.world;
    struct offset_fetch_response response;
    struct asked *asked = &commits->asked[served->from];
    if (!group_decode_offset_fetch_response(&commits->checker, served, &response) || response.groups_count != 1 ||
        response.groups[0].error_code != KAFKA_NONE || !asked->is_known || asked->machine != served->machine->id) {
        return;
    }
    int32_t group = group_number(response.groups[0].group_id);
    asked->is_known = false;
    if (!group_is_coordinator(world, served->machine, group)) {
        return;
    }
    for (int32_t i = 0; i < response.groups[0].topics_count; i++) {
        const struct offset_fetch_response_offset_fetch_response_topics *of = &response.groups[0].topics[i];
        const struct topic *topic = topics_by_name(world->topics, of->name);
        for (int32_t k = 0; topic != NULL && k < of->partitions_count; k++) {
            const struct offset_fetch_response_offset_fetch_response_partitions *part = &of->partitions[k];
            int32_t stream = stream_of(topic, part->partition_index);
            if (part->error_code != KAFKA_NONE) {
                continue;
            }
            if (MAX(part->committed_offset, 0) < asked->floors[stream]) { /* -1 where nothing is */
                violate(world, "commit regress",
                        "broker %d: group %d has committed %" PRId64 " in %s-%d, and was told %" PRId64 " before",
                        served->machine->id, group, part->committed_offset, topic->name, part->partition_index,
                        asked->floors[stream]);
            }
            commits->told[group][stream] = MAX(commits->told[group][stream], part->committed_offset);
        }
    }
}

static void on_committed(struct group_commits *commits, const struct served *served) {
    struct offset_commit_request request;
    struct offset_commit_response response;
    if (!group_decode_offset_commit_request(&commits->checker, served, &request) ||
        !group_decode_offset_commit_response(&commits->checker, served, &response) ||
        group_number(request.group_id) < 0 || request.topics_count != response.topics_count) {
        return;
    }
    int64_t *told = commits->told[group_number(request.group_id)];
    for (int32_t i = 0; i < request.topics_count; i++) {
        const struct topic *topic = topics_by_name(commits->checker.world->topics, request.topics[i].name);
        const struct offset_commit_request_offset_commit_request_partition *part = &request.topics[i].partitions[0];
        if (topic != NULL && response.topics[i].partitions[0].error_code == KAFKA_NONE) {
            int32_t stream = stream_of(topic, part->partition_index);
            told[stream] = MAX(told[stream], part->committed_offset);
        }
    }
}

static void on_answer(void *context, const struct served *served) {
    struct group_commits *commits = context;
    arena_reset(&commits->checker.arena, SIZE_MAX);
    switch (served->api_key) {
    case API_OFFSET_FETCH: on_fetched(commits, served); break;
    case API_OFFSET_COMMIT: on_committed(commits, served); break;
    default: break;
    }
}

const struct checker_ops checker_group_commits = {
    .name = "commit regress",
    .sentence = "a committed offset is never lost and never goes back",
    .create = create,
    .destroy = group_checker_destroy,
    .on_request = on_request,
    .on_answer = on_answer,
};
