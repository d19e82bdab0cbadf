/* Kafka's text checkpoints: a version line "0", a count line, then one entry a line (zookeeper-mode.md 5.1).
 *
 * The reader takes any of them apart; the writer below makes those of a log directory ("topic partition offset"). */
#ifndef OTTLA_LOG_OFFSET_CHECKPOINT_H
#define OTTLA_LOG_OFFSET_CHECKPOINT_H

#include "broker/base/slice.h"
#include "broker/log/file_util.h"

/* A hundred thousand partitions with names of 249 bytes fit twice over. */
#define CHECKPOINT_SIZE_MAX ((size_t)64 * 1024 * 1024)

struct checkpoint_reader {
    const char *at;
    const char *end;
    int32_t count; /* entries announced */
};

/* An empty file has no entries; ERR_CORRUPT for another version or a bad count. The text stays the caller's. */
int checkpoint_read_begin(struct checkpoint_reader *reader, const struct byte_buffer *text);
/* One line of `count` numbers. */
int checkpoint_read_numbers(struct checkpoint_reader *reader, int64_t *ret_numbers, int count);
/* One line "topic partition offset"; the name is a view of the text. */
int checkpoint_read_offset(struct checkpoint_reader *reader, struct str *ret_topic, int32_t *ret_partition,
                           int64_t *ret_offset);

void checkpoint_print(struct byte_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of an offset checkpoint. Thousands are made every few seconds, hence without the printf family. */
void checkpoint_print_offset(struct byte_buffer *text, const char *topic, int32_t partition, int64_t offset);

#endif
