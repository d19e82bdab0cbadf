/* One owner: in one generation of a group a partition is assigned to one member. A static member that comes back takes
 * its former self's place under another member id; it is known by its instance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "generated/protocol/sync_group.h"
#include "tests/simulation/checkers/group_wire.h"

#define OWNER_BYTES 80

struct owner {
    int32_t generation;
    char who[OWNER_BYTES];
};

struct group_owners {
    struct group_checker checker; /* first */
    struct owner owners[PLAN_GROUPS_MAX][STREAMS_MAX];
};

GROUP_DECODER(sync_group, request, request)
GROUP_DECODER(sync_group, response, answer)

static void *create(struct world *world) {
    struct group_owners *owners = xcalloc(1, sizeof *owners);
    group_checker_init(&owners->checker, world);
    return owners;
}

static void own(struct group_owners *owners, const struct served *served, const struct sync_group_request *request,
                const struct topic *topic, int32_t partition) {
    int32_t group = group_number(request->group_id);
    struct str who = str_is_null(request->group_instance_id) ? request->member_id : request->group_instance_id;
    struct owner *owner = &owners->owners[group][stream_of(topic, partition)];
    if (owner->generation == request->generation_id && !str_equal_text(who, owner->who)) {
        violate(owners->checker.world, "one owner",
                "broker %d assigns %s-%d in generation %d of group %d to %.*s, and before to %s", served->machine->id,
                topic->name, partition, request->generation_id, group, STR_ARGS(who), owner->who);
    }
    if (owner->generation <= request->generation_id) {
        owner->generation = request->generation_id;
        snprintf(owner->who, sizeof owner->who, "%.*s", STR_ARGS(who));
    }
}

static void on_answer(void *context, const struct served *served) {
    struct group_owners *owners = context;
    struct sync_group_request request;
    struct sync_group_response response;
    arena_reset(&owners->checker.arena, SIZE_MAX);
    if (served->api_key != API_SYNC_GROUP || !group_decode_sync_group_request(&owners->checker, served, &request) ||
        !group_decode_sync_group_response(&owners->checker, served, &response) || response.error_code != KAFKA_NONE) {
        return;
    }
    struct reader r = reader_of(response.assignment.data, (size_t)MAX(response.assignment.size, 0));
    reader_i16(&r);
    for (int32_t topics = reader_i32(&r); topics > 0 && !r.failed; topics--) {
        int16_t size = reader_i16(&r);
        const char *name = (const char *)reader_take(&r, (size_t)MAX(size, 0));
        const struct topic *topic = topics_by_name(owners->checker.world->topics, (struct str){name, size});
        for (int32_t count = reader_i32(&r); count > 0 && !r.failed; count--) {
            int32_t partition = reader_i32(&r);
            if (topic != NULL && partition >= 0 && partition < PARTITIONS_MAX) {
                own(owners, served, &request, topic, partition);
            }
        }
    }
}

const struct checker_ops checker_group_owners = {
    .name = "one owner",
    .sentence = "in one generation a partition belongs to one member",
    .create = create,
    .destroy = group_checker_destroy,
    .on_answer = on_answer,
};
