/* Which partition of __consumer_offsets a group belongs to, and how many there are: the topic's node says so, as it
 * does to Kafka's coordinator. The image may know fewer, and a group must never change its partition. */
#include "broker/base/check.h"
#include "broker/group/group_runtime_internal.h"

int32_t group_partition_of(struct str key, int32_t partition_count) {
    /* Java's hash goes over UTF-16 units. */
    uint32_t hash = 0;
    const uint8_t *at = (const uint8_t *)key.data;
    const uint8_t *end = at + MAX(key.size, 0);
    while (at < end) {
        uint32_t c = *at++;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        c = more == 0 ? c : c & (0x3fU >> more);
        for (; more > 0 && at < end; more--) {
            c = c << 6 | (*at++ & 0x3fU);
        }
        if (c >= 0x10000) {
            hash = 31 * hash + (0xd800U + ((c - 0x10000) >> 10));
            c = 0xdc00U + ((c - 0x10000) & 0x3ffU);
        }
        hash = 31 * hash + c;
    }
    int32_t signed_hash = (int32_t)hash;
    int32_t positive = signed_hash == INT32_MIN ? 0 : signed_hash < 0 ? -signed_hash : signed_hash;
    return positive % partition_count;
}

void group_runtime_ask_partition_count(struct group_runtime *runtime) {
    if (runtime->config.ask_partition_count != NULL && !runtime->is_asking_count) {
        runtime->is_asking_count = true;
        runtime->config.ask_partition_count(runtime->config.context);
    }
}

void group_runtime_set_partition_count(struct group_runtime *runtime, struct uuid topic_id, int32_t count) {
    runtime->is_asking_count = false;
    runtime->partition_count = count;
    runtime->counted_topic_id = topic_id;
}

int32_t group_runtime_partition(struct group_runtime *runtime, struct str group_id) {
    const struct image_topic *topic = image_topic(runtime->image, STR_LITERAL(GROUP_TOPIC));
    /* A controller that takes over names partitions to their leaders before it tells of topics: with a shard here the
     * topic is there, whatever the image knows. */
    bool is_there = topic != NULL || runtime->shards != NULL;
    if (!is_there || runtime->config.ask_partition_count == NULL) {
        return group_partition_of(group_id, topic != NULL ? topic->partition_count : runtime->config.topic_partitions);
    }
    bool is_another_topic = topic != NULL && !uuid_is_zero(topic->id) && !uuid_is_zero(runtime->counted_topic_id) &&
                            !uuid_equal(topic->id, runtime->counted_topic_id);
    if (runtime->partition_count == 0 || is_another_topic) {
        group_runtime_ask_partition_count(runtime);
        return -1;
    }
    return group_partition_of(group_id, runtime->partition_count);
}
