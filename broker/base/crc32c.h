/* CRC-32C (Castagnoli), the checksum of record batches v2 and producer snapshots. ISA-L does the work. */
#ifndef OTTLA_BASE_CRC32C_H
#define OTTLA_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
