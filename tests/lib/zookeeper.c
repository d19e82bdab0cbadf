/* See zookeeper.h. The recipe of the flags: small heap, serial collector, C1 only; half a second to serve. */
#include "tests/lib/zookeeper.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "coordinator-client/coord_zookeeper.h"

#define START_TIMEOUT_MS 30000

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static const char *temporary_directory(void) {
    const char *directory = getenv("TMPDIR");
    return directory != NULL ? directory : "/tmp";
}

/* Several test programs may run at once, and a stopped server must find its port again: whoever uses one holds a lock
 * on a file named after it. Returns the file, or -1 when another has the port. */
static int lock_port(int port) {
    char *name = xasprintf("%s/ottla-zookeeper-port-%d", temporary_directory(), port);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(name);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool port_is_free(int port) {
    struct sockaddr_in address = loopback(port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool is_free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_free;
}

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* "srvr" answers with a line "Mode:" once requests are served. */
static bool is_serving(int port) {
    struct sockaddr_in address = loopback(port);
    struct timeval patience = {0, 300000};
    char answer[4096];
    size_t size = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && write(fd, "srvr", 4) == 4) {
        ssize_t got;
        while (size < sizeof answer - 1 && (got = read(fd, answer + size, sizeof answer - 1 - size)) > 0) {
            size += (size_t)got;
        }
    }
    close(fd);
    answer[size] = '\0';
    return strstr(answer, "Mode:") != NULL;
}

static void run_java(const struct zookeeper_server *server) {
    char *file = xasprintf("%s/zoo.cfg", server->directory), *output = xasprintf("%s/out", server->directory);
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0644);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fd, 1);
    dup2(fd, 2);
    execlp("java", "java", "-Xmx64m", "-Xms16m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss256k",
           "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
           "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
           "org.apache.zookeeper.server.quorum.QuorumPeerMain", file, (char *)NULL);
    _exit(127);
}

void zookeeper_server_restart(struct zookeeper_server *server) {
    server->pid = fork();
    CHECK(server->pid >= 0);
    if (server->pid == 0) {
        run_java(server);
    }
    for (int waited_ms = 0; !is_serving(server->port); waited_ms += 20) {
        CHECK(waited_ms < START_TIMEOUT_MS && waitpid(server->pid, NULL, WNOHANG) == 0);
        pause_ms(20);
    }
}

void zookeeper_server_start(struct zookeeper_server *server, int first_port) {
    *server = (struct zookeeper_server){.port = first_port};
    while ((server->port_lock = lock_port(server->port)) < 0 || !port_is_free(server->port)) {
        if (server->port_lock >= 0) {
            close(server->port_lock);
        }
        server->port++;
        CHECK(server->port < first_port + 20);
    }
    snprintf(server->connect, sizeof server->connect, "127.0.0.1:%d", server->port);
    snprintf(server->directory, sizeof server->directory, "%s/ottla-zookeeper-XXXXXX", temporary_directory());
    CHECK(mkdtemp(server->directory) != NULL);
    char *name = xasprintf("%s/zoo.cfg", server->directory);
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    fprintf(file,
            "tickTime=500\ndataDir=%s/data\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\nextendedTypesEnabled=true\nmaxClientCnxns=0\n",
            server->directory, server->port);
    fclose(file);
    free(name);
    zookeeper_server_restart(server);
}

void zookeeper_server_stop(struct zookeeper_server *server) {
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

void zookeeper_server_destroy(struct zookeeper_server *server) {
    zookeeper_server_stop(server);
    close(server->port_lock);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", server->directory, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

void zookeeper_expire_session(const char *connect, int64_t session_id, const uint8_t password[16]) {
    int error = coord_zookeeper_end_session(connect, session_id, password, START_TIMEOUT_MS);
    CHECK(error == 0 || error == ERR_SESSION_EXPIRED);
}
