/* Every message at every version: filled in many ways, encoded by the generated code and by the plain model of
 * tests/lib, decoded, compared, and cut short at every byte. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/api_keys.h"
#include "broker/protocol/message_types.h"
#include "generated/protocol/all.h"
#include "tests/lib/message_model.h"
#include "tests/lib/runner.h"

#define ROOM ((size_t)1 << 20)
#define RANDOM_ROUNDS 20

static uint8_t model_bytes[ROOM];
static uint8_t bytes[ROOM];

struct round {
    const struct message_type *type;
    const struct struct_descriptor *descriptor;
    int16_t version;
    struct arena filled_arena;
    struct arena decoded_arena;
    void *filled;
    void *decoded;
    size_t size; /* of the encoding, in bytes[] */
};

static void begin_round(struct round *round, size_t index, int16_t version) {
    *round =
        (struct round){.type = &message_types[index], .descriptor = message_descriptors[index], .version = version};
    ck_assert_str_eq(round->type->name, round->descriptor->name);
    ck_assert_uint_eq(round->type->size, round->descriptor->size);
    arena_init(&round->filled_arena, SIZE_MAX);
    arena_init(&round->decoded_arena, SIZE_MAX);
    round->filled = xcalloc(1, round->type->size);
    round->decoded = xcalloc(1, round->type->size);
    round->type->init(round->filled);
}

static void end_round(struct round *round) {
    arena_deinit(&round->filled_arena);
    arena_deinit(&round->decoded_arena);
    free(round->filled);
    free(round->decoded);
}

/* Encodes what is filled and checks the bytes against the model's; decodes them and checks the message. */
static void go_round(struct round *round) {
    const struct message_type *type = round->type;
    struct writer model = writer_of(model_bytes, ROOM);
    model_encode(round->descriptor, round->version, type->flexible_min, round->filled, &model);
    ck_assert(!model.failed);
    round->size = type->encoded_size(round->filled, round->version);
    ck_assert_uint_le(round->size, ROOM);
    struct encoder e = encoder_of(bytes, round->size);
    type->encode(round->filled, round->version, &e);
    ck_assert_msg(!e.w.failed && writer_size(&e.w) == round->size, "%s v%d: size", type->name, round->version);
    ck_assert_msg(round->size == writer_size(&model) && memcmp(bytes, model_bytes, round->size) == 0,
                  "%s v%d: bytes differ from the model's", type->name, round->version);
    struct reader r = reader_of(bytes, round->size);
    int error = type->decode(&r, round->version, &round->decoded_arena, round->decoded);
    ck_assert_msg(error == 0 && reader_left(&r) == 0, "%s v%d: decode gives %s, %zu bytes left", type->name,
                  round->version, error_name(error), reader_left(&r));
    const char *difference = model_difference(round->descriptor, round->filled, round->decoded);
    ck_assert_msg(difference == NULL, "%s v%d: %s differs", type->name, round->version, difference);
}

static int fill_and_go_round(size_t index, int16_t version, struct fill fill) {
    struct round round;
    begin_round(&round, index, version);
    fill.arena = &round.filled_arena;
    model_fill(&fill, round.descriptor, version, round.filled);
    go_round(&round);
    end_round(&round);
    return fill.nullables_seen;
}

START_TEST(every_message_round_trips_at_every_version_with_each_nullable_absent_and_present) {
    int rounds = 0;
    int nullables = 0;
    for (size_t index = 0; index < message_type_count; index++) {
        for (int16_t v = message_types[index].version_min; v <= message_types[index].version_max; v++) {
            struct fill fill = {.list_count_max = 2};
            random_seed(&fill.random, index * 100 + (uint64_t)v);
            int seen = fill_and_go_round(index, v, fill);
            fill.nulls = FILL_ALL_NULL;
            fill_and_go_round(index, v, fill);
            fill.nulls = FILL_ONE_NULL;
            for (fill.null_index = 0; fill.null_index < seen; fill.null_index++) {
                fill_and_go_round(index, v, fill);
            }
            rounds += 2 + seen;
            nullables += seen;
        }
    }
    printf("%zu messages, %d round trips, %d nullables\n", message_type_count, rounds, nullables);
    ck_assert_int_gt(nullables, 0);
}
END_TEST

START_TEST(every_message_round_trips_with_random_contents) {
    for (size_t index = 0; index < message_type_count; index++) {
        for (int16_t v = message_types[index].version_min; v <= message_types[index].version_max; v++) {
            for (uint64_t i = 0; i < RANDOM_ROUNDS; i++) {
                struct fill fill = {.nulls = FILL_RANDOM_NULL, .list_count_max = 3};
                random_seed(&fill.random, (index * 100 + (uint64_t)v) * RANDOM_ROUNDS + i);
                fill_and_go_round(index, v, fill);
            }
        }
    }
}
END_TEST

START_TEST(every_message_with_empty_lists_round_trips_at_every_version) {
    for (size_t index = 0; index < message_type_count; index++) {
        for (int16_t v = message_types[index].version_min; v <= message_types[index].version_max; v++) {
            struct fill fill = {.list_count_max = 0};
            random_seed(&fill.random, index * 100 + (uint64_t)v);
            fill_and_go_round(index, v, fill);
        }
    }
}
END_TEST

START_TEST(init_sets_the_defaults_of_the_schemas) {
    for (size_t index = 0; index < message_type_count; index++) {
        const struct message_type *type = &message_types[index];
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        void *by_init = xmalloc(type->size);
        void *by_model = xcalloc(1, type->size);
        memset(by_init, 0xa5, type->size);
        type->init(by_init);
        /* A version nobody has carries nothing: the model leaves everything at its default. */
        struct fill fill = {.arena = &arena};
        model_fill(&fill, message_descriptors[index], -1, by_model);
        const char *difference = model_difference(message_descriptors[index], by_init, by_model);
        ck_assert_msg(difference == NULL, "%s: %s differs", type->name, difference);
        free(by_init);
        free(by_model);
        arena_deinit(&arena);
    }
}
END_TEST

static void cut_everywhere(size_t index, int16_t version) {
    struct round round;
    begin_round(&round, index, version);
    struct fill fill = {.list_count_max = 2, .arena = &round.filled_arena};
    random_seed(&fill.random, index * 100 + (uint64_t)version);
    model_fill(&fill, round.descriptor, version, round.filled);
    go_round(&round);
    for (size_t size = 0; size < round.size; size++) {
        uint8_t *cut = xmalloc(size); /* of its own, so that a sanitizer sees a read beyond it */
        memcpy(cut, bytes, size);
        struct reader r = reader_of(cut, size);
        arena_reset(&round.decoded_arena, SIZE_MAX);
        int error = round.type->decode(&r, version, &round.decoded_arena, round.decoded);
        ck_assert_msg(error == ERR_CORRUPT, "%s v%d cut to %zu of %zu: %s", round.type->name, version, size, round.size,
                      error_name(error));
        free(cut);
    }
    end_round(&round);
}

START_TEST(every_message_cut_short_at_any_byte_is_an_error) {
    for (size_t index = 0; index < message_type_count; index++) {
        for (int16_t v = message_types[index].version_min; v <= message_types[index].version_max; v++) {
            cut_everywhere(index, v);
        }
    }
}
END_TEST

START_TEST(every_message_with_any_byte_changed_decodes_or_fails_within_its_budget) {
    for (size_t index = 0; index < message_type_count; index++) {
        int16_t version = message_types[index].version_max;
        struct round round;
        begin_round(&round, index, version);
        struct fill fill = {.list_count_max = 1, .arena = &round.filled_arena};
        random_seed(&fill.random, index);
        model_fill(&fill, round.descriptor, version, round.filled);
        go_round(&round);
        for (size_t i = 0; i < round.size; i++) {
            uint8_t was = bytes[i];
            static const uint8_t changes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
            for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
                bytes[i] = changes[c];
                size_t budget = 4 * round.size + 1024;
                arena_reset(&round.decoded_arena, budget);
                struct reader r = reader_of(bytes, round.size);
                round.type->decode(&r, version, &round.decoded_arena, round.decoded);
                ck_assert_uint_le(round.decoded_arena.used, budget);
            }
            bytes[i] = was;
        }
        end_round(&round);
    }
}
END_TEST

/* Whether encoding ends the process, which is what a CHECK does. */
static bool encoding_aborts(const struct message_type *type, const void *message, int16_t version) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fclose(stderr); /* the failed CHECK would print there */
        type->encoded_size(message, version);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

START_TEST(a_value_a_version_cannot_carry_is_not_lost_silently) {
    struct fetch_request fetch;
    fetch_request_init(&fetch);
    const struct message_type *type = message_type_find(API_FETCH, true);
    fetch.replica_id = 1; /* only up to version 14, and not ignorable */
    ck_assert(!encoding_aborts(type, &fetch, 14));
    ck_assert(encoding_aborts(type, &fetch, 15));
    fetch_request_init(&fetch);
    fetch.replica_state.replica_id = 1; /* a tagged struct, from version 15 on */
    ck_assert(encoding_aborts(type, &fetch, 14));
    ck_assert(!encoding_aborts(type, &fetch, 15));
    fetch_request_init(&fetch);
    fetch.max_bytes = 1; /* ignorable before version 3 */
    ck_assert(!encoding_aborts(type, &fetch, 0));
}
END_TEST

START_TEST(a_null_a_version_cannot_carry_is_not_sent) {
    struct metadata_request metadata;
    metadata_request_init(&metadata);
    metadata.topics_count = -1; /* all topics, from version 1 on */
    const struct message_type *type = message_type_find(API_METADATA, true);
    ck_assert(encoding_aborts(type, &metadata, 0));
    ck_assert(!encoding_aborts(type, &metadata, 1));
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(every_message_round_trips_at_every_version_with_each_nullable_absent_and_present),
        TEST(every_message_round_trips_with_random_contents),
        TEST(every_message_with_empty_lists_round_trips_at_every_version),
        TEST(init_sets_the_defaults_of_the_schemas),
        TEST(every_message_cut_short_at_any_byte_is_an_error),
        TEST(every_message_with_any_byte_changed_decodes_or_fails_within_its_budget),
        TEST(a_value_a_version_cannot_carry_is_not_lost_silently),
        TEST(a_null_a_version_cannot_carry_is_not_sent),
    };
    return run_tests("protocol_messages", tests, ARRAY_SIZE(tests));
}
