/* The data path in its steady state allocates nothing: a counting allocator stands before libc's. A sanitizer brings
 * its own allocator, so under one the test only drives the path. */
#include "broker/network/loop.h"
#include "tests/unit/dispatch_messages.h"

/* The loop's own: a worker may be writing the epoch file that becoming leader asked for. */
static _Thread_local int64_t allocation_count;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define IS_COUNTING 1
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size) {
    allocation_count++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    allocation_count++;
    return __libc_calloc(count, size);
}
void *realloc(void *pointer, size_t size) {
    allocation_count++;
    return __libc_realloc(pointer, size);
}
#else
#define IS_COUNTING 0
#endif

static int32_t alone[] = {1};
static int answered_count;
static int splice_count;

/* Takes the answer as a connection that sends at once would. */
static void take_answer(struct exchange *exchange, const struct answer *answer) {
    (void)exchange;
    for (int32_t i = 0; i < answer->splice_count; i++) {
        disk_file_unref(answer->splices[i].records.file);
        splice_count++;
    }
    answered_count++;
    answer->on_sent(answer->owner);
}

static const struct exchange_ops taking_ops = {
    .answer = take_answer, .answer_nothing = reply_nothing, .close = reply_close};

struct frame {
    uint8_t bytes[4096];
    size_t size;
};

static void encode_frame(struct frame *frame, int16_t key, int16_t version, encode_function *encode,
                         const void *message) {
    frame->size = encode_request(frame->bytes, sizeof frame->bytes, key, version, encode, message);
}

static void make_produce(struct frame *frame) {
    struct produce_one one;
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(3);
    test_batch_encode(&batch, &bytes);
    produce_one_init(&one, STR_LITERAL("t"), -1, 1000, slice_of_buffer(&bytes));
    encode_frame(frame, API_PRODUCE, 9, (encode_function *)produce_request_encode, &one.request);
    byte_buffer_deinit(&bytes);
}

static void make_fetch(struct frame *frame, int32_t session_id, int32_t session_epoch, int64_t offset) {
    struct fetch_one one;
    fetch_one_init(&one, offset);
    one.request.min_bytes = 1;
    one.request.session_id = session_id;
    one.request.session_epoch = session_epoch;
    encode_frame(frame, API_FETCH, 17, (encode_function *)fetch_request_encode, &one.request);
}

static void send_copy(struct exchange *exchange, struct frame *scratch, const struct frame *frame) {
    *exchange = (struct exchange){.ops = &taking_ops, .client_host = STR_LITERAL("127.0.0.1")};
    memcpy(scratch->bytes, frame->bytes, frame->size);
    dispatch_frame(fx.dispatcher, exchange, scratch->bytes, frame->size);
}

static void do_nothing(void *context) {
    (void)context;
}

static void stop_loop(void *context) {
    loop_stop(context);
}

/* The one worker takes its work in order: when this is done, so is what the beginning gave it, the epoch file above
 * all. */
static void await_worker(struct loop *loop) {
    clock_spawn(loop_clock(loop), do_nothing, stop_loop, loop);
    loop_run(loop);
}

START_TEST(produce_and_fetch_in_steady_state_allocate_nothing) {
    struct loop *loop = loop_create(1);
    fixture_clock = loop_clock(loop);
    fixture_start();
    become_leader("t", alone, 1, 0);
    static struct frame produce;
    static struct frame fetch;
    static struct frame scratch;
    struct exchange exchange;
    struct reply reply;
    make_produce(&produce);
    make_fetch(&fetch, 0, 0, 0);
    send_bytes(&reply, fetch.bytes, fetch.size);
    struct fetch_response opened;
    struct reader r = reader_of(reply.bytes + 5, reply.size - 5);
    ck_assert_int_eq(fetch_response_decode(&r, 17, &fx.arena, &opened), 0);
    ck_assert_int_ne(opened.session_id, 0);
    reply_free(&reply);
    const int warm_up = 500;
    const int count = 2000;
    int64_t before = 0;
    for (int i = 0; i < warm_up + count; i++) {
        if (i == warm_up) {
            await_worker(loop);
            before = allocation_count;
        }
        send_copy(&exchange, &scratch, &produce);
        make_fetch(&fetch, opened.session_id, i + 1, 3 * (int64_t)i);
        send_copy(&exchange, &scratch, &fetch);
    }
    int64_t allocations = allocation_count - before;
    ck_assert_int_eq(answered_count, 2 * (warm_up + count));
    ck_assert_int_ge(splice_count, count);
    if (IS_COUNTING) {
        ck_assert_int_gt(before, 0);
        ck_assert_int_eq(allocations, 0);
    }
    fixture_finish();
    loop_destroy(loop);
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(produce_and_fetch_in_steady_state_allocate_nothing),
    };
    return run_tests("dispatch memory", tests, sizeof tests / sizeof tests[0]);
}
