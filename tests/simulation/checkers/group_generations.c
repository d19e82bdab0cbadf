/* Generations of a group only grow: once a member was given its assignment in one, the group is never again in an older
 * one, whoever coordinates it. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/group/group_runtime_internal.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/sync_group.h"
#include "tests/simulation/checkers/group_wire.h"

GROUP_DECODER(join_group, request, request)
GROUP_DECODER(join_group, response, answer)
GROUP_DECODER(sync_group, request, request)
GROUP_DECODER(sync_group, response, answer)
GROUP_DECODER(heartbeat, request, request)
GROUP_DECODER(heartbeat, response, answer)

static void *create(struct world *world) {
    struct group_checker *checker = xcalloc(1, sizeof *checker);
    group_checker_init(checker, world);
    return checker;
}

static void check(const struct group_checker *checker, const struct served *served, struct str id, int32_t generation) {
    int32_t group = group_number(id);
    if (group < 0 || !group_is_coordinator(checker->world, served->machine, group)) {
        return;
    }
    if (generation < checker->world->groups->synced_generation[group]) {
        violate(checker->world, "generation", "broker %d answers a %s of group %d in generation %d after %d was formed",
                served->machine->id, api_name(served->api_key), group, generation,
                checker->world->groups->synced_generation[group]);
    }
}

static void on_joined(struct group_checker *checker, const struct served *served) {
    struct join_group_request request;
    struct join_group_response response;
    if (group_decode_join_group_request(checker, served, &request) &&
        group_decode_join_group_response(checker, served, &response) && response.error_code == KAFKA_NONE) {
        check(checker, served, request.group_id, response.generation_id);
    }
}

static void on_synced(struct group_checker *checker, const struct served *served) {
    struct sync_group_request request;
    struct sync_group_response response;
    if (group_decode_sync_group_request(checker, served, &request) &&
        group_decode_sync_group_response(checker, served, &response) && response.error_code == KAFKA_NONE) {
        check(checker, served, request.group_id, request.generation_id);
        int32_t group = group_number(request.group_id);
        int32_t *newest = &checker->world->groups->synced_generation[group];
        *newest = MAX(*newest, request.generation_id);
    }
}

/* While a coordinator loads it answers every heartbeat well, as Kafka's does: it does not know the group yet. */
static bool is_answered_blindly(const struct served *served, struct str id) {
    struct broker *broker = served->machine->broker;
    struct group_shard *shard;
    return broker != NULL && broker->groups != NULL &&
           group_runtime_shard(broker->groups, id, &shard) == KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
}

static void on_beaten(struct group_checker *checker, const struct served *served) {
    struct heartbeat_request request;
    struct heartbeat_response response;
    if (group_decode_heartbeat_request(checker, served, &request) &&
        group_decode_heartbeat_response(checker, served, &response) && response.error_code == KAFKA_NONE &&
        !is_answered_blindly(served, request.group_id)) {
        check(checker, served, request.group_id, request.generation_id);
    }
}

static void on_answer(void *context, const struct served *served) {
    struct group_checker *checker = context;
    arena_reset(&checker->arena, SIZE_MAX);
    switch (served->api_key) {
    case API_JOIN_GROUP: on_joined(checker, served); break;
    case API_SYNC_GROUP: on_synced(checker, served); break;
    case API_HEARTBEAT: on_beaten(checker, served); break;
    default: break;
    }
}

const struct checker_ops checker_group_generations = {
    .name = "generation",
    .sentence = "a group is never again in an older generation than one that was formed",
    .create = create,
    .destroy = group_checker_destroy,
    .on_answer = on_answer,
};
