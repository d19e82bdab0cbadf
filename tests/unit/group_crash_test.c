/* Every flow of a group, cut off before each write and each answer of its coordinator: under the next coordinator the
 * members come to where the flow would have taken them, and what they have been told holds.
 *
 * Two members, which follow the protocol as clients do, go through the goals of a flow. Two followers fetch the log
 * once in a while. The coordinator dies at the write or answer of one number; the next one has all of its log, or only
 * as much of it as was replicated. */
#include "generated/protocol/fetch.h"
#include "tests/lib/memory_disk.h"
#include "tests/unit/dispatch_groups_fixture.h"

#define MEMBERS 2
#define SESSION_MS 10000
#define REBALANCE_MS 10000
/* What passes between two looks of a member at its answers. */
#define STEP_MS 100
/* How many of them the followers are behind. */
#define FOLLOWER_STEPS 3
/* A waiting answer may need the session and then the rebalance of somebody else to run out. */
#define ANSWER_MS_MAX (SESSION_MS + REBALANCE_MS + 1000)
/* Members whose join was answered to nobody have to time out, one after the other at worst. */
#define GOAL_MS_MAX (6 * (SESSION_MS + REBALANCE_MS))
#define GENERATIONS_MAX 64
#define ID_SIZE 128

enum call { CALL_NONE, CALL_JOIN, CALL_SYNC, CALL_HEARTBEAT, CALL_COMMIT, CALL_LEAVE };

struct member {
    const char *instance; /* NULL: dynamic */
    char id[ID_SIZE];
    int32_t generation;
    bool is_joined; /* in this generation; its sync may be missing */
    bool is_stable;
    bool has_left;
    bool is_leader;
    char others[MEMBERS * 2][ID_SIZE]; /* as the leader was told */
    int32_t other_count;
    enum call call;
    int64_t waited_ms;
    struct reply reply;
};

/* Who is to be in the group, and what one of them commits then; 0: nothing. */
struct goal {
    bool are_in[MEMBERS];
    int64_t commit;
    int32_t restarts; /* this member, from 1 on, comes back without its id before that */
};

struct flow {
    const char *name;
    const char *instances[MEMBERS];
    struct goal goals[6];
    int32_t goal_count;
    int32_t writes_min; /* so that a flow that does nothing is noticed */
    int32_t answers_min;
};

static const struct flow flows[] = {
    {.name = "one member comes, commits and leaves",
     .goals = {{{true, false}, 10, 0}, {{false, false}, 0, 0}},
     .goal_count = 2,
     .writes_min = 3,
     .answers_min = 5},
    {.name = "two members come one after the other, commit, and leave",
     .goals = {{{true, false}, 10, 0}, {{true, true}, 20, 0}, {{false, true}, 30, 0}, {{false, false}, 0, 0}},
     .goal_count = 4,
     .writes_min = 7,
     .answers_min = 20},
    {.name = "two members come at once, and leave at once",
     .goals = {{{true, true}, 10, 0}, {{false, false}, 0, 0}, {{true, true}, 20, 0}},
     .goal_count = 3,
     .writes_min = 6,
     .answers_min = 20},
    {.name = "two static members come, one comes back without its id, and both leave",
     .instances = {"one", "two"},
     .goals = {{{true, true}, 10, 0}, {{true, true}, 20, 1}, {{true, true}, 30, 2}, {{false, false}, 0, 0}},
     .goal_count = 4,
     .writes_min = 7,
     .answers_min = 20},
};

enum crash { CRASH_NEVER, CRASH_AT_WRITE, CRASH_AT_ANSWER };

static struct memory_disk *disk;
static struct member members[MEMBERS];
static enum crash crash;
static int64_t crash_at; /* the number of the write, of the answer */
static int64_t answers;
static bool is_dead;
static int32_t leader_epoch;
static int64_t high_watermark;
static int64_t acknowledged; /* the newest commit */
static int64_t sent;
/* Whose the partition is in each generation: a member's index and one; 0: nobody's yet. */
static int32_t owners[GENERATIONS_MAX];
static char where[256]; /* for what fails */

#define ENSURE(condition, ...)                                                                                         \
    do {                                                                                                               \
        char ensure_text[512];                                                                                         \
        snprintf(ensure_text, sizeof ensure_text, __VA_ARGS__);                                                        \
        ck_assert_msg(condition, "%s: %s", where, ensure_text);                                                        \
    } while (0)

/* ---- The coordinator ---- */

static bool is_of_a_member(const struct reply *reply) {
    return reply == &members[0].reply || reply == &members[1].reply;
}

static bool has_died(void) {
    is_dead = is_dead || (crash == CRASH_AT_WRITE && memory_disk_operations(disk) >= crash_at);
    return is_dead;
}

static bool lose_answer(struct reply *reply) {
    if (!is_of_a_member(reply)) {
        return false;
    }
    if (crash == CRASH_AT_ANSWER && ++answers == crash_at) {
        is_dead = true;
        memory_disk_fail_at(disk, memory_disk_operations(disk) + 1);
    }
    return has_died();
}

static void lead(void) {
    leader_epoch++;
    become_leader("t", trio, 3, leader_epoch);
    become_leader("__consumer_offsets", trio, 3, leader_epoch);
}

static struct log *offsets_log(void) {
    return log_manager_find(fx.logs, "__consumer_offsets", 0);
}

/* Both followers have everything, and say so. */
static void replicate(void) {
    if (has_died()) {
        return;
    }
    for (int32_t id = 2; id <= 3; id++) {
        struct fetch_request request;
        struct fetch_request_fetch_topic topic = {.topic = STR_LITERAL(GROUP_TOPIC), .partitions_count = 1};
        struct fetch_request_fetch_partition part;
        struct fetch_response response;
        struct reply reply;
        fetch_request_init(&request);
        fetch_request_fetch_partition_init(&part);
        part.current_leader_epoch = leader_epoch;
        part.fetch_offset = log_end_offset(offsets_log());
        part.partition_max_bytes = 1000;
        topic.partitions = &part;
        request.replica_id = id;
        request.topics = &topic;
        request.topics_count = 1;
        SEND(fetch, API_FETCH, 12, &reply, &request);
        DECODE(fetch, API_FETCH, 12, &reply, &response);
        ENSURE(response.responses[0].partitions[0].error_code == KAFKA_NONE, "a follower is answered with %d",
               response.responses[0].partitions[0].error_code);
        reply_free(&reply);
    }
    struct partition_runtime *partition;
    ck_assert_int_eq(replica_manager_partition(fx.replicas, STR_LITERAL(GROUP_TOPIC), 0, &partition), KAFKA_NONE);
    high_watermark = partition_runtime_high_watermark(partition);
}

/* What has been acknowledged is there, and nothing that was not sent. */
static void check_commit(void) {
    int16_t error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    int64_t found = -1;
    for (int i = 0; i < 100 && error != KAFKA_NONE; i++) {
        replicate();
        memory_run_for(fx.world, STEP_MS);
        found = fetch(G, true, &error);
    }
    ENSURE(error == KAFKA_NONE, "offsets are not served: %d", error);
    ENSURE(MAX(found, 0) >= acknowledged && found <= sent, "%lld is committed, %lld was acknowledged and %lld sent",
           (long long)found, (long long)acknowledged, (long long)sent);
}

/* The coordinator is dead; its followers have what was replicated, and perhaps more. */
static void next_coordinator(bool loses_tail) {
    fixture_finish();
    for (int32_t i = 0; i < MEMBERS; i++) {
        reply_free(&members[i].reply);
        members[i].call = CALL_NONE;
    }
    memory_disk_restart(disk, false);
    crash = CRASH_NEVER;
    is_dead = false;
    fixture_seed++; /* a broker draws another one each time */
    fixture_start();
    if (loses_tail && log_end_offset(offsets_log()) > high_watermark) {
        ck_assert_int_eq(log_truncate_to(offsets_log(), high_watermark), 0);
    }
    lead();
    check_commit();
}

/* ---- What members send ---- */

static struct str id_of(const struct member *member) {
    return str_from(member->id);
}

static struct str instance_of(const struct member *member) {
    return str_from(member->instance);
}

static void send_join(struct member *member) {
    struct join_group_request request;
    struct join_group_request_join_group_request_protocol range = {STR_LITERAL("range"), {(const uint8_t *)"m", 1}};
    join_group_request_init(&request);
    request.group_id = G;
    request.session_timeout_ms = SESSION_MS;
    request.rebalance_timeout_ms = REBALANCE_MS;
    request.member_id = id_of(member);
    request.group_instance_id = instance_of(member);
    request.protocol_type = STR_LITERAL("consumer");
    request.protocols = &range;
    request.protocols_count = 1;
    SEND(join_group, API_JOIN_GROUP, 9, &member->reply, &request);
}

/* Each is told its own name; the first one owns the partition. */
static void send_sync(struct member *member) {
    struct sync_group_request request;
    struct sync_group_request_sync_group_request_assignment list[MEMBERS * 2];
    char texts[MEMBERS * 2][ID_SIZE + 16];
    sync_group_request_init(&request);
    for (int32_t i = 0; i < member->other_count; i++) {
        int size = snprintf(texts[i], sizeof texts[i], "%d %s %s", member->generation, i == 0 ? "owns" : "waits",
                            member->others[i]);
        sync_group_request_sync_group_request_assignment_init(&list[i]);
        list[i].member_id = str_from(member->others[i]);
        list[i].assignment = (struct slice){(const uint8_t *)texts[i], size};
    }
    request.group_id = G;
    request.generation_id = member->generation;
    request.member_id = id_of(member);
    request.group_instance_id = instance_of(member);
    request.protocol_type = STR_LITERAL("consumer");
    request.protocol_name = STR_LITERAL("range");
    request.assignments = list;
    request.assignments_count = member->other_count;
    SEND(sync_group, API_SYNC_GROUP, 5, &member->reply, &request);
}

static void send_heartbeat(struct member *member) {
    struct heartbeat_request request;
    heartbeat_request_init(&request);
    request.group_id = G;
    request.generation_id = member->generation;
    request.member_id = id_of(member);
    request.group_instance_id = instance_of(member);
    SEND(heartbeat, API_HEARTBEAT, 4, &member->reply, &request);
}

static void send_leave(struct member *member) {
    struct leave_group_request request;
    struct leave_group_request_member_identity one;
    leave_group_request_init(&request);
    leave_group_request_member_identity_init(&one);
    one.member_id = id_of(member);
    one.group_instance_id = instance_of(member);
    request.group_id = G;
    request.members = &one;
    request.members_count = 1;
    SEND(leave_group, API_LEAVE_GROUP, 5, &member->reply, &request);
}

/* ---- What members make of the answers ---- */

static void leave_generation(struct member *member, int16_t error) {
    member->is_joined = false;
    member->is_stable = false;
    ENSURE(error != KAFKA_FENCED_INSTANCE_ID, "a member is fenced by nobody");
    if (error == KAFKA_UNKNOWN_MEMBER_ID) {
        member->id[0] = '\0';
    }
}

/* An error that only means to ask again. */
static bool is_elsewhere(int16_t error) {
    return error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_COORDINATOR_NOT_AVAILABLE ||
           error == KAFKA_NOT_COORDINATOR;
}

static void set_text(char *to, struct str from) {
    ck_assert_int_lt(from.size, ID_SIZE);
    memcpy(to, from.data, (size_t)from.size);
    to[from.size] = '\0';
}

static void take_join(struct member *member) {
    struct join_group_response response;
    DECODE(join_group, API_JOIN_GROUP, 9, &member->reply, &response);
    if (response.error_code == KAFKA_MEMBER_ID_REQUIRED) {
        set_text(member->id, response.member_id);
    } else if (response.error_code != KAFKA_NONE) {
        leave_generation(member, response.error_code);
    } else {
        set_text(member->id, response.member_id);
        member->generation = response.generation_id;
        member->is_joined = true;
        member->is_leader = str_equal(response.leader, response.member_id) && !response.skip_assignment;
        member->other_count = member->is_leader ? response.members_count : 0;
        ck_assert_int_le(member->other_count, MEMBERS * 2);
        for (int32_t i = 0; i < member->other_count; i++) {
            set_text(member->others[i], response.members[i].member_id);
        }
    }
}

static void take_sync(struct member *member) {
    struct sync_group_response response;
    DECODE(sync_group, API_SYNC_GROUP, 5, &member->reply, &response);
    if (response.error_code != KAFKA_NONE) {
        if (!is_elsewhere(response.error_code)) {
            leave_generation(member, response.error_code);
        }
        return;
    }
    int generation;
    char word[16];
    char text[ID_SIZE + 32];
    snprintf(text, sizeof text, "%.*s", response.assignment.size, (const char *)response.assignment.data);
    ENSURE(sscanf(text, "%d %15s", &generation, word) == 2, "\"%s\" was assigned", text);
    ENSURE(generation == member->generation, "generation %d is told \"%s\"", member->generation, text);
    member->is_stable = true;
    if (strcmp(word, "owns") == 0) {
        int32_t *owner = &owners[member->generation];
        ck_assert_int_lt(member->generation, GENERATIONS_MAX);
        int32_t self = (int32_t)(member - members) + 1;
        ENSURE(*owner == 0 || *owner == self, "two members own the partition in generation %d", member->generation);
        *owner = self;
    }
}

static void take_heartbeat(struct member *member) {
    struct heartbeat_response response;
    DECODE(heartbeat, API_HEARTBEAT, 4, &member->reply, &response);
    if (response.error_code != KAFKA_NONE && !is_elsewhere(response.error_code)) {
        leave_generation(member, response.error_code);
    }
}

static void take_commit(struct member *member) {
    int16_t error = commit_result(&member->reply);
    if (error == KAFKA_NONE) {
        acknowledged = sent;
    } else if (!is_elsewhere(error)) {
        leave_generation(member, error);
    }
}

static void take_leave(struct member *member) {
    struct leave_group_response response;
    DECODE(leave_group, API_LEAVE_GROUP, 5, &member->reply, &response);
    int16_t error = response.error_code != KAFKA_NONE ? response.error_code : response.members[0].error_code;
    if (!is_elsewhere(error)) {
        ENSURE(error == KAFKA_NONE || error == KAFKA_UNKNOWN_MEMBER_ID, "leaving is answered with %d", error);
        member->has_left = true;
        leave_generation(member, KAFKA_UNKNOWN_MEMBER_ID);
    }
}

static void take_answer(struct member *member) {
    static void (*const takes[])(struct member *) = {[CALL_JOIN] = take_join,
                                                     [CALL_SYNC] = take_sync,
                                                     [CALL_HEARTBEAT] = take_heartbeat,
                                                     [CALL_COMMIT] = take_commit,
                                                     [CALL_LEAVE] = take_leave};
    enum call call = member->call;
    member->call = CALL_NONE;
    takes[call](member);
    reply_free(&member->reply);
}

/* ---- Flows ---- */

static bool are_together(const struct goal *goal) {
    int32_t count = 0;
    int32_t generation = -1;
    for (int32_t i = 0; i < MEMBERS; i++) {
        const struct member *member = &members[i];
        if (!goal->are_in[i]) {
            if (!member->has_left) {
                return false;
            }
            continue;
        }
        if (!member->is_stable || (generation >= 0 && generation != member->generation)) {
            return false;
        }
        generation = member->generation;
        count++;
    }
    struct describe_groups_response_described_group group = describe(G);
    return group.error_code == KAFKA_NONE && group.members_count == count;
}

static void act(struct member *member, const struct goal *goal, bool commits) {
    member->waited_ms = 0;
    if (!goal->are_in[member - members]) {
        if (!member->has_left) {
            member->call = CALL_LEAVE;
            send_leave(member);
        }
    } else if (!member->is_joined) {
        member->call = CALL_JOIN;
        member->has_left = false;
        send_join(member);
    } else if (!member->is_stable) {
        member->call = CALL_SYNC;
        send_sync(member);
    } else if (commits) {
        member->call = CALL_COMMIT;
        sent = goal->commit;
        send_commit(&member->reply, G, id_of(member), member->generation, T, goal->commit, NOBODY);
    } else {
        member->call = CALL_HEARTBEAT;
        send_heartbeat(member);
    }
}

/* Everybody does what is next for him, one after the other. */
static void act_all(const struct goal *goal, bool are_there, int32_t *restarts) {
    bool commits = are_there;
    for (int32_t i = 0; i < MEMBERS && !has_died(); i++) {
        struct member *member = &members[i];
        if (member->call != CALL_NONE) {
            continue;
        }
        if (*restarts == i + 1) {
            *restarts = 0;
            member->id[0] = '\0';
            member->is_joined = member->is_stable = false;
        }
        act(member, goal, commits && goal->are_in[i]);
        commits = commits && !goal->are_in[i];
    }
}

/* False: the coordinator has died. */
static bool reach(const struct goal *goal, int32_t *restarts) {
    for (int64_t passed_ms = 0; passed_ms < GOAL_MS_MAX; passed_ms += STEP_MS) {
        bool are_there = are_together(goal);
        if (are_there && acknowledged >= goal->commit && *restarts == 0) {
            return true;
        }
        act_all(goal, are_there, restarts);
        if (passed_ms / STEP_MS % FOLLOWER_STEPS == FOLLOWER_STEPS - 1) {
            replicate();
        }
        memory_run_for(fx.world, STEP_MS);
        if (has_died()) {
            return false;
        }
        for (int32_t i = 0; i < MEMBERS; i++) {
            struct member *member = &members[i];
            if (member->call == CALL_NONE) {
                continue;
            }
            member->waited_ms += STEP_MS;
            if (member->reply.is_answered) {
                take_answer(member);
            } else {
                ENSURE(member->waited_ms <= ANSWER_MS_MAX, "member %d hangs in call %d", i, member->call);
            }
        }
    }
    ENSURE(false, "the members do not get together");
    return false;
}

/* Whether the coordinator died on the way. */
static bool run_flow(const struct flow *flow, enum crash kind, int64_t at, bool loses_tail) {
    memset(members, 0, sizeof members);
    memset(owners, 0, sizeof owners);
    for (int32_t i = 0; i < MEMBERS; i++) {
        members[i].instance = flow->instances[i];
        members[i].has_left = true;
    }
    is_dead = false;
    leader_epoch = 0;
    answers = high_watermark = acknowledged = sent = 0;
    crash = CRASH_NEVER;
    disk = memory_disk_create();
    fixture_disk = memory_disk_base(disk);
    fixture_loses_answer = lose_answer;
    fixture_start();
    lead();
    crash = kind;
    crash_at = at;
    if (crash == CRASH_AT_WRITE) {
        crash_at += memory_disk_operations(disk);
        memory_disk_fail_at(disk, crash_at);
    }
    bool has_crashed = false;
    for (int32_t i = 0; i < flow->goal_count; i++) {
        int32_t restarts = flow->goals[i].restarts;
        while (!reach(&flow->goals[i], &restarts)) {
            ck_assert(!has_crashed);
            has_crashed = true;
            next_coordinator(loses_tail);
        }
    }
    crash = CRASH_NEVER;
    memory_disk_fail_at(disk, 0);
    check_commit();
    fixture_finish();
    memory_disk_restart(disk, false);
    for (int32_t i = 0; i < MEMBERS; i++) {
        reply_free(&members[i].reply);
    }
    reply_free(&last);
    memory_disk_destroy(disk);
    fixture_disk = NULL;
    fixture_loses_answer = NULL;
    return has_crashed;
}

static void sweep(enum crash kind, bool loses_tail) {
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        int64_t at = 1;
        do {
            snprintf(where, sizeof where, "%s, crash at %s %lld%s", flows[i].name,
                     kind == CRASH_AT_WRITE ? "write" : "answer", (long long)at, loses_tail ? ", tail lost" : "");
        } while (run_flow(&flows[i], kind, at++, loses_tail));
        int32_t least = kind == CRASH_AT_WRITE ? flows[i].writes_min : flows[i].answers_min;
        ENSURE(at - 2 >= least, "%lld crashes only", (long long)at - 2);
    }
}

START_TEST(a_coordinator_dies_at_any_write_of_any_flow) {
    sweep(CRASH_AT_WRITE, false);
}
END_TEST

START_TEST(a_coordinator_dies_at_any_write_and_what_was_not_replicated_is_lost) {
    sweep(CRASH_AT_WRITE, true);
}
END_TEST

START_TEST(a_coordinator_dies_at_any_answer_of_any_flow) {
    sweep(CRASH_AT_ANSWER, false);
}
END_TEST

START_TEST(a_coordinator_dies_at_any_answer_and_what_was_not_replicated_is_lost) {
    sweep(CRASH_AT_ANSWER, true);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(a_coordinator_dies_at_any_write_of_any_flow),
        TEST(a_coordinator_dies_at_any_write_and_what_was_not_replicated_is_lost),
        TEST(a_coordinator_dies_at_any_answer_of_any_flow),
        TEST(a_coordinator_dies_at_any_answer_and_what_was_not_replicated_is_lost),
    };
    return run_tests("group_crash", tests, ARRAY_SIZE(tests));
}
