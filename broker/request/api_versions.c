/* ApiVersions: what this broker serves, from the very table it dispatches by. */
#include "generated/protocol/api_versions.h"
#include "broker/base/bytes.h"
#include "broker/protocol/errors.h"
#include "broker/request/dispatch.h"

/* KIP-511: letters, digits, dots and dashes, with a letter or digit at both ends. */
static bool is_software_name(struct str name) {
    for (int32_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool is_inner = i > 0 && i < name.size - 1;
        if (!is_alphanumeric && !(is_inner && (c == '.' || c == '-'))) {
            return false;
        }
    }
    return name.size > 0;
}

static void add_features(struct request *request, struct api_versions_response *response) {
    const struct request_context *context = request->context;
    response->finalized_features_epoch = context->features_epoch;
    response->finalized_features_count = context->feature_count;
    response->finalized_features =
        ARENA_ARRAY(&request->arena, struct api_versions_response_finalized_feature_key, context->feature_count);
    for (int32_t i = 0; i < context->feature_count; i++) {
        struct api_versions_response_finalized_feature_key *feature = &response->finalized_features[i];
        api_versions_response_finalized_feature_key_init(feature);
        feature->name = str_from(context->features[i].name);
        feature->min_version_level = context->features[i].version_min;
        feature->max_version_level = context->features[i].version_max;
    }
}

void handle_api_versions(struct request *request) {
    const struct api_versions_request *message = request->message;
    struct api_versions_response response;
    api_versions_response_init(&response);
    if (request->header.api_version >= 3 &&
        (!is_software_name(message->client_software_name) || !is_software_name(message->client_software_version))) {
        response.error_code = KAFKA_INVALID_REQUEST;
        request_answer(request, &response);
        return;
    }
    int32_t count;
    const struct api_row *rows = dispatch_rows(&count);
    response.api_keys = ARENA_ARRAY(&request->arena, struct api_versions_response_api_version, count);
    response.api_keys_count = count;
    for (int32_t i = 0; i < count; i++) {
        response.api_keys[i] =
            (struct api_versions_response_api_version){rows[i].key, rows[i].version_min, rows[i].version_max};
    }
    add_features(request, &response);
    request_answer(request, &response);
}
