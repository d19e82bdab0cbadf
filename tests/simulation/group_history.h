/* What groups have been told so far, whoever told them: the measure of what they may be told from now on. Groups are
 * called group-0, group-1 and so on. */
#ifndef OTTLA_SIM_GROUP_HISTORY_H
#define OTTLA_SIM_GROUP_HISTORY_H

#include "broker/base/slice.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/topics.h"

struct group_history {
    int32_t synced_generation[PLAN_GROUPS_MAX];      /* the newest that some member was given an assignment of */
    int64_t delivered[PLAN_GROUPS_MAX][STREAMS_MAX]; /* all below came to some member */
};

void group_name(int32_t group, char ret_name[16]);
/* -1: none of ours. */
int32_t group_number(struct str id);

#endif
