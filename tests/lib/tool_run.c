/* fork, two files, wait. */
#include "tests/lib/tool_run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/base/check.h"

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fstat(fileno(file), &status), 0);
    char *text = xmalloc((size_t)status.st_size + 1);
    size_t size = fread(text, 1, (size_t)status.st_size, file);
    text[size] = '\0';
    fclose(file);
    return text;
}

struct tool_result tool_run(int (*tool)(int argc, char **argv), const char *directory, const char *scratch, int argc,
                            const char *const *argv) {
    char *out = xasprintf("%s/out", scratch);
    char *err = xasprintf("%s/err", scratch);
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        CHECK(chdir(directory) == 0);
        CHECK(freopen(out, "w", stdout) != NULL && freopen(err, "w", stderr) != NULL);
        int status = tool(argc, (char **)argv);
        fflush(NULL);
        _exit(status);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    struct tool_result result = {WEXITSTATUS(status), read_text(out), read_text(err)};
    free(out);
    free(err);
    return result;
}

void tool_result_free(struct tool_result *result) {
    free(result->out);
    free(result->err);
}
