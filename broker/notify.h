/* What systemd is told (Type=notify). Without $NOTIFY_SOCKET every call is a no-op. */
#ifndef OTTLA_NOTIFY_H
#define OTTLA_NOTIFY_H

/* The broker answers requests. */
void notify_ready(void);
/* A clean stop has begun. */
void notify_stopping(void);
/* One line for `systemctl status`, e.g. how far recovery is. */
void notify_status(const char *status);
/* Starting or stopping takes longer than the unit's timeout: asks for this much more. */
void notify_extend_timeout(long more_seconds);

#endif
