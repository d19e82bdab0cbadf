/* What the checkers of groups read off the wire. */
#ifndef OTTLA_CHECKER_GROUP_WIRE_H
#define OTTLA_CHECKER_GROUP_WIRE_H

#include "broker/base/arena.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/codec.h"
#include "broker/protocol/errors.h"
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/group_history.h"

struct group_checker {
    struct world *world;
    struct arena arena; /* of one message */
};

void group_checker_init(struct group_checker *checker, struct world *world);
/* Of a checker whose first member is a group_checker. */
void group_checker_destroy(void *checker);

/* Defines group_decode_<name>_<part>(checker, served, ret): false for what does not decode. */
#define GROUP_DECODER(name, part, field)                                                                               \
    static inline bool group_decode_##name##_##part(struct group_checker *checker, const struct served *served,        \
                                                    struct name##_##part *ret) {                                       \
        struct reader r = reader_of(served->field.data, (size_t)served->field.size);                                   \
        return name##_##part##_decode(&r, served->api_version, &checker->arena, ret) == 0;                             \
    }

/* Whether the machine is, by what is registered now, the one to coordinate the group. Another may not know yet that it
 * is not any more; what it says then is of no consequence, since nothing it writes can be replicated. */
bool group_is_coordinator(const struct world *world, const struct machine *machine, int32_t group);

#endif
