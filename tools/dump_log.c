/* kafka-dump-log: what is in the files of a partition's directory. (cli.md, section 5) */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/dump.h"
#include "tools/options.h"
#include "tools/tool.h"

static const struct option_spec specs[] = {
    {"cluster-metadata-decoder", OPTION_FLAG, NULL,
     "Read the records as those of a metadata log, which a ZooKeeper cluster does not have: each is named, none read."},
    {"deep-iteration", OPTION_FLAG, NULL, "Show the records, not only the batches; implied by --print-data-log."},
    {"files", OPTION_REQUIRED, "String: file1, file2, ...",
     "REQUIRED: the files, separated by commas; the ending decides how each is read."},
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"index-sanity-check", OPTION_FLAG, NULL, "Only make the check of an index that a broker makes when it starts."},
    {"key-decoder-class", OPTION_OPTIONAL, "String",
     "How keys are read: String, Integer, Long or DefaultDecoder of org.apache.kafka.tools.api. (default: "
     "org.apache.kafka.tools.api.StringDecoder)"},
    {"max-bytes", OPTION_REQUIRED, "Integer: size", "Bytes of a .log file to read. (default: 2147483647)"},
    {"max-message-size", OPTION_REQUIRED, "Integer: size", "Size of the largest batch. (default: 5242880)"},
    {"offsets-decoder", OPTION_FLAG, NULL, "Read the records as those of __consumer_offsets."},
    {"print-data-log", OPTION_FLAG, NULL, "Show keys and values; implied by every decoder."},
    {"remote-log-metadata-decoder", OPTION_FLAG, NULL,
     "Read the records as those of tiered storage, which there is not: each is named, none read."},
    {"skip-record-metadata", OPTION_FLAG, NULL, "Show only key and value of each record."},
    {"transaction-log-decoder", OPTION_FLAG, NULL, "Read the records as those of __transaction_state."},
    {"value-decoder-class", OPTION_OPTIONAL, "String",
     "How values are read, as --key-decoder-class. (default: org.apache.kafka.tools.api.StringDecoder)"},
    {"verify-index-only", OPTION_FLAG, NULL, "Compare an index with its log without showing it."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

static const struct {
    const char *name;
    const char *old_name;
    enum dump_decoder decoder;
} decoders[] = {
    {"org.apache.kafka.tools.api.StringDecoder", "kafka.serializer.StringDecoder", DUMP_STRING},
    {"org.apache.kafka.tools.api.IntegerDecoder", "kafka.serializer.IntegerDecoder", DUMP_INTEGER},
    {"org.apache.kafka.tools.api.LongDecoder", "kafka.serializer.LongDecoder", DUMP_LONG},
    {"org.apache.kafka.tools.api.DefaultDecoder", "kafka.serializer.DefaultDecoder", DUMP_BYTES},
};

void dump_remark(struct dump *dump, enum dump_remark remark, const char *path, int64_t first, int64_t second) {
    struct dump_remarks *entry = NULL;
    for (size_t i = 0; i < dump->remark_count[remark]; i++) {
        if (strcmp(dump->remarks[remark][i].path, path) == 0) {
            entry = &dump->remarks[remark][i];
        }
    }
    if (entry == NULL) {
        size_t count = ++dump->remark_count[remark];
        dump->remarks[remark] = xrealloc(dump->remarks[remark], count * sizeof *entry);
        entry = &dump->remarks[remark][count - 1];
        *entry = (struct dump_remarks){.path = xstrdup(path)};
    }
    entry->pairs = xrealloc(entry->pairs, (entry->count + 1) * sizeof *entry->pairs);
    entry->pairs[entry->count][0] = first;
    entry->pairs[entry->count++][1] = second;
}

/* Everything remembered, on stderr, in Kafka's order: newest first where its lists are built that way. */
static void print_remarks(struct dump *dump) {
    static const struct {
        const char *heading;
        bool has_path;
        bool newest_first;
        const char *first;
        const char *second;
    } forms[DUMP_REMARK_COUNT] = {
        [DUMP_INDEX_MISMATCH] = {"Mismatches in :", true, true, "  Index offset: ", ", log offset: "},
        [DUMP_TIMESTAMP_MISMATCH] = {"Found timestamp mismatch in :", true, false,
                                     "  Index timestamp: ", ", log timestamp: "},
        [DUMP_TIMESTAMP_ORDER] = {"Found out of order timestamp in :", true, false,
                                  "  Index timestamp: ", ", Previously indexed timestamp: "},
        [DUMP_OFFSET_NOT_FOUND] = {"The following indexed offsets are not found in the log.", false, false,
                                   "Indexed offset: ", ", found log offset: "},
        [DUMP_OFFSET_GAP] = {"Non-consecutive offsets in ", true, true, "  ", " is followed by "},
    };
    for (int kind = 0; kind < DUMP_REMARK_COUNT; kind++) {
        for (size_t i = 0; i < dump->remark_count[kind]; i++) {
            struct dump_remarks *entry = &dump->remarks[kind][i];
            fprintf(stderr, "%s%s\n", forms[kind].heading, forms[kind].has_path ? entry->path : "");
            for (size_t j = 0; j < entry->count; j++) {
                const int64_t *pair = entry->pairs[forms[kind].newest_first ? entry->count - 1 - j : j];
                fprintf(stderr, "%s%lld%s%lld\n", forms[kind].first, (long long)pair[0], forms[kind].second,
                        (long long)pair[1]);
            }
        }
    }
}

static void free_remarks(struct dump *dump) {
    for (int kind = 0; kind < DUMP_REMARK_COUNT; kind++) {
        for (size_t i = 0; i < dump->remark_count[kind]; i++) {
            free(dump->remarks[kind][i].path);
            free(dump->remarks[kind][i].pairs);
        }
        free(dump->remarks[kind]);
    }
}

char *dump_absolute_path(const char *path) {
    if (path[0] == '/') {
        return xstrdup(path);
    }
    char here[PATH_MAX];
    CHECK(getcwd(here, sizeof here) != NULL);
    return xasprintf("%s/%s", here, path);
}

char *dump_sibling(const char *path, const char *suffix) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t size = (size_t)(name - path) + strcspn(name, ".");
    return xasprintf("%.*s%s", (int)size, path, suffix);
}

/* The class chosen for keys or values; told per file when its name is an old one. */
static int choose_decoder(const struct options *options, const char *option, enum dump_decoder *ret_decoder,
                          struct failure *failure) {
    const char *name = options_text(options, option);
    *ret_decoder = DUMP_STRING;
    if (name == NULL) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(decoders); i++) {
        bool is_old = strcmp(name, decoders[i].old_name) == 0;
        if (is_old) {
            printf("%s is deprecated. Please use %s instead\n", name, decoders[i].name);
        }
        if (is_old || strcmp(name, decoders[i].name) == 0) {
            *ret_decoder = decoders[i].decoder;
            return 0;
        }
    }
    return failure_set(failure, "java.lang.ClassNotFoundException", "%s", name);
}

/* Java's File drops doubled and closing slashes. */
static char *normalize_path(const char *path) {
    char *text = xstrdup(path);
    size_t size = 0;
    for (const char *at = path; *at != '\0'; at++) {
        if (*at != '/' || size == 0 || text[size - 1] != '/') {
            text[size++] = *at;
        }
    }
    if (size > 1 && text[size - 1] == '/') {
        size--;
    }
    text[size] = '\0';
    return text;
}

/* The number a segment's name begins with. */
static int parse_start_offset(const char *name, int64_t *ret_offset, struct failure *failure) {
    char *stem = xstrndup(name, strcspn(name, "."));
    int error = parse_int64(stem, ret_offset);
    if (error != 0) {
        failure_set(failure, "java.lang.NumberFormatException", "For input string: \"%s\"", stem);
    }
    free(stem);
    return error;
}

/* The part of a name between two places, which must be a number. */
static int parse_part(const char *name, size_t begin, size_t end, int64_t *ret_number, struct failure *failure) {
    if (strlen(name) < end) {
        return failure_set(failure, "java.lang.StringIndexOutOfBoundsException", "begin %zu, end %zu, length %zu",
                           begin, end, strlen(name));
    }
    char *part = xstrndup(name + begin, end - begin);
    int error = parse_int64(part, ret_number);
    if (error != 0) {
        failure_set(failure, "java.lang.NumberFormatException", "For input string: \"%s\"", part);
    }
    free(part);
    return error;
}

/* A snapshot of a Raft log, "00000000000000000007-0000000001.checkpoint". */
static int dump_checkpoint(struct dump *dump, const char *path, const char *name, struct failure *failure) {
    int64_t end_offset;
    int64_t epoch;
    if (strcmp(name, "bootstrap.checkpoint") == 0) {
        printf("KRaft bootstrap snapshot\n");
    } else {
        int error = parse_part(name, 0, 20, &end_offset, failure);
        error = error != 0 ? error : parse_part(name, 21, 31, &epoch, failure);
        if (error != 0) {
            return error;
        }
        printf("Snapshot end offset: %lld, epoch: %lld\n", (long long)end_offset, (long long)epoch);
    }
    return dump_log(dump, path, path, -1, failure);
}

enum file_kind {
    FILE_LOG,
    FILE_CHECKPOINT,
    FILE_INDEX,
    FILE_TIME_INDEX,
    FILE_TRANSACTION_INDEX,
    FILE_SNAPSHOT,
    FILE_UNKNOWN
};

static enum file_kind kind_of(const char *suffix) {
    static const char *const suffixes[] = {[FILE_LOG] = ".log",
                                           [FILE_CHECKPOINT] = ".checkpoint",
                                           [FILE_INDEX] = ".index",
                                           [FILE_TIME_INDEX] = ".timeindex",
                                           [FILE_TRANSACTION_INDEX] = ".txnindex",
                                           [FILE_SNAPSHOT] = ".snapshot"};
    int kind = FILE_LOG;
    while (kind < FILE_UNKNOWN && strcmp(suffix, suffixes[kind]) != 0) {
        kind++;
    }
    return (enum file_kind)kind;
}

/* The options that concern a log, read when one is dumped: a mistake in them is told then and not before. */
static int configure_log(struct dump *dump, const struct options *options, struct failure *failure) {
    int error = options_int(options, "max-bytes", INT32_MAX, &dump->max_bytes, failure);
    error = error != 0 ? error : choose_decoder(options, "key-decoder-class", &dump->key_decoder, failure);
    return error != 0 ? error : choose_decoder(options, "value-decoder-class", &dump->value_decoder, failure);
}

static int dump_file(struct dump *dump, const struct options *options, const char *path, struct failure *failure) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *suffix = strrchr(name, '.');
    int64_t start_offset = 0;
    printf("Dumping %s\n", path);
    if (suffix == NULL) {
        return failure_set(failure, "java.lang.StringIndexOutOfBoundsException", "begin -1, end %zu, length %zu",
                           strlen(name), strlen(name));
    }
    enum file_kind kind = kind_of(suffix);
    int error = 0;
    if (kind == FILE_LOG || kind == FILE_CHECKPOINT) {
        error = configure_log(dump, options, failure);
    } else if (kind == FILE_INDEX) {
        error = options_int(options, "max-message-size", 5242880, &dump->max_message_size, failure);
    }
    if (error == 0 && kind != FILE_CHECKPOINT && kind != FILE_SNAPSHOT && kind != FILE_UNKNOWN) {
        error = parse_start_offset(name, &start_offset, failure);
    }
    if (error != 0) {
        return error;
    }
    switch (kind) {
    case FILE_LOG: return dump_log(dump, path, path, start_offset, failure);
    case FILE_CHECKPOINT: return dump_checkpoint(dump, path, name, failure);
    case FILE_INDEX: return dump_offset_index(dump, path, path, start_offset, failure);
    case FILE_TIME_INDEX: return dump_time_index(dump, path, path, start_offset, failure);
    case FILE_TRANSACTION_INDEX: return dump_transaction_index(path, failure);
    case FILE_SNAPSHOT: return dump_snapshot(path, failure);
    case FILE_UNKNOWN: break;
    }
    fprintf(stderr, "Ignoring unknown file %s\n", path);
    return 0;
}

static void configure(struct dump *dump, const struct options *options) {
    static const struct {
        const char *option;
        enum dump_topic topic;
    } topics[] = {
        {"offsets-decoder", DUMP_OFFSETS_TOPIC},
        {"transaction-log-decoder", DUMP_TRANSACTIONS_TOPIC},
        {"cluster-metadata-decoder", DUMP_CLUSTER_METADATA},
        {"remote-log-metadata-decoder", DUMP_REMOTE_LOG_METADATA},
    };
    for (size_t i = 0; i < ARRAY_SIZE(topics) && dump->topic == DUMP_ANY_TOPIC; i++) {
        dump->topic = options_has(options, topics[i].option) ? topics[i].topic : DUMP_ANY_TOPIC;
    }
    dump->print_data = options_has(options, "print-data-log") || dump->topic != DUMP_ANY_TOPIC ||
                       options_has(options, "key-decoder-class") || options_has(options, "value-decoder-class");
    dump->deep = dump->print_data || options_has(options, "deep-iteration");
    dump->skip_metadata = options_has(options, "skip-record-metadata");
    dump->verify_only = options_has(options, "verify-index-only");
    dump->sanity_only = options_has(options, "index-sanity-check");
}

static int run(const struct options *options, struct failure *failure) {
    struct dump dump = {0};
    configure(&dump, options);
    const char *files = NULL;
    int error = options_string(options, "files", "", &files, failure);
    char *copy = xstrdup(error == 0 ? files : "");
    char *rest = copy;
    for (char *file = strsep(&rest, ","); error == 0 && file != NULL; file = strsep(&rest, ",")) {
        char *path = normalize_path(file);
        error = dump_file(&dump, options, path, failure);
        free(path);
    }
    fflush(stdout);
    if (error == 0) {
        print_remarks(&dump);
    }
    free(copy);
    free_remarks(&dump);
    return error;
}

int tool_dump_log(int argc, char **argv) {
    struct options options;
    struct failure failure = {0};
    int status = -1;
    int error = options_parse(&options, specs, ARRAY_SIZE(specs), argc, argv, &failure);
    if (error == 0) {
        status = options_help(&options, argc, true,
                              "This tool helps to parse a log file and dump its contents to the console, useful for "
                              "debugging a seemingly corrupt log segment.");
    }
    if (error == 0 && status < 0) {
        status = options_check_required(&options, (const char *const[]){"files", NULL});
        if (status == 0) {
            error = run(&options, &failure);
        }
    }
    if (error != 0) {
        fflush(stdout);
        fprintf(stderr, "Exception in thread \"main\" %s%s%s\n", failure.class_name,
                failure.text[0] != '\0' ? ": " : "", failure.text);
        status = 1;
    }
    failure_clear(&failure);
    options_deinit(&options);
    return status;
}
