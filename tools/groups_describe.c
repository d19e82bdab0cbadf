/* kafka-consumer-groups --describe, in its four views. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/groups.h"

#define COLUMN_MIN 15
#define INSTANCE_MIN 17
#define STATE_MIN 25
#define NUMBER_SIZE 21 /* of an int64 in text */

typedef struct describe_groups_response_described_group group_description;

/* ---- Tables ---- */

static int text_width(struct str text) {
    return MAX(text.size, 0);
}

static void pad(FILE *out, struct str text, int width) {
    fprintf(out, "%-*.*s ", width, STR_ARGS(text));
}

static const char *format_known(int64_t value, bool is_known, char ret_text[NUMBER_SIZE]) {
    snprintf(ret_text, NUMBER_SIZE, "%" PRId64, value);
    return is_known ? ret_text : "-";
}

void offset_table_write(FILE *out, struct str group, const struct offset_row *rows, int32_t count) {
    int group_width = MAX(COLUMN_MIN, text_width(group));
    int topic_width = COLUMN_MIN;
    int consumer_width = COLUMN_MIN;
    int host_width = COLUMN_MIN;
    for (int32_t i = 0; i < count; i++) {
        topic_width = MAX(topic_width, text_width(rows[i].topic));
        consumer_width = MAX(consumer_width, text_width(rows[i].consumer_id));
        host_width = MAX(host_width, text_width(rows[i].host));
    }
    fprintf(out, "\n%-*s %-*s %-10s %-15s %-15s %-15s %-*s %-*s %s", group_width, "GROUP", topic_width, "TOPIC",
            "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", consumer_width, "CONSUMER-ID", host_width, "HOST",
            "CLIENT-ID");
    for (int32_t i = 0; i < count; i++) {
        const struct offset_row *row = &rows[i];
        char committed[NUMBER_SIZE];
        char end[NUMBER_SIZE];
        char lag[NUMBER_SIZE];
        bool has_lag = row->committed >= 0 && row->log_end >= 0;
        fputc('\n', out);
        pad(out, group, group_width);
        pad(out, row->topic, topic_width);
        fprintf(out, "%-10d %-15s %-15s %-15s ", row->partition,
                format_known(row->committed, row->committed >= 0, committed),
                format_known(row->log_end, row->log_end >= 0, end),
                format_known(has_lag ? row->log_end - row->committed : 0, has_lag, lag));
        pad(out, row->consumer_id, consumer_width);
        pad(out, row->host, host_width);
        fprintf(out, "%.*s", STR_ARGS(row->client_id));
    }
}

static int compare_as_text(const void *a, const void *b) {
    char left[NUMBER_SIZE];
    char right[NUMBER_SIZE];
    snprintf(left, sizeof left, "%d", ((const struct assigned_partition *)a)->partition);
    snprintf(right, sizeof right, "%d", ((const struct assigned_partition *)b)->partition);
    int order =
        str_compare(((const struct assigned_partition *)a)->topic, ((const struct assigned_partition *)b)->topic);
    return order != 0 ? order : strcmp(left, right);
}

void assignment_write(FILE *out, const struct assigned_partition *partitions, int32_t count) {
    if (count == 0) {
        fputc('-', out);
        return;
    }
    struct assigned_partition *sorted = xcalloc((size_t)count, sizeof *sorted);
    memcpy(sorted, partitions, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_as_text);
    for (int32_t i = 0; i < count; i++) {
        bool is_same_topic = i > 0 && str_equal(sorted[i].topic, sorted[i - 1].topic);
        fprintf(out, "%s%d", is_same_topic ? "," : i == 0 ? "(" : "), (", sorted[i].partition);
    }
    fputc(')', out);
    free(sorted);
}

void member_table_write(FILE *out, struct str group, const struct member_row *rows, int32_t count, bool is_verbose) {
    int group_width = count == 0 ? COLUMN_MIN : MAX(COLUMN_MIN, text_width(group));
    int consumer_width = COLUMN_MIN;
    int instance_width = INSTANCE_MIN;
    int host_width = COLUMN_MIN;
    int client_width = COLUMN_MIN;
    bool has_instances = false;
    for (int32_t i = 0; i < count; i++) {
        consumer_width = MAX(consumer_width, text_width(rows[i].consumer_id));
        instance_width = MAX(instance_width, text_width(rows[i].instance_id));
        host_width = MAX(host_width, text_width(rows[i].host));
        client_width = MAX(client_width, text_width(rows[i].client_id));
        has_instances = has_instances || rows[i].instance_id.size > 0;
    }
    fprintf(out, "\n%-*s %-*s ", group_width, "GROUP", consumer_width, "CONSUMER-ID");
    if (has_instances) {
        fprintf(out, "%-*s ", instance_width, "GROUP-INSTANCE-ID");
    }
    fprintf(out, "%-*s %-*s %-15s %s\n", host_width, "HOST", client_width, "CLIENT-ID", "#PARTITIONS",
            is_verbose ? "ASSIGNMENT" : "");
    for (int32_t i = 0; i < count; i++) {
        pad(out, group, group_width);
        pad(out, rows[i].consumer_id, consumer_width);
        if (has_instances) {
            pad(out, rows[i].instance_id, instance_width);
        }
        pad(out, rows[i].host, host_width);
        pad(out, rows[i].client_id, client_width);
        fprintf(out, "%-15d ", rows[i].partition_count);
        if (is_verbose) {
            assignment_write(out, rows[i].partitions, rows[i].partition_count);
        }
        fputc('\n', out);
    }
}

/* ---- What is known of a group ---- */

/* Says what there is to say of its state. Returns whether there may be a table. */
static bool remark_state(const struct group_item *item) {
    const group_description *group = item->answer;
    if (str_equal_text(group->group_state, "Dead")) {
        groups_error("Consumer group '%.*s' does not exist.", STR_ARGS(item->id));
        return false;
    }
    fflush(stdout);
    if (str_equal_text(group->group_state, "Empty")) {
        fprintf(stderr, "\nConsumer group '%.*s' has no active members.\n", STR_ARGS(item->id));
    } else if (!str_equal_text(group->group_state, "Stable")) {
        fprintf(stderr, "\nWarning: Consumer group '%.*s' is rebalancing.\n", STR_ARGS(item->id));
    }
    return true;
}

static int compare_partitions(const void *a, const void *b) {
    const struct assigned_partition *left = a;
    const struct assigned_partition *right = b;
    int order = str_compare(left->topic, right->topic);
    return order != 0 ? order : (left->partition > right->partition) - (left->partition < right->partition);
}

/* Those with most partitions first. */
static int compare_members(const void *a, const void *b) {
    const struct member_row *left = a;
    const struct member_row *right = b;
    return left->partition_count != right->partition_count
               ? (left->partition_count < right->partition_count) - (left->partition_count > right->partition_count)
               : str_compare(left->consumer_id, right->consumer_id);
}

/* The members and what each is assigned; a group in the middle of a rebalance has assigned nothing yet. */
static int read_members(struct admin_tool *tool, const group_description *group, struct member_row **ret) {
    *ret = ARENA_ARRAY(&tool->arena, struct member_row, group->members_count);
    for (int32_t i = 0; i < group->members_count; i++) {
        struct member_row *row = &(*ret)[i];
        const struct describe_groups_response_described_group_member *member = &group->members[i];
        *row = (struct member_row){.consumer_id = member->member_id,
                                   .instance_id = member->group_instance_id,
                                   .host = member->client_host,
                                   .client_id = member->client_id};
        if (group_decode_assignment(&tool->arena, member->member_assignment, &row->partitions, &row->partition_count) !=
            0) {
            return failure_set(&tool->failure, "org.apache.kafka.common.protocol.types.SchemaException",
                               "The assignment of member %.*s cannot be read", STR_ARGS(member->member_id));
        }
        if (row->partition_count > 0) {
            qsort(row->partitions, (size_t)row->partition_count, sizeof *row->partitions, compare_partitions);
        }
    }
    if (group->members_count > 0) {
        qsort(*ret, (size_t)group->members_count, sizeof **ret, compare_members);
    }
    return 0;
}

/* ---- Views ---- */

static int64_t committed_for(const struct group_offsets *offsets, struct str topic, int32_t partition) {
    struct group_offset wanted = {.topic = topic, .partition = partition};
    const struct group_offset *found = offsets->count == 0 ? NULL
                                                           : bsearch(&wanted, offsets->list, (size_t)offsets->count,
                                                                     sizeof wanted, group_offset_compare);
    return found == NULL ? -1 : found->offset;
}

/* Rows without the ends of the logs: what members own, then what nobody owns and is committed. */
static int collect_rows(struct admin_tool *tool, const group_description *group, const struct group_offsets *offsets,
                        struct offset_row **ret_rows, int32_t *ret_count) {
    static const struct str missing = STR_LITERAL("-");
    struct member_row *members;
    int error = read_members(tool, group, &members);
    if (error != 0) {
        return error;
    }
    int32_t room = offsets->count;
    for (int32_t i = 0; i < group->members_count; i++) {
        room += members[i].partition_count;
    }
    struct assigned_partition *owned = ARENA_ARRAY(&tool->arena, struct assigned_partition, room);
    struct offset_row *rows = ARENA_ARRAY(&tool->arena, struct offset_row, room);
    int32_t count = 0;
    for (int32_t i = 0; i < group->members_count; i++) {
        for (int32_t j = 0; j < members[i].partition_count; j++) {
            const struct assigned_partition *part = &members[i].partitions[j];
            owned[count] = *part;
            rows[count++] = (struct offset_row){part->topic,
                                                part->partition,
                                                committed_for(offsets, part->topic, part->partition),
                                                -1,
                                                members[i].consumer_id,
                                                members[i].host,
                                                members[i].client_id};
        }
    }
    int32_t owned_count = count;
    if (owned_count > 0) {
        qsort(owned, (size_t)owned_count, sizeof *owned, compare_partitions);
    }
    for (int32_t i = 0; i < offsets->count; i++) {
        const struct group_offset *offset = &offsets->list[i];
        struct assigned_partition wanted = {offset->topic, offset->partition};
        if (owned_count == 0 ||
            bsearch(&wanted, owned, (size_t)owned_count, sizeof wanted, compare_partitions) == NULL) {
            rows[count++] =
                (struct offset_row){offset->topic, offset->partition, offset->offset, -1, missing, missing, missing};
        }
    }
    *ret_rows = rows;
    *ret_count = count;
    return 0;
}

/* A partition whose leader cannot be asked has no end. */
static int find_ends(struct admin_tool *tool, struct offset_row *rows, int32_t count) {
    struct partition_item *items = ARENA_ARRAY(&tool->arena, struct partition_item, count);
    for (int32_t i = 0; i < count; i++) {
        items[i] = (struct partition_item){.topic = rows[i].topic, .partition = rows[i].partition};
    }
    int error = partitions_list_offsets(&tool->client, items, count, -1, &tool->failure);
    for (int32_t i = 0; i < count; i++) {
        rows[i].log_end = items[i].is_done && items[i].failure.text == NULL ? items[i].result : -1;
    }
    partition_items_deinit(items, count);
    return error;
}

static int describe_offsets(struct admin_tool *tool, struct group_item *item) {
    struct group_item fetched = {.id = item->id};
    int error = admin_fetch_group_offsets(&tool->client, &fetched, &tool->arena, &tool->failure);
    struct offset_row *rows;
    int32_t count;
    if (error == 0 && fetched.failure.text != NULL) {
        error = failure_set(&tool->failure, fetched.failure.class_name, "%s", fetched.failure.text);
    }
    if (error != 0) {
        failure_wrap_future(&tool->failure);
        failure_wrap_runtime(&tool->failure);
    }
    group_items_deinit(&fetched, 1);
    error = error != 0 ? error : collect_rows(tool, item->answer, fetched.answer, &rows, &count);
    error = error != 0 || count == 0 ? error : find_ends(tool, rows, count);
    if (error == 0 && remark_state(item) && count > 0) {
        offset_table_write(stdout, item->id, rows, count);
    }
    return error;
}

static int describe_members(struct admin_tool *tool, struct group_item *item) {
    const group_description *group = item->answer;
    struct member_row *rows;
    int error = read_members(tool, group, &rows);
    if (error == 0) {
        remark_state(item);
        member_table_write(stdout, item->id, rows, group->members_count, options_has(&tool->options, "verbose"));
    }
    return error;
}

static void describe_state(struct admin_tool *tool, struct group_item *item) {
    const group_description *group = item->answer;
    const struct client_node *node = client_find_node(&tool->client, item->coordinator);
    if (!remark_state(item)) {
        return;
    }
    struct str coordinator =
        node == NULL ? STR_LITERAL("-") : arena_printf(&tool->arena, "%s:%d  (%d)", node->host, node->port, node->id);
    int group_width = MAX(STATE_MIN, text_width(item->id));
    int coordinator_width = MAX(STATE_MIN, text_width(coordinator));
    printf("\n%-*s %-*s %-20s %-15s %s\n", group_width, "GROUP", coordinator_width, "COORDINATOR (ID)",
           "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS");
    pad(stdout, item->id, group_width);
    pad(stdout, coordinator, coordinator_width);
    pad(stdout, group->protocol_data, 20);
    pad(stdout, group->group_state, 15);
    printf("%d\n", group->members_count);
}

int groups_describe(struct admin_tool *tool) {
    struct group_item *items;
    int32_t count;
    int error = groups_chosen(tool, &items, &count);
    if (error != 0) {
        return error;
    }
    error = admin_groups(&tool->client, GROUPS_DESCRIBE, items, count, &tool->arena, &tool->failure);
    if (error != 0) {
        failure_wrap_future(&tool->failure);
    }
    for (int32_t i = 0; i < count && error == 0; i++) {
        if (items[i].failure.text != NULL) {
            failure_set(&tool->failure, items[i].failure.class_name, "%s", items[i].failure.text);
            error = failure_wrap_future(&tool->failure);
        }
    }
    for (int32_t i = 0; i < count && error == 0; i++) {
        if (options_has(&tool->options, "state")) {
            describe_state(tool, &items[i]);
        } else if (options_has(&tool->options, "members")) {
            error = describe_members(tool, &items[i]);
        } else {
            error = describe_offsets(tool, &items[i]);
        }
    }
    group_items_deinit(items, count);
    return error;
}
