/* The records of a machine's files, one by one: like dump.h an independent reader, of what is not compressed. */
#ifndef OTTLA_CHECKER_DUMP_RECORDS_H
#define OTTLA_CHECKER_DUMP_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/slice.h"

struct machine;

struct dump_record {
    int64_t offset;
    struct slice key; /* size -1: null, as in the others */
    struct slice value;
    struct slice header_value; /* of its last header; size -1: it has none */
};

typedef void dump_visitor(void *context, const struct dump_record *record);
/* In the order of the files; false when there is no such directory. What is no batch ends its segment. */
bool dump_records(const struct machine *machine, const char *topic, int32_t partition, dump_visitor *visit,
                  void *context);

#endif
