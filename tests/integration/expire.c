/* expire CONNECT SESSION_ID: ends somebody else's ZooKeeper session, as an operator's mishap or a broken link would.
 *
 * Ending a session takes its password. ZooKeeper's server keeps none: it derives the sixteen bytes from the session id,
 * by a java.util.Random seeded with the id xor a constant of its source, whenever a client comes back. So can we. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"

#define SERVER_CONSTANT 0xB3415C00ULL /* superSecret in ZooKeeperServer */
#define RANDOM_MULTIPLIER 0x5DEECE66DULL
#define RANDOM_MASK ((1ULL << 48) - 1)
#define TIMEOUT_MS 10000

static void derive_password(uint64_t session_id, uint8_t password[16]) {
    uint64_t state = (session_id ^ SERVER_CONSTANT ^ RANDOM_MULTIPLIER) & RANDOM_MASK;
    for (int i = 0; i < 16; i += 4) {
        state = (state * RANDOM_MULTIPLIER + 0xB) & RANDOM_MASK;
        uint32_t word = (uint32_t)(state >> 16);
        for (int k = 0; k < 4; k++) {
            password[i + k] = (uint8_t)(word >> (8 * k));
        }
    }
}

int main(int count, char **args) {
    if (count != 3) {
        fputs("usage: expire CONNECT SESSION_ID\n", stderr);
        return 2;
    }
    uint64_t session_id = strtoull(args[2], NULL, 16);
    uint8_t password[16];
    derive_password(session_id, password);
    int error = coord_zookeeper_end_session(args[1], (int64_t)session_id, password, TIMEOUT_MS);
    if (error != 0) {
        fprintf(stderr, "expire: session 0x%llx: %s\n", (unsigned long long)session_id, error_text(error));
        return 1;
    }
    return 0;
}
