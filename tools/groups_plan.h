/* What kafka-consumer-groups is to do, without doing it: topics from the command line, offsets from and to CSV, offsets
 * kept within their logs. Pure. */
#ifndef OTTLA_TOOLS_GROUPS_PLAN_H
#define OTTLA_TOOLS_GROUPS_PLAN_H

#include <stdio.h>

#include "tools/client/group_admin.h"

#define CSV_SIZE_MAX ((size_t)64 * 1024 * 1024) /* of a plan; some million partitions */

/* "t" (count -1: all partitions of it) or "t:0,1". */
struct topic_argument {
    struct str topic;
    int32_t *partitions;
    int32_t count;
};

/* ERR_INVALID with the failure set. */
int topic_argument_parse(const char *text, struct arena *arena, struct topic_argument *ret, struct failure *failure);

/* One line of a plan. */
struct plan_line {
    struct str group; /* null where the file names none */
    struct group_offset offset;
};

struct plan {
    struct plan_line *lines;
    int32_t count;
};

/* Lines of "topic,partition,offset" where `may_lack_group`, else, and where the first line has four values, of
 * "group,topic,partition,offset". Values may be quoted, empty lines are skipped. ERR_INVALID with the failure set for
 * anything else: a plan is taken whole or not at all. */
int plan_parse(struct str text, bool may_lack_group, struct arena *arena, struct plan *ret_plan,
               struct failure *failure);
/* The group's part, sorted; of two lines for one partition the later wins. */
void plan_of_group(const struct plan *plan, struct str group, struct arena *arena, struct group_offsets *ret);

/* One line; the group is left out when null. Quoted where Kafka's writer does. */
void plan_write_line(FILE *out, struct str group, const struct group_offset *offset);

/* The nearest offset within a log; what is said of it when that is another one. */
enum clamped { CLAMPED_NOT, CLAMPED_TO_BEGIN, CLAMPED_TO_END };
enum clamped offset_clamp(int64_t offset, int64_t begin, int64_t end, int64_t *ret_offset);

/* Sorts and drops what comes twice; the later one stays. */
void group_offsets_normalize(struct group_offsets *offsets);

#endif
