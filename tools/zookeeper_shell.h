/* What the two files of zookeeper-shell share: a session, one command, and the table of commands. */
#ifndef OTTLA_TOOLS_ZOOKEEPER_SHELL_H
#define OTTLA_TOOLS_ZOOKEEPER_SHELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/clock.h"
#include "broker/network/loop.h"
#include "coordinator-client/coord.h"

#define WORDS_MAX 64 /* of one command */

struct shell {
    struct loop *loop;
    struct coord *coord;
    struct timer timer;
    char *hosts;
    char *chroot; /* "" or "/a" */
    int32_t timeout_ms;
    bool is_connected;
    bool is_waiting; /* the loop runs for one answer */
    /* the answer */
    int error;
    struct coord_stat stat;
    char *data; /* NULL for a null node */
    int32_t data_size;
    char **names;
    int32_t name_count;
    char *path;
};

/* One command taken apart. */
struct command_line {
    const char *flags[WORDS_MAX]; /* each with the argument behind it, if it takes one */
    const char *flag_values[WORDS_MAX];
    int flag_count;
    const char *words[WORDS_MAX]; /* path, data, ... */
    int word_count;
};

struct command {
    const char *name;
    const char *usage;
    int arguments_min; /* words behind the flags */
    bool needs_server;
    int (*run)(struct shell *shell, struct command_line *line);
};

/* By name; NULL for none. */
const struct command *zookeeper_command_find(const char *name);
/* The usage lines of all. */
void zookeeper_commands_print(void);

/* Says what went wrong with a path; the exit status, 0 for no error. */
int zookeeper_report_error(int error, const char *path);
/* Runs the loop until the session's state or an answer ends it. */
int zookeeper_await(struct shell *shell);
/* Ends that wait. */
void zookeeper_answered(struct shell *shell, int error);
void zookeeper_forget_answer(struct shell *shell);

#endif
