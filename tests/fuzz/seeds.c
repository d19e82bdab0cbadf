/* Writes what was recorded as seeds for a fuzz target: seeds TARGET DIRECTORY. `header` and `requests` take requests as
 * they are; for `messages` each frame gets the two bytes that choose its type and version; any other target gets the
 * runs of record batches that were produced and fetched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/base/check.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/header.h"
#include "broker/protocol/message_types.h"
#include "generated/protocol/fetch.h"
#include "generated/protocol/produce.h"
#include "tests/lib/recordings.h"

struct seeding {
    const char *target;
    const char *directory;
};

static void write_seed(const struct seeding *seeding, const struct recorded_frame *frame, struct slice choice,
                       struct slice bytes) {
    char *path = xasprintf("%s/%s.%d", seeding->directory, frame->file, frame->index);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fwrite(choice.data, 1, (size_t)choice.size, file);
    fwrite(bytes.data, 1, (size_t)bytes.size, file);
    CHECK(fclose(file) == 0);
    free(path);
}

static void write_records(const struct seeding *seeding, const struct recorded_frame *frame, struct records records) {
    /* For `log` as its first file. */
    uint8_t file[] = {0, (uint8_t)(records.size >> 8), (uint8_t)records.size};
    struct slice choice = strcmp(seeding->target, "log") == 0 ? (struct slice){file, sizeof file} : (struct slice){0};
    if (records.size > 0) {
        write_seed(seeding, frame, choice, (struct slice){records.data, records.size});
    }
}

/* The first records of a Produce request or a Fetch answer, whose body `r` stands before. */
static void seed_records(const struct seeding *seeding, const struct recorded_frame *frame, struct reader *r) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    if (frame->is_request && frame->api_key == API_PRODUCE) {
        struct produce_request m;
        CHECK(produce_request_decode(r, frame->api_version, &arena, &m) == 0);
        if (m.topic_data_count > 0 && m.topic_data[0].partition_data_count > 0) {
            write_records(seeding, frame, m.topic_data[0].partition_data[0].records);
        }
    } else if (!frame->is_request && frame->api_key == API_FETCH) {
        struct fetch_response m;
        CHECK(fetch_response_decode(r, frame->api_version, &arena, &m) == 0);
        if (m.responses_count > 0 && m.responses[0].partitions_count > 0) {
            write_records(seeding, frame, m.responses[0].partitions[0].records);
        }
    }
    arena_deinit(&arena);
}

static void on_frame(const struct recorded_frame *frame, void *context) {
    const struct seeding *seeding = context;
    const struct slice whole = {frame->bytes, (int32_t)frame->size};
    if (strcmp(seeding->target, "header") == 0 || strcmp(seeding->target, "requests") == 0) {
        if (frame->is_request) {
            write_seed(seeding, frame, (struct slice){0}, whole);
        }
        return;
    }
    const struct message_type *type = message_type_find(frame->api_key, frame->is_request);
    struct reader r = reader_of(frame->bytes, frame->size);
    struct request_header header;
    int32_t correlation_id;
    int error = frame->is_request ? request_header_decode(&r, &header)
                                  : response_header_decode(&r, frame->api_key, frame->api_version, &correlation_id);
    CHECK(error == 0);
    if (strcmp(seeding->target, "messages") == 0) {
        CHECK(message_type_count <= 256);
        uint8_t choice[] = {(uint8_t)(type - message_types), (uint8_t)(frame->api_version - type->version_min)};
        write_seed(seeding, frame, (struct slice){choice, sizeof choice},
                   (struct slice){r.at, (int32_t)reader_left(&r)});
    } else {
        seed_records(seeding, frame, &r);
    }
}

int main(int argument_count, char **arguments) {
    CHECK(argument_count == 3);
    struct seeding seeding = {.target = arguments[1], .directory = arguments[2]};
    recordings_each("tests/recordings/wire", on_frame, &seeding);
    return 0;
}
