/* A member's place in its group; see client_group.h. One step at a time goes to the coordinator, heartbeats and commits
 * beside it. */
#include "tests/simulation/client_group.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/find_coordinator.h"
#include "generated/protocol/heartbeat.h"
#include "generated/protocol/join_group.h"
#include "generated/protocol/leave_group.h"
#include "generated/protocol/sync_group.h"
#include "tests/simulation/group_history.h"

#define VERSION_FIND_COORDINATOR 4
#define VERSION_JOIN_GROUP_OLD 5
#define VERSION_JOIN_GROUP 9
#define VERSION_SYNC_GROUP 5
#define VERSION_HEARTBEAT 4
#define VERSION_LEAVE_GROUP 5
#define LEAVE_TIMEOUT_MS 1000
#define METADATA_BYTES 1024

CLIENT_ENCODER(find_coordinator)
CLIENT_ENCODER(join_group)
CLIENT_ENCODER(sync_group)
CLIENT_ENCODER(heartbeat)
CLIENT_ENCODER(leave_group)

static void step(struct timer *timer);

int64_t member_draw(struct member *member, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&member->workload->group_random, (uint64_t)(max - min) + 1);
}

void member_later(struct member *member, struct timer *timer, int64_t after_ms, timer_callback *on_fire) {
    if (!timer_is_running(timer)) {
        timer_start(member->clock, timer, after_ms, on_fire);
    }
}

/* Goes on with joining, a little later. */
static void step_later(struct member *member, enum member_state state, int64_t after_ms) {
    member->state = state;
    member->is_calling = false;
    timer_stop(member->clock, &member->step_timer);
    timer_start(member->clock, &member->step_timer, after_ms, step);
}

void member_lost_coordinator(struct member *member) {
    member->coordinator = 0;
    if (!member->is_calling) {
        /* What it owns stays its own until it hears of another generation. */
        step_later(member, member->state == MEMBER_WORKS ? MEMBER_WORKS : MEMBER_SEEKS, BACKOFF_MS);
    }
}

void member_rejoin(struct member *member) {
    member->must_rejoin = true;
    if (!member->is_calling) {
        step_later(member, member->state, 0);
    }
}

void member_failed(struct member *member, int16_t error_code, const char *what) {
    switch (error_code) {
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_COORDINATOR_NOT_AVAILABLE: member_lost_coordinator(member); return;
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_REQUEST_TIMED_OUT:
    case KAFKA_UNSTABLE_OFFSET_COMMIT:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION: return; /* again, later: it may not have been told of all topics yet */
    case KAFKA_REBALANCE_IN_PROGRESS:
    case KAFKA_ILLEGAL_GENERATION: member_rejoin(member); return;
    case KAFKA_UNKNOWN_MEMBER_ID:
    case KAFKA_FENCED_INSTANCE_ID: /* by itself, in a former life */
        member->id[0] = '\0';
        member_rejoin(member);
        return;
    default:
        violate(member->workload->world, "group refused", "member %d of group %d was told %s by %d on %s",
                member->number, member->group, kafka_error_name(error_code), member->coordinator, what);
    }
}

/* ---- Finding the coordinator ---- */

static void on_found(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct find_coordinator_response response;
    bool is_found = error == 0 &&
                    find_coordinator_response_decode(&r, VERSION_FIND_COORDINATOR, client_arena(member->workload),
                                                     &response) == 0 &&
                    response.coordinators_count == 1 && response.coordinators[0].error_code == KAFKA_NONE;
    if (is_found) {
        member->coordinator = response.coordinators[0].node_id;
    }
    enum member_state after = member->state != MEMBER_SEEKS ? member->state : is_found ? MEMBER_JOINS : MEMBER_SEEKS;
    step_later(member, after, is_found ? 0 : BACKOFF_MS);
}

static void find_coordinator(struct member *member) {
    char name[GROUP_NAME_BYTES];
    struct str key = str_from(member_group(member, name));
    struct find_coordinator_request request;
    find_coordinator_request_init(&request);
    request.coordinator_keys = &key;
    request.coordinator_keys_count = 1;
    transport_call(member->transport, (int32_t)member_draw(member, 1, member->workload->world->cluster->count),
                   CHANNEL_FORWARD, API_FIND_COORDINATOR, VERSION_FIND_COORDINATOR, &request,
                   find_coordinator_request_encoded_size(&request, VERSION_FIND_COORDINATOR), encode_find_coordinator,
                   CALL_TIMEOUT_MS, on_found, member);
}

/* ---- Joining ---- */

/* With an old version a static leader that comes back does not know that it leads, and nobody looks for new partitions
 * (KIP-814). */
static int16_t join_version(const struct member *member) {
    bool is_static = member->instance[0] != '\0';
    return is_static || member->number % 2 == 0 ? VERSION_JOIN_GROUP : VERSION_JOIN_GROUP_OLD;
}

static void put_topics(struct writer *w, const struct plan *plan) {
    writer_i16(w, 0);
    writer_i32(w, plan->topic_count);
    for (int32_t slot = 0; slot < plan->topic_count; slot++) {
        char name[16];
        topic_name(slot, name);
        writer_i16(w, (int16_t)strlen(name));
        writer_bytes(w, name, strlen(name));
    }
    writer_i32(w, -1);
}

struct assigning {
    uint8_t bytes[MEMBERS_MAX][METADATA_BYTES];
    struct sync_group_request_sync_group_request_assignment list[MEMBERS_MAX];
    int32_t count;
};

/* All partitions of all topics, dealt out one by one. */
static void assign(struct member *member, const struct join_group_response *joined, struct assigning *ret) {
    const struct world *world = member->workload->world;
    ret->count = MIN(joined->members_count, MEMBERS_MAX);
    for (int32_t i = 0; i < ret->count; i++) {
        struct writer w = writer_of(ret->bytes[i], METADATA_BYTES);
        writer_i16(&w, 0);
        writer_i32(&w, world->plan->topic_count);
        int32_t at = 0;
        for (int32_t slot = 0; slot < world->plan->topic_count; slot++) {
            const struct topic *topic = topics_current(world->topics, slot);
            char name[16];
            topic_name(slot, name);
            member->counts[slot] = topic == NULL ? 0 : topic->partition_count;
            int32_t mine = 0;
            for (int32_t p = 0; p < member->counts[slot]; p++) {
                mine += (at + p) % ret->count == i;
            }
            writer_i16(&w, (int16_t)strlen(name));
            writer_bytes(&w, name, strlen(name));
            writer_i32(&w, mine);
            for (int32_t p = 0; p < member->counts[slot]; p++) {
                if ((at + p) % ret->count == i) {
                    writer_i32(&w, p);
                }
            }
            at += member->counts[slot];
        }
        writer_i32(&w, -1);
        CHECK(!w.failed);
        sync_group_request_sync_group_request_assignment_init(&ret->list[i]);
        ret->list[i].member_id = joined->members[i].member_id;
        ret->list[i].assignment = (struct slice){ret->bytes[i], (int32_t)writer_size(&w)};
    }
}

static void take_assignment(struct member *member, struct slice bytes) {
    struct reader r = reader_of(bytes.data, (size_t)MAX(bytes.size, 0));
    member->owned_count = 0;
    if (bytes.size <= 0) {
        return;
    }
    reader_i16(&r);
    int32_t topics = reader_i32(&r);
    for (int32_t i = 0; i < topics; i++) {
        int16_t size = reader_i16(&r);
        const char *name = (const char *)reader_take(&r, (size_t)size);
        int32_t count = reader_i32(&r);
        CHECK(!r.failed);
        const struct topic *topic = topics_by_name(member->workload->world->topics, (struct str){name, size});
        for (int32_t k = 0; k < count; k++) {
            int32_t partition = reader_i32(&r);
            CHECK(!r.failed && topic != NULL && member->owned_count < OWNED_MAX);
            member->owned[member->owned_count++] =
                (struct owned){.slot = topic->slot, .partition = partition, .position = -1};
        }
    }
}

static void on_synced(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct sync_group_response response;
    member->is_calling = false;
    if (error != 0 ||
        sync_group_response_decode(&r, VERSION_SYNC_GROUP, client_arena(member->workload), &response) != 0) {
        member->coordinator = 0;
        step_later(member, MEMBER_SEEKS, BACKOFF_MS);
    } else if (response.error_code != KAFKA_NONE) {
        step_later(member, MEMBER_JOINS, BACKOFF_MS);
        member_failed(member, response.error_code, "SyncGroup");
    } else {
        take_assignment(member, response.assignment);
        trace_debug("client", "member %d of group %d owns %d partitions in generation %d", member->number,
                    member->group, member->owned_count, member->generation);
        step_later(member, MEMBER_RESUMES, 0);
    }
}

static void sync_group(struct member *member, const struct join_group_response *joined) {
    struct assigning *assigning = xcalloc(1, sizeof *assigning);
    char name[GROUP_NAME_BYTES];
    struct sync_group_request request;
    if (member->is_leader && !joined->skip_assignment) {
        assign(member, joined, assigning);
    } else if (joined->skip_assignment) {
        memset(member->counts, 0, sizeof member->counts); /* what it assigned last may not have been stored */
    }
    sync_group_request_init(&request);
    request.group_id = str_from(member_group(member, name));
    request.generation_id = member->generation;
    request.member_id = str_from(member->id);
    request.group_instance_id = member->instance[0] == '\0' ? STR_NULL : str_from(member->instance);
    request.protocol_type = STR_LITERAL(GROUP_PROTOCOL_TYPE);
    request.protocol_name = joined->protocol_name;
    request.assignments = assigning->list;
    request.assignments_count = assigning->count;
    member->state = MEMBER_SYNCS;
    member->is_calling = true;
    MEMBER_COORDINATOR_CALL(member, SYNC_GROUP, sync_group, VERSION_SYNC_GROUP, &request,
                            member_plan(member)->rebalance_timeout_ms + CALL_TIMEOUT_MS, on_synced);
    free(assigning);
}

static void keep_id(struct member *member, struct str id) {
    CHECK(id.size < MEMBER_ID_BYTES);
    snprintf(member->id, sizeof member->id, "%.*s", STR_ARGS(id));
}

static void on_joined(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct join_group_response response;
    member->is_calling = false;
    if (error != 0 ||
        join_group_response_decode(&r, join_version(member), client_arena(member->workload), &response) != 0) {
        member->coordinator = 0;
        step_later(member, MEMBER_SEEKS, BACKOFF_MS);
        return;
    }
    if (response.error_code == KAFKA_MEMBER_ID_REQUIRED) {
        keep_id(member, response.member_id);
        step_later(member, MEMBER_JOINS, 0);
    } else if (response.error_code != KAFKA_NONE) {
        step_later(member, MEMBER_JOINS, BACKOFF_MS);
        member_failed(member, response.error_code, "JoinGroup");
    } else {
        keep_id(member, response.member_id);
        member->generation = response.generation_id;
        member->is_leader = str_equal(response.leader, response.member_id);
        member->must_rejoin = false;
        sync_group(member, &response);
    }
}

static void join_group(struct member *member) {
    const struct plan_group *plan = member_plan(member);
    char name[GROUP_NAME_BYTES];
    uint8_t bytes[METADATA_BYTES];
    struct writer w = writer_of(bytes, sizeof bytes);
    put_topics(&w, member->workload->world->plan);
    struct join_group_request_join_group_request_protocol protocol;
    join_group_request_join_group_request_protocol_init(&protocol);
    protocol.name = STR_LITERAL(GROUP_PROTOCOL);
    protocol.metadata = (struct slice){bytes, (int32_t)writer_size(&w)};
    struct join_group_request request;
    join_group_request_init(&request);
    request.group_id = str_from(member_group(member, name));
    request.session_timeout_ms = plan->session_timeout_ms;
    request.rebalance_timeout_ms = plan->rebalance_timeout_ms;
    request.member_id = str_from(member->id);
    request.group_instance_id = member->instance[0] == '\0' ? STR_NULL : str_from(member->instance);
    request.protocol_type = STR_LITERAL(GROUP_PROTOCOL_TYPE);
    request.protocols = &protocol;
    request.protocols_count = 1;
    member->state = MEMBER_JOINS;
    member->is_calling = true;
    member->owned_count = 0;
    MEMBER_COORDINATOR_CALL(member, JOIN_GROUP, join_group, join_version(member), &request,
                            plan->rebalance_timeout_ms + CALL_TIMEOUT_MS, on_joined);
}

static void step(struct timer *timer) {
    struct member *member = CONTAINER_OF(timer, struct member, step_timer);
    if (member->is_calling || member->is_leaving) {
        return;
    }
    if (member->coordinator == 0) {
        member->is_calling = true;
        find_coordinator(member);
    } else if (member->state == MEMBER_SEEKS || member->state == MEMBER_JOINS || member->state == MEMBER_SYNCS) {
        join_group(member);
    } else if (member->must_rejoin) {
        /* What was processed is committed first, as long as the generation counts. */
        if (!member_commit(member)) {
            join_group(member);
        }
    } else if (member->state == MEMBER_RESUMES) {
        member_resume(member);
    }
}

/* ---- Staying ---- */

static void beat(struct timer *timer);

static void beat_later(struct member *member) {
    member_later(member, &member->beat_timer, member_plan(member)->session_timeout_ms / 4, beat);
}

static void on_beaten(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct heartbeat_response response;
    bool counts = member->state == MEMBER_WORKS || member->state == MEMBER_RESUMES;
    member->is_beating = false;
    if (error != 0 ||
        heartbeat_response_decode(&r, VERSION_HEARTBEAT, client_arena(member->workload), &response) != 0) {
        if (counts) {
            member_lost_coordinator(member);
        }
    } else if (response.error_code == KAFKA_NONE) {
        member->beaten_ms = clock_now_ms(member->clock);
    } else if (counts) {
        member_failed(member, response.error_code, "Heartbeat");
    }
    beat_later(member);
}

/* The leader looks whether there is more to assign. */
static bool has_grown(const struct member *member) {
    const struct world *world = member->workload->world;
    bool has = false;
    for (int32_t slot = 0; slot < world->plan->topic_count; slot++) {
        const struct topic *topic = topics_current(world->topics, slot);
        has = has || (topic != NULL && topic->partition_count > member->counts[slot]);
    }
    return has;
}

static void beat(struct timer *timer) {
    struct member *member = CONTAINER_OF(timer, struct member, beat_timer);
    if (member->state == MEMBER_WORKS && !member->must_rejoin && member->is_leader && has_grown(member)) {
        member_rejoin(member);
    }
    if ((member->state != MEMBER_WORKS && member->state != MEMBER_RESUMES) || member->is_beating ||
        member->coordinator == 0) {
        beat_later(member);
        return;
    }
    char name[GROUP_NAME_BYTES];
    struct heartbeat_request request;
    heartbeat_request_init(&request);
    request.group_id = str_from(member_group(member, name));
    request.generation_id = member->generation;
    request.member_id = str_from(member->id);
    request.group_instance_id = member->instance[0] == '\0' ? STR_NULL : str_from(member->instance);
    member->is_beating = true;
    MEMBER_COORDINATOR_CALL(member, HEARTBEAT, heartbeat, VERSION_HEARTBEAT, &request, CALL_TIMEOUT_MS, on_beaten);
}

/* ---- Coming and going ---- */

void member_create(struct member *member, struct workload *workload, int32_t group, int32_t number, int32_t node) {
    *member =
        (struct member){.workload = workload, .group = group, .number = number, .node = node, .stays = number == 0};
    CHECK(node < SIM_NODES_MAX);
}

void member_start(struct member *member) {
    struct cluster *cluster = member->workload->world->cluster;
    struct workload *workload = member->workload;
    bool stays = member->stays;
    CHECK(member->clock == NULL);
    member_create(member, workload, member->group, member->number, member->node);
    member->stays = stays;
    member->clock = sim_clock_create(cluster->sim, 0);
    sim_clock_set_outside(member->clock);
    sim_network_join(cluster->network, member->node, member->clock);
    member->transport = sim_transport_create(cluster->network, member->node);
    if (member->number < member_plan(member)->static_members) {
        snprintf(member->instance, sizeof member->instance, "i-%d-%d", member->group, member->number);
    }
    member->state = MEMBER_SEEKS;
    member_later(member, &member->step_timer, BACKOFF_MS, step);
    beat_later(member);
    member_work(member);
}

void member_crash(struct member *member) {
    if (member->clock == NULL) {
        return;
    }
    sim_network_leave(member->workload->world->cluster->network, member->node);
    sim_clock_kill(member->clock);
    sim_clock_destroy(member->clock);
    sim_transport_destroy(member->transport);
    member->clock = NULL;
    member->transport = NULL;
    member->state = MEMBER_AWAY;
}

static void crash_now(void *context) {
    struct member *member = context;
    if (member->is_leaving) { /* else it is back already */
        member_crash(member);
    }
}

static void on_left(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    (void)error;
    (void)body;
    (void)size;
    if (member->is_leaving) { /* else it is another life of it */
        sim_at(member->workload->world->cluster->sim, 0, crash_now, member);
    }
}

void member_leave(struct member *member) {
    if (member->id[0] == '\0' || member->coordinator == 0 || member->instance[0] != '\0') {
        member_crash(member); /* static members just stop */
        return;
    }
    char name[GROUP_NAME_BYTES];
    struct leave_group_request_member_identity identity;
    leave_group_request_member_identity_init(&identity);
    identity.member_id = str_from(member->id);
    identity.group_instance_id = STR_NULL;
    struct leave_group_request request;
    leave_group_request_init(&request);
    request.group_id = str_from(member_group(member, name));
    request.members = &identity;
    request.members_count = 1;
    member->is_leaving = true;
    MEMBER_COORDINATOR_CALL(member, LEAVE_GROUP, leave_group, VERSION_LEAVE_GROUP, &request, LEAVE_TIMEOUT_MS, on_left);
}
