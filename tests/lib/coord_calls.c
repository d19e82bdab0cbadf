/* See coord_calls.h. */
#include "tests/lib/coord_calls.h"

#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"

static struct slice text_slice(const char *text) {
    return text == NULL ? SLICE_NULL : (struct slice){(const uint8_t *)text, (int32_t)strlen(text)};
}

static void finish(struct call *call, int error, const struct coord_stat *stat) {
    CHECK(!call->is_done);
    call->is_done = true;
    call->error = error;
    if (stat != NULL) {
        call->stat = *stat;
    }
}

static void on_data(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct call *call = context;
    call->size = data.size;
    snprintf(call->text, sizeof call->text, "%.*s", data.size < 0 ? 0 : data.size, (const char *)data.data);
    finish(call, error, stat);
}

static void on_stat(void *context, int error, const struct coord_stat *stat) {
    finish(context, error, stat);
}

static void on_children(void *context, int error, const char *const *names, int32_t count,
                        const struct coord_stat *stat) {
    struct call *call = context;
    size_t used = 0;
    for (int32_t i = 0; i < count; i++) {
        used += (size_t)snprintf(call->text + used, sizeof call->text - used, i == 0 ? "%s" : ",%s", names[i]);
        CHECK(used < sizeof call->text);
    }
    call->result_count = count;
    finish(call, error, stat);
}

static void on_path(void *context, int error, const char *path) {
    struct call *call = context;
    snprintf(call->text, sizeof call->text, "%s", path == NULL ? "" : path);
    finish(call, error, NULL);
}

static void on_multi(void *context, int error, const struct coord_op_result *results, int32_t count) {
    struct call *call = context;
    call->result_count = results == NULL ? -1 : count;
    for (int32_t i = 0; results != NULL && i < count && i < (int32_t)ARRAY_SIZE(call->results); i++) {
        call->results[i] = results[i];
        if (results[i].path != NULL) {
            snprintf(call->text, sizeof call->text, "%s", results[i].path);
        }
    }
    finish(call, error, NULL);
}

void call_get(struct call *call, struct coord *coord, const char *path, struct coord_watch watch) {
    *call = (struct call){0};
    coord_get(coord, path, watch, on_data, call);
}

void call_exists(struct call *call, struct coord *coord, const char *path, struct coord_watch watch) {
    *call = (struct call){0};
    coord_exists(coord, path, watch, on_stat, call);
}

void call_children(struct call *call, struct coord *coord, const char *path, struct coord_watch watch) {
    *call = (struct call){0};
    coord_children(coord, path, watch, on_children, call);
}

void call_create(struct call *call, struct coord *coord, const char *path, const char *data, int flags) {
    struct coord_op op = {.type = COORD_OP_CREATE, .path = path, .data = text_slice(data), .create_flags = flags};
    *call = (struct call){0};
    coord_create(coord, &op, on_path, call);
}

void call_set(struct call *call, struct coord *coord, const char *path, const char *data, int32_t version) {
    *call = (struct call){0};
    coord_set(coord, path, text_slice(data), version, on_stat, call);
}

void call_remove(struct call *call, struct coord *coord, const char *path, int32_t version) {
    *call = (struct call){0};
    coord_remove(coord, path, version, on_stat, call);
}

void call_multi(struct call *call, struct coord *coord, const struct coord_op *ops, int32_t count) {
    *call = (struct call){0};
    coord_multi(coord, ops, count, on_multi, call);
}

int call_wait(struct call *call, struct real_loop *loop) {
    CHECK(real_loop_until(loop, &call->is_done, CALL_TIMEOUT_MS));
    return call->error;
}
