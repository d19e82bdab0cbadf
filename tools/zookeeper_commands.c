/* The commands of zookeeper-shell, one function each, and the waiting for one answer at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/options.h"
#include "tools/zookeeper_shell.h"

static const char *flag_value(const struct command_line *line, const char *flag) {
    for (int i = 0; i < line->flag_count; i++) {
        if (strcmp(line->flags[i], flag) == 0) {
            return line->flag_values[i] != NULL ? line->flag_values[i] : "";
        }
    }
    return NULL;
}

/* -- waiting for one answer ------------------------------------------------------------------------------------- */

static void on_timeout(struct timer *timer) {
    struct shell *shell = CONTAINER_OF(timer, struct shell, timer);
    shell->error = ERR_TIMED_OUT;
    shell->is_waiting = false;
    loop_stop(shell->loop);
}

void zookeeper_answered(struct shell *shell, int error) {
    shell->error = error;
    shell->is_waiting = false;
    loop_stop(shell->loop);
}

/* Runs the loop until zookeeper_answered() or the time-out. */
int zookeeper_await(struct shell *shell) {
    timer_start(loop_clock(shell->loop), &shell->timer, shell->timeout_ms, on_timeout);
    shell->is_waiting = true;
    while (shell->is_waiting) {
        loop_run(shell->loop);
    }
    timer_stop(loop_clock(shell->loop), &shell->timer);
    return shell->error;
}

void zookeeper_forget_answer(struct shell *shell) {
    for (int32_t i = 0; i < shell->name_count; i++) {
        free(shell->names[i]);
    }
    free(shell->names);
    free(shell->data);
    free(shell->path);
    shell->names = NULL;
    shell->name_count = 0;
    shell->data = NULL;
    shell->path = NULL;
}

static void on_stat(void *context, int error, const struct coord_stat *stat) {
    struct shell *shell = context;
    if (stat != NULL) {
        shell->stat = *stat;
    }
    zookeeper_answered(shell, error);
}

static void on_data(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct shell *shell = context;
    if (error == 0) {
        shell->data = data.size < 0 ? NULL : xstrndup((const char *)data.data, (size_t)data.size);
        shell->data_size = data.size;
    }
    on_stat(context, error, stat);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void on_children(void *context, int error, const char *const *names, int32_t name_count,
                        const struct coord_stat *stat) {
    struct shell *shell = context;
    if (error == 0) {
        shell->names = xcalloc((size_t)name_count + 1, sizeof *shell->names);
        for (int32_t i = 0; i < name_count; i++) {
            shell->names[i] = xstrdup(names[i]);
        }
        shell->name_count = name_count;
        qsort(shell->names, (size_t)name_count, sizeof *shell->names, compare_names);
    }
    on_stat(context, error, stat);
}

static void on_path(void *context, int error, const char *path) {
    struct shell *shell = context;
    shell->path = path == NULL ? NULL : xstrdup(path);
    zookeeper_answered(shell, error);
}

/* The node's place on the server. The caller frees it. */
static char *full_path(const struct shell *shell, const char *path) {
    if (strcmp(path, "/") == 0 && shell->chroot[0] != '\0') {
        return xstrdup(shell->chroot);
    }
    return xasprintf("%s%s", shell->chroot, path);
}

static int load_children(struct shell *shell, const char *path) {
    char *full = full_path(shell, path);
    zookeeper_forget_answer(shell);
    coord_children(shell->coord, full, COORD_NO_WATCH, on_children, shell);
    free(full);
    return zookeeper_await(shell);
}

static int load_data(struct shell *shell, const char *path) {
    char *full = full_path(shell, path);
    zookeeper_forget_answer(shell);
    coord_get(shell->coord, full, COORD_NO_WATCH, on_data, shell);
    free(full);
    return zookeeper_await(shell);
}

static int remove_node(struct shell *shell, const char *path, int32_t version) {
    char *full = full_path(shell, path);
    zookeeper_forget_answer(shell);
    coord_remove(shell->coord, full, version, on_stat, shell);
    free(full);
    return zookeeper_await(shell);
}

/* -- what is printed -------------------------------------------------------------------------------------------- */

int zookeeper_report_error(int error, const char *path) {
    switch (error) {
    case 0: return 0;
    case ERR_NOT_FOUND: fprintf(stderr, "Node does not exist: %s\n", path); break;
    case ERR_EXISTS: fprintf(stderr, "Node already exists: %s\n", path); break;
    case ERR_NOT_EMPTY: fprintf(stderr, "Node not empty: %s\n", path); break;
    case ERR_BAD_VERSION: fprintf(stderr, "version No is not valid : %s\n", path); break;
    case ERR_DENIED: fprintf(stderr, "Insufficient permission : %s\n", path); break;
    case ERR_CONNECTION_LOSS:
    case ERR_TIMED_OUT: fprintf(stderr, "KeeperErrorCode = ConnectionLoss for %s\n", path); break;
    case ERR_SESSION_EXPIRED: fprintf(stderr, "KeeperErrorCode = Session expired for %s\n", path); break;
    default: fprintf(stderr, "KeeperErrorCode = %s for %s\n", error_text(error), path); break;
    }
    return 1;
}

static void print_date(const char *name, int64_t time_ms) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm local;
    char text[64];
    localtime_r(&seconds, &local);
    strftime(text, sizeof text, "%a %b %d %H:%M:%S %Z %Y", &local);
    printf("%s = %s\n", name, text);
}

static void print_stat(const struct coord_stat *stat) {
    printf("cZxid = 0x%" PRIx64 "\n", (uint64_t)stat->czxid);
    print_date("ctime", stat->ctime_ms);
    printf("mZxid = 0x%" PRIx64 "\n", (uint64_t)stat->mzxid);
    print_date("mtime", stat->mtime_ms);
    printf("pZxid = 0x%" PRIx64 "\ncversion = %d\ndataVersion = %d\naclVersion = %d\n", (uint64_t)stat->pzxid,
           stat->cversion, stat->version, stat->aversion);
    printf("ephemeralOwner = 0x%" PRIx64 "\ndataLength = %d\nnumChildren = %d\n", (uint64_t)stat->ephemeral_owner,
           stat->data_size, stat->child_count);
}

/* -- the commands ----------------------------------------------------------------------------------------------- */

/* The node and everything below it, parents first. The children are copied, since one answer is kept at a time. */
static int list_tree(struct shell *shell, const char *path) {
    int error = load_children(shell, path);
    if (error != 0) {
        return error;
    }
    puts(path);
    char **names = shell->names;
    int32_t count = shell->name_count;
    shell->names = NULL;
    shell->name_count = 0;
    for (int32_t i = 0; i < count; i++) {
        char *child = xasprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]);
        if (error == 0) {
            error = list_tree(shell, child);
            error = error == ERR_NOT_FOUND ? 0 : error; /* gone meanwhile */
        }
        free(child);
        free(names[i]);
    }
    free(names);
    return error;
}

static int run_ls(struct shell *shell, struct command_line *line) {
    const char *path = line->words[0];
    if (flag_value(line, "-R") != NULL) {
        return zookeeper_report_error(list_tree(shell, path), path);
    }
    int status = zookeeper_report_error(load_children(shell, path), path);
    if (status == 0) {
        putchar('[');
        for (int32_t i = 0; i < shell->name_count; i++) {
            printf("%s%s", i > 0 ? ", " : "", shell->names[i]);
        }
        puts("]");
        if (flag_value(line, "-s") != NULL) {
            print_stat(&shell->stat);
        }
    }
    return status;
}

static int run_get(struct shell *shell, struct command_line *line) {
    int status = zookeeper_report_error(load_data(shell, line->words[0]), line->words[0]);
    if (status == 0) {
        if (shell->data == NULL) {
            fputs("null", stdout);
        } else {
            fwrite(shell->data, 1, (size_t)shell->data_size, stdout);
        }
        putchar('\n');
        if (flag_value(line, "-s") != NULL) {
            print_stat(&shell->stat);
        }
    }
    return status;
}

static int run_stat(struct shell *shell, struct command_line *line) {
    char *full = full_path(shell, line->words[0]);
    coord_exists(shell->coord, full, COORD_NO_WATCH, on_stat, shell);
    free(full);
    int status = zookeeper_report_error(zookeeper_await(shell), line->words[0]);
    if (status == 0) {
        print_stat(&shell->stat);
    }
    return status;
}

static int run_create(struct shell *shell, struct command_line *line) {
    if (flag_value(line, "-c") != NULL || flag_value(line, "-t") != NULL || line->word_count > 2) {
        fprintf(stderr, "Container nodes, nodes with a time to live and ACLs are not supported here\n");
        return 1;
    }
    char *full = full_path(shell, line->words[0]);
    const char *data = line->word_count > 1 ? line->words[1] : NULL;
    const struct coord_op op = {
        .type = COORD_OP_CREATE,
        .path = full,
        .data = {(const uint8_t *)data, data == NULL ? -1 : (int32_t)strlen(data)},
        .create_flags = (flag_value(line, "-e") != NULL ? COORD_EPHEMERAL : 0) |
                        (flag_value(line, "-s") != NULL ? COORD_SEQUENTIAL : 0),
    };
    zookeeper_forget_answer(shell);
    coord_create(shell->coord, &op, on_path, shell);
    int status = zookeeper_report_error(zookeeper_await(shell), line->words[0]);
    if (status == 0) {
        size_t chroot_size = strlen(shell->chroot);
        fprintf(stderr, "Created %s\n", shell->path == NULL ? line->words[0] : shell->path + chroot_size);
    }
    free(full);
    return status;
}

static int take_version(const struct command_line *line, int32_t *ret_version) {
    const char *text = flag_value(line, "-v");
    *ret_version = COORD_ANY_VERSION;
    if (text != NULL && parse_int32(text, ret_version) != 0) {
        fprintf(stderr, "For input string: \"%s\"\n", text);
        return 1;
    }
    return 0;
}

static int run_set(struct shell *shell, struct command_line *line) {
    int32_t version;
    if (take_version(line, &version) != 0) {
        return 1;
    }
    char *full = full_path(shell, line->words[0]);
    struct slice data = {(const uint8_t *)line->words[1], (int32_t)strlen(line->words[1])};
    coord_set(shell->coord, full, data, version, on_stat, shell);
    free(full);
    int status = zookeeper_report_error(zookeeper_await(shell), line->words[0]);
    if (status == 0 && flag_value(line, "-s") != NULL) {
        print_stat(&shell->stat);
    }
    return status;
}

static int run_delete(struct shell *shell, struct command_line *line) {
    int32_t version;
    if (take_version(line, &version) != 0) {
        return 1;
    }
    return zookeeper_report_error(remove_node(shell, line->words[0], version), line->words[0]);
}

static int delete_tree(struct shell *shell, const char *path) {
    int error = load_children(shell, path);
    char **names = shell->names;
    int32_t count = error == 0 ? shell->name_count : 0;
    shell->names = NULL;
    shell->name_count = 0;
    for (int32_t i = 0; i < count; i++) {
        char *child = xasprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]);
        if (error == 0) {
            error = delete_tree(shell, child);
            error = error == ERR_NOT_FOUND ? 0 : error;
        }
        free(child);
        free(names[i]);
    }
    free(names);
    return error != 0 ? error : remove_node(shell, path, COORD_ANY_VERSION);
}

static int run_deleteall(struct shell *shell, struct command_line *line) {
    return zookeeper_report_error(delete_tree(shell, line->words[0]), line->words[0]);
}

static int count_tree(struct shell *shell, const char *path, int64_t *ret_count) {
    int error = load_children(shell, path);
    char **names = shell->names;
    int32_t count = error == 0 ? shell->name_count : 0;
    shell->names = NULL;
    shell->name_count = 0;
    *ret_count += count;
    for (int32_t i = 0; i < count; i++) {
        char *child = xasprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]);
        if (error == 0) {
            error = count_tree(shell, child, ret_count);
            error = error == ERR_NOT_FOUND ? 0 : error;
        }
        free(child);
        free(names[i]);
    }
    free(names);
    return error;
}

static int run_count(struct shell *shell, struct command_line *line) {
    int64_t count = 0;
    int status = zookeeper_report_error(count_tree(shell, line->words[0], &count), line->words[0]);
    if (status == 0) {
        printf("%" PRId64 "\n", count);
    }
    return status;
}

static int run_version(struct shell *shell, struct command_line *line) {
    (void)shell;
    (void)line;
    printf("ZooKeeper CLI version: 3.8.4, as the ottla tools have it\n");
    return 0;
}

static const struct command commands[] = {
    {"create", "create [-s] [-e] [-c] [-t ttl] path [data] [acl]", 1, true, run_create},
    {"delete", "delete [-v version] path", 1, true, run_delete},
    {"deleteall", "deleteall path [-b batch size]", 1, true, run_deleteall},
    {"get", "get [-s] [-w] path", 1, true, run_get},
    {"getAllChildrenNumber", "getAllChildrenNumber path", 1, true, run_count},
    {"ls", "ls [-s] [-w] [-R] path", 1, true, run_ls},
    {"set", "set [-s] [-v version] path data", 2, true, run_set},
    {"stat", "stat [-w] path", 1, true, run_stat},
    {"version", "version", 0, false, run_version},
};

const struct command *zookeeper_command_find(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

void zookeeper_commands_print(void) {
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        fprintf(stderr, "\t%s\n", commands[i].usage);
    }
}
