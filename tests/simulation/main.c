/* Runs seeds, each in a process of its own so that a failed CHECK ends one seed and not the run, some at a time.
 *
 *   sim --seeds N --first K [--jobs J] [--verbose] [--stop-at-failure]
 *
 * Every 20th seed runs twice, and both must come to the same hash. A thousand seeds and more must have visited every
 * corner of marks.h. Ends with "N passed, N failed", counting seeds. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "tests/simulation/run.h"

#define JOBS_MAX 16
#define TWICE_EVERY 20
#define FAILURES_SHOWN_MAX 20
#define SEEDS_OF_MARKS 1000

struct job {
    pid_t pid; /* 0 free */
    uint64_t seed;
};

struct options {
    uint64_t first;
    uint64_t count;
    int32_t jobs;
    bool is_verbose;
    bool stops_at_failure;
};

struct totals {
    int64_t passed;
    int64_t failed;
    int64_t twice;
    int64_t simulated_ms;
    uint64_t events;
    int64_t acked;
    int64_t faults;
    struct marks marks;
};

/* In the child. */
static int run_one(uint64_t seed, bool is_verbose, struct run_result *ret) {
    alarm(is_verbose ? 0 : 120); /* a loop without end is a failure too */
    run_seed(seed, false, is_verbose, ret);
    if (seed % TWICE_EVERY == 0 && !is_verbose) {
        struct run_result again;
        run_seed(seed, true, false, &again);
        if (again.hash != ret->hash) {
            printf("seed %" PRIu64 " FAILED two runs differ: %016" PRIx64 " with %" PRIu64 " events, %016" PRIx64
                   " with %" PRIu64 "\n",
                   seed, ret->hash, ret->events, again.hash, again.events);
            ret->is_violated = true;
        }
    }
    fflush(stdout);
    return ret->is_violated ? 1 : 0;
}

static void begin(struct job *job, struct run_result *result, uint64_t seed, bool is_verbose) {
    fflush(stdout);
    job->seed = seed;
    job->pid = fork();
    CHECK(job->pid >= 0);
    if (job->pid == 0) {
        _exit(run_one(seed, is_verbose, result));
    }
}

static void end(const struct job *job, const struct run_result *result, int status, struct totals *totals) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        totals->passed++;
        totals->twice += job->seed % TWICE_EVERY == 0;
    } else {
        totals->failed++;
        if (WIFSIGNALED(status)) {
            printf("seed %" PRIu64 " FAILED died of signal %d (%s)\n", job->seed, WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
        }
        if (totals->failed <= FAILURES_SHOWN_MAX) {
            printf("  replay: make sim SEEDS=1 FIRST_SEED=%" PRIu64 " VERBOSE=1\n", job->seed);
        }
    }
    totals->simulated_ms += result->simulated_ms;
    totals->events += result->events;
    totals->acked += result->acked;
    totals->faults += result->faults;
    for (int32_t i = 0; i < MARK_COUNT; i++) {
        totals->marks.counts[i] += result->marks.counts[i];
    }
}

static void run_all(const struct options *options, struct totals *totals) {
    struct job jobs[JOBS_MAX] = {0};
    struct run_result *results =
        mmap(NULL, sizeof *results * JOBS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(results != MAP_FAILED);
    uint64_t next = 0;
    int32_t running = 0;
    while (next < options->count || running > 0) {
        if (options->stops_at_failure && totals->failed > 0) {
            next = options->count;
        }
        for (int32_t i = 0; i < options->jobs && next < options->count; i++) {
            if (jobs[i].pid == 0) {
                results[i] = (struct run_result){0};
                begin(&jobs[i], &results[i], options->first + next++, options->is_verbose);
                running++;
            }
        }
        int status;
        pid_t pid = wait(&status);
        CHECK(pid > 0);
        for (int32_t i = 0; i < options->jobs; i++) {
            if (jobs[i].pid == pid) {
                end(&jobs[i], &results[i], status, totals);
                jobs[i].pid = 0;
                running--;
            }
        }
    }
    munmap(results, sizeof *results * JOBS_MAX);
}

/* False when a thousand seeds and more missed a mark; fewer only say what they saw. */
static bool check_marks(const struct options *options, const struct totals *totals) {
    static const struct {
        int64_t floor;
        const char *text;
    } marks[] = {
#define X(name, floor, text) {floor, text},
        MARKS(X)
#undef X
    };
    bool counts = options->count >= SEEDS_OF_MARKS && !options->stops_at_failure;
    int32_t missed = 0;
    printf("marks:");
    for (int32_t i = 0; i < MARK_COUNT; i++) {
        bool is_low = totals->marks.counts[i] < (int64_t)(options->count / SEEDS_OF_MARKS) * marks[i].floor;
        printf("%s %s %" PRId64 "%s", i == 0 ? "" : ",", marks[i].text, totals->marks.counts[i],
               is_low ? " (below its floor)" : "");
        missed += is_low;
    }
    printf("\n");
    return !counts || missed == 0;
}

static struct options parse(int argc, char **argv) {
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 's'},     {"first", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},      {"verbose", no_argument, NULL, 'v'},
        {"stop-at-failure", no_argument, NULL, 'x'}, {0}};
    struct options options = {.first = 1, .count = 500, .jobs = 2};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 's': options.count = strtoull(optarg, NULL, 10); break;
        case 'f': options.first = strtoull(optarg, NULL, 10); break;
        case 'j': options.jobs = MAX(1, MIN(JOBS_MAX, atoi(optarg))); break;
        case 'v': options.is_verbose = true; break;
        case 'x': options.stops_at_failure = true; break;
        default: exit(2);
        }
    }
    return options;
}

int main(int argc, char **argv) {
    struct options options = parse(argc, argv);
    struct totals totals = {0};
    run_all(&options, &totals);
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    double cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%" PRId64 " records acknowledged, %" PRId64 " faults, %" PRIu64 " events, %" PRId64
           " seeds run twice with equal hashes\n",
           totals.acked, totals.faults, totals.events, totals.twice);
    printf("%.0f simulated seconds in %.1f CPU seconds: %.0f per second\n", (double)totals.simulated_ms / 1000,
           cpu_seconds, (double)totals.simulated_ms / 1000 / MAX(cpu_seconds, 0.001));
    bool has_marks = check_marks(&options, &totals);
    printf("%" PRId64 " passed, %" PRId64 " failed%s\n", totals.passed, totals.failed,
           has_marks ? "" : ", and some corner was not visited");
    return totals.failed == 0 && has_marks ? EXIT_SUCCESS : EXIT_FAILURE;
}
