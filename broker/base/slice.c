/* The text form of ids. */
#include "broker/base/slice.h"

#include "broker/base/errors.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_format(struct uuid id, char ret_text[UUID_TEXT_SIZE]) {
    unsigned bits = 0;
    int held = 0;
    char *out = ret_text;
    for (int i = 0; i < 16; i++) {
        bits = bits << 8 | id.bytes[i];
        for (held += 8; held >= 6;) {
            held -= 6;
            *out++ = alphabet[bits >> held & 63U];
        }
    }
    *out++ = alphabet[bits << (6 - held) & 63U];
    *out = '\0';
}

int uuid_parse(struct str text, struct uuid *ret_id) {
    if (text.size != UUID_TEXT_SIZE - 1) {
        return ERR_INVALID;
    }
    struct uuid id;
    unsigned bits = 0;
    int held = 0;
    int filled = 0;
    for (int32_t i = 0; i < text.size; i++) {
        const char *found = text.data[i] == '\0' ? NULL : strchr(alphabet, text.data[i]);
        if (found == NULL) {
            return ERR_INVALID;
        }
        bits = bits << 6 | (unsigned)(found - alphabet);
        held += 6;
        if (held >= 8 && filled < 16) {
            held -= 8;
            id.bytes[filled++] = (uint8_t)(bits >> held);
        }
    }
    *ret_id = id;
    return 0;
}
