/* An independent reader of the files of a simulated machine: shares no code with the log. */
#ifndef OTTLA_CHECKER_DUMP_H
#define OTTLA_CHECKER_DUMP_H

#include "tests/simulation/checkers/exposed.h"

struct machine;

struct dump {
    struct exposed_batch *batches;
    int32_t count;
    char problem[160]; /* "" when the files are as they should be: offsets grow, within segments and from one to the
                          next */
    struct {
        int32_t epoch;
        int64_t start;
    } * epochs; /* the leader-epoch-checkpoint file */
    int32_t epoch_count;
    bool has_epochs;
};

#define DUMP_PATH_BYTES 192

/* The segments of a partition, in order. */
struct dump_files {
    char directory[128];
    int64_t *bases;
    int32_t count;
};
bool dump_list(const struct machine *machine, const char *topic, int32_t partition, struct dump_files *ret);
void dump_files_free(struct dump_files *files);

/* Reads the directory of this name on the machine's disk; false when there is none. */
bool dump_read(const struct machine *machine, const char *topic, int32_t partition, struct dump *ret);
void dump_free(struct dump *dump);

#endif
