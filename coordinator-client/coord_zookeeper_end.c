/* Ending somebody's session from another process: a second handle takes it over and closes it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"

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

static int await_decision(struct takeover *takeover, int timeout_ms) {
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&takeover->lock);
    while (!is_decided(takeover->state) &&
           pthread_cond_timedwait(&takeover->changed, &takeover->lock, &deadline) == 0) {
    }
    int state = takeover->state;
    pthread_mutex_unlock(&takeover->lock);
    return state;
}

int coord_zookeeper_end_session(const char *connect, int64_t session_id, const uint8_t password[16], int timeout_ms) {
    struct takeover takeover = {.state = 0};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&takeover.lock, NULL);
    pthread_cond_init(&takeover.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    char *hosts = xstrndup(connect, strcspn(connect, "/"));
    clientid_t id = {.client_id = session_id};
    memcpy(id.passwd, password, sizeof id.passwd);
    int error = ERR_CONNECTION_LOSS;
    zhandle_t *handle = zookeeper_init2(hosts, on_library_session, timeout_ms, &id, &takeover, 0, on_library_line);
    if (handle != NULL) {
        int state = await_decision(&takeover, timeout_ms);
        error = state == ZOO_EXPIRED_SESSION_STATE ? ERR_SESSION_EXPIRED
                : state == ZOO_CONNECTED_STATE     ? 0
                                                   : ERR_CONNECTION_LOSS;
        int closed = zookeeper_close(handle);
        error = error == 0 && closed != ZOK ? ERR_CONNECTION_LOSS : error;
    }
    free(hosts);
    pthread_cond_destroy(&takeover.changed);
    pthread_mutex_destroy(&takeover.lock);
    return error;
}
