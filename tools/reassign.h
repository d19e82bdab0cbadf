/* What the parts of kafka-reassign-partitions share: plans, and what is asked of the cluster. */
#ifndef OTTLA_TOOLS_REASSIGN_H
#define OTTLA_TOOLS_REASSIGN_H

#include <jansson.h>

#include "tools/admin_tool.h"

#define REASSIGN_COMMAND_FAILED "org.apache.kafka.server.common.AdminCommandFailedException"
#define REASSIGN_OPERATION_FAILED "org.apache.kafka.server.common.AdminOperationException"
#define REASSIGN_WRAPPER "java.util.concurrent.ExecutionException"
/* Kafka ends a few failures with their text alone, on standard output. */
#define REASSIGN_TERSE "org.apache.kafka.tools.TerseException"

struct reassign_item {
    struct str topic;
    int32_t partition;
    int32_t *replicas;
    int32_t replica_count;
    const char **log_dirs; /* one per replica, NULL for any; NULL when the file names none */
};

struct reassign_plan {
    struct reassign_item *items; /* by topic, then partition */
    int32_t count;
};

/* ---- reassign_plan.c ---- */

/* A plan, with the checks that every action makes, and those of --execute besides. */
int reassign_load_plan(struct admin_tool *tool, const char *path, bool is_strict, struct reassign_plan *ret);
/* The topics of --topics-to-move-json-file. */
int reassign_load_topics(struct admin_tool *tool, const char *path, struct str **ret_topics, int32_t *ret_count);
/* The compact JSON that can be given back to the tool, and a newline. */
void reassign_print_plan(const struct reassign_plan *plan);
/* The topics of a plan, each once. */
int32_t reassign_topics(struct admin_tool *tool, const struct reassign_plan *plan, struct str **ret_topics);
bool reassign_has_log_dirs(const struct reassign_plan *plan);
struct str reassign_join(struct arena *arena, const int32_t *ids, int32_t count);

/* ---- reassign_cluster.c ---- */

/* The replicas of these topics as they are, in `ret`; a topic nobody knows is an error, or left out (is_lenient). */
int reassign_current(struct admin_tool *tool, const struct str *topics, int32_t topic_count, bool is_lenient,
                     struct reassign_plan *ret);
/* NULL when it is not in the plan. */
const struct reassign_item *reassign_find(const struct reassign_plan *plan, struct str topic, int32_t partition);

struct reassign_ongoing {
    struct str topic;
    int32_t partition;
    int32_t *replicas;
    int32_t replica_count;
    int32_t *adding;
    int32_t adding_count;
    int32_t *removing;
    int32_t removing_count;
};
struct reassign_ongoing_list {
    struct reassign_ongoing *items; /* by topic, then partition */
    int32_t count;
};
int reassign_list(struct admin_tool *tool, struct reassign_ongoing_list *ret);
const struct reassign_ongoing *reassign_find_ongoing(const struct reassign_ongoing_list *list, struct str topic,
                                                     int32_t partition);
/* Asks the controller for these replicas, or with `is_cancel` for what was before. Refused partitions end the tool with
 * the heading and a line for each. */
int reassign_alter(struct admin_tool *tool, const struct reassign_item *const *items, int32_t count, bool is_cancel,
                   const char *heading);

/* ---- reassign_throttle.c ---- */

int reassign_set_throttle(struct admin_tool *tool, const struct reassign_plan *plan,
                          const struct reassign_plan *current, const struct reassign_ongoing_list *ongoing,
                          int64_t rate);
int reassign_set_log_dir_throttle(struct admin_tool *tool, const struct reassign_plan *plan, int64_t rate);
/* From all brokers and those of the plan, and from its topics. */
int reassign_clear_throttles(struct admin_tool *tool, const struct reassign_plan *plan);

/* ---- reassign_log_dirs.c ---- */

/* Prints how the moves of the plan between directories stand, or an empty line without any. */
int reassign_verify_log_dirs(struct admin_tool *tool, const struct reassign_plan *plan, bool *ret_is_moving);
/* Starts them, trying again until the time is over. */
int reassign_start_log_dirs(struct admin_tool *tool, const struct reassign_plan *plan, int64_t timeout_ms);
/* Back to the directories they come from. */
int reassign_cancel_log_dirs(struct admin_tool *tool, const struct reassign_plan *plan, int64_t timeout_ms);

#endif
