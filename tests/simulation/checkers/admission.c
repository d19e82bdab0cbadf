/* L9: a replica enters the registered in-sync set only if, in this uninterrupted leadership, it told its leader by a
 * fetch that it has everything this leader began with and everything exposed, and that fetch came from the life of the
 * broker that is registered now. The one thing nobody can know is a restart the controller has not heard of: a newer
 * registration counts from the first command that carried its epoch to the broker. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/update_metadata.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/checkers/view.h"

/* The furthest fetch of one follower under one leader epoch, as it came: it may wait at a broker that does not yet know
 * that it leads, and count when it does. */
struct fetched {
    bool is_known;
    int32_t leader_epoch;
    int64_t offset;
    int64_t replica_epoch;
};

struct admission {
    struct world *world;
    struct arena arena;
    struct fetched fetched[CLUSTER_BROKERS_MAX + 1][CLUSTER_BROKERS_MAX + 1][STREAMS_MAX]; /* by leader, follower */
    int64_t told_epoch[CLUSTER_BROKERS_MAX + 1]; /* highest broker epoch a command of a controller carried to it */
    /* The sets before the transaction that is looked at. */
    struct topic_state before[STREAMS_MAX];
};

static void *create(struct world *world) {
    struct admission *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    arena_init(&checker->arena, SIZE_MAX);
    return checker;
}

static void destroy(void *context) {
    struct admission *checker = context;
    arena_deinit(&checker->arena);
    free(checker);
}

static void on_fetch(struct admission *checker, const struct served *served) {
    struct fetch_request request;
    struct reader r = reader_of(served->request.data, (size_t)served->request.size);
    arena_reset(&checker->arena, SIZE_MAX);
    if (fetch_request_decode(&r, served->api_version, &checker->arena, &request) != 0) {
        return;
    }
    int32_t replica = served->api_version >= 15 ? request.replica_state.replica_id : request.replica_id;
    /* A session goes on when its broker registers again without a restart: the new epoch is that of all it holds. */
    for (int32_t i = 0; replica >= 0 && request.session_epoch > 0 && i < STREAMS_MAX; i++) {
        struct fetched *fetched = &checker->fetched[served->machine->id][replica][i];
        if (fetched->is_known) {
            fetched->replica_epoch = MAX(fetched->replica_epoch, request.replica_state.replica_epoch);
        }
    }
    for (int32_t i = 0; replica >= 0 && i < request.topics_count; i++) {
        struct topic *topic = served->api_version >= 13
                                  ? topics_by_id(checker->world->topics, request.topics[i].topic_id)
                                  : topics_by_name(checker->world->topics, request.topics[i].topic);
        for (int32_t k = 0; topic != NULL && k < request.topics[i].partitions_count; k++) {
            const struct fetch_request_fetch_partition *data = &request.topics[i].partitions[k];
            struct fetched *fetched =
                &checker->fetched[served->machine->id][replica][stream_of(topic, data->partition)];
            trace_debug("checker", "broker %d (epoch %" PRId64 ") fetches %s-%d at %" PRId64 " from %d under epoch %d",
                        replica, request.replica_state.replica_epoch, topic->name, data->partition, data->fetch_offset,
                        served->machine->id, data->current_leader_epoch);
            int64_t replica_epoch = request.replica_state.replica_epoch;
            bool is_older =
                fetched->is_known &&
                (replica_epoch < fetched->replica_epoch ||
                 (replica_epoch == fetched->replica_epoch && data->current_leader_epoch < fetched->leader_epoch));
            bool is_same = fetched->is_known && replica_epoch == fetched->replica_epoch &&
                           data->current_leader_epoch == fetched->leader_epoch;
            if (is_older || (is_same && data->fetch_offset <= fetched->offset)) {
                continue;
            }
            *fetched = (struct fetched){.is_known = true,
                                        .leader_epoch = data->current_leader_epoch,
                                        .offset = data->fetch_offset,
                                        .replica_epoch = request.replica_state.replica_epoch};
        }
    }
}

static void on_request(void *context, const struct served *served) {
    struct admission *checker = context;
    struct update_metadata_request request;
    if (served->api_key == API_FETCH && served->from <= CLUSTER_BROKERS_MAX) {
        on_fetch(checker, served);
    } else if (served->api_key == API_UPDATE_METADATA) {
        struct reader r = reader_of(served->request.data, (size_t)served->request.size);
        arena_reset(&checker->arena, SIZE_MAX);
        if (update_metadata_request_decode(&r, served->api_version, &checker->arena, &request) == 0) {
            int64_t *told = &checker->told_epoch[served->machine->id];
            *told = MAX(*told, request.broker_epoch);
        }
    }
}

static int64_t registered_epoch(const struct admission *checker, int32_t id) {
    char path[64];
    struct slice data;
    struct coord_stat stat;
    snprintf(path, sizeof path, ZNODE_BROKER_IDS "/%d", id);
    return sim_coord_server_get(checker->world->cluster->coord, path, &data, &stat) ? stat.czxid : -1;
}

static void check_newcomer(struct admission *checker, const struct topic *topic, int32_t partition, int32_t id) {
    const struct world *world = checker->world;
    const struct topic_state *state = &topic->states[partition];
    const struct fetched *fetched = &checker->fetched[MAX(state->leader, 0)][id][stream_of(topic, partition)];
    int64_t exposed = exposed_end(world->exposed, stream_of(topic, partition));
    int64_t registered = registered_epoch(checker, id);
    /* A leader that goes on in a new epoch keeps what it was told: the follower's log is still a prefix of its own. */
    const struct partition_runtime *leader = view_replica(view_machine(world, state->leader), topic, partition);
    bool is_known = leader != NULL && leader->core.leader_epoch == state->leader_epoch;
    int32_t since_epoch = is_known ? leader->core.leading_since_epoch : 0; /* it died since it asked */
    int64_t epoch_start = is_known ? leader->core.leader_epoch_start : 0;
    if (!fetched->is_known || fetched->leader_epoch < since_epoch) {
        violate(world, "L9", "broker %d joins the in-sync set of %s-%d without a fetch from leader %d in epoch %d", id,
                topic->name, partition, state->leader, state->leader_epoch);
    } else if (fetched->offset < epoch_start || fetched->offset < exposed) {
        violate(world, "L9",
                "broker %d joins the in-sync set of %s-%d (leader %d epoch %d) with %" PRId64 ", the epoch began at "
                "%" PRId64 ", exposed are %" PRId64,
                id, topic->name, partition, state->leader, state->leader_epoch, fetched->offset, epoch_start, exposed);
    } else if (fetched->replica_epoch >= 0 && registered > fetched->replica_epoch &&
               checker->told_epoch[id] > fetched->replica_epoch) {
        violate(world, "L9",
                "broker %d joins the in-sync set of %s-%d by a fetch of broker epoch %" PRId64 ", it is registered "
                "with %" PRId64,
                id, topic->name, partition, fetched->replica_epoch, registered);
    }
}

/* Comes after topics_observe: the new sets are known. */
static void on_transaction(void *context, const struct sim_transaction *transaction) {
    struct admission *checker = context;
    bool is_state = false;
    for (int32_t i = 0; i < transaction->count; i++) {
        is_state = is_state || strstr(transaction->ops[i].path, "/state") != NULL;
    }
    if (!is_state) {
        return;
    }
    FOR_EACH_STREAM(checker->world, topic, partition) {
        const struct topic_state *state = &topic->states[partition];
        struct topic_state *before = &checker->before[stream_of(topic, partition)];
        if (state->is_known == before->is_known && state->version == before->version) {
            continue;
        }
        for (int32_t i = 0; before->is_known && !topic->is_deleting && i < state->isr_count; i++) {
            bool was_in = false;
            for (int32_t k = 0; k < before->isr_count; k++) {
                was_in = was_in || before->isr[k] == state->isr[i];
            }
            if (!was_in && state->isr[i] != state->leader) {
                check_newcomer(checker, topic, partition, state->isr[i]);
            }
        }
        *before = *state;
    }
}

const struct checker_ops checker_admission = {
    .name = "L9",
    .sentence = "a replica enters the in-sync set by a fetch of its present life that reached the leader",
    .create = create,
    .destroy = destroy,
    .on_request = on_request,
    .on_transaction = on_transaction,
};
