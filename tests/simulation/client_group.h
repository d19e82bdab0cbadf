/* Members of consumer groups: real processes as a broker sees them, each on a node of its own. A member finds its
 * coordinator, joins, syncs (and assigns, when it leads), asks where to go on, reads, processes and commits; it leaves
 * in good order, or crashes and comes back, static members under their old name. */
#ifndef OTTLA_SIM_CLIENT_GROUP_H
#define OTTLA_SIM_CLIENT_GROUP_H

#include "tests/simulation/client.h"
#include "tests/simulation/group_history.h"

#define MEMBERS_MAX (PLAN_GROUPS_MAX * PLAN_MEMBERS_MAX)
#define MEMBER_ID_BYTES 80
#define OWNED_MAX (PLAN_TOPICS_MAX * PARTITIONS_MAX)
#define GROUP_NAME_BYTES 16
#define GROUP_PROTOCOL "range"
#define GROUP_PROTOCOL_TYPE "consumer"

enum member_state {
    MEMBER_AWAY,    /* no process */
    MEMBER_SEEKS,   /* its coordinator */
    MEMBER_JOINS,   /* asks for, or waits for, the next generation */
    MEMBER_SYNCS,   /* waits for its assignment */
    MEMBER_RESUMES, /* asks where to go on */
    MEMBER_WORKS,
};

/* A partition assigned to a member in its generation. */
struct owned {
    int32_t slot;
    int32_t partition;
    int64_t position;  /* everything below was delivered */
    int64_t committed; /* as acknowledged */
    int64_t sent;      /* in the commit under way */
};

struct member {
    struct workload *workload;
    int32_t group;
    int32_t number;
    int32_t node;
    struct clock *clock; /* NULL while away */
    struct transport *transport;
    enum member_state state;
    int32_t coordinator; /* 0 unknown */
    char id[MEMBER_ID_BYTES];
    char instance[GROUP_NAME_BYTES]; /* "" for dynamic members */
    int32_t generation;
    bool is_calling; /* a step of joining is under way */
    bool is_leader;
    bool must_rejoin;
    bool is_leaving;
    int32_t counts[PLAN_TOPICS_MAX]; /* the leader's: partitions it has assigned */
    struct owned owned[OWNED_MAX];
    int32_t owned_count;
    int32_t turn; /* whose Fetch comes next */
    bool is_fetching;
    int32_t fetching; /* index of the partition */
    int32_t fetching_generation;
    bool is_looking; /* at what the group has committed, as tools do; group_commits.c hears the answer */
    bool is_committing;
    int32_t committing_generation;
    bool is_beating;
    int64_t beaten_ms; /* the last heartbeat that was answered well */
    struct timer step_timer;
    struct timer beat_timer;
    struct timer work_timer;
    uint64_t commit_count; /* each is named in its metadata */
    bool stays;            /* somebody must be there in the end */
};

static inline const struct plan_group *member_plan(const struct member *member) {
    return &member->workload->world->plan->groups[member->group];
}
static inline const char *member_group(const struct member *member, char ret_name[GROUP_NAME_BYTES]) {
    group_name(member->group, ret_name);
    return ret_name;
}
void member_create(struct member *member, struct workload *workload, int32_t group, int32_t number, int32_t node);
void member_start(struct member *member);
/* Its process is gone; not from inside one of its own events. */
void member_crash(struct member *member);
/* Leaves in good order, and is gone then. */
void member_leave(struct member *member);
int64_t member_draw(struct member *member, int64_t min, int64_t max);
void member_later(struct member *member, struct timer *timer, int64_t after_ms, timer_callback *on_fire);
/* A call that ended badly, or an answer with this error: what follows from it for its place in the group. False for
 * errors nobody has to expect. */
void member_failed(struct member *member, int16_t error_code, const char *what);
void member_lost_coordinator(struct member *member);
/* A new generation is due. */
void member_rejoin(struct member *member);

#define MEMBER_COORDINATOR_CALL(member, API_NAME, name, version, message, timeout_ms, on_answer)                       \
    transport_call((member)->transport, (member)->coordinator, CHANNEL_CONTROL, API_##API_NAME, version, message,      \
                   name##_request_encoded_size(message, version), encode_##name, timeout_ms, on_answer, member)

/* ---- client_group_work.c ---- */

/* The assignment is known: goes on from what the group has committed. */
void member_resume(struct member *member);
void member_work(struct member *member);
/* Commits what has not been committed; true when such a commit is under way. */
bool member_commit(struct member *member);
/* False, and why, while some partition is behind. */
bool member_is_done(const struct member *member, char *ret_why, int why_size);

#endif
