/* Records of the internal topics in words: as the console consumer's formatters print them, old and new, and as the
 * decoders of the dump tool do (cli.md, sections 3 and 5). */
#ifndef OTTLA_TOOLS_INTERNAL_RECORDS_H
#define OTTLA_TOOLS_INTERNAL_RECORDS_H

#include <stdint.h>
#include <stdio.h>

#include "broker/base/slice.h"

enum internal_kind { INTERNAL_OFFSETS, INTERNAL_GROUPS, INTERNAL_TRANSACTIONS };

/* {"key":{"version":1,"data":{...}},"value":{...}} and a newline; nothing for a record of another kind. */
void internal_write_json(enum internal_kind kind, struct slice key, struct slice value, FILE *out);
/* The older "[group,topic,0]::OffsetAndMetadata(...)" and its kin, one line; nothing for another kind. */
void internal_write_text(enum internal_kind kind, struct slice key, struct slice value, FILE *out);

/* What --offsets-decoder and --transaction-log-decoder make of a record; both on the heap, NULL where there is nothing
 * to print. `offset` is named when the record cannot be read. */
void internal_describe_offsets(struct slice key, struct slice value, int64_t offset, char **ret_key, char **ret_value);
void internal_describe_transaction(struct slice key, struct slice value, char **ret_key, char **ret_value);

/* "Ongoing" and so on; "Unknown" for a number no state has. */
const char *transaction_state_name(int8_t status);

#endif
