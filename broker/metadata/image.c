/* Topics lie in one array sorted by name, partitions of a topic in one sorted by index: lookups are binary searches,
 * walks are in order, and an idle topic costs its own bytes only. A hash table finds topics by id. */
#include "broker/metadata/image.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "broker/base/check.h"

/* A topic with what the lookups need; image_topic is its first member. */
struct topic_entry {
    struct image_topic topic;
    UT_hash_handle hh; /* in by_id, while the id is not zero */
};

struct image {
    int32_t controller;
    struct image_broker *brokers; /* sorted by id */
    int32_t broker_count;
    struct topic_entry **topics; /* sorted by name */
    int32_t topic_count;
    int32_t topic_capacity;
    struct topic_entry *by_id;
    uint64_t shape;
};

struct image *image_create(void) {
    struct image *image = xcalloc(1, sizeof *image);
    image->controller = -1;
    image->shape = 1;
    return image;
}

static void partition_destroy(struct image_partition *partition) {
    free(partition->replicas);
    free(partition->isr);
    free(partition->offline);
    free(partition);
}

static void topic_destroy(struct topic_entry *entry) {
    for (int32_t i = 0; i < entry->topic.partition_count; i++) {
        partition_destroy(entry->topic.partitions[i]);
    }
    free(entry->topic.partitions);
    free(entry->topic.name);
    free(entry);
}

static void brokers_destroy(struct image_broker *brokers, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        for (int32_t k = 0; k < brokers[i].endpoint_count; k++) {
            free(brokers[i].endpoints[k].listener);
            free(brokers[i].endpoints[k].host);
        }
        free(brokers[i].endpoints);
        free(brokers[i].rack);
    }
    free(brokers);
}

void image_destroy(struct image *image) {
    if (image == NULL) {
        return;
    }
    HASH_CLEAR(hh, image->by_id);
    for (int32_t i = 0; i < image->topic_count; i++) {
        topic_destroy(image->topics[i]);
    }
    free(image->topics);
    brokers_destroy(image->brokers, image->broker_count);
    free(image);
}

void image_set_controller(struct image *image, int32_t broker_id) {
    image->controller = broker_id;
}

int32_t image_controller(const struct image *image) {
    return image->controller;
}

static int compare_brokers(const void *a, const void *b) {
    int32_t left = ((const struct image_broker *)a)->id;
    int32_t right = ((const struct image_broker *)b)->id;
    return (left > right) - (left < right);
}

static struct image_broker broker_copy(const struct image_broker *from) {
    struct image_broker to = {.id = from->id, .endpoint_count = from->endpoint_count};
    to.rack = from->rack == NULL ? NULL : xstrdup(from->rack);
    to.endpoints = from->endpoint_count == 0 ? NULL : xcalloc((size_t)from->endpoint_count, sizeof *to.endpoints);
    for (int32_t i = 0; i < from->endpoint_count; i++) {
        to.endpoints[i] = from->endpoints[i];
        to.endpoints[i].listener = xstrdup(from->endpoints[i].listener);
        to.endpoints[i].host = xstrdup(from->endpoints[i].host);
    }
    return to;
}

void image_set_brokers(struct image *image, const struct image_broker *brokers, int32_t count) {
    struct image_broker *copies = count == 0 ? NULL : xcalloc((size_t)count, sizeof *copies);
    for (int32_t i = 0; i < count; i++) {
        copies[i] = broker_copy(&brokers[i]);
    }
    if (count > 1) {
        qsort(copies, (size_t)count, sizeof *copies, compare_brokers);
    }
    brokers_destroy(image->brokers, image->broker_count);
    image->brokers = copies;
    image->broker_count = count;
}

const struct image_broker *image_broker(const struct image *image, int32_t id) {
    const struct image_broker wanted = {.id = id};
    return image->broker_count == 0
               ? NULL
               : bsearch(&wanted, image->brokers, (size_t)image->broker_count, sizeof *image->brokers, compare_brokers);
}

const struct image_broker *image_brokers(const struct image *image, int32_t *ret_count) {
    *ret_count = image->broker_count;
    return image->brokers;
}

const struct image_endpoint *image_broker_endpoint(const struct image_broker *broker, const char *listener) {
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        if (strcmp(broker->endpoints[i].listener, listener) == 0) {
            return &broker->endpoints[i];
        }
    }
    return NULL;
}

/* Where the topic is, or where it would be put. */
static int32_t topic_position(const struct image *image, struct str name, bool *ret_is_there) {
    int32_t low = 0;
    int32_t high = image->topic_count;
    *ret_is_there = false;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = str_compare(str_from(image->topics[middle]->topic.name), name);
        if (order == 0) {
            *ret_is_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int32_t partition_position(const struct image_topic *topic, int32_t partition, bool *ret_is_there) {
    int32_t low = 0;
    int32_t high = topic->partition_count;
    /* Partitions are almost always 0 .. count-1. */
    if (partition >= 0 && partition < high && topic->partitions[partition]->partition == partition) {
        *ret_is_there = true;
        return partition;
    }
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (topic->partitions[middle]->partition < partition) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_is_there = low < topic->partition_count && topic->partitions[low]->partition == partition;
    return low;
}

static void topic_set_id(struct image *image, struct topic_entry *entry, struct uuid id) {
    if (uuid_equal(entry->topic.id, id)) {
        return;
    }
    image->shape++;
    if (!uuid_is_zero(entry->topic.id)) {
        HASH_DEL(image->by_id, entry);
    }
    entry->topic.id = id;
    if (uuid_is_zero(id)) {
        return;
    }
    struct topic_entry *other = NULL;
    HASH_FIND(hh, image->by_id, &id, sizeof id, other);
    if (other != NULL) {
        /* An id belongs to the topic that was told of it last. */
        HASH_DEL(image->by_id, other);
        other->topic.id = (struct uuid){{0}};
    }
    HASH_ADD_KEYPTR(hh, image->by_id, entry->topic.id.bytes, sizeof entry->topic.id, entry);
}

static void topic_remove(struct image *image, int32_t at) {
    struct topic_entry *entry = image->topics[at];
    topic_set_id(image, entry, (struct uuid){{0}});
    image->shape++;
    image->topic_count--;
    memmove(&image->topics[at], &image->topics[at + 1], sizeof(image->topics[0]) * (size_t)(image->topic_count - at));
    topic_destroy(entry);
}

static struct topic_entry *topic_add(struct image *image, int32_t at, const char *name) {
    if (image->topic_count == image->topic_capacity) {
        image->topic_capacity = MAX(16, image->topic_capacity * 2);
        image->topics = xrealloc(image->topics, sizeof(image->topics[0]) * (size_t)image->topic_capacity);
    }
    memmove(&image->topics[at + 1], &image->topics[at], sizeof(image->topics[0]) * (size_t)(image->topic_count - at));
    image->topics[at] = xcalloc(1, sizeof *image->topics[at]);
    image->topics[at]->topic.name = xstrdup(name);
    image->topic_count++;
    image->shape++;
    return image->topics[at];
}

static int32_t *ids_copy(const int32_t *ids, int32_t count) {
    if (count <= 0) {
        return NULL;
    }
    int32_t *copy = xmalloc(sizeof *copy * (size_t)count);
    memcpy(copy, ids, sizeof *copy * (size_t)count);
    return copy;
}

static struct image_partition *partition_copy(const struct image_partition *from) {
    struct image_partition *to = xmalloc(sizeof *to);
    *to = *from;
    to->replicas = ids_copy(from->replicas, from->replica_count);
    to->isr = ids_copy(from->isr, from->isr_count);
    to->offline = ids_copy(from->offline, from->offline_count);
    return to;
}

static void partition_remove(struct image *image, const char *topic, int32_t partition) {
    bool is_there = false;
    int32_t topic_at = topic_position(image, str_from(topic), &is_there);
    if (!is_there) {
        return;
    }
    struct image_topic *found = &image->topics[topic_at]->topic;
    int32_t at = partition_position(found, partition, &is_there);
    if (is_there) {
        image->shape++;
        partition_destroy(found->partitions[at]);
        found->partition_count--;
        memmove(&found->partitions[at], &found->partitions[at + 1],
                sizeof(found->partitions[0]) * (size_t)(found->partition_count - at));
    }
    if (found->partition_count == 0) {
        topic_remove(image, topic_at);
    }
}

static bool is_another(struct uuid known, struct uuid told) {
    return !uuid_is_zero(known) && !uuid_is_zero(told) && !uuid_equal(known, told);
}

void image_set_partition(struct image *image, const char *topic, struct uuid topic_id,
                         const struct image_partition *state) {
    if (state->leader == IMAGE_LEADER_DURING_DELETE) {
        partition_remove(image, topic, state->partition);
        return;
    }
    bool is_there = false;
    int32_t topic_at = topic_position(image, str_from(topic), &is_there);
    if (is_there && is_another(image->topics[topic_at]->topic.id, topic_id)) {
        topic_remove(image, topic_at);
        is_there = false;
    }
    struct topic_entry *entry = is_there ? image->topics[topic_at] : topic_add(image, topic_at, topic);
    topic_set_id(image, entry, topic_id);
    struct image_topic *found = &entry->topic;
    int32_t at = partition_position(found, state->partition, &is_there);
    if (is_there) {
        partition_destroy(found->partitions[at]);
    } else {
        found->partitions =
            xrealloc(found->partitions, sizeof(found->partitions[0]) * (size_t)(found->partition_count + 1));
        memmove(&found->partitions[at + 1], &found->partitions[at],
                sizeof(found->partitions[0]) * (size_t)(found->partition_count - at));
        found->partition_count++;
        image->shape++;
    }
    found->partitions[at] = partition_copy(state);
}

const struct image_topic *image_topic(const struct image *image, struct str name) {
    bool is_there = false;
    int32_t at = topic_position(image, name, &is_there);
    return is_there ? &image->topics[at]->topic : NULL;
}

const struct image_topic *image_topic_by_id(const struct image *image, struct uuid id) {
    struct topic_entry *entry = NULL;
    HASH_FIND(hh, image->by_id, id.bytes, sizeof id, entry);
    return entry == NULL ? NULL : &entry->topic;
}

const struct image_partition *image_partition(const struct image *image, struct str topic, int32_t partition) {
    const struct image_topic *found = image_topic(image, topic);
    bool is_there = false;
    int32_t at = found == NULL ? 0 : partition_position(found, partition, &is_there);
    return is_there ? found->partitions[at] : NULL;
}

uint64_t image_shape(const struct image *image) {
    return image->shape;
}

int32_t image_topic_count(const struct image *image) {
    return image->topic_count;
}

const struct image_topic *image_topic_at(const struct image *image, int32_t index) {
    CHECK(index >= 0 && index < image->topic_count);
    return &image->topics[index]->topic;
}
