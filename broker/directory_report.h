/* Telling the controller that a log directory of this broker failed (zookeeper-mode.md 1.7, 4.11).
 *
 * A controller that does not hear of it leaves leadership where nobody can serve. So it is told until it was: through
 * lost connections and into the next session. */
#ifndef OTTLA_DIRECTORY_REPORT_H
#define OTTLA_DIRECTORY_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "coordinator-client/coord.h"

struct directory_report {
    struct clock *clock;
    struct coord *coord;
    int32_t broker_id;
    bool is_wanted;    /* what is known to the controller is not all */
    bool is_in_flight; /* an attempt is under way */
    bool is_stopped;
    struct timer retry;
};

void directory_report_init(struct directory_report *report, struct clock *clock, struct coord *coord,
                           int32_t broker_id);
/* One more directory failed. */
void directory_report_send(struct directory_report *report);
/* Nothing more is sent. The memory must live until the coord's last callback. */
void directory_report_stop(struct directory_report *report);

#endif
