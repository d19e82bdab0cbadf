/* Asks become calls of the coordinator seam, their results replies that outlive the callbacks. */
#include "replication/controller_wave.h"

#include <stdlib.h>
#include <string.h>

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
    /* The fenced writes that travel as one multi. */
    int32_t batch_first;
    int32_t batch_count; /* 0: none */
    bool is_batch_lost;
    int32_t alone_until; /* asks before this one were part of a batch that failed: each goes alone */
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

/* Every callback begins here. False when nobody wants to know any more. */
static bool has_come_back(struct controller_wave *wave) {
    wave->in_flight--;
    if (wave->is_forgotten && wave->in_flight == 0) {
        wave_free(wave);
        return false;
    }
    return !wave->is_forgotten;
}

static bool must_repeat(struct controller_wave *wave, int error) {
    bool is_undecided = error == ERR_CONNECTION_LOSS || error == ERR_SESSION_EXPIRED || error == ERR_CLOSING;
    if (!is_undecided || wave->config.is_last) {
        return false;
    }
    if (!timer_is_running(&wave->retry)) {
        timer_start(wave->config.clock, &wave->retry, CONTROLLER_WAVE_RETRY_MS, on_retry);
    }
    return true;
}

static void settle_some(struct controller_wave *wave, int32_t count) {
    wave->done_count += count;
    if (wave->done_count == wave->count) {
        wave->config.on_done(wave->config.context, wave);
    } else {
        submit_more(wave);
    }
}

static void settle(struct asked *asked, int error) {
    struct controller_wave *wave = asked->wave;
    int32_t index = asked->index;
    if (!has_come_back(wave)) {
        return;
    }
    wave->replies[index].error = error;
    if (must_repeat(wave, error)) {
        asked->is_lost = true;
        wave->lost_count++;
    } else {
        settle_some(wave, 1);
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

static struct coord_op coord_op_of(const struct controller_op *op) {
    static const enum coord_op_type types[] = {
        [CONTROLLER_OP_CHECK] = COORD_OP_CHECK,
        [CONTROLLER_OP_CREATE] = COORD_OP_CREATE,
        [CONTROLLER_OP_SET] = COORD_OP_SET,
        [CONTROLLER_OP_DELETE] = COORD_OP_DELETE,
    };
    return (struct coord_op){
        .type = types[op->type],
        .path = op->path,
        .data = op->data,
        .version = op->version,
        .create_flags = op->is_ephemeral ? COORD_EPHEMERAL : COORD_PERSISTENT,
    };
}

static void submit_multi(struct controller_wave *wave, const struct controller_ask *ask, struct asked *asked) {
    struct coord_op *ops = xcalloc((size_t)ask->op_count, sizeof *ops);
    for (int32_t i = 0; i < ask->op_count; i++) {
        ops[i] = coord_op_of(&ask->ops[i]);
    }
    coord_multi(wave->config.coord, ops, ask->op_count, on_multi, asked);
    free(ops);
}

/* ---- batches ---- */

/* How many asks from here on may travel together: writes of one op each behind the same check. */
static int32_t count_batch(const struct controller_wave *wave) {
    size_t bytes = 0;
    int32_t at = wave->next;
    while (at < wave->count && at - wave->next < CONTROLLER_WAVE_BATCH_MAX && wave->asks[at].is_fenced &&
           wave->asks[at].op_count == 2) {
        const struct controller_op *op = &wave->asks[at].ops[1];
        bytes += strlen(op->path) + (size_t)MAX(op->data.size, 0);
        if (bytes > CONTROLLER_WAVE_BATCH_BYTES && at > wave->next) {
            break;
        }
        at++;
    }
    return at - wave->next;
}

/* Gives every ask of the batch the reply it would have had alone. */
static void take_batch(struct controller_wave *wave, int error, const struct coord_op_result *results) {
    for (int32_t i = 0; i < wave->batch_count; i++) {
        struct controller_reply *reply = &wave->replies[wave->batch_first + i];
        reply->error = error;
        if (results != NULL) {
            int *errors = ARENA_ARRAY(&wave->arena, int, 2);
            int32_t *versions = ARENA_ARRAY(&wave->arena, int32_t, 2);
            errors[0] = results[0].error;
            errors[1] = results[i + 1].error;
            versions[0] = 0;
            versions[1] = results[i + 1].stat.version;
            reply->op_errors = errors;
            reply->op_versions = versions;
        }
    }
}

static void on_batch(void *context, int error, const struct coord_op_result *results, int32_t count) {
    struct controller_wave *wave = context;
    if (!has_come_back(wave)) {
        return;
    }
    if (must_repeat(wave, error)) {
        wave->is_batch_lost = true;
        return;
    }
    CHECK(results == NULL || count == wave->batch_count + 1);
    int32_t settled = wave->batch_count;
    bool is_fence_broken = results != NULL && results[0].error != 0 && results[0].error != ERR_ROLLED_BACK;
    if (error == 0 || is_fence_broken || wave->config.is_last) {
        take_batch(wave, error, results);
    } else {
        /* One op failed and took the others with it: each is tried alone, in order. */
        wave->next = wave->batch_first;
        wave->alone_until = wave->batch_first + wave->batch_count;
        settled = 0;
    }
    wave->batch_count = 0;
    settle_some(wave, settled);
}

static void submit_batch(struct controller_wave *wave) {
    struct coord_op *ops = xcalloc((size_t)wave->batch_count + 1, sizeof *ops);
    ops[0] = coord_op_of(&wave->asks[wave->batch_first].ops[0]);
    for (int32_t i = 0; i < wave->batch_count; i++) {
        ops[i + 1] = coord_op_of(&wave->asks[wave->batch_first + i].ops[1]);
    }
    wave->in_flight++;
    coord_multi(wave->config.coord, ops, wave->batch_count + 1, on_batch, wave);
    free(ops);
}

/* ---- submission ---- */

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
static void repeat_lost(struct controller_wave *wave) {
    if (wave->in_flight > 0 || timer_is_running(&wave->retry)) {
        return;
    }
    if (wave->config.coord->ops->state(wave->config.coord) != COORD_CONNECTED) {
        timer_start(wave->config.clock, &wave->retry, CONTROLLER_WAVE_RETRY_MS, on_retry);
        return;
    }
    if (wave->is_batch_lost) {
        wave->is_batch_lost = false;
        submit_batch(wave);
        return;
    }
    wave->lost_count = 0;
    for (int32_t i = 0; i < wave->next; i++) {
        if (wave->asked[i].is_lost) {
            wave->asked[i].is_lost = false;
            submit(wave, i);
        }
    }
}

/* A batch travels alone: what follows it may build on it, and it may have to be taken apart first. */
static void submit_more(struct controller_wave *wave) {
    if (wave->lost_count > 0 || wave->is_batch_lost) {
        repeat_lost(wave);
        return;
    }
    while (wave->batch_count == 0 && wave->next < wave->count && wave->in_flight < CONTROLLER_WAVE_IN_FLIGHT_MAX) {
        int32_t count = wave->next < wave->alone_until ? 1 : count_batch(wave);
        if (count <= 1) {
            submit(wave, wave->next++);
        } else if (wave->in_flight > 0) {
            return;
        } else {
            wave->batch_first = wave->next;
            wave->batch_count = count;
            wave->next += count;
            submit_batch(wave);
        }
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
