/* An idempotent producer with requests in flight while the leader changes: what was on its way is answered, retried
 * batches are told from new ones by what the log holds, and an answer never names an offset that is not the batch's. */
#include "tests/unit/dispatch_requests.h"

#define VERSION 9
#define PRODUCER 7
#define TIMEOUT_MS 60000

static int32_t trio[] = {1, 2, 3};
static int32_t leader_epoch;

static void lead(int32_t leader) {
    fixture_leader = leader;
    become_leader("t", trio, 3, ++leader_epoch);
}

/* Records with these sequences, acks=all. */
static void send_batch(struct reply *reply, int16_t epoch, int32_t first_sequence, int32_t count) {
    struct byte_buffer bytes = {0};
    struct test_batch batch = test_batch_of(count);
    batch.producer_id = PRODUCER;
    batch.producer_epoch = epoch;
    batch.base_sequence = first_sequence;
    test_batch_encode(&batch, &bytes);
    produce_bytes(reply, VERSION, -1, TIMEOUT_MS, slice_of_buffer(&bytes));
    byte_buffer_deinit(&bytes);
    memory_run(fx.world);
}

/* Both followers have everything up to `end`. */
static void replicate_to(int64_t end) {
    for (int32_t id = 2; id <= 3; id++) {
        struct fetch_wish wish = fetch_wish(12, end);
        wish.replica_id = id;
        wish.leader_epoch = leader_epoch;
        ck_assert_int_eq(fetch_code(wish), KAFKA_NONE);
    }
    memory_run(fx.world);
}

static void ensure_answer(struct reply *reply, int16_t error, int64_t base_offset) {
    ck_assert(reply->is_answered);
    struct produce_response_partition_produce_response part = produced(reply, VERSION);
    ck_assert_int_eq(part.error_code, error);
    ck_assert_int_eq(part.base_offset, base_offset);
}

static void begin(void) {
    fixture_start();
    leader_epoch = 0;
    lead(1);
}

START_TEST(what_waits_when_leadership_moves_is_answered_at_once_and_found_as_duplicate_when_it_returns) {
    begin();
    struct reply first;
    struct reply second;
    struct reply third;
    send_batch(&first, 0, 0, 7);
    send_batch(&second, 0, 7, 4);
    ck_assert(!first.is_answered && !second.is_answered);
    lead(2);
    ensure_answer(&first, KAFKA_NOT_LEADER_OR_FOLLOWER, 0);
    ensure_answer(&second, KAFKA_NOT_LEADER_OR_FOLLOWER, 7);
    send_batch(&first, 0, 0, 7);
    ensure_answer(&first, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
    lead(1);
    /* Retried one by one or all at once: each waits for its own records. */
    send_batch(&first, 0, 0, 7);
    send_batch(&second, 0, 7, 4);
    send_batch(&third, 0, 11, 2);
    ck_assert(!first.is_answered && !second.is_answered && !third.is_answered);
    replicate_to(11);
    ck_assert(!third.is_answered);
    ensure_answer(&first, KAFKA_NONE, 0);
    ensure_answer(&second, KAFKA_NONE, 7);
    replicate_to(13);
    ensure_answer(&third, KAFKA_NONE, 11);
    send_batch(&first, 0, 0, 7); /* long since replicated */
    ensure_answer(&first, KAFKA_NONE, 0);
    fixture_finish();
}
END_TEST

START_TEST(a_leader_that_has_the_first_batch_only_takes_the_next_one_and_refuses_what_comes_too_early) {
    begin();
    struct reply first;
    struct reply second;
    struct reply third;
    send_batch(&first, 0, 0, 7);
    replicate_to(7);
    ensure_answer(&first, KAFKA_NONE, 0);
    lead(2);
    send_batch(&second, 0, 7, 4); /* sent before this broker knows that it leads again */
    ensure_answer(&second, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
    lead(1);
    send_batch(&third, 0, 11, 3); /* and the next one just after */
    ensure_answer(&third, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
    send_batch(&second, 0, 7, 4);
    send_batch(&third, 0, 11, 3);
    replicate_to(14);
    ensure_answer(&second, KAFKA_NONE, 7);
    ensure_answer(&third, KAFKA_NONE, 11);
    fixture_finish();
}
END_TEST

START_TEST(a_producer_that_bumps_its_epoch_after_a_gap_goes_on_and_its_former_self_does_not) {
    begin();
    struct reply reply;
    struct reply late;
    send_batch(&reply, 0, 0, 7);
    replicate_to(7);
    ensure_answer(&reply, KAFKA_NONE, 0);
    lead(2);
    lead(1);
    send_batch(&late, 0, 11, 3);
    ensure_answer(&late, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    send_batch(&late, 1, 4, 3);
    ensure_answer(&late, KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    send_batch(&reply, 1, 0, 4);
    replicate_to(11);
    ensure_answer(&reply, KAFKA_NONE, 7);
    send_batch(&late, 0, 7, 4);
    ensure_answer(&late, KAFKA_INVALID_PRODUCER_EPOCH, -1);
    send_batch(&reply, 1, 4, 2);
    replicate_to(13);
    ensure_answer(&reply, KAFKA_NONE, 11);
    fixture_finish();
}
END_TEST

START_TEST(a_new_leader_that_lags_answers_when_the_others_have_come_or_the_time_is_over) {
    begin();
    struct reply waiting;
    send_batch(&waiting, 0, 0, 7);
    lead(1); /* a new epoch of the same leader: nothing is lost, and it still waits */
    memory_run(fx.world);
    ck_assert(!waiting.is_answered);
    replicate_to(7);
    ensure_answer(&waiting, KAFKA_NONE, 0);
    send_batch(&waiting, 0, 7, 1);
    memory_run_for(fx.world, TIMEOUT_MS);
    ensure_answer(&waiting, KAFKA_REQUEST_TIMED_OUT, 7);
    send_batch(&waiting, 0, 7, 1); /* the client does not give up */
    ck_assert(!waiting.is_answered);
    replicate_to(8);
    ensure_answer(&waiting, KAFKA_NONE, 7);
    fixture_finish();
}
END_TEST

int main(void) {
    static const struct test tests[] = {
        TEST(what_waits_when_leadership_moves_is_answered_at_once_and_found_as_duplicate_when_it_returns),
        TEST(a_leader_that_has_the_first_batch_only_takes_the_next_one_and_refuses_what_comes_too_early),
        TEST(a_producer_that_bumps_its_epoch_after_a_gap_goes_on_and_its_former_self_does_not),
        TEST(a_new_leader_that_lags_answers_when_the_others_have_come_or_the_time_is_over),
    };
    return run_tests("dispatch_failover", tests, ARRAY_SIZE(tests));
}
