/* What the files of kafka-dump-log share.
 *
 * The dump tool is an independent witness in tests: batches, records, indexes and snapshots are taken apart here and
 * not by the code of the broker. Only unpacking and checksum arithmetic are the libraries' both use. */
#ifndef OTTLA_TOOLS_DUMP_H
#define OTTLA_TOOLS_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/base/bytes.h"
#include "broker/base/slice.h"
#include "tools/report.h"

/* Bytes in front of every batch of any format: offset and size; and up to and with the format's number. */
#define DUMP_OVERHEAD 12
#define DUMP_UP_TO_MAGIC 17
#define DUMP_HEADER_SIZE 61
/* The smallest thing Kafka takes for a record, in its own format's first version. */
#define DUMP_RECORD_SIZE_MIN 14
/* Most that one batch may unpack to. */
#define DUMP_UNPACKED_MAX ((size_t)1 << 30)

enum dump_decoder { DUMP_STRING, DUMP_INTEGER, DUMP_LONG, DUMP_BYTES };
enum dump_topic {
    DUMP_ANY_TOPIC,
    DUMP_OFFSETS_TOPIC,
    DUMP_TRANSACTIONS_TOPIC,
    DUMP_CLUSTER_METADATA, /* of a KRaft quorum */
    DUMP_REMOTE_LOG_METADATA,
};

/* A remark that is kept for the end of the run, per kind and file. */
enum dump_remark {
    DUMP_INDEX_MISMATCH,
    DUMP_TIMESTAMP_MISMATCH,
    DUMP_TIMESTAMP_ORDER,
    DUMP_OFFSET_NOT_FOUND,
    DUMP_OFFSET_GAP,
    DUMP_REMARK_COUNT,
};

struct dump_remarks {
    char *path; /* absolute */
    int64_t (*pairs)[2];
    size_t count;
};

struct dump {
    bool print_data;
    bool deep;
    bool skip_metadata;
    bool verify_only;
    bool sanity_only;
    int32_t max_message_size;
    int32_t max_bytes;
    enum dump_decoder key_decoder;
    enum dump_decoder value_decoder;
    enum dump_topic topic;
    struct dump_remarks *remarks[DUMP_REMARK_COUNT];
    size_t remark_count[DUMP_REMARK_COUNT];
};

/* Remembers a pair of numbers about a file. */
void dump_remark(struct dump *dump, enum dump_remark remark, const char *path, int64_t first, int64_t second);

/* A batch or an old message as its header tells. */
struct dump_batch {
    int64_t position;
    int64_t base_offset;
    int64_t last_offset;
    int32_t size; /* all of it */
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    bool is_valid;
    uint16_t attributes;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
    const uint8_t *bytes; /* the reader's until the next batch */
};

struct dump_record {
    int64_t offset;
    int64_t timestamp;
    int32_t sequence;
    struct slice key;
    struct slice value;
    int32_t header_count;
    struct reader headers;
    bool is_valid; /* old formats: the record's own checksum */
    uint32_t crc;
};

/* Reads a segment batch by batch. */
struct dump_reader {
    int fd;
    char *path;
    int64_t position;
    int64_t end;
    int64_t file_size;
    uint8_t *buffer;
    size_t buffer_size;
};

/* 0 or ERR_INVALID with the failure set (a missing file, for example). Reads from `begin` up to position `end`. */
int dump_reader_open(struct dump_reader *reader, const char *path, int64_t begin, int64_t end, struct failure *failure);
void dump_reader_close(struct dump_reader *reader);
/* 1 with a batch, 0 when no whole batch follows, ERR_INVALID with the failure set for a size that cannot be. */
int dump_reader_next(struct dump_reader *reader, struct dump_batch *ret_batch, struct failure *failure);

/* Called for each record of a batch; anything but 0 ends the walk, which returns it. */
typedef int dump_record_callback(void *context, const struct dump_record *record);
/* 0, what the callback returned, or ERR_INVALID with the failure set for records that do not decode. */
int dump_records(const struct dump_batch *batch, dump_record_callback *on_record, void *context,
                 struct failure *failure);

/* "CreateTime", "LogAppendTime", "NoTimestampType". */
const char *dump_timestamp_type(const struct dump_batch *batch);

/* One file of each kind; 0 or ERR_INVALID with the failure set. `name` is the path as printed. */
int dump_log(struct dump *dump, const char *name, const char *path, int64_t start_offset, struct failure *failure);
int dump_offset_index(struct dump *dump, const char *name, const char *path, int64_t start_offset,
                      struct failure *failure);
int dump_time_index(struct dump *dump, const char *name, const char *path, int64_t start_offset,
                    struct failure *failure);
int dump_transaction_index(const char *path, struct failure *failure);
int dump_snapshot(const char *path, struct failure *failure);

/* The file's absolute path, "." and ".." left as they are, as Java's getAbsolutePath. The caller frees it. */
char *dump_absolute_path(const char *path);
/* The same path with another ending in place of everything behind the name's first dot. */
char *dump_sibling(const char *path, const char *suffix);

#endif
