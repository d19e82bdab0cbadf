/* kafka-reassign-partitions: proposes, starts, watches, cancels and lists moves of partitions. (cli.md, section 4) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/placement.h"
#include "broker/base/random.h"
#include "tools/reassign.h"
#include "tools/reassign_watch.h"
#include "tools/signals.h"
#include "tools/tool.h"

#define EXISTING_ASSIGNMENT                                                                                            \
    "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create " \
    "a new partition assignment in addition to the existing one. The --additional flag can also be used to change "    \
    "the throttle by resubmitting the current reassignment."
#define TIMEOUT_MS 10000
#define CLIENT_EXCEPTIONS "org.apache.kafka.common.errors."

static const struct option_spec specs[] = {
    {"additional", OPTION_FLAG, NULL, "Execute this reassignment in addition to any that are under way."},
    {"bootstrap-server", OPTION_REQUIRED, "String: Server(s) to use for bootstrapping",
     "REQUIRED: the brokers, host:port[,...]."},
    {"broker-list", OPTION_REQUIRED, "String: brokerlist", "The brokers to spread over, ids with commas."},
    {"cancel", OPTION_FLAG, NULL, "Return the partitions of the file to where they were."},
    {"command-config", OPTION_REQUIRED, "String: Admin client property file",
     "A file of properties for the admin client."},
    {"disable-rack-aware", OPTION_FLAG, NULL, "Do not look at racks."},
    {"execute", OPTION_FLAG, NULL, "Start the moves of the file."},
    {"generate", OPTION_FLAG, NULL, "Propose a plan; nothing is moved."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"list", OPTION_FLAG, NULL, "List what is under way."},
    {"preserve-throttles", OPTION_FLAG, NULL, "Leave the throttles as they are."},
    {"reassignment-json-file", OPTION_REQUIRED, "String: manual assignment json file path",
     "The plan: {\"partitions\": [{\"topic\": \"t\", \"partition\": 0, \"replicas\": [1,2], \"log_dirs\": "
     "[\"any\",\"/dir\"]}], \"version\": 1}. log_dirs may be left out."},
    {"replica-alter-log-dirs-throttle", OPTION_REQUIRED, "Long: replicaAlterLogDirsThrottle",
     "Bytes per second for moves between directories (default -1: no throttle)."},
    {"throttle", OPTION_REQUIRED, "Long: throttle",
     "Bytes per second for moves between brokers (default -1: no throttle). Given again with --additional, it "
     "changes."},
    {"timeout", OPTION_REQUIRED, "Long: timeout",
     "Milliseconds in which moves between directories must have started (default 10000)."},
    {"topics-to-move-json-file", OPTION_REQUIRED, "String: topics to reassign json file path",
     "The topics to propose for: {\"topics\": [{\"topic\": \"t\"}], \"version\": 1}."},
    {"verify", OPTION_FLAG, NULL, "Say how the moves of the file stand; takes the throttles back once all are over."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
    {"watch", OPTION_FLAG, NULL, "With --verify: wait until the moves are over; a terminal shows how far they are."},
};

struct action {
    const char *name;
    int (*run)(struct admin_tool *tool);
    const char *required[3];
    const char *permitted[5];
};

/* ---- --generate ---- */

static int parse_brokers(struct admin_tool *tool, const char *text, int32_t **ret_ids, int32_t *ret_count) {
    struct arena *arena = &tool->arena;
    int32_t *ids = ARENA_ARRAY(arena, int32_t, strlen(text) / 2 + 2);
    int32_t count = 0;
    struct str twice = STR_NULL;
    for (const char *at = text; *at != '\0';) {
        size_t size = strcspn(at, ",");
        struct str part = arena_printf(arena, "%.*s", (int)size, at);
        int32_t id;
        if (parse_int32(part.data, &id) != 0) {
            return failure_set(&tool->failure, "java.lang.NumberFormatException", "For input string: \"%.*s\"",
                               STR_ARGS(part));
        }
        for (int32_t i = 0; i < count; i++) {
            if (ids[i] == id) {
                twice = arena_printf(arena, "%.*s%s%d", STR_ARGS(twice), str_is_null(twice) ? "" : ",", id);
                break;
            }
        }
        ids[count++] = id;
        at += size + (at[size] == ',');
    }
    *ret_ids = ids;
    *ret_count = count;
    return str_is_null(twice) ? 0
                              : failure_set(&tool->failure, REASSIGN_COMMAND_FAILED,
                                            "Broker list contains duplicate entries: [%.*s]", STR_ARGS(twice));
}

static int compare_brokers(const void *a, const void *b) {
    const struct placement_broker *left = a, *right = b;
    return (left->id > right->id) - (left->id < right->id);
}

/* Those of the list that are in the cluster. */
static int usable_brokers(struct admin_tool *tool, const int32_t *ids, int32_t count, struct placement_broker **ret,
                          int32_t *ret_count) {
    bool is_rack_aware = !options_has(&tool->options, "disable-rack-aware");
    struct placement_broker *brokers = ARENA_ARRAY(&tool->arena, struct placement_broker, count + 1);
    int32_t found = 0, with_rack = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct client_node *node = client_find_node(&tool->client, ids[i]);
        if (node != NULL) {
            brokers[found++] = (struct placement_broker){node->id, is_rack_aware ? node->rack : NULL};
            with_rack += is_rack_aware && node->rack != NULL;
        }
    }
    qsort(brokers, (size_t)found, sizeof *brokers, compare_brokers);
    *ret = brokers;
    *ret_count = found;
    return with_rack == 0 || with_rack == found
               ? 0
               : failure_set(&tool->failure, REASSIGN_OPERATION_FAILED,
                             "Not all brokers have rack information. Add --disable-rack-aware in command line to make "
                             "replica assignment without rack information.");
}

/* Each topic as if it were made now; its replication factor is that of its first partition. */
static int propose(struct admin_tool *tool, const struct reassign_plan *current, const struct placement_broker *brokers,
                   int32_t broker_count, struct reassign_plan *ret) {
    struct random random;
    random_seed(&random, (uint64_t)monotonic_ms() << 16 ^ (uint64_t)getpid());
    ret->items = ARENA_ARRAY(&tool->arena, struct reassign_item, current->count + 1);
    ret->count = 0;
    for (int32_t i = 0, next; i < current->count; i = next) {
        int32_t factor = current->items[i].replica_count;
        for (next = i + 1; next < current->count && str_equal(current->items[next].topic, current->items[i].topic);) {
            next++;
        }
        if (factor > broker_count) {
            return failure_set(&tool->failure, "InvalidReplicationFactorException",
                               "Replication factor: %d larger than available brokers: %d.", factor, broker_count);
        }
        int32_t *replicas = ARENA_ARRAY(&tool->arena, int32_t, (next - i) * factor + 1);
        CHECK(placement_assign(brokers, broker_count, next - i, factor, 0,
                               (int32_t)random_below(&random, (uint64_t)broker_count),
                               (int32_t)random_below(&random, (uint64_t)broker_count), replicas) == 0);
        for (int32_t j = i; j < next; j++) {
            ret->items[ret->count++] = (struct reassign_item){.topic = current->items[j].topic,
                                                              .partition = current->items[j].partition,
                                                              .replicas = &replicas[(j - i) * factor],
                                                              .replica_count = factor};
        }
    }
    return 0;
}

static int generate(struct admin_tool *tool) {
    struct reassign_plan current, proposal;
    struct placement_broker *brokers = NULL;
    struct str *topics;
    int32_t *ids = NULL;
    int32_t id_count = 0, topic_count, broker_count = 0;
    int error = parse_brokers(tool, options_text(&tool->options, "broker-list"), &ids, &id_count);
    error = error != 0 ? error
                       : reassign_load_topics(tool, options_text(&tool->options, "topics-to-move-json-file"), &topics,
                                              &topic_count);
    error = error != 0 ? error : reassign_current(tool, topics, topic_count, false, &current);
    error = error != 0 ? error : usable_brokers(tool, ids, id_count, &brokers, &broker_count);
    error = error != 0 ? error : propose(tool, &current, brokers, broker_count, &proposal);
    if (error == 0) {
        printf("Current partition replica assignment\n");
        reassign_print_plan(&current);
        printf("\nProposed partition reassignment configuration\n");
        reassign_print_plan(&proposal);
    }
    return error;
}

/* ---- --execute ---- */

static int check_brokers(struct admin_tool *tool, const struct reassign_plan *plan) {
    struct metadata_response response;
    int error = client_metadata(&tool->client, NULL, 0, false, client_deadline(&tool->client), &tool->arena, &response);
    if (error != 0) {
        client_failure(&tool->failure, error, "listNodes");
        return error;
    }
    for (int32_t i = 0; i < plan->count; i++) {
        for (int32_t j = 0; j < plan->items[i].replica_count; j++) {
            if (client_find_node(&tool->client, plan->items[i].replicas[j]) == NULL) {
                return failure_set(&tool->failure, REASSIGN_COMMAND_FAILED, "Unknown broker id %d",
                                   plan->items[i].replicas[j]);
            }
        }
    }
    return 0;
}

/* What the plan's partitions are now. */
static int select_current(struct admin_tool *tool, const struct reassign_plan *plan, struct reassign_plan *ret) {
    struct reassign_plan all;
    struct str *topics;
    int32_t topic_count = reassign_topics(tool, plan, &topics);
    int error = reassign_current(tool, topics, topic_count, false, &all);
    if (error != 0) {
        return error;
    }
    ret->items = ARENA_ARRAY(&tool->arena, struct reassign_item, plan->count + 1);
    ret->count = 0;
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_item *item = reassign_find(&all, plan->items[i].topic, plan->items[i].partition);
        if (item == NULL) {
            return failure_set(&tool->failure, REASSIGN_WRAPPER,
                               "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find "
                               "partition: %.*s-%d",
                               STR_ARGS(plan->items[i].topic), plan->items[i].partition);
        }
        ret->items[ret->count++] = *item;
    }
    return 0;
}

static void print_partitions(const struct reassign_item *const *items, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        printf("%s%.*s-%d", i == 0 ? "" : ",", STR_ARGS(items[i]->topic), items[i]->partition);
    }
    putchar('\n');
}

static int set_throttles(struct admin_tool *tool, const struct reassign_plan *plan, const struct reassign_plan *current,
                         const struct reassign_ongoing_list *ongoing, int64_t rate, int64_t dir_rate) {
    if (rate < 0 && dir_rate < 0) {
        return 0;
    }
    printf("Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is "
           "removed.\n");
    int error = rate < 0 ? 0 : reassign_set_throttle(tool, plan, current, ongoing, rate);
    return error != 0 || dir_rate < 0 ? error : reassign_set_log_dir_throttle(tool, plan, dir_rate);
}

static int start(struct admin_tool *tool, const struct reassign_plan *plan, int64_t timeout_ms) {
    const struct reassign_item **items = ARENA_ARRAY(&tool->arena, const struct reassign_item *, plan->count + 1);
    for (int32_t i = 0; i < plan->count; i++) {
        items[i] = &plan->items[i];
    }
    int error = reassign_alter(tool, items, plan->count, false, "Error reassigning partition(s):");
    if (error != 0) {
        return error;
    }
    printf("Successfully started partition reassignment%s for ", plan->count == 1 ? "" : "s");
    print_partitions(items, plan->count);
    return reassign_has_log_dirs(plan) ? reassign_start_log_dirs(tool, plan, timeout_ms) : 0;
}

static int execute(struct admin_tool *tool) {
    struct reassign_plan plan, current;
    struct reassign_ongoing_list ongoing = {0};
    int64_t rate, dir_rate, timeout_ms;
    int error = options_long(&tool->options, "throttle", -1, &rate, &tool->failure);
    error = error != 0 ? error
                       : options_long(&tool->options, "replica-alter-log-dirs-throttle", -1, &dir_rate, &tool->failure);
    error = error != 0 ? error : options_long(&tool->options, "timeout", TIMEOUT_MS, &timeout_ms, &tool->failure);
    error = error != 0 ? error
                       : reassign_load_plan(tool, options_text(&tool->options, "reassignment-json-file"), true, &plan);
    error = error != 0 ? error : reassign_list(tool, &ongoing);
    if (error == 0 && ongoing.count > 0 && !options_has(&tool->options, "additional")) {
        error = failure_set(&tool->failure, REASSIGN_TERSE, "%s", EXISTING_ASSIGNMENT);
    }
    error = error != 0 ? error : check_brokers(tool, &plan);
    error = error != 0 ? error : select_current(tool, &plan, &current);
    if (error != 0) {
        return error;
    }
    printf("Current partition replica assignment\n\n");
    reassign_print_plan(&current);
    printf("\nSave this to use as the --reassignment-json-file option during rollback\n");
    error = set_throttles(tool, &plan, &current, &ongoing, rate, dir_rate);
    return error != 0 ? error : start(tool, &plan, timeout_ms);
}

/* ---- --verify ---- */

static void print_status(struct admin_tool *tool, const struct reassign_plan *plan, const struct reassign_plan *current,
                         const struct reassign_ongoing_list *ongoing, bool *ret_is_moving) {
    printf("Status of partition reassignment:\n");
    for (int32_t i = 0; i < plan->count; i++) {
        const struct reassign_item *item = &plan->items[i];
        const struct reassign_item *now = reassign_find(current, item->topic, item->partition);
        if (reassign_find_ongoing(ongoing, item->topic, item->partition) != NULL) {
            *ret_is_moving = true;
            printf("Reassignment of partition %.*s-%d is still in progress.\n", STR_ARGS(item->topic), item->partition);
            continue;
        }
        struct str is = now == NULL ? STR_LITERAL("") : reassign_join(&tool->arena, now->replicas, now->replica_count);
        struct str wanted = reassign_join(&tool->arena, item->replicas, item->replica_count);
        if (str_equal(is, wanted)) {
            printf("Reassignment of partition %.*s-%d is completed.\n", STR_ARGS(item->topic), item->partition);
        } else {
            printf("There is no active reassignment of partition %.*s-%d, but replica set is %.*s rather than %.*s.\n",
                   STR_ARGS(item->topic), item->partition, STR_ARGS(is), STR_ARGS(wanted));
        }
    }
}

static int verify(struct admin_tool *tool) {
    struct reassign_plan plan, current;
    struct reassign_ongoing_list ongoing;
    struct str *topics;
    bool is_moving = false, is_moving_dirs = false;
    int error = reassign_load_plan(tool, options_text(&tool->options, "reassignment-json-file"), false, &plan);
    error = error != 0 || !options_has(&tool->options, "watch") ? error : reassign_watch(tool, &plan);
    error = error != 0 ? error : reassign_list(tool, &ongoing);
    if (error != 0) {
        return error;
    }
    int32_t topic_count = reassign_topics(tool, &plan, &topics);
    error = reassign_current(tool, topics, topic_count, true, &current);
    if (error != 0) {
        return error;
    }
    print_status(tool, &plan, &current, &ongoing, &is_moving);
    error = reassign_verify_log_dirs(tool, &plan, &is_moving_dirs);
    return error != 0 || is_moving || is_moving_dirs || options_has(&tool->options, "preserve-throttles")
               ? error
               : reassign_clear_throttles(tool, &plan);
}

/* ---- --cancel ---- */

/* Kafka passes over reassignments that only add or only remove. */
static int cancel(struct admin_tool *tool) {
    struct reassign_plan plan;
    struct reassign_ongoing_list ongoing;
    int64_t timeout_ms;
    int error = options_long(&tool->options, "timeout", TIMEOUT_MS, &timeout_ms, &tool->failure);
    error = error != 0 ? error
                       : reassign_load_plan(tool, options_text(&tool->options, "reassignment-json-file"), false, &plan);
    error = error != 0 ? error : reassign_list(tool, &ongoing);
    if (error != 0) {
        return error;
    }
    const struct reassign_item **items = ARENA_ARRAY(&tool->arena, const struct reassign_item *, plan.count + 1);
    int32_t count = 0;
    for (int32_t i = 0; i < plan.count; i++) {
        if (reassign_find_ongoing(&ongoing, plan.items[i].topic, plan.items[i].partition) != NULL) {
            items[count++] = &plan.items[i];
        }
    }
    if (count > 0) {
        error = reassign_alter(tool, items, count, true,
                               count == 1 ? "Error cancelling partition reassignment for:"
                                          : "Error cancelling partition reassignments for:");
        if (error != 0) {
            return error;
        }
        printf("Successfully cancelled partition reassignment%s for: ", count == 1 ? "" : "s");
        print_partitions(items, count);
    } else {
        printf("None of the specified partition reassignments are active.\n");
    }
    error = reassign_cancel_log_dirs(tool, &plan, timeout_ms);
    return error != 0 || options_has(&tool->options, "preserve-throttles") ? error
                                                                           : reassign_clear_throttles(tool, &plan);
}

/* ---- --list ---- */

static int list(struct admin_tool *tool) {
    struct reassign_ongoing_list ongoing;
    int error = reassign_list(tool, &ongoing);
    if (error != 0) {
        return error;
    }
    printf(ongoing.count == 0 ? "No partition reassignments found.\n" : "Current partition reassignments:\n");
    for (int32_t i = 0; i < ongoing.count; i++) {
        const struct reassign_ongoing *item = &ongoing.items[i];
        printf("%.*s-%d: replicas: %.*s.", STR_ARGS(item->topic), item->partition,
               STR_ARGS(reassign_join(&tool->arena, item->replicas, item->replica_count)));
        if (item->adding_count > 0) {
            printf(" adding: %.*s.", STR_ARGS(reassign_join(&tool->arena, item->adding, item->adding_count)));
        }
        if (item->removing_count > 0) {
            printf(" removing: %.*s.", STR_ARGS(reassign_join(&tool->arena, item->removing, item->removing_count)));
        }
        putchar('\n');
    }
    return 0;
}

/* ---- the command line ---- */

static const struct action actions[] = {
    {"generate", generate, {"topics-to-move-json-file", "broker-list"}, {"disable-rack-aware"}},
    {"execute",
     execute,
     {"reassignment-json-file"},
     {"additional", "throttle", "replica-alter-log-dirs-throttle", "timeout"}},
    {"verify", verify, {"reassignment-json-file"}, {"preserve-throttles", "watch"}},
    {"cancel", cancel, {"reassignment-json-file"}, {"preserve-throttles", "timeout"}},
    {"list", list, {NULL}, {NULL}},
};

static bool is_permitted(const struct action *action, const char *name) {
    if (strcmp(name, action->name) == 0 || strcmp(name, "bootstrap-server") == 0 ||
        strcmp(name, "command-config") == 0) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(action->required); i++) {
        if (action->required[i] != NULL && strcmp(name, action->required[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(action->permitted); i++) {
        if (action->permitted[i] != NULL && strcmp(name, action->permitted[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The action, or NULL after the usage was printed. */
static const struct action *choose_action(const struct options *options) {
    const struct action *chosen = NULL;
    int count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (options_has(options, actions[i].name)) {
            chosen = &actions[i];
            count++;
        }
    }
    if (count != 1) {
        options_usage(options, "Command must include exactly one action: --generate, --execute, --verify, --cancel, "
                               "--list");
        return NULL;
    }
    if (!options_has(options, "bootstrap-server")) {
        options_usage(options, "Please specify --bootstrap-server");
        return NULL;
    }
    const char *required[ARRAY_SIZE(chosen->required) + 1] = {NULL};
    memcpy(required, chosen->required, sizeof chosen->required);
    if (options_check_required(options, required) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < options->spec_count; i++) {
        const char *name = options->specs[i].name;
        if (options_has(options, name) && !is_permitted(chosen, name)) {
            options_usage(options, "Option \"[%s]\" can't be used with action \"[%s]\"", name, chosen->name);
            return NULL;
        }
    }
    return chosen;
}

/* Kafka's tool says everything on standard output. Of a trace we keep the first line, and that only where there is no
 * other: the client's exceptions have none. */
static void print_failure(const struct failure *failure) {
    if (strcmp(failure->class_name, REASSIGN_TERSE) == 0) {
        printf("%s\n", failure->text);
    } else {
        printf("Error: %s\n", failure->text);
        if (strncmp(failure->class_name, CLIENT_EXCEPTIONS, strlen(CLIENT_EXCEPTIONS)) == 0) {
            printf("%s: %s\n\n", failure->class_name, failure->text);
        }
    }
}

int tool_reassign_partitions(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1, signal_number = 0;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error != 0) {
        fprintf(stderr, "Exception in thread \"main\" %s: %s\n", tool.failure.class_name, tool.failure.text);
        status = 1;
    } else {
        status = options_help(&tool.options, argc, true, "This tool helps to move topic partitions between replicas.");
    }
    if (status < 0) {
        const struct action *action = choose_action(&tool.options);
        status = 1;
        if (action != NULL) {
            tool.cancel_fd = options_has(&tool.options, "watch") ? signals_open() : -1;
            error = admin_tool_open(&tool, "bootstrap-server", "command-config");
            error = error != 0 ? error : action->run(&tool);
            status = error != 0;
            if (error == ERR_CLOSING) {
                signal_number = signals_take(tool.cancel_fd);
            } else if (error != 0) {
                print_failure(&tool.failure);
            }
        }
    }
    admin_tool_deinit(&tool);
    if (signal_number != 0) {
        signals_die(signal_number);
    }
    return status;
}
