/* See registration.h. Each operation is one heap object that lives from its start to its callback. */
#include "coordinator-client/registration.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "coordinator-client/znode_path.h"

#define AREA "kafka.server.KafkaServer"

/* A server expires sessions tick by tick, up to one tick late, and its clock is not ours. */
#define OWNER_WAIT_SLACK_MS 2000
/* Every broker's node is read once to compare addresses; a cluster has at most as many brokers as this. */
#define BROKERS_MAX 10000

/* ---- persistent paths ---- */

struct path_creation {
    struct coord *coord;
    size_t index; /* of znode_persistent_paths */
    size_t done_size;
    registration_step_callback *on_done;
    void *context;
};

static void create_next_path(struct path_creation *creation);

static void on_path_created(void *context, int error, const char *path) {
    struct path_creation *creation = context;
    const char *whole = znode_persistent_paths[creation->index];
    (void)path;
    if (error == ERR_CONNECTION_LOSS) {
        create_next_path(creation);
        return;
    }
    if (error != 0 && error != ERR_EXISTS) {
        creation->on_done(creation->context, error);
        free(creation);
        return;
    }
    creation->done_size += 1 + strcspn(whole + creation->done_size + 1, "/");
    if (whole[creation->done_size] == '\0') {
        creation->index++;
        creation->done_size = 0;
    }
    if (creation->index == znode_persistent_path_count) {
        creation->on_done(creation->context, 0);
        free(creation);
        return;
    }
    create_next_path(creation);
}

/* Makes the path's next part: parents come first. */
static void create_next_path(struct path_creation *creation) {
    const char *whole = znode_persistent_paths[creation->index];
    size_t size = creation->done_size + 1 + strcspn(whole + creation->done_size + 1, "/");
    char *part = xstrndup(whole, size);
    struct coord_op op = {
        .type = COORD_OP_CREATE, .path = part, .data = SLICE_NULL, .sensitive = znode_is_sensitive(part)};
    coord_create(creation->coord, &op, on_path_created, creation);
    free(part);
}

void registration_create_paths(struct coord *coord, registration_step_callback *on_done, void *context) {
    struct path_creation *creation = xcalloc(1, sizeof *creation);
    *creation = (struct path_creation){.coord = coord, .on_done = on_done, .context = context};
    create_next_path(creation);
}

/* ---- cluster id ---- */

struct cluster_id_reading {
    struct coord *coord;
    struct uuid proposal;
    registration_cluster_id_callback *on_done;
    void *context;
};

static void read_cluster_id(struct cluster_id_reading *reading);
static void create_cluster_id(struct cluster_id_reading *reading);

static void cluster_id_done(struct cluster_id_reading *reading, int error, const char *id) {
    reading->on_done(reading->context, error, id);
    free(reading);
}

static void on_cluster_id_created(void *context, int error, const char *path) {
    struct cluster_id_reading *reading = context;
    (void)path;
    if (error == 0 || error == ERR_EXISTS || error == ERR_CONNECTION_LOSS) {
        read_cluster_id(reading); /* whoever wrote it, that is the id */
    } else {
        cluster_id_done(reading, error, NULL);
    }
}

static void on_cluster_parent_created(void *context, int error, const char *path) {
    struct cluster_id_reading *reading = context;
    (void)path;
    if (error == 0 || error == ERR_EXISTS) {
        create_cluster_id(reading);
    } else if (error == ERR_CONNECTION_LOSS) {
        read_cluster_id(reading);
    } else {
        cluster_id_done(reading, error, NULL);
    }
}

static void create_cluster_id(struct cluster_id_reading *reading) {
    struct arena arena;
    char text[UUID_TEXT_SIZE];
    arena_init(&arena, SIZE_MAX);
    uuid_format(reading->proposal, text);
    struct coord_op op = {
        .type = COORD_OP_CREATE, .path = ZNODE_CLUSTER_ID, .data = znode_encode_cluster_id(&arena, str_from(text))};
    coord_create(reading->coord, &op, on_cluster_id_created, reading);
    arena_deinit(&arena);
}

static void on_cluster_id_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct cluster_id_reading *reading = context;
    struct arena arena;
    struct str id;
    (void)stat;
    if (error == ERR_NOT_FOUND) {
        struct coord_op op = {.type = COORD_OP_CREATE, .path = ZNODE_CLUSTER, .data = SLICE_NULL};
        coord_create(reading->coord, &op, on_cluster_parent_created, reading);
        return;
    }
    if (error == ERR_CONNECTION_LOSS) {
        read_cluster_id(reading);
        return;
    }
    if (error != 0) {
        cluster_id_done(reading, error, NULL);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    error = znode_decode_cluster_id(&arena, data, &id);
    cluster_id_done(reading, error, error == 0 ? id.data : NULL);
    arena_deinit(&arena);
}

static void read_cluster_id(struct cluster_id_reading *reading) {
    coord_get(reading->coord, ZNODE_CLUSTER_ID, COORD_NO_WATCH, on_cluster_id_read, reading);
}

void registration_cluster_id(struct coord *coord, struct uuid proposal, registration_cluster_id_callback *on_done,
                             void *context) {
    struct cluster_id_reading *reading = xcalloc(1, sizeof *reading);
    *reading = (struct cluster_id_reading){coord, proposal, on_done, context};
    read_cluster_id(reading);
}

/* ---- generated broker id ---- */

struct broker_id_generation {
    struct coord *coord;
    int32_t reserved_max;
    registration_broker_id_callback *on_done;
    void *context;
};

static void draw_broker_id(struct broker_id_generation *generation);

static void on_sequence_drawn(void *context, int error, const struct coord_stat *stat) {
    struct broker_id_generation *generation = context;
    if (error == ERR_CONNECTION_LOSS) { /* at worst an id is skipped */
        draw_broker_id(generation);
        return;
    }
    generation->on_done(generation->context, error, error == 0 ? generation->reserved_max + stat->version : -1);
    free(generation);
}

static void draw_broker_id(struct broker_id_generation *generation) {
    struct slice empty = {(const uint8_t *)"", 0};
    coord_set(generation->coord, ZNODE_BROKER_SEQID, empty, COORD_ANY_VERSION, on_sequence_drawn, generation);
}

void registration_generate_broker_id(struct coord *coord, int32_t reserved_max,
                                     registration_broker_id_callback *on_done, void *context) {
    struct broker_id_generation *generation = xcalloc(1, sizeof *generation);
    *generation = (struct broker_id_generation){coord, reserved_max, on_done, context};
    draw_broker_id(generation);
}

/* ---- registration ---- */

struct registration {
    struct clock *clock;
    struct coord *coord;
    int32_t broker_id;
    int64_t owner_wait_ms;
    char path[ZNODE_PATH_SIZE];
    struct arena arena; /* of broker */
    struct znode_broker broker;
    int64_t last_session_id; /* that this process registered with, 0 never */
    bool is_running;
    bool is_waiting; /* for a foreign owner */
    struct timer owner_timer;
    int32_t reads_left; /* of other brokers' nodes */
    char *conflict;
    registration_callback *on_done;
    void *context;
};

static void create_node(struct registration *registration);
static void inspect_owner(struct registration *registration);
static void check_addresses(struct registration *registration);

static void finish(struct registration *registration, int error, int64_t epoch, const char *message) {
    registration->is_running = registration->is_waiting = false;
    timer_stop(registration->clock, &registration->owner_timer);
    if (error == 0) {
        registration->last_session_id = registration->coord->ops->session_id(registration->coord);
        trace_info(AREA, "Registered broker %d at path %s with czxid (broker epoch): %" PRId64, registration->broker_id,
                   registration->path, epoch);
    }
    registration->on_done(registration->context, error, epoch, message);
}

static void fail(struct registration *registration, int error) {
    char *message = xasprintf("Broker %d cannot be registered at %s: %s", registration->broker_id, registration->path,
                              error_text(error));
    finish(registration, error, -1, message);
    free(message);
}

static void on_owner_timeout(struct timer *timer) {
    struct registration *registration = CONTAINER_OF(timer, struct registration, owner_timer);
    char *message = xasprintf("Broker id %d is registered at %s by another session that is still alive: is another "
                              "broker running with this id?",
                              registration->broker_id, registration->path);
    finish(registration, ERR_EXISTS, -1, message);
    free(message);
}

static void on_owner_event(void *context, enum coord_watch_type type, const char *path) {
    struct registration *registration = context;
    (void)type, (void)path;
    if (registration->is_waiting) {
        inspect_owner(registration);
    }
}

static void on_stale_removed(void *context, int error, const struct coord_stat *stat) {
    struct registration *registration = context;
    (void)stat;
    if (!registration->is_running) {
        return;
    }
    if (error == 0 || error == ERR_NOT_FOUND || error == ERR_CONNECTION_LOSS) {
        create_node(registration);
    } else {
        fail(registration, error);
    }
}

static void on_owner_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct registration *registration = context;
    int64_t session_id = registration->coord->ops->session_id(registration->coord);
    (void)data;
    if (!registration->is_running) {
        return;
    }
    if (error == ERR_NOT_FOUND) {
        create_node(registration);
    } else if (error == ERR_CONNECTION_LOSS) {
        inspect_owner(registration);
    } else if (error != 0) {
        fail(registration, error);
    } else if (stat->ephemeral_owner == session_id) {
        finish(registration, 0, stat->czxid, NULL); /* ours, by a try whose answer was lost */
    } else if (stat->ephemeral_owner == registration->last_session_id && registration->last_session_id != 0) {
        /* An expired session's node that the server has not removed yet (ZOOKEEPER-2985). */
        coord_remove(registration->coord, registration->path, COORD_ANY_VERSION, on_stale_removed, registration);
    } else if (!registration->is_waiting) {
        registration->is_waiting = true;
        trace_warn(AREA,
                   "Broker id %d is still registered by session 0x%" PRIx64 ", most likely of a process that has just "
                   "died; waiting up to %" PRId64 " ms for it to expire",
                   registration->broker_id, stat->ephemeral_owner, registration->owner_wait_ms + OWNER_WAIT_SLACK_MS);
        timer_start(registration->clock, &registration->owner_timer, registration->owner_wait_ms + OWNER_WAIT_SLACK_MS,
                    on_owner_timeout);
    }
}

static void inspect_owner(struct registration *registration) {
    coord_get(registration->coord, registration->path, (struct coord_watch){on_owner_event, registration},
              on_owner_read, registration);
}

static void on_node_created(void *context, int error, const struct coord_op_result *results, int32_t count) {
    struct registration *registration = context;
    if (!registration->is_running) {
        return;
    }
    if (error == 0) {
        CHECK(count == 2);
        finish(registration, 0, results[1].stat.czxid, NULL);
    } else if (error == ERR_EXISTS || error == ERR_CONNECTION_LOSS) {
        inspect_owner(registration);
    } else {
        fail(registration, error);
    }
}

/* The create answers with a path only; the set's stat is where the czxid comes from. */
static void create_node(struct registration *registration) {
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    registration->broker.timestamp_ms = clock_wall_ms(registration->clock);
    struct coord_op ops[] = {
        {.type = COORD_OP_CREATE, .path = registration->path, .data = SLICE_NULL, .create_flags = COORD_EPHEMERAL},
        {.type = COORD_OP_SET, .path = registration->path, .data = znode_encode_broker(&arena, &registration->broker)},
    };
    coord_multi(registration->coord, ops, 2, on_node_created, registration);
    arena_deinit(&arena);
}

/* ---- addresses of the others ---- */

static void compare_addresses(struct registration *registration, const struct znode_broker *other) {
    for (int32_t i = 0; i < registration->broker.endpoint_count; i++) {
        const struct znode_endpoint *ours = &registration->broker.endpoints[i];
        for (int32_t k = 0; k < other->endpoint_count && registration->conflict == NULL; k++) {
            if (ours->port == other->endpoints[k].port && str_equal(ours->host, other->endpoints[k].host)) {
                registration->conflict =
                    xasprintf("Configured end points %.*s:%d in advertised listeners are already registered by another "
                              "broker",
                              STR_ARGS(ours->host), ours->port);
            }
        }
    }
}

static void on_other_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct registration *registration = context;
    struct znode_broker other;
    struct arena arena;
    (void)stat;
    arena_init(&arena, SIZE_MAX);
    if (error == 0 && znode_decode_broker(&arena, data, &other) == 0) {
        compare_addresses(registration, &other);
    }
    arena_deinit(&arena);
    if (--registration->reads_left > 0 || !registration->is_running) {
        return;
    }
    if (registration->conflict != NULL) {
        finish(registration, ERR_EXISTS, -1, registration->conflict);
    } else {
        create_node(registration);
    }
}

static void on_others_listed(void *context, int error, const char *const *names, int32_t count,
                             const struct coord_stat *stat) {
    struct registration *registration = context;
    char path[ZNODE_PATH_SIZE];
    (void)stat;
    if (error == ERR_CONNECTION_LOSS) {
        check_addresses(registration);
        return;
    }
    if (error != 0) {
        fail(registration, error);
        return;
    }
    for (int32_t i = 0; i < count && i < BROKERS_MAX; i++) {
        if (znode_number(names[i]) != registration->broker_id) {
            registration->reads_left++;
            coord_get(registration->coord, znode_child_path(path, ZNODE_BROKER_IDS, names[i]), COORD_NO_WATCH,
                      on_other_read, registration);
        }
    }
    if (registration->reads_left == 0) {
        create_node(registration);
    }
}

static void check_addresses(struct registration *registration) {
    free(registration->conflict);
    registration->conflict = NULL;
    registration->reads_left = 0;
    coord_children(registration->coord, ZNODE_BROKER_IDS, COORD_NO_WATCH, on_others_listed, registration);
}

static void copy_broker(struct registration *registration, const struct znode_broker *broker) {
    struct arena *arena = &registration->arena;
    arena_reset(arena, SIZE_MAX);
    registration->broker = *broker;
    registration->broker.rack = str_is_null(broker->rack) ? STR_NULL : arena_str(arena, broker->rack);
    registration->broker.endpoints = ARENA_ARRAY(arena, struct znode_endpoint, broker->endpoint_count + 1);
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        const struct znode_endpoint *from = &broker->endpoints[i];
        registration->broker.endpoints[i] =
            (struct znode_endpoint){arena_str(arena, from->listener), arena_str(arena, from->host), from->port,
                                    arena_str(arena, from->security_protocol)};
    }
    registration->broker.features = ARENA_ARRAY(arena, struct znode_feature_range, broker->feature_count + 1);
    for (int32_t i = 0; i < broker->feature_count; i++) {
        registration->broker.features[i] = broker->features[i];
        registration->broker.features[i].name = arena_str(arena, broker->features[i].name);
    }
}

struct registration *registration_create(struct clock *clock, struct coord *coord, int32_t broker_id,
                                         const struct znode_broker *broker, int64_t owner_wait_ms) {
    struct registration *registration = xcalloc(1, sizeof *registration);
    registration->clock = clock;
    registration->coord = coord;
    registration->broker_id = broker_id;
    registration->owner_wait_ms = owner_wait_ms;
    znode_broker_path(registration->path, broker_id);
    arena_init(&registration->arena, SIZE_MAX);
    copy_broker(registration, broker);
    return registration;
}

void registration_destroy(struct registration *registration) {
    if (registration == NULL) {
        return;
    }
    timer_stop(registration->clock, &registration->owner_timer);
    arena_deinit(&registration->arena);
    free(registration->conflict);
    free(registration);
}

void registration_register(struct registration *registration, registration_callback *on_done, void *context) {
    CHECK(!registration->is_running);
    registration->is_running = true;
    registration->on_done = on_done;
    registration->context = context;
    check_addresses(registration);
}

struct update {
    registration_step_callback *on_done;
    void *context;
};

static void on_updated(void *context, int error, const struct coord_stat *stat) {
    struct update *update = context;
    (void)stat;
    update->on_done(update->context, error);
    free(update);
}

void registration_update(struct registration *registration, const struct znode_broker *broker,
                         registration_step_callback *on_done, void *context) {
    struct update *update = xmalloc(sizeof *update);
    struct arena arena;
    *update = (struct update){on_done, context};
    arena_init(&arena, SIZE_MAX);
    copy_broker(registration, broker);
    registration->broker.timestamp_ms = clock_wall_ms(registration->clock);
    coord_set(registration->coord, registration->path, znode_encode_broker(&arena, &registration->broker),
              COORD_ANY_VERSION, on_updated, update);
    arena_deinit(&arena);
}
