/* See checker.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_heap.h"

static const struct checker_ops *const table[] = {
#define X(name) &checker_##name,
    CHECKERS(X)
#undef X
};

struct checkers {
    struct world *world;
    void *instances[ARRAY_SIZE(table)];
};

struct checkers *checkers_create(struct world *world) {
    struct checkers *checkers = xcalloc(1, sizeof *checkers);
    checkers->world = world;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        checkers->instances[i] = table[i]->create(world);
    }
    return checkers;
}

void checkers_destroy(struct checkers *checkers) {
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        table[i]->destroy(checkers->instances[i]);
    }
    free(checkers);
}

#define EACH(checkers, hook, ...)                                                                                      \
    do {                                                                                                               \
        void *heap_owner = sim_heap_enter(NULL);                                                                       \
        bool was_spectator = sim_disk_spectate(true);                                                                  \
        for (size_t each = 0; each < ARRAY_SIZE(table); each++) {                                                      \
            if (table[each]->hook != NULL) {                                                                           \
                table[each]->hook((checkers)->instances[each] __VA_OPT__(, ) __VA_ARGS__);                             \
            }                                                                                                          \
        }                                                                                                              \
        sim_disk_spectate(was_spectator);                                                                              \
        sim_heap_enter(heap_owner);                                                                                    \
    } while (0)

void checkers_on_step(struct checkers *checkers) {
    EACH(checkers, on_step);
}

void checkers_on_transaction(void *context, const struct sim_transaction *transaction) {
    struct checkers *checkers = context;
    EACH(checkers, on_transaction, transaction);
}

void checkers_on_request(void *context, const struct served *served) {
    struct checkers *checkers = context;
    EACH(checkers, on_request, served);
}

void checkers_on_answer(void *context, const struct served *served) {
    struct checkers *checkers = context;
    EACH(checkers, on_answer, served);
}

void checkers_on_serving(void *context, struct machine *machine) {
    struct checkers *checkers = context;
    EACH(checkers, on_serving, machine);
}

void checkers_on_death(void *context, struct machine *machine) {
    struct checkers *checkers = context;
    EACH(checkers, on_death, machine);
}

void checkers_on_line(struct checkers *checkers, struct machine *machine, const char *line) {
    EACH(checkers, on_line, machine, line);
}

void checkers_on_acked(struct checkers *checkers, const struct topic *topic, struct value value, int64_t offset) {
    EACH(checkers, on_acked, topic, value, offset);
}

void checkers_on_consumed(struct checkers *checkers, const struct consumed *consumed) {
    EACH(checkers, on_consumed, consumed);
}

void checkers_on_batch(struct checkers *checkers, const struct topic *topic, int32_t partition,
                       const struct record_batch *batch) {
    EACH(checkers, on_batch, topic, partition, batch);
}

void checkers_on_reset(struct checkers *checkers, int32_t consumer, const struct topic *topic, int32_t partition,
                       int64_t from, int64_t to) {
    EACH(checkers, on_reset, consumer, topic, partition, from, to);
}

void checkers_on_metadata(struct checkers *checkers, int32_t node, struct machine *machine, uint32_t incarnation,
                          const struct metadata_response *response) {
    EACH(checkers, on_metadata, node, machine, incarnation, response);
}

void checkers_on_delivered(struct checkers *checkers, int32_t group, const struct topic *topic, int32_t partition,
                           int64_t from, int64_t to) {
    EACH(checkers, on_delivered, group, topic, partition, from, to);
}

void checkers_on_end(struct checkers *checkers) {
    EACH(checkers, on_end);
}

void violate(const struct world *world, const char *name, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cluster_violate(world->cluster, "%s: %s", name, text);
}
