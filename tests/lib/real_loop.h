/* A loop for tests that need real time and other threads, without sockets: the clock seam on a mutex and a condition.
 */
#ifndef OTTLA_TESTS_REAL_LOOP_H
#define OTTLA_TESTS_REAL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"

struct real_loop;

struct real_loop *real_loop_create(void);
/* Runs what is still posted, then frees. */
void real_loop_destroy(struct real_loop *loop);
struct clock *real_loop_clock(struct real_loop *loop);
/* Runs callbacks until *condition is true; false when that took longer than timeout_ms. */
bool real_loop_until(struct real_loop *loop, const bool *condition, int64_t timeout_ms);

#endif
