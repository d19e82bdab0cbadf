/* See sim_fiber.h. Stacks are kept for the next fiber: a run starts them by the ten thousand. */
#include "tests/simulation/sim_fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "broker/base/check.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#define BEFORE_SWITCH(kept, stack, size) __sanitizer_start_switch_fiber(kept, stack, size)
#define AFTER_SWITCH(kept, stack, size) __sanitizer_finish_switch_fiber(kept, stack, size)
#else
#define BEFORE_SWITCH(kept, stack, size) ((void)(kept), (void)(stack), (void)(size))
#define AFTER_SWITCH(kept, stack, size) ((void)(kept), (void)(stack), (void)(size))
#endif

#define STACK_BYTES ((size_t)512 * 1024)
#define GUARD_BYTES ((size_t)64 * 1024)

struct sim_fiber {
    struct sim_fiber *next; /* of those without use */
    uint8_t *stack;         /* above the guard */
    ucontext_t own;
    ucontext_t resumer;
    const void *resumer_stack; /* for the sanitizer */
    size_t resumer_size;
    enum sim_fiber_state state;
    task_callback *run;
    void *context;
};

static struct sim_fiber *unused;
static struct sim_fiber *current;

static void leave(struct sim_fiber *fiber, enum sim_fiber_state state) {
    void *kept = NULL;
    fiber->state = state;
    BEFORE_SWITCH(state == FIBER_SUSPENDED ? &kept : NULL, fiber->resumer_stack, fiber->resumer_size);
    CHECK(swapcontext(&fiber->own, &fiber->resumer) == 0);
    AFTER_SWITCH(kept, &fiber->resumer_stack, &fiber->resumer_size);
}

static void enter(void) {
    struct sim_fiber *fiber = current;
    AFTER_SWITCH(NULL, &fiber->resumer_stack, &fiber->resumer_size);
    fiber->run(fiber->context);
    leave(fiber, FIBER_FINISHED);
    abort();
}

static void prepare(struct sim_fiber *fiber) {
    CHECK(getcontext(&fiber->own) == 0);
    fiber->own.uc_stack.ss_sp = fiber->stack;
    fiber->own.uc_stack.ss_size = STACK_BYTES;
    fiber->own.uc_link = NULL;
    makecontext(&fiber->own, enter, 0);
}

struct sim_fiber *sim_fiber_create(task_callback *run, void *context) {
    struct sim_fiber *fiber = unused;
    if (fiber != NULL) {
        unused = fiber->next;
    } else {
        fiber = xcalloc(1, sizeof *fiber);
        uint8_t *pages = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(pages != MAP_FAILED && mprotect(pages, GUARD_BYTES, PROT_NONE) == 0);
        fiber->stack = pages + GUARD_BYTES;
    }
    prepare(fiber);
    fiber->state = FIBER_SUSPENDED;
    fiber->run = run;
    fiber->context = context;
    return fiber;
}

static void put_aside(struct sim_fiber *fiber) {
    fiber->next = unused;
    unused = fiber;
}

enum sim_fiber_state sim_fiber_resume(struct sim_fiber *fiber) {
    CHECK(current == NULL && fiber->state == FIBER_SUSPENDED);
    current = fiber;
    void *kept = NULL;
    BEFORE_SWITCH(&kept, fiber->stack, STACK_BYTES);
    CHECK(swapcontext(&fiber->resumer, &fiber->own) == 0);
    AFTER_SWITCH(kept, NULL, NULL);
    current = NULL;
    enum sim_fiber_state state = fiber->state;
    if (state != FIBER_SUSPENDED) {
        put_aside(fiber);
    }
    return state;
}

void sim_fiber_suspend(void) {
    CHECK(current != NULL);
    leave(current, FIBER_SUSPENDED);
}

void sim_fiber_abandon(void) {
    CHECK(current != NULL);
    leave(current, FIBER_ABANDONED);
    abort();
}

struct sim_fiber *sim_fiber_current(void) {
    return current;
}

void sim_fiber_destroy(struct sim_fiber *fiber) {
    if (fiber != current) {
        put_aside(fiber);
    }
}
