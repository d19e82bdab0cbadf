/* One suite, one case per test, so that Check reports every test by name. */
#include "tests/lib/runner.h"

#include "broker/base/trace.h"

int run_tests(const char *suite_name, const struct test *tests, size_t count) {
    return run_tests_with_fixture(suite_name, tests, count, NULL, NULL);
}

int run_tests_with_fixture(const char *suite_name, const struct test *tests, size_t count, void (*set_up)(void),
                           void (*tear_down)(void)) {
    Suite *suite = suite_create(suite_name);
    for (size_t i = 0; i < count; i++) {
        TCase *tcase = tcase_create((*tests[i].function)->name);
        tcase_set_timeout(tcase, 120);
        tcase_add_checked_fixture(tcase, set_up, tear_down);
        _tcase_add_test(tcase, *tests[i].function, 0, 0, 0, 1);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

static void drop_line(enum trace_level level, const char *line, void *context) {
    (void)level, (void)line, (void)context;
}

void trace_nothing(void) {
    trace_set_sink(drop_line, NULL);
}
