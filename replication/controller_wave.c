/* Asks become calls of the coordinator seam, their results replies that outlive the callbacks. */
#include "replication/controller_wave.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"

/* An ask on its way. */
struct asked {
    struct controller_wave *wave;
    int32_t index;
    bool is_lost; /* to be asked again */
};

struct controller_wave {
    struct controller_wave_config config;
    uint32_t serial;
    const struct controller_ask *asks;
    int32_t count;
    int32_t next; /* first ask never submitted */
    int32_t in_flight;
    int32_t lost_count;
    int32_t done_count;
    struct asked *asked;
    struct controller_reply *replies;
    struct arena arena; /* of the replies */
    struct timer retry;
    bool is_forgotten;
};

static void submit_more(struct controller_wave *wave);

static void wave_free(struct controller_wave *wave) {
    arena_deinit(&wave->arena);
    free(wave->asked);
    free(wave->replies);
    free(wave);
}

static void on_retry(struct timer *timer) {
    submit_more(CONTAINER_OF(timer, struct controller_wave, retry));
}

/* Every callback ends here. */
static void settle(struct asked *asked, int error) {
    struct controller_wave *wave = asked->wave;
    wave->in_flight--;
    if (wave->is_forgotten) {
        if (wave->in_flight == 0) {
            wave_free(wave);
        }
        return;
    }
    wave->replies[asked->index].error = error;
    bool is_undecided = error == ERR_CONNECTION_LOSS || error == ERR_SESSION_EXPIRED || error == ERR_CLOSING;
    if (is_undecided && !wave->config.is_last) {
        asked->is_lost = true;
        wave->lost_count++;
        if (!timer_is_running(&wave->retry)) {
            timer_start(wave->config.clock, &wave->retry, CONTROLLER_WAVE_RETRY_MS, on_retry);
        }
        return;
    }
    wave->done_count++;
    if (wave->done_count == wave->count) {
        wave->config.on_done(wave->config.context, wave);
    } else {
        submit_more(wave);
    }
}

static void take_stat(struct controller_reply *reply, const struct coord_stat *stat) {
    if (stat != NULL) {
        reply->version = stat->version;
        reply->czxid = stat->czxid;
    }
}

static void on_get(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct asked *asked = context;
    if (error == 0 && !asked->wave->is_forgotten) {
        struct controller_reply *reply = &asked->wave->replies[asked->index];
        struct str copy = arena_str(&asked->wave->arena, (struct str){(const char *)data.data, data.size});
        reply->data = (struct slice){(const uint8_t *)copy.data, copy.size};
        take_stat(reply, stat);
    }
    settle(asked, error);
}

static void on_children(void *context, int error, const char *const *names, int32_t name_count,
                        const struct coord_stat *stat) {
    struct asked *asked = context;
    if (error == 0 && !asked->wave->is_forgotten) {
        struct controller_reply *reply = &asked->wave->replies[asked->index];
        const char **copy = ARENA_ARRAY(&asked->wave->arena, const char *, name_count + 1);
        for (int32_t i = 0; i < name_count; i++) {
            copy[i] = arena_str(&asked->wave->arena, str_from(names[i])).data;
        }
        reply->names = copy;
        reply->name_count = name_count;
        take_stat(reply, stat);
    }
    settle(asked, error);
}

static void on_multi(void *context, int error, const struct coord_op_result *results, int32_t count) {
    struct asked *asked = context;
    if (results != NULL && !asked->wave->is_forgotten) {
        int *errors = ARENA_ARRAY(&asked->wave->arena, int, count);
        int32_t *versions = ARENA_ARRAY(&asked->wave->arena, int32_t, count);
        for (int32_t i = 0; i < count; i++) {
            errors[i] = results[i].error;
            versions[i] = results[i].stat.version;
        }
        asked->wave->replies[asked->index].op_errors = errors;
        asked->wave->replies[asked->index].op_versions = versions;
    }
    settle(asked, error);
}

static void submit_multi(struct controller_wave *wave, const struct controller_ask *ask, struct asked *asked) {
    static const enum coord_op_type types[] = {
        [CONTROLLER_OP_CHECK] = COORD_OP_CHECK,
        [CONTROLLER_OP_CREATE] = COORD_OP_CREATE,
        [CONTROLLER_OP_SET] = COORD_OP_SET,
        [CONTROLLER_OP_DELETE] = COORD_OP_DELETE,
    };
    struct coord_op *ops = xcalloc((size_t)ask->op_count, sizeof *ops);
    for (int32_t i = 0; i < ask->op_count; i++) {
        ops[i] = (struct coord_op){
            .type = types[ask->ops[i].type],
            .path = ask->ops[i].path,
            .data = ask->ops[i].data,
            .version = ask->ops[i].version,
            .create_flags = ask->ops[i].is_ephemeral ? COORD_EPHEMERAL : COORD_PERSISTENT,
        };
    }
    coord_multi(wave->config.coord, ops, ask->op_count, on_multi, asked);
    free(ops);
}

static void submit(struct controller_wave *wave, int32_t index) {
    const struct controller_ask *ask = &wave->asks[index];
    struct asked *asked = &wave->asked[index];
    struct coord_watch watch = ask->is_watching ? wave->config.watch : COORD_NO_WATCH;
    wave->in_flight++;
    switch (ask->type) {
    case CONTROLLER_GET: coord_get(wave->config.coord, ask->path, watch, on_get, asked); break;
    case CONTROLLER_CHILDREN: coord_children(wave->config.coord, ask->path, watch, on_children, asked); break;
    case CONTROLLER_MULTI: submit_multi(wave, ask, asked); break;
    }
}

/* What was lost goes first, once everything else that was out came back and there is a connection: the order of asks
 * that build on each other (a parent, then its child) holds across the loss. */
static void submit_more(struct controller_wave *wave) {
    if (wave->lost_count > 0) {
        if (wave->in_flight > 0 || timer_is_running(&wave->retry)) {
            return;
        }
        if (wave->config.coord->ops->state(wave->config.coord) != COORD_CONNECTED) {
            timer_start(wave->config.clock, &wave->retry, CONTROLLER_WAVE_RETRY_MS, on_retry);
            return;
        }
        wave->lost_count = 0;
        for (int32_t i = 0; i < wave->next; i++) {
            if (wave->asked[i].is_lost) {
                wave->asked[i].is_lost = false;
                submit(wave, i);
            }
        }
        return;
    }
    while (wave->next < wave->count && wave->in_flight < CONTROLLER_WAVE_IN_FLIGHT_MAX) {
        submit(wave, wave->next++);
    }
}

struct controller_wave *controller_wave_start(const struct controller_wave_config *config, uint32_t serial,
                                              const struct controller_ask *asks, int32_t count) {
    struct controller_wave *wave = xcalloc(1, sizeof *wave);
    wave->config = *config;
    wave->serial = serial;
    wave->asks = asks;
    wave->count = count;
    wave->asked = xcalloc((size_t)count, sizeof *wave->asked);
    wave->replies = xcalloc((size_t)count, sizeof *wave->replies);
    arena_init(&wave->arena, SIZE_MAX);
    for (int32_t i = 0; i < count; i++) {
        wave->asked[i] = (struct asked){wave, i, false};
        wave->replies[i].data = SLICE_NULL;
    }
    submit_more(wave);
    return wave;
}

void controller_wave_forget(struct controller_wave *wave) {
    timer_stop(wave->config.clock, &wave->retry);
    wave->is_forgotten = true;
    if (wave->in_flight == 0) {
        wave_free(wave);
    }
}

uint32_t controller_wave_serial(const struct controller_wave *wave) {
    return wave->serial;
}

struct controller_reply *controller_wave_replies(struct controller_wave *wave, int32_t *ret_count) {
    *ret_count = wave->count;
    return wave->replies;
}
