/* Any bytes as what a znode says: anybody with access to ZooKeeper may have written it. The first byte chooses the
 * kind; what decodes is encoded and read again. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/znode_codec.h"

/* Decodes into `value` and encodes it, twice; the two texts are equal. */
#define ROUND_TRIP(type, decode, encode)                                                                               \
    do {                                                                                                               \
        type value;                                                                                                    \
        int error = decode(data, &value);                                                                              \
        CHECK(error == 0 || error == ERR_CORRUPT);                                                                     \
        if (error == 0) {                                                                                              \
            struct slice first = encode(&arena, &value);                                                               \
            CHECK(decode(first, &value) == 0);                                                                         \
            struct slice second = encode(&arena, &value);                                                              \
            CHECK(first.size == second.size && memcmp(first.data, second.data, (size_t)first.size) == 0);              \
        }                                                                                                              \
    } while (0)

static struct arena arena;

static int decode_broker(struct slice data, struct znode_broker *ret) {
    return znode_decode_broker(&arena, data, ret);
}
static int decode_topic(struct slice data, struct znode_topic *ret) {
    return znode_decode_topic(&arena, data, ret);
}
static int decode_state(struct slice data, struct znode_partition_state *ret) {
    return znode_decode_partition_state(&arena, data, ret);
}
static int decode_config(struct slice data, struct znode_config *ret) {
    return znode_decode_config(&arena, data, ret);
}
static int decode_config_change(struct slice data, struct str *ret) {
    return znode_decode_config_change(&arena, data, ret);
}
static struct slice encode_config_change(struct arena *to, const struct str *path) {
    return znode_encode_config_change(to, *path);
}
static int decode_list(struct slice data, struct znode_partition_list *ret) {
    return znode_decode_partition_list(&arena, data, false, ret);
}
static int decode_reassignment(struct slice data, struct znode_partition_list *ret) {
    return znode_decode_partition_list(&arena, data, true, ret);
}
static int decode_feature(struct slice data, struct znode_feature *ret) {
    return znode_decode_feature(&arena, data, ret);
}
static int decode_cluster_id(struct slice data, struct str *ret) {
    return znode_decode_cluster_id(&arena, data, ret);
}
static struct slice encode_cluster_id(struct arena *to, const struct str *id) {
    return znode_encode_cluster_id(to, *id);
}
static struct slice encode_epoch(struct arena *to, const int32_t *epoch) {
    return znode_encode_controller_epoch(to, *epoch);
}
static struct slice encode_log_dir_event(struct arena *to, const int32_t *broker_id) {
    return znode_encode_log_dir_event(to, *broker_id);
}

static void try_kind(uint8_t kind, struct slice data) {
    switch (kind % 14) {
    case 0: ROUND_TRIP(struct znode_broker, decode_broker, znode_encode_broker); break;
    case 1: ROUND_TRIP(struct znode_controller, znode_decode_controller, znode_encode_controller); break;
    case 2: ROUND_TRIP(int32_t, znode_decode_controller_epoch, encode_epoch); break;
    case 3: ROUND_TRIP(struct znode_topic, decode_topic, znode_encode_topic); break;
    case 4: ROUND_TRIP(struct znode_partition_state, decode_state, znode_encode_partition_state); break;
    case 5: ROUND_TRIP(struct znode_config, decode_config, znode_encode_config); break;
    case 6: ROUND_TRIP(struct str, decode_config_change, encode_config_change); break;
    case 7: ROUND_TRIP(struct znode_partition_list, decode_list, znode_encode_isr_change); break;
    case 8: ROUND_TRIP(struct znode_partition_list, decode_list, znode_encode_preferred_replica_election); break;
    case 9: ROUND_TRIP(struct znode_partition_list, decode_reassignment, znode_encode_reassign_partitions); break;
    case 10: ROUND_TRIP(int32_t, znode_decode_log_dir_event, encode_log_dir_event); break;
    case 11:
        ROUND_TRIP(struct znode_producer_id_block, znode_decode_producer_id_block, znode_encode_producer_id_block);
        break;
    case 12: ROUND_TRIP(struct str, decode_cluster_id, encode_cluster_id); break;
    case 13: ROUND_TRIP(struct znode_feature, decode_feature, znode_encode_feature); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    arena_init(&arena, SIZE_MAX);
    try_kind(data[0], (struct slice){data + 1, (int32_t)size - 1});
    arena_deinit(&arena);
    return 0;
}
