/* Any bytes as the records of a Produce request: decoded, validated, recoded, converted from and to the old formats.
 * The first byte chooses the way and repairs the checksum, so that the walk gets behind it. */
#include <stdlib.h>
#include <string.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/message_set.h"
#include "broker/protocol/record_batch.h"

enum { REPAIR_CRC = 1, COMPACTED = 2, FROM_CLIENT = 4, OLD_FORMAT = 8, DOWN_TO_0 = 16 };

/* Whatever passes validation must be readable by whoever fetches it: the count of records, in order, and no more. */
static void check_accepted(struct slice batch, const struct record_batch *header, struct record_workspace *workspace,
                           const struct record_verdict *verdict) {
    struct record_iterator iterator;
    struct record_view record;
    int32_t count = 0;
    int more;
    record_iterator_begin(&iterator, workspace, batch, header);
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        CHECK(verdict->has_foreign_offsets || record.offset_delta == count);
        count++;
    }
    CHECK(more == 0 && count == header->record_count);
    enum compression_codec codec = (enum compression_codec)((header->codec + 1) % CODEC_COUNT);
    CHECK(record_batch_recode(batch, header, codec, verdict->has_foreign_offsets, workspace) == 0);
    struct record_batch again;
    CHECK(record_batch_decode(workspace->converted.data, workspace->converted.size, &again) == 0);
    struct slice recoded = {workspace->converted.data, again.size};
    CHECK(record_batch_crc_is_valid(recoded, &again));
    CHECK(again.codec == codec && again.record_count == header->record_count);
}

static void try_batch(struct slice bytes, uint8_t way, struct record_workspace *workspace) {
    struct record_batch header;
    if (record_batch_decode(bytes.data, (size_t)bytes.size, &header) != 0 || header.size > bytes.size ||
        header.magic != 2) {
        return;
    }
    bytes.size = header.size;
    if ((way & REPAIR_CRC) != 0) {
        record_batch_update_crc((uint8_t *)(uintptr_t)bytes.data, header.size);
    }
    struct record_rules rules = {.wall_ms = 1700000000000,
                                 .timestamp_before_max_ms = INT64_MAX,
                                 .timestamp_after_max_ms = INT64_MAX,
                                 .is_compacted = (way & COMPACTED) != 0,
                                 .from_client = (way & FROM_CLIENT) != 0};
    struct record_verdict verdict;
    struct end_transaction_marker marker;
    record_batch_marker(bytes, &header, &marker);
    record_batch_validate(bytes, &header, &rules, workspace, &verdict);
    if (verdict.error_code == 0) {
        check_accepted(bytes, &header, workspace, &verdict);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct record_workspace *workspace;
    if (workspace == NULL) {
        workspace = record_workspace_create();
    }
    if (size < 1 || size > (1 << 20)) {
        return 0;
    }
    uint8_t *copy = xmalloc(size);
    memcpy(copy, data + 1, size - 1);
    struct slice bytes = {copy, (int32_t)size - 1};
    if ((data[0] & OLD_FORMAT) != 0) {
        struct message_set_verdict verdict;
        message_set_up_convert(bytes, 1 << 20, workspace, &verdict);
        if (verdict.error_code == 0) {
            struct record_batch header;
            CHECK(record_batch_decode(workspace->converted.data, workspace->converted.size, &header) == 0);
        }
    } else {
        try_batch(bytes, data[0], workspace);
    }
    struct arena arena;
    struct records old;
    arena_init(&arena, (size_t)64 << 20);
    record_batch_down_convert(bytes, (data[0] & DOWN_TO_0) != 0 ? 0 : 1, 0, &arena, workspace, &old);
    arena_deinit(&arena);
    free(copy);
    return 0;
}
