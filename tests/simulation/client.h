/* What the files of the workload share. */
#ifndef OTTLA_SIM_CLIENT_H
#define OTTLA_SIM_CLIENT_H

#include "broker/base/arena.h"
#include "broker/base/clock.h"
#include "broker/base/random.h"
#include "broker/network/transport.h"
#include "broker/protocol/codec.h"
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/workload.h"

#define CLIENTS_MAX (PLAN_PRODUCERS_MAX + PLAN_CONSUMERS_MAX + 1)
#define CALL_TIMEOUT_MS 4000
#define BACKOFF_MS 100
#define METADATA_MAX_AGE_MS 5000

enum client_kind { CLIENT_PRODUCER, CLIENT_CONSUMER, CLIENT_ADMIN };

struct client;
struct fates;
struct member;

/* One partition as one client sees it. */
struct client_partition {
    struct client *client;
    int32_t slot; /* of the topic's name */
    int32_t partition;
    int32_t leader; /* -1 unknown */
    int32_t leader_epoch;
    int32_t asked_leader; /* who was asked last, and what was known of him then */
    int32_t asked_epoch;
    struct timer timer;
    bool is_in_flight;
    bool is_stale; /* the topic was replaced while a call was under way: its answer means nothing */
    /* producer */
    int32_t topic;         /* incarnation the numbers count in; the batch under way is brought to its end first */
    int64_t next_number;   /* of the first record not settled */
    int32_t next_sequence; /* goes on when the topic is replaced: what was under way may have come to the new one */
    int32_t batch_count;   /* records of the batch under way, 0 none */
    int32_t attempts;      /* to send it */
    int16_t epochs_begun;  /* since the producer id was given */
    int32_t behind_count;  /* records of the batch that was sent right behind it, 0 none; it is the next one */
    bool is_behind_in_flight;
    bool is_refused;     /* the batch under way, the last time it was sent, without having been written */
    bool is_told_of_gap; /* who sent the one behind it then */
    /* consumer */
    int64_t position;
    int64_t resume_ms;
    int32_t session_broker; /* in whose session it is named, 0 none */
    int64_t named_position; /* there */
    int32_t named_epoch;
    bool is_asking; /* where its log begins */
    bool is_final;  /* reads from the beginning once more */
};

struct client_topic {
    int32_t topic; /* incarnation, -1 unknown */
    int32_t partition_count;
    struct client_partition partitions[PARTITIONS_MAX];
};

/* A consumer and one broker. */
struct fetch_link {
    struct client *client;
    int32_t broker;
    struct timer timer;
    bool is_in_flight;
    int32_t session_id;
    int32_t session_epoch;
    bool must_restart;                               /* it holds partitions of a topic that was replaced */
    bool was_named[PLAN_TOPICS_MAX][PARTITIONS_MAX]; /* in the request under way */
};

struct client {
    struct workload *workload;
    enum client_kind kind;
    int32_t node;
    int32_t number; /* of its kind */
    struct clock *clock;
    struct transport *transport;
    struct client_topic topics[PLAN_TOPICS_MAX];
    bool is_asking; /* for metadata */
    bool wants_metadata;
    int32_t asked_broker;
    uint32_t asked_incarnation;
    struct timer metadata_timer;
    struct timer start_timer;
    int64_t producer_id; /* -1 none yet */
    int16_t producer_epoch;
    struct fetch_link links[CLUSTER_BROKERS_MAX + 1];
    struct timer admin_timer;
    bool is_busy; /* the administrator waits for an answer */
};

struct mover;
struct dir_mover;

struct workload {
    struct world *world;
    struct checkers *checkers;
    struct random random;
    struct client clients[CLIENTS_MAX];
    int32_t client_count;
    struct client *admin;
    bool is_meddling;
    bool is_settled;
    int64_t next_meddle_ms;
    struct arena arena;         /* of one message */
    struct random group_random; /* a stream of its own, as is everything groups draw */
    struct member *members;     /* of all groups; NULL when there are none */
    int32_t member_count;
    struct fates *fates; /* of each group */
    struct mover *mover;
    struct dir_mover *dir_mover;
};

/* ---- workload.c ---- */

typedef void encode_function(const void *message, int16_t version, struct encoder *e);
void transport_call(struct transport *transport, int32_t broker, enum transport_channel channel, int16_t api_key,
                    int16_t version, const void *message, size_t size, encode_function *encode, int64_t timeout_ms,
                    transport_answer *on_answer, void *context);
#define CLIENT_CALL(client, broker, API_NAME, name, version, message, on_answer, context)                              \
    transport_call((client)->transport, broker, CHANNEL_CONTROL, API_##API_NAME, version, message,                     \
                   name##_request_encoded_size(message, version), encode_##name, CALL_TIMEOUT_MS, on_answer, context)
#define CLIENT_ENCODER(name)                                                                                           \
    static void encode_##name(const void *message, int16_t version, struct encoder *e) {                               \
        name##_request_encode(message, version, e);                                                                    \
    }
int32_t client_any_broker(struct workload *workload);
struct arena *client_arena(struct workload *workload); /* empty */
int64_t client_draw(struct workload *workload, int64_t min, int64_t max);
/* Starts the timer unless it runs. */
void client_later(struct client *client, struct timer *timer, int64_t after_ms, timer_callback *on_fire);
/* Errors that clients retry, perhaps elsewhere. */
bool client_error_is_passing(int16_t code);
/* The incarnation the client knows, NULL none. */
struct topic *client_topic_of(const struct client_partition *partition);
/* A leader that does not know yet that it was replaced may lack what its successor has acknowledged; Kafka's clients
 * find their way from there. Only the newest leader must not. */
bool client_asked_newest(const struct client_partition *partition);
/* Forgets what it knew of a topic that was replaced. */
void client_partition_reset(struct client_partition *partition);

/* ---- client_metadata.c ---- */

void client_begin_metadata(struct client *client);
void client_refresh(struct client *client);

/* ---- client_producer.c, client_consumer.c, client_admin.c ---- */

void client_begin_producer(struct client *client);
void client_go_on_producing(struct timer *timer);
void client_begin_consumer(struct client *client);
void client_kick_consumer(struct client *client);
void client_begin_admin(struct client *client);

/* ---- client_reassign.c ---- */

struct mover *mover_create(struct workload *workload);
void mover_destroy(struct mover *mover);
/* Where the plan has moves. */
void mover_start(struct mover *mover);

/* ---- client_dirs.c ---- */

struct dir_mover *dir_mover_create(struct workload *workload);
void dir_mover_destroy(struct dir_mover *mover);
/* Where the plan has moves between directories. */
void dir_mover_start(struct dir_mover *mover);

/* ---- client_groups.c ---- */

void groups_create(struct workload *workload);
void groups_destroy(struct workload *workload);
void groups_start(struct workload *workload);
/* Nobody comes or goes any more; every group has somebody. */
void groups_settle(struct workload *workload);
/* Every group is stable, owns everything once, and has read and committed all there is; else says why not. */
bool groups_are_done(const struct workload *workload, char *ret_why, int why_size);

#endif
