/* Any bytes as a request frame: header, then the body of whichever API and version the header names. */
#include "broker/protocol/header.h"
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct reader r = reader_of(data, size);
    struct request_header header;
    if (request_header_decode(&r, &header) != 0) {
        return 0;
    }
    const struct message_type *type = message_type_find(header.api_key, true);
    if (header.api_version >= type->version_min && header.api_version <= type->version_max) {
        fuzz_message(type, header.api_version, &r);
    }
    return 0;
}
