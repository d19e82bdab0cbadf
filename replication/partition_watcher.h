/* Who wants to hear that a partition changed: an intrusive list, so that waiting costs no allocation. */
#ifndef OTTLA_REPLICATION_PARTITION_WATCHER_H
#define OTTLA_REPLICATION_PARTITION_WATCHER_H

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise. Called on the loop when the log end, high watermark, leadership or start offset of the partition has
 * changed, and one last time when the partition goes away (then the watcher is already out of the list, and the
 * partition must be looked up anew). The call may come from inside an append or a fetch: a watcher marks what it is for
 * and acts in a task of its own. It may remove itself, no other. */
struct partition_watcher {
    struct partition_watcher *next;
    struct partition_watcher **link; /* what points at this one; NULL while not in a list */
    void (*on_change)(struct partition_watcher *watcher);
};

static inline bool partition_watcher_is_set(const struct partition_watcher *watcher) {
    return watcher->link != NULL;
}
static inline void partition_watcher_add(struct partition_watcher **list, struct partition_watcher *watcher) {
    watcher->next = *list;
    watcher->link = list;
    if (*list != NULL) {
        (*list)->link = &watcher->next;
    }
    *list = watcher;
}
/* Does nothing when the watcher is in no list. */
static inline void partition_watcher_remove(struct partition_watcher *watcher) {
    if (watcher->link == NULL) {
        return;
    }
    *watcher->link = watcher->next;
    if (watcher->next != NULL) {
        watcher->next->link = watcher->link;
    }
    watcher->next = NULL;
    watcher->link = NULL;
}

#endif
