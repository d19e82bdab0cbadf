#include "tools/progress.h"

#include "broker/base/check.h"

void progress_note(struct progress *progress, int64_t now_ms, int64_t left_bytes) {
    int32_t at = progress->count % PROGRESS_SAMPLES;
    progress->samples[at].at_ms = now_ms;
    progress->samples[at].left_bytes = left_bytes;
    progress->count++;
    if (progress->count == 2 * PROGRESS_SAMPLES) {
        progress->count = PROGRESS_SAMPLES; /* the same place in the ring, and still full */
    }
}

int64_t progress_rate(const struct progress *progress) {
    if (progress->count < 2) {
        return 0;
    }
    int32_t first = progress->count <= PROGRESS_SAMPLES ? 0 : progress->count % PROGRESS_SAMPLES;
    int32_t last = (progress->count - 1) % PROGRESS_SAMPLES;
    int64_t passed_ms = progress->samples[last].at_ms - progress->samples[first].at_ms;
    int64_t done_bytes = progress->samples[first].left_bytes - progress->samples[last].left_bytes;
    return passed_ms <= 0 || done_bytes <= 0 ? 0 : (int64_t)((double)done_bytes * 1000 / (double)passed_ms);
}

int64_t progress_seconds_left(const struct progress *progress) {
    int64_t rate = progress_rate(progress);
    if (rate == 0) {
        return -1;
    }
    return (progress->samples[(progress->count - 1) % PROGRESS_SAMPLES].left_bytes + rate - 1) / rate;
}

struct str progress_bytes(struct arena *arena, int64_t bytes) {
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        return arena_printf(arena, "%lld B", (long long)bytes);
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < ARRAY_SIZE(units)) { /* what would be written as 1000.0 */
        value /= 1000;
        unit++;
    }
    return arena_printf(arena, "%.1f %s", value, units[unit]);
}

struct str progress_duration(struct arena *arena, int64_t seconds) {
    long long minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (minutes == 0) {
        return arena_printf(arena, "%lld s", (long long)seconds);
    }
    if (hours == 0) {
        return arena_printf(arena, "%lld min %lld s", minutes, (long long)seconds % 60);
    }
    return days == 0 ? arena_printf(arena, "%lld h %lld min", hours, minutes % 60)
                     : arena_printf(arena, "%lld d %lld h", days, hours % 24);
}
