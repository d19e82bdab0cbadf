/* Runs a list of Check tests; the name of each is a sentence. */
#ifndef OTTLA_TESTS_RUNNER_H
#define OTTLA_TESTS_RUNNER_H

#include <check.h>
#include <stddef.h>

struct test {
    const TTest *const *function; /* Check makes each name a pointer variable */
};

#define TEST(name)                                                                                                     \
    { &name }

/* Returns the exit status for main(). */
int run_tests(const char *suite_name, const struct test *tests, size_t count);
/* The same, with functions run before and after each test. */
int run_tests_with_fixture(const char *suite_name, const struct test *tests, size_t count, void (*set_up)(void),
                           void (*tear_down)(void));
/* From now on nothing that is traced is written anywhere. */
void trace_nothing(void);

#endif
