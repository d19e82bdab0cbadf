/* How clients find leaders: Metadata from any broker, now and then and after every error. A newer incarnation of a
 * topic replaces an older, a leader epoch only an older one: brokers may be behind. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/protocol/api_keys.h"
#include "generated/protocol/metadata.h"
#include "tests/simulation/client.h"

#define VERSION_METADATA 12

CLIENT_ENCODER(metadata)

static void ask_metadata(struct timer *timer);

static void take_topic(struct client *client, const struct metadata_response_metadata_response_topic *from) {
    const struct topic *topic = topics_by_id(client->workload->world->topics, from->topic_id);
    if (from->error_code != 0 || topic == NULL || topic->slot >= PLAN_TOPICS_MAX) {
        return;
    }
    struct client_topic *to = &client->topics[topic->slot];
    if (topic->index < to->topic) {
        return;
    }
    if (topic->index > to->topic) {
        to->topic = topic->index;
        to->partition_count = 0;
        for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
            client_partition_reset(&to->partitions[p]);
        }
    }
    for (int32_t i = 0; i < from->partitions_count; i++) {
        const struct metadata_response_metadata_response_partition *found = &from->partitions[i];
        CHECK(found->partition_index >= 0 && found->partition_index < PARTITIONS_MAX);
        struct client_partition *partition = &to->partitions[found->partition_index];
        to->partition_count = MAX(to->partition_count, found->partition_index + 1);
        if (found->leader_epoch >= partition->leader_epoch) {
            if (found->leader_id != partition->leader) {
                trace_debug("client",
                            "client %d: broker %d says that %s-%d is led by %d in epoch %d, was %d in epoch %d",
                            client->node, client->asked_broker, topic->name, found->partition_index, found->leader_id,
                            found->leader_epoch, partition->leader, partition->leader_epoch);
            }
            partition->leader = found->leader_id;
            partition->leader_epoch = found->leader_epoch;
        }
        if (client->kind == CLIENT_PRODUCER) {
            client_later(client, &partition->timer, 0, client_go_on_producing);
        }
    }
}

static void on_metadata(void *context, int error, const uint8_t *body, size_t size) {
    struct client *client = context;
    struct workload *workload = client->workload;
    struct reader r = reader_of(body, size);
    struct metadata_response response;
    client->is_asking = false;
    if (error == 0 && metadata_response_decode(&r, VERSION_METADATA, client_arena(workload), &response) == 0) {
        struct machine *machine = cluster_machine(workload->world->cluster, client->asked_broker);
        if (client->asked_incarnation == machine->incarnation) { /* else nobody knows which life it was */
            checkers_on_metadata(workload->checkers, client->node, machine, machine->incarnation, &response);
        }
        for (int32_t i = 0; i < response.topics_count; i++) {
            take_topic(client, &response.topics[i]);
        }
        if (client->kind == CLIENT_CONSUMER) {
            client_kick_consumer(client);
        }
    } else {
        client->wants_metadata = true;
    }
    client_later(client, &client->metadata_timer, client->wants_metadata ? BACKOFF_MS : METADATA_MAX_AGE_MS,
                 ask_metadata);
    client->wants_metadata = false;
}

static void ask_metadata(struct timer *timer) {
    struct client *client = CONTAINER_OF(timer, struct client, metadata_timer);
    struct metadata_request_metadata_request_topic topics[PLAN_TOPICS_MAX];
    char names[PLAN_TOPICS_MAX][16];
    struct metadata_request request;
    metadata_request_init(&request);
    request.topics = topics;
    request.topics_count = client->workload->world->plan->topic_count;
    for (int32_t slot = 0; slot < request.topics_count; slot++) {
        topic_name(slot, names[slot]);
        metadata_request_metadata_request_topic_init(&topics[slot]);
        topics[slot].name = str_from(names[slot]);
    }
    request.allow_auto_topic_creation = false;
    client->is_asking = true;
    client->asked_broker = client_any_broker(client->workload);
    client->asked_incarnation = cluster_machine(client->workload->world->cluster, client->asked_broker)->incarnation;
    CLIENT_CALL(client, client->asked_broker, METADATA, metadata, VERSION_METADATA, &request, on_metadata, client);
}

void client_refresh(struct client *client) {
    if (client->is_asking) {
        client->wants_metadata = true;
    } else if (!timer_is_running(&client->metadata_timer) ||
               client->metadata_timer.deadline_ms > clock_now_ms(client->clock) + BACKOFF_MS / 2) {
        timer_start(client->clock, &client->metadata_timer, BACKOFF_MS / 2, ask_metadata);
    }
}

void client_begin_metadata(struct client *client) {
    client_later(client, &client->metadata_timer, 0, ask_metadata);
}
