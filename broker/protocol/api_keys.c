/* Lookup of APIs by key. */
#include "broker/protocol/api_keys.h"

#include <stddef.h>

/* One more than the largest key of the schemas. */
#define API_KEY_END 76

static const struct api apis[API_KEY_END] = {
#define X(enum_name, c_name, kafka_name, api, first, last, flexible)                                                   \
    [api] = {.key = api,                                                                                               \
             .version_min = first,                                                                                     \
             .version_max = last,                                                                                      \
             .flexible_min = (flexible) < 0 ? INT16_MAX : (flexible),                                                  \
             .name = kafka_name},
    API_LIST(X)
#undef X
};

const struct api *api_find(int16_t key) {
    if (key < 0 || key >= API_KEY_END || apis[key].name == NULL) {
        return NULL;
    }
    return &apis[key];
}

const char *api_name(int16_t key) {
    const struct api *api = api_find(key);
    return api == NULL ? "Unknown" : api->name;
}
