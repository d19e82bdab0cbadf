/* A consumer of assigned partitions: finds leaders and offsets, fetches from all leaders at once and hands out records
 * one by one. Groups are group.h.
 *
 * Fetches run on connections of their own, so that a long poll never stands in the way of metadata. Nothing runs in the
 * background: consumer_poll() does everything. */
#ifndef OTTLA_TOOLS_CLIENT_CONSUMER_H
#define OTTLA_TOOLS_CLIENT_CONSUMER_H

#include "broker/protocol/record_batch.h"
#include "tools/client/client.h"
#include "tools/topic_filter.h"

#define CONSUMER_OFFSET_LATEST (-1)
#define CONSUMER_OFFSET_EARLIEST (-2)
#define CONSUMER_OFFSET_NONE (-3) /* auto.offset.reset=none */

enum consumer_timestamp { CONSUMER_NO_TIMESTAMP, CONSUMER_CREATE_TIME, CONSUMER_LOG_APPEND_TIME };

struct consumer_record {
    struct str topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    enum consumer_timestamp timestamp_type;
    struct slice key;
    struct slice value;
    int32_t header_count;
    struct reader headers; /* encoded as in the record: key and value, each with its length as varint */
};

/* Anything but 0 stops the poll, which returns it. The record lives for the call. */
typedef int consumer_callback(void *context, const struct consumer_record *record);

struct consumer_settings {
    const char *topic;                 /* one topic, or */
    const struct topic_filter *filter; /* all that match */
    int32_t partition;                 /* -1 for all */
    int64_t start_offset;              /* a number, or one of the three above */
    int64_t reset_offset;              /* where to go on when an offset is out of range */
    bool read_committed;
    bool exclude_internal; /* of what the filter matches */
    bool auto_create;
    bool by_assignment; /* reads what consumer_assign() says, of whatever topic */
    bool check_crcs;
    const char *rack; /* "" for none */
    int32_t max_wait_ms;
    int32_t min_bytes;
    int32_t max_bytes;
    int32_t partition_max_bytes;
    int64_t metadata_max_age_ms;
};

struct consumer_partition {
    char *topic;
    struct uuid topic_id;
    int32_t index;
    int32_t leader; /* -1 none */
    int32_t leader_epoch;
    int32_t preferred_replica; /* -1: read from the leader (KIP-392) */
    int64_t offset;            /* next to read; negative: to be looked up */
};

/* A connection for fetches to one broker. */
struct fetcher {
    int32_t node_id;
    struct broker_connection connection;
    bool is_waiting; /* for an answer */
    int16_t version;
    int64_t deadline_ms;
};

struct consumer {
    struct client *client;
    struct consumer_settings settings;
    consumer_callback *on_record;
    void *context;
    struct consumer_partition **partitions;
    int32_t partition_count;
    struct fetcher **fetchers;
    int32_t fetcher_count;
    int64_t metadata_at_ms;
    int64_t retry_at_ms; /* no look for metadata or offsets before this */
    bool metadata_stale;
    bool has_metadata;
    int16_t logged_code; /* the topic's error that was last logged */
    struct record_workspace *workspace;
    struct arena arena;
};

void consumer_init(struct consumer *consumer, struct client *client, const struct consumer_settings *settings,
                   consumer_callback *on_record, void *context);
void consumer_deinit(struct consumer *consumer);

/* By assignment: begins with one more partition at this offset; without a topic everything is dropped. */
void consumer_assign(struct consumer *consumer, const struct str *topic, int32_t partition, int64_t offset);
/* Whether the settings ask for this topic, by name or by pattern. */
bool consumer_wants(const struct consumer *consumer, struct str topic);

/* Works until records have been handed out or the deadline has come. Returns 0; ERR_CLOSING for the user's interrupt;
 * what the callback returned; ERR_INVALID with the failure set when there is no going on. */
int consumer_poll(struct consumer *consumer, int64_t deadline_ms, struct failure *failure);

#endif
