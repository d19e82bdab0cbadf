/* One suite, one case per test, so that Check reports every test by name. */
#include "tests/lib/runner.h"

int run_tests(const char *suite_name, const struct test *tests, size_t count) {
    Suite *suite = suite_create(suite_name);
    for (size_t i = 0; i < count; i++) {
        TCase *tcase = tcase_create((*tests[i].function)->name);
        tcase_set_timeout(tcase, 120);
        _tcase_add_test(tcase, *tests[i].function, 0, 0, 0, 1);
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
