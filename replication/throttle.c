#include "replication/throttle.h"

#include "broker/base/check.h"

/* Beyond, nothing on earth would be held back, and sums of time and rate fit into 64 bits. */
#define RATE_MAX (INT64_C(1) << 40)
#define ELAPSED_MS_MAX 10000

void throttle_init(struct throttle *throttle, int64_t rate, int64_t now_ms) {
    *throttle = (struct throttle){.rate = rate, .updated_ms = now_ms};
}

bool throttle_is_on(const struct throttle *throttle) {
    return throttle->rate < RATE_MAX;
}

int64_t throttle_allowance(struct throttle *throttle, int64_t now_ms) {
    if (!throttle_is_on(throttle)) {
        return INT64_MAX;
    }
    int64_t elapsed_ms = MIN(MAX(now_ms - throttle->updated_ms, 0), ELAPSED_MS_MAX);
    int64_t credit = throttle->rate * elapsed_ms + throttle->remainder;
    int64_t saved_max = MAX(throttle->rate * THROTTLE_SAVED_MS / 1000, 1);
    throttle->updated_ms = now_ms;
    throttle->allowance += credit / 1000;
    throttle->remainder = credit % 1000;
    throttle->allowance = MIN(throttle->allowance, saved_max);
    return throttle->allowance;
}

void throttle_set_rate(struct throttle *throttle, int64_t rate, int64_t now_ms) {
    if (rate == throttle->rate) {
        return;
    }
    int64_t allowance = throttle_is_on(throttle) ? throttle_allowance(throttle, now_ms) : 0;
    throttle_init(throttle, rate, now_ms);
    throttle->allowance = throttle_is_on(throttle) ? MAX(MIN(allowance, 0), -rate) : 0;
}

void throttle_record(struct throttle *throttle, int64_t bytes) {
    if (throttle_is_on(throttle)) {
        throttle->allowance -= bytes;
    }
}

int64_t throttle_wait_ms(const struct throttle *throttle) {
    if (!throttle_is_on(throttle) || throttle->allowance > 0) {
        return 0;
    }
    if (throttle->rate == 0) {
        return THROTTLE_LOOK_MS;
    }
    /* Until there is something worth asking for: a twentieth of a second's worth. */
    int64_t wanted = throttle->rate / 20 + 1 - MAX(throttle->allowance, -throttle->rate);
    return MIN(MAX(wanted * 1000 / throttle->rate, 1), THROTTLE_LOOK_MS);
}
