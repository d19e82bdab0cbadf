/* Placement of new partitions on the brokers the image shows alive. */
#include "broker/base/check.h"
#include "broker/base/placement.h"
#include "broker/base/random.h"
#include "broker/protocol/errors.h"
#include "broker/request/topic_admin_internal.h"

#define REFUSE(arena, code, ...) ((struct topic_verdict){(code), arena_printf((arena), __VA_ARGS__)})

static struct topic_verdict check_numbers(int32_t partition_count, int32_t replication_factor, int32_t broker_count,
                                          struct arena *arena) {
    if (partition_count <= 0) {
        return REFUSE(arena, KAFKA_INVALID_PARTITIONS, "Number of partitions must be larger than 0.");
    }
    if (partition_count > TOPIC_PARTITIONS_MAX) {
        return REFUSE(arena, KAFKA_INVALID_PARTITIONS, "Number of partitions must not be larger than %d.",
                      TOPIC_PARTITIONS_MAX);
    }
    if (replication_factor <= 0) {
        return REFUSE(arena, KAFKA_INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0.");
    }
    if (replication_factor > broker_count) {
        return REFUSE(arena, KAFKA_INVALID_REPLICATION_FACTOR,
                      "Replication factor: %d larger than available brokers: %d.", replication_factor, broker_count);
    }
    return (struct topic_verdict){KAFKA_NONE, STR_NULL};
}

struct topic_verdict topic_admin_place(struct topic_admin *admin, int32_t partition_count, int32_t replication_factor,
                                       int32_t start_index, int32_t first_partition, struct arena *arena,
                                       struct znode_topic *ret) {
    int32_t broker_count;
    const struct image_broker *alive = image_brokers(admin->image, &broker_count);
    struct topic_verdict verdict = check_numbers(partition_count, replication_factor, broker_count, arena);
    if (verdict.error_code != KAFKA_NONE) {
        return verdict;
    }
    struct placement_broker *brokers = ARENA_ARRAY(arena, struct placement_broker, broker_count);
    for (int32_t i = 0; i < broker_count; i++) {
        brokers[i] = (struct placement_broker){alive[i].id, alive[i].rack};
    }
    int32_t start = start_index;
    int32_t shift = start_index;
    if (start_index < 0) {
        start = (int32_t)random_below(&admin->random, (uint64_t)broker_count);
        shift = (int32_t)random_below(&admin->random, (uint64_t)broker_count);
    }
    int32_t *replicas = ARENA_ARRAY(arena, int32_t, (int64_t)partition_count * replication_factor);
    if (placement_assign(brokers, broker_count, partition_count, replication_factor, first_partition, start, shift,
                         replicas) != 0) {
        return REFUSE(arena, KAFKA_UNKNOWN_SERVER_ERROR,
                      "Not all brokers have rack information for replica rack aware assignment.");
    }
    ret->partition_count = partition_count;
    ret->partitions = ARENA_ARRAY(arena, struct znode_topic_partition, partition_count);
    for (int32_t i = 0; i < partition_count; i++) {
        ret->partitions[i] = (struct znode_topic_partition){
            .partition = first_partition + i,
            .replicas = replicas + (int64_t)i * replication_factor,
            .replica_count = replication_factor,
        };
    }
    return verdict;
}
