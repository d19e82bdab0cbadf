/* What the clients by librdkafka share; what it refuses ends the program, which names itself. */
#ifndef OTTLA_TESTS_RDKAFKA_CLIENT_H
#define OTTLA_TESTS_RDKAFKA_CLIENT_H

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t now_ms(void) {
    return now_ns() / 1000000;
}

_Noreturn static inline void refused(const char *why) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
    exit(2);
}

static inline void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char why[256];
    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        refused(why);
    }
}

/* Takes the settings over. */
static inline rd_kafka_t *client_of(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char why[256];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (client == NULL) {
        refused(why);
    }
    return client;
}

/* Whether the client asks, for some partition, another broker than the one it knows to lead it. Versions before 2.1 do
 * so for ever when leadership moves and one broker's metadata is behind another's: told of the new leader, the former
 * one and the new one again while they hand the partition from one of their threads to another, they take the former
 * one for a replica that it was told to prefer, and never leave it. */
static inline bool goes_elsewhere(const char *json) {
    int broker;
    int leader;
    for (const char *at = json; (at = strstr(at, "\"broker\":")) != NULL; at++) {
        if (sscanf(at, "\"broker\":%d, \"leader\":%d", &broker, &leader) == 2 && broker >= 0 && leader >= 0 &&
            broker != leader) {
            return true;
        }
    }
    return false;
}

#endif
