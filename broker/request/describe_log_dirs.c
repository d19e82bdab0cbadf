/* DescribeLogDirs: which partition lies in which directory, how large it is, and how full the file systems are. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/log/log_manager.h"
#include "broker/protocol/errors.h"
#include "broker/request/context.h"
#include "broker/request/handlers.h"
#include "broker/request/topics.h"
#include "generated/protocol/describe_log_dirs.h"
#include "replication/replica_manager.h"

/* More directories than the settings allow. */
#define DIRECTORIES_MAX 64

struct found_log {
    struct topic_partition_name name;
    const char *directory; /* the partition's own */
    int64_t size_bytes;
    int64_t end_offset;
    bool is_future; /* on its way there */
};

struct log_walk {
    struct request *request;
    struct found_log *logs;
    int32_t count;
    int32_t capacity;
    bool is_future;
};

static void count_log(void *context, const char *topic, int32_t partition, struct log *log) {
    (void)topic;
    (void)partition;
    (void)log;
    ((struct log_walk *)context)->capacity++;
}

static void note_log(void *context, const char *topic, int32_t partition, struct log *log) {
    struct log_walk *walk = context;
    CHECK(walk->count < walk->capacity);
    walk->logs[walk->count++] = (struct found_log){
        .name = {.topic = arena_str(&walk->request->arena, str_from(topic)), .partition = partition},
        .directory = log_directory(log),
        .size_bytes = log_size_bytes(log),
        .end_offset = log_end_offset(log),
        .is_future = walk->is_future,
    };
}

static int compare_names(const struct topic_partition_name *a, const struct topic_partition_name *b) {
    int order = str_compare(a->topic, b->topic);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare_logs(const void *a, const void *b) {
    return compare_names(&((const struct found_log *)a)->name, &((const struct found_log *)b)->name);
}

static int compare_asked(const void *a, const void *b) {
    return compare_names(a, b);
}

/* The partitions asked for, sorted; NULL when all are meant. */
static struct topic_partition_name *sort_asked(struct request *request, int32_t *ret_count) {
    const struct describe_log_dirs_request *message = request->message;
    *ret_count = 0;
    if (message->topics_count < 0) {
        return NULL;
    }
    int32_t count = 0;
    for (int32_t i = 0; i < message->topics_count; i++) {
        count += message->topics[i].partitions_count;
    }
    struct topic_partition_name *asked = ARENA_ARRAY(&request->arena, struct topic_partition_name, count + 1);
    for (int32_t i = 0; i < message->topics_count; i++) {
        for (int32_t j = 0; j < message->topics[i].partitions_count; j++) {
            asked[(*ret_count)++] =
                (struct topic_partition_name){message->topics[i].topic, message->topics[i].partitions[j]};
        }
    }
    qsort(asked, (size_t)count, sizeof *asked, compare_asked);
    return asked;
}

static struct log_walk find_logs(struct request *request) {
    struct log_walk walk = {.request = request};
    log_manager_for_each(request->context->logs, count_log, &walk);
    log_manager_for_each_future(request->context->logs, count_log, &walk);
    walk.logs = ARENA_ARRAY(&request->arena, struct found_log, walk.capacity);
    log_manager_for_each(request->context->logs, note_log, &walk);
    walk.is_future = true;
    log_manager_for_each_future(request->context->logs, note_log, &walk);
    int32_t asked_count;
    const struct topic_partition_name *asked = sort_asked(request, &asked_count);
    if (asked != NULL) {
        int32_t kept = 0;
        for (int32_t i = 0; i < walk.count; i++) {
            if (bsearch(&walk.logs[i].name, asked, (size_t)asked_count, sizeof *asked, compare_asked) != NULL) {
                walk.logs[kept++] = walk.logs[i];
            }
        }
        walk.count = kept;
    }
    qsort(walk.logs, (size_t)walk.count, sizeof *walk.logs, compare_logs);
    return walk;
}

static bool is_inside(const char *partition_directory, const char *directory) {
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') {
        size--;
    }
    return strncmp(partition_directory, directory, size) == 0 && partition_directory[size] == '/';
}

/* What a replica that is not the newest lacks, 0 for one that has it all, and what a future log lacks of it; as Kafka
 * computes them. */
static int64_t offset_lag(struct request *request, const struct found_log *log) {
    struct partition_runtime *partition;
    if (replica_manager_partition(request->context->replicas, log->name.topic, log->name.partition, &partition) !=
        KAFKA_NONE) {
        return -1;
    }
    return log->is_future ? log_end_offset(partition_runtime_log(partition)) - log->end_offset
                          : MAX(partition_runtime_high_watermark(partition) - log->end_offset, 0);
}

static void fill_topics(const struct log_walk *walk, const char *directory,
                        struct describe_log_dirs_response_describe_log_dirs_result *ret) {
    struct arena *arena = &walk->request->arena;
    ret->topics = ARENA_ARRAY(arena, struct describe_log_dirs_response_describe_log_dirs_topic, walk->count);
    struct describe_log_dirs_response_describe_log_dirs_partition *partitions =
        ARENA_ARRAY(arena, struct describe_log_dirs_response_describe_log_dirs_partition, walk->count);
    int32_t used = 0;
    for (int32_t i = 0; i < walk->count; i++) {
        const struct found_log *log = &walk->logs[i];
        if (!is_inside(log->directory, directory)) {
            continue;
        }
        if (ret->topics_count == 0 || !str_equal(ret->topics[ret->topics_count - 1].name, log->name.topic)) {
            struct describe_log_dirs_response_describe_log_dirs_topic *topic = &ret->topics[ret->topics_count++];
            describe_log_dirs_response_describe_log_dirs_topic_init(topic);
            topic->name = log->name.topic;
            topic->partitions = &partitions[used];
        }
        struct describe_log_dirs_response_describe_log_dirs_partition *partition = &partitions[used++];
        describe_log_dirs_response_describe_log_dirs_partition_init(partition);
        partition->partition_index = log->name.partition;
        partition->partition_size = log->size_bytes;
        partition->offset_lag = offset_lag(walk->request, log);
        partition->is_future_key = log->is_future;
        ret->topics[ret->topics_count - 1].partitions_count++;
    }
}

void handle_describe_log_dirs(struct request *request) {
    struct log_directory_info directories[DIRECTORIES_MAX];
    int32_t count = log_manager_directories(request->context->logs, directories, DIRECTORIES_MAX);
    struct log_walk walk = find_logs(request);
    struct describe_log_dirs_response response;
    describe_log_dirs_response_init(&response);
    response.results_count = count;
    response.results = ARENA_ARRAY(&request->arena, struct describe_log_dirs_response_describe_log_dirs_result, count);
    for (int32_t i = 0; i < count; i++) {
        struct describe_log_dirs_response_describe_log_dirs_result *result = &response.results[i];
        describe_log_dirs_response_describe_log_dirs_result_init(result);
        result->log_dir = str_from(directories[i].path);
        if (directories[i].is_offline) {
            result->error_code = KAFKA_STORAGE_ERROR;
            continue;
        }
        result->total_bytes = directories[i].total_bytes;
        result->usable_bytes = directories[i].usable_bytes;
        fill_topics(&walk, directories[i].path, result);
    }
    request_answer(request, &response);
}
