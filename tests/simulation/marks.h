/* Coverage marks: corners that a thousand seeds must have visited so often at least, or they prove less than they
 * seem to. A mark that stays at zero fails a run of a thousand seeds and more. */
#ifndef OTTLA_SIM_MARKS_H
#define OTTLA_SIM_MARKS_H

#include <stdint.h>

/* name, floor per 1,000 seeds, what happened */
#define MARKS(X)                                                                                                       \
    X(CONTROLLER_MOVED, 500, "another controller")                                                                     \
    X(STALE_CONTROLLER, 20, "deposed controller refused")                                                              \
    X(STALE_BROKER_EPOCH, 20, "request for a former life refused")                                                     \
    X(LATE_REQUEST, 20, "request of a connection given up after one of its successor")                                 \
    X(LEADER_MOVED, 1000, "another leader")                                                                            \
    X(LEADER_BACK, 50, "leader of before again")                                                                       \
    X(ISR_SHRUNK, 300, "in-sync set shrunk")                                                                           \
    X(ISR_GREW, 1000, "in-sync set grew")                                                                              \
    X(ISR_INELIGIBLE, 3, "newcomer refused by the controller")                                                         \
    X(BELOW_MIN_ISR, 100, "high watermark frozen below min.insync.replicas")                                           \
    X(NOT_ENOUGH_REPLICAS, 50, "acks=all refused for want of replicas")                                                \
    X(TRUNCATED, 200, "truncated below the log end")                                                                   \
    X(DIVERGED, 100, "a follower told where it diverges")                                                              \
    X(FENCED_EPOCH, 100, "fetch fenced by a newer epoch")                                                              \
    X(UNKNOWN_EPOCH, 20, "fetch ahead of its leader's epoch")                                                          \
    X(OUT_OF_RANGE, 5, "fetch out of range")                                                                           \
    X(SESSION_LOST, 100, "fetch session unknown to the leader")                                                        \
    X(SESSION_INCREMENTAL, 1000, "consumer read by an incremental session")                                            \
    X(RETRY_ACKNOWLEDGED, 100, "a retried batch acknowledged")                                                         \
    X(OVERTAKING_REFUSED, 2, "a batch refused because one before it was")                                              \
    X(BATCHES_GIVEN_UP, 20, "batches given up, as a loaded log knows the last one only")                               \
    X(START_RAISED, 50, "log start raised")                                                                            \
    X(CONSUMER_RESET, 5, "a consumer began anew at the log start")                                                     \
    X(TOPIC_RECREATED, 50, "topic deleted and made again")                                                             \
    X(PARTITIONS_ADDED, 50, "partitions added")                                                                        \
    X(CONTROLLED_SHUTDOWN, 50, "controlled shutdown")                                                                  \
    X(POWER_LOST, 20, "power lost")                                                                                    \
    X(LOG_CUT, 5, "a torn log cut by recovery")                                                                        \
    X(LOG_DOUBTED, 0, "a gap of a compacted log fetched again after a crash")                                          \
    X(DIRECTORY_LOST, 30, "log directory offline")                                                                     \
    X(ID_REFUSED, 50, "fetch by the id of a former topic refused")                                                     \
    X(SESSION_EXPIRED, 200, "broker lost its session and came back")                                                   \
    X(SESSION_GUARDED, 500, "session of a dead broker ended for it")                                                   \
    X(GUARDED_AFTER_START, 30, "its successor had started by then")                                                    \
    X(CONTROLLER_DIED, 20, "controller died between two of its writes")                                                \
    X(REASSIGNED, 100, "a reassignment ended")                                                                         \
    X(LOG_DIR_MOVED, 1000, "a replica moved to another directory")                                                     \
    X(LOG_DIR_CANCELLED, 100, "a move to another directory given up")                                                  \
    X(LOG_DIR_CUT, 0, "a copy in another directory cut back")                                                          \
    X(LOG_DIR_RESUMED, 50, "a move to another directory gone on with after a restart")                                 \
    X(LOG_DIR_HALFWAY, 5, "a restart between the two renames of a move")                                               \
    X(GROUP_FORMED, 1000, "a generation formed")                                                                       \
    X(GROUP_STATIC_BACK, 100, "a static member took its former place")                                                 \
    X(GROUP_MEMBER_UNKNOWN, 30, "a member was forgotten")                                                              \
    X(GROUP_COMMIT_FENCED, 30, "a commit of another generation refused")                                               \
    X(GROUP_MOVED, 100, "a group served by another coordinator")                                                       \
    X(GROUP_LOADING, 300, "a group asked for while it was loaded")                                                     \
    X(GROUP_DIED_REBALANCING, 50, "coordinator died in a rebalance")                                                   \
    X(GROUP_DIED_STORING, 10, "coordinator died with records not yet replicated")                                      \
    X(LOG_CLEANED, 1000, "a log cleaned")                                                                              \
    X(OFFSETS_CLEANED, 50, "__consumer_offsets cleaned")                                                               \
    X(TOMBSTONE_GONE, 20, "a tombstone removed in the end")                                                            \
    X(DIED_CLEANING, 20, "broker died with unfinished output of the cleaner")                                          \
    X(DIED_SWAPPING, 5, "broker died while segments were swapped")
enum mark {
#define X(name, floor, text) MARK_##name,
    MARKS(X)
#undef X
        MARK_COUNT
};

struct marks {
    int64_t counts[MARK_COUNT];
};

#endif
