/* What the two halves of kafka-topics share. */
#ifndef OTTLA_TOOLS_TOPICS_H
#define OTTLA_TOOLS_TOPICS_H

#include "tools/client/admin.h"
#include "tools/options.h"

/* A topic as listed, or NULL: find in the sorted list of admin_list_topics(). */
struct topics_selection {
    struct metadata_response metadata;
    const struct metadata_response_metadata_response_topic **topics;
    int32_t count;
};

/* All topics the pattern matches (NULL for all). ERR_INVALID for a bad pattern. */
int topics_select(struct client *client, const char *pattern, bool exclude_internal, struct arena *arena,
                  struct topics_selection *ret_selection, struct failure *failure);
/* "Topic 'x' does not exist as expected", unless the options say --if-exists. */
int topics_require(const struct topics_selection *selection, const char *pattern, const struct options *options,
                   struct failure *failure);

/* The describe action. */
int topics_describe(struct client *client, const struct options *options, struct arena *arena, struct failure *failure);

#endif
