/* Kafka's rules for names (org.apache.kafka.common.internals.Topic). */
#include "broker/request/topics.h"

#include <stdlib.h>

struct indexed_name {
    struct str name;
    int32_t index;
};

bool topic_name_is_valid(struct str name) {
    if (name.size < 1 || name.size > TOPIC_NAME_MAX || str_equal_text(name, ".") || str_equal_text(name, "..")) {
        return false;
    }
    for (int32_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alphanumeric && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

bool topic_is_internal(struct str name) {
    return str_equal_text(name, "__consumer_offsets") || str_equal_text(name, "__transaction_state");
}

static int compare_names(const void *a, const void *b) {
    const struct indexed_name *first = a;
    const struct indexed_name *second = b;
    int order = str_compare(first->name, second->name);
    return order != 0 ? order : (first->index > second->index) - (first->index < second->index);
}

bool *topic_names_repeated(struct arena *arena, const struct str *names, int32_t count) {
    bool *is_repeated = ARENA_ARRAY(arena, bool, count);
    struct indexed_name *sorted = ARENA_ARRAY(arena, struct indexed_name, count);
    for (int32_t i = 0; i < count; i++) {
        sorted[i] = (struct indexed_name){names[i], i};
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_names);
    for (int32_t i = 1; i < count; i++) {
        is_repeated[sorted[i].index] = str_equal(sorted[i].name, sorted[i - 1].name);
    }
    return is_repeated;
}

struct indexed_partition {
    struct topic_partition_name name;
    int32_t index;
};

static int compare_partitions(const void *a, const void *b) {
    const struct indexed_partition *first = a;
    const struct indexed_partition *second = b;
    int order = str_compare(first->name.topic, second->name.topic);
    return order != 0
               ? order
               : (first->name.partition > second->name.partition) - (first->name.partition < second->name.partition);
}

bool *topic_partitions_duplicate(struct arena *arena, const struct topic_partition_name *names, int32_t count) {
    bool *is_duplicate = ARENA_ARRAY(arena, bool, count);
    struct indexed_partition *sorted = ARENA_ARRAY(arena, struct indexed_partition, count);
    for (int32_t i = 0; i < count; i++) {
        sorted[i] = (struct indexed_partition){names[i], i};
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_partitions);
    for (int32_t i = 1; i < count; i++) {
        if (compare_partitions(&sorted[i], &sorted[i - 1]) == 0) {
            is_duplicate[sorted[i].index] = true;
            is_duplicate[sorted[i - 1].index] = true;
        }
    }
    return is_duplicate;
}
