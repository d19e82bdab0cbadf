/* Topic name patterns of the tools: a regular expression in which a comma stands for "or", and which must match the
 * whole name. */
#ifndef OTTLA_TOOLS_TOPIC_FILTER_H
#define OTTLA_TOOLS_TOPIC_FILTER_H

#include <stdbool.h>

#include "broker/base/slice.h"

struct topic_filter;

/* NULL when the pattern is not a regular expression. Blanks and surrounding quotes are dropped. */
struct topic_filter *topic_filter_create(const char *pattern);
void topic_filter_destroy(struct topic_filter *filter);
/* A NULL filter matches everything. */
bool topic_filter_matches(const struct topic_filter *filter, struct str name);
/* The pattern after the changes above, as error messages show it. The caller frees it. */
char *topic_filter_normalize(const char *pattern);

#endif
