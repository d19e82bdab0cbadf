/* Who may connect: bounds on connections as a whole, of one listener, of one address, per second, and on descriptors.
 *
 * A protected listener (the one brokers use, where clients have another) is exempt from the bounds of the whole broker:
 * at max.connections a broker displaces the client that has been silent longest, as in Kafka. Knows no sockets and no
 * clock: the caller says what time it is. */
#ifndef OTTLA_NETWORK_ADMISSION_H
#define OTTLA_NETWORK_ADMISSION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Descriptors that connections leave for log segments, peers and ZooKeeper: a quarter of what the process may open, at
 * most this many. */
#define ADMISSION_RESERVED_DESCRIPTORS_MAX 1024
/* Wait before trying again when descriptors have run out. */
#define ADMISSION_DESCRIPTOR_PAUSE_MS 100
/* How often, at most, it is said that they have: at the edge they come and go with every connection. */
#define ADMISSION_TELL_EVERY_MS 60000
#define ADMISSION_UNLIMITED INT32_MAX

/* At most `per_second` on average, a second's worth at once. */
struct admission_rate {
    int32_t per_second;
    bool is_filled;
    int64_t thousandths; /* of permissions left */
    int64_t filled_at_ms;
};

/* One listener's share. */
struct admission_listener {
    bool is_protected;
    int32_t max_connections;
    int32_t count;
    struct admission_rate rate;
};

/* Open connections of one address; in a hash table. */
struct address_count;
struct address_override;

struct admission {
    int32_t max_connections;
    int32_t max_connections_per_ip;
    char *overrides_text; /* as last given; NULL: never */
    struct address_override *overrides;
    int32_t override_count;
    struct address_count *addresses;
    int32_t count;
    struct admission_rate rate;
    int32_t descriptor_end; /* a connection with this descriptor or a higher one eats into the reserve */
    bool is_out_of_descriptors;
    int64_t descriptors_again_ms; /* no accepting before */
    bool is_told;                 /* that they have run out, and not yet that they are back */
    bool was_told;
    int64_t told_ms;
};

void admission_init(struct admission *admission);
void admission_deinit(struct admission *admission);
/* `overrides` is max.connections.per.ip.overrides: "host:count,..."; NULL is "". Names are resolved here, once, as
 * Kafka does: when the text has changed, and not with every other setting or new session of ZooKeeper. That may block
 * for as long as the resolver takes. A name it does not know then keeps the addresses it had in the text before. */
void admission_set_limits(struct admission *admission, int32_t max_connections, int32_t max_connections_per_ip,
                          const char *overrides, int32_t creation_rate);
/* 0 when the listener may accept now; else the milliseconds after which to ask again, -1 for when a connection closes.
 */
int64_t admission_wait_ms(struct admission *admission, struct admission_listener *listener, int64_t now_ms);
/* Counts a connection in, after admission_wait_ms() said 0. NULL when its address has as many as it may, with that
 * bound in *ret_max. */
struct address_count *admission_enter(struct admission *admission, struct admission_listener *listener,
                                      const char *host, int32_t *ret_max);
void admission_leave(struct admission *admission, struct admission_listener *listener, struct address_count *address);
/* More than max.connections are open: one that is not protected has to go. */
bool admission_is_exceeded(const struct admission *admission);
/* Descriptors have run out: pauses accepting. True when that is to be said. */
bool admission_out_of_descriptors(struct admission *admission, int64_t now_ms);
/* A connection was accepted. True when that ended a time of which was said that it began. */
bool admission_descriptors_are_back(struct admission *admission);

#endif
