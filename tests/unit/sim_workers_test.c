/* The workers of the simulator: what the real pool promises, and that nothing else is kept. */
#include <check.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "tests/lib/runner.h"
#include "tests/simulation/sim_clock.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_workers.h"

#define JOBS 40
#define WRITES 8

static struct sim *sim;
static struct clock *machine;
static struct disk *disk;

struct work {
    int32_t number;
    int32_t writes; /* done */
    struct disk_file *file;
};

static struct work works[JOBS];
static int32_t finished[JOBS], finished_count;
static int32_t done_count;
static int32_t busy, busy_max;

static void begin(uint64_t seed) {
    sim = sim_create(seed);
    machine = sim_clock_create(sim, 0);
    disk = sim_disk_create(seed);
    sim_disk_make_path(disk, "/d");
    sim_disk_set_clock(disk, machine);
    finished_count = done_count = busy = busy_max = 0;
}

static void end(void) {
    sim_clock_kill(machine);
    sim_clock_destroy(machine);
    sim_disk_destroy(disk);
    sim_destroy(sim);
}

static void work(void *context) {
    struct work *self = context;
    busy++;
    busy_max = MAX(busy_max, busy);
    for (; self->writes < WRITES; self->writes++) {
        ck_assert_int_eq(disk_write(self->file, "x", 1, self->writes), 0);
    }
    busy--;
    finished[finished_count++] = self->number;
}

static void done(void *context) {
    const struct work *self = context;
    ck_assert_int_eq(self->writes, WRITES);
    done_count++;
}

static void spawn_all(void *context) {
    (void)context;
    for (int32_t i = 0; i < JOBS; i++) {
        char *path = xasprintf("/d/%d", i);
        works[i] = (struct work){.number = i};
        ck_assert_int_eq(disk_open(disk, path, DISK_WRITE | DISK_CREATE, &works[i].file), 0);
        free(path);
        clock_spawn(machine, work, done, &works[i]);
    }
}

static int32_t inversions(void) {
    int32_t count = 0;
    for (int32_t i = 1; i < finished_count; i++) {
        count += finished[i] < finished[i - 1];
    }
    return count;
}

START_TEST(jobs_end_in_any_order_and_what_follows_comes_behind_them) {
    int32_t count = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed);
        clock_post(machine, spawn_all, NULL);
        sim_run_until(sim, 600000);
        ck_assert_int_eq(done_count, JOBS);
        ck_assert(sim_workers_are_idle(sim_clock_workers(machine)));
        count += inversions();
        end();
    }
    ck_assert_int_gt(count, 0);
}
END_TEST

START_TEST(no_more_jobs_are_under_way_than_there_are_threads_and_one_thread_keeps_the_order) {
    for (int32_t threads = 1; threads <= 3; threads++) {
        int32_t seen = 0;
        for (uint64_t seed = 1; seed <= 20; seed++) {
            begin(seed);
            sim_workers_set_count(sim_clock_workers(machine), threads);
            sim_workers_set_slow(sim_clock_workers(machine), 100);
            clock_post(machine, spawn_all, NULL);
            sim_run_until(sim, 600000);
            ck_assert_int_eq(done_count, JOBS);
            ck_assert(threads > 1 || inversions() == 0);
            seen = MAX(seen, busy_max);
            end();
        }
        ck_assert_int_eq(seen, threads);
    }
}
END_TEST

static void die_at_once(void *context, const char *name) {
    int32_t *left = context;
    (void)name;
    if (sim_running(sim) == machine && --*left == 0) {
        sim_clock_kill(machine);
        sim_escape(sim);
    }
}

START_TEST(a_process_that_dies_in_a_job_leaves_what_its_jobs_had_done_so_far) {
    int32_t half_done = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        int32_t left = JOBS + 1 + (int32_t)seed * 10; /* the files are made first */
        begin(seed);
        sim_workers_set_slow(sim_clock_workers(machine), 100);
        sim_disk_on_effect(disk, die_at_once, &left);
        clock_post(machine, spawn_all, NULL);
        sim_run_until(sim, 600000);
        ck_assert_int_eq(left, 0);
        int32_t writes = 0;
        for (int32_t i = 0; i < JOBS; i++) {
            char *path = xasprintf("/d/%d", i);
            struct slice bytes;
            ck_assert(sim_disk_peek(disk, path, &bytes));
            free(path);
            ck_assert_int_eq(bytes.size, works[i].writes);
            writes += bytes.size;
            half_done += bytes.size > 0 && bytes.size < WRITES;
        }
        ck_assert_int_eq(writes, (int32_t)seed * 10);
        sim_clock_destroy(machine);
        sim_disk_destroy(disk);
        sim_destroy(sim);
    }
    ck_assert_int_gt(half_done, 20);
}
END_TEST

static void spawn_and_finish(void *context) {
    spawn_all(context);
    sim_workers_finish(sim_clock_workers(machine));
}

START_TEST(a_process_that_ends_works_off_what_has_begun_and_nothing_else) {
    begin(1);
    sim_workers_set_count(sim_clock_workers(machine), 4);
    sim_workers_set_slow(sim_clock_workers(machine), 1000);
    clock_post(machine, spawn_and_finish, NULL);
    sim_run_until(sim, sim_now_ms(sim));
    ck_assert_int_eq(finished_count, 4);
    ck_assert_int_eq(done_count, 0);
    end();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(jobs_end_in_any_order_and_what_follows_comes_behind_them),
        TEST(no_more_jobs_are_under_way_than_there_are_threads_and_one_thread_keeps_the_order),
        TEST(a_process_that_dies_in_a_job_leaves_what_its_jobs_had_done_so_far),
        TEST(a_process_that_ends_works_off_what_has_begun_and_nothing_else),
    };
    return run_tests("sim_workers", tests, ARRAY_SIZE(tests));
}
