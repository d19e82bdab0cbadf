/* Counting who is connected, and saying who may be next. */
#include "broker/network/admission.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uthash.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"

#define AREA "kafka.network.SocketServer"
/* Addresses that max.connections.per.ip.overrides may name, after resolving. */
#define OVERRIDES_MAX 1024
#define THOUSAND 1000

struct address_count {
    char host[INET6_ADDRSTRLEN];
    int32_t count;
    UT_hash_handle hh;
};

struct address_override {
    char *name; /* as the setting has it */
    char host[INET6_ADDRSTRLEN];
    int32_t max;
};

void admission_init(struct admission *admission) {
    *admission = (struct admission){
        .max_connections = ADMISSION_UNLIMITED,
        .max_connections_per_ip = ADMISSION_UNLIMITED,
        .rate = {.per_second = ADMISSION_UNLIMITED},
    };
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    int64_t count = limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur;
    admission->descriptor_end = (int32_t)(count - MIN(count / 4, ADMISSION_RESERVED_DESCRIPTORS_MAX));
}

static void free_overrides(struct address_override *overrides, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        free(overrides[i].name);
    }
    free(overrides);
}

void admission_deinit(struct admission *admission) {
    CHECK(admission->addresses == NULL);
    free_overrides(admission->overrides, admission->override_count);
    free(admission->overrides_text);
    admission->overrides = NULL;
    admission->overrides_text = NULL;
}

static void add_override(struct admission *admission, const char *name, const char *host, int32_t max) {
    if (admission->override_count == OVERRIDES_MAX) {
        trace_warn(AREA, "max.connections.per.ip.overrides names more than %d addresses; the others have no effect",
                   OVERRIDES_MAX);
        return;
    }
    struct address_override *added = &admission->overrides[admission->override_count++];
    added->name = xstrdup(name);
    added->max = max;
    snprintf(added->host, sizeof added->host, "%s", host);
}

static void take_override(struct admission *admission, const struct address_override *old, int32_t old_count,
                          const char *name, int32_t max) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(name, NULL, &hints, &list);
    if (status != 0) {
        trace_warn(AREA, "max.connections.per.ip.overrides: %s is not known: %s", name, gai_strerror(status));
        for (int32_t i = 0; i < old_count; i++) {
            if (strcmp(old[i].name, name) == 0) {
                add_override(admission, name, old[i].host, max);
            }
        }
        return;
    }
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        char host[INET6_ADDRSTRLEN];
        const void *address = info->ai_family == AF_INET
                                  ? (const void *)&((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr
                                  : &((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr;
        inet_ntop(info->ai_family, address, host, sizeof host);
        add_override(admission, name, host, max);
    }
    freeaddrinfo(list);
}

static void take_overrides(struct admission *admission, const char *text) {
    if (admission->overrides_text != NULL && strcmp(admission->overrides_text, text) == 0) {
        return;
    }
    struct address_override *old = admission->overrides;
    int32_t old_count = admission->override_count;
    free(admission->overrides_text);
    admission->overrides_text = xstrdup(text);
    admission->override_count = 0;
    admission->overrides = xcalloc(OVERRIDES_MAX, sizeof *admission->overrides);
    for (const char *at = text; *at != '\0';) {
        at += strspn(at, " ,");
        size_t size = strcspn(at, ",");
        /* The last colon parts the count from the address, which may be IPv6. */
        const char *colon = memrchr(at, ':', size);
        if (colon != NULL) {
            char *name = xstrndup(at, (size_t)(colon - at));
            take_override(admission, old, old_count, name, (int32_t)strtol(colon + 1, NULL, 10));
            free(name);
        }
        at += size;
    }
    free_overrides(old, old_count);
    admission->overrides =
        xrealloc(admission->overrides, sizeof *admission->overrides * (size_t)MAX(admission->override_count, 1));
}

void admission_set_limits(struct admission *admission, int32_t max_connections, int32_t max_connections_per_ip,
                          const char *overrides, int32_t creation_rate) {
    admission->max_connections = max_connections;
    admission->max_connections_per_ip = max_connections_per_ip;
    admission->rate.per_second = creation_rate;
    take_overrides(admission, overrides == NULL ? "" : overrides);
}

static int32_t max_of(const struct admission *admission, const char *host) {
    for (int32_t i = 0; i < admission->override_count; i++) {
        if (strcmp(admission->overrides[i].host, host) == 0) {
            return admission->overrides[i].max;
        }
    }
    return admission->max_connections_per_ip;
}

/* 0 when one more may come now. */
static int64_t rate_wait_ms(struct admission_rate *rate, int64_t now_ms) {
    if (rate->per_second == ADMISSION_UNLIMITED) {
        return 0;
    }
    int64_t full = (int64_t)rate->per_second * THOUSAND;
    int64_t elapsed_ms = rate->is_filled ? MIN(now_ms - rate->filled_at_ms, THOUSAND) : THOUSAND;
    rate->is_filled = true;
    rate->filled_at_ms = now_ms;
    rate->thousandths = MIN(full, rate->thousandths + elapsed_ms * rate->per_second);
    if (rate->thousandths >= THOUSAND) {
        return 0;
    }
    /* A rate of 0 lets nobody in until it is changed. */
    return rate->per_second == 0 ? THOUSAND
                                 : MAX(1, (THOUSAND - rate->thousandths + rate->per_second - 1) / rate->per_second);
}

static void rate_take(struct admission_rate *rate) {
    if (rate->per_second != ADMISSION_UNLIMITED) {
        rate->thousandths -= THOUSAND;
    }
}

int64_t admission_wait_ms(struct admission *admission, struct admission_listener *listener, int64_t now_ms) {
    if (admission->is_out_of_descriptors && now_ms < admission->descriptors_again_ms) {
        return admission->descriptors_again_ms - now_ms;
    }
    if (listener->count >= listener->max_connections ||
        (!listener->is_protected && admission->count >= admission->max_connections)) {
        return -1;
    }
    int64_t listener_wait_ms = rate_wait_ms(&listener->rate, now_ms);
    int64_t wait_ms = listener->is_protected ? 0 : rate_wait_ms(&admission->rate, now_ms);
    return MAX(wait_ms, listener_wait_ms);
}

struct address_count *admission_enter(struct admission *admission, struct admission_listener *listener,
                                      const char *host, int32_t *ret_max) {
    rate_take(&listener->rate);
    if (!listener->is_protected) {
        rate_take(&admission->rate);
    }
    struct address_count *address = NULL;
    HASH_FIND_STR(admission->addresses, host, address);
    *ret_max = max_of(admission, host);
    if ((address == NULL ? 0 : address->count) >= *ret_max) {
        return NULL;
    }
    if (address == NULL) {
        address = xcalloc(1, sizeof *address);
        snprintf(address->host, sizeof address->host, "%s", host);
        HASH_ADD_STR(admission->addresses, host, address);
    }
    address->count++;
    listener->count++;
    admission->count++;
    return address;
}

void admission_leave(struct admission *admission, struct admission_listener *listener, struct address_count *address) {
    if (--address->count == 0) {
        HASH_DEL(admission->addresses, address);
        free(address);
    }
    listener->count--;
    admission->count--;
}

bool admission_is_exceeded(const struct admission *admission) {
    return admission->count > admission->max_connections;
}

bool admission_out_of_descriptors(struct admission *admission, int64_t now_ms) {
    bool is_to_be_told =
        !admission->is_told && (!admission->was_told || now_ms - admission->told_ms >= ADMISSION_TELL_EVERY_MS);
    admission->is_out_of_descriptors = true;
    admission->descriptors_again_ms = now_ms + ADMISSION_DESCRIPTOR_PAUSE_MS;
    if (is_to_be_told) {
        admission->is_told = admission->was_told = true;
        admission->told_ms = now_ms;
    }
    return is_to_be_told;
}

bool admission_descriptors_are_back(struct admission *admission) {
    bool was_told = admission->is_told;
    admission->is_out_of_descriptors = false;
    admission->is_told = false;
    return was_told;
}
