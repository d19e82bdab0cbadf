/* kafka-consumer-groups: the command line, --list and --delete. (cli.md, section 6) */
#include "tools/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/tool.h"

#define GROUP_WIDTH_MIN 15
#define GROUP_WIDTH_EXTRA 10
#define DEFAULT_TIMEOUT_MS 5000

static const struct option_spec specs[] = {
    {"all-groups", OPTION_FLAG, NULL, "All groups."},
    {"all-topics", OPTION_FLAG, NULL, "With --reset-offsets: every partition the group has committed for."},
    {"bootstrap-server", OPTION_REQUIRED, "String: server to connect to", "REQUIRED: the brokers, host:port[,...]."},
    {"by-duration", OPTION_REQUIRED, "String: duration",
     "Reset to where the log stood that long ago, as in PnDTnHnMnS."},
    {"command-config", OPTION_REQUIRED, "String: command config property file",
     "A file of properties for the admin client."},
    {"delete", OPTION_FLAG, NULL, "Delete empty groups with all they have committed."},
    {"delete-offsets", OPTION_FLAG, NULL, "Delete what a group has committed for some topics."},
    {"describe", OPTION_FLAG, NULL, "Show groups: their offsets and lag, or see --members and --state."},
    {"dry-run", OPTION_FLAG, NULL, "With --reset-offsets: show what would be done."},
    {"execute", OPTION_FLAG, NULL, "With --reset-offsets: do it."},
    {"export", OPTION_FLAG, NULL, "With --reset-offsets: print CSV, which --from-file reads."},
    {"from-file", OPTION_REQUIRED, "String: path to CSV file",
     "Reset to the offsets of a CSV file: topic,partition,offset, with the group before them for several groups."},
    {"group", OPTION_REQUIRED, "String: consumer group", "The group to act on; may be given several times."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"list", OPTION_FLAG, NULL, "List all groups."},
    {"members", OPTION_FLAG, NULL, "With --describe: the members."},
    {"offsets", OPTION_FLAG, NULL, "With --describe: offsets and lag, as without it."},
    {"reset-offsets", OPTION_FLAG, NULL,
     "Set what inactive groups have committed: needs a scenario (--to-..., --by-duration, --shift-by, --from-file), a "
     "scope (--topic or --all-topics) and --dry-run or --execute."},
    {"shift-by", OPTION_REQUIRED, "Long: number-of-offsets", "Reset to so many after, or before, what is committed."},
    {"state", OPTION_OPTIONAL, "String",
     "With --describe: state, coordinator and strategy. With --list: show the state, or only groups in the given "
     "ones, with commas."},
    {"timeout", OPTION_REQUIRED, "Long: timeout (ms)", "How long a request may take. (default: 5000)"},
    {"to-current", OPTION_FLAG, NULL, "Reset to what is committed, or to the end."},
    {"to-datetime", OPTION_REQUIRED, "String: datetime",
     "Reset to where the log stood then, as in YYYY-MM-DDTHH:mm:SS.sss."},
    {"to-earliest", OPTION_FLAG, NULL, "Reset to the beginning."},
    {"to-latest", OPTION_FLAG, NULL, "Reset to the end."},
    {"to-offset", OPTION_REQUIRED, "Long: offset", "Reset to this offset."},
    {"topic", OPTION_REQUIRED, "String: topic",
     "The topic whose offsets are reset or deleted, or partitions of it as in t:0,1; may be given several times."},
    {"type", OPTION_OPTIONAL, "String",
     "With --list: show the type, or only groups of the given types, classic or consumer."},
    {"verbose", OPTION_FLAG, NULL, "With --describe: more, if there is more."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

static const char *const scenarios[] = {"to-offset", "to-datetime", "by-duration", "to-earliest",
                                        "to-latest", "to-current",  "shift-by",    "from-file"};

int failure_wrap_future(struct failure *failure) {
    char *text = xasprintf("%s: %s", failure->class_name, failure->text);
    failure_set(failure, "java.util.concurrent.ExecutionException", "%s", text);
    free(text);
    return ERR_INVALID;
}

int failure_wrap_runtime(struct failure *failure) {
    char *text = xasprintf("%s: %s", failure->class_name, failure->text);
    failure_set(failure, "java.lang.RuntimeException", "%s", text);
    free(text);
    return ERR_INVALID;
}

void groups_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("\nError: ", stdout);
    vprintf(format, args);
    fputc('\n', stdout);
    va_end(args);
}

/* ---- Listing ---- */

/* One of the lists that --state and --type take: words with commas, in any case. */
struct filter {
    const char *option;
    const char *what; /* "state", "types": as the error names the list */
    const char *valid;
    const char *const *names;
    size_t name_count;
};

static const char *const state_names[] = {"PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty",
                                          "Assigning",          "Reconciling"};
static const char *const type_names[] = {"Consumer", "Classic"};
static const struct filter state_filter = {
    "state", "state list",
    "states are: PreparingRebalance, CompletingRebalance, Stable, Dead, Empty, Assigning, "
    "Reconciling",
    state_names, ARRAY_SIZE(state_names)};
static const struct filter type_filter = {"type", "types list", "types are: Consumer, Classic", type_names,
                                          ARRAY_SIZE(type_names)};

static const char *find_name(const struct filter *filter, const char *word, size_t size) {
    for (size_t i = 0; i < filter->name_count; i++) {
        if (strlen(filter->names[i]) == size && strncasecmp(filter->names[i], word, size) == 0) {
            return filter->names[i];
        }
    }
    return NULL;
}

/* Java's split: a word between commas may be empty, trailing commas do not count. */
static int read_filter(struct admin_tool *tool, const struct filter *filter, struct str **ret, int32_t *ret_count) {
    const char *text;
    int error = options_string(&tool->options, filter->option, NULL, &text, &tool->failure);
    *ret_count = 0;
    if (error != 0 || text == NULL) {
        return error;
    }
    size_t size = strlen(text);
    *ret = ARENA_ARRAY(&tool->arena, struct str, size + 1);
    while (size > 0 && text[size - 1] == ',') {
        size--;
    }
    for (size_t at = 0; at < size;) {
        size_t begin = at + strspn(text + at, " \t");
        size_t end = at + strcspn(text + at, ",");
        at = end + 1;
        while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t')) {
            end--;
        }
        const char *name = find_name(filter, text + begin, end - begin);
        if (name == NULL) {
            return failure_set(&tool->failure, USAGE_FAILURE, "Invalid %s '%s'. Valid %s", filter->what, text,
                               filter->valid);
        }
        (*ret)[(*ret_count)++] = str_from(name);
    }
    return 0;
}

static int list(struct admin_tool *tool) {
    bool with_type = options_has(&tool->options, "type");
    bool with_state = options_has(&tool->options, "state");
    struct list_groups_request filters;
    list_groups_request_init(&filters);
    int error = read_filter(tool, &type_filter, &filters.types_filter, &filters.types_filter_count);
    error = error != 0 ? error : read_filter(tool, &state_filter, &filters.states_filter, &filters.states_filter_count);
    struct list_groups_response_listed_group *groups;
    int32_t count;
    if (error == 0) {
        error = admin_list_groups(&tool->client, &filters, &tool->arena, &groups, &count, &tool->failure);
        if (error != 0) {
            failure_wrap_future(&tool->failure);
            failure_wrap_runtime(&tool->failure);
        }
    }
    if (error != 0) {
        return error;
    }
    int width = GROUP_WIDTH_MIN;
    for (int32_t i = 0; i < count; i++) {
        width = MAX(width, groups[i].group_id.size);
    }
    width += GROUP_WIDTH_EXTRA;
    for (int32_t i = -1; i < count; i++) {
        const struct list_groups_response_listed_group *group = &groups[MAX(i, 0)];
        if (!with_type && !with_state) {
            i < 0 ? 0 : printf("%.*s\n", STR_ARGS(group->group_id));
            continue;
        }
        printf("%-*.*s", width, i < 0 ? 5 : MAX(group->group_id.size, 0), i < 0 ? "GROUP" : group->group_id.data);
        if (with_type) {
            const char *name =
                i < 0 ? "TYPE"
                      : find_name(&type_filter, group->group_type.data, (size_t)MAX(group->group_type.size, 0));
            printf(" %-20s", name != NULL ? name : "");
        }
        if (with_state) {
            const char *name =
                i < 0 ? "STATE"
                      : find_name(&state_filter, group->group_state.data, (size_t)MAX(group->group_state.size, 0));
            printf(" %-20s", name != NULL ? name : "");
        }
        putchar('\n');
    }
    return 0;
}

/* ---- Choosing ---- */

static int compare_items(const void *a, const void *b) {
    return str_compare(((const struct group_item *)a)->id, ((const struct group_item *)b)->id);
}

int groups_chosen(struct admin_tool *tool, struct group_item **ret_items, int32_t *ret_count) {
    struct group_item *items;
    int32_t count = 0;
    if (options_has(&tool->options, "all-groups")) {
        struct list_groups_request filters;
        struct list_groups_response_listed_group *groups;
        list_groups_request_init(&filters);
        int error = admin_list_groups(&tool->client, &filters, &tool->arena, &groups, &count, &tool->failure);
        if (error != 0) {
            failure_wrap_future(&tool->failure);
            return failure_wrap_runtime(&tool->failure);
        }
        items = ARENA_ARRAY(&tool->arena, struct group_item, count);
        for (int32_t i = 0; i < count; i++) {
            items[i].id = groups[i].group_id;
        }
    } else {
        count = (int32_t)options_count(&tool->options, "group");
        items = ARENA_ARRAY(&tool->arena, struct group_item, count);
        for (int32_t i = 0; i < count; i++) {
            items[i].id = str_from(options_nth(&tool->options, "group", (size_t)i));
        }
    }
    if (count > 0) {
        qsort(items, (size_t)count, sizeof *items, compare_items);
    }
    int32_t distinct = 0;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || !str_equal(items[i].id, items[distinct - 1].id)) {
            items[distinct++] = items[i];
        }
    }
    *ret_items = items;
    *ret_count = distinct;
    return 0;
}

/* ---- Deleting ---- */

/* "'a', 'b'": those that failed, or those that did not. */
static void print_deleted(const struct group_item *items, int32_t count) {
    const char *separator = "'";
    for (int32_t i = 0; i < count; i++) {
        if (items[i].failure.text == NULL) {
            printf("%s%.*s", separator, STR_ARGS(items[i].id));
            separator = "', '";
        }
    }
    printf("%s", separator[1] == '\0' ? "''" : "'");
}

static int delete_groups(struct admin_tool *tool) {
    struct group_item *items;
    int32_t count;
    int error = groups_chosen(tool, &items, &count);
    if (error != 0) {
        return error;
    }
    error = admin_groups(&tool->client, GROUPS_DELETE, items, count, &tool->arena, &tool->failure);
    int32_t failed = 0;
    for (int32_t i = 0; i < count; i++) {
        /* Whoever has no answer when the time is up failed for that. */
        if (error != 0 && !items[i].is_done) {
            failure_set(&items[i].failure, tool->failure.class_name, "%s", tool->failure.text);
        }
        failed += items[i].failure.text != NULL;
    }
    if (failed == 0) {
        printf("Deletion of requested consumer groups (");
        print_deleted(items, count);
        printf(") was successful.\n");
    } else {
        groups_error("Deletion of some consumer groups failed:");
    }
    for (int32_t i = 0; i < count; i++) {
        if (items[i].failure.text != NULL) {
            failure_wrap_future(&items[i].failure);
            printf("* Group '%.*s' could not be deleted due to: %s: %s\n", STR_ARGS(items[i].id),
                   items[i].failure.class_name, items[i].failure.text);
        }
    }
    if (failed > 0 && failed < count) {
        printf("\nThese consumer groups were deleted successfully: ");
        print_deleted(items, count);
        putchar('\n');
    }
    group_items_deinit(items, count);
    return 0;
}

/* ---- The command line ---- */

/* Options that make sense only with others; Kafka's parser refuses them before anything else. */
static int check_available(const struct options *options, struct failure *failure) {
    static const struct {
        const char *name;
        const char *with[3];
    } rules[] = {
        {"members", {"describe", NULL}}, {"offsets", {"describe", NULL}}, {"state", {"describe", "list", NULL}},
        {"type", {"list", NULL}},        {"verbose", {"describe", NULL}},
    };
    char names[64] = "";
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        bool is_available = !options_has(options, rules[i].name);
        for (const char *const *with = rules[i].with; *with != NULL && !is_available; with++) {
            is_available = options_has(options, *with);
        }
        if (!is_available) {
            size_t size = strlen(names);
            snprintf(names + size, sizeof names - size, "%s%s", size == 0 ? "" : ", ", rules[i].name);
        }
    }
    return names[0] == '\0'
               ? 0
               : failure_set(failure, "joptsimple.UnavailableOptionException",
                             "Option(s) [%s] are unavailable given other options on the command line", names);
}

static bool has_groups(const struct options *options) {
    return options_has(options, "group") || options_has(options, "all-groups");
}

static int check_describe(const struct options *options) {
    if (!has_groups(options)) {
        return options_usage(options, "Option [describe] takes one of these options: [reset-offsets], [describe], "
                                      "[delete], [list]");
    }
    if (options_has(options, "members") + options_has(options, "offsets") + options_has(options, "state") > 1) {
        return options_usage(options,
                             "Option [describe] takes at most one of these options: [members], [offsets], [state]");
    }
    return options_text(options, "state") == NULL
               ? 0
               : options_usage(options, "Option [describe] does not take a value for [state]");
}

static int check_reset(const struct options *options) {
    if (options_has(options, "dry-run") && options_has(options, "execute")) {
        return options_usage(options, "Option [reset-offsets] only accepts one of [execute] and [dry-run]");
    }
    if (!options_has(options, "dry-run") && !options_has(options, "execute")) {
        fprintf(stderr,
                "WARN: No action will be performed as the --execute option is missing. In a future major release, the "
                "default behavior of this command will be to prompt the user before executing the reset rather than "
                "doing a dry run. You should add the --dry-run option explicitly if you are scripting this command "
                "and want to keep the current default behavior without prompting.\n");
    }
    if (!has_groups(options)) {
        return options_usage(options, "Option [reset-offsets] takes one of these options: [all-groups], [group]");
    }
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(scenarios) && options_has(options, scenarios[i]); j++) {
            const char *const other[] = {scenarios[j], NULL};
            int status = i == j ? 0 : options_check_conflicts(options, scenarios[i], other);
            if (status != 0) {
                return status;
            }
        }
    }
    return 0;
}

/* 0 or exit status 1 after the usage; the checks come in Kafka's order. */
static int check_arguments(const struct options *options) {
    int status = options_check_required(options, (const char *const[]){"bootstrap-server", NULL});
    if (status == 0 && options_has(options, "describe")) {
        status = check_describe(options);
    }
    if (status == 0 && options_has(options, "delete")) {
        if (!has_groups(options)) {
            status = options_usage(options, "Option [delete] takes one of these options: [all-groups], [group]");
        } else if (options_has(options, "topic")) {
            status = options_usage(options, "The consumer does not support topic-specific offset deletion from a "
                                            "consumer group.");
        }
    }
    if (status == 0 && options_has(options, "delete-offsets") &&
        (!options_has(options, "group") || !options_has(options, "topic"))) {
        status = options_usage(options, "Option [delete-offsets] takes the following options: [all-groups], [group]");
    }
    if (status == 0 && options_has(options, "reset-offsets")) {
        status = check_reset(options);
    }
    status = status != 0 ? status
                         : options_check_conflicts(options, "group", (const char *const[]){"all-groups", "list", NULL});
    status = status != 0 ? status
                         : options_check_conflicts(options, "topic", (const char *const[]){"describe", "list", NULL});
    if (status == 0 && options_has(options, "list") + options_has(options, "describe") +
                               options_has(options, "delete") + options_has(options, "reset-offsets") +
                               options_has(options, "delete-offsets") !=
                           1) {
        status = options_usage(options, "Command must include exactly one action: --list, --describe, --delete, "
                                        "--reset-offsets, --delete-offsets");
    }
    return status;
}

static int run(struct admin_tool *tool) {
    int error = admin_tool_open(tool, "bootstrap-server", "command-config");
    if (error != 0) {
        bool is_file = strncmp(tool->failure.class_name, "java.nio.", 9) == 0;
        return is_file ? failure_wrap_runtime(&tool->failure) : error;
    }
    int64_t timeout_ms;
    error = options_long(&tool->options, "timeout", DEFAULT_TIMEOUT_MS, &timeout_ms, &tool->failure);
    if (error != 0) {
        return error;
    }
    tool->client.settings.api_timeout_ms = (int32_t)MAX(MIN(timeout_ms, INT32_MAX), 0);
    if (options_has(&tool->options, "list")) {
        return list(tool);
    }
    if (options_has(&tool->options, "describe")) {
        return groups_describe(tool);
    }
    if (options_has(&tool->options, "delete")) {
        return delete_groups(tool);
    }
    return options_has(&tool->options, "reset-offsets") ? groups_reset_offsets(tool) : groups_delete_offsets(tool);
}

/* Failures of the work itself are told on stdout and end with status 0, which scripts have come to rely on. */
static int report(struct admin_tool *tool) {
    if (strcmp(tool->failure.class_name, USAGE_FAILURE) == 0) {
        fflush(stdout);
        return options_usage(&tool->options, "%s", tool->failure.text);
    }
    groups_error("Executing consumer group command failed due to %s", tool->failure.text);
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", tool->failure.class_name, tool->failure.text);
    return 0;
}

int tool_consumer_groups(int argc, char **argv) {
    struct admin_tool tool;
    admin_tool_init(&tool);
    int status = -1;
    int error = options_parse(&tool.options, specs, ARRAY_SIZE(specs), argc, argv, &tool.failure);
    if (error == 0 && !options_has(&tool.options, "help")) {
        error = check_available(&tool.options, &tool.failure);
    }
    if (error != 0) {
        fprintf(stderr, "Exception in thread \"main\" %s: %s\n", tool.failure.class_name, tool.failure.text);
        status = 1;
    } else {
        status = options_help(&tool.options, argc, true,
                              "This tool lists, describes and deletes consumer groups, and resets their offsets.");
    }
    if (status < 0) {
        status = check_arguments(&tool.options);
        if (status == 0 && run(&tool) != 0) {
            status = report(&tool);
        }
    }
    admin_tool_deinit(&tool);
    return status;
}
