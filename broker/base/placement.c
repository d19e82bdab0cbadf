/* Kafka's rule for spreading replicas, number for number, so that a mixed cluster spreads them one way. */
#include "broker/base/placement.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

struct arrangement {
    const struct placement_broker *brokers; /* in the order they take turns */
    int32_t broker_count;
    int32_t rack_count; /* 0: racks do not count */
};

/* The k-th choice for a further replica when the first lies at `first`. */
static int32_t choice(int32_t first, int64_t shift, int64_t k, int32_t broker_count) {
    int64_t step = 1 + (shift + k) % (broker_count - 1);
    return (int32_t)((first + step) % broker_count);
}

static int compare_racks(const void *a, const void *b) {
    const struct placement_broker *x = a;
    const struct placement_broker *y = b;
    int order = strcmp(x->rack, y->rack);
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

/* One broker of each rack in turn; racks by name, brokers by id. Returns the number of racks. */
static int32_t alternate_racks(struct placement_broker *brokers, int32_t count) {
    struct placement_broker *by_rack = xmalloc(sizeof *by_rack * (size_t)count);
    int32_t *rack_next = xcalloc((size_t)count + 1, sizeof *rack_next);
    int32_t *rack_end = xcalloc((size_t)count + 1, sizeof *rack_end);
    memcpy(by_rack, brokers, sizeof *by_rack * (size_t)count);
    qsort(by_rack, (size_t)count, sizeof *by_rack, compare_racks);
    int32_t rack_count = 0;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(by_rack[i].rack, by_rack[i - 1].rack) != 0) {
            rack_next[rack_count++] = i;
        }
        rack_end[rack_count - 1] = i + 1;
    }
    int32_t taken = 0;
    for (int32_t rack = 0; taken < count; rack = (rack + 1) % rack_count) {
        if (rack_next[rack] < rack_end[rack]) {
            brokers[taken++] = by_rack[rack_next[rack]++];
        }
    }
    free(by_rack);
    free(rack_next);
    free(rack_end);
    return rack_count;
}

/* Whether the candidate may follow: a rack without a replica comes first, then a broker without one. */
static bool is_fit(const struct arrangement *arrangement, const struct placement_broker *const *chosen, int32_t count,
                   const struct placement_broker *candidate) {
    bool has_rack = false;
    int32_t racks_with_replica = 0;
    for (int32_t i = 0; i < count; i++) {
        if (chosen[i]->id == candidate->id) {
            return false;
        }
        has_rack = has_rack || strcmp(chosen[i]->rack, candidate->rack) == 0;
        bool is_new = true;
        for (int32_t j = 0; j < i && is_new; j++) {
            is_new = strcmp(chosen[i]->rack, chosen[j]->rack) != 0;
        }
        racks_with_replica += is_new ? 1 : 0;
    }
    return !has_rack || racks_with_replica == arrangement->rack_count;
}

static void place_by_rack(const struct arrangement *arrangement, int32_t first, int64_t shift,
                          int32_t replication_factor, int32_t *ret) {
    const struct placement_broker **chosen = xcalloc((size_t)replication_factor, sizeof *chosen);
    chosen[0] = &arrangement->brokers[first];
    int32_t count = 1;
    for (int64_t k = 0; count < replication_factor; k++) {
        const struct placement_broker *candidate =
            &arrangement->brokers[choice(first, shift * arrangement->rack_count, k, arrangement->broker_count)];
        if (is_fit(arrangement, chosen, count, candidate)) {
            chosen[count++] = candidate;
        }
    }
    for (int32_t i = 0; i < count; i++) {
        ret[i] = chosen[i]->id;
    }
    free(chosen);
}

static void place(const struct arrangement *arrangement, int32_t first, int64_t shift, int32_t replication_factor,
                  int32_t *ret) {
    if (arrangement->rack_count > 0) {
        place_by_rack(arrangement, first, shift, replication_factor, ret);
        return;
    }
    ret[0] = arrangement->brokers[first].id;
    for (int32_t i = 1; i < replication_factor; i++) {
        ret[i] = arrangement->brokers[choice(first, shift, i - 1, arrangement->broker_count)].id;
    }
}

int placement_assign(const struct placement_broker *brokers, int32_t broker_count, int32_t partition_count,
                     int32_t replication_factor, int32_t first_partition, int32_t start_index, int32_t shift,
                     int32_t *ret_replicas) {
    CHECK(replication_factor >= 1 && replication_factor <= broker_count);
    int32_t with_rack = 0;
    for (int32_t i = 0; i < broker_count; i++) {
        with_rack += brokers[i].rack != NULL ? 1 : 0;
    }
    if (with_rack > 0 && with_rack < broker_count) {
        return ERR_INVALID;
    }
    struct placement_broker *order = xmalloc(sizeof *order * (size_t)broker_count);
    memcpy(order, brokers, sizeof *order * (size_t)broker_count);
    struct arrangement arrangement = {.brokers = order, .broker_count = broker_count};
    arrangement.rack_count = with_rack > 0 ? alternate_racks(order, broker_count) : 0;
    int64_t next_shift = shift;
    for (int32_t i = 0; i < partition_count; i++) {
        int64_t partition = (int64_t)first_partition + i;
        if (partition > 0 && partition % broker_count == 0) {
            next_shift++;
        }
        int32_t first = (int32_t)((partition + start_index) % broker_count);
        place(&arrangement, first, next_shift, replication_factor, ret_replicas + (int64_t)i * replication_factor);
    }
    free(order);
    return 0;
}
