/* Runs a command-line tool's function in a process of its own, and keeps what it said. */
#ifndef OTTLA_TESTS_TOOL_RUN_H
#define OTTLA_TESTS_TOOL_RUN_H

struct tool_result {
    int status;
    char *out;
    char *err;
};

/* Inside `directory`; the two outputs pass through files below `scratch`. */
struct tool_result tool_run(int (*tool)(int argc, char **argv), const char *directory, const char *scratch, int argc,
                            const char *const *argv);
void tool_result_free(struct tool_result *result);

#endif
