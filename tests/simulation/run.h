/* One seed from its first to its last event. */
#ifndef OTTLA_SIM_RUN_H
#define OTTLA_SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simulation/marks.h"

struct run_result {
    bool is_violated;
    uint64_t hash; /* over the order of events, messages, transactions and what clients saw */
    int64_t simulated_ms;
    uint64_t events;
    int64_t acked;
    int64_t faults;
    struct marks marks;
};

/* is_quiet: no word about a violation. is_verbose: everything the brokers say. */
void run_seed(uint64_t seed, bool is_quiet, bool is_verbose, struct run_result *ret);

#endif
