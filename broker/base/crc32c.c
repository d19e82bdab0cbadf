/* CRC-32C by ISA-L, which neither inverts before nor after, and counts in int. */
#include "broker/base/crc32c.h"

#include <isa-l/crc.h>

#define CHUNK_SIZE ((size_t)1 << 30)

uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
    const unsigned char *at = data;
    crc = ~crc;
    while (size > 0) {
        size_t part = size < CHUNK_SIZE ? size : CHUNK_SIZE;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)part, crc);
        at += part;
        size -= part;
    }
    return ~crc;
}
