/* C8, and liveness: whatever step a controller died at and whatever else happened, the cluster converges once it is
 * left alone: every partition led, every replica in sync, equal and exposed to the end, and what was deleted gone. */
#ifndef OTTLA_CHECKER_CONVERGENCE_H
#define OTTLA_CHECKER_CONVERGENCE_H

#include <stdbool.h>

struct world;

/* When not, *ret_why says what is missing. */
bool convergence_is_reached(const struct world *world, char *ret_why, int why_size);

#endif
