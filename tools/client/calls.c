/* The calls of calls.h; one macro writes the typed ones. */
#include "tools/client/calls.h"

#include <stdlib.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/errors.h"
#include "tools/tool.h"

#define API_VERSIONS_KEY 18
#define API_VERSIONS_MAX 3
#define API_VERSIONS_FLEXIBLE 3
#define PRODUCE_KEY 0
#define PRODUCE_MIN 3 /* record batches of magic 2 */
#define PRODUCE_MAX 11
#define PRODUCE_FLEXIBLE 9
#define FETCH_KEY 1
#define FETCH_MIN 4
#define FETCH_MAX 17
#define FETCH_FLEXIBLE 12
#define FETCH_TOPIC_IDS 13 /* KIP-516: from here on topics travel as ids */

#define DEFINE_CALL(name, key, min, max, flexible)                                                                     \
    int call_##name(struct broker_connection *connection, const struct name##_request *request, int64_t deadline_ms,   \
                    struct arena *arena, struct name##_response *ret_response) {                                       \
        int16_t version;                                                                                               \
        int error = broker_connection_version(connection, key, min, max, &version);                                    \
        if (error != 0) {                                                                                              \
            return error;                                                                                              \
        }                                                                                                              \
        struct encoder e;                                                                                              \
        broker_connection_begin(connection, key, version, version >= (flexible),                                       \
                                name##_request_encoded_size(request, version), &e);                                    \
        name##_request_encode(request, version, &e);                                                                   \
        error = broker_connection_send(connection, &e, deadline_ms);                                                   \
        struct reader r;                                                                                               \
        if (error == 0) {                                                                                              \
            error = broker_connection_receive(connection, version >= (flexible), deadline_ms, arena, &r);              \
        }                                                                                                              \
        if (error == 0) {                                                                                              \
            error = name##_response_decode(&r, version, arena, ret_response);                                          \
        }                                                                                                              \
        return error;                                                                                                  \
    }
CLIENT_CALLS(DEFINE_CALL)

int call_produce_unanswered(struct broker_connection *connection, const struct produce_request *request,
                            int64_t deadline_ms) {
    int16_t version;
    int error = broker_connection_version(connection, PRODUCE_KEY, PRODUCE_MIN, PRODUCE_MAX, &version);
    if (error != 0) {
        return error;
    }
    struct encoder e;
    broker_connection_begin(connection, PRODUCE_KEY, version, version >= PRODUCE_FLEXIBLE,
                            produce_request_encoded_size(request, version), &e);
    produce_request_encode(request, version, &e);
    return broker_connection_send(connection, &e, deadline_ms);
}

static int exchange_api_versions(struct broker_connection *connection, int16_t version, int64_t deadline_ms,
                                 struct arena *arena, struct api_versions_response *ret_response) {
    struct api_versions_request request;
    api_versions_request_init(&request);
    if (version >= API_VERSIONS_FLEXIBLE) {
        request.client_software_name = STR_LITERAL("ottla-tools");
        request.client_software_version = STR_LITERAL(TOOL_VERSION);
    }
    struct encoder e;
    broker_connection_begin(connection, API_VERSIONS_KEY, version, version >= API_VERSIONS_FLEXIBLE,
                            api_versions_request_encoded_size(&request, version), &e);
    api_versions_request_encode(&request, version, &e);
    int error = broker_connection_send(connection, &e, deadline_ms);
    struct reader r;
    if (error == 0) {
        /* This answer's header is never flexible: the client cannot know yet what the broker speaks (KIP-511). */
        error = broker_connection_receive(connection, false, deadline_ms, arena, &r);
    }
    if (error != 0) {
        return error;
    }
    /* A broker that does not know the version answers in version 0. */
    struct reader peek = r;
    if (reader_i16(&peek) == KAFKA_UNSUPPORTED_VERSION) {
        version = 0;
    }
    return api_versions_response_decode(&r, version, arena, ret_response);
}

int call_api_versions(struct broker_connection *connection, int64_t deadline_ms, struct arena *arena,
                      struct api_versions_response *ret_response) {
    int error = exchange_api_versions(connection, API_VERSIONS_MAX, deadline_ms, arena, ret_response);
    if (error == 0 && ret_response->error_code == KAFKA_UNSUPPORTED_VERSION) {
        error = exchange_api_versions(connection, 0, deadline_ms, arena, ret_response);
    }
    if (error != 0 || ret_response->error_code != 0) {
        return error;
    }
    free(connection->apis);
    connection->api_count = MAX(ret_response->api_keys_count, 0);
    connection->apis = xcalloc((size_t)connection->api_count + 1, sizeof *connection->apis);
    for (int32_t i = 0; i < connection->api_count; i++) {
        connection->apis[i] =
            (struct api_range){ret_response->api_keys[i].api_key, ret_response->api_keys[i].min_version,
                               ret_response->api_keys[i].max_version};
    }
    return 0;
}

int fetch_version(const struct broker_connection *connection, bool topic_ids_known, int16_t *ret_version) {
    return broker_connection_version(connection, FETCH_KEY, FETCH_MIN,
                                     topic_ids_known ? FETCH_MAX : FETCH_TOPIC_IDS - 1, ret_version);
}

int fetch_send(struct broker_connection *connection, const struct fetch_request *request, int16_t version,
               int64_t deadline_ms) {
    struct encoder e;
    broker_connection_begin(connection, FETCH_KEY, version, version >= FETCH_FLEXIBLE,
                            fetch_request_encoded_size(request, version), &e);
    fetch_request_encode(request, version, &e);
    return broker_connection_send(connection, &e, deadline_ms);
}

int fetch_take(struct broker_connection *connection, int16_t version, struct arena *arena,
               struct fetch_response *ret_response) {
    struct reader r;
    int error = broker_connection_receive(connection, version >= FETCH_FLEXIBLE, monotonic_ms(), arena, &r);
    return error != 0 ? error : fetch_response_decode(&r, version, arena, ret_response);
}
