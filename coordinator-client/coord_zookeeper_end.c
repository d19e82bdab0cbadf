/* Ending somebody's session from another process: a second handle takes it over and closes it, until a server says that
 * there is no such session. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"

/* Of the library with one server: it gives up after two thirds of this and takes the next. */
#define PATIENCE_MS 3000
/* Of ours with the library, which after its first round may pass over servers for good (ZOOKEEPER-2466). */
#define TRY_MS 3000
#define RETRY_MS 100

struct takeover {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int state; /* as the library last told it; 0 so far nothing */
};

static void on_library_session(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle, (void)path;
    struct takeover *takeover = context;
    if (type == ZOO_SESSION_EVENT) {
        pthread_mutex_lock(&takeover->lock);
        takeover->state = state;
        pthread_cond_signal(&takeover->changed);
        pthread_mutex_unlock(&takeover->lock);
    }
}

static void on_library_line(const char *message) {
    (void)message; /* whoever called learns from the result */
}

static bool is_decided(int state) {
    return state == ZOO_CONNECTED_STATE || state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int await_decision(struct takeover *takeover, int64_t until_ms) {
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&takeover->lock);
    while (!is_decided(takeover->state) && pthread_cond_timedwait(&takeover->changed, &takeover->lock, &until) == 0) {
    }
    int state = takeover->state;
    pthread_mutex_unlock(&takeover->lock);
    return state;
}

/* One try: 0 when the session was taken over and asked to end, ERR_SESSION_EXPIRED when it is over,
 * ERR_CONNECTION_LOSS when nobody could be asked. */
static int take_over_and_close(const char *hosts, const clientid_t *id, int64_t until_ms) {
    struct takeover takeover = {.state = 0};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&takeover.lock, NULL);
    pthread_cond_init(&takeover.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = ERR_CONNECTION_LOSS;
    zhandle_t *handle = zookeeper_init2(hosts, on_library_session, PATIENCE_MS, id, &takeover, 0, on_library_line);
    if (handle != NULL) {
        int state = await_decision(&takeover, until_ms);
        error = state == ZOO_EXPIRED_SESSION_STATE ? ERR_SESSION_EXPIRED
                : state == ZOO_CONNECTED_STATE     ? 0
                                                   : ERR_CONNECTION_LOSS;
        int closed = zookeeper_close(handle);
        error = error == 0 && closed != ZOK ? ERR_CONNECTION_LOSS : error;
    }
    pthread_cond_destroy(&takeover.changed);
    pthread_mutex_destroy(&takeover.lock);
    return error;
}

int coord_zookeeper_end_session(const char *connect, int64_t session_id, const uint8_t password[16], int timeout_ms) {
    int64_t deadline_ms = now_ms() + timeout_ms;
    char *hosts = xstrndup(connect, strcspn(connect, "/"));
    clientid_t id = {.client_id = session_id};
    memcpy(id.passwd, password, sizeof id.passwd);
    bool is_asked = false; /* to end; the answer to that is not waited for, and its connection may have broken */
    int error = ERR_CONNECTION_LOSS;
    do {
        error = take_over_and_close(hosts, &id, MIN(deadline_ms, now_ms() + TRY_MS));
        is_asked = is_asked || error == 0;
        if (error == ERR_CONNECTION_LOSS) {
            const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
            nanosleep(&pause, NULL); /* no name could be resolved, at least not yet */
        }
    } while (error != ERR_SESSION_EXPIRED && now_ms() < deadline_ms);
    free(hosts);
    return error == ERR_SESSION_EXPIRED && is_asked ? 0 : error == 0 ? ERR_CONNECTION_LOSS : error;
}
