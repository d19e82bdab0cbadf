/* The fetching itself: one request under way per broker, whoever answers first is read first. */
#include "tools/client/consumer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tools/client/consumer_internal.h"

#define RETRY_PAUSE_MS 100
#define CONNECT_MS_MIN 1000 /* the poll may end in a moment, for a heartbeat; no broker is given up for that */

void consumer_init(struct consumer *consumer, struct client *client, const struct consumer_settings *settings,
                   consumer_callback *on_record, void *context) {
    *consumer = (struct consumer){
        .client = client,
        .settings = *settings,
        .on_record = on_record,
        .context = context,
        .metadata_stale = true,
        .workspace = record_workspace_create(),
    };
    arena_init(&consumer->arena, SIZE_MAX);
}

void consumer_deinit(struct consumer *consumer) {
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        free(consumer->partitions[i]->topic);
        free(consumer->partitions[i]);
    }
    for (int32_t i = 0; i < consumer->fetcher_count; i++) {
        broker_connection_close(&consumer->fetchers[i]->connection);
        free(consumer->fetchers[i]);
    }
    free(consumer->partitions);
    free(consumer->fetchers);
    record_workspace_destroy(consumer->workspace);
    arena_deinit(&consumer->arena);
    *consumer = (struct consumer){0};
}

static struct fetcher *find_fetcher(struct consumer *consumer, int32_t node_id) {
    for (int32_t i = 0; i < consumer->fetcher_count; i++) {
        if (consumer->fetchers[i]->node_id == node_id) {
            return consumer->fetchers[i];
        }
    }
    struct fetcher *fetcher = xcalloc(1, sizeof *fetcher);
    fetcher->node_id = node_id;
    broker_connection_init(&fetcher->connection, consumer->client->settings.client_id,
                           consumer->client->settings.cancel_fd);
    consumer->fetchers =
        xrealloc(consumer->fetchers, ((size_t)consumer->fetcher_count + 1) * sizeof *consumer->fetchers);
    consumer->fetchers[consumer->fetcher_count++] = fetcher;
    return fetcher;
}

static int32_t source_of(const struct consumer_partition *partition) {
    return partition->preferred_replica >= 0 ? partition->preferred_replica : partition->leader;
}

/* A broker that cannot be asked: its partitions wait for news. */
static void lose_fetcher(struct consumer *consumer, struct fetcher *fetcher) {
    broker_connection_close(&fetcher->connection);
    fetcher->is_waiting = false;
    consumer_doubt_metadata(consumer);
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        struct consumer_partition *partition = consumer->partitions[i];
        if (partition->preferred_replica == fetcher->node_id) {
            partition->preferred_replica = -1;
        }
        if (partition->leader == fetcher->node_id) {
            partition->leader = -1;
        }
    }
}

/* The request for every partition that is read from this broker. Topics are named once per partition, which the
 * protocol allows and no broker minds; a tool reads few. */
static int32_t build_request(struct consumer *consumer, const struct fetcher *fetcher, struct fetch_request *ret,
                             bool *ret_ids_known) {
    fetch_request_init(ret);
    ret->replica_id = -1;
    ret->max_wait_ms = consumer->settings.max_wait_ms;
    ret->min_bytes = consumer->settings.min_bytes;
    ret->max_bytes = consumer->settings.max_bytes;
    ret->isolation_level = consumer->settings.read_committed;
    ret->rack_id = str_from(consumer->settings.rack);
    ret->topics = ARENA_ARRAY(&consumer->arena, struct fetch_request_fetch_topic, consumer->partition_count + 1);
    struct fetch_request_fetch_partition *partitions =
        ARENA_ARRAY(&consumer->arena, struct fetch_request_fetch_partition, consumer->partition_count + 1);
    *ret_ids_known = true;
    int32_t count = 0;
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        const struct consumer_partition *partition = consumer->partitions[i];
        if (source_of(partition) != fetcher->node_id || partition->offset < 0) {
            continue;
        }
        struct fetch_request_fetch_topic *topic = ret->topics_count > 0 ? &ret->topics[ret->topics_count - 1] : NULL;
        if (topic == NULL || !str_equal_text(topic->topic, partition->topic)) {
            topic = &ret->topics[ret->topics_count++];
            fetch_request_fetch_topic_init(topic);
            topic->topic = str_from(partition->topic);
            topic->topic_id = partition->topic_id;
            topic->partitions = &partitions[count];
        }
        struct fetch_request_fetch_partition *entry = &partitions[count++];
        fetch_request_fetch_partition_init(entry);
        topic->partitions_count++;
        entry->partition = partition->index;
        entry->current_leader_epoch = partition->leader_epoch;
        entry->fetch_offset = partition->offset;
        entry->partition_max_bytes = consumer->settings.partition_max_bytes;
        *ret_ids_known = *ret_ids_known && !uuid_is_zero(partition->topic_id);
    }
    return count;
}

static int start_fetch(struct consumer *consumer, struct fetcher *fetcher, int64_t deadline_ms) {
    struct fetch_request request;
    bool ids_known;
    if (fetcher->is_waiting || build_request(consumer, fetcher, &request, &ids_known) == 0) {
        return 0;
    }
    struct client_node *node = client_find_node(consumer->client, fetcher->node_id);
    int64_t connect_deadline_ms = MAX(deadline_ms, monotonic_ms() + CONNECT_MS_MIN);
    int error = node == NULL ? ERR_DISCONNECTED
                             : client_connect(consumer->client, node, &fetcher->connection, connect_deadline_ms);
    if (error == 0) {
        error = fetch_version(&fetcher->connection, ids_known, &fetcher->version);
    }
    if (error == 0) {
        fetcher->deadline_ms =
            monotonic_ms() + consumer->settings.max_wait_ms + consumer->client->settings.request_timeout_ms;
        error = fetch_send(&fetcher->connection, &request, fetcher->version, fetcher->deadline_ms);
    }
    if (error == ERR_CLOSING) {
        return error;
    }
    if (error != 0) {
        lose_fetcher(consumer, fetcher);
        return 0;
    }
    fetcher->is_waiting = true;
    return 0;
}

static struct consumer_partition *find_answered(struct consumer *consumer, const struct fetcher *fetcher,
                                                const struct fetch_response_fetchable_topic_response *topic,
                                                int32_t index) {
    for (int32_t i = 0; i < consumer->partition_count; i++) {
        struct consumer_partition *partition = consumer->partitions[i];
        bool is_topic = str_is_null(topic->topic) || topic->topic.size == 0
                            ? uuid_equal(partition->topic_id, topic->topic_id)
                            : str_equal_text(topic->topic, partition->topic);
        if (is_topic && partition->index == index && source_of(partition) == fetcher->node_id) {
            return partition;
        }
    }
    return NULL;
}

static int take_partition(struct consumer *consumer, struct consumer_partition *partition,
                          const struct fetch_response_partition_data *data, int64_t *ret_count,
                          struct failure *failure) {
    if (data->error_code == KAFKA_OFFSET_OUT_OF_RANGE) {
        if (partition->preferred_replica >= 0) {
            partition->preferred_replica = -1; /* the follower may only be behind */
        } else {
            partition->offset = consumer->settings.reset_offset;
        }
        return 0;
    }
    if (data->error_code != 0) {
        if (!kafka_error_is_retriable(data->error_code)) {
            return failure_set_code(failure, data->error_code, STR_NULL);
        }
        if (partition->preferred_replica < 0) {
            partition->leader = -1; /* not asked again before there is news: it would only say the same, at once */
        }
        partition->preferred_replica = -1;
        consumer_doubt_metadata(consumer);
        return 0;
    }
    if (data->preferred_read_replica >= 0 && client_find_node(consumer->client, data->preferred_read_replica) != NULL) {
        partition->preferred_replica = data->preferred_read_replica;
    }
    return consumer_take_records(consumer, partition, data, ret_count, failure);
}

static int take_answer(struct consumer *consumer, struct fetcher *fetcher, int64_t *ret_count,
                       struct failure *failure) {
    struct fetch_response response;
    fetcher->is_waiting = false;
    int error = fetch_take(&fetcher->connection, fetcher->version, &consumer->arena, &response);
    if (error == 0 && response.error_code != 0) {
        error = ERR_DISCONNECTED;
    }
    if (error != 0) {
        lose_fetcher(consumer, fetcher);
        return 0;
    }
    for (int32_t i = 0; i < response.responses_count; i++) {
        const struct fetch_response_fetchable_topic_response *topic = &response.responses[i];
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            struct consumer_partition *partition =
                find_answered(consumer, fetcher, topic, topic->partitions[j].partition_index);
            if (partition == NULL) {
                continue;
            }
            error = take_partition(consumer, partition, &topic->partitions[j], ret_count, failure);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

/* Waits for any answer, the user, or a time. 0, ERR_CLOSING. */
static int wait_for_answers(struct consumer *consumer, int64_t deadline_ms) {
    struct pollfd *fds = ARENA_ARRAY(&consumer->arena, struct pollfd, consumer->fetcher_count + 1);
    int64_t until_ms = deadline_ms;
    bool is_idle = true;
    for (int32_t i = 0; i < consumer->fetcher_count; i++) {
        const struct fetcher *fetcher = consumer->fetchers[i];
        fds[i] = (struct pollfd){.fd = fetcher->is_waiting ? fetcher->connection.fd : -1, .events = POLLIN};
        until_ms = fetcher->is_waiting ? MIN(until_ms, fetcher->deadline_ms) : until_ms;
        is_idle = is_idle && !fetcher->is_waiting;
    }
    int64_t now = monotonic_ms();
    if (is_idle || (consumer->metadata_stale && consumer->retry_at_ms > now)) {
        until_ms = MIN(until_ms, MAX(consumer->retry_at_ms, now + RETRY_PAUSE_MS));
    }
    fds[consumer->fetcher_count] = (struct pollfd){.fd = consumer->client->settings.cancel_fd, .events = POLLIN};
    int64_t left = MIN(MAX(until_ms - now, 0), 3600000);
    int ready = poll(fds, (nfds_t)consumer->fetcher_count + 1, (int)left);
    if (ready < 0 && errno != EINTR) {
        return ERR_IO;
    }
    return ready > 0 && fds[consumer->fetcher_count].revents != 0 ? ERR_CLOSING : 0;
}

/* Reads what has come from each broker; an answer overdue costs its connection. */
static int take_answers(struct consumer *consumer, int64_t *ret_count, struct failure *failure) {
    for (int32_t i = 0; i < consumer->fetcher_count; i++) {
        struct fetcher *fetcher = consumer->fetchers[i];
        if (!fetcher->is_waiting) {
            continue;
        }
        int ready = broker_connection_poll_answer(&fetcher->connection);
        if (ready == 1) {
            int error = take_answer(consumer, fetcher, ret_count, failure);
            if (error != 0) {
                return error;
            }
        } else if (ready < 0 || fetcher->deadline_ms <= monotonic_ms()) {
            lose_fetcher(consumer, fetcher);
        }
    }
    return 0;
}

int consumer_poll(struct consumer *consumer, int64_t deadline_ms, struct failure *failure) {
    int64_t count = 0;
    while (count == 0) {
        arena_reset(&consumer->arena, SIZE_MAX);
        int error = consumer_prepare(consumer, deadline_ms, failure);
        if (error == ERR_TIMED_OUT) {
            return 0;
        }
        for (int32_t i = 0; error == 0 && i < consumer->partition_count; i++) {
            if (source_of(consumer->partitions[i]) >= 0) {
                find_fetcher(consumer, source_of(consumer->partitions[i]));
            }
        }
        for (int32_t i = 0; error == 0 && i < consumer->fetcher_count; i++) {
            error = start_fetch(consumer, consumer->fetchers[i], deadline_ms);
        }
        error = error != 0 ? error : wait_for_answers(consumer, deadline_ms);
        error = error != 0 ? error : take_answers(consumer, &count, failure);
        if (error != 0) {
            return error;
        }
        if (monotonic_ms() >= deadline_ms) {
            break;
        }
    }
    return 0;
}
