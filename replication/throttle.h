/* A rate that replication may not exceed: bytes per second, saved up for at most THROTTLE_SAVED_MS and owed without
 * bound. Pure: time is in the arguments.
 *
 * A read cannot be made smaller than a batch, so a slow throttle is overdrawn and the debt paid off before the next
 * read. What may be saved bounds a burst: over any 10 s no more than 7.5 % above the rate. */
#ifndef OTTLA_REPLICATION_THROTTLE_H
#define OTTLA_REPLICATION_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_UNLIMITED INT64_MAX
#define THROTTLE_SAVED_MS 750
/* How long somebody held back waits before it looks again, so that another rate is soon in force. */
#define THROTTLE_LOOK_MS 200

struct throttle {
    int64_t rate;      /* bytes per second */
    int64_t allowance; /* bytes; negative is owed */
    int64_t remainder; /* bytes times milliseconds not yet credited */
    int64_t updated_ms;
};

void throttle_init(struct throttle *throttle, int64_t rate, int64_t now_ms);
/* From now on. What was owed under another rate is forgiven down to a second's worth, lest a rate raised from a trickle
 * be waited for. */
void throttle_set_rate(struct throttle *throttle, int64_t rate, int64_t now_ms);
bool throttle_is_on(const struct throttle *throttle);
/* Bytes that may be moved now, not positive when none. */
int64_t throttle_allowance(struct throttle *throttle, int64_t now_ms);
/* Bytes were moved; negative ones were taken back. */
void throttle_record(struct throttle *throttle, int64_t bytes);
/* When to look again while nothing may be moved. */
int64_t throttle_wait_ms(const struct throttle *throttle);

#endif
