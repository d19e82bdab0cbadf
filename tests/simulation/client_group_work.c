/* What a member does with the partitions it owns: goes on where the group has committed, reads one after the other,
 * takes its time to process, and commits. It finds leaders in the coordinator's tree, as of now. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/errors.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/offset_commit.h"
#include "generated/protocol/offset_fetch.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/client_group.h"
#include "tests/simulation/workload_batch.h"

#define VERSION_OFFSET_FETCH 8
#define VERSION_OFFSET_COMMIT 8
#define VERSION_FETCH 12
#define FETCH_BYTES 3000
#define COMMIT_NAME_BYTES 32

CLIENT_ENCODER(offset_fetch)
CLIENT_ENCODER(offset_commit)
CLIENT_ENCODER(fetch)

static void work(struct timer *timer);

static const struct topic *topic_of(const struct member *member, const struct owned *owned) {
    return topics_current(member->workload->world->topics, owned->slot);
}

static bool is_working(const struct member *member, int32_t generation) {
    return member->state == MEMBER_WORKS && member->generation == generation && !member->is_leaving;
}

void member_work(struct member *member) {
    member_later(member, &member->work_timer, BACKOFF_MS, work);
}

static struct owned *find_owned(struct member *member, struct str name, int32_t partition) {
    for (int32_t i = 0; i < member->owned_count; i++) {
        const struct topic *topic = topic_of(member, &member->owned[i]);
        if (member->owned[i].partition == partition && topic != NULL && str_equal_text(name, topic->name)) {
            return &member->owned[i];
        }
    }
    return NULL;
}

/* ---- Where to go on ---- */

static int16_t take_offsets(struct member *member, const struct offset_fetch_response_offset_fetch_response_group *of) {
    for (int32_t i = 0; i < of->topics_count; i++) {
        for (int32_t k = 0; k < of->topics[i].partitions_count; k++) {
            const struct offset_fetch_response_offset_fetch_response_partitions *part = &of->topics[i].partitions[k];
            struct owned *owned = find_owned(member, of->topics[i].name, part->partition_index);
            if (part->error_code != KAFKA_NONE) {
                return part->error_code;
            }
            if (owned != NULL) {
                owned->position = MAX(part->committed_offset, 0);
                owned->committed = part->committed_offset;
            }
        }
    }
    return KAFKA_NONE;
}

static void resume(struct timer *timer) {
    struct member *member = CONTAINER_OF(timer, struct member, work_timer);
    if (member->state == MEMBER_RESUMES && !member->is_calling) {
        member_resume(member);
    } else {
        member_work(member);
    }
}

static void on_offsets(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct offset_fetch_response response;
    int16_t code = KAFKA_NOT_COORDINATOR;
    member->is_calling = false;
    if (error == 0 &&
        offset_fetch_response_decode(&r, VERSION_OFFSET_FETCH, client_arena(member->workload), &response) == 0 &&
        response.groups_count == 1) {
        code = response.groups[0].error_code;
        code = code == KAFKA_NONE ? take_offsets(member, &response.groups[0]) : code;
    }
    timer_stop(member->clock, &member->work_timer);
    if (code == KAFKA_NONE) {
        member->state = MEMBER_WORKS;
        member->beaten_ms = 0;
        member_work(member);
        if (member->must_rejoin) {
            member_rejoin(member);
        }
    } else {
        member_later(member, &member->work_timer, BACKOFF_MS, resume);
        member_failed(member, code, "OffsetFetch");
    }
}

static void ask_offsets(struct member *member, transport_answer *on_answer) {
    char group[GROUP_NAME_BYTES];
    struct offset_fetch_request_offset_fetch_request_topics topics[OWNED_MAX];
    struct offset_fetch_request_offset_fetch_request_group asked;
    offset_fetch_request_offset_fetch_request_group_init(&asked);
    asked.group_id = str_from(member_group(member, group));
    asked.topics = topics;
    asked.topics_count = 0;
    for (int32_t i = 0; i < member->owned_count; i++) {
        const struct topic *topic = topic_of(member, &member->owned[i]);
        offset_fetch_request_offset_fetch_request_topics_init(&topics[i]);
        topics[i].name = str_from(topic->name);
        topics[i].partition_indexes = &member->owned[i].partition;
        topics[i].partition_indexes_count = 1;
        asked.topics_count++;
    }
    struct offset_fetch_request request;
    offset_fetch_request_init(&request);
    request.groups = &asked;
    request.groups_count = 1;
    request.require_stable = true;
    MEMBER_COORDINATOR_CALL(member, OFFSET_FETCH, offset_fetch, VERSION_OFFSET_FETCH, &request, CALL_TIMEOUT_MS,
                            on_answer);
}

void member_resume(struct member *member) {
    member->is_calling = true;
    ask_offsets(member, on_offsets);
}

static void on_looked(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    (void)error;
    (void)body;
    (void)size;
    member->is_looking = false;
}

static void look(struct member *member) {
    if (!member->is_looking && member->coordinator != 0 && member->owned_count > 0) {
        member->is_looking = true;
        ask_offsets(member, on_looked);
    }
}

/* ---- Committing ---- */

static void on_committed(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct offset_commit_response response;
    int16_t code = KAFKA_NOT_COORDINATOR;
    member->is_committing = false;
    if (error == 0 &&
        offset_commit_response_decode(&r, VERSION_OFFSET_COMMIT, client_arena(member->workload), &response) == 0) {
        code = KAFKA_NONE;
        for (int32_t i = 0; i < response.topics_count; i++) {
            for (int32_t k = 0; k < response.topics[i].partitions_count; k++) {
                int16_t one = response.topics[i].partitions[k].error_code;
                code = one == KAFKA_NONE ? code : one;
            }
        }
    }
    if (!is_working(member, member->committing_generation)) {
        return;
    }
    for (int32_t i = 0; code == KAFKA_NONE && i < member->owned_count; i++) {
        member->owned[i].committed = MAX(member->owned[i].committed, member->owned[i].sent);
    }
    if (code != KAFKA_NONE) {
        if (member->must_rejoin) {
            member->owned_count = 0; /* it is too late for that */
        }
        member_failed(member, code, "OffsetCommit");
    }
    if (member->must_rejoin) {
        member_rejoin(member);
    }
}

bool member_commit(struct member *member) {
    char group[GROUP_NAME_BYTES], name[COMMIT_NAME_BYTES];
    struct offset_commit_request_offset_commit_request_topic topics[OWNED_MAX];
    struct offset_commit_request_offset_commit_request_partition partitions[OWNED_MAX];
    struct offset_commit_request request;
    if (member->is_committing) {
        return true;
    }
    offset_commit_request_init(&request);
    request.topics = topics;
    request.topics_count = 0;
    snprintf(name, sizeof name, "%" PRIu64, member->commit_count + 1);
    for (int32_t i = 0; member->state == MEMBER_WORKS && i < member->owned_count; i++) {
        struct owned *owned = &member->owned[i];
        owned->sent = -1;
        if (owned->position <= MAX(owned->committed, 0)) {
            continue;
        }
        struct offset_commit_request_offset_commit_request_partition *part = &partitions[request.topics_count];
        offset_commit_request_offset_commit_request_partition_init(part);
        owned->sent = owned->position;
        part->partition_index = owned->partition;
        part->committed_offset = owned->position;
        part->committed_leader_epoch = -1;
        part->committed_metadata = str_from(name);
        offset_commit_request_offset_commit_request_topic_init(&topics[request.topics_count]);
        topics[request.topics_count].name = str_from(topic_of(member, owned)->name);
        topics[request.topics_count].partitions = part;
        topics[request.topics_count++].partitions_count = 1;
    }
    if (request.topics_count == 0 || member->coordinator == 0) {
        return false;
    }
    request.group_id = str_from(member_group(member, group));
    request.generation_id_or_member_epoch = member->generation;
    request.member_id = str_from(member->id);
    request.group_instance_id = member->instance[0] == '\0' ? STR_NULL : str_from(member->instance);
    member->commit_count++;
    member->is_committing = true;
    member->committing_generation = member->generation;
    MEMBER_COORDINATOR_CALL(member, OFFSET_COMMIT, offset_commit, VERSION_OFFSET_COMMIT, &request, CALL_TIMEOUT_MS,
                            on_committed);
    return true;
}

/* ---- Reading ---- */

static void ignore_batch(void *context, const struct record_batch *batch) {
    (void)context;
    (void)batch;
}

/* What the records are is for the other consumers to judge. */
static void ignore_record(void *context, int64_t position, int64_t offset, struct value value) {
    (void)context;
    (void)position;
    (void)offset;
    (void)value;
}

static void take_records(struct member *member, struct owned *owned, const struct fetch_response_partition_data *data) {
    const struct topic *topic = topic_of(member, owned);
    int64_t end = owned->position;
    if (!workload_batch_read(data->records, &end, ignore_batch, ignore_record, NULL)) {
        violate(member->workload->world, "corrupt", "%s-%d at %" PRId64 ": records that do not decode", topic->name,
                owned->partition, owned->position);
    }
    if (end > owned->position) {
        checkers_on_delivered(member->workload->checkers, member->group, topic, owned->partition, owned->position, end);
        owned->position = end;
    }
}

static void on_fetched(void *context, int error, const uint8_t *body, size_t size) {
    struct member *member = context;
    struct reader r = reader_of(body, size);
    struct fetch_response response;
    int64_t pause_ms = BACKOFF_MS;
    member->is_fetching = false;
    if (is_working(member, member->fetching_generation) && error == 0 &&
        fetch_response_decode(&r, VERSION_FETCH, client_arena(member->workload), &response) == 0 &&
        response.error_code == KAFKA_NONE && response.responses_count == 1 &&
        response.responses[0].partitions_count == 1 && member->fetching < member->owned_count) {
        const struct fetch_response_partition_data *data = &response.responses[0].partitions[0];
        if (data->error_code == KAFKA_NONE && data->diverging_epoch.end_offset < 0) {
            take_records(member, &member->owned[member->fetching], data);
            bool is_slow = data->records.size > 0 && !member->workload->is_settled;
            pause_ms = member_draw(member, 0, is_slow ? member_plan(member)->processing_ms : BACKOFF_MS / 2);
        }
    }
    timer_stop(member->clock, &member->work_timer);
    member_later(member, &member->work_timer, pause_ms, work);
}

static void fetch(struct member *member, int32_t index) {
    const struct owned *owned = &member->owned[index];
    const struct topic *topic = topic_of(member, owned);
    const struct topic_state *state = &topic->states[owned->partition];
    struct fetch_request_fetch_partition part;
    fetch_request_fetch_partition_init(&part);
    part.partition = owned->partition;
    part.current_leader_epoch = state->leader_epoch;
    part.fetch_offset = owned->position;
    part.last_fetched_epoch = -1;
    part.log_start_offset = -1;
    part.partition_max_bytes = FETCH_BYTES;
    struct fetch_request_fetch_topic to;
    fetch_request_fetch_topic_init(&to);
    to.topic = str_from(topic->name);
    to.partitions = &part;
    to.partitions_count = 1;
    struct fetch_request request;
    fetch_request_init(&request);
    request.replica_id = -1;
    request.max_wait_ms = 0;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.session_epoch = -1;
    request.topics = &to;
    request.topics_count = 1;
    request.forgotten_topics_data_count = 0;
    request.rack_id = STR_LITERAL("");
    member->is_fetching = true;
    member->fetching = index;
    member->fetching_generation = member->generation;
    transport_call(member->transport, state->leader, CHANNEL_FETCH, API_FETCH, VERSION_FETCH, &request,
                   fetch_request_encoded_size(&request, VERSION_FETCH), encode_fetch, CALL_TIMEOUT_MS, on_fetched,
                   member);
}

/* The next partition with something to read, -1 none. */
static int32_t next_turn(struct member *member) {
    const struct world *world = member->workload->world;
    for (int32_t i = 0; i < member->owned_count; i++) {
        int32_t index = (member->turn + i) % member->owned_count;
        const struct owned *owned = &member->owned[index];
        const struct topic *topic = topic_of(member, owned);
        if (topic != NULL && topic->states[owned->partition].leader > 0 &&
            owned->position < exposed_end(world->exposed, stream_of(topic, owned->partition))) {
            member->turn = index + 1;
            return index;
        }
    }
    return -1;
}

static void work(struct timer *timer) {
    struct member *member = CONTAINER_OF(timer, struct member, work_timer);
    bool works = is_working(member, member->generation) && !member->must_rejoin;
    int32_t index = works && !member->is_fetching ? next_turn(member) : -1;
    if (works && (index < 0 || member_draw(member, 0, 3) == 0)) {
        member_commit(member);
    }
    if (works && !member->workload->is_settled && member_draw(member, 0, 3) == 0) {
        look(member);
    }
    if (index >= 0) {
        fetch(member, index);
    }
    member_later(member, timer, index >= 0 ? CALL_TIMEOUT_MS : BACKOFF_MS, work);
}

bool member_is_done(const struct member *member, char *ret_why, int why_size) {
    const struct world *world = member->workload->world;
    for (int32_t i = 0; i < member->owned_count; i++) {
        const struct owned *owned = &member->owned[i];
        const struct topic *topic = topic_of(member, owned);
        int64_t end = exposed_end(world->exposed, stream_of(topic, owned->partition));
        if (owned->position < end || (end > 0 && owned->committed < end)) {
            snprintf(ret_why, (size_t)why_size,
                     "member %d of group %d has read %" PRId64 " and committed %" PRId64 " of %" PRId64 " in %s-%d",
                     member->number, member->group, owned->position, owned->committed, end, topic->name,
                     owned->partition);
            return false;
        }
    }
    return true;
}
