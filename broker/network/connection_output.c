/* The way out of a connection: answers in the order of their frames, bytes and small file regions by sendmsg, other
 * regions by sendfile, continued where the socket stopped taking. */
#include "broker/network/connection_output.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/log/disk.h"

#define AREA "kafka.network.SocketServer"
/* Pieces of one sendmsg; more only means another call. */
#define OUTPUT_PIECES_MAX 64
/* A region up to this size is read, and goes out with the bytes around it: a header, a region by sendfile and what
 * follows it are three calls and two packets, of which the second ends the frame. */
#define SMALL_REGION_BYTES 4096
/* Of small regions in one sendmsg. */
#define SMALL_REGIONS_BYTES 16384
/* A region up to this size waits for what follows it; beside a larger one another packet is nothing. */
#define CORKED_REGION_BYTES 16384
/* Bytes read at a time where a file has no descriptor. */
#define OUTPUT_COPY_BYTES 65536

enum output_result { OUTPUT_DONE, OUTPUT_BLOCKED, OUTPUT_FAILED };

int64_t answer_total_bytes(const struct answer *answer) {
    int64_t total = (int64_t)answer->size;
    for (int32_t i = 0; i < answer->splice_count; i++) {
        total += answer->splices[i].records.size;
    }
    return total;
}

void answer_drop(const struct answer *answer, int32_t splice_from) {
    for (int32_t i = splice_from; i < answer->splice_count; i++) {
        disk_file_unref(answer->splices[i].records.file);
    }
    answer->on_sent(answer->owner);
}

/* Bytes of the answer that can go out before its next file region. */
static size_t plain_end(const struct connection_exchange *e) {
    return e->splice_index < e->answer.splice_count ? (size_t)e->answer.splices[e->splice_index].at : e->answer.size;
}

/* What one sendmsg takes. */
struct gathered {
    struct iovec pieces[OUTPUT_PIECES_MAX];
    size_t count;
    size_t total;
    size_t copied; /* bytes of small regions, one behind the other */
    uint8_t copies[SMALL_REGIONS_BYTES];
    bool is_full;        /* no piece is left, or a region that is not small comes next */
    size_t region_bytes; /* what is left of that region; 0: none comes next */
};

static void add_piece(struct gathered *out, const void *bytes, size_t size) {
    if (out->count == OUTPUT_PIECES_MAX) {
        out->is_full = true;
    } else if (size > 0) {
        out->pieces[out->count++] = (struct iovec){(void *)bytes, size};
        out->total += size;
    }
}

/* Adds what is left of a region. One that cannot be read is left to send_region(), which says so. */
static void add_region(struct gathered *out, const struct records *region, size_t already_sent) {
    size_t left = (size_t)region->size - already_sent;
    uint8_t *to = out->copies + out->copied;
    if (left > SMALL_REGION_BYTES || left > sizeof out->copies - out->copied ||
        (left > 0 && disk_read(region->file, to, left, region->position + (int64_t)already_sent) != (int64_t)left)) {
        out->is_full = true;
        out->region_bytes = left;
        return;
    }
    out->copied += left;
    add_piece(out, to, left);
}

static void gather_answer(struct gathered *out, const struct connection_exchange *e) {
    const struct answer *answer = &e->answer;
    size_t sent = e->bytes_sent;
    size_t region_sent = (size_t)e->splice_sent;
    for (int32_t i = e->splice_index; i < answer->splice_count && !out->is_full; i++) {
        size_t end = (size_t)answer->splices[i].at;
        add_piece(out, answer->bytes + sent, end - sent);
        if (!out->is_full) {
            add_region(out, &answer->splices[i].records, region_sent);
        }
        sent = end;
        region_sent = 0;
    }
    if (!out->is_full) {
        add_piece(out, answer->bytes + sent, answer->size - sent);
    }
}

static void end_region(struct connection_exchange *e) {
    struct records *region = &e->answer.splices[e->splice_index].records;
    region->file = disk_file_unref(region->file);
    e->splice_index++;
    e->splice_sent = 0;
}

/* The first `sent` bytes of all answers are out. */
static void advance(struct connection *connection, size_t sent) {
    connection->output_bytes -= (int64_t)sent;
    for (struct connection_exchange *e = connection->first; e != NULL && e->state == EXCHANGE_ANSWERED; e = e->next) {
        for (;;) {
            size_t part = MIN(sent, plain_end(e) - e->bytes_sent);
            e->bytes_sent += part;
            sent -= part;
            if (e->bytes_sent < plain_end(e)) {
                return;
            }
            if (e->splice_index == e->answer.splice_count) {
                break;
            }
            int32_t size = e->answer.splices[e->splice_index].records.size;
            part = MIN(sent, (size_t)(size - e->splice_sent));
            e->splice_sent += (int32_t)part;
            sent -= part;
            if (e->splice_sent < size) {
                return;
            }
            end_region(e);
        }
    }
    CHECK(sent == 0);
}

/* One step of a region without a descriptor (a simulated disk): read, then send. */
static ssize_t copy_region(struct connection *connection, struct disk_file *file, int64_t position, size_t size) {
    uint8_t bytes[OUTPUT_COPY_BYTES];
    int64_t count = disk_read(file, bytes, MIN(size, sizeof bytes), position);
    if (count <= 0) {
        errno = EIO;
        return count < 0 ? -1 : 0;
    }
    return send(connection->descriptor, bytes, (size_t)count, MSG_NOSIGNAL);
}

/* Sends the region that is next in the first answer. */
static enum output_result send_region(struct connection *connection, struct connection_exchange *e) {
    struct records *region = &e->answer.splices[e->splice_index].records;
    while (e->splice_sent < region->size) {
        size_t left = (size_t)(region->size - e->splice_sent);
        off_t position = region->position + e->splice_sent;
        int descriptor = region->file->disk->ops->descriptor(region->file);
        ssize_t sent = descriptor >= 0 ? sendfile(connection->descriptor, descriptor, &position, left)
                                       : copy_region(connection, region->file, position, left);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            return OUTPUT_BLOCKED;
        }
        if (sent <= 0) {
            /* The size is promised already. A file cut short (truncation after the answer was made) or unreadable
             * leaves nothing but to end the connection; the client asks again. */
            if (sent == 0 || errno == EIO) {
                trace_warn(AREA, "Closing connection of %s: a region of %d bytes at %lld of a log file cannot be read",
                           connection->host, region->size, (long long)region->position);
            }
            return OUTPUT_FAILED;
        }
        e->splice_sent += (int32_t)sent;
        connection->output_bytes -= sent;
    }
    end_region(e);
    return OUTPUT_DONE;
}

/* Whether bytes come after some region of the answer, be they those of the next one. */
static bool is_followed(const struct connection_exchange *e) {
    const struct answer *answer = &e->answer;
    return answer->splice_count > 1 || answer->size > (size_t)answer->splices[0].at ||
           (e->next != NULL && e->next->state == EXCHANGE_ANSWERED);
}

/* A corked socket keeps the end of a region back until what follows it is there: without it the last bytes of an answer
 * are a packet of their own, and wake whoever waits for it a second time. */
static void set_cork(const struct connection *connection, int is_corked) {
    (void)setsockopt(connection->descriptor, IPPROTO_TCP, TCP_CORK, &is_corked, sizeof is_corked);
}

/* Sends what comes before the next region that is not small, of this answer and of those behind it; or that region. */
static enum output_result send_next(struct connection *connection, bool *is_corked) {
    struct gathered out;
    const struct connection_exchange *last = connection->first;
    out.count = out.total = out.copied = out.region_bytes = 0;
    out.is_full = false;
    for (const struct connection_exchange *e = last; e != NULL && e->state == EXCHANGE_ANSWERED && !out.is_full;
         e = e->next) {
        gather_answer(&out, e);
        last = e;
    }
    if (out.region_bytes > 0 && out.region_bytes <= CORKED_REGION_BYTES && !*is_corked && is_followed(last)) {
        set_cork(connection, 1);
        *is_corked = true;
    }
    if (out.count == 0) {
        return send_region(connection, connection->first);
    }
    /* Held back in the kernel until the region follows. */
    int flags = MSG_NOSIGNAL | (out.region_bytes > 0 ? MSG_MORE : 0);
    struct msghdr message = {.msg_iov = out.pieces, .msg_iovlen = out.count};
    ssize_t sent = sendmsg(connection->descriptor, &message, flags);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? OUTPUT_BLOCKED : OUTPUT_FAILED;
    }
    advance(connection, (size_t)sent);
    return (size_t)sent < out.total ? OUTPUT_BLOCKED : OUTPUT_DONE;
}

static bool is_sent(const struct connection_exchange *e) {
    return e->splice_index == e->answer.splice_count && e->bytes_sent == e->answer.size;
}

static void pop_first(struct connection *connection) {
    struct connection_exchange *e = connection->first;
    connection->first = e->next;
    if (connection->first == NULL) {
        connection->last = NULL;
    }
    connection_exchange_release(e);
}

/* Takes finished exchanges off the front. True when the connection has to close. */
static bool pop_finished(struct connection *connection) {
    for (;;) {
        struct connection_exchange *e = connection->first;
        if (e == NULL || e->state == EXCHANGE_WAITING) {
            return false;
        }
        if (e->state == EXCHANGE_CLOSING) {
            return true;
        }
        if (e->state == EXCHANGE_ANSWERED) {
            if (!is_sent(e)) {
                return false;
            }
            answer_drop(&e->answer, e->answer.splice_count);
        }
        pop_first(connection);
    }
}

bool connection_flush(struct connection *connection) {
    enum output_result result = OUTPUT_DONE;
    bool is_progress = false;
    bool is_corked = false;
    for (;;) {
        if (pop_finished(connection)) {
            return false;
        }
        struct connection_exchange *e = connection->first;
        if (e == NULL || e->state != EXCHANGE_ANSWERED) {
            break;
        }
        result = send_next(connection, &is_corked);
        if (result == OUTPUT_FAILED) {
            return false;
        }
        is_progress = true;
        if (result == OUTPUT_BLOCKED) {
            (void)pop_finished(connection);
            break;
        }
    }
    if (is_corked) {
        set_cork(connection, 0);
    }
    if (is_progress && !connection->is_being_read) {
        network_touch(connection->network, connection);
    }
    struct ev_loop *ev = loop_ev(connection->network->loop);
    if (result == OUTPUT_BLOCKED) {
        ev_io_start(ev, &connection->write_watcher);
    } else {
        ev_io_stop(ev, &connection->write_watcher);
    }
    return true;
}
