/* When a failure that happens again and again is worth a line: at once when it begins or for a reason not yet told,
 * then every REPEAT_TOLD_EVERY_MS, and once when all works again. Pure: time is in the arguments.
 *
 * Reasons that take turns must not make a line each time, so the last few told are remembered. */
#ifndef OTTLA_BASE_REPEAT_H
#define OTTLA_BASE_REPEAT_H

#include <stdbool.h>
#include <stdint.h>

#define REPEAT_TOLD_EVERY_MS 30000
/* Reasons told at once within that time, and with that the most lines in it; another one waits. */
#define REPEAT_REASONS_MAX 4

/* All zero: nothing has failed. */
struct repeat {
    int64_t since_ms; /* when the first of `reasons` was told */
    int64_t count;    /* failures since all worked */
    int64_t untold;   /* of these, since the last line */
    int32_t reasons[REPEAT_REASONS_MAX];
    int32_t reason_count;
};

/* It failed, for a reason that is any number. True: say so now, and that *ret_untold failures before it were not. */
bool repeat_failed(struct repeat *repeat, int32_t reason, int64_t now_ms, int64_t *ret_untold);
/* What a line ends with: nothing, or " (lines before it not shown: 29)". Returns ret_text. */
#define REPEAT_TEXT_SIZE 64
const char *repeat_text(int64_t untold, char ret_text[REPEAT_TEXT_SIZE]);
/* It worked. How often it had failed until then, 0 when there is nothing to say. */
int64_t repeat_worked(struct repeat *repeat);

#endif
