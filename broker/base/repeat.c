#include "broker/base/repeat.h"

#include <stdio.h>

static bool is_told(const struct repeat *repeat, int32_t reason) {
    for (int32_t i = 0; i < repeat->reason_count; i++) {
        if (repeat->reasons[i] == reason) {
            return true;
        }
    }
    return false;
}

bool repeat_failed(struct repeat *repeat, int32_t reason, int64_t now_ms, int64_t *ret_untold) {
    if (repeat->reason_count == 0 || now_ms - repeat->since_ms >= REPEAT_TOLD_EVERY_MS) {
        repeat->since_ms = now_ms;
        repeat->reason_count = 0;
    }
    repeat->count++;
    if (repeat->reason_count == REPEAT_REASONS_MAX || is_told(repeat, reason)) {
        repeat->untold++;
        return false;
    }
    repeat->reasons[repeat->reason_count++] = reason;
    *ret_untold = repeat->untold;
    repeat->untold = 0;
    return true;
}

const char *repeat_text(int64_t untold, char ret_text[REPEAT_TEXT_SIZE]) {
    ret_text[0] = '\0';
    if (untold > 0) {
        snprintf(ret_text, REPEAT_TEXT_SIZE, " (lines before it not shown: %lld)", (long long)untold);
    }
    return ret_text;
}

int64_t repeat_worked(struct repeat *repeat) {
    int64_t count = repeat->count;
    if (count > 0) {
        *repeat = (struct repeat){0};
    }
    return count;
}
