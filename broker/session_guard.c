/* Both sides of the guard: what the broker tells, and the process that listens. */
#include "broker/session_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "coordinator-client/coord_zookeeper.h"

#define AREA "kafka.zookeeper.ZooKeeperClient"
/* kafka-server-stop knows the guard by this name; at most 15 letters. */
#define GUARD_NAME "session-guard"
#define END_MS_MAX 60000    /* it tries for the session's timeout: after that there is nothing left to end */
#define END_SLACK_SECONDS 5 /* resolving names and closing the handle have no bound of their own */
#define GOODBYE_MS_MAX 1000

/* Small enough to be written and read in one piece. */
struct message {
    bool is_goodbye;
    int64_t session_id;
    uint8_t password[16];
    int session_timeout_ms;
};

struct session_guard {
    pid_t pid;
    int process; /* pidfd of the guard */
    int pipe;
    bool is_lost; /* said once */
};

/* ---- the guard's process ---- */

/* The broker's words in `ps` would make the guard look like a second broker. */
static void rename_process(int argument_count, char **arguments) {
    prctl(PR_SET_NAME, GUARD_NAME);
    char *end = arguments[argument_count - 1] + strlen(arguments[argument_count - 1]);
    size_t room = (size_t)(end - arguments[0]);
    memset(arguments[0], 0, room);
    memcpy(arguments[0], GUARD_NAME, MIN(room, sizeof GUARD_NAME - 1));
}

/* Stopping the service or pressing Ctrl-C is for the broker to answer; the guard ends with it. */
static void become_guard(void) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        sigaction(ignored[i], &ignore, NULL);
    }
    setsid();
    if (chdir("/") != 0) {
        trace_debug(AREA, "the guard stays where it was started: %s", strerror(errno));
    }
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
}

/* Follows what the broker says until the pipe ends. False after a goodbye, and after anything that is not a whole
 * message: which session is the broker's is then not known. */
static bool listen_to_broker(int pipe, struct message *last) {
    struct message message;
    ssize_t size;
    while ((size = read(pipe, &message, sizeof message)) != 0) {
        if (size == (ssize_t)sizeof message) {
            *last = message;
        } else if (size > 0 || errno != EINTR) {
            return false;
        }
        if (last->is_goodbye) {
            return false;
        }
    }
    return true;
}

static void await_end(int broker) {
    struct pollfd gone = {.fd = broker, .events = POLLIN};
    while (poll(&gone, 1, -1) <= 0) {
        CHECK(errno == EINTR);
    }
}

static _Noreturn void guard(const char *connect, int pipe, int broker, pid_t pid, session_guard_output *set_output) {
    struct message last = {0};
    set_output(false);
    if (!listen_to_broker(pipe, &last)) {
        _exit(0);
    }
    await_end(broker);
    set_output(true);
    if (last.session_id != 0) {
        int timeout_ms = MIN(last.session_timeout_ms, END_MS_MAX);
        alarm((unsigned)(timeout_ms / 1000 + END_SLACK_SECONDS));
        int error = coord_zookeeper_end_session(connect, last.session_id, last.password, timeout_ms);
        trace_warn(AREA, "The broker, process %d, died without ending session 0x%llx: %s", (int)pid,
                   (long long)last.session_id, error == 0 ? "ended for it" : error_text(error));
    }
    _exit(0);
}

/* ---- the broker's side ---- */

struct session_guard *session_guard_start(const char *zookeeper_connect, int argument_count, char **arguments,
                                          session_guard_output *set_output) {
    pid_t pid = getpid();
    int broker = pidfd_open(pid, 0);
    int pipes[2] = {-1, -1};
    if (broker < 0 || pipe2(pipes, O_CLOEXEC) != 0 || fcntl(pipes[1], F_SETFL, O_NONBLOCK) != 0) {
        trace_info(AREA, "No guard for the ZooKeeper session: %s", strerror(errno));
        if (broker >= 0) {
            close(broker);
        }
        return NULL;
    }
    pid_t child = fork();
    if (child == 0) {
        close(pipes[1]);
        become_guard();
        char *connect = xstrdup(zookeeper_connect);
        rename_process(argument_count, arguments);
        guard(connect, pipes[0], broker, pid, set_output);
    }
    close(broker);
    close(pipes[0]);
    int process = child < 0 ? -1 : pidfd_open(child, 0);
    if (process < 0) {
        trace_info(AREA, "No guard for the ZooKeeper session: %s", strerror(errno));
        close(pipes[1]); /* a child that is there ends without having been told anything, with us */
        return NULL;
    }
    struct session_guard *guard = xmalloc(sizeof *guard);
    *guard = (struct session_guard){.pid = child, .process = process, .pipe = pipes[1]};
    return guard;
}

static void lose(struct session_guard *guard) {
    if (!guard->is_lost) {
        guard->is_lost = true;
        trace_warn(AREA, "The session's guard is gone; a crash of this broker will cost the session timeout");
    }
}

/* Never waits: a guard that somebody stopped must not stop the broker. */
static void say(struct session_guard *guard, const struct message *message) {
    ssize_t written;
    do {
        written = write(guard->pipe, message, sizeof *message);
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
        lose(guard);
    }
}

void session_guard_check(struct session_guard *guard) {
    if (guard != NULL && waitpid(guard->pid, NULL, WNOHANG) == guard->pid) {
        lose(guard);
    }
}

void session_guard_tell(struct session_guard *guard, int64_t session_id, const uint8_t password[16],
                        int session_timeout_ms) {
    if (guard != NULL) {
        struct message message = {.session_id = session_id, .session_timeout_ms = session_timeout_ms};
        memcpy(message.password, password, sizeof message.password);
        say(guard, &message);
    }
}

void session_guard_end(struct session_guard *guard) {
    if (guard == NULL) {
        return;
    }
    guard->is_lost = true; /* no longer of interest */
    say(guard, &(struct message){.is_goodbye = true});
    close(guard->pipe);
    struct pollfd gone = {.fd = guard->process, .events = POLLIN};
    while (poll(&gone, 1, GOODBYE_MS_MAX) < 0 && errno == EINTR) {
    }
    session_guard_check(guard);
    close(guard->process);
    free(guard);
}
