/* Included before everything else of the simulator's own sources: what they allocate belongs to no process. */
#ifndef OTTLA_SIM_OUTSIDE_H
#define OTTLA_SIM_OUTSIDE_H

#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "tests/simulation/sim_heap.h"

#define xmalloc outside_malloc
#define xcalloc outside_calloc
#define xrealloc outside_realloc
#define xstrdup outside_strdup
#define xasprintf outside_asprintf

#endif
