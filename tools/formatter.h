/* How the console consumer prints a record (cli.md, section 3). */
#ifndef OTTLA_TOOLS_FORMATTER_H
#define OTTLA_TOOLS_FORMATTER_H

#include <stdio.h>

#include "tools/client/consumer.h"
#include "tools/property_list.h"

struct formatter;

/* Chooses by Java's class name (NULL: the default formatter); old names work and say so on stderr. ERR_NOT_FOUND with
 * the failure's text for a class that is not known. The properties must outlive the formatter. */
int formatter_create(const char *class_name, const struct property_list *properties, struct formatter **ret_formatter,
                     struct failure *failure);
void formatter_destroy(struct formatter *formatter);

/* ERR_INVALID with the failure set for a value the deserializer refuses; then nothing was printed of it. */
int formatter_write(struct formatter *formatter, const struct consumer_record *record, FILE *out,
                    struct failure *failure);

#endif
