/* Generation fencing: no commit is accepted that was taken up when a newer generation had been formed, nor one of a
 * static member's former self once its successor had joined. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/offset_commit.h"
#include "tests/simulation/checkers/group_wire.h"
#include "tests/simulation/sim_transport.h"

#define ID_BYTES 80
#define NAME_BYTES 32
#define TAKEN_UP_MAX 64 /* commits that may be under way from one node: far more than one process sends in its life */

/* A commit as it was taken up. */
struct taken_up {
    int32_t machine;
    char member[ID_BYTES];
    char name[NAME_BYTES]; /* members name their commits */
    bool is_stale;
};

struct group_fencing {
    struct group_checker checker; /* first */
    struct taken_up taken_up[SIM_NODES_MAX][TAKEN_UP_MAX];
    uint32_t next[SIM_NODES_MAX];
    char successor[SIM_NODES_MAX][ID_BYTES]; /* newest member id of the static member on the node */
    int32_t giver[SIM_NODES_MAX];            /* of that id */
    bool is_certain[SIM_NODES_MAX];          /* the giver was the group's coordinator; a deposed one stores nothing */
};

GROUP_DECODER(join_group, request, request)
GROUP_DECODER(join_group, response, answer)
GROUP_DECODER(offset_commit, request, request)
GROUP_DECODER(offset_commit, response, answer)

static void *create(struct world *world) {
    struct group_fencing *fencing = xcalloc(1, sizeof *fencing);
    group_checker_init(&fencing->checker, world);
    return fencing;
}

static struct str name_of(const struct offset_commit_request *request) {
    return request->topics_count == 0 ? STR_NULL : request->topics[0].partitions[0].committed_metadata;
}

static void on_request(void *context, const struct served *served) {
    struct group_fencing *fencing = context;
    struct offset_commit_request request;
    arena_reset(&fencing->checker.arena, SIZE_MAX);
    if (served->api_key != API_OFFSET_COMMIT ||
        !group_decode_offset_commit_request(&fencing->checker, served, &request) ||
        group_number(request.group_id) < 0 || str_is_null(name_of(&request))) {
        return;
    }
    struct taken_up *taken_up = &fencing->taken_up[served->from][fencing->next[served->from]++ % TAKEN_UP_MAX];
    const char *successor = fencing->successor[served->from];
    int32_t newest = fencing->checker.world->groups->synced_generation[group_number(request.group_id)];
    int32_t group = group_number(request.group_id);
    bool must_know =
        fencing->giver[served->from] == served->machine->id ||
        (fencing->is_certain[served->from] && group_is_coordinator(fencing->checker.world, served->machine, group));
    bool is_former = request.group_instance_id.size > 0 && successor[0] != '\0' && must_know &&
                     !str_equal_text(request.member_id, successor);
    *taken_up = (struct taken_up){.machine = served->machine->id,
                                  .is_stale = is_former || request.generation_id_or_member_epoch < newest};
    snprintf(taken_up->member, sizeof taken_up->member, "%.*s", STR_ARGS(request.member_id));
    snprintf(taken_up->name, sizeof taken_up->name, "%.*s", STR_ARGS(name_of(&request)));
}

static void on_committed(struct group_fencing *fencing, const struct served *served) {
    struct offset_commit_request request;
    struct offset_commit_response response;
    if (!group_decode_offset_commit_request(&fencing->checker, served, &request) ||
        !group_decode_offset_commit_response(&fencing->checker, served, &response) || response.topics_count == 0 ||
        str_is_null(name_of(&request)) || response.topics[0].partitions[0].error_code != KAFKA_NONE) {
        return;
    }
    for (int32_t i = 0; i < TAKEN_UP_MAX; i++) {
        const struct taken_up *taken_up = &fencing->taken_up[served->from][i];
        if (taken_up->is_stale && taken_up->machine == served->machine->id &&
            str_equal_text(request.member_id, taken_up->member) && str_equal_text(name_of(&request), taken_up->name)) {
            violate(fencing->checker.world, "generation fencing",
                    "broker %d accepted a commit of generation %d of %.*s after generation %d was formed",
                    served->machine->id, request.generation_id_or_member_epoch, STR_ARGS(request.member_id),
                    fencing->checker.world->groups->synced_generation[group_number(request.group_id)]);
        }
    }
}

static void on_joined(struct group_fencing *fencing, const struct served *served) {
    struct join_group_request request;
    struct join_group_response response;
    if (group_decode_join_group_request(&fencing->checker, served, &request) &&
        group_decode_join_group_response(&fencing->checker, served, &response) && response.error_code == KAFKA_NONE &&
        request.group_instance_id.size > 0 && group_number(request.group_id) >= 0) {
        fencing->giver[served->from] = served->machine->id;
        fencing->is_certain[served->from] =
            group_is_coordinator(fencing->checker.world, served->machine, group_number(request.group_id));
        snprintf(fencing->successor[served->from], ID_BYTES, "%.*s", STR_ARGS(response.member_id));
    }
}

static void on_answer(void *context, const struct served *served) {
    struct group_fencing *fencing = context;
    arena_reset(&fencing->checker.arena, SIZE_MAX);
    switch (served->api_key) {
    case API_JOIN_GROUP: on_joined(fencing, served); break;
    case API_OFFSET_COMMIT: on_committed(fencing, served); break;
    default: break;
    }
}

const struct checker_ops checker_group_fencing = {
    .name = "generation fencing",
    .sentence = "no commit of an older generation, or of a replaced member, is accepted",
    .create = create,
    .destroy = group_checker_destroy,
    .on_request = on_request,
    .on_answer = on_answer,
};
