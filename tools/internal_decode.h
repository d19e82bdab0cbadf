/* Decoded records of the internal topics; shared by internal_records.c and internal_text.c. */
#ifndef OTTLA_TOOLS_INTERNAL_DECODE_H
#define OTTLA_TOOLS_INTERNAL_DECODE_H

#include <stdbool.h>

#include "generated/protocol/group_metadata.h"
#include "generated/protocol/offset_commit_record.h"
#include "generated/protocol/transaction_log.h"
#include "tools/internal_records.h"

struct internal_record {
    enum internal_kind kind;
    int16_t key_version;
    int16_t value_version;
    bool is_tombstone;
    bool value_is_known; /* a version this release reads, and readable */
    union {
        struct offset_commit_key offset_key;
        struct group_metadata_key group_key;
        struct transaction_log_key transaction_key;
    };
    union {
        struct offset_commit_value offset;
        struct group_metadata_value group;
        struct transaction_log_value transaction;
    };
};

/* 0; ERR_NOT_FOUND when the key is of another kind; ERR_CORRUPT when it cannot be read. */
int internal_decode(enum internal_kind kind, struct slice key, struct slice value, struct arena *arena,
                    struct internal_record *ret_record);

#endif
