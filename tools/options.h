/* Command lines in the dialect of the library Kafka's tools use (cli.md, section 0.1): --name value and --name=value,
 * one dash for long names too, no abbreviations, a required argument swallows whatever comes next, words that belong
 * to no option are ignored. */
#ifndef OTTLA_TOOLS_OPTIONS_H
#define OTTLA_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/report.h"

enum option_argument { OPTION_FLAG, OPTION_REQUIRED, OPTION_OPTIONAL };

/* One row of a tool's table; the table also is the help text. Rows are in the order of the alphabet. */
struct option_spec {
    const char *name;
    enum option_argument argument;
    const char *label; /* of the argument, "String: topic"; NULL for a flag */
    const char *help;
};

struct option_value {
    const struct option_spec *spec;
    const char *text; /* NULL: given without argument */
};

struct options {
    const struct option_spec *specs;
    size_t spec_count;
    struct option_value *values; /* in the order of the command line */
    size_t value_count;
};

/* Returns 0, or ERR_INVALID with the failure set to the library's exception. */
int options_parse(struct options *options, const struct option_spec *specs, size_t spec_count, int argc, char **argv,
                  struct failure *failure);
void options_deinit(struct options *options);

bool options_has(const struct options *options, const char *name);
/* How often it was given with an argument, and the n-th argument. */
size_t options_count(const struct options *options, const char *name);
const char *options_nth(const struct options *options, const char *name, size_t n);
/* The only argument; `fallback` when absent. ERR_INVALID when given twice. */
int options_string(const struct options *options, const char *name, const char *fallback, const char **ret_text,
                   struct failure *failure);
int options_int(const struct options *options, const char *name, int32_t fallback, int32_t *ret_value,
                struct failure *failure);
int options_long(const struct options *options, const char *name, int64_t fallback, int64_t *ret_value,
                 struct failure *failure);
/* For options already known to be given at most once. */
const char *options_text(const struct options *options, const char *name);

/* The two-column table of options that ends every usage error. */
void options_print_table(const struct options *options, FILE *out);

/* --help and --version, and with `help_without_arguments` an empty command line: prints what is asked for. Returns the
 * exit status, or -1 when the tool is to go on. */
int options_help(const struct options *options, int argc, bool help_without_arguments, const char *summary);

/* Message, table, exit status 1. */
int options_usage(const struct options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Kafka's check that every option of the NULL-terminated list is there; 0 or exit status 1 after the usage. */
int options_check_required(const struct options *options, const char *const *names);
/* Kafka's check that `name`, if given, does not meet any of the list. */
int options_check_conflicts(const struct options *options, const char *name, const char *const *others);

/* Whole decimal numbers only. Returns 0 or ERR_INVALID. */
int parse_int64(const char *text, int64_t *ret_value);
int parse_int32(const char *text, int32_t *ret_value);

#endif
