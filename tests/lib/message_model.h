/* A second reading of the schemas: fills, encodes and compares any message by walking the descriptor tables. Slow and
 * plain on purpose; it shares nothing with the generated code but the schemas. */
#ifndef OTTLA_TESTS_MESSAGE_MODEL_H
#define OTTLA_TESTS_MESSAGE_MODEL_H

#include "broker/base/arena.h"
#include "broker/base/random.h"
#include "broker/protocol/message_types.h"
#include "tests/lib/descriptors.h"

/* Which nullable fields are null. */
enum fill_nulls { FILL_NONE_NULL, FILL_ALL_NULL, FILL_ONE_NULL, FILL_RANDOM_NULL };

struct fill {
    struct random random;
    struct arena *arena; /* owns what the message points to */
    enum fill_nulls nulls;
    int null_index;     /* with FILL_ONE_NULL: which, counted in the order of filling */
    int nullables_seen; /* how many there were */
    int list_count_max;
};

/* Values at random for every field the version carries, defaults for the others. The struct must be initialised. */
void model_fill(struct fill *fill, const struct struct_descriptor *type, int version, void *message);
/* The bytes of the message. */
void model_encode(const struct struct_descriptor *type, int version, int flexible_min, const void *message,
                  struct writer *w);
/* NULL when equal, else the name of the first field that differs. */
const char *model_difference(const struct struct_descriptor *type, const void *a, const void *b);

#endif
