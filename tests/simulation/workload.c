/* See workload.h: the life of clients, and what all of them do alike. */
#include "tests/simulation/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/protocol/errors.h"
#include "tests/simulation/checkers/exposed.h"
#include "tests/simulation/client.h"

/* ---- what all of them do ---- */

void transport_call(struct transport *transport, int32_t broker, enum transport_channel channel, int16_t api_key,
                    int16_t version, const void *message, size_t size, encode_function *encode, int64_t timeout_ms,
                    transport_answer *on_answer, void *context) {
    uint8_t *body = xmalloc(size);
    struct encoder e = encoder_of(body, size);
    encode(message, version, &e);
    CHECK(!e.w.failed && writer_size(&e.w) == size);
    struct transport_request request = {
        .broker_id = broker,
        .channel = channel,
        .host = "sim",
        .port = 9092,
        .api_key = api_key,
        .api_version = version,
        .client_id = "client",
        .body = body,
        .body_size = size,
        .timeout_ms = timeout_ms,
        .on_answer = on_answer,
        .context = context,
    };
    transport_send(transport, &request);
    free(body);
}

int32_t client_any_broker(struct workload *workload) {
    return 1 + (int32_t)random_below(&workload->random, (uint64_t)workload->world->cluster->count);
}

struct arena *client_arena(struct workload *workload) {
    arena_reset(&workload->arena, SIZE_MAX);
    return &workload->arena;
}

int64_t client_draw(struct workload *workload, int64_t min, int64_t max) {
    return min + (int64_t)random_below(&workload->random, (uint64_t)(max - min) + 1);
}

void client_later(struct client *client, struct timer *timer, int64_t after_ms, timer_callback *on_fire) {
    if (!timer_is_running(timer)) {
        timer_start(client->clock, timer, after_ms, on_fire);
    }
}

bool client_error_is_passing(int16_t code) {
    return kafka_error_is_retriable(code) || code == KAFKA_FENCED_LEADER_EPOCH || code == KAFKA_UNKNOWN_LEADER_EPOCH ||
           code == KAFKA_UNKNOWN_TOPIC_ID || code == KAFKA_INCONSISTENT_TOPIC_ID;
}

struct topic *client_topic_of(const struct client_partition *partition) {
    const struct client *client = partition->client;
    int32_t index = client->topics[partition->slot].topic;
    return index < 0 ? NULL : topics_at(client->workload->world->topics, index);
}

bool client_asked_newest(const struct client_partition *partition) {
    const struct topic *topic = client_topic_of(partition);
    const struct topic_state *state = topic == NULL ? NULL : &topic->states[partition->partition];
    return state != NULL && topic_is_settled(topic) && state->is_known && state->leader == partition->asked_leader &&
           state->leader_epoch == partition->asked_epoch;
}

void client_partition_reset(struct client_partition *partition) {
    partition->leader = -1;
    partition->leader_epoch = -1;
    if (partition->client->kind == CLIENT_PRODUCER) {
        return; /* it brings its batch to the end first */
    }
    partition->is_stale = partition->is_in_flight;
    partition->position = 0;
    if (partition->session_broker != 0) {
        partition->client->links[partition->session_broker].must_restart = true;
        partition->session_broker = 0;
    }
    partition->is_final = partition->client->workload->is_settled && partition->client->kind == CLIENT_CONSUMER &&
                          partition->client->number == 0;
}

/* ---- the whole ---- */

static void add_client(struct workload *workload, enum client_kind kind, int32_t number) {
    struct cluster *cluster = workload->world->cluster;
    CHECK(workload->client_count < CLIENTS_MAX);
    struct client *client = &workload->clients[workload->client_count];
    client->workload = workload;
    client->node = CLUSTER_CLIENT_NODE + workload->client_count++;
    CHECK(client->node < SIM_NODES_MAX);
    client->kind = kind;
    client->number = number;
    client->producer_id = -1;
    client->clock = sim_clock_create(cluster->sim, 0);
    sim_clock_set_outside(client->clock);
    sim_network_join(cluster->network, client->node, client->clock);
    client->transport = sim_transport_create(cluster->network, client->node);
    for (int32_t slot = 0; slot < PLAN_TOPICS_MAX; slot++) {
        client->topics[slot].topic = -1;
        for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
            client->topics[slot].partitions[p] = (struct client_partition){
                .client = client, .slot = slot, .partition = p, .topic = -1, .leader = -1, .leader_epoch = -1};
        }
    }
    for (int32_t broker = 1; broker <= CLUSTER_BROKERS_MAX; broker++) {
        client->links[broker] = (struct fetch_link){.client = client, .broker = broker};
    }
}

struct workload *workload_create(struct world *world, struct checkers *checkers) {
    struct workload *workload = xcalloc(1, sizeof *workload);
    workload->world = world;
    workload->checkers = checkers;
    random_seed(&workload->random, plan_seed(world->plan->seed, STREAM_WORKLOAD, 0));
    arena_init(&workload->arena, SIZE_MAX);
    for (int32_t i = 0; i < world->plan->producer_count; i++) {
        add_client(workload, CLIENT_PRODUCER, i);
    }
    for (int32_t i = 0; i < world->plan->consumer_count; i++) {
        add_client(workload, CLIENT_CONSUMER, i);
    }
    add_client(workload, CLIENT_ADMIN, 0);
    workload->admin = &workload->clients[workload->client_count - 1];
    groups_create(workload);
    workload->mover = mover_create(workload);
    workload->dir_mover = dir_mover_create(workload);
    return workload;
}

void workload_start(struct workload *workload) {
    for (int32_t i = 0; i < workload->client_count; i++) {
        struct client *client = &workload->clients[i];
        switch (client->kind) {
        case CLIENT_PRODUCER: client_begin_producer(client); break;
        case CLIENT_CONSUMER: client_begin_consumer(client); break;
        case CLIENT_ADMIN: client_begin_admin(client); break;
        }
    }
    groups_start(workload);
    mover_start(workload->mover);
    dir_mover_start(workload->dir_mover);
}

void workload_destroy(struct workload *workload) {
    groups_destroy(workload);
    for (int32_t i = 0; i < workload->client_count; i++) {
        struct client *client = &workload->clients[i];
        sim_network_leave(workload->world->cluster->network, client->node);
        sim_clock_kill(client->clock);
        sim_clock_destroy(client->clock);
        sim_transport_destroy(client->transport);
    }
    mover_destroy(workload->mover);
    dir_mover_destroy(workload->dir_mover);
    arena_deinit(&workload->arena);
    free(workload);
}

int32_t workload_client_count(const struct workload *workload) {
    return workload->client_count + workload->member_count; /* on nodes one after the other */
}

bool workload_has_topics(const struct workload *workload) {
    for (int32_t slot = 0; slot < workload->world->plan->topic_count; slot++) {
        const struct topic *topic = topics_current(workload->world->topics, slot);
        if (topic == NULL || topic->is_deleting || topic->partition_count == 0) {
            return false;
        }
        for (int32_t p = 0; p < topic->partition_count; p++) {
            if (!topic->states[p].is_known) {
                return false;
            }
        }
    }
    return true;
}

void workload_meddle(struct workload *workload) {
    workload->is_meddling = true;
}

void workload_settle(struct workload *workload) {
    workload->is_meddling = false;
    workload->is_settled = true;
    groups_settle(workload);
    for (int32_t i = 0; i < workload->client_count; i++) {
        struct client *client = &workload->clients[i];
        for (int32_t slot = 0; client->kind == CLIENT_CONSUMER && client->number == 0 && slot < PLAN_TOPICS_MAX;
             slot++) {
            for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
                /* A seek; a log that begins later says so. */
                struct client_partition *partition = &client->topics[slot].partitions[p];
                partition->is_stale = partition->is_in_flight;
                partition->position = 0;
                partition->is_final = true;
            }
        }
    }
}

static bool is_done(const struct client *client, const struct topic *topic, int32_t p, char *ret_why, int why_size) {
    const struct world *world = client->workload->world;
    const struct client_partition *partition = &client->topics[topic->slot].partitions[p];
    if (client->topics[topic->slot].topic != topic->index) {
        snprintf(ret_why, (size_t)why_size, "client %d does not know of the %s of now", client->node, topic->name);
        return false;
    }
    if (client->kind == CLIENT_PRODUCER &&
        (partition->topic != topic->index || partition->next_number < world->plan->records_per_partition)) {
        snprintf(ret_why, (size_t)why_size,
                 "producer %d has sent %" PRId64 " of %" PRId64 " to %s-%d, leader %d epoch %d", client->number,
                 partition->next_number, world->plan->records_per_partition, topic->name, p, partition->leader,
                 partition->leader_epoch);
        return false;
    }
    if (client->kind == CLIENT_CONSUMER && partition->position < exposed_end(world->exposed, stream_of(topic, p))) {
        snprintf(ret_why, (size_t)why_size, "consumer %d is at %" PRId64 " of %" PRId64 " in %s-%d, leader %d epoch %d",
                 client->number, partition->position, exposed_end(world->exposed, stream_of(topic, p)), topic->name, p,
                 partition->leader, partition->leader_epoch);
        return false;
    }
    return true;
}

bool workload_is_done(const struct workload *workload, char *ret_why, int why_size) {
    if (!workload_has_topics(workload)) {
        snprintf(ret_why, (size_t)why_size, "not every topic is there");
        return false;
    }
    for (int32_t slot = 0; slot < workload->world->plan->topic_count; slot++) {
        const struct topic *topic = topics_current(workload->world->topics, slot);
        for (int32_t i = 0; i < workload->client_count; i++) {
            for (int32_t p = 0; p < topic->partition_count; p++) {
                const struct client *client = &workload->clients[i];
                if (client->kind != CLIENT_ADMIN && !is_done(client, topic, p, ret_why, why_size)) {
                    return false;
                }
            }
        }
    }
    return groups_are_done(workload, ret_why, why_size);
}
