/* Coordinator calls that wait for their answer, for tests on a real loop. */
#ifndef OTTLA_TESTS_COORD_CALLS_H
#define OTTLA_TESTS_COORD_CALLS_H

#include "coordinator-client/coord.h"
#include "tests/lib/real_loop.h"

#define CALL_TIMEOUT_MS 20000

struct call {
    bool is_done;
    int error;
    struct coord_stat stat;
    char text[4096]; /* data, path or names joined by commas */
    int32_t size;    /* of data; -1 null */
    int32_t result_count;
    struct coord_op_result results[16];
};

/* Each starts a call into *call; call_wait() runs the loop until it is done and returns its error. */
void call_get(struct call *call, struct coord *coord, const char *path, struct coord_watch watch);
void call_exists(struct call *call, struct coord *coord, const char *path, struct coord_watch watch);
void call_children(struct call *call, struct coord *coord, const char *path, struct coord_watch watch);
/* data NULL: null data */
void call_create(struct call *call, struct coord *coord, const char *path, const char *data, int flags);
void call_set(struct call *call, struct coord *coord, const char *path, const char *data, int32_t version);
void call_remove(struct call *call, struct coord *coord, const char *path, int32_t version);
void call_multi(struct call *call, struct coord *coord, const struct coord_op *ops, int32_t count);
int call_wait(struct call *call, struct real_loop *loop);

#endif
