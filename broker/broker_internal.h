/* The inside of one broker, shared by the files that start, run and stop it. */
#ifndef OTTLA_BROKER_INTERNAL_H
#define OTTLA_BROKER_INTERNAL_H

#include "broker/base/arena.h"
#include "broker/broker.h"
#include "broker/directory_report.h"
#include "broker/dynamic_config.h"
#include "broker/group/group_runtime.h"
#include "broker/log/log_manager.h"
#include "broker/metadata/image.h"
#include "broker/request/context.h"
#include "broker/request/topic_admin.h"
#include "coordinator-client/registration.h"
#include "replication/controller_runtime.h"
#include "replication/replica_manager.h"

/* Kafka's name of the class that says these things, kept because people grep for it. */
#define BROKER_AREA "kafka.server.KafkaServer"

enum broker_phase { BROKER_CREATED, BROKER_STARTING, BROKER_SERVING, BROKER_STOPPING, BROKER_STOPPED, BROKER_FAILED };

struct broker {
    struct config *config;
    struct broker_seams seams;
    enum broker_phase phase;
    int32_t id;
    char *cluster_id;
    struct log_manager *logs;
    struct dynamic_config *dynamic;
    struct image *image;
    struct replica_manager *replicas;
    struct controller_runtime *controller;
    struct topic_admin *topics;
    struct group_runtime *groups;
    struct dispatcher *dispatcher;
    struct request_context context;
    struct arena features_arena; /* of context.features */
    struct registration *registration;
    int64_t epoch;            /* czxid of our registration, -1 before */
    bool must_register_again; /* the session expired while registering */
    bool is_registering;      /* an answer is on its way */
    bool is_unclean_default;  /* unclean.leader.election.enable as the controller last heard */
    bool is_fenced;           /* no session for longer than its timeout */
    struct {
        int64_t connects;
        int64_t disconnects;
        int64_t expires;
        int64_t auth_failures;
    } session_counts;                         /* of the ZooKeeper session, since the start */
    struct directory_report directory_report; /* from serving on */
    struct timer timer;     /* start: connection time-out; serving: registering again; stop: retries, final bound */
    int32_t shutdown_tries; /* controlled shutdowns asked for */
    int64_t stop_deadline_ms;
    bool is_controller_stopping;
    void (*on_stopped)(void *context);
    void *on_stopped_context;
};

/* Ends the start or the running of a broker that can go no further; `message` is one line. */
void broker_fail(struct broker *broker, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* broker.c: makes the modules that need loaded logs; registers handlers' context. */
/* The cleaner's settings as the configuration has them now. */
struct log_cleaner_config broker_cleaner_config(const struct config *config);
void broker_wire(struct broker *broker);
/* broker_features.c: reads /feature and keeps on watching it. */
void broker_read_features(struct broker *broker);
/* broker_start.c: registers, in the current session. */
void broker_register(struct broker *broker);

#endif
