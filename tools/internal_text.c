/* Decoding, and the forms that are not JSON. */
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "tools/internal_decode.h"

/* Highest versions read. */
#define OFFSET_VALUE_VERSION_MAX 3
#define GROUP_VALUE_VERSION_MAX 3
#define TRANSACTION_VALUE_VERSION_MAX 1

static int decode_key(enum internal_kind kind, struct reader *r, struct arena *arena, struct internal_record *record) {
    int16_t version = record->key_version;
    switch (kind) {
    case INTERNAL_OFFSETS:
        return version < 0 || version > 1 ? ERR_NOT_FOUND
                                          : offset_commit_key_decode(r, version, arena, &record->offset_key);
    case INTERNAL_GROUPS:
        return version != 2 ? ERR_NOT_FOUND : group_metadata_key_decode(r, version, arena, &record->group_key);
    case INTERNAL_TRANSACTIONS:
        return version != 0 ? ERR_NOT_FOUND : transaction_log_key_decode(r, version, arena, &record->transaction_key);
    }
    return ERR_NOT_FOUND;
}

static int decode_value(enum internal_kind kind, struct reader *r, struct arena *arena,
                        struct internal_record *record) {
    int16_t version = record->value_version;
    switch (kind) {
    case INTERNAL_OFFSETS:
        return version < 0 || version > OFFSET_VALUE_VERSION_MAX
                   ? ERR_NOT_FOUND
                   : offset_commit_value_decode(r, version, arena, &record->offset);
    case INTERNAL_GROUPS:
        return version < 0 || version > GROUP_VALUE_VERSION_MAX
                   ? ERR_NOT_FOUND
                   : group_metadata_value_decode(r, version, arena, &record->group);
    case INTERNAL_TRANSACTIONS:
        return version < 0 || version > TRANSACTION_VALUE_VERSION_MAX
                   ? ERR_NOT_FOUND
                   : transaction_log_value_decode(r, version, arena, &record->transaction);
    }
    return ERR_NOT_FOUND;
}

int internal_decode(enum internal_kind kind, struct slice key, struct slice value, struct arena *arena,
                    struct internal_record *ret_record) {
    struct reader r = reader_of(key.data, (size_t)MAX(key.size, 0));
    *ret_record = (struct internal_record){.kind = kind, .key_version = reader_i16(&r)};
    if (r.failed) {
        return key.size < 0 ? ERR_NOT_FOUND : ERR_CORRUPT;
    }
    int error = decode_key(kind, &r, arena, ret_record);
    ret_record->is_tombstone = value.size < 0;
    if (error != 0 || ret_record->is_tombstone) {
        return error;
    }
    r = reader_of(value.data, (size_t)value.size);
    ret_record->value_version = reader_i16(&r);
    ret_record->value_is_known = !r.failed && decode_value(kind, &r, arena, ret_record) == 0;
    return 0;
}

const char *transaction_state_name(int8_t status) {
    static const char *const names[] = {"Empty",          "Ongoing",       "PrepareCommit", "PrepareAbort",
                                        "CompleteCommit", "CompleteAbort", "Dead",          "PrepareEpochFence"};
    return status >= 0 && status < (int8_t)ARRAY_SIZE(names) ? names[status] : "Unknown";
}

static void write_offset(const struct internal_record *record, FILE *out) {
    const struct offset_commit_value *value = &record->offset;
    fprintf(out, "OffsetAndMetadata(offset=%lld, leaderEpoch=", (long long)value->offset);
    if (value->leader_epoch < 0) {
        fputs("Optional.empty", out);
    } else {
        fprintf(out, "Optional[%d]", value->leader_epoch);
    }
    fprintf(out, ", metadata=%.*s, commitTimestamp=%lld, expireTimestamp=", STR_ARGS(value->metadata),
            (long long)value->commit_timestamp);
    if (value->expire_timestamp < 0) {
        fputs("None)", out);
    } else {
        fprintf(out, "Some(%lld))", (long long)value->expire_timestamp);
    }
}

static void write_group(const struct internal_record *record, FILE *out) {
    const struct group_metadata_value *value = &record->group;
    bool is_simple = value->protocol_type.size <= 0;
    fprintf(out, "GroupMetadata(groupId=%.*s, generation=%d, protocolType=%s%.*s%s, currentState=%s, members=HashMap(",
            STR_ARGS(record->group_key.group), value->generation, is_simple ? "None" : "Some(",
            STR_ARGS(value->protocol_type), is_simple ? "" : ")", value->members_count > 0 ? "Stable" : "Empty");
    for (int32_t i = 0; i < value->members_count; i++) {
        const struct group_metadata_value_member_metadata *member = &value->members[i];
        bool is_static = !str_is_null(member->group_instance_id);
        fprintf(out,
                "%s%.*s -> MemberMetadata(memberId=%.*s, groupInstanceId=%s%.*s%s, clientId=%.*s, clientHost=%.*s, "
                "sessionTimeoutMs=%d, rebalanceTimeoutMs=%d, supportedProtocols=List(%.*s))",
                i > 0 ? ", " : "", STR_ARGS(member->member_id), STR_ARGS(member->member_id),
                is_static ? "Some(" : "None", STR_ARGS(member->group_instance_id), is_static ? ")" : "",
                STR_ARGS(member->client_id), STR_ARGS(member->client_host), member->session_timeout,
                member->rebalance_timeout, STR_ARGS(value->protocol));
    }
    fputs("))", out);
}

static void write_partitions(const struct transaction_log_value *value, const char *separator, FILE *out) {
    const char *before = "";
    for (int32_t i = 0; i < value->transaction_partitions_count; i++) {
        for (int32_t j = 0; j < value->transaction_partitions[i].partition_ids_count; j++) {
            fprintf(out, "%s%.*s-%d", before, STR_ARGS(value->transaction_partitions[i].topic),
                    value->transaction_partitions[i].partition_ids[j]);
            before = separator;
        }
    }
}

static void write_transaction(const struct internal_record *record, FILE *out) {
    const struct transaction_log_value *value = &record->transaction;
    fprintf(out,
            "TransactionMetadata(transactionalId=%.*s, producerId=%lld, producerEpoch=%d, txnTimeoutMs=%d, state=%s, "
            "pendingState=None, topicPartitions=HashSet(",
            STR_ARGS(record->transaction_key.transactional_id), (long long)value->producer_id, value->producer_epoch,
            value->transaction_timeout_ms, transaction_state_name(value->transaction_status));
    write_partitions(value, ", ", out);
    fprintf(out, "), txnStartTimestamp=%lld, txnLastUpdateTimestamp=%lld)",
            (long long)value->transaction_start_timestamp_ms, (long long)value->transaction_last_update_timestamp_ms);
}

void internal_write_text(enum internal_kind kind, struct slice key, struct slice value, FILE *out) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct internal_record record;
    int error = internal_decode(kind, key, value, &arena, &record);
    if (error == ERR_NOT_FOUND && kind == INTERNAL_TRANSACTIONS && key.size >= 2) {
        fprintf(out, "unknown::version=%d", record.key_version);
    } else if (error == 0) {
        switch (kind) {
        case INTERNAL_OFFSETS:
            fprintf(out, "[%.*s,%.*s,%d]::", STR_ARGS(record.offset_key.group), STR_ARGS(record.offset_key.topic),
                    record.offset_key.partition);
            break;
        case INTERNAL_GROUPS: fprintf(out, "%.*s::", STR_ARGS(record.group_key.group)); break;
        case INTERNAL_TRANSACTIONS: fprintf(out, "%.*s::", STR_ARGS(record.transaction_key.transactional_id)); break;
        }
        if (record.is_tombstone || !record.value_is_known) {
            fputs("NULL", out);
        } else if (kind == INTERNAL_OFFSETS) {
            write_offset(&record, out);
        } else if (kind == INTERNAL_GROUPS) {
            write_group(&record, out);
        } else {
            write_transaction(&record, out);
        }
    }
    if (error == 0 || (error == ERR_NOT_FOUND && kind == INTERNAL_TRANSACTIONS && key.size >= 2)) {
        fputc('\n', out);
    }
    arena_deinit(&arena);
}

void internal_describe_transaction(struct slice key, struct slice value, char **ret_key, char **ret_value) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct internal_record record;
    int error = internal_decode(INTERNAL_TRANSACTIONS, key, value, &arena, &record);
    *ret_value = NULL;
    if (error != 0) {
        *ret_key = xasprintf("unknown::version=%d", record.key_version);
    } else {
        *ret_key =
            xasprintf("transaction_metadata::transactionalId=%.*s", STR_ARGS(record.transaction_key.transactional_id));
        size_t size;
        FILE *out = open_memstream(ret_value, &size);
        CHECK(out != NULL);
        if (record.is_tombstone) {
            fputs("<DELETE>", out);
        } else {
            fprintf(out, "producerId:%lld,producerEpoch:%d,state=%s,partitions=[",
                    (long long)record.transaction.producer_id, record.transaction.producer_epoch,
                    transaction_state_name(record.transaction.transaction_status));
            write_partitions(&record.transaction, ",", out);
            fprintf(out, "],txnLastUpdateTimestamp=%lld,txnTimeoutMs=%d",
                    (long long)record.transaction.transaction_last_update_timestamp_ms,
                    record.transaction.transaction_timeout_ms);
        }
        fclose(out);
    }
    arena_deinit(&arena);
}
