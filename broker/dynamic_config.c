/* Reading dynamic settings: at start, and after notifications. Writing them is dynamic_config_change.c. */
#include "broker/dynamic_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/dynamic_config_internal.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"

#define AREA "kafka.server.DynamicConfigManager"
/* Kafka's lifetime of a notification. */
#define NOTIFICATION_LIFETIME_MS (15 * 60 * 1000)
/* Reads under way at once; a cluster may have ten thousand topics. */
#define READS_MAX 256

struct dynamic_topic {
    UT_hash_handle hh;
    struct properties values;
    char name[];
};

/* One config node, or one notification, that is to be read. */
struct dynamic_read {
    struct dynamic_read *prev;
    struct dynamic_read *next;
    struct dynamic_config *dynamic;
    bool is_notification;
    bool is_started;
    struct timer retry;
    dynamic_config_loaded *on_done; /* somebody waits for it; NULL: nobody */
    void *context;
    char entity[]; /* "topics/foo", or the name of the notification */
};

struct dynamic_config *dynamic_config_create(struct config *config, struct clock *clock, struct coord *coord,
                                             const struct dynamic_config_callbacks *callbacks) {
    struct dynamic_config *dynamic = xcalloc(1, sizeof *dynamic);
    dynamic->config = config;
    dynamic->clock = clock;
    dynamic->coord = coord;
    dynamic->callbacks = *callbacks;
    dynamic->last_notification = -1;
    return dynamic;
}

static void free_read(struct dynamic_read *read) {
    timer_stop(read->dynamic->clock, &read->retry);
    DL_DELETE(read->dynamic->reads, read);
    free(read);
}

void dynamic_config_destroy(struct dynamic_config *dynamic) {
    if (dynamic == NULL) {
        return;
    }
    struct dynamic_read *read;
    struct dynamic_read *next_read;
    DL_FOREACH_SAFE(dynamic->reads, read, next_read) {
        dynamic_config_loaded *on_done = read->on_done;
        void *context = read->context;
        free_read(read);
        if (on_done != NULL) {
            on_done(context, ERR_CLOSING);
        }
    }
    dynamic_config_drop_changes(dynamic);
    struct dynamic_topic *topic;
    struct dynamic_topic *next_topic;
    HASH_ITER(hh, dynamic->topics, topic, next_topic) {
        HASH_DEL(dynamic->topics, topic);
        properties_deinit(&topic->values);
        free(topic);
    }
    timer_stop(dynamic->clock, &dynamic->list_retry);
    free(dynamic->notifications);
    free(dynamic);
}

static struct dynamic_topic *find_topic(const struct dynamic_config *dynamic, const char *name) {
    struct dynamic_topic *topic;
    HASH_FIND_STR(dynamic->topics, name, topic);
    return topic;
}

const struct properties *dynamic_config_topic(const struct dynamic_config *dynamic, const char *name) {
    const struct dynamic_topic *topic = find_topic(dynamic, name);
    return topic == NULL ? NULL : &topic->values;
}

void dynamic_config_log_config(void *context, const char *topic, struct log_config *ret_config) {
    const struct dynamic_config *dynamic = context;
    topic_config_merge(dynamic->config, dynamic_config_topic(dynamic, topic), ret_config);
}

void dynamic_config_forget_topic(struct dynamic_config *dynamic, const char *name) {
    struct dynamic_topic *topic = find_topic(dynamic, name);
    if (topic != NULL) {
        HASH_DEL(dynamic->topics, topic);
        properties_deinit(&topic->values);
        free(topic);
    }
}

void dynamic_config_take_entries(const struct znode_config *from, struct properties *ret) {
    for (int32_t i = 0; i < from->entry_count; i++) {
        const struct znode_config_entry *entry = &from->entries[i];
        char *name = xstrndup(entry->name.data == NULL ? "" : entry->name.data, (size_t)MAX(entry->name.size, 0));
        char *value = xstrndup(entry->value.data == NULL ? "" : entry->value.data, (size_t)MAX(entry->value.size, 0));
        properties_set(ret, name, value);
        free(name);
        free(value);
    }
}

/* Takes ownership of the values. */
static void apply_topic(struct dynamic_config *dynamic, const char *name, struct properties *values) {
    bool is_changed = values->count > 0 || find_topic(dynamic, name) != NULL;
    dynamic_config_forget_topic(dynamic, name);
    if (values->count > 0) {
        size_t size = strlen(name) + 1;
        struct dynamic_topic *topic = xcalloc(1, sizeof *topic + size);
        memcpy(topic->name, name, size);
        topic->values = *values;
        HASH_ADD_KEYPTR(hh, dynamic->topics, topic->name, size - 1, topic);
    } else {
        properties_deinit(values);
    }
    if (is_changed && dynamic->is_following && dynamic->callbacks.on_topic != NULL) {
        dynamic->callbacks.on_topic(dynamic->callbacks.context, name);
    }
}

static void apply_broker(struct dynamic_config *dynamic, enum config_source source, const struct properties *values) {
    char *message = NULL;
    if (config_set_dynamic(dynamic->config, source, values, true, &message) != 0) {
        trace_warn(AREA, "Dynamic settings of %s are not applied: %s",
                   source == CONFIG_DYNAMIC_DEFAULT ? "all brokers" : "this broker", message);
        free(message);
        return;
    }
    if (!dynamic->is_following) {
        return;
    }
    trace_info(AREA, "Dynamic settings of %s changed: %d values",
               source == CONFIG_DYNAMIC_DEFAULT ? "all brokers" : "this broker", values->count);
    if (dynamic->callbacks.on_broker != NULL) {
        dynamic->callbacks.on_broker(dynamic->callbacks.context);
    }
    if (dynamic->callbacks.on_topic != NULL) {
        dynamic->callbacks.on_topic(dynamic->callbacks.context, NULL);
    }
}

/* Puts one entity's values to use. Users, clients and addresses have quotas, which are not kept here. */
static void apply(struct dynamic_config *dynamic, const char *entity, struct properties *values) {
    char own[32];
    snprintf(own, sizeof own, "brokers/%d", dynamic->config->broker_id);
    if (strncmp(entity, "topics/", 7) == 0) {
        apply_topic(dynamic, entity + 7, values);
        return;
    }
    if (strcmp(entity, "brokers/" ZNODE_DEFAULT_ENTITY) == 0) {
        apply_broker(dynamic, CONFIG_DYNAMIC_DEFAULT, values);
    } else if (strcmp(entity, own) == 0) {
        apply_broker(dynamic, CONFIG_DYNAMIC_BROKER, values);
    }
    properties_deinit(values);
}

static bool concerns_us(const struct dynamic_config *dynamic, const char *entity) {
    char own[32];
    snprintf(own, sizeof own, "brokers/%d", dynamic->config->broker_id);
    return strncmp(entity, "topics/", 7) == 0 || strcmp(entity, "brokers/" ZNODE_DEFAULT_ENTITY) == 0 ||
           strcmp(entity, own) == 0;
}

/* Reads. */

static void start_reads(struct dynamic_config *dynamic);

static void loaded(struct dynamic_config *dynamic, int error) {
    dynamic_config_loaded *on_done = dynamic->on_loaded;
    if (on_done != NULL) {
        dynamic->on_loaded = NULL;
        on_done(dynamic->load_context, error);
    }
}

static struct dynamic_read *add_read(struct dynamic_config *dynamic, const char *entity, bool is_notification) {
    size_t size = strlen(entity) + 1;
    struct dynamic_read *read = xcalloc(1, sizeof *read + size);
    read->dynamic = dynamic;
    read->is_notification = is_notification;
    memcpy(read->entity, entity, size);
    DL_APPEND(dynamic->reads, read);
    return read;
}

static void read_done(struct dynamic_read *read, int error) {
    struct dynamic_config *dynamic = read->dynamic;
    dynamic_config_loaded *on_done = read->on_done;
    void *context = read->context;
    free_read(read);
    dynamic->reads_started--;
    if (on_done != NULL) {
        on_done(context, error);
    }
    start_reads(dynamic);
    if (dynamic->reads == NULL && !dynamic->is_listing) {
        loaded(dynamic, 0);
    }
}

static void remember_notification(struct dynamic_config *dynamic, const char *name, int64_t ctime_ms) {
    if (dynamic->notification_count == dynamic->notification_capacity) {
        dynamic->notification_capacity = MAX(16, dynamic->notification_capacity * 2);
        dynamic->notifications =
            xrealloc(dynamic->notifications, sizeof *dynamic->notifications * (size_t)dynamic->notification_capacity);
    }
    struct dynamic_notification *notification = &dynamic->notifications[dynamic->notification_count++];
    notification->ctime_ms = ctime_ms;
    snprintf(notification->name, sizeof notification->name, "%s", name);
}

static void on_purged(void *context, int error, const struct coord_stat *stat) {
    /* Every broker purges; whoever comes second finds nothing. */
    (void)context;
    (void)error;
    (void)stat;
}

static void purge_notifications(struct dynamic_config *dynamic) {
    int64_t now_ms = clock_wall_ms(dynamic->clock);
    int32_t kept = 0;
    for (int32_t i = 0; i < dynamic->notification_count; i++) {
        struct dynamic_notification *notification = &dynamic->notifications[i];
        if (now_ms - notification->ctime_ms <= NOTIFICATION_LIFETIME_MS) {
            dynamic->notifications[kept++] = *notification;
            continue;
        }
        char path[ZNODE_PATH_SIZE];
        coord_remove(dynamic->coord, znode_child_path(path, ZNODE_CONFIG_CHANGES, notification->name),
                     COORD_ANY_VERSION, on_purged, dynamic);
    }
    dynamic->notification_count = kept;
}

static void take_notification(struct dynamic_read *read, struct slice data, const struct coord_stat *stat) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct str entity;
    if (znode_decode_config_change(&arena, data, &entity) != 0) {
        trace_warn(AREA, "The notification %s cannot be read and is skipped", read->entity);
    } else {
        char *name = xstrndup(entity.data, (size_t)MAX(entity.size, 0));
        if (concerns_us(read->dynamic, name)) {
            add_read(read->dynamic, name, false);
        }
        free(name);
    }
    remember_notification(read->dynamic, read->entity, stat->ctime_ms);
    arena_deinit(&arena);
}

static void take_values(struct dynamic_read *read, struct slice data) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct znode_config config = {0};
    if (znode_decode_config(&arena, data, &config) != 0) {
        trace_warn(AREA, "/config/%s cannot be read; what was in force stays", read->entity);
    } else {
        struct properties values;
        properties_init(&values);
        dynamic_config_take_entries(&config, &values);
        apply(read->dynamic, read->entity, &values);
    }
    arena_deinit(&arena);
}

static void start_read(struct dynamic_read *read);

static void on_read_retry(struct timer *timer) {
    start_read(CONTAINER_OF(timer, struct dynamic_read, retry));
}

static void on_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct dynamic_read *read = context;
    /* Whoever waits for values cannot go on without them: another session will have them too. */
    if (error == ERR_CONNECTION_LOSS ||
        (read->on_done != NULL && error != 0 && error != ERR_NOT_FOUND && error != ERR_CLOSING)) {
        timer_start(read->dynamic->clock, &read->retry, DYNAMIC_RETRY_AFTER_MS, on_read_retry);
        return;
    }
    if (error == ERR_NOT_FOUND && !read->is_notification) {
        take_values(read, SLICE_NULL);
    } else if (error == 0 && read->is_notification) {
        take_notification(read, data, stat);
    } else if (error == 0) {
        take_values(read, data);
    } else if (error == ERR_SESSION_EXPIRED || error == ERR_CLOSING) {
        /* dynamic_config_follow() in the new session reads everything again. */
        loaded(read->dynamic, error);
    }
    read_done(read, error == ERR_NOT_FOUND ? 0 : error);
}

static void start_read(struct dynamic_read *read) {
    char path[ZNODE_PATH_SIZE];
    if (read->is_notification) {
        znode_child_path(path, ZNODE_CONFIG_CHANGES, read->entity);
    } else {
        znode_config_entity_path(path, str_from(read->entity));
    }
    coord_get(read->dynamic->coord, path, COORD_NO_WATCH, on_read, read);
}

static void start_reads(struct dynamic_config *dynamic) {
    struct dynamic_read *read;
    DL_FOREACH(dynamic->reads, read) {
        if (dynamic->reads_started >= READS_MAX) {
            return;
        }
        if (!read->is_started) {
            read->is_started = true;
            dynamic->reads_started++;
            start_read(read);
        }
    }
}

/* Loading. */

static void list_topics(struct dynamic_config *dynamic);

static void on_list_retry(struct timer *timer) {
    list_topics(CONTAINER_OF(timer, struct dynamic_config, list_retry));
}

static void on_topics(void *context, int error, const char *const *names, int32_t count,
                      const struct coord_stat *stat) {
    (void)stat;
    struct dynamic_config *dynamic = context;
    if (error == ERR_CONNECTION_LOSS) {
        timer_start(dynamic->clock, &dynamic->list_retry, DYNAMIC_RETRY_AFTER_MS, on_list_retry);
        return;
    }
    dynamic->is_listing = false;
    for (int32_t i = 0; error == 0 && i < count; i++) {
        char *entity = xasprintf("topics/%s", names[i]);
        add_read(dynamic, entity, false);
        free(entity);
    }
    start_reads(dynamic);
    if (error != 0 && error != ERR_NOT_FOUND) {
        loaded(dynamic, error);
    } else if (dynamic->reads == NULL) {
        loaded(dynamic, 0);
    }
}

static void list_topics(struct dynamic_config *dynamic) {
    coord_children(dynamic->coord, ZNODE_CONFIG "/topics", COORD_NO_WATCH, on_topics, dynamic);
}

void dynamic_config_load(struct dynamic_config *dynamic, dynamic_config_loaded *on_done, void *context) {
    loaded(dynamic, ERR_SESSION_EXPIRED); /* a load that a lost session overtook */
    dynamic->on_loaded = on_done;
    dynamic->load_context = context;
    add_read(dynamic, "brokers/" ZNODE_DEFAULT_ENTITY, false);
    if (dynamic->config->broker_id >= 0) {
        char own[32];
        snprintf(own, sizeof own, "brokers/%d", dynamic->config->broker_id);
        add_read(dynamic, own, false);
    }
    dynamic->is_listing = true;
    list_topics(dynamic);
    start_reads(dynamic);
}

void dynamic_config_reread_topic(struct dynamic_config *dynamic, struct str topic) {
    char *entity = xasprintf("topics/%.*s", STR_ARGS(topic));
    add_read(dynamic, entity, false);
    free(entity);
    start_reads(dynamic);
}

void dynamic_config_await_topic(struct dynamic_config *dynamic, struct str topic, dynamic_config_loaded *on_done,
                                void *context) {
    char *entity = xasprintf("topics/%.*s", STR_ARGS(topic));
    struct dynamic_read *read = add_read(dynamic, entity, false);
    read->on_done = on_done;
    read->context = context;
    free(entity);
    start_reads(dynamic);
}

/* Following. */

static void list_notifications(struct dynamic_config *dynamic);

static void on_notification_retry(struct timer *timer) {
    list_notifications(CONTAINER_OF(timer, struct dynamic_config, follow_retry));
}

static void on_notification_event(void *context, enum coord_watch_type type, const char *path) {
    (void)type;
    (void)path;
    list_notifications(context);
}

static void on_notifications(void *context, int error, const char *const *names, int32_t count,
                             const struct coord_stat *stat) {
    (void)stat;
    struct dynamic_config *dynamic = context;
    if (error == ERR_CONNECTION_LOSS) {
        timer_start(dynamic->clock, &dynamic->follow_retry, DYNAMIC_RETRY_AFTER_MS, on_notification_retry);
        return;
    }
    if (error != 0) {
        return; /* the session is gone, or the broker is; a new session follows again */
    }
    int64_t last = dynamic->last_notification;
    for (int32_t i = 0; i < count; i++) {
        int64_t sequence = znode_sequence(names[i], ZNODE_CONFIG_CHANGE_PREFIX);
        if (sequence > dynamic->last_notification) {
            add_read(dynamic, names[i], true);
            last = MAX(last, sequence);
        }
    }
    dynamic->last_notification = last;
    start_reads(dynamic);
    purge_notifications(dynamic);
}

static void list_notifications(struct dynamic_config *dynamic) {
    struct coord_watch watch = {on_notification_event, dynamic};
    coord_children(dynamic->coord, ZNODE_CONFIG_CHANGES, watch, on_notifications, dynamic);
}

void dynamic_config_follow(struct dynamic_config *dynamic) {
    if (dynamic->is_following) {
        /* Notifications may have come and been purged while the session was away. */
        dynamic_config_load(dynamic, NULL, NULL);
    }
    dynamic->is_following = true;
    list_notifications(dynamic);
}
