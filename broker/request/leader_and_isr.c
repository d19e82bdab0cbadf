/* LeaderAndIsr: the controller says who leads and who follows; the replica manager obeys (zookeeper-mode.md 4.2).
 *
 * A topic's own settings are written before the topic, and no notification tells of them. They are read before a log of
 * it is made: a leader that served on the defaults for a moment would acknowledge below min.insync.replicas. While they
 * are being read nothing of the command is done; the controller sends no other before this one is answered, and
 * whatever a newer controller, or the same on a newer connection, commanded meanwhile refuses this one. */
#include "generated/protocol/leader_and_isr.h"

#include "broker/log/log_manager.h"
#include "broker/metadata/image.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/settings_wait.h"
#include "replication/fetch_session.h"
#include "replication/replica_manager.h"

#define TOPIC_NAME_BYTES_MAX 249

/* A coordinator that stays away longer than this costs the connection: the controller sends its command again. */
#define AWAIT_MS 20000

static void obey(struct request *request) {
    const struct leader_and_isr_request *message = request->message;
    struct leader_and_isr_response response;
    if (!replica_manager_hears(request->context->replicas, message->controller_epoch, request->connection)) {
        request_close_connection(request);
        return;
    }
    leader_and_isr_response_init(&response);
    replica_manager_leader_and_isr(request->context->replicas, message, request->header.api_version, &request->arena,
                                   &response);
    fetch_sessions_hurry(request->context->fetch_sessions, clock_now_ms(request->context->clock));
    request_answer(request, &response);
}

/* Without the settings nothing is done and nothing answered: an error would be the end of the command. */
static void on_settings(struct request *request, bool are_read) {
    if (are_read) {
        obey(request);
    } else {
        request_close_connection(request);
    }
}

/* Whether a log would be made. Names that no topic can have are refused later. */
static bool needs_log(struct request *request, struct str topic, int32_t partition) {
    struct log_manager *logs = request->context->logs;
    if (topic.size <= 0 || topic.size > TOPIC_NAME_BYTES_MAX || partition < 0) {
        return false;
    }
    const char *name = arena_str(&request->arena, topic).data;
    return log_manager_find(logs, name, partition) == NULL && !log_manager_is_offline(logs, name, partition);
}

static void await_all(struct settings_wait *wait, struct request *request) {
    const struct leader_and_isr_request *message = request->message;
    for (int32_t i = 0; i < message->topic_states_count; i++) {
        const struct leader_and_isr_request_leader_and_isr_topic_state *state = &message->topic_states[i];
        for (int32_t j = 0; j < state->partition_states_count; j++) {
            if (needs_log(request, state->topic_name, state->partition_states[j].partition_index)) {
                settings_wait_topic(wait, state->topic_name);
                break;
            }
        }
    }
    struct str last = STR_NULL;
    for (int32_t i = 0; i < message->ungrouped_partition_states_count; i++) {
        const struct leader_and_isr_request_leader_and_isr_partition_state *state =
            &message->ungrouped_partition_states[i];
        bool is_same = !str_is_null(last) && str_equal(last, state->topic_name);
        if (!is_same && needs_log(request, state->topic_name, state->partition_index)) {
            settings_wait_topic(wait, state->topic_name);
            last = state->topic_name;
        }
    }
}

void handle_leader_and_isr(struct request *request) {
    if (request->context->dynamic_config == NULL) {
        obey(request);
        return;
    }
    struct settings_wait *wait = settings_wait_begin(request, on_settings);
    await_all(wait, request);
    settings_wait_run(wait, AWAIT_MS);
}
