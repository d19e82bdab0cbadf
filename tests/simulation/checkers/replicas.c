/* See replicas.h. */
#include "tests/simulation/checkers/replicas.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/broker_internal.h"
#include "broker/protocol/record_batch.h"
#include "coordinator-client/znode_codec.h"
#include "replication/replica_manager_internal.h"
#include "tests/simulation/checkers/history.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/workload.h"

#define EPOCHS_MAX 4096

struct committed_batch {
    int64_t base_offset;
    int64_t last_offset;
    int32_t leader_epoch;
    uint32_t crc;
};

struct committed {
    struct committed_batch *batches;
    int32_t count;
    int32_t capacity;
    int64_t end;
    int32_t leader_of_epoch[EPOCHS_MAX]; /* 0 unknown */
};

/* One replica, as far as it was compared. */
struct compared {
    uint32_t incarnation;
    int64_t verified;
    int32_t batch;    /* of the committed history, that begins at `verified` */
    int64_t last_end; /* log end when last seen */
    int64_t high_watermark;
    bool is_uncertain; /* it ended in good order, or on an error, since: it holds more than last_end */
};

struct replicas {
    struct cluster *cluster;
    int32_t partition_count;
    struct committed committed[HISTORY_PARTITIONS_MAX];
    struct compared compared[CLUSTER_BROKERS_MAX + 1][HISTORY_PARTITIONS_MAX];
    struct arena arena;
};

struct replicas *replicas_create(struct cluster *cluster, int32_t partition_count) {
    struct replicas *replicas = xcalloc(1, sizeof *replicas);
    replicas->cluster = cluster;
    replicas->partition_count = partition_count;
    arena_init(&replicas->arena, SIZE_MAX);
    return replicas;
}

void replicas_destroy(struct replicas *replicas) {
    for (int32_t p = 0; p < HISTORY_PARTITIONS_MAX; p++) {
        free(replicas->committed[p].batches);
    }
    arena_deinit(&replicas->arena);
    free(replicas);
}

static struct partition_runtime *replica(const struct machine *machine, int32_t partition) {
    CHECK(machine != NULL);
    if (machine->state != MACHINE_SERVING && machine->state != MACHINE_STOPPING) {
        return NULL;
    }
    /* The plain lookup: the public one may step the partition, and whoever looks must not. */
    struct partition_runtime *found =
        replica_manager_find(machine->broker->replicas, STR_LITERAL(WORKLOAD_TOPIC), partition);
    return found == NULL || found->log == NULL || log_is_fenced(found->log) ? NULL : found;
}

/* Reads the batch at `offset`; false when it cannot be read. */
static bool read_batch(struct log *log, int64_t offset, struct committed_batch *ret) {
    struct log_read_info info;
    if (log_read(log, offset, 1, INT64_MAX, true, &info) != 0 || info.records.size <= 0) {
        return false;
    }
    uint8_t header[BATCH_DECODE_SIZE];
    int64_t count = disk_read(info.records.file, header, sizeof header, info.records.position);
    disk_file_unref(info.records.file);
    struct record_batch batch;
    if (count != (int64_t)sizeof header || record_batch_decode(header, sizeof header, &batch) != 0) {
        return false;
    }
    *ret = (struct committed_batch){batch.base_offset, batch.last_offset, batch.leader_epoch, batch.crc};
    return true;
}

static void commit(struct replicas *replicas, const struct machine *machine, int32_t partition,
                   const struct committed_batch *batch) {
    struct committed *committed = &replicas->committed[partition];
    if (batch->base_offset != committed->end) {
        cluster_violate(replicas->cluster,
                        "L12: broker %d partition %d has a batch at %" PRId64 " where %" PRId64 " should follow",
                        machine->id, partition, batch->base_offset, committed->end);
        return;
    }
    if (committed->count > 0 && batch->leader_epoch < committed->batches[committed->count - 1].leader_epoch) {
        cluster_violate(replicas->cluster, "L6: broker %d partition %d goes back to leader epoch %d at %" PRId64,
                        machine->id, partition, batch->leader_epoch, batch->base_offset);
    }
    if (committed->count == committed->capacity) {
        committed->capacity = MAX(256, 2 * committed->capacity);
        committed->batches = xrealloc(committed->batches, sizeof *committed->batches * (size_t)committed->capacity);
    }
    committed->batches[committed->count++] = *batch;
    committed->end = batch->last_offset + 1;
}

/* Compares this replica with the committed history up to its high watermark, and adds to it what is new. */
static void compare(struct replicas *replicas, const struct machine *machine, int32_t partition,
                    struct partition_runtime *runtime) {
    struct committed *committed = &replicas->committed[partition];
    struct compared *compared = &replicas->compared[machine->id][partition];
    struct log *log = partition_runtime_log(runtime);
    int64_t end = log_end_offset(log);
    int64_t high_watermark = partition_runtime_high_watermark(runtime);
    if (compared->incarnation != machine->incarnation || end < compared->verified) {
        compared->incarnation = machine->incarnation;
        compared->verified = 0;
        compared->batch = 0;
    }
    compared->last_end = end;
    compared->is_uncertain = false;
    compared->high_watermark = high_watermark;
    if (end < high_watermark) {
        cluster_violate(replicas->cluster,
                        "L11: broker %d partition %d ends at %" PRId64 ", below its high watermark "
                        "%" PRId64,
                        machine->id, partition, end, high_watermark);
        return;
    }
    while (compared->verified < high_watermark) {
        struct committed_batch batch;
        if (!read_batch(log, compared->verified, &batch)) {
            return; /* an injected error; the broker will find out by itself */
        }
        if (compared->batch == committed->count) {
            commit(replicas, machine, partition, &batch);
            if (replicas->cluster->violation != NULL) {
                return;
            }
        }
        const struct committed_batch *expected = &committed->batches[compared->batch];
        if (batch.base_offset != expected->base_offset || batch.last_offset != expected->last_offset ||
            batch.leader_epoch != expected->leader_epoch || batch.crc != expected->crc) {
            cluster_violate(replicas->cluster,
                            "L1/L5: broker %d partition %d holds [%" PRId64 ",%" PRId64 "] of epoch %d where [%" PRId64
                            ",%" PRId64 "] of epoch %d was exposed",
                            machine->id, partition, batch.base_offset, batch.last_offset, batch.leader_epoch,
                            expected->base_offset, expected->last_offset, expected->leader_epoch);
            return;
        }
        compared->verified = batch.last_offset + 1;
        compared->batch++;
    }
}

static void check_leader(struct replicas *replicas, const struct machine *machine, int32_t partition,
                         const struct partition_runtime *runtime) {
    int32_t epoch = partition_runtime_leader_epoch(runtime);
    if (!partition_runtime_is_leader(runtime) || epoch < 0 || epoch >= EPOCHS_MAX) {
        return;
    }
    int32_t *leader = &replicas->committed[partition].leader_of_epoch[epoch];
    if (*leader != 0 && *leader != machine->id) {
        cluster_violate(replicas->cluster, "L7: partition %d epoch %d is led by %d and by %d", partition, epoch,
                        *leader, machine->id);
    }
    *leader = machine->id;
}

static bool registered(const struct replicas *replicas, int32_t partition, struct znode_partition_state *ret_state) {
    char path[128];
    snprintf(path, sizeof path, "/brokers/topics/%s/partitions/%d/state", WORKLOAD_TOPIC, partition);
    struct slice data;
    struct coord_stat stat;
    struct replicas *mutable = (struct replicas *)(uintptr_t)replicas;
    arena_reset(&mutable->arena, SIZE_MAX);
    return sim_coord_server_get(replicas->cluster->coord, path, &data, &stat) &&
           znode_decode_partition_state(&mutable->arena, data, ret_state) == 0;
}

static void check_in_sync(struct replicas *replicas, int32_t partition) {
    struct znode_partition_state state;
    if (!registered(replicas, partition, &state)) {
        return;
    }
    for (int32_t i = 0; i < state.isr_count; i++) {
        struct machine *machine = cluster_machine(replicas->cluster, state.isr[i]);
        struct partition_runtime *runtime = machine == NULL || machine->is_lossy ? NULL : replica(machine, partition);
        if (runtime == NULL) {
            continue;
        }
        int64_t end = log_end_offset(partition_runtime_log(runtime));
        if (end < replicas->committed[partition].end) {
            cluster_violate(replicas->cluster,
                            "L4: broker %d is in the in-sync set of partition %d (leader %d epoch "
                            "%d) with %" PRId64 " of %" PRId64 " exposed records",
                            machine->id, partition, state.leader, state.leader_epoch, end,
                            replicas->committed[partition].end);
        }
    }
}

void replicas_check(struct replicas *replicas) {
    struct cluster *cluster = replicas->cluster;
    for (int32_t p = 0; p < replicas->partition_count && cluster->violation == NULL; p++) {
        for (int32_t id = 1; id <= cluster->count; id++) {
            struct machine *machine = cluster_machine(cluster, id);
            struct partition_runtime *runtime = replica(machine, p);
            if (runtime != NULL) {
                check_leader(replicas, machine, p, runtime);
                compare(replicas, machine, p, runtime);
            }
        }
        check_in_sync(replicas, p);
    }
}

void replicas_on_death(struct replicas *replicas, struct machine *machine) {
    for (int32_t p = 0; p < replicas->partition_count; p++) {
        struct partition_runtime *runtime = replica(machine, p);
        replicas->compared[machine->id][p].is_uncertain |= machine->is_stopped || runtime == NULL;
        if (runtime != NULL) {
            replicas->compared[machine->id][p].last_end = log_end_offset(partition_runtime_log(runtime));
        }
    }
}

void replicas_on_acked(struct replicas *replicas, int32_t partition, int64_t offset) {
    int32_t holders = 0;
    for (int32_t id = 1; id <= replicas->cluster->count; id++) {
        const struct machine *machine = cluster_machine(replicas->cluster, id);
        bool is_up = machine->state == MACHINE_SERVING || machine->state == MACHINE_STOPPING;
        const struct partition_runtime *runtime =
            is_up ? replica_manager_find(machine->broker->replicas, STR_LITERAL(WORKLOAD_TOPIC), partition) : NULL;
        int64_t end = replicas->compared[id][partition].last_end;
        if (runtime != NULL && runtime->log != NULL) {
            end = log_end_offset(runtime->log);
        }
        /* A log that was closed or taken offline is not looked at again; it holds what it held. */
        holders += end > offset || machine->is_stopped || replicas->compared[id][partition].is_uncertain ||
                   (runtime != NULL && runtime->log == NULL);
    }
    if (holders < replicas->cluster->min_insync) {
        cluster_violate(replicas->cluster, "L13: partition %d offset %" PRId64 " was acknowledged with %d replicas",
                        partition, offset, holders);
    }
}

int64_t replicas_committed_end(const struct replicas *replicas, int32_t partition) {
    return replicas->committed[partition].end;
}

int32_t replicas_newest_leader(const struct replicas *replicas, int32_t partition) {
    const struct committed *committed = &replicas->committed[partition];
    for (int32_t epoch = EPOCHS_MAX - 1; epoch >= 0; epoch--) {
        if (committed->leader_of_epoch[epoch] != 0) {
            return committed->leader_of_epoch[epoch];
        }
    }
    return -1;
}

/* What the leader knows of the others, for whoever looks into a failure. */
static void describe(const struct partition_runtime *leader, char *ret_text, size_t size) {
    size_t used = 0;
    ret_text[0] = '\0';
    for (int32_t i = 0; leader != NULL && i < leader->core.remote_count && used < size; i++) {
        const struct replica_state *remote = &leader->core.remotes[i];
        const struct partition_peer *peer = replica_manager_peer(leader->manager, remote->broker_id);
        used += (size_t)snprintf(
            ret_text + used, size - used, "; knows %d at %" PRId64 ", replica epoch %" PRId64 ", peer epoch %" PRId64,
            remote->broker_id, remote->log_end_offset, remote->replica_epoch, peer == NULL ? -2 : peer->replica_epoch);
    }
}

bool replicas_have_converged(const struct replicas *replicas, char *ret_why, int why_size) {
    struct cluster *cluster = replicas->cluster;
    for (int32_t p = 0; p < replicas->partition_count; p++) {
        struct znode_partition_state state;
        if (!registered(replicas, p, &state)) {
            snprintf(ret_why, (size_t)why_size, "partition %d is not registered", p);
            return false;
        }
        if (state.leader < 0 || state.isr_count < MIN(cluster->count, WORKLOAD_REPLICATION)) {
            char known[256];
            describe(state.leader < 0 ? NULL : replica(cluster_machine(cluster, state.leader), p), known, sizeof known);
            snprintf(ret_why, (size_t)why_size, "partition %d: leader %d epoch %d, %d in sync%s", p, state.leader,
                     state.leader_epoch, state.isr_count, known);
            return false;
        }
        struct partition_runtime *leader = replica(cluster_machine(cluster, state.leader), p);
        for (int32_t i = 0; i < state.isr_count; i++) {
            struct partition_runtime *runtime = replica(cluster_machine(cluster, state.isr[i]), p);
            if (leader == NULL || runtime == NULL) {
                snprintf(ret_why, (size_t)why_size, "partition %d: broker %d does not serve its replica", p,
                         leader == NULL ? state.leader : state.isr[i]);
                return false;
            }
            int64_t end = log_end_offset(partition_runtime_log(leader));
            if (log_end_offset(partition_runtime_log(runtime)) != end ||
                partition_runtime_high_watermark(runtime) != end) {
                snprintf(ret_why, (size_t)why_size,
                         "partition %d: leader %d ends at %" PRId64 ", broker %d at %" PRId64
                         " with high watermark %" PRId64,
                         p, state.leader, end, state.isr[i], log_end_offset(partition_runtime_log(runtime)),
                         partition_runtime_high_watermark(runtime));
                return false;
            }
        }
    }
    return true;
}
