/* The rule; why it holds is in README.md, "Logs of former topics". */
#include "replication/stray.h"

bool command_is_later(const struct command_stamp *one, const struct command_stamp *other) {
    if (other->controller_epoch < 0) {
        return one->broker_epoch >= 0;
    }
    if (one->controller_epoch != other->controller_epoch) {
        return one->controller_epoch > other->controller_epoch;
    }
    return other->broker_epoch >= 0 && one->broker_epoch > other->broker_epoch;
}

bool stray_is_other_topic(struct uuid one, struct uuid other) {
    return !uuid_is_zero(one) && !uuid_is_zero(other) && !uuid_equal(one, other);
}

bool stray_makes_way(const struct stray_facts *facts) {
    return stray_is_other_topic(facts->log_topic_id, facts->told_topic_id) &&
           command_is_later(&facts->told, &facts->named);
}

enum stray_verdict stray_judge(const struct stray_facts *facts) {
    if (facts->is_wanted) {
        return STRAY_KEEP; /* a member of the in-sync set leaves it first; who is assigned hears more */
    }
    if (stray_is_other_topic(facts->log_topic_id, facts->told_topic_id)) {
        return stray_makes_way(facts) ? STRAY_SET_ASIDE : STRAY_KEEP;
    }
    bool knows_topic = !uuid_is_zero(facts->log_topic_id) && !uuid_is_zero(facts->told_topic_id);
    if (facts->is_deletion) {
        return knows_topic ? STRAY_DELETE : STRAY_KEEP; /* ids do not come back: true whenever it is heard */
    }
    /* Within one topic leader epochs only grow, and every step of a reassignment takes one. Where ids are missing it
     * may be another topic; and what only lies on disk may know less than it was told in its former life. */
    bool is_known_here = knows_topic && facts->named.controller_epoch >= 0;
    return facts->told_epoch > facts->known_epoch && (is_known_here || command_is_later(&facts->told, &facts->named))
               ? STRAY_DELETE
               : STRAY_KEEP;
}
