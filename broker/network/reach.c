/* The memory is a short list: brokers that were never in trouble are not in it. */
#include "broker/network/reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "broker/base/check.h"
#include "broker/base/repeat.h"

struct reach_entry {
    struct reach_entry *next;
    struct reach_entry *prev;
    int32_t broker_id;
    enum transport_channel channel;
    int32_t failures; /* in a row */
    int32_t start;
    struct repeat told;
};

struct addrinfo *reach_lookup(const char *host, int32_t port, int flags) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    return getaddrinfo(host, service, &hints, &list) == 0 ? list : NULL;
}

int reach_connect(const struct addrinfo *address, int32_t receive_buffer_bytes) {
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return -1;
    }
    int yes = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    if (receive_buffer_bytes > 0) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

static struct reach_entry *find(const struct reach *reach, int32_t broker_id, enum transport_channel channel) {
    struct reach_entry *entry;
    DL_FOREACH(reach->list, entry) {
        if (entry->broker_id == broker_id && entry->channel == channel) {
            break;
        }
    }
    return entry;
}

static void forget(struct reach *reach, struct reach_entry *entry) {
    DL_DELETE(reach->list, entry);
    reach->count--;
    free(entry);
}

int32_t reach_start(const struct reach *reach, int32_t broker_id, enum transport_channel channel) {
    const struct reach_entry *entry = find(reach, broker_id, channel);
    return entry == NULL ? 0 : entry->start;
}

int64_t reach_timeout_ms(const struct reach *reach, int32_t broker_id, enum transport_channel channel, int64_t first_ms,
                         int64_t max_ms) {
    const struct reach_entry *entry = find(reach, broker_id, channel);
    int64_t timeout_ms = first_ms;
    for (int32_t i = 0; entry != NULL && i < entry->failures && timeout_ms < max_ms; i++) {
        timeout_ms = timeout_ms > max_ms / 2 ? max_ms : timeout_ms * 2;
    }
    return timeout_ms;
}

static struct reach_entry *find_or_add(struct reach *reach, int32_t broker_id, enum transport_channel channel) {
    struct reach_entry *entry = find(reach, broker_id, channel);
    if (entry == NULL) {
        if (reach->count == REACH_MAX) {
            forget(reach, reach->list);
        }
        entry = xcalloc(1, sizeof *entry);
        entry->broker_id = broker_id;
        entry->channel = channel;
        DL_APPEND(reach->list, entry);
        reach->count++;
    }
    return entry;
}

void reach_note_failure(struct reach *reach, int32_t broker_id, enum transport_channel channel) {
    struct reach_entry *entry = find_or_add(reach, broker_id, channel);
    entry->failures = entry->failures == INT32_MAX ? INT32_MAX : entry->failures + 1;
    entry->start = entry->start == INT32_MAX ? 0 : entry->start + 1;
}

bool reach_tell_failure(struct reach *reach, int32_t broker_id, enum transport_channel channel, int32_t reason,
                        int64_t now_ms, int64_t *ret_untold) {
    return repeat_failed(&find_or_add(reach, broker_id, channel)->told, reason, now_ms, ret_untold);
}

bool reach_note_success(struct reach *reach, int32_t broker_id, enum transport_channel channel) {
    struct reach_entry *entry = find(reach, broker_id, channel);
    if (entry == NULL) {
        return false;
    }
    entry->failures = 0;
    return repeat_worked(&entry->told) > 0;
}

void reach_deinit(struct reach *reach) {
    while (reach->list != NULL) {
        forget(reach, reach->list);
    }
}
