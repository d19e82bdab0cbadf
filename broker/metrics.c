/* The table of metrics, and how a sample is written. */
#include "broker/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/check.h"

#define VALUE(id, type_name, name_text, mbean_text, meaning_text)                                                      \
    [METRIC_ID_##id] = {.name = name_text, .type = METRIC_##type_name, .mbean = mbean_text, .meaning = meaning_text},
#define LABELLED VALUE
static const struct metric_row rows[] = {
#include "broker/metrics.tbl.h"
};
#undef LABELLED
#undef VALUE

static const char *const type_names[] = {
    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_SUMMARY] = "summary"};

const struct metric_row *metric_row(enum metric metric) {
    CHECK(metric < METRIC_ID_COUNT);
    return &rows[metric];
}

static void put(struct byte_buffer *to, const char *text) {
    byte_buffer_append(to, text, strlen(text));
}

void metrics_begin(struct byte_buffer *to, enum metric metric) {
    const struct metric_row *row = metric_row(metric);
    const char *const pieces[] = {"# HELP ", row->name, " ", row->meaning,          "\n",
                                  "# TYPE ", row->name, " ", type_names[row->type], "\n"};
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        put(to, pieces[i]);
    }
}

/* Backslash, quote and line end are escaped; what else is in a name passes. */
static void put_label(struct byte_buffer *to, const struct metric_label *label) {
    put(to, label->name);
    put(to, "=\"");
    for (const char *at = label->value; *at != '\0';) {
        size_t plain = strcspn(at, "\\\"\n");
        byte_buffer_append(to, at, plain);
        at += plain;
        switch (*at) {
        case '\\': put(to, "\\\\"); break;
        case '"': put(to, "\\\""); break;
        case '\n': put(to, "\\n"); break;
        default: break;
        }
        at += *at != '\0';
    }
    put(to, "\"");
}

static void put_number(struct byte_buffer *to, double value) {
    char text[40];
    if (value == nearbyint(value) && fabs(value) < 0x1p53) {
        snprintf(text, sizeof text, "%" PRId64, (int64_t)value);
    } else if (isnan(value)) {
        snprintf(text, sizeof text, "NaN");
    } else if (isinf(value)) {
        snprintf(text, sizeof text, "%sInf", value < 0 ? "-" : "+");
    } else {
        snprintf(text, sizeof text, "%.16g", value);
    }
    put(to, text);
}

void metrics_sample(struct byte_buffer *to, enum metric metric, const char *suffix, const struct metric_label *labels,
                    int32_t label_count, double value) {
    put(to, metric_row(metric)->name);
    put(to, suffix);
    for (int32_t i = 0; i < label_count; i++) {
        put(to, i == 0 ? "{" : ",");
        put_label(to, &labels[i]);
    }
    put(to, label_count > 0 ? "} " : " ");
    put_number(to, value);
    put(to, "\n");
}

void metrics_reference(struct byte_buffer *to) {
    put(to, "# Metrics\n\n"
            "`ottla.metrics.port` in server.properties opens an endpoint, `http://127.0.0.1:PORT/metrics`, in "
            "Prometheus' text\n"
            "format; `ottla.metrics.host` binds it elsewhere. Names are those that the JMX exporter gives Kafka's "
            "MBeans. Made\n"
            "from `metrics.tbl.h` by `make broker/METRICS.md`.\n\n"
            "| name | type | meaning | MBean of Kafka |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *const pieces[] = {"| ",  rows[i].name,  " | ", type_names[rows[i].type], " | ", rows[i].meaning,
                                      " | ", rows[i].mbean, " |\n"};
        for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
            put(to, pieces[k]);
        }
    }
}
