/* xoshiro256** (Blackman and Vigna), seeded by splitmix64. */
#include "broker/base/random.h"

#include "broker/base/check.h"

void random_seed(struct random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15U;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        random->state[i] = z ^ z >> 31;
    }
}

static uint64_t rotate_left(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

uint64_t random_u64(struct random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound) {
    CHECK(bound > 0);
    uint64_t skip = (0 - bound) % bound; /* the part of the range that would favour small results */
    uint64_t x = random_u64(random);
    while (x < skip) {
        x = random_u64(random);
    }
    return x % bound;
}
