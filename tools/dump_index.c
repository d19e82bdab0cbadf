/* kafka-dump-log on the three kinds of index: what they say, and whether the log agrees. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/dump.h"
#include "tools/property_list.h"

#define OFFSET_ENTRY_SIZE 8
#define TIME_ENTRY_SIZE 12
#define ABORTED_ENTRY_SIZE 34
/* The end of an index that Kafka searches first, because it is in memory. It matters where the entries are not in
 * order: the zeroes of an index a broker has open. */
#define WARM_BYTES 8192
#define CORRUPT_INDEX "org.apache.kafka.storage.internals.log.CorruptIndexException"

struct index {
    uint8_t *data;
    size_t size;
    size_t count;
    int64_t base_offset;
};

static int read_index(const char *path, size_t entry_size, int64_t base_offset, struct index *ret,
                      struct failure *failure) {
    *ret = (struct index){.base_offset = base_offset};
    ret->data = (uint8_t *)file_read_all(path, &ret->size);
    if (ret->data == NULL) {
        return failure_set(failure, errno == ENOENT ? "java.nio.file.NoSuchFileException" : "java.io.IOException", "%s",
                           path);
    }
    ret->count = ret->size / entry_size;
    return 0;
}

static int64_t offset_at(const struct index *index, size_t at) {
    return index->base_offset + load_i32(index->data + at * OFFSET_ENTRY_SIZE);
}

static int32_t position_at(const struct index *index, size_t at) {
    return load_i32(index->data + at * OFFSET_ENTRY_SIZE + 4);
}

static int64_t timestamp_at(const struct index *index, size_t at) {
    return load_i64(index->data + at * TIME_ENTRY_SIZE);
}

static int64_t time_offset_at(const struct index *index, size_t at) {
    return index->base_offset + load_i32(index->data + at * TIME_ENTRY_SIZE + 8);
}

static int check_size(const struct index *index, const char *kind, size_t entry_size, const char *absolute,
                      struct failure *failure) {
    if (index->size % entry_size == 0) {
        return 0;
    }
    return failure_set(failure, CORRUPT_INDEX,
                       "%s file %s is corrupt, found %zu bytes which is neither positive nor a multiple of %zu", kind,
                       absolute, index->size, entry_size);
}

static int check_offset_index(const struct index *index, const char *absolute, struct failure *failure) {
    int64_t last = index->count > 0 ? offset_at(index, index->count - 1) : index->base_offset;
    if (last < index->base_offset) {
        return failure_set(failure, CORRUPT_INDEX,
                           "Corrupt index found, index file %s has non-zero size but the last offset is %" PRId64
                           " which is less than the base offset %" PRId64,
                           absolute, last, index->base_offset);
    }
    return check_size(index, "Index", OFFSET_ENTRY_SIZE, absolute, failure);
}

static int check_time_index(const struct index *index, const char *absolute, struct failure *failure) {
    if (index->count > 0 && timestamp_at(index, index->count - 1) < timestamp_at(index, 0)) {
        return failure_set(failure, CORRUPT_INDEX,
                           "Corrupt time index found, time index file (%s) has non-zero size but the last timestamp "
                           "is %" PRId64 " which is less than the first timestamp %" PRId64,
                           absolute, timestamp_at(index, index->count - 1), timestamp_at(index, 0));
    }
    if (index->count > 0 && time_offset_at(index, index->count - 1) < index->base_offset) {
        return failure_set(failure, CORRUPT_INDEX,
                           "Corrupt time index found, time index file (%s) has non-zero size but the last offset is "
                           "%" PRId64 " which is less than the first offset %" PRId64,
                           absolute, time_offset_at(index, index->count - 1), index->base_offset);
    }
    return check_size(index, "Time index", TIME_ENTRY_SIZE, absolute, failure);
}

/* The last offset of the first batch at a position. */
static int last_offset_at(const char *log_path, int64_t position, int64_t window, int64_t *ret_offset,
                          struct failure *failure) {
    struct dump_reader reader;
    struct dump_batch batch;
    int error = dump_reader_open(&reader, log_path, position, position + window, failure);
    if (error != 0) {
        return error;
    }
    if (position > reader.file_size) {
        failure_set(failure, "java.lang.IllegalArgumentException",
                    "Slice from position %" PRId64 " exceeds end position of FileRecords(size=%" PRId64
                    ", file=%s, start=0, end=2147483647)",
                    position, reader.file_size, log_path);
        dump_reader_close(&reader);
        return ERR_INVALID;
    }
    int found = dump_reader_next(&reader, &batch, failure);
    dump_reader_close(&reader);
    if (found == 0) {
        return failure_set(failure, "java.util.NoSuchElementException", "%s", "");
    }
    *ret_offset = batch.last_offset;
    return found < 0 ? found : 0;
}

/* A log must lie beside its index. */
static int require_log(const char *log_path, struct failure *failure) {
    struct dump_reader reader;
    int error = dump_reader_open(&reader, log_path, 0, 0, failure);
    if (error == 0) {
        dump_reader_close(&reader);
    }
    return error;
}

static int walk_offset_index(struct dump *dump, const struct index *index, const char *absolute, const char *log_path,
                             struct failure *failure) {
    for (size_t i = 0; i < index->count; i++) {
        int64_t offset = offset_at(index, i);
        if (offset == index->base_offset && i > 0) {
            return 0; /* the unused rest of a preallocated file */
        }
        int64_t logged = -1;
        int error = last_offset_at(log_path, position_at(index, i), dump->max_message_size, &logged, failure);
        if (error != 0) {
            return error;
        }
        if (logged != offset) {
            dump_remark(dump, DUMP_INDEX_MISMATCH, absolute, offset, logged);
        }
        if (!dump->verify_only) {
            printf("offset: %" PRId64 " position: %d\n", offset, position_at(index, i));
        }
    }
    return 0;
}

int dump_offset_index(struct dump *dump, const char *name, const char *path, int64_t start_offset,
                      struct failure *failure) {
    char *absolute = dump_absolute_path(path);
    char *log_path = dump_sibling(absolute, ".log");
    struct index index = {0};
    int error = require_log(log_path, failure);
    error = error != 0 ? error : read_index(name, OFFSET_ENTRY_SIZE, start_offset, &index, failure);
    if (error == 0 && index.count == 0) {
        printf("%s is empty.\n", name);
    } else if (error == 0 && dump->sanity_only) {
        error = check_offset_index(&index, absolute, failure);
        if (error == 0) {
            printf("%s passed sanity check.\n", name);
        }
    } else if (error == 0) {
        error = walk_offset_index(dump, &index, absolute, log_path, failure);
    }
    free(index.data);
    free(log_path);
    free(absolute);
    return error;
}

/* The position of the largest entry not above the offset; 0 when there is none. Searches as Kafka does. */
static int32_t look_up(const struct index *index, int64_t offset) {
    if (index->count == 0) {
        return 0;
    }
    size_t warm = WARM_BYTES / OFFSET_ENTRY_SIZE;
    size_t low = index->count - 1 > warm ? index->count - 1 - warm : 0;
    size_t high = index->count - 1;
    if (offset_at(index, low) >= offset) {
        if (offset_at(index, 0) > offset) {
            return 0;
        }
        high = low;
        low = 0;
    }
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        int64_t found = offset_at(index, middle);
        if (found > offset) {
            high = middle - 1;
        } else if (found < offset) {
            low = middle;
        } else {
            return position_at(index, middle);
        }
    }
    return offset_at(index, low) > offset ? 0 : position_at(index, low);
}

static int take_max(void *context, const struct dump_record *record) {
    int64_t *max = context;
    *max = MAX(*max, record->timestamp);
    return 0;
}

/* Compares one entry with the batch it points to. */
static int check_time_entry(struct dump *dump, const char *absolute, const char *log_path, int32_t position,
                            int64_t timestamp, int64_t offset, int64_t previous, struct failure *failure) {
    struct dump_reader reader;
    struct dump_batch batch;
    int error = dump_reader_open(&reader, log_path, position, INT64_MAX, failure);
    if (error != 0) {
        return error;
    }
    int found;
    do {
        found = dump_reader_next(&reader, &batch, failure);
    } while (found == 1 && batch.last_offset < offset);
    if (found == 0) {
        dump_remark(dump, DUMP_OFFSET_NOT_FOUND, absolute, offset, -1);
    } else if (found == 1 && batch.last_offset != offset) {
        dump_remark(dump, DUMP_OFFSET_NOT_FOUND, absolute, offset, batch.last_offset);
    } else if (found == 1) {
        int64_t max = -1;
        error = dump_records(&batch, take_max, &max, failure);
        if (error == 0 && max != timestamp) {
            dump_remark(dump, DUMP_TIMESTAMP_MISMATCH, absolute, timestamp, max);
        }
        if (error == 0 && previous >= timestamp) {
            dump_remark(dump, DUMP_TIMESTAMP_ORDER, absolute, timestamp, previous);
        }
    }
    dump_reader_close(&reader);
    return found < 0 ? found : error;
}

int dump_time_index(struct dump *dump, const char *name, const char *path, int64_t start_offset,
                    struct failure *failure) {
    char *absolute = dump_absolute_path(path);
    char *log_path = dump_sibling(absolute, ".log");
    char *index_path = dump_sibling(absolute, ".index");
    struct index offsets = {0};
    struct index times = {0};
    int error = require_log(log_path, failure);
    if (error == 0 && access(index_path, F_OK) != 0) {
        error = failure_set(failure, "java.lang.IllegalArgumentException", "Invalid max index size: -1");
    }
    error = error != 0 ? error : read_index(index_path, OFFSET_ENTRY_SIZE, start_offset, &offsets, failure);
    error = error != 0 ? error : read_index(name, TIME_ENTRY_SIZE, start_offset, &times, failure);
    if (error == 0 && dump->sanity_only) {
        error = check_time_index(&times, absolute, failure);
        if (error == 0) {
            printf("%s passed sanity check.\n", name);
        }
        times.count = 0;
    }
    int64_t previous = -1;
    for (size_t i = 0; error == 0 && i < times.count; i++) {
        int64_t timestamp = timestamp_at(&times, i);
        int64_t offset = time_offset_at(&times, i);
        if (offset == start_offset && i > 0) {
            break;
        }
        error =
            check_time_entry(dump, absolute, log_path, look_up(&offsets, offset), timestamp, offset, previous, failure);
        if (error == 0 && !dump->verify_only) {
            printf("timestamp: %" PRId64 " offset: %" PRId64 "\n", timestamp, offset);
        }
        previous = timestamp;
    }
    free(offsets.data);
    free(times.data);
    free(index_path);
    free(log_path);
    free(absolute);
    return error;
}

int dump_transaction_index(const char *path, struct failure *failure) {
    struct index index;
    int error = read_index(path, ABORTED_ENTRY_SIZE, 0, &index, failure);
    for (size_t i = 0; error == 0 && i < index.count; i++) {
        const uint8_t *at = index.data + i * ABORTED_ENTRY_SIZE;
        printf("version: %d producerId: %" PRId64 " firstOffset: %" PRId64 " lastOffset: %" PRId64
               " lastStableOffset: %" PRId64 "\n",
               load_i16(at), load_i64(at + 2), load_i64(at + 10), load_i64(at + 18), load_i64(at + 26));
    }
    free(index.data); /* a piece of an entry at the end is passed over */
    return error;
}
