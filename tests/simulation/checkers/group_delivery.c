/* At least once: a group is given every record, one after the other, and what it has committed is never above what it
 * was given. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "generated/protocol/offset_fetch.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/group_wire.h"

GROUP_DECODER(offset_fetch, response, answer)

static void *create(struct world *world) {
    struct group_checker *checker = xcalloc(1, sizeof *checker);
    group_checker_init(checker, world);
    return checker;
}

static void on_delivered(void *context, int32_t group, const struct topic *topic, int32_t partition, int64_t from,
                         int64_t to) {
    const struct group_checker *checker = context;
    int64_t *delivered = &checker->world->groups->delivered[group][stream_of(topic, partition)];
    if (from > *delivered) {
        violate(checker->world, "at least once",
                "a member of group %d goes on at %" PRId64 " of %s-%d, where everything up to %" PRId64
                " was delivered",
                group, from, topic->name, partition, *delivered);
    }
    *delivered = MAX(*delivered, to);
}

static void on_answer(void *context, const struct served *served) {
    struct group_checker *checker = context;
    const struct world *world = checker->world;
    struct offset_fetch_response response;
    arena_reset(&checker->arena, SIZE_MAX);
    if (served->api_key != API_OFFSET_FETCH || !group_decode_offset_fetch_response(checker, served, &response)) {
        return;
    }
    for (int32_t g = 0; g < response.groups_count; g++) {
        int32_t group = group_number(response.groups[g].group_id);
        for (int32_t i = 0; group >= 0 && i < response.groups[g].topics_count; i++) {
            const struct offset_fetch_response_offset_fetch_response_topics *of = &response.groups[g].topics[i];
            const struct topic *topic = topics_by_name(world->topics, of->name);
            for (int32_t k = 0; topic != NULL && k < of->partitions_count; k++) {
                int64_t committed = of->partitions[k].committed_offset;
                int64_t delivered =
                    world->groups->delivered[group][stream_of(topic, of->partitions[k].partition_index)];
                if (of->partitions[k].error_code == KAFKA_NONE && committed > delivered) {
                    violate(world, "at least once",
                            "broker %d: group %d has committed %" PRId64 " in %s-%d, and %" PRId64 " was delivered",
                            served->machine->id, group, committed, topic->name, of->partitions[k].partition_index,
                            delivered);
                }
            }
        }
    }
}

static void on_end(void *context) {
    const struct group_checker *checker = context;
    const struct world *world = checker->world;
    for (int32_t group = 0; group < world->plan->group_count; group++) {
        for (int32_t slot = 0; slot < world->plan->topic_count; slot++) {
            const struct topic *topic = topics_current(world->topics, slot);
            for (int32_t p = 0; topic != NULL && p < topic->partition_count; p++) {
                int64_t end = exposed_end(world->exposed, stream_of(topic, p));
                if (world->groups->delivered[group][stream_of(topic, p)] != end) {
                    violate(world, "at least once", "in the end group %d was given %" PRId64 " of %" PRId64 " in %s-%d",
                            group, world->groups->delivered[group][stream_of(topic, p)], end, topic->name, p);
                }
            }
        }
    }
}

const struct checker_ops checker_group_delivery = {
    .name = "at least once",
    .sentence = "a group is given every record, and has committed none it was not given",
    .create = create,
    .destroy = group_checker_destroy,
    .on_answer = on_answer,
    .on_delivered = on_delivered,
    .on_end = on_end,
};
