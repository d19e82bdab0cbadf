/* kafka-consumer-groups --reset-offsets and --delete-offsets. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tools/groups.h"
#include "tools/groups_plan.h"
#include "tools/iso_time.h"

#define COMMAND_LOGGER "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
#define LEADER_LOGGER "org.apache.kafka.clients.admin.internals.PartitionLeaderStrategy"
#define AT_END (-1)
#define AT_BEGIN (-2)
#define TOPICS_MAX 10000 /* --topic on one command line */

/* ---- Partitions the command is about ---- */

static const struct metadata_response_metadata_response_topic *find_topic(const struct metadata_response *metadata,
                                                                          struct str name) {
    for (int32_t i = 0; i < metadata->topics_count; i++) {
        if (str_equal(metadata->topics[i].name, name)) {
            return &metadata->topics[i];
        }
    }
    return NULL;
}

static int read_metadata(struct admin_tool *tool, const struct str *topics, int32_t count,
                         struct metadata_response *ret) {
    if (count == 0) {
        *ret = (struct metadata_response){0};
        return 0;
    }
    int error = client_metadata(&tool->client, topics, count, false, client_deadline(&tool->client), &tool->arena, ret);
    if (error != 0) {
        client_failure(&tool->failure, error, "describeTopics");
        failure_wrap_future(&tool->failure);
        return failure_wrap_runtime(&tool->failure);
    }
    return 0;
}

/* What --topic names. A topic named without partitions that is not there goes to ret_missing, with its code. */
static int topics_named(struct admin_tool *tool, struct group_offsets *ret, struct group_offsets *ret_missing) {
    int32_t count = (int32_t)MIN(options_count(&tool->options, "topic"), TOPICS_MAX);
    struct topic_argument *arguments = ARENA_ARRAY(&tool->arena, struct topic_argument, count);
    struct str *whole = ARENA_ARRAY(&tool->arena, struct str, count);
    int32_t whole_count = 0;
    for (int32_t i = 0; i < count; i++) {
        const char *text = options_nth(&tool->options, "topic", (size_t)i);
        if (topic_argument_parse(text, &tool->arena, &arguments[i], &tool->failure) != 0) {
            return ERR_INVALID;
        }
        if (arguments[i].count < 0) {
            whole[whole_count++] = arguments[i].topic;
        }
    }
    struct metadata_response metadata;
    int error = read_metadata(tool, whole, whole_count, &metadata);
    if (error != 0) {
        return error;
    }
    int32_t room = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_response_metadata_response_topic *topic = find_topic(&metadata, arguments[i].topic);
        room += MAX(arguments[i].count, 0) + (topic == NULL ? 0 : topic->partitions_count);
    }
    *ret = (struct group_offsets){ARENA_ARRAY(&tool->arena, struct group_offset, room), 0};
    *ret_missing = (struct group_offsets){ARENA_ARRAY(&tool->arena, struct group_offset, count), 0};
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_response_metadata_response_topic *topic = find_topic(&metadata, arguments[i].topic);
        for (int32_t j = 0; j < arguments[i].count; j++) {
            ret->list[ret->count++] =
                (struct group_offset){.topic = arguments[i].topic, .partition = arguments[i].partitions[j]};
        }
        if (arguments[i].count < 0 && (topic == NULL || topic->error_code != KAFKA_NONE)) {
            int16_t code = topic == NULL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : topic->error_code;
            ret_missing->list[ret_missing->count++] = (struct group_offset){.topic = arguments[i].topic, .code = code};
        }
        for (int32_t j = 0; arguments[i].count < 0 && topic != NULL && j < topic->partitions_count; j++) {
            ret->list[ret->count++] =
                (struct group_offset){.topic = arguments[i].topic, .partition = topic->partitions[j].partition_index};
        }
    }
    group_offsets_normalize(ret);
    group_offsets_normalize(ret_missing);
    return 0;
}

/* ---- Asking where logs begin and end ---- */

/* A topic that is not there would be looked for until the time is up. */
static int check_topics(struct admin_tool *tool, const struct group_offsets *offsets) {
    struct str *topics = ARENA_ARRAY(&tool->arena, struct str, offsets->count);
    int32_t count = 0;
    for (int32_t i = 0; i < offsets->count; i++) {
        if (i == 0 || !str_equal(offsets->list[i].topic, offsets->list[i - 1].topic)) {
            topics[count++] = offsets->list[i].topic;
        }
    }
    struct metadata_response metadata;
    int error = read_metadata(tool, topics, count, &metadata);
    for (int32_t i = 0; error == 0 && i < offsets->count; i++) {
        const struct group_offset *offset = &offsets->list[i];
        const struct metadata_response_metadata_response_topic *topic = find_topic(&metadata, offset->topic);
        int16_t code = topic == NULL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : topic->error_code;
        if (code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
            report_log("ERROR", LEADER_LOGGER, "[%s] Received unknown topic error for topic %.*s",
                       tool->settings.log_name, STR_ARGS(offset->topic));
            error = failure_set(&tool->failure, kafka_error_exception(code),
                                "Failed to fetch metadata for partition %.*s-%d because metadata for topic `%.*s` "
                                "could not be found",
                                STR_ARGS(offset->topic), offset->partition, STR_ARGS(offset->topic));
        } else if (code == KAFKA_INVALID_TOPIC_EXCEPTION) {
            error = failure_set(&tool->failure, kafka_error_exception(code),
                                "Failed to fetch metadata for partition %.*s-%d due to invalid topic `%.*s`",
                                STR_ARGS(offset->topic), offset->partition, STR_ARGS(offset->topic));
        }
        if (error != 0) {
            failure_wrap_future(&tool->failure);
            failure_wrap_runtime(&tool->failure);
        }
    }
    return error;
}

/* Where each partition stood at `timestamp`; -1 where nothing is that young. */
static int list_at(struct admin_tool *tool, const struct group_offsets *offsets, int64_t timestamp,
                   int64_t **ret_found) {
    struct partition_item *items = ARENA_ARRAY(&tool->arena, struct partition_item, offsets->count);
    *ret_found = ARENA_ARRAY(&tool->arena, int64_t, offsets->count);
    for (int32_t i = 0; i < offsets->count; i++) {
        items[i] = (struct partition_item){.topic = offsets->list[i].topic, .partition = offsets->list[i].partition};
    }
    int error = check_topics(tool, offsets);
    if (error != 0) {
        return error;
    }
    error = partitions_list_offsets(&tool->client, items, offsets->count, timestamp, &tool->failure);
    for (int32_t i = 0; error == 0 && i < offsets->count; i++) {
        (*ret_found)[i] = items[i].result;
        if (items[i].failure.text != NULL) {
            error = failure_set(&tool->failure, items[i].failure.class_name, "%s", items[i].failure.text);
        }
    }
    partition_items_deinit(items, offsets->count);
    if (error != 0) {
        failure_wrap_future(&tool->failure);
        failure_wrap_runtime(&tool->failure);
    }
    return error;
}

static int set_to(struct admin_tool *tool, struct group_offsets *offsets, int64_t timestamp) {
    int64_t *found;
    int error = list_at(tool, offsets, timestamp, &found);
    for (int32_t i = 0; error == 0 && i < offsets->count; i++) {
        offsets->list[i].offset = found[i];
    }
    return error;
}

/* As set_to, but a partition without so young a record gets its end. */
static int set_to_time(struct admin_tool *tool, struct group_offsets *offsets, int64_t timestamp) {
    int64_t *found;
    int64_t *ends = NULL;
    int error = list_at(tool, offsets, timestamp, &found);
    for (int32_t i = 0; error == 0 && i < offsets->count; i++) {
        if (found[i] < 0 && ends == NULL) {
            error = list_at(tool, offsets, AT_END, &ends);
        }
        if (error == 0 && found[i] < 0) {
            printf("\nWarn: Partition %d from topic %.*s is empty. Falling back to latest known offset.\n",
                   offsets->list[i].partition, STR_ARGS(offsets->list[i].topic));
        }
        offsets->list[i].offset = error == 0 && found[i] < 0 ? ends[i] : found[i];
    }
    return error;
}

/* Moves what is asked for into the logs. */
static int clamp_all(struct admin_tool *tool, struct group_offsets *offsets) {
    int64_t *begins;
    int64_t *ends;
    int error = list_at(tool, offsets, AT_BEGIN, &begins);
    error = error != 0 ? error : list_at(tool, offsets, AT_END, &ends);
    for (int32_t i = 0; error == 0 && i < offsets->count; i++) {
        struct group_offset *offset = &offsets->list[i];
        int64_t wanted = offset->offset;
        enum clamped clamped = offset_clamp(wanted, begins[i], ends[i], &offset->offset);
        if (clamped != CLAMPED_NOT) {
            report_log("WARN", COMMAND_LOGGER,
                       "New offset (%" PRId64 ") is %s offset for topic partition %.*s-%d. Value will be set to "
                       "%" PRId64,
                       wanted, clamped == CLAMPED_TO_END ? "higher than latest" : "lower than earliest",
                       STR_ARGS(offset->topic), offset->partition, offset->offset);
        }
    }
    return error;
}

/* ---- Scenarios ---- */

static int fetch_committed(struct admin_tool *tool, struct str group, struct group_offsets *ret) {
    struct group_item item = {.id = group};
    int error = admin_fetch_group_offsets(&tool->client, &item, &tool->arena, &tool->failure);
    if (error == 0 && item.failure.text != NULL) {
        error = failure_set(&tool->failure, item.failure.class_name, "%s", item.failure.text);
    }
    group_items_deinit(&item, 1);
    if (error != 0) {
        failure_wrap_future(&tool->failure);
        return failure_wrap_runtime(&tool->failure);
    }
    *ret = *(struct group_offsets *)item.answer;
    return 0;
}

static const struct group_offset *find_committed(const struct group_offsets *committed,
                                                 const struct group_offset *offset) {
    return committed->count == 0
               ? NULL
               : bsearch(offset, committed->list, (size_t)committed->count, sizeof *offset, group_offset_compare);
}

static int to_offset(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    int64_t wanted;
    (void)group;
    int error = options_long(&tool->options, "to-offset", 0, &wanted, &tool->failure);
    for (int32_t i = 0; i < offsets->count && error == 0; i++) {
        offsets->list[i].offset = wanted;
    }
    return error != 0 ? error : clamp_all(tool, offsets);
}

static int shift_by(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    struct group_offsets committed;
    int64_t shift;
    int error = fetch_committed(tool, group, &committed);
    error = error != 0 ? error : options_long(&tool->options, "shift-by", 0, &shift, &tool->failure);
    for (int32_t i = 0; i < offsets->count && error == 0; i++) {
        struct group_offset *offset = &offsets->list[i];
        const struct group_offset *now = find_committed(&committed, offset);
        if (now == NULL) {
            return failure_set(&tool->failure, USAGE_FAILURE,
                               "Cannot shift offset for partition %.*s-%d since there is no current committed offset",
                               STR_ARGS(offset->topic), offset->partition);
        }
        if (__builtin_add_overflow(now->offset, shift, &offset->offset)) {
            offset->offset = shift < 0 ? INT64_MIN : INT64_MAX;
        }
    }
    return error != 0 ? error : clamp_all(tool, offsets);
}

static int to_datetime(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    const char *text;
    int64_t timestamp;
    (void)group;
    int error = options_string(&tool->options, "to-datetime", NULL, &text, &tool->failure);
    if (error == 0 && iso_datetime_parse(text, &timestamp, &tool->failure) != 0) {
        error = failure_wrap_runtime(&tool->failure);
    }
    return error != 0 ? error : set_to_time(tool, offsets, timestamp);
}

static int by_duration(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    const char *text;
    int64_t timestamp;
    struct timespec now;
    (void)group;
    clock_gettime(CLOCK_REALTIME, &now);
    int error = options_string(&tool->options, "by-duration", NULL, &text, &tool->failure);
    error = error != 0 ? error
                       : iso_duration_before(text, now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000, &timestamp,
                                             &tool->failure);
    return error != 0 ? error : set_to_time(tool, offsets, timestamp);
}

static int to_earliest(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    (void)group;
    return set_to(tool, offsets, AT_BEGIN);
}

static int to_latest(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    (void)group;
    return set_to(tool, offsets, AT_END);
}

static int to_current(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    struct group_offsets committed;
    struct group_offsets rest = {ARENA_ARRAY(&tool->arena, struct group_offset, offsets->count), 0};
    int error = fetch_committed(tool, group, &committed);
    for (int32_t i = 0; i < offsets->count && error == 0; i++) {
        if (find_committed(&committed, &offsets->list[i]) == NULL) {
            rest.list[rest.count++] = offsets->list[i];
        }
    }
    error = error != 0 || rest.count == 0 ? error : set_to(tool, &rest, AT_END);
    for (int32_t i = 0; i < offsets->count && error == 0; i++) {
        const struct group_offset *found = find_committed(&committed, &offsets->list[i]);
        found = found != NULL ? found : find_committed(&rest, &offsets->list[i]);
        offsets->list[i].offset = found->offset;
    }
    return error;
}

/* The file is read for each group anew; it is the partitions it names that are reset. */
static int from_file(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    const char *path;
    int error = options_string(&tool->options, "from-file", NULL, &path, &tool->failure);
    if (error != 0) {
        return error;
    }
    size_t size;
    char *text = file_read_all(path, &size);
    if (text == NULL || size > CSV_SIZE_MAX) {
        free(text);
        failure_set(&tool->failure, "java.io.IOException", "Unable to read file %s", path);
        return failure_wrap_runtime(&tool->failure);
    }
    struct plan plan;
    bool is_one_group = options_count(&tool->options, "group") == 1;
    error = plan_parse((struct str){text, (int32_t)size}, is_one_group, &tool->arena, &plan, &tool->failure);
    free(text);
    if (error != 0) {
        return strcmp(tool->failure.class_name, USAGE_FAILURE) == 0 ? error : failure_wrap_runtime(&tool->failure);
    }
    plan_of_group(&plan, group, &tool->arena, offsets);
    if (offsets->count == 0) {
        groups_error("No reset plan for group %.*s found", STR_ARGS(group));
        return 0;
    }
    return clamp_all(tool, offsets);
}

typedef int scenario_run(struct admin_tool *tool, struct str group, struct group_offsets *offsets);

static const struct scenario {
    const char *option;
    scenario_run *run;
} scenarios[] = {
    {"to-offset", to_offset},     {"to-earliest", to_earliest}, {"to-latest", to_latest}, {"shift-by", shift_by},
    {"to-datetime", to_datetime}, {"by-duration", by_duration}, {"from-file", from_file}, {"to-current", to_current},
};

static int prepare(struct admin_tool *tool, struct str group, struct group_offsets *ret) {
    const struct options *options = &tool->options;
    *ret = (struct group_offsets){0};
    int error = 0;
    if (options_has(options, "all-topics")) {
        error = fetch_committed(tool, group, ret);
    } else if (options_has(options, "topic")) {
        struct group_offsets missing;
        error = topics_named(tool, ret, &missing);
        if (error == 0 && missing.count > 0) {
            failure_set_code(&tool->failure, missing.list[0].code, STR_NULL);
            failure_wrap_future(&tool->failure);
            error = failure_wrap_runtime(&tool->failure);
        }
    } else if (!options_has(options, "from-file")) {
        error = failure_set(&tool->failure, USAGE_FAILURE,
                            "One of the reset scopes should be defined: --all-topics, --topic.");
    }
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
        if (options_has(options, scenarios[i].option)) {
            return scenarios[i].run(tool, group, ret);
        }
    }
    return failure_set(&tool->failure, USAGE_FAILURE,
                       "Option '[reset-offsets]' requires one of the following scenarios: [[to-offset], [to-current], "
                       "[to-datetime], [from-file], [by-duration], [to-earliest], [to-latest], [shift-by]]");
}

/* ---- Resetting ---- */

static int commit(struct admin_tool *tool, struct str group, struct group_offsets *offsets) {
    struct group_item item = {.id = group};
    int error = admin_commit_group_offsets(&tool->client, &item, offsets, &tool->arena, &tool->failure);
    if (error == 0 && item.failure.text != NULL) {
        error = failure_set(&tool->failure, item.failure.class_name, "%s", item.failure.text);
    }
    group_items_deinit(&item, 1);
    char *failed = NULL;
    int16_t code = KAFKA_NONE;
    for (int32_t i = 0; i < offsets->count && error == 0; i++) {
        const struct group_offset *offset = &offsets->list[i];
        if (offset->code != KAFKA_NONE) {
            char *more = xasprintf("%s%s%.*s-%d", failed == NULL ? "" : failed, failed == NULL ? "" : ", ",
                                   STR_ARGS(offset->topic), offset->partition);
            free(failed);
            failed = more;
            code = code == KAFKA_NONE ? offset->code : code;
        }
    }
    if (failed != NULL) {
        error = failure_set(&tool->failure, kafka_error_exception(code),
                            "Failed altering consumer group offsets for the following partitions: [%s]", failed);
        free(failed);
    }
    if (error != 0) {
        failure_wrap_future(&tool->failure);
        failure_wrap_runtime(&tool->failure);
    }
    return error;
}

static int reset_group(struct admin_tool *tool, const struct group_item *item, struct group_offsets *ret) {
    const struct describe_groups_response_described_group *group = item->answer;
    *ret = (struct group_offsets){0};
    if (!str_equal_text(group->group_state, "Empty") && !str_equal_text(group->group_state, "Dead")) {
        groups_error("Assignments can only be reset if the group '%.*s' is inactive, but the current state is %.*s.",
                     STR_ARGS(item->id), STR_ARGS(group->group_state));
        return 0;
    }
    int error = prepare(tool, item->id, ret);
    bool is_execution = options_has(&tool->options, "execute") && !options_has(&tool->options, "dry-run");
    return error != 0 || !is_execution || ret->count == 0 ? error : commit(tool, item->id, ret);
}

static void print_plan(const struct admin_tool *tool, const struct group_item *items, int32_t count,
                       const struct group_offsets *plans) {
    bool is_csv = options_has(&tool->options, "export");
    bool with_group = options_count(&tool->options, "group") != 1;
    if (!is_csv) {
        printf("\n%-30s %-30s %-10s %-15s\n", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    }
    for (int32_t i = 0; i < count; i++) {
        for (int32_t j = 0; j < plans[i].count; j++) {
            const struct group_offset *offset = &plans[i].list[j];
            if (is_csv) {
                plan_write_line(stdout, with_group ? items[i].id : STR_NULL, offset);
            } else {
                printf("%-30.*s %-30.*s %-10d %-15" PRId64 "\n", STR_ARGS(items[i].id), STR_ARGS(offset->topic),
                       offset->partition, offset->offset);
            }
        }
    }
    if (is_csv) {
        putchar('\n');
    }
}

int groups_reset_offsets(struct admin_tool *tool) {
    struct group_item *items;
    int32_t count;
    int error = groups_chosen(tool, &items, &count);
    if (error != 0) {
        return error;
    }
    error = admin_groups(&tool->client, GROUPS_DESCRIBE, items, count, &tool->arena, &tool->failure);
    struct group_offsets *plans = ARENA_ARRAY(&tool->arena, struct group_offsets, count);
    for (int32_t i = 0; i < count && error == 0; i++) {
        if (items[i].failure.text != NULL) {
            error = failure_set(&tool->failure, items[i].failure.class_name, "%s", items[i].failure.text);
        }
    }
    if (error != 0) {
        failure_wrap_future(&tool->failure);
        failure_wrap_runtime(&tool->failure);
    }
    for (int32_t i = 0; i < count && error == 0; i++) {
        error = reset_group(tool, &items[i], &plans[i]);
    }
    if (error == 0) {
        print_plan(tool, items, count, plans);
    }
    group_items_deinit(items, count);
    return error;
}

/* ---- Deleting ---- */

/* What stands above the table: it follows from the first error, that of the group before those of partitions. */
static void print_deletion(const struct admin_tool *tool, struct str group, int16_t code) {
    switch (code) {
    case KAFKA_NONE:
        printf("Request succeed for deleting offsets with topic ");
        for (size_t i = 0; i < options_count(&tool->options, "topic"); i++) {
            printf("%s%s", i == 0 ? "" : ", ", options_nth(&tool->options, "topic", i));
        }
        printf(" group %.*s\n", STR_ARGS(group));
        break;
    case KAFKA_INVALID_GROUP_ID: groups_error("'%.*s' is not valid.", STR_ARGS(group)); break;
    case KAFKA_GROUP_ID_NOT_FOUND: groups_error("'%.*s' does not exist.", STR_ARGS(group)); break;
    case KAFKA_GROUP_AUTHORIZATION_FAILED: groups_error("Access to '%.*s' is not authorized.", STR_ARGS(group)); break;
    case KAFKA_NON_EMPTY_GROUP:
        groups_error("Deleting offsets of a consumer group '%.*s' is forbidden if the group is not empty.",
                     STR_ARGS(group));
        break;
    case KAFKA_GROUP_SUBSCRIBED_TO_TOPIC:
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
        groups_error("Encounter some partition level error, see the follow-up details:");
        break;
    default: groups_error("Encounter some unknown error: %s", kafka_error_name(code)); break;
    }
}

static void print_deleted(const struct group_offset *offset, bool is_missing) {
    struct failure failure = {0};
    char partition[16];
    snprintf(partition, sizeof partition, "%d", offset->partition);
    printf("%-30.*s %-15s ", STR_ARGS(offset->topic), is_missing ? "Not Provided" : partition);
    if (offset->code == KAFKA_NONE) {
        printf("%-15s\n", "Successful");
        return;
    }
    failure_set_code(&failure, offset->code, STR_NULL);
    printf("Error: :%s: %s\n", failure.class_name, failure.text);
    failure_clear(&failure);
}

int groups_delete_offsets(struct admin_tool *tool) {
    struct group_offsets offsets;
    struct group_offsets missing;
    const char *group;
    int error = options_string(&tool->options, "group", NULL, &group, &tool->failure);
    error = error != 0 ? error : topics_named(tool, &offsets, &missing);
    if (error != 0) {
        return error;
    }
    struct group_item item = {.id = str_from(group)};
    error = admin_delete_group_offsets(&tool->client, &item, &offsets, &tool->arena, &tool->failure);
    if (error != 0) {
        failure_wrap_future(&tool->failure);
        return failure_wrap_runtime(&tool->failure);
    }
    int16_t code = item.failure.code;
    for (int32_t i = 0; i < offsets.count; i++) {
        offsets.list[i].code = item.failure.text != NULL ? item.failure.code : offsets.list[i].code;
        code = code == KAFKA_NONE ? offsets.list[i].code : code;
    }
    print_deletion(tool, item.id, code);
    printf("\n%-30s %-15s %-15s\n", "TOPIC", "PARTITION", "STATUS");
    for (int32_t i = 0; i < missing.count; i++) {
        print_deleted(&missing.list[i], true);
    }
    for (int32_t i = 0; i < offsets.count; i++) {
        print_deleted(&offsets.list[i], false);
    }
    group_items_deinit(&item, 1);
    return 0;
}
