/* See settings_wait.h. */
#include "broker/request/settings_wait.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/dynamic_config.h"
#include "broker/request/context.h"
#include "broker/request/waiting_room.h"

/* On the heap: the reads may outlive the request. */
struct settings_wait {
    struct wait wait; /* its request is NULL once it has left the room */
    settings_are_here *on_here;
    int32_t reads; /* under way */
};

static bool has_settings(struct wait *wait) {
    return CONTAINER_OF(wait, struct settings_wait, wait)->reads == 0;
}

static void leave_room(struct wait *wait) {
    struct settings_wait *settings = CONTAINER_OF(wait, struct settings_wait, wait);
    struct request *request = wait->request;
    settings_are_here *on_here = settings->on_here;
    bool are_read = settings->reads == 0;
    wait->request = NULL;
    if (are_read) {
        free(settings);
    }
    on_here(request, are_read);
}

static void on_settings(void *context, int error) {
    struct settings_wait *settings = context;
    (void)error; /* the broker ends: the room is empty already */
    settings->reads--;
    if (settings->wait.request != NULL) {
        wait_mark(&settings->wait);
    } else if (settings->reads == 0) {
        free(settings);
    }
}

struct settings_wait *settings_wait_begin(struct request *request, settings_are_here *on_here) {
    struct settings_wait *settings = xcalloc(1, sizeof *settings);
    settings->wait = (struct wait){.request = request, .is_over = has_settings, .finish = leave_room};
    settings->on_here = on_here;
    return settings;
}

void settings_wait_topic(struct settings_wait *settings, struct str topic) {
    settings->reads++;
    dynamic_config_await_topic(settings->wait.request->context->dynamic_config, topic, on_settings, settings);
}

void settings_wait_run(struct settings_wait *settings, int64_t timeout_ms) {
    if (settings->reads == 0) {
        leave_room(&settings->wait);
    } else {
        waiting_room_enter(settings->wait.request->context->waiting_room, &settings->wait, timeout_ms);
    }
}
