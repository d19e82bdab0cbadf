/* C2: a broker acts on no command of a controller that was deposed, nor on one that was meant for a former life of its
 * own. Every LeaderAndIsr, UpdateMetadata and StopReplica is read off the wire together with its answer. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/leader_and_isr.h"
#include "generated/protocol/stop_replica.h"
#include "generated/protocol/update_metadata.h"
#include "tests/simulation/checkers/view.h"

struct obeyed {
    uint32_t incarnation;
    int32_t controller_epoch; /* highest obeyed in this life */
};

struct commands {
    struct world *world;
    struct arena arena;
    struct obeyed obeyed[CLUSTER_BROKERS_MAX + 1];
    /* Of the command that is looked at. */
    int64_t broker_epoch;
    int32_t controller_epoch;
    int64_t own_epoch;
};

static void *create(struct world *world) {
    struct commands *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    arena_init(&checker->arena, SIZE_MAX);
    return checker;
}

static void destroy(void *context) {
    struct commands *checker = context;
    arena_deinit(&checker->arena);
    free(checker);
}

/* False for other requests. */
static bool read_command(struct commands *checker, const struct served *served) {
    struct reader r = reader_of(served->request.data, (size_t)served->request.size);
    arena_reset(&checker->arena, SIZE_MAX);
    if (served->api_key == API_LEADER_AND_ISR) {
        struct leader_and_isr_request request;
        CHECK(leader_and_isr_request_decode(&r, served->api_version, &checker->arena, &request) == 0);
        checker->broker_epoch = request.broker_epoch;
        checker->controller_epoch = request.controller_epoch;
    } else if (served->api_key == API_UPDATE_METADATA) {
        struct update_metadata_request request;
        CHECK(update_metadata_request_decode(&r, served->api_version, &checker->arena, &request) == 0);
        checker->broker_epoch = request.broker_epoch;
        checker->controller_epoch = request.controller_epoch;
    } else if (served->api_key == API_STOP_REPLICA) {
        struct stop_replica_request request;
        CHECK(stop_replica_request_decode(&r, served->api_version, &checker->arena, &request) == 0);
        checker->broker_epoch = request.broker_epoch;
        checker->controller_epoch = request.controller_epoch;
    } else {
        return false;
    }
    /* A command is obeyed in the event that answers it. */
    checker->own_epoch = served->machine->broker->epoch;
    return true;
}

static int16_t answer_code(struct commands *checker, const struct served *served) {
    struct reader r = reader_of(served->answer.data, (size_t)served->answer.size);
    arena_reset(&checker->arena, SIZE_MAX);
    if (served->api_key == API_LEADER_AND_ISR) {
        struct leader_and_isr_response response;
        CHECK(leader_and_isr_response_decode(&r, served->api_version, &checker->arena, &response) == 0);
        return response.error_code;
    }
    if (served->api_key == API_UPDATE_METADATA) {
        struct update_metadata_response response;
        CHECK(update_metadata_response_decode(&r, served->api_version, &checker->arena, &response) == 0);
        return response.error_code;
    }
    struct stop_replica_response response;
    CHECK(stop_replica_response_decode(&r, served->api_version, &checker->arena, &response) == 0);
    return response.error_code;
}

static void on_answer(void *context, const struct served *served) {
    struct commands *checker = context;
    struct obeyed *obeyed = &checker->obeyed[served->machine->id];
    if (!read_command(checker, served)) {
        return;
    }
    int16_t code = answer_code(checker, served);
    if (obeyed->incarnation != served->machine->incarnation) {
        *obeyed = (struct obeyed){served->machine->incarnation, -1};
    }
    bool is_obeyed = code == KAFKA_NONE;
    checker->world->marks->counts[MARK_STALE_BROKER_EPOCH] += code == KAFKA_STALE_BROKER_EPOCH;
    checker->world->marks->counts[MARK_STALE_CONTROLLER] += code == KAFKA_STALE_CONTROLLER_EPOCH;
    if (is_obeyed && checker->broker_epoch != -1 && checker->broker_epoch < checker->own_epoch) {
        violate(checker->world, "C2",
                "broker %d with broker epoch %" PRId64 " obeyed a %s from %d for its former life with %" PRId64,
                served->machine->id, checker->own_epoch, api_name(served->api_key), served->from,
                checker->broker_epoch);
    }
    if (is_obeyed && checker->controller_epoch < obeyed->controller_epoch) {
        violate(checker->world, "C2", "broker %d obeyed a %s of controller epoch %d after one of epoch %d",
                served->machine->id, api_name(served->api_key), checker->controller_epoch, obeyed->controller_epoch);
    }
    if (is_obeyed) {
        obeyed->controller_epoch = MAX(obeyed->controller_epoch, checker->controller_epoch);
    }
}

const struct checker_ops checker_commands = {
    .name = "C2",
    .sentence = "a broker acts on no command with a lower controller epoch or for a former life",
    .create = create,
    .destroy = destroy,
    .on_answer = on_answer,
};
