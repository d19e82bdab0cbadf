/* C1, C2, C3 and L2 in the table of checkers: the model of znodes.h hears every transaction. */
#include "tests/simulation/checkers/checker.h"
#include "tests/simulation/checkers/znodes.h"

static void on_violation(void *context, const char *invariant, const char *message) {
    violate(context, invariant, "%s", message);
}

static void *create(struct world *world) {
    return znode_checker_create(on_violation, world);
}

static void destroy(void *checker) {
    znode_checker_destroy(checker);
}

const struct checker_ops checker_znodes = {
    .name = "C1/C2/C3/L2",
    .sentence = "every write of partition state is fenced by the controller epoch and a legal step from the one before",
    .create = create,
    .destroy = destroy,
    .on_transaction = znode_checker_observe,
};
