/* Moments and spans of time as the arguments of Kafka's tools spell them (Java's SimpleDateFormat and Duration). */
#ifndef OTTLA_TOOLS_ISO_TIME_H
#define OTTLA_TOOLS_ISO_TIME_H

#include <stdint.h>

#include "tools/report.h"

/* "2024-05-01T10:00:00.000" with "+02:00", "+02" or "Z" behind it; UTC without. Milliseconds since 1970. ERR_INVALID
 * with the failure that Java's parser would raise. */
int iso_datetime_parse(const char *text, int64_t *ret_ms, struct failure *failure);

/* "P1DT2H3M4.5S" back from `now_ms`, rounded as Java does. ERR_INVALID with the failure set. */
int iso_duration_before(const char *text, int64_t now_ms, int64_t *ret_ms, struct failure *failure);

#endif
