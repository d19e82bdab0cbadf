/* Any bytes as any message at any version, answers and records of internal topics too: a broker reads the answers of
 * other brokers, and what a log holds. The first two bytes choose. */
#include "tests/fuzz/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    const struct message_type *type = &message_types[data[0] % message_type_count];
    int versions = type->version_max - type->version_min + 1;
    struct reader r = reader_of(data + 2, size - 2);
    fuzz_message(type, (int16_t)(type->version_min + data[1] % versions), &r);
    return 0;
}
