/* sd_notify in a few words. */
#include "broker/notify.h"

#include <systemd/sd-daemon.h>

void notify_ready(void) {
    (void)sd_notify(0, "READY=1\nSTATUS=Serving");
}

void notify_stopping(void) {
    (void)sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
}

void notify_status(const char *status) {
    (void)sd_notifyf(0, "STATUS=%s", status);
}

void notify_extend_timeout(long more_seconds) {
    (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%ld", more_seconds * 1000000);
}

int64_t notify_watchdog_ms(void) {
    uint64_t interval_us = 0;
    return sd_watchdog_enabled(0, &interval_us) > 0 ? (int64_t)(interval_us / 1000) : 0;
}

void notify_alive(void) {
    (void)sd_notify(0, "WATCHDOG=1");
}
