/* The table of messages. The wrappers give every message the same function types; calling through a cast pointer would
 * be undefined. */
#include "broker/protocol/message_types.h"

#include "broker/base/check.h"
#include "generated/protocol/all.h"
#include "generated/protocol/messages.h"

#define X(name, key, is_request, first, last, flexible)                                                                \
    static void init_##name(void *message) {                                                                           \
        name##_init(message);                                                                                          \
    }                                                                                                                  \
    static int decode_##name(struct reader *r, int16_t version, struct arena *arena, void *ret_message) {              \
        return name##_decode(r, version, arena, ret_message);                                                          \
    }                                                                                                                  \
    static size_t size_##name(const void *message, int16_t version) {                                                  \
        return name##_encoded_size(message, version);                                                                  \
    }                                                                                                                  \
    static void encode_##name(const void *message, int16_t version, struct encoder *e) {                               \
        name##_encode(message, version, e);                                                                            \
    }
MESSAGE_LIST(X)
#undef X

const struct message_type message_types[] = {
#define X(message, key, request, first, last, flexible)                                                                \
    {.name = #message,                                                                                                 \
     .api_key = key,                                                                                                   \
     .is_request = request,                                                                                            \
     .version_min = first,                                                                                             \
     .version_max = last,                                                                                              \
     .flexible_min = (flexible) < 0 ? INT16_MAX : (flexible),                                                          \
     .size = sizeof(struct message),                                                                                   \
     .init = init_##message,                                                                                           \
     .decode = decode_##message,                                                                                       \
     .encoded_size = size_##message,                                                                                   \
     .encode = encode_##message},
    MESSAGE_LIST(X)
#undef X
};
const size_t message_type_count = ARRAY_SIZE(message_types);

enum message_index {
#define X(message, key, request, first, last, flexible) INDEX_##message,
    MESSAGE_LIST(X)
#undef X
};

const struct message_type *message_type_find(int16_t api_key, bool is_request) {
    switch (api_key) {
#define X(enum_name, c_name, name, key, first, last, flexible)                                                         \
    case key: return &message_types[is_request ? INDEX_##c_name##_request : INDEX_##c_name##_response];
        API_LIST(X)
#undef X
    default: return NULL;
    }
}
