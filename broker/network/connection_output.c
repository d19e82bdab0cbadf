/* The way out of a connection: answers in the order of their frames, bytes by sendmsg and file regions by sendfile,
 * continued where the socket stopped taking. */
#include "broker/network/connection_output.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "broker/base/check.h"
#include "broker/base/trace.h"
#include "broker/log/disk.h"

#define AREA "kafka.network.SocketServer"
/* Pieces of one sendmsg; more only means another call. */
#define OUTPUT_PIECES_MAX 64
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

/* Sends the bytes before the next file region, together with those of the answers behind when there is none. */
static enum output_result send_plain(struct connection *connection) {
    struct iovec pieces[OUTPUT_PIECES_MAX];
    size_t count = 0;
    size_t total = 0;
    bool is_region_next = false;
    for (struct connection_exchange *e = connection->first;
         e != NULL && e->state == EXCHANGE_ANSWERED && count < OUTPUT_PIECES_MAX; e = e->next) {
        size_t end = plain_end(e);
        if (end > e->bytes_sent) {
            pieces[count++] = (struct iovec){(void *)(e->answer.bytes + e->bytes_sent), end - e->bytes_sent};
            total += end - e->bytes_sent;
        }
        if (e->splice_index < e->answer.splice_count) {
            /* Held back in the kernel until the region follows; an empty one would leave it there. */
            is_region_next = e->answer.splices[e->splice_index].records.size > 0;
            break;
        }
    }
    if (count == 0) {
        return OUTPUT_DONE;
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t sent = sendmsg(connection->descriptor, &message, MSG_NOSIGNAL | (is_region_next ? MSG_MORE : 0));
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? OUTPUT_BLOCKED : OUTPUT_FAILED;
    }
    connection->output_bytes -= sent;
    size_t left = (size_t)sent;
    for (struct connection_exchange *e = connection->first; left > 0; e = e->next) {
        size_t part = MIN(left, plain_end(e) - e->bytes_sent);
        e->bytes_sent += part;
        left -= part;
    }
    return (size_t)sent < total ? OUTPUT_BLOCKED : OUTPUT_DONE;
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
    region->file = disk_file_unref(region->file);
    e->splice_index++;
    e->splice_sent = 0;
    return OUTPUT_DONE;
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
    for (;;) {
        if (pop_finished(connection)) {
            return false;
        }
        struct connection_exchange *e = connection->first;
        if (e == NULL || e->state != EXCHANGE_ANSWERED) {
            break;
        }
        bool is_region = e->splice_index < e->answer.splice_count && e->bytes_sent == plain_end(e);
        result = is_region ? send_region(connection, e) : send_plain(connection);
        if (result == OUTPUT_FAILED) {
            return false;
        }
        is_progress = true;
        if (result == OUTPUT_BLOCKED) {
            (void)pop_finished(connection);
            break;
        }
    }
    if (is_progress) {
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
