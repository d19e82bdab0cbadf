/* How far something has come of which the bytes left are known from time to time: its rate, an estimate, and both in
 * words. */
#ifndef OTTLA_TOOLS_PROGRESS_H
#define OTTLA_TOOLS_PROGRESS_H

#include <stdint.h>

#include "broker/base/arena.h"

/* The rate is that of the last so many samples: long enough to be calm, short enough to follow a changed throttle. */
#define PROGRESS_SAMPLES 30

struct progress {
    struct {
        int64_t at_ms;
        int64_t left_bytes;
    } samples[PROGRESS_SAMPLES]; /* a ring */
    int32_t count;               /* ever noted */
};

/* Zeroed memory is an empty one. Times grow. */
void progress_note(struct progress *progress, int64_t now_ms, int64_t left_bytes);
/* Bytes a second by which what is left becomes less; 0 when it does not, or too little is known. */
int64_t progress_rate(const struct progress *progress);
/* Seconds until nothing is left; -1 without a rate. */
int64_t progress_seconds_left(const struct progress *progress);

/* "12.3 MB", in powers of 1000 as throttles are given. */
struct str progress_bytes(struct arena *arena, int64_t bytes);
/* "4 min 10 s" */
struct str progress_duration(struct arena *arena, int64_t seconds);

#endif
