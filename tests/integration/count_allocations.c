/* A preloaded library that counts what a process's first thread allocates, for cost_test: a broker's loop. What
 * libzookeeper's threads do every second, and workers now and then, is not part of a request.
 *
 *   COUNT_FILE=path LD_PRELOAD=count_allocations.so program
 *
 * The file holds the count as a number of 8 bytes, kept up to date, so that anybody can read it while the program runs,
 * and after it 8 bytes that anybody may set: 1 makes the next allocations show where they come from (stack by stack, on
 * the error output). malloc, calloc, realloc and the aligned ones count; memory that is given back is no cost. */
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_DEPTH 12
#define STACKS_MAX 200          /* shown at most */
#define EARLY_BYTES (64 * 1024) /* dlsym itself allocates before it has told us where malloc is */

struct shared {
    uint64_t allocations;
    uint64_t show;
};

static struct shared fallback;
static struct shared *shared = &fallback;
static uint64_t stacks_shown;
static __thread bool is_inside;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static int (*next_memalign)(void **, size_t, size_t);
static void *(*next_aligned)(size_t, size_t);

static uint8_t early[EARLY_BYTES] __attribute__((aligned(16)));
static size_t early_used;

static void *early_alloc(size_t size) {
    void *memory = early + early_used;
    early_used += (size + 15) & ~(size_t)15;
    if (early_used > sizeof early) {
        abort();
    }
    return memory;
}

static bool is_early(const void *memory) {
    return (const uint8_t *)memory >= early && (const uint8_t *)memory < early + sizeof early;
}

static void find_next(void) {
    static bool is_finding;
    if (next_free != NULL || is_finding) {
        return;
    }
    is_finding = true;
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&next_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
}

__attribute__((constructor)) static void open_file(void) {
    find_next();
    const char *path = getenv("COUNT_FILE");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file >= 0 && ftruncate(file, sizeof *shared) == 0) {
        void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        shared = memory == MAP_FAILED ? shared : memory;
    }
    if (file >= 0) {
        close(file);
    }
}

static bool is_first_thread(void) {
    static __thread enum { UNKNOWN, FIRST, OTHER } role;
    if (role == UNKNOWN) {
        role = getpid() == gettid() ? FIRST : OTHER;
    }
    return role == FIRST;
}

static void count(void) {
    if (!is_first_thread()) {
        return;
    }
    __atomic_add_fetch(&shared->allocations, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&shared->show, __ATOMIC_RELAXED) != 0 && !is_inside &&
        __atomic_add_fetch(&stacks_shown, 1, __ATOMIC_RELAXED) <= STACKS_MAX) {
        void *stack[STACK_DEPTH];
        is_inside = true;
        int depth = backtrace(stack, STACK_DEPTH);
        backtrace_symbols_fd(stack + 2, depth - 2, STDERR_FILENO);
        ssize_t ignored = write(STDERR_FILENO, "--\n", 3);
        (void)ignored;
        is_inside = false;
    }
}

void *malloc(size_t size) {
    find_next();
    if (next_malloc == NULL) {
        return early_alloc(size);
    }
    count();
    return next_malloc(size);
}

void *calloc(size_t number, size_t size) {
    find_next();
    if (next_calloc == NULL) {
        return early_alloc(number * size); /* zero since the start */
    }
    count();
    return next_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    find_next();
    if (is_early(memory)) {
        void *copy = malloc(size);
        size_t rest = (size_t)(early + sizeof early - (uint8_t *)memory);
        memcpy(copy, memory, size < rest ? size : rest);
        return copy;
    }
    count();
    return next_realloc(memory, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size) {
    find_next();
    count();
    return next_memalign(ret_memory, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    find_next();
    count();
    return next_aligned(alignment, size);
}

void free(void *memory) {
    if (memory != NULL && !is_early(memory)) {
        find_next();
        next_free(memory);
    }
}
