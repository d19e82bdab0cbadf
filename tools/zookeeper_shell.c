/* zookeeper-shell: ZooKeeper's own client, as far as one looks at or mends a cluster's nodes. (cli.md, section 22)
 *
 * It stands on the coordinator seam, which knows no ACLs: commands about those are refused by name. The chroot is put
 * before paths here and not by the seam, which would create it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "tools/zookeeper_shell.h"

#define EXIT_LOGGER "org.apache.zookeeper.util.ServiceUtils"
#define TIMEOUT_MS_DEFAULT 30000
#define STATUS_UNKNOWN_COMMAND 127

static void on_session(void *context, enum coord_session_state state) {
    struct shell *shell = context;
    shell->is_connected = state == COORD_CONNECTED;
    if (shell->is_connected && shell->is_waiting) {
        zookeeper_answered(shell, 0);
    }
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
    zookeeper_commands_print();
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
        return zookeeper_report_error(ERR_CONNECTION_LOSS, "/");
    }
    char *message = NULL;
    if (coord_zookeeper_create(loop_clock(shell->loop), shell->hosts, shell->timeout_ms, false, &shell->coord,
                               &message) != 0) {
        fprintf(stderr, "%s\n", message);
        free(message);
        return 1;
    }
    shell->coord->ops->on_session(shell->coord, on_session, shell);
    if (zookeeper_await(shell) != 0) {
        return zookeeper_report_error(ERR_CONNECTION_LOSS, "/");
    }
    printf("\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n");
    fflush(stdout);
    return 0;
}

static int run_words(struct shell *shell, char **words, int count) {
    const struct command *command = zookeeper_command_find(words[0]);
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
    const struct command *command = zookeeper_command_find(words[0]);
    struct command_line line;
    parse_line(words, count, &line);
    int status = command == NULL ? 0 : check_line(command, &line);
    if (status == 0 && (command == NULL || command->needs_server)) {
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
    zookeeper_forget_answer(&shell);
    free(shell.hosts);
    free(shell.chroot);
    return status;
}
