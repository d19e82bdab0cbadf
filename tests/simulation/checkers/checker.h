/* What a checker is: a name, the sentence it upholds, and what it wants to hear. One file each, one table of all
 * (table.c). A checker sees everything and touches nothing. */
#ifndef OTTLA_CHECKER_H
#define OTTLA_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/marks.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/topics.h"
#include "tests/simulation/values.h"

struct exposed;
struct group_history;
struct keys;
struct metadata_response;
struct record_batch;

/* Everything there is to look at. */
struct world {
    const struct plan *plan;
    struct cluster *cluster;
    struct topics *topics;
    struct values *values;
    struct exposed *exposed;
    struct group_history *groups;
    struct keys *keys;
    struct marks *marks;
};

/* A request as a broker takes it up, and its answer as it leaves; bodies without headers, valid during the call. */
struct served {
    struct machine *machine;
    int32_t from; /* node */
    int16_t api_key;
    int16_t api_version;
    struct slice request;
    struct slice answer; /* of on_answer; null when there is none */
};

/* A record that came to a consumer. */
struct consumed {
    int32_t consumer;
    const struct topic *topic;
    int32_t partition;
    int64_t position; /* it had asked for */
    int64_t offset;
    struct value value;
    bool is_final; /* of the last reading from the beginning on, when all is healed */
};

struct checker_ops {
    const char *name;
    const char *sentence;
    void *(*create)(struct world *world);
    void (*destroy)(void *checker);
    void (*on_step)(void *checker);
    void (*on_transaction)(void *checker, const struct sim_transaction *transaction);
    void (*on_request)(void *checker, const struct served *served);
    void (*on_answer)(void *checker, const struct served *served);
    void (*on_serving)(void *checker, struct machine *machine);
    void (*on_death)(void *checker, struct machine *machine); /* its memory is still there */
    void (*on_line)(void *checker, struct machine *machine, const char *line);
    /* offset -1: it is there, but not said where. Only of acks=all. */
    void (*on_acked)(void *checker, const struct topic *topic, struct value value, int64_t offset);
    void (*on_consumed)(void *checker, const struct consumed *consumed);
    void (*on_batch)(void *checker, const struct topic *topic, int32_t partition, const struct record_batch *batch);
    /* The consumer was told that its position is not there (any more). */
    void (*on_reset)(void *checker, int32_t consumer, const struct topic *topic, int32_t partition, int64_t from,
                     int64_t to);
    void (*on_metadata)(void *checker, int32_t node, struct machine *machine, uint32_t incarnation,
                        const struct metadata_response *response);
    /* A member of a group that stood at `from` was given everything up to `to`. */
    void (*on_delivered)(void *checker, int32_t group, const struct topic *topic, int32_t partition, int64_t from,
                         int64_t to);
    void (*on_end)(void *checker);
};

#define CHECKERS(X)                                                                                                    \
    X(log_matching)                                                                                                    \
    X(readers)                                                                                                         \
    X(in_sync)                                                                                                         \
    X(high_watermark)                                                                                                  \
    X(acks)                                                                                                            \
    X(leaders)                                                                                                         \
    X(lineage)                                                                                                         \
    X(admission)                                                                                                       \
    X(truncation)                                                                                                      \
    X(offsets)                                                                                                         \
    X(znodes)                                                                                                          \
    X(commands)                                                                                                        \
    X(sessions)                                                                                                        \
    X(recreation)                                                                                                      \
    X(lost_write)                                                                                                      \
    X(unseen)                                                                                                          \
    X(duplicate)                                                                                                       \
    X(inconsistent_offsets)                                                                                            \
    X(send_order)                                                                                                      \
    X(poll_order)                                                                                                      \
    X(stale_metadata)                                                                                                  \
    X(group_fencing)                                                                                                   \
    X(group_generations)                                                                                               \
    X(group_owners)                                                                                                    \
    X(group_commits)                                                                                                   \
    X(group_delivery)                                                                                                  \
    X(group_coverage)                                                                                                  \
    X(last_value)                                                                                                      \
    X(resurrection)                                                                                                    \
    X(cleaned_offsets)                                                                                                 \
    X(replica_keys)                                                                                                    \
    X(dir_coverage)                                                                                                    \
    X(cleaning_coverage)                                                                                               \
    X(coverage)
#define X(name) extern const struct checker_ops checker_##name;
CHECKERS(X)
#undef X

struct checkers;

struct checkers *checkers_create(struct world *world);
void checkers_destroy(struct checkers *checkers);
/* Every checker that listens hears it. The simulator owns what they allocate. */
void checkers_on_step(struct checkers *checkers);
void checkers_on_transaction(void *checkers, const struct sim_transaction *transaction);
void checkers_on_request(void *checkers, const struct served *served);
void checkers_on_answer(void *checkers, const struct served *served);
void checkers_on_serving(void *checkers, struct machine *machine);
void checkers_on_death(void *checkers, struct machine *machine);
void checkers_on_line(struct checkers *checkers, struct machine *machine, const char *line);
void checkers_on_acked(struct checkers *checkers, const struct topic *topic, struct value value, int64_t offset);
void checkers_on_consumed(struct checkers *checkers, const struct consumed *consumed);
void checkers_on_batch(struct checkers *checkers, const struct topic *topic, int32_t partition,
                       const struct record_batch *batch);
void checkers_on_reset(struct checkers *checkers, int32_t consumer, const struct topic *topic, int32_t partition,
                       int64_t from, int64_t to);
void checkers_on_metadata(struct checkers *checkers, int32_t node, struct machine *machine, uint32_t incarnation,
                          const struct metadata_response *response);
void checkers_on_delivered(struct checkers *checkers, int32_t group, const struct topic *topic, int32_t partition,
                           int64_t from, int64_t to);
void checkers_on_end(struct checkers *checkers);

/* Notes a violation of the invariant of that name. */
void violate(const struct world *world, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
