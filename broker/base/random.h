/* Pseudo-random numbers from an explicit state (xoshiro256**): whoever needs chance owns a seed, so that the simulator
 * can replay it. Not for secrets. */
#ifndef OTTLA_BASE_RANDOM_H
#define OTTLA_BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);

#endif
