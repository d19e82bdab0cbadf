/* kafka-consumer-groups, in three files: groups.c reads the command line, lists and deletes groups; groups_describe.c
 * shows them; groups_offsets.c moves and deletes what they have committed. */
#ifndef OTTLA_TOOLS_GROUPS_H
#define OTTLA_TOOLS_GROUPS_H

#include "tools/admin_tool.h"
#include "tools/client/group.h"
#include "tools/client/group_admin.h"
#include "tools/client/partition_work.h"

/* What a command failed with when its class is this is an error of usage: message, table of options, exit status 1. */
#define USAGE_FAILURE "java.lang.IllegalArgumentException"

/* The groups of --group or --all-groups, sorted, each once; items fit for group_work. */
int groups_chosen(struct admin_tool *tool, struct group_item **ret_items, int32_t *ret_count);

/* A failure as it comes out of Java's futures, and out of a stream that may not throw it: the class moves into the
 * text. Both return ERR_INVALID. */
int failure_wrap_future(struct failure *failure);
int failure_wrap_runtime(struct failure *failure);

/* "\nError: ..." on stdout, where Kafka's tool has it. */
void groups_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

int groups_describe(struct admin_tool *tool);
int groups_reset_offsets(struct admin_tool *tool);
int groups_delete_offsets(struct admin_tool *tool);

/* ---- The tables, for printing and for tests ---- */

/* One partition of a group; an offset of -1 is not known. */
struct offset_row {
    struct str topic;
    int32_t partition;
    int64_t committed;
    int64_t log_end;
    struct str consumer_id;
    struct str host;
    struct str client_id;
};

/* A newline before each line and none after the last, as Kafka's. */
void offset_table_write(FILE *out, struct str group, const struct offset_row *rows, int32_t count);

struct member_row {
    struct str consumer_id;
    struct str instance_id; /* null for a dynamic member */
    struct str host;
    struct str client_id;
    struct assigned_partition *partitions; /* sorted by topic and partition */
    int32_t partition_count;
};

void member_table_write(FILE *out, struct str group, const struct member_row *rows, int32_t count, bool is_verbose);
/* "(0,1), (2)": a pair of parentheses for each topic, partitions sorted as text; "-" for none. */
void assignment_write(FILE *out, const struct assigned_partition *partitions, int32_t count);

#endif
