/* C6: a topic that was deleted and made again under its name never serves records of the one before: whatever a
 * consumer is given from a topic (by id) came to its broker after that topic had come into being. Producers go by
 * names, so that what was sent to the one before may well end in its successor. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "generated/protocol/produce.h"
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/workload_batch.h"

struct recreation {
    struct world *world;
    struct arena arena;
};

static void *create(struct world *world) {
    struct recreation *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    arena_init(&checker->arena, SIZE_MAX);
    return checker;
}

static void destroy(void *context) {
    struct recreation *checker = context;
    arena_deinit(&checker->arena);
    free(checker);
}

static void on_batch(void *context, const struct record_batch *batch) {
    (void)context;
    (void)batch;
}

static void on_arrived(void *context, int64_t position, int64_t offset, struct value value) {
    const struct world *world = context;
    struct value_fate *fate = values_fate(world->values, value);
    (void)position;
    (void)offset;
    if (fate != NULL) {
        fate->arrived_ms = sim_now_ms(world->cluster->sim);
    }
}

static void on_request(void *context, const struct served *served) {
    struct recreation *checker = context;
    struct produce_request request;
    struct reader r = reader_of(served->request.data, (size_t)served->request.size);
    if (served->api_key != API_PRODUCE) {
        return;
    }
    arena_reset(&checker->arena, SIZE_MAX);
    CHECK(produce_request_decode(&r, served->api_version, &checker->arena, &request) == 0);
    for (int32_t i = 0; i < request.topic_data_count; i++) {
        for (int32_t k = 0; k < request.topic_data[i].partition_data_count; k++) {
            int64_t position = 0;
            CHECK(workload_batch_read(request.topic_data[i].partition_data[k].records, &position, on_batch, on_arrived,
                                      checker->world));
        }
    }
}

static void on_consumed(void *context, const struct consumed *consumed) {
    struct recreation *checker = context;
    const struct world *world = checker->world;
    const struct value_fate *fate = values_fate(world->values, consumed->value);
    if (fate == NULL || fate->sent_ms == 0) {
        violate(world, "C6", "%s-%d offset %" PRId64 " holds a record that nobody sent", consumed->topic->name,
                consumed->partition, consumed->offset);
        return;
    }
    if (consumed->value.topic >= topics_count(world->topics) ||
        topics_at(world->topics, consumed->value.topic)->slot != consumed->topic->slot ||
        consumed->value.partition != consumed->partition) {
        violate(world, "C6", "%s-%d offset %" PRId64 " holds a record for another partition", consumed->topic->name,
                consumed->partition, consumed->offset);
    }
    if (fate->arrived_ms < consumed->topic->created_ms) {
        violate(world, "C6",
                "%s-%d, made at %" PRId64 " ms, serves at %" PRId64 " a record that came at %" PRId64 " ms",
                consumed->topic->name, consumed->partition, consumed->topic->created_ms, consumed->offset,
                fate->arrived_ms);
    }
}

const struct checker_ops checker_recreation = {
    .name = "C6",
    .sentence = "a topic made again under its name serves no record of the one before",
    .create = create,
    .destroy = destroy,
    .on_request = on_request,
    .on_consumed = on_consumed,
};
