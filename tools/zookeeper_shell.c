/* zookeeper-shell: ZooKeeper's own client, as far as one looks at or mends a cluster's nodes. (cli.md, section 22)
 *
 * It stands on the coordinator seam, which knows no ACLs: commands about those are refused by name. The chroot is put
 * before paths here and not by the seam, which would create it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/network/loop.h"
#include "coordinator-client/coord.h"
#include "coordinator-client/coord_zookeeper.h"
#include "tools/client/broker_connection.h"
#include "tools/options.h"
#include "tools/tool.h"

#define EXIT_LOGGER "org.apache.zookeeper.util.ServiceUtils"
#define TIMEOUT_MS_DEFAULT 30000
#define WORDS_MAX 64 /* of one command */
#define STATUS_UNKNOWN_COMMAND 127

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
    int (*run)(struct shell *shell, struct command_line *line);
};

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

static void answered(struct shell *shell, int error) {
    shell->error = error;
    shell->is_waiting = false;
    loop_stop(shell->loop);
}

/* Runs the loop until answered() or the time-out. */
static int await(struct shell *shell) {
    timer_start(loop_clock(shell->loop), &shell->timer, shell->timeout_ms, on_timeout);
    shell->is_waiting = true;
    while (shell->is_waiting) {
        loop_run(shell->loop);
    }
    timer_stop(loop_clock(shell->loop), &shell->timer);
    return shell->error;
}

static void forget_answer(struct shell *shell) {
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

static void on_session(void *context, enum coord_session_state state) {
    struct shell *shell = context;
    shell->is_connected = state == COORD_CONNECTED;
    if (shell->is_connected && shell->is_waiting) {
        answered(shell, 0);
    }
}

static void on_stat(void *context, int error, const struct coord_stat *stat) {
    struct shell *shell = context;
    if (stat != NULL) {
        shell->stat = *stat;
    }
    answered(shell, error);
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
    answered(shell, error);
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
    forget_answer(shell);
    coord_children(shell->coord, full, COORD_NO_WATCH, on_children, shell);
    free(full);
    return await(shell);
}

static int load_data(struct shell *shell, const char *path) {
    char *full = full_path(shell, path);
    forget_answer(shell);
    coord_get(shell->coord, full, COORD_NO_WATCH, on_data, shell);
    free(full);
    return await(shell);
}

static int remove_node(struct shell *shell, const char *path, int32_t version) {
    char *full = full_path(shell, path);
    forget_answer(shell);
    coord_remove(shell->coord, full, version, on_stat, shell);
    free(full);
    return await(shell);
}

/* -- what is printed -------------------------------------------------------------------------------------------- */

static int report_error(int error, const char *path) {
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
        return report_error(list_tree(shell, path), path);
    }
    int status = report_error(load_children(shell, path), path);
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
    int status = report_error(load_data(shell, line->words[0]), line->words[0]);
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
    int status = report_error(await(shell), line->words[0]);
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
    forget_answer(shell);
    coord_create(shell->coord, &op, on_path, shell);
    int status = report_error(await(shell), line->words[0]);
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
    int status = report_error(await(shell), line->words[0]);
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
    return report_error(remove_node(shell, line->words[0], version), line->words[0]);
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
    return report_error(delete_tree(shell, line->words[0]), line->words[0]);
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
    int status = report_error(count_tree(shell, line->words[0], &count), line->words[0]);
    if (status == 0) {
        printf("%" PRId64 "\n", count);
    }
    return status;
}

static int run_version(struct shell *shell, struct command_line *line) {
    (void)shell;
    (void)line;
    printf("ZooKeeper CLI version: 3.8.4-ottla, built on " __DATE__ " UTC\n");
    return 0;
}

static const struct command commands[] = {
    {"create", "create [-s] [-e] [-c] [-t ttl] path [data] [acl]", 1, run_create},
    {"delete", "delete [-v version] path", 1, run_delete},
    {"deleteall", "deleteall path [-b batch size]", 1, run_deleteall},
    {"get", "get [-s] [-w] path", 1, run_get},
    {"getAllChildrenNumber", "getAllChildrenNumber path", 1, run_count},
    {"ls", "ls [-s] [-w] [-R] path", 1, run_ls},
    {"set", "set [-s] [-v version] path data", 2, run_set},
    {"stat", "stat [-w] path", 1, run_stat},
    {"version", "version", 0, run_version},
};

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void parse_line(char **words, int count, struct command_line *ret) {
    *ret = (struct command_line){0};
    for (int i = 1; i < count; i++) {
        bool is_flag = words[i][0] == '-' && words[i][1] != '\0' && words[i][2] == '\0' && ret->word_count == 0;
        bool is_batch = strcmp(words[i], "-b") == 0;
        if (!is_flag && !is_batch) {
            ret->words[ret->word_count++] = words[i];
            continue;
        }
        bool has_value = strchr("vtb", words[i][1]) != NULL && i + 1 < count;
        ret->flags[ret->flag_count] = words[i];
        ret->flag_values[ret->flag_count++] = has_value ? words[++i] : NULL;
    }
}

/* What needs no server to be refused. 0 or the exit status. */
static int check_line(const struct command *command, const struct command_line *line) {
    if (line->word_count < command->arguments_min) {
        fprintf(stderr, "%s\n", command->usage);
        return 1;
    }
    if (command->arguments_min > 0 && line->words[0][0] != '/') {
        fprintf(stderr, "Path must start with / character\n");
        return 1;
    }
    return 0;
}

/* Commands of ZooKeeper's client that need what the seam does not carry. */
static bool is_missing_here(const char *name) {
    static const char *const names[] = {
        "addauth",   "close",        "config", "connect",       "delquota", "getAcl",   "getEphemerals", "history",
        "listquota", "printwatches", "redo",   "removewatches", "setAcl",   "setquota", "sync",          "whoami"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int refuse_unknown(const char *name) {
    if (is_missing_here(name)) {
        fprintf(stderr, "%s is not supported here; use ZooKeeper's own zkCli.sh\n", name);
        return 1;
    }
    fprintf(stderr, "ZooKeeper -server host:port [-zk-tls-config-file <file>] cmd args\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        fprintf(stderr, "\t%s\n", commands[i].usage);
    }
    fprintf(stderr, "\tquit\n");
    fprintf(stderr, "Command not found: Command not found %s\n", name);
    return STATUS_UNKNOWN_COMMAND;
}

/* -- the session ------------------------------------------------------------------------------------------------ */

static void drop_trace(enum trace_level level, const char *line, void *context) {
    (void)context;
    if (level >= TRACE_ERROR) {
        fprintf(stderr, "%s\n", line);
    }
}

/* Whether any server of the list takes connections: the library would try for ever. */
static bool is_anyone_there(const struct shell *shell) {
    struct broker_connection connection;
    broker_connection_init(&connection, "zookeeper-shell", -1);
    char *copy = xstrdup(shell->hosts);
    char *rest = copy;
    bool found = false;
    for (char *host = strsep(&rest, ","); host != NULL && !found; host = strsep(&rest, ",")) {
        char *colon = strrchr(host, ':');
        int32_t port = 2181;
        if (colon != NULL && parse_int32(colon + 1, &port) == 0) {
            *colon = '\0';
        }
        int error = broker_connection_open(&connection, host, port, monotonic_ms() + shell->timeout_ms);
        found = error == 0;
        if (!found) {
            report_log("WARN", "org.apache.zookeeper.ClientCnxn",
                       "Session 0x0 for server %s:%d, Closing socket connection: java.net.ConnectException: Connection "
                       "refused",
                       host, port);
        }
        broker_connection_close(&connection);
    }
    free(copy);
    return found;
}

static int connect_shell(struct shell *shell) {
    if (!is_anyone_there(shell)) {
        return report_error(ERR_CONNECTION_LOSS, "/");
    }
    char *message = NULL;
    if (coord_zookeeper_create(loop_clock(shell->loop), shell->hosts, shell->timeout_ms, false, &shell->coord,
                               &message) != 0) {
        fprintf(stderr, "%s\n", message);
        free(message);
        return 1;
    }
    shell->coord->ops->on_session(shell->coord, on_session, shell);
    if (await(shell) != 0) {
        return report_error(ERR_CONNECTION_LOSS, "/");
    }
    printf("\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n");
    fflush(stdout);
    return 0;
}

static int run_words(struct shell *shell, char **words, int count) {
    const struct command *command = find_command(words[0]);
    if (command == NULL) {
        return refuse_unknown(words[0]);
    }
    struct command_line line;
    parse_line(words, count, &line);
    int status = check_line(command, &line);
    status = status != 0 ? status : command->run(shell, &line);
    fflush(stdout);
    return status;
}

/* One command from the arguments. What needs no server is settled without one. */
static int run_once(struct shell *shell, char **words, int count) {
    const struct command *command = find_command(words[0]);
    struct command_line line;
    parse_line(words, count, &line);
    int status = command == NULL ? 0 : check_line(command, &line);
    if (status == 0 && (command == NULL || command->run != run_version)) {
        status = connect_shell(shell);
    }
    return status != 0 ? status : run_words(shell, words, count);
}

/* Words between blanks; quotes hold blanks together. Changes the line; at most WORDS_MAX. */
static int split_words(char *line, char **ret_words) {
    int count = 0;
    for (char *at = line + strspn(line, " \t\r\n"); *at != '\0' && count < WORDS_MAX; at += strspn(at, " \t\r\n")) {
        char quote = *at == '\'' || *at == '"' ? *at++ : '\0';
        ret_words[count++] = at;
        const char ends[] = {quote, '\0'};
        at += strcspn(at, quote != '\0' ? ends : " \t\r\n");
        if (*at != '\0') {
            *at++ = '\0';
        }
    }
    return count;
}

/* Commands from standard input; the exit status is the last one's, quit not counted. */
static int run_lines(struct shell *shell) {
    printf("Welcome to ZooKeeper!\nJLine support is disabled\n");
    int status = connect_shell(shell);
    if (status != 0) {
        return status;
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        char *words[WORDS_MAX];
        int count = split_words(line, words);
        if (count == 0) {
            continue;
        }
        if (strcmp(words[0], "quit") == 0) {
            printf("\nWATCHER::\n\nWatchedEvent state:Closed type:None path:null\n");
            break;
        }
        status = run_words(shell, words, count);
    }
    free(line);
    return status;
}

int tool_zookeeper_shell(int argc, char **argv) {
    struct shell shell = {.timeout_ms = TIMEOUT_MS_DEFAULT};
    if (argc < 2) {
        printf("USAGE: %s zookeeper_host:port[/path] [-zk-tls-config-file file] [args...]\n", argv[0]);
        return 1;
    }
    int at = 2;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "-timeout") == 0 && at + 1 < argc && parse_int32(argv[at + 1], &shell.timeout_ms) == 0) {
            at++;
        } else if (strcmp(argv[at], "-r") != 0 && strcmp(argv[at], "-waitforconnection") != 0) {
            fprintf(stderr, "%s is not supported here\n", argv[at]);
            return 1;
        }
    }
    const char *slash = strchr(argv[1], '/');
    shell.hosts = slash == NULL ? xstrdup(argv[1]) : xstrndup(argv[1], (size_t)(slash - argv[1]));
    shell.chroot = xstrdup(slash == NULL || slash[1] == '\0' ? "" : slash);
    shell.loop = loop_create(1);
    trace_set_sink(drop_trace, NULL);
    printf("Connecting to %s\n", argv[1]);
    int status = at < argc ? run_once(&shell, argv + at, MIN(argc - at, WORDS_MAX)) : run_lines(&shell);
    fflush(stdout);
    if (status != 0) {
        report_log("ERROR", EXIT_LOGGER, "Exiting JVM with code %d", status);
    }
    if (shell.coord != NULL) {
        coord_zookeeper_destroy(shell.coord);
    }
    loop_destroy(shell.loop);
    forget_answer(&shell);
    free(shell.hosts);
    free(shell.chroot);
    return status;
}
