/* Requests that need a topic's settings as the coordinator has them now, not as this broker last heard of them. */
#ifndef OTTLA_REQUEST_SETTINGS_WAIT_H
#define OTTLA_REQUEST_SETTINGS_WAIT_H

#include "broker/base/slice.h"
#include "broker/request/request.h"

struct settings_wait;

/* Called once, at the latest when the time is up; are_read says whether everything asked for is in force here. */
typedef void settings_are_here(struct request *request, bool are_read);

/* Begin, name the topics, and let it run; with no topic on_here is called at once. */
struct settings_wait *settings_wait_begin(struct request *request, settings_are_here *on_here);
void settings_wait_topic(struct settings_wait *wait, struct str topic);
void settings_wait_run(struct settings_wait *wait, int64_t timeout_ms);

#endif
