/* A real ZooKeeper server for a test: Debian's, on a port and in a directory of the test's own, stopped by its pid. */
#ifndef OTTLA_TESTS_ZOOKEEPER_H
#define OTTLA_TESTS_ZOOKEEPER_H

#include <stdint.h>
#include <sys/types.h>

struct zookeeper_server {
    pid_t pid; /* 0 while stopped */
    int port;
    int port_lock;       /* file that keeps the port ours while the server is stopped */
    char directory[256]; /* below the system's temporary directory; removed by zookeeper_server_destroy */
    char connect[64];    /* "127.0.0.1:port" */
};

/* Starts a server on a free port of the twenty from first_port and waits until it serves. Ends the test when it does
 * not. */
void zookeeper_server_start(struct zookeeper_server *server, int first_port);
/* SIGKILL and wait; the data stay. */
void zookeeper_server_stop(struct zookeeper_server *server);
/* The same port and data again. */
void zookeeper_server_restart(struct zookeeper_server *server);
/* Stops and removes the directory. */
void zookeeper_server_destroy(struct zookeeper_server *server);

/* Ends somebody's session from outside: a server has confirmed that it is over when this returns. */
void zookeeper_expire_session(const char *connect, int64_t session_id, const uint8_t password[16]);

#endif
