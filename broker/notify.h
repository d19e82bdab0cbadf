/* What systemd is told (Type=notify). Without $NOTIFY_SOCKET every call is a no-op. */
#ifndef OTTLA_NOTIFY_H
#define OTTLA_NOTIFY_H

#include <stdint.h>

/* The broker answers requests. */
void notify_ready(void);
/* A clean stop has begun. */
void notify_stopping(void);
/* One line for `systemctl status`, e.g. how far recovery is. */
void notify_status(const char *status);
/* Starting or stopping takes longer than the unit's timeout: asks for this much more. */
void notify_extend_timeout(long more_seconds);

/* How often the service manager wants to hear that the process lives, in milliseconds; 0 when it does not. */
int64_t notify_watchdog_ms(void);
void notify_alive(void);

#endif
