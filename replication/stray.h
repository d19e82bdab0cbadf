/* Whether a log that lies in a topic's place may go: pure.
 *
 * A broker that was away while a partition was moved off it, or while its topic was deleted, keeps a log that nobody
 * will tell it to delete. What it hears later of that name may concern the same topic or another one. Of two topic ids
 * none looks older than the other, so the commands that name them are compared. */
#ifndef OTTLA_REPLICATION_STRAY_H
#define OTTLA_REPLICATION_STRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

/* The controller, and the registration of ours, that a command was made by and for. */
struct command_stamp {
    int32_t controller_epoch; /* -1: no command of this process's life */
    int64_t broker_epoch;     /* -1: not said, as by old controllers */
};

#define COMMAND_STAMP_NONE ((struct command_stamp){.controller_epoch = -1, .broker_epoch = -1})

/* Whether a command was certainly made after another one, whatever the network did to them: by a later controller, or
 * by the same one for a later registration. Equal stamps say nothing: a copy sent over a connection that was given up
 * may come late. No command yet (a log that a former life left) is before every command that knows our registration.
 * The gates of both (epochs not below what we know) have been passed. */
bool command_is_later(const struct command_stamp *one, const struct command_stamp *other);

enum stray_verdict {
    STRAY_KEEP,
    STRAY_DELETE,    /* its own topic is done with it here, as by a StopReplica that was missed */
    STRAY_SET_ASIDE, /* it is of a topic that is no more, whose name another one has now */
};

struct stray_facts {
    struct uuid log_topic_id, told_topic_id; /* zero: unknown */
    bool is_wanted;                          /* as told, we are assigned or in sync */
    bool is_deletion;                        /* as told, the topic is being deleted */
    int32_t known_epoch, told_epoch;         /* of the leader: the latest known of this log, -1 for none; as told */
    struct command_stamp named, told;        /* the last command that named the log's topic here; the one that tells */
};

bool stray_is_other_topic(struct uuid one, struct uuid other);
/* What is to become of the log by what a command for its name tells. */
enum stray_verdict stray_judge(const struct stray_facts *facts);
/* Whether the log has to make way, and may, for the topic that a command wants here. */
bool stray_makes_way(const struct stray_facts *facts);

#endif
