/* Request and response headers. */
#include "broker/protocol/header.h"

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/protocol/api_keys.h"
#include "generated/protocol/header.h"

int16_t request_header_version(int16_t api_key, int16_t api_version) {
    const struct api *api = api_find(api_key);
    CHECK(api != NULL);
    if (api_key == API_CONTROLLED_SHUTDOWN && api_version == 0) {
        return 0;
    }
    return api_version >= api->flexible_min ? 2 : 1;
}

int16_t response_header_version(int16_t api_key, int16_t api_version) {
    const struct api *api = api_find(api_key);
    CHECK(api != NULL);
    return api_key != API_API_VERSIONS && api_version >= api->flexible_min ? 1 : 0;
}

int request_header_decode(struct reader *r, struct request_header *ret_header) {
    if (reader_left(r) < 4) {
        reader_fail(r);
        return ERR_CORRUPT;
    }
    int16_t api_key = load_i16(r->at);
    int16_t api_version = load_i16(r->at + 2);
    if (api_find(api_key) == NULL) {
        return ERR_INVALID;
    }
    struct header_request header;
    /* No list and no nullable struct is in it, so nothing is allocated. */
    int error = header_request_decode(r, request_header_version(api_key, api_version), NULL, &header);
    if (error != 0) {
        return error;
    }
    *ret_header = (struct request_header){.api_key = header.request_api_key,
                                          .api_version = header.request_api_version,
                                          .correlation_id = header.correlation_id,
                                          .client_id = header.client_id};
    return 0;
}

static void encode_request(const struct request_header *header, struct encoder *e) {
    struct header_request message = {.request_api_key = header->api_key,
                                     .request_api_version = header->api_version,
                                     .correlation_id = header->correlation_id,
                                     .client_id = header->client_id};
    header_request_encode(&message, request_header_version(header->api_key, header->api_version), e);
}

size_t request_header_encoded_size(const struct request_header *header) {
    struct encoder e = encoder_counting();
    encode_request(header, &e);
    return e.counted;
}

void request_header_encode(const struct request_header *header, struct encoder *e) {
    encode_request(header, e);
}

int response_header_decode(struct reader *r, int16_t api_key, int16_t api_version, int32_t *ret_correlation_id) {
    struct header_response header;
    int error = header_response_decode(r, response_header_version(api_key, api_version), NULL, &header);
    if (error == 0) {
        *ret_correlation_id = header.correlation_id;
    }
    return error;
}

size_t response_header_encoded_size(int16_t api_key, int16_t api_version) {
    return response_header_version(api_key, api_version) == 0 ? 4 : 5;
}

void response_header_encode(int16_t api_key, int16_t api_version, int32_t correlation_id, struct encoder *e) {
    struct header_response header = {.correlation_id = correlation_id};
    header_response_encode(&header, response_header_version(api_key, api_version), e);
}
