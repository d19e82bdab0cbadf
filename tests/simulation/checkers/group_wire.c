/* See group_wire.h. */
#include "tests/simulation/checkers/group_wire.h"

#include <stdlib.h>

#include "broker/group/group_runtime.h"

void group_checker_init(struct group_checker *checker, struct world *world) {
    checker->world = world;
    arena_init(&checker->arena, SIZE_MAX);
}

void group_checker_destroy(void *context) {
    struct group_checker *checker = context;
    arena_deinit(&checker->arena);
    free(checker);
}

bool group_is_coordinator(const struct world *world, const struct machine *machine, int32_t group) {
    char name[16];
    group_name(group, name);
    const struct topic *topic = topics_by_name(world->topics, STR_LITERAL(OFFSETS_TOPIC));
    if (topic == NULL) {
        return false;
    }
    return topic->states[group_partition_of(str_from(name), topic->partition_count)].leader == machine->id;
}
