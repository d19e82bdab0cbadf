/* Not a checker of the brokers but of the seeds: counts the corners they visited (marks.h). */
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "coordinator-client/znode_path.h"
#include "generated/protocol/alter_partition.h"
#include "generated/protocol/fetch.h"
#include "tests/simulation/checkers/view.h"

struct coverage {
    struct world *world;
    struct arena arena;
    struct topic_state before[STREAMS_MAX];
    int8_t led[STREAMS_MAX][CLUSTER_BROKERS_MAX + 1];
    int32_t partition_counts[TOPICS_MAX];
    int32_t topic_count;
    bool had_lost[CLUSTER_BROKERS_MAX + 1];
    bool was_moving[STREAMS_MAX];
};

static void *create(struct world *world) {
    struct coverage *checker = xcalloc(1, sizeof *checker);
    checker->world = world;
    arena_init(&checker->arena, SIZE_MAX);
    return checker;
}

static void destroy(void *context) {
    struct coverage *checker = context;
    arena_deinit(&checker->arena);
    free(checker);
}

static void mark(struct coverage *checker, enum mark mark) {
    checker->world->marks->counts[mark]++;
}

static void mark_states(struct coverage *checker) {
    FOR_EACH_STREAM(checker->world, topic, partition) {
        const struct topic_state *state = &topic->states[partition];
        struct topic_state *before = &checker->before[stream_of(topic, partition)];
        bool *was_moving = &checker->was_moving[stream_of(topic, partition)];
        if (*was_moving && !topic->is_moving[partition]) {
            mark(checker, MARK_REASSIGNED);
        }
        *was_moving = topic->is_moving[partition];
        int8_t *led = checker->led[stream_of(topic, partition)];
        if (before->is_known && state->is_known && state->version != before->version) {
            if (state->leader != before->leader && state->leader > 0) {
                mark(checker, MARK_LEADER_MOVED);
                if (led[state->leader] != 0) {
                    mark(checker, MARK_LEADER_BACK);
                }
            }
            if (state->isr_count != before->isr_count) {
                mark(checker, state->isr_count < before->isr_count ? MARK_ISR_SHRUNK : MARK_ISR_GREW);
            }
        }
        if (state->leader > 0) {
            led[state->leader] = 1;
        }
        *before = *state;
    }
}

static void mark_topics(struct coverage *checker) {
    struct topics *topics = checker->world->topics;
    for (; checker->topic_count < topics_count(topics); checker->topic_count++) {
        const struct topic *topic = topics_at(topics, checker->topic_count);
        checker->partition_counts[topic->index] = topic->partition_count;
        for (int32_t i = 0; i < topic->index; i++) {
            if (topics_at(topics, i)->slot == topic->slot) {
                mark(checker, MARK_TOPIC_RECREATED);
                break;
            }
        }
    }
    for (int32_t i = 0; i < checker->topic_count; i++) {
        if (topics_at(topics, i)->partition_count > checker->partition_counts[i]) {
            checker->partition_counts[i] = topics_at(topics, i)->partition_count;
            mark(checker, MARK_PARTITIONS_ADDED);
        }
    }
}

static void on_transaction(void *context, const struct sim_transaction *transaction) {
    struct coverage *checker = context;
    bool is_topic = false;
    for (int32_t i = 0; i < transaction->count; i++) {
        const struct coord_op *op = &transaction->ops[i];
        is_topic = is_topic || strncmp(op->path, ZNODE_TOPICS "/", sizeof ZNODE_TOPICS) == 0;
        if (op->type == COORD_OP_SET && strcmp(op->path, ZNODE_CONTROLLER_EPOCH) == 0) {
            mark(checker, MARK_CONTROLLER_MOVED);
        }
    }
    if (is_topic) {
        mark_topics(checker);
        mark_states(checker);
    }
}

static void mark_fetch(struct coverage *checker, const struct served *served) {
    struct fetch_response response;
    struct reader r = reader_of(served->answer.data, (size_t)served->answer.size);
    if (fetch_response_decode(&r, served->api_version, &checker->arena, &response) != 0) {
        return;
    }
    if (response.error_code == KAFKA_FETCH_SESSION_ID_NOT_FOUND ||
        response.error_code == KAFKA_INVALID_FETCH_SESSION_EPOCH) {
        mark(checker, MARK_SESSION_LOST);
    }
    for (int32_t i = 0; i < response.responses_count; i++) {
        for (int32_t k = 0; k < response.responses[i].partitions_count; k++) {
            const struct fetch_response_partition_data *data = &response.responses[i].partitions[k];
            if (data->error_code == KAFKA_NONE && data->diverging_epoch.epoch >= 0) {
                mark(checker, MARK_DIVERGED);
            } else if (data->error_code == KAFKA_FENCED_LEADER_EPOCH) {
                mark(checker, MARK_FENCED_EPOCH);
            } else if (data->error_code == KAFKA_UNKNOWN_LEADER_EPOCH) {
                mark(checker, MARK_UNKNOWN_EPOCH);
            } else if (data->error_code == KAFKA_UNKNOWN_TOPIC_ID || data->error_code == KAFKA_INCONSISTENT_TOPIC_ID) {
                mark(checker, MARK_ID_REFUSED);
            } else if (data->error_code == KAFKA_OFFSET_OUT_OF_RANGE) {
                mark(checker, MARK_OUT_OF_RANGE);
            } else if (data->error_code == KAFKA_NONE && data->records.size > 0 && response.session_id != 0 &&
                       served->from > CLUSTER_BROKERS_MAX) {
                mark(checker, MARK_SESSION_INCREMENTAL);
            }
        }
    }
}

static void mark_alter(struct coverage *checker, const struct served *served) {
    struct alter_partition_response response;
    struct reader r = reader_of(served->answer.data, (size_t)served->answer.size);
    if (alter_partition_response_decode(&r, served->api_version, &checker->arena, &response) != 0) {
        return;
    }
    for (int32_t i = 0; i < response.topics_count; i++) {
        for (int32_t k = 0; k < response.topics[i].partitions_count; k++) {
            int16_t code = response.topics[i].partitions[k].error_code;
            if (code == KAFKA_INELIGIBLE_REPLICA || code == KAFKA_OPERATION_NOT_ATTEMPTED) {
                mark(checker, MARK_ISR_INELIGIBLE);
            }
        }
    }
}

static void on_answer(void *context, const struct served *served) {
    struct coverage *checker = context;
    arena_reset(&checker->arena, SIZE_MAX);
    switch (served->api_key) {
    case API_FETCH: mark_fetch(checker, served); break;
    case API_ALTER_PARTITION: mark_alter(checker, served); break;
    case API_CONTROLLED_SHUTDOWN: mark(checker, MARK_CONTROLLED_SHUTDOWN); break;
    default: break;
    }
}

static void on_line(void *context, struct machine *machine, const char *line) {
    struct coverage *checker = context;
    (void)machine;
    if (strstr(line, "the ZooKeeper session has expired") != NULL) {
        mark(checker, MARK_SESSION_EXPIRED);
    } else if (strstr(line, "Corruption found in segment") != NULL) {
        mark(checker, MARK_LOG_CUT);
    } else if (strstr(line, "since the last crash; fetching them again") != NULL) {
        mark(checker, MARK_LOG_DOUBTED);
    } else if (strstr(line, "is in two directories, as if a move had been interrupted") != NULL) {
        mark(checker, MARK_LOG_DIR_HALFWAY);
    }
}

static void on_step(void *context) {
    struct coverage *checker = context;
    for (int32_t id = 1; id <= checker->world->cluster->count; id++) {
        const struct machine *machine = view_machine(checker->world, id);
        bool has_lost = cluster_has_lost_directory(machine);
        if (has_lost && !checker->had_lost[id]) {
            mark(checker, MARK_DIRECTORY_LOST);
        }
        checker->had_lost[id] = has_lost;
    }
}

const struct checker_ops checker_coverage = {
    .name = "coverage",
    .sentence = "the seeds visit the corners they are there for",
    .create = create,
    .destroy = destroy,
    .on_step = on_step,
    .on_transaction = on_transaction,
    .on_answer = on_answer,
    .on_line = on_line,
};
