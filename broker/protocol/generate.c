/* The message generator: turns schemas into C. Built and run by the Makefile before anything else.
 *
 *   generate NAME.schema OUTDIR              writes OUTDIR/NAME.h and OUTDIR/NAME.c (their shape: codec.h)
 *   generate --descriptors OUTDIR A.schema ... writes OUTDIR/descriptors.c: the schemas as tables, for tests
 *   generate --index OUTDIR A.schema ...     writes OUTDIR/messages.h (every message and every API, as X-macros) and
 *                                            OUTDIR/all.h (includes every header)
 *
 * A schema holds one API in all its versions. A line at the left margin opens a message:
 *
 *   Produce (key 0) request  versions 0-11  flexible 9+  deprecated 0-2  on zkBroker,broker
 *
 * and the lines under it are its fields, each with name, type and the versions that carry it:
 *
 *   Name   type   versions  [null versions]  [tag N@versions]  [default V]  [ignorable]  [key]  [<what it means>]
 *
 * `[]T` is a list of T; the fields of a struct are indented under the line that names it. A field outside its versions
 * is not on the wire, and must hold its default there unless it is `ignorable`. From the `flexible` version on,
 * lengths are compact and every struct ends with a tag buffer. `(data)` and `(header)` mark messages that are no API.
 * `#` opens a comment line. `deprecated`, `on`, `key`, `zero-copy` and `<...>` are for the reader. */
#include "broker/protocol/generate/descriptors.h"
#include "broker/protocol/generate/emit_source.h"
#include "broker/protocol/generate/index.h"

int main(int argument_count, char **arguments) {
    parse_file = "generate";
    if (argument_count >= 4 && strcmp(arguments[1], "--index") == 0) {
        emit_index(arguments[2], arguments + 3, argument_count - 3);
        return 0;
    }
    if (argument_count >= 4 && strcmp(arguments[1], "--descriptors") == 0) {
        emit_descriptors(arguments[2], arguments + 3, argument_count - 3);
        return 0;
    }
    if (argument_count != 3) {
        fprintf(stderr, "usage: generate NAME.schema OUTDIR | generate --index|--descriptors OUTDIR NAME.schema ...\n");
        return 1;
    }
    struct schema *schema = allocate(sizeof *schema);
    parse_schema(schema, arguments[1]);
    for (int i = 0; i < schema->message_count; i++) {
        analyse(&schema->messages[i]);
    }
    emit_header(schema, arguments[2]);
    emit_source(schema, arguments[2]);
    return 0;
}
