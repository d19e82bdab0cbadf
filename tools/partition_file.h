/* JSON files that name partitions: {"partitions":[{"topic":"t","partition":0,"offset":10}],"version":1}. */
#ifndef OTTLA_TOOLS_PARTITION_FILE_H
#define OTTLA_TOOLS_PARTITION_FILE_H

#include "tools/client/partition_work.h"

enum partition_file_error {
    PARTITION_FILE_OK,
    PARTITION_FILE_UNREADABLE,
    PARTITION_FILE_NOT_JSON,
    PARTITION_FILE_BAD_VERSION,
    PARTITION_FILE_NO_PARTITIONS,
    PARTITION_FILE_BAD_ENTRY,
    PARTITION_FILE_DUPLICATE,
};

struct partition_file {
    struct partition_item *items; /* in the arena */
    int32_t count;
    int64_t version;      /* of the file, 1 if it does not say */
    struct str duplicate; /* "t-0", for that error */
};

/* Offsets (the items' arguments) are asked for with `with_offsets`. */
enum partition_file_error partition_file_load(const char *path, bool with_offsets, struct arena *arena,
                                              struct partition_file *ret_file);

#endif
