/* One Fetch under way; shared by fetch.c, which reads and waits, and fetch_answer.c, which answers. */
#ifndef OTTLA_REQUEST_FETCH_H
#define OTTLA_REQUEST_FETCH_H

#include "broker/request/request.h"
#include "broker/request/waiting_room.h"
#include "generated/protocol/fetch.h"
#include "replication/fetch_session.h"
#include "replication/replica_manager.h"

/* Below, records travel in the formats before record batches. */
#define FETCH_VERSION_WITH_BATCHES 4

/* One partition that was looked at, in the request's arena. */
struct fetch_part {
    struct fetch_part *next;
    struct fetch_entry *entry;
    struct partition_runtime *partition; /* at the last look; NULL on errors */
    struct partition_fetch read;
    struct fetch_outcome outcome;
    bool is_read;     /* at least once */
    bool is_unknown;  /* the cluster does not know the partition */
    bool had_no_room; /* the answer was full before its turn came */
};

struct fetch {
    struct wait wait;
    struct request *request;
    const struct fetch_request *message;
    struct fetch_session *session;
    int32_t replica_id;
    int64_t replica_epoch; /* -1 unknown */
    int32_t bytes_max;
    int32_t bytes_min;
    bool is_changed; /* something of the session changed since the request came */
    bool owes_news;  /* at the last look: a follower waits for a high watermark */
    struct fetch_part *parts;
    struct fetch_part **parts_end;
};

/* Answers with what was read, and ends the use of the session. */
void fetch_answer(struct fetch *fetch);
/* An isolation level nobody knows: UNKNOWN_SERVER_ERROR, in versions before 13 for every partition too. */
void fetch_answer_malformed(struct request *request);

#endif
