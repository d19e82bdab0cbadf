/* L13: acks=all is answered well only when min.insync.replicas hold the record; C4: and the whole registered in-sync
 * set does, so that no deposed leader can acknowledge what its successor lacks. Looked at when the answer leaves. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "broker/protocol/record_batch.h"
#include "generated/protocol/produce.h"
#include "replication/partition_runtime.h"
#include "tests/simulation/checkers/view.h"

/* One replica as it was seen last. */
struct holding {
    uint32_t incarnation;
    int64_t end;
    bool is_uncertain;   /* it ended in good order, or on an error, since: it holds at least that */
    int64_t dropped_end; /* of a log that was here once and went, as when a reassignment takes it away */
};

struct acks {
    struct world *world;
    struct arena arena;
    struct holding holdings[CLUSTER_BROKERS_MAX + 1][STREAMS_MAX];
};

static void *create(struct world *world) {
    struct acks *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    arena_init(&checker->arena, SIZE_MAX);
    return checker;
}

static void destroy(void *context) {
    struct acks *checker = context;
    arena_deinit(&checker->arena);
    free(checker);
}

static void note(struct acks *checker, const struct machine *machine, const struct topic *topic, int32_t partition) {
    struct holding *holding = &checker->holdings[machine->id][stream_of(topic, partition)];
    struct partition_runtime *runtime = view_replica(machine, topic, partition);
    if (runtime != NULL) {
        *holding = (struct holding){machine->incarnation, log_end_offset(runtime->log), false, holding->dropped_end};
    } else if (holding->incarnation == machine->incarnation ||
               (view_is_running(machine) && cluster_has_lost_directory(machine))) {
        holding->is_uncertain = true; /* its log was closed, or fenced, after it was seen, or before it could be */
        holding->dropped_end = MAX(holding->dropped_end, holding->end);
    }
}

static void on_step(void *context) {
    struct acks *checker = context;
    FOR_EACH_STREAM(checker->world, topic, partition) {
        for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
            note(checker, view_machine(checker->world, id), topic, partition);
        }
    }
}

static void on_death(void *context, struct machine *machine) {
    struct acks *checker = context;
    FOR_EACH_STREAM(checker->world, topic, partition) {
        struct holding *holding = &checker->holdings[machine->id][stream_of(topic, partition)];
        note(checker, machine, topic, partition);
        holding->is_uncertain = holding->is_uncertain || machine->is_stopped;
    }
}

static bool holds(struct acks *checker, int32_t id, const struct topic *topic, int32_t partition, int64_t offset) {
    const struct holding *holding = &checker->holdings[id][stream_of(topic, partition)];
    note(checker, view_machine(checker->world, id), topic, partition);
    return holding->end > offset || holding->is_uncertain;
}

static void check(struct acks *checker, const struct served *served, const struct topic *topic, int32_t partition,
                  int64_t offset) {
    const struct world *world = checker->world;
    const struct topic_state *state = &topic->states[partition];
    int32_t holders = 0;
    /* What is enough follows from the assignment the leader has heard of. */
    struct partition_runtime *runtime = view_replica(served->machine, topic, partition);
    bool is_behind = runtime != NULL && runtime->core.leader_epoch < state->leader_epoch;
    int32_t replicas = is_behind ? topic->least_counts[partition]
                                 : MIN(topic->replica_counts[partition], topic->former_counts[partition]);
    if (runtime != NULL && runtime->core.replicas.count < replicas) {
        replicas = MIN(replicas, MAX(runtime->core.replicas.count, topic->target_counts[partition]));
    }
    int32_t min = plan_effective_min(world->plan, replicas);
    for (int32_t id = 1; id <= world->cluster->count; id++) {
        /* Of what was taken away since, such a leader may count what was fetched from it before. */
        holders += holds(checker, id, topic, partition, offset) ||
                   (is_behind && checker->holdings[id][stream_of(topic, partition)].dropped_end > offset);
    }
    if (holders < min) {
        violate(world, "L13", "broker %d acknowledged offset %" PRId64 " of %s-%d with %d replicas of %d",
                served->machine->id, offset, topic->name, partition, holders, min);
    }
    for (int32_t i = 0; state->is_known && i < state->isr_count; i++) {
        const struct machine *member = view_machine(world, state->isr[i]);
        if (member != NULL && !member->is_lossy && !holds(checker, state->isr[i], topic, partition, offset)) {
            violate(world, "C4",
                    "broker %d acknowledged offset %" PRId64 " of %s-%d, but %d of the registered in-sync set (leader "
                    "%d, epoch %d) does not have it",
                    served->machine->id, offset, topic->name, partition, state->isr[i], state->leader,
                    state->leader_epoch);
        }
    }
}

static void check_partition(struct acks *checker, const struct served *served, struct str name,
                            const struct produce_request_partition_produce_data *data,
                            const struct produce_response_partition_produce_response *answer) {
    struct topic *topic = topics_by_name(checker->world->topics, name);
    struct record_batch batch;
    struct marks *marks = checker->world->marks;
    marks->counts[MARK_NOT_ENOUGH_REPLICAS] +=
        answer->error_code == KAFKA_NOT_ENOUGH_REPLICAS || answer->error_code == KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    if (answer->error_code == KAFKA_NONE && topic != NULL && topic_is_settled(topic) && answer->base_offset >= 0 &&
        record_batch_decode(data->records.data, (size_t)data->records.size, &batch) == 0) {
        check(checker, served, topic, data->index, answer->base_offset + batch.last_offset - batch.base_offset);
    }
}

static void on_answer(void *context, const struct served *served) {
    struct acks *checker = context;
    struct produce_request request;
    struct produce_response response;
    if (served->api_key != API_PRODUCE) {
        return;
    }
    struct reader r = reader_of(served->request.data, (size_t)served->request.size);
    struct reader a = reader_of(served->answer.data, (size_t)served->answer.size);
    arena_reset(&checker->arena, SIZE_MAX);
    if (produce_request_decode(&r, served->api_version, &checker->arena, &request) != 0 || request.acks != -1 ||
        produce_response_decode(&a, served->api_version, &checker->arena, &response) != 0) {
        return;
    }
    for (int32_t i = 0; i < response.responses_count; i++) {
        for (int32_t k = 0; k < response.responses[i].partition_responses_count; k++) {
            check_partition(checker, served, response.responses[i].name, &request.topic_data[i].partition_data[k],
                            &response.responses[i].partition_responses[k]);
        }
    }
}

const struct checker_ops checker_acks = {
    .name = "L13/C4",
    .sentence = "acks=all is answered only for what min.insync.replicas and the registered in-sync set hold",
    .create = create,
    .destroy = destroy,
    .on_step = on_step,
    .on_death = on_death,
    .on_answer = on_answer,
};
