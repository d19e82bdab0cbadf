/* What operators watch, as text: the table of metrics (metrics.tbl.h) in Prometheus' exposition format, version 0.0.4.
 *
 * Modules keep plain counters, which only the loop changes; metrics_collect.c looks at them on the loop when somebody
 * asks. Nothing is kept up for the sake of the page, and nothing is locked. */
#ifndef OTTLA_METRICS_H
#define OTTLA_METRICS_H

#include <stdint.h>

#include "broker/protocol/compression.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_SUMMARY };

enum metric {
#define VALUE(id, type, name, mbean, meaning) METRIC_ID_##id,
#define LABELLED(id, type, name, mbean, meaning) METRIC_ID_##id,
#include "broker/metrics.tbl.h"
#undef VALUE
#undef LABELLED
    METRIC_ID_COUNT
};

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *mbean; /* "-": Kafka has none */
    const char *meaning;
};
const struct metric_row *metric_row(enum metric metric);

struct metric_label {
    const char *name;
    const char *value; /* any bytes; escaped when written */
};

/* The HELP and TYPE lines that come before a metric's samples. */
void metrics_begin(struct byte_buffer *to, enum metric metric);
/* One sample. `suffix` is "" or, of a summary, "_sum" or "_count". */
void metrics_sample(struct byte_buffer *to, enum metric metric, const char *suffix, const struct metric_label *labels,
                    int32_t label_count, double value);
/* The table as the page METRICS.md. */
void metrics_reference(struct byte_buffer *to);

struct broker;
struct network;

/* Everything as it is now, appended. Broker and network may be at any point of their lives; NULL: there is none. */
void metrics_collect(struct broker *broker, const struct network *network, struct byte_buffer *to);

#endif
