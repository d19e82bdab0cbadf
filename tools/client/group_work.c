/* The loop of group_work.h. */
#include "tools/client/group_work.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"

#define FIND_COORDINATOR_KEY 10
#define FIND_COORDINATOR_MAX 6
#define FIND_COORDINATOR_BATCHED 4 /* KIP-699: many keys in one request */

static int find_batched(struct broker_connection *connection, const struct str *groups, int32_t count,
                        int64_t deadline_ms, struct arena *arena, struct coordinator *ret) {
    struct find_coordinator_request request;
    struct find_coordinator_response response;
    find_coordinator_request_init(&request);
    request.coordinator_keys = (struct str *)(uintptr_t)groups;
    request.coordinator_keys_count = count;
    int error = call_find_coordinator(connection, &request, deadline_ms, arena, &response);
    /* Brokers answer in the order of the keys: where the last answer was found the next is looked for first. */
    int32_t at = 0;
    for (int32_t i = 0; error == 0 && i < response.coordinators_count; i++) {
        const struct find_coordinator_response_coordinator *answer = &response.coordinators[i];
        for (int32_t tries = 0; tries < count; tries++, at = (at + 1) % count) {
            if (str_equal(groups[at], answer->key)) {
                ret[at] = (struct coordinator){answer->node_id, answer->error_code, answer->error_message};
                break;
            }
        }
    }
    return error;
}

int find_coordinators(struct broker_connection *connection, const struct str *groups, int32_t count,
                      int64_t deadline_ms, struct arena *arena, struct coordinator *ret_coordinators) {
    int16_t version;
    int error = broker_connection_version(connection, FIND_COORDINATOR_KEY, 0, FIND_COORDINATOR_MAX, &version);
    for (int32_t i = 0; i < count; i++) {
        ret_coordinators[i] = (struct coordinator){-1, KAFKA_COORDINATOR_NOT_AVAILABLE, STR_NULL};
    }
    if (error == 0 && version >= FIND_COORDINATOR_BATCHED) {
        return find_batched(connection, groups, count, deadline_ms, arena, ret_coordinators);
    }
    for (int32_t i = 0; error == 0 && i < count; i++) {
        struct find_coordinator_request request;
        struct find_coordinator_response response;
        find_coordinator_request_init(&request);
        request.key = groups[i];
        error = call_find_coordinator(connection, &request, deadline_ms, arena, &response);
        if (error == 0) {
            ret_coordinators[i] = (struct coordinator){response.node_id, response.error_code, response.error_message};
        }
    }
    return error;
}

static bool is_transient(int error) {
    return error == ERR_DISCONNECTED || error == ERR_TIMED_OUT || error == ERR_NOT_FOUND;
}

bool group_item_check(struct group_item *item, int16_t code) {
    switch (code) {
    case KAFKA_NONE: item->is_done = true; return true;
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS: return false;
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR: item->coordinator = -1; return false;
    default: break;
    }
    item->is_done = true;
    failure_set_code(&item->failure, code, STR_NULL);
    return false;
}

static int64_t request_deadline(const struct client *client, int64_t deadline_ms) {
    return MIN(deadline_ms, monotonic_ms() + client->settings.request_timeout_ms);
}

/* Asks for the coordinators of those that have none. */
static int find_missing(struct client *client, struct group_item *items, int32_t count, int64_t deadline_ms,
                        struct arena *arena) {
    struct str *groups = ARENA_ARRAY(arena, struct str, count);
    struct group_item **chosen = ARENA_ARRAY(arena, struct group_item *, count);
    struct coordinator *found = ARENA_ARRAY(arena, struct coordinator, count);
    int32_t missing = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!items[i].is_done && items[i].coordinator < 0) {
            groups[missing] = items[i].id;
            chosen[missing++] = &items[i];
        }
    }
    if (missing == 0) {
        return 0;
    }
    struct broker_connection *connection;
    int error = client_any(client, deadline_ms, &connection);
    if (error != 0) {
        return error;
    }
    error = find_coordinators(connection, groups, missing, request_deadline(client, deadline_ms), arena, found);
    if (error != 0) {
        return error == ERR_DISCONNECTED || error == ERR_TIMED_OUT ? 0 : error;
    }
    bool is_known = true;
    for (int32_t i = 0; i < missing; i++) {
        if (found[i].code == KAFKA_NONE) {
            chosen[i]->coordinator = found[i].node_id;
            is_known = is_known && client_find_node(client, found[i].node_id) != NULL;
        } else if (!kafka_error_is_retriable(found[i].code)) {
            chosen[i]->is_done = true;
            failure_set_code(&chosen[i]->failure, found[i].code, found[i].message);
        }
    }
    if (!is_known) {
        struct metadata_response metadata; /* which brings the brokers up to date */
        error = client_metadata(client, NULL, 0, false, deadline_ms, arena, &metadata);
    }
    return error;
}

static int ask_coordinator(struct client *client, int32_t node_id, struct group_item *items, int32_t count,
                           int64_t deadline_ms, group_call *call, void *context, struct arena *arena) {
    struct group_item **chosen = ARENA_ARRAY(arena, struct group_item *, count);
    int32_t chosen_count = 0;
    for (int32_t i = 0; i < count; i++) {
        if (!items[i].is_done && items[i].coordinator == node_id) {
            chosen[chosen_count++] = &items[i];
        }
    }
    if (chosen_count == 0) {
        return 0;
    }
    struct broker_connection *connection;
    int error = client_node(client, node_id, deadline_ms, &connection);
    if (error == 0) {
        error = call(context, connection, chosen, chosen_count, request_deadline(client, deadline_ms), arena);
    } else if (is_transient(error)) {
        for (int32_t i = 0; i < chosen_count; i++) {
            chosen[i]->coordinator = -1;
        }
        return 0;
    }
    return error == ERR_DISCONNECTED || error == ERR_TIMED_OUT ? 0 : error;
}

static bool all_done(const struct group_item *items, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (!items[i].is_done) {
            return false;
        }
    }
    return true;
}

int group_work(struct client *client, struct group_item *items, int32_t count, const char *call_name, group_call *call,
               void *context, struct arena *arena, struct failure *failure) {
    int64_t deadline_ms = client_deadline(client);
    int error = 0;
    for (int32_t i = 0; i < count; i++) {
        items[i].coordinator = -1;
    }
    while (error == 0 && !all_done(items, count)) {
        error = find_missing(client, items, count, deadline_ms, arena);
        for (int32_t i = 0; error == 0 && i < client->node_count; i++) {
            error = ask_coordinator(client, client->nodes[i]->id, items, count, deadline_ms, call, context, arena);
        }
        if (error == 0 && !all_done(items, count)) {
            error = client_backoff(client, deadline_ms);
        }
    }
    if (error != 0) {
        client_failure(failure, error, call_name);
    }
    return error;
}

void group_items_deinit(struct group_item *items, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        failure_clear(&items[i].failure);
    }
}
