/* The grammars of groups_plan.h. */
#include "tools/groups_plan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/options.h"

#define ILLEGAL_ARGUMENT "java.lang.IllegalArgumentException"
#define CSV_EXCEPTION "java.io.IOException"
#define VALUES_MAX 4
/* The library Kafka writes with does not look whether longer values need quotes. */
#define UNQUOTED_SIZE_MAX 24

int topic_argument_parse(const char *text, struct arena *arena, struct topic_argument *ret, struct failure *failure) {
    struct str copy = arena_str(arena, str_from(text));
    char *rest = (char *)(uintptr_t)copy.data;
    char *topic = strsep(&rest, ":");
    *ret = (struct topic_argument){.topic = str_from(topic), .count = -1};
    if (rest == NULL || rest[strspn(rest, ":")] == '\0') {
        return 0;
    }
    if (strchr(rest, ':') != NULL) {
        return failure_set(failure, ILLEGAL_ARGUMENT, "Invalid topic arg '%s', expected topic name and partitions",
                           text);
    }
    ret->partitions = ARENA_ARRAY(arena, int32_t, strlen(rest) + 1);
    ret->count = 0;
    for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) {
        if (parse_int32(part, &ret->partitions[ret->count++]) != 0) {
            return failure_set(failure, ILLEGAL_ARGUMENT, "Invalid partition '%s' specified in topic arg '%s''", part,
                               text);
        }
    }
    return 0;
}

/* ---- CSV ---- */

struct csv {
    const char *at;
    const char *end;
    int32_t line; /* from 1 */
};

static bool at_line_end(const struct csv *csv) {
    return csv->at == csv->end || *csv->at == '\n' || *csv->at == '\r';
}

static void skip_line_end(struct csv *csv) {
    if (csv->at < csv->end && *csv->at == '\r') {
        csv->at++;
    }
    if (csv->at < csv->end && *csv->at == '\n') {
        csv->at++;
    }
    csv->line++;
}

/* A value in quotes, in which two stand for one. The text is NUL-terminated. False without an end. */
static bool read_quoted(struct csv *csv, struct arena *arena, struct str *ret) {
    char *copy = arena_alloc(arena, (size_t)(csv->end - csv->at) + 1);
    int32_t size = 0;
    for (csv->at++; csv->at < csv->end; csv->at++) {
        if (*csv->at == '"') {
            csv->at++;
            if (csv->at == csv->end || *csv->at != '"') {
                copy[size] = '\0';
                *ret = (struct str){copy, size};
                return true;
            }
        }
        copy[size++] = *csv->at;
    }
    return false;
}

/* The values of one line; ERR_INVALID when they are more than `max` or badly quoted. */
static int read_line(struct csv *csv, int32_t max, struct arena *arena, struct str *ret_values, int32_t *ret_count,
                     struct failure *failure) {
    *ret_count = 0;
    for (;;) {
        if (*ret_count == max) {
            return failure_set(failure, CSV_EXCEPTION, "Too many values, expected %d, in line %d", max, csv->line);
        }
        struct str *value = &ret_values[(*ret_count)++];
        if (csv->at < csv->end && *csv->at == '"') {
            if (!read_quoted(csv, arena, value) || (!at_line_end(csv) && *csv->at != ',')) {
                return failure_set(failure, CSV_EXCEPTION, "Missing closing quote for value in line %d", csv->line);
            }
        } else {
            const char *begin = csv->at;
            while (!at_line_end(csv) && *csv->at != ',') {
                csv->at++;
            }
            *value = arena_str(arena, (struct str){begin, (int32_t)(csv->at - begin)});
        }
        if (at_line_end(csv)) {
            skip_line_end(csv);
            return 0;
        }
        csv->at++;
    }
}

static int take_values(const struct str *values, int32_t count, int32_t line, struct plan_line *ret,
                       struct failure *failure) {
    const struct str *last = &values[count - 3];
    *ret = (struct plan_line){.group = count == VALUES_MAX ? values[0] : STR_NULL, .offset = {.topic = last[0]}};
    if (parse_int32(last[1].data, &ret->offset.partition) != 0 || ret->offset.partition < 0) {
        return failure_set(failure, CSV_EXCEPTION, "Not a partition number: \"%.*s\" in line %d", STR_ARGS(last[1]),
                           line);
    }
    if (parse_int64(last[2].data, &ret->offset.offset) != 0) {
        return failure_set(failure, CSV_EXCEPTION, "Not an offset: \"%.*s\" in line %d", STR_ARGS(last[2]), line);
    }
    return ret->offset.offset < 0 ? failure_set(failure, ILLEGAL_ARGUMENT, "Invalid negative offset") : 0;
}

int plan_parse(struct str text, bool may_lack_group, struct arena *arena, struct plan *ret_plan,
               struct failure *failure) {
    struct csv csv = {text.data, text.data + MAX(text.size, 0), 1};
    int32_t room = 1;
    for (const char *at = csv.at; at < csv.end; at++) {
        room += *at == '\n' || *at == '\r';
    }
    *ret_plan = (struct plan){ARENA_ARRAY(arena, struct plan_line, room), 0};
    int32_t expected = may_lack_group ? 0 : VALUES_MAX;
    while (csv.at < csv.end) {
        if (at_line_end(&csv)) {
            skip_line_end(&csv);
            continue;
        }
        struct str values[VALUES_MAX];
        int32_t count;
        int32_t line = csv.line;
        int error = read_line(&csv, expected == 0 ? VALUES_MAX : expected, arena, values, &count, failure);
        if (error != 0) {
            return error;
        }
        expected = expected == 0 && count >= VALUES_MAX - 1 ? count : expected == 0 ? VALUES_MAX - 1 : expected;
        if (count < expected) {
            return failure_set(failure, CSV_EXCEPTION, "Too few values, expected %s, in line %d",
                               expected == VALUES_MAX ? "group,topic,partition,offset" : "topic,partition,offset",
                               line);
        }
        error = take_values(values, count, line, &ret_plan->lines[ret_plan->count++], failure);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

void plan_of_group(const struct plan *plan, struct str group, struct arena *arena, struct group_offsets *ret) {
    *ret = (struct group_offsets){ARENA_ARRAY(arena, struct group_offset, plan->count), 0};
    for (int32_t i = 0; i < plan->count; i++) {
        if (str_is_null(plan->lines[i].group) || str_equal(plan->lines[i].group, group)) {
            ret->list[ret->count++] = plan->lines[i].offset;
        }
    }
    group_offsets_normalize(ret);
}

static bool needs_quotes(struct str value) {
    if (value.size > UNQUOTED_SIZE_MAX) {
        return true;
    }
    for (int32_t i = 0; i < value.size; i++) {
        if ((unsigned char)value.data[i] <= ',') {
            return true;
        }
    }
    return false;
}

static void write_value(FILE *out, struct str value) {
    if (!needs_quotes(value)) {
        fprintf(out, "%.*s", STR_ARGS(value));
        return;
    }
    fputc('"', out);
    for (int32_t i = 0; i < value.size; i++) {
        if (value.data[i] == '"') {
            fputc('"', out);
        }
        fputc(value.data[i], out);
    }
    fputc('"', out);
}

void plan_write_line(FILE *out, struct str group, const struct group_offset *offset) {
    if (!str_is_null(group)) {
        write_value(out, group);
        fputc(',', out);
    }
    write_value(out, offset->topic);
    fprintf(out, ",%d,%" PRId64 "\n", offset->partition, offset->offset);
}

/* ---- Offsets ---- */

enum clamped offset_clamp(int64_t offset, int64_t begin, int64_t end, int64_t *ret_offset) {
    *ret_offset = offset > end ? end : offset < begin ? begin : offset;
    return offset > end ? CLAMPED_TO_END : offset < begin ? CLAMPED_TO_BEGIN : CLAMPED_NOT;
}

/* The place in the list decides between equals, so that sorting keeps their order. */
static int compare_places(const void *a, const void *b) {
    const struct group_offset *const *left = a;
    const struct group_offset *const *right = b;
    int order = group_offset_compare(*left, *right);
    return order != 0 ? order : (*left > *right) - (*left < *right);
}

void group_offsets_normalize(struct group_offsets *offsets) {
    if (offsets->count == 0) {
        return;
    }
    const struct group_offset **places = xcalloc((size_t)offsets->count, sizeof *places);
    for (int32_t i = 0; i < offsets->count; i++) {
        places[i] = &offsets->list[i];
    }
    qsort(places, (size_t)offsets->count, sizeof *places, compare_places);
    struct group_offset *sorted = xcalloc((size_t)offsets->count, sizeof *sorted);
    int32_t distinct = 0;
    for (int32_t i = 0; i < offsets->count; i++) {
        bool is_again = distinct > 0 && group_offset_compare(&sorted[distinct - 1], places[i]) == 0;
        distinct -= is_again;
        sorted[distinct++] = *places[i];
    }
    memcpy(offsets->list, sorted, (size_t)distinct * sizeof *sorted);
    offsets->count = distinct;
    free(sorted);
    free(places);
}
